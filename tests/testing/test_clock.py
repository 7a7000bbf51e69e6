"""The virtual clock shows what it was told, and never less than before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from allye_protocol.testing import VirtualClock

if TYPE_CHECKING:
    from allye_protocol.clock import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_it_is_a_clock_and_stands_still() -> None:
    clock: Clock = VirtualClock(NOON)
    assert clock.now() == clock.now() == NOON


def test_it_moves_by_as_much_as_it_is_told() -> None:
    clock = VirtualClock(NOON)
    assert clock.advance(MINUTE) == NOON + MINUTE
    assert clock.advance_to(NOON + 3 * MINUTE) == clock.now() == NOON + 3 * MINUTE
    assert clock.seconds() == 180.0


def test_it_stops_at_a_deadline_that_was_not_handled() -> None:
    clock = VirtualClock(NOON)
    assert clock.now(not_after=NOON - MINUTE) == NOON - MINUTE
    assert clock.now(not_after=NOON + MINUTE) == NOON


def test_it_says_how_long_it_is_until_an_instant() -> None:
    clock = VirtualClock(NOON)
    assert clock.seconds_until(NOON + MINUTE) == 60.0
    assert clock.seconds_until(NOON - MINUTE) == 0.0


def test_it_does_not_go_back() -> None:
    clock = VirtualClock(NOON)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-MINUTE)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance_to(NOON - MINUTE)
    assert clock.now() == NOON


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="has no offset"):
        VirtualClock(datetime(2026, 3, 1))  # noqa: DTZ001 - that is the point


def test_its_text_tells_the_time() -> None:
    assert repr(VirtualClock(NOON)) == "VirtualClock(2026-03-01T12:00:00+00:00)"
