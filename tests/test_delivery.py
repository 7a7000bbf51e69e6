"""The life of a delivery: only forward, repeated with full jitter, ended by the device's answer or the horizon."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.convert import encode
from allye_protocol.delivery import (
    OPEN,
    STORED_CONTENT_TYPE,
    TRANSITIONS,
    Cause,
    RetryPolicy,
    State,
    cancel_id,
    cause_of,
    message_of,
)
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.ids import is_id
from allye_protocol.messages import AckStatus, Cancel, Schedule
from tests.builders import DEVICE, NOON, TRACE_ID, cancel, schedule
from tests.store.cloud_contract import FIRST, cancelling, delivery

causes = st.lists(st.sampled_from(Cause), max_size=20)


def after(state: State, happened: list[Cause]) -> State:
    for cause in happened:
        state = TRANSITIONS.get((state, cause), state)
    return state


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        ([Cause.PUBLISHED, Cause.RECEIVED, Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.RECEIVED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.PUBLISHED, Cause.RECEIVED, Cause.PUBLISHED], State.RECEIVED),
        ([Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.FAILED_RETRYABLE, Cause.PUBLISHED, Cause.RECEIVED, Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.FAILED_FOR_GOOD, Cause.RECEIVED], State.DEAD),
        ([Cause.PUBLISHED, Cause.FAILED_FOR_GOOD, Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.SUPERSEDED, Cause.APPLIED], State.SUPERSEDED),
        ([Cause.PUBLISHED, Cause.CANCELLED, Cause.APPLIED], State.CANCELLED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.CANCELLED], State.CANCELLED),
        ([Cause.PUBLISHED, Cause.HORIZON_PASSED, Cause.CANCELLED], State.EXPIRED),
        ([Cause.PUBLISHED, Cause.HORIZON_PASSED, Cause.RECEIVED], State.EXPIRED),
        ([Cause.PUBLISHED, Cause.HORIZON_PASSED, Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.FAILED_FOR_GOOD], State.APPLIED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.HORIZON_PASSED], State.APPLIED),
    ],
)
def test_stories_end_as_they_should(happened: list[Cause], expected: State) -> None:
    assert after(State.PENDING, happened) is expected


def test_only_a_cancel_leads_out_of_applied() -> None:
    assert {cause for state, cause in TRANSITIONS if state is State.APPLIED} == {Cause.CANCELLED}


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("state", [State.CANCELLED, State.SUPERSEDED])
def test_nothing_leads_out_of_cancelled_and_superseded(state: State, cause: Cause) -> None:
    assert (state, cause) not in TRANSITIONS


@pytest.mark.parametrize("ended", [State.EXPIRED, State.DEAD])
def test_only_the_truth_leads_out_of_expired_and_dead(ended: State) -> None:
    assert {cause for state, cause in TRANSITIONS if state is ended} == {Cause.APPLIED}


def test_every_open_state_can_end_in_every_way() -> None:
    ends = (Cause.APPLIED, Cause.FAILED_FOR_GOOD, Cause.HORIZON_PASSED, Cause.SUPERSEDED, Cause.CANCELLED)
    for state, cause in product(OPEN, ends):
        assert TRANSITIONS[state, cause] not in OPEN


def test_publishing_is_neither_delivery_nor_an_answer() -> None:
    reached = {after(State.PENDING, [Cause.PUBLISHED] * count) for count in range(5)}
    assert reached == {State.PENDING, State.SENT}


def test_nothing_leads_back_to_pending() -> None:
    assert State.PENDING not in TRANSITIONS.values()


@given(causes, causes)
def test_answers_that_come_twice_or_late_change_nothing_more(happened: list[Cause], again: list[Cause]) -> None:
    """Once the device said APPLIED nothing but a cancel is believed, in whatever order the rest arrives."""
    ended = after(State.PENDING, [Cause.PUBLISHED, *happened])
    if ended not in OPEN and ended not in {State.EXPIRED, State.DEAD}:
        assert after(ended, again) is (State.CANCELLED if Cause.CANCELLED in again and ended is State.APPLIED else ended)


@pytest.mark.parametrize(
    ("status", "retryable", "expected"),
    [
        (AckStatus.RECEIVED, False, Cause.RECEIVED),
        (AckStatus.RECEIVED, True, Cause.RECEIVED),
        (AckStatus.APPLIED, False, Cause.APPLIED),
        (AckStatus.APPLIED, True, Cause.APPLIED),
        (AckStatus.FAILED, True, Cause.FAILED_RETRYABLE),
        (AckStatus.FAILED, False, Cause.FAILED_FOR_GOOD),
    ],
)
def test_every_answer_is_a_cause(status: AckStatus, retryable: bool, expected: Cause) -> None:
    assert cause_of(status, retryable=retryable) is expected


@pytest.mark.parametrize(
    ("attempts", "longest_s"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10**9, 900)]
)
def test_the_longest_wait_doubles_up_to_a_quarter_of_an_hour(attempts: int, longest_s: int) -> None:
    assert RetryPolicy().wait(attempts, lambda low, high: high) == timedelta(seconds=longest_s)
    assert RetryPolicy().wait(attempts, lambda low, high: low) == timedelta(0)


def test_waits_are_spread_over_the_whole_range() -> None:
    uniform = Random(7).uniform
    waits = sorted(RetryPolicy().wait(6, uniform).total_seconds() for _ in range(1000))
    assert waits[0] < 20
    assert waits[-1] > 880
    assert 400 < sum(waits) / len(waits) < 500


def test_a_schedule_s_delivery_has_its_id_and_a_cancel_s_has_one_that_no_schedule_can_have() -> None:
    assert delivery("plan-a").delivery_id == "plan-a"
    names = {cancelling(schedule_id="plan-a").delivery_id, cancelling().delivery_id, cancel_id(DEVICE, FIRST + 1)}
    assert len(names) == 1
    assert not is_id(names.pop())


def test_a_delivery_that_the_store_changed_is_corrupt() -> None:
    with pytest.raises(StoreError) as caught:
        message_of(delivery(payload=b"{"))
    assert caught.value.code is ErrorCode.STORE_CORRUPT


@pytest.mark.parametrize("message", [schedule(), cancel(), cancel(None, effective_from=NOON)])
def test_what_a_delivery_carries_can_be_read(message: Schedule | Cancel) -> None:
    made = delivery if isinstance(message, Schedule) else cancelling
    assert message_of(made(payload=encode(message, STORED_CONTENT_TYPE))) == message


def test_a_delivery_knows_its_trace_if_it_has_one() -> None:
    assert delivery().trace_id == TRACE_ID
    assert delivery(traceparent="nonsense").trace_id == ""
