"""Known deviations of third-party devices: what each looks like, and why what is meant by it is beyond doubt.

1. A repair changes how a value is spelled, never what it says. Where two readings are possible there is no repair.
2. A repair looks at one value and at the type that belongs there. Whether the mended message keeps every rule is not for it to
   say: the strict checks are all run on it afterwards.
3. There is none for ids, digests and words that a closed set does not have; for times without an offset, numbers that are not
   finite, values out of range or with the wrong sign, and lists that are too long; for members that are missing (but for
   ``version``, where the rest of the body says it), misspelled, or there twice.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import inspect

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ABSENT", "REPAIRS", "UNMENDED", "Deviation", "DeviationCode", "Place", "Repair"]


class DeviationCode(StrEnum):
    """What a message does otherwise than this protocol says."""

    VERSION_AS_STRING = "version_as_string"
    VERSION_MISSING = "version_missing"
    NUMBER_AS_STRING = "number_as_string"
    INTEGER_AS_FLOAT = "integer_as_float"
    BOOLEAN_AS_STRING = "boolean_as_string"
    WORD_CASE = "word_case"
    NULL_FOR_ABSENT = "null_for_absent"
    TIME_SPELLING = "time_spelling"
    TEXT_TOO_LONG = "text_too_long"
    TRACE_UNREADABLE = "trace_unreadable"
    CONTENT_TYPE_UNKNOWN = "content_type_unknown"
    OFFSET_NOT_Z = "offset_not_z"
    MEMBER_UNKNOWN = "member_unknown"


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a message does otherwise, as a value.

    :param code: what.
    :param path: where, as a JSON Pointer (RFC 6901); empty for the message as a whole.
    :param found: what was there, shortened and printable; ``None`` for null and for nothing.
    :param taken: what it was taken for; ``None`` for nothing.
    """

    code: DeviationCode
    path: str
    found: str | int | float | bool | None
    taken: str | int | float | bool | None


class Place(NamedTuple):
    """A value that the strict checks refused.

    :param name: the member's name; for an element, that of its list.
    :param value: what is there.
    :param expected: what belongs there.
    :param required: whether something must be.
    """

    name: str
    value: object
    expected: inspect.Type
    required: bool


class _Nothing:
    """A value that stands for none."""


UNMENDED: Final = _Nothing()
"""A repair's answer to what it is not for."""
ABSENT: Final = _Nothing()
"""A repair's answer when the member is to be left out."""


class Repair(NamedTuple):
    """How one deviation is read.

    :param code: which.
    :param why: why nothing else can be meant, or why it does not matter.
    :param mend: the value that is meant, :data:`ABSENT` or :data:`UNMENDED`.
    """

    code: DeviationCode
    why: str
    mend: Callable[[Place], object]


MAX_NUMBER_CHARS: Final = 32
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<minute>[0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2}(?:[.,][0-9]{1,12})?)?"
    r" ?(?P<zone>[Zz]|(?P<hours>[+-][0-9]{2})(?::?(?P<minutes>[0-9]{2}))?)"
)
_BOOLEANS: Final = {"true": True, "false": False, "True": True, "False": False}
_FREE_TEXTS: Final = frozenset({"error_reason", "message", "model", "firmware", "library"})
_TRACES: Final = frozenset({"trace_id", "traceparent"})


def _version(place: Place) -> object:
    value = place.value
    if place.name != "version" or not isinstance(value, str) or len(value) > 3 or _INTEGER.fullmatch(value) is None:
        return UNMENDED
    return int(value)


def _number(place: Place) -> object:
    if not isinstance(place.value, str) or len(place.value) > MAX_NUMBER_CHARS or _NUMBER.fullmatch(place.value) is None:
        return UNMENDED
    if isinstance(place.expected, inspect.IntType) and _INTEGER.fullmatch(place.value) is not None:
        return int(place.value)
    if isinstance(place.expected, (inspect.IntType, inspect.FloatType)) and math.isfinite(number := float(place.value)):
        return number
    return UNMENDED


def _integer(place: Place) -> object:
    value = place.value
    of_integers = isinstance(place.expected, (inspect.IntType, inspect.LiteralType))
    return int(value) if of_integers and isinstance(value, float) and value.is_integer() else UNMENDED


def _boolean(place: Place) -> object:
    if not isinstance(place.expected, inspect.BoolType) or not isinstance(place.value, str):
        return UNMENDED
    return _BOOLEANS.get(place.value, UNMENDED)


def _word(place: Place) -> object:
    if not isinstance(place.expected, inspect.EnumType) or not isinstance(place.value, str):
        return UNMENDED
    meant = [member.value for member in place.expected.cls if member.value == place.value.upper()]
    return meant[0] if meant else UNMENDED


def _null(place: Place) -> object:
    return ABSENT if place.value is None and not place.required else UNMENDED


def _time(place: Place) -> object:
    if not isinstance(place.expected, inspect.DateTimeType) or not isinstance(place.value, str):
        return UNMENDED
    parts = _TIME.fullmatch(place.value)
    if parts is None:
        return UNMENDED
    second = (parts["second"] or ":00").replace(",", ".")
    zone = f"{parts['hours']}:{parts['minutes'] or '00'}" if parts["hours"] else "Z"
    meant = f"{parts['date']}T{parts['minute']}{second}{zone}"
    return meant if meant != place.value else UNMENDED


def _text(place: Place) -> object:
    if place.name not in _FREE_TEXTS or not isinstance(place.expected, inspect.StrType) or not isinstance(place.value, str):
        return UNMENDED
    most = place.expected.max_length
    return place.value[:most] if most is not None and len(place.value) > most else UNMENDED


def _trace(place: Place) -> object:
    return ABSENT if place.name in _TRACES and not place.required else UNMENDED


REPAIRS: Final = (
    Repair(
        DeviationCode.VERSION_AS_STRING,
        "a version is a whole number, and the string is one; whether it is spoken here is looked at afterwards",
        _version,
    ),
    Repair(
        DeviationCode.NUMBER_AS_STRING,
        "the string is a number as JSON writes it, with its sign and its point; a comma or a unit is not mended",
        _number,
    ),
    Repair(
        DeviationCode.INTEGER_AS_FLOAT,
        "1.0 and 1 are one number, and some languages know no other kind; 1.5 is not mended",
        _integer,
    ),
    Repair(
        DeviationCode.BOOLEAN_AS_STRING,
        "the string is the JSON word, or the one of Python; numbers and other words are not mended",
        _boolean,
    ),
    Repair(
        DeviationCode.WORD_CASE,
        "the words of a closed set differ in more than their case; a word that the set does not have is not mended",
        _word,
    ),
    Repair(
        DeviationCode.NULL_FOR_ABSENT,
        "the member may be absent, and null says nothing else",
        _null,
    ),
    Repair(
        DeviationCode.TIME_SPELLING,
        "ISO 8601 has more spellings of one instant than RFC 3339: no seconds, a comma, a space, an offset of hours; a time "
        "without an offset is not mended",
        _time,
    ),
    Repair(
        DeviationCode.TEXT_TOO_LONG,
        "words for people decide nothing, and their end less than their beginning, where the code is",
        _text,
    ),
    Repair(
        DeviationCode.TRACE_UNREADABLE,
        "a trace context that is not valid never makes a message invalid; it is left out",
        _trace,
    ),
)
"""Every repair of a single value, in the order in which they are tried."""
