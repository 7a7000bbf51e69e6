"""Messages for people: one fact a line, times in UTC, powers in watts with their sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.convert import upgrade
from allye_protocol.digest import digest
from allye_protocol.errors import code_of_reason
from allye_protocol.messages import v1, v2
from allye_protocol.messages.hello import Hello
from allye_protocol.messages.registry import BY_TYPE

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.messages import Written

__all__ = ["readable"]

Facts = Iterator[tuple[str, object]]
"""Names with texts; a fact that is ``None`` is not shown."""


def readable(message: Written) -> Iterator[str]:
    """The lines that describe a message. Texts of the message are in them as they came; printing makes them safe."""
    for name, value in _FACTS[type(message)](message):
        if value is not None:
            yield f"{name:<16}{value}".rstrip()


def _head(message: Any, name: str) -> Facts:
    yield name, message.schedule_id
    yield "device", message.device_id
    yield "version", BY_TYPE[type(message)].version


def _schedule(schedule: v1.Schedule | v2.Schedule) -> Facts:
    newest = upgrade(schedule)
    assert isinstance(newest, v2.Schedule)  # noqa: S101 - an upgrade keeps the kind
    hours_a_slot = newest.resolution_s / 3600
    rates_w = newest.rates_w
    slots = f"{len(rates_w)} slot{'' if len(rates_w) == 1 else 's'} of {newest.resolution_s // 60} min"
    yield from _head(schedule, "schedule")
    yield "generated", _instant(schedule.generated_at)
    yield "horizon", f"{_instant(newest.start)} to {_instant(newest.end)}, {slots}"
    yield "charging", f"{hours_a_slot * sum(rate for rate in rates_w if rate and rate > 0):,.0f} Wh"
    yield "discharging", f"{hours_a_slot * -sum(rate for rate in rates_w if rate and rate < 0):,.0f} Wh"
    modes: list[v1.Mode | None] = [None] * len(rates_w)
    if isinstance(schedule, v1.Schedule):
        modes = [slot.mode for slot in schedule.intervals]
        yield "own bound", None if schedule.max_power_kw is None else f"{v1.watts(schedule.max_power_kw):,} W"
        yield "trace", schedule.trace_id
    else:
        yield from _schedule_members(schedule)
    yield "digest", digest(newest)
    for index, (rate_w, mode) in enumerate(zip(rates_w, modes, strict=True)):
        power = "no setpoint" if rate_w is None else _power(rate_w)
        yield f"slot {index}", f"{_instant(newest.start + newest.resolution * index)}  {power:>13}  {mode or ''}"


def _schedule_members(schedule: v2.Schedule) -> Facts:
    yield "sequence", schedule.sequence
    yield "expires", _instant(schedule.expires_at)
    yield "lowest charge", _percent(schedule.soc_min_pct)
    yield "highest charge", _percent(schedule.soc_max_pct)
    yield "ramp", None if schedule.ramp_w_per_s is None else f"{schedule.ramp_w_per_s:,} W/s"
    yield "start jitter", f"{schedule.start_jitter_s} s" if schedule.start_jitter_s else None
    yield "dry run", "yes: nothing is executed" if schedule.dry_run else None
    yield "trace", schedule.traceparent
    for name, value in schedule.metadata.items():
        yield "label", f"{name} = {value}"


def _cancel(cancel: v2.Cancel) -> Facts:
    yield "cancel of", cancel.schedule_id or "everything"
    yield "device", cancel.device_id
    yield "version", cancel.version
    yield "sequence", cancel.sequence
    yield "from", _instant(cancel.effective_from) or "at once"
    yield "reason", cancel.reason
    yield "trace", cancel.traceparent


def _ack_1(ack: v1.Ack) -> Facts:
    yield from _head(ack, "ack of")
    yield "status", ack.status
    yield "at", _instant(ack.timestamp)
    yield "applied", _instant(ack.applied_at)
    yield from _reason(ack.error_reason)
    yield "trace", ack.trace_id


def _ack_2(ack: v2.Ack) -> Facts:
    yield from _head(ack, "ack of")
    yield "status", ack.status
    yield "at", _instant(ack.timestamp)
    yield "received", _instant(ack.received_at)
    yield "applied", _instant(ack.applied_at)
    yield from _error(ack.error)
    yield "retryable", None if ack.error is None else "yes" if ack.is_retryable else "no"
    yield "retry after", None if ack.retry_after_s is None else f"{ack.retry_after_s} s"
    yield "speaks", ", ".join(map(str, ack.supported_versions)) or None
    yield "superseded", ", ".join(ack.superseded) or None
    yield "sequence", ack.sequence
    yield "digest", ack.digest
    yield "clock", _clock(ack.clock)
    yield "trace", ack.traceparent


def _result_1(result: v1.ExecutionResult) -> Facts:
    yield from _head(result, "result of")
    yield "slot", f"{_instant(result.interval.start)} to {_instant(result.interval.end)}"
    yield "status", result.status
    yield "average power", _power(v1.watts(result.actual_rate_kw))
    yield "at", _instant(result.timestamp)
    yield from _reason(result.error_reason)
    yield "trace", result.trace_id


def _result_2(result: v2.ExecutionResult) -> Facts:
    yield from _head(result, "result of")
    yield "slot", f"{_instant(result.slot_start)} to {_instant(result.slot_end)}"
    yield "status", result.status
    yield "outcome", result.outcome
    yield "asked for", None if result.scheduled_w is None else _power(result.scheduled_w)
    yield "average power", _power(result.actual_w)
    yield "taken", _energy(result.energy_charged_wh)
    yield "given", _energy(result.energy_discharged_wh)
    yield "charge", _change(result.soc_start_pct, result.soc_end_pct)
    yield "limited by", ", ".join(result.limiting) or None
    yield "under control", _percent(result.coverage_pct)
    yield "at", _instant(result.timestamp)
    yield from _error(result.error)
    yield "trace", result.traceparent


def _event(event: v2.ScheduleEvent) -> Facts:
    yield "event", event.event
    yield "device", event.device_id
    yield "version", event.version
    yield "at", _instant(event.timestamp)
    yield "schedule", event.schedule_id
    yield "sequence", event.sequence
    yield "slot", _instant(event.slot_start)
    yield from _error(event.error)
    yield "trace", event.traceparent


def _status(status: v2.DeviceStatus) -> Facts:
    yield "status of", status.device_id
    yield "version", status.version
    yield "online", "yes" if status.online else "no"
    yield "at", _instant(status.timestamp)
    yield "state", status.state
    yield "power", None if status.power_w is None else _power(status.power_w)
    yield "charge", _percent(status.soc_pct)
    yield "schedule", status.schedule_id
    yield "clock", _clock(status.clock)


def _hello(hello: Hello) -> Facts:
    able = hello.capabilities
    yield "hello of", hello.device_id
    yield "versions", ", ".join(map(str, hello.versions))
    yield "content types", ", ".join(hello.content_types)
    yield "model", hello.model
    yield "firmware", hello.firmware
    yield "library", hello.library
    yield "power", f"{_power(able.max_charge_w)} to {_power(-able.max_discharge_w)} in steps of {able.power_step_w:,} W"
    yield "energy", f"{able.capacity_wh:,} Wh, used from {able.soc_min_pct:g} % to {able.soc_max_pct:g} %"
    yield "slot lengths", ", ".join(f"{length} s" for length in able.slot_lengths_s)


def _reason(reason: str | None) -> Facts:
    code = code_of_reason(reason)
    yield "reason", reason
    yield "retryable", None if code is None else "yes" if code.retryable else "no"


def _error(error: v2.ErrorDetail | None) -> Facts:
    if error is None:
        return
    yield "error", f"{error.code}: {error.message}" if error.message else error.code
    yield "place", error.path
    yield "slot index", error.slot
    yield "value", None if error.value is None else f"{error.value:,g}"
    yield "limit", None if error.limit is None else f"{error.limit:,g}"
    yield "other digest", error.digest


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _power(power_w: int) -> str:
    return f"{power_w:+,} W" if power_w else "0 W"


def _energy(energy_wh: float | None) -> str | None:
    return None if energy_wh is None else f"{energy_wh:,.0f} Wh"


def _percent(percent: float | None) -> str | None:
    return None if percent is None else f"{percent:g} %"


def _change(before: float | None, after: float | None) -> str | None:
    if before is None and after is None:
        return None
    return f"{_percent(before) or 'unknown'} to {_percent(after) or 'unknown'}"


def _clock(clock: v2.Clock | None) -> str | None:
    if clock is None:
        return None
    offset = "" if clock.offset_ms is None else f", {clock.offset_ms:+g} ms"
    return f"{'synchronised' if clock.synced else 'not synchronised'}{offset}"


_FACTS: Final[dict[type[Written], Callable[[Any], Facts]]] = {
    v1.Schedule: _schedule,
    v1.Ack: _ack_1,
    v1.ExecutionResult: _result_1,
    v2.Schedule: _schedule,
    v2.Cancel: _cancel,
    v2.Ack: _ack_2,
    v2.ExecutionResult: _result_2,
    v2.ScheduleEvent: _event,
    v2.DeviceStatus: _status,
    Hello: _hello,
}
