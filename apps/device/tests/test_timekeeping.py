"""One instant a turn, no running backwards, no trust without reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from allye_device.timekeeping import Timekeeper

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Hand:
    """A clock that shows what it is set to."""

    def __init__(self, shown=NOON):
        self.shown = shown

    def now(self, not_after=None):
        return self.shown if not_after is None else min(self.shown, not_after)

    def seconds_until(self, instant):
        return (instant - self.shown).total_seconds()


@pytest.fixture
def hand():
    return Hand()


def test_time_stands_still_between_turns(hand):
    time = Timekeeper(hand)
    hand.shown += timedelta(seconds=3)
    assert (time.now, time()) == (NOON, NOON)
    assert time.advance() == NOON + timedelta(seconds=3)


def test_time_does_not_run_past_a_deadline(hand):
    time = Timekeeper(hand)
    hand.shown += timedelta(hours=1)
    assert time.advance(NOON + timedelta(seconds=1)) == NOON + timedelta(seconds=1)


def test_a_deadline_of_before_does_not_turn_time_back(hand):
    time = Timekeeper(hand)
    assert time.advance(NOON - timedelta(days=1)) == NOON
    assert time.trusted


def test_a_small_step_back_is_waited_out(hand):
    time = Timekeeper(hand)
    hand.shown -= timedelta(seconds=5)
    assert time.advance() == NOON
    assert time.trusted


def test_a_large_step_back_is_not_believed_until_it_is_over(hand):
    time = Timekeeper(hand)
    hand.shown -= timedelta(hours=1)
    assert time.advance() == NOON - timedelta(hours=1)
    assert "2026-03-01T12:00:00" in time.doubt
    hand.shown += timedelta(hours=1)
    time.advance()
    assert time.trusted


def test_a_machine_that_has_not_synchronised_is_not_believed(hand, tmp_path):
    flag = tmp_path / "synchronised"
    hand.shown = datetime(1970, 1, 1, tzinfo=UTC)
    time = Timekeeper(hand, synchronised=flag)
    assert not time.trusted
    assert time.seconds_until(NOON) == 10
    hand.shown = NOON
    flag.touch()
    assert (time.advance(), time.trusted) == (NOON, True)


def test_the_newest_time_outlives_the_process(hand, tmp_path):
    memory = tmp_path / "device.db.time"
    Timekeeper(hand, memory=memory).keep()
    hand.shown -= timedelta(minutes=1)
    later = Timekeeper(hand, memory=memory)
    assert not later.trusted
    assert str(memory) in later.doubt


def test_time_that_was_not_trusted_is_not_remembered(hand, tmp_path):
    memory = tmp_path / "device.db.time"
    Timekeeper(hand, synchronised=tmp_path / "never", memory=memory).keep()
    assert not memory.exists()


@pytest.mark.parametrize("content", [b"", b"\xff", b"tomorrow", b"2026-03-01T99"])
def test_a_damaged_memory_is_no_memory(hand, tmp_path, content):
    memory = tmp_path / "device.db.time"
    memory.write_bytes(content)
    assert Timekeeper(hand, memory=memory).trusted


def test_a_disk_that_keeps_nothing_costs_only_the_memory(hand, tmp_path):
    time = Timekeeper(hand, memory=tmp_path / "no such folder" / "time")
    assert time.trusted
