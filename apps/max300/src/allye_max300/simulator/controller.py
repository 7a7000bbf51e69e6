"""The battery's own controller: registers, timers, latches, and time passing over the cells. Pure.

1. Time is the battery's own: an integer number of microseconds that only grows. No clock is read here.
2. :func:`advance_to` cuts the time at every instant where something changes (a setpoint takes effect or runs out, a heartbeat
   is missed, the start is over) and, under power, at multiples of :data:`~allye_max300.simulator.physics.STEP_S`. Where it is
   cut depends on the state alone, so looking more often changes nothing.
3. Whatever takes the setpoint away takes it from the register too: what is read back is what holds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from allye_max300.simulator import physics
from allye_max300.simulator.faults import ContactorFault, Fault, LocalControl, OtherMaster, OverTemperature, PackDropout
from allye_max300.simulator.physics import Cells
from allye_max300.telemetry import LimitReason, State
from allye_protocol.errors import ErrorCode

if TYPE_CHECKING:
    from allye_max300.simulator.config import SimulatorConfig

__all__ = [
    "REFUSALS",
    "BatteryState",
    "Mode",
    "advance_to",
    "alarms",
    "cleared",
    "grid_boundary",
    "has_cause",
    "heard",
    "new_battery",
    "operating_state",
    "rebooted",
    "register_value",
    "target_w",
    "with_fault",
    "with_mode",
    "without_fault",
    "write_setpoint",
]

_STEP_US: Final = round(physics.STEP_S * 1_000_000)
_LATCHING: Final[dict[type[Fault], str]] = {OverTemperature: "over_temperature", ContactorFault: "contactor"}


class Mode(StrEnum):
    """What the battery was last told to be."""

    OFF = "OFF"
    STANDBY = "STANDBY"
    ON = "ON"
    ESTOP = "ESTOP"


class BatteryState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a simulated battery remembers.

    :param time_us: the battery's own time, microseconds.
    :param cells: its physical state.
    :param mode: what it was last told to be.
    :param setpoint_w: the setpoint register, W.
    :param applied_w: the setpoint that power follows: the register after the command latency, W.
    :param takes_effect_us: when the register becomes ``applied_w``.
    :param valid_until_us: when the setpoint runs out.
    :param ready_us: when ``INITIALISING`` is over.
    :param heartbeat_due_us: when the controller must have been heard again; ``None``: the battery does not watch.
    :param comms_lost: a heartbeat was missed and none has come since.
    :param latched: alarms that wait to be cleared, sorted.
    :param faults: what is wrong.
    """

    time_us: int
    cells: Cells
    mode: Mode = Mode.ON
    setpoint_w: int = 0
    applied_w: int = 0
    takes_effect_us: int | None = None
    valid_until_us: int | None = None
    ready_us: int = 0
    heartbeat_due_us: int | None = None
    comms_lost: bool = False
    latched: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    def has(self, kind: type[Fault]) -> bool:
        """Whether a fault of this kind is there."""
        return any(isinstance(fault, kind) for fault in self.faults)

    def at_rest(self) -> BatteryState:
        """This state without a setpoint and without power, at once."""
        return replace(
            self, setpoint_w=0, applied_w=0, takes_effect_us=None, valid_until_us=None, cells=replace(self.cells, power_w=0.0)
        )


def new_battery(config: SimulatorConfig, time_us: int) -> BatteryState:
    """A new battery, ready for setpoints."""
    state = BatteryState(time_us=time_us, cells=physics.new_cells(config), ready_us=time_us)
    return heard(config, state)


def heard(config: SimulatorConfig, state: BatteryState) -> BatteryState:
    """The battery has just heard its controller."""
    timeout_s = config.heartbeat_timeout_s
    due_us = None if timeout_s is None else state.time_us + round(timeout_s * 1_000_000)
    return replace(state, heartbeat_due_us=due_us, comms_lost=False)


def register_value(config: SimulatorConfig, watts: int) -> tuple[int, tuple[LimitReason, ...]]:
    """What the register will hold for ``watts`` after rating, step and dead band, and why that differs."""
    held = min(max(watts, -config.max_discharge_w), config.max_charge_w)
    reasons = () if held == watts else (LimitReason.RATING,)
    stepped = abs(held) // config.power_step_w * config.power_step_w * (1 if held > 0 else -1)
    if held and abs(stepped) < max(config.dead_band_w, 1):
        return 0, (*reasons, LimitReason.DEAD_BAND)
    return stepped, reasons if stepped == held else (*reasons, LimitReason.STEP)


def write_setpoint(config: SimulatorConfig, state: BatteryState, watts: int, valid_for_s: float) -> BatteryState:
    """Put a setpoint into the register.

    While one waits for the latency, a newer one joins it and does not begin the wait again, as in a controller that looks at
    its registers once a cycle: however fast setpoints come, power follows.
    """
    now = state.time_us
    return _due(
        replace(
            state,
            setpoint_w=register_value(config, watts)[0],
            takes_effect_us=state.takes_effect_us or now + round(config.command_latency_s * 1_000_000),
            valid_until_us=now + max(round(valid_for_s * 1_000_000), 1),
        )
    )


def with_mode(config: SimulatorConfig, state: BatteryState, mode: Mode) -> BatteryState:
    """The battery told to be ``mode``: at rest, and starting when it was off. Nothing changes when it is that already."""
    if state.mode is mode:
        return state
    begins = state.mode is Mode.OFF and mode is not Mode.ESTOP
    ready_us = state.time_us + round(config.start_delay_s * 1_000_000) if begins else state.ready_us
    return replace(state.at_rest(), mode=mode, ready_us=ready_us)


