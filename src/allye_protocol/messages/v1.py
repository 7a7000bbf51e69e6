"""Version 1 of the messages: the baseline that third parties already speak. JSON only.

The types below are the contract; the published JSON Schemas are generated from them, descriptions included.

1. Structs say what a field alone may hold. What fields must be *together* is said by the ``*_problems`` functions, which are
   complete: a message without problems is valid, and every problem names its place.
2. The ``is_plain_*`` functions are the fast road to the same answer for a message that is as it should be. Where one says no,
   the problem functions have the last word.
3. Constructing a message checks nothing, encoding and decoding check everything.
4. An instant of a decoded message is in UTC (``datetime.UTC``), whatever offset it was written with.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from allye_protocol.errors import MAX_REASON_CHARS, ErrorCode, Problem
from allye_protocol.ids import spells_ids
from allye_protocol.messages.fields import (
    EARLIEST,
    LATEST,
    DeviceIdField,
    Instant,
    ScheduleIdField,
    Text,
    id_problems,
    instant_problems,
    shown,
)
from allye_protocol.messages.patterns import SLOT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_INTERVALS",
    "RESOLUTION",
    "VERSION",
    "Ack",
    "AckStatus",
    "ExecutionResult",
    "ExecutionStatus",
    "Interval",
    "Mode",
    "Schedule",
    "TimeSpan",
    "ack_problems",
    "execution_result_problems",
    "is_plain_ack",
    "is_plain_execution_result",
    "is_plain_schedule",
    "schedule_problems",
    "watts",
]

VERSION: Final = 1
MAX_INTERVALS: Final = 48
"""A day of half-hours. A local day of 50 half-hours travels as two schedules."""
RESOLUTION: Final = timedelta(minutes=30)
_GRID_END: Final = (LATEST - EARLIEST) // RESOLUTION - MAX_INTERVALS
MAX_KW: Final = 10_000.0

TraceId = Annotated[
    Text,
    Meta(
        description=(
            "W3C trace id, 32 lower-case hex digits, that ties every log line, row and reply about one schedule together. "
            "Optional to read, always sent by this library. An invalid one never makes a message invalid: the receiver "
            "replaces it and passes it on to nobody."
        ),
        examples=["4bf92f3577b34da6a3ce929d0e0e4736"],
    ),
]
SlotStart = Annotated[
    Instant,
    Meta(
        description=(
            "First instant of the half-open slot [start, end): RFC 3339 with an offset, on :00 or :30 of a UTC hour. Slots lie "
            "on UTC, so that no change of clocks can make one twice or not at all."
        ),
        examples=["2018-07-01T10:00:00Z"],
        extra_json_schema=SLOT_SCHEMA,
    ),
]
SlotEnd = Annotated[
    Instant,
    Meta(
        description="The instant after the slot: exactly 30 minutes after its start. Redundant, and therefore checked.",
        examples=["2018-07-01T10:30:00Z"],
        extra_json_schema=SLOT_SCHEMA,
    ),
]


class Mode(StrEnum):
    """What the sign of a rate means, spelled out for dashboards."""

    CHARGE = "CHARGE"
    DISCHARGE = "DISCHARGE"
    IDLE = "IDLE"


class AckStatus(StrEnum):
    """How far a schedule has come on the device. Legal orders: RECEIVED, if it is sent, then APPLIED or FAILED."""

    RECEIVED = "RECEIVED"
    APPLIED = "APPLIED"
    FAILED = "FAILED"


class ExecutionStatus(StrEnum):
    """Whether a slot was executed as planned."""

    SUCCEED = "SUCCEED"
    FAIL = "FAIL"


class Interval(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One half-hour slot of a schedule and the power asked for in it."""

    start: SlotStart
    end: SlotEnd
    rate_kw: Annotated[
        float,
        Meta(
            ge=-MAX_KW,
            le=MAX_KW,
            description=(
                "Power at the AC terminals, kW: positive charges, negative discharges, 0 rests. The sign is the truth. Becomes "
                "watts by rounding toward zero, so that rounding never asks for more. The device compares it with its own "
                "configured limit, never with one from the message alone."
            ),
            examples=[75.0, -120.5, 0.0],
        ),
    ]
    mode: (
        Annotated[
            Mode,
            Meta(
                description=(
                    "For dashboards only. It must not contradict the sign of rate_kw: CHARGE goes with a rate of at least 0, "
                    "DISCHARGE with one of at most 0, IDLE with 0."
                )
            ),
        ]
        | None
    ) = None

    @property
    def rate_w(self) -> int:
        """Power at the AC terminals, W, rounded toward zero; positive charges."""
        return watts(self.rate_kw)


