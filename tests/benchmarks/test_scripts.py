"""Every benchmark runs, at its smallest size; the figures mean nothing here."""

from __future__ import annotations

import json

import pytest
import torch

from script_runner import ROOT, load_script, run_main

RUNS: dict[str, list[str]] = {
    "recurrence": [
        *("--shapes", "4,2,3,5", "--cells", "gru", "--modes", "train", "--threads", "1"),
        *("--seconds", "0.01", "--rounds", "1"),
    ],
    "growth": [
        *("--cells", "lstm", "--steps", "1", "2", "3", "4", "--rows", "2", "--threads", "1"),
        *("--seconds", "0.01"),
    ],
    "training": [
        *(
            "language",
            "classify",
            "forecast",
            "--hidden",
            "8",
            "--vocabulary",
            "20",
            "--updates",
            "2",
            "--threads",
            "1",
        ),
        *("--seconds", "0.01", "--rounds", "1"),
    ],
    "ranks": ["--models", "small", "--rounds", "1", "--updates", "1", "--steps", "3", "--batch", "4"],
    "variants": ["--cells", "gru", "--modes", "train", "--shape", "3", "2", "4", "6", "--seconds", "0.01"],
    "load": ["--sessions", "1", "60", "--hidden", "8", "--seconds", "0.3"],
    "faults": ["--faults", "2", "--clients", "2", "--hidden", "8"],
    "step": ["--cells", "gru", "rnn", "--sizes", "8", "--seconds", "0.05", "--rounds", "1"],
    "peers": [
        *("--group", "speed", "extremes", "--peers", "seriatim", "--cells", "gru", "--shapes", "3,2,4,5"),
        *("--modes", "train", "--threads", "1", "--passes", "1", "--seconds", "0.02"),
    ],
    "learners": ["--rules", "bptt", "rtrl", "--steps", "120"],
    "busy": ["--shapes", "gru:3,2,4,5", "--modes", "train", "infer", "--threads", "1", "--seconds", "0.05"],
    "clients": ["--rounds", "1"],
    "compiled": ["--cells", "gru", "--shape", "3,2,4,5", "--backend", "aot_eager", "--seconds", "0.05"],
    "costs": ["--quick"],
    "generation": ["--length", "5", "--hidden", "8", "--seconds", "0.05", "--rounds", "1"],
    "scoring": ["--sides", "loop of predict", "runtime, 1 worker", "--rows", "480"],
    "online": ["--models", "gru", "--rows", "20"],
}
"""Arguments for each script."""
PROCESSES = {"ranks", "peers", "learners", "costs", "faults", "load", "busy", "clients", "scoring"}
NEEDS = {"step": "onnxruntime"}
MARKS = {name: [pytest.mark.processes] if name in PROCESSES else [pytest.mark.slow] for name in RUNS}


def test_every_benchmark_is_run_here():
    assert set(RUNS) == {file.stem for file in (ROOT / "benchmarks").glob("[!_]*.py")}


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in RUNS])
def test_benchmark_runs(name, tmp_path, monkeypatch, capsys):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    script = load_script(monkeypatch, "benchmarks", name)
    file = tmp_path / "figures.json"
    takes_json = "--json" in (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    run_main(monkeypatch, script, *RUNS[name], *(["--json", file] if takes_json else []))
    assert capsys.readouterr().out.strip()
    if takes_json:
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        assert rows and not [row["failed"] for row in rows if "failed" in row]


@pytest.mark.slow
@pytest.mark.parametrize("group", ["scans", "slstm"])
def test_variants_of_other_groups_run(group, monkeypatch, capsys):
    script = load_script(monkeypatch, "benchmarks", "variants")
    run_main(monkeypatch, script, "--group", group, "--shape", "3", "2", "4", "6", "--seconds", "0.01")
    assert "| " in capsys.readouterr().out


@pytest.mark.compiler
def test_custom_cell_variant_runs(monkeypatch, capsys):
    script = load_script(monkeypatch, "benchmarks", "variants")
    arguments = ("--group", "own", "--modes", "infer", "--shape", "3", "2", "4", "6", "--seconds", "0.01")
    run_main(monkeypatch, script, *arguments)
    assert "compiled in" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "picture"), [("growth", "growth.png"), ("learners", "learners.png")])
def test_figures_are_drawn_again(name, picture, tmp_path, monkeypatch, capsys):
    side = {"median": 0.1, "low": 0.1, "high": 0.1}
    rows = {
        "growth": [
            {"cell": "lstm", "axis": axis, "size": size, "threads": 1, "seriatim": side, "torch": side}
            for axis in "TB" for size in (1, 2, 4, 8)
        ],
        "learners": [{"rule": "bptt", "steps": steps, "seconds": 0.1, "bytes": 5e6} for steps in (100, 1000)],
    }  # fmt: skip
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"processor": "test", "rows": rows[name]}), encoding="utf-8")
    run_main(monkeypatch, load_script(monkeypatch, "benchmarks", name), "--show", file, "--plot", tmp_path / picture)
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert "| " in capsys.readouterr().out


@pytest.mark.processes
def test_client_whose_program_fails_is_a_row_with_the_reason(tmp_path, monkeypatch, capsys):
    script = load_script(monkeypatch, "benchmarks", "clients")
    (tmp_path / "broken.py").write_text('"""A program that fails."""\n\nraise ValueError("on purpose")\n')
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    monkeypatch.setattr(script, "BUILT_IN", "broken")
    run_main(monkeypatch, script)
    assert "exit code 1: ValueError: on purpose" in capsys.readouterr().out


def test_every_client_says_what_it_is_and_needs(monkeypatch):
    script = load_script(monkeypatch, "benchmarks", "clients")
    assert script.BUILT_IN in script.NAMES
    for name in script.NAMES:
        constants = script.read_constants(script.FOLDER / f"{name}.py")
        assert constants["__doc__"] and constants["DISTRIBUTION"], name
        assert not {*constants} - {"__doc__", "DISTRIBUTION", "PACKAGES", "PIP_OPTIONS"} - {"UPDATES", "WORDS"}, name


def test_difference_of_a_client_is_seen(monkeypatch):
    side_by_side = load_script(monkeypatch, "benchmarks", "_side_by_side")

    class Client:
        """Returns other numbers if it is accelerated."""

        @staticmethod
        def prepare(change):
            changed = change(torch.nn.Linear(1, 1)) is not None
            return lambda: [2.0, 4.5 if changed else 4.0]

    row = side_by_side.compare(Client, rounds=1)
    assert row["difference"] == 0.125 and row["plain_again"] == 0.0 and row["numbers"] == 2


def test_report_replaces_a_row_of_the_same_identity(tmp_path, monkeypatch):
    report = load_script(monkeypatch, "benchmarks", "_report")
    file = tmp_path / "figures.json"
    for seconds in (1.0, 2.0):
        report.Report(("cell",), file).add({"cell": "gru", "seconds": seconds})
    report.Report(("cell",), file).add({"cell": "lstm", "seconds": 3.0})
    assert [row["seconds"] for row in report.read(file)] == [2.0, 3.0]


def test_report_marks_a_ratio_below_one(monkeypatch):
    report = load_script(monkeypatch, "benchmarks", "_report")
    assert report.ratio({"median": 0.98, "low": 0.9, "high": 1.0}).endswith("<1 !")
    assert report.ratio({"median": 1.02, "low": 1.0, "high": 1.1}) == "1.02 [1.00 1.10]"
