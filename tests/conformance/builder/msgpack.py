"""Version 2 of the messages, in MessagePack: a writer of its own, and what is wrong in bytes."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.conformance.builder.entries import Decoding, Entry
from tests.conformance.builder.texts import DUPLICATE, MALFORMED, MAX_PAYLOAD_BYTES, TOO_LARGE
from tests.conformance.builder.version2 import (
    ACK,
    FAILED,
    FULL_SCHEDULE,
    INVALID,
    NAIVE,
    RESULT,
    SCHEDULE,
    STATUS,
    A,
    D,
    R,
    S,
    bad_cases,
    good_cases,
    rich_cases,
)

CONTENT_TYPE = "application/vnd.msgpack"
MORE = "An unknown member beside changes nothing of what is known"
NOT_FINITE = "message.non_finite_number"
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DEPTH = 10_000


class Raw(NamedTuple):
    """A value that is already bytes."""

    data: bytes


def pack(value: Any) -> bytes:
    """A value in its shortest form; text that is an instant in UTC becomes a timestamp."""
    if isinstance(value, Raw):
        return value.data
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        return timestamp(value) if _INSTANT.fullmatch(value) else text(value)
    if isinstance(value, dict):
        return mapped([(text(name), pack(member)) for name, member in value.items()])
    head = bytes([0x90 | len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
    return head + b"".join(map(pack, value))


def mapped(members: list[tuple[bytes, bytes]]) -> bytes:
    """A map of members that are already bytes."""
    head = bytes([0x80 | len(members)]) if len(members) < 16 else b"\xde" + struct.pack(">H", len(members))
    return head + b"".join(name + value for name, value in members)


def text(value: str) -> bytes:
    """A string in its shortest form."""
    data = value.encode()
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    return (b"\xd9" + bytes([len(data)]) if len(data) < 256 else b"\xda" + struct.pack(">H", len(data))) + data


def timestamp(value: str) -> bytes:
    """An instant as a timestamp in its shortest form."""
    whole, _, fraction = value.removesuffix("Z").partition(".")
    seconds = int((datetime.fromisoformat(whole).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    nanoseconds = int(fraction.ljust(9, "0")) if fraction else 0
    if not nanoseconds and 0 <= seconds < 2**32:
        return b"\xd6\xff" + struct.pack(">I", seconds)
    if 0 <= seconds < 2**34:
        return b"\xd7\xff" + struct.pack(">Q", nanoseconds << 34 | seconds)
    return b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b" if value < 0 else ">B", value)
    unsigned = ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q"))
    signed = ((0xD0, ">b"), (0xD1, ">h"), (0xD2, ">i"), (0xD3, ">q"))
    for size, (first, form) in enumerate(unsigned if value >= 0 else signed):
        bits = 8 * 2**size
        if (value >= 0 and value < 2**bits) or -(2 ** (bits - 1)) <= value < 0:
            return bytes([first]) + struct.pack(form, value)
    raise ValueError(f"{value} has no 64 bits")


def message(body: dict[str, Any]) -> bytes:
    """A whole payload of a body in the canonical JSON form."""
    return pack(body)


def entries() -> list[Entry]:
    """All of it."""
    out = Decoding(CONTENT_TYPE, 2)
    for case in good_cases():
        out.good(case.name, case.why, case.kind, message(case.body), case.body)
    for case in rich_cases():
        out.good(f"{case.name}, and more", MORE, case.kind, message({**case.body, "more": [1]}), case.body)
    for case in bad_cases():
        out.bad(case.name, case.why, case.kind, message(case.body), case.code or "", case.path)
    _forms(out)
    _malformed(out)
    _types(out)
    return out.entries


def _with(member: str, data: bytes, body: dict[str, Any] = SCHEDULE) -> bytes:
    """A body with one member's value as bytes."""
    return pack({**body, member: Raw(data)})


