"""Version 2: what its messages say of themselves, and that the plain schedules are valid ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.errors import ErrorClass, ErrorCode, Problem
from allye_protocol.messages import (
    AckStatus,
    ErrorDetail,
    EventType,
    ExecutionStatus,
    Outcome,
    Schedule,
    sequence_at,
)
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.registry import BY_TYPE
from allye_protocol.messages.v2 import (
    MAX_HORIZON,
    MAX_SEQUENCE,
    MAX_SLOTS,
    RESOLUTIONS_S,
    ack_problems,
    is_plain_schedule,
    outcome_of,
    schedule_event_problems,
    schedule_problems,
)
from tests import builders
from tests.strategies import error_details, instants, schedules, v2_messages

PLAN = builders.schedule(rates_w=(1, None, -1))


@given(v2_messages)
def test_a_valid_message_has_no_problems(message: Any) -> None:
    assert list(BY_TYPE[type(message)].problems(message)) == []


# schedules


@given(schedules(max_slots=8))
def test_a_schedule_without_limits_of_charge_is_plain(schedule: Schedule) -> None:
    limited = schedule.soc_min_pct is not None or schedule.soc_max_pct is not None
    assert is_plain_schedule(schedule) is not limited


shifts = st.one_of(
    st.sampled_from([timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=5), timedelta(minutes=15)]),
    st.timedeltas(timedelta(days=-2), timedelta(days=2)),
)


@given(schedules(max_slots=4), shifts, st.sampled_from(["start", "generated_at", "expires_at"]), st.sampled_from(RESOLUTIONS_S))
def test_a_plain_schedule_has_no_problems(schedule: Schedule, shift: timedelta, name: str, resolution_s: Any) -> None:
    moved = replace(schedule, **{name: (getattr(schedule, name) or EARLIEST) + shift}, resolution_s=resolution_s)
    assert not (is_plain_schedule(moved) and list(schedule_problems(moved)))


@pytest.mark.parametrize("resolution_s", RESOLUTIONS_S)
def test_seven_days_are_the_most(resolution_s: Any) -> None:
    most = int(MAX_HORIZON.total_seconds()) // resolution_s
    longest = replace(PLAN, resolution_s=resolution_s, rates_w=(0,) * most)
    assert list(schedule_problems(longest)) == []
    assert longest.end - longest.start == MAX_HORIZON
    assert most <= MAX_SLOTS
    longer = replace(longest, rates_w=(0,) * (most + 1))
    assert not is_plain_schedule(longer)
    (problem,) = schedule_problems(longer)
    assert (problem.code, problem.path, problem.details) == (ErrorCode.LIMIT_SLOTS, "/rates_w", {"limit": most})


@pytest.mark.parametrize("resolution_s", RESOLUTIONS_S)
def test_a_horizon_is_its_slots_one_after_another(resolution_s: Any) -> None:
    schedule = replace(PLAN, resolution_s=resolution_s)
    assert schedule.resolution == timedelta(seconds=resolution_s)
    assert schedule.end == schedule.start + 3 * schedule.resolution


@given(st.integers(1, MAX_SEQUENCE))
def test_a_sequence_is_the_microseconds_of_an_instant(sequence: int) -> None:
    instant = EARLIEST + timedelta(microseconds=sequence)
    assert sequence_at(instant) == sequence
    assert instant < LATEST


@pytest.mark.parametrize(
    ("traceparent", "trace_id"),
    [(builders.TRACEPARENT, builders.TRACE_ID), ("nonsense", None), (f"00-{'0' * 32}-00f067aa0ba902b7-01", None), (None, None)],
)
def test_the_trace_of_a_body_is_the_one_that_it_names_validly(traceparent: str | None, trace_id: str | None) -> None:
    for message in (PLAN, builders.ack(), builders.result(), builders.event(), builders.cancel()):
        assert replace(message, traceparent=traceparent).trace_id == trace_id
    assert builders.status().trace_id is None


# cancels


@given(instants, instants)
def test_a_cancel_begins_at_once_or_when_it_says_but_never_in_the_past(now: Any, when: Any) -> None:
    assert builders.cancel().begins(now) == now
    assert builders.cancel(effective_from=when).begins(now) == max(now, when)


# answers


@pytest.mark.parametrize("status", AckStatus)
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_an_applied_ack_says_when_and_a_failed_one_why_and_no_other_does(
    status: AckStatus, applied: bool, failed: bool
) -> None:
    ack = builders.ack(
        status=status,
        applied_at=builders.NOON if applied else None,
        error=ErrorDetail(code="limit.power") if failed else None,
    )
    expected = {"/applied_at"} if applied is not (status is AckStatus.APPLIED) else set()
    expected |= {"/error"} if failed is not (status is AckStatus.FAILED) else set()
    assert {problem.path for problem in ack_problems(ack)} == expected


@pytest.mark.parametrize(
    ("code", "retryable", "expected"),
    [
        ("device.busy", None, True),
        ("limit.power", None, False),
        ("later.code", None, False),
        ("device.busy", False, False),
        ("limit.power", True, True),
    ],
)
def test_an_answer_is_retryable_as_it_says_or_as_its_code_does(code: str, retryable: bool | None, expected: bool) -> None:
    failed = builders.ack(status=AckStatus.FAILED, error=ErrorDetail(code=code), retryable=retryable)
    assert failed.is_retryable is expected
    assert not builders.ack(retryable=True).is_retryable


@given(error_details)
def test_an_error_knows_its_code_if_it_is_registered(error: ErrorDetail) -> None:
    assert error.known_code == (error.code if error.code in list(ErrorCode) else None)
    assert error.retryable is (error.known_code is not None and error.known_code.retryable)


@given(st.sampled_from(ErrorCode), st.text(max_size=600), st.text(max_size=300), st.integers(-9, 9) | st.floats() | st.text())
def test_a_problem_becomes_an_error_that_can_be_written(code: ErrorCode, message: str, path: str, value: object) -> None:
    problem = Problem(code=code, message=message, path=path, details={"value": value, "slot": 3, "stored_digest": "0" * 64})
    error = ErrorDetail.of(problem)
    assert (error.code, error.slot, error.digest) == (code, 3, "0" * 64)
    assert len(error.message) <= 512
    assert len(error.path or "") <= 256
    assert f"{error.message}{error.path or ''}".isprintable()


@pytest.mark.parametrize("status", ExecutionStatus)
@pytest.mark.parametrize("code", [None, *ErrorCode])
def test_an_outcome_that_is_inferred_never_contradicts_its_status(status: ExecutionStatus, code: ErrorCode | None) -> None:
    outcome = outcome_of(status, code)
    assert list(BY_TYPE[type(builders.result())].problems(builders.result(status=status, outcome=outcome))) == []
    if code is None:
        assert outcome is (Outcome.FULL if status is ExecutionStatus.SUCCEED else None)
    elif status is ExecutionStatus.FAIL and code.error_class in (ErrorClass.DRIVER, ErrorClass.DEVICE):
        assert outcome is not None


# events


@pytest.mark.parametrize("event", EventType)
def test_an_event_names_what_it_is_about(event: EventType) -> None:
    bare = builders.event(event, None, sequence=None)
    of_a_schedule = event in (EventType.STARTED, EventType.SUPERSEDED, EventType.EXPIRED, EventType.COMPLETED)
    expected = {"/schedule_id"} if of_a_schedule else {"/sequence"} if event is EventType.CANCELLED else set()
    assert {problem.path for problem in schedule_event_problems(bare)} == expected
    assert list(schedule_event_problems(builders.event(event))) == []
