"""The protocol of experiment loggers, and the functions that they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seriatim.storage import read_json, write_json

IDS = "logger.json"
"""A file of the run folder: the identity of the run in each logger, so that a resumed training continues there."""


class Logger(ABC):
    """A program that records trainings. The calls are ``begin``, ``row`` for each validation, and ``end``."""

    @abstractmethod
    def begin(self, folder: Path, settings: Mapping[str, object]) -> None:
        """A training in the run ``folder`` starts or is resumed; ``settings`` are its task and its options."""

    @abstractmethod
    def row(self, row: Mapping[str, float]) -> None:
        """A validation is done; ``row`` is its row in ``metrics.jsonl``."""

    @abstractmethod
    def end(self, result: Mapping[str, Any] | None) -> None:
        """The training is over. ``result`` is the content of ``result.json``, or None after an error."""


def test_scores(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores on the test part under one name each: ``test_accuracy``, ``test_accuracy_majority`` …"""
    scores = {f"test_{name}": float(score) for name, score in result["scores"].items()}
    others = {**result["baselines"], **({"blend": result["blend"]["scores"]} if result.get("blend") else {})}
    for model, values in others.items():
        scores |= {f"test_{name}_{model}": float(score) for name, score in values.items()}
    return scores


def numbers(row: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers of a row except its step."""
    return {name: float(value) for name, value in row.items() if name != "step" and isinstance(value, (int, float))}


def stored_id(folder: Path, logger: str) -> str | None:
    """Return the identity that ``store_id`` stored for this run, or None."""
    file = folder / IDS
    ids: dict[str, str] = read_json(file) if file.exists() else {}
    return ids.get(logger)


def store_id(folder: Path, logger: str, id: str) -> None:
    """Store the identity that ``logger`` gave the run."""
    file = folder / IDS
    ids = read_json(file) if file.exists() else {}
    write_json(file, {**ids, logger: id})
