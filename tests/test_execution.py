"""The plan and its execution: merging in any order, energy in any split, and judging."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allye_protocol.codec import encode
from allye_protocol.errors import ErrorCode
from allye_protocol.execution import judge, merge, read_meter, result_of, tolerance_w
from allye_protocol.messages import ExecutionStatus, Schedule
from allye_protocol.store import PlannedSlot
from tests.builders import DEVICE, MICROSECOND, NOON, SLOT, TRACE_ID, schedule, slot

HOLD = timedelta(seconds=60)
RATED_W = 150_000.0
END = NOON + SLOT
EARLIER, LATER = NOON - timedelta(hours=2), NOON - timedelta(minutes=1)

Plan = dict[datetime, PlannedSlot]


def put(plan: Plan, new: Schedule, now: datetime) -> None:
    inside = [plan[at] for at in sorted(plan) if new.start <= at < new.end]
    plan.update({made.start: made for made in merge(new, inside, now, TRACE_ID)})


plans = st.lists(
    st.tuples(st.integers(0, 6), st.lists(st.integers(-100, 100), min_size=1, max_size=5)), min_size=1, max_size=5
).map(
    lambda drawn: [
        schedule(f"plan-{index}", start=NOON + SLOT * first, rates_kw=rates, generated_at=EARLIER + MICROSECOND * index)
        for index, (first, rates) in enumerate(drawn)
    ]
)


@given(plans, st.data())
def test_whatever_the_order_of_arrival_a_slot_is_that_of_the_newest_schedule(made: list[Schedule], data: st.DataObject) -> None:
    plan: Plan = {}
    arrivals = data.draw(st.permutations(made)) + data.draw(st.lists(st.sampled_from(made), max_size=4))
    for each in arrivals:
        put(plan, each, LATER)
    expected = {slot.start: (each.schedule_id, slot.rate_w) for each in made for slot in each.intervals}
    assert {at: (planned.schedule_id, planned.rate_w) for at, planned in plan.items()} == expected


@given(plans, st.integers(0, 12), st.sets(st.integers(0, 12)))
def test_what_was_reported_or_has_ended_is_never_rewritten(made: list[Schedule], elapsed: int, done: set[int]) -> None:
    first, *later = made
    plan: Plan = {}
    put(plan, first, LATER)
    now = NOON + SLOT * elapsed
    for index in done:
        if (at := NOON + SLOT * index) in plan:
            plan[at] = msgspec.structs.replace(plan[at], reported=True)
    kept = {at: planned for at, planned in plan.items() if planned.reported or planned.end <= now}
    for each in later:
        put(plan, each, now)
    assert {at: plan[at] for at in kept} == kept


def test_applying_a_schedule_again_changes_nothing() -> None:
    plan: Plan = {}
    put(plan, schedule(rates_kw=(1.0, 2.0)), LATER)
    assert merge(schedule(rates_kw=(1.0, 2.0)), plan.values(), LATER, TRACE_ID) == []


def test_slots_that_are_past_already_are_planned_so_that_they_are_reported() -> None:
    made = merge(schedule(rates_kw=(1.0, 2.0, 3.0)), [], NOON + SLOT, TRACE_ID)
    assert [each.start for each in made] == [NOON, NOON + SLOT, NOON + 2 * SLOT]
    assert judge(made[0], RATED_W).problem is not None


def test_a_planned_slot_is_what_the_schedule_says() -> None:
    (made,) = merge(schedule(rates_kw=(-0.57,)), [], LATER, TRACE_ID)
    assert made == slot(rate_w=-570)


def test_a_running_slot_switches_at_once_and_keeps_its_energy() -> None:
    running = begun(slot(rate_w=60_000), 1000.0)
    now = NOON + timedelta(minutes=10)
    running = read_meter(running, now, 11_000.0, HOLD)
    (switched,) = merge(schedule("plan-b", rates_kw=(-30.0,), generated_at=now), [running], now, "f" * 32)
    assert (switched.schedule_id, switched.rate_w, switched.since, switched.trace_id) == ("plan-b", -30_000, now, "f" * 32)
    assert switched.planned_wh == pytest.approx(10_000)
    kept = ("started_at", "seen_at", "meter_start_wh", "meter_wh", "covered_s", "trouble", "end")
    assert [getattr(switched, name) for name in kept] == [getattr(running, name) for name in kept]


@given(st.lists(st.tuples(st.integers(1, 1799), st.integers(-100, 100)), max_size=5), st.integers(-100, 100))
def test_a_slot_that_was_switched_is_compared_with_the_energy_that_all_setpoints_asked_for(
    switches: list[tuple[int, int]], first: int
) -> None:
    plan: Plan = {NOON: begun(slot(rate_w=first * 1000), 0.0)}
    asked, before, rate = 0.0, 0, first
    for number, (second, new) in enumerate(sorted(switches)):
        now = NOON + timedelta(seconds=second)
        put(plan, schedule(f"plan-{number}", rates_kw=(new,), generated_at=NOON + MICROSECOND * number), now)
        asked, before, rate = asked + rate * (second - before), second, new
    asked += rate * (1800 - before)
    assert judge(plan[NOON], RATED_W).scheduled_w == pytest.approx(asked / 1800 * 1000, abs=1e-6)


@given(st.integers(-7200, 7200), st.integers(0, 1800), st.integers(-100, 100))
def test_a_switch_after_the_clock_was_set_asks_for_no_energy_that_nobody_could_give(step: int, seen: int, new: int) -> None:
    running = read_meter(begun(slot(rate_w=50_000), 0.0), NOON + timedelta(seconds=seen), 0.0, HOLD)
    now = NOON + timedelta(seconds=seen + step)
    plan = {NOON: running}
    put(plan, schedule("plan-b", rates_kw=(new,), generated_at=NOON), now)
    expected = judge(plan[NOON], RATED_W).scheduled_w
    assert min(50_000, new * 1000) - 1e-6 <= expected <= max(50_000, new * 1000) + 1e-6


def begun(planned: PlannedSlot, meter_wh: float) -> PlannedSlot:
    return read_meter(planned, planned.start, meter_wh, HOLD)


def readings(planned: PlannedSlot, *taken: tuple[float, float]) -> PlannedSlot:
    """The slot after readings at so many seconds from its start."""
    for second, meter_wh in taken:
        planned = read_meter(planned, planned.start + timedelta(seconds=second), meter_wh, HOLD)
    return planned


def every_minute(power_w: float, *, first: int = 0, last: int = 30, start_wh: float = 5e6) -> list[tuple[float, float]]:
    return [(minute * 60, start_wh + power_w * minute / 60) for minute in range(first, last + 1)]


@given(st.lists(st.integers(1, 1799), max_size=20), st.floats(-1e6, 1e6), st.floats(-7e4, 7e4))
def test_readings_in_any_split_give_the_same_energy(between: list[int], start_wh: float, used_wh: float) -> None:
    taken = [(0, start_wh), *((second, start_wh + 7.0) for second in sorted(between)), (1800, start_wh + used_wh)]
    judged = judge(readings(slot(), *taken), RATED_W)
    assert judged.actual_w == (start_wh + used_wh - start_wh) / 0.5


@given(st.lists(st.integers(0, 1800), min_size=2, max_size=60).map(sorted))
def test_coverage_is_the_time_between_readings_but_for_what_exceeds_the_hold(seconds: list[int]) -> None:
    judged = judge(readings(slot(), *((second, 0.0) for second in seconds)), RATED_W)
    assert judged.coverage == pytest.approx(sum(min(b - a, 60) for a, b in pairwise(seconds)) / 1800)
    assert 0 <= judged.coverage <= 1


@given(st.lists(st.integers(-3600, 5400), min_size=1, max_size=60))
def test_a_clock_that_is_set_never_covers_more_than_the_slot(seconds: list[int]) -> None:
    judged = judge(readings(slot(), *((second, 0.0) for second in seconds)), RATED_W)
    assert 0 <= judged.coverage <= 1


def test_a_slot_executed_as_planned_succeeds() -> None:
    judged = judge(readings(slot(), *every_minute(100_000)), RATED_W)
    assert judged.status is ExecutionStatus.SUCCEED
    assert judged.problem is None
    assert judged.actual_w == pytest.approx(100_000)
    assert judged.coverage == 1.0


def test_a_reading_after_the_end_counts_as_one_at_the_end() -> None:
    late = readings(slot(), *every_minute(100_000, last=29), (1804, 5e6 + 50_000))
    assert late.seen_at == END
    assert late.covered_s == 1800
    assert judge(late, RATED_W).status is ExecutionStatus.SUCCEED


@pytest.mark.parametrize(
    ("scheduled_w", "rated_w", "expected_w"),
    [(0, 10_000, 1000), (0, 150_000, 3000), (100_000, 150_000, 5000), (-100_000, 150_000, 5000), (10_000, 0, 1000)],
)
def test_the_tolerance_is_the_largest_of_three(scheduled_w: float, rated_w: float, expected_w: float) -> None:
    assert tolerance_w(scheduled_w, rated_w) == expected_w


@pytest.mark.parametrize(
    ("deviation_w", "expected"),
    [
        (5000, ExecutionStatus.SUCCEED),
        (5001, ExecutionStatus.FAIL),
        (-5000, ExecutionStatus.SUCCEED),
        (-5001, ExecutionStatus.FAIL),
    ],
)
def test_a_deviation_at_the_tolerance_succeeds(deviation_w: int, expected: ExecutionStatus) -> None:
    taken = readings(slot(), *every_minute(0, start_wh=0, last=29), (1800, (100_000 + deviation_w) / 2))
    judged = judge(taken, RATED_W)
    assert judged.status is expected
    if expected is ExecutionStatus.FAIL:
        assert judged.problem is not None
        assert judged.problem.code is ErrorCode.EXEC_LIMITED_BATTERY
        assert f"{100_000 + deviation_w} W instead of 100000 W" in judged.problem.message


@pytest.mark.parametrize(
    ("last", "expected"), [(27, ExecutionStatus.SUCCEED), (26, ExecutionStatus.FAIL)], ids=["90 %", "less than 90 %"]
)
def test_ninety_percent_of_a_slot_under_control_are_enough(last: int, expected: ExecutionStatus) -> None:
    assert judge(readings(slot(rate_w=0), *every_minute(0, last=last)), RATED_W).status is expected


@pytest.mark.parametrize(("first", "code"), [(4, ErrorCode.EXEC_LATE_START), (3, ErrorCode.EXEC_NO_DATA)])
def test_a_slot_with_little_coverage_says_whether_it_began_late(first: int, code: ErrorCode) -> None:
    judged = judge(readings(slot(rate_w=0), *every_minute(0, first=first, last=26)), RATED_W)
    assert judged.problem is not None
    assert judged.problem.code is code


@pytest.mark.parametrize(
    ("first", "last", "actual_w", "code"),
    [
        (2, 30, 100_000, ErrorCode.EXEC_LATE_START),
        (0, 28, 100_000, ErrorCode.EXEC_NO_DATA),
        (2, 30, 80_000, ErrorCode.EXEC_LIMITED_BATTERY),
    ],
    ids=["begun late", "left early", "begun late, and less than asked for"],
)
def test_the_battery_is_not_blamed_for_what_it_was_not_told_to_do(
    first: int, last: int, actual_w: int, code: ErrorCode
) -> None:
    judged = judge(readings(slot(), *every_minute(actual_w, first=first, last=last)), RATED_W)
    assert judged.coverage == pytest.approx(28 / 30)
    assert judged.problem is not None
    assert judged.problem.code is code


def test_a_slot_that_nobody_executed_was_missed() -> None:
    judged = judge(slot(), RATED_W)
    assert (judged.status, judged.actual_w, judged.coverage) == (ExecutionStatus.FAIL, 0.0, 0.0)
    assert judged.problem is not None
    assert judged.problem.code is ErrorCode.EXEC_MISSED


def test_a_battery_that_could_not_be_read_in_a_slot_is_why_it_was_missed() -> None:
    judged = judge(read_meter(slot(), NOON, None, HOLD, ErrorCode.DRIVER_TIMEOUT), RATED_W)
    assert judged.problem is not None
    assert judged.problem.code is ErrorCode.DRIVER_TIMEOUT


def test_what_kept_the_battery_from_its_setpoint_is_why_it_failed() -> None:
    limited = readings(slot(), *every_minute(50_000, last=15))
    limited = read_meter(limited, NOON + timedelta(minutes=16), 5e6, HOLD, ErrorCode.EXEC_LIMITED_SOC)
    judged = judge(readings(limited, *every_minute(50_000, first=17)), RATED_W)
    assert judged.problem is not None
    assert judged.problem.code is ErrorCode.EXEC_LIMITED_SOC


@pytest.mark.parametrize("after_wh", [0.0, -5e6, math.inf, 1e308])
def test_counters_that_were_reset_are_not_believed(after_wh: float) -> None:
    taken = [(second, wh if second <= 600 else after_wh) for second, wh in every_minute(100_000)]
    judged = judge(readings(slot(rate_w=0), *taken), RATED_W)
    assert judged.status is ExecutionStatus.FAIL
    assert judged.problem is not None
    assert abs(judged.actual_w) <= 2 * RATED_W


@pytest.mark.parametrize("meter_wh", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_no_reading(meter_wh: float | None) -> None:
    assert read_meter(slot(), NOON, meter_wh, HOLD) == slot()
    running = begun(slot(), 1.0)
    assert read_meter(running, NOON + timedelta(minutes=1), meter_wh, HOLD) == running


@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(0, 10_000_000),
    st.integers(-10_000_000, 10_000_000),
)
@example(0.0, 7_500_000.0, 10_000_000, 0)
def test_whatever_the_counters_say_the_result_can_be_sent(first: float, last: float, rated_w: int, rate_w: int) -> None:
    planned = readings(slot(rate_w=rate_w), (0, first), (1800, last))
    result = result_of(planned, judge(planned, rated_w), DEVICE, END)
    encode(result)
    assert (result.interval.start, result.interval.end, result.timestamp) == (NOON, END, END)


def test_a_result_carries_its_schedule_and_the_power_to_the_watt() -> None:
    planned = readings(slot(rate_w=100_000), (0, 0.0), *every_minute(0, first=1, last=29, start_wh=0.0), (1800, 49_999.8))
    result: Any = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.schedule_id, result.device_id, result.trace_id) == ("plan-a", DEVICE, TRACE_ID)
    assert (result.actual_rate_kw, result.status, result.error_reason) == (100.0, ExecutionStatus.SUCCEED, None)


def test_a_failed_result_begins_with_its_code() -> None:
    result = result_of(slot(), judge(slot(), RATED_W), DEVICE, END)
    assert result.error_reason is not None
    assert result.error_reason.startswith("exec.missed: ")
    assert len(result.error_reason) <= 256
