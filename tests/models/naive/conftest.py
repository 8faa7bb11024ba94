"""A clock for deadlines, so that tests of time limits do not depend on the machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from seriatim.models.naive import deadline


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that makes each look at the clock of a deadline take so many seconds."""

    def set_seconds(seconds: float) -> None:
        looks = itertools.count()
        monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: next(looks) * seconds))

    return set_seconds
