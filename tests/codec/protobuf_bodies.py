"""Protobuf bodies made by hand, byte by byte, with what each means, and tables of bad ones: name, code and place of each.

Nothing here comes from the library or from the runtime, so both are held against it. The bytes are frozen: version 2 is read
like this for ever.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import (
    Ack,
    AckStatus,
    BatteryState,
    Cancel,
    Clock,
    DeviceStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    ExecutionStatus,
    Outcome,
    Schedule,
    ScheduleEvent,
)
from allye_protocol.messages.registry import Kind

if TYPE_CHECKING:
    from allye_protocol.messages import Message


def varint(value: int) -> bytes:
    """A number in as few bytes as it takes; a negative one in two's complement of 64 bits."""
    value &= 2**64 - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def number(field: int, value: int) -> bytes:
    return tag(field, 0) + varint(value)


def text(field: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return tag(field, 2) + varint(len(data)) + data


def double(field: int, value: float) -> bytes:
    return tag(field, 1) + struct.pack("<d", value)


def packed(field: int, *values: int) -> bytes:
    return text(field, b"".join(map(varint, values)))


def rates(*values: int) -> bytes:
    return packed(8, *map(zigzag, values))


def entry(key: str | bytes, value: str | bytes) -> bytes:
    return text(19, text(1, key) + text(2, value))


START = 1_530_403_200_000_000
"""2018-07-01T00:00:00Z in microseconds."""
MADE = 1_530_381_600_000_001
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DIGEST = "0a4d55a8d778e5022fab701977c5d840bbc486d0f6c0d9a9b2e1c7f8a3b4c5d6"
_IDS = {
    "version": b"\x08\x02",
    "schedule_id": b"\x12\x11plan-2018-07-01-a",
    "device_id": b"\x1a\x0bmax300-0001",
}

PARTS: dict[Kind, dict[str, bytes]] = {
    Kind.SCHEDULE: {
        **_IDS,
        "traceparent": text(4, TRACE),
        "sequence": b"\x28" + varint(MADE),
        "generated_at": b"\x30" + varint(MADE),
        "start": b"\x38" + varint(START),
        "rates_w": rates(75_000, 0, 0, -120_500),
        "no_setpoint_slots": b"\x4a\x01\x02",
        "resolution_s": b"\x50" + varint(900),
        "expires_at": b"\x58" + varint(START + 6 * 3600 * 1_000_000),
        "soc_min_pct": double(12, 20.0),
        "soc_max_pct": double(13, 90.5),
        "ramp_w_per_s": b"\x70" + varint(1000),
        "start_jitter_s": b"\x78\x78",
        "dry_run": b"\x90\x01\x01",
        "metadata": entry("mood", "grün") + entry("tariff", "agile"),
    },
    Kind.CANCEL: {
        **_IDS,
        "traceparent": text(4, TRACE),
        "sequence": number(5, MADE + 1),
        "effective_from": number(6, START),
        "reason": text(7, "grid outage announced"),
    },
    Kind.ACK: {
        **_IDS,
        "traceparent": text(4, TRACE),
        "sequence": number(5, MADE),
        "status": b"\x30\x03",
        "timestamp": number(7, MADE + 2_000_000),
        "digest": text(8, DIGEST),
        "received_at": number(9, MADE + 1_000_000),
        "error": text(
            11,
            text(1, "limit.power")
            + text(2, "beyond the limit")
            + text(3, "/rates_w/7")
            + number(4, 7)
            + double(5, 180_000.0)
            + double(6, 150_000.0),
        ),
        "retryable": b"\x60\x00",
        "retry_after_s": number(13, 60),
        "supported_versions": packed(14, 1, 2),
        "superseded": text(15, "plan-1") + text(15, "plan-2"),
        "clock": text(18, b"\x08\x01" + double(2, -12.5)),
    },
    Kind.EXECUTION_RESULT: {
        **_IDS,
        "traceparent": text(4, TRACE),
        "status": number(6, 1),
        "timestamp": number(7, START + 1_800_500_000),
        "slot_start": number(8, START),
        "slot_end": number(9, START + 1_800_000_000),
        "outcome": number(10, 2),
        "scheduled_w": number(11, zigzag(75_000)),
        "actual_w": number(12, zigzag(-12)),
        "energy_charged_wh": double(13, 0.0),
        "energy_discharged_wh": double(14, 6.0),
        "coverage_pct": double(15, 100.0),
        "soc_start_pct": double(18, 40.0),
        "soc_end_pct": double(19, 39.5),
        "limiting": text(20, "exec.limited_soc"),
        "error": text(21, text(1, "exec.limited_soc")),
    },
    Kind.SCHEDULE_EVENT: {
        **_IDS,
        "traceparent": text(4, TRACE),
        "sequence": number(5, MADE),
        "event": number(6, 3),
        "timestamp": number(7, START),
        "slot_start": number(8, START),
        "error": text(9, text(1, "order.stale") + text(7, DIGEST)),
    },
    Kind.DEVICE_STATUS: {
        **_IDS,
        "online": b"\x30\x01",
        "timestamp": number(7, START),
        "power_w": number(8, zigzag(-74_600)),
        "soc_pct": double(9, 52.0),
        "state": number(10, 6),
        "clock": text(11, b"\x08\x00"),
    },
}
"""A valid body of each kind with every member, by member, in the order of the field numbers."""

_START = datetime(2018, 7, 1, tzinfo=UTC)
_MADE = datetime(2018, 6, 30, 18, 0, 0, 1, tzinfo=UTC)
_NAMES: dict[str, Any] = {
    "version": 2,
    "schedule_id": ScheduleId("plan-2018-07-01-a"),
    "device_id": DeviceId("max300-0001"),
}

MEANT: dict[Kind, Message] = {
    Kind.SCHEDULE: Schedule(
        **_NAMES,
        traceparent=TRACE,
        sequence=MADE,
        generated_at=_MADE,
        start=_START,
        rates_w=(75_000, 0, None, -120_500),
        resolution_s=900,
        expires_at=_START + timedelta(hours=6),
        soc_min_pct=20.0,
        soc_max_pct=90.5,
        ramp_w_per_s=1000,
        start_jitter_s=120,
        dry_run=True,
        metadata={"mood": "grün", "tariff": "agile"},
    ),
    Kind.CANCEL: Cancel(**_NAMES, traceparent=TRACE, sequence=MADE + 1, effective_from=_START, reason="grid outage announced"),
    Kind.ACK: Ack(
        **_NAMES,
        traceparent=TRACE,
        sequence=MADE,
        status=AckStatus.FAILED,
        timestamp=_MADE + timedelta(seconds=2),
        digest=DIGEST,
        received_at=_MADE + timedelta(seconds=1),
        error=ErrorDetail(
            code="limit.power", message="beyond the limit", path="/rates_w/7", slot=7, value=180_000.0, limit=150_000.0
        ),
        retryable=False,
        retry_after_s=60,
        supported_versions=(1, 2),
        superseded=(ScheduleId("plan-1"), ScheduleId("plan-2")),
        clock=Clock(synced=True, offset_ms=-12.5),
    ),
    Kind.EXECUTION_RESULT: ExecutionResult(
        **_NAMES,
        traceparent=TRACE,
        status=ExecutionStatus.SUCCEED,
        timestamp=_START + timedelta(minutes=30, milliseconds=500),
        slot_start=_START,
        slot_end=_START + timedelta(minutes=30),
        outcome=Outcome.LIMITED,
        scheduled_w=75_000,
        actual_w=-12,
        energy_charged_wh=0.0,
        energy_discharged_wh=6.0,
        coverage_pct=100.0,
        soc_start_pct=40.0,
        soc_end_pct=39.5,
        limiting=("exec.limited_soc",),
        error=ErrorDetail(code="exec.limited_soc"),
    ),
    Kind.SCHEDULE_EVENT: ScheduleEvent(
        **_NAMES,
        traceparent=TRACE,
        sequence=MADE,
        event=EventType.CANCELLED,
        timestamp=_START,
        slot_start=_START,
        error=ErrorDetail(code="order.stale", digest=DIGEST),
    ),
    Kind.DEVICE_STATUS: DeviceStatus(
        **_NAMES,
        online=True,
        timestamp=_START,
        power_w=-74_600,
        soc_pct=52.0,
        state=BatteryState.DISCHARGING,
        clock=Clock(synced=False),
    ),
}
"""What those bodies mean."""


def body(kind: Kind, **changes: bytes) -> bytes:
    """The valid body of a kind with other bytes in place of a member's; ``more`` stands behind all members."""
    return b"".join({**PARTS[kind], "more": b"", **changes}.values())


class Variant(NamedTuple):
    """Bytes that mean the same as the valid body of the kind, as another writer may write them."""

    kind: Kind
    payload: bytes


class Bad(NamedTuple):
    """A payload that is refused, and how."""

    kind: Kind
    payload: bytes
    code: ErrorCode
    path: str


def _unknown(field: int) -> bytes:
    """A field of every wire type that nobody knows."""
    nested = number(1, 7) + double(2, 1.0) + text(3, "x") + tag(4, 5) + b"1234" + tag(5, 3) + number(1, 7) + tag(5, 4)
    return (
        number(field, 7)
        + double(field, 1.0)
        + text(field, b"\xff")
        + tag(field, 3)
        + nested
        + tag(field, 4)
        + tag(field, 5)
        + b"1234"
    )


VARIANTS: dict[str, Variant] = {
    "fields backwards": Variant(Kind.ACK, b"".join(reversed(PARTS[Kind.ACK].values()))),
    "unknown fields": Variant(Kind.SCHEDULE, body(Kind.SCHEDULE, more=_unknown(50) + _unknown(2**29 - 1))),
    "an unknown field twice": Variant(Kind.CANCEL, body(Kind.CANCEL, more=number(50, 1) + number(50, 1))),
    "an unknown field in an error": Variant(
        Kind.EXECUTION_RESULT, body(Kind.EXECUTION_RESULT, error=text(21, text(1, "exec.limited_soc") + _unknown(9)))
    ),
    "an unknown field in a label": Variant(
        Kind.SCHEDULE,
        body(Kind.SCHEDULE, metadata=entry("mood", "grün") + text(19, text(1, "tariff") + number(3, 1) + text(2, "agile"))),
    ),
    "unknown groups 100 deep": Variant(Kind.CANCEL, body(Kind.CANCEL, more=tag(50, 3) * 100 + tag(50, 4) * 100)),
    "rates one by one": Variant(
        Kind.SCHEDULE,
        body(Kind.SCHEDULE, rates_w=b"".join(number(8, zigzag(rate)) for rate in (75_000, 0, 0, -120_500))),
    ),
    "rates in two pieces": Variant(Kind.SCHEDULE, body(Kind.SCHEDULE, rates_w=rates(75_000, 0), more=rates(0, -120_500))),
    "an empty piece of rates": Variant(Kind.SCHEDULE, body(Kind.SCHEDULE, more=text(8, b""))),
    "a slot without setpoint by itself": Variant(Kind.SCHEDULE, body(Kind.SCHEDULE, no_setpoint_slots=number(9, 2))),
    "labels in another order": Variant(
        Kind.SCHEDULE, body(Kind.SCHEDULE, metadata=entry("tariff", "agile") + entry("mood", "grün"))
    ),
    "a label's value before its key": Variant(
        Kind.SCHEDULE,
        body(Kind.SCHEDULE, metadata=text(19, text(2, "grün") + text(1, "mood")) + entry("tariff", "agile")),
    ),
    "numbers of more bytes than they take": Variant(
        Kind.SCHEDULE, body(Kind.SCHEDULE, version=b"\x08\x82\x80\x80\x00", resolution_s=b"\x50\x84\x87\x00")
    ),
    "a tag of more bytes than it takes": Variant(Kind.CANCEL, body(Kind.CANCEL, version=b"\x88\x00\x02")),
}

_MALFORMED, _INVALID = ErrorCode.MESSAGE_MALFORMED, ErrorCode.MESSAGE_INVALID
_DUPLICATE, _NUMBER = ErrorCode.MESSAGE_DUPLICATE_KEY, ErrorCode.MESSAGE_NON_FINITE_NUMBER


def _schedule(code: ErrorCode, path: str, **changes: bytes) -> Bad:
    return Bad(Kind.SCHEDULE, body(Kind.SCHEDULE, **changes), code, path)


def _ack(code: ErrorCode, path: str, **changes: bytes) -> Bad:
    return Bad(Kind.ACK, body(Kind.ACK, **changes), code, path)


def _cancel(code: ErrorCode, path: str, **changes: bytes) -> Bad:
    return Bad(Kind.CANCEL, body(Kind.CANCEL, **changes), code, path)


MALFORMED: dict[str, Bad] = {
    "JSON": Bad(Kind.SCHEDULE, b'{"schedule_id": "a"}', _MALFORMED, ""),
    "MessagePack": Bad(Kind.SCHEDULE, b"\x82\xa7version\x02\xabschedule_id\xa1a", _MALFORMED, ""),
    "the first half": Bad(Kind.SCHEDULE, body(Kind.SCHEDULE)[:60], _MALFORMED, ""),
    "one byte less": Bad(Kind.ACK, body(Kind.ACK)[:-1], _MALFORMED, ""),
    "one byte more": Bad(Kind.ACK, body(Kind.ACK) + b"\x08", _MALFORMED, ""),
    "a length beyond the end": _cancel(_MALFORMED, "", more=tag(50, 2) + varint(1)),
    "a length of 2**64 - 1": _cancel(_MALFORMED, "", more=tag(50, 2) + varint(-1)),
    "half a double": _cancel(_MALFORMED, "", more=tag(50, 1) + b"1234"),
    "half a fixed32": _cancel(_MALFORMED, "", more=tag(50, 5) + b"12"),
    "field number 0": _cancel(_MALFORMED, "", more=number(0, 1)),
    "wire type 6": _cancel(_MALFORMED, "", more=tag(50, 6) + b"\0"),
    "wire type 7": _cancel(_MALFORMED, "", more=tag(50, 7) + b"\0"),
    "a number of eleven bytes": _cancel(_MALFORMED, "", more=tag(50, 0) + b"\x80" * 10 + b"\x01"),
    "a number of 65 bits": _cancel(_MALFORMED, "", more=tag(50, 0) + b"\xff" * 9 + b"\x02"),
    "a tag of 33 bits": _cancel(_MALFORMED, "", more=varint(2**32) + b"\x01"),
    "a tag of seven bytes": _cancel(_MALFORMED, "", version=b"\x88\x80\x80\x80\x80\x80\x00\x02"),
    "a group that does not end": _cancel(_MALFORMED, "", more=tag(50, 3)),
    "a group that did not begin": _cancel(_MALFORMED, "", more=tag(50, 4)),
    "a group that ends as another": _cancel(_MALFORMED, "", more=tag(50, 3) + tag(51, 4)),
    "a group with half a number": _cancel(_MALFORMED, "", more=tag(50, 3) + number(1, 2**40)[:-1]),
    "groups 101 deep": _cancel(_MALFORMED, "", more=tag(50, 3) * 101 + tag(50, 4) * 101),
    "groups 16,000 deep": _cancel(_MALFORMED, "", more=tag(50, 3) * 16_000 + tag(50, 4) * 16_000),
    "a version as text": _cancel(_MALFORMED, "/version", version=text(1, "2")),
    "an id as a number": _cancel(_MALFORMED, "/device_id", device_id=number(3, 7)),
    "a sequence as a double": _cancel(_MALFORMED, "/sequence", sequence=double(5, 1.0)),
    "an instant as text": _cancel(_MALFORMED, "/effective_from", effective_from=text(6, "2018-07-01T00:00:00Z")),
    "a percentage as a number": _schedule(_MALFORMED, "/soc_min_pct", soc_min_pct=number(12, 20)),
    "a percentage of four bytes": _schedule(_MALFORMED, "/soc_min_pct", soc_min_pct=tag(12, 5) + b"\0\0\xa0A"),
    "an error as a number": _ack(_MALFORMED, "/error", error=number(11, 1)),
    "a code as a number": _ack(_MALFORMED, "/error/code", error=text(11, number(1, 1))),
    "an error that ends too early": _ack(_MALFORMED, "", error=text(11, text(1, "limit.power")[:-1])),
    "rates as doubles": _schedule(_MALFORMED, "/rates_w", rates_w=double(8, 75_000.0)),
    "rates that end too early": _schedule(_MALFORMED, "", rates_w=text(8, b"\x80")),
    "labels as a number": _schedule(_MALFORMED, "/metadata", metadata=number(19, 1)),
    "a label's value as a number": _schedule(_MALFORMED, "/metadata", metadata=text(19, text(1, "a") + number(2, 1))),
    "an id that is not UTF-8": _cancel(_MALFORMED, "/device_id", device_id=text(3, b"max\xff00")),
    "a surrogate in a text": _cancel(_MALFORMED, "/reason", reason=text(7, b"\xed\xa0\x80")),
    "a label that is not UTF-8": _schedule(_MALFORMED, "/metadata", metadata=entry(b"\xc0\x80", "a")),
}
"""Bytes that are no Protobuf message of their kind."""

BAD: dict[str, Bad] = {
    # versions
    "version 1": _schedule(ErrorCode.VERSION_UNSUPPORTED, "/version", version=number(1, 1)),
    "version 3": _ack(ErrorCode.VERSION_UNSUPPORTED, "/version", version=number(1, 3)),
    "version 0": _ack(ErrorCode.VERSION_UNSUPPORTED, "/version", version=number(1, 0)),
    "version 2**32 + 2": _ack(ErrorCode.VERSION_UNSUPPORTED, "/version", version=number(1, 2**32 + 2)),
    "version 3 of another shape": Bad(
        Kind.SCHEDULE, number(1, 3) + number(2, 7) + text(8, b"\x80"), ErrorCode.VERSION_UNSUPPORTED, "/version"
    ),
    "version 2 and then 3": _ack(_DUPLICATE, "/version", version=number(1, 3) + number(1, 2)),
    "no version": _cancel(_INVALID, "/version", version=b""),
    # what comes twice
    "an id twice": _cancel(_DUPLICATE, "/device_id", more=text(3, "max300-0001")),
    "another id": _cancel(_DUPLICATE, "/device_id", more=text(3, "max300-0002")),
    "a flag twice": _schedule(_DUPLICATE, "/dry_run", more=b"\x90\x01\x01"),
    "an instant twice": _schedule(_DUPLICATE, "/start", more=number(7, START)),
    "an error in two halves": _ack(_DUPLICATE, "/error", error=text(11, text(1, "limit.power")) + text(11, number(4, 7))),
    "a code twice": _ack(_DUPLICATE, "/error/code", error=text(11, text(1, "limit.power") * 2)),
    "a label twice": _schedule(_DUPLICATE, "/metadata/tariff", more=entry("tariff", "flat")),
    "a label with two keys": _schedule(_DUPLICATE, "/metadata", metadata=text(19, text(1, "a") + text(1, "b") + text(2, "c"))),
    "a duplicate whose bytes are saved elsewhere": _schedule(
        _DUPLICATE,
        "/dry_run",
        rates_w=number(8, 0),
        no_setpoint_slots=number(9, 0),
        more=b"\x90\x01\x01",
    ),
    # enumerations
    "a status of 0": _ack(_INVALID, "/status", status=number(6, 0)),
    "a status that nobody knows": _ack(_INVALID, "/status", status=number(6, 4)),
    "a status of -1": _ack(_INVALID, "/status", status=number(6, -1)),
    "a status of 2**32 + 3": _ack(_INVALID, "/status", status=number(6, 2**32 + 3)),
    # numbers
    "a percentage that is NaN": _schedule(_NUMBER, "/soc_min_pct", soc_min_pct=double(12, float("nan"))),
    "a percentage that is infinite": _schedule(_NUMBER, "/soc_max_pct", soc_max_pct=double(13, float("inf"))),
    "a value that is -infinite": _ack(
        _NUMBER, "/error/value", error=text(11, text(1, "limit.power") + double(5, float("-inf")))
    ),
    "an offset that is NaN": _ack(_NUMBER, "/clock/offset_ms", clock=text(18, number(1, 1) + double(2, float("nan")))),
    "a percentage over 100": _schedule(_INVALID, "/soc_max_pct", soc_max_pct=double(13, 100.00000000000001)),
    "a rate too large": _schedule(_INVALID, "/rates_w/1", rates_w=rates(0, 10_000_001, 0)),
    "a rate too small": _schedule(_INVALID, "/rates_w/1", rates_w=rates(0, -10_000_001, 0)),
    "a rate of 33 bits": _schedule(_INVALID, "/rates_w/0", rates_w=rates(2**32, 0, 0)),
    "a sequence of 0": _cancel(_INVALID, "/sequence", sequence=number(5, 0)),
    "a sequence below 0": _cancel(_INVALID, "/sequence", sequence=number(5, -1)),
    "a jitter of 2**32": _schedule(_INVALID, "/start_jitter_s", start_jitter_s=number(15, 2**32)),
    "a resolution of 0": _schedule(_INVALID, "/resolution_s", resolution_s=number(10, 0)),
    "a resolution that is none": _schedule(_INVALID, "/resolution_s", resolution_s=number(10, 600)),
    "a flag of 2": _schedule(_INVALID, "/dry_run", dry_run=number(18, 2)),
    # slots
    "no rates": _schedule(ErrorCode.TIME_EMPTY, "/rates_w", rates_w=b"", no_setpoint_slots=b""),
    "rates of no bytes": _schedule(ErrorCode.TIME_EMPTY, "/rates_w", rates_w=text(8, b""), no_setpoint_slots=b""),
    "2,017 rates": _schedule(ErrorCode.LIMIT_SLOTS, "/rates_w", rates_w=text(8, bytes(2017))),
    "65,000 rates": Bad(Kind.SCHEDULE, body(Kind.SCHEDULE, rates_w=text(8, bytes(65_000))), ErrorCode.LIMIT_SLOTS, "/rates_w"),
    "more slots than seven days": _schedule(ErrorCode.LIMIT_SLOTS, "/rates_w", rates_w=text(8, bytes(7 * 96 + 1))),
    "a slot without setpoint that is not there": _schedule(_INVALID, "/rates_w", no_setpoint_slots=packed(9, 4)),
    "slots without setpoint in disorder": _schedule(_INVALID, "/rates_w", no_setpoint_slots=packed(9, 2, 1)),
    "a slot without setpoint twice": _schedule(_INVALID, "/rates_w", no_setpoint_slots=packed(9, 2, 2)),
    "a slot without setpoint that has one": _schedule(_INVALID, "/rates_w/3", no_setpoint_slots=packed(9, 3)),
    "a slot without setpoint, and no slots": _schedule(ErrorCode.TIME_EMPTY, "/rates_w", rates_w=b""),
    # instants
    "an instant of 2200": _cancel(_INVALID, "/effective_from", effective_from=number(6, 7_258_118_400_000_000)),
    "an instant before 1970": _cancel(_INVALID, "/effective_from", effective_from=number(6, -1)),
    "the last instant of 64 bits": _schedule(_INVALID, "/generated_at", generated_at=number(6, 2**63 - 1)),
    "the first instant of 64 bits": _schedule(_INVALID, "/generated_at", generated_at=number(6, 2**63)),
    "a start off the grid": _schedule(ErrorCode.TIME_NOT_ALIGNED, "/start", start=number(7, START + 1)),
    "a slot of no length": Bad(
        Kind.EXECUTION_RESULT, body(Kind.EXECUTION_RESULT, slot_end=number(9, START)), ErrorCode.TIME_BAD_DURATION, "/slot_end"
    ),
    # texts
    "an empty id": _cancel(_INVALID, "/device_id", device_id=text(3, "")),
    "an id with a slash": _cancel(_INVALID, "/device_id", device_id=text(3, "a/b")),
    "an id of 65 characters": _cancel(_INVALID, "/schedule_id", schedule_id=text(2, "a" * 65)),
    "an id in the list of superseded ones": _ack(_INVALID, "/superseded/1", superseded=text(15, "a") + text(15, "b\n")),
    "a label without a name": _schedule(_INVALID, "/metadata", metadata=text(19, text(2, "a"))),
    "17 labels": _schedule(_INVALID, "/metadata", metadata=b"".join(entry(f"k{i}", "v") for i in range(17))),
    "a digest in capitals": _ack(_INVALID, "/digest", digest=text(8, DIGEST.upper())),
    # between members
    "a percentage above the other": _schedule(ErrorCode.LIMIT_SOC, "/soc_min_pct", soc_min_pct=double(12, 90.6)),
    "FAILED without an error": _ack(_INVALID, "/error", error=b""),
    "a cancel of nothing": _cancel(_INVALID, "/effective_from", schedule_id=b"", effective_from=b""),
}
"""Protobuf messages of their kind that break one rule."""
