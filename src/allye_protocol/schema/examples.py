"""Whole messages that show how each kind is used; they are valid, and a test decodes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages.hello import Capabilities, Hello
from allye_protocol.messages.registry import Kind, Message
from allye_protocol.messages.v1 import (
    RESOLUTION,
    Ack,
    AckStatus,
    ExecutionResult,
    ExecutionStatus,
    Interval,
    Mode,
    Schedule,
    TimeSpan,
)

__all__ = ["examples"]

_DEVICE: Final = DeviceId("max300-0001")
_SCHEDULE: Final = ScheduleId("plan-2018-07-01-a")
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_START: Final = datetime(2018, 7, 1, 10, tzinfo=UTC)
_MADE: Final = datetime(2018, 6, 30, 18, 0, 0, 1, tzinfo=UTC)


def _slot(index: int, rate_kw: float, mode: Mode | None = None) -> Interval:
    start = _START + RESOLUTION * index
    return Interval(start=start, end=start + RESOLUTION, rate_kw=rate_kw, mode=mode)


def _ack(status: AckStatus, delay: timedelta, **others: Any) -> Ack:
    return Ack(schedule_id=_SCHEDULE, device_id=_DEVICE, status=status, timestamp=_MADE + delay, trace_id=_TRACE, **others)


def _result(index: int, status: ExecutionStatus, actual_rate_kw: float, reason: str | None = None) -> ExecutionResult:
    slot = _slot(index, 0.0)
    return ExecutionResult(
        schedule_id=_SCHEDULE,
        device_id=_DEVICE,
        interval=TimeSpan(start=slot.start, end=slot.end),
        status=status,
        actual_rate_kw=actual_rate_kw,
        timestamp=slot.end + timedelta(milliseconds=500),
        error_reason=reason,
        trace_id=_TRACE,
    )


_EXAMPLES: Final[dict[tuple[Kind, int], tuple[Message, ...]]] = {
    (Kind.SCHEDULE, 1): (
        Schedule(
            schedule_id=_SCHEDULE,
            device_id=_DEVICE,
            version=1,
            generated_at=_MADE,
            intervals=(_slot(0, 75.0, Mode.CHARGE), _slot(1, 0.0, Mode.IDLE), _slot(2, -120.5, Mode.DISCHARGE)),
            max_power_kw=150.0,
            trace_id=_TRACE,
        ),
        Schedule(
            schedule_id=ScheduleId("plan-2018-07-01-b"),
            device_id=_DEVICE,
            version=1,
            generated_at=_MADE + timedelta(hours=1),
            intervals=(_slot(0, -30.0),),
        ),
    ),
    (Kind.ACK, 1): (
        _ack(AckStatus.RECEIVED, timedelta(seconds=1.25)),
        _ack(AckStatus.APPLIED, timedelta(seconds=2), applied_at=_MADE + timedelta(seconds=2)),
        _ack(
            AckStatus.FAILED,
            timedelta(seconds=2),
            error_reason="limit.power: setpoint 180000 W is beyond this device's limit of 150000 W at /intervals/7/rate_kw",
        ),
    ),
    (Kind.EXECUTION_RESULT, 1): (
        _result(0, ExecutionStatus.SUCCEED, 74.6),
        _result(2, ExecutionStatus.FAIL, -12.0, "exec.limited_soc: the battery was at its lowest state of charge after 3 min"),
    ),
    (Kind.HELLO, 0): (
        Hello(
            device_id=_DEVICE,
            versions=(1,),
            content_types=("application/json",),
            model="MAX300",
            firmware="2026.11",
            library="allye-protocol 0.1.0",
            capabilities=Capabilities(
                max_charge_w=150_000,
                max_discharge_w=150_000,
                capacity_wh=300_000,
                power_step_w=100,
                soc_min_pct=10.0,
                soc_max_pct=95.0,
                slot_lengths_s=(1800,),
            ),
        ),
    ),
}


def examples(kind: Kind, version: int) -> list[dict[str, Any]]:
    """Whole messages of one kind, as parsed JSON.

    :param kind: what the messages are.
    :param version: their major version; 0 for a kind whose shape is frozen.
    """
    return [msgspec.json.decode(msgspec.json.encode(message)) for message in _EXAMPLES[kind, version]]
