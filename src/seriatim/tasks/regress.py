"""``regress``: a number for a text, a recording or a numeric sequence, with its quantiles. Many to one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch

from seriatim.data.files import content_hash
from seriatim.data.sequences import Sequences
from seriatim.data.sound import SoundReader
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.classifier import Bag, RecurrentClassifier
from seriatim.models.contract import Trainable
from seriatim.models.naive.constant import Constant
from seriatim.models.recurrent import embedding_width
from seriatim.models.regressor import OUTPUTS, RegressionBatch, Regressor
from seriatim.notation import QUANTILES
from seriatim.tasks.common import examples
from seriatim.tasks.common.epochs import epochs
from seriatim.tasks.common.examples import Array, InputReader
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.parts import PARTS, read_parts
from seriatim.tasks.options import REGRESS_BASELINES, RegressOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task, Words


@dataclass(frozen=True)
class Reader:
    """Turns raw sequences and targets into arrays."""

    target: Standardizer
    """Of one channel."""
    inputs: InputReader

    def to_json(self) -> dict[str, Any]:
        return {"target": self.target.to_json(), "inputs": self.inputs.to_json()}


@dataclass(frozen=True)
class Examples:
    """Encoded sequences and their targets."""

    inputs: list[Array]
    """Views where they overlap."""
    targets: Array
    """[N] float64 in the data's units; NaN where there is none, to predict for."""
    scaled: Array
    """[N] float32: the targets standardized."""
    owners: Array
    """[N]: the sequence that each example is a part of."""
    steps: Array
    """[N]: how many steps of it had passed."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """Steps of each sequence, [N]."""
        return examples.lengths(self.inputs)

    def batch(self, indices: Array) -> RegressionBatch:
        """Pad the sequences at ``indices`` into one batch."""
        inputs, lengths = examples.padded([self.inputs[index] for index in indices])
        return RegressionBatch(inputs, lengths, torch.from_numpy(self.scaled[indices]))


@final
class Regress(Task[RegressOptions, Examples, Reader]):
    """Regression of sequences: recurrent, convolutional, attending, feed-forward, bag, mean."""

    name = "regress"
    options = RegressOptions
    main_score = "rmse"
    higher_is_better = False
    baselines = REGRESS_BASELINES
    neural_baselines = ("bag",)
    piped_format = "csv"
    codec_files = ("vocabulary.json", "scaler.json")

    def codec_file(self, codec: Reader) -> str:
        return codec.inputs.file

    def check(self, options: RegressOptions) -> None:
        examples.check_sequences(options)
        if options.every_step and not (options.channels and options.id):
            raise UsageError("every_step: for --channels with --id, where each row is a step of a sequence")

    def prepare(
        self, options: RegressOptions, source: object, codec: Reader | None = None
    ) -> Prepared[Examples, Reader]:
        listening = examples.listener(options, codec.inputs.sound if codec else None)
        parts = read_parts(options, source, lambda one: _read(options, one, listening))
        reader = codec
        if reader is None:
            targets = _capped(options, np.concatenate(_targets(parts.train)))
            inputs = InputReader.fit(options, parts.train, listening.features)
            reader = Reader(Standardizer.fit(targets[:, None]), inputs)
        split = {name: _encode(reader, options, getattr(parts, name), name) for name in PARTS}
        return Prepared(
            **split,
            codec=reader,
            sizes={name: len(part) for name, part in split.items()},
            hash=parts.hash,
            notes=(
                *parts.notes,
                *examples.unknown(options, split["valid"].inputs),
                *_cap_notes(options, parts.test),
            ),
        )

    def read(self, options: RegressOptions, codec: Reader, source: object) -> Fresh[Examples]:
        sequences = _read(options, source, examples.listener(options, codec.inputs.sound))
        encoded = _encode(codec, options, sequences, "new")
        return Fresh(encoded, len(encoded), content_hash(sequences.content))

    def from_lines(self, text: str) -> object:
        return text.splitlines()

    def codec(self, content: dict[str, Any]) -> Reader:
        return Reader(Standardizer.from_json(content["target"]), InputReader.from_json(content["inputs"]))

    def words(self, data: Prepared[Examples, Reader]) -> Words | None:
        return examples.words(data.codec.inputs, data.train.inputs)

    def make(self, options: RegressOptions, codec: Reader) -> Model:
        if options.model == "mean":
            return Constant()
        size = codec.inputs.size()
        if options.model == "bag":
            return Regressor(Bag(size, embedding_width(options), OUTPUTS))
        return Regressor(RecurrentClassifier(options, size, OUTPUTS, pool=options.pool))

    def fit(
        self,
        model: Model,
        options: RegressOptions,
        data: Prepared[Examples, Reader],
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, Constant):
            with closed_form() as timer:
                model.fit(data.train.targets)
            return timer.outcome()
        assert isinstance(model, Trainable)
        course = TrainingPlan(
            epoch=epochs(data.train, options, batch_tokens=options.batch_tokens),
            validate=lambda network: _validation(network, data.codec, data.valid),
            monitor="valid_rmse",
        )
        return fit(model, course, options, keeper, observer)

    def beside(self, options: RegressOptions, baseline: str) -> RegressOptions:
        return examples.beside_bag(options, baseline)

    def score(self, model: Model, options: RegressOptions, codec: Reader, split: Examples) -> Scores:
        return scores(predictions(model, codec, split.inputs), split.targets)

    def predict(self, model: Model, options: RegressOptions, codec: Reader, source: object) -> Iterator[Row]:
        """Give the mean and the quantiles of each sequence; with --every-step those at each step of it."""
        sequences = _read(options, source, examples.listener(options, codec.inputs.sound), need_label=False)
        unknown = [np.full(len(one) if options.every_step else 1, np.nan) for one in sequences.inputs]
        split = _encode(codec, options, dataclasses.replace(sequences, targets=unknown), "new", known=False)
        for number, (owner, step, row) in enumerate(
            zip(split.owners, split.steps, predictions(model, codec, split.inputs), strict=True)
        ):
            named = {} if sequences.names is None else {"id": sequences.names[owner]}
            stepped = {"step": int(step)} if options.every_step else {}
            quantiles = {str(level): float(value) for level, value in zip(QUANTILES, row[1:], strict=True)}
            yield {"row": number + 1, **named, **stepped, "prediction": float(row[0]), "quantiles": quantiles}


def predictions(model: Model, codec: Reader, inputs: list[Array]) -> Array:
    """Return the mean and the quantiles of each sequence, ``[N, 1 + Q]`` float64 in the data's units."""
    if isinstance(model, Constant):
        return model.predictions(len(inputs))
    assert isinstance(model, Regressor)
    return examples.outputs(model, inputs) * codec.target.scale + codec.target.mean


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