def _forms(out: Decoding) -> None:
    """Other ways of writing the same message: MessagePack recommends the shortest form, and readers take all."""
    why = "The specification recommends the shortest form, and readers take all"
    sequence = SCHEDULE["sequence"]
    for name, data in (
        ("a sequence as an int64", _with("sequence", b"\xd3" + struct.pack(">q", sequence))),
        (
            "setpoints as int64",
            _with(
                "rates_w",
                b"\x94"
                + b"".join(pack(rate) if rate is None else b"\xd3" + struct.pack(">q", rate) for rate in SCHEDULE["rates_w"]),
            ),
        ),
        ("a version in eight bytes", _with("version", b"\xcf" + struct.pack(">Q", 2))),
        ("an array of 32 bits of length", _with("rates_w", b"\xdd\x00\x00\x00\x04" + pack(SCHEDULE["rates_w"])[1:])),
        ("a string of 32 bits of length", _with("device_id", b"\xdb" + struct.pack(">I", 11) + b"max300-0001")),
        ("a map of 16 bits of length", b"\xde\x00\x07" + pack(SCHEDULE)[1:]),
        ("a map of 32 bits of length", b"\xdf\x00\x00\x00\x07" + pack(SCHEDULE)[1:]),
        ("a timestamp of eight bytes", _with("start", b"\xd7\xff" + struct.pack(">Q", 1_530_403_200))),
        ("a timestamp of twelve bytes", _with("start", b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 1_530_403_200))),
    ):
        out.good(name, why, S, data, SCHEDULE)
    rfc = "Times are timestamps, and are read as RFC 3339 text too"
    out.good("a time as text", rfc, S, _with("start", text("2018-07-01T00:00:00Z")), SCHEDULE)
    out.good("a time as text with an offset", rfc, S, _with("start", text("2018-07-01T05:45:00+05:45")), SCHEDULE)
    rounded = {**SCHEDULE, "generated_at": "2018-06-30T18:00:00.000001Z"}
    nanoseconds = b"\xd7\xff" + struct.pack(">Q", 1_499 << 34 | 1_530_381_600)
    out.good("nanoseconds", "They are rounded to the microsecond", S, _with("generated_at", nanoseconds), rounded)
    full = pack({**FULL_SCHEDULE, "soc_min_pct": Raw(b"\x14")})
    out.good("a percentage as an integer", "Where a fraction may stand, so may an integer", S, full, FULL_SCHEDULE)
    single = pack({**FULL_SCHEDULE, "soc_max_pct": Raw(b"\xca" + struct.pack(">f", 90.125))})
    out.good("a percentage as a single", "What it holds exactly is the same number", S, single, FULL_SCHEDULE)
    extra = {**SCHEDULE, "tariff": {"name": ["agile", None, 1.5]}, "x": 2**63}
    out.good("an unknown member", "A minor change adds members: they are ignored", S, pack(extra), SCHEDULE)
    deep = pack({**SCHEDULE, "x": Raw(b"\x91" * 32 + b"\xc0")})
    out.good("32 arrays in an unknown member", "So deep is read", S, deep, SCHEDULE)
    fill = MAX_PAYLOAD_BYTES - len(pack(SCHEDULE)) - len(text("x")) - 3
    full_size = pack({**SCHEDULE, "x": " " * fill})
    out.good("exactly the size limit", f"{len(full_size):,} bytes are still read", S, full_size, SCHEDULE)
    nulls = {**SCHEDULE, "expires_at": None, "traceparent": None}
    out.good("optional members that are null", "Null is absence", S, pack(nulls), SCHEDULE)
    backwards = dict(reversed(SCHEDULE.items()))
    out.good("members in another order", "A map's members have no order", S, pack(backwards), SCHEDULE)


