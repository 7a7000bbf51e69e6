"""Device ids and schedule ids: value types with one maker each.

An id is 1 to 64 characters of ``[A-Za-z0-9_-]``, ASCII, matched in full: it is one level of a topic and one word of a log
line, so nothing in it can widen a subscription, break out of a broker's ACL pattern or forge a line.
"""

from __future__ import annotations

from typing import Final, NewType

from allye_protocol.errors import ErrorCode, IdError

__all__ = ["MAX_ID_CHARS", "DeviceId", "ScheduleId", "device_id", "is_id", "schedule_id", "spells_ids"]

MAX_ID_CHARS: Final = 64

DeviceId = NewType("DeviceId", str)
"""The name of one device; make it with :func:`device_id`."""

ScheduleId = NewType("ScheduleId", str)
"""The name of one schedule's content, for ever; make it with :func:`schedule_id`."""


def is_id(text: str) -> bool:
    """Whether ``text`` is an id."""
    return 0 < len(text) <= MAX_ID_CHARS and spells_ids(text)


def spells_ids(text: str) -> bool:
    """Whether ids alone, one after another, could spell ``text``: every character is one of the alphabet."""
    # The ASCII characters of a Python identifier are those of an id but for the hyphen, and a digit may not come first.
    return text.isascii() and f"_{text.replace('-', '_')}".isidentifier()


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
