"""A run as a notebook shows it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import seriatim

TEXTS = (["the sun <is> warm", "the sea is cold"] * 30, ["warm", "cold"] * 30)


def test_scores_and_curves(tmp_path: Path) -> None:
    options = {"hidden": 4, "epochs": 4, "batch_size": 1, "baselines": "fast", "quiet": True}
    run = seriatim.train("classify", TEXTS, out=tmp_path / "<run>", **options)
    page = ElementTree.fromstring(run._repr_html_())
    cells = [cell.text or "" for cell in page.iter("td")]
    assert f"{run.result['baselines']['majority']['macro_f1']:.4g}" in cells
    header = [cell.text for cell in page.iter("th")]
    assert header == ["model", "macro_f1", "accuracy"]
    assert [line.get("class") for line in page.iter("polyline")] == ["line c0", "line c1"]
    assert "<run>" in "".join(page.itertext()) and run.verdict() in "".join(page.itertext())


def test_unfinished_run(tmp_path: Path) -> None:
    run = seriatim.train("classify", TEXTS, model="majority", out=tmp_path / "run", quiet=True, baselines="none")
    (run.path / "result.json").unlink()
    page = seriatim.load(run.path)._repr_html_()
    assert "this run is not finished" in page and "<svg" not in page and "<table" not in page
