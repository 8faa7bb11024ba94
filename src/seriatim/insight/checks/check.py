"""The result of one check."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["ok", "warning", "fault", "unknown"]
Confidence: TypeAlias = Literal["high", "medium", "low"]


@dataclass(frozen=True)
class Check:
    """One question about a model, with its answer."""

    name: str
    status: Status
    """``unknown``: it could not be measured here."""
    value: float | None
    condition: str
    """When it would be a fault or a warning, and why at this threshold."""
    evidence: str = ""
    """The observation, in a sentence."""
    advice: str = ""
    """One flag or one action; empty where all is well."""
    confidence: Confidence = "medium"

    def to_json(self) -> dict[str, Any]:
        """The check as a JSON object; a value that is not finite is None."""
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        return {**dataclasses.asdict(self), "value": value}

    def ok(self, value: float | None, evidence: str) -> Check:
        """The check passed."""
        return dataclasses.replace(self, status="ok", value=value, evidence=evidence, advice="")

    def failed(
        self, status: Status, value: float | None, evidence: str, advice: str, confidence: Confidence = "medium"
    ) -> Check:
        """The check found something."""
        return dataclasses.replace(
            self, status=status, value=value, evidence=evidence, advice=advice, confidence=confidence
        )


def unknown(name: str, condition: str) -> Check:
    """A check that has not been answered yet."""
    return Check(name, "unknown", None, condition)
