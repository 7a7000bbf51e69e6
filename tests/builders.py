"""One device and its messages in the newest model, for the tests of everything that a device does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol.admission import Policy
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS, encode
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Cancel,
    Capabilities,
    DeviceStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    ExecutionStatus,
    Hello,
    Outcome,
    Schedule,
    ScheduleEvent,
    Written,
    sequence_at,
    v1,
)
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.session import DeviceConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_protocol.store import Entry, PlannedSlot
    from allye_protocol.tracing import RandomBytes

SLOT = timedelta(minutes=30)
MICROSECOND = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The beginning of the first slot of the schedules below."""
GENERATED_AT = NOON - timedelta(hours=1)
DEVICE = DeviceId("max300-0001")
LIMIT_W = 150_000
POLICY = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W)
HELLO = Hello(
    device_id=DEVICE,
    versions=(1, 2),
    content_types=tuple(ENCODINGS),
    model="simulated",
    firmware="1",
    library="allye-protocol",
    capabilities=Capabilities(
        max_charge_w=LIMIT_W,
        max_discharge_w=LIMIT_W,
        capacity_wh=300_000,
        power_step_w=1,
        soc_min_pct=10.0,
        soc_max_pct=95.0,
        slot_lengths_s=(300, 900, 1800, 3600),
    ),
)
V1_HELLO = msgspec.structs.replace(HELLO, versions=(1,), content_types=(DEFAULT_CONTENT_TYPE,))
"""What the same device said before it was upgraded."""
CONFIG = DeviceConfig(hello=HELLO, policy=POLICY)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


def schedule(
    name: str = "plan-a",
    *,
    start: datetime = NOON,
    rates_w: Sequence[int | None] = (100_000,),
    generated_at: datetime = GENERATED_AT,
    sequence: int | None = None,
    device: str = DEVICE,
    traceparent: str | None = TRACEPARENT,
    **others: Any,
) -> Schedule:
    """A valid schedule: one slot after another from ``start`` on.

    :param sequence: ``None`` for that of ``generated_at``.
    :param others: members by their names (``resolution_s``, ``expires_at``, ...).
    """
    return Schedule(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        version=2,
        sequence=sequence_at(generated_at) if sequence is None else sequence,
        generated_at=generated_at,
        start=start,
        rates_w=tuple(rates_w),
        traceparent=traceparent,
        **others,
    )


def cancel(name: str | None = "plan-a", *, sent_at: datetime = NOON, sequence: int | None = None, **others: Any) -> Cancel:
    """A valid cancel of one schedule; with ``None`` and ``effective_from``, of everything from then on."""
    values: dict[str, Any] = {
        "schedule_id": None if name is None else ScheduleId(name),
        "device_id": DEVICE,
        "version": 2,
        "sequence": sequence_at(sent_at) if sequence is None else sequence,
        "traceparent": TRACEPARENT,
    }
    return Cancel(**{**values, **others})


def ack(name: str = "plan-a", status: AckStatus = AckStatus.RECEIVED, *, at: datetime = GENERATED_AT, **others: Any) -> Ack:
    """A valid answer to the schedule of that name."""
    values: dict[str, Any] = {
        "schedule_id": ScheduleId(name),
        "device_id": DEVICE,
        "version": 2,
        "status": status,
        "timestamp": at,
        "sequence": sequence_at(GENERATED_AT),
        "applied_at": at if status is AckStatus.APPLIED else None,
        "error": ErrorDetail(code="driver.rejected", message="no") if status is AckStatus.FAILED else None,
        "traceparent": TRACEPARENT,
    }
    return Ack(**{**values, **others})


def result(name: str = "plan-a", *, start: datetime = NOON, **others: Any) -> ExecutionResult:
    """A valid result of a slot in which everything went as scheduled."""
    values: dict[str, Any] = {
        "schedule_id": ScheduleId(name),
        "device_id": DEVICE,
        "version": 2,
        "slot_start": start,
        "slot_end": start + SLOT,
        "status": ExecutionStatus.SUCCEED,
        "actual_w": 100_000,
        "timestamp": start + SLOT,
        "outcome": Outcome.FULL,
        "scheduled_w": 100_000,
        "coverage_pct": 100.0,
        "traceparent": TRACEPARENT,
    }
    return ExecutionResult(**{**values, **others})


def event(what: EventType = EventType.STARTED, name: str | None = "plan-a", **others: Any) -> ScheduleEvent:
    """A valid event of a schedule, or of the device with ``None``."""
    values: dict[str, Any] = {
        "device_id": DEVICE,
        "version": 2,
        "event": what,
        "timestamp": NOON,
        "schedule_id": None if name is None else ScheduleId(name),
        "sequence": sequence_at(GENERATED_AT),
        "traceparent": TRACEPARENT,
    }
    return ScheduleEvent(**{**values, **others})


def status(*, online: bool = True, **others: Any) -> DeviceStatus:
    """A valid status."""
    values: dict[str, Any] = {"device_id": DEVICE, "version": 2, "online": online, "timestamp": NOON}
    return DeviceStatus(**{**values, **others})


def v1_schedule(
    name: str = "plan-a",
    *,
    start: datetime = NOON,
    rates_kw: Sequence[float] = (100.0,),
    generated_at: datetime = GENERATED_AT,
    device: str = DEVICE,
    trace_id: str | None = TRACE_ID,
) -> v1.Schedule:
    """A valid schedule of version 1: one half-hour after another from ``start`` on."""
    return v1.Schedule(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        version=1,
        generated_at=generated_at,
        intervals=tuple(
            v1.Interval(start=start + SLOT * index, end=start + SLOT * (index + 1), rate_kw=rate)
            for index, rate in enumerate(rates_kw)
        ),
        trace_id=trace_id,
    )


def frame_of(message: Written, *, topic: str | None = None, content_type: str = DEFAULT_CONTENT_TYPE) -> Frame:
    """The frame that carries a message on the device's topic of its kind, as it is written."""
    topic = topic if topic is not None else f"devices/{DEVICE}/{CHANNEL_OF[BY_TYPE[type(message)].kind]}"
    return Frame(topic=topic, payload=encode(message, content_type), content_type=content_type)


def entry(name: str = "plan-a", **changes: object) -> Entry:
    """What a ledger remembers of a schedule that was admitted an hour before noon."""
    from allye_protocol.store import Entry, EntryState

    values: dict[str, object] = {
        "schedule_id": name,
        "digest": "d" * 64,
        "sequence": sequence_at(GENERATED_AT),
        "end": NOON + SLOT,
        "state": EntryState.ADMITTED,
        "attempts": 1,
        "traceparent": TRACEPARENT,
        "answer": ack(name, at=NOON - timedelta(minutes=59)),
    }
    return Entry(**{**values, **changes})  # type: ignore[arg-type]


def slot(start: datetime = NOON, **changes: object) -> PlannedSlot:
    """A slot of the plan, 100 kW, not begun."""
    from allye_protocol.store import PlannedSlot

    values: dict[str, object] = {
        "start": start,
        "end": start + SLOT,
        "schedule_id": "plan-a",
        "sequence": sequence_at(GENERATED_AT),
        "traceparent": TRACEPARENT,
        "rate_w": 100_000,
        "since": start,
        "until": start + SLOT,
    }
    values["until"] = changes.get("end", values["until"])
    return PlannedSlot(**{**values, **changes})  # type: ignore[arg-type]


def seeded(seed: int = 1) -> RandomBytes:
    """A source of random bytes that gives the same ones every time."""
    return random.Random(seed).randbytes
