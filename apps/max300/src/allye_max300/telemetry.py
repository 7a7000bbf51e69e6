"""What a battery says about itself, as values.

1. **Sign**: power and current are positive when the battery charges and negative when it discharges, measured at the AC
   terminals. A driver converts at its own edge (SunSpec counts the other way round), in one named function.
2. Units are in the names. Instants are aware UTC datetimes.
3. ``None`` means that this battery does not report the value. A driver never fills a gap with a zero, a default or its last
   reading: a value that could not be read is a :class:`~allye_protocol.errors.DriverError`.
4. Every value is what the battery *measured or holds*, read in one go. Nothing here is what somebody asked for.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

__all__ = [
    "Capabilities",
    "GridMode",
    "Identity",
    "LimitReason",
    "Limits",
    "PackState",
    "SetpointOutcome",
    "State",
    "Telemetry",
]


class State(StrEnum):
    """What the battery is doing; exactly one holds. "Limited" is no state but a flag: :attr:`Telemetry.throttle_reasons`."""

    OFF = "OFF"
    """Stopped: contactors open, 0 W. ``start`` leads out of it, through ``INITIALISING``."""
    INITIALISING = "INITIALISING"
    """Starting or restarting: 0 W, setpoints are refused with ``device.busy``. Ends by itself."""
    STANDBY = "STANDBY"
    """Contactors closed, converter asleep, 0 W. ``start`` leads out of it at once."""
    READY = "READY"
    """Follows setpoints; the power happens to be 0 W."""
    CHARGING = "CHARGING"
    DISCHARGING = "DISCHARGING"
    FAULT = "FAULT"
    """Latched: 0 W until the cause is gone *and* ``clear_alarms`` was called."""
    LOCAL = "LOCAL"
    """Somebody at the battery has taken control. Ends by itself when they give it back."""
    COMMS_LOST = "COMMS_LOST"
    """The battery missed the controller's heartbeat and went to 0 W. The next heartbeat ends it."""
    ESTOP = "ESTOP"
    """Emergency stop, latched like ``FAULT``."""


class GridMode(StrEnum):
    """How the AC side is run."""

    GRID_CONNECTED = "GRID_CONNECTED"
    ISLAND = "ISLAND"
    """The battery makes its own grid; it cannot follow power setpoints."""
    DISCONNECTED = "DISCONNECTED"
    """Contactors open, or unplugged: a mobile battery's normal state on the road."""


