"""Valid bodies, a way to change them, and tables of bad ones: each with its name, its code and its place."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from allye_protocol.codec import MAX_PAYLOAD_BYTES
from allye_protocol.errors import ErrorCode
from allye_protocol.messages.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

DROP = object()
"""As a value: take the member away."""


def slots(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Half-hours of 2018-07-01, the rates of which take turns."""
    times = [
        f"2018-07-{1 + index // 48:02}T{index % 48 // 2:02}:{index % 2 * 30:02}:00Z"
        for index in range(first, first + count + 1)
    ]
    return [{"start": times[i], "end": times[i + 1], "rate_kw": (75.0, -120.5, 0.0)[i % 3]} for i in range(count)]


VALID_1: dict[Kind, dict[str, Any]] = {
    Kind.SCHEDULE: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "version": 1,
        "generated_at": "2018-06-30T18:00:00.000001Z",
        "intervals": slots(3),
        "max_power_kw": 150.0,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    Kind.ACK: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "status": "APPLIED",
        "timestamp": "2018-06-30T18:00:01.25Z",
        "applied_at": "2018-06-30T18:00:02Z",
        "error_reason": "none, Z",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    },
    Kind.EXECUTION_RESULT: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "interval": {"start": "2018-07-01T10:00:00Z", "end": "2018-07-01T10:30:00Z"},
        "status": "SUCCEED",
        "actual_rate_kw": 74.6,
        "timestamp": "2018-07-01T10:30:00.5Z",
    },
}
"""A valid body of each kind of version 1."""

_IDS = {"schedule_id": "plan-2018-07-01-a", "device_id": "max300-0001", "version": 2}
_TRACED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
VALID_2: dict[Kind, dict[str, Any]] = {
    Kind.SCHEDULE: {
        **_IDS,
        "sequence": 1_530_381_600_000_001,
        "generated_at": "2018-06-30T18:00:00.000001Z",
        "start": "2018-07-01T00:15:00Z",
        "rates_w": [75_000, None, -120_500, 0],
        "resolution_s": 900,
        "expires_at": "2018-07-01T06:00:00Z",
        "soc_min_pct": 20.5,
        "soc_max_pct": 90.0,
        "ramp_w_per_s": 1_000,
        "start_jitter_s": 120,
        "dry_run": True,
        **_TRACED,
        "metadata": {"tariff": "agile, Z"},
    },
    Kind.CANCEL: {
        **_IDS,
        "sequence": 1_530_381_600_000_002,
        "effective_from": "2018-07-01T12:00:00Z",
        "reason": "grid outage, announced",
        **_TRACED,
    },
    Kind.ACK: {
        **_IDS,
        "status": "FAILED",
        "timestamp": "2018-06-30T18:00:01.25Z",
        "sequence": 1_530_381_600_000_001,
        "digest": "0a" * 32,
        "received_at": "2018-06-30T18:00:01Z",
        "error": {
            "code": "limit.power",
            "message": "too much, Z",
            "path": "/rates_w/0",
            "slot": 0,
            "value": 180_000.5,
            "limit": 150_000.0,
            "digest": "0b" * 32,
        },
        "retryable": True,
        "retry_after_s": 60,
        "supported_versions": [1, 2],
        "superseded": ["plan-a", "plan-b"],
        "clock": {"synced": True, "offset_ms": -12.5},
        **_TRACED,
    },
    Kind.EXECUTION_RESULT: {
        **_IDS,
        "slot_start": "2018-07-01T10:00:00Z",
        "slot_end": "2018-07-01T10:30:00Z",
        "status": "SUCCEED",
        "actual_w": 74_600,
        "timestamp": "2018-07-01T10:30:00.5Z",
        "outcome": "LIMITED",
        "scheduled_w": 75_000,
        "energy_charged_wh": 37_300.5,
        "energy_discharged_wh": 0.5,
        "soc_start_pct": 40.0,
        "soc_end_pct": 52.0,
        "limiting": ["exec.limited_soc"],
        "coverage_pct": 100.0,
        "error": {"code": "exec.limited_soc"},
        **_TRACED,
    },
    Kind.SCHEDULE_EVENT: {
        **_IDS,
        "event": "FALLBACK_ENTERED",
        "timestamp": "2018-07-01T10:00:00.5Z",
        "sequence": 1_530_381_600_000_001,
        "slot_start": "2018-07-01T10:00:00Z",
        "error": {"code": "exec.late_start", "message": "late"},
        **_TRACED,
    },
    Kind.DEVICE_STATUS: {
        **_IDS,
        "online": True,
        "timestamp": "2018-07-01T10:00:00Z",
        "power_w": 74_600,
        "soc_pct": 52.5,
        "state": "CHARGING",
        "clock": {"synced": False},
    },
}
"""A valid body of each kind of version 2, with every member that goes with the others."""

