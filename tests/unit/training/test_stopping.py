"""A signal raises the flag, a second one acts, and handlers are given back."""

from __future__ import annotations

import signal
import threading

import pytest

from lorafw.training.stopping import StopFlag


def test_a_signal_is_noted_and_the_handler_given_back() -> None:
    before, flag = signal.getsignal(signal.SIGTERM), StopFlag()
    with flag.listening():
        assert not flag.raised
        signal.raise_signal(signal.SIGTERM)
        assert flag.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_interrupt_interrupts() -> None:
    with StopFlag().listening():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def listen() -> None:
        with StopFlag().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [before]
