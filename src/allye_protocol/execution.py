"""What became of a slot: metering while it runs, judging it when it is over, reporting it.

Pure functions over :class:`~allye_protocol.store.base.PlannedSlot`.

1. The result of a slot is energy over time: the difference of the battery's counters over the slot's whole length, not a
   sample. A slot whose setpoint was switched half-way is compared with the energy that both setpoints asked for.
2. Where the default control applied, nothing was asked for: 0 W.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import ErrorDetail, ExecutionResult, ExecutionStatus, Outcome
from allye_protocol.messages.v2 import MAX_WATTS, outcome_of

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.store.base import PlannedSlot

__all__ = [
    "MIN_COVERAGE",
    "Judgement",
    "Reading",
    "divided",
    "judge",
    "known_pct",
    "read_meter",
    "result_of",
    "switched",
    "tolerance_w",
]

MIN_COVERAGE: Final = 0.9
"""Least share of a slot under control for it to count as executed."""
MAX_ENERGY_WH: Final = 1e12
"""More than any counter's difference over a slot; beyond it the counters were changed."""


class Reading(NamedTuple):
    """What the battery's counters say.

    :param meter_wh: net energy at the AC terminals, Wh: charged less discharged, since whenever; ``None`` while the battery
        cannot be read, and ``trouble`` says why. What is not a finite number was not read either.
    :param trouble: what keeps the battery from its setpoint at the moment, if anything.
    :param charged_wh: the charged part of it, Wh, where it is counted apart.
    :param soc_pct: state of charge, %, where it is known; an estimate beyond 0 or 100 counts as that.
    """

    meter_wh: float | None
    trouble: ErrorCode | None = None
    charged_wh: float | None = None
    soc_pct: float | None = None


def switched(slot: PlannedSlot, running: PlannedSlot, now: datetime) -> PlannedSlot:
    """The new setpoint of a running slot, with what was executed of the old one.

    :param slot: the slot as a newer schedule has it.
    :param running: the slot as it ran so far; its start stays.
    """
    # The clock may have been set back since: what was executed of the old setpoint by then stays executed.
    at = max(now, running.start, running.seen_at or running.start)
    return msgspec.structs.replace(
        running,
        end=slot.end,
        schedule_id=slot.schedule_id,
        sequence=slot.sequence,
        traceparent=slot.traceparent,
        rate_w=slot.rate_w,
        since=min(max(at, slot.since), slot.end),
        until=max(at, slot.until),
        soc_min_pct=slot.soc_min_pct,
        soc_max_pct=slot.soc_max_pct,
        ramp_w_per_s=slot.ramp_w_per_s,
        planned_wh=_planned_wh(running, at),
    )


def divided(running: PlannedSlot, at: datetime) -> tuple[PlannedSlot, PlannedSlot]:
    """A running slot in two, where a newer schedule has a slot that began before anybody knew of it.

    :param running: with its last reading.
    :param at: an instant after the slot's start.
    :returns: what was executed before ``at``, and what was executed from then on. No reading was taken at ``at``, so the energy
        and the time under control between the first reading and the last are divided evenly; the state of charge is not known.
    """
    before = msgspec.structs.replace(running, end=at, until=min(running.until, at))
    if running.started_at is None or running.seen_at is None or running.seen_at <= at:
        rest = _unread(msgspec.structs.replace(running, start=at))
    elif running.started_at >= at:
        before, rest = _unread(before), msgspec.structs.replace(running, start=at)
    else:
        share = (at - running.started_at) / (running.seen_at - running.started_at)
        meter_wh = running.meter_start_wh + share * (running.meter_wh - running.meter_start_wh)
        charged_wh = None
        if running.charged_wh is not None and running.charged_start_wh is not None:
            charged_wh = running.charged_start_wh + share * (running.charged_wh - running.charged_start_wh)
        covered_s = share * running.covered_s
        before = msgspec.structs.replace(
            before, meter_wh=meter_wh, charged_wh=charged_wh, soc_pct=None, seen_at=at, covered_s=covered_s
        )
        rest = msgspec.structs.replace(
            running,
            start=at,
            started_at=at,
            meter_start_wh=meter_wh,
            charged_start_wh=charged_wh,
            soc_start_pct=None,
            covered_s=running.covered_s - covered_s,
        )
    if running.since <= at:
        return before, msgspec.structs.replace(rest, since=at, planned_wh=0.0)
    planned_wh = running.planned_wh * ((at - running.start) / (running.since - running.start))
    return (
        msgspec.structs.replace(before, since=at, planned_wh=planned_wh),
        msgspec.structs.replace(rest, planned_wh=running.planned_wh - planned_wh),
    )


