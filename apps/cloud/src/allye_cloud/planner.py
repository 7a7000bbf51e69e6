"""The best plan for one battery and one day, by linear programming (HiGHS through SciPy).

1. Maximise the sum of ``price * (discharged - charged) - wear * discharged`` over half-hours, within power, the corridor of the
   state of charge and the rule for its end (:mod:`allye_cloud.battery`). The corridor always admits a plan, so there is always
   a result.
2. With a price far enough below zero, charging and discharging at once would be paid for burning energy. No battery can; where
   the linear solution does it, such slots get a binary each and the problem is solved again as a mixed-integer one.
3. The optimum is rounded to the device's power step so that the stored energy stays at the optimum's or less than one step
   above, or below it where the corridor's upper limit leaves no room. Then the rounded plan is simulated, and leaves this
   module only when the simulation breaks no limit.
4. A band that holds less than two power steps of one slot cannot be followed in whole steps: that battery is left idle.
"""

from __future__ import annotations

import math
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array, diags_array, eye_array, hstack, vstack

from allye_cloud.battery import SLOT_H, SOC_TOLERANCE_WH, Battery
from allye_cloud.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from allye_cloud.battery import Corridor

__all__ = ["Plan", "assess", "plan"]

_WH_PER_KWH: Final = 1000.0
_AT_ONCE_KWH: Final = 1e-6


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Setpoints for one battery, and what they are worth.

    :param watts: one setpoint a half-hour, W; + charges.
    :param soc_pct: state of charge at the beginning and at the end of every slot, %: one value more than ``watts``.
    :param margin_gbp: what is earned by discharging less what is paid for charging, pounds, before wear.
    :param wear_gbp: cost of wear, pounds.
    :param charged_wh: energy taken at the terminals, Wh.
    :param discharged_wh: energy given at the terminals, Wh.
    :param cycles: discharged energy in units of the capacity.
    :param objective_gbp: margin less wear that the optimum had before rounding, pounds; the plan's own if nothing was solved.
    :param solver_s: time that the optimum took, s; 0 where nothing was solved.
    """

    watts: tuple[int, ...]
    soc_pct: tuple[float, ...]
    margin_gbp: float
    wear_gbp: float
    charged_wh: float
    discharged_wh: float
    cycles: float
    objective_gbp: float
    solver_s: float = 0.0


def plan(battery: Battery, prices_gbp_per_mwh: Sequence[float], soc_pct: float) -> Plan:
    """Find the plan that earns most.

    :param battery: what the battery can do.
    :param prices_gbp_per_mwh: one price a half-hour, pounds per MWh, for buying and selling alike.
    :param soc_pct: state of charge at the beginning, %; may be outside the band.
    :returns: the plan, rounded to the battery's power step and proved by simulation.
    :raises PlanError: for no prices, one that is not finite, a state of charge outside 0 to 100 %; or a failed proof (a bug).
    """
    if not prices_gbp_per_mwh or not all(map(math.isfinite, prices_gbp_per_mwh)):
        raise PlanError("a plan needs a finite price for at least one half-hour; check the price series")
    if not 0 <= soc_pct <= 100:
        raise PlanError(f"a state of charge is 0 to 100 %, not {soc_pct}; check the device's initial_soc_pct or its reading")
    if not battery.can_follow_a_plan:
        return assess(battery, [0] * len(prices_gbp_per_mwh), prices_gbp_per_mwh, soc_pct)
    start_wh = battery.stored_wh(soc_pct)
    corridor = battery.corridor(start_wh, len(prices_gbp_per_mwh))
    began_s = perf_counter()
    stored_wh, objective_gbp = _optimum(battery, np.asarray(prices_gbp_per_mwh, dtype=float), start_wh, corridor)
    solver_s = perf_counter() - began_s
    watts = _rounded(battery, stored_wh, start_wh, corridor)
    if wrong := battery.broken_limits(start_wh, watts):
        raise PlanError(f"the rounded plan for {battery} from {soc_pct} % breaks limits: {'; '.join(wrong)}")
    found = assess(battery, watts, prices_gbp_per_mwh, soc_pct)
    return msgspec.structs.replace(found, objective_gbp=objective_gbp, solver_s=solver_s)


def assess(battery: Battery, watts: Sequence[int], prices_gbp_per_mwh: Sequence[float], soc_pct: float) -> Plan:
    """Say what given setpoints are worth; they are taken as they are, within limits or not.

    :param battery: the battery that follows them.
    :param watts: one setpoint a half-hour, W.
    :param prices_gbp_per_mwh: one price for each, pounds per MWh.
    :param soc_pct: state of charge at the beginning, %.
    """
    charged_wh = sum(w for w in watts if w > 0) * SLOT_H
    discharged_wh = -sum(w for w in watts if w < 0) * SLOT_H
    margin_gbp = -sum(w * SLOT_H * price for w, price in zip(watts, prices_gbp_per_mwh, strict=True)) / 1e6
    wear_gbp = discharged_wh / _WH_PER_KWH * battery.wear_gbp_per_kwh
    trajectory_wh = battery.follow(battery.stored_wh(soc_pct), watts)
    return Plan(
        watts=tuple(watts),
        soc_pct=tuple(map(battery.soc_pct, trajectory_wh)),
        margin_gbp=margin_gbp,
        wear_gbp=wear_gbp,
        charged_wh=charged_wh,
        discharged_wh=discharged_wh,
        cycles=discharged_wh / battery.capacity_wh if battery.capacity_wh else 0.0,
        objective_gbp=margin_gbp - wear_gbp,
    )


def _optimum(
    battery: Battery, prices_gbp_per_mwh: NDArray[np.float64], start_wh: float, corridor: Corridor
) -> tuple[list[float], float]:
    """The stored energy at the end of each slot on the best path, Wh, and its objective, pounds.

    Variables, in kWh: charged, discharged (both at the terminals) and stored at the end, one of each a slot.
    """
    n = len(prices_gbp_per_mwh)
    price, wear, efficiency = prices_gbp_per_mwh / 1000, battery.wear_gbp_per_kwh, battery.efficiency
    most = np.repeat([battery.charge_w, battery.discharge_w], n) * SLOT_H / _WH_PER_KWH
    lower = np.concatenate([np.zeros(2 * n), np.asarray(corridor.low_wh) / _WH_PER_KWH])
    upper = np.concatenate([most, np.asarray(corridor.high_wh) / _WH_PER_KWH])
    cost = np.concatenate([price, wear - price, np.zeros(n)])
    balance = _balance(n, efficiency)
    begin = np.zeros(n)
    begin[0] = start_wh / _WH_PER_KWH
    x, objective = _solve(cost, lower, upper, LinearConstraint(balance, begin, begin))
    # A kWh burnt by charging and discharging at once earns this; otherwise it loses, and no optimum does it.
    burning_pays = price * (1 - efficiency**2) + wear * efficiency**2 < 0
    if np.any(burning_pays & (np.minimum(x[:n], x[n : 2 * n]) > _AT_ONCE_KWH)):
        slots = np.flatnonzero(burning_pays)
        x, objective = _solve(cost, lower, upper, *_one_way(balance, begin, most, slots), binaries=len(slots))
    return [float(kwh) * _WH_PER_KWH for kwh in x[2 * n : 3 * n]], objective


@lru_cache(maxsize=64)
def _balance(n: int, efficiency: float) -> csc_array:
    """Stored - stored before - efficiency * charged + discharged / efficiency, one row a slot."""
    chain = eye_array(n) - eye_array(n, k=-1)
    return csc_array(hstack([-efficiency * eye_array(n), eye_array(n) / efficiency, chain]))


def _one_way(
    balance: csc_array, begin: NDArray[np.float64], most: NDArray[np.float64], slots: NDArray[np.intp]
) -> tuple[LinearConstraint, LinearConstraint]:
    """The balance, and one binary for each of ``slots``: 1 lets it charge, 0 lets it discharge."""
    n, k = len(begin), len(slots)
    rows = np.arange(k)
    charge = csc_array((np.ones(k), (rows, slots)), shape=(k, 3 * n))
    discharge = csc_array((np.ones(k), (rows, n + slots)), shape=(k, 3 * n))
    most_charge, most_discharge = diags_array(most[slots]), diags_array(most[n + slots])
    either = csc_array(vstack([hstack([charge, -most_charge]), hstack([discharge, most_discharge])]))
    wide = csc_array(hstack([balance, csc_array((n, k))]))
    limit = np.concatenate([np.zeros(k), most[n + slots]])
    return LinearConstraint(wide, begin, begin), LinearConstraint(either, -np.inf, limit)


def _solve(
    cost: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    *constraints: LinearConstraint,
    binaries: int = 0,
) -> tuple[NDArray[np.float64], float]:
    """Minimise the cost; ``binaries`` more variables, which cost nothing, are 0 or 1. Without any it is a plain LP."""
    result = milp(
        np.concatenate([cost, np.zeros(binaries)]),
        integrality=np.repeat([0, 1], [len(cost), binaries]),
        bounds=Bounds(np.concatenate([lower, np.zeros(binaries)]), np.concatenate([upper, np.ones(binaries)])),
        constraints=constraints,
        options={"mip_rel_gap": 1e-6},
    )
    if result.x is None:
        raise PlanError(f"the solver found no plan where one always exists: {result.message}")
    return result.x, -float(result.fun)


def _rounded(battery: Battery, optimum_wh: list[float], start_wh: float, corridor: Corridor) -> list[int]:
    """Setpoints in whole steps that follow the optimum as rule 3 says."""
    stored_wh, watts = start_wh, []
    for target_wh, high_wh in zip(optimum_wh, corridor.high_wh, strict=True):
        wanted = battery.fewest_steps(target_wh - SOC_TOLERANCE_WH - stored_wh)
        steps = min(wanted, battery.most_steps(high_wh - stored_wh))
        w = max(-battery.discharge_w, min(battery.charge_w, steps * battery.power_step_w))
        stored_wh = battery.follow(stored_wh, (w,))[1]
        watts.append(w)
    return watts
