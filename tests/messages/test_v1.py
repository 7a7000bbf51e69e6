"""Version 1: watts, the grid, modes and limits, where the fast checks must say what the complete ones say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.v1 import (
    MAX_INTERVALS,
    MAX_KW,
    RESOLUTION,
    Ack,
    ExecutionResult,
    Interval,
    Mode,
    Schedule,
    TimeSpan,
    ack_problems,
    execution_result_problems,
    is_plain_ack,
    is_plain_execution_result,
    is_plain_schedule,
    schedule_problems,
    watts,
)
from tests.strategies import instants, rates_kw, slot_starts, v1_acks, v1_execution_results, v1_schedules

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


@given(v1_schedules())
def test_the_rates_of_a_schedule_are_those_of_its_slots(schedule: Schedule) -> None:
    assert (
        schedule.rates_w == [slot.rate_w for slot in schedule.intervals] == [watts(slot.rate_kw) for slot in schedule.intervals]
    )


def is_plain(schedule: Schedule) -> bool:
    """What the codec asks, with modes where the first slot has one."""
    return is_plain_schedule(schedule, with_modes=schedule.intervals[0].mode is not None)


def near_the_end(schedule: Schedule) -> bool:
    return schedule.start >= LATEST - RESOLUTION * MAX_INTERVALS


# the grid


@given(v1_schedules())
def test_a_valid_schedule_has_no_problems_and_is_plain_without_modes(schedule: Schedule) -> None:
    assert list(schedule_problems(schedule)) == []
    bare = replace(schedule, intervals=tuple(replace(slot, mode=None) for slot in schedule.intervals))
    assert is_plain_schedule(bare, with_modes=False) or near_the_end(schedule)
    assert (schedule.start, schedule.end) == (schedule.intervals[0].start, schedule.intervals[-1].end)
    assert schedule.end - schedule.start == RESOLUTION * len(schedule.intervals)


shifts = st.one_of(
    st.sampled_from([timedelta(microseconds=1), timedelta(seconds=1), timedelta(minutes=15), RESOLUTION, timedelta(days=1)]),
    st.timedeltas(timedelta(days=-2), timedelta(days=2)),
)


@given(v1_schedules(max_slots=5), st.data(), shifts, st.sampled_from(["start", "end", "both", "rest"]))
def test_a_plain_schedule_has_no_problems_with_time(
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
    moved = replace(schedule, intervals=tuple(replace(slot, mode=None) for slot in slots))
    problems = [problem for problem in schedule_problems(moved) if problem.path.endswith(("/start", "/end"))]
    assert not (is_plain(moved) and problems)
    assert is_plain(moved) or problems or near_the_end(moved)


@pytest.mark.parametrize("start", [EARLIEST, EARLIEST + RESOLUTION, LATEST - RESOLUTION * 2])
def test_the_grid_ends_where_time_does(start: datetime) -> None:
    assert list(schedule_problems(schedule_of([Interval(start=start, end=start + RESOLUTION, rate_kw=1.0)]))) == []


@pytest.mark.parametrize("start", [EARLIEST - RESOLUTION, LATEST - RESOLUTION, LATEST])
def test_a_slot_beyond_the_bounds_is_a_problem(start: datetime) -> None:
    schedule = schedule_of([Interval(start=start, end=start + RESOLUTION, rate_kw=1.0)])
    assert not is_plain(schedule)
    assert {problem.code for problem in schedule_problems(schedule)} == {ErrorCode.MESSAGE_INVALID}


# modes and the schedule's own limit


@given(st.lists(st.tuples(rates_kw, st.sampled_from([None, *Mode])), min_size=1, max_size=3), st.booleans())
def test_a_plain_schedule_has_all_modes_or_none_and_they_name_the_sign(
    pairs: list[tuple[float, Mode | None]], with_modes: bool
) -> None:
    schedule = schedule_of(
        [
            Interval(start=START + RESOLUTION * i, end=START + RESOLUTION * (i + 1), rate_kw=rate, mode=mode)
            for i, (rate, mode) in enumerate(pairs)
        ]
    )
    if with_modes:
        names = all(mode is (Mode.CHARGE if rate > 0 else Mode.DISCHARGE if rate < 0 else Mode.IDLE) for rate, mode in pairs)
        assert is_plain_schedule(schedule, with_modes=True) is names
        assert not (names and list(schedule_problems(schedule)))
    else:
        assert is_plain_schedule(schedule, with_modes=False)


@pytest.mark.parametrize(
    ("mode", "agreeing"),
    [(Mode.CHARGE, [1.0, 0.0, -0.0]), (Mode.DISCHARGE, [-1.0, 0.0, -0.0]), (Mode.IDLE, [0.0, -0.0])],
)
def test_a_mode_agrees_with_its_sign_and_with_zero(mode: Mode, agreeing: list[float]) -> None:
    for rate_kw in (1.0, 5e-324, 0.0, -0.0, -5e-324, -1.0):
        schedule = schedule_of([Interval(start=START, end=START + RESOLUTION, rate_kw=rate_kw, mode=mode)])
        expected = rate_kw in agreeing or (rate_kw > 0 and mode is Mode.CHARGE) or (rate_kw < 0 and mode is Mode.DISCHARGE)
        problems = [problem.path for problem in schedule_problems(schedule)]
        assert problems == ([] if expected else ["/intervals/0/mode"])


@given(v1_schedules(), st.floats(0, MAX_KW))
def test_the_fast_check_of_the_limit_agrees_with_the_complete_one(schedule: Schedule, limit_kw: float) -> None:
    limited = replace(schedule, max_power_kw=limit_kw)
    problems = list(schedule_problems(limited))
    assert {problem.code for problem in problems} <= {ErrorCode.LIMIT_POWER}
    assert not (problems and any(is_plain_schedule(limited, with_modes=each) for each in (False, True)))


def test_a_broken_limit_names_slot_value_and_limit() -> None:
    schedule = schedule_of([Interval(start=START, end=START + RESOLUTION, rate_kw=-151.0)], max_power_kw=150.0)
    (problem,) = schedule_problems(schedule)
    assert problem.path == "/intervals/0/rate_kw"
    assert problem.details == {"slot": 0, "value_kw": -151.0, "limit_kw": 150.0}


# answers


@given(v1_acks, v1_execution_results)
def test_valid_answers_have_no_problems(ack: Ack, result: ExecutionResult) -> None:
    assert list(ack_problems(ack)) == []
    assert list(execution_result_problems(result)) == []
    assert is_plain_ack(ack)
    assert is_plain_execution_result(result)


@given(v1_acks, st.sampled_from(["timestamp", "applied_at"]), st.sampled_from([EARLIEST - timedelta(microseconds=1), LATEST]))
def test_an_answers_instants_are_bounded(ack: Ack, name: str, instant: datetime) -> None:
    changed = replace(ack, **{name: instant})
    assert not is_plain_ack(changed)
    (problem,) = ack_problems(changed)
    assert (problem.code, problem.path) == (ErrorCode.MESSAGE_INVALID, f"/{name}")


@given(v1_execution_results, slot_starts(), st.sampled_from(["start", "end", "both"]), shifts)
def test_a_plain_result_has_no_problems(result: ExecutionResult, start: datetime, what: str, shift: timedelta) -> None:
    span = TimeSpan(
        start=start if what == "end" else start + shift, end=start + RESOLUTION + (0 if what == "start" else 1) * shift
    )
    changed = replace(result, interval=span)
    assert is_plain_execution_result(changed) is (not list(execution_result_problems(changed)))


@given(v1_execution_results, instants)
def test_a_result_may_come_whenever_the_protocol_has_time(result: ExecutionResult, instant: datetime) -> None:
    assert is_plain_execution_result(replace(result, timestamp=instant))
    assert not is_plain_execution_result(replace(result, timestamp=EARLIEST - RESOLUTION))
    assert not is_plain_execution_result(replace(result, timestamp=LATEST))
