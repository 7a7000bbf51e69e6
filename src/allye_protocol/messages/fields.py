"""Fields that messages of more than one version share: ids, instants and texts, with what is wrong with them.

A message module of a version takes its fields from here, so an id or a time is the same thing in each.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import MAX_ID_CHARS, DeviceId, ScheduleId, is_id
from allye_protocol.messages.patterns import ID_SCHEMA, INSTANT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "EARLIEST",
    "LATEST",
    "DeviceIdField",
    "Instant",
    "ScheduleIdField",
    "Text",
    "id_problems",
    "instant_problems",
    "shown",
]

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Instants lie in ``[EARLIEST, LATEST)``: room for a device that boots in 1970, and no arithmetic on them can overflow."""

Instant = Annotated[datetime, Meta(tz=True, extra_json_schema=INSTANT_SCHEMA)]
Text = Annotated[str, Meta(max_length=1024)]
ScheduleIdField = Annotated[
    ScheduleId,
    Meta(
        min_length=1,
        max_length=MAX_ID_CHARS,
        description=(
            "Names one content for ever: 1 to 64 characters of A-Z a-z 0-9 _ -. A changed plan is a new id, so a repeated "
            "delivery can be told from a new plan."
        ),
        examples=["plan-2018-07-01-a"],
        extra_json_schema=ID_SCHEMA,
    ),
]
DeviceIdField = Annotated[
    DeviceId,
    Meta(
        min_length=1,
        max_length=MAX_ID_CHARS,
        description=(
            "The device that the message is for, or comes from: 1 to 64 characters of A-Z a-z 0-9 _ -. It stands in the "
            "topic too; the receiver refuses a message in which the two differ."
        ),
        examples=["max300-0001"],
        extra_json_schema=ID_SCHEMA,
    ),
]


def id_problems(schedule: str | None, device: str) -> Iterator[Problem]:
    """What is wrong with the ids of a message; a message without a schedule's id has ``None``."""
    for text, path in ((schedule, "/schedule_id"), (device, "/device_id")):
        if text is not None and not is_id(text):
            message = f"an id is 1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ -"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)


def instant_problems(instant: datetime | None, path: str) -> Iterator[Problem]:
    """What is wrong with an instant, if there is one."""
    if instant is not None and not EARLIEST <= instant < LATEST:
        message = f"{instant.isoformat()} is not between {EARLIEST.year} and {LATEST.year}"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)


def shown(instant: datetime) -> str:
    """An instant in UTC as this protocol writes it."""
    return instant.isoformat().replace("+00:00", "Z")
