"""The fast predicates never say yes where the rules say no, and do say yes to messages as they usually are."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.codec.plain import IS_PLAIN, IS_VALID, is_in_utc
from allye_protocol.ids import DeviceId
from allye_protocol.messages import (
    AckStatus,
    Cancel,
    Clock,
    DeviceStatus,
    ErrorDetail,
    ExecutionStatus,
    Outcome,
    ScheduleEvent,
    v1,
)
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.registry import BY_TYPE
from tests import builders
from tests.strategies import written

OFTEN = [
    builders.schedule(rates_w=(1, None)),
    builders.schedule(expires_at=builders.NOON, metadata={"a": "b"}, dry_run=True),
    builders.ack(),
    builders.ack(status=AckStatus.APPLIED, digest="0a" * 32, clock=Clock(synced=True), superseded=("a", "b")),
    builders.ack(status=AckStatus.FAILED),
    builders.result(),
    builders.event(),
]


@pytest.mark.parametrize("message", OFTEN, ids=lambda message: type(message).__name__)
def test_messages_as_they_usually_are_are_plain(message: Any) -> None:
    assert IS_PLAIN[type(message)](message)


@given(written)
def test_a_valid_message_is_valid_and_in_utc(message: Any) -> None:
    assert is_in_utc(message)
    assert IS_VALID[type(message)](message)


def instants_of(message: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The ways to every instant that a message has."""
    found = []
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, datetime):
            found.append((*path, name))
        elif isinstance(value, msgspec.Struct):
            found += instants_of(value, (*path, name))
    return found


def changed(message: Any, way: tuple[str, ...], change: Any) -> Any:
    name, *rest = way
    value = getattr(message, name)
    return replace(message, **{name: changed(value, tuple(rest), change) if rest else change(value)})


@given(written.filter(lambda message: not isinstance(message, v1.Schedule)), st.data())
def test_every_instant_of_a_message_is_looked_at(message: Any, data: st.DataObject) -> None:
    ways = instants_of(message)
    if not ways:
        return
    way = data.draw(st.sampled_from(ways))
    elsewhere = changed(message, way, lambda instant: instant.astimezone(timezone(timedelta(hours=1))))
    assert not is_in_utc(elsewhere)
    assert not IS_PLAIN[type(message)](elsewhere)


shifts = st.sampled_from(
    [timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2)]
)
bounds = st.sampled_from([EARLIEST - timedelta(minutes=30), LATEST, LATEST - timedelta(minutes=30)])


@given(written, st.data())
def test_no_instant_makes_a_message_plain_that_breaks_a_rule(message: Any, data: st.DataObject) -> None:
    ways = instants_of(message)
    if not ways:
        return
    way, shift = data.draw(st.sampled_from(ways)), data.draw(shifts)
    moved = data.draw(st.sampled_from([None, "bound"]))
    other = changed(message, way, lambda instant: data.draw(bounds) if moved else instant + shift)
    agree(other)


def agree(message: Any) -> None:
    """A yes of the fast predicate is a yes of the rules."""
    if IS_PLAIN[type(message)](message):
        assert list(BY_TYPE[type(message)].problems(message)) == []
        assert IS_VALID[type(message)](message)


odd = st.sampled_from(
    [
        {"schedule_id": "a/b"},
        {"device_id": DeviceId("a\n")},
        {"status": AckStatus.FAILED},
        {"status": AckStatus.APPLIED},
        {"status": AckStatus.RECEIVED},
        {"status": ExecutionStatus.FAIL},
        {"outcome": Outcome.FULL},
        {"outcome": Outcome.FAULTED},
        {"limiting": ("none",)},
        {"error": None},
        {"error": ErrorDetail(code="none")},
        {"error": ErrorDetail(code="later.code", digest="X" * 64)},
        {"error": ErrorDetail(code="limit.power", digest="0A" * 32)},
        {"error": ErrorDetail(code="limit.power", value=math.nan)},
        {"error": ErrorDetail(code="limit.power", limit=math.inf)},
        {"digest": "G" * 64},
        {"superseded": ("a b",)},
        {"applied_at": None},
        {"applied_at": builders.NOON},
        {"schedule_id": None},
        {"sequence": None},
        {"soc_min_pct": 99.9},
        {"soc_max_pct": 0.0001},
        {"resolution_s": 3600},
        {"rates_w": (0,) * 337},
    ]
)


@given(written, odd, odd)
def test_no_member_makes_a_message_plain_that_breaks_a_rule(
    message: Any, first: dict[str, Any], second: dict[str, Any]
) -> None:
    changes = {name: value for name, value in {**first, **second}.items() if name in message.__struct_fields__}
    if "schedule_id" in changes and not isinstance(message, ScheduleEvent | Cancel | DeviceStatus):
        assume(changes["schedule_id"] is not None)  # decoding gives no other message such a value
    assume(type(changes.get("status")) in (type(None), type(getattr(message, "status", None))))
    agree(replace(message, **changes))
