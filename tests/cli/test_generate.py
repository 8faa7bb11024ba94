"""``seriatim generate``."""

from __future__ import annotations

import io
import json
import sys

import pytest

from seriatim.cli.generate import _write

DEFAULTS = {
    "use": None,
    "length": 500, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0, "stop": (), "seed": None,
}  # fmt: skip


def test_text_continues_the_prompt(seriatim, runs):
    result = seriatim("generate", "runs/x", "--prompt", "Well, ", "--length", 20, "--top-k", 5, "--seed", 3)
    assert result.out == "Well, to be or not\n"
    assert runs.calls[1] == ("generate", "Well, ", DEFAULTS | {"length": 20, "top_k": 5, "seed": 3})


def test_answered_prompt_is_not_printed(seriatim, runs):
    runs.writing = "answers"
    assert seriatim("generate", "runs/x", "--prompt", "Well, ").out == "to be or not\n"


@pytest.mark.parametrize(("terminal", "text"), [(True, "\\x1b[2J\tsea\n\n"), (False, "\x1b[2J\tsea\n\n")])
def test_terminal_shows_control_characters_as_escapes(capsys, monkeypatch, terminal, text):
    """A pipe receives the text as it is."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    assert _write(["\x1b[2J\t", "sea\n"]) == "\x1b[2J\tsea\n"
    assert capsys.readouterr().out == text


def test_penalty_and_stops(seriatim, runs):
    seriatim("generate", "runs/x", "--repetition-penalty", 1.2, "--stop", "\n", "--stop", "END")
    assert runs.calls[1] == ("generate", "", DEFAULTS | {"repetition_penalty": 1.2, "stop": ("\n", "END")})


def test_json(seriatim, runs):
    out = json.loads(seriatim("generate", "runs/x", "--json").out)
    assert out == {"run": "runs/x", "prompt": "", "text": "to be or not"}


def test_run_without_generation(seriatim, runs):
    runs.writing = None
    result = seriatim("generate", "runs/x", "--chat")
    assert result.code == 2
    assert result.err == "seriatim: error: generate: for language and translate runs; runs/x is a language run\n"


# --chat


@pytest.fixture
def standard_input(monkeypatch):
    def set_input(raw: bytes, terminal: bool = False):
        file = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8")
        monkeypatch.setattr(file, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdin", file)

    return set_input


def test_chat_answers_each_line(seriatim, runs, standard_input):
    standard_input(b"hello\n\n  you \n")
    result = seriatim("generate", "runs/x", "--chat", "--temperature", 0.5)
    assert result.out == "to be or not\n" * 2
    assert runs.calls[1:] == [("generate", line, DEFAULTS | {"temperature": 0.5}) for line in ("hello", "you")]


def test_chat_prompts_on_a_terminal(seriatim, runs, standard_input):
    standard_input(b"hello\n", terminal=True)
    assert seriatim("generate", "runs/x", "--chat").out == "> to be or not\n> \n"


def test_chat_json_is_one_object(seriatim, runs, standard_input):
    standard_input(b"hello\nyou\n")
    out = json.loads(seriatim("generate", "runs/x", "--chat", "--json").out)
    assert out == {
        "run": "runs/x",
        "turns": [{"prompt": "hello", "text": "to be or not"}, {"prompt": "you", "text": "to be or not"}],
    }


def test_chat_refuses_prompt(seriatim, runs):
    result = seriatim("generate", "runs/x", "--chat", "--prompt", "hello")
    assert result.code == 2
    assert "--prompt: not with --chat" in result.err


def test_chat_refuses_bytes_that_are_not_utf8(seriatim, runs, standard_input):
    standard_input(b"hello\n\xff\xfe\n")
    result = seriatim("generate", "runs/x", "--chat")
    assert result.code == 1
    assert "standard input: not UTF-8" in result.err
