"""The life of a delivery: only forward, repeated with full jitter, ended by the device's answer or the horizon."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.delivery import OPEN, TRANSITIONS, Cause, RetryPolicy, State, cause_of
from allye_protocol.messages import AckStatus

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
        ([Cause.PUBLISHED, Cause.HORIZON_PASSED, Cause.RECEIVED], State.EXPIRED),
        ([Cause.PUBLISHED, Cause.HORIZON_PASSED, Cause.APPLIED], State.APPLIED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.FAILED_FOR_GOOD], State.APPLIED),
        ([Cause.PUBLISHED, Cause.APPLIED, Cause.HORIZON_PASSED], State.APPLIED),
    ],
)
def test_stories_end_as_they_should(happened: list[Cause], expected: State) -> None:
    assert after(State.PENDING, happened) is expected


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("state", [State.APPLIED, State.SUPERSEDED])
def test_nothing_leads_out_of_applied_and_superseded(state: State, cause: Cause) -> None:
    assert (state, cause) not in TRANSITIONS


@pytest.mark.parametrize("ended", [State.EXPIRED, State.DEAD])
def test_only_the_truth_leads_out_of_expired_and_dead(ended: State) -> None:
    assert {cause for state, cause in TRANSITIONS if state is ended} == {Cause.APPLIED}


def test_every_open_state_can_end_in_every_way() -> None:
    ends = (Cause.APPLIED, Cause.FAILED_FOR_GOOD, Cause.HORIZON_PASSED, Cause.SUPERSEDED)
    for state, cause in product(OPEN, ends):
        assert TRANSITIONS[state, cause] not in OPEN


def test_publishing_is_neither_delivery_nor_an_answer() -> None:
    reached = {after(State.PENDING, [Cause.PUBLISHED] * count) for count in range(5)}
    assert reached == {State.PENDING, State.SENT}


def test_nothing_leads_back_to_pending() -> None:
    assert State.PENDING not in TRANSITIONS.values()


@given(causes, causes)
def test_answers_that_come_twice_or_late_change_nothing_more(happened: list[Cause], again: list[Cause]) -> None:
    """Once the device said APPLIED nothing else is believed, in whatever order the rest arrives."""
    ended = after(State.PENDING, [Cause.PUBLISHED, *happened])
    if ended not in OPEN and ended not in {State.EXPIRED, State.DEAD}:
        assert after(ended, again) is ended


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
