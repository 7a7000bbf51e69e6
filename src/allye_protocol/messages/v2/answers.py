"""Ack and ExecutionResult, version 2: what a device answers, and what really happened."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorClass, ErrorCode, Problem
from allye_protocol.ids import is_id
from allye_protocol.messages.fields import id_problems, instant_problems
from allye_protocol.messages.v1 import AckStatus, ExecutionStatus
from allye_protocol.messages.v2.fields import (
    Clock,
    CodeField,
    DeviceIdField,
    DigestField,
    EnergyWh,
    ErrorDetail,
    Instant,
    Percent,
    ScheduleIdField,
    SequenceField,
    SlotStartField,
    TraceparentField,
    Version,
    Watts,
    code_problems,
    digest_problems,
    error_problems,
    slot_problems,
    trace_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Ack", "ExecutionResult", "Outcome", "ack_problems", "execution_result_problems", "outcome_of"]


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
    version: Version
    status: Annotated[
        AckStatus,
        Meta(
            description=(
                "RECEIVED: parsed, addressed to this device, durably stored. APPLIED: validated, armed, confirmed by the "
                "battery's read-back. FAILED: not going to happen; one that is retryable may be followed by RECEIVED and "
                "APPLIED when the schedule comes again."
            )
        ),
    ]
    timestamp: Annotated[
        Instant,
        Meta(
            description=(
                "The device's time of this status: RFC 3339 with an offset. For people and for measuring delays; it decides "
                "nothing, as a device's clock may be wrong, which clock says."
            ),
            examples=["2018-06-30T18:00:01.25Z"],
        ),
    ]
    sequence: (
        Annotated[
            SequenceField,
            Meta(
                extra_json_schema={
                    "description": (
                        "The sequence of the schedule that is answered; with order.stale, the highest that the device has "
                        "admitted. Absent where none could be read, and in an answer that was upgraded from version 1."
                    )
                }
            ),
        ]
        | None
    ) = None
    digest: (
        Annotated[
            DigestField,
            Meta(
                extra_json_schema={
                    "description": (
                        "The digest of the schedule that is answered, as the device understood it: equal to the sender's "
                        "own, or one of the two misunderstands. Absent as sequence is."
                    )
                }
            ),
        ]
        | None
    ) = None
    received_at: (
        Annotated[
            Instant,
            Meta(description="When the schedule was stored: RFC 3339 with an offset.", examples=["2018-06-30T18:00:01Z"]),
        ]
        | None
    ) = None
    applied_at: (
        Annotated[
            Instant,
            Meta(
                description=(
                    "When the schedule was armed: RFC 3339 with an offset. With APPLIED, and only there. A repeated answer "
                    "is the same answer, this time included."
                ),
                examples=["2018-06-30T18:00:02Z"],
            ),
        ]
        | None
    ) = None
    error: Annotated[ErrorDetail, Meta(description="Why it FAILED. With FAILED, and only there.")] | None = None
    retryable: (
        Annotated[
            bool,
            Meta(
                description="With FAILED: whether the same schedule, sent again, may succeed. Absent: as the code's class says."
            ),
        ]
        | None
    ) = None
    retry_after_s: (
        Annotated[int, Meta(ge=0, le=86_400, description="With a retryable FAILED: try again after so long, s.", examples=[60])]
        | None
    ) = None
    supported_versions: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_535)], ...],
        Meta(max_length=32, description="With version.unsupported: the versions that the device speaks.", examples=[[1, 2]]),
    ] = ()
    superseded: Annotated[
        tuple[ScheduleIdField, ...],
        Meta(max_length=64, description="With APPLIED: the schedules of which nothing is left in the plan."),
    ] = ()
    clock: Annotated[Clock, Meta(description="How far the times in this answer can be relied on.")] | None = None
    traceparent: TraceparentField | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace that the body names, if it names a valid one."""
        return trace_id_of(self.traceparent)

    @property
    def is_retryable(self) -> bool:
        """Whether the same schedule, sent again, may succeed."""
        if self.error is None or self.status is not AckStatus.FAILED:
            return False
        return self.error.retryable if self.retryable is None else self.retryable


