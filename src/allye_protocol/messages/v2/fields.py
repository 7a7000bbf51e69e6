"""Fields that the messages of version 2 share, with what is wrong with them."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem, printable
from allye_protocol.messages.fields import EARLIEST, LATEST, DeviceIdField, Instant, ScheduleIdField, shown
from allye_protocol.messages.patterns import CODE_SCHEMA, DIGEST_SCHEMA
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CLOCK_GRID",
    "MAX_OFFSET_MS",
    "MAX_SEQUENCE",
    "MAX_WATTS",
    "VERSION",
    "Clock",
    "CodeField",
    "DeviceIdField",
    "DigestField",
    "EnergyWh",
    "ErrorDetail",
    "Instant",
    "Percent",
    "ScheduleIdField",
    "SequenceField",
    "SlotStartField",
    "TraceparentField",
    "Version",
    "Watts",
    "code_problems",
    "digest_problems",
    "error_problems",
    "sequence_at",
    "slot_problems",
    "trace_id_of",
]

VERSION: Final = 2
MAX_WATTS: Final = 10_000_000
MAX_OFFSET_MS: Final = 1e12
MAX_SLOT: Final = timedelta(hours=1)
CLOCK_GRID: Final = timedelta(minutes=5)
"""Every slot of every resolution begins and ends on this grid of UTC, a slot that a newer plan cut short as well."""
_MICROSECOND: Final = timedelta(microseconds=1)
MAX_SEQUENCE: Final = (LATEST - EARLIEST) // _MICROSECOND - 1
"""The last microsecond of the protocol's time. It is below 2**53, so every JSON reader keeps it whole."""
DIGEST_CHARS: Final = 64
MAX_CODE_CHARS: Final = 64
MAX_ERROR_CHARS: Final = 512
MAX_PATH_CHARS: Final = 256

Version = Annotated[
    Literal[2],
    Meta(
        description=(
            "The protocol's major version, 2. A receiver that does not know the number answers with the ones it knows and "
            "never guesses."
        )
    ),
]
SequenceField = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_SEQUENCE,
        description=(
            "Place in the order of everything that the cloud asks of one device: the sender's microseconds since the Unix "
            "epoch, made strictly increasing per device, max(last + 1, now). What is not above the highest that the device has "
            "admitted is stale. A device with a trusted clock refuses one that is more than five minutes ahead."
        ),
        examples=[1_530_381_600_000_001],
    ),
]
DigestField = Annotated[
    str,
    Meta(
        min_length=DIGEST_CHARS,
        max_length=DIGEST_CHARS,
        description=(
            "SHA-256 of what the schedule means, 64 lower-case hex digits: device, start, resolution, rates, limits and flags; "
            "not bytes, encoding, generated_at, sequence, trace or metadata."
        ),
        examples=["0a4d55a8d778e5022fab701977c5d840bbc486d0f6c0d9a9b2e1c7f8a3b4c5d6"],
        extra_json_schema=DIGEST_SCHEMA,
    ),
]
TraceparentField = Annotated[
    str,
    Meta(
        max_length=256,
        description=(
            "W3C trace context: ties every log line, row and reply about one schedule together. Optional to read, always sent "
            "by this library. An invalid one never makes a message invalid: the receiver replaces it and passes it to nobody."
        ),
        examples=["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
    ),
]
Watts = Annotated[int, Meta(ge=-MAX_WATTS, le=MAX_WATTS)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
EnergyWh = Annotated[float, Meta(ge=0.0, le=1e12)]
CodeField = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=MAX_CODE_CHARS,
        description=(
            "A code of the registry, class.name. The registry only grows: a reader that does not know the name goes by the "
            "class, and by retryable where there is one."
        ),
        examples=["limit.power"],
        extra_json_schema=CODE_SCHEMA,
    ),
]
SlotStartField = Annotated[
    Instant,
    Meta(
        description="First instant of the half-open slot [slot_start, slot_end), on a whole five minutes of UTC.",
        examples=["2018-07-01T10:00:00Z"],
    ),
]


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Why something failed: a code for programs, words for people, and the figures."""

    code: CodeField
    message: Annotated[
        str,
        Meta(
            max_length=MAX_ERROR_CHARS,
            description="For a person: what, and what to do about it. Not API; match on the code.",
            examples=["setpoint 180000 W is beyond this device's own limit of 150000 W"],
        ),
    ] = ""
    path: (
        Annotated[
            str,
            Meta(
                max_length=MAX_PATH_CHARS,
                description="Where in the message, as a JSON Pointer (RFC 6901) into its JSON form, whatever encoding it had.",
                examples=["/rates_w/7"],
            ),
        ]
        | None
    ) = None
    slot: (
        Annotated[int, Meta(ge=0, le=100_000, description="Index of the first slot concerned, from 0.", examples=[7])] | None
    ) = None
    value: Annotated[float, Meta(description="The figure that was refused.", examples=[180_000.0])] | None = None
    limit: Annotated[float, Meta(description="The figure that it was compared with.", examples=[150_000.0])] | None = None
    digest: (
        Annotated[
            DigestField,
            Meta(
                extra_json_schema={
                    "description": "With order.conflict: the digest of the content that the id already names on the device."
                }
            ),
        ]
        | None
    ) = None

    @classmethod
    def of(cls, problem: Problem) -> ErrorDetail:
        """A problem as a peer is told of it: bounded, printable, with the figures that it has a place for."""
        details = problem.details
        slot, digest = details.get("slot"), details.get("stored_digest")
        return cls(
            code=problem.code,
            message=printable(problem.message, MAX_ERROR_CHARS),
            path=printable(problem.path, MAX_PATH_CHARS) or None,
            slot=slot if isinstance(slot, int) else None,
            value=_figure(details.get("value")),
            limit=_figure(details.get("limit")),
            digest=digest if isinstance(digest, str) else None,
        )

    def reason(self) -> str:
        """The error in one line: code, words and place."""
        where = f" at {self.path}" if self.path else ""
        return f"{self.code}: {self.message}{where}"

    @property
    def known_code(self) -> ErrorCode | None:
        """The code, where this version of the library knows it."""
        return _CODES.get(self.code)

    @property
    def retryable(self) -> bool:
        """Whether the same message, sent again later, may succeed, as far as the code says."""
        known = self.known_code
        return known is not None and known.retryable


_CODES: Final[dict[str, ErrorCode]] = {code.value: code for code in ErrorCode}


class Clock(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What a device knows of its own time."""

    synced: Annotated[bool, Meta(description="Whether the device's clock is synchronised, so that its times can be relied on.")]
    offset_ms: (
        Annotated[
            float,
            Meta(
                ge=-MAX_OFFSET_MS,
                le=MAX_OFFSET_MS,
                description="How far the device's clock is ahead of its reference, ms, where it knows.",
                examples=[-12.5],
            ),
        ]
        | None
    ) = None