class Schedule(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One immutable plan of power setpoints for one device, from the cloud to the device."""

    schedule_id: ScheduleIdField
    device_id: DeviceIdField
    version: Annotated[
        Literal[1],
        Meta(
            description=(
                "The protocol's major version, 1. A receiver that does not know the number answers with the ones it knows and "
                "never guesses."
            )
        ),
    ]
    generated_at: Annotated[
        Instant,
        Meta(
            description=(
                "When the plan was made: RFC 3339 with an offset. It orders the schedules of a device, as version 1 has no "
                "sequence number: one that is not newer than the newest admitted one is stale. Use microseconds."
            ),
            examples=["2018-06-30T18:00:00.000001Z"],
        ),
    ]
    intervals: Annotated[
        tuple[Interval, ...],
        Meta(
            min_length=1,
            max_length=MAX_INTERVALS,
            description=(
                "The slots in order of time, 1 to 48, each beginning where the one before it ended: no gap, no overlap. A "
                "local day of 50 half-hours (clocks go back) travels as two schedules."
            ),
        ),
    ]
    max_power_kw: (
        Annotated[
            float,
            Meta(
                ge=0.0,
                le=MAX_KW,
                description=(
                    "The sender's own bound on |rate_kw|, kW. A schedule that breaks it contradicts itself and is refused. It "
                    "only narrows: the device's configured limit holds in any case. Not part of what the schedule means."
                ),
                examples=[150.0],
            ),
        ]
        | None
    ) = None
    trace_id: TraceId | None = None

    @property
    def start(self) -> datetime:
        """First instant of the horizon."""
        return self.intervals[0].start

    @property
    def end(self) -> datetime:
        """The instant after the horizon."""
        return self.intervals[-1].end

    @property
    def rates_w(self) -> list[int]:
        """Power of each slot at the AC terminals, W, rounded toward zero; positive charges."""
        rates_kw = [slot.rate_kw for slot in self.intervals]
        nearest = [round(rate_kw * 1000) for rate_kw in rates_kw]
        whole = [rate_w / 1000 for rate_w in nearest] == rates_kw
        return nearest if whole else [watts(rate_kw) for rate_kw in rates_kw]


class Ack(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a device answers to a schedule."""

    schedule_id: Annotated[
        ScheduleIdField,
        Meta(
            extra_json_schema={
                "description": (
                    "The schedule that is answered. For a message whose id could not be read: the payload's SHA-256, "
                    "64 hex digits, so that the sender can still tell which of its messages it was."
                )
            }
        ),
    ]
    device_id: DeviceIdField
    status: Annotated[
        AckStatus,
        Meta(
            description=(
                "RECEIVED: parsed, addressed to this device, durably stored. APPLIED: validated, armed, confirmed by the "
                "battery's read-back. FAILED: not going to happen; "
                "one whose code is retryable may be followed by RECEIVED and APPLIED when the schedule comes again."
            )
        ),
    ]
    timestamp: Annotated[
        Instant,
        Meta(
            description=(
                "The device's time of this status: RFC 3339 with an offset. For people and for measuring delays; it decides "
                "nothing, as a device's clock may be wrong."
            ),
            examples=["2018-06-30T18:00:01.25Z"],
        ),
    ]
    applied_at: (
        Annotated[
            Instant,
            Meta(
                description=(
                    "When the schedule was armed: RFC 3339 with an offset. Goes with APPLIED. A repeated answer is the same "
                    "answer, this time included."
                ),
                examples=["2018-06-30T18:00:02Z"],
            ),
        ]
        | None
    ) = None
    error_reason: (
        Annotated[
            str,
            Meta(
                max_length=MAX_REASON_CHARS,
                description=(
                    "Why it FAILED, at most 256 characters. This library begins it with the registered code and a colon, so "
                    "that programs match the code and people read the rest."
                ),
                examples=["limit.power: setpoint 180000 W is beyond this device's limit of 150000 W at /intervals/7/rate_kw"],
            ),
        ]
        | None
    ) = None
    trace_id: TraceId | None = None


class TimeSpan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A half-open slot ``[start, end)`` on UTC."""

    start: SlotStart
    end: SlotEnd


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What really happened in one slot. A device sends exactly one for each slot."""

    schedule_id: ScheduleIdField
    device_id: DeviceIdField
    interval: Annotated[TimeSpan, Meta(description="The slot that is reported; with device_id it names the result for ever.")]
    status: Annotated[
        ExecutionStatus,
        Meta(
            description=(
                "SUCCEED: at least 90 % of the slot was under control and the average power is within the largest of 2 % of "
                "rated power, 1 kW and 5 % of the setpoint. FAIL: anything else; see error_reason."
            )
        ),
    ]
    actual_rate_kw: Annotated[
        float,
        Meta(
            ge=-MAX_KW,
            le=MAX_KW,
            description=(
                "Average power at the AC terminals, kW, positive charges: the difference of the battery's energy counters over "
                "the slot's length, not a sample, so that results add up to energy."
            ),
            examples=[74.6],
        ),
    ]
    timestamp: Annotated[
        Instant,
        Meta(
            description=(
                "When the device drew up the result: RFC 3339 with an offset. After the slot's end; results that waited for a "
                "connection come late and keep their time."
            ),
            examples=["2018-07-01T10:30:00.5Z"],
        ),
    ]
    error_reason: (
        Annotated[
            str,
            Meta(
                max_length=MAX_REASON_CHARS,
                description=(
                    "Why it is a FAIL, or what limited a SUCCEED, at most 256 characters. This library begins it with the "
                    "registered code and a colon, as in an ack."
                ),
                examples=["exec.limited_soc: the battery was full"],
            ),
        ]
        | None
    ) = None
    trace_id: TraceId | None = None


def watts(rate_kw: float) -> int:
    """Convert a version-1 rate to watts, rounded toward zero.

    The decimal that the number was written as is what counts: 0.57 kW is 570 W, although the nearest double times 1000 is
    569.999...
    """
    nearest = round(rate_kw * 1000)
    if nearest / 1000 == rate_kw:
        return nearest
    return int(Decimal(repr(rate_kw)) * 1000)


@lru_cache(maxsize=32)
def _grid(first: int) -> tuple[list[datetime], list[datetime]]:
    """Starts and ends of the 48 slots from the ``first``-th half-hour since 1970 on. One day's are the same for a fleet."""
    steps: Iterator[Any] = repeat(RESOLUTION, MAX_INTERVALS)
    boundaries: list[datetime] = list(accumulate(steps, initial=EARLIEST + RESOLUTION * first))
    return boundaries[:-1], boundaries[1:]


def is_plain_schedule(schedule: Schedule, *, with_modes: bool) -> bool:
    """Whether a schedule in UTC, whose fields are right one by one, is valid and plain.

    :param with_modes: whether each slot must have the mode that names its sign; no slot has one otherwise.
    """
    intervals = schedule.intervals
    count = len(intervals)
    first, beyond = divmod(intervals[0].start - EARLIEST, RESOLUTION)
    if beyond or not 0 <= first < _GRID_END:
        return False
    starts, ends = _grid(first)
    # This is most of what checking costs: lists are compared in C, and no pass calls a function for each slot.
    if [slot.start for slot in intervals] != starts[:count] or [slot.end for slot in intervals] != ends[:count]:
        return False
    high = MAX_KW if schedule.max_power_kw is None else schedule.max_power_kw
    low = -high
    if with_modes:
        charge, discharge, idle = Mode.CHARGE, Mode.DISCHARGE, Mode.IDLE
        odd = [
            slot
            for slot in intervals
            if slot.mode is not (charge if (rate_kw := slot.rate_kw) > 0 else discharge if rate_kw < 0 else idle)
            or not low <= rate_kw <= high
        ]
    else:
        odd = [] if high == MAX_KW else [slot for slot in intervals if not low <= slot.rate_kw <= high]
    return not odd and EARLIEST <= schedule.generated_at < LATEST and spells_ids(schedule.schedule_id + schedule.device_id)


def is_plain_ack(ack: Ack) -> bool:
    """Whether an acknowledgement in UTC, whose fields are right one by one, is valid."""
    applied_at = ack.applied_at
    return (
        EARLIEST <= ack.timestamp < LATEST
        and (applied_at is None or EARLIEST <= applied_at < LATEST)
        and spells_ids(ack.schedule_id + ack.device_id)
    )


def is_plain_execution_result(result: ExecutionResult) -> bool:
    """Whether an execution result in UTC, whose fields are right one by one, is valid."""
    start, end = result.interval.start, result.interval.end
    return (
        start >= EARLIEST
        and end < LATEST
        and end - start == RESOLUTION
        and not (start - EARLIEST) % RESOLUTION
        and EARLIEST <= result.timestamp < LATEST
        and spells_ids(result.schedule_id + result.device_id)
    )


def _agrees(mode: Mode | None, rate_kw: float) -> bool:
    if mode is Mode.CHARGE:
        return rate_kw >= 0
    if mode is Mode.DISCHARGE:
        return rate_kw <= 0
    return mode is None or rate_kw == 0


def schedule_problems(schedule: Schedule) -> Iterator[Problem]:
    """Everything that is wrong with a schedule whose fields are right one by one, in the order of the message."""
    yield from id_problems(schedule.schedule_id, schedule.device_id)
    yield from instant_problems(schedule.generated_at, "/generated_at")
    before: datetime | None = None
    for index, slot in enumerate(schedule.intervals):
        path = f"/intervals/{index}"
        yield from _slot_problems(slot.start, slot.end, path)
        if before is not None and slot.start != before:
            yield _sequence_problem(before, slot, f"{path}/start")
        before = slot.end
        if not _agrees(slot.mode, slot.rate_kw):
            yield Problem(
                code=ErrorCode.MESSAGE_INVALID,
                message=f"mode {slot.mode} contradicts rate_kw {slot.rate_kw}; the sign is the truth: mend or drop mode",
                path=f"{path}/mode",
            )
        if schedule.max_power_kw is not None and abs(slot.rate_kw) > schedule.max_power_kw:
            yield Problem(
                code=ErrorCode.LIMIT_POWER,
                message=f"rate_kw {slot.rate_kw} is beyond the schedule's own max_power_kw {schedule.max_power_kw}",
                path=f"{path}/rate_kw",
                details={"slot": index, "value_kw": slot.rate_kw, "limit_kw": schedule.max_power_kw},
            )


def _sequence_problem(before: datetime, slot: Interval, path: str) -> Problem:
    if slot.start > before:
        code, what = ErrorCode.TIME_GAP, "leaves a gap after"
    elif slot.end <= before - RESOLUTION:
        code, what = ErrorCode.TIME_OUT_OF_ORDER, "comes before"
    else:
        code, what = ErrorCode.TIME_OVERLAP, "overlaps"
    message = f"starts at {shown(slot.start)}, which {what} the slot that ends at {shown(before)}; slots follow one another"
    return Problem(code=code, message=message, path=path)


def ack_problems(ack: Ack) -> Iterator[Problem]:
    """Everything that is wrong with an acknowledgement whose fields are right one by one."""
    yield from id_problems(ack.schedule_id, ack.device_id)
    yield from instant_problems(ack.timestamp, "/timestamp")
    if ack.applied_at is not None:
        yield from instant_problems(ack.applied_at, "/applied_at")


def execution_result_problems(result: ExecutionResult) -> Iterator[Problem]:
    """Everything that is wrong with an execution result whose fields are right one by one."""
    yield from id_problems(result.schedule_id, result.device_id)
    yield from _slot_problems(result.interval.start, result.interval.end, "/interval")
    yield from instant_problems(result.timestamp, "/timestamp")


def _slot_problems(start: datetime, end: datetime, path: str) -> Iterator[Problem]:
    yield from instant_problems(start, f"{path}/start")
    yield from instant_problems(end, f"{path}/end")
    if start.minute % 30 or start.second or start.microsecond:
        message = f"{shown(start)} is not on :00 or :30 of a UTC hour"
        yield Problem(code=ErrorCode.TIME_NOT_ALIGNED, message=message, path=f"{path}/start")
    if end - start != RESOLUTION:
        message = f"lasts {(end - start).total_seconds():g} s from its start; a version-1 slot lasts 1800 s"
        yield Problem(code=ErrorCode.TIME_BAD_DURATION, message=message, path=f"{path}/end")
