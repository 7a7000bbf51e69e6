"""Version 1: watts, the grid, modes and limits, where the fast checks must say what the complete ones say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.strategies import acks, execution_results, instants, rates_kw, schedules, slot_starts

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, ExecutionResult, Interval, Mode, Schedule, watts
from allye_protocol.messages.v1 import (
    EARLIEST,
    LATEST,
    MAX_INTERVALS,
    MAX_KW,
    RESOLUTION,
    ack_problems,
    execution_result_problems,
    modes_agree,
    on_grid,
    schedule_problems,
    within_own_limit,
)

START = datetime(2018, 7, 1, tzinfo=UTC)


def schedule_of(intervals: list[Interval], max_power_kw: float | None = None) -> Schedule:
    return Schedule(
        schedule_id=ScheduleId("a"),
        device_id=DeviceId("b"),
        version=1,
        generated_at=START,
        intervals=tuple(intervals),
        max_power_kw=max_power_kw,
    )


# watts


@given(st.integers(-10_000_000, 10_000_000))
def test_thousandths_of_a_kilowatt_are_whole_watts(rate_w: int) -> None:
    assert watts(rate_w / 1000) == rate_w


def test_every_97th_watt_survives_being_written_in_kilowatts() -> None:
    assert all(watts(rate_w / 1000) == rate_w for rate_w in range(-10_000_000, 10_000_001, 97))


@given(rates_kw)
def test_watts_are_the_written_decimal_cut_toward_zero(rate_kw: float) -> None:
    assert watts(rate_kw) == int((Decimal(repr(rate_kw)) * 1000).to_integral_value(ROUND_DOWN))


@given(rates_kw)
def test_watts_never_ask_for_more_and_never_change_sign(rate_kw: float) -> None:
    rate_w = watts(rate_kw)
    assert abs(Decimal(rate_w)) <= abs(Decimal(repr(rate_kw)) * 1000)
    assert abs(rate_w) <= MAX_KW * 1000
    assert rate_w == -watts(-rate_kw)


@pytest.mark.parametrize(
    ("rate_kw", "rate_w"),
    [(0.57, 570), (-0.57, -570), (1.1, 1100), (0.0019999, 1), (-0.0019999, -1), (9999.9999, 9_999_999), (-0.0, 0), (5e-324, 0)],
)
def test_watts_of_some_rates(rate_kw: float, rate_w: int) -> None:
    assert watts(rate_kw) == rate_w


@given(schedules())
def test_the_rates_of_a_schedule_are_those_of_its_slots(schedule: Schedule) -> None:
    assert (
        schedule.rates_w == [slot.rate_w for slot in schedule.intervals] == [watts(slot.rate_kw) for slot in schedule.intervals]
    )


# the grid


@given(schedules())
def test_a_valid_schedule_has_no_problems_and_lies_on_the_grid(schedule: Schedule) -> None:
    assert list(schedule_problems(schedule)) == []
    assert on_grid(schedule) or schedule.start >= LATEST - RESOLUTION * MAX_INTERVALS
    assert (schedule.start, schedule.end) == (schedule.intervals[0].start, schedule.intervals[-1].end)
    assert schedule.end - schedule.start == RESOLUTION * len(schedule.intervals)


shifts = st.one_of(
    st.sampled_from([timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=15), RESOLUTION, timedelta(days=1)]),
    st.timedeltas(timedelta(days=-2), timedelta(days=2)),
)


@given(schedules(max_slots=5), st.data(), shifts, st.sampled_from(["start", "end", "both", "rest"]))
def test_a_schedule_on_the_grid_has_no_problems_with_time(
    schedule: Schedule, data: st.DataObject, shift: timedelta, what: str
) -> None:
    slots = list(schedule.intervals)
    index = data.draw(st.integers(0, len(slots) - 1))
    for at in range(index, len(slots) if what == "rest" else index + 1):
        slot = slots[at]
        slots[at] = replace(
            slot,
            start=slot.start if what == "end" else slot.start + shift,
            end=slot.end if what == "start" else slot.end + shift,
        )
    moved = replace(schedule, intervals=tuple(slots))
    problems = [problem for problem in schedule_problems(moved) if problem.path.endswith(("/start", "/end"))]
    assert not (on_grid(moved) and problems)
    assert on_grid(moved) or problems or moved.start >= LATEST - RESOLUTION * MAX_INTERVALS


@pytest.mark.parametrize("start", [EARLIEST, EARLIEST + RESOLUTION, LATEST - RESOLUTION * 2])
def test_the_grid_ends_where_time_does(start: datetime) -> None:
    assert list(schedule_problems(schedule_of([Interval(start=start, end=start + RESOLUTION, rate_kw=1.0)]))) == []


@pytest.mark.parametrize("start", [EARLIEST - RESOLUTION, LATEST - RESOLUTION, LATEST])
def test_a_slot_beyond_the_bounds_is_a_problem(start: datetime) -> None:
    schedule = schedule_of([Interval(start=start, end=start + RESOLUTION, rate_kw=1.0)])
    assert not on_grid(schedule)
    assert {problem.code for problem in schedule_problems(schedule)} == {ErrorCode.MESSAGE_INVALID}


# modes and the schedule's own limit


@given(rates_kw, st.sampled_from([None, *Mode]))
def test_the_fast_check_of_modes_agrees_with_the_complete_one(rate_kw: float, mode: Mode | None) -> None:
    schedule = schedule_of([Interval(start=START, end=START + RESOLUTION, rate_kw=rate_kw, mode=mode)])
    problems = [problem.path for problem in schedule_problems(schedule)]
    assert problems == (["/intervals/0/mode"] if modes_agree(schedule) == -1 else [])
    assert modes_agree(schedule) in (-1, int(mode is not None))


@pytest.mark.parametrize(
    ("mode", "agreeing"),
    [(Mode.CHARGE, [1.0, 0.0, -0.0]), (Mode.DISCHARGE, [-1.0, 0.0, -0.0]), (Mode.IDLE, [0.0, -0.0])],
)
def test_a_mode_agrees_with_its_sign_and_with_zero(mode: Mode, agreeing: list[float]) -> None:
    for rate_kw in (1.0, 5e-324, 0.0, -0.0, -5e-324, -1.0):
        schedule = schedule_of([Interval(start=START, end=START + RESOLUTION, rate_kw=rate_kw, mode=mode)])
        expected = rate_kw in agreeing or (rate_kw > 0 and mode is Mode.CHARGE) or (rate_kw < 0 and mode is Mode.DISCHARGE)
        assert (modes_agree(schedule) == 1) is expected


@given(schedules(), st.floats(0, MAX_KW))
def test_the_fast_check_of_the_limit_agrees_with_the_complete_one(schedule: Schedule, limit_kw: float) -> None:
    limited = replace(schedule, max_power_kw=limit_kw)
    problems = list(schedule_problems(limited))
    assert within_own_limit(limited) is (not problems)
    assert {problem.code for problem in problems} <= {ErrorCode.LIMIT_POWER}
    assert within_own_limit(replace(schedule, max_power_kw=None))


def test_a_broken_limit_names_slot_value_and_limit() -> None:
    schedule = schedule_of([Interval(start=START, end=START + RESOLUTION, rate_kw=-151.0)], max_power_kw=150.0)
    (problem,) = schedule_problems(schedule)
    assert problem.path == "/intervals/0/rate_kw"
    assert problem.details == {"slot": 0, "value_kw": -151.0, "limit_kw": 150.0}


# answers


@given(acks, execution_results)
def test_valid_answers_have_no_problems(ack: Ack, result: ExecutionResult) -> None:
    assert list(ack_problems(ack)) == []
    assert list(execution_result_problems(result)) == []


@given(acks, st.sampled_from(["timestamp", "applied_at"]), st.sampled_from([EARLIEST - timedelta(microseconds=1), LATEST]))
def test_an_answers_instants_are_bounded(ack: Ack, name: str, instant: datetime) -> None:
    (problem,) = ack_problems(replace(ack, **{name: instant}))
    assert (problem.code, problem.path) == (ErrorCode.MESSAGE_INVALID, f"/{name}")


@given(execution_results, slot_starts(), instants, st.integers(-840, 840))
def test_a_results_slot_is_a_half_hour_on_utc(result: ExecutionResult, start: datetime, end: datetime, minutes: int) -> None:
    local = start.astimezone(timezone(timedelta(minutes=minutes)))
    span = replace(result.interval, start=start, end=end)
    codes = {problem.code for problem in execution_result_problems(replace(result, interval=span))}
    assert codes == (set() if end - start == RESOLUTION else {ErrorCode.TIME_BAD_DURATION})
    assert local == start
