"""The exports of all released versions load for ever, and give the results of then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from json_values import close
from seriatim import runtime

FOLDERS = sorted((Path(__file__).parents[1] / "golden").glob("*/*/"))


def test_there_are_golden_exports():
    assert len(FOLDERS) >= 15


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_golden_export(folder):
    expected = json.loads((folder / "expected.json").read_text())
    model = runtime.load(folder)
    close(list(model.predict(expected["inputs"])), expected["rows"])
    if "text" in expected:
        assert "".join(model.generate("to be", length=40, seed=1)) == expected["text"]
