"""``language``: predicts the next unit of a text. Many to many, aligned."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from seriatim.data.documents import Documents, join, read_documents
from seriatim.data.files import content_hash, split_lines
from seriatim.data.splits import split_in_order
from seriatim.data.streams import Streams
from seriatim.decoding.pieces import pieces
from seriatim.decoding.sampling import sample
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.learning.learners import make_learner
from seriatim.learning.options import truncation_of
from seriatim.learning.plan import TrainingPlan
from seriatim.models.contract import Batch
from seriatim.models.language import NeuralLanguageModel, RecurrentLanguageModel
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.markov import Markov
from seriatim.models.options import CELLS, FORWARD_MODE, check_causal, is_recurrent, is_streaming, layer_width
from seriatim.models.recurrent import embedding_width
from seriatim.models.window import ConcatenatedWindow, ContinuousBag
from seriatim.notation import UNKNOWN
from seriatim.percent import percent
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.blend import Blend, Choice, Member, choose_linear
from seriatim.tasks.common.next_units import UnitModel, log_probabilities, unit_stepper
from seriatim.tasks.common.text_batches import StreamEpoch, document_epoch
from seriatim.tasks.options import LANGUAGE_BASELINES, LANGUAGE_DEFAULTS, LanguageOptions
from seriatim.tasks.roll import RollLanguage
from seriatim.tasks.task import (
    ClosedForm,
    GenerateRequest,
    NewData,
    PreparedData,
    Row,
    Scores,
    Task,
    WordCorpus,
    model_of,
)

Array = np.ndarray[Any, Any]

LOSSLESS_UNITS = ("char", "bpe")
"""Units from which the text can be restored exactly, so that bits per character are defined."""


@dataclass(frozen=True)
class Text:
    """An encoded text: one stream of units."""

    tokens: Array
    """[N] int32."""
    characters: int
    starts: Array
    """[D] int64: the position of the first unit of each document."""


@final
class Language(Task[LanguageOptions, Text, Vocabulary]):
    """Language models: recurrent networks, windows of fixed length, n-grams."""

    name = "language"
    options = LanguageOptions
    main_score = "perplexity"
    higher_is_better = False
    baselines = LANGUAGE_BASELINES
    neural_baselines = ("cbow", "window")
    stdin_format = "txt"
    codec_files = ("vocabulary.json",)
    writing = "continues"

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        defaults = super().model_defaults(explicit)
        is_plain = explicit.get("learner") not in FORWARD_MODE and explicit.get("reset_gate") != "before"
        if not is_plain or explicit.get("unit") == "roll":
            return defaults
        own = dict(LANGUAGE_DEFAULTS.get(str(model_of(self.options, explicit)), {}))
        if explicit.get("residual", "block") != "block":
            own.pop("convolution", None)
        return {**defaults, **own}

    def variant(self, options: LanguageOptions) -> Task[Any, Any, Any]:
        return RollLanguage() if options.unit == "roll" else self

    def check(self, options: LanguageOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a language model must not see what it predicts")
        check_causal(options)
        if options.order is not None and options.order > 8:
            raise UsageError(f"order: got {options.order}, wanted at most 8")
        if options.order is not None and options.model in ("unigram", "cbow", "window"):
            raise UsageError(f"order: for markov, not {options.model} (cbow and window take --context)")
        truncation_of(options)
        if options.learner in FORWARD_MODE and not is_recurrent(options.model):
            raise UsageError(f"learner: {options.learner} is for {', '.join(CELLS)}, not {options.model}")
        if options.tie and not is_streaming(options.model):
            raise UsageError(f"tie: for networks, not {options.model}")
        if options.softmax == "adaptive" and (options.tie or options.unit != "word" or not is_streaming(options.model)):
            raise UsageError(
                f"softmax: adaptive is for networks with --unit word and without --tie, not for {options.model} with "
                f"--unit {options.unit}{' and --tie' if options.tie else ''}"
            )
        if options.tie and options.embedding not in (None, layer_width(options)):
            width_option = "--projection" if options.projection else "--hidden"
            width = layer_width(options)
            raise UsageError(
                f"embedding: got {options.embedding}, but --tie wants it as wide as {width_option} ({width})"
            )

    def prepare(
        self, options: LanguageOptions, source: object, codec: Vocabulary | None = None
    ) -> PreparedData[Text, Vocabulary]:
        texts = read_documents(source)
        fixed = {
            name: read_documents(path) for name, path in (("valid", options.valid), ("test", options.test)) if path
        }
        whole, valid, test = (
            join(documents, options.documents) for documents in (texts, fixed.get("valid", []), fixed.get("test", []))
        )
        train, valid, test = _split(whole, valid, test, by_character=options.unit == "char")
        codec = codec or Vocabulary.fit([train.text], options.unit, options.vocab_size, lines=True)
        parts = {name: _encode(codec, text) for name, text in (("train", train), ("valid", valid), ("test", test))}
        for name, part in parts.items():
            if len(part.tokens) < 2:
                raise DataError(
                    f"{name} part: {len(part.tokens)} {options.unit} units, wanted at least 2: too little text"
                )
        notes = (note for name in ("valid", "test") for note in _unknown_notes(name, parts[name]))
        return PreparedData(
            parts["train"],
            parts["valid"],
            parts["test"],
            codec,
            {name: len(part.tokens) for name, part in parts.items()},
            content_hash(texts, *fixed.values()),
            tuple(notes),
        )

    def read(self, options: LanguageOptions, codec: Vocabulary, source: object) -> NewData[Text]:
        documents = read_documents(source)
        text = _encode(codec, join(documents, options.documents))
        if not len(text.tokens):
            raise DataError(f"data: no {options.unit} units to score")
        return NewData(text, len(text.tokens), content_hash(documents), tuple(_unknown_notes("data", text)))

    def from_lines(self, text: str) -> object:
        return [text]

    def codec_from_json(self, content: dict[str, Any]) -> Vocabulary:
        return Vocabulary.from_json(content)

    def make(self, options: LanguageOptions, codec: Vocabulary) -> UnitModel:
        size = len(codec)
        width = embedding_width(options)
        makers: dict[str, Callable[[], UnitModel]] = {
            "unigram": Markov,
            "markov": Markov,
            "cbow": lambda: ContinuousBag(size, options.context, width),
            "window": lambda: ConcatenatedWindow(size, options.context, width, options.hidden),
        }
        is_adaptive = options.softmax == "adaptive"
        return makers.get(
            options.model, lambda: RecurrentLanguageModel(options, size, tie=options.tie, adaptive=is_adaptive)
        )()

    def word_corpus(self, data: PreparedData[Text, Vocabulary]) -> WordCorpus | None:
        return WordCorpus(data.codec.tokens, [data.train.tokens]) if data.codec.unit == "word" else None

    def plan(
        self, model: UnitModel, options: LanguageOptions, data: PreparedData[Text, Vocabulary]
    ) -> TrainingPlan[Any] | ClosedForm:
        if isinstance(model, Markov):
            return ClosedForm(lambda: _fit_markov(model, options, data))
        return TrainingPlan(
            epoch=_epochs(options, data.train),
            validate=lambda _: _validation_scores(model, data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )

    def with_replay(self, new: Text, old: Text, share: float, seed: int) -> Text:
        count = min(round(share * len(new.tokens)), len(old.tokens))
        start = int(np.random.default_rng(seed).integers(len(old.tokens) - count + 1))
        tokens = np.concatenate([old.tokens[start : start + count], new.tokens])
        return Text(tokens, new.characters, np.concatenate([np.zeros(min(count, 1), np.int64), new.starts + count]))

    def baseline_options(self, options: LanguageOptions, baseline: str) -> LanguageOptions:
        # These small networks converge in three epochs. The number is fixed, so that equal runs are equal.
        return dataclasses.replace(
            options,
            model=baseline,
            hidden=128,
            embedding=64,
            layers=1,
            epochs=3,
            time_limit=baseline_seconds(options),
            learner="tbptt",
            truncation=(100,),
            tie=False,
            optimizer="adam",
            lr=3e-3,
            warmup=0,
            schedule="linear",
            dropout=0.0,
            locked_dropout=0.0,
            precision="fp32",
        )

    def choose(self, members: Mapping[str, Member], codec: Vocabulary, valid: Text) -> Choice:
        return choose_linear(
            {name: log_probabilities(member.model, valid.tokens, valid.starts) for name, member in members.items()}
        )

    def score(self, model: UnitModel | Blend, options: LanguageOptions, codec: Vocabulary, part: Text) -> Scores:
        losses = -log_probabilities(model, part.tokens, part.starts)
        scores = {"perplexity": _perplexity(float(losses.mean())), "nll": float(losses.mean())}
        if options.unit in LOSSLESS_UNITS:
            scores["bits_per_character"] = float(losses.sum()) / part.characters / math.log(2)
        return scores

    def predict(
        self, model: UnitModel | Blend, options: LanguageOptions, codec: Vocabulary, source: object
    ) -> Iterator[Row]:
        """Yield the joint log-probability of each line, read as a text of its own."""
        number = 0
        for document in read_documents(source):
            for line in split_lines(document):
                number += 1
                tokens = codec.encode(line)
                if not len(tokens):
                    continue
                joint = float(log_probabilities(model, tokens).sum())
                yield {
                    "line": number,
                    "text": line,
                    "units": len(tokens),
                    "log_probability": joint,
                    "perplexity": _perplexity(-joint / len(tokens)),
                }

    def generate(
        self, model: UnitModel | Blend, options: LanguageOptions, codec: Vocabulary, request: GenerateRequest
    ) -> Iterator[str]:
        prompt = codec.encode(request.prompt) if request.prompt else np.zeros(0, np.int32)
        stepper = unit_stepper(model)
        last, state = stepper.read(prompt)

        def step(unit: int, state: Any) -> tuple[Array, Any]:
            scores, state = stepper.scores(unit, state)
            scores[UNKNOWN] = -np.inf  # <unk> cannot be written as text
            return scores, state

        units = sample(
            step,
            state,
            last,
            request.length,
            temperature=request.temperature,
            top_k=request.top_k,
            top_p=request.top_p,
            repetition_penalty=request.repetition_penalty,
            context=prompt.tolist(),
            generator=np.random.default_rng(request.seed),
        )
        return pieces(codec.decode, units, prompt.tolist(), reach=8)


def _fit_markov(model: Markov, options: LanguageOptions, data: PreparedData[Text, Vocabulary]) -> str:
    """Count n-grams of the training part, of the given order or the best one on the validation part.

    Returns the part that the time of a baseline allowed, in words.
    """
    order = 0 if options.model == "unigram" else options.order
    train, valid, size = data.train.tokens, data.valid.tokens, len(data.codec)
    deadline = Deadline(baseline_seconds(options))
    if order is None:
        fitted = Markov.choose_order(train, valid, size, deadline=deadline)
    else:
        fitted = Markov.fit(train, size, order, deadline)
    model.load_state_dict(fitted.state_dict())
    return fitted.limited_to


def _epochs(options: LanguageOptions, text: Text) -> Callable[[int], Sequence[Batch]]:
    """Return a function that gives the batches of each epoch."""
    tokens, rows = text.tokens, min(options.batch_size, len(text.tokens))
    segment = make_learner(options).segment
    if segment is None:
        return lambda epoch: document_epoch(tokens, text.starts, rows, options.seed, epoch)
    steps = min(segment.new, len(tokens) // rows)
    streams = Streams(tokens, rows, steps, overlap=segment.overlap, starts=text.starts)
    return lambda epoch: StreamEpoch(streams, options.restart, options.seed, epoch)


def _split(
    whole: Documents, valid: Documents, test: Documents, *, by_character: bool
) -> tuple[Documents, Documents, Documents]:
    """Cut the missing parts from ``whole``, in order: 80 / 10 / 10, or 90 / 10 if ``valid`` or ``test`` has text."""
    length = len(whole.text)
    if valid.text and test.text:
        return whole, valid, test
    if test.text or valid.text:
        ends = [round(length * 0.9)]
    else:
        train, middle, _ = split_in_order(length)
        ends = [train.stop, middle.stop]
    if not by_character:
        ends = [_after_space(whole.text, end) for end in ends]
    first, last = whole.part(0, ends[0]), whole.part(ends[-1], length)
    if test.text or valid.text:
        return first, valid if valid.text else last, test if test.text else last
    return first, whole.part(*ends), last


def _after_space(text: str, position: int) -> int:
    """Move a cut from the inside of a word to its end."""
    space = re.compile(r"\s").search(text, max(position - 1, 0))
    return space.end() if space else len(text)


def _encode(codec: Vocabulary, documents: Documents) -> Text:
    texts = [units for units in map(codec.encode, documents.split_texts()) if len(units)]
    starts = np.cumsum([0, *map(len, texts[:-1])], dtype=np.int64) if texts else np.zeros(0, np.int64)
    return Text(np.concatenate([np.zeros(0, np.int32), *texts]), len(documents.text), starts)


def _unknown_notes(name: str, text: Text) -> Iterator[str]:
    """Yield a note with the share of unknown units: <unk> is a single unit and easy to predict."""
    share = float(np.mean(text.tokens == UNKNOWN))
    if share:
        vocabulary = "not in the vocabulary of the training part and count as <unk>, which flatters the scores"
        yield f"{name}: {percent(share, 1)} of the units are {vocabulary}"


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 700.0))


def _validation_scores(network: NeuralLanguageModel, text: Text) -> Scores:
    nll = -float(log_probabilities(network, text.tokens, text.starts).mean())
    return {"valid_nll": nll, "valid_perplexity": _perplexity(nll)}
