"""What can go wrong with a simulated battery, each as a value: ``inject`` it and ``clear`` it.

The first three are of the battery and latch an alarm or take a pack away; the others are of whoever stands between.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "ContactorFault",
    "Fault",
    "LinkLoss",
    "LocalControl",
    "OtherMaster",
    "OverTemperature",
    "PackDropout",
    "RefusedWrite",
    "SilentWrite",
    "StaleData",
    "StuckValue",
]


class OverTemperature(msgspec.Struct, frozen=True, tag="over_temperature"):
    """The protection trips: 0 W, ``FAULT``, latched until this is cleared and the alarms are."""


class ContactorFault(msgspec.Struct, frozen=True, tag="contactor"):
    """A contactor does not close: open, 0 W, ``FAULT``, latched."""


class PackDropout(msgspec.Struct, frozen=True, tag="pack_dropout"):
    """One pack disconnects and takes its share of capacity and power with it.

    :param pack: its number, from 1.
    """

    pack: int


class LinkLoss(msgspec.Struct, frozen=True, tag="link_loss"):
    """No call gets an answer. The battery goes on by itself until the setpoint's validity ends."""


class RefusedWrite(msgspec.Struct, frozen=True, tag="refused_write"):
    """The battery answers every setpoint with an exception."""


class SilentWrite(msgspec.Struct, frozen=True, tag="silent_write"):
    """The battery confirms setpoints and does nothing with them."""


class StaleData(msgspec.Struct, frozen=True, tag="stale_data"):
    """A gateway answers reads from what it knew when this began, read-backs too. Writes go through."""


class StuckValue(msgspec.Struct, frozen=True, tag="stuck_value"):
    """One value of the telemetry stands still, the others move.

    :param field: which one.
    """

    field: Literal["power_w", "setpoint_w", "soc_pct", "energy_charged_wh", "energy_discharged_wh", "cell_temperature_max_c"]


class LocalControl(msgspec.Struct, frozen=True, tag="local"):
    """An operator has switched the battery to local control: 0 W."""


class OtherMaster(msgspec.Struct, frozen=True, tag="other_master"):
    """Somebody else commands the battery and keeps doing so.

    :param setpoint_w: what they ask for, W; positive charges.
    """

    setpoint_w: int


Fault = (
    OverTemperature
    | ContactorFault
    | PackDropout
    | LinkLoss
    | RefusedWrite
    | SilentWrite
    | StaleData
    | StuckValue
    | LocalControl
    | OtherMaster
)
