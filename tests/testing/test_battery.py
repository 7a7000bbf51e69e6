"""A battery of a test does exactly what it is told, and no more than a test lets it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from allye_protocol.errors import ErrorCode
from allye_protocol.testing import Battery

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_its_counters_follow_what_it_was_told() -> None:
    battery = Battery(capacity_wh=1_000_000, soc_pct=50)
    battery.order(100_000, NOON)
    assert battery.read(NOON + HOUR / 2)[:2] == (50_000, None)
    battery.order(-40_000, NOON + HOUR / 2)
    reading = battery.read(NOON + HOUR)
    assert (reading.meter_wh, reading.charged_wh, reading.soc_pct) == (30_000, 50_000, 53)


@pytest.mark.parametrize(("watts", "meter_wh", "soc_pct"), [(10_000, 2_000, 100), (-10_000, -8_000, 0)])
def test_it_ends_when_it_is_full_or_empty(watts: int, meter_wh: float, soc_pct: float) -> None:
    battery = Battery(capacity_wh=10_000, soc_pct=80)
    battery.order(watts, NOON)
    reading = battery.read(NOON + HOUR)
    assert (reading.meter_wh, reading.soc_pct) == (meter_wh, soc_pct)


@pytest.mark.parametrize(("watts", "meter_wh"), [(100_000, 30_000), (-100_000, -30_000)])
def test_it_can_be_made_to_limp(watts: int, meter_wh: float) -> None:
    battery = Battery()
    battery.limit_w = 30_000
    battery.limited_by = ErrorCode.EXEC_LIMITED_TEMPERATURE
    battery.order(watts, NOON)
    assert battery.read(NOON + HOUR)[:2] == (meter_wh, ErrorCode.EXEC_LIMITED_TEMPERATURE)
    battery.order(30_000, NOON + HOUR)
    assert battery.read(NOON + HOUR).trouble is None


def test_without_its_link_it_can_neither_be_read_nor_told_and_goes_on_until_its_setpoint_runs_out() -> None:
    battery = Battery(hold=timedelta(minutes=30))
    battery.order(100_000, NOON)
    battery.linked = False
    assert battery.read(NOON + HOUR)[:2] == (None, ErrorCode.DRIVER_TIMEOUT)
    battery.order(-100_000, NOON + HOUR)
    battery.linked = True
    assert battery.read(NOON + 2 * HOUR).meter_wh == 50_000
    assert battery.setpoint_w == 100_000


def test_a_clock_that_was_set_back_moves_no_energy() -> None:
    battery = Battery()
    battery.order(100_000, NOON)
    assert battery.read(NOON - HOUR).meter_wh == 0
    assert battery.read(NOON + HOUR).meter_wh == 100_000
