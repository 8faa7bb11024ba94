"""Defaults of a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest

import seriatim
from seriatim.run.folder import defaults_to_resume


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


def test_defaults_that_an_older_version_did_not_store_are_left_out(tmp_path: Path) -> None:
    defaults = {"residual": "block", "layers": 2}
    assert defaults_to_resume(tmp_path, defaults) == defaults
    run = seriatim.train(
        "classify", (["a", "b"] * 20, ["x", "y"] * 20), out=str(tmp_path / "run"), epochs=1, hidden=4, quiet=True
    )
    later = {**defaults, "option_of_a_later_version": 1}
    assert defaults_to_resume(run.path, later) == {"residual": "none", "layers": 1}
