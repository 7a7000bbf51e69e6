"""A day's plans for a fleet, with what simpler plans would have earned beside them.

1. A plan begins with the state of charge at which the plan of the day before ends, where there is one, and with the registry's
   ``initial_soc_pct`` where there is none. Version 1 of the protocol reports no state of charge, so this is an assumption: a
   battery that did not follow yesterday's plan begins elsewhere, and shows it as deviations.
2. Planning the same day again from the same input gives the same plans.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from allye_cloud.books import DayPlan
from allye_cloud.errors import PriceError
from allye_cloud.fleet import PlanRequest, plan_many
from allye_cloud.yardsticks import cheapest_and_dearest, yesterdays_prices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from zoneinfo import ZoneInfo

    from allye_cloud.prices import PricedSlot, PriceSeries
    from allye_cloud.registry import Device

__all__ = ["CHEAPEST_AND_DEAREST", "YESTERDAYS_PRICES", "plan_day"]

CHEAPEST_AND_DEAREST: Final = "cheapest and dearest hours"
YESTERDAYS_PRICES: Final = "yesterday's prices"


def plan_day(
    devices: Iterable[Device], prices: PriceSeries, day: date, before: Mapping[str, DayPlan], *, yardsticks: bool = True
) -> list[DayPlan]:
    """Plan one local day for each device.

    :param devices: what to plan for.
    :param prices: must cover the day in every device's zone.
    :param day: the date on each device's local calendar.
    :param before: the plans of the day before, by device id; see rule 1.
    :param yardsticks: also say what simpler plans would have earned; ``yesterday's prices`` only where they are known.
    :returns: one plan for each device, in their order.
    :raises DayError: when a zone has no such day.
    :raises PriceError: when the prices do not cover all of it.
    :raises PlanError: when a device cannot be planned.
    """
    fleet = list(devices)
    slots = {zone: prices.day(day, zone) for zone in {device.zone for device in fleet}}
    requests = [
        PlanRequest(
            battery=device.battery,
            prices_gbp_per_mwh=tuple(slot.price_gbp_per_mwh for slot in slots[device.zone]),
            soc_pct=_soc_pct(device, before.get(device.device_id)),
        )
        for device in fleet
    ]
    simpler = _Yardsticks(prices, day) if yardsticks else None
    made = []
    for device, request, found in zip(fleet, requests, plan_many(requests), strict=True):
        battery = device.battery
        made.append(
            DayPlan(
                device_id=device.device_id,
                day=day,
                zone=device.zone.key,
                start=slots[device.zone][0].start,
                watts=found.watts,
                prices_gbp_per_mwh=request.prices_gbp_per_mwh,
                soc_pct=found.soc_pct,
                margin_gbp=found.margin_gbp,
                wear_gbp=found.wear_gbp,
                charged_wh=found.charged_wh,
                discharged_wh=found.discharged_wh,
                cycles=found.cycles,
                max_power_w=max(battery.charge_w, battery.discharge_w),
                price_source=prices.source,
                yardsticks_gbp=simpler.margins_gbp(request, device.zone) if simpler is not None else {},
            )
        )
    return made


def _soc_pct(device: Device, before: DayPlan | None) -> float:
    # Simulated arithmetic may end a hair beyond a limit.
    return device.initial_soc_pct if before is None else min(100.0, max(0.0, before.soc_pct[-1]))


class _Yardsticks:
    """What simpler plans earn; like batteries are looked at once."""

    def __init__(self, prices: PriceSeries, day: date) -> None:
        self._prices = prices
        self._day = day
        self._known: dict[tuple[PlanRequest, str], dict[str, float]] = {}
        self._yesterdays: dict[str, tuple[PricedSlot, ...] | None] = {}

    def margins_gbp(self, request: PlanRequest, zone: ZoneInfo) -> dict[str, float]:
        key = (request, zone.key)
        if key not in self._known:
            simple = cheapest_and_dearest(request.battery, request.prices_gbp_per_mwh, request.soc_pct)
            self._known[key] = {CHEAPEST_AND_DEAREST: simple.margin_gbp}
            yesterday = self._yesterday(zone)
            if yesterday is not None:
                today = self._prices.day(self._day, zone)
                guessed = yesterdays_prices(request.battery, yesterday, today, zone, request.soc_pct)
                self._known[key][YESTERDAYS_PRICES] = guessed.margin_gbp
        return self._known[key]

    def _yesterday(self, zone: ZoneInfo) -> tuple[PricedSlot, ...] | None:
        if zone.key not in self._yesterdays:
            try:
                self._yesterdays[zone.key] = self._prices.day(self._day - timedelta(days=1), zone)
            except PriceError:  # the series begins with this day
                self._yesterdays[zone.key] = None
        return self._yesterdays[zone.key]
