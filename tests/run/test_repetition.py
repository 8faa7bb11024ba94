"""``config=`` and ``--config``: a training that repeats another run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import seriatim
from seriatim.cli.app import run as run_command
from seriatim.errors import DataError, RunError, UsageError

TINY: Any = {"model": "gru", "hidden": 4, "epochs": 1, "baselines": "fast", "quiet": True, "seed": 3}


@pytest.fixture
def run(tmp_path: Path) -> seriatim.Run:
    file = tmp_path / "messages.csv"
    rows = "".join(f"the {thing} is {label},{label}\n" for thing, label in [("sun", "warm"), ("sea", "cold")] * 20)
    file.write_text("text,label\n" + rows)
    return seriatim.train("classify", file, text="text", label="label", out=tmp_path / "first", **TINY)


def test_config_repeats_options_and_data(run: seriatim.Run, tmp_path: Path) -> None:
    again = seriatim.train("classify", config=run.path / "config.json", out=tmp_path / "again")
    assert (again.path / "model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()
    assert again.result["scores"] == run.result["scores"] and again.options.quiet is False
    other = seriatim.train("classify", config=run.path, out=tmp_path / "other", hidden=5, quiet=True)
    assert other.options.hidden == 5 and other.options.seed == 3 and other.options.text == "text"
    new = (["a b", "c d"] * 20, ["x", "y"] * 20)
    assert seriatim.train("classify", new, config=run.path, out=tmp_path / "new", quiet=True).codec.labels.names == [
        "x",
        "y",
    ]


def test_config_on_the_command_line(run: seriatim.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = str(run.path / "config.json")
    assert run_command(["train", "--config", config, "--out", str(tmp_path / "a"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == run.result["scores"]
    assert run_command(["train", "classify", "--config", config, "--hidden", "6", "--out", str(tmp_path / "b")]) == 0
    assert seriatim.load(tmp_path / "b").options.hidden == 6
    assert run_command(["train", "regress", "--config", config]) == 2
    assert "is of the task classify, not regress" in capsys.readouterr().err
    assert run_command(["train", "--config", config, "classify"]) == 2
    assert "give the options after the task" in capsys.readouterr().err


def test_wrong_configs(run: seriatim.Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such run folder"):
        seriatim.train("classify", config=tmp_path / "none" / "config.json")
    with pytest.raises(UsageError, match=r"wanted the config\.json of a run"):
        seriatim.train("classify", config=run.path / "result.json")
    (tmp_path / "messages.csv").unlink()
    with pytest.raises(DataError, match=r"messages\.csv: the data of .* are gone"):
        seriatim.train("classify", config=run.path)


def test_config_of_data_in_memory_wants_data(tmp_path: Path) -> None:
    run = seriatim.train("classify", (["a b", "c d"] * 20, ["x", "y"] * 20), out=tmp_path / "run", **TINY)
    with pytest.raises(UsageError, match="nothing given to train on"):
        seriatim.train("classify", config=run.path, out=tmp_path / "again")
