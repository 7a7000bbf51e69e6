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
from allye_protocol.messages.registry import BY_TYPE, KINDS, NEWEST, VERSIONS, Kind, Written, versions_of

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

    @property
    def versions(self) -> tuple[int, ...]:
        """All of them."""
        return _SPOKEN

    def decode(self, payload: bytes, kind: Kind) -> Written:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        read, clears = _fast(payload, kind)
        try:
            message = read(payload)
        except _PARSE_ERRORS:
            return _explained_message(payload, kind)
        return message if clears(payload, message) else _explained_message(payload, kind)

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        return _explained(payload, kind).problems

    def encode(self, message: Written) -> bytes:
        """Check and write; the proof that a peer will accept the bytes is that this library reads them."""
        spec = BY_TYPE[type(message)]
        kind = spec.kind
        read, clears = _FAST[kind, spec.version]
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


def _never_clears(_payload: bytes, _message: Written) -> bool:
    """A hello comes once a connection: the slow road is fast enough."""
    return False


_NOT_MARKS: Final = bytes(set(range(256)) - set(b",Z\\"))
"""Everything that is not counted. A long body is stripped of it first, as that takes less time than counting it twice."""
_CLEARS: Final[dict[tuple[Kind, int], Callable[[bytes, Any], bool]]] = {
    (Kind.SCHEDULE, 1): _clears_schedule,
    (Kind.ACK, 1): _clears_ack,
    (Kind.EXECUTION_RESULT, 1): _clears_execution_result,
}
"""The kinds that come often enough for a fast road."""
_FAST: Final = {key: (msgspec.json.Decoder(spec.struct).decode, _CLEARS.get(key, _never_clears)) for key, spec in KINDS.items()}
_OLDEST: Final = {kind: _FAST[kind, versions_of(kind)[0]] for kind in Kind}
_NEWEST: Final = {kind: _FAST[kind, versions_of(kind)[-1]] for kind in Kind}
_SAYS_NEWEST: Final = f'"version":{NEWEST}'.encode()


def _fast(payload: bytes, kind: Kind) -> tuple[Callable[[bytes], Any], Callable[[bytes, Any], bool]]:
    """How to read a body fast, by the version that it seems to have. A wrong guess costs time: its reader does not clear it."""
    return _NEWEST[kind] if _SAYS_NEWEST in payload else _OLDEST[kind]


_SPOKEN: Final = (0, *VERSIONS)
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
    explained = explain(tree, kind, _SPOKEN)
    if explained.message is not None:
        # The standard library takes NaN and infinities for numbers. In an unknown member nothing but msgspec refuses them.
        try:
            _FAST[kind, BY_TYPE[type(explained.message)].version][0](payload)
        except _PARSE_ERRORS as error:
            return Explained(None, [_malformed(str(error))])
    return explained


def _explained_message(payload: bytes, kind: Kind) -> Written:
    message, problems = _explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message


def _why_not_written(message: Written, kind: Kind, error: Exception) -> Problem:
    """The first problem of a message whose own encoding could not be read, or which has none."""
    for problem in _not_finite(message, ""):
        return problem
    if isinstance(error, DecodeError):
        return error.problem
    try:
        problems = _explained(_ENCODER.encode(message), kind).problems
    except (*_PARSE_ERRORS, TypeError):
        problems = []
    return problems[0] if problems else Problem(code=ErrorCode.MESSAGE_INVALID, message=f"cannot be written as JSON: {error}")


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
