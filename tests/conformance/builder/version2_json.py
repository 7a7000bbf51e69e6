"""Version 2 of the messages, in JSON."""

from __future__ import annotations

from typing import Any

from tests.conformance.builder import texts
from tests.conformance.builder.entries import Decoding, Entry, compact, edited, replaced
from tests.conformance.builder.version2 import (
    ACK,
    CANCEL,
    EVENT,
    FAILED,
    FULL_SCHEDULE,
    INVALID,
    NAIVE,
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

MORE = "An unknown member beside changes nothing of what is known"
NOT_FINITE = "message.non_finite_number"
BODIES = {S: SCHEDULE, C: CANCEL, A: ACK, R: RESULT, E: EVENT, D: STATUS}


def entries() -> list[Entry]:
    """All of it."""
    out = Decoding("application/json", 2)
    for case in good_cases():
        out.good(case.name, case.why, case.kind, compact(case.body), case.body)
    for case in bad_cases():
        out.bad(case.name, case.why, case.kind, compact(case.body), case.code or "", case.path)
    for case in rich_cases():
        out.good(f"{case.name}, and more", MORE, case.kind, compact({**case.body, "more": [1]}), case.body)
    text = compact(SCHEDULE)
    padded = text + " " * (texts.MAX_PAYLOAD_BYTES - len(text))
    out.good("exactly the size limit", "65,536 bytes are still read", S, padded, SCHEDULE)
    texts.no_object(out, S)
    texts.malformed(out, S, SCHEDULE)
    texts.duplicates(out, S, SCHEDULE)
    texts.times(out, S, SCHEDULE, "generated_at")
    _spellings(out)
    _types(out)
    _numbers(out)
    _naive(out)
    _closed_sets(out)
    return out.entries


def _spellings(out: Decoding) -> None:
    text, full = compact(SCHEDULE), compact(FULL_SCHEDULE)
    for name, why, content in (
        (
            "an unknown member",
            "A minor change adds members: they are ignored",
            text[:-1] + ',"tariff":{"name":["agile",null]}}',
        ),
        ("32 arrays in an unknown member", "So deep is read", text[:-1] + f',"x":{texts.nested(32)}}}'),
        (
            "version 1's members beside",
            "They are unknown to version 2, so ignored",
            text[:-1] + ',"intervals":[],"trace_id":7}',
        ),
        (
            "optional members that are null",
            "Null is absence where absence stands for nothing",
            text[:-1] + ',"expires_at":null,"soc_min_pct":null,"ramp_w_per_s":null,"traceparent":null}',
        ),
        (
            "defaults that are said",
            "They mean what their absence means",
            text[:-1] + ',"resolution_s":1800,"start_jitter_s":0,"dry_run":false,"metadata":{}}',
        ),
        ("white space everywhere", "RFC 8259 section 2", text.replace(",", " ,\r\n").replace('":', '"\t:')),
        ("version first", "An object's members have no order", '{"version":2,' + text[1:].replace(',"version":2', "")),
        (
            "a start with an offset",
            "Slots lie on UTC, whatever offset they are written with",
            replaced(text, "2018-07-01T00:00:00Z", "2018-07-01T05:45:00+05:45"),
        ),
    ):
        out.good(name, why, S, content, SCHEDULE)
    out.good("percentages without a fraction", "20 is 20.0", S, replaced(full, "20.0", "20"), FULL_SCHEDULE)
    out.good(
        "a percentage with an exponent",
        "RFC 8259 section 6: where a fraction may stand, so may an exponent",
        S,
        replaced(full, "20.0", "2e1"),
        FULL_SCHEDULE,
    )
    zero = replaced(text, "[75000,0,null", "[75000,-0,null")
    out.good("a setpoint of zero with a sign", "-0 is 0: the battery rests", S, zero, SCHEDULE)


def _types(out: Decoding) -> None:
    """A value of another type, for every type that there is."""
    for name, kind, member, value in (
        ("a version as text", S, "version", "2"),
        ("a version that is true", S, "version", True),
        ("a version that is null", S, "version", None),
        ("a version of 2.5", S, "version", 2.5),
        ("a sequence as text", S, "sequence", "1530381600000001"),
        ("a sequence that is true", S, "sequence", True),
        ("a sequence that is null", S, "sequence", None),
        ("a sequence below zero", S, "sequence", -1),
        ("slots in an object", S, "rates_w", {}),
        ("slots that are null", S, "rates_w", None),
        ("slots that are one number", S, "rates_w", 75_000),
        ("a length of slots as text", S, "resolution_s", "1800"),
        ("a length of slots that is null", S, "resolution_s", None),
        ("a charge limit as text", S, "soc_min_pct", "20"),
        ("a charge limit that is true", S, "soc_min_pct", True),
        ("a ramp with a fraction", S, "ramp_w_per_s", 0.5),
        ("a jitter that is null", S, "start_jitter_s", None),
        ("a dry run that is 1", S, "dry_run", 1),
        ("a dry run as text", S, "dry_run", "true"),
        ("a dry run that is null", S, "dry_run", None),
        ("metadata in an array", S, "metadata", []),
        ("metadata that is null", S, "metadata", None),
        ("metadata with a number", S, "metadata", {"run": 17}),
        ("metadata within metadata", S, "metadata", {"a": {"b": "c"}}),
        ("a traceparent that is a number", S, "traceparent", 0),
        ("a reason that is a number", C, "reason", 5),
        ("an error that is text", A, "error", "limit.power"),
        ("a clock that is true", A, "clock", True),
        ("superseded as text", A, "superseded", "plan-a"),
        ("an actual power with a fraction", R, "actual_w", 0.5),
        ("an actual power that is null", R, "actual_w", None),
        ("an online that is 1", D, "online", 1),
        ("an online that is null", D, "online", None),
    ):
        why = "A member with a default may be left out, and is never null" if value is None else "Types are never converted"
        out.bad(name, why, kind, compact(edited(BODIES[kind], (f"/{member}", value))), INVALID, f"/{member}")
    for name, value in (("as text", "75000"), ("that is true", True), ("that is an array", [1]), ("of half a watt", 0.5)):
        out.bad(
            f"a setpoint {name}",
            "An integer of watts, or null",
            S,
            compact(edited(SCHEDULE, ("/rates_w/1", value))),
            INVALID,
            "/rates_w/1",
        )


def _numbers(out: Decoding) -> None:
    text = compact(SCHEDULE)
    whole = "Where an integer belongs, a fraction or an exponent is an error, as a float is in the binary encodings"
    for name, written in (
        ("a setpoint with a fraction of zero", "75000.0"),
        ("a setpoint with an exponent", "75e3"),
        ("a setpoint of -0.0", "-0.0"),
    ):
        out.bad(name, whole, S, replaced(text, "75000", written), INVALID, "/rates_w/0")
    out.bad("a version with a fraction of zero", whole, S, replaced(text, '"version":2', '"version":2.0'), INVALID, "/version")
    out.bad("a sequence with an exponent", whole, S, replaced(text, "1530381600000001", "1.5e15"), INVALID, "/sequence")
    out.bad(
        "a length of slots with a fraction of zero", whole, S, text[:-1] + ',"resolution_s":1800.0}', INVALID, "/resolution_s"
    )
    out.bad(
        "a sequence of 2**64", "No 64 bits hold it", S, replaced(text, "1530381600000001", str(2**64)), INVALID, "/sequence"
    )
    out.bad(
        "a setpoint of 300 digits",
        "Out of range, and no reason to compute in big numbers",
        S,
        replaced(text, "75000", "9" * 300),
        INVALID,
        "/rates_w/0",
    )
    for shown in ("0", "-2", "4294967298", "18446744073709551618"):
        why = "A version that is cut to 32 or 64 bits would be 2"
        out.bad(f"version {shown}", why, S, replaced(text, '"version":2', f'"version":{shown}'), UNSUPPORTED, "/version")
    for written in ("NaN", "Infinity", "-Infinity", "1e400"):
        why = "RFC 8259 section 6 has none" if written != "1e400" else "It is infinite to a double"
        out.bad(f"a setpoint of {written}", why, S, replaced(text, "75000", written), NOT_FINITE, "/rates_w/0")
        out.bad(f"a charge limit of {written}", why, S, text[:-1] + f',"soc_min_pct":{written}}}', NOT_FINITE, "/soc_min_pct")
    more = compact(RESULT)[:-1]
    out.bad(
        "energy of NaN", "No comparison with it holds", R, more + ',"energy_charged_wh":NaN}', NOT_FINITE, "/energy_charged_wh"
    )
    clock = compact(STATUS)[:-1] + ',"clock":{"synced":true,"offset_ms":NaN}}'
    out.bad("an offset of NaN", "No comparison with it holds", D, clock, NOT_FINITE, "/clock/offset_ms")
    value = compact(FAILED)[:-2] + ',"value":Infinity}}'
    out.bad("an error's value of Infinity", "RFC 8259 section 6 has none", A, value, NOT_FINITE, "/error/value")
    twice = compact(FAILED)[:-2] + ',"code":"limit.soc"}}'
    out.bad("a code twice", "Two receivers would do two things", A, twice, texts.DUPLICATE, "/error/code")
    labels = text[:-1] + ',"metadata":{"a":"1","a":"2"}}'
    out.bad("a label twice", "Two receivers would read two labels", S, labels, texts.DUPLICATE, "/metadata/a")


def _naive(out: Decoding) -> None:
    for kind, member in (
        (S, "start"),
        (S, "expires_at"),
        (C, "effective_from"),
        (A, "timestamp"),
        (A, "received_at"),
        (A, "applied_at"),
        (R, "slot_start"),
        (R, "slot_end"),
        (R, "timestamp"),
        (E, "timestamp"),
        (E, "slot_start"),
        (D, "timestamp"),
    ):
        body: Any = {**BODIES[kind], member: "2018-07-01T10:00:00"}
        why = "An instant without an offset is another one in every zone (RFC 3339 section 4.4)"
        out.bad(f"{kind}: {member} is naive", why, kind, compact(body), NAIVE, f"/{member}")


def _closed_sets(out: Decoding) -> None:
    closed = "Unknown members of a closed set are errors"
    for kind, member, values in (
        (A, "status", ("DONE", "applied", "", 1)),
        (R, "status", ("SUCCESS", "APPLIED", None)),
        (R, "outcome", ("PARTIAL", "full")),
        (E, "event", ("PAUSED", "started", None)),
        (D, "state", ("SLEEPING", "ready")),
    ):
        for value in values:
            shown = value if value else repr(value)
            body = {**BODIES[kind], member: value}
            out.bad(f"{kind}: {member} {shown}", closed, kind, compact(body), INVALID, f"/{member}")
