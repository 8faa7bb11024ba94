"""``translate``: writes a text for a text. Many to many, unaligned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

from seriatim.data.files import split_lines
from seriatim.data.pairs import Pairs, read_pairs, read_sources
from seriatim.errors import UsageError
from seriatim.models.naive.nearest_text import CopySource, NearestText
from seriatim.models.options import CELLS, is_recurrent
from seriatim.models.seq2seq import EncoderDecoder, RecurrentSeq2Seq
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.tasks.common.answering import answer
from seriatim.tasks.common.pair_codec import EncodedPairs, PairCodec
from seriatim.tasks.common.parts import unknown_notes
from seriatim.tasks.common.text_unit import unit_notes
from seriatim.tasks.common.writing import Writer, check_writing_options, text_csv_rows
from seriatim.tasks.common.writing_task import WritingTask
from seriatim.tasks.options import TRANSLATE_BASELINES, TRANSLATE_DEFAULTS, TranslateOptions
from seriatim.tasks.task import GenerateRequest, PreparedData, Row, WordCorpus, model_of

RECURRENT_ONLY = ("reverse", "peeky", "teacher_forcing", "attention", "embedding_start", "output_start")
"""Options that other models than recurrent ones refuse."""

NaiveTranslator = NearestText | CopySource
AnyTranslator = NaiveTranslator | EncoderDecoder[Any]


@final
class Translate(WritingTask[TranslateOptions, EncodedPairs, PairCodec]):
    """Translation by an encoder and a decoder, recurrent or Transformer, by the nearest source, or by a copy."""

    name = "translate"
    options = TranslateOptions
    baselines = TRANSLATE_BASELINES
    stdin_format = "txt"
    writing = "answers"
    exported_columns = ("source",)
    schedule_epochs, least_updates = 10, 1000

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        own = TRANSLATE_DEFAULTS.get(str(model_of(self.options, explicit)), {})
        return {**super().model_defaults(explicit), **own}

    def check(self, options: TranslateOptions) -> None:
        if bool(options.source_file) != bool(options.target_file):
            raise UsageError("source_file, target_file: give both, or a table as DATA")
        check_writing_options(options)
        if options.teacher_forcing > 1.0:
            raise UsageError(f"teacher_forcing: got {options.teacher_forcing}, wanted at most 1")
        if options.attention == "dot" and options.bidirectional:
            raise UsageError("attention: dot wants encoder and decoder of one width; --bidirectional takes general")
        if options.output_start and options.tie:
            raise UsageError("output_start: not with --tie, where the output's weights are the embeddings")
        if not is_recurrent(options.model):
            defaults = {field.name: field.default for field in dataclasses.fields(options)}
            for name in RECURRENT_ONLY:
                if getattr(options, name) != defaults[name]:
                    raise UsageError(f"{name}: for {', '.join(CELLS)}, not {options.model}")

    def source(self, options: TranslateOptions, data: object | None) -> object:
        if not options.source_file:
            return super().source(options, data)
        if data is not None:
            raise UsageError("data: give either DATA, or source_file and target_file, not both")
        return [options.source_file, options.target_file]

    def read_collection(self, options: TranslateOptions, source: object) -> Pairs:
        return read_pairs(
            source, source=options.source, target=options.target, group=options.group, header=options.header
        )

    def fit_codec(self, options: TranslateOptions, train: Pairs) -> PairCodec:
        return PairCodec.fit(options, train)

    def text_notes(
        self, options: TranslateOptions, codec: PairCodec, train: Pairs, valid: EncodedPairs
    ) -> Iterator[str]:
        source, target = codec.source.vocabulary.unit, codec.script.vocabulary.unit
        yield from unit_notes(options, source, train.sources, "sources")
        yield from unit_notes(options, target, train.targets, "targets")
        yield from unknown_notes("the sources' words", source, valid.inputs)
        yield from unknown_notes("the targets' words", target, valid.targets)

    def from_lines(self, text: str) -> object:
        return split_lines(text)

    def codec_from_json(self, content: dict[str, Any]) -> PairCodec:
        return PairCodec.from_json(content)

    def make(self, options: TranslateOptions, codec: PairCodec) -> AnyTranslator:
        sizes = len(codec.source), len(codec.script)
        makers: dict[str, Callable[[], AnyTranslator]] = {
            "nearest": NearestText,
            "copy": CopySource,
            "transformer": lambda: TransformerSeq2Seq(options, *sizes, tie=options.tie),
        }
        return makers.get(
            options.model,
            lambda: RecurrentSeq2Seq(
                options,
                *sizes,
                peeky=options.peeky,
                attention=options.attention,
                tie=options.tie,
                teacher_forcing=options.teacher_forcing,
                embedding_start=options.embedding_start,
                output_start=options.output_start,
            ),
        )()

    def word_corpus(self, data: PreparedData[EncodedPairs, PairCodec]) -> WordCorpus | None:
        vocabulary = data.codec.source.vocabulary
        return WordCorpus(vocabulary.tokens, data.train.inputs) if vocabulary.unit == "word" else None

    def fit_naive(self, model: NaiveTranslator, data: PreparedData[EncodedPairs, PairCodec]) -> None:
        if isinstance(model, NearestText):
            model.fit(data.train.pairs.sources, [text for text, *_ in data.train.references])

    def write_naive(self, model: NaiveTranslator, codec: PairCodec, inputs: Sequence[str]) -> Iterator[Row]:
        texts = model.write([codec.script.fold_case(text) for text in inputs])
        return ({"prediction": text, "score": score} for text, score in texts)

    def predict(
        self, model: AnyTranslator, options: TranslateOptions, codec: PairCodec, source: object
    ) -> Iterator[Row]:
        """Yield a text for each source, with the beam's other texts and the alignment on request."""
        texts = read_sources(source, source=options.source, header=options.header).sources
        rows = self.write(model, options, codec, texts)
        for number, (text, row) in enumerate(zip(texts, rows, strict=True), 1):
            yield {"row": number, "source": text} | row

    def csv_rows(self, row: Row) -> Iterator[Row]:
        return text_csv_rows(row, "source")

    def generate(
        self,
        model: AnyTranslator,
        options: TranslateOptions,
        codec: PairCodec,
        request: GenerateRequest,
    ) -> Iterator[str]:
        """Answer ``request.prompt`` piece by piece. Each unit is drawn as the request says."""
        if not isinstance(model, EncoderDecoder):
            return (row["prediction"] for row in self.write_naive(model, codec, [request.prompt]))
        if not request.prompt.strip():
            raise UsageError("prompt: empty, wanted the text to answer")
        return answer(Writer(model, codec, options), codec, request)
