"""The driver of the simulated battery.

It behaves as :mod:`allye_max300.driver` demands of one for a real battery, read-back included: it sees the battery only through
:class:`~allye_max300.simulator.measurement.Reading`, which faults falsify.
"""

from __future__ import annotations

import random
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from allye_max300.simulator import controller, physics
from allye_max300.simulator.battery import Battery
from allye_max300.simulator.config import SimulatorConfig
from allye_max300.simulator.controller import Mode
from allye_max300.simulator.faults import LinkLoss, OtherMaster, RefusedWrite, SilentWrite, StaleData
from allye_max300.telemetry import Capabilities, Identity, Limits, SetpointOutcome, State, Telemetry
from allye_protocol.errors import DriverError, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from allye_max300.abilities import DriverEvent
    from allye_max300.driver import Clock
    from allye_max300.simulator.controller import BatteryState

__all__ = ["SimulatorDriver", "open_simulator"]

_NO_OPERATION: Final = frozenset({State.ESTOP, State.FAULT, State.LOCAL})


def open_simulator(options: Mapping[str, object], clock: Clock) -> SimulatorDriver:
    """The factory of the driver ``simulator``.

    :param options: see :class:`~allye_max300.simulator.config.SimulatorConfig`.
    :param clock: the present instant, aware UTC; may be virtual.
    :raises DriverError: ``driver.rejected``, naming the option that is wrong.
    :raises StoreError: ``store.corrupt`` or ``store.failed``, naming the state file.
    """
    config = SimulatorConfig.of(options)
    noise = random.Random(config.seed)  # noqa: S311 - repeatable noise, no secret
    return SimulatorDriver(Battery(config, clock, noise))


