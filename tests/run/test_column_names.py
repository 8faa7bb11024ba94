"""Columns and classes may be named like the keys of a prediction; the file of predictions is complete all the same."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seriatim.run import load, train

SMALL: dict[str, Any] = {"hidden": 4, "epochs": 1, "threads": 1, "baselines": "none", "quiet": True}
CASES: dict[str, tuple[str, dict[str, Any], list[str], int]] = {
    "classify": (
        "row,label,probability,step,id,time\n"
        + "".join(f"{n // 4}.5,{n % 3},{n},{'label' if n // 4 % 2 else 'row'},{n // 4},{n}\n" for n in range(80)),
        {"channels": ("row", "label", "probability"), "label": "step", "id": "id", "time": "time"},
        ["row", "label", "probability", "probabilities_label", "probabilities_row"],
        20,
    ),
    "regress": (
        "row,prediction,quantiles,step,id\n" + "".join(f"{n // 4}.5,{n % 3},{n},{n},{n // 4}\n" for n in range(80)),
        {"channels": ("row", "quantiles"), "target": "prediction", "id": "id", "time": "step", "every_step": True},
        ["row", "id", "step", "prediction", "quantiles_0.1", "quantiles_0.5", "quantiles_0.9"],
        80,
    ),
    "translate": (
        "prediction,row\n" + "".join(f"ein Hund {n},a dog {n}\n" for n in range(40)),
        {"source": "prediction", "target": "row", "max_length": 3},
        ["row", "source", "prediction", "score"],
        40,
    ),
    "forecast": (
        "step,time,id,day\n"
        + "".join(f"{n % 7},{n % 5},{n % 3},{np.datetime64('2020-01-01') + n}\n" for n in range(60)),
        {"target": ("step", "time", "id"), "time": "day", "horizon": 2},
        ["id", "step", "time"]
        + [f"target_{name}_{level}" for name in ("step", "time", "id") for level in (0.1, 0.5, 0.9)],
        2,
    ),
}


@pytest.mark.parametrize("task", CASES)
def test_columns_named_like_keys_of_predictions(task: str, tmp_path: Path) -> None:
    text, options, header, rows = CASES[task]
    data = tmp_path / "data.csv"
    data.write_text(text)
    train(task, data, out=str(tmp_path / "run"), **SMALL, **options)
    load(tmp_path / "run").write_predictions(data, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open() as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == header
    assert len(table) == rows and all(None not in row and all(row.values()) for row in table)
