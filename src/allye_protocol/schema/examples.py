"""Whole messages that show how each kind is used; they are valid, and a test decodes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import v1, v2
from allye_protocol.messages.hello import Capabilities, Hello
from allye_protocol.messages.registry import Kind, Written
from allye_protocol.messages.v2 import AckStatus, BatteryState, Clock, ErrorDetail, EventType, ExecutionStatus, Outcome

__all__ = ["examples"]

_DEVICE: Final = DeviceId("max300-0001")
_SCHEDULE: Final = ScheduleId("plan-2018-07-01-a")
_NEXT: Final = ScheduleId("plan-2018-07-01-b")
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT: Final = f"00-{_TRACE}-00f067aa0ba902b7-01"
_START: Final = datetime(2018, 7, 1, 10, tzinfo=UTC)
_MADE: Final = datetime(2018, 6, 30, 18, 0, 0, 1, tzinfo=UTC)
_SEQUENCE: Final = v2.sequence_at(_MADE)
_SLOT: Final = v1.RESOLUTION
_CLOCK: Final = Clock(synced=True, offset_ms=-12.5)


def _slot(index: int, rate_kw: float, mode: v1.Mode | None = None) -> v1.Interval:
    start = _START + _SLOT * index
    return v1.Interval(start=start, end=start + _SLOT, rate_kw=rate_kw, mode=mode)


def _ack_1(status: AckStatus, delay: timedelta, **others: Any) -> v1.Ack:
    return v1.Ack(schedule_id=_SCHEDULE, device_id=_DEVICE, status=status, timestamp=_MADE + delay, trace_id=_TRACE, **others)


def _result_1(index: int, status: ExecutionStatus, actual_rate_kw: float, reason: str | None = None) -> v1.ExecutionResult:
    slot = _slot(index, 0.0)
    return v1.ExecutionResult(
        schedule_id=_SCHEDULE,
        device_id=_DEVICE,
        interval=v1.TimeSpan(start=slot.start, end=slot.end),
        status=status,
        actual_rate_kw=actual_rate_kw,
        timestamp=slot.end + timedelta(milliseconds=500),
        error_reason=reason,
        trace_id=_TRACE,
    )


_PLAN: Final = v2.Schedule(
    schedule_id=_SCHEDULE,
    device_id=_DEVICE,
    version=2,
    sequence=_SEQUENCE,
    generated_at=_MADE,
    start=_START,
    rates_w=(75_000, 0, -120_500),
    traceparent=_PARENT,
)


def _ack_2(status: AckStatus, delay: timedelta, **others: Any) -> v2.Ack:
    return v2.Ack(
        schedule_id=_SCHEDULE,
        device_id=_DEVICE,
        version=2,
        status=status,
        timestamp=_MADE + delay,
        sequence=_SEQUENCE,
        digest=digest(_PLAN),
        received_at=_MADE + timedelta(seconds=1.25),
        clock=_CLOCK,
        traceparent=_PARENT,
        **others,
    )


def _result_2(index: int, status: ExecutionStatus, outcome: Outcome, actual_w: int, **others: Any) -> v2.ExecutionResult:
    start = _START + _SLOT * index
    energy_wh = actual_w * (_SLOT / timedelta(hours=1))
    return v2.ExecutionResult(
        schedule_id=_SCHEDULE,
        device_id=_DEVICE,
        version=2,
        slot_start=start,
        slot_end=start + _SLOT,
        status=status,
        outcome=outcome,
        scheduled_w=_PLAN.rates_w[index],
        actual_w=actual_w,
        energy_charged_wh=max(energy_wh, 0.0),
        energy_discharged_wh=max(-energy_wh, 0.0),
        coverage_pct=100.0,
        timestamp=start + _SLOT + timedelta(milliseconds=500),
        traceparent=_PARENT,
        **others,
    )


def _event(event: EventType, delay: timedelta, **others: Any) -> v2.ScheduleEvent:
    return v2.ScheduleEvent(device_id=_DEVICE, version=2, event=event, timestamp=_START + delay, **others)


_EXAMPLES: Final[dict[tuple[Kind, int], tuple[Written, ...]]] = {
    (Kind.SCHEDULE, 1): (
        v1.Schedule(
            schedule_id=_SCHEDULE,
            device_id=_DEVICE,
            version=1,
            generated_at=_MADE,
            intervals=(_slot(0, 75.0, v1.Mode.CHARGE), _slot(1, 0.0, v1.Mode.IDLE), _slot(2, -120.5, v1.Mode.DISCHARGE)),
            max_power_kw=150.0,
            trace_id=_TRACE,
        ),
        v1.Schedule(
            schedule_id=_NEXT,
            device_id=_DEVICE,
            version=1,
            generated_at=_MADE + timedelta(hours=1),
            intervals=(_slot(0, -30.0),),
        ),
    ),
    (Kind.ACK, 1): (
        _ack_1(AckStatus.RECEIVED, timedelta(seconds=1.25)),
        _ack_1(AckStatus.APPLIED, timedelta(seconds=2), applied_at=_MADE + timedelta(seconds=2)),
        _ack_1(
            AckStatus.FAILED,
            timedelta(seconds=2),
            error_reason="limit.power: setpoint 180000 W is beyond this device's limit of 150000 W at /intervals/7/rate_kw",
        ),
    ),
    (Kind.EXECUTION_RESULT, 1): (
        _result_1(0, ExecutionStatus.SUCCEED, 74.6),
        _result_1(
            2, ExecutionStatus.FAIL, -12.0, "exec.limited_soc: the battery was at its lowest state of charge after 3 min"
        ),
    ),
    (Kind.SCHEDULE, 2): (
        _PLAN,
        v2.Schedule(
            schedule_id=_NEXT,
            device_id=_DEVICE,
            version=2,
            sequence=_SEQUENCE + 3_600_000_000,
            generated_at=_MADE + timedelta(hours=1),
            start=_START,
            rates_w=(50_000, None, -120_500, -100_000),
            resolution_s=900,
            expires_at=_START - timedelta(hours=4),
            soc_min_pct=20.0,
            soc_max_pct=90.0,
            ramp_w_per_s=1_000,
            start_jitter_s=120,
            traceparent=_PARENT,
            metadata={"tariff": "agile"},
        ),
    ),
    (Kind.CANCEL, 2): (
        v2.Cancel(
            device_id=_DEVICE,
            version=2,
            sequence=_SEQUENCE + 1,
            schedule_id=_SCHEDULE,
            reason="replaced by hand",
            traceparent=_PARENT,
        ),
        v2.Cancel(device_id=_DEVICE, version=2, sequence=_SEQUENCE + 2, effective_from=_START + 4 * _SLOT),
    ),
    (Kind.ACK, 2): (
        _ack_2(AckStatus.RECEIVED, timedelta(seconds=1.25)),
        _ack_2(AckStatus.APPLIED, timedelta(seconds=2), applied_at=_MADE + timedelta(seconds=2)),
        _ack_2(
            AckStatus.FAILED,
            timedelta(seconds=2),
            error=ErrorDetail(
                code=ErrorCode.LIMIT_POWER,
                message="setpoint 180000 W is beyond this device's own limit of 150000 W",
                path="/rates_w/7",
                slot=7,
                value=180_000.0,
                limit=150_000.0,
            ),
            retryable=False,
        ),
    ),
    (Kind.EXECUTION_RESULT, 2): (
        _result_2(0, ExecutionStatus.SUCCEED, Outcome.FULL, 74_600, soc_start_pct=40.0, soc_end_pct=52.0),
        _result_2(
            2,
            ExecutionStatus.FAIL,
            Outcome.LIMITED,
            -12_000,
            soc_start_pct=12.0,
            soc_end_pct=10.0,
            limiting=(ErrorCode.EXEC_LIMITED_SOC,),
            error=ErrorDetail(
                code=ErrorCode.EXEC_LIMITED_SOC, message="the battery was at its lowest state of charge after 3 min"
            ),
        ),
    ),
    (Kind.SCHEDULE_EVENT, 2): (
        _event(
            EventType.STARTED,
            timedelta(milliseconds=500),
            schedule_id=_SCHEDULE,
            sequence=_SEQUENCE,
            slot_start=_START,
            traceparent=_PARENT,
        ),
        _event(EventType.CANCELLED, timedelta(hours=1), schedule_id=_SCHEDULE, sequence=_SEQUENCE + 1),
        _event(
            EventType.FALLBACK_ENTERED,
            timedelta(hours=2),
            error=ErrorDetail(code=ErrorCode.DRIVER_TIMEOUT, message="the battery has not answered for 10 s"),
        ),
    ),
    (Kind.DEVICE_STATUS, 2): (
        v2.DeviceStatus(
            device_id=_DEVICE,
            version=2,
            online=True,
            timestamp=_START + _SLOT / 2,
            power_w=74_600,
            soc_pct=46.0,
            state=BatteryState.CHARGING,
            schedule_id=_SCHEDULE,
            clock=_CLOCK,
        ),
        v2.DeviceStatus(device_id=_DEVICE, version=2, online=False, timestamp=_START),
    ),
    (Kind.HELLO, 0): (
        Hello(
            device_id=_DEVICE,
            versions=(1, 2),
            content_types=("application/json", "application/vnd.msgpack"),
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
                slot_lengths_s=(300, 900, 1800, 3600),
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