def sequence_at(instant: datetime) -> int:
    """The sequence of an instant: microseconds since the Unix epoch."""
    return (instant - EARLIEST) // _MICROSECOND


def trace_id_of(traceparent: str | None) -> str | None:
    """The trace id in a body's ``traceparent``, or ``None`` when there is none that follows the specification."""
    context = None if traceparent is None else TraceContext.parse(traceparent)
    return None if context is None else context.trace_id


def digest_problems(digest: str | None, path: str) -> Iterator[Problem]:
    """What is wrong with a digest of the right length, if there is one."""
    if digest is not None and digest.strip("0123456789abcdef"):
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message="a digest is 64 lower-case hex digits", path=path)


def error_problems(error: ErrorDetail | None, path: str) -> Iterator[Problem]:
    """What is wrong with an error whose fields are right one by one, if there is one."""
    if error is None:
        return
    if not _is_code(error.code):
        message = "a code is class.name, in lower-case letters and _"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=f"{path}/code")
    for name, figure in (("value", error.value), ("limit", error.limit)):
        if figure is not None and not math.isfinite(figure):  # they have no bounds that would say so
            yield Problem(code=ErrorCode.MESSAGE_NON_FINITE_NUMBER, message="not a finite number", path=f"{path}/{name}")
    yield from digest_problems(error.digest, f"{path}/digest")


def code_problems(code: str, path: str) -> Iterator[Problem]:
    """What is wrong with a code that stands by itself."""
    if not _is_code(code):
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message="a code is class.name, in lower-case letters and _", path=path)


def slot_problems(start: datetime, end: datetime) -> Iterator[Problem]:
    """What is wrong with a slot of version 2: on the five-minute grid, at most an hour long."""
    for instant, path in ((start, "/slot_start"), (end, "/slot_end")):
        if not EARLIEST <= instant < LATEST:
            message = f"{shown(instant)} is not between {EARLIEST.year} and {LATEST.year}"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)
        elif (instant - EARLIEST) % CLOCK_GRID:
            message = f"{shown(instant)} is not on a whole five minutes of UTC"
            yield Problem(code=ErrorCode.TIME_NOT_ALIGNED, message=message, path=path)
    if not timedelta(0) < end - start <= MAX_SLOT:
        message = f"lasts {(end - start).total_seconds():g} s from its start; a slot lasts 300 to 3600 s"
        yield Problem(code=ErrorCode.TIME_BAD_DURATION, message=message, path="/slot_end")


def _figure(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_code(code: str) -> bool:
    error_class, dot, name = code.partition(".")
    return bool(dot and error_class and name) and not (error_class + name).strip("abcdefghijklmnopqrstuvwxyz_")
