from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allye_cloud.battery import Battery
from allye_cloud.days import half_hours
from allye_cloud.planner import plan
from allye_cloud.prices import PricedSlot
from allye_cloud.yardsticks import cheapest_and_dearest, yesterdays_prices

LONDON = ZoneInfo("Europe/London")
BATTERY = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000)
DAY = [40.0] * 12 + [90.0] * 8 + [50.0] * 12 + [160.0] * 8 + [70.0] * 8


def by_clock(day: date) -> list[PricedSlot]:
    """Prices that tell the local time: 1.5 at 01:30."""
    return [
        PricedSlot(start=start, price_gbp_per_mwh=local.hour + local.minute / 60)
        for start, local in ((start, start.astimezone(LONDON)) for start in half_hours(day, LONDON))
    ]


def test_the_four_cheapest_hours_are_charged_and_the_four_dearest_discharged() -> None:
    found = cheapest_and_dearest(BATTERY, DAY, 50.0)

    assert {i for i, w in enumerate(found.watts) if w > 0} <= set(range(8))
    assert {i for i, w in enumerate(found.watts) if w < 0} <= set(range(32, 40))
    assert found.soc_pct[-1] >= 50.0
    assert found.margin_gbp > 0


@settings(max_examples=50, deadline=None)
@given(prices=st.lists(st.floats(-100, 300), min_size=1, max_size=50), soc_pct=st.floats(0, 100))
def test_yardsticks_keep_the_planners_limits_and_never_beat_it(prices: list[float], soc_pct: float) -> None:
    found = cheapest_and_dearest(BATTERY, prices, soc_pct)

    assert BATTERY.broken_limits(BATTERY.stored_wh(soc_pct), found.watts) == []
    # The solver is exact to about a millionth of a pound; nobody trades for a hundredth of a penny.
    assert found.margin_gbp <= plan(BATTERY, prices, soc_pct).objective_gbp + 1e-4


def test_a_battery_without_capacity_is_left_idle() -> None:
    assert set(cheapest_and_dearest(Battery(capacity_wh=0, max_charge_w=1000, max_discharge_w=1000), DAY, 0.0).watts) == {0}


def test_the_same_prices_yesterday_give_the_optimum() -> None:
    yesterday, today = by_clock(date(2018, 7, 1)), by_clock(date(2018, 7, 2))
    prices = [slot.price_gbp_per_mwh for slot in today]

    assert yesterdays_prices(BATTERY, yesterday, today, LONDON, 50.0).watts == plan(BATTERY, prices, 50.0).watts


@pytest.mark.parametrize("day", [date(2018, 3, 25), date(2018, 10, 28), date(2018, 10, 29)])
def test_yesterday_is_told_by_the_local_clock_when_clocks_change(day: date) -> None:
    yesterday, today = by_clock(date.fromordinal(day.toordinal() - 1)), by_clock(day)
    prices = [slot.price_gbp_per_mwh for slot in today]

    assert yesterdays_prices(BATTERY, yesterday, today, LONDON, 50.0).watts == plan(BATTERY, prices, 50.0).watts


def test_a_time_that_yesterday_skipped_takes_the_price_before_it() -> None:
    yesterday, today = by_clock(date(2018, 3, 25)), by_clock(date(2018, 3, 26))
    forecast = [0.5 if slot.price_gbp_per_mwh in (1.0, 1.5) else slot.price_gbp_per_mwh for slot in today]

    assert yesterdays_prices(BATTERY, yesterday, today, LONDON, 50.0).watts == plan(BATTERY, forecast, 50.0).watts


def test_the_margin_is_at_todays_prices() -> None:
    yesterday = by_clock(date(2018, 7, 1))
    today = [PricedSlot(start=slot.start, price_gbp_per_mwh=10.0) for slot in by_clock(date(2018, 7, 2))]

    found = yesterdays_prices(BATTERY, yesterday, today, LONDON, 50.0)

    assert found.margin_gbp == pytest.approx((found.discharged_wh - found.charged_wh) * 10 / 1e6)
    assert found.margin_gbp < 0
