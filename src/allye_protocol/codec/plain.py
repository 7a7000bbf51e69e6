"""Whether a message that msgspec has just read is valid: the rules' half of every fast road.

What fields may hold alone has been checked while they were read. Here is looked at what is left: that instants are in UTC, that
numbers are finite, and what fields must be together. Each kind that comes often has a predicate that says yes to messages as
they usually are; for all others the complete rules of the version decide.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import spells_ids
from allye_protocol.messages import v1, v2
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.registry import KINDS, Spec, Written

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PLAIN"]

_HEX: Final = "0123456789abcdef"
_CODES: Final = frozenset(map(str, ErrorCode))
_HOUR: Final = timedelta(hours=1)
_APPLIED: Final = v2.AckStatus.APPLIED
_FAILED: Final = v2.AckStatus.FAILED
_SUCCEED: Final = v2.ExecutionStatus.SUCCEED
_FULL: Final = v2.Outcome.FULL


def _schedule(schedule: v2.Schedule) -> bool:
    expires_at = schedule.expires_at
    return (
        schedule.start.tzinfo is UTC
        and schedule.generated_at.tzinfo is UTC
        and (expires_at is None or expires_at.tzinfo is UTC)
        and v2.is_plain_schedule(schedule)
    )


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
        and (digest is None or not digest.strip(_HEX))
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
    applied_at = ack.applied_at
    return ack.timestamp.tzinfo is UTC and (applied_at is None or applied_at.tzinfo is UTC) and v1.is_plain_ack(ack)


def _v1_execution_result(result: v1.ExecutionResult) -> bool:
    span = result.interval
    return (
        span.start.tzinfo is UTC
        and span.end.tzinfo is UTC
        and result.timestamp.tzinfo is UTC
        and v1.is_plain_execution_result(result)
    )


_OFTEN: Final[dict[type, Callable[[Any], bool]]] = {
    v2.Schedule: _schedule,
    v2.Ack: _ack,
    v2.ExecutionResult: _execution_result,
    v2.ScheduleEvent: _schedule_event,
    v1.Ack: _v1_ack,
    v1.ExecutionResult: _v1_execution_result,
}


def _is_sound(value: object) -> bool:
    """Whether every instant is in UTC and every number finite."""
    if isinstance(value, msgspec.Struct):
        return all(_is_sound(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, tuple):
        return all(map(_is_sound, value))
    if isinstance(value, datetime):
        return value.tzinfo is UTC
    return not isinstance(value, float) or math.isfinite(value)


def _predicate(spec: Spec) -> Callable[[Any], bool]:
    often, problems = _OFTEN.get(spec.struct), spec.problems

    def is_plain(message: Written) -> bool:
        return (often is not None and often(message)) or (_is_sound(message) and not any(problems(message)))

    return is_plain


PLAIN: Final[dict[type, Callable[[Any], bool]]] = {spec.struct: _predicate(spec) for spec in KINDS.values()}
"""For each type: whether a message, the fields of which are right one by one, is valid and in UTC."""
