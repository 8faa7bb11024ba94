"""Searches: trials as runs, pruning, killed and parallel processes, limits, the best run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest

import seriatim
from seriatim.errors import DataError, RunError, UsageError
from seriatim.learning.observer import Silent
from seriatim.tune import trial as trials_file
from seriatim.tune.results import Search

DATA = (["the sun is warm", "the sea is cold", "the fire is warm", "the ice is cold"] * 15, ["w", "c", "w", "c"] * 15)
FIXED: Any = {"model": "gru", "epochs": 1, "batch_size": 1, "baselines": "fast", "quiet": True}
"""48 updates and a validation. With four epochs there are two validations."""
SPACE = {"hidden": "2..8", "lr": "1e-3..1e-1:log"}


def search(out: Path, space: Mapping[str, object] = SPACE, **options: Any) -> Search:
    return seriatim.tune.search("classify", DATA, space, out=out, **{**FIXED, **options})


class Recorder(Silent):
    """An observer that records the notes and the updates."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[int] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        self.steps.append(step)


def test_best_trial_is_an_ordinary_run_with_baselines(tmp_path: Path) -> None:
    result = search(tmp_path / "s", trials=4)
    assert [trial["state"] for trial in result.trials].count("complete") >= 1 and len(result.trials) == 4
    assert result.best is not None and result.best["trial"] != 0, "another trial than the first must be the best"
    assert result.score == "valid_nll" and result.run is not None and result.best is not None
    rows = [json.loads(line) for line in (result.run.path / "metrics.jsonl").read_text().splitlines()]
    assert min(row["valid_nll"] for row in rows) == result.best["value"] == min(t["value"] for t in result.trials)
    loaded = seriatim.load(tmp_path / "s" / "best")
    assert set(loaded.result["baselines"]) == {"majority"} and "blend" in loaded.result
    assert loaded.options.hidden == result.best["params"]["hidden"]
    best_trial = seriatim.load(result.best["run"])
    assert (loaded.path / "model.safetensors").read_bytes() == (best_trial.path / "model.safetensors").read_bytes()
    assert loaded.result["scores"] == best_trial.result["scores"]
    assert [row["row"] for row in loaded.predict(["the sun"])] == [1]


def test_same_search_goes_on_and_same_seed_repeats_it(tmp_path: Path) -> None:
    first = search(tmp_path / "a", trials=2)
    again = search(tmp_path / "a", trials=2)
    assert again.trials == first.trials
    more = search(tmp_path / "a", trials=4)
    assert list(more.trials[:2]) == list(first.trials) and len(more.trials) == 4
    whole = search(tmp_path / "b", trials=4)
    other = search(tmp_path / "c", trials=4, seed=1)
    assert params_of(whole) == params_of(more) != params_of(other)


def params_of(result: Search) -> list[Any]:
    return [trial["params"] for trial in result.trials]


def test_default_folder_is_the_same_for_the_same_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {
        seriatim.tune.search("classify", DATA, space, trials=1, **FIXED).folder
        for space in ({"hidden": "2..3"}, {"hidden": "2..3"}, {"hidden": "2..4"})
    }
    assert len(folders) == 2 and all(folder.name.startswith("tune-classify-") for folder in folders)


def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    search(tmp_path / "s", trials=1)
    with pytest.raises(UsageError, match=r"has a search with other settings \(space: "):
        search(tmp_path / "s", {"hidden": "2..9"}, trials=1)
    with pytest.raises(UsageError, match=r"other settings \(options: "):
        search(tmp_path / "s", trials=1, dropout=0.1)


def test_worse_trial_is_cut_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.5, 0.4] * 5 + [9.0, 9.0])
    monkeypatch.setattr(trials_file, "monitored", lambda row: ("valid_nll", next(values)))
    monkeypatch.setattr(trials_file, "best_value", lambda folder: 0.4)
    result = search(tmp_path / "s", trials=6, epochs=4)
    assert [trial["state"] for trial in result.trials] == ["complete"] * 5 + ["pruned"]
    assert len((Path(result.trials[5]["run"]) / "metrics.jsonl").read_text().splitlines()) == 1


def test_no_prune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([0.5, 0.4] * 5 + [9.0, 9.0])
    monkeypatch.setattr(trials_file, "monitored", lambda row: ("valid_nll", next(values)))
    monkeypatch.setattr(trials_file, "best_value", lambda folder: 0.4)
    assert {trial["state"] for trial in search(tmp_path / "s", trials=6, epochs=4, prune=False).trials} == {"complete"}