class SimulatorDriver:
    """A driver with every ability of :mod:`allye_max300.abilities`.

    :param battery: what it drives; faults are injected there.
    """

    def __init__(self, battery: Battery) -> None:
        self.battery: Final = battery
        self._closed = False
        self._config = battery.config

    def identify(self) -> Identity:
        """See :meth:`allye_max300.driver.Driver.identify`."""
        self._link()
        return Identity(
            manufacturer="Allye", model="MAX300 (simulated)", serial=self._config.serial, firmware=version("allye-max300")
        )

    def capabilities(self) -> Capabilities:
        """See :meth:`allye_max300.driver.Driver.capabilities`."""
        self._link()
        return Capabilities(
            capacity_wh=self._config.capacity_wh,
            max_charge_w=self._config.max_charge_w,
            max_discharge_w=self._config.max_discharge_w,
            power_step_w=self._config.power_step_w,
            max_validity_s=self._config.max_validity_s,
        )

    def read(self) -> Telemetry:
        """See :meth:`allye_max300.driver.Driver.read`."""
        return self.battery.reading(self._link()).telemetry

    def limits(self) -> Limits:
        """See :meth:`allye_max300.driver.Driver.limits`."""
        return self.battery.reading(self._link()).limits

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        """See :meth:`allye_max300.driver.Driver.set_power`."""
        state = self._link()
        if not isinstance(watts, int):
            raise DriverError(ErrorCode.DRIVER_REJECTED, f"watts must be a whole number, not {watts!r}")
        longest_s = self._config.max_validity_s
        if not 0 < valid_for_s <= longest_s:
            raise DriverError(
                ErrorCode.DRIVER_REJECTED, f"valid_for_s must be above 0, at most {longest_s:g}, not {valid_for_s!r}"
            )
        _refuse(controller.operating_state(state))
        if state.has(OtherMaster):
            raise DriverError(
                ErrorCode.DRIVER_EXTERNAL_CONTROL, "another master commands the battery: find it and switch it off"
            )
        if state.has(RefusedWrite):
            raise DriverError(
                ErrorCode.DRIVER_REJECTED, "the battery answered the setpoint with an exception (simulated fault)"
            )
        expected_w, reasons = controller.register_value(self._config, watts)
        valid_until_us = state.time_us + round(valid_for_s * 1_000_000)
        if not state.has(SilentWrite):
            state = self.battery.commit(controller.write_setpoint(self._config, state, watts, valid_for_s))
        seen = self.battery.reading(state)
        if seen.telemetry.setpoint_w != expected_w or (seen.valid_until_us or 0) < valid_until_us:
            shown_w, shown_s = seen.telemetry.setpoint_w, max((seen.valid_until_us or 0) - state.time_us, 0) / 1_000_000
            raise DriverError(
                ErrorCode.DRIVER_READBACK_MISMATCH,
                f"the battery confirmed {expected_w} W for {valid_for_s:g} s, but shows {shown_w} W for {shown_s:g} s",
                details={"written_w": expected_w, "read_w": shown_w, "read_valid_for_s": shown_s},
            )
        can = seen.limits
        possible_w = physics.clamp(can, expected_w)
        if possible_w != expected_w:
            reasons += can.charge_reasons if expected_w > 0 else can.discharge_reasons
        return SetpointOutcome(
            requested_w=watts,
            setpoint_w=expected_w,
            expected_w=possible_w,
            reasons=reasons,
            valid_until=self.battery.wall(valid_until_us),
        )

    def stop(self) -> None:
        """See :meth:`allye_max300.driver.Driver.stop`."""
        state = self._link()
        if controller.operating_state(state) is State.LOCAL:
            _refuse(State.LOCAL)
        if state.mode is not Mode.ESTOP:
            self.battery.commit(controller.with_mode(self._config, state, Mode.OFF))

    def emergency_stop(self) -> None:
        """See :meth:`allye_max300.driver.Driver.emergency_stop`."""
        self.battery.commit(controller.with_mode(self._config, self._link(), Mode.ESTOP))

    def start(self) -> None:
        """See :meth:`allye_max300.driver.Driver.start`."""
        self._operate(Mode.ON)

    def standby(self) -> None:
        """See :meth:`allye_max300.driver.Driver.standby`."""
        self._operate(Mode.STANDBY)

    def clear_alarms(self) -> None:
        """See :meth:`allye_max300.driver.Driver.clear_alarms`."""
        state = self._link()
        if controller.has_cause(state):
            causes = ", ".join(state.latched)
            raise DriverError(
                ErrorCode.DEVICE_FAULT_ACTIVE, f"the cause is still there: {causes}", details={"alarms": state.latched}
            )
        self.battery.commit(controller.cleared(state))

    def close(self) -> None:
        """See :meth:`allye_max300.driver.Driver.close`."""
        self._closed = True

    @property
    def heartbeat_interval_s(self) -> float | None:
        """See :class:`allye_max300.abilities.HasHeartbeat`: a third of the battery's patience."""
        return None if self._config.heartbeat_timeout_s is None else self._config.heartbeat_timeout_s / 3

    def heartbeat(self) -> None:
        """See :class:`allye_max300.abilities.HasHeartbeat`."""
        state = self.battery.commit(controller.heard(self._config, self._link()))
        if state.has(StaleData):
            raise DriverError(
                ErrorCode.DRIVER_HEARTBEAT_LOST, "the battery's counter stands still: a gateway answers from its cache"
            )

    def reversion_remaining_s(self) -> float:
        """See :class:`allye_max300.abilities.HasReversionTimer`."""
        state = self._link()
        until_us = self.battery.reading(state).valid_until_us
        return 0.0 if until_us is None else max(until_us - state.time_us, 0) / 1_000_000

    def events(self) -> list[DriverEvent]:
        """See :class:`allye_max300.abilities.HasEvents`."""
        self._link()
        return self.battery.drain_events()

    def _operate(self, mode: Mode) -> None:
        state = self._link()
        name = controller.operating_state(state)
        if name in _NO_OPERATION:
            _refuse(name)
        self.battery.commit(controller.with_mode(self._config, state, mode))

    def _link(self) -> BatteryState:
        """The battery's present state, through a link that may be gone."""
        if self._closed:
            raise DriverError(ErrorCode.DRIVER_REJECTED, "this driver is closed: open another one")
        state = self.battery.present()
        if state.has(LinkLoss):
            raise DriverError(
                ErrorCode.DRIVER_TIMEOUT, "the battery does not answer: check its power and the link (simulated fault)"
            )
        return state


def _refuse(name: State) -> None:
    refusal = controller.REFUSALS.get(name)
    if refusal is not None:
        raise DriverError(*refusal)
