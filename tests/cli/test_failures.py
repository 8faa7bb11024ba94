"""Failures are one line and an exit code."""

from __future__ import annotations

import errno

import pytest

from seriatim.errors import DataError, Interrupted, RunError, TrainingError, UsageError

NEEDS_EXTRA = "this command needs an extra: pip install 'seriatim[train]'"
SEE_WHERE = " run it again with --debug to see where"


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (DataError("a.csv: line 17: 'a' is bad"), 1, "error: a.csv: line 17: 'a' is bad"),
        (UsageError("no column 'txet'"), 2, "error: no column 'txet'"),
        (RunError("runs/x: not a run folder"), 1, "error: runs/x: not a run folder"),
        (TrainingError("loss is nan\n  at step 3"), 1, "error: loss is nan at step 3"),
        (Interrupted("stopped; the best weights are in runs/x"), 130, "stopped; the best weights are in runs/x"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 1, "error: runs/x: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device"),
        (MemoryError(), 1, "error: out of memory; a smaller --batch-size or --hidden needs less"),
        (ModuleNotFoundError("No module named 'torch'", name="torch.nn"), 1, f"error: {NEEDS_EXTRA}"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: 4"),
            1,
            "error: out of memory; a smaller --batch-size or --hidden needs less",
        ),
        (RuntimeError("odd"), 1, f"error: RuntimeError: odd;{SEE_WHERE}"),
        (ValueError("odd"), 1, f"error: ValueError: odd;{SEE_WHERE}"),
        (
            ModuleNotFoundError("No module named 'odd'", name="odd"),
            1,
            f"error: ModuleNotFoundError: No module named 'odd';{SEE_WHERE}",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_failure_is_one_line_with_exit_code(seriatim, runs, failure, code, message):
    runs.failure = failure
    result = seriatim("evaluate", "runs/x")
    assert (result.code, result.out, result.err) == (code, "", f"seriatim: {message}\n")


@pytest.mark.parametrize("words", [["--debug", "evaluate", "x"], ["evaluate", "x", "--debug"]])
def test_debug_shows_traceback(seriatim, runs, words):
    runs.failure = DataError("bad")
    result = seriatim(*words)
    assert result.code == 1 and result.out == ""
    assert result.err.startswith("Traceback") and result.err.endswith("\nseriatim: error: bad\n")


def test_debug_by_environment(seriatim, runs, monkeypatch):
    runs.failure = DataError("bad")
    for value, is_shown in (("1", True), ("0", False)):
        monkeypatch.setenv("SERIATIM_DEBUG", value)
        assert ("Traceback" in seriatim("evaluate", "x").err) == is_shown
