"""Observers on standard error."""

from __future__ import annotations

import io
import sys

from rich.console import Console

from seriatim.cli.progress import BestScore, LiveObserver, observer
from seriatim.learning.observer import Plain, Silent


def tell(watching):
    watching.begin(None, 90.0)
    watching.step(1, 1, 2.5, 12345.0)
    watching.validated({"step": 100, "epoch": 1, "train_loss": 1.98765, "valid_perplexity": 6.0})
    watching.step(101, 1, 2.25, 12345.0)
    watching.note("a note in [brackets]")
    watching.end()
    watching.baseline("markov")
    watching.baseline("window")
    watching.begin(10, float("inf"))
    watching.step(5, 2, 1.125, 950.0)
    watching.end()
    watching.end()


def test_plain_is_a_line_per_event(capsys):
    tell(Plain())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "training: until the validation score stops improving, at most 1m30s",
        "step 100  epoch 1  train_loss 1.988  valid_perplexity 6",
        "note: a note in [brackets]",
        "baseline: markov",
        "baseline: window",
        "training: 10 updates",
    ]


def test_live_draws_and_leaves_nothing_running(monkeypatch):
    screen = io.StringIO()
    watching = LiveObserver()
    watching._progress.live.console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    tell(watching)
    drawn = screen.getvalue()
    for words in ("training", "at most 1m30s", "note: a note in [brackets]", "baseline window"):
        assert words in drawn
    assert "loss 1.125" in str(watching._progress.tasks[0].fields["said"])
    assert watching._progress.tasks[0].completed == 0.5
    assert not watching._progress.live.is_started


def test_live_shows_loss_speed_and_best(monkeypatch):
    monkeypatch.setattr("seriatim.cli.progress.REDRAW", 0.0)
    watching = LiveObserver()
    watching.begin(4, 90.0)
    watching.validated({"valid_perplexity": 6.0})
    watching.step(2, 1, 2.25, 12345.0)
    task = watching._progress.tasks[0]
    watching.end()
    assert task.fields["said"] == "epoch 1  loss 2.250  12.3k/s  best perplexity 6"
    assert task.completed == 0.5


def test_best_follows_the_direction_of_the_score():
    best = BestScore()
    assert str(best) == ""
    for value in (3.0, 2.0, 4.0):
        best.see({"step": 1, "valid_nll": value})
    assert str(best) == "best nll 2"
    best = BestScore()
    for value in (0.5, 0.75, 0.25):
        best.see({"valid_macro_f1": value})
    assert str(best) == "best macro_f1 0.75"


def test_the_observer_fits_the_stream(monkeypatch):
    assert isinstance(observer(quiet=True), Silent)
    assert isinstance(observer(quiet=False), Plain)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(observer(quiet=False), LiveObserver)
