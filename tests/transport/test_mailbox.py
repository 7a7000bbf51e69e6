"""The mailbox: order, waiting with an end, and waking from anywhere."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from allye_protocol.transport.base import Disconnected
from allye_protocol.transport.mailbox import Mailbox


def event(reason: str) -> Disconnected:
    return Disconnected(reason=reason)


def test_events_come_in_the_order_in_which_they_were_posted() -> None:
    mailbox = Mailbox()
    events = [event(str(index)) for index in range(5)]
    for each in events:
        mailbox.post(each)
    assert len(mailbox) == 5
    assert mailbox.take(None) == events
    assert len(mailbox) == 0


@pytest.mark.parametrize("timeout_s", [0, -1, 0.01])
def test_waiting_ends_when_the_time_is_up(timeout_s: float) -> None:
    assert Mailbox().take(timeout_s) == []


def test_a_wake_before_the_wait_ends_it_at_once_and_only_once() -> None:
    mailbox = Mailbox()
    mailbox.wake()
    mailbox.wake()
    assert mailbox.take(None) == []
    mailbox.post(event("a"))
    mailbox.wake()
    assert mailbox.take(None) == [event("a")]
    assert mailbox.take(0) == []


def test_a_waiting_thread_is_woken_by_another() -> None:
    mailbox = Mailbox()
    taken: list[list[object]] = []
    waiting = threading.Thread(target=lambda: taken.append([*mailbox.take(10)]))
    waiting.start()
    mailbox.wake()
    waiting.join(10)
    assert taken == [[]]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="signals of this kind exist on POSIX only")
def test_a_signal_handler_may_wake_the_thread_that_waits() -> None:
    mailbox = Mailbox()
    before = signal.signal(signal.SIGALRM, lambda *_: mailbox.wake())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        started = time.monotonic()
        assert mailbox.take(20) == []
        assert time.monotonic() - started < 10
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_that_interrupts_a_wake_does_not_lock_it() -> None:
    mailbox = Mailbox()
    before = signal.signal(signal.SIGINT, lambda *_: mailbox.wake())
    try:
        for _ in range(200):
            os.kill(os.getpid(), signal.SIGINT)
            mailbox.wake()
    finally:
        signal.signal(signal.SIGINT, before)
    assert mailbox.take(0) == []
