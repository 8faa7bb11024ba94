"""Observers on standard error."""

from __future__ import annotations

import io
import sys

from rich.console import Console

from seriatim.cli.progress import BestScore, LiveObserver, make_observer
from seriatim.learning.observer import Plain, Silent


def run_events(observer):
    observer.begin(None, 90.0)
    observer.step(1, 1, 2.5, 12345.0)
    observer.validated({"step": 100, "epoch": 1, "train_loss": 1.98765, "valid_perplexity": 6.0})
    observer.step(101, 1, 2.25, 12345.0)
    observer.note("a note in [brackets]")
    observer.end()
    observer.baseline("markov")
    observer.baseline("window")
    observer.begin(10, float("inf"))
    observer.step(5, 2, 1.125, 950.0)
    observer.end()
    observer.end()


def test_plain_observer_writes_a_line_for_each_event(capsys):
    run_events(Plain())
    result = capsys.readouterr()
    assert result.out == ""
    assert result.err.splitlines() == [
        "training: until the validation score stops improving, at most 1m30s",
        "step 100  epoch 1  train_loss 1.988  valid_perplexity 6",
        "note: a note in [brackets]",
        "baseline: markov",
        "baseline: window",
        "training: 10 updates",
    ]


def test_live_observer_draws_and_stops(monkeypatch):
    screen = io.StringIO()
    observer = LiveObserver()
    observer._progress.live.console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    run_events(observer)
    output = screen.getvalue()
    for words in ("training", "at most 1m30s", "note: a note in [brackets]", "baseline window"):
        assert words in output
    assert "loss 1.125" in str(observer._progress.tasks[0].fields["status"])
    assert observer._progress.tasks[0].completed == 0.5
    assert not observer._progress.live.is_started


def test_control_characters_of_a_note_are_escaped(capsys):
    screen = io.StringIO()
    observer = LiveObserver()
    observer._progress.live.console = Console(file=screen, width=120, color_system=None)
    observer.note("line 3: 'a\x1b[2J\nb'")
    assert screen.getvalue() == "note: line 3: 'a\\x1b[2J\\nb'\n"
    Plain().note("line 3: 'a\x1b[2J\nb'")
    assert capsys.readouterr().err == "note: line 3: 'a\\x1b[2J\\nb'\n"


def test_live_observer_shows_loss_speed_and_best_score(monkeypatch):
    monkeypatch.setattr("seriatim.cli.progress.REDRAW", 0.0)
    observer = LiveObserver()
    observer.begin(4, 90.0)
    observer.validated({"valid_perplexity": 6.0})
    observer.step(2, 1, 2.25, 12345.0)
    task = observer._progress.tasks[0]
    observer.end()
    assert task.fields["status"] == "epoch 1  loss 2.250  12.3k/s  best perplexity 6"
    assert task.completed == 0.5


def test_best_score_follows_direction():
    best = BestScore()
    assert str(best) == ""
    for value in (3.0, 2.0, 4.0):
        best.see({"step": 1, "valid_nll": value})
    assert str(best) == "best nll 2"
    best = BestScore()
    for value in (0.5, 0.75, 0.25):
        best.see({"valid_macro_f1": value})
    assert str(best) == "best macro_f1 0.75"


def test_observer_depends_on_stream(monkeypatch):
    assert isinstance(make_observer(quiet=True), Silent)
    assert isinstance(make_observer(quiet=False), Plain)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(make_observer(quiet=False), LiveObserver)