VALID: dict[Kind, dict[str, Any]] = {
    **VALID_2,
    **VALID_1,
    Kind.HELLO: {
        "device_id": "max300-0001",
        "versions": [1],
        "content_types": ["application/json"],
        "model": "MAX300",
        "firmware": "2026.11",
        "library": "allye-protocol 0.1.0",
        "capabilities": {
            "max_charge_w": 150_000,
            "max_discharge_w": 150_000,
            "capacity_wh": 300_000,
            "power_step_w": 100,
            "soc_min_pct": 10.0,
            "soc_max_pct": 95.0,
            "slot_lengths_s": [1800],
        },
    },
}
"""A valid body of each kind, of the oldest version that has it."""


def tree_of(kind: Kind, *edits: tuple[str, Any], of: Mapping[Kind, dict[str, Any]] = VALID) -> dict[str, Any]:
    """A valid body with edits: a JSON Pointer and the value that goes there."""
    tree: dict[str, Any] = json.loads(json.dumps(of[kind]))
    node: Any
    for place, value in edits:
        *way, last = place.split("/")[1:]
        node = tree
        for step in way:
            node = node[int(step) if isinstance(node, list) else step]
        if value is DROP:
            del node[last]
        else:
            node[int(last) if isinstance(node, list) else last] = value
    return tree


def text(kind: Kind, *edits: tuple[str, Any], of: Mapping[Kind, dict[str, Any]] = VALID) -> str:
    """The same in JSON."""
    return json.dumps(tree_of(kind, *edits, of=of))


def body(kind: Kind, *edits: tuple[str, Any], of: Mapping[Kind, dict[str, Any]] = VALID) -> bytes:
    """The same as a payload."""
    return text(kind, *edits, of=of).encode()


def packed(tree: Any) -> bytes:
    """A tree in MessagePack; times in UTC as timestamps, others as the texts that they are."""

    def with_instants(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: with_instants(value) for name, value in node.items()}
        if isinstance(node, list):
            return [with_instants(item) for item in node]
        if isinstance(node, str) and node.endswith("Z") and node[:2] in ("19", "20", "21", "22"):
            return datetime.fromisoformat(node)
        return node

    return msgspec.msgpack.encode(with_instants(tree))


class Bad(NamedTuple):
    """A payload that is refused, and how."""

    kind: Kind
    payload: bytes
    code: ErrorCode
    path: str


def _schedule(code: ErrorCode, path: str, *edits: tuple[str, Any]) -> Bad:
    return Bad(Kind.SCHEDULE, body(Kind.SCHEDULE, *edits), code, path)


def _ack(code: ErrorCode, path: str, *edits: tuple[str, Any]) -> Bad:
    return Bad(Kind.ACK, body(Kind.ACK, *edits), code, path)


def _result(code: ErrorCode, path: str, *edits: tuple[str, Any]) -> Bad:
    return Bad(Kind.EXECUTION_RESULT, body(Kind.EXECUTION_RESULT, *edits), code, path)


def _hello(code: ErrorCode, path: str, *edits: tuple[str, Any]) -> Bad:
    return Bad(Kind.HELLO, body(Kind.HELLO, *edits), code, path)


def _replaced(kind: Kind, old: str, new: str, code: ErrorCode, path: str = "") -> Bad:
    before = text(kind)
    assert old in before, old
    return Bad(kind, before.replace(old, new, 1).encode(), code, path)


def _malformed(payload: bytes) -> Bad:
    return Bad(Kind.SCHEDULE, payload, ErrorCode.MESSAGE_MALFORMED, "")


_INVALID, _DUPLICATE, _NUMBER = ErrorCode.MESSAGE_INVALID, ErrorCode.MESSAGE_DUPLICATE_KEY, ErrorCode.MESSAGE_NON_FINITE_NUMBER
_SCHEDULE = body(Kind.SCHEDULE)

