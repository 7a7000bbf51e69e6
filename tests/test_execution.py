"""What became of a slot: energy in any split, switches of the setpoint, and judging."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allye_protocol.codec import encode
from allye_protocol.errors import ErrorCode
from allye_protocol.execution import Reading, divided, judge, read_meter, result_of, switched, tolerance_w
from allye_protocol.messages import ExecutionStatus, Outcome
from tests.builders import DEVICE, NOON, SLOT, TRACEPARENT, slot

if TYPE_CHECKING:
    from allye_protocol.store import PlannedSlot

HOLD = timedelta(seconds=60)
RATED_W = 150_000.0
END = NOON + SLOT


# A newer setpoint for a running slot.


def test_a_running_slot_switches_at_once_and_keeps_its_energy() -> None:
    running = begun(slot(rate_w=60_000), 1000.0)
    now = NOON + timedelta(minutes=10)
    running = read_meter(running, now, Reading(11_000.0), HOLD)
    newer = slot(
        schedule_id="plan-b", sequence=9, traceparent="b", rate_w=-30_000, soc_min_pct=1.0, soc_max_pct=2.0, ramp_w_per_s=3
    )
    made = switched(newer, running, now)
    assert (made.schedule_id, made.sequence, made.rate_w, made.since, made.traceparent) == ("plan-b", 9, -30_000, now, "b")
    assert (made.soc_min_pct, made.soc_max_pct, made.ramp_w_per_s) == (1.0, 2.0, 3)
    assert made.planned_wh == pytest.approx(10_000)
    kept = ("start", "started_at", "seen_at", "meter_start_wh", "meter_wh", "covered_s", "trouble", "end")
    assert [getattr(made, name) for name in kept] == [getattr(running, name) for name in kept]


@given(st.lists(st.tuples(st.integers(1, 1799), st.integers(-100, 100)), max_size=5), st.integers(-100, 100))
def test_a_slot_that_was_switched_is_compared_with_the_energy_that_all_setpoints_asked_for(
    switches: list[tuple[int, int]], first: int
) -> None:
    running = begun(slot(rate_w=first * 1000), 0.0)
    asked, before, rate = 0.0, 0, first
    for second, new in sorted(switches):
        now = NOON + timedelta(seconds=second)
        running = switched(slot(rate_w=new * 1000), running, now)
        asked, before, rate = asked + rate * (second - before), second, new
    asked += rate * (1800 - before)
    assert judge(running, RATED_W).scheduled_w == pytest.approx(asked / 1800 * 1000, abs=1e-6)


@given(st.integers(-7200, 7200), st.integers(0, 1800), st.integers(-100, 100))
def test_a_switch_after_the_clock_was_set_asks_for_no_energy_that_nobody_could_give(step: int, seen: int, new: int) -> None:
    running = read_meter(begun(slot(rate_w=50_000), 0.0), NOON + timedelta(seconds=seen), Reading(0.0), HOLD)
    running = switched(slot(rate_w=new * 1000), running, NOON + timedelta(seconds=seen + step))
    expected = judge(running, RATED_W).scheduled_w
    assert min(50_000, new * 1000) - 1e-6 <= expected <= max(50_000, new * 1000) + 1e-6


def test_what_was_executed_before_the_clock_was_set_back_stays_asked_for() -> None:
    running = read_meter(begun(slot(rate_w=60_000), 0.0), NOON + timedelta(minutes=10), Reading(10_000.0), HOLD)
    made = switched(slot(rate_w=0), running, NOON + timedelta(minutes=5))
    assert (made.since, made.planned_wh) == (NOON + timedelta(minutes=10), pytest.approx(10_000))


def test_a_setpoint_that_waits_counts_from_when_it_begins() -> None:
    """A schedule with a jitter switches a running slot: until its share of it has passed, the default control applies."""
    running = begun(slot(rate_w=60_000), 0.0)
    since = NOON + timedelta(minutes=20)
    made = switched(slot(rate_w=30_000, since=since), running, NOON + timedelta(minutes=10))
    assert [made.setpoint_w(NOON + timedelta(minutes=minute)) for minute in (10, 19, 20, 29)] == [None, None, 30_000, 30_000]
    assert judge(made, RATED_W).scheduled_w == pytest.approx((60_000 * 10 + 30_000 * 10) / 30)


def test_a_slot_without_a_setpoint_asks_for_nothing() -> None:
    judged = judge(readings(slot(rate_w=None), *every_minute(0)), RATED_W)
    assert (judged.status, judged.scheduled_w) == (ExecutionStatus.SUCCEED, 0.0)
    moved = judge(readings(slot(rate_w=None), *every_minute(10_000)), RATED_W)
    assert (moved.status, moved.scheduled_w) == (ExecutionStatus.FAIL, 0.0)


@given(st.integers(0, 1700), st.integers(1, 1799), st.integers(1, 1799), st.integers(0, 1799), st.integers(-100, 100))
def test_a_slot_in_two_has_the_energy_and_asks_for_the_energy_of_the_whole(
    begun_s: int, seen_s: int, at_s: int, switched_s: int, rate_kw: int
) -> None:
    """Whatever was read and switched before somebody learned that another slot had begun meanwhile."""
    seconds = [NOON + timedelta(seconds=each) for each in (begun_s, max(begun_s, seen_s), at_s, switched_s)]
    first, last, at, since = seconds
    running = read_meter(slot(rate_w=60_000), first, Reading(500.0, charged_wh=100.0, soc_pct=40.0), HOLD)
    running = read_meter(running, last, Reading(1700.0, charged_wh=1300.0, soc_pct=50.0), timedelta(hours=1))
    running = switched(slot(rate_w=rate_kw * 1000), running, since)
    before, rest = divided(running, at)
    assert (before.start, before.end, rest.start, rest.end) == (NOON, at, at, END)
    assert energy_of(before) + energy_of(rest) == pytest.approx(energy_of(running))
    assert before.covered_s + rest.covered_s == pytest.approx(running.covered_s)
    hours = [each.length / timedelta(hours=1) for each in (before, rest, running)]
    asked = [judge(each, RATED_W).scheduled_w * share for each, share in zip((before, rest, running), hours, strict=True)]
    assert asked[0] + asked[1] == pytest.approx(asked[2], abs=1e-6)
    assert (before.started_at is None) is (first >= at and last > at)
    assert (rest.started_at is None) is (last <= at)


def test_a_slot_in_two_was_executed_evenly_and_its_charge_is_not_invented() -> None:
    running = read_meter(slot(rate_w=60_000), NOON, Reading(0.0, charged_wh=0.0, soc_pct=40.0), HOLD)
    running = read_meter(running, NOON + timedelta(minutes=20), Reading(20_000.0, None, 20_000.0, 50.0), timedelta(hours=1))
    before, rest = divided(running, NOON + timedelta(minutes=15))
    assert judge(before, RATED_W).status is ExecutionStatus.SUCCEED
    told = result_of(before, judge(before, RATED_W), DEVICE, END)
    assert (told.actual_w, told.scheduled_w, told.energy_charged_wh, told.coverage_pct) == (60_000, 60_000, 15_000.0, 100.0)
    assert (told.soc_start_pct, told.soc_end_pct) == (40.0, None)
    assert (rest.soc_start_pct, rest.soc_pct, rest.meter_wh - rest.meter_start_wh) == (None, 50.0, pytest.approx(5_000.0))


def energy_of(slot_: PlannedSlot) -> float:
    """What the counters say was charged, Wh."""
    return slot_.meter_wh - slot_.meter_start_wh


def test_a_slot_that_a_cancel_lies_in_asks_for_the_energy_before_it() -> None:
    cut = slot(rate_w=90_000, until=NOON + timedelta(minutes=10))
    assert [cut.setpoint_w(NOON + timedelta(minutes=minute)) for minute in (0, 9, 10, 29)] == [90_000, 90_000, None, None]
    judged = judge(readings(cut, *[(s, min(wh, 5e6 + 15_000)) for s, wh in every_minute(90_000)]), RATED_W)
    assert judged.scheduled_w == pytest.approx(30_000)
    assert judged.status is ExecutionStatus.SUCCEED


def begun(planned: PlannedSlot, meter_wh: float) -> PlannedSlot:
    return read_meter(planned, planned.start, Reading(meter_wh), HOLD)


def readings(planned: PlannedSlot, *taken: tuple[float, float]) -> PlannedSlot:
    """The slot after readings at so many seconds from its start."""
    for second, meter_wh in taken:
        planned = read_meter(planned, planned.start + timedelta(seconds=second), Reading(meter_wh), HOLD)
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
    judged = judge(read_meter(slot(), NOON, Reading(None, ErrorCode.DRIVER_TIMEOUT), HOLD), RATED_W)
    assert judged.problem is not None
    assert judged.problem.code is ErrorCode.DRIVER_TIMEOUT


def test_what_kept_the_battery_from_its_setpoint_is_why_it_failed() -> None:
    limited = readings(slot(), *every_minute(50_000, last=15))
    limited = read_meter(limited, NOON + timedelta(minutes=16), Reading(5e6, ErrorCode.EXEC_LIMITED_SOC), HOLD)
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
    assert read_meter(slot(), NOON, Reading(meter_wh), HOLD) == slot()
    running = begun(slot(), 1.0)
    assert read_meter(running, NOON + timedelta(minutes=1), Reading(meter_wh), HOLD) == running


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
    assert (result.slot_start, result.slot_end, result.timestamp) == (NOON, END, END)


@given(*[st.none() | st.floats() for _ in range(4)])
@example(math.inf, -math.inf, 100.2, -0.1)
def test_whatever_else_is_read_the_result_can_be_sent(
    charged: float | None, charged_later: float | None, soc: float | None, soc_later: float | None
) -> None:
    planned = read_meter(slot(rate_w=0), NOON, Reading(0.0, charged_wh=charged, soc_pct=soc), HOLD)
    planned = read_meter(planned, END, Reading(0.0, charged_wh=charged_later, soc_pct=soc_later), HOLD)
    encode(result_of(planned, judge(planned, RATED_W), DEVICE, END))


@pytest.mark.parametrize(("read", "expected"), [(100.2, 100.0), (-0.1, 0.0), (math.nan, None), (None, None), (55.5, 55.5)])
def test_a_state_of_charge_is_reported_as_far_as_it_makes_sense(read: float | None, expected: float | None) -> None:
    planned = read_meter(slot(), NOON, Reading(0.0, soc_pct=read), HOLD)
    result = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.soc_start_pct, result.soc_end_pct) == (expected, expected)


def test_a_state_of_charge_that_is_not_read_at_the_end_is_the_last_one_read() -> None:
    planned = read_meter(slot(), NOON, Reading(0.0, soc_pct=40.0), HOLD)
    planned = read_meter(planned, NOON + timedelta(minutes=10), Reading(0.0, soc_pct=45.0), HOLD)
    planned = read_meter(planned, END, Reading(0.0), HOLD)
    result = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.soc_start_pct, result.soc_end_pct) == (40.0, 45.0)


def test_a_result_carries_its_schedule_and_the_power_to_the_watt() -> None:
    planned = readings(slot(rate_w=100_000), (0, 0.0), *every_minute(0, first=1, last=29, start_wh=0.0), (1800, 49_999.8))
    result: Any = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.schedule_id, result.device_id, result.traceparent) == ("plan-a", DEVICE, TRACEPARENT)
    assert (result.actual_w, result.scheduled_w, result.status, result.error) == (
        100_000,
        100_000,
        ExecutionStatus.SUCCEED,
        None,
    )
    assert (result.outcome, result.coverage_pct, result.limiting) == (Outcome.FULL, 100.0, ())
    assert (result.energy_charged_wh, result.energy_discharged_wh) == (None, None)


def test_energy_is_reported_apart_where_the_battery_counts_it_apart() -> None:
    planned = read_meter(slot(), NOON, Reading(1000.0, charged_wh=5000.0), HOLD)
    planned = read_meter(planned, END, Reading(1400.0, charged_wh=5700.0), HOLD)
    result = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.energy_charged_wh, result.energy_discharged_wh) == (700.0, 300.0)


@pytest.mark.parametrize("later", [None, math.nan, 4999.0, 1e13, 5300.0])
def test_counters_that_do_not_add_up_are_not_reported(later: float | None) -> None:
    planned = read_meter(slot(), NOON, Reading(1000.0, charged_wh=5000.0), HOLD)
    planned = read_meter(planned, END, Reading(1400.0, charged_wh=later), HOLD)
    result = result_of(planned, judge(planned, RATED_W), DEVICE, END)
    assert (result.energy_charged_wh, result.energy_discharged_wh) == (None, None)


def test_a_failed_result_has_its_code_and_what_kept_the_battery_from_its_setpoint() -> None:
    limited = read_meter(begun(slot(), 0.0), END, Reading(20_000.0, ErrorCode.EXEC_LIMITED_SOC), timedelta(hours=1))
    result = result_of(limited, judge(limited, RATED_W), DEVICE, END)
    assert result.error is not None
    assert (result.error.code, result.limiting) == (ErrorCode.EXEC_LIMITED_SOC, (ErrorCode.EXEC_LIMITED_SOC,))
    assert (result.outcome, result.actual_w, result.scheduled_w) == (Outcome.LIMITED, 40_000, 100_000)


@pytest.mark.parametrize("trouble", [None, ErrorCode.DRIVER_TIMEOUT])
def test_a_slot_that_was_never_begun_was_not_executed(trouble: ErrorCode | None) -> None:
    missed = read_meter(slot(), NOON, Reading(None, trouble), HOLD)
    result = result_of(missed, judge(missed, RATED_W), DEVICE, END)
    assert result.error is not None
    assert (result.status, result.outcome) == (ExecutionStatus.FAIL, Outcome.NOT_EXECUTED)
    assert result.error.code == (trouble or ErrorCode.EXEC_MISSED)


@pytest.mark.parametrize("minutes", [5, 15, 60])
def test_a_slot_of_another_length_is_judged_over_its_own(minutes: int) -> None:
    end = NOON + timedelta(minutes=minutes)
    planned = readings(slot(end=end), *every_minute(100_000, last=minutes))
    judged = judge(planned, RATED_W)
    assert (judged.status, judged.coverage) == (ExecutionStatus.SUCCEED, 1.0)
    assert judged.actual_w == pytest.approx(100_000)
    assert result_of(planned, judged, DEVICE, end).slot_end == end
