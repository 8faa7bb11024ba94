"""``translate``: from one text to another. Many to many, unaligned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, final

from seriatim.data.files import content_hash
from seriatim.data.pairs import Pairs, read_pairs, read_sources
from seriatim.errors import UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.contract import Trainable
from seriatim.models.naive.nearest_text import Copy, Nearest
from seriatim.models.options import CELLS, is_recurrent
from seriatim.models.seq2seq import RecurrentSeq2Seq
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.tasks.common.epochs import epochs
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.pair_reader import Examples, PairReader
from seriatim.tasks.common.pair_writer import answer
from seriatim.tasks.common.parts import read_parts, unknown_notes
from seriatim.tasks.common.writing import check_writing, flat_texts, signatures, text_scores, writer
from seriatim.tasks.options import ANEW, TRANSLATE_BASELINES, TranslateOptions
from seriatim.tasks.task import Fresh, GenerateRequest, Model, Prepared, Row, Scores, Task, Words

RECURRENT_ONLY = ("reverse", "peeky", "teacher_forcing", "attention", "embedding_start", "output_start")


@final
class Translate(Task[TranslateOptions, Examples, PairReader]):
    """Encoder and decoder: recurrent or Transformer; the nearest source, a copy."""

    name = "translate"
    options = TranslateOptions
    main_score = "chrf"  # BLEU is 0 for texts of under four words, exact match 0 for most translations
    higher_is_better = True
    baselines = TRANSLATE_BASELINES
    neural_baselines = ()
    piped_format = "txt"
    codec_files = ("vocabulary.json",)
    writing = "answers"
    anew = ANEW

    def check(self, options: TranslateOptions) -> None:
        if bool(options.source_file) != bool(options.target_file):
            raise UsageError("source_file, target_file: give both, or a table as DATA")
        check_writing(options)
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

    def source(self, options: TranslateOptions, given: object | None) -> object:
        if not options.source_file:
            return super().source(options, given)
        if given is not None:
            raise UsageError("data: give either DATA, or source_file and target_file, not both")
        return [options.source_file, options.target_file]

    def prepare(
        self, options: TranslateOptions, source: object, codec: PairReader | None = None
    ) -> Prepared[Examples, PairReader]:
        parts = read_parts(options, source, lambda one: _read(options, one))
        reader = codec or PairReader.fit(options, parts.train)
        train, valid, test = (reader.examples(part) for part in (parts.train, parts.valid, parts.test))
        notes = (
            *parts.notes,
            *unknown_notes("the sources' words", options.unit, valid.inputs),
            *unknown_notes("the targets' words", options.unit, valid.targets),
            *signatures(test.references),
        )
        return Prepared(train, valid, test, reader, parts.sizes, parts.hash, notes)

    def read(self, options: TranslateOptions, codec: PairReader, source: object) -> Fresh[Examples]:
        pairs = _read(options, source)
        return Fresh(codec.examples(pairs), len(pairs), content_hash(pairs.content))

    def from_lines(self, text: str) -> object:
        return text.removesuffix("\n").split("\n")

    def codec(self, content: dict[str, Any]) -> PairReader:
        return PairReader.from_json(content)

    def make(self, options: TranslateOptions, codec: PairReader) -> Model:
        sizes = len(codec.source), len(codec.script)
        makers: dict[str, Callable[[], Model]] = {
            "nearest": Nearest,
            "copy": Copy,
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

    def words(self, data: Prepared[Examples, PairReader]) -> Words | None:
        vocabulary = data.codec.source.vocabulary
        return Words(vocabulary.tokens, data.train.inputs) if vocabulary.unit == "word" else None

    def beside(self, options: TranslateOptions, baseline: str) -> TranslateOptions:
        return dataclasses.replace(options, model=baseline, vectors=None, freeze_vectors=False)

    def fit(
        self,
        model: Model,
        options: TranslateOptions,
        data: Prepared[Examples, PairReader],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, (Nearest, Copy)):
            with closed_form() as timer:
                if isinstance(model, Nearest):
                    model.fit(data.train.pairs.sources, [text for text, *_ in data.train.references])
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=epochs(data.train, options, batch_tokens=options.batch_tokens),
            validate=lambda network: writer(network, data.codec, options).validate(data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )
        return fit(model, course, options, keeper, observer)

    def score(self, model: Model, options: TranslateOptions, codec: PairReader, split: Examples) -> Scores:
        if isinstance(model, (Nearest, Copy)):
            sources = [codec.script.fold_case(text) for text in split.pairs.sources]
            return text_scores([text for text, _ in model.write(sources)], split.references)
        return writer(model, codec, options).score(split)

    def predict(self, model: Model, options: TranslateOptions, codec: PairReader, source: object) -> Iterator[Row]:
        """Write a text for each source, with the others that the beam found, and the alignment, where asked for."""
        texts = read_sources(source, source=options.source, header=options.header).sources
        if isinstance(model, (Nearest, Copy)):
            if options.alignment:
                raise UsageError(f"alignment: {options.model} has none")
            found = model.write([codec.script.fold_case(text) for text in texts])
            said: Iterator[Row] = ({"prediction": text, "score": score} for text, score in found)
        else:
            said = writer(model, codec, options).rows(codec.read(texts))
        for number, (text, row) in enumerate(zip(texts, said, strict=True), 1):
            yield {"row": number, "source": text} | row

    def flat(self, row: Row) -> Iterator[Row]:
        return flat_texts(row, "source")

    def generate(
        self, model: Model, options: TranslateOptions, codec: PairReader, request: GenerateRequest
    ) -> Iterator[str]:
        """Answer ``request.prompt``, piece by piece, each unit drawn as the request says."""
        if isinstance(model, (Nearest, Copy)):
            return (text for text, _ in model.write([codec.script.fold_case(request.prompt)]))
        if not request.prompt.strip():
            raise UsageError("prompt: empty, wanted the text to answer")
        return answer(writer(model, codec, options), codec, request)


def _read(options: TranslateOptions, source: object) -> Pairs:
    return read_pairs(source, source=options.source, target=options.target, group=options.group, header=options.header)
