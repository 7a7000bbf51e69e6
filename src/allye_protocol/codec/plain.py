"""Whether a message that msgspec has just read is valid: the rules' half of every fast road.

What fields may hold alone has been checked while they were read. Here is looked at what is left: that instants are in UTC,
that numbers are finite, and what fields must be together. Each kind that comes often has a predicate that says yes to messages
as they usually are; for all others the complete rules of the version decide.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

import msgspec

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import spells_ids
from allye_protocol.messages import v1, v2
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.registry import KINDS, Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["IS_PLAIN", "IS_VALID", "is_in_utc"]

_HEX: Final = b"0123456789abcdef"
_CODES: Final = frozenset(map(str, ErrorCode))
_HOUR: Final = timedelta(hours=1)
_APPLIED: Final = v2.AckStatus.APPLIED
_FAILED: Final = v2.AckStatus.FAILED
_SUCCEED: Final = v2.ExecutionStatus.SUCCEED
_FULL: Final = v2.Outcome.FULL


def _ack(ack: v2.Ack) -> bool:
    status, at, received_at, applied_at = ack.status, ack.timestamp, ack.received_at, ack.applied_at
    error, digest = ack.error, ack.digest
    return (
        (error is None) is (status is not _FAILED)
        and (applied_at is None) is (status is not _APPLIED)
        and at.tzinfo is UTC
        and EARLIEST <= at < LATEST
        and (applied_at is None or (applied_at.tzinfo is UTC and EARLIEST <= applied_at < LATEST))
        and (received_at is None or (received_at.tzinfo is UTC and EARLIEST <= received_at < LATEST))
        and (digest is None or not digest.encode().translate(None, _HEX))
        and (error is None or _error(error))
        and spells_ids("".join((ack.schedule_id, ack.device_id, *ack.superseded)))
    )


def _error(error: v2.ErrorDetail) -> bool:
    value, limit = error.value, error.limit
    return (
        error.code in _CODES
        and error.digest is None
        and (value is None or math.isfinite(value))
        and (limit is None or math.isfinite(limit))
    )


def _execution_result(result: v2.ExecutionResult) -> bool:
    start, end, at, outcome, error = result.slot_start, result.slot_end, result.timestamp, result.outcome, result.error
    return (
        (outcome is None or (outcome is _FULL and result.status is _SUCCEED))
        and not result.limiting
        and start.tzinfo is UTC
        and end.tzinfo is UTC
        and at.tzinfo is UTC
        and EARLIEST <= start < end < LATEST
        and end - start <= _HOUR
        and not (start.microsecond or start.second or start.minute % 5)
        and not (end.microsecond or end.second or end.minute % 5)
        and EARLIEST <= at < LATEST
        and (error is None or _error(error))
        and spells_ids(result.schedule_id + result.device_id)
    )


def _schedule_event(event: v2.ScheduleEvent) -> bool:
    at, schedule_id, slot_start, error = event.timestamp, event.schedule_id, event.slot_start, event.error
    return (
        schedule_id is not None
        and event.sequence is not None
        and at.tzinfo is UTC
        and EARLIEST <= at < LATEST
        and (slot_start is None or (slot_start.tzinfo is UTC and EARLIEST <= slot_start < LATEST))
        and (error is None or _error(error))
        and spells_ids(schedule_id + event.device_id)
    )


def _v1_ack(ack: v1.Ack) -> bool:
    return v1.is_plain_ack(ack) and is_in_utc(ack)


def _v1_execution_result(result: v1.ExecutionResult) -> bool:
    return v1.is_plain_execution_result(result) and is_in_utc(result)


_OFTEN: Final[dict[type, Callable[[Any], bool]]] = {
    v2.Schedule: v2.is_plain_schedule,
    v2.Ack: _ack,
    v2.ExecutionResult: _execution_result,
    v2.ScheduleEvent: _schedule_event,
    v1.Ack: _v1_ack,
    v1.ExecutionResult: _v1_execution_result,
}


def _is_finite(value: object) -> bool:
    if isinstance(value, msgspec.Struct):
        return all(_is_finite(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _rules(spec: Spec) -> Callable[[Any], bool]:
    problems = spec.problems
    return lambda message: _is_finite(message) and not any(problems(message))


def _never(_message: object) -> bool:
    return False


IS_PLAIN: Final[dict[type, Callable[[Any], bool]]] = {spec.struct: _OFTEN.get(spec.struct, _never) for spec in KINDS.values()}
"""For each type: whether a message is plainly valid, and in UTC. A no says nothing."""
IS_VALID: Final[dict[type, Callable[[Any], bool]]] = {spec.struct: _rules(spec) for spec in KINDS.values()}
"""For each type: whether a message in UTC is valid."""


def _instants(struct: type[msgspec.Struct]) -> Iterator[str]:
    """The members of a message that are instants, those of an object within it too."""
    for field in msgspec.structs.fields(struct):
        bare = get_args(field.type)[0] if get_origin(field.type) is Annotated else field.type
        if _mentions(bare, datetime):
            yield field.name
        elif isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            yield from (f"{field.name}.{name}" for name in _instants(bare))


def _mentions(expected: object, kind: type) -> bool:
    return expected is kind or any(_mentions(argument, kind) for argument in get_args(expected))


def _in_utc(spec: Spec) -> Callable[[Any], bool]:
    getters = [attrgetter(name) for name in _instants(spec.struct)]

    def is_in_utc(message: Any) -> bool:
        for get in getters:
            instant = get(message)
            if instant is not None and instant.tzinfo is not UTC:
                return False
        return True

    return is_in_utc


_IN_UTC: Final[dict[type, Callable[[Any], bool]]] = {spec.struct: _in_utc(spec) for spec in KINDS.values()}


def is_in_utc(message: msgspec.Struct) -> bool:
    """Whether the instants of a message are in UTC; those of version 1's slots are not looked at."""
    return _IN_UTC[type(message)](message)
