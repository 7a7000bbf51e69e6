"""One device and its schedules, for the tests of everything that a device does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from allye_protocol.admission import Policy
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, encode
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, Capabilities, Hello, Interval, Schedule
from allye_protocol.session import DeviceConfig
from allye_protocol.store import Entry, EntryState, PlannedSlot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_protocol.tracing import RandomBytes

SLOT = timedelta(minutes=30)
MICROSECOND = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The beginning of the first slot of the schedules below."""
DEVICE = DeviceId("max300-0001")
LIMIT_W = 150_000
POLICY = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W)
HELLO = Hello(
    device_id=DEVICE,
    versions=(1,),
    content_types=("application/json",),
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
        slot_lengths_s=(1800,),
    ),
)
CONFIG = DeviceConfig(hello=HELLO, policy=POLICY)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def schedule(
    name: str = "plan-a",
    *,
    start: datetime = NOON,
    rates_kw: Sequence[float] = (100.0,),
    generated_at: datetime = NOON - timedelta(hours=1),
    device: str = DEVICE,
    trace_id: str | None = TRACE_ID,
) -> Schedule:
    """A valid schedule: one slot after another from ``start`` on."""
    return Schedule(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        version=1,
        generated_at=generated_at,
        intervals=tuple(
            Interval(start=start + SLOT * index, end=start + SLOT * (index + 1), rate_kw=rate)
            for index, rate in enumerate(rates_kw)
        ),
        trace_id=trace_id,
    )


def frame_of(message: Schedule, *, topic: str | None = None) -> Frame:
    """The frame that brings a schedule to the device."""
    topic = topic if topic is not None else f"devices/{DEVICE}/schedule"
    return Frame(topic=topic, payload=encode(message), content_type=DEFAULT_CONTENT_TYPE)


def entry(name: str = "plan-a", **changes: object) -> Entry:
    """What a ledger remembers of a schedule that was admitted an hour before noon."""
    answer = Ack(
        schedule_id=ScheduleId(name),
        device_id=DEVICE,
        status=AckStatus.RECEIVED,
        timestamp=NOON - timedelta(minutes=59),
        trace_id=TRACE_ID,
    )
    values: dict[str, object] = {
        "schedule_id": name,
        "digest": "d" * 64,
        "generated_at": NOON - timedelta(hours=1),
        "end": NOON + SLOT,
        "state": EntryState.ADMITTED,
        "attempts": 1,
        "trace_id": TRACE_ID,
        "answer": answer,
        "payload": b"",
    }
    return Entry(**{**values, **changes})  # type: ignore[arg-type]


def slot(start: datetime = NOON, **changes: object) -> PlannedSlot:
    """A slot of the plan, 100 kW, not begun."""
    values: dict[str, object] = {
        "start": start,
        "end": start + SLOT,
        "schedule_id": "plan-a",
        "generated_at": NOON - timedelta(hours=1),
        "trace_id": TRACE_ID,
        "rate_w": 100_000,
        "since": start,
    }
    return PlannedSlot(**{**values, **changes})  # type: ignore[arg-type]


def seeded(seed: int = 1) -> RandomBytes:
    """A source of random bytes that gives the same ones every time."""
    return random.Random(seed).randbytes
