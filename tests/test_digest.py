"""The digest: the same for the same meaning, another for any other, in every version and encoding."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.codec import content_types_of, encode
from allye_protocol.convert import decode, upgrade
from allye_protocol.digest import digest
from allye_protocol.ids import DeviceId
from allye_protocol.messages import Kind, Schedule, v1
from allye_protocol.messages.v1 import MAX_KW, watts
from tests import builders
from tests.strategies import (
    instants,
    metadatas,
    modes_for,
    optional,
    schedule_ids,
    schedules,
    sequences,
    trace_ids,
    traceparents,
    v1_schedules,
)
from tests.strategies import watts as watts_drawn

START = datetime.fromisoformat("2018-07-01T00:00:00Z")
SCHEDULE = builders.schedule(start=START, rates_w=(75_000, -570))


def of(schedule: v1.Schedule) -> str:
    """The digest of a schedule of version 1: that of its upgrade."""
    upgraded = upgrade(schedule)
    assert isinstance(upgraded, Schedule)
    return digest(upgraded)


@pytest.mark.parametrize(
    ("changes", "canonical"),
    [
        ({}, '{"device_id":"max300-0001","start":1530403200,"resolution_s":1800,"rates_w":[75000,-570]}'),
        (
            {"resolution_s": 300, "rates_w": (1, None)},
            '{"device_id":"max300-0001","start":1530403200,"resolution_s":300,"rates_w":[1,null]}',
        ),
        (
            {"soc_min_pct": 20.001, "soc_max_pct": 90.0, "ramp_w_per_s": 1000, "start_jitter_s": 120, "dry_run": True},
            (
                '{"device_id":"max300-0001","start":1530403200,"resolution_s":1800,"rates_w":[75000,-570],'
                '"soc_min_milli_pct":20001,"soc_max_milli_pct":90000,"ramp_w_per_s":1000,"start_jitter_s":120,"dry_run":true}'
            ),
        ),
    ],
)
def test_the_canonical_form_is_what_the_documentation_says(changes: dict[str, Any], canonical: str) -> None:
    assert digest(replace(SCHEDULE, **changes)) == hashlib.sha256(canonical.encode()).hexdigest()


@given(schedules(), st.data())
def test_what_is_no_part_of_the_meaning_does_not_change_it(schedule: Schedule, data: st.DataObject) -> None:
    other = replace(
        schedule,
        schedule_id=data.draw(schedule_ids),
        sequence=data.draw(sequences),
        generated_at=data.draw(instants),
        expires_at=data.draw(optional(instants)),
        traceparent=data.draw(optional(traceparents)),
        metadata=data.draw(metadatas),
    )
    assert digest(other) == digest(schedule)


@given(v1_schedules(), st.data())
def test_nor_does_it_in_version_1(schedule: v1.Schedule, data: st.DataObject) -> None:
    slots = tuple(replace(slot, mode=data.draw(modes_for(slot.rate_kw))) for slot in schedule.intervals)
    other = replace(
        schedule,
        schedule_id=data.draw(schedule_ids),
        generated_at=data.draw(instants),
        intervals=slots,
        max_power_kw=data.draw(st.sampled_from([None, MAX_KW])),
        trace_id=data.draw(optional(trace_ids)),
    )
    assert of(other) == of(schedule)


@given(schedules(max_slots=4), st.integers(-1439, 1439))
def test_the_offset_that_times_are_written_with_does_not_change_it(schedule: Schedule, minutes: int) -> None:
    tree = json.loads(encode(schedule))
    tree["start"] = schedule.start.astimezone(timezone(timedelta(minutes=minutes))).isoformat()
    decoded: Any = decode(json.dumps(tree).encode(), Kind.SCHEDULE)
    assert digest(decoded) == digest(schedule)


@given(schedules())
def test_it_survives_every_encoding(schedule: Schedule) -> None:
    for content_type in content_types_of(2):
        decoded: Any = decode(encode(schedule, content_type), Kind.SCHEDULE, content_type)
        assert digest(decoded) == digest(schedule)


@given(v1_schedules())
def test_a_schedule_of_version_1_and_its_upgrade_have_the_same_on_the_wire(schedule: v1.Schedule) -> None:
    read: Any = decode(encode(schedule), Kind.SCHEDULE)
    for content_type in content_types_of(2):
        again: Any = decode(encode(read, content_type), Kind.SCHEDULE, content_type)
        assert digest(again) == of(schedule)


@given(schedules(), st.data())
def test_any_other_setpoint_changes_it(schedule: Schedule, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(schedule.rates_w) - 1))
    rate_w = data.draw(optional(watts_drawn).filter(lambda drawn: drawn != schedule.rates_w[index]))
    rates_w = (*schedule.rates_w[:index], rate_w, *schedule.rates_w[index + 1 :])
    assert digest(replace(schedule, rates_w=rates_w)) != digest(schedule)


@given(v1_schedules(), st.data())
def test_less_than_a_watt_more_does_not_change_it(schedule: v1.Schedule, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(schedule.intervals) - 1))
    slots = list(schedule.intervals)
    rate_w = slots[index].rate_w
    rate_kw = data.draw(st.integers(0, 9)) * (1e-4 if rate_w > 0 else -1e-4) + rate_w / 1000
    slots[index] = replace(slots[index], rate_kw=rate_kw, mode=None)
    changed = replace(schedule, intervals=tuple(slots), max_power_kw=None)
    assert (of(changed) == of(schedule)) is (watts(rate_kw) == rate_w)


def test_whatever_a_schedule_asks_for_changes_it() -> None:
    others = [
        replace(SCHEDULE, start=START + timedelta(minutes=30)),
        replace(SCHEDULE, start=START + timedelta(days=1)),
        replace(SCHEDULE, device_id=DeviceId("max300-0002")),
        replace(SCHEDULE, rates_w=(75_000,)),
        replace(SCHEDULE, rates_w=(-75_000, -570)),
        replace(SCHEDULE, rates_w=(-570, 75_000)),
        replace(SCHEDULE, rates_w=(0, -570)),
        replace(SCHEDULE, rates_w=(None, -570)),
        replace(SCHEDULE, resolution_s=900),
        replace(SCHEDULE, soc_min_pct=20.0),
        replace(SCHEDULE, soc_max_pct=20.0),
        replace(SCHEDULE, soc_max_pct=20.001),
        replace(SCHEDULE, ramp_w_per_s=20),
        replace(SCHEDULE, start_jitter_s=20),
        replace(SCHEDULE, dry_run=True),
    ]
    assert len({digest(each) for each in (SCHEDULE, *others)}) == len(others) + 1


def test_minus_zero_means_zero() -> None:
    assert of(builders.v1_schedule(rates_kw=(-0.0,))) == of(builders.v1_schedule(rates_kw=(0.0,)))


@pytest.mark.parametrize("slots", [1, 2016])
def test_it_is_64_lower_case_hex_digits(slots: int) -> None:
    found = digest(replace(SCHEDULE, rates_w=tuple(range(slots))))
    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")
