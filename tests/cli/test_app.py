"""Help, mistyped words, exit codes, and imports at start."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seriatim.cli.app import build
from seriatim.tasks.registry import NAMES

COMMANDS = (
    ("train", "language"),
    ("train", "classify"),
    ("train", "forecast"),
    ("tune", "classify"),
    ("evaluate",),
    ("inspect",),
    ("predict",),
    ("generate",),
    ("compare",),
    ("bench",),
    ("data",),
    ("info",),
)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


@pytest.mark.parametrize("command", [*COMMANDS, ("train",), ()], ids=" ".join)
def test_help_ends_with_an_example(seriatim, command):
    result = seriatim(*command, "--help")
    assert result.code == 0 and result.err == ""
    assert "Example: seriatim " + (command or ("train",))[0] in result.out
    assert "\x1b" not in result.out and "│" not in result.out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_verb_has_json(seriatim, command):
    assert "--json" in seriatim(*command, "--help").out


def test_help_on_a_terminal_groups_options(seriatim, monkeypatch):
    monkeypatch.setattr("seriatim.cli.app.is_terminal", lambda stream: True)
    out = seriatim("train", "classify", "-h").out
    panels = ["The classify task", "Model", "Training", "Run"]
    positions = [out.index(f"─ {panel} ─") for panel in panels]
    assert positions == sorted(positions)
    assert out.index("--hidden") > positions[1] > out.index("--drop-duplicates")


def test_no_arguments_show_help(seriatim):
    assert seriatim().out == seriatim("--help").out


def test_version(seriatim):
    import seriatim as package

    assert seriatim("--version").out == f"seriatim {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian", "language"], "no command 'trian' (did you mean 'train'?)"),
        (["train", "langauge", "x"], "no task 'langauge' (did you mean 'language'?)"),
        (["train", "zzz"], "no task 'zzz' (known: language, classify, forecast, regress, tag, translate, caption)"),
        (["train"], "train: wanted a task: language, classify, forecast, regress, tag, translate, caption"),
        (["train", "language", "x", "--hiden", "3"], "no option '--hiden' (did you mean '--hidden'?)"),
        (["train", "classify", "x", "--drop_dup"], "no option '--drop_dup' (did you mean '--dropout'?)"),
        (["train", "language", "x", "--zzzzzz"], "no option '--zzzzzz' (see 'seriatim train language --help')"),
        (["train", "language", "x", "--hidden", "many"], "--hidden: got 'many', wanted a whole number"),
        (["train", "language", "x", "--vocab-size", "1"], "--vocab-size: got 1, wanted at least 2"),
        (
            ["train", "language", "x", "--unit", "wrd"],
            "--unit: 'wrd' is not one of char, word, bpe, roll (did you mean 'word'?)",
        ),
        (
            ["train", "language", "x", "--hidden"],
            "option '--hidden' requires an argument",
        ),
        (["train", "language"], "missing argument 'DATA' (see 'seriatim train language --help')"),
        (["compare", "one"], "compare: got one run (one), wanted at least two"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(seriatim, words, message):
    result = seriatim(*words)
    assert (result.code, result.out, result.err) == (2, "", f"seriatim: error: {message}\n")


def test_unknown_command_is_no_error_while_completing():
    result = python(
        "import sys; from seriatim.cli.app import run; sys.exit(run([]))",
        _SERIATIM_COMPLETE="complete_bash",
        COMP_WORDS="seriatim train language x --model ls",
        COMP_CWORD="5",
    )
    assert result.stdout.split() == ["lstm"], result.stderr


def test_help_loads_nothing_heavy():
    code = """
import sys
from seriatim.cli.app import run
for words in (["--help"], ["train", "forecast", "--help"], ["trian"]):
    run(words)
heavy = {"numpy", "torch", "polars", "pandas", "sklearn", "matplotlib", "rich"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    result = python(code)
    assert result.returncode == 0, result.stderr


def test_closed_standard_output_is_no_error():
    code = """
import sys
from seriatim.cli import app, output
app.VERBS = ((lambda: [output.say("x" * 1000) for _ in range(10_000)], ""),)
app.VERBS[0][0].__name__ = "flood"
sys.exit(app.run(["flood"]))
"""
    line = f"'{sys.executable}' -c '{code}' | head -c 5"
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert result.stdout == "xxxxx" and result.stderr == ""


def test_only_the_tasks_of_the_command_are_built():
    def tasks_of(verb, *arguments):
        return set(build(list(arguments)).commands[verb].commands)

    assert tasks_of("train") == tasks_of("tune") == set(NAMES)
    assert tasks_of("train", "train", "tag") == set(NAMES) and not tasks_of("tune", "train", "tag")
    assert not tasks_of("train", "predict", "run", "data.csv")
