"""The default network of ``classify``: LSTM-FCN for sequences of numbers, LSTM for texts and recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest

import seriatim
from seriatim.data.sequences import are_numbers

SMALL: dict[str, Any] = {"hidden": 4, "epochs": 1, "baselines": "none", "quiet": True, "threads": 1}
LABELS = ["a", "b"] * 20
NUMBERS = [np.full((3 + place % 4, 2), place % 2) + 0.1 * place for place in range(40)]
TEXTS = ["so it goes", "it went"] * 20


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("motion.ts", {}, True),
        (Path("motion.ts.gz"), {}, True),
        ("motion.csv", {"channels": ("x", "y")}, True),
        ("texts.csv", {"text": "x"}, False),
        ("sound.csv", {"sound": "x"}, False),
        ((NUMBERS, LABELS), {}, True),
        ((np.zeros((4, 3)), [0, 1, 0, 1]), {}, True),
        (np.zeros((4, 3, 2)), {}, True),
        ([[1.0, 2.0], [3.0, 4.0]], {}, True),
        ((TEXTS, LABELS), {}, False),
        (TEXTS, {}, False),
        ((np.array(TEXTS), LABELS), {}, False),
        ((polars.Series(TEXTS), LABELS), {}, False),
        ((pandas.Series(TEXTS, index=range(7, 47)), LABELS), {}, False),
        (polars.DataFrame({"x": [1.0]}), {"channels": ("x",)}, True),
        (polars.DataFrame({"x": ["so"]}), {"text": "x"}, False),
        (([], []), {}, False),
        (None, {}, False),
    ],
)
def test_form_of_the_data_is_known_before_they_are_read(source: Any, options: dict[str, Any], expected: bool) -> None:
    assert are_numbers(source, **options) is expected


def test_numbers_get_lstm_fcn_and_a_note(tmp_path: Path) -> None:
    run = seriatim.train("classify", (NUMBERS, LABELS), out=str(tmp_path / "run"), **SMALL)
    assert run.result["model"] == run.model == "lstm_fcn"
    (note,) = [note for note in run.notes if "lstm_fcn" in note]
    assert "--model lstm gives a network that reads streams" in note
    assert {row["label"] for row in run.predict(NUMBERS)} <= {"a", "b"}
    updated = run.update((NUMBERS, LABELS), epochs=1, quiet=True)
    assert updated["model"] == "lstm_fcn" and run.evaluate((NUMBERS, LABELS))["data"]["test"] == 40
    with pytest.raises(seriatim.UsageError, match=r"lstm_fcn read whole sequences.*train with --model lstm"):
        run.stream(use="network")


def test_texts_and_named_models_have_no_note(tmp_path: Path) -> None:
    texts = seriatim.train("classify", (TEXTS, LABELS), out=str(tmp_path / "texts"), **SMALL)
    named = seriatim.train("classify", (NUMBERS, LABELS), model="lstm", out=str(tmp_path / "named"), **SMALL)
    same = seriatim.train("classify", (NUMBERS, LABELS), model="lstm_fcn", out=str(tmp_path / "same"), **SMALL)
    assert texts.model == named.model == "lstm"
    assert not any("lstm_fcn" in note for run in (texts, named, same) for note in run.notes)
    assert named.stream(use="network").step(NUMBERS[0][0])["label"] in ("a", "b")


@pytest.mark.parametrize("model", [None, "lstm"])
def test_resumed_run_keeps_its_network(model: str | None, tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    first = seriatim.train("classify", (NUMBERS, LABELS), model=model, out=out, **SMALL)
    notes = first.notes
    (tmp_path / "run" / "result.json").unlink()
    again = seriatim.train("classify", (NUMBERS, LABELS), out=out, resume=True, **SMALL)
    assert again.model == (model or "lstm_fcn") and again.notes == notes
