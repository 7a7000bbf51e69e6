"""Abilities that some batteries have and others do not; a small protocol each.

A driver has an ability by having its methods. A caller asks with ``isinstance(driver, HasHeartbeat)`` and does without it
otherwise. They raise ``DriverError`` by the same table as :mod:`allye_max300.driver`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

__all__ = ["DriverEvent", "EventKind", "HasEvents", "HasHeartbeat", "HasReversionTimer"]


@runtime_checkable
class HasHeartbeat(Protocol):
    """The battery watches its controller, and can be watched (SunSpec 715: ``ControllerHb``, ``DERHb``)."""

    @property
    def heartbeat_interval_s(self) -> float | None:
        """How often the battery wants to hear from its controller at least, s; ``None`` when it is not watching."""
        ...

    def heartbeat(self) -> None:
        """Tell the battery that the controller lives, and see that the battery does.

        :raises DriverError: ``driver.heartbeat_lost`` when the battery's own counter stands still: what answers is a cache.
        """
        ...


@runtime_checkable
class HasReversionTimer(Protocol):
    """The battery can say how long it will still follow its setpoint (SunSpec 704: ``WSetRvrtRem``)."""

    def reversion_remaining_s(self) -> float:
        """Time until the battery goes to 0 W by itself, s; 0 when no setpoint is valid. Read from the battery."""
        ...


class EventKind(StrEnum):
    """What a battery noticed."""

    STATE_CHANGED = "STATE_CHANGED"
    ALARM_RAISED = "ALARM_RAISED"
    ALARM_CLEARED = "ALARM_CLEARED"
    SETPOINT_REVERTED = "SETPOINT_REVERTED"
    """The validity ran out and the battery went to 0 W by itself."""


class DriverEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened between two readings.

    :param time: when, by the battery; at the latest when the driver saw it.
    :param kind: what kind of thing.
    :param text: the new state, the alarm's name, or the setpoint that ran out.
    """

    time: datetime
    kind: EventKind
    text: str


@runtime_checkable
class HasEvents(Protocol):
    """The battery keeps a log of what happened, or its driver can tell."""

    def events(self) -> list[DriverEvent]:
        """What happened since the last call, oldest first; each event once. The log is bounded: the oldest ones go first."""
        ...
