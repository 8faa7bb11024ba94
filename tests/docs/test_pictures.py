"""The scripts that draw the pictures of docs/ run."""

from __future__ import annotations

import pytest

import seriatim
from script_runner import load_script


def test_engine_is_drawn(tmp_path, monkeypatch):
    load_script(monkeypatch, "docs", "engine").main(tmp_path / "engine.png")
    assert (tmp_path / "engine.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_sunspots_are_drawn(tmp_path, monkeypatch):
    train = seriatim.train
    monkeypatch.setattr(seriatim, "train", lambda *data, **options: train(*data, quiet=True, epochs=1, **options))
    load_script(monkeypatch, "docs", "sunspots").main(tmp_path / "sunspots.png")
    assert (tmp_path / "sunspots.png").read_bytes().startswith(b"\x89PNG")
