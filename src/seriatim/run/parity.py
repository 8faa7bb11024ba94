"""Compares a run with its exported model, on inputs that are made from the codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from seriatim.errors import RunError
from seriatim.runtime.model import Model as RuntimeModel
from seriatim.runtime.roll import Rolls
from seriatim.tasks.classify import LabelledSequences, probabilities
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.regress import TargetSequences, predictions
from seriatim.tasks.task import GenerateRequest, Model, Task

TOLERANCE: Final = 1e-5
"""The largest difference between run and runtime, relative to values above 1. Both compute in float32."""
LENGTHS: Final = (1, 2, 7, 40)
GREEDY = {"length": 60, "temperature": 0.0}
SAMPLED = {"length": 60, "temperature": 0.8, "seed": 7}


@dataclass(frozen=True)
class Case:
    """A fitted model with what its task needs to use it."""

    task: Task[Any, Any, Any]
    model: Model
    options: TrainOptions
    codec: Any


def compare(case: Case, exported: RuntimeModel) -> float:
    """Return the largest difference between the results of ``case`` and ``exported``.

    Raises ``RunError`` if it is above ``TOLERANCE``, or if they write other texts.
    """
    difference = COMPARISONS[case.task.name](case, exported)
    if not difference <= TOLERANCE:
        raise RunError(f"export: the runtime differs from the run by {difference:.1e}, wanted at most {TOLERANCE:g}")
    return difference


def _language(case: Case, exported: Any) -> float:
    codec = case.codec
    if isinstance(exported, Rolls):
        return _rolls(case, exported)
    texts = _texts(codec, np.random.default_rng(0))
    ours = [*exported.predict(texts)] if texts else []
    theirs = [*case.task.predict(case.model, case.options, codec, texts)] if texts else []
    for options in (GREEDY, SAMPLED):
        for prompt in ("", *texts[-1:]):
            request = GenerateRequest(prompt=prompt, **options)  # type: ignore[arg-type]
            text = "".join(case.task.generate(case.model, case.options, codec, request))
            _same_text(text, "".join(exported.generate(prompt, **options)))
    return difference(theirs, ours)


def _same_text(theirs: str, ours: str) -> None:
    if theirs != ours:
        place = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), 0)
        raise RunError(f"export: the runtime writes another text than the run, from character {place + 1} on")


def _rolls(case: Case, exported: Any) -> float:
    generator = np.random.default_rng(0)
    pieces = [(generator.random((length, case.codec.count)) < 0.2).astype(np.uint8) for length in LENGTHS]
    for options in (GREEDY, SAMPLED):
        request = GenerateRequest(**options)  # type: ignore[arg-type]
        text = "".join(case.task.generate(case.model, case.options, case.codec, request))
        _same_text(text, "".join(exported.generate(**options)))
    return difference([*case.task.predict(case.model, case.options, case.codec, pieces)], [*exported.predict(pieces)])


def _sequences(case: Case, exported: Any) -> float:
    inputs, generator = case.codec.inputs, np.random.default_rng(0)
    if inputs.vocabulary is not None:
        rows: list[Any] = _texts(inputs.vocabulary, generator)
        if inputs.subwords:
            rows.append("Xq7-unseen")
    else:
        size = len(inputs.scaler.mean)
        rows = [inputs.scaler.mean + inputs.scaler.scale * generator.normal(size=(length, size)) for length in LENGTHS]
    if inputs.sound is not None:  # a run reads sound from files only, so what follows the frames is compared
        return _frames(case, exported, [row.astype(np.float32) for row in rows])
    if not rows:
        return 0.0
    scale = float(case.codec.target.scale[0]) if case.task.name == "regress" else 1.0
    theirs = [*case.task.predict(case.model, case.options, case.codec, rows)]
    return difference(*(_in_scale(result, scale) for result in (theirs, [*exported.predict(rows)])))


def _frames(case: Case, exported: Any, frames: list[Any]) -> float:
    """Compare the results for encoded frames of sound."""
    model: Any = case.model
    zeros = np.zeros(len(frames), np.int64)
    if case.task.name == "classify":
        theirs = probabilities(model, LabelledSequences(frames, zeros))
        return float(np.abs(theirs - exported.chances(frames, [])).max())
    part = TargetSequences(frames, zeros, zeros, zeros, zeros)
    theirs = predictions(model, case.codec, part)
    return float(np.abs(theirs - exported.predictions(frames, [])).max() / case.codec.target.scale[0])


def _forecast(case: Case, exported: Any) -> float:
    codec, generator = case.codec, np.random.default_rng(0)
    first = next(iter(codec.scalers.values()))
    rows = []
    for extra in LENGTHS:
        values = first.mean + first.scale * generator.normal(size=(codec.lookback + extra, len(first.mean)))
        if case.options.missing != "error":  # type: ignore[attr-defined]
            values[generator.random(values.shape) < 0.1] = np.nan
            values[[0, -1]] = first.mean
        rows.append(values)
    theirs = [*case.task.predict(case.model, case.options, codec, rows)]
    return difference(*(_in_scale(result, float(first.scale.max())) for result in (theirs, [*exported.predict(rows)])))


def _in_scale(value: Any, scale: float) -> Any:
    """Divide the numbers of a JSON value by ``scale``, so that series of large numbers can be compared."""
    if isinstance(value, float):
        return value / max(scale, 1e-300)
    if isinstance(value, dict):
        return {key: _in_scale(item, scale) for key, item in value.items()}
    return [_in_scale(item, scale) for item in value] if isinstance(value, list) else value


def _tag(case: Case, exported: Any) -> float:
    generator = np.random.default_rng(0)
    words = [word for word in case.codec.vocabulary.tokens[1:] if word.split() == [word]]
    sentences = [
        [*generator.choice(words, length).tolist(), "Xq7-unseen"] if words else ["Xq7-unseen"] for length in LENGTHS
    ]
    return difference(
        [*case.task.predict(case.model, case.options, case.codec, sentences)], [*exported.predict(sentences)]
    )


def _translate(case: Case, exported: Any) -> float:
    texts = _texts(case.codec.source.vocabulary, np.random.default_rng(0))
    if not texts:
        return 0.0
    for options in (GREEDY, SAMPLED):
        request = GenerateRequest(prompt=texts[-1], **options)  # type: ignore[arg-type]
        text = "".join(case.task.generate(case.model, case.options, case.codec, request))
        _same_text(text, "".join(exported.generate(texts[-1], **options)))
    theirs = [*case.task.predict(case.model, case.options, case.codec, texts)]
    return difference(theirs, [*exported.predict(texts)])


def _caption(case: Case, exported: Any) -> float:
    codec, generator = case.codec, np.random.default_rng(0)
    channels = len(codec.scaler.mean)
    shapes = [(codec.side, codec.side)] * 3 if codec.side else [(length,) for length in LENGTHS]
    if codec.side:
        rows = [generator.integers(0, 256, (*shape, channels), np.uint8) for shape in shapes]
    else:
        rows = [generator.normal(size=(*shape, channels)).astype(np.float32) for shape in shapes]
    task: Any = case.task
    theirs = [*task.write(case.model, case.options, codec, rows)]
    ours = [{name: value for name, value in row.items() if name != "row"} for row in exported.predict(rows)]
    return difference(theirs, ours)


def _texts(vocabulary: Any, generator: np.random.Generator) -> list[str]:
    """Make texts of random units."""
    if len(vocabulary) < 2:
        return []
    texts = [vocabulary.decode(generator.integers(1, len(vocabulary), length)) for length in LENGTHS]
    return [text for text in texts if text.strip() and "\n" not in text]


COMPARISONS: Mapping[str, Callable[[Case, Any], float]] = {
    "language": _language,
    "classify": _sequences,
    "regress": _sequences,
    "forecast": _forecast,
    "tag": _tag,
    "translate": _translate,
    "caption": _caption,
}
"""The comparison of each task."""


def difference(theirs: Any, ours: Any) -> float:
    """Return the largest difference between the numbers of two JSON values, relative to values above 1.

    Raises ``RunError`` if anything else differs.
    """
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) / max(1.0, abs(theirs))
    if isinstance(theirs, dict) and isinstance(ours, dict) and list(theirs) == list(ours):
        return max((difference(theirs[key], ours[key]) for key in theirs), default=0.0)
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return max((difference(*pair) for pair in zip(theirs, ours, strict=True)), default=0.0)
    if theirs != ours or type(theirs) is not type(ours):
        raise RunError(f"export: the runtime gives {str(ours)[:60]}, the run {str(theirs)[:60]}")
    return 0.0
