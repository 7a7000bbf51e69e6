"""ScheduleEvent and DeviceStatus, version 2: what a device tells without being asked."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.messages.fields import id_problems, instant_problems
from allye_protocol.messages.v2.fields import (
    Clock,
    DeviceIdField,
    ErrorDetail,
    Instant,
    Percent,
    ScheduleIdField,
    SequenceField,
    TraceparentField,
    Version,
    Watts,
    error_problems,
    trace_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BatteryState", "DeviceStatus", "EventType", "ScheduleEvent", "device_status_problems", "schedule_event_problems"]


class EventType(StrEnum):
    """What happened to a schedule, or to the device's control."""

    STARTED = "STARTED"
    """The first slot of a schedule that is executed has begun."""
    SUPERSEDED = "SUPERSEDED"
    """Newer schedules cover all that was left of it."""
    CANCELLED = "CANCELLED"
    """The answer to a cancel; with an ``error`` when it was refused."""
    EXPIRED = "EXPIRED"
    """Its horizon passed before it was applied."""
    COMPLETED = "COMPLETED"
    """Its last slot is over and reported."""
    OVERRIDDEN = "OVERRIDDEN"
    """Somebody else controls the battery."""
    FALLBACK_ENTERED = "FALLBACK_ENTERED"
    """The default control applies although the plan has a setpoint."""
    FALLBACK_LEFT = "FALLBACK_LEFT"
    """The plan is followed again."""


OF_A_SCHEDULE: Final = frozenset({EventType.STARTED, EventType.SUPERSEDED, EventType.EXPIRED, EventType.COMPLETED})
"""The events that name the schedule they are about."""


class ScheduleEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something that happened to a schedule after it was answered, or to the device's control."""

    device_id: DeviceIdField
    version: Version
    event: Annotated[EventType, Meta(description="What happened.")]
    timestamp: Annotated[
        Instant,
        Meta(
            description="The device's time of the event: RFC 3339 with an offset. With device and event it names it for ever.",
            examples=["2018-07-01T10:00:00.5Z"],
        ),
    ]
    schedule_id: ScheduleIdField | None = None
    sequence: (
        Annotated[
            SequenceField,
            Meta(
                extra_json_schema={
                    "description": "With CANCELLED: the sequence of the cancel that is answered. Else that of the schedule."
                }
            ),
        ]
        | None
    ) = None
    slot_start: (
        Annotated[
            Instant, Meta(description="The slot in which it happened, by its first instant.", examples=["2018-07-01T10:00:00Z"])
        ]
        | None
    ) = None
    error: (
        Annotated[ErrorDetail, Meta(description="Why, where there is a reason; with CANCELLED: why it was refused.")] | None
    ) = None
    traceparent: TraceparentField | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace that the body names, if it names a valid one."""
        return trace_id_of(self.traceparent)


class BatteryState(StrEnum):
    """What state the battery is in."""

    OFF = "OFF"
    INITIALISING = "INITIALISING"
    STANDBY = "STANDBY"
    READY = "READY"
    CHARGING = "CHARGING"
    DISCHARGING = "DISCHARGING"
    FAULT = "FAULT"
    LOCAL = "LOCAL"
    COMMS_LOST = "COMMS_LOST"
    ESTOP = "ESTOP"


class DeviceStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """How a device is, retained; also its last will, which the broker publishes for it with online false."""

    device_id: DeviceIdField
    version: Version
    online: Annotated[bool, Meta(description="Whether the device is connected. The last will says false.")]
    timestamp: Annotated[
        Instant,
        Meta(
            description="The device's time: RFC 3339 with an offset. In a last will, that of its last connection.",
            examples=["2018-07-01T10:00:00Z"],
        ),
    ]
    power_w: Annotated[Watts, Meta(description="Power at the AC terminals, W; positive charges.", examples=[74_600])] | None = (
        None
    )
    soc_pct: Annotated[Percent, Meta(description="State of charge, %.", examples=[52.0])] | None = None
    state: Annotated[BatteryState, Meta(description="The battery's state.")] | None = None
    schedule_id: (
        Annotated[ScheduleIdField, Meta(extra_json_schema={"description": "The schedule whose slot is running, if one is."})]
        | None
    ) = None
    clock: Annotated[Clock, Meta(description="What the device knows of its own time.")] | None = None

    @property
    def trace_id(self) -> str | None:
        """A status belongs to no trace."""
        return None


def schedule_event_problems(event: ScheduleEvent) -> Iterator[Problem]:
    """Everything that is wrong with an event whose fields are right one by one."""
    yield from id_problems(event.schedule_id, event.device_id)
    yield from instant_problems(event.timestamp, "/timestamp")
    yield from instant_problems(event.slot_start, "/slot_start")
    yield from error_problems(event.error, "/error")
    if event.event in OF_A_SCHEDULE and event.schedule_id is None:
        message = f"{event.event} is about a schedule and must name it"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/schedule_id")
    if event.event is EventType.CANCELLED and event.sequence is None:
        message = "CANCELLED answers a cancel and must have its sequence"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/sequence")


def device_status_problems(status: DeviceStatus) -> Iterator[Problem]:
    """Everything that is wrong with a status whose fields are right one by one."""
    yield from id_problems(status.schedule_id, status.device_id)
    yield from instant_problems(status.timestamp, "/timestamp")
