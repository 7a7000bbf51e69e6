"""What a driver is: the only way to a battery.

Rules
-----
1. **Blocking and bounded.** Every call returns or raises within about two seconds. A driver is used from one thread at a time,
   starts no thread that writes to the battery, and keeps no queue: what it is told, it does now or not at all.
2. **Level-triggered.** ``set_power`` says what holds from now on, not what to change. Saying it again is harmless, and the
   caller does so at a third of the validity, so that two lost refreshes in a row do no harm.
3. **The setpoint dies with its controller.** The *battery* goes to 0 W when the validity runs out: with the process killed, the
   cable cut or the driver closed. A driver for a battery without a reversion timer must build the equivalent outside the
   process (a watchdog relay, a supervised second process), or refuse to open.
4. **Only a read-back proves a write.** After every write the driver reads the value from the battery. A write that was
   confirmed and did not take is ``driver.readback_mismatch``.
5. **No silent retry.** One call is at most one attempt at one write. The caller decides what is tried again, and when.
6. **A closed set of errors.** A call raises :class:`~allye_protocol.errors.DriverError` with a code of the table below, and
   nothing else; any other exception that leaves a driver is a bug in it.

Outcomes of ``set_power``
-------------------------
*accepted*: a :class:`SetpointOutcome` without reasons. *limited*: one with reasons; the battery does what it can, and more as
soon as it can. *refused*: a ``DriverError``; the battery's setpoint is then what it was before, or 0 W, or unknown where the
table says so, and the caller trusts the next ``read`` alone.

Faults, and what a driver must do
---------------------------------
==============================  ============================  ================================================================
what happens                    code                          the driver
==============================  ============================  ================================================================
no answer in time, link lost    ``driver.timeout``            raises at once on every call; does not answer from a cache; tries
                                                              the link again on the next call only. Setpoint: unknown.
battery says no to a write      ``driver.rejected``           raises with the battery's own words. Also for an argument out
                                                              of range and for a closed driver.
confirmed, but not held         ``driver.readback_mismatch``  raises with both values. Setpoint: as read.
ability is missing              ``driver.not_supported``      raises; changes nothing.
another master writes           ``driver.external_control``   raises; does not fight for the register. ``read`` shows
                                                              their setpoint.
heartbeat missed or standing    ``driver.heartbeat_lost``     raises on ``set_power`` while the state is ``COMMS_LOST``, and on
                                                              ``heartbeat`` when the battery's own counter stands still.
operator at the battery         ``device.local_mode``         raises; ``read`` works and says ``LOCAL``.
latched fault                   ``device.fault_active``       raises, also on ``clear_alarms`` while the cause is there;
                                                              ``read`` works and says ``FAULT`` with the alarms. Setpoint: 0 W.
emergency stop                  ``device.emergency_stop``     the same with ``ESTOP``.
starting, restarting            ``device.busy``               raises until it is ready. Setpoint: 0 W, after a restart too.
stopped or in standby           ``driver.rejected``           raises and says to call ``start``. Setpoint: 0 W.
no grid to work on              ``device.grid_lost``          raises; ``read`` works. Setpoint: 0 W.
data does not change            none                          ``read`` returns it with the *old* ``time``; the reader judges.
a pack drops out                none                          not an error: ``limits`` shrink and say ``PACKS``.
==============================  ============================  ================================================================

Every code is retryable by its class, which means that the *caller* may try again later: no driver does it by itself.
``emergency_stop`` is refused by nothing but a lost link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from allye_max300.telemetry import Capabilities, Identity, Limits, SetpointOutcome, Telemetry

__all__ = ["Clock", "Driver", "DriverFactory"]

Clock = Callable[[], datetime]
"""Returns the present instant as an aware UTC datetime. May be virtual; may step; is asked at every call."""


@runtime_checkable
class Driver(Protocol):
    """A connection to one battery. Every method raises ``DriverError`` as the table in :mod:`allye_max300.driver` says."""

    def identify(self) -> Identity:
        """Who the battery is. Source: nameplate registers (SunSpec model 1). Works in every state."""
        ...

    def capabilities(self) -> Capabilities:
        """What the battery can do when all is well. Source: SunSpec 702 and 713, or configuration. In every state."""
        ...

    def read(self) -> Telemetry:
        """Read everything once, from the battery and not from a cache. Works in every state; writes nothing."""
        ...

    def limits(self) -> Limits:
        """What the cells can do now, after temperature, state of charge and lost packs; whether they may, the state says."""
        ...

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        """Hold a power from now on, for a limited time.

        Replaces the setpoint before it, whatever that was. Takes effect within the battery's latency; rises along its ramp and
        falls at once. After ``valid_for_s`` without a refresh the battery is at 0 W by itself. 0 is a setpoint like any other.

        :param watts: power at the AC terminals, W; positive charges, negative discharges. Beyond the rating it is limited.
        :param valid_for_s: how long the battery may follow it, s; above 0, at most :attr:`Capabilities.max_validity_s`.
        :returns: what the battery holds (read back) and what it will do with it.
        :raises DriverError: every code of the table.
        """
        ...

    def stop(self) -> None:
        """End operation: 0 W at once, contactors open, ``OFF``. Idempotent. Not an agent's way to pause: that is 0 W."""
        ...

    def emergency_stop(self) -> None:
        """0 W by the fastest way there is, contactors open, ``ESTOP``, latched. Works in every state. Idempotent.

        :raises DriverError: ``driver.timeout`` alone; the battery may then run on until the validity ends.
        """
        ...

    def start(self) -> None:
        """Leave ``OFF`` (through ``INITIALISING``) or ``STANDBY`` (at once) for ``READY`` at 0 W. Idempotent."""
        ...

    def standby(self) -> None:
        """0 W at once, converter asleep, contactors closed, ``STANDBY``. Idempotent."""
        ...

    def clear_alarms(self) -> None:
        """Acknowledge latched alarms whose cause is gone. Leads from ``FAULT`` and ``ESTOP`` to ``STANDBY``, never to power.

        :raises DriverError: ``device.fault_active`` while a cause is still there; nothing is cleared then.
        """
        ...

    def close(self) -> None:
        """Give the link back. Does not touch the battery: a valid setpoint runs to its end. Idempotent; never raises."""
        ...


DriverFactory = Callable[[Mapping[str, object], Clock], Driver]
"""What an entry point of the group ``allye.drivers`` names: ``factory(options, clock) -> Driver``.

``options`` are the driver's own, as they stand in a configuration file (TOML types). The factory refuses a missing, unknown or
wrong option with ``driver.rejected`` and a message that names the option; it may open the link at once or on the first call.
"""
