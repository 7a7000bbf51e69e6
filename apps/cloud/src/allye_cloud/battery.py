"""A battery as the planner sees it, and what happens to it when it follows a plan.

1. Power is at the AC terminals, + charges. Losses are the same in each direction: of ``w`` watts charged, ``efficiency * w``
   arrive; for ``w`` watts discharged, ``w / efficiency`` leave.
2. Where the state of charge is inside its band, it stays there. Where it is outside, the limits are what full power towards
   the band reaches by then (:meth:`Battery.corridor`): it never turns back, and a limit that can be kept always exists.
3. At the end the state of charge is at least what it was, or the top of the band less one power step where it began above
   that: with losses, whole steps come back exactly to the top only by never leaving it.
"""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SLOT_H", "SOC_TOLERANCE_WH", "Battery", "Corridor"]

SLOT_H: Final = 0.5
"""Length of a slot, hours."""

SOC_TOLERANCE_WH: Final = 1e-3
"""How far a state of charge may be off for the sake of floating-point arithmetic, Wh."""

MAX_W: Final = 10_000_000
"""Largest power that the protocol carries, W."""

_STEP_SLACK: Final = 1e-9
"""Floating-point noise of a count of steps."""

Watts = Annotated[int, msgspec.Meta(ge=0, le=MAX_W)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class Corridor(msgspec.Struct, frozen=True, kw_only=True):
    """Where the stored energy has to be at the end of each slot, Wh.

    :param low_wh: lower limits, one a slot; the last one is the rule for the end.
    :param high_wh: upper limits, one a slot.
    """

    low_wh: tuple[float, ...]
    high_wh: tuple[float, ...]


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """What a battery can do.

    :param capacity_wh: energy between 0 and 100 % state of charge, Wh.
    :param max_charge_w: largest charging power, W.
    :param max_discharge_w: largest discharging power, W.
    :param power_step_w: setpoints are multiples of this, W.
    :param soc_min_pct: lower end of the band that a plan keeps to, % of capacity.
    :param soc_max_pct: upper end of it, % of capacity.
    :param efficiency: of each direction, above 0 and at most 1.
    :param import_limit_w: what the site may take from the grid, W; ``None`` for no limit but the battery's.
    :param export_limit_w: what the site may give to the grid, W; ``None`` for no limit but the battery's.
    :param wear_gbp_per_kwh: what discharging costs in battery life, pounds per kWh at the terminals.
    """

    capacity_wh: Annotated[int, msgspec.Meta(ge=0)]
    max_charge_w: Watts
    max_discharge_w: Watts
    power_step_w: Annotated[int, msgspec.Meta(ge=1, le=MAX_W)] = 100
    soc_min_pct: Percent = 10.0
    soc_max_pct: Percent = 95.0
    efficiency: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.95
    import_limit_w: Watts | None = None
    export_limit_w: Watts | None = None
    wear_gbp_per_kwh: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0

    @property
    def charge_w(self) -> int:
        """The largest charging setpoint: whole steps within the battery's and the site's limits, W."""
        return self._whole_steps(self.max_charge_w, self.import_limit_w)

    @property
    def discharge_w(self) -> int:
        """The largest discharging setpoint, as a positive number: whole steps within the limits, W."""
        return self._whole_steps(self.max_discharge_w, self.export_limit_w)

    def _whole_steps(self, own_w: int, site_w: int | None) -> int:
        limit_w = own_w if site_w is None else min(own_w, site_w)
        return limit_w // self.power_step_w * self.power_step_w

    @property
    def step_up_wh(self) -> float:
        """What one power step of charging adds to the store in one slot, Wh."""
        return self.power_step_w * SLOT_H * self.efficiency

    @property
    def step_down_wh(self) -> float:
        """What one power step of discharging takes from the store in one slot, Wh."""
        return self.power_step_w * SLOT_H / self.efficiency

    @property
    def soc_min_wh(self) -> float:
        """The band's lower end, Wh."""
        return self.capacity_wh * self.soc_min_pct / 100

    @property
    def soc_max_wh(self) -> float:
        """The band's upper end, Wh."""
        return self.capacity_wh * self.soc_max_pct / 100

    @property
    def can_follow_a_plan(self) -> bool:
        """Whether the band holds two power steps of one slot: in a narrower one whole steps cannot be kept inside."""
        return self.soc_max_wh - self.soc_min_wh >= 2 * self.step_down_wh

    def stored_wh(self, soc_pct: float) -> float:
        """The stored energy at a state of charge, Wh."""
        return self.capacity_wh * soc_pct / 100

    def soc_pct(self, stored_wh: float) -> float:
        """The state of charge at a stored energy, %; 0 for a battery without capacity."""
        return 100 * stored_wh / self.capacity_wh if self.capacity_wh else 0.0

    def follow(self, start_wh: float, watts: Sequence[int]) -> tuple[float, ...]:
        """Simulate a plan.

        :param start_wh: stored energy at its beginning, Wh.
        :param watts: one setpoint a slot, W.
        :returns: stored energy at the beginning and at the end of every slot, Wh: one value more than there are slots.
        """
        up, down = SLOT_H * self.efficiency, SLOT_H / self.efficiency
        return tuple(accumulate(watts, lambda wh, w: wh + w * (up if w > 0 else down), initial=start_wh))

    def fewest_steps(self, change_wh: float) -> int:
        """The fewest power steps (+ charges) that change the stored energy in one slot by at least ``change_wh``, Wh."""
        return math.ceil(change_wh / (self.step_up_wh if change_wh > 0 else self.step_down_wh) - _STEP_SLACK)

    def most_steps(self, change_wh: float) -> int:
        """The most power steps (+ charges) that change the stored energy in one slot by at most ``change_wh``, Wh."""
        return math.floor(change_wh / (self.step_up_wh if change_wh > 0 else self.step_down_wh) + _STEP_SLACK)

    def corridor(self, start_wh: float, slots: int) -> Corridor:
        """The limits of the stored energy for a plan that begins with ``start_wh`` (rules 2 and 3).

        :param start_wh: stored energy at the beginning, Wh.
        :param slots: how many slots the plan has, at least 1.
        """
        up, down = self.charge_w * SLOT_H * self.efficiency, self.discharge_w * SLOT_H / self.efficiency
        low = [min(self.soc_min_wh, start_wh + i * up) for i in range(1, slots + 1)]
        high = [max(self.soc_max_wh, start_wh - i * down) for i in range(1, slots + 1)]
        low[-1] = max(low[-1], min(start_wh, self.soc_max_wh - self.step_down_wh))
        return Corridor(low_wh=tuple(low), high_wh=tuple(high))

    def broken_limits(self, start_wh: float, watts: Sequence[int]) -> list[str]:
        """What is wrong with a plan, found by simulating it: empty when it keeps every limit.

        :param start_wh: stored energy at its beginning, Wh.
        :param watts: one setpoint a slot, W.
        """
        corridor = self.corridor(start_wh, len(watts))
        wrong = []
        for i, (w, wh) in enumerate(zip(watts, self.follow(start_wh, watts)[1:], strict=True)):
            if w % self.power_step_w or not -self.discharge_w <= w <= self.charge_w:
                wrong.append(f"slot {i}: {w} W is not a step between {-self.discharge_w} and {self.charge_w} W")
            if not corridor.low_wh[i] - SOC_TOLERANCE_WH <= wh <= corridor.high_wh[i] + SOC_TOLERANCE_WH:
                wrong.append(f"slot {i}: ends at {wh:.3f} Wh, not in {corridor.low_wh[i]:.3f} to {corridor.high_wh[i]:.3f} Wh")
        return wrong
