"""Ctrl-C, SIGTERM and SIGHUP wait for the end of an update, so that no update is cut in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, the request of a system to end, and the end of the terminal. Windows has no SIGHUP."""


class Interrupt:
    """A flag that says whether the training was asked to stop."""

    def __init__(self) -> None:
        self.pressed = False


@contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Set a flag at the first of ``SIGNALS`` instead of ending the process; a second one has its usual effect at once.

    A signal that the process ignores (SIGHUP under ``nohup``) stays ignored. Outside the main thread, where Python
    delivers no signals, nothing is changed.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    old_handlers: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {
        number: signal.getsignal(number) for number in SIGNALS
    }
    deferred = [number for number, handler in old_handlers.items() if handler not in (signal.SIG_IGN, None)]

    def restore() -> None:
        for number in deferred:
            signal.signal(number, old_handlers[number])

    def set_flag(number: int, frame: FrameType | None) -> None:
        interrupt.pressed = True
        restore()

    for number in deferred:
        signal.signal(number, set_flag)
    try:
        yield interrupt
    finally:
        restore()
