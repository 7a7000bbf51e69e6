"""Version 2 of the messages, in Protobuf: a writer of its own over the published field numbers, and what is wrong in bytes."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

from tests.conformance.builder.entries import Decoding, Entry, edited
from tests.conformance.builder.texts import DUPLICATE, MALFORMED, MAX_PAYLOAD_BYTES, TOO_LARGE
from tests.conformance.builder.version2 import (
    ACK,
    CANCEL,
    EVENT,
    FAILED,
    FULL_ACK,
    FULL_SCHEDULE,
    INVALID,
    RESULT,
    SCHEDULE,
    STATUS,
    UNSUPPORTED,
    A,
    C,
    D,
    E,
    R,
    S,
    bad_cases,
    good_cases,
    rich_cases,
)

CONTENT_TYPE = "application/protobuf"
MORE = "An unknown field beside changes nothing of what is known"
NOT_FINITE = "message.non_finite_number"
VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)

_HEAD = {
    "version": (1, "int"),
    "schedule_id": (2, "text"),
    "device_id": (3, "text"),
    "traceparent": (4, "text"),
    "sequence": (5, "int"),
}
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    S: {
        **_HEAD,
        "generated_at": (6, "instant"),
        "start": (7, "instant"),
        "rates_w": (8, "rates"),
        "resolution_s": (10, "int"),
        "expires_at": (11, "instant"),
        "soc_min_pct": (12, "double"),
        "soc_max_pct": (13, "double"),
        "ramp_w_per_s": (14, "int"),
        "start_jitter_s": (15, "int"),
        "dry_run": (18, "int"),
        "metadata": (19, "labels"),
    },
    C: {**_HEAD, "effective_from": (6, "instant"), "reason": (7, "text")},
    A: {
        **_HEAD,
        "status": (6, "RECEIVED APPLIED FAILED"),
        "timestamp": (7, "instant"),
        "digest": (8, "text"),
        "received_at": (9, "instant"),
        "applied_at": (10, "instant"),
        "error": (11, "error"),
        "retryable": (12, "int"),
        "retry_after_s": (13, "int"),
        "supported_versions": (14, "ints"),
        "superseded": (15, "texts"),
        "clock": (18, "clock"),
    },
    R: {
        **_HEAD,
        "status": (6, "SUCCEED FAIL"),
        "timestamp": (7, "instant"),
        "slot_start": (8, "instant"),
        "slot_end": (9, "instant"),
        "outcome": (10, "FULL LIMITED OVERRIDDEN NOT_EXECUTED FAULTED"),
        "scheduled_w": (11, "signed"),
        "actual_w": (12, "signed"),
        "energy_charged_wh": (13, "double"),
        "energy_discharged_wh": (14, "double"),
        "coverage_pct": (15, "double"),
        "soc_start_pct": (18, "double"),
        "soc_end_pct": (19, "double"),
        "limiting": (20, "texts"),
        "error": (21, "error"),
    },
    E: {
        **_HEAD,
        "event": (6, "STARTED SUPERSEDED CANCELLED EXPIRED COMPLETED OVERRIDDEN FALLBACK_ENTERED FALLBACK_LEFT"),
        "timestamp": (7, "instant"),
        "slot_start": (8, "instant"),
        "error": (9, "error"),
    },
    D: {
        **_HEAD,
        "online": (6, "int"),
        "timestamp": (7, "instant"),
        "power_w": (8, "signed"),
        "soc_pct": (9, "double"),
        "state": (10, "OFF INITIALISING STANDBY READY CHARGING DISCHARGING FAULT LOCAL COMMS_LOST ESTOP"),
        "clock": (11, "clock"),
    },
    "error": {
        "code": (1, "text"),
        "message": (2, "text"),
        "path": (3, "text"),
        "slot": (4, "int"),
        "value": (5, "double"),
        "limit": (6, "double"),
        "digest": (7, "text"),
    },
    "clock": {"synced": (1, "int"), "offset_ms": (2, "double")},
}
"""Number and type of every field, as the ``.proto`` has them; an enumeration by its words, the first of which is 1."""
NO_SETPOINT = 9


def varint(value: int) -> bytes:
    """A number, 7 bits a byte, the lowest first."""
    value &= 2**64 - 1
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def field(number: int, wire_type: int, value: bytes) -> bytes:
    """One field: its tag and its value."""
    return varint(number << 3 | wire_type) + value


def length(number: int, data: bytes) -> bytes:
    """One field of a length: text, packed numbers, a message."""
    return field(number, LENGTH, varint(len(data)) + data)


def zigzag(value: int) -> bytes:
    """A signed number, so that small ones are short whatever their sign."""
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def instant(value: str) -> int:
    """Microseconds since the Unix epoch."""
    since = datetime.fromisoformat(value.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def message(kind: str, body: dict[str, Any]) -> bytes:
    """A body in the canonical JSON form as fields in the order of its members."""
    return b"".join(_member(*FIELDS[kind][name], value) for name, value in body.items())


def _member(number: int, type_: str, value: Any) -> bytes:
    match type_:
        case "int":
            return field(number, VARINT, varint(int(value)))
        case "signed":
            return field(number, VARINT, zigzag(value))
        case "instant":
            return field(number, VARINT, varint(instant(value)))
        case "double":
            return field(number, FIXED64, struct.pack("<d", value))
        case "text":
            return length(number, value.encode())
        case "texts":
            return b"".join(length(number, one.encode()) for one in value)
        case "ints":
            return length(number, b"".join(map(varint, value)))
        case "labels":
            return b"".join(length(number, length(1, k.encode()) + length(2, v.encode())) for k, v in value.items())
        case "rates":
            return _rates(number, value)
        case "error" | "clock":
            return length(number, message(type_, value))
    words = type_.split()
    return field(number, VARINT, varint(words.index(value) + 1))


def _rates(number: int, rates: list[int | None]) -> bytes:
    if not rates:
        return b""
    without = [index for index, rate in enumerate(rates) if rate is None]
    named = length(NO_SETPOINT, b"".join(map(varint, without))) if without else b""
    return length(number, b"".join(zigzag(rate or 0) for rate in rates)) + named


_NOT_HERE = {
    "schedule without rates_w": "a list without elements and none are the same",
    "an error's slot below zero": "the field has no sign",
}


def entries() -> list[Entry]:
    """All of it."""
    out = Decoding(CONTENT_TYPE, 2)
    for case in good_cases():
        out.good(case.name, case.why, case.kind, message(case.kind, case.body), case.body)
    for case in rich_cases():
        more = message(case.kind, case.body) + field(100, VARINT, varint(1))
        out.good(f"{case.name}, and more", MORE, case.kind, more, case.body)
    for case in bad_cases():
        if case.name not in _NOT_HERE:
            out.bad(case.name, case.why, case.kind, message(case.kind, case.body), case.code or "", case.path)
    _forms(out)
    _malformed(out)
    _wire_types(out)
    _twice(out)
    _values(out)
    return out.entries


def _without(kind: str, body: dict[str, Any], member: str) -> bytes:
    return message(kind, {name: value for name, value in body.items() if name != member})


def _forms(out: Decoding) -> None:
    """Other ways of writing the same message."""
    whole = message(S, SCHEDULE)
    bare = _without(S, SCHEDULE, "rates_w")
    no_setpoint = length(NO_SETPOINT, b"\x02")
    rates = [zigzag(rate or 0) for rate in SCHEDULE["rates_w"]]
    order = "Fields may come in any order, so readers take all"
    for name, why, data in (
        ("fields in reverse", order, message(S, dict(reversed(SCHEDULE.items())))),
        (
            "setpoints one by one",
            "A parser accepts packed and unpacked alike",
            bare + b"".join(field(8, VARINT, rate) for rate in rates) + no_setpoint,
        ),
        (
            "setpoints in two pieces",
            "A packed list may come in pieces, which are joined",
            bare + length(8, rates[0]) + length(8, b"".join(rates[1:])) + no_setpoint,
        ),
        (
            "setpoints behind those that have none",
            "The two lists are read when both are there",
            bare + no_setpoint + length(8, b"".join(rates)),
        ),
        (
            "a slot without a setpoint one by one",
            "A parser accepts packed and unpacked alike",
            bare + length(8, b"".join(rates)) + field(NO_SETPOINT, VARINT, b"\x02"),
        ),
        (
            "a number longer than it need be",
            "Nothing in the encoding asks for the shortest",
            _without(S, SCHEDULE, "version") + field(1, VARINT, b"\x82\x80\x00"),
        ),
        ("an unknown number", "A minor change adds fields: they are ignored", whole + field(100, VARINT, varint(7))),
        ("an unknown text", "A minor change adds fields: they are ignored", whole + length(101, b"anything \xff")),
        ("an unknown double", "A minor change adds fields: they are ignored", whole + field(102, FIXED64, b"\xff" * 8)),
        ("an unknown float", "A minor change adds fields: they are ignored", whole + field(103, FIXED32, b"\xff" * 4)),
        (
            "an unknown group",
            "An old way of nesting; ignored like any other",
            whole + field(104, GROUP, b"") + field(1, VARINT, b"\x01") + field(104, GROUP_END, b""),
        ),
        (
            "an unknown field twice",
            "Only what is known can come twice",
            whole + field(100, VARINT, b"\x01") + field(100, VARINT, b"\x01"),
        ),
        ("the highest field number", "2**29 - 1", whole + field(2**29 - 1, VARINT, b"\x01")),
        (
            "defaults that are said",
            "They mean what their absence means",
            whole + field(10, VARINT, varint(1800)) + field(15, VARINT, b"\x00") + field(18, VARINT, b"\x00"),
        ),
        ("no slot without a setpoint, in pieces", "An empty list is an absent one", whole + length(NO_SETPOINT, b"")),
    ):
        out.good(name, why, S, data, SCHEDULE)
    fill = MAX_PAYLOAD_BYTES - len(whole) - 5
    full_size = whole + length(101, b" " * fill)
    out.good("exactly the size limit", f"{len(full_size):,} bytes are still read", S, full_size, SCHEDULE)
    inner = _without(A, FULL_ACK, "clock")
    clock = length(18, message("clock", FULL_ACK["clock"]) + field(99, VARINT, b"\x05"))
    out.good("an unknown field in a message within", "Ignored there too", A, inner + clock, FULL_ACK)
    label = message(S, {**SCHEDULE}) + length(19, length(2, b"agile") + length(1, b"tariff"))
    out.good("a label's value before its name", order, S, label, {**SCHEDULE, "metadata": {"tariff": "agile"}})
    no_value = message(S, SCHEDULE) + length(19, length(1, b"note"))
    out.good("a label without a value", "An absent text is the empty one", S, no_value, {**SCHEDULE, "metadata": {"note": ""}})


def _malformed(out: Decoding) -> None:
    whole = message(S, SCHEDULE)
    for name, why, data in (
        ("empty", "An empty payload is no message, though to Protobuf it is one without fields", b""),
        ("cut before its last byte", "A truncated message is no message", message(S, dict(reversed(SCHEDULE.items())))[:-1]),
        ("cut in a tag", "A truncated message is no message", whole + b"\x80"),
        ("a tag alone", "Trailing bytes are an error in every encoding", whole + b"\x08"),
        ("a NUL behind", "Field number 0 is none", whole + b"\x00"),
        ("field number 0", "Field numbers begin with 1", whole + b"\x02\x00"),
        ("a field number above 2**29", "A tag has 32 bits", whole + varint(2**32 + 8) + b"\x01"),
        ("wire type 6", "There are six, from 0 to 5", whole + varint(100 << 3 | 6)),
        ("wire type 7", "There are six, from 0 to 5", whole + varint(100 << 3 | 7)),
        ("a number of eleven bytes", "A number has at most ten", whole + field(100, VARINT, b"\x80" * 10 + b"\x01")),
        ("a number of more than 64 bits", "The tenth byte has one bit left", whole + field(100, VARINT, b"\xff" * 9 + b"\x7f")),
        (
            "a length beyond the end",
            "Lengths are looked at before anything is taken",
            whole + field(100, LENGTH, varint(2**31)),
        ),
        (
            "a length of 64 bits",
            "Lengths are looked at before anything is taken",
            whole + field(100, LENGTH, varint(2**64 - 1)),
        ),
        ("a double cut short", "A truncated message is no message", whole + field(100, FIXED64, b"\x00" * 7)),
        ("a float cut short", "A truncated message is no message", whole + field(100, FIXED32, b"\x00" * 3)),
        ("a group that does not end", "A truncated message is no message", whole + field(100, GROUP, b"")),
        ("a group that did not begin", "Its end closes nothing", whole + field(100, GROUP_END, b"")),
        ("a group that ends as another", "Groups nest", whole + field(100, GROUP, b"") + field(101, GROUP_END, b"")),
        (
            "groups 10,000 deep",
            "Depth is bounded; it must cost neither the stack nor the process",
            whole + field(100, GROUP, b"") * 10_000 + field(100, GROUP_END, b"") * 10_000,
        ),
        ("JSON called Protobuf", "The content type is believed", b'{"version":2}'),
    ):
        out.bad(name, why, S, data, MALFORMED)
    texts = "Replacing it would change an id"
    bad_id = _without(S, SCHEDULE, "device_id") + length(3, b"max\xff00")
    out.bad("a device that is not UTF-8", texts, S, bad_id, MALFORMED, "/device_id")
    surrogate = _without(S, SCHEDULE, "device_id") + length(3, b"max\xed\xa0\x80")
    out.bad("a surrogate in UTF-8", "RFC 3629 section 3", S, surrogate, MALFORMED, "/device_id")
    overlong = _without(S, SCHEDULE, "device_id") + length(3, b"max\xc0\xaf")
    out.bad("an overlong encoding", "RFC 3629 section 3", S, overlong, MALFORMED, "/device_id")
    cut = _without(S, SCHEDULE, "rates_w") + length(8, b"\x80")
    out.bad("setpoints cut in a number", "A truncated list is no shorter plan", S, cut, MALFORMED)
    within = message(A, {name: value for name, value in FAILED.items() if name != "error"})
    out.bad("an error cut short", "Messages within are read to their end", A, within + length(11, b"\x0a\x20"), MALFORMED)
    out.bad(
        "over the size limit",
        "65,536 bytes are the most, looked at before anything is parsed",
        S,
        whole + length(101, b"\x00" * MAX_PAYLOAD_BYTES),
        TOO_LARGE,
    )


def _wire_types(out: Decoding) -> None:
    why = "A runtime sets a known field of another wire type aside as unknown; a setpoint or a limit must not be lost that way"
    doubles = struct.pack("<d", 20.0)
    for name, kind, body, member, data in (
        ("a version as text", S, SCHEDULE, "version", length(1, b"2")),
        ("a version as a double", S, SCHEDULE, "version", field(1, FIXED64, b"\x02" + b"\x00" * 7)),
        ("an id as a number", S, SCHEDULE, "device_id", field(3, VARINT, b"\x07")),
        ("a sequence as a double", S, SCHEDULE, "sequence", field(5, FIXED64, b"\x01" * 8)),
        ("a time as text", S, SCHEDULE, "start", length(7, b"2018-07-01T00:00:00Z")),
        ("a time as a float", S, SCHEDULE, "generated_at", field(6, FIXED32, b"\x00" * 4)),
        ("a setpoint as a double", S, SCHEDULE, "", field(8, FIXED64, doubles)),
        ("a charge limit as a float", S, SCHEDULE, "", field(12, FIXED32, struct.pack("<f", 20.0))),
        ("a charge limit as a number", S, SCHEDULE, "", field(12, VARINT, b"\x14")),
        ("a dry run as text", S, SCHEDULE, "", length(18, b"true")),
        ("a traceparent as a group", S, SCHEDULE, "", field(4, GROUP, b"") + field(4, GROUP_END, b"")),
        ("a status as text", A, ACK, "status", length(6, b"APPLIED")),
        ("an error as a number", A, FAILED, "error", field(11, VARINT, b"\x01")),
        ("an online as a double", D, STATUS, "online", field(6, FIXED64, doubles)),
    ):
        path = {8: "/rates_w", 12: "/soc_min_pct", 18: "/dry_run", 4: "/traceparent"}
        number = data[0] >> 3 if data[0] < 0x80 else (data[0] & 0x7F | data[1] << 7) >> 3
        place = f"/{member}" if member else path[number]
        out.bad(name, why, kind, _without(kind, body, member) + data, MALFORMED, place)


def _twice(out: Decoding) -> None:
    why = "A runtime takes the last of two values; another reader may take the first: two receivers would read two messages"
    for name, kind, body, member, value in (
        ("a version twice", S, SCHEDULE, "version", 2),
        ("a device twice", S, SCHEDULE, "device_id", "max300-0002"),
        ("a device twice and the same", S, SCHEDULE, "device_id", "max300-0001"),
        ("a sequence twice", S, SCHEDULE, "sequence", 5),
        ("a start twice", S, SCHEDULE, "start", "2018-07-02T00:00:00Z"),
        ("a charge limit twice", S, FULL_SCHEDULE, "soc_min_pct", 0.0),
        ("a dry run twice", S, FULL_SCHEDULE, "dry_run", False),
        ("a status twice", A, ACK, "status", "APPLIED"),
        ("an error twice", A, FAILED, "error", {"code": "limit.soc"}),
        ("a clock twice", A, FULL_ACK, "clock", {"synced": False}),
        ("a result's power twice", R, RESULT, "actual_w", 0),
        ("a cancel's sequence twice", C, CANCEL, "sequence", 9),
        ("an event twice", E, EVENT, "event", "COMPLETED"),
    ):
        data = message(kind, body) + _member(*FIELDS[kind][member], value)
        out.bad(name, why, kind, data, DUPLICATE, f"/{member}")
    labels = (
        message(S, SCHEDULE) + length(19, length(1, b"a") + length(2, b"1")) + length(19, length(1, b"a") + length(2, b"2"))
    )
    out.bad("a label twice", why, S, labels, DUPLICATE, "/metadata/a")
    once = message("error", FAILED["error"])
    doubled = _without(A, FAILED, "error") + length(11, once + once)
    out.bad("a code twice", why, A, doubled, DUPLICATE, "/error/code")


def _values(out: Decoding) -> None:
    bare = _without(S, SCHEDULE, "version")
    cut = "Cut to 32 bits it would be 2"
    out.bad("a version of 2**32 + 2", cut, S, bare + field(1, VARINT, varint(2**32 + 2)), UNSUPPORTED, "/version")
    out.bad("version 0", "It is said, and it is none", S, bare + field(1, VARINT, b"\x00"), UNSUPPORTED, "/version")
    out.bad("schedule without version", "A required member", S, bare, INVALID, "/version")
    whole = message(S, SCHEDULE)
    out.bad(
        "a length of slots of 2**32 + 1800",
        "Cut to 32 bits it would be 1800",
        S,
        whole + field(10, VARINT, varint(2**32 + 1800)),
        INVALID,
        "/resolution_s",
    )
    out.bad(
        "a ramp below zero",
        "The field has no sign: ten bytes of a huge number",
        S,
        whole + field(14, VARINT, varint(-5)),
        INVALID,
        "/ramp_w_per_s",
    )
    out.bad(
        "a dry run of 2", "0 and 1 are the numbers of a boolean", S, whole + field(18, VARINT, b"\x02"), INVALID, "/dry_run"
    )
    out.bad(
        "a sequence below zero",
        "1 is the least",
        S,
        _without(S, SCHEDULE, "sequence") + field(5, VARINT, varint(-1)),
        INVALID,
        "/sequence",
    )
    out.bad(
        "a time of the least int64",
        "Beyond every calendar",
        S,
        _without(S, SCHEDULE, "start") + field(7, VARINT, varint(-(2**63))),
        INVALID,
        "/start",
    )
    out.bad(
        "a time of the largest int64",
        "Beyond every calendar",
        S,
        _without(S, SCHEDULE, "start") + field(7, VARINT, varint(2**63 - 1)),
        INVALID,
        "/start",
    )
    for name, number in (("NaN", float("nan")), ("Infinity", float("inf")), ("-Infinity", float("-inf"))):
        data = whole + field(12, FIXED64, struct.pack("<d", number))
        out.bad(f"a charge limit of {name}", "A double can say it, no message takes it", S, data, NOT_FINITE, "/soc_min_pct")
    nan = {**FAILED, "error": {**FAILED["error"], "value": float("nan")}}
    out.bad("an error's value of NaN", "Figures are finite", A, message(A, nan), NOT_FINITE, "/error/value")
    energy = message(R, {**RESULT, "energy_charged_wh": float("inf")})
    out.bad("energy of Infinity", "Figures are finite", R, energy, NOT_FINITE, "/energy_charged_wh")
    zero = "0 is UNSPECIFIED, which no message may have: it is what a writer leaves who sets nothing"
    for kind, body, member in ((A, ACK, "status"), (R, RESULT, "status"), (E, EVENT, "event")):
        for number, why in ((0, zero), (99, "Unknown members of a closed set are errors")):
            data = _without(kind, body, member) + field(6, VARINT, varint(number))
            out.bad(f"{kind}: {member} {number}", why, kind, data, INVALID, f"/{member}")
    out.bad("a state of 0", zero, D, message(D, STATUS) + field(10, VARINT, b"\x00"), INVALID, "/state")
    out.bad(
        "an outcome of 6",
        "Unknown members of a closed set are errors",
        R,
        message(R, RESULT) + field(10, VARINT, b"\x06"),
        INVALID,
        "/outcome",
    )
    plain = message(S, edited(SCHEDULE, ("/rates_w", [75_000, 0, 0])))
    for name, why, slots, path in (
        ("a slot without a setpoint beyond the last", "Slots are counted from 0", [3], "/rates_w"),
        ("slots without a setpoint in disorder", "In order of time, once each", [2, 1], "/rates_w"),
        ("a slot without a setpoint twice", "In order of time, once each", [1, 1], "/rates_w"),
        ("a slot with a setpoint and without", "What is named there has 0 in the list", [0], "/rates_w/0"),
    ):
        out.bad(name, why, S, plain + length(NO_SETPOINT, b"".join(map(varint, slots))), INVALID, path)
    out.bad(
        "a setpoint of 64 bits",
        "-10,000,000 to 10,000,000 W",
        S,
        _without(S, SCHEDULE, "rates_w") + length(8, b"\x02" + varint(2**64 - 1)),
        INVALID,
        "/rates_w/1",
    )
    nameless = whole + length(19, length(2, b"agile"))
    out.bad("a label that has a value alone", "A name has 1 to 64 characters", S, nameless, INVALID, "/metadata")