def _malformed(out: Decoding) -> None:
    whole = pack(SCHEDULE)
    for name, why, data in (
        ("empty", "An empty payload is no message; in MQTT it deletes a retained one", b""),
        ("cut before its last byte", "A truncated message is no message", whole[:-1]),
        ("cut in the middle", "A truncated message must not become a shorter plan", whole[: len(whole) // 2]),
        ("its first byte alone", "A map of seven members, and none of them", whole[:1]),
        ("a NUL behind", "Trailing bytes are an error in every encoding", whole + b"\x00"),
        ("the same message twice", "Trailing bytes are an error in every encoding", whole + whole),
        ("a null behind", "Trailing bytes are an error in every encoding", whole + b"\xc0"),
        ("the byte that is never used", "0xc1 begins nothing", _with("device_id", b"\xc1")),
        (
            "a map of four billion members",
            "A count that the body cannot hold is refused before anything is made for it",
            b"\xdf\xff\xff\xff\xff",
        ),
        (
            "an array of four billion elements",
            "A count that the body cannot hold is refused before anything is made for it",
            _with("rates_w", b"\xdd\xff\xff\xff\xff"),
        ),
        ("a string longer than the body", "Lengths are looked at first", _with("device_id", b"\xdb\xff\xff\xff\xff")),
        ("bytes longer than the body", "Lengths are looked at first", _with("device_id", b"\xc6\xff\xff\xff\xff")),
        ("a member too few", "The map says seven", b"\x88" + whole[1:]),
        ("a string that is not UTF-8", "Replacing it would change an id", _with("device_id", b"\xa6max\xff00")),
        (
            "an overlong encoding",
            "RFC 3629 section 3: / must not be hidden in two bytes",
            _with("device_id", b"\xa5max\xc0\xaf"),
        ),
        ("a surrogate in UTF-8", "RFC 3629 section 3", _with("device_id", b"\xa6max\xed\xa0\x80")),
        ("a name that is a number", "The names of members are texts", mapped([(b"\x01", b"\x01"), (text("version"), b"\x02")])),
        ("a name that is bytes", "The names of members are texts", mapped([(b"\xc4\x07version", b"\x02")])),
        ("a name that is null", "The names of members are texts", mapped([(b"\xc0", b"\x02")])),
        ("an unknown extension", "The timestamp is the only one", _with("start", b"\xd6\x05\x00\x00\x00\x00")),
        ("a timestamp of one byte", "4, 8 or 12", _with("start", b"\xd4\xff\x00")),
        ("a timestamp of sixteen bytes", "4, 8 or 12", _with("start", b"\xd8\xff" + b"\x00" * 16)),
        (
            "a timestamp of a billion nanoseconds",
            "999,999,999 are the most of a second",
            _with("start", b"\xd7\xff" + struct.pack(">Q", 1_000_000_000 << 34)),
        ),
        (
            f"arrays {DEPTH:,} deep",
            "Depth is bounded; it must cost neither the stack nor the process",
            b"\x91" * DEPTH + b"\xc0",
        ),
        ("arrays that never end", "The bomb that is never closed", b"\x91" * DEPTH),
        (f"maps {DEPTH:,} deep", "Depth is bounded", b"\x81\xa1a" * DEPTH + b"\xc0"),
        (
            "deep arrays in an unknown member",
            "What is ignored is parsed all the same",
            pack({**SCHEDULE, "x": Raw(b"\x91" * DEPTH + b"\xc0")}),
        ),
    ):
        out.bad(name, why, S, data, MALFORMED)
    too_large = pack({**SCHEDULE, "x": Raw(b"\xdb" + struct.pack(">I", MAX_PAYLOAD_BYTES) + b" " * MAX_PAYLOAD_BYTES)})
    out.bad("over the size limit", "65,536 bytes are the most, looked at before anything is parsed", S, too_large, TOO_LARGE)
    for name, data in (("null", b"\xc0"), ("an array", b"\x90"), ("a string", b"\xa3abc"), ("an integer", b"\x02")):
        out.bad(name, "A message is a map", S, data, INVALID)
    members = [(text(name), pack(value)) for name, value in SCHEDULE.items()]
    why = "Two receivers would read two messages: which value counts is nowhere said"
    out.bad("a device twice", why, S, mapped([*members, (text("device_id"), text("max300-0002"))]), DUPLICATE, "/device_id")
    out.bad("a device twice and the same", why, S, mapped([members[1], *members]), DUPLICATE, "/device_id")
    long_name = b"\xd9\x09device_id"
    out.bad("a device twice by a longer form", why, S, mapped([*members, (long_name, text("x"))]), DUPLICATE, "/device_id")
    out.bad("an unknown member twice", why, S, mapped([*members, (text("x"), b"\x01"), (text("x"), b"\x01")]), DUPLICATE, "/x")
    inner = mapped([(text("y"), b"\x01"), (text("y"), b"\x02")])
    out.bad("a key twice within an unknown member", why, S, mapped([*members, (text("x"), inner)]), DUPLICATE, "/x/y")
    labels = mapped([(text("a"), text("1")), (text("a"), text("2"))])
    out.bad("a label twice", why, S, mapped([*members, (text("metadata"), labels)]), DUPLICATE, "/metadata/a")
    error = mapped([(text("code"), text("limit.power")), (text("code"), text("limit.soc"))])
    out.bad("a code twice", why, A, _with("error", error, FAILED), DUPLICATE, "/error/code")


def _types(out: Decoding) -> None:
    nan, infinity = b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"
    for name, data in (
        ("NaN", nan),
        ("Infinity", infinity),
        ("-Infinity", b"\xcb\xff\xf0" + b"\x00" * 6),
        ("a single's NaN", b"\xca\x7f\xc0\x00\x00"),
    ):
        why = "MessagePack can write it, no message takes it"
        out.bad(f"a charge limit of {name}", why, S, _with("soc_min_pct", data), NOT_FINITE, "/soc_min_pct")
    out.bad(
        "a setpoint of NaN", "No comparison with it holds", S, _with("rates_w", b"\x92\x01" + nan), NOT_FINITE, "/rates_w/1"
    )
    out.bad(
        "an error's value of Infinity",
        "Figures are finite",
        A,
        pack({**FAILED, "error": {"code": "limit.power", "value": Raw(infinity)}}),
        NOT_FINITE,
        "/error/value",
    )
    out.bad(
        "an offset of NaN",
        "Figures are finite",
        D,
        pack({**STATUS, "clock": {"synced": True, "offset_ms": Raw(nan)}}),
        NOT_FINITE,
        "/clock/offset_ms",
    )
    for name, kind, body, member, data in (
        ("a version as text", S, SCHEDULE, "version", text("2")),
        ("a version as a float", S, SCHEDULE, "version", pack(2.0)),
        ("a version that is true", S, SCHEDULE, "version", b"\xc3"),
        ("a version that is null", S, SCHEDULE, "version", b"\xc0"),
        ("a sequence as a float", S, SCHEDULE, "sequence", pack(1.5e15)),
        ("a sequence as text", S, SCHEDULE, "sequence", text("1530381600000001")),
        ("a sequence that is true", S, SCHEDULE, "sequence", b"\xc3"),
        ("a sequence of 64 bits", S, SCHEDULE, "sequence", b"\xcf" + b"\xff" * 8),
        ("an id as bytes", S, SCHEDULE, "device_id", b"\xc4\x06max300"),
        ("an id that is a number", S, SCHEDULE, "device_id", b"\x07"),
        ("an id that is a time", S, SCHEDULE, "schedule_id", b"\xd6\xff\x00\x00\x00\x00"),
        ("a time as an integer", S, SCHEDULE, "start", pack(1_530_403_200)),
        ("a time as a float", S, SCHEDULE, "start", pack(1_530_403_200.0)),
        ("a time that is null", S, SCHEDULE, "start", b"\xc0"),
        ("a time as text without seconds", S, SCHEDULE, "start", text("2018-07-01T00:00Z")),
        ("a time of 1969", S, SCHEDULE, "generated_at", b"\xc7\x0c\xff" + struct.pack(">Iq", 999_999_000, -1)),
        ("a time of 2200", S, SCHEDULE, "generated_at", b"\xd7\xff" + struct.pack(">Q", 7_258_118_400)),
        ("a time beyond every calendar", S, SCHEDULE, "generated_at", b"\xc7\x0c\xff" + struct.pack(">Iq", 0, 2**62)),
        ("slots that are null", S, SCHEDULE, "rates_w", b"\xc0"),
        ("slots as bytes", S, SCHEDULE, "rates_w", b"\xc4\x02\x01\x02"),
        ("slots in a map", S, SCHEDULE, "rates_w", b"\x80"),
        ("a length of slots that is null", S, SCHEDULE, "resolution_s", b"\xc0"),
        ("a dry run that is 1", S, SCHEDULE, "dry_run", b"\x01"),
        ("metadata in an array", S, SCHEDULE, "metadata", b"\x90"),
        ("metadata with a number", S, SCHEDULE, "metadata", b"\x81\xa1a\x01"),
        ("a status as a number", A, ACK, "status", b"\x02"),
        ("a status unknown", A, ACK, "status", text("DONE")),
        ("a status in lower case", A, ACK, "status", text("applied")),
        ("an outcome unknown", R, RESULT, "outcome", text("PARTIAL")),
        ("an online as text", D, STATUS, "online", text("true")),
        ("a state unknown", D, STATUS, "state", text("SLEEPING")),
    ):
        out.bad(name, "Types are never converted, sets are closed", kind, _with(member, data, body), INVALID, f"/{member}")
    for name, data in (
        ("as a float", pack(75_000.0)),
        ("as text", text("75000")),
        ("that is true", b"\xc3"),
        ("of half a watt", pack(0.5)),
        ("of 64 bits", b"\xcf" + b"\xff" * 8),
    ):
        out.bad(
            f"a setpoint {name}", "An integer of watts, or null", S, _with("rates_w", b"\x92\x01" + data), INVALID, "/rates_w/1"
        )
    naive = text("2018-07-01T00:00:00")
    out.bad(
        "a time as naive text",
        "An instant without an offset is another one in every zone",
        S,
        _with("start", naive),
        NAIVE,
        "/start",
    )