def cleared(state: BatteryState) -> BatteryState:
    """The battery with its latched alarms acknowledged, in standby when there were any."""
    if not state.latched and state.mode is not Mode.ESTOP:
        return state
    return replace(state, latched=(), mode=Mode.OFF if state.mode is Mode.OFF else Mode.STANDBY)


def rebooted(config: SimulatorConfig, state: BatteryState) -> BatteryState:
    """The battery after its controller has restarted: no setpoint, starting, alarms still latched."""
    ready_us = state.time_us + round(config.start_delay_s * 1_000_000)
    return heard(config, replace(state.at_rest(), ready_us=ready_us))


def target_w(state: BatteryState) -> float:
    """What power the cells are asked for now, W."""
    if operating_state(state) is not State.READY:
        return 0.0
    other = next((fault.setpoint_w for fault in state.faults if isinstance(fault, OtherMaster)), None)
    return float(state.applied_w if other is None else other)


def operating_state(state: BatteryState) -> State:
    """What the battery is doing, where ``READY`` stands for charging and discharging as well. The first that holds is told."""
    rules = (
        (state.mode is Mode.ESTOP, State.ESTOP),
        (bool(state.latched), State.FAULT),
        (state.has(LocalControl), State.LOCAL),
        (state.mode is Mode.OFF, State.OFF),
        (state.time_us < state.ready_us, State.INITIALISING),
        (state.mode is Mode.STANDBY, State.STANDBY),
        (state.comms_lost, State.COMMS_LOST),
    )
    return next((name for holds, name in rules if holds), State.READY)


REFUSALS: Final[dict[State, tuple[ErrorCode, str]]] = {
    State.ESTOP: (
        ErrorCode.DEVICE_EMERGENCY_STOP,
        "the battery is in emergency stop: release it at the battery, clear_alarms, start",
    ),
    State.FAULT: (ErrorCode.DEVICE_FAULT_ACTIVE, "a fault is latched: remove its cause, clear_alarms, start"),
    State.LOCAL: (ErrorCode.DEVICE_LOCAL_MODE, "the battery is under local control: switch it to remote at the battery"),
    State.OFF: (ErrorCode.DRIVER_REJECTED, "the battery is off: call start"),
    State.STANDBY: (ErrorCode.DRIVER_REJECTED, "the battery is in standby: call start"),
    State.INITIALISING: (ErrorCode.DEVICE_BUSY, "the battery is starting: try again when it is ready"),
    State.COMMS_LOST: (ErrorCode.DRIVER_HEARTBEAT_LOST, "the battery missed its heartbeat: send one"),
}
"""What the battery answers to a setpoint in each state that takes none."""


def alarms(state: BatteryState) -> tuple[str, ...]:
    """Names of the alarms, latched or active, sorted."""
    estop = ("emergency_stop",) if state.mode is Mode.ESTOP else ()
    return tuple(sorted({*state.latched, *estop, *(f"pack_{pack}_lost" for pack in state.cells.dropped)}))


def has_cause(state: BatteryState) -> bool:
    """Whether a latched alarm's cause is still there."""
    return any(type(fault) in _LATCHING for fault in state.faults)


def with_fault(config: SimulatorConfig, state: BatteryState, fault: Fault) -> BatteryState:
    """The battery with one more thing wrong; one of each kind, and one drop-out of each pack."""
    state = without_fault(state, fault)
    state = replace(state, faults=(*state.faults, fault))
    if isinstance(fault, PackDropout):
        return replace(state, cells=physics.disconnect(config, state.cells, fault.pack))
    if isinstance(fault, LocalControl | OtherMaster):
        return state.at_rest()
    alarm = _LATCHING.get(type(fault))
    return state if alarm is None else replace(state.at_rest(), latched=tuple(sorted({*state.latched, alarm})))


def without_fault(state: BatteryState, fault: Fault) -> BatteryState:
    """The battery without ``fault``, whatever its particulars; a latched alarm stays latched."""
    pack = fault.pack if isinstance(fault, PackDropout) else None
    gone = [known for known in state.faults if type(known) is type(fault) and (pack is None or known == fault)]
    state = replace(state, faults=tuple(known for known in state.faults if known not in gone))
    return state if pack is None else replace(state, cells=physics.connect(state.cells, pack))


def grid_boundary(time_us: int) -> int:
    """The last boundary of a step at or before ``time_us``."""
    return time_us // _STEP_US * _STEP_US


def advance_to(config: SimulatorConfig, state: BatteryState, until_us: int) -> BatteryState:
    """The battery at ``until_us``; itself when that is not later."""
    while state.time_us < until_us:
        now, target = state.time_us, target_w(state)
        events = (state.takes_effect_us, state.valid_until_us, state.ready_us, state.heartbeat_due_us)
        end_us = min([until_us, *(event for event in events if event is not None and event > now)])
        if target:
            end_us = min(end_us, grid_boundary(now) + _STEP_US)
        cells = physics.advance(config, state.cells, target, (end_us - now) / 1_000_000)
        state = _due(replace(state, time_us=end_us, cells=cells))
    return state


def _due(state: BatteryState) -> BatteryState:
    """What is due at the state's own time has happened."""
    now = state.time_us
    if state.takes_effect_us is not None and state.takes_effect_us <= now:
        state = replace(state, applied_w=state.setpoint_w, takes_effect_us=None)
    if state.valid_until_us is not None and state.valid_until_us <= now:
        state = state.at_rest()
    if state.heartbeat_due_us is not None and state.heartbeat_due_us <= now and not state.comms_lost:
        state = replace(state.at_rest(), comms_lost=True)
    return state