def _read(options: RegressOptions, source: object, listening: SoundReader, need_label: bool = True) -> Sequences:
    return examples.read(
        options,
        source,
        listening,
        need_label=need_label,
        target=options.target or "",
        every_step=options.every_step,
    )


def _encode(reader: Reader, options: RegressOptions, sequences: Sequences, part: str, known: bool = True) -> Examples:
    """Make examples of sequences: of each as a whole, or with --every-step of its beginnings that have a target."""
    encoded, targets = reader.inputs.encode(sequences), _targets(sequences)
    inputs, owners, steps = [], [], []
    for owner, (values, wanted) in enumerate(zip(encoded, targets, strict=True)):
        ends = np.flatnonzero(~np.isnan(wanted) | (not known)) + 1 if options.every_step else [len(values)]
        for end in ends:
            begin = max(0, end - options.lookback) if options.lookback else 0
            inputs.append(values[begin:end])
            owners.append(owner)
            steps.append(end)
    if not inputs:
        raise DataError(f"{part} part: no row with a target; too little data")
    values = np.concatenate(targets)
    values = _capped(options, values[~np.isnan(values)] if known else values)
    scaled = reader.target.transform(values[:, None])[:, 0].astype(np.float32)
    return Examples(inputs, values, scaled, np.array(owners), np.array(steps))


def _targets(sequences: Sequences) -> list[Array]:
    assert sequences.targets is not None
    return list(sequences.targets)


def _capped(options: RegressOptions, targets: Array) -> Array:
    return targets if options.target_cap is None else np.minimum(targets, options.target_cap)


def _cap_notes(options: RegressOptions, test: Sequences) -> Iterator[str]:
    if options.target_cap is not None:
        targets = np.concatenate(_targets(test))
        targets = targets[~np.isnan(targets)]
        above = int((targets > options.target_cap).sum())
        yield f"test: {above} of {len(targets)} targets are above the cap and count as {options.target_cap:g}"


def _validation(network: Trainable[Any], codec: Reader, split: Examples) -> Scores:
    found = scores(predictions(network, codec, split.inputs), split.targets)
    scale = float(codec.target.scale[0])
    return {"valid_rmse": found["rmse"] / scale, "valid_quantile_loss": found["quantile_loss"] / scale}
