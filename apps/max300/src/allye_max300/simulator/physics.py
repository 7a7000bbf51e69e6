"""What happens inside the battery while time passes. Pure: a state, a target and a duration in; the next state out.

1. State of charge is the integral of DC power: ``stored = charged * charge_efficiency - discharged / discharge_efficiency -
   standby``. The three counters and the stored energy satisfy this for ever, to floating-point rounding.
2. |power| falls at once and rises along the ramp; it never exceeds what is available, and reaches 0 before changing its sign.
3. What is available is worked out at the beginning of a step, so a step under power is short: at most :data:`STEP_S`.
   Idle is linear, so an idle step may have any length and equals any division of it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from allye_max300.telemetry import LimitReason, Limits

if TYPE_CHECKING:
    from allye_max300.simulator.config import SimulatorConfig

__all__ = ["STEP_S", "Cells", "advance", "available", "clamp", "connect", "disconnect", "flowing", "new_cells", "soc_pct"]

STEP_S: Final = 5.0
"""Longest step under power, s. The fastest process of a battery with sensible figures (the taper) takes minutes."""


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """The physical state of the battery.

    :param energy_wh: stored in the connected packs, Wh.
    :param temperature_c: mean temperature.
    :param power_w: at the AC terminals, W; positive charges.
    :param charged_wh: AC energy taken in since it was new, Wh.
    :param discharged_wh: AC energy given out since it was new, Wh.
    :param standby_wh: energy that the battery itself used since it was new, Wh.
    :param dropped: packs that are not connected, each with the energy in it, Wh.
    """

    energy_wh: float
    temperature_c: float
    power_w: float = 0.0
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    standby_wh: float = 0.0
    dropped: dict[int, float] = {}


def new_cells(config: SimulatorConfig) -> Cells:
    """A battery as it comes: at its initial state of charge and the temperature around it."""
    return Cells(energy_wh=config.capacity_wh * config.initial_soc_pct / 100, temperature_c=config.ambient_c)


def connected_share(config: SimulatorConfig, cells: Cells) -> float:
    """The part of the packs that is connected, 0 to 1."""
    return (config.packs - len(cells.dropped)) / config.packs


def soc_pct(config: SimulatorConfig, cells: Cells) -> float:
    """State of charge of the connected packs, 0 to 100; 0 when there are none."""
    capacity_wh = config.capacity_wh * connected_share(config, cells)
    return min(max(100 * cells.energy_wh / capacity_wh, 0.0), 100.0) if capacity_wh else 0.0


def available(config: SimulatorConfig, cells: Cells) -> Limits:
    """What the cells can take and give for the next :data:`STEP_S`."""
    share = connected_share(config, cells)
    soc = soc_pct(config, cells)
    taper = min(1.0, (100 - soc) / (100 - config.charge_taper_from_pct)), min(1.0, soc / config.discharge_taper_from_pct)
    room_wh = max(config.capacity_wh * share - cells.energy_wh, 0.0) / config.charge_efficiency
    stock_wh = max(cells.energy_wh, 0.0) * config.discharge_efficiency
    charge = _limit(config.max_charge_w, share, _derate(config, config.charge_derate_c, cells), taper[0], room_wh)
    discharge = _limit(config.max_discharge_w, share, _derate(config, config.discharge_derate_c, cells), taper[1], stock_wh)
    return Limits(charge_w=charge[0], discharge_w=discharge[0], charge_reasons=charge[1], discharge_reasons=discharge[1])


def clamp(limits: Limits, target_w: float) -> float:
    """``target_w`` brought within ``limits``, W; positive charges."""
    return min(max(target_w, -limits.discharge_w), limits.charge_w) + 0.0  # no negative zero


def _limit(
    rating_w: float, share: float, derate: float, taper: float, energy_wh: float
) -> tuple[float, tuple[LimitReason, ...]]:
    power_w, last_w = rating_w * share * derate * taper, energy_wh * 3600 / STEP_S
    full = (share >= 1, derate >= 1, taper >= 1 and power_w <= last_w)
    if all(full):
        return power_w, ()
    reasons = (LimitReason.PACKS, LimitReason.TEMPERATURE, LimitReason.SOC)
    return min(power_w, last_w), tuple(reason for reason, is_full in zip(reasons, full, strict=True) if not is_full)


def _derate(config: SimulatorConfig, curve: tuple[float, float, float, float], cells: Cells) -> float:
    """The part of the rating that the worst cell allows, 0 to 1: the coldest one on the cold side, the hottest on the hot."""
    nil_cold, full_cold, full_hot, nil_hot = curve
    half = config.temperature_spread_c / 2
    cold = (cells.temperature_c - half - nil_cold) / (full_cold - nil_cold)
    hot = (nil_hot - cells.temperature_c - half) / (nil_hot - full_hot)
    return max(0.0, min(1.0, cold, hot))


def flowing(power_w: float, goal_w: float) -> float:
    """The power at the instant when the goal becomes ``goal_w``: never above it, 0 before a change of sign, not yet risen."""
    if power_w * goal_w <= 0:
        return 0.0
    return goal_w if abs(power_w) > abs(goal_w) else power_w


def advance(config: SimulatorConfig, cells: Cells, target_w: float, dt_s: float) -> Cells:
    """The cells after ``dt_s`` with a target of ``target_w``.

    :param target_w: what the controller asks for, W; positive charges. May be beyond what is available.
    :param dt_s: duration, s; above 0, at most :data:`STEP_S` unless ``target_w`` is 0.
    """
    ac_wh = end_w = 0.0
    if target_w:
        goal_w = clamp(available(config, cells), target_w)
        start_w = flowing(cells.power_w, goal_w)
        rising_s = min(dt_s, abs(goal_w - start_w) / config.ramp_w_per_s)
        end_w = goal_w if rising_s < dt_s else start_w + math.copysign(config.ramp_w_per_s * rising_s, goal_w)
        end_w = math.copysign(min(abs(end_w), abs(goal_w)), goal_w)
        ac_wh = ((start_w + end_w) / 2 * rising_s + end_w * (dt_s - rising_s)) / 3600
    charged_wh, discharged_wh = max(ac_wh, 0.0), max(-ac_wh, 0.0)
    dc_in_wh, dc_out_wh = charged_wh * config.charge_efficiency, discharged_wh / config.discharge_efficiency
    stored_wh = max(cells.energy_wh + dc_in_wh - dc_out_wh, 0.0)
    standby_wh = min(config.standby_draw_w * dt_s / 3600, stored_wh)
    heat_w = (charged_wh - dc_in_wh + dc_out_wh - discharged_wh) * 3600 / dt_s
    settled_c = config.ambient_c + heat_w / config.cooling_w_per_k
    remaining = math.exp(-dt_s * config.cooling_w_per_k / config.thermal_mass_j_per_k)
    return Cells(
        energy_wh=stored_wh - standby_wh,
        temperature_c=settled_c + (cells.temperature_c - settled_c) * remaining,
        power_w=end_w,
        charged_wh=cells.charged_wh + charged_wh,
        discharged_wh=cells.discharged_wh + discharged_wh,
        standby_wh=cells.standby_wh + standby_wh,
        dropped=cells.dropped,
    )


def disconnect(config: SimulatorConfig, cells: Cells, pack: int) -> Cells:
    """Take out ``pack`` with the energy in it: an equal share of what the connected packs hold."""
    if pack in cells.dropped:
        return cells
    energy_wh = cells.energy_wh / (config.packs - len(cells.dropped))
    return replace(cells, energy_wh=cells.energy_wh - energy_wh, dropped={**cells.dropped, pack: energy_wh})


def connect(cells: Cells, pack: int) -> Cells:
    """Bring ``pack`` back. Its converter levels it with the others; the simulator does that at once and without loss."""
    if pack not in cells.dropped:
        return cells
    rest = {number: energy_wh for number, energy_wh in cells.dropped.items() if number != pack}
    return replace(cells, energy_wh=cells.energy_wh + cells.dropped[pack], dropped=rest)