class Outcome(StrEnum):
    """What became of a slot, in one word."""

    FULL = "FULL"
    """As scheduled, within the tolerance."""
    LIMITED = "LIMITED"
    """Executed as far as a limit allowed; see ``limiting``."""
    OVERRIDDEN = "OVERRIDDEN"
    """Somebody else controlled the battery."""
    NOT_EXECUTED = "NOT_EXECUTED"
    """The device never began it: not running, or the plan came too late."""
    FAULTED = "FAULTED"
    """The battery or the link to it failed."""


class ExecutionResult(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What really happened in one slot. A device sends exactly one for each slot."""

    schedule_id: ScheduleIdField
    device_id: DeviceIdField
    version: Version
    slot_start: SlotStartField
    slot_end: Annotated[
        Instant,
        Meta(
            description=(
                "The instant after the slot: 300 to 3600 s after its start. A slot that a plan of another resolution cut short "
                "ends where it was cut."
            ),
            examples=["2018-07-01T10:30:00Z"],
        ),
    ]
    status: Annotated[
        ExecutionStatus,
        Meta(
            description=(
                "SUCCEED: at least 90 % of the slot was under control and the average power is within the largest of 2 % of "
                "rated power, 1 kW and 5 % of the setpoint. FAIL: anything else; see outcome and error."
            )
        ),
    ]
    actual_w: Annotated[
        Watts,
        Meta(
            description=(
                "Average power at the AC terminals, W, positive charges: the difference of the battery's energy counters over "
                "the slot's length, not a sample, so that results add up to energy."
            ),
            examples=[74_600],
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
    outcome: (
        Annotated[
            Outcome,
            Meta(
                description=(
                    "What became of the slot: FULL goes with SUCCEED, NOT_EXECUTED and FAULTED with FAIL. Absent in a "
                    "result that was upgraded from version 1 and does not say."
                )
            ),
        ]
        | None
    ) = None
    scheduled_w: (
        Annotated[
            Watts,
            Meta(
                description="Average power that was asked for, W: of both setpoints, where a newer plan switched the slot.",
                examples=[75_000],
            ),
        ]
        | None
    ) = None
    energy_charged_wh: (
        Annotated[EnergyWh, Meta(description="Energy taken at the AC terminals, Wh.", examples=[37_300.0])] | None
    ) = None
    energy_discharged_wh: (
        Annotated[EnergyWh, Meta(description="Energy given at the AC terminals, Wh.", examples=[0.0])] | None
    ) = None
    soc_start_pct: (
        Annotated[Percent, Meta(description="State of charge when the slot began, %, where it is known.", examples=[40.0])]
        | None
    ) = None
    soc_end_pct: (
        Annotated[Percent, Meta(description="State of charge when the slot ended, %, where it is known.", examples=[52.0])]
        | None
    ) = None
    limiting: Annotated[
        tuple[CodeField, ...],
        Meta(max_length=16, description="What kept the battery from its setpoint, as codes.", examples=[["exec.limited_soc"]]),
    ] = ()
    coverage_pct: (
        Annotated[Percent, Meta(description="Share of the slot in which the battery was under control, %.", examples=[100.0])]
        | None
    ) = None
    error: Annotated[ErrorDetail, Meta(description="Why it is a FAIL, or what limited a SUCCEED.")] | None = None
    traceparent: TraceparentField | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace that the body names, if it names a valid one."""
        return trace_id_of(self.traceparent)


_OUTCOMES: Final = {
    ErrorCode.EXEC_MISSED: Outcome.NOT_EXECUTED,
    ErrorCode.EXEC_LATE_START: Outcome.LIMITED,
    ErrorCode.EXEC_LIMITED_SOC: Outcome.LIMITED,
    ErrorCode.EXEC_LIMITED_TEMPERATURE: Outcome.LIMITED,
    ErrorCode.EXEC_LIMITED_BATTERY: Outcome.LIMITED,
    ErrorCode.EXEC_PREEMPTED: Outcome.OVERRIDDEN,
    ErrorCode.EXEC_TRIPPED: Outcome.FAULTED,
    ErrorCode.EXEC_NO_DATA: Outcome.FAULTED,
    ErrorCode.DEVICE_LOCAL_MODE: Outcome.OVERRIDDEN,
    ErrorCode.DEVICE_MAINTENANCE: Outcome.OVERRIDDEN,
    ErrorCode.DEVICE_CLOCK_UNTRUSTED: Outcome.NOT_EXECUTED,
    ErrorCode.DRIVER_EXTERNAL_CONTROL: Outcome.OVERRIDDEN,
}
_OUTCOMES_OF_CLASSES: Final = {
    ErrorClass.LIMIT: Outcome.LIMITED,
    ErrorClass.DEVICE: Outcome.FAULTED,
    ErrorClass.DRIVER: Outcome.FAULTED,
}


def outcome_of(status: ExecutionStatus, code: ErrorCode | None) -> Outcome | None:
    """What became of a slot, as far as its status and the code of its error say.

    :param code: why it is a FAIL, or what limited a SUCCEED.
    :returns: ``None`` for a FAIL whose reason says nothing about it.
    """
    if code is None:
        return Outcome.FULL if status is ExecutionStatus.SUCCEED else None
    outcome = _OUTCOMES.get(code) or _OUTCOMES_OF_CLASSES.get(code.error_class)
    if status is ExecutionStatus.SUCCEED:
        return outcome if outcome is Outcome.OVERRIDDEN else Outcome.LIMITED
    return outcome


_ONLY_WITH: Final = {
    Outcome.FULL: ExecutionStatus.SUCCEED,
    Outcome.NOT_EXECUTED: ExecutionStatus.FAIL,
    Outcome.FAULTED: ExecutionStatus.FAIL,
}
_STATUS_MEMBERS: Final = {
    AckStatus.RECEIVED: {"applied_at": False, "error": False},
    AckStatus.APPLIED: {"applied_at": True, "error": False},
    AckStatus.FAILED: {"applied_at": False, "error": True},
}
"""Which members an answer must have, and which it must not."""


def ack_problems(ack: Ack) -> Iterator[Problem]:
    """Everything that is wrong with an acknowledgement whose fields are right one by one."""
    yield from id_problems(ack.schedule_id, ack.device_id)
    yield from instant_problems(ack.timestamp, "/timestamp")
    yield from instant_problems(ack.received_at, "/received_at")
    yield from instant_problems(ack.applied_at, "/applied_at")
    yield from digest_problems(ack.digest, "/digest")
    yield from error_problems(ack.error, "/error")
    for name, belongs in _STATUS_MEMBERS[ack.status].items():
        if (getattr(ack, name) is not None) is not belongs:
            message = f"{ack.status} {'needs' if belongs else 'has no'} {name}"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=f"/{name}")
    for index, name in enumerate(ack.superseded):
        if not is_id(name):
            message = "an id is 1 to 64 characters of A-Z a-z 0-9 _ -"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=f"/superseded/{index}")


def execution_result_problems(result: ExecutionResult) -> Iterator[Problem]:
    """Everything that is wrong with an execution result whose fields are right one by one."""
    yield from id_problems(result.schedule_id, result.device_id)
    yield from slot_problems(result.slot_start, result.slot_end)
    yield from instant_problems(result.timestamp, "/timestamp")
    if result.outcome is not None and _ONLY_WITH.get(result.outcome, result.status) is not result.status:
        message = f"outcome {result.outcome} contradicts status {result.status}"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/outcome")
    for index, code in enumerate(result.limiting):
        yield from code_problems(code, f"/limiting/{index}")
    yield from error_problems(result.error, "/error")
