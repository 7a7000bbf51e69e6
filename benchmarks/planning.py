"""What planning earns and what it costs, on real half-hourly prices.

Margin: every local day of a calendar year by itself, 50 % state of charge at both ends, no wear, under perfect foresight and
two yardsticks ("yesterday's prices" begins with the second day). Cost: wall time of a device-day, one after the other and in
bulk on all cores, where every battery is different so that no work is shared.

    python benchmarks/planning.py --prices FILE
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from time import perf_counter

from allye_cloud import prices
from allye_cloud.battery import Battery
from allye_cloud.days import zone_named
from allye_cloud.errors import CloudError
from allye_cloud.fleet import PlanRequest, plan_many
from allye_cloud.planner import Plan, plan
from allye_cloud.yardsticks import cheapest_and_dearest, yesterdays_prices

SOC_PCT = 50.0
BATTERY = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000)


def year_of(series: prices.PriceSeries, year: int, zone_name: str) -> list[tuple[prices.PricedSlot, ...]]:
    zone, first = zone_named(zone_name), date(year, 1, 1)
    return [series.day(first + timedelta(days=i), zone) for i in range((date(year + 1, 1, 1) - first).days)]


def values(day: tuple[prices.PricedSlot, ...]) -> tuple[float, ...]:
    return tuple(slot.price_gbp_per_mwh for slot in day)


def summary(plans: list[Plan]) -> dict[str, float]:
    return {
        "days": len(plans),
        "margin_gbp": round(sum(each.margin_gbp for each in plans), 2),
        "margin_gbp_a_day": round(statistics.fmean(each.margin_gbp for each in plans), 2),
        "cycles_a_day": round(statistics.fmean(each.cycles for each in plans), 3),
        "lowest_soc_at_a_days_end_pct": round(min(each.soc_pct[-1] for each in plans), 3),
    }


def measure(series: prices.PriceSeries, year: int, zone_name: str, device_days: int) -> dict[str, object]:
    days = year_of(series, year, zone_name)
    plan(BATTERY, values(days[0]), SOC_PCT)  # loads the solver
    took_ms, foresight = [], []
    for day in days:
        began_s = perf_counter()
        foresight.append(plan(BATTERY, values(day), SOC_PCT))
        took_ms.append((perf_counter() - began_s) * 1000)
    zone = zone_named(zone_name)
    yesterday = [yesterdays_prices(BATTERY, before, day, zone, SOC_PCT) for before, day in pairwise(days)]
    requests = [
        PlanRequest(
            battery=Battery(capacity_wh=300_000 - i, max_charge_w=150_000, max_discharge_w=150_000),
            prices_gbp_per_mwh=values(days[i % len(days)]),
            soc_pct=SOC_PCT,
        )
        for i in range(device_days)
    ]
    began_s = perf_counter()
    plan_many(requests)
    bulk_s = perf_counter() - began_s
    return {
        "prices": series.source,
        "year": year,
        "half_hours_a_day": sorted({len(day) for day in days}),
        "optimum_before_rounding_gbp": round(sum(each.objective_gbp for each in foresight), 2),
        "power_step_w": BATTERY.power_step_w,
        "perfect foresight": summary(foresight),
        "yesterday's prices": summary(yesterday),
        "four cheapest, four dearest hours": summary([cheapest_and_dearest(BATTERY, values(day), SOC_PCT) for day in days]),
        "plan_ms_median": round(statistics.median(took_ms), 2),
        "plan_ms_mean": round(statistics.fmean(took_ms), 2),
        "plan_ms_p99": round(statistics.quantiles(took_ms, n=100)[98], 2),
        "solver_ms_mean": round(statistics.fmean(each.solver_s for each in foresight) * 1000, 2),
        "bulk_device_days": device_days,
        "bulk_s": round(bulk_s, 2),
        "bulk_ms_a_device_day": round(bulk_s / device_days * 1000, 2),
        "cores": os.cpu_count(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="what planning earns and what it costs")
    parser.add_argument("--prices", type=Path, required=True, help="CSV file with half-hourly prices of the whole year")
    parser.add_argument("--unit", type=prices.PriceUnit, choices=list(prices.PriceUnit), default=prices.PriceUnit.PENCE_PER_KWH)
    parser.add_argument("--zone", default="Europe/London", help="zone of the days, and of times without an offset")
    parser.add_argument("--year", type=int, default=2018)
    parser.add_argument("--device-days", type=int, default=10_000, help="how many to plan in bulk")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        series = prices.load(arguments.prices, unit=arguments.unit, zone=zone_named(arguments.zone))
        result = measure(series, arguments.year, arguments.zone, arguments.device_days)
    except CloudError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            shown = ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else value
            print(f"{name}: {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
