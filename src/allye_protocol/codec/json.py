"""JSON (RFC 8259): parsed once by msgspec, cleared by counting, explained only when something is wrong.

msgspec parses fast and checks each field, but lets some things pass that this protocol forbids. They are found without a
second pass over the members:

1. *Duplicate keys and unknown members.* Every member but the first of its object, and every element but the first of its
   array, costs exactly one comma. A body with just the commas that its decoded message accounts for has no member besides.
2. *Offsets other than Z.* The protocol's keys and enumerations have no ``Z``, so a body has one for each instant that is
   written with it.

Both counts hold only where the text is what the strings are: ASCII without a backslash. A body that is not cleared (unknown
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
from allye_protocol.ids import is_id
from allye_protocol.messages import v1
from allye_protocol.messages.registry import BY_TYPE, KINDS, Kind, Message, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["JsonEncoding"]

MAX_INTEGER_DIGITS: Final = 400
"""Integers of more digits count as infinite: no field takes them, and converting them takes quadratic time."""


class JsonEncoding:
    """The JSON encoding of every message."""

    content_type: Final = "application/json"

    def decode(self, payload: bytes, kind: Kind) -> Message:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        return self._decode(payload, kind)[0]

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        problems = _explained(payload, kind).problems
        if not problems:
            # The two parsers agree on RFC 8259 but for lone surrogates and numbers in unknown members: msgspec is the stricter.
            try:
                _FAST[kind][0].decode(payload)
            except _PARSE_ERRORS as error:
                problems = [_malformed(str(error))]
        return problems

    def encode(self, message: Message) -> bytes:
        """Check and write; the proof that a peer will accept the bytes is that this library does."""
        spec = BY_TYPE[type(message)]
        try:
            payload = _ENCODER.encode(message)
            checked, cleared = self._decode(payload, spec.kind)
        except DecodeError as error:
            problem = next(_not_finite(message, ""), error.problem)
            raise EncodeError.of(problem) from None
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise EncodeError(ErrorCode.MESSAGE_INVALID, f"cannot be written as JSON: {error}") from error
        if cleared:
            return payload
        # msgspec writes NaN as null, which an optional member would take for absence; and offsets are emitted as Z.
        for problem in _not_finite(message, ""):
            raise EncodeError.of(problem)
        return _ENCODER.encode(checked)

    def _decode(self, payload: bytes, kind: Kind) -> tuple[Message, bool]:
        """The message, and whether the fast checks cleared it."""
        decoder, clears = _FAST[kind]
        try:
            message = decoder.decode(payload)
        except _PARSE_ERRORS as error:
            problems = _explained(payload, kind).problems or [_malformed(str(error))]
            raise DecodeError.of(problems[0]) from None
        if clears(payload, message):
            return message, True
        explained = _explained(payload, kind)
        if explained.message is None:
            raise DecodeError.of(explained.problems[0])
        return explained.message, False


def _clears_schedule(payload: bytes, schedule: v1.Schedule) -> bool:
    count = len(schedule.intervals)
    # 5 members and 3 in each interval; what there is beyond them can only be modes.
    commas, zs = _counts(payload, schedule.schedule_id + schedule.device_id, schedule.trace_id)
    modes = commas - (3 * count + 3 + (schedule.max_power_kw is not None))
    return (
        zs == 2 * count + 1
        and is_id(schedule.schedule_id)
        and is_id(schedule.device_id)
        and v1.EARLIEST <= schedule.generated_at < v1.LATEST
        and v1.on_grid(schedule)
        and (modes == 0 or modes == v1.modes_agree(schedule))
        and (schedule.max_power_kw is None or max(abs(slot.rate_kw) for slot in schedule.intervals) <= schedule.max_power_kw)
    )


def _clears_ack(payload: bytes, ack: v1.Ack) -> bool:
    commas, zs = _counts(payload, ack.schedule_id + ack.device_id, ack.trace_id, ack.error_reason)
    applied = ack.applied_at
    return (
        commas == 3 + (applied is not None)
        and zs == 1 + (applied is not None)
        and is_id(ack.schedule_id)
        and is_id(ack.device_id)
        and v1.EARLIEST <= ack.timestamp < v1.LATEST
        and (applied is None or v1.EARLIEST <= applied < v1.LATEST)
    )


def _clears_execution_result(payload: bytes, result: v1.ExecutionResult) -> bool:
    commas, zs = _counts(payload, result.schedule_id + result.device_id, result.trace_id, result.error_reason)
    return commas == 6 and zs == 3 and not any(v1.execution_result_problems(result))


def _never_clears(_payload: bytes, _message: Message) -> bool:
    """A hello comes once a connection: the slow road is fast enough."""
    return False


def _counts(payload: bytes, ids: str, *texts: str | None) -> tuple[int, int]:
    """The commas and the Zs of a body, less those that the texts and the optional members that hold them account for.

    A body with a backslash is not countable, and gets counts that nothing equals.
    """
    if b"\\" in payload:
        return -1, -1
    commas, zs = payload.count(b","), payload.count(b"Z") - ids.count("Z")
    for text in texts:
        if text is not None:
            commas -= 1 + text.count(",")
            zs -= text.count("Z")
    return commas, zs


_CLEARS: Final[dict[Kind, Callable[[bytes, Any], bool]]] = {
    Kind.SCHEDULE: _clears_schedule,
    Kind.ACK: _clears_ack,
    Kind.EXECUTION_RESULT: _clears_execution_result,
    Kind.HELLO: _never_clears,
}
_FAST: Final = {
    kind: (msgspec.json.Decoder(KINDS[kind, versions_of(kind)[-1]].struct), clears) for kind, clears in _CLEARS.items()
}
_PARSE_ERRORS: Final = (msgspec.DecodeError, RecursionError, ValueError, OverflowError)
_ENCODER: Final = msgspec.json.Encoder()


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


_PARSER: Final = json.JSONDecoder(object_pairs_hook=Object.of, parse_int=_integer)


def _explained(payload: bytes, kind: Kind) -> Explained:
    try:
        tree = _PARSER.decode(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Explained(None, [_malformed(f"not UTF-8 at byte {error.start}")])
    except RecursionError:
        return Explained(None, [_malformed("nested too deeply")])
    except ValueError as error:
        return Explained(None, [_malformed(str(error))])
    return explain(tree, kind)


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
