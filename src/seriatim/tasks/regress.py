"""``regress``: a number for a text, a recording or a numeric sequence, with its quantiles. Many to one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch

from seriatim.data.files import content_hash, split_lines
from seriatim.data.sequence_collection import Sequences
from seriatim.data.sound import SoundReader
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, UsageError
from seriatim.learning.plan import TrainingPlan
from seriatim.models.classifier import Bag, RecurrentClassifier
from seriatim.models.lstm_fcn import LstmFcn
from seriatim.models.naive.constant import ConstantRegression
from seriatim.models.naive.rocket import RocketRegression
from seriatim.models.naive.summary import SummaryRegression
from seriatim.models.naive.tfidf import TfidfRegression
from seriatim.models.recurrent import embedding_width
from seriatim.models.regressor import OUTPUTS, RegressionBatch, Regressor, SequenceRegressor
from seriatim.notation import QUANTILES
from seriatim.tasks.common import sequence_inputs
from seriatim.tasks.common.augmentation import sequence_epochs
from seriatim.tasks.common.baseline_time import baseline_seconds
from seriatim.tasks.common.blend import Blend, Choice, Member, choose_quantiles
from seriatim.tasks.common.epochs import scheduled_updates
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.common.sequence_inputs import Array, InputCodec
from seriatim.tasks.common.subwords import WordForms, check_subwords
from seriatim.tasks.options import REGRESS_BASELINES, RegressOptions
from seriatim.tasks.options.sequence import UNHEARD_SPEAKER_DEFAULTS
from seriatim.tasks.task import ClosedForm, NewData, PreparedData, Row, Scores, Task, WordCorpus

EPOCHS, LEAST_UPDATES = 4, 2000
"""The end of the default schedule; docs/defaults.md has the experiments."""

NaiveRegressor = ConstantRegression | TfidfRegression | SummaryRegression | RocketRegression
AnyRegressor = NaiveRegressor | SequenceRegressor


@dataclass(frozen=True)
class RegressCodec:
    """The codec of raw sequences and targets."""

    target: Standardizer
    """The scaler of the target, with one channel."""
    inputs: InputCodec

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.to_json(), "inputs": self.inputs.to_json()}


@dataclass(frozen=True)
class TargetSequences:
    """Encoded sequences and their targets."""

    inputs: Sequence[Array]
    """With ``--every-step`` these are overlapping views."""
    targets: Array
    """[N] float64 in the data's units; NaN where the target is unknown."""
    scaled: Array
    """[N] float32: the standardized targets."""
    sequences: Array
    """[N]: the index of the sequence that contains each example."""
    steps: Array
    """[N]: the number of steps of that sequence up to the example's target."""
    texts: list[str] | None = None
    """The texts as they were read; None for numbers and sound."""
    subwords: int = 0
    """The number of buckets of the words' n-grams, or 0 if words are read without them."""
    frames: Sequence[Array] = ()
    """The frames of recordings in nats, before they are scaled; nothing for texts and numbers."""

    def __len__(self) -> int:
        return len(self.inputs)

    @cached_property
    def forms(self) -> WordForms | None:
        """The n-grams of the words, or None if words are read without them."""
        return WordForms.of(self.texts or [], self.subwords) if self.subwords else None

    @property
    def lengths(self) -> Array:
        """The number of steps of each example, [N]."""
        return sequence_inputs.sequence_lengths(self.inputs)

    def batch(self, indices: Array) -> RegressionBatch:
        """Pad the sequences at ``indices`` into one batch."""
        inputs, lengths = sequence_inputs.pad_inputs([self.inputs[int(index)] for index in indices])
        subwords = None if self.forms is None else self.forms.batch(indices)
        return RegressionBatch(inputs, lengths, torch.from_numpy(self.scaled[indices]), subwords)


