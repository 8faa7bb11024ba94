"""``translate``: from one text to another. Many to many, unaligned."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, final

import numpy as np

from seriatim.data.buckets import token_buckets
from seriatim.data.files import content_hash
from seriatim.data.pairs import Pairs, read_pairs, read_sources
from seriatim.data.splits import count_shared, hold_out, stratified
from seriatim.errors import DataError, UsageError
from seriatim.learning.loop import Course, Keeper, Outcome, fit
from seriatim.learning.observer import Observer
from seriatim.models.contract import Trainable
from seriatim.models.nearest import Copy, Nearest
from seriatim.models.options import CELLS, is_recurrent
from seriatim.models.seq2seq import EncoderDecoder, RecurrentSeq2Seq
from seriatim.models.transformer_seq2seq import TransformerSeq2Seq
from seriatim.notation import UNKNOWN
from seriatim.tasks.fitting import closed_form
from seriatim.tasks.options import TRANSLATE_BASELINES, TranslateOptions
from seriatim.tasks.pair_reader import Epoch, Examples, PairReader
from seriatim.tasks.pair_writer import alignment, answer, limit, nll, perplexity, validation, written
from seriatim.tasks.task import Fresh, GenerateRequest, Model, Prepared, Row, Scores, Task, Words
from seriatim.tasks.writing import signatures, text_scores

MANY_UNKNOWN = 0.2
"""Share of a text's words."""
RECURRENT_ONLY = ("reverse", "peeky", "teacher_forcing", "attention")


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
    anew = ("beam_size", "n_best", "length_penalty", "max_length", "alignment")

    def check(self, options: TranslateOptions) -> None:
        if bool(options.source_file) != bool(options.target_file):
            raise UsageError("source_file, target_file: give both, or a table as DATA")
        if options.n_best > options.beam_size:
            raise UsageError(
                f"n_best: got {options.n_best}, wanted at most the beam's size ({options.beam_size}, --beam-size)"
            )
        if options.teacher_forcing > 1.0:
            raise UsageError(f"teacher_forcing: got {options.teacher_forcing}, wanted at most 1")
        if options.attention == "dot" and options.bidirectional:
            raise UsageError("attention: dot wants encoder and decoder of one width; --bidirectional takes general")
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
        whole = _read(options, source)
        fixed = {
            part: _read(options, path) for part, path in (("valid", options.valid), ("test", options.test)) if path
        }
        notes: list[str] = []
        if options.drop_duplicates:
            whole, dropped = whole.without_duplicates()
            notes.append(f"{dropped} duplicates dropped before splitting")
        parts = _split(whole, fixed, options.seed)
        for name, part in parts.items():
            if not len(part):
                raise DataError(f"{name} part: no pairs; too little data")
        notes += _shared_notes(parts)
        reader = codec or PairReader.fit(options, parts["train"])
        train, valid, test = (reader.examples(parts[name]) for name in ("train", "valid", "test"))
        notes += _unknown_notes(options, valid)
        notes += signatures([[text] for text in test.references])
        return Prepared(
            train,
            valid,
            test,
            reader,
            {name: len(part) for name, part in parts.items()},
            content_hash(*((part.sources, part.targets) for part in (whole, *fixed.values()))),
            tuple(notes),
        )

    def read(self, options: TranslateOptions, codec: PairReader, source: object) -> Fresh[Examples]:
        pairs = _read(options, source)
        return Fresh(codec.examples(pairs), len(pairs), content_hash((pairs.sources, pairs.targets)))

    def from_lines(self, text: str) -> object:
        return text.removesuffix("\n").split("\n")

    def codec(self, content: dict[str, Any]) -> PairReader:
        return PairReader.from_json(content)

    def make(self, options: TranslateOptions, codec: PairReader) -> Model:
        sizes = len(codec.source), len(codec.target)
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
            ),
        )()

    def words(self, data: Prepared[Examples, PairReader]) -> Words | None:
        vocabulary = data.codec.source
        return Words(vocabulary.tokens, data.train.sources) if vocabulary.unit == "word" else None

    def beside(self, options: TranslateOptions, baseline: str) -> TranslateOptions:
        return dataclasses.replace(options, model=baseline, vectors=None, freeze_vectors=False)

    def fit(
        self,
        model: Model,
        options: TranslateOptions,
        data: Prepared[Examples, PairReader],
        keeper: Keeper,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, (Nearest, Copy)):
            with closed_form() as timer:
                if isinstance(model, Nearest):
                    model.fit(data.train.pairs.sources, data.train.references)
            return timer.outcome()
        assert isinstance(model, Trainable)
        lengths = data.train.lengths
        course = Course(
            epoch=lambda number: Epoch(
                data.train,
                token_buckets(
                    lengths, options.batch_size, options.batch_tokens, seed=options.seed * 1_000_003 + number
                ),
            ),
            validate=lambda network: validation(_network(network), options, data.codec, data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )
        return fit(model, course, options, keeper, observer)

    def score(self, model: Model, options: TranslateOptions, codec: PairReader, split: Examples) -> Scores:
        references = [[text] for text in split.references]
        if isinstance(model, (Nearest, Copy)):
            return text_scores([text for text, _ in model.write(codec.folded(split.pairs.sources))], references)
        network = _network(model)
        found = written(network, options, codec, split.sources)
        scores = text_scores([codec.text(best[0].units) for best in found], references)
        return scores | {"perplexity": perplexity(nll(network, split))}

    def predict(self, model: Model, options: TranslateOptions, codec: PairReader, source: object) -> Iterator[Row]:
        """Write a text for each source, with the others that the beam found, and the alignment, where asked for."""
        texts = read_sources(source, source=options.source, header=options.header).sources
        if isinstance(model, (Nearest, Copy)):
            if options.alignment:
                raise UsageError(f"alignment: {options.model} has none")
            for number, (text, score) in enumerate(model.write(codec.folded(texts))):
                yield {"row": number + 1, "source": texts[number], "prediction": text, "score": score}
            return
        inputs = codec.read(texts)
        for number, found in enumerate(written(_network(model), options, codec, inputs)):
            best, *_ = found
            row = {
                "row": number + 1,
                "source": texts[number],
                "prediction": codec.text(best.units),
                "score": best.score,
            }
            if options.n_best > 1:
                row["n_best"] = [{"prediction": codec.text(one.units), "score": one.score} for one in found]
            if options.alignment:
                row["alignment"] = alignment(options, codec, inputs[number], best)
            yield row

    def flat(self, row: Row) -> Iterator[Row]:
        """Give a row for each text; of the alignment, nothing."""
        shown = {name: row[name] for name in ("row", "source")}
        for rank, found in enumerate(row.get("n_best", [row]), 1):
            texts = {"prediction": found["prediction"], "score": found["score"]}
            yield shown | ({"rank": rank} if "n_best" in row else {}) | texts

    def generate(
        self, model: Model, options: TranslateOptions, codec: PairReader, request: GenerateRequest
    ) -> Iterator[str]:
        """Answer ``request.prompt``, piece by piece, each unit drawn as the request says."""
        if isinstance(model, (Nearest, Copy)):
            return (text for text, _ in model.write(codec.folded([request.prompt])))
        if not request.prompt.strip():
            raise UsageError("prompt: empty, wanted the text to answer")
        return answer(_network(model), codec, request, limit(options, codec))


def _read(options: TranslateOptions, source: object) -> Pairs:
    return read_pairs(source, source=options.source, target=options.target, group=options.group, header=options.header)


def _split(whole: Pairs, fixed: dict[str, Pairs], seed: int) -> dict[str, Pairs]:
    """Cut what was not given from ``whole``."""
    alike = [""] * len(whole)
    if not fixed:
        train, valid, test = stratified(alike, whole.groups, seed)
        return {"train": whole.take(train), "valid": whole.take(valid), "test": whole.take(test)}
    missing = [part for part in ("valid", "test") if part not in fixed]
    if not missing:
        return {"train": whole, **fixed}
    train, held = hold_out(alike, whole.groups, seed)
    return {"train": whole.take(train), **fixed, missing[0]: whole.take(held)}


def _shared_notes(parts: dict[str, Pairs]) -> Iterator[str]:
    for name in ("valid", "test"):
        shared = count_shared(parts["train"].sources, parts[name].sources)
        if shared:
            yield f"{name}: {shared} of {len(parts[name])} sources also stand in the training part (--drop-duplicates)"


def _unknown_notes(options: TranslateOptions, valid: Examples) -> Iterator[str]:
    """Tell when a vocabulary of words knows too little of new text: some languages glue their words together."""
    for side, texts in (("source", valid.sources), ("target", valid.targets)):
        share = float(np.mean(np.concatenate(texts) == UNKNOWN))
        if options.unit == "word" and share > MANY_UNKNOWN:
            yield f"valid: {share:.0%} of the {side}s' words are unknown; --unit bpe or --unit char reads pieces"


def _network(model: Trainable | Model) -> EncoderDecoder:
    assert isinstance(model, EncoderDecoder)
    return model
