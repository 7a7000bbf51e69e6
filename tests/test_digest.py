"""The digest: the same for the same meaning, another for any other."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.codec import decode, encode
from allye_protocol.digest import digest
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Interval, Kind, Schedule
from allye_protocol.messages.v1 import MAX_KW, RESOLUTION, watts
from tests.strategies import instants, modes_for, schedule_ids, schedules, trace_ids

START = datetime(2018, 7, 1, tzinfo=UTC)
SCHEDULE = Schedule(
    schedule_id=ScheduleId("plan-a"),
    device_id=DeviceId("max300-0001"),
    version=1,
    generated_at=datetime(2018, 6, 30, 18, tzinfo=UTC),
    intervals=(
        Interval(start=START, end=START + RESOLUTION, rate_kw=75.0),
        Interval(start=START + RESOLUTION, end=START + RESOLUTION * 2, rate_kw=-0.57),
    ),
)


def with_rate(schedule: Schedule, index: int, rate_kw: float) -> Schedule:
    slots = list(schedule.intervals)
    slots[index] = replace(slots[index], rate_kw=rate_kw, mode=None)
    return replace(schedule, intervals=tuple(slots), max_power_kw=None)


def moved(schedule: Schedule, by: timedelta) -> Schedule:
    slots = (replace(slot, start=slot.start + by, end=slot.end + by) for slot in schedule.intervals)
    return replace(schedule, intervals=tuple(slots))


def test_the_canonical_form_is_what_the_documentation_says() -> None:
    canonical = '{"device_id":"max300-0001","start":1530403200,"resolution_s":1800,"rates_w":[75000,-570]}'
    assert digest(SCHEDULE) == hashlib.sha256(canonical.encode()).hexdigest()


@given(schedules(), st.data())
def test_what_is_no_part_of_the_meaning_does_not_change_it(schedule: Schedule, data: st.DataObject) -> None:
    slots = tuple(replace(slot, mode=data.draw(modes_for(slot.rate_kw))) for slot in schedule.intervals)
    other = Schedule(
        schedule_id=data.draw(schedule_ids),
        device_id=schedule.device_id,
        version=1,
        generated_at=data.draw(instants),
        intervals=slots,
        max_power_kw=data.draw(st.sampled_from([None, MAX_KW])),
        trace_id=data.draw(st.none() | trace_ids),
    )
    assert digest(other) == digest(schedule)


@given(schedules(max_slots=4), st.integers(-1439, 1439))
def test_the_offset_that_times_are_written_with_does_not_change_it(schedule: Schedule, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    tree = json.loads(encode(schedule))
    for slot, written in zip(schedule.intervals, tree["intervals"], strict=True):
        written |= {"start": slot.start.astimezone(zone).isoformat(), "end": slot.end.astimezone(zone).isoformat()}
    decoded: Any = decode(json.dumps(tree).encode(), Kind.SCHEDULE)
    assert digest(decoded) == digest(schedule)


@given(schedules())
def test_it_survives_the_wire(schedule: Schedule) -> None:
    decoded: Any = decode(encode(schedule), Kind.SCHEDULE)
    assert digest(decoded) == digest(schedule)


@given(schedules(), st.data())
def test_any_other_watt_changes_it(schedule: Schedule, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(schedule.intervals) - 1))
    rate_w = data.draw(st.integers(-10_000_000, 10_000_000).filter(lambda drawn: drawn != schedule.intervals[index].rate_w))
    assert digest(with_rate(schedule, index, rate_w / 1000)) != digest(schedule)


@given(schedules(), st.data())
def test_less_than_a_watt_more_does_not_change_it(schedule: Schedule, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(schedule.intervals) - 1))
    rate_w = schedule.intervals[index].rate_w
    rate_kw = data.draw(st.integers(0, 9)) * (1e-4 if rate_w > 0 else -1e-4) + rate_w / 1000
    same = watts(rate_kw) == rate_w
    assert (digest(with_rate(schedule, index, rate_kw)) == digest(schedule)) is same


def test_another_start_device_or_number_of_slots_changes_it() -> None:
    others = [
        moved(SCHEDULE, RESOLUTION),
        moved(SCHEDULE, timedelta(days=1)),
        replace(SCHEDULE, device_id=DeviceId("max300-0002")),
        replace(SCHEDULE, intervals=SCHEDULE.intervals[:1]),
        with_rate(SCHEDULE, 0, -75.0),
        with_rate(with_rate(SCHEDULE, 0, -0.57), 1, 75.0),
    ]
    assert len({digest(each) for each in (SCHEDULE, *others)}) == len(others) + 1


def test_minus_zero_means_zero() -> None:
    assert digest(with_rate(SCHEDULE, 0, -0.0)) == digest(with_rate(SCHEDULE, 0, 0.0))


@pytest.mark.parametrize("slots", [1, 48])
def test_it_is_64_lower_case_hex_digits(slots: int) -> None:
    times = [START + RESOLUTION * index for index in range(slots + 1)]
    intervals = tuple(Interval(start=times[i], end=times[i + 1], rate_kw=float(i)) for i in range(slots))
    found = digest(replace(SCHEDULE, intervals=intervals))
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")
