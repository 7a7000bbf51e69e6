"""What a session tells its app: values, in the order in which things happened.

An event is information, except for two that ask for something: :class:`ScheduleAdmitted` wants the battery armed and
``applied`` or ``failed`` called, and :class:`SlotStarted` and :class:`DefaultControl` want a setpoint given.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from allye_protocol.delivery import State
from allye_protocol.errors import Problem
from allye_protocol.execution import Judgement
from allye_protocol.messages import AckStatus, ExecutionResult, Hello, Schedule
from allye_protocol.store.base import PlannedSlot

__all__ = [
    "AlarmRaised",
    "CloudEvent",
    "DefaultControl",
    "DeliveryChanged",
    "DeviceAnnounced",
    "DeviceEvent",
    "MessageRefused",
    "ResultReceived",
    "ScheduleAdmitted",
    "ScheduleRefused",
    "ScheduleRepeated",
    "ScheduleSettled",
    "SecurityAlert",
    "SlotEnded",
    "SlotStarted",
]


class ScheduleAdmitted(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule is stored and answered RECEIVED. Arm the battery, then call ``applied`` or ``failed``.

    :param schedule: the schedule.
    :param trace_id: its trace.
    :param attempt: 1, or more when a restart interrupted the application before.
    """

    schedule: Schedule
    trace_id: str
    attempt: int


class ScheduleRepeated(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule came again; its last answer is sent again and nothing else happens."""

    schedule_id: str
    trace_id: str


class ScheduleRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A message on the schedule channel was answered FAILED.

    :param reference: the schedule's id, or the payload's SHA-256 where no id could be read.
    """

    reference: str
    problem: Problem
    trace_id: str


class ScheduleSettled(msgspec.Struct, frozen=True, kw_only=True):
    """An admitted schedule was applied or failed, and the answer is in the outbox.

    :param problem: why it failed; ``None`` when it was applied.
    """

    schedule_id: str
    status: AckStatus
    problem: Problem | None
    trace_id: str


class SecurityAlert(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody sent what only a mistake or an attacker sends: a message for another device.

    :param topic: where it came.
    """

    topic: str
    problem: Problem


class SlotStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A slot begins, is joined after a restart, or has a new setpoint: give ``slot.rate_w`` to the battery."""

    slot: PlannedSlot


class SlotEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A slot is over and its one result is in the outbox."""

    slot: PlannedSlot
    judgement: Judgement
    result: ExecutionResult


class DefaultControl(msgspec.Struct, frozen=True, kw_only=True):
    """No slot covers this moment: give 0 W to the battery.

    :param since: since when.
    """

    since: datetime


DeviceEvent = (
    ScheduleAdmitted
    | ScheduleRepeated
    | ScheduleRefused
    | ScheduleSettled
    | SecurityAlert
    | SlotStarted
    | SlotEnded
    | DefaultControl
)


class DeviceAnnounced(msgspec.Struct, frozen=True, kw_only=True):
    """A device said hello: it is connected now."""

    hello: Hello


class DeliveryChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule's delivery moved forward.

    :param before: the state before; ``after``: the state now.
    :param reason: the device's words, for FAILED and DEAD.
    """

    schedule_id: str
    device_id: str
    before: State
    after: State
    trace_id: str
    reason: str = ""


class ResultReceived(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a slot arrived for the first time."""

    result: ExecutionResult


class AlarmRaised(msgspec.Struct, frozen=True, kw_only=True):
    """The first slot is near and the device has not said APPLIED."""

    schedule_id: str
    device_id: str
    first_slot: datetime
    state: State
    trace_id: str


class MessageRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a device was not understood, or is not about anything known; it was dropped.

    :param topic: where it came.
    """

    topic: str
    problem: Problem


CloudEvent = DeviceAnnounced | DeliveryChanged | ResultReceived | AlarmRaised | MessageRefused
