"""Ctrl-C that waits for the end of an update, so that no update is cut in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """A flag that says whether Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pressed = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Set a flag at the first Ctrl-C instead of raising; a second one raises at once.

    Outside the main thread, where Python delivers no signals, Ctrl-C is left alone.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    old_handler = signal.getsignal(signal.SIGINT)

    def set_flag(number: int, frame: FrameType | None) -> None:
        interrupt.pressed = True
        signal.signal(signal.SIGINT, old_handler)

    signal.signal(signal.SIGINT, set_flag)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, old_handler)