NOT_JSON: dict[str, Bad] = {
    "empty": _malformed(b""),
    "white space": _malformed(b"  \n"),
    "byte order mark": _malformed(b"\xef\xbb\xbf" + _SCHEDULE),
    "UTF-16": _malformed(text(Kind.SCHEDULE).encode("utf-16")),
    "UTF-16 without a mark": _malformed(text(Kind.SCHEDULE).encode("utf-16-le")),
    "UTF-32": _malformed(text(Kind.SCHEDULE).encode("utf-32")),
    "a second value": _malformed(_SCHEDULE + b"{}"),
    "a trailing byte": _malformed(_SCHEDULE + b"\0"),
    "a trailing comma": _malformed(_SCHEDULE[:-1] + b",}"),
    "a comment": _malformed(_SCHEDULE + b"// fine"),
    "single quotes": _malformed(_SCHEDULE.replace(b'"', b"'")),
    "invalid UTF-8 in an id": _malformed(_SCHEDULE.replace(b"max300", b"max\xff00")),
    "invalid UTF-8 in a trace id": _malformed(_SCHEDULE.replace(b"4bf92f", b"\xed\xa0\x80")),
    "invalid UTF-8 in an unknown member": _malformed(_SCHEDULE[:-1] + b',"x":"\xc0\x80"}'),
    "invalid UTF-8 in an unknown name": _malformed(_SCHEDULE[:-1] + b',"\xff":1}'),
    "a lone surrogate in an id": _malformed(_SCHEDULE.replace(b"max300", b"max\\ud800")),
    "a lone surrogate in a trace id": _malformed(_SCHEDULE.replace(b"4bf92f", b"\\uDC00")),
    "a lone surrogate in a mode": _malformed(_SCHEDULE.replace(b'"rate_kw": 0.0', b'"rate_kw": 0.0, "mode": "\\ud83d"')),
    "a lone surrogate in an unknown member": _malformed(_SCHEDULE[:-1] + b',"x":"\\ud800"}'),
    "a lone surrogate in an unknown name": _malformed(_SCHEDULE[:-1] + b',"\\ud800":1,"\\ud800":2}'),
    "a raw newline in a string": _malformed(_SCHEDULE.replace(b"4bf92f", b"\n")),
    "a leading zero": _malformed(_SCHEDULE.replace(b"150.0", b"0150.0")),
    "a leading plus": _malformed(_SCHEDULE.replace(b"150.0", b"+150.0")),
    "hexadecimal": _malformed(_SCHEDULE.replace(b"150.0", b"0x96")),
    "objects 10,000 deep": _malformed(b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "arrays 30,000 deep": _malformed(b"[" * 30_000 + b"]" * 30_000),
    "60,000 open brackets": _malformed(b"[" * 60_000),
    "60,000 open braces": _malformed(b"{" * 60_000),
    "arrays 30,000 deep in a known member": _malformed(_SCHEDULE.replace(b"150.0", b"[" * 30_000 + b"]" * 30_000)),
    "arrays 30,000 deep in the intervals": _malformed(b'{"intervals":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
    "arrays 30,000 deep in an unknown member": _malformed(_SCHEDULE[:-1] + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"),
}
"""Bytes that are no JSON text, whatever they should be."""

BAD: dict[str, Bad] = {
    # the body as a whole
    "null": Bad(Kind.SCHEDULE, b"null", _INVALID, ""),
    "an array": Bad(Kind.ACK, b"[]", _INVALID, ""),
    "a string": Bad(Kind.HELLO, b'"hello"', _INVALID, ""),
    "60,000 digits": Bad(Kind.SCHEDULE, b"9" * 60_000, _INVALID, ""),
    "no members": Bad(Kind.ACK, b"{}", _INVALID, "/schedule_id"),
    "another kind": Bad(Kind.ACK, body(Kind.EXECUTION_RESULT), _INVALID, "/status"),
    # versions
    "version 3": _schedule(ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", 3)),
    "version 0": _schedule(ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", 0)),
    "version -1": _schedule(ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", -1)),
    "version of 300 digits": _schedule(ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", 10**300)),
    "version 3 in an ack": _ack(ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", 3)),
    "version 3 with duplicate keys": _replaced(
        Kind.SCHEDULE, '"version": 1', '"version": 1, "version": 3', ErrorCode.VERSION_UNSUPPORTED, "/version"
    ),
    "version 2 with the members of version 1": _schedule(_INVALID, "/sequence", ("/version", 2)),
    "version true": _schedule(_INVALID, "/version", ("/version", True)),
    "version 1.5": _schedule(_INVALID, "/version", ("/version", 1.5)),
    "version as text": _schedule(_INVALID, "/version", ("/version", "1")),
    "version null": _schedule(_INVALID, "/version", ("/version", None)),
    "no version": _schedule(_INVALID, "/version", ("/version", DROP)),
    # ids
    "an id with a newline at its end": _schedule(_INVALID, "/schedule_id", ("/schedule_id", "plan\n")),
    "a device id with a newline at its end": _ack(_INVALID, "/device_id", ("/device_id", "max300\n")),
    "an id with a slash": _schedule(_INVALID, "/device_id", ("/device_id", "a/b")),
    "an id with a wildcard": _result(_INVALID, "/device_id", ("/device_id", "+")),
    "an id with a space": _hello(_INVALID, "/device_id", ("/device_id", "a b")),
    "an id with a comma": _schedule(_INVALID, "/schedule_id", ("/schedule_id", "a,b")),
    "an id that is not ASCII": _schedule(_INVALID, "/schedule_id", ("/schedule_id", "plän")),
    "an id of digits of another script": _ack(_INVALID, "/schedule_id", ("/schedule_id", "\u0661")),
    "an id of 65 characters": _schedule(_INVALID, "/schedule_id", ("/schedule_id", "a" * 65)),
    "an empty id": _schedule(_INVALID, "/device_id", ("/device_id", "")),
    "an id that is a number": _schedule(_INVALID, "/device_id", ("/device_id", 7)),
    "an id that is null": _ack(_INVALID, "/device_id", ("/device_id", None)),
    "no id": _ack(_INVALID, "/schedule_id", ("/schedule_id", DROP)),
    # numbers
    "a rate that is true": _schedule(_INVALID, "/intervals/1/rate_kw", ("/intervals/1/rate_kw", True)),
    "a rate as text": _schedule(_INVALID, "/intervals/1/rate_kw", ("/intervals/1/rate_kw", "75")),
    "a rate that is null": _schedule(_INVALID, "/intervals/1/rate_kw", ("/intervals/1/rate_kw", None)),
    "a rate that is NaN": _replaced(Kind.SCHEDULE, "75.0", "NaN", _NUMBER, "/intervals/0/rate_kw"),
    "a rate that is infinite": _replaced(Kind.SCHEDULE, "75.0", "-Infinity", _NUMBER, "/intervals/0/rate_kw"),
    "a rate with a huge exponent": _replaced(Kind.SCHEDULE, "75.0", "1e999999999", _NUMBER, "/intervals/0/rate_kw"),
    "a rate of 60,000 digits": _replaced(Kind.SCHEDULE, "75.0", "7" * 60_000, _NUMBER, "/intervals/0/rate_kw"),
    "a limit that is NaN": _replaced(Kind.SCHEDULE, "150.0", "NaN", _NUMBER, "/max_power_kw"),
    "an actual rate that is infinite": _replaced(Kind.EXECUTION_RESULT, "74.6", "Infinity", _NUMBER, "/actual_rate_kw"),
    "a percentage that is NaN": _replaced(Kind.HELLO, "95.0", "NaN", _NUMBER, "/capabilities/soc_max_pct"),
    "a capacity that is infinite": _replaced(Kind.HELLO, "300000", "1e400", _NUMBER, "/capabilities/capacity_wh"),
    "a rate of 309 digits": _schedule(_INVALID, "/intervals/0/rate_kw", ("/intervals/0/rate_kw", 10**308)),
    "a rate just too large": _schedule(_INVALID, "/intervals/0/rate_kw", ("/intervals/0/rate_kw", 10_000.000000000002)),
    "a rate just too small": _schedule(_INVALID, "/intervals/0/rate_kw", ("/intervals/0/rate_kw", -10_000.000000000002)),
    "a limit below zero": _schedule(_INVALID, "/max_power_kw", ("/max_power_kw", -0.1)),
    "a limit that is true": _schedule(_INVALID, "/max_power_kw", ("/max_power_kw", True)),
    "a rate beyond the schedule's own limit": _schedule(
        ErrorCode.LIMIT_POWER, "/intervals/1/rate_kw", ("/max_power_kw", 120.49999)
    ),
    "an actual rate as text": _result(_INVALID, "/actual_rate_kw", ("/actual_rate_kw", "74.6")),
    # instants
    "a naive time": _schedule(ErrorCode.TIME_NAIVE, "/generated_at", ("/generated_at", "2018-06-30T18:00:00")),
    "a naive slot": _schedule(ErrorCode.TIME_NAIVE, "/intervals/2/end", ("/intervals/2/end", "2018-07-01T01:30:00")),
    "a naive optional time": _ack(ErrorCode.TIME_NAIVE, "/applied_at", ("/applied_at", "2018-06-30T18:00:00")),
    "a time as a number": _ack(_INVALID, "/timestamp", ("/timestamp", 1530381600)),
    "a date": _ack(_INVALID, "/timestamp", ("/timestamp", "2018-06-30")),
    "a leap second": _ack(_INVALID, "/timestamp", ("/timestamp", "2016-12-31T23:59:60Z")),
    "hour 24": _ack(_INVALID, "/timestamp", ("/timestamp", "2018-06-30T24:00:00Z")),
    "29 February of no leap year": _ack(_INVALID, "/timestamp", ("/timestamp", "2018-02-29T00:00:00Z")),
    "a newline after the time": _ack(_INVALID, "/timestamp", ("/timestamp", "2018-06-30T18:00:00Z\n")),
    "before year 1": _ack(_INVALID, "/timestamp", ("/timestamp", "0001-01-01T00:00:00+23:59")),
    "after year 9999": _ack(_INVALID, "/applied_at", ("/applied_at", "9999-12-31T23:59:59-23:59")),
    "after year 9999 by rounding": _ack(_INVALID, "/timestamp", ("/timestamp", "9999-12-31T23:59:59.9999999Z")),
    "a slot before year 1": _result(_INVALID, "/interval/start", ("/interval/start", "0001-01-01T00:00:00+00:30")),
    "year 1": _ack(_INVALID, "/timestamp", ("/timestamp", "0001-01-01T00:00:00Z")),
    "the last instant of 1969": _ack(_INVALID, "/timestamp", ("/timestamp", "1969-12-31T23:59:59.999999Z")),
    "1969 by its offset": _ack(_INVALID, "/timestamp", ("/timestamp", "1970-01-01T00:00:00+00:01")),
    "2200": _schedule(_INVALID, "/generated_at", ("/generated_at", "2200-01-01T00:00:00Z")),
    "2200 by its offset": _schedule(_INVALID, "/generated_at", ("/generated_at", "2199-12-31T23:59:00-00:01")),
    # slots
    "no slots": _schedule(ErrorCode.TIME_EMPTY, "/intervals", ("/intervals", [])),
    "49 slots": _schedule(ErrorCode.LIMIT_SLOTS, "/intervals", ("/intervals", slots(49))),
    "slots as an object": _schedule(_INVALID, "/intervals", ("/intervals", {})),
    "slots that are null": _schedule(_INVALID, "/intervals", ("/intervals", None)),
    "a slot that is null": _schedule(_INVALID, "/intervals/1", ("/intervals/1", None)),
    "a slot without an end": _schedule(_INVALID, "/intervals/1/end", ("/intervals/1/end", DROP)),
    "an unaligned slot": _schedule(
        ErrorCode.TIME_NOT_ALIGNED,
        "/intervals/0/start",
        ("/intervals", [{"start": "2018-07-01T00:15:00Z", "end": "2018-07-01T00:45:00Z", "rate_kw": 1}]),
    ),
    "a slot that starts a microsecond late": _schedule(
        ErrorCode.TIME_NOT_ALIGNED, "/intervals/0/start", ("/intervals/0/start", "2018-07-01T00:00:00.000001Z")
    ),
    "a slot aligned to Kathmandu": _schedule(
        ErrorCode.TIME_NOT_ALIGNED,
        "/intervals/0/start",
        ("/intervals", [{"start": "2018-07-01T00:00:00+05:45", "end": "2018-07-01T00:30:00+05:45", "rate_kw": 1}]),
    ),
    "an hour's slot": _schedule(ErrorCode.TIME_BAD_DURATION, "/intervals/2/end", ("/intervals/2/end", "2018-07-01T02:00:00Z")),
    "a slot of no length": _schedule(
        ErrorCode.TIME_BAD_DURATION, "/intervals/2/end", ("/intervals/2/end", "2018-07-01T01:00:00Z")
    ),
    "a result's slot that runs backwards": _result(
        ErrorCode.TIME_BAD_DURATION, "/interval/end", ("/interval/end", "2018-07-01T09:30:00Z")
    ),
    "a result's unaligned slot": _result(
        ErrorCode.TIME_NOT_ALIGNED,
        "/interval/start",
        ("/interval", {"start": "2018-07-01T10:00:01Z", "end": "2018-07-01T10:30:01Z"}),
    ),
    "a gap": _schedule(ErrorCode.TIME_GAP, "/intervals/1/start", ("/intervals", [slots(3)[0], slots(3)[2]])),
    "the same slot twice": _schedule(ErrorCode.TIME_OVERLAP, "/intervals/1/start", ("/intervals", [slots(1)[0], slots(1)[0]])),
    "slots out of order": _schedule(
        ErrorCode.TIME_OUT_OF_ORDER, "/intervals/1/start", ("/intervals", [slots(3)[1], slots(3)[0]])
    ),
    # closed sets and texts
    "an unknown status": _ack(_INVALID, "/status", ("/status", "DONE")),
    "a status in lower case": _ack(_INVALID, "/status", ("/status", "applied")),
    "the status of another kind": _result(_INVALID, "/status", ("/status", "APPLIED")),
    "an unknown mode": _schedule(_INVALID, "/intervals/0/mode", ("/intervals/0/mode", "HOLD")),
    "CHARGE below zero": _schedule(_INVALID, "/intervals/1/mode", ("/intervals/1/mode", "CHARGE")),
    "DISCHARGE above zero": _schedule(_INVALID, "/intervals/0/mode", ("/intervals/0/mode", "DISCHARGE")),
    "IDLE at work": _schedule(_INVALID, "/intervals/0/mode", ("/intervals/0/mode", "IDLE")),
    "a reason of 257 characters": _ack(_INVALID, "/error_reason", ("/error_reason", "x" * 257)),
    "a reason that is a number": _result(_INVALID, "/error_reason", ("/error_reason", 5)),
    "a trace id that is an object": _ack(_INVALID, "/trace_id", ("/trace_id", {})),
    "a trace id of 1,025 characters": _schedule(_INVALID, "/trace_id", ("/trace_id", "f" * 1025)),
    # hello
    "no versions": _hello(_INVALID, "/versions", ("/versions", [])),
    "a version that is no number": _hello(_INVALID, "/versions/1", ("/versions", [1, "2"])),
    "a charge band upside down": _hello(ErrorCode.LIMIT_SOC, "/capabilities/soc_min_pct", ("/capabilities/soc_min_pct", 96)),
    "a percentage above 100": _hello(_INVALID, "/capabilities/soc_max_pct", ("/capabilities/soc_max_pct", 100.1)),
    "a power step of zero": _hello(_INVALID, "/capabilities/power_step_w", ("/capabilities/power_step_w", 0)),
    "watts with a fraction": _hello(_INVALID, "/capabilities/max_charge_w", ("/capabilities/max_charge_w", 0.5)),
    "watts that are true": _hello(_INVALID, "/capabilities/max_charge_w", ("/capabilities/max_charge_w", True)),
    "a capacity beyond 64 bits": _hello(_INVALID, "/capabilities/capacity_wh", ("/capabilities/capacity_wh", 2**64)),
    # duplicate keys
    "a duplicate id": _replaced(Kind.ACK, "{", '{"schedule_id": "b", ', _DUPLICATE, "/schedule_id"),
    "a duplicate with the same value": _replaced(Kind.SCHEDULE, "{", '{"version": 1, ', _DUPLICATE, "/version"),
    "a duplicate in a slot": _replaced(
        Kind.SCHEDULE, '"rate_kw"', '"rate_kw": 1, "rate_kw"', _DUPLICATE, "/intervals/0/rate_kw"
    ),
    "a duplicate that is spelled otherwise": _replaced(
        Kind.SCHEDULE, '"rate_kw"', '"rate\\u005fkw": 1, "rate_kw"', _DUPLICATE, "/intervals/0/rate_kw"
    ),
    "a duplicate of the intervals": _replaced(Kind.SCHEDULE, "{", '{"intervals": [], ', _DUPLICATE, "/intervals"),
    "a duplicate in a result's interval": _replaced(
        Kind.EXECUTION_RESULT, '"start"', '"start": 0, "start"', _DUPLICATE, "/interval/start"
    ),
    "a duplicate in capabilities": _replaced(
        Kind.HELLO, '"capacity_wh"', '"capacity_wh": 1, "capacity_wh"', _DUPLICATE, "/capabilities/capacity_wh"
    ),
    "a duplicate unknown member": _replaced(Kind.ACK, "{", '{"x": 1, "x": 1, ', _DUPLICATE, "/x"),
    "a duplicate inside an unknown member": _replaced(
        Kind.ACK, "{", '{"x": [{"y": {"z": 1, "z": 2}}], ', _DUPLICATE, "/x/0/y/z"
    ),
    "a duplicate with a name that needs escapes": _replaced(
        Kind.ACK, "{", '{"x": {"a/b~c": 1, "a/b~c": 1}, ', _DUPLICATE, "/x/a~1b~0c"
    ),
    "a duplicate whose first value is lost": _replaced(Kind.ACK, "{", '{"x": {"y": 1, "y": 2}, "x": 0, ', _DUPLICATE, "/x"),
}
"""JSON texts that are no valid message of their kind."""

_UNALIGNED, _LENGTH, _SOC = ErrorCode.TIME_NOT_ALIGNED, ErrorCode.TIME_BAD_DURATION, ErrorCode.LIMIT_SOC


class BadTree(NamedTuple):
    """A body of version 2 that is refused in every encoding alike, and how."""

    kind: Kind
    tree: dict[str, Any]
    code: ErrorCode
    path: str


def _second(kind: Kind, code: ErrorCode, path: str, *edits: tuple[str, Any]) -> BadTree:
    return BadTree(kind, tree_of(kind, *edits, of=VALID_2), code, path)


BAD_2: dict[str, BadTree] = {
    "version 3": _second(Kind.SCHEDULE, ErrorCode.VERSION_UNSUPPORTED, "/version", ("/version", 3)),
    "no version": _second(Kind.CANCEL, _INVALID, "/version", ("/version", DROP)),
    "a version that is true": _second(Kind.ACK, _INVALID, "/version", ("/version", True)),
    "an id with a slash": _second(Kind.CANCEL, _INVALID, "/schedule_id", ("/schedule_id", "a/b")),
    "an id with a newline": _second(Kind.SCHEDULE_EVENT, _INVALID, "/device_id", ("/device_id", "a\n")),
    "an empty id among the superseded": _second(Kind.ACK, _INVALID, "/superseded/1", ("/superseded", ["a", ""])),
    "an id with a space among the superseded": _second(Kind.ACK, _INVALID, "/superseded/0", ("/superseded", ["a b"])),
    "a sequence of 0": _second(Kind.SCHEDULE, _INVALID, "/sequence", ("/sequence", 0)),
    "a sequence beyond the protocol's time": _second(Kind.CANCEL, _INVALID, "/sequence", ("/sequence", 2**53)),
    "a sequence with a fraction": _second(Kind.SCHEDULE, _INVALID, "/sequence", ("/sequence", 1.5)),
    "a sequence as text": _second(Kind.SCHEDULE, _INVALID, "/sequence", ("/sequence", "1")),
    "a setpoint that is true": _second(Kind.SCHEDULE, _INVALID, "/rates_w/0", ("/rates_w/0", True)),
    "a setpoint with a fraction": _second(Kind.SCHEDULE, _INVALID, "/rates_w/2", ("/rates_w/2", 0.5)),
    "a setpoint too large": _second(Kind.SCHEDULE, _INVALID, "/rates_w/0", ("/rates_w/0", 10_000_001)),
    "a setpoint too small": _second(Kind.SCHEDULE, _INVALID, "/rates_w/3", ("/rates_w/3", -10_000_001)),
    "no slots": _second(Kind.SCHEDULE, ErrorCode.TIME_EMPTY, "/rates_w", ("/rates_w", [])),
    "more than seven days of five minutes": _second(
        Kind.SCHEDULE, ErrorCode.LIMIT_SLOTS, "/rates_w", ("/resolution_s", 300), ("/rates_w", [0] * 2017)
    ),
    "more than seven days of an hour": _second(
        Kind.SCHEDULE,
        ErrorCode.LIMIT_SLOTS,
        "/rates_w",
        ("/resolution_s", 3600),
        ("/start", "2018-07-01T00:00:00Z"),
        ("/rates_w", [0] * 169),
    ),
    "a resolution that is none": _second(Kind.SCHEDULE, _INVALID, "/resolution_s", ("/resolution_s", 600)),
    "a start off the grid": _second(Kind.SCHEDULE, _UNALIGNED, "/start", ("/start", "2018-07-01T00:05:00Z")),
    "a start a microsecond late": _second(Kind.SCHEDULE, _UNALIGNED, "/start", ("/start", "2018-07-01T00:15:00.000001Z")),
    "a naive start": _second(Kind.SCHEDULE, ErrorCode.TIME_NAIVE, "/start", ("/start", "2018-07-01T00:15:00")),
    "a naive optional time": _second(Kind.ACK, ErrorCode.TIME_NAIVE, "/received_at", ("/received_at", "2018-07-01T00:15:00")),
    "a time as a number": _second(Kind.DEVICE_STATUS, _INVALID, "/timestamp", ("/timestamp", 1_530_381_600)),
    "an instant in 1969": _second(Kind.SCHEDULE, _INVALID, "/generated_at", ("/generated_at", "1969-12-31T23:59:59Z")),
    "an instant in 2200": _second(Kind.SCHEDULE, _INVALID, "/expires_at", ("/expires_at", "2200-01-01T00:00:00Z")),
    "a slot that ends in 2200": _second(Kind.SCHEDULE, _INVALID, "/start", ("/start", "2199-12-31T23:30:00Z")),
    "a limit of charge in too fine steps": _second(Kind.SCHEDULE, _SOC, "/soc_min_pct", ("/soc_min_pct", 20.0005)),
    "limits of charge upside down": _second(Kind.SCHEDULE, _SOC, "/soc_min_pct", ("/soc_min_pct", 90.001)),
    "a percentage above 100": _second(Kind.DEVICE_STATUS, _INVALID, "/soc_pct", ("/soc_pct", 100.5)),
    "a ramp of 0": _second(Kind.SCHEDULE, _INVALID, "/ramp_w_per_s", ("/ramp_w_per_s", 0)),
    "a jitter below 0": _second(Kind.SCHEDULE, _INVALID, "/start_jitter_s", ("/start_jitter_s", -1)),
    "a flag that is 1": _second(Kind.SCHEDULE, _INVALID, "/dry_run", ("/dry_run", 1)),
    "labels of 17 names": _second(Kind.SCHEDULE, _INVALID, "/metadata", ("/metadata", dict.fromkeys(map(str, range(17)), ""))),
    "a label that is a number": _second(Kind.SCHEDULE, _INVALID, "/metadata", ("/metadata", {"a": 1})),
    "an unknown status": _second(Kind.ACK, _INVALID, "/status", ("/status", "DONE")),
    "APPLIED with an error": _second(
        Kind.ACK, _INVALID, "/error", ("/status", "APPLIED"), ("/applied_at", "2018-06-30T18:00:02Z")
    ),
    "APPLIED at no time": _second(Kind.ACK, _INVALID, "/applied_at", ("/status", "APPLIED"), ("/error", DROP)),
    "FAILED without an error": _second(Kind.ACK, _INVALID, "/error", ("/error", DROP)),
    "a code without a class": _second(Kind.ACK, _INVALID, "/error/code", ("/error/code", "power")),
    "an error without a code": _second(Kind.ACK, _INVALID, "/error/code", ("/error/code", DROP)),
    "a digest in capitals": _second(Kind.ACK, _INVALID, "/digest", ("/digest", "0A" * 32)),
    "a digest of 63 digits": _second(Kind.ACK, _INVALID, "/digest", ("/digest", "0" * 63)),
    "a clock that says nothing": _second(Kind.ACK, _INVALID, "/clock/synced", ("/clock/synced", DROP)),
    "an unknown outcome": _second(Kind.EXECUTION_RESULT, _INVALID, "/outcome", ("/outcome", "PARTIAL")),
    "an outcome that contradicts": _second(Kind.EXECUTION_RESULT, _INVALID, "/outcome", ("/outcome", "FAULTED")),
    "a limiting code that is none": _second(Kind.EXECUTION_RESULT, _INVALID, "/limiting/0", ("/limiting", ["soc"])),
    "a slot that runs backwards": _second(Kind.EXECUTION_RESULT, _LENGTH, "/slot_end", ("/slot_end", "2018-07-01T09:30:00Z")),
    "a slot of two hours": _second(Kind.EXECUTION_RESULT, _LENGTH, "/slot_end", ("/slot_end", "2018-07-01T12:00:00Z")),
    "a slot off the grid": _second(Kind.EXECUTION_RESULT, _UNALIGNED, "/slot_end", ("/slot_end", "2018-07-01T10:01:00Z")),
    "a negative energy": _second(Kind.EXECUTION_RESULT, _INVALID, "/energy_charged_wh", ("/energy_charged_wh", -1.5)),
    "an unknown event": _second(Kind.SCHEDULE_EVENT, _INVALID, "/event", ("/event", "PAUSED")),
    "an event about no schedule": _second(
        Kind.SCHEDULE_EVENT, _INVALID, "/schedule_id", ("/event", "STARTED"), ("/schedule_id", DROP)
    ),
    "an answer to no cancel": _second(Kind.SCHEDULE_EVENT, _INVALID, "/sequence", ("/event", "CANCELLED"), ("/sequence", DROP)),
    "an unknown state": _second(Kind.DEVICE_STATUS, _INVALID, "/state", ("/state", "ASLEEP")),
    "a cancel of nothing": _second(Kind.CANCEL, _INVALID, "/effective_from", ("/schedule_id", DROP), ("/effective_from", DROP)),
}
"""Bodies of version 2 that are no valid message, as trees: an encoding writes them, and all refuse them alike."""

OVERSIZE = Bad(Kind.SCHEDULE, b"[" * (MAX_PAYLOAD_BYTES + 1), ErrorCode.MESSAGE_TOO_LARGE, "")
