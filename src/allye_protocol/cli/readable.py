"""Messages for people: one fact a line, times in UTC, powers in watts with their sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.digest import digest
from allye_protocol.errors import code_of_reason
from allye_protocol.messages import Ack, ExecutionResult, Hello, Schedule, watts
from allye_protocol.messages.v1 import RESOLUTION

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.messages import Message

__all__ = ["readable"]

_HOURS_A_SLOT: Final = RESOLUTION.total_seconds() / 3600
Facts = Iterator[tuple[str, str | None]]


def readable(message: Message) -> Iterator[str]:
    """The lines that describe a message. Texts of the message are in them as they came; printing makes them safe."""
    for name, value in _FACTS[type(message)](message):
        if value is not None:
            yield f"{name:<16}{value}".rstrip()


def _schedule(schedule: Schedule) -> Facts:
    rates_w = [slot.rate_w for slot in schedule.intervals]
    slots = f"{len(rates_w)} slot{'' if len(rates_w) == 1 else 's'}"
    yield "schedule", schedule.schedule_id
    yield "device", schedule.device_id
    yield "version", str(schedule.version)
    yield "generated", _instant(schedule.generated_at)
    yield "horizon", f"{_instant(schedule.start)} to {_instant(schedule.end)}, {slots} of 30 min"
    yield "charging", f"{_HOURS_A_SLOT * sum(rate for rate in rates_w if rate > 0):,.0f} Wh"
    yield "discharging", f"{_HOURS_A_SLOT * -sum(rate for rate in rates_w if rate < 0):,.0f} Wh"
    yield "own bound", None if schedule.max_power_kw is None else f"{watts(schedule.max_power_kw):,} W"
    yield "trace", schedule.trace_id
    yield "digest", digest(schedule)
    for index, slot in enumerate(schedule.intervals):
        yield f"slot {index}", f"{_instant(slot.start)}  {_power(slot.rate_w):>13}  {slot.mode or ''}"


def _ack(ack: Ack) -> Facts:
    yield "ack of", ack.schedule_id
    yield "device", ack.device_id
    yield "status", ack.status
    yield "at", _instant(ack.timestamp)
    yield "applied", None if ack.applied_at is None else _instant(ack.applied_at)
    yield from _reason(ack.error_reason)
    yield "trace", ack.trace_id


def _execution_result(result: ExecutionResult) -> Facts:
    yield "result of", result.schedule_id
    yield "device", result.device_id
    yield "slot", f"{_instant(result.interval.start)} to {_instant(result.interval.end)}"
    yield "status", result.status
    yield "average power", _power(watts(result.actual_rate_kw))
    yield "at", _instant(result.timestamp)
    yield from _reason(result.error_reason)
    yield "trace", result.trace_id


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


def _instant(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _power(power_w: int) -> str:
    return f"{power_w:+,} W" if power_w else "0 W"


_FACTS: Final[dict[type[Message], Callable[[Any], Facts]]] = {
    Schedule: _schedule,
    Ack: _ack,
    ExecutionResult: _execution_result,
    Hello: _hello,
}
