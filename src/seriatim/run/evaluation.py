"""``Run.evaluate`` and ``Run.inspect``: measures of a run on its own test part, or on new data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seriatim.learning.observer import Observer
from seriatim.models.ensemble import networks_of
from seriatim.run.blending import blend_scores
from seriatim.run.inspection.inspect import inspect_source, read_rows
from seriatim.run.inspection.source import Source
from seriatim.run.networks import member_scores, with_scores
from seriatim.run.opened import Opened, Result, torch_settings
from seriatim.storage import write_bytes
from seriatim.tasks.options import TrainOptions
from seriatim.tasks.options.blending import NETWORK


@dataclass(frozen=True)
class MeasuredData:
    """The encoded data that a run is measured on."""

    train: Any
    """The training part; new data are not split, so it is then the test part itself."""
    test: Any
    description: dict[str, Any]
    """The key ``data`` of a result: the sizes of the parts, and the hash."""


def evaluate(run: Opened, options: TrainOptions, data: object | None, use: str | None, observer: Observer) -> Result:
    """Score the models of ``run`` with ``options`` on ``data``, or on its test part; see ``Run.evaluate``."""
    with torch_settings(run.options):
        measured = _read(run, data, observer)
        changed: Result = {
            "data": measured.description,
            "scores": run.score(measured.test, options),
            "baselines": run.baseline_scores(measured.test, options),
        }
        if "ensemble" in run.result:
            scores = member_scores(run.task, run.network, options, run.codec, measured.test)
            changed["ensemble"] = with_scores(run.result["ensemble"], scores)
        if "blend" in run.result:
            changed["blend"] = blend_scores(run, measured.test)
        if use is not None:
            run.member_in_use(use)
            changed["best"] = run.options.model if use == NETWORK else use
    return run.result | changed


def inspect(run: Opened, data: object | None, observer: Observer) -> Result:
    """Measure the memory of ``run`` on ``data``, or on its own data, and write the report; see ``Run.inspect``."""
    with torch_settings(run.options):
        measured = _read(run, data, observer)
        network, *others = networks_of(run.network)
        result, part = run.result, ""
        if others:
            part = f", network 1 of {1 + len(others)}"
            result = {**result, "scores": result["ensemble"][0]["scores"]}
            observer.note(f"inspect: all measures and scores are those of the first of {1 + len(others)} networks")
        inspection = inspect_source(
            str(run.path),
            run.task.name,
            Source(run.options, run.codec, network, measured.train, measured.test),
            read_rows(run.path / "metrics.jsonl"),
            result,
            run.task.main_score,
            run.task.higher_is_better,
            part,
        )
    write_bytes(run.path / "report.html", inspection.page().encode())
    return inspection.to_json()


def _read(run: Opened, data: object | None, observer: Observer) -> MeasuredData:
    """Read ``data`` as a whole, or the training data again if it is None."""
    if data is None:
        prepared = run.prepare_again()
        return MeasuredData(prepared.train, prepared.test, {**prepared.sizes, "hash": prepared.hash})
    new = run.task.read(run.options, run.codec, data)
    for note in new.notes:
        observer.note(note)
    return MeasuredData(new.part, new.part, {"train": 0, "valid": 0, "test": new.size, "hash": new.hash})
