"""Hypothesis strategies for valid messages, shared by the tests of codec, admission, sessions and schemas.

Everything drawn here is accepted by ``codec.encode``; what is not valid is made from it, one change at a time. A name without a
version is the newest model's; version 1's have ``v1_`` before them.
"""

from __future__ import annotations

import string
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import MAX_ID_CHARS, DeviceId, ScheduleId
from allye_protocol.messages import (
    Ack,
    AckStatus,
    BatteryState,
    Cancel,
    Capabilities,
    Clock,
    DeviceStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    ExecutionStatus,
    Hello,
    Message,
    Outcome,
    Schedule,
    ScheduleEvent,
    Written,
    v1,
)
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.v1 import MAX_INTERVALS, MAX_KW, RESOLUTION
from allye_protocol.messages.v2 import MAX_HORIZON, MAX_SEQUENCE, RESOLUTIONS_S
from allye_protocol.messages.v2.fields import CLOCK_GRID, MAX_WATTS

if TYPE_CHECKING:
    from collections.abc import Callable

_MICROSECONDS = (LATEST - EARLIEST) // timedelta(microseconds=1)

ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=MAX_ID_CHARS)
schedule_ids = ids.map(ScheduleId)
device_ids = ids.map(DeviceId)
instants = st.integers(0, _MICROSECONDS - 1).map(lambda count: EARLIEST + timedelta(microseconds=count))
"""Any instant that the protocol takes, in UTC, to the microsecond."""
sequences = st.integers(1, MAX_SEQUENCE)
watts = st.one_of(st.integers(-MAX_WATTS, MAX_WATTS), st.sampled_from([0, -1, 1, -MAX_WATTS, MAX_WATTS]))
percentages = st.one_of(st.floats(0, 100), st.sampled_from([0.0, 100.0]))
limits_pct = st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000)
"""Percentages in steps of 0.001."""
numbers = st.floats(allow_nan=False, allow_infinity=False)
_chars = st.characters(codec="utf-8")
texts = st.text(_chars, max_size=256)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
trace_ids = st.one_of(st.text("0123456789abcdef", min_size=32, max_size=32), texts)
"""Trace ids and other texts: an invalid one never makes a message invalid."""
traceparents = st.one_of(
    st.builds(
        "00-{}-{}-{}".format,
        st.text("0123456789abcdef", min_size=32, max_size=32),
        st.text("0123456789abcdef", min_size=16, max_size=16),
        st.sampled_from(["00", "01", "ff"]),
    ),
    texts,
)
"""Trace contexts and other texts, as above."""


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Such a value, or ``None`` for a member that is absent."""
    return st.one_of(st.none(), strategy)


def slot_starts(slots: int = 1, resolution: timedelta = RESOLUTION) -> st.SearchStrategy[datetime]:
    """Any instant on the UTC grid from which so many slots are left."""
    last = (LATEST - EARLIEST) // resolution - 1 - slots
    return st.integers(0, last).map(lambda count: EARLIEST + resolution * count)


# the newest model

_words = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20)
codes = st.one_of(st.sampled_from(ErrorCode).map(str), st.builds("{}.{}".format, _words, _words))
"""Codes of the registry, and of a later one."""
error_details = st.builds(
    ErrorDetail,
    code=codes,
    message=st.text(_chars, max_size=512),
    path=optional(texts),
    slot=optional(st.integers(0, 100_000)),
    value=optional(numbers),
    limit=optional(numbers),
    digest=optional(digests),
)
clocks = st.builds(Clock, synced=st.booleans(), offset_ms=optional(st.floats(-1e12, 1e12)))
setpoints = optional(watts)
resolutions_of_slots_s = st.sampled_from(RESOLUTIONS_S)
metadatas = st.dictionaries(st.text(_chars, min_size=1, max_size=64), texts, max_size=16)


@st.composite
def schedules(
    draw: st.DrawFn,
    *,
    devices: st.SearchStrategy[DeviceId] = device_ids,
    rates: st.SearchStrategy[int | None] = setpoints,
    resolutions_s: st.SearchStrategy[Any] = resolutions_of_slots_s,
    min_slots: int = 1,
    max_slots: int = MAX_INTERVALS,
) -> Schedule:
    """A valid schedule of ``min_slots`` to ``max_slots`` slots, with and without the optional members."""
    resolution_s = draw(resolutions_s)
    rates_w = tuple(draw(st.lists(rates, min_size=min_slots, max_size=max_slots)))
    resolution = timedelta(seconds=resolution_s)
    low, high = sorted((draw(limits_pct), draw(limits_pct)))
    rare = draw(st.booleans())
    others: dict[str, Any] = {}
    if rare:
        others = {
            "soc_min_pct": draw(st.sampled_from([None, low])),
            "soc_max_pct": draw(st.sampled_from([None, high])),
            "ramp_w_per_s": draw(optional(st.integers(1, 10_000_000))),
            "start_jitter_s": draw(st.integers(0, 1800)),
            "dry_run": draw(st.booleans()),
            "metadata": draw(metadatas),
        }
    return Schedule(
        schedule_id=draw(schedule_ids),
        device_id=draw(devices),
        version=2,
        sequence=draw(sequences),
        generated_at=draw(instants),
        start=draw(slot_starts(MAX_HORIZON // resolution, resolution)),
        rates_w=rates_w,
        resolution_s=resolution_s,
        expires_at=draw(optional(instants)),
        traceparent=draw(optional(traceparents)),
        **others,
    )


@st.composite
def _acks(draw: st.DrawFn) -> Ack:
    status = draw(st.sampled_from(AckStatus))
    return Ack(
        schedule_id=draw(schedule_ids),
        device_id=draw(device_ids),
        version=2,
        status=status,
        timestamp=draw(instants),
        sequence=draw(optional(sequences)),
        digest=draw(optional(digests)),
        received_at=draw(optional(instants)),
        applied_at=draw(instants) if status is AckStatus.APPLIED else None,
        error=draw(error_details) if status is AckStatus.FAILED else None,
        retryable=draw(optional(st.booleans())),
        retry_after_s=draw(optional(st.integers(0, 86_400))),
        supported_versions=tuple(draw(st.lists(st.integers(1, 65_535), max_size=32))),
        superseded=tuple(draw(st.lists(schedule_ids, max_size=64))),
        clock=draw(optional(clocks)),
        traceparent=draw(optional(traceparents)),
    )


acks = _acks()
_OUTCOMES = {
    ExecutionStatus.SUCCEED: [None, Outcome.FULL, Outcome.LIMITED, Outcome.OVERRIDDEN],
    ExecutionStatus.FAIL: [None, *(outcome for outcome in Outcome if outcome is not Outcome.FULL)],
}


@st.composite
def _execution_results(draw: st.DrawFn, *, half_hours: bool = False) -> ExecutionResult:
    step = RESOLUTION if half_hours else CLOCK_GRID
    start = draw(slot_starts(12, step))
    status = draw(st.sampled_from(ExecutionStatus))
    return ExecutionResult(
        schedule_id=draw(schedule_ids),
        device_id=draw(device_ids),
        version=2,
        slot_start=start,
        slot_end=start + step * (1 if half_hours else draw(st.integers(1, 12))),
        status=status,
        actual_w=draw(watts),
        timestamp=draw(instants),
        outcome=draw(st.sampled_from(_OUTCOMES[status])),
        scheduled_w=draw(optional(watts)),
        energy_charged_wh=draw(optional(st.floats(0, 1e12))),
        energy_discharged_wh=draw(optional(st.floats(0, 1e12))),
        soc_start_pct=draw(optional(percentages)),
        soc_end_pct=draw(optional(percentages)),
        limiting=tuple(draw(st.lists(codes, max_size=16))),
        coverage_pct=draw(optional(percentages)),
        error=draw(optional(error_details)),
        traceparent=draw(optional(traceparents)),
    )


execution_results = _execution_results()
half_hourly_results = _execution_results(half_hours=True)
"""Results that version 1 has a place for."""
cancels = st.builds(
    Cancel,
    device_id=device_ids,
    version=st.just(2),
    sequence=sequences,
    schedule_id=optional(schedule_ids),
    effective_from=optional(instants),
    reason=optional(texts),
    traceparent=optional(traceparents),
).filter(lambda cancel: cancel.schedule_id is not None or cancel.effective_from is not None)
_NAMES_ITS_SCHEDULE = {EventType.STARTED, EventType.SUPERSEDED, EventType.EXPIRED, EventType.COMPLETED}


@st.composite
def _schedule_events(draw: st.DrawFn) -> ScheduleEvent:
    event = draw(st.sampled_from(EventType))
    return ScheduleEvent(
        device_id=draw(device_ids),
        version=2,
        event=event,
        timestamp=draw(instants),
        schedule_id=draw(schedule_ids if event in _NAMES_ITS_SCHEDULE else optional(schedule_ids)),
        sequence=draw(sequences if event is EventType.CANCELLED else optional(sequences)),
        slot_start=draw(optional(instants)),
        error=draw(optional(error_details)),
        traceparent=draw(optional(traceparents)),
    )


schedule_events = _schedule_events()
device_statuses = st.builds(
    DeviceStatus,
    device_id=device_ids,
    version=st.just(2),
    online=st.booleans(),
    timestamp=instants,
    power_w=optional(watts),
    soc_pct=optional(percentages),
    state=optional(st.sampled_from(BatteryState)),
    schedule_id=optional(schedule_ids),
    clock=optional(clocks),
)
_bands = st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted)
_powers_w = st.integers(0, 10_000_000)
capabilities = st.builds(
    lambda band, **others: Capabilities(soc_min_pct=band[0], soc_max_pct=band[1], **others),
    band=_bands,
    max_charge_w=_powers_w,
    max_discharge_w=_powers_w,
    capacity_wh=st.integers(0, 1_000_000_000),
    power_step_w=st.integers(1, 10_000_000),
    slot_lengths_s=st.lists(st.integers(1, 86_400), min_size=1, max_size=16).map(tuple),
)
_names = st.text(_chars, max_size=128)
hellos = st.builds(
    Hello,
    device_id=device_ids,
    versions=st.lists(st.integers(1, 65_535), min_size=1, max_size=32).map(tuple),
    content_types=st.lists(_names, min_size=1, max_size=16).map(tuple),
    model=_names,
    firmware=_names,
    library=_names,
    capabilities=capabilities,
)
v2_messages: st.SearchStrategy[Any] = st.one_of(
    schedules(max_slots=4), acks, execution_results, cancels, schedule_events, device_statuses
)
"""Any valid message of version 2; its schedules are short, for speed."""
messages: st.SearchStrategy[Message] = st.one_of(v2_messages, hellos)
"""Any valid message of the newest model."""


# version 1

thousandths_kw = st.integers(-10_000_000, 10_000_000).map(lambda rate_w: rate_w / 1000)
rates_kw = st.one_of(thousandths_kw, st.floats(-MAX_KW, MAX_KW), st.sampled_from([0.0, -0.0, 5e-324, -MAX_KW, MAX_KW]))


def modes_for(rate_kw: float) -> st.SearchStrategy[v1.Mode | None]:
    """No mode, or one that agrees with the rate."""
    agreeing = (mode for mode, agrees in _AGREES.items() if agrees(rate_kw))
    return st.sampled_from([None, *agreeing])


_AGREES: dict[v1.Mode, Callable[[float], bool]] = {
    v1.Mode.CHARGE: lambda rate: rate >= 0,
    v1.Mode.DISCHARGE: lambda rate: rate <= 0,
    v1.Mode.IDLE: lambda rate: rate == 0,
}


@st.composite
def v1_schedules(
    draw: st.DrawFn,
    *,
    devices: st.SearchStrategy[DeviceId] = device_ids,
    rates: st.SearchStrategy[float] = rates_kw,
    min_slots: int = 1,
    max_slots: int = MAX_INTERVALS,
) -> v1.Schedule:
    """A valid schedule of version 1, of ``min_slots`` to ``max_slots`` slots, with and without the optional members."""
    rates_of = draw(st.lists(rates, min_size=min_slots, max_size=max_slots))
    start = draw(slot_starts(len(rates_of)))
    with_modes = draw(st.booleans())
    largest = max(map(abs, rates_of))
    return v1.Schedule(
        schedule_id=draw(schedule_ids),
        device_id=draw(devices),
        version=1,
        generated_at=draw(instants),
        intervals=tuple(
            v1.Interval(
                start=start + RESOLUTION * index,
                end=start + RESOLUTION * (index + 1),
                rate_kw=rate,
                mode=draw(modes_for(rate)) if with_modes else None,
            )
            for index, rate in enumerate(rates_of)
        ),
        max_power_kw=draw(optional(st.floats(largest, MAX_KW))),
        trace_id=draw(optional(trace_ids)),
    )


v1_acks = st.builds(
    v1.Ack,
    schedule_id=schedule_ids,
    device_id=device_ids,
    status=st.sampled_from(AckStatus),
    timestamp=instants,
    applied_at=optional(instants),
    error_reason=optional(texts),
    trace_id=optional(trace_ids),
)
v1_execution_results = st.builds(
    v1.ExecutionResult,
    schedule_id=schedule_ids,
    device_id=device_ids,
    interval=slot_starts().map(lambda start: v1.TimeSpan(start=start, end=start + RESOLUTION)),
    status=st.sampled_from(ExecutionStatus),
    actual_rate_kw=rates_kw,
    timestamp=instants,
    error_reason=optional(texts),
    trace_id=optional(trace_ids),
)
v1_messages: st.SearchStrategy[Any] = st.one_of(v1_schedules(max_slots=4), v1_acks, v1_execution_results)
"""Any valid message of version 1."""
written: st.SearchStrategy[Written] = st.one_of(v2_messages, v1_messages, hellos)
"""Any valid message as it is written, of any version."""
