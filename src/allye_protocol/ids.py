"""Device ids and schedule ids: value types with one maker each.

An id is 1 to 64 characters of ``[A-Za-z0-9_-]``, ASCII, matched in full: it is one level of a topic and one word of a log
line, so nothing in it can widen a subscription, break out of a broker's ACL pattern or forge a line.
"""

from __future__ import annotations

import string
from typing import Final, NewType

from allye_protocol.errors import ErrorCode, IdError

__all__ = ["MAX_ID_CHARS", "DeviceId", "ScheduleId", "device_id", "is_id", "schedule_id"]

MAX_ID_CHARS: Final = 64
ID_ALPHABET: Final = string.ascii_letters + string.digits + "_-"

DeviceId = NewType("DeviceId", str)
"""The name of one device; make it with :func:`device_id`."""

ScheduleId = NewType("ScheduleId", str)
"""The name of one schedule's content, for ever; make it with :func:`schedule_id`."""


def is_id(text: str) -> bool:
    """Whether ``text`` is an id. Stripping every allowed character leaves nothing exactly when no other is in it."""
    return 0 < len(text) <= MAX_ID_CHARS and not text.strip(ID_ALPHABET)


def device_id(text: str) -> DeviceId:
    """Make a device id.

    :raises IdError: ``message.invalid`` when ``text`` is not an id.
    """
    return DeviceId(_checked(text, "device id"))


def schedule_id(text: str) -> ScheduleId:
    """Make a schedule id.

    :raises IdError: ``message.invalid`` when ``text`` is not an id.
    """
    return ScheduleId(_checked(text, "schedule id"))


def _checked(text: str, what: str) -> str:
    if is_id(text):
        return text
    shown = repr(text)
    if len(shown) > MAX_ID_CHARS + 2:
        shown = shown[:MAX_ID_CHARS] + "..."
    raise IdError(ErrorCode.MESSAGE_INVALID, f"a {what} is 1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ -, not {shown}")
