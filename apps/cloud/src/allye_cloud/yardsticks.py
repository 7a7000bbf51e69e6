"""Simpler ways to plan a day, to say what the optimum is worth.

They keep the same limits as the planner, so their margins can be set beside each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allye_cloud.battery import SLOT_H
from allye_cloud.planner import Plan, assess, plan

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from allye_cloud.battery import Battery
    from allye_cloud.prices import PricedSlot

__all__ = ["cheapest_and_dearest", "yesterdays_prices"]

FOUR_HOURS: Final = 8
"""Half-hours in four hours."""


def cheapest_and_dearest(battery: Battery, prices_gbp_per_mwh: Sequence[float], soc_pct: float) -> Plan:
    """Charge in the four cheapest hours of the day and discharge in the four dearest, at full power as far as limits allow.

    Discharging also leaves so much that the charging still to come brings the state of charge back to where it began.

    :param battery: what the battery can do.
    :param prices_gbp_per_mwh: one price a half-hour, pounds per MWh; of less than eight hours, half are cheap and half dear.
    :param soc_pct: state of charge at the beginning, %.
    """
    n = len(prices_gbp_per_mwh)
    if not battery.can_follow_a_plan:
        return assess(battery, [0] * n, prices_gbp_per_mwh, soc_pct)
    by_price = sorted(range(n), key=lambda i: prices_gbp_per_mwh[i])
    few = min(FOUR_HOURS, n // 2)
    wanted_w = dict.fromkeys(by_price[:few], battery.charge_w) | dict.fromkeys(by_price[n - few :], -battery.discharge_w)
    stored_wh = battery.stored_wh(soc_pct)
    corridor = battery.corridor(stored_wh, n)
    end_wh, up_wh = corridor.low_wh[-1], battery.charge_w * SLOT_H * battery.efficiency
    watts = []
    for i in range(n):
        still_to_come_wh = up_wh * sum(1 for later in by_price[:few] if later > i)
        low = battery.fewest_steps(max(corridor.low_wh[i], end_wh - still_to_come_wh) - stored_wh) * battery.power_step_w
        high = battery.most_steps(corridor.high_wh[i] - stored_wh) * battery.power_step_w
        w = max(-battery.discharge_w, min(battery.charge_w, high, max(low, wanted_w.get(i, 0))))
        stored_wh = battery.follow(stored_wh, (w,))[1]
        watts.append(w)
    return assess(battery, watts, prices_gbp_per_mwh, soc_pct)


def yesterdays_prices(
    battery: Battery, yesterday: Sequence[PricedSlot], today: Sequence[PricedSlot], zone: ZoneInfo, soc_pct: float
) -> Plan:
    """Plan today as if every price were yesterday's at the same time of the local clock.

    A time that yesterday did not have, because clocks were moved, takes the price before it; of a time that it had twice, the
    second counts.

    :param battery: what the battery can do.
    :param yesterday: the priced slots of the day before.
    :param today: the priced slots of the day to plan; the result's margin is at these prices.
    :param zone: the zone of the local clock.
    :param soc_pct: state of charge at the beginning, %.
    """

    def clock(start: datetime) -> tuple[int, int]:
        local = start.astimezone(zone)
        return local.hour, local.minute

    known = {clock(slot.start): slot.price_gbp_per_mwh for slot in yesterday}
    times = sorted(known)
    forecast = [known[max((time for time in times if time <= clock(slot.start)), default=times[0])] for slot in today]
    found = plan(battery, forecast, soc_pct)
    return assess(battery, found.watts, [slot.price_gbp_per_mwh for slot in today], soc_pct)
