"""Signals that ask a training to stop are deferred to the end of an update."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from seriatim.learning.interrupt import SIGNALS, deferred_interrupt


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_sets_flag_and_restores_handlers(number: int) -> None:
    previous = {number: signal.getsignal(number) for number in SIGNALS}
    with deferred_interrupt() as interrupt:
        assert not interrupt.pressed
        os.kill(os.getpid(), number)
        assert interrupt.pressed
        assert {number: signal.getsignal(number) for number in SIGNALS} == previous
    assert {number: signal.getsignal(number) for number in SIGNALS} == previous


def test_second_ctrl_c_raises_at_once() -> None:
    with deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ignored_signal_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with deferred_interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.pressed
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_other_threads_change_no_handler() -> None:
    handlers = []

    def observe() -> None:
        with deferred_interrupt():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=observe)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
