"""The part of ``Run`` that its card, MLflow and the hub use. They cannot import ``Run``, because it imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from seriatim.tasks.options import TrainOptions


class DescribedRun(Protocol):
    """The attributes and methods of ``Run`` that a card, a logger and a model server use."""

    path: Path
    task: str
    model: str
    main_score: str
    higher_is_better: bool
    writing: str | None

    @property
    def options(self) -> TrainOptions:
        """The options of the training."""

    @property
    def result(self) -> dict[str, Any]:
        """The content of ``result.json``."""

    @property
    def codec(self) -> Any:
        """The codec of raw values and arrays."""

    def verdict(self) -> str:
        """Return the sentence that compares the model with its baselines."""

    def predict(self, data: object) -> Iterator[dict[str, Any]]:
        """Yield a row of JSON values for each row or sequence."""

    def csv_rows(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the rows of a CSV file that represent ``row``."""

    def generate(self, prompt: str = "", *, length: int = 500) -> Iterator[str]:
        """Yield text in pieces."""
