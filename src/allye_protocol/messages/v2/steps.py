"""The step between version 1 and version 2, up and down.

1. Upgrading is total: every valid message of version 1 has an upgrade. What version 1 does not say is absent, never invented.
2. Downgrading hands every loss to ``lose``, and raises where the loss would change what the message means: what a schedule
   asks for (its digest), or which slot a result is about.
3. Upgrading a downgraded message gives the same meaning: the digest of a schedule, its place in the order, its trace.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from allye_protocol.errors import MAX_REASON_CHARS, EncodeError, ErrorCode, Problem, code_of_reason, printable
from allye_protocol.messages import v1
from allye_protocol.messages.fields import EARLIEST
from allye_protocol.messages.v1 import AckStatus
from allye_protocol.messages.v2.answers import Ack, ExecutionResult, outcome_of
from allye_protocol.messages.v2.cancel import Cancel
from allye_protocol.messages.v2.fields import VERSION, ErrorDetail, sequence_at, trace_id_of
from allye_protocol.messages.v2.reports import DeviceStatus, ScheduleEvent
from allye_protocol.messages.v2.schedule import Schedule
from allye_protocol.tracing import trace_id_or_none

if TYPE_CHECKING:
    import msgspec

__all__ = ["DOWNGRADES", "UPGRADES", "Lose"]

Lose = Callable[[Problem], None]
"""Takes what a downgrade leaves behind."""

_SPAN_CHARS: Final = 16


def _upgrade_schedule(schedule: v1.Schedule) -> Schedule:
    return Schedule(
        schedule_id=schedule.schedule_id,
        device_id=schedule.device_id,
        version=VERSION,
        sequence=max(1, sequence_at(schedule.generated_at)),
        generated_at=schedule.generated_at,
        start=schedule.start,
        rates_w=tuple(schedule.rates_w),
        traceparent=_traceparent(schedule.trace_id),
    )


def _upgrade_ack(ack: v1.Ack) -> Ack:
    failed = ack.status is AckStatus.FAILED
    return Ack(
        schedule_id=ack.schedule_id,
        device_id=ack.device_id,
        version=VERSION,
        status=ack.status,
        timestamp=ack.timestamp,
        applied_at=(ack.applied_at or ack.timestamp) if ack.status is AckStatus.APPLIED else None,
        error=_error_of(ack.error_reason) or ErrorDetail(code=ErrorCode.INTERNAL_UNSPECIFIED) if failed else None,
        traceparent=_traceparent(ack.trace_id),
    )


def _upgrade_result(result: v1.ExecutionResult) -> ExecutionResult:
    error = _error_of(result.error_reason)
    return ExecutionResult(
        schedule_id=result.schedule_id,
        device_id=result.device_id,
        version=VERSION,
        slot_start=result.interval.start,
        slot_end=result.interval.end,
        status=result.status,
        actual_w=v1.watts(result.actual_rate_kw),
        timestamp=result.timestamp,
        outcome=outcome_of(result.status, None if error is None else error.known_code),
        error=error,
        traceparent=_traceparent(result.trace_id),
    )


def _downgrade_schedule(schedule: Schedule, lose: Lose) -> v1.Schedule:
    for path, is_lost, why in (
        ("/resolution_s", schedule.resolution != v1.RESOLUTION, "its slots last 1800 s"),
        ("/rates_w", len(schedule.rates_w) > v1.MAX_INTERVALS, f"it has at most {v1.MAX_INTERVALS} slots: split the schedule"),
        ("/rates_w", None in schedule.rates_w, "every slot of it has a setpoint: write 0 for rest"),
        ("/soc_min_pct", schedule.soc_min_pct is not None, "it has no limit on the state of charge"),
        ("/soc_max_pct", schedule.soc_max_pct is not None, "it has no limit on the state of charge"),
        ("/ramp_w_per_s", schedule.ramp_w_per_s is not None, "it has no ramp"),
        ("/start_jitter_s", schedule.start_jitter_s > 0, "it has no jitter"),
        ("/dry_run", schedule.dry_run, "it would be executed"),
    ):
        if is_lost:
            _refuse(path, why)
    generated_at = EARLIEST + timedelta(microseconds=schedule.sequence)
    if generated_at != schedule.generated_at:
        _lose(lose, "/generated_at", "it becomes the instant of the sequence, which orders schedules there")
    _lose_members(schedule, ("expires_at", "metadata"), lose)
    step = v1.RESOLUTION
    starts = [schedule.start + step * index for index in range(len(schedule.rates_w) + 1)]
    return v1.Schedule(
        schedule_id=schedule.schedule_id,
        device_id=schedule.device_id,
        version=1,
        generated_at=generated_at,
        intervals=tuple(
            v1.Interval(start=start, end=end, rate_kw=rate_w / 1000, mode=_mode(rate_w))
            for start, end, rate_w in zip(starts, starts[1:], schedule.rates_w, strict=False)
            if rate_w is not None
        ),
        trace_id=trace_id_of(schedule.traceparent),
    )


def _downgrade_ack(ack: Ack, lose: Lose) -> v1.Ack:
    lost = ("sequence", "digest", "received_at", "retryable", "retry_after_s", "supported_versions", "superseded", "clock")
    _lose_members(ack, lost, lose)
    return v1.Ack(
        schedule_id=ack.schedule_id,
        device_id=ack.device_id,
        status=ack.status,
        timestamp=ack.timestamp,
        applied_at=ack.applied_at,
        error_reason=_reason_of(ack.error, lose),
        trace_id=trace_id_of(ack.traceparent),
    )


def _downgrade_result(result: ExecutionResult, lose: Lose) -> v1.ExecutionResult:
    if result.slot_end - result.slot_start != v1.RESOLUTION or (result.slot_start - EARLIEST) % v1.RESOLUTION:
        _refuse("/slot_end", "its slots are half-hours")
    lost = ("outcome", "scheduled_w", "energy_charged_wh", "energy_discharged_wh", "soc_start_pct", "soc_end_pct")
    _lose_members(result, (*lost, "limiting", "coverage_pct"), lose)
    return v1.ExecutionResult(
        schedule_id=result.schedule_id,
        device_id=result.device_id,
        interval=v1.TimeSpan(start=result.slot_start, end=result.slot_end),
        status=result.status,
        actual_rate_kw=result.actual_w / 1000,
        timestamp=result.timestamp,
        error_reason=_reason_of(result.error, lose),
        trace_id=trace_id_of(result.traceparent),
    )


def _has_no_place(message: Cancel | ScheduleEvent | DeviceStatus, _lose: Lose) -> NoReturn:
    _refuse("", f"it has no {type(message).__name__}")


def _traceparent(trace_id: str | None) -> str | None:
    """The trace of a version-1 body as a context: its span is the first half of the id, or the second where that is zero."""
    whole = trace_id_or_none(trace_id)
    if whole is None:
        return None
    span = whole[:_SPAN_CHARS] if whole[:_SPAN_CHARS].strip("0") else whole[_SPAN_CHARS:]
    return f"00-{whole}-{span}-01"


def _error_of(reason: str | None) -> ErrorDetail | None:
    if reason is None:
        return None
    code = code_of_reason(reason)
    if code is None:
        return ErrorDetail(code=ErrorCode.INTERNAL_UNSPECIFIED, message=reason)
    return ErrorDetail(code=code, message=reason.removeprefix(code).removeprefix(":").strip())


def _reason_of(error: ErrorDetail | None, lose: Lose) -> str | None:
    if error is None:
        return None
    for name in ("slot", "value", "limit", "digest"):
        if getattr(error, name) is not None:
            _lose(lose, f"/error/{name}", "it has no place for it but the words of the reason")
    where = f" at {error.path}" if error.path else ""
    words = f"{error.message}{where}"
    if error.code == ErrorCode.INTERNAL_UNSPECIFIED:
        return printable(words, MAX_REASON_CHARS) or None
    return printable(f"{error.code}: {words}", MAX_REASON_CHARS)


def _mode(rate_w: int) -> v1.Mode:
    if rate_w == 0:
        return v1.Mode.IDLE
    return v1.Mode.CHARGE if rate_w > 0 else v1.Mode.DISCHARGE


def _lose_members(message: msgspec.Struct, names: tuple[str, ...], lose: Lose) -> None:
    for name in names:
        value = getattr(message, name)
        if value is not None and value not in ((), {}):
            _lose(lose, f"/{name}", "it has no place for it")


def _lose(lose: Lose, path: str, why: str) -> None:
    lose(Problem(code=ErrorCode.VERSION_DOWNGRADE_LOSES, message=f"version 1: {why}", path=path))


def _refuse(path: str, why: str) -> NoReturn:
    message = f"cannot be said in version 1: {why}"
    raise EncodeError(ErrorCode.VERSION_DOWNGRADE_LOSES, message, path=path, details={"version": 1})


UPGRADES: Final[dict[type, Callable[[Any], Any]]] = {
    v1.Schedule: _upgrade_schedule,
    v1.Ack: _upgrade_ack,
    v1.ExecutionResult: _upgrade_result,
}
DOWNGRADES: Final[dict[type, Callable[[Any, Lose], Any]]] = {
    Schedule: _downgrade_schedule,
    Ack: _downgrade_ack,
    ExecutionResult: _downgrade_result,
    Cancel: _has_no_place,
    ScheduleEvent: _has_no_place,
    DeviceStatus: _has_no_place,
}