@final
class Regress(Task[RegressOptions, TargetSequences, RegressCodec]):
    """Regression of sequences by a recurrent, convolutional, attention or feed-forward network, bag or mean."""

    name = "regress"
    options = RegressOptions
    main_score = "rmse"
    higher_is_better = False
    baselines = REGRESS_BASELINES
    neural_baselines = ("bag",)
    slow_baselines = ("tfidf", "stats", "rocket")
    stdin_format = "csv"
    codec_files = ("vocabulary.json", "scaler.json")
    exported_columns = ("text", "sound", "channels", "id", "time", "date_format")
    exported_options = ("every_step", "lookback")

    def codec_file(self, codec: RegressCodec) -> str:
        return codec.inputs.file

    def model_defaults(self, explicit: Mapping[str, object]) -> Mapping[str, object]:
        has_speakers = explicit.get("sound") and explicit.get("group")
        return {**super().model_defaults(explicit), **(UNHEARD_SPEAKER_DEFAULTS if has_speakers else {})}

    def check(self, options: RegressOptions) -> None:
        sequence_inputs.check_sequence_options(options)
        check_subwords(options, REGRESS_BASELINES)
        if options.every_step and not (options.channels and options.id):
            raise UsageError("every_step: for --channels with --id, where each row is a step of a sequence")

    def prepare(
        self, options: RegressOptions, source: object, codec: RegressCodec | None = None
    ) -> PreparedData[TargetSequences, RegressCodec]:
        reader = sequence_inputs.sound_reader(options, codec.inputs.sound if codec else None)
        raw = read_parts(options, source, lambda path: _read(options, path, reader))
        sequence_inputs.check_form(options, raw.train)
        if codec is None:
            targets = _cap(options, np.concatenate(_targets(raw.train)))
            codec = RegressCodec(
                Standardizer.fit(targets[:, None]), InputCodec.fit(options, raw.train, reader.features)
            )
        parts = {name: _encode(codec, options, getattr(raw, name), f"{name} part") for name in PARTS}
        return PreparedData(
            **parts,
            codec=codec,
            sizes={name: len(part) for name, part in parts.items()},
            hash=raw.hash,
            notes=(
                *raw.notes,
                *sequence_inputs.text_notes(options, codec.inputs, raw.train, parts["valid"].inputs),
                *_cap_notes(options, raw.test),
            ),
        )

    def read(self, options: RegressOptions, codec: RegressCodec, source: object) -> NewData[TargetSequences]:
        sequences = _read(options, source, sequence_inputs.sound_reader(options, codec.inputs.sound))
        part = _encode(codec, options, sequences, "new data")
        return NewData(part, len(part), content_hash(sequences.content))

    def from_lines(self, text: str) -> object:
        return split_lines(text)

    def codec_from_json(self, content: dict[str, Any]) -> RegressCodec:
        return RegressCodec(Standardizer.from_json(content["target"]), InputCodec.from_json(content["inputs"]))

    def word_corpus(self, data: PreparedData[TargetSequences, RegressCodec]) -> WordCorpus | None:
        return sequence_inputs.word_corpus(data.codec.inputs, data.train.inputs)

    def make(self, options: RegressOptions, codec: RegressCodec) -> AnyRegressor:
        makers: dict[str, Callable[[], NaiveRegressor]] = {
            "mean": ConstantRegression,
            "tfidf": TfidfRegression,
            "stats": SummaryRegression,
            "rocket": RocketRegression,
        }
        if options.model in makers:
            return makers[options.model]()
        size = codec.inputs.size()
        if options.model == "bag":
            return Regressor(Bag(size, embedding_width(options), OUTPUTS))
        if options.model == "lstm_fcn":
            return Regressor(LstmFcn(options, size, OUTPUTS, pool=options.pool))
        return Regressor(
            RecurrentClassifier(options, size, OUTPUTS, pool=options.pool, word_dropout=options.word_dropout)
        )

    def plan(
        self, model: AnyRegressor, options: RegressOptions, data: PreparedData[TargetSequences, RegressCodec]
    ) -> TrainingPlan[Any] | ClosedForm:
        if not isinstance(model, SequenceRegressor):
            return ClosedForm(lambda: _fit_naive(model, options, data))
        epoch = sequence_epochs(data.train, options, data.codec.inputs)
        return TrainingPlan(
            epoch=epoch,
            validate=lambda _: _validation_scores(model, data.codec, data.valid),
            monitor="valid_rmse",
            updates=scheduled_updates(len(epoch(0)), epochs=EPOCHS, least=LEAST_UPDATES),
        )

    def baseline_options(self, options: RegressOptions, baseline: str) -> RegressOptions:
        return sequence_inputs.bag_options(options, baseline)

    def suits(self, baseline: str, data: PreparedData[TargetSequences, RegressCodec]) -> bool:
        return sequence_inputs.can_read(baseline, data.train.texts is not None)

    def choose(self, members: Mapping[str, Member], codec: RegressCodec, valid: TargetSequences) -> Choice:
        scale = float(codec.target.scale[0])
        predicted = {name: predictions(member.model, codec, valid)[:, None] / scale for name, member in members.items()}
        targets = valid.targets[:, None] / scale
        return choose_quantiles(predicted, targets, np.ones_like(targets, bool), np.array([np.nan, *QUANTILES]))

    def score(
        self, model: AnyRegressor | Blend, options: RegressOptions, codec: RegressCodec, part: TargetSequences
    ) -> Scores:
        return scores(predictions(model, codec, part), part.targets)

    def predict(
        self, model: AnyRegressor | Blend, options: RegressOptions, codec: RegressCodec, source: object
    ) -> Iterator[Row]:
        """Yield the mean and the quantiles of each sequence, or with --every-step at each step of it."""
        sequences = _read(options, source, sequence_inputs.sound_reader(options, codec.inputs.sound), need_label=False)
        unknown = [np.full(len(values) if options.every_step else 1, np.nan) for values in sequences.inputs]
        sequences = dataclasses.replace(sequences, targets=unknown)
        part = _encode(codec, options, sequences, "new data", has_targets=False)
        rows = zip(part.sequences, part.steps, predictions(model, codec, part), strict=True)
        for number, (sequence, step, values) in enumerate(rows, 1):
            row: Row = {"row": number}
            if sequences.names is not None:
                row["id"] = sequences.names[sequence]
            if options.every_step:
                row["step"] = int(step)
            quantiles = {str(level): float(value) for level, value in zip(QUANTILES, values[1:], strict=True)}
            yield row | {"prediction": float(values[0]), "quantiles": quantiles}


