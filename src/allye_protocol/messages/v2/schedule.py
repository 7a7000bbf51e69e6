"""Schedule, version 2: columnar.

A start, one length and a list of setpoints cannot express an overlap, a gap or disorder, so nothing has to look for them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import spells_ids
from allye_protocol.messages.fields import EARLIEST, LATEST, id_problems, instant_problems, shown
from allye_protocol.messages.v2.fields import (
    DeviceIdField,
    Instant,
    Percent,
    ScheduleIdField,
    SequenceField,
    TraceparentField,
    Version,
    Watts,
    trace_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "DEFAULT_RESOLUTION_S",
    "MAX_HORIZON",
    "MAX_SLOTS",
    "RESOLUTIONS_S",
    "Schedule",
    "is_plain_schedule",
    "schedule_problems",
]

RESOLUTIONS_S: Final = (300, 900, 1800, 3600)
DEFAULT_RESOLUTION_S: Final = 1800
MAX_HORIZON: Final = timedelta(days=7)
MAX_SLOTS: Final = int(MAX_HORIZON.total_seconds()) // min(RESOLUTIONS_S)
_LATEST_PLAIN_START: Final = LATEST - MAX_HORIZON
_MAX_HORIZON_S: Final = int(MAX_HORIZON.total_seconds())
MAX_METADATA: Final = 16


class Schedule(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One immutable plan of power setpoints for one device, from the cloud to the device."""

    schedule_id: ScheduleIdField
    device_id: DeviceIdField
    version: Version
    sequence: SequenceField
    generated_at: Annotated[
        Instant,
        Meta(
            description="When the plan was made: RFC 3339 with an offset. For people; sequence decides.",
            examples=["2018-06-30T18:00:00Z"],
        ),
    ]
    start: Annotated[
        Instant,
        Meta(
            description=(
                "First instant of the first slot: RFC 3339 with an offset, on the UTC grid of resolution_s. Slots lie on "
                "UTC, so no change of clocks can make one twice or not at all."
            ),
            examples=["2018-07-01T00:00:00Z"],
        ),
    ]
    rates_w: Annotated[
        tuple[
            Annotated[
                Watts,
                Meta(
                    description=(
                        "Power at the AC terminals, W: positive charges, negative discharges, 0 rests. null: no setpoint, the "
                        "default control applies."
                    )
                ),
            ]
            | None,
            ...,
        ],
        Meta(
            min_length=1,
            max_length=MAX_SLOTS,
            description=(
                "One setpoint a slot, in order of time: slot i is [start + i * resolution_s, start + (i + 1) * "
                "resolution_s). At most seven days of slots. The device compares each with its own configured limit."
            ),
            examples=[[75_000, 0, None, -120_500]],
        ),
    ]
    resolution_s: Annotated[
        Literal[300, 900, 1800, 3600], Meta(description="Length of every slot, s.", examples=[DEFAULT_RESOLUTION_S])
    ] = DEFAULT_RESOLUTION_S
    expires_at: (
        Annotated[
            Instant,
            Meta(
                description="From this instant on the device refuses it with time.expired, if it has not admitted it.",
                examples=["2018-07-01T06:00:00Z"],
            ),
        ]
        | None
    ) = None
    soc_min_pct: (
        Annotated[
            Percent,
            Meta(
                description=(
                    "Lowest state of charge to discharge to while this schedule is in force, %, in steps of 0.001. It "
                    "narrows the device's own band and never widens it."
                ),
                examples=[20.0],
            ),
        ]
        | None
    ) = None
    soc_max_pct: (
        Annotated[
            Percent,
            Meta(
                description=(
                    "Highest state of charge to charge to while this schedule is in force, %, in steps of 0.001. It narrows "
                    "the device's own band and never widens it."
                ),
                examples=[90.0],
            ),
        ]
        | None
    ) = None
    ramp_w_per_s: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=10_000_000,
                description="Fastest increase of |power|, W/s. A decrease is never delayed.",
                examples=[1_000],
            ),
        ]
        | None
    ) = None
    start_jitter_s: Annotated[
        int,
        Meta(
            ge=0,
            le=1800,
            description=(
                "The device begins its first slot this much later at most, s, by a share of it that its ids give, so that a "
                "fleet does not step at once."
            ),
            examples=[120],
        ),
    ] = 0
    dry_run: Annotated[
        bool,
        Meta(description="Validate and answer, and change nothing: the plan in force and the order of schedules stay."),
    ] = False
    traceparent: TraceparentField | None = None
    metadata: Annotated[
        dict[
            Annotated[str, Meta(min_length=1, max_length=64)],
            Annotated[str, Meta(max_length=256)],
        ],
        Meta(
            max_length=MAX_METADATA,
            description="Labels of the sender, for people and for its own systems: nothing is decided by them.",
            examples=[{"tariff": "agile"}],
        ),
    ] = msgspec.field(default_factory=dict)

    @property
    def resolution(self) -> timedelta:
        """Length of every slot."""
        return _LENGTHS[self.resolution_s]

    @property
    def end(self) -> datetime:
        """The instant after the horizon."""
        return self.start + _LENGTHS[self.resolution_s] * len(self.rates_w)

    @property
    def trace_id(self) -> str | None:
        """The trace that the body names, if it names a valid one."""
        return trace_id_of(self.traceparent)


