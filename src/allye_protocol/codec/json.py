"""JSON (RFC 8259): parsed once by msgspec, cleared by comparing and counting, explained only when something is wrong.

msgspec parses fast and checks each field, but lets some things pass that this protocol forbids: duplicate keys, offsets other
than UTC. A body is cleared of them without a second parser:

1. A body that is byte for byte what this library writes for the message that was read holds that message and nothing else.
2. Any other is cleared by the commas in it (:mod:`allye_protocol.codec.members`), and a schedule of version 1, which has many
   instants, by the letter Z too: keys and enumerations have none, so there is one for each instant that is written with it.
   Both hold only where the text is what the strings are: without a backslash.

A body that is not cleared (unknown members, other offsets, escapes, and everything invalid) takes the slow road, which is
complete by itself (:mod:`allye_protocol.codec.explain`) and reads with the standard library's parser, where members can be seen
as they came.

What is written here needs no clearing: it is read back, which checks every field, compared and looked at once.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.codec.base import JSON
from allye_protocol.codec.explain import Explained, Object, explain
from allye_protocol.codec.members import has_only_members_json
from allye_protocol.codec.plain import IS_PLAIN, IS_VALID, is_in_utc
from allye_protocol.codec.refusal import checked
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages import v1
from allye_protocol.messages.registry import BY_TYPE, KINDS, NEWEST, VERSIONS, Kind, Spec, Written, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAST", "JsonEncoding"]

MAX_INTEGER_DIGITS: Final = 400
"""Integers of more digits are not converted: no field takes them, and converting them takes quadratic time."""


class JsonEncoding:
    """The JSON encoding of every message."""

    @property
    def content_type(self) -> str:
        """``application/json``."""
        return JSON

    @property
    def versions(self) -> tuple[int, ...]:
        """All of them."""
        return _SPOKEN

    def decode(self, payload: bytes, kind: Kind) -> Written:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        message = FAST[kind](payload)
        return _explained_message(payload, kind) if message is None else message

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        return _explained(payload, kind).problems

    def encode(self, message: Written) -> bytes:
        """Check and write; the proof that a peer will accept the bytes is that this library reads them."""
        try:
            payload = _write(message)
            if _IS_WRITTEN[type(message)](payload, message):
                return payload
        except (*_PARSE_ERRORS, TypeError):
            pass
        complete = checked(message)
        try:
            return _write(complete)
        except (*_PARSE_ERRORS, TypeError) as error:
            raise EncodeError(ErrorCode.MESSAGE_INVALID, f"cannot be written as JSON: {error}") from None


def _clears_v1_schedule(payload: bytes, schedule: v1.Schedule) -> bool:
    count, trace_id = len(schedule.intervals), schedule.trace_id
    texts = schedule.schedule_id + schedule.device_id + (trace_id or "")
    marks = payload.translate(None, _NOT_MARKS)
    # 5 members, and 3 in each interval; what there is beyond them can only be modes.
    modes = marks.count(b",") - (
        3 * count + 3 + (schedule.max_power_kw is not None) + (trace_id is not None) + texts.count(",")
    )
    if b"\\" in marks or marks.count(b"Z") != 2 * count + 1 + texts.count("Z"):
        return False
    if modes in (0, count) and v1.is_plain_schedule(schedule, with_modes=modes == count):
        return True
    return modes == sum(slot.mode is not None for slot in schedule.intervals) and not any(v1.schedule_problems(schedule))


_NOT_MARKS: Final = bytes(set(range(256)) - set(b",Z\\"))
"""Everything that is not counted. A long body is stripped of it first, as that takes less time than counting it twice."""


def _fast(spec: Spec) -> Callable[[bytes], Any]:
    """Reads bodies of one kind and version: a function that returns ``None`` for one that it does not clear."""
    read, is_v1_schedule = _READ[spec.struct], spec.struct is v1.Schedule
    write, is_plain, is_valid = _write, IS_PLAIN[spec.struct], IS_VALID[spec.struct]

    def read_v1_schedule(payload: bytes) -> Any:
        try:
            schedule = read(payload)
        except _PARSE_ERRORS:
            return None
        return schedule if _clears_v1_schedule(payload, schedule) else None

    def read_plainly(payload: bytes) -> Any:
        try:
            message = read(payload)
            is_ours = write(message) == payload or (b"\\" not in payload and has_only_members_json(payload, message))
        except _PARSE_ERRORS:
            return None
        return message if is_ours and (is_plain(message) or (is_in_utc(message) and is_valid(message))) else None

    return read_v1_schedule if is_v1_schedule else read_plainly


def _by_version(kind: Kind) -> Callable[[bytes], Any]:
    """Reads bodies of one kind by the version that they seem to have, and by the other where that was a wrong guess."""
    roads = [_fast(KINDS[kind, version]) for version in versions_of(kind)]
    oldest, newest = roads[0], roads[-1]

    def guessing(payload: bytes) -> Any:
        # A version is said near the beginning, by most.
        if payload.find(_SAYS_NEWEST, 0, _NEAR) < 0:
            return oldest(payload) or newest(payload)
        return newest(payload) or oldest(payload)

    return guessing if len(roads) > 1 else newest


def _is_written(spec: Spec) -> Callable[[bytes, Written], bool]:
    """Whether a body that was just written is as it should be; whatever reading it raises says no as well.

    It must be the message that is read back: msgspec writes NaN as null and bytes as a text.
    """
    read, is_v1_schedule = _READ[spec.struct], spec.struct is v1.Schedule
    is_plain, is_valid = IS_PLAIN[spec.struct], IS_VALID[spec.struct]

    def is_written(payload: bytes, message: Written) -> bool:
        same = read(payload)
        if same != message:
            return False
        if is_v1_schedule:
            return _clears_v1_schedule(payload, same)
        return is_plain(same) or (is_in_utc(same) and is_valid(same))

    return is_written


_write: Final = msgspec.json.Encoder().encode
_PARSE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)
_READ: Final[dict[type, Callable[[bytes], Any]]] = {struct: msgspec.json.Decoder(struct).decode for struct in BY_TYPE}
FAST: Final[dict[str, Callable[[bytes], Any]]] = {kind: _by_version(kind) for kind in Kind}
"""The fast road of each kind: a message, or ``None`` for a body that is not cleared."""
_SAYS_NEWEST: Final = f'"version":{NEWEST}'.encode()
_NEAR: Final = 256
_IS_WRITTEN: Final = {struct: _is_written(spec) for struct, spec in BY_TYPE.items()}
_SPOKEN: Final = (0, *VERSIONS)


class _Unread(float):
    """What is read where no number of this protocol stands: NaN, infinities, integers of too many digits."""


_LARGEST: Final = int(sys.float_info.max)
"""Beyond it an integer is no double either, and msgspec 0.19 fails in converting it."""


def _integer(digits: str) -> int | float:
    value = int(digits) if len(digits) <= MAX_INTEGER_DIGITS else None
    return _Unread(math.inf) if value is None or abs(value) > _LARGEST else value


def _real(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _Unread(value)


_PARSER: Final = json.JSONDecoder(object_pairs_hook=Object.of, parse_int=_integer, parse_float=_real, parse_constant=_Unread)


def _explained(payload: bytes, kind: Kind) -> Explained:
    try:
        tree = _PARSER.decode(payload.decode("utf-8"))
        if b"\\ud" in payload.lower():
            json.dumps(tree, ensure_ascii=False).encode("utf-8")  # fails for half of a surrogate pair, which is no character
    except UnicodeDecodeError as error:
        return Explained(None, [_malformed(f"not UTF-8 at byte {error.start}")])
    except RecursionError:
        return Explained(None, [_malformed("nested too deeply")])
    except ValueError as error:
        return Explained(None, [_malformed(str(error))])
    explained = explain(tree, kind, _SPOKEN)
    if explained.message is not None:
        # In an unknown member the standard library reads some things, NaN among them, that RFC 8259 has not.
        try:
            _READ[type(explained.message)](payload)
        except _PARSE_ERRORS as error:
            return Explained(None, [_malformed(str(error))])
    return explained


def _explained_message(payload: bytes, kind: Kind) -> Written:
    message, problems = _explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message


def _malformed(why: str) -> Problem:
    return Problem(code=ErrorCode.MESSAGE_MALFORMED, message=f"not a JSON text (RFC 8259): {why}")
