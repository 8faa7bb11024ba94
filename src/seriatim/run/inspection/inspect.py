"""Inspect a run: gather its evidence, run the checks, say the verdict, write the report."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seriatim.insight.checks.check import Check
from seriatim.insight.checks.table import run_checks
from seriatim.insight.evidence import Evidence
from seriatim.insight.network import measure
from seriatim.insight.report.page import render
from seriatim.insight.verdict import horizons, verdict
from seriatim.run.inspection import forecast, language, roll, sequences, tag, writing
from seriatim.run.inspection.source import Gathered, Source

GATHERERS: dict[str, Callable[[Source], Gathered]] = {
    "language": language.gather,
    "forecast": forecast.gather,
    "classify": sequences.gather_classes,
    "regress": sequences.gather_numbers,
    "tag": tag.gather,
    "translate": writing.gather_translator,
    "caption": writing.gather_captioner,
}
"""By the name of the task. Piano rolls have one of their own."""


@dataclass(frozen=True)
class Inspection:
    """The evidence of a run and the judgement on it."""

    run: str
    evidence: Evidence
    checks: tuple[Check, ...]
    verdict: str
    part: str
    """The inspected part of the run for the title of the page, such as ``, network 1 of 3``."""

    def to_json(self) -> dict[str, Any]:
        """The keys of ``inspect --json``."""
        return {
            "run": self.run,
            "horizons": horizons(self.evidence),
            "verdict": self.verdict,
            "checks": [check.to_json() for check in self.checks],
        }

    def page(self) -> str:
        """The report as HTML."""
        return render(f"Inspection of {Path(self.run).name}{self.part}", self.evidence, self.checks, self.verdict)


def inspect_source(
    run: str,
    task: str,
    source: Source,
    rows: Sequence[Mapping[str, float]],
    result: Mapping[str, Any],
    main_score: str,
    higher_is_better: bool,
    part: str = "",
) -> Inspection:
    """Inspect a run of ``task``; ``rows`` are its validations, ``result`` its scores."""
    is_roll = getattr(source.options, "unit", "") == "roll"
    gathered = (roll.gather if is_roll else GATHERERS[task])(source)
    evidence = Evidence(
        task=task,
        model=source.options.model,
        options=dataclasses.asdict(source.options),
        network=measure(gathered.probe) if gathered.probe else None,
        data=gathered.data,
        limit=gathered.limit,
        rows=rows,
        scores=result.get("scores", {}),
        baselines=result.get("baselines", {}),
        test_size=int(result.get("data", {}).get("test", 0)),
        samples=gathered.samples,
        calibration=gathered.calibration,
        followers=gathered.followers,
        alignments=gathered.alignments,
        breakdowns=gathered.breakdowns,
        residuals=gathered.residuals,
        features=gathered.features,
        main_score=main_score,
        higher_is_better=higher_is_better,
    )
    checks = run_checks(evidence)
    return Inspection(run, evidence, checks, verdict(evidence, checks), part)


def read_rows(file: Path) -> list[dict[str, float]]:
    """Read ``metrics.jsonl``; no rows where there is no such file."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
