"""JSON (RFC 8259): parsed once by msgspec, cleared by counting, explained only when something is wrong.

msgspec parses fast and checks each field, but lets some things pass that this protocol forbids. They are found without a
second pass over the members:

1. *Duplicate keys and unknown members.* Every member but the first of its object, and every element but the first of its
   array, costs exactly one comma. A body with just the commas that its decoded message accounts for has no member besides.
2. *Offsets other than Z.* The protocol's keys and enumerations have no ``Z``, so a body has one for each instant that is
   written with it.

Both counts hold only where the text is what the strings are: without a backslash. A body that is not cleared (unknown
members, other offsets, escapes, explicit nulls, and everything invalid) takes the slow road, which is complete by itself
(:mod:`allye_protocol.codec.explain`) and reads with the standard library's parser, where members can be seen as they came.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.codec.explain import Explained, Object, explain
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages import v1
from allye_protocol.messages.registry import BY_TYPE, KINDS, Kind, Message, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["JsonEncoding"]

MAX_INTEGER_DIGITS: Final = 400
"""Integers of more digits count as infinite: no field takes them, and converting them takes quadratic time."""


class JsonEncoding:
    """The JSON encoding of every message."""

    @property
    def content_type(self) -> str:
        """``application/json``."""
        return "application/json"

    def decode(self, payload: bytes, kind: Kind) -> Message:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        read, clears = _FAST[kind]
        try:
            message = read(payload)
        except _PARSE_ERRORS as error:
            raise DecodeError.of(_why_not(payload, kind, error)) from None
        return message if clears(payload, message) else _explained_message(payload, kind)

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        problems = _explained(payload, kind).problems
        if not problems:
            # The standard library takes NaN and infinities for numbers. In an unknown member nothing but msgspec refuses them.
            try:
                _FAST[kind][0](payload)
            except _PARSE_ERRORS as error:
                problems = [_malformed(str(error))]
        return problems

    def encode(self, message: Message) -> bytes:
        """Check and write; the proof that a peer will accept the bytes is that this library reads them."""
        kind = _KIND_OF[type(message)]
        read, clears = _FAST[kind]
        try:
            payload = _ENCODER.encode(message)
            checked = read(payload)
            if clears(payload, checked):
                return payload
            checked = _explained_message(payload, kind)
        except (DecodeError, *_PARSE_ERRORS, TypeError) as error:
            raise EncodeError.of(_why_not_written(message, kind, error)) from None
        # msgspec writes NaN as null, which an optional member would take for absence; and offsets are emitted as Z.
        for problem in _not_finite(message, ""):
            raise EncodeError.of(problem)
        return _ENCODER.encode(checked)


def _clears_schedule(payload: bytes, schedule: v1.Schedule) -> bool:
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


def _clears_ack(payload: bytes, ack: v1.Ack) -> bool:
    applied, reason, trace_id = ack.applied_at is not None, ack.error_reason, ack.trace_id
    texts = ack.schedule_id + ack.device_id + (reason or "") + (trace_id or "")
    return (
        b"\\" not in payload
        and payload.count(b",") == 3 + applied + (reason is not None) + (trace_id is not None) + texts.count(",")
        and payload.count(b"Z") == 1 + applied + texts.count("Z")
        and v1.is_plain_ack(ack)
    )


def _clears_execution_result(payload: bytes, result: v1.ExecutionResult) -> bool:
    reason, trace_id = result.error_reason, result.trace_id
    texts = result.schedule_id + result.device_id + (reason or "") + (trace_id or "")
    return (
        b"\\" not in payload
        and payload.count(b",") == 6 + (reason is not None) + (trace_id is not None) + texts.count(",")
        and payload.count(b"Z") == 3 + texts.count("Z")
        and v1.is_plain_execution_result(result)
    )


def _never_clears(_payload: bytes, _message: Message) -> bool:
    """A hello comes once a connection: the slow road is fast enough."""
    return False


_NOT_MARKS: Final = bytes(set(range(256)) - set(b",Z\\"))
"""Everything that is not counted. A long body is stripped of it first, as that takes less time than counting it twice."""
_CLEARS: Final[dict[Kind, Callable[[bytes, Any], bool]]] = {
    Kind.SCHEDULE: _clears_schedule,
    Kind.ACK: _clears_ack,
    Kind.EXECUTION_RESULT: _clears_execution_result,
    Kind.HELLO: _never_clears,
}
_FAST: Final = {
    kind: (msgspec.json.Decoder(KINDS[kind, versions_of(kind)[-1]].struct).decode, clears) for kind, clears in _CLEARS.items()
}
_KIND_OF: Final = {struct: spec.kind for struct, spec in BY_TYPE.items()}
_PARSE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)
_ENCODER: Final = msgspec.json.Encoder()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


_PARSER: Final = json.JSONDecoder(object_pairs_hook=Object.of, parse_int=_integer)


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
    return explain(tree, kind)


def _explained_message(payload: bytes, kind: Kind) -> Message:
    message, problems = _explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message


def _why_not(payload: bytes, kind: Kind, error: Exception) -> Problem:
    """The first problem of a payload that msgspec could not read."""
    problems = _explained(payload, kind).problems
    return problems[0] if problems else _malformed(str(error))


def _why_not_written(message: Message, kind: Kind, error: Exception) -> Problem:
    """The first problem of a message whose own encoding could not be read, or which has none."""
    for problem in _not_finite(message, ""):
        return problem
    if isinstance(error, DecodeError):
        return error.problem
    try:
        return _why_not(_ENCODER.encode(message), kind, error)
    except (*_PARSE_ERRORS, TypeError):
        return Problem(code=ErrorCode.MESSAGE_INVALID, message=f"cannot be written as JSON: {error}")


def _malformed(why: str) -> Problem:
    return Problem(code=ErrorCode.MESSAGE_MALFORMED, message=f"not a JSON text (RFC 8259): {why}")


def _not_finite(value: object, path: str) -> Iterator[Problem]:
    """Every number in a message that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(code=ErrorCode.MESSAGE_NON_FINITE_NUMBER, message=f"{value} is not a finite number", path=path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _not_finite(getattr(value, name), f"{path}/{name}")
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{path}/{index}")
