"""Plans for many device-days at once, on all cores.

The order of the results is the order of the requests, and each is what :func:`allye_cloud.planner.plan` gives for it. Equal
requests are solved once: a fleet of like batteries on one tariff is one problem.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.battery import Battery
from allye_cloud.planner import Plan, plan

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PlanRequest", "plan_many"]

_WORTH_PROCESSES: Final = 500
"""Below this number of different requests, starting processes costs more time than they save."""

_CHUNK: Final = 50


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One device-day to plan.

    :param battery: what the battery can do.
    :param prices_gbp_per_mwh: one price a half-hour, pounds per MWh.
    :param soc_pct: state of charge at the beginning, %.
    """

    battery: Battery
    prices_gbp_per_mwh: tuple[float, ...]
    soc_pct: float


def plan_many(requests: Iterable[PlanRequest], *, workers: int | None = None) -> list[Plan]:
    """Plan many device-days.

    :param requests: what to plan; equal ones share their result.
    :param workers: number of processes; by default one for each core when there is enough to do, otherwise none.
    :returns: one plan for each request, in their order.
    :raises PlanError: for the first request that cannot be planned.
    """
    asked = list(requests)
    different = list(dict.fromkeys(asked))
    if workers is None:
        workers = _cores() if len(different) >= _WORTH_PROCESSES else 1
    if workers == 1:
        plans = list(map(_plan, different))
    else:
        # Spawned, because a forked child inherits the solver's locks without the threads that hold them.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            plans = list(pool.map(_plan, different, chunksize=_CHUNK))
    found = dict(zip(different, plans, strict=True))
    return [found[request] for request in asked]


def _plan(request: PlanRequest) -> Plan:
    return plan(request.battery, request.prices_gbp_per_mwh, request.soc_pct)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