class LimitReason(StrEnum):
    """Why the battery does less than it was asked for."""

    RATING = "RATING"
    """Beyond the configured or rated power."""
    SOC = "SOC"
    """Too full to charge so fast, or too empty to discharge so fast."""
    TEMPERATURE = "TEMPERATURE"
    PACKS = "PACKS"
    """At least one pack is not connected."""
    STEP = "STEP"
    """Rounded towards zero to the device's power step."""
    DEAD_BAND = "DEAD_BAND"
    """Too small for the converter; 0 W instead."""
    RAMP = "RAMP"
    """On its way: |power| rises no faster than the ramp."""
    OTHER = "OTHER"
    """The battery throttles and does not say why."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the battery is; constant while the driver is open.

    :param manufacturer: as the battery reports it; not empty.
    :param model: as the battery reports it; says so when it is a simulation.
    :param serial: unique for this manufacturer and model; what an operator compares with the plate.
    :param firmware: version of the battery's own software, free text.
    """

    manufacturer: str
    model: str
    serial: str
    firmware: str


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the battery can do when all is well; constant while the driver is open.

    Ratings that a battery does not report (the MAX300's are not public) come from the driver's configuration.

    :param capacity_wh: usable energy between 0 % and 100 % SoC, Wh, above 0.
    :param max_charge_w: largest charging power at the AC terminals, W, at least 0.
    :param max_discharge_w: largest discharging power at the AC terminals, W, as a positive number.
    :param power_step_w: setpoints are rounded towards zero to a multiple of this, W, at least 1.
    :param max_validity_s: longest ``valid_for_s`` that ``set_power`` takes, s.
    """

    capacity_wh: float
    max_charge_w: int
    max_discharge_w: int
    power_step_w: int
    max_validity_s: float


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the battery can do at this moment; never more than its :class:`Capabilities`.

    :param charge_w: largest charging power now, W, at least 0.
    :param discharge_w: largest discharging power now, W, as a positive number.
    :param charge_reasons: why charging is below its rating; empty when it is not.
    :param discharge_reasons: why discharging is below its rating; empty when it is not.
    """

    charge_w: float
    discharge_w: float
    charge_reasons: tuple[LimitReason, ...] = ()
    discharge_reasons: tuple[LimitReason, ...] = ()


class PackState(msgspec.Struct, frozen=True, kw_only=True):
    """One pack of the battery. Packs are mixed and drop out one by one.

    :param pack: its number, from 1.
    :param connected: whether it takes part; the values of a pack that does not are its last ones.
    :param soc_pct: its state of charge, 0 to 100.
    :param soh_pct: its state of health, 0 to 100.
    :param temperature_c: its temperature, degrees Celsius.
    """

    pack: int
    connected: bool
    soc_pct: float
    soh_pct: float | None = None
    temperature_c: float | None = None


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """One reading of the battery.

    :param time: when the values were true, not when they arrived. A reader tells stale data by this alone.
    :param power_w: power at the AC terminals, W; positive charges.
    :param setpoint_w: the setpoint that the battery *holds*, read back from it, W; 0 when none is valid.
    :param soc_pct: state of charge of the connected packs, 0 to 100.
    :param energy_charged_wh: energy taken in at the AC terminals since manufacture, Wh. Never decreases, not even over a
        restart of the battery or of the driver. A driver whose battery has no such counter integrates the power and keeps it.
    :param energy_discharged_wh: energy given out at the AC terminals since manufacture, Wh, positive. Never decreases.
    :param state: what the battery is doing.
    :param soh_pct: state of health, 0 to 100.
    :param available_energy_wh: energy stored in the connected packs, Wh on the DC side.
    :param dc_voltage_v: voltage of the DC bus, V.
    :param dc_current_a: current of the DC bus, A; positive charges.
    :param ac_voltage_v: line-to-line voltage, V.
    :param ac_current_a: current per phase, A; positive charges.
    :param frequency_hz: grid frequency, Hz.
    :param cell_temperature_min_c: coldest cell, degrees Celsius.
    :param cell_temperature_max_c: hottest cell, degrees Celsius.
    :param contactor_closed: whether the main contactors are closed.
    :param grid_mode: how the AC side is run.
    :param alarms: names of the active and the latched alarms, in the battery's own words, sorted.
    :param throttle_reasons: why ``power_w`` is not ``setpoint_w``; empty when it is.
    :param packs: the packs in order of their numbers; empty when the battery does not tell them apart.
    """

    time: datetime
    power_w: float
    setpoint_w: int
    soc_pct: float
    energy_charged_wh: float
    energy_discharged_wh: float
    state: State
    soh_pct: float | None = None
    available_energy_wh: float | None = None
    dc_voltage_v: float | None = None
    dc_current_a: float | None = None
    ac_voltage_v: float | None = None
    ac_current_a: float | None = None
    frequency_hz: float | None = None
    cell_temperature_min_c: float | None = None
    cell_temperature_max_c: float | None = None
    contactor_closed: bool | None = None
    grid_mode: GridMode | None = None
    alarms: tuple[str, ...] = ()
    throttle_reasons: tuple[LimitReason, ...] = ()
    packs: tuple[PackState, ...] = ()


class SetpointOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a setpoint that was not refused: accepted, or limited with reasons.

    :param requested_w: what was asked for, W.
    :param setpoint_w: what the battery holds now, read back from it, W: ``requested_w`` after rating, step and dead band.
    :param expected_w: what the battery will do with it under its present limits, W, once ramped. Never beyond ``setpoint_w``.
    :param reasons: why ``expected_w`` is not ``requested_w``; empty when it is.
    :param valid_until: when the battery goes to 0 W by itself unless the setpoint is given again.
    """

    requested_w: int
    setpoint_w: int
    expected_w: float
    reasons: tuple[LimitReason, ...] = ()
    valid_until: datetime

    @property
    def limited(self) -> bool:
        """Whether the battery does less than it was asked for."""
        return bool(self.reasons)
