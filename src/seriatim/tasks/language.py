"""``language``: what comes next in a text. Many to many, aligned."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from seriatim.data.documents import Documents, join, read_documents
from seriatim.data.files import content_hash
from seriatim.data.splits import split_in_order
from seriatim.data.streams import Streams
from seriatim.decoding.pieces import pieces
from seriatim.decoding.sampling import sample
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.learners import make_learner
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.learning.options import truncation_of
from seriatim.models.contract import Batch, Trainable
from seriatim.models.language import NeuralLanguageModel, RecurrentLanguageModel
from seriatim.models.naive.markov import Markov
from seriatim.models.options import CELLS, check_causal, is_recurrent, is_streaming, layer_width
from seriatim.models.recurrent import embedding_width
from seriatim.models.window import ConcatenatedWindow, ContinuousBag
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.next_units import log_probabilities, unit_stepper
from seriatim.tasks.common.passes import StreamPass, document_pass
from seriatim.tasks.options import LANGUAGE_BASELINES, LanguageOptions
from seriatim.tasks.roll import RollLanguage
from seriatim.tasks.task import Fresh, GenerateRequest, Model, Prepared, Row, Scores, Task, Words

Array = np.ndarray[Any, Any]

PARTS = ("valid", "test")
FORWARD = ("rtrl", "snap1", "uoro")
"""Learners that carry what the weights do to the state."""
NO_LOSS_UNITS = ("char", "bpe")
"""Units whose sequence gives the text back exactly, so that bits per character are defined."""


@dataclass(frozen=True)
class Text:
    """A text as one stream of units."""

    tokens: Array
    """[N] int32."""
    characters: int
    starts: Array
    """[D] int64: where each document starts, in units."""


@final
class Language(Task[LanguageOptions, Text, Vocabulary]):
    """Language models: recurrent, fixed window, n-gram."""

    name = "language"
    options = LanguageOptions
    main_score = "perplexity"
    higher_is_better = False
    baselines = LANGUAGE_BASELINES
    neural_baselines = ("cbow", "window")
    piped_format = "txt"
    codec_files = ("vocabulary.json",)
    writing = "continues"

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
        if options.learner in FORWARD and not is_recurrent(options.model):
            raise UsageError(f"learner: {options.learner} is for {', '.join(CELLS)}, not {options.model}")
        if options.tie and not is_streaming(options.model):
            raise UsageError(f"tie: for networks, not {options.model}")
        if options.tie and options.embedding not in (None, layer_width(options)):
            said = "--projection" if options.projection else "--hidden"
            raise UsageError(
                f"embedding: got {options.embedding}, but --tie wants it as wide as {said} ({layer_width(options)})"
            )

    def prepare(
        self, options: LanguageOptions, source: object, codec: Vocabulary | None = None
    ) -> Prepared[Text, Vocabulary]:
        texts = read_documents(source)
        given = {
            part: read_documents(path) for part, path in (("valid", options.valid), ("test", options.test)) if path
        }
        whole, valid, test = (join(some, options.documents) for some in (texts, *map(given.get, PARTS, ([], []))))
        train, valid, test = _split(whole, valid, test, by_character=options.unit == "char")
        codec = codec or Vocabulary.fit([train.text], options.unit, options.vocab_size, lines=True)
        parts = {name: _encode(codec, text) for name, text in (("train", train), ("valid", valid), ("test", test))}
        for name, part in parts.items():
            if len(part.tokens) < 2:
                raise DataError(
                    f"{name} part: {len(part.tokens)} {options.unit} units, wanted at least 2: too little text"
                )
        notes = tuple(note for name in PARTS for note in _unknown(name, parts[name]))
        return Prepared(
            parts["train"],
            parts["valid"],
            parts["test"],
            codec,
            {name: len(part.tokens) for name, part in parts.items()},
            content_hash(texts, *given.values()),
            notes,
        )

    def read(self, options: LanguageOptions, codec: Vocabulary, source: object) -> Fresh[Text]:
        documents = read_documents(source)
        text = _encode(codec, join(documents, options.documents))
        if not len(text.tokens):
            raise DataError(f"data: no {options.unit} units to score")
        return Fresh(text, len(text.tokens), content_hash(documents), tuple(_unknown("data", text)))

    def from_lines(self, text: str) -> object:
        return [text]

    def codec(self, content: dict[str, Any]) -> Vocabulary:
        return Vocabulary.from_json(content)

    def make(self, options: LanguageOptions, codec: Vocabulary) -> Model:
        size = len(codec)
        width = embedding_width(options)
        makers: dict[str, Callable[[], Model]] = {
            "unigram": Markov,
            "markov": Markov,
            "cbow": lambda: ContinuousBag(size, options.context, width),
            "window": lambda: ConcatenatedWindow(size, options.context, width, options.hidden),
        }
        return makers.get(options.model, lambda: RecurrentLanguageModel(options, size, tie=options.tie))()

    def words(self, data: Prepared[Text, Vocabulary]) -> Words | None:
        return Words(data.codec.tokens, [data.train.tokens]) if data.codec.unit == "word" else None

    def fit(
        self,
        model: Model,
        options: LanguageOptions,
        data: Prepared[Text, Vocabulary],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, Markov):
            order = 0 if options.model == "unigram" else options.order
            train, valid, size = data.train.tokens, data.valid.tokens, len(data.codec)
            with closed_form() as timer:
                fitted = Markov.choose_order(train, valid, size) if order is None else Markov.fit(train, size, order)
                model.load_state_dict(fitted.state_dict())
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=_passes(options, data.train),
            validate=lambda network: _validation(network, data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )
        return fit(model, course, options, keeper, observer)

    def replayed(self, new: Text, old: Text, share: float, seed: int) -> Text:
        count = min(round(share * len(new.tokens)), len(old.tokens))
        start = int(np.random.default_rng(seed).integers(len(old.tokens) - count + 1))
        tokens = np.concatenate([old.tokens[start : start + count], new.tokens])
        return Text(tokens, new.characters, np.concatenate([np.zeros(min(count, 1), np.int64), new.starts + count]))

    def beside(self, options: LanguageOptions, baseline: str) -> LanguageOptions:
        # As many epochs as these small networks need to settle; a fixed number, so that equal runs are equal.
        return dataclasses.replace(
            options,
            model=baseline,
            hidden=128,
            embedding=64,
            layers=1,
            epochs=3,
            time_limit=60.0,
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

    def score(self, model: Model, options: LanguageOptions, codec: Vocabulary, split: Text) -> Scores:
        losses = -log_probabilities(model, split.tokens, split.starts)
        scores = {"perplexity": _perplexity(float(losses.mean())), "nll": float(losses.mean())}
        if options.unit in NO_LOSS_UNITS:
            scores["bits_per_character"] = float(losses.sum()) / split.characters / math.log(2)
        return scores

    def predict(self, model: Model, options: LanguageOptions, codec: Vocabulary, source: object) -> Iterator[Row]:
        """Give the joint log-probability of each line, taken on its own."""
        number = 0
        for document in read_documents(source):
            for line in document.splitlines():
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
        self, model: Model, options: LanguageOptions, codec: Vocabulary, request: GenerateRequest
    ) -> Iterator[str]:
        prompt = codec.encode(request.prompt) if request.prompt else np.zeros(0, np.int32)
        stepper = unit_stepper(model)
        last, state = stepper.read(prompt)

        def known(unit: int, state: Any) -> tuple[Array, Any]:
            log_chances, state = stepper.step(unit, state)
            log_chances[UNKNOWN] = -np.inf  # <unk> says nothing
            return log_chances, state

        units = sample(
            known,
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


def _passes(options: LanguageOptions, text: Text) -> Callable[[int], Sequence[Batch]]:
    """Tell the batches of a pass, by its number."""
    tokens, rows = text.tokens, min(options.batch_size, len(text.tokens))
    segment = make_learner(options).segment
    if segment is None:
        return lambda number: document_pass(tokens, text.starts, rows, options.seed, number)
    steps = min(segment.new, len(tokens) // rows)
    streams = Streams(tokens, rows, steps, overlap=segment.overlap, starts=text.starts)
    return lambda number: StreamPass(streams, options.restart, options.seed, number)


def _split(
    whole: Documents, valid: Documents, test: Documents, *, by_character: bool
) -> tuple[Documents, Documents, Documents]:
    """Cut what was not given from the text, in order: 80 / 10 / 10, or 90 / 10 where one part was given."""
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
    """Move a cut to the end of the word that it would go through."""
    space = re.compile(r"\s").search(text, max(position - 1, 0))
    return space.end() if space else len(text)


def _encode(codec: Vocabulary, documents: Documents) -> Text:
    pieces = [units for units in map(codec.encode, documents.split_texts()) if len(units)]
    starts = np.cumsum([0, *map(len, pieces[:-1])], dtype=np.int64) if pieces else np.zeros(0, np.int64)
    return Text(np.concatenate([np.zeros(0, np.int32), *pieces]), len(documents.text), starts)


def _unknown(name: str, text: Text) -> Iterator[str]:
    """Tell which share of a text is unknown: <unk> is one unit, and easy to predict."""
    share = float(np.mean(text.tokens == UNKNOWN))
    if share:
        vocabulary = "not in the vocabulary of the training part and count as <unk>, which flatters the scores"
        yield f"{name}: {share:.1%} of the units are {vocabulary}"


def _perplexity(nll: float) -> float:
    return math.exp(min(nll, 700.0))


def _validation(network: Trainable[Any], text: Text) -> Scores:
    assert isinstance(network, NeuralLanguageModel)
    nll = -float(log_probabilities(network, text.tokens, text.starts).mean())
    return {"valid_nll": nll, "valid_perplexity": _perplexity(nll)}
