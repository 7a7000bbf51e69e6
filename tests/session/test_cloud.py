"""The cloud's session: stored before it is sent, repeated until the device answers, and only ever forward."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.delivery import OPEN, TRANSITIONS, RetryPolicy, State
from allye_protocol.errors import StoreError
from allye_protocol.events import AlarmRaised, DeliveryChanged
from allye_protocol.messages import AckStatus, Kind, sequence_at
from allye_protocol.session import CloudConfig, CloudSession
from allye_protocol.store.cloud import MemoryCloudStore
from tests.builders import DEVICE, MICROSECOND, NOON, SLOT, TRACE_ID, ack, frame_of, schedule, seeded
from tests.session.cloud_world import APPLIED, EVENING, MINUTE, RECEIVED, Cloud

if TYPE_CHECKING:
    from collections.abc import Callable

AT_EVENING = sequence_at(EVENING)
NAIVE = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - the mistake that is told


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.sequence_for(DEVICE, NAIVE),
        lambda session: session.submit(schedule(), NAIVE),
        lambda session: session.cancel(DEVICE, NAIVE, effective_from=NOON),
        lambda session: session.frames_to_send(NAIVE),
        lambda session: session.not_sent("plan-a", NAIVE),
        lambda session: session.disconnected(NAIVE),
        lambda session: session.receive(frame_of(ack()), NAIVE),
        lambda session: session.tick(NAIVE),
    ],
)
def test_a_time_without_an_offset_is_an_error_that_says_so(act: Callable[[CloudSession], Any]) -> None:
    with pytest.raises(ValueError, match="without an offset"):
        act(Cloud().session)


# Publishing


def test_what_the_broker_has_not_taken_yet_is_not_handed_out_twice() -> None:
    cloud = Cloud()
    cloud.submit()
    assert len(cloud.session.frames_to_send(cloud.now)) == 1
    cloud.now += timedelta(seconds=30)
    assert cloud.session.frames_to_send(cloud.now) == []
    assert cloud.session.under_way == 1
    deadline = cloud.session.next_deadline(can_send=True)
    assert deadline is not None
    assert deadline > cloud.now


def test_a_schedule_is_stored_as_sent_before_it_is_handed_out() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    assert (cloud.state(), cloud.delivery().attempts, cloud.delivery().sent_at) == (State.SENT, 1, EVENING)


def test_at_most_so_many_are_under_way_and_the_broker_makes_room() -> None:
    cloud = Cloud()
    for number in range(5):
        cloud.submit(name=f"plan-{number}", device=f"device-{number}")
    first = cloud.session.frames_to_send(cloud.now, 3)
    assert (len(first), cloud.session.under_way) == (3, 3)
    assert cloud.session.frames_to_send(cloud.now, 3) == []
    cloud.session.sent(first[0].delivery_id)
    assert len(cloud.session.frames_to_send(cloud.now, 3)) == 1


def test_the_schedules_of_a_device_go_one_at_a_time_oldest_first() -> None:
    cloud = Cloud()
    cloud.submit(name="first", sequence=AT_EVENING)
    cloud.submit(name="second", sequence=AT_EVENING + 1, start=NOON + 2 * SLOT)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["first"]
    cloud.now += timedelta(hours=1)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["first"]
    cloud.hear(ack("first", AckStatus.APPLIED))
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["second"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_same_content_is_repeated_with_full_jitter_until_the_horizon_ends(shares: list[float]) -> None:
    draws = iter([*shares, *[1.0] * 200])
    spans: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        spans.append((low, high))
        return low + (high - low) * next(draws)

    cloud = Cloud(uniform)
    cloud.submit()
    payloads, waited = [], []
    while (due := cloud.session.next_deadline(can_send=True)) is not None:
        before, cloud.now = cloud.now, max(due, cloud.now)
        cloud.session.tick(cloud.now)
        for dispatch in cloud.send():
            waited.append(cloud.now - before)
            payloads.append(dispatch.frame.payload)
    assert cloud.state() is State.EXPIRED
    assert cloud.now == NOON + SLOT
    assert len(set(payloads)) == 1
    assert [high for _, high in spans] == [min(900.0, 30.0 * 2**n) for n in range(len(spans))]
    assert {low for low, _ in spans} == {0.0}
    assert cloud.delivery().attempts == len(payloads)


def test_a_refusal_of_the_broker_is_tried_again_in_a_minute() -> None:
    cloud = Cloud()
    cloud.submit()
    (dispatch,) = cloud.session.frames_to_send(cloud.now)
    cloud.session.not_sent(dispatch.delivery_id, cloud.now)
    assert cloud.session.under_way == 0
    assert cloud.session.next_deadline(can_send=True) == EVENING + MINUTE


def test_what_was_under_way_when_the_connection_ended_is_due_at_once() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    cloud.now += timedelta(seconds=1)
    cloud.session.disconnected(cloud.now)
    assert cloud.session.next_deadline(can_send=True) == cloud.now
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-a"]


def test_an_answer_that_was_faster_than_the_broker_is_not_undone_by_a_lost_connection() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    cloud.hear(APPLIED)
    cloud.session.disconnected(cloud.now)
    assert cloud.state() is State.APPLIED
    assert cloud.send() == []


def test_a_restart_goes_on_with_the_same_ids_and_content() -> None:
    cloud = Cloud()
    cloud.submit()
    (before,) = cloud.send()
    cloud.restart()
    assert cloud.session.next_deadline(can_send=True) == EVENING + timedelta(seconds=30)
    cloud.now += timedelta(seconds=30)
    (after,) = cloud.send()
    assert (after.delivery_id, after.frame.payload) == (before.delivery_id, before.frame.payload)


# Answers


def test_received_is_not_enough_to_stop_repeating() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(RECEIVED)
    cloud.now += timedelta(seconds=30)
    assert len(cloud.send()) == 1
    assert cloud.state() is State.RECEIVED


# Time


def test_an_alarm_is_raised_once_half_an_hour_before_the_first_slot() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.now = NOON - timedelta(minutes=30) - MICROSECOND
    assert cloud.session.tick(cloud.now) == []
    cloud.now += MICROSECOND
    (alarm,) = cloud.session.tick(cloud.now)
    assert alarm == AlarmRaised(
        delivery_id="plan-a",
        kind=Kind.SCHEDULE,
        schedule_id="plan-a",
        device_id=DEVICE,
        starts=NOON,
        state=State.SENT,
        trace_id=TRACE_ID,
    )
    assert cloud.session.tick(cloud.now) == []


def test_no_alarm_is_raised_for_what_is_applied() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    assert cloud.session.tick(NOON) == []
    assert cloud.session.next_deadline(can_send=True) is None


def test_an_expired_schedule_is_not_sent_any_more_but_a_late_applied_still_counts() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.now = NOON + SLOT
    expired = [event for event in cloud.session.tick(cloud.now) if isinstance(event, DeliveryChanged)]
    assert [(event.before, event.after) for event in expired] == [(State.SENT, State.EXPIRED)]
    assert cloud.send() == []
    assert cloud.hear(RECEIVED) == []
    cloud.hear(APPLIED)
    assert cloud.state() is State.APPLIED


def test_the_next_deadline_is_the_first_of_what_is_to_be_done() -> None:
    cloud = Cloud(retry=RetryPolicy(alarm_before=timedelta(hours=1)))
    assert cloud.session.next_deadline(can_send=True) is None
    cloud.submit()
    assert cloud.session.next_deadline(can_send=True) == EVENING
    assert cloud.session.next_deadline(can_send=False) == NOON - timedelta(hours=1)
    cloud.session.tick(NOON - timedelta(hours=1))
    assert cloud.session.next_deadline(can_send=False) == NOON + SLOT


# The store


@pytest.mark.parametrize("call", ["begin", "due", "hellos", "put_delivery", "commit"])
def test_nothing_is_published_that_the_store_does_not_know_of(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.session.frames_to_send(cloud.now)
    assert (cloud.state(), cloud.session.under_way) == (State.PENDING, 0)
    cloud.fails = ""
    assert len(cloud.send()) == 1


@pytest.mark.parametrize("call", ["begin", "put_delivery", "commit"])
def test_an_expiry_that_the_store_refuses_is_told_later(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.session.tick(NOON + SLOT)
    assert cloud.state() is State.PENDING
    cloud.fails = ""
    assert len(cloud.session.tick(NOON + SLOT)) == 1


def test_a_fleet_is_shared_by_workers_of_a_group() -> None:
    session = CloudSession(
        MemoryCloudStore(), random_bytes=seeded(), uniform=random.uniform, config=CloudConfig(root="acme/gb", group="cloud")
    )
    assert session.subscriptions == tuple(
        f"$share/cloud/acme/gb/+/{name}" for name in ("ack", "execution", "event", "hello", "status")
    )


def test_every_open_delivery_is_one_that_something_can_still_move() -> None:
    assert set(OPEN) == {state for state, _ in TRANSITIONS} - {State.APPLIED, State.EXPIRED, State.DEAD}