def test_failed_trials_do_not_end_the_search(tmp_path: Path) -> None:
    """``--reset-gate`` is for the GRU alone, and one value of the space is not its default."""
    space = {"model": "lstm,gru,rnn", "reset_gate": "before,after"}
    result = search(tmp_path / "s", space, trials=8, prune=False, model=None)
    failed = [trial for trial in result.trials if trial["state"] == "failed"]
    assert failed and all("reset_gate" in trial["error"] for trial in failed)
    assert result.run is not None and len(result.trials) == 8


def test_first_trial_with_wrong_options_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no validation rows to compare"):
        search(tmp_path / "s", {"model": "majority"}, trials=1, model=None)
    with pytest.raises(DataError):
        seriatim.tune.search("classify", tmp_path / "none.csv", SPACE, out=tmp_path / "t", quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 8}, "hidden: is tried, so it cannot be fixed too"),
        ({"resume": True}, "a search always goes on"),
        ({"trials": 0}, "trials: got 0"),
        ({"time_limit": "soon"}, "time_limit: got 'soon'"),
        ({"lerning_rate": 1}, "no option 'lerning_rate'"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        search(tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_time_limit_leaves_a_trial_to_go_on_with(tmp_path: Path) -> None:
    recorder = Recorder()
    result = search(tmp_path / "s", trials=1, time_limit=1e-9, epochs=4, observer=recorder)
    assert result.trials == [] and result.run is None
    result = search(tmp_path / "s", trials=1, time_limit=0.05, epochs=4, observer=recorder)
    if result.trials[0]["state"] == "unfinished":  # a fast machine may be through
        assert result.run is None and "goes on when the search is started again" in recorder.notes[-1]
    result = search(tmp_path / "s", trials=1, epochs=4)
    assert [trial["state"] for trial in result.trials] == ["complete"] and result.run is not None


PROGRAM = """
import sys, seriatim
seriatim.tune.search("classify", {data!r}, {space!r}, out=sys.argv[1], trials=int(sys.argv[2]), **{options!r})
"""


def start(out: Path, trials: int, **options: Any) -> subprocess.Popen[bytes]:
    program = PROGRAM.format(data=DATA, space=SPACE, options={**FIXED, **options})
    return subprocess.Popen([sys.executable, "-c", program, str(out), str(trials)])


@pytest.mark.processes
def test_killed_trial_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    options = {"epochs": 40}
    process = start(tmp_path / "s", 1, **options)
    checkpoint = tmp_path / "s" / "trials" / "0000" / "checkpoint" / "state.safetensors"
    deadline = time.monotonic() + 100
    while not checkpoint.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    study = optuna.load_study(study_name="s", storage=journal(tmp_path / "s"))
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.RUNNING]
    recorder = Recorder()
    result = search(tmp_path / "s", trials=1, observer=recorder, **options)
    assert [trial["state"] for trial in result.trials] == ["complete"]
    assert recorder.notes[0].startswith("trial 0 goes on: hidden ") and recorder.steps[0] > 1
    fixed = {**FIXED, **options, **result.trials[0]["params"], "baselines": "none"}
    whole = seriatim.train("classify", DATA, out=tmp_path / "whole", **fixed)
    trained = Path(result.trials[0]["run"])
    assert (trained / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


@pytest.mark.processes
def test_two_processes_share_the_trials(tmp_path: Path) -> None:
    processes = [start(tmp_path / "s", 4), start(tmp_path / "s", 4)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    result = search(tmp_path / "s", trials=4)
    assert len(result.trials) == 4 and {trial["state"] for trial in result.trials} <= {"complete", "pruned"}
    assert len({json.dumps(trial["params"]) for trial in result.trials}) == 4
    assert (tmp_path / "s" / "best" / "result.json").exists()


def journal(folder: Path) -> Any:
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / "study.journal")))


def test_database_as_storage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    result = search(tmp_path / "s", trials=2, storage=url)
    assert len(result.trials) == 2 and not (tmp_path / "s" / "study.journal").exists()
    assert len(optuna.load_study(study_name="s", storage=url).trials) == 2


def test_error_of_a_database_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="storage: 'nosuch://host/studies' cannot be opened") as caught:
        search(tmp_path / "s", trials=1, storage="nosuch://me:secret@host/studies")
    assert "secret" not in str(caught.value)


def test_table_and_plot(tmp_path: Path) -> None:
    result = search(tmp_path / "s", {**SPACE, "model": "gru,rnn", "bidirectional": "true,false"}, trials=2, model=None)
    lines = (result.folder / "trials.csv").read_text().splitlines()
    assert lines[0] == "trial,state,valid_nll,hidden,lr,model,bidirectional,seconds,run,error" and len(lines) == 3
    assert (result.folder / "trials.svg").read_text().startswith("<?xml")
    assert json.loads(json.dumps(result.to_json()))["best"]["trial"] == result.best["trial"]  # type: ignore[index]
