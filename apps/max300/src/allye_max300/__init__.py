"""The driver interface, how drivers are found, and a simulated battery.

``driver`` says what a driver is and must do; ``telemetry`` and ``abilities`` hold its values and what only some batteries can
do; ``discovery`` finds and opens installed drivers; ``conformance`` puts a driver through its rules; ``simulator`` is a battery
in software. The public names are here; a simulator's configuration and faults are in :mod:`allye_max300.simulator`.
"""

from allye_max300.abilities import DriverEvent, EventKind, HasEvents, HasHeartbeat, HasReversionTimer
from allye_max300.discovery import DriverInfo, available, open_driver
from allye_max300.driver import Clock, Driver, DriverFactory
from allye_max300.telemetry import (
    Capabilities,
    GridMode,
    Identity,
    LimitReason,
    Limits,
    PackState,
    SetpointOutcome,
    State,
    Telemetry,
)

__all__ = [
    "Capabilities",
    "Clock",
    "Driver",
    "DriverEvent",
    "DriverFactory",
    "DriverInfo",
    "EventKind",
    "GridMode",
    "HasEvents",
    "HasHeartbeat",
    "HasReversionTimer",
    "Identity",
    "LimitReason",
    "Limits",
    "PackState",
    "SetpointOutcome",
    "State",
    "Telemetry",
    "available",
    "open_driver",
]