_MINUTES: Final = {seconds: frozenset(range(0, 60, seconds // 60)) for seconds in RESOLUTIONS_S}
"""The minutes of an hour at which a slot may begin."""
_LENGTHS: Final = {seconds: timedelta(seconds=seconds) for seconds in RESOLUTIONS_S}
_ZERO: Final = timedelta(0)


def is_plain_schedule(schedule: Schedule) -> bool:
    """Whether a schedule, whose fields are right one by one, is valid, in UTC and without the rarer members."""
    start, generated_at, expires = schedule.start, schedule.generated_at, schedule.expires_at
    seconds = schedule.resolution_s
    return (
        start.tzinfo is UTC
        and generated_at.tzinfo is UTC
        and schedule.soc_min_pct is None
        and schedule.soc_max_pct is None
        and EARLIEST <= start < _LATEST_PLAIN_START
        and len(schedule.rates_w) * seconds <= _MAX_HORIZON_S
        and start.minute in _MINUTES[seconds]
        and not (start.second or start.microsecond)
        and EARLIEST <= generated_at < LATEST
        and (expires is None or (expires.tzinfo is UTC and EARLIEST <= expires < LATEST))
        and spells_ids(schedule.schedule_id + schedule.device_id)
    )


def schedule_problems(schedule: Schedule) -> Iterator[Problem]:
    """Everything that is wrong with a schedule whose fields are right one by one, in the order of the message."""
    yield from id_problems(schedule.schedule_id, schedule.device_id)
    yield from instant_problems(schedule.generated_at, "/generated_at")
    if not EARLIEST <= schedule.start < LATEST or schedule.end >= LATEST:
        message = f"the horizon from {schedule.start.isoformat()} on does not lie between {EARLIEST.year} and {LATEST.year}"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/start")
    elif (schedule.start - EARLIEST) % schedule.resolution:
        message = f"{shown(schedule.start)} is not on the UTC grid of {schedule.resolution_s} s"
        yield Problem(code=ErrorCode.TIME_NOT_ALIGNED, message=message, path="/start")
    if schedule.resolution * len(schedule.rates_w) > MAX_HORIZON:
        most = _MAX_HORIZON_S // schedule.resolution_s
        message = f"has {len(schedule.rates_w)} slots; seven days have {most} of {schedule.resolution_s} s"
        yield Problem(code=ErrorCode.LIMIT_SLOTS, message=message, path="/rates_w", details={"limit": most})
    yield from instant_problems(schedule.expires_at, "/expires_at")
    for percent, path in ((schedule.soc_min_pct, "/soc_min_pct"), (schedule.soc_max_pct, "/soc_max_pct")):
        if percent is not None and round(percent, 3) != percent:
            yield Problem(code=ErrorCode.LIMIT_SOC, message=f"{percent} is not a whole number of 0.001 %", path=path)
    if schedule.soc_min_pct is not None and schedule.soc_max_pct is not None and schedule.soc_min_pct > schedule.soc_max_pct:
        message = f"soc_min_pct {schedule.soc_min_pct} is above soc_max_pct {schedule.soc_max_pct}"
        yield Problem(code=ErrorCode.LIMIT_SOC, message=message, path="/soc_min_pct")
