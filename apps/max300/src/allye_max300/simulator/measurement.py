"""What the instruments of a simulated battery show: its state as telemetry and limits.

Voltages and the DC bus follow simple assumptions; no figure here is a fact about a MAX300.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from allye_max300.simulator import physics
from allye_max300.simulator.controller import Mode, alarms, operating_state, target_w
from allye_max300.simulator.faults import OtherMaster
from allye_max300.telemetry import GridMode, LimitReason, Limits, PackState, State, Telemetry

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from allye_max300.simulator.config import SimulatorConfig
    from allye_max300.simulator.controller import BatteryState

__all__ = ["Reading", "held_w", "measure", "power_w", "visible_state"]

_AC_VOLTAGE_V: Final = 400.0
_FREQUENCY_HZ: Final = 50.0
_DC_EMPTY_V: Final = 650.0
_DC_V_PER_PCT: Final = 1.5


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the battery to a read of all its registers.

    :param telemetry: the measurements.
    :param limits: what the cells can do.
    :param valid_until_us: the reversion timer, on the battery's own time; ``None`` when no setpoint is valid.
    """

    telemetry: Telemetry
    limits: Limits
    valid_until_us: int | None


def power_w(config: SimulatorConfig, state: BatteryState) -> float:
    """The power that flows at this instant, W."""
    goal_w = physics.clamp(physics.available(config, state.cells), target_w(state))
    return physics.flowing(state.cells.power_w, goal_w)


def held_w(state: BatteryState) -> int:
    """What the setpoint register shows, W."""
    return next((fault.setpoint_w for fault in state.faults if isinstance(fault, OtherMaster)), state.setpoint_w)


def visible_state(config: SimulatorConfig, state: BatteryState) -> State:
    """What the battery is doing, by its power as well."""
    name, power = operating_state(state), power_w(config, state)
    if name is not State.READY or not power:
        return name
    return State.CHARGING if power > 0 else State.DISCHARGING


def measure(config: SimulatorConfig, state: BatteryState, time: datetime, noise: Random) -> Reading:
    """Everything the battery shows at ``time``.

    :param noise: source of measurement noise; drawn from only where the configuration asks for noise.
    """
    cells = state.cells
    can = physics.available(config, cells)
    true_w = power_w(config, state)
    shown_w = true_w + (noise.gauss(0, config.power_noise_w) if config.power_noise_w else 0.0)
    shown_c = cells.temperature_c + (noise.gauss(0, config.temperature_noise_c) if config.temperature_noise_c else 0.0)
    soc = physics.soc_pct(config, cells)
    closed = state.mode in {Mode.ON, Mode.STANDBY} and not state.latched
    dc_w = (true_w * config.charge_efficiency if true_w > 0 else true_w / config.discharge_efficiency) - config.standby_draw_w
    dc_v = _DC_EMPTY_V + _DC_V_PER_PCT * soc
    telemetry = Telemetry(
        time=time,
        power_w=shown_w,
        setpoint_w=held_w(state),
        soc_pct=soc,
        energy_charged_wh=cells.charged_wh,
        energy_discharged_wh=cells.discharged_wh,
        state=visible_state(config, state),
        soh_pct=sum(config.soh_pct) / len(config.soh_pct),
        available_energy_wh=cells.energy_wh,
        dc_voltage_v=dc_v,
        dc_current_a=dc_w / dc_v,
        ac_voltage_v=_AC_VOLTAGE_V,
        ac_current_a=shown_w / (math.sqrt(3) * _AC_VOLTAGE_V),
        frequency_hz=_FREQUENCY_HZ,
        cell_temperature_min_c=shown_c - config.temperature_spread_c / 2,
        cell_temperature_max_c=shown_c + config.temperature_spread_c / 2,
        contactor_closed=closed,
        grid_mode=GridMode.GRID_CONNECTED if closed else GridMode.DISCONNECTED,
        alarms=alarms(state),
        throttle_reasons=_throttle_reasons(state, can, true_w),
        packs=_packs(config, state, soc, shown_c),
    )
    return Reading(telemetry=telemetry, limits=can, valid_until_us=state.valid_until_us)


def _throttle_reasons(state: BatteryState, can: Limits, true_w: float) -> tuple[LimitReason, ...]:
    wanted_w = held_w(state)
    possible_w = physics.clamp(can, wanted_w)
    reasons = () if possible_w == wanted_w else can.charge_reasons if wanted_w > 0 else can.discharge_reasons
    return reasons if true_w == possible_w else (*reasons, LimitReason.RAMP)


def _packs(config: SimulatorConfig, state: BatteryState, soc: float, mean_c: float) -> tuple[PackState, ...]:
    pack_wh = config.capacity_wh / config.packs
    coldest_c = mean_c - config.temperature_spread_c / 2
    step_k = config.temperature_spread_c / max(config.packs - 1, 1)
    return tuple(
        PackState(
            pack=number + 1,
            connected=number + 1 not in state.cells.dropped,
            soc_pct=min(100 * state.cells.dropped.get(number + 1, soc / 100 * pack_wh) / pack_wh, 100.0),
            soh_pct=config.soh_pct[number % len(config.soh_pct)],
            temperature_c=coldest_c + step_k * number,
        )
        for number in range(config.packs)
    )