def predictions(model: AnyRegressor | Blend, codec: RegressCodec, part: TargetSequences) -> Array:
    """Return the mean and the quantiles of each sequence, ``[N, 1 + Q]`` float64 in the data's units."""
    if isinstance(model, Blend):
        mixed = model.mix(model.each(lambda member: predictions(member.model, codec, part)[:, None]))[:, 0]
        return np.concatenate([mixed[:, :1], np.sort(mixed[:, 1:], 1)], 1)
    if isinstance(model, ConstantRegression):
        return model.predictions(len(part))
    if isinstance(model, TfidfRegression):
        return model.predictions(part.texts or [])
    if not isinstance(model, SequenceRegressor):
        return model.predictions(part.inputs)
    return sequence_inputs.run_network(model, part.inputs, part.forms) * codec.target.scale + codec.target.mean


def scores(predicted: Array, targets: Array) -> Scores:
    """Score ``predicted`` [N, 1 + Q] against ``targets`` [N]: the mean by rmse, the median by mae."""
    error = targets[:, None] - predicted
    miss, levels = error[:, 1:], np.array(QUANTILES)
    inside = (targets >= predicted[:, 1]) & (targets <= predicted[:, -1])
    return {
        "rmse": float(np.sqrt(np.square(error[:, 0]).mean())),
        "mae": float(np.abs(error[:, 1 + QUANTILES.index(0.5)]).mean()),
        "quantile_loss": float(np.maximum(levels * miss, (levels - 1) * miss).mean()),
        "coverage": float(inside.mean()),
    }


def _read(options: RegressOptions, source: object, reader: SoundReader, need_label: bool = True) -> Sequences:
    return sequence_inputs.read(
        options,
        source,
        reader,
        need_label=need_label,
        target=options.target or "",
        every_step=options.every_step,
    )


def _encode(
    codec: RegressCodec, options: RegressOptions, sequences: Sequences, place: str, has_targets: bool = True
) -> TargetSequences:
    """Make one example of each sequence, or with --every-step of each beginning of it that has a target."""
    encoded, targets = codec.inputs.encode(sequences), _targets(sequences)
    inputs, owners, steps = [], [], []
    for index, (values, sequence_targets) in enumerate(zip(encoded, targets, strict=True)):
        is_example = ~np.isnan(sequence_targets) | (not has_targets)
        ends = np.flatnonzero(is_example) + 1 if options.every_step else [len(values)]
        for end in ends:
            start = max(0, end - options.lookback) if options.lookback else 0
            inputs.append(values[start:end])
            owners.append(index)
            steps.append(end)
    if not inputs:
        raise DataError(f"{place}: no row with a target; too little data")
    values = np.concatenate(targets)
    values = _cap(options, values[~np.isnan(values)] if has_targets else values)
    scaled = codec.target.transform(values[:, None])[:, 0].astype(np.float32)
    texts = sequence_inputs.texts_of(sequences)
    frames = sequence_inputs.frames_of(codec.inputs, sequences)
    return TargetSequences(
        inputs, values, scaled, np.array(owners), np.array(steps), texts, codec.inputs.subwords, frames
    )


def _fit_naive(
    model: NaiveRegressor, options: RegressOptions, data: PreparedData[TargetSequences, RegressCodec]
) -> str:
    """Fit a model that is not a network, within the time of a baseline. Returns the part that it allowed, in words."""
    train, valid, seconds = data.train, data.valid, baseline_seconds(options)
    if isinstance(model, ConstantRegression):
        model.fit(train.targets)
        return ""
    if isinstance(model, TfidfRegression):
        return model.fit(train.texts or [], train.targets, seconds=seconds, seed=options.seed)
    return model.fit(train.inputs, train.targets, valid.inputs, valid.targets, seconds=seconds, seed=options.seed)


def _targets(sequences: Sequences) -> list[Array]:
    assert sequences.targets is not None
    return list(sequences.targets)


def _cap(options: RegressOptions, targets: Array) -> Array:
    """Limit ``targets`` to ``--target-cap``."""
    return targets if options.target_cap is None else np.minimum(targets, options.target_cap)


def _cap_notes(options: RegressOptions, test: Sequences) -> Iterator[str]:
    """Yield a note with the number of test targets that ``--target-cap`` changes."""
    if options.target_cap is not None:
        targets = np.concatenate(_targets(test))
        targets = targets[~np.isnan(targets)]
        above = int((targets > options.target_cap).sum())
        yield f"test: {above} of {len(targets)} targets are above the cap and count as {options.target_cap:g}"


def _validation_scores(network: SequenceRegressor, codec: RegressCodec, part: TargetSequences) -> Scores:
    """Score ``network`` in units of the target's deviation."""
    result = scores(predictions(network, codec, part), part.targets)
    scale = float(codec.target.scale[0])
    return {"valid_rmse": result["rmse"] / scale, "valid_quantile_loss": result["quantile_loss"] / scale}
