"""``seriatim generate``."""

from __future__ import annotations

import io
import json
import sys

import pytest

ASKED = {
    "length": 500, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0, "stop": (), "seed": None,
}  # fmt: skip


def test_text_goes_on_from_the_prompt(seriatim, runs):
    said = seriatim("generate", "runs/x", "--prompt", "Well, ", "--length", 20, "--top-k", 5, "--seed", 3)
    assert said.out == "Well, to be or not\n"
    assert runs.calls[1] == ("generate", "Well, ", ASKED | {"length": 20, "top_k": 5, "seed": 3})


def test_what_is_answered_is_not_shown_again(seriatim, runs):
    runs.writing = "answers"
    assert seriatim("generate", "runs/x", "--prompt", "Well, ").out == "to be or not\n"


def test_penalty_and_stops(seriatim, runs):
    seriatim("generate", "runs/x", "--repetition-penalty", 1.2, "--stop", "\n", "--stop", "END")
    assert runs.calls[1] == ("generate", "", ASKED | {"repetition_penalty": 1.2, "stop": ("\n", "END")})


def test_json(seriatim, runs):
    out = json.loads(seriatim("generate", "runs/x", "--json").out)
    assert out == {"run": "runs/x", "prompt": "", "text": "to be or not"}


def test_a_run_that_does_not_write(seriatim, runs):
    runs.writing = None
    said = seriatim("generate", "runs/x", "--chat")
    assert said.code == 2
    assert said.err == "seriatim: error: generate: for language and translate runs; runs/x is a language run\n"


# --chat


@pytest.fixture
def typed(monkeypatch):
    def put(raw: bytes, terminal: bool = False):
        file = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8")
        monkeypatch.setattr(file, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdin", file)

    return put


def test_each_line_is_answered_until_the_input_ends(seriatim, runs, typed):
    typed(b"hello\n\n  you \n")
    said = seriatim("generate", "runs/x", "--chat", "--temperature", 0.5)
    assert said.out == "to be or not\n" * 2
    assert runs.calls[1:] == [("generate", line, ASKED | {"temperature": 0.5}) for line in ("hello", "you")]


def test_on_a_terminal_a_sign_asks_for_the_next_line(seriatim, runs, typed):
    typed(b"hello\n", terminal=True)
    assert seriatim("generate", "runs/x", "--chat").out == "> to be or not\n> \n"


def test_a_chat_in_json_is_one_object(seriatim, runs, typed):
    typed(b"hello\nyou\n")
    out = json.loads(seriatim("generate", "runs/x", "--chat", "--json").out)
    assert out == {
        "run": "runs/x",
        "turns": [{"prompt": "hello", "text": "to be or not"}, {"prompt": "you", "text": "to be or not"}],
    }


def test_a_chat_has_no_prompt_of_its_own(seriatim, runs):
    said = seriatim("generate", "runs/x", "--chat", "--prompt", "hello")
    assert said.code == 2
    assert "--prompt: not with --chat" in said.err


def test_lines_that_are_not_text(seriatim, runs, typed):
    typed(b"hello\n\xff\xfe\n")
    said = seriatim("generate", "runs/x", "--chat")
    assert said.code == 1
    assert "standard input: not UTF-8" in said.err
