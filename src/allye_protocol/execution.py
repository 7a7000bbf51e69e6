"""The plan and what became of it: merging schedules into slots, and judging a slot when it is over.

Pure functions over :class:`~allye_protocol.store.base.PlannedSlot`.

1. A newer schedule replaces every slot it covers that has not ended; a running slot switches at once. An older one never
   replaces a newer one, so the plan is that of the highest order whatever the order of arrival.
2. A slot that was reported never changes again.
3. The result of a slot is energy over time: the difference of the battery's counters over the slot's whole length, not a
   sample. A slot whose setpoint was switched half-way is compared with the energy that both setpoints asked for.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import ExecutionResult, ExecutionStatus
from allye_protocol.messages.v1 import MAX_KW, TimeSpan
from allye_protocol.store.base import PlannedSlot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from allye_protocol.messages import Schedule

__all__ = ["MIN_COVERAGE", "Judgement", "judge", "merge", "read_meter", "result_of", "tolerance_w"]

MIN_COVERAGE: Final = 0.9
"""Least share of a slot under control for it to count as executed."""


def merge(schedule: Schedule, planned: Iterable[PlannedSlot], now: datetime, trace_id: str) -> list[PlannedSlot]:
    """The slots to store when a schedule is applied.

    :param schedule: the schedule.
    :param planned: the slots in force between its start and its end.
    :param now: the device's time.
    :param trace_id: the trace that the slots' results carry.
    """
    before = {slot.start: slot for slot in planned}
    made = []
    for interval, rate_w in zip(schedule.intervals, schedule.rates_w, strict=True):
        old = before.get(interval.start)
        if old is not None and (old.reported or old.end <= now or old.generated_at >= schedule.generated_at):
            continue
        slot = PlannedSlot(
            start=interval.start,
            end=interval.end,
            schedule_id=schedule.schedule_id,
            generated_at=schedule.generated_at,
            trace_id=trace_id,
            rate_w=rate_w,
            since=interval.start,
        )
        made.append(slot if old is None or old.started_at is None else _switched(slot, old, now))
    return made


def _switched(slot: PlannedSlot, running: PlannedSlot, now: datetime) -> PlannedSlot:
    """The new setpoint of a running slot, with what was executed of the old one."""
    # The clock may have been set back since: what was executed of the old setpoint by then stays executed.
    since = max(now, running.since, running.seen_at or running.since)
    return msgspec.structs.replace(
        slot,
        since=since,
        planned_wh=running.planned_wh + _wh(running.rate_w, since - running.since),
        started_at=running.started_at,
        meter_start_wh=running.meter_start_wh,
        meter_wh=running.meter_wh,
        seen_at=running.seen_at,
        covered_s=running.covered_s,
        trouble=running.trouble,
    )


def read_meter(
    slot: PlannedSlot, now: datetime, meter_wh: float | None, hold: timedelta, trouble: ErrorCode | None = None
) -> PlannedSlot:
    """The slot after a reading of the battery's energy counters.

    :param now: when the counters were read; a reading after the slot's end counts as one at its end.
    :param meter_wh: net energy on the counters, Wh: charged less discharged; ``None`` when they could not be read. What is not
        a finite number was not read either.
    :param hold: for how long the battery obeys a setpoint that is not refreshed. Time since the last reading beyond it was not
        under control.
    :param trouble: what keeps the battery from the setpoint at the moment, if anything. With a slot's first counters it is
        about the time before the slot, and does not count.
    """
    if meter_wh is None or not math.isfinite(meter_wh):
        return msgspec.structs.replace(slot, trouble=trouble or slot.trouble)
    now = min(now, slot.end)
    if slot.seen_at is None:
        return msgspec.structs.replace(slot, started_at=now, seen_at=now, meter_start_wh=meter_wh, meter_wh=meter_wh)
    covered = max(min(now - slot.seen_at, hold), timedelta(0)).total_seconds()
    return msgspec.structs.replace(
        slot,
        seen_at=max(now, slot.seen_at),
        meter_wh=meter_wh,
        covered_s=slot.covered_s + covered,
        trouble=trouble or slot.trouble,
    )


class Judgement(NamedTuple):
    """How a slot was executed.

    :param status: SUCCEED or FAIL.
    :param actual_w: average power over the slot's whole length, W.
    :param scheduled_w: average power asked for, W.
    :param coverage: share of the slot under control, 0 to 1.
    :param problem: why it is a FAIL, or what limited it.
    """

    status: ExecutionStatus
    actual_w: float
    scheduled_w: float
    coverage: float
    problem: Problem | None


def tolerance_w(scheduled_w: float, rated_w: float) -> float:
    """Largest deviation of a slot that counts as executed, W: 2 % of rated power, 1 kW, or 5 % of the setpoint."""
    return max(0.02 * rated_w, 1000.0, 0.05 * abs(scheduled_w))


def judge(slot: PlannedSlot, rated_w: float) -> Judgement:
    """Judge a slot that is over.

    :param slot: with its last reading.
    :param rated_w: the battery's rated power, W.
    """
    hours = slot.length / timedelta(hours=1)
    actual_w = (slot.meter_wh - slot.meter_start_wh) / hours
    scheduled_w = (slot.planned_wh + _wh(slot.rate_w, slot.end - slot.since)) / hours
    coverage = slot.covered_s / slot.length.total_seconds()
    problem = None
    if abs(actual_w) > min(2 * rated_w, 1000 * MAX_KW):
        message = f"the energy counters say {actual_w:.0f} W, which this battery cannot do; reported as 0"
        problem, actual_w = Problem(code=ErrorCode.EXEC_NO_DATA, message=message), 0.0
    elif slot.started_at is None:
        message = "no reading of the battery in this slot: device not running, plan come too late, or battery not readable"
        problem = Problem(code=slot.trouble or ErrorCode.EXEC_MISSED, message=message)
    elif coverage < MIN_COVERAGE:
        code = slot.trouble or _absence(slot, slot.started_at, coverage)
        problem = Problem(code=code, message=f"under control for {coverage:.0%} of the slot; {MIN_COVERAGE:.0%} are needed")
    elif abs(actual_w - scheduled_w) > tolerance_w(scheduled_w, rated_w):
        # What the battery was not told to do it did not fail to do.
        told = abs(actual_w - scheduled_w * coverage) <= tolerance_w(scheduled_w, rated_w)
        code = slot.trouble or (_absence(slot, slot.started_at, coverage) if told else ErrorCode.EXEC_LIMITED_BATTERY)
        problem = Problem(code=code, message=f"averaged {actual_w:.0f} W instead of {scheduled_w:.0f} W")
    status = ExecutionStatus.SUCCEED if problem is None else ExecutionStatus.FAIL
    return Judgement(status, actual_w, scheduled_w, coverage, problem)


def _absence(slot: PlannedSlot, started_at: datetime, coverage: float) -> ErrorCode:
    """Whether most of the time without control was before the slot was begun, or after."""
    late = started_at - slot.start >= (1 - coverage) * slot.length / 2
    return ErrorCode.EXEC_LATE_START if late else ErrorCode.EXEC_NO_DATA


def result_of(slot: PlannedSlot, judgement: Judgement, device_id: DeviceId, now: datetime) -> ExecutionResult:
    """The version-1 message that reports a judged slot."""
    return ExecutionResult(
        schedule_id=ScheduleId(slot.schedule_id),
        device_id=device_id,
        interval=TimeSpan(start=slot.start, end=slot.end),
        status=judgement.status,
        actual_rate_kw=round(judgement.actual_w) / 1000,
        timestamp=now,
        error_reason=None if judgement.problem is None else judgement.problem.reason(),
        trace_id=slot.trace_id,
    )


def _wh(rate_w: int, during: timedelta) -> float:
    return rate_w * (during / timedelta(hours=1))
