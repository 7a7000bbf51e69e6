"""Clocks that an app puts around a session."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from allye_protocol.clock import ScaledClock, SystemClock

ORIGIN = datetime(2018, 10, 28, tzinfo=UTC)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The machine's time, to be set by hand: the first element, s."""
    seconds = [1_000_000.0]
    monkeypatch.setattr(time, "time", lambda: seconds[0])
    return seconds


def test_a_scaled_clock_plays_time_from_its_origin(real: list[float]) -> None:
    clock = ScaledClock(ORIGIN, real[0], 7200.0)
    assert clock.now() == ORIGIN
    real[0] += 0.5
    assert clock.now() == ORIGIN + timedelta(hours=1)


def test_processes_with_the_same_figures_agree_on_the_time(real: list[float]) -> None:
    started = real[0]
    first = ScaledClock(ORIGIN, started, 100.0)
    real[0] += 3.0
    assert first.now() == ScaledClock(ORIGIN, started, 100.0).now() == ORIGIN + timedelta(seconds=300)


def test_time_stops_at_the_next_deadline_until_it_moves(real: list[float]) -> None:
    clock = ScaledClock(ORIGIN, real[0], 7200.0)
    deadline = ORIGIN + timedelta(minutes=30)
    assert clock.now(deadline) == ORIGIN
    real[0] += 10.0
    assert clock.now(deadline) == deadline
    assert clock.now(deadline + timedelta(minutes=30)) == deadline + timedelta(minutes=30)
    assert clock.now() == ORIGIN + timedelta(hours=20)


def test_a_day_visits_every_deadline_however_slow_the_app_is(real: list[float]) -> None:
    clock = ScaledClock(ORIGIN, real[0], 7200.0)
    visited = []
    deadline = ORIGIN
    for _ in range(48):
        deadline += timedelta(minutes=30)
        real[0] += 60.0
        visited.append(clock.now(deadline))
    assert visited == [ORIGIN + timedelta(minutes=30) * (index + 1) for index in range(48)]


def test_the_wait_for_an_instant_is_in_real_seconds(real: list[float]) -> None:
    clock = ScaledClock(ORIGIN, real[0], 7200.0)
    assert clock.seconds_until(ORIGIN + timedelta(hours=1)) == pytest.approx(0.5)
    real[0] += 0.25
    assert clock.seconds_until(ORIGIN + timedelta(hours=1)) == pytest.approx(0.25)
    assert clock.seconds_until(ORIGIN) == 0.0


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_clock_that_cannot_run_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        ScaledClock(ORIGIN, 0.0, speed)


def test_the_systems_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now(before - timedelta(days=1))
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)


def test_the_systems_clock_waits_for_the_future_alone() -> None:
    now = datetime.now(UTC)
    assert SystemClock().seconds_until(now - timedelta(hours=1)) == 0.0
    assert 3500 < SystemClock().seconds_until(now + timedelta(hours=1)) <= 3600
