"""What a session tells its app: values, in the order in which things happened.

An event is information, except for two that ask for something: :class:`ScheduleAdmitted` wants the battery armed and
``applied`` or ``failed`` called, and :class:`SlotStarted` and :class:`DefaultControl` want a setpoint given.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from allye_protocol.codec.tolerant import Deviation
from allye_protocol.delivery import Delivery, State
from allye_protocol.errors import Problem
from allye_protocol.execution import Judgement
from allye_protocol.messages import AckStatus, Cancel, DeviceStatus, ExecutionResult, Hello, Kind, Schedule, ScheduleEvent
from allye_protocol.store.base import PlannedSlot

__all__ = [
    "AlarmRaised",
    "CloudEvent",
    "DefaultControl",
    "DeliveryChanged",
    "DeliveryHeld",
    "DeviationsTolerated",
    "DeviceAnnounced",
    "DeviceEvent",
    "DeviceUnreachable",
    "EventReceived",
    "EventReported",
    "MessageRefused",
    "ResultReceived",
    "ScheduleAdmitted",
    "ScheduleCancelled",
    "ScheduleRefused",
    "ScheduleRepeated",
    "ScheduleSettled",
    "SecurityAlert",
    "SlotEnded",
    "SlotStarted",
    "StatusReceived",
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


class ScheduleCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """A cancel was taken, and answered. What it leaves to execute follows from the next tick.

    :param cancel: what it takes back.
    :param cut: the applied schedules of which something was taken out of the plan.
    :param repeated: it came before; only the answer was sent again.
    """

    cancel: Cancel
    cut: tuple[str, ...]
    repeated: bool
    trace_id: str


class ScheduleRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A message from the cloud was refused, and answered so.

    :param reference: the schedule's id, or the payload's SHA-256 where no id could be read or a cancel was refused unread; of a
        cancel without a schedule, its sequence.
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
    """A slot begins, is joined after a restart, or has a new setpoint: give it to the battery.

    :param setpoint_w: what to give, W; ``None`` for the default control, 0 W: the slot has no setpoint, not yet, or no longer.
    """

    slot: PlannedSlot
    setpoint_w: int | None


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


class EventReported(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a schedule or to the control; where the cloud speaks version 2, it is in the outbox."""

    event: ScheduleEvent


DeviceEvent = (
    ScheduleAdmitted
    | ScheduleRepeated
    | ScheduleCancelled
    | ScheduleRefused
    | ScheduleSettled
    | SecurityAlert
    | SlotStarted
    | SlotEnded
    | DefaultControl
    | EventReported
)


class DeviceAnnounced(msgspec.Struct, frozen=True, kw_only=True):
    """A device said hello: it is connected now."""

    hello: Hello


class DeviceUnreachable(msgspec.Struct, frozen=True, kw_only=True):
    """A device said a hello that leaves no common version or encoding: what is for it waits until it says another.

    :param problem: ``version.unsupported`` or ``version.no_common_encoding``, with both sides and which one to upgrade.
    """

    device_id: str
    problem: Problem


class DeliveryHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery cannot be sent in what its device speaks now, and waits. It is tried again with the device's next hello.

    :param delivery_id: see :attr:`~allye_protocol.delivery.Delivery.delivery_id`.
    :param kind: schedule or cancel.
    :param schedule_id: the schedule; of a cancel the one that it takes back, if it names one.
    :param problem: ``version.downgrade_loses`` with the member's path, or what :class:`DeviceUnreachable` says.
    """

    delivery_id: str
    kind: Kind
    schedule_id: str | None
    device_id: str
    problem: Problem
    trace_id: str


class DeliveryChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of a schedule or a cancel moved forward.

    :param delivery_id: see :attr:`~allye_protocol.delivery.Delivery.delivery_id`.
    :param kind: schedule or cancel.
    :param schedule_id: the schedule; of a cancel the one that it takes back, if it names one.
    :param before: the state before; ``after``: the state now.
    :param reason: the device's words, for FAILED and DEAD.
    """

    delivery_id: str
    kind: Kind
    schedule_id: str | None
    device_id: str
    before: State
    after: State
    trace_id: str
    reason: str = ""

    @classmethod
    def between(cls, before: Delivery, after: Delivery) -> DeliveryChanged:
        """The change from one state of a delivery to another."""
        return cls(
            delivery_id=after.delivery_id,
            kind=after.kind,
            schedule_id=after.schedule_id,
            device_id=after.device_id,
            before=before.state,
            after=after.state,
            trace_id=after.trace_id,
            reason=after.reason,
        )


class ResultReceived(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a slot arrived for the first time."""

    result: ExecutionResult


class EventReceived(msgspec.Struct, frozen=True, kw_only=True):
    """A device told, for the first time, what happened to a schedule or to its control."""

    event: ScheduleEvent


class StatusReceived(msgspec.Struct, frozen=True, kw_only=True):
    """A device's status: its own, or with ``online`` false its last will, which the broker published when it went away."""

    status: DeviceStatus


class DeviationsTolerated(msgspec.Struct, frozen=True, kw_only=True):
    """A device's message was taken although it deviates from the protocol in known ways; its maker should mend them.

    :param kind: what the message is.
    :param deviations: each with its code, its place, what was found and what it was taken for.
    """

    device_id: str
    kind: Kind
    deviations: tuple[Deviation, ...]


class AlarmRaised(msgspec.Struct, frozen=True, kw_only=True):
    """The first slot of a schedule, or the instant from which on a cancel counts, is near, and the device has not confirmed it.

    :param delivery_id: see :attr:`~allye_protocol.delivery.Delivery.delivery_id`.
    :param kind: schedule or cancel.
    :param schedule_id: the schedule; of a cancel the one that it takes back, if it names one.
    :param starts: that instant.
    """

    delivery_id: str
    kind: Kind
    schedule_id: str | None
    device_id: str
    starts: datetime
    state: State
    trace_id: str


class MessageRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a device was not understood, or is not about anything known; it was dropped.

    :param topic: where it came.
    """

    topic: str
    problem: Problem


CloudEvent = (
    DeviceAnnounced
    | DeviceUnreachable
    | DeliveryHeld
    | DeliveryChanged
    | ResultReceived
    | EventReceived
    | StatusReceived
    | DeviationsTolerated
    | AlarmRaised
    | MessageRefused
    | SecurityAlert
)
