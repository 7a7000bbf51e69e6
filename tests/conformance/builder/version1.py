"""Version 1 of the messages, in JSON."""

from __future__ import annotations

from typing import Any

from tests.conformance.builder import texts
from tests.conformance.builder.entries import DROP, Decoding, Entry, compact, edited, replaced

INVALID, UNSUPPORTED, NOT_FINITE = "message.invalid", "version.unsupported", "message.non_finite_number"
S, A, R = "schedule", "ack", "execution_result"


def slots(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Half-hours of July 2018, from the ``first`` of the 1st on; the rates take turns."""
    times = [
        f"2018-07-{1 + index // 48:02}T{index % 48 // 2:02}:{index % 2 * 30:02}:00Z"
        for index in range(first, first + count + 1)
    ]
    return [{"start": times[i], "end": times[i + 1], "rate_kw": (75.0, -120.5, 0.0)[i % 3]} for i in range(count)]


SCHEDULE: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-a",
    "device_id": "max300-0001",
    "version": 1,
    "generated_at": "2018-06-30T18:00:00.000001Z",
    "intervals": slots(3),
}
ACK: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-a",
    "device_id": "max300-0001",
    "status": "APPLIED",
    "timestamp": "2018-06-30T18:00:01.25Z",
    "applied_at": "2018-06-30T18:00:02Z",
}
RESULT: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-a",
    "device_id": "max300-0001",
    "interval": {"start": "2018-07-01T10:00:00Z", "end": "2018-07-01T10:30:00Z"},
    "status": "SUCCEED",
    "actual_rate_kw": 74.6,
    "timestamp": "2018-07-01T10:30:00.5Z",
}
BODIES = {S: SCHEDULE, A: ACK, R: RESULT}


def entries() -> list[Entry]:
    """All of it."""
    out = Decoding("application/json", 1)
    _whole(out)
    texts.no_object(out, S)
    texts.malformed(out, S, SCHEDULE)
    texts.duplicates(out, A, ACK)
    texts.ids(out, S, SCHEDULE)
    texts.times(out, A, ACK, "timestamp")
    _versions(out)
    _slots(out)
    _numbers(out)
    _closed_sets(out)
    _answers(out)
    return out.entries


def _good(out: Decoding, name: str, why: str, kind: str, *edits: tuple[str, Any]) -> None:
    """A body that is its own canonical form."""
    body = edited(BODIES[kind], *edits)
    out.good(name, why, kind, compact(body), body)


def _bad(out: Decoding, name: str, why: str, kind: str, code: str, path: str, *edits: tuple[str, Any]) -> None:
    out.bad(name, why, kind, compact(edited(BODIES[kind], *edits)), code, path)


def _whole(out: Decoding) -> None:
    _good(out, "a schedule", "The required members", S)
    _good(out, "an ack", "With the time at which it was applied", A)
    _good(out, "an execution result", "One slot's outcome", R)
    _good(
        out,
        "a schedule with everything",
        "The optional members",
        S,
        ("/max_power_kw", 150.0),
        ("/trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
    )
    _good(out, "an ack RECEIVED", "Nothing is applied yet", A, ("/status", "RECEIVED"), ("/applied_at", DROP))
    _good(
        out,
        "an ack FAILED",
        "The reason begins with the code",
        A,
        ("/status", "FAILED"),
        ("/applied_at", DROP),
        ("/error_reason", "limit.power: too much"),
    )
    _good(out, "an ack with a trace", "32 hex digits", A, ("/trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"))
    _good(
        out,
        "an ack with another reason",
        "Third parties write what they like",
        A,
        ("/error_reason", 'd\u00e9connect\u00e9, Z \\ "x"'),
    )
    _good(out, "a reason of 256 characters", "Characters are counted, not bytes", A, ("/error_reason", "\u00e4" * 256))
    _good(
        out,
        "a result that failed",
        "With its reason",
        R,
        ("/status", "FAIL"),
        ("/actual_rate_kw", 0.0),
        ("/error_reason", "exec.missed: not running"),
    )
    _good(out, "an invalid trace id", "It never makes a message invalid: the receiver replaces it", S, ("/trace_id", "not hex"))
    text = compact(SCHEDULE)
    for name, why, content in (
        (
            "an unknown member",
            "A minor change adds members: they are ignored",
            text[:-1] + ',"tariff":{"name":["agile",null]}}',
        ),
        ("32 arrays in an unknown member", "So deep is read", text[:-1] + f',"x":{texts.nested(32)}}}'),
        ("an unknown member in a slot", "Ignored there too", replaced(text, '"rate_kw"', '"price":1,"rate_kw"')),
        (
            "an unknown member of the same name deeper down",
            "It is no duplicate",
            text[:-1] + ',"x":{"device_id":"b","version":9}}',
        ),
        (
            "members in another order",
            "An object's members have no order",
            '{"intervals"' + text[text.index(":[{") : -1] + "," + text[1 : text.index(',"intervals"')] + "}",
        ),
        (
            "white space everywhere",
            "RFC 8259 section 2",
            " \n" + text.replace(",", " ,\r\n").replace(":{", " : {").replace('":', '"\t:') + "\n",
        ),
        ("optional members that are null", "Null is absence", text[:-1] + ',"max_power_kw":null,"trace_id":null}'),
        ("a mode that is null", "Null is absence", replaced(text, '"rate_kw"', '"mode":null,"rate_kw"')),
        ("a member's name with an escape", "Escapes are spelling", replaced(text, '"device_id"', '"device\\u005fid"')),
        ("a surrogate pair in an unknown member", "Two halves are one character", text[:-1] + ',"x":"\\ud83d\\ude00"}'),
        ("a huge number in an unknown member", "What is ignored is not converted", text[:-1] + ',"x":' + "9" * 300 + "}"),
    ):
        out.good(name, why, S, content, SCHEDULE)
    padded = text + " " * (texts.MAX_PAYLOAD_BYTES - len(text))
    out.good("exactly the size limit", "65,536 bytes are still read", S, padded, SCHEDULE)


def _versions(out: Decoding) -> None:
    text = compact(SCHEDULE)
    whole = "Where an integer belongs, a fraction or an exponent is an error, as a float is in the binary encodings"
    for name, shown in (("a version with a fraction of zero", "1.0"), ("a version with an exponent", "1e0")):
        out.bad(name, whole, S, replaced(text, '"version":1', f'"version":{shown}'), INVALID, "/version")
    for shown in ("3", "0", "-1", "65536", "9" * 40):
        why = "A receiver never guesses: it answers with the versions that it speaks"
        name = f"version {shown}" if len(shown) < 9 else "a version of 40 digits"
        out.bad(name, why, S, replaced(text, '"version":1', f'"version":{shown}'), UNSUPPORTED, "/version")
    for name, shown in (
        ("a version as text", '"1"'),
        ("a version that is true", "true"),
        ("a version that is null", "null"),
        ("version 1.5", "1.5"),
        ("a version as an array", "[1]"),
    ):
        out.bad(name, "A version is an integer", S, replaced(text, '"version":1', f'"version":{shown}'), INVALID, "/version")
    _bad(out, "no version", "A schedule says its version", S, INVALID, "/version", ("/version", DROP))
    _bad(
        out,
        "an ack that says version 3",
        "Version-1 answers have no version; one that is said counts",
        A,
        UNSUPPORTED,
        "/version",
        ("/version", 3),
    )


def _slots(out: Decoding) -> None:
    _good(out, "one slot", "1 is the least", S, ("/intervals", slots(1)))
    _good(out, "48 slots", "48 are the most: a day of half-hours", S, ("/intervals", slots(48)))
    _good(out, "slots over midnight", "A day's end is no boundary", S, ("/intervals", slots(4, first=46)))
    east = [
        {**slot, "start": start, "end": end}
        for slot, start, end in zip(
            slots(2),
            ("2018-07-01T05:30:00+05:30", "2018-07-01T06:00:00+05:30"),
            ("2018-07-01T06:00:00+05:30", "2018-07-01T06:30:00+05:30"),
            strict=True,
        )
    ]
    out.good(
        "slots with an offset",
        "Slots lie on UTC, whatever offset they are written with",
        S,
        compact(edited(SCHEDULE, ("/intervals", east))),
        edited(SCHEDULE, ("/intervals", slots(2))),
    )
    out.good(
        "a slot whose two times have two offsets",
        "Instants are compared, not texts",
        S,
        compact(edited(SCHEDULE, ("/intervals/2/end", "2018-07-01T02:30:00+01:00"))),
        SCHEDULE,
    )
    _bad(out, "no slots", "1 is the least", S, "time.empty", "/intervals", ("/intervals", []))
    _bad(out, "49 slots", "A longer day travels as two schedules", S, "limit.slots", "/intervals", ("/intervals", slots(49)))
    _bad(out, "slots in an object", "An array belongs there", S, INVALID, "/intervals", ("/intervals", {}))
    _bad(out, "slots that are null", "A required member", S, INVALID, "/intervals", ("/intervals", None))
    _bad(out, "slots are missing", "A required member", S, INVALID, "/intervals", ("/intervals", DROP))
    _bad(out, "a slot that is null", "A slot is an object", S, INVALID, "/intervals/1", ("/intervals/1", None))
    _bad(out, "a slot that is an array", "A slot is an object", S, INVALID, "/intervals/0", ("/intervals/0", []))
    for member in ("start", "end", "rate_kw"):
        _bad(
            out,
            f"a slot without its {member}",
            "A required member",
            S,
            INVALID,
            f"/intervals/1/{member}",
            (f"/intervals/1/{member}", DROP),
        )
    _bad(
        out,
        "a naive slot",
        "RFC 3339 section 4.4",
        S,
        "time.naive",
        "/intervals/2/end",
        ("/intervals/2/end", "2018-07-01T01:30:00"),
    )
    _bad(
        out, "a slot's time as a number", "An instant is a string", S, INVALID, "/intervals/0/start", ("/intervals/0/start", 0)
    )
    grid = "Slots begin on :00 or :30 of a UTC hour"

    def alone(name: str, start: str, end: str) -> None:
        one = [{"start": start, "end": end, "rate_kw": 1.0}]
        _bad(out, name, grid, S, "time.not_aligned", "/intervals/0/start", ("/intervals", one))

    alone("a slot at a quarter past", "2018-07-01T00:15:00Z", "2018-07-01T00:45:00Z")
    alone("a slot one second late", "2018-07-01T00:00:01Z", "2018-07-01T00:30:01Z")
    alone("a slot one microsecond late", "2018-07-01T00:00:00.000001Z", "2018-07-01T00:30:00.000001Z")
    alone("a slot on Kathmandu's half-hours", "2018-07-01T00:00:00+05:45", "2018-07-01T00:30:00+05:45")
    length = "A slot lasts exactly 30 minutes"
    for name, end in (
        ("a slot of an hour", "2018-07-01T02:00:00Z"),
        ("a slot of a quarter", "2018-07-01T01:15:00Z"),
        ("a slot of no length", "2018-07-01T01:00:00Z"),
        ("a slot that runs backwards", "2018-07-01T00:30:00Z"),
        ("a slot one microsecond short", "2018-07-01T01:29:59.999999Z"),
    ):
        _bad(out, name, length, S, "time.bad_duration", "/intervals/2/end", ("/intervals/2/end", end))
    three = slots(3)
    path = "/intervals/1/start"
    _bad(out, "a gap", "Nobody would know what to do in it", S, "time.gap", path, ("/intervals", [three[0], three[2]]))
    _bad(out, "a gap of a day", "Two plans are two schedules", S, "time.gap", path, ("/intervals", [three[0], slots(1, 49)[0]]))
    _bad(
        out,
        "the same slot twice",
        "Two setpoints for one instant",
        S,
        "time.overlap",
        path,
        ("/intervals", [three[0], three[0]]),
    )
    _bad(
        out,
        "slots in reverse",
        "Slots come in order of time",
        S,
        "time.out_of_order",
        path,
        ("/intervals", [three[1], three[0]]),
    )


def _numbers(out: Decoding) -> None:
    text = compact(SCHEDULE)
    first = '"rate_kw":75.0'
    for name, why, written, value in (
        ("an integer for a rate", "JSON has one kind of number", "75", 75.0),
        ("a rate with an exponent", "RFC 8259 section 6", "7.5e1", 75.0),
        ("a rate with a capital exponent", "RFC 8259 section 6", "750E-1", 75.0),
        ("a rate of zero with a sign", "-0 is 0: the battery rests", "-0.0", 0.0),
        ("a rate of many digits", "The nearest double counts", "0.1000000000000000055511151231257827", 0.1),
        ("a rate too small to matter", "It is 0, to any battery", "1e-400", 0.0),
        ("the largest rate", "10,000 kW", "10000", 10000.0),
        ("the lowest rate", "-10,000 kW", "-10000.0", -10000.0),
        ("a fraction of a watt", "Kept here; it becomes watts by rounding toward zero", "0.0015", 0.0015),
    ):
        out.good(name, why, S, replaced(text, first, f'"rate_kw":{written}'), edited(SCHEDULE, ("/intervals/0/rate_kw", value)))
    path = "/intervals/0/rate_kw"
    for name, why, written, code in (
        ("a rate of NaN", "RFC 8259 section 6 has none, and no comparison with it holds", "NaN", NOT_FINITE),
        ("a rate of Infinity", "RFC 8259 section 6 has none", "Infinity", NOT_FINITE),
        ("a rate of -Infinity", "RFC 8259 section 6 has none", "-Infinity", NOT_FINITE),
        ("a rate that overflows a double", "1e400 is a JSON number, and infinite to a double", "1e400", NOT_FINITE),
        ("a rate of an absurd exponent", "It must not be computed in big numbers", "1e999999999", NOT_FINITE),
        ("a rate just too large", "10,000 kW are the most", "10000.000000000002", INVALID),
        ("a rate just too low", "-10,000 kW are the least", "-10000.000000000002", INVALID),
        ("a rate of 300 digits", "Out of range, and no double's trouble", "9" * 300, INVALID),
        ("a rate as text", "A number belongs there", '"75.0"', INVALID),
        ("a rate that is true", "Booleans are no numbers", "true", INVALID),
        ("a rate that is null", "A required member: no plan has a setpoint that is not said", "null", INVALID),
        ("a rate in an object", "A number belongs there", "{}", INVALID),
    ):
        out.bad(name, why, S, replaced(text, first, f'"rate_kw":{written}'), code, path)
    anywhere = "Wherever a member is read: no other type is compared with it first"
    for member, name in (("version", "a version"), ("generated_at", "a time"), ("schedule_id", "an id")):
        for written in ("NaN", "1e400"):
            old = f'"{member}":{compact(SCHEDULE[member])}'
            body = replaced(text, old, f'"{member}":{written}')
            out.bad(f"{name} of {written}", anywhere, S, body, NOT_FINITE, f"/{member}")
    _good(out, "a bound that is just enough", "Equal is within", S, ("/max_power_kw", 120.5))
    _good(
        out,
        "a bound of zero",
        "Where everything rests",
        S,
        ("/max_power_kw", 0.0),
        ("/intervals", [{**slots(1)[0], "rate_kw": 0.0}]),
    )
    _bad(
        out,
        "a rate beyond the schedule's own bound",
        "It contradicts itself",
        S,
        "limit.power",
        "/intervals/1/rate_kw",
        ("/max_power_kw", 120.49999),
    )
    _bad(out, "a bound below zero", "It bounds |rate_kw|", S, INVALID, "/max_power_kw", ("/max_power_kw", -0.1))
    _bad(out, "a bound above 10,000 kW", "10,000 kW are the most", S, INVALID, "/max_power_kw", ("/max_power_kw", 10_000.5))
    _bad(out, "a bound as text", "A number belongs there", S, INVALID, "/max_power_kw", ("/max_power_kw", "150"))
    _bad(out, "a bound that is false", "Booleans are no numbers", S, INVALID, "/max_power_kw", ("/max_power_kw", False))
    out.bad("a bound of NaN", "RFC 8259 section 6", S, text[:-1] + ',"max_power_kw":NaN}', NOT_FINITE, "/max_power_kw")
    for name, value in (("as text", "74.6"), ("that is true", True), ("that is null", None), ("beyond 10,000 kW", 10_001.0)):
        _bad(
            out,
            f"an actual rate {name}",
            "A number from -10,000 to 10,000",
            R,
            INVALID,
            "/actual_rate_kw",
            ("/actual_rate_kw", value),
        )
    out.bad(
        "an actual rate of Infinity",
        "RFC 8259 section 6",
        R,
        replaced(compact(RESULT), "74.6", "Infinity"),
        NOT_FINITE,
        "/actual_rate_kw",
    )


def _closed_sets(out: Decoding) -> None:
    for mode, rate in (("CHARGE", 75.0), ("DISCHARGE", -75.0), ("IDLE", 0.0), ("CHARGE", 0.0), ("DISCHARGE", 0.0)):
        name = f"{mode} at {rate:g}"
        why = "The mode names the sign; at rest any of them may stand" if rate == 0 else "The mode names the sign"
        _good(out, name, why, S, ("/intervals/0/rate_kw", rate), ("/intervals/0/mode", mode))
    _good(out, "a mode in one slot alone", "It is optional in each", S, ("/intervals/1/mode", "DISCHARGE"))
    why = "The sign is the truth; a mode that contradicts it is an error, for nobody knows which was meant"
    for mode, rate in (("CHARGE", -1.0), ("DISCHARGE", 1.0), ("IDLE", 0.001), ("IDLE", -75.0)):
        _bad(
            out,
            f"{mode} at {rate:g}",
            why,
            S,
            INVALID,
            "/intervals/0/mode",
            ("/intervals/0/rate_kw", rate),
            ("/intervals/0/mode", mode),
        )
    closed = "Unknown members of a closed set are errors"
    for name, value in (
        ("an unknown mode", "HOLD"),
        ("a mode in lower case", "charge"),
        ("an empty mode", ""),
        ("a mode that is a number", 1),
    ):
        _bad(out, name, closed, S, INVALID, "/intervals/0/mode", ("/intervals/0/mode", value))
    for name, value in (
        ("an unknown status", "DONE"),
        ("a status in lower case", "applied"),
        ("a status with a space", "APPLIED "),
        ("another kind's status", "SUCCEED"),
        ("a status that is null", None),
    ):
        _bad(out, name, closed, A, INVALID, "/status", ("/status", value))
    _bad(out, "a result's status unknown", closed, R, INVALID, "/status", ("/status", "SUCCESS"))
    _bad(out, "a result's status is an ack's", closed, R, INVALID, "/status", ("/status", "APPLIED"))


def _answers(out: Decoding) -> None:
    _bad(out, "an ack without its status", "A required member", A, INVALID, "/status", ("/status", DROP))
    _bad(out, "an ack without its time", "A required member", A, INVALID, "/timestamp", ("/timestamp", DROP))
    _bad(
        out,
        "an ack applied at a naive time",
        "RFC 3339 section 4.4",
        A,
        "time.naive",
        "/applied_at",
        ("/applied_at", "2018-06-30T18:00:00"),
    )
    _bad(
        out,
        "an ack applied in 1969",
        "Instants begin with 1970",
        A,
        INVALID,
        "/applied_at",
        ("/applied_at", "1969-12-31T00:00:00Z"),
    )
    _bad(out, "a reason of 257 characters", "256 are the most", A, INVALID, "/error_reason", ("/error_reason", "x" * 257))
    _bad(out, "a reason that is a number", "A string belongs there", A, INVALID, "/error_reason", ("/error_reason", 5))
    _bad(out, "a trace id that is a number", "A string belongs there", A, INVALID, "/trace_id", ("/trace_id", 5))
    _bad(out, "a trace id of 1,025 characters", "Text is bounded", S, INVALID, "/trace_id", ("/trace_id", "f" * 1025))
    _bad(out, "a result without its slot", "A required member", R, INVALID, "/interval", ("/interval", DROP))
    _bad(
        out,
        "a result whose slot is text",
        "An object belongs there",
        R,
        INVALID,
        "/interval",
        ("/interval", "2018-07-01T10:00:00Z"),
    )
    _bad(out, "a result without its slot's end", "A required member", R, INVALID, "/interval/end", ("/interval/end", DROP))
    _bad(out, "a result without its rate", "A required member", R, INVALID, "/actual_rate_kw", ("/actual_rate_kw", DROP))
    _bad(
        out,
        "a result of an hour",
        "A version-1 slot lasts 30 minutes",
        R,
        "time.bad_duration",
        "/interval/end",
        ("/interval/end", "2018-07-01T11:00:00Z"),
    )
    off = {"start": "2018-07-01T10:10:00Z", "end": "2018-07-01T10:40:00Z"}
    _bad(
        out,
        "a result of a slot off the grid",
        "Slots lie on :00 and :30 UTC",
        R,
        "time.not_aligned",
        "/interval/start",
        ("/interval", off),
    )
    _bad(
        out,
        "a result at a naive time",
        "RFC 3339 section 4.4",
        R,
        "time.naive",
        "/timestamp",
        ("/timestamp", "2018-07-01T10:30:00"),
    )
    out.bad(
        "a key twice in a result's slot",
        "Two receivers would read two slots",
        R,
        replaced(compact(RESULT), '"interval":{', '"interval":{"start":"2018-07-01T09:30:00Z",'),
        texts.DUPLICATE,
        "/interval/start",
    )
    out.bad(
        "a rate twice in a slot",
        "Two receivers would do two things",
        S,
        replaced(compact(SCHEDULE), '"rate_kw":75.0', '"rate_kw":75.0,"rate_kw":-75.0'),
        texts.DUPLICATE,
        "/intervals/0/rate_kw",
    )
    out.bad(
        "the slots twice",
        "The later plan would hide the earlier",
        S,
        compact(SCHEDULE)[:-1] + ',"intervals":' + compact(slots(1)) + "}",
        texts.DUPLICATE,
        "/intervals",
    )
