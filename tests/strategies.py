"""Hypothesis strategies for valid messages, shared by the tests of codec, admission, sessions and schemas.

Everything drawn here is accepted by ``encode``; what is not valid is made from it, one change at a time.
"""

from __future__ import annotations

import string
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from allye_protocol.ids import MAX_ID_CHARS, DeviceId, ScheduleId
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Capabilities,
    ExecutionResult,
    ExecutionStatus,
    Hello,
    Interval,
    Message,
    Mode,
    Schedule,
    TimeSpan,
)
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.v1 import MAX_INTERVALS, MAX_KW, RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Callable

_HALF_HOURS = (LATEST - EARLIEST) // RESOLUTION
_MICROSECONDS = (LATEST - EARLIEST) // timedelta(microseconds=1)

ids = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=MAX_ID_CHARS)
schedule_ids = ids.map(ScheduleId)
device_ids = ids.map(DeviceId)
instants = st.integers(0, _MICROSECONDS - 1).map(lambda count: EARLIEST + timedelta(microseconds=count))
"""Any instant that the protocol takes, in UTC, to the microsecond."""
thousandths_kw = st.integers(-10_000_000, 10_000_000).map(lambda watts: watts / 1000)
rates_kw = st.one_of(thousandths_kw, st.floats(-MAX_KW, MAX_KW), st.sampled_from([0.0, -0.0, 5e-324, -MAX_KW, MAX_KW]))
texts = st.text(st.characters(codec="utf-8"), max_size=256)
trace_ids = st.one_of(st.text("0123456789abcdef", min_size=32, max_size=32), texts)
"""Trace ids and other texts: an invalid one never makes a message invalid."""


def slot_starts(slots: int = 1) -> st.SearchStrategy[datetime]:
    """Any UTC half-hour from which so many slots are left."""
    return st.integers(0, _HALF_HOURS - 1 - slots).map(lambda count: EARLIEST + RESOLUTION * count)


def modes_for(rate_kw: float) -> st.SearchStrategy[Mode | None]:
    """No mode, or one that agrees with the rate."""
    agreeing = (mode for mode, agrees in _AGREES.items() if agrees(rate_kw))
    return st.sampled_from([None, *agreeing])


_AGREES: dict[Mode, Callable[[float], bool]] = {
    Mode.CHARGE: lambda rate: rate >= 0,
    Mode.DISCHARGE: lambda rate: rate <= 0,
    Mode.IDLE: lambda rate: rate == 0,
}


@st.composite
def schedules(
    draw: st.DrawFn,
    *,
    devices: st.SearchStrategy[DeviceId] = device_ids,
    rates: st.SearchStrategy[float] = rates_kw,
    min_slots: int = 1,
    max_slots: int = MAX_INTERVALS,
) -> Schedule:
    """A valid schedule of ``min_slots`` to ``max_slots`` slots, with and without the optional members."""
    rates_of = draw(st.lists(rates, min_size=min_slots, max_size=max_slots))
    start = draw(slot_starts(len(rates_of)))
    with_modes = draw(st.booleans())
    largest = max(map(abs, rates_of))
    return Schedule(
        schedule_id=draw(schedule_ids),
        device_id=draw(devices),
        version=1,
        generated_at=draw(instants),
        intervals=tuple(
            Interval(
                start=start + RESOLUTION * index,
                end=start + RESOLUTION * (index + 1),
                rate_kw=rate,
                mode=draw(modes_for(rate)) if with_modes else None,
            )
            for index, rate in enumerate(rates_of)
        ),
        max_power_kw=draw(st.one_of(st.none(), st.floats(largest, MAX_KW))),
        trace_id=draw(st.one_of(st.none(), trace_ids)),
    )


acks = st.builds(
    Ack,
    schedule_id=schedule_ids,
    device_id=device_ids,
    status=st.sampled_from(AckStatus),
    timestamp=instants,
    applied_at=st.one_of(st.none(), instants),
    error_reason=st.one_of(st.none(), texts),
    trace_id=st.one_of(st.none(), trace_ids),
)
execution_results = st.builds(
    ExecutionResult,
    schedule_id=schedule_ids,
    device_id=device_ids,
    interval=slot_starts().map(lambda start: TimeSpan(start=start, end=start + RESOLUTION)),
    status=st.sampled_from(ExecutionStatus),
    actual_rate_kw=rates_kw,
    timestamp=instants,
    error_reason=st.one_of(st.none(), texts),
    trace_id=st.one_of(st.none(), trace_ids),
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
_names = st.text(st.characters(codec="utf-8"), max_size=128)
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
messages: st.SearchStrategy[Message] = st.one_of(schedules(max_slots=4), acks, execution_results, hellos)
"""Any valid message; its schedules are short, for speed."""
