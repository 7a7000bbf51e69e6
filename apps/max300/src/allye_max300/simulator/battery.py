"""The simulated battery in time: it follows a clock, survives on disk, and has things go wrong with it.

1. It advances when it is looked at, to the clock's present. Looking commits whole steps only, so how often anybody looks
   changes nothing at all; a command cuts a step where it is given.
2. The clock may step. Forward is time passing, for the setpoint's validity too; backward is no time: the battery waits for
   nothing, forgets nothing and goes on from where it was.
3. With a state file it lives on while no process runs it: the next one finds it as it would be now.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from allye_max300.abilities import DriverEvent, EventKind
from allye_max300.simulator import controller, statefile
from allye_max300.simulator.faults import Fault, PackDropout, StaleData, StuckValue
from allye_max300.simulator.measurement import Reading, measure, visible_state
from allye_protocol.errors import DriverError, ErrorCode

if TYPE_CHECKING:
    from random import Random

    from allye_max300.driver import Clock
    from allye_max300.simulator.config import SimulatorConfig
    from allye_max300.simulator.controller import BatteryState

__all__ = ["Battery"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EVENTS_KEPT: Final = 256


class Battery:
    """One simulated battery.

    :param config: what it is made of.
    :param clock: the present instant, aware UTC.
    :param noise: source of the measurement noise.
    :raises StoreError: ``store.corrupt`` or ``store.failed``, naming the state file.
    """

    def __init__(self, config: SimulatorConfig, clock: Clock, noise: Random) -> None:
        self.config: Final = config
        self._clock = clock
        self._noise = noise
        self._path = None if config.state_file is None else Path(config.state_file)
        self._events: deque[DriverEvent] = deque(maxlen=_EVENTS_KEPT)
        saved = None if self._path is None else statefile.load(self._path, config)
        self._offset_us = 0 if saved is None else saved.offset_us
        self._state = controller.new_battery(config, (clock() - _EPOCH) // _MICROSECOND) if saved is None else saved.state
        self._newest_us = self._saved_us = self._state.time_us
        self._noticed = (visible_state(config, self._state), controller.alarms(self._state))
        state = self.present()
        self._snapshot = self._measure(state)
        self._save()

    def present(self) -> BatteryState:
        """The battery now.

        :raises StoreError: ``store.failed`` when it was time to save the state and that failed.
        """
        self._newest_us = now_us = self._battery_time_us()
        before = self._state
        self._state = controller.advance_to(self.config, before, controller.grid_boundary(now_us))
        state = controller.advance_to(self.config, self._state, now_us)
        if before.setpoint_w and not state.setpoint_w and before.valid_until_us is not None and not state.comms_lost:
            self._note(min(before.valid_until_us, now_us), EventKind.SETPOINT_REVERTED, f"{before.setpoint_w} W")
            self._state = state
        self._notice(state)
        if now_us - self._saved_us >= self.config.save_every_s * 1_000_000:
            self._save()
        return state

    def commit(self, state: BatteryState) -> BatteryState:
        """Make ``state``, which came from :meth:`present`, the battery's state, and keep it.

        :raises StoreError: ``store.failed`` when it cannot be saved; the battery has changed all the same.
        """
        self._state = state
        self._notice(state)
        self._save()
        return state

    def reading(self, state: BatteryState) -> Reading:
        """What the battery shows while in ``state``: the truth with noise, or what a fault makes of it."""
        if state.has(StaleData):
            return self._snapshot
        reading = self._measure(state)
        stuck = {
            fault.field: getattr(self._snapshot.telemetry, fault.field)
            for fault in state.faults
            if isinstance(fault, StuckValue)
        }
        return replace(reading, telemetry=replace(reading.telemetry, **stuck)) if stuck else reading

    def wall(self, time_us: int) -> datetime:
        """The instant of a time of the battery's own."""
        return _EPOCH + timedelta(microseconds=time_us + self._offset_us)

    def drain_events(self) -> list[DriverEvent]:
        """What happened since the last call, oldest first; at most the newest 256."""
        events = list(self._events)
        self._events.clear()
        return events

    def inject(self, fault: Fault) -> None:
        """Let something go wrong from now on; it replaces a fault of the same kind.

        :raises DriverError: ``driver.rejected`` for a pack that this battery does not have.
        """
        if isinstance(fault, PackDropout) and not 1 <= fault.pack <= self.config.packs:
            raise DriverError(
                ErrorCode.DRIVER_REJECTED, f"there is no pack {fault.pack}: packs go from 1 to {self.config.packs}"
            )
        state = self.present()
        if isinstance(fault, StaleData | StuckValue):
            self._snapshot = self._measure(state)
        self.commit(controller.with_fault(self.config, state, fault))

    def clear(self, fault: Fault) -> None:
        """Remove a fault, whatever its particulars. What it latched stays latched until ``clear_alarms``."""
        self.commit(controller.without_fault(self.present(), fault))

    def reboot(self) -> None:
        """Restart the battery's own controller: it loses its setpoint and is ``INITIALISING`` for a while."""
        self.commit(controller.rebooted(self.config, self.present()))

    def _battery_time_us(self) -> int:
        time_us = (self._clock() - _EPOCH) // _MICROSECOND - self._offset_us
        if time_us < self._newest_us:
            self._offset_us -= self._newest_us - time_us
            return self._newest_us
        return time_us

    def _measure(self, state: BatteryState) -> Reading:
        return measure(self.config, state, self.wall(state.time_us), self._noise)

    def _notice(self, state: BatteryState) -> None:
        name, alarms = visible_state(self.config, state), controller.alarms(state)
        if name is not self._noticed[0]:
            self._note(state.time_us, EventKind.STATE_CHANGED, name)
        for kind, names in (
            (EventKind.ALARM_RAISED, set(alarms) - set(self._noticed[1])),
            (EventKind.ALARM_CLEARED, set(self._noticed[1]) - set(alarms)),
        ):
            for alarm in sorted(names):
                self._note(state.time_us, kind, alarm)
        self._noticed = (name, alarms)

    def _note(self, time_us: int, kind: EventKind, text: str) -> None:
        self._events.append(DriverEvent(time=self.wall(time_us), kind=kind, text=text))

    def _save(self) -> None:
        self._saved_us = self._newest_us
        if self._path is not None:
            statefile.save(self._path, statefile.Saved(offset_us=self._offset_us, state=self._state))
