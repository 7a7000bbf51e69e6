"""A fleet's plans: from where yesterday's end, the same every time, with simpler plans beside them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from allye_cloud.days import HALF_HOUR, zone_named
from allye_cloud.errors import PriceError
from allye_cloud.planner import plan
from allye_cloud.planning import CHEAPEST_AND_DEAREST, YESTERDAYS_PRICES, plan_day
from allye_cloud.prices import PriceSeries, synthetic
from allye_cloud.registry import Device
from allye_protocol.ids import DeviceId
from apps.cloud.tests.world import BATTERY, DAY, LONDON

if TYPE_CHECKING:
    from allye_cloud.books import DayPlan

TWO_DAYS = PriceSeries(
    start=synthetic(DAY, LONDON).start,
    prices_gbp_per_mwh=synthetic(DAY, LONDON).prices_gbp_per_mwh * 2,
    source="two days",
)


def device(name: str = "a", zone: str = "Europe/London", soc: float = 50.0) -> Device:
    return Device(device_id=DeviceId(name), zone=zone_named(zone), battery=BATTERY, initial_soc_pct=soc)


def planned(*devices: Device, day=DAY, before: dict[str, DayPlan] | None = None, **options) -> list[DayPlan]:
    return plan_day(devices or [device()], TWO_DAYS, day, before or {}, **options)


def test_a_plan_is_what_the_planner_finds() -> None:
    (made,) = planned()
    prices = synthetic(DAY, LONDON).prices_gbp_per_mwh
    found = plan(BATTERY, prices, 50.0)
    assert (made.watts, made.soc_pct, made.margin_gbp) == (found.watts, found.soc_pct, found.margin_gbp)
    assert (made.prices_gbp_per_mwh, made.price_source, made.max_power_w) == (prices, "two days", 150_000)
    assert (made.start, made.end, made.zone) == (TWO_DAYS.start, TWO_DAYS.start + 48 * HALF_HOUR, "Europe/London")


def test_a_day_begins_where_the_plan_of_the_day_before_ends() -> None:
    (today,) = planned(device(soc=30.0))
    assert today.soc_pct[0] == 30.0
    tomorrow = planned(device(soc=30.0), device("b"), day=DAY + timedelta(days=1), before={"a": today})
    assert [made.soc_pct[0] for made in tomorrow] == [today.soc_pct[-1], 50.0]


def test_planning_again_gives_the_same() -> None:
    assert planned() == planned()


def test_simpler_plans_stand_beside_it_and_earn_no_more() -> None:
    (first,) = planned()
    assert list(first.yardsticks_gbp) == [CHEAPEST_AND_DEAREST]  # there is no yesterday
    (second,) = planned(day=DAY + timedelta(days=1))
    assert list(second.yardsticks_gbp) == [CHEAPEST_AND_DEAREST, YESTERDAYS_PRICES]
    assert second.yardsticks_gbp[YESTERDAYS_PRICES] == pytest.approx(second.margin_gbp)  # both days have the same prices
    assert second.yardsticks_gbp[CHEAPEST_AND_DEAREST] < second.margin_gbp
    (without,) = planned(yardsticks=False)
    assert without == msgspec.structs.replace(first, yardsticks_gbp={})


def test_devices_of_other_zones_have_other_days() -> None:
    here, there = planned(device(), device("b", "Europe/Madrid"), day=DAY + timedelta(days=1))
    assert here.start - there.start == timedelta(hours=1)


def test_a_day_without_all_its_prices_is_not_planned() -> None:
    with pytest.raises(PriceError):
        planned(day=DAY + timedelta(days=2))
