"""``seriatim export``, and ``predict`` and ``generate`` on a runtime folder."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import types

import numpy as np
import pytest

import seriatim
from seriatim.cli.app import run as run_command
from seriatim.kernels import native

REST = "\t_" * 6 + "\n"
"""The columns of CoNLL-U after the tag."""


@pytest.fixture
def command(capsys, monkeypatch):
    """A function that runs one command and returns exit code, output and errors."""

    def run(*arguments, stdin=b""):
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables, with a run of each and its runtime folder."""
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    texts = [('the sun is "warm"', "w"), ("the sea, cold", "c")] * 20
    rows = "".join('"{}",{}\n'.format(text.replace('"', '""'), label) for text, label in texts)
    (folder / "texts.csv").write_text("text,label\n" + rows)
    stamps = [f"2026-01-{day:02d}T{hour:02d}:00" for day in range(1, 5) for hour in range(24)]
    (folder / "series.csv").write_text("day,close\n" + "".join(f"{stamp},{random.normal():.3f}\n" for stamp in stamps))
    steps = [(unit, step) for step in range(6) for unit in range(14)]  # interleaved
    (folder / "steps.csv").write_text(
        "unit,step,a,life\n" + "".join(f"u{unit},{step},{random.normal():.4f},{unit}\n" for unit, step in steps)
    )
    (folder / "tags.conllu").write_text(
        "".join(
            f"# text\n1\tThe\t_\tDET\t_\t_\t_\t_\t_\t_\n2\t{noun}\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\n"
            for noun in "abcdefgh" * 4
        )
    )
    options = {
        "texts.csv": ("classify", {"text": "text", "label": "label"}),
        "series.csv": ("forecast", {"target": ("close",), "time": "day", "horizon": 3}),
        "steps.csv": ("regress", {"channels": ("a",), "id": "unit", "time": "step", "target": "life"}),
        "tags.conllu": ("tag", {}),
    }
    for name, (task, settings) in options.items():
        run = seriatim.train(
            task, folder / name, hidden=8, epochs=1, out=str(folder / f"run-{name}"), quiet=True, baselines="none",
            **settings,
        )  # fmt: skip
        run.export(folder / f"exported-{name}")
    return folder


def rounded(value):
    """The value with numbers of four digits, which run and runtime share."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


@pytest.mark.parametrize("name", ["texts.csv", "series.csv", "steps.csv", "tags.conllu"])
def test_predictions_of_a_file_equal_those_of_the_run(tables, command, name):
    code, ours, _ = command("predict", tables / f"exported-{name}", tables / name)
    assert code == 0
    _, theirs, _ = command("predict", tables / f"run-{name}", tables / name)
    assert rounded([*map(json.loads, ours.splitlines())]) == rounded([*map(json.loads, theirs.splitlines())])


@pytest.mark.parametrize("name", ["texts.csv", "series.csv", "tags.conllu"])
def test_output_file_has_the_columns_of_the_run(tables, command, tmp_path, name):
    for kind in ("run", "exported"):
        assert command("predict", tables / f"{kind}-{name}", tables / name, "-o", tmp_path / f"{kind}.csv")[0] == 0
    ours, theirs = ((tmp_path / f"{kind}.csv").read_text().splitlines() for kind in ("exported", "run"))
    assert ours[0] == theirs[0] and len(ours) == len(theirs)


def test_standard_input(tables, command):
    code, out, _ = command("predict", tables / "exported-texts.csv", "-", "--format", "txt", stdin=b"the sun\n\nsea\n")
    assert code == 0 and [json.loads(line)["row"] for line in out.splitlines()] == [1, 2]
    code, out, _ = command("predict", tables / "exported-texts.csv", "-", "--json", stdin=b"text\nthe sun\n")
    assert code == 0 and len(json.loads(out)["predictions"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("texts.csv", b"", "no rows"),
        ("texts.csv", b"txet\nthe sun\n", "no column 'text' (did you mean 'txet'?)"),
        ("texts.csv", b"text,label\nthe sun\n", "row 2: 1 values, wanted 2"),
        ("texts.csv", b"text\n\xff\n", "not UTF-8"),
        ("steps.csv", b"unit,step,a\nu,1,x\n", "row 1: column 'a' has 'x', wanted a number"),
        ("steps.csv", b"unit,step,a\nu,soon,1\n", "column 'step': row 1: 'soon' is not a number or a date"),
        ("steps.csv", b"unit,step,a\nu,1,\n", "holds a number that is not finite"),
        ("series.csv", b"day,close\n2026-01-01,1\n", "1 rows, wanted at least the lookback"),
    ],
)
def test_bad_input(tables, command, name, content, message):
    code, out, err = command("predict", tables / f"exported-{name}", "-", "--format", "csv", stdin=content)
    assert code in (1, 2) and message in err and out == ""


def test_options_of_a_run_are_refused(tables, command):
    code, _, err = command("predict", tables / "exported-texts.csv", tables / "texts.csv", "--use", "network")
    assert code == 2 and "--use: for run folders" in err


def test_generate(language_pair, command):
    run, model = language_pair("lstm")
    texts = [
        command("generate", path, "--prompt", "to be", "--seed", "3", "--length", "20")
        for path in (run.path, model.path)
    ]
    assert texts[0] == texts[1] and texts[0][0] == 0
    code, _, err = command("generate", model.path, "--use", "network")
    assert code == 2 and "--use" in err


def test_export_prints_what_it_measured(tables, command, tmp_path):
    code, out, _ = command("export", tables / "run-texts.csv", tmp_path / "x", "--dtype", "int8", "--json")
    result = json.loads(out)
    assert code == 0 and result["dtype"] == "int8"
    assert set(result["scores"]) == {"float32", "rounded", *(["stored"] if native.available() else [])}
    assert json.loads((tmp_path / "x" / "model.json").read_text())["scores"] == result["scores"]
    code, out, _ = command("export", tables / "run-texts.csv", tmp_path / "y", "--dtype", "bf16")
    assert code == 0 and "accuracy" in out and "runtime folder" in out and "largest difference" in out
    assert ('load(DIR, arithmetic="stored")' in out) == native.available()
    code, _, err = command("export", tables / "run-texts.csv", tmp_path / "y")
    assert code == 2 and "is not empty" in err


def test_export_takes_the_model_that_the_run_uses(tmp_path):
    texts = (["the sun is warm", "the sea is cold"] * 20, ["w", "c"] * 20)
    run = seriatim.train("classify", texts, hidden=8, epochs=1, out=str(tmp_path / "run"), quiet=True)
    for use in ("tfidf", "majority", "network"):
        assert run.export(tmp_path / use, use=use)["model"] == ("lstm" if use == "network" else use)
    assert run.export(tmp_path / "best")["model"] == run._opened.best


def test_prediction_of_a_runtime_folder_loads_no_torch(tables):
    code = (
        "import sys; from seriatim.cli.app import run; "
        f"run(['predict', {str(tables / 'exported-texts.csv')!r}, {str(tables / 'texts.csv')!r}]); "
        "sys.exit('torch' in sys.modules or 'polars' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0
