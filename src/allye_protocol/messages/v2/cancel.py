"""Cancel, version 2: what the cloud takes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.messages.fields import id_problems, instant_problems
from allye_protocol.messages.v2.fields import (
    DeviceIdField,
    Instant,
    ScheduleIdField,
    SequenceField,
    TraceparentField,
    Version,
    trace_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

__all__ = ["Cancel", "cancel_problems"]


class Cancel(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Take back one schedule, or everything from an instant on. An empty payload never means cancel."""

    device_id: DeviceIdField
    version: Version
    sequence: SequenceField
    schedule_id: (
        Annotated[
            ScheduleIdField,
            Meta(
                extra_json_schema={
                    "description": (
                        "The schedule that is taken back, whether the device has it or not: its id stays unusable. Absent: "
                        "everything from effective_from on."
                    )
                }
            ),
        ]
        | None
    ) = None
    effective_from: (
        Annotated[
            Instant,
            Meta(
                description=(
                    "From this instant on nothing of what is taken back is in the plan: RFC 3339 with an offset. Absent with "
                    "schedule_id: at once, a running slot too. A slot that it lies in ends there by the default control."
                ),
                examples=["2018-07-01T12:00:00Z"],
            ),
        ]
        | None
    ) = None
    reason: Annotated[str, Meta(max_length=256, description="Why, for people.", examples=["grid outage announced"])] | None = (
        None
    )
    traceparent: TraceparentField | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace that the body names, if it names a valid one."""
        return trace_id_of(self.traceparent)

    def begins(self, now: datetime) -> datetime:
        """From when on it counts, for a device that takes it at ``now``."""
        return now if self.effective_from is None else max(now, self.effective_from)


def cancel_problems(cancel: Cancel) -> Iterator[Problem]:
    """Everything that is wrong with a cancellation whose fields are right one by one."""
    yield from id_problems(cancel.schedule_id, cancel.device_id)
    yield from instant_problems(cancel.effective_from, "/effective_from")
    if cancel.schedule_id is None and cancel.effective_from is None:
        message = "a cancel names a schedule, or the instant from which on everything is taken back"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/effective_from")