def read_meter(slot: PlannedSlot, now: datetime, reading: Reading, hold: timedelta) -> PlannedSlot:
    """The slot after a reading of the battery's energy counters.

    :param now: when the counters were read; a reading after the slot's end counts as one at its end.
    :param reading: what they say. Trouble with a slot's first counters is about the time before the slot, and does not count.
    :param hold: for how long the battery obeys a setpoint that is not refreshed. Time since the last reading beyond it was not
        under control.
    """
    meter_wh, trouble = reading.meter_wh, reading.trouble
    if meter_wh is None or not math.isfinite(meter_wh):
        return msgspec.structs.replace(slot, trouble=trouble or slot.trouble)
    now = min(now, slot.end)
    if slot.seen_at is None:
        return msgspec.structs.replace(
            slot,
            started_at=now,
            seen_at=now,
            meter_start_wh=meter_wh,
            meter_wh=meter_wh,
            charged_start_wh=reading.charged_wh,
            charged_wh=reading.charged_wh,
            soc_start_pct=known_pct(reading.soc_pct),
            soc_pct=known_pct(reading.soc_pct),
        )
    covered = max(min(now - slot.seen_at, hold), timedelta(0)).total_seconds()
    return msgspec.structs.replace(
        slot,
        seen_at=max(now, slot.seen_at),
        meter_wh=meter_wh,
        charged_wh=reading.charged_wh,
        soc_pct=slot.soc_pct if (soc_pct := known_pct(reading.soc_pct)) is None else soc_pct,
        covered_s=slot.covered_s + covered,
        trouble=trouble or slot.trouble,
    )


def known_pct(read: float | None) -> float | None:
    """A share as a message can say it: an estimate beyond full is full, and what is no number was not read."""
    return None if read is None or math.isnan(read) else min(max(read, 0.0), 100.0)


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
    scheduled_w = _planned_wh(slot, slot.end) / hours
    coverage = slot.covered_s / slot.length.total_seconds()
    problem = None
    if abs(actual_w) > min(2 * rated_w, MAX_WATTS):
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
    """The message that reports a judged slot."""
    problem = judgement.problem
    outcome = outcome_of(judgement.status, None if problem is None else problem.code)
    if slot.started_at is None:
        outcome = Outcome.NOT_EXECUTED
    charged, discharged = _energies(slot)
    return ExecutionResult(
        schedule_id=ScheduleId(slot.schedule_id),
        device_id=device_id,
        version=2,
        slot_start=slot.start,
        slot_end=slot.end,
        status=judgement.status,
        actual_w=round(judgement.actual_w),
        timestamp=now,
        outcome=outcome,
        scheduled_w=round(judgement.scheduled_w),
        energy_charged_wh=charged,
        energy_discharged_wh=discharged,
        soc_start_pct=slot.soc_start_pct,
        soc_end_pct=slot.soc_pct,
        limiting=() if slot.trouble is None else (slot.trouble,),
        coverage_pct=round(100 * min(judgement.coverage, 1.0), 1),
        error=None if problem is None else ErrorDetail.of(problem),
        traceparent=slot.traceparent,
    )


def _unread(slot: PlannedSlot) -> PlannedSlot:
    return msgspec.structs.replace(
        slot,
        started_at=None,
        meter_start_wh=0.0,
        meter_wh=0.0,
        charged_start_wh=None,
        charged_wh=None,
        soc_start_pct=None,
        soc_pct=None,
        seen_at=None,
        covered_s=0.0,
    )


def _energies(slot: PlannedSlot) -> tuple[float | None, float | None]:
    """Energy charged and discharged, Wh, where it is counted apart and the counters only rose."""
    if slot.charged_wh is None or slot.charged_start_wh is None:
        return None, None
    charged = slot.charged_wh - slot.charged_start_wh
    discharged = charged - (slot.meter_wh - slot.meter_start_wh)
    if not (0 <= charged <= MAX_ENERGY_WH and -1e-6 <= discharged <= MAX_ENERGY_WH):
        return None, None
    return round(charged, 3), round(max(discharged, 0.0), 3)


def _planned_wh(slot: PlannedSlot, by: datetime) -> float:
    """Energy asked for by an instant of the slot, Wh."""
    during = max(min(by, slot.until) - slot.since, timedelta(0))
    return slot.planned_wh + (slot.rate_w or 0) * (during / timedelta(hours=1))
