"""Defaults of a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest

import seriatim
from seriatim.run.folder import options_to_resume
from seriatim.tasks.registry import find_task


def test_resumed_run_keeps_the_defaults_that_it_began_with(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("so it goes, so it goes. " * 40, encoding="utf-8")
    options = {"model": "mingru", "hidden": 8, "epochs": 1, "baselines": "none", "quiet": True}
    run = seriatim.train("language", text, out=str(tmp_path / "old"), residual="none", layers=1, **options)
    (run.path / "result.json").unlink()
    again = seriatim.train("language", text, out=str(tmp_path / "old"), resume=True, **options)
    assert (again.options.residual, again.options.layers) == ("none", 1)
    with pytest.raises(seriatim.UsageError, match=r"layers: got 3, but .* began with 1"):
        (run.path / "result.json").unlink()
        seriatim.train("language", text, out=str(tmp_path / "old"), resume=True, layers=3, **options)


def test_options_of_another_run_are_not_repeated(tmp_path: Path) -> None:
    assert options_to_resume(tmp_path, find_task("language")) is None
    texts = (["a", "b"] * 20, ["x", "y"] * 20)
    run = seriatim.train("classify", texts, out=str(tmp_path / "run"), epochs=1, hidden=4, quiet=True)
    assert options_to_resume(run.path, find_task("language")) is None
    stored = options_to_resume(run.path, find_task("classify"))
    assert stored is not None and stored["hidden"] == 4
    assert not stored.keys() & {"time_limit", "threads", "quiet", "out", "resume"}
