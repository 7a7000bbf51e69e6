"""Version 2 of the messages: the bodies, and what is right and wrong about them whatever the encoding."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.conformance.builder.entries import DROP, edited

S, C, A, R, E, D = "schedule", "cancel", "ack", "execution_result", "schedule_event", "device_status"
INVALID, UNSUPPORTED, NAIVE = "message.invalid", "version.unsupported", "time.naive"
DIGEST = "0a4d55a8d778e5022fab701977c5d840bbc486d0f6c0d9a9b2e1c7f8a3b4c5d6"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LAST_SEQUENCE = 7_258_118_399_999_999
"""The last microsecond before 2200, below 2**53."""

SCHEDULE: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-b",
    "device_id": "max300-0001",
    "version": 2,
    "sequence": 1_530_381_600_000_001,
    "generated_at": "2018-06-30T18:00:00Z",
    "start": "2018-07-01T00:00:00Z",
    "rates_w": [75_000, 0, None, -120_500],
}
FULL_SCHEDULE: dict[str, Any] = {
    **SCHEDULE,
    "resolution_s": 900,
    "expires_at": "2018-07-01T06:00:00Z",
    "soc_min_pct": 20.0,
    "soc_max_pct": 90.125,
    "ramp_w_per_s": 1_000,
    "start_jitter_s": 120,
    "dry_run": True,
    "traceparent": TRACE,
    "metadata": {"tariff": "agile", "run": "17"},
}
CANCEL: dict[str, Any] = {
    "device_id": "max300-0001",
    "version": 2,
    "sequence": 1_530_381_600_000_002,
    "schedule_id": "plan-2018-07-01-b",
}
ACK: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-b",
    "device_id": "max300-0001",
    "version": 2,
    "status": "APPLIED",
    "timestamp": "2018-06-30T18:00:02Z",
    "sequence": 1_530_381_600_000_001,
    "digest": DIGEST,
    "applied_at": "2018-06-30T18:00:02Z",
}
FULL_ACK: dict[str, Any] = {
    **ACK,
    "received_at": "2018-06-30T18:00:01Z",
    "superseded": ["plan-2018-07-01-a"],
    "clock": {"synced": True, "offset_ms": -12.5},
    "traceparent": TRACE,
}
FAILED: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-b",
    "device_id": "max300-0001",
    "version": 2,
    "status": "FAILED",
    "timestamp": "2018-06-30T18:00:02Z",
    "error": {"code": "limit.power"},
}
FULL_FAILED: dict[str, Any] = {
    **FAILED,
    "error": {
        "code": "limit.power",
        "message": "setpoint 180000 W is beyond this device's own limit of 150000 W",
        "path": "/rates_w/7",
        "slot": 7,
        "value": 180_000.0,
        "limit": 150_000.0,
        "digest": DIGEST,
    },
    "retryable": False,
    "retry_after_s": 60,
    "supported_versions": [1, 2],
}
RESULT: dict[str, Any] = {
    "schedule_id": "plan-2018-07-01-b",
    "device_id": "max300-0001",
    "version": 2,
    "slot_start": "2018-07-01T10:00:00Z",
    "slot_end": "2018-07-01T10:30:00Z",
    "status": "SUCCEED",
    "actual_w": 74_600,
    "timestamp": "2018-07-01T10:30:00.5Z",
}
FULL_RESULT: dict[str, Any] = {
    **RESULT,
    "outcome": "LIMITED",
    "scheduled_w": 75_000,
    "energy_charged_wh": 37_300.0,
    "energy_discharged_wh": 0.5,
    "soc_start_pct": 40.0,
    "soc_end_pct": 52.0,
    "limiting": ["exec.limited_soc"],
    "coverage_pct": 100.0,
    "error": {"code": "exec.limited_soc"},
    "traceparent": TRACE,
}
EVENT: dict[str, Any] = {
    "device_id": "max300-0001",
    "version": 2,
    "event": "STARTED",
    "timestamp": "2018-07-01T00:00:00.5Z",
    "schedule_id": "plan-2018-07-01-b",
}
FULL_EVENT: dict[str, Any] = {
    **EVENT,
    "event": "CANCELLED",
    "sequence": 1_530_381_600_000_002,
    "slot_start": "2018-07-01T00:00:00Z",
    "error": {"code": "order.stale"},
    "traceparent": TRACE,
}
STATUS: dict[str, Any] = {
    "device_id": "max300-0001",
    "version": 2,
    "online": True,
    "timestamp": "2018-07-01T10:00:00Z",
}
FULL_STATUS: dict[str, Any] = {
    **STATUS,
    "power_w": -120_500,
    "soc_pct": 52.5,
    "state": "DISCHARGING",
    "schedule_id": "plan-2018-07-01-b",
    "clock": {"synced": False},
}


class Case(NamedTuple):
    """One message that is right or wrong in the same way in every encoding.

    :param body: in the canonical JSON form.
    :param code: why it is refused; ``None`` for a good one.
    """

    name: str
    why: str
    kind: str
    body: dict[str, Any]
    code: str | None = None
    path: str = ""


def good_cases() -> list[Case]:
    """Messages that are right."""
    short = "The required members alone"
    found = [
        Case("a schedule", short, S, SCHEDULE),
        Case("a schedule with everything", "Every optional member", S, FULL_SCHEDULE),
        Case("a cancel of one schedule", short, C, CANCEL),
        Case("an ack APPLIED", short, A, ACK),
        Case("an ack with everything of APPLIED", "Every optional member that goes with APPLIED", A, FULL_ACK),
        Case("an ack FAILED", "An error needs no more than its code", A, FAILED),
        Case("an ack with everything of FAILED", "Every optional member that goes with FAILED", A, FULL_FAILED),
        Case("an execution result", short, R, RESULT),
        Case("an execution result with everything", "Every optional member", R, FULL_RESULT),
        Case("an event", short, E, EVENT),
        Case("an event with everything", "Every optional member", E, FULL_EVENT),
        Case("a status", short, D, STATUS),
        Case("a status with everything", "Every optional member", D, FULL_STATUS),
    ]

    def add(name: str, why: str, kind: str, body: dict[str, Any], *edits: tuple[str, Any]) -> None:
        found.append(Case(name, why, kind, edited(body, *edits)))

    add("one slot", "1 is the least", S, SCHEDULE, ("/rates_w", [1]))
    add("a schedule without a setpoint", "All null: the default control applies", S, SCHEDULE, ("/rates_w", [None, None]))
    add("seven days of half-hours", "336 slots of 1800 s are the most", S, SCHEDULE, ("/rates_w", [1_000, -1_000] * 168))
    add("seven days of hours", "168 slots of 3600 s", S, SCHEDULE, ("/rates_w", [0] * 168), ("/resolution_s", 3600))
    add(
        "seven days of five minutes",
        "2,016 slots of 300 s",
        S,
        SCHEDULE,
        ("/rates_w", [None, 5] * 1008),
        ("/resolution_s", 300),
    )
    five = [("/start", "2018-07-01T00:05:00Z"), ("/resolution_s", 300)]
    add("a start on five minutes", "The grid is the resolution's own", S, SCHEDULE, *five)
    add(
        "a start on a quarter",
        "The grid is the resolution's own",
        S,
        SCHEDULE,
        ("/start", "2018-07-01T00:45:00Z"),
        ("/resolution_s", 900),
    )
    add("the largest setpoints", "10 MW either way", S, SCHEDULE, ("/rates_w", [10_000_000, -10_000_000]))
    add(
        "setpoints of every size",
        "Varints and fixed integers have edges",
        S,
        SCHEDULE,
        (
            "/rates_w",
            [
                0,
                1,
                -1,
                63,
                64,
                -64,
                -65,
                127,
                128,
                -32,
                -33,
                -128,
                -129,
                255,
                256,
                8191,
                8192,
                32767,
                32768,
                -32768,
                -32769,
                65535,
                65536,
            ],
        ),
    )
    add("the first sequence", "1 is the least", S, SCHEDULE, ("/sequence", 1))
    add("the last sequence", "The last microsecond of 2199, below 2**53", S, SCHEDULE, ("/sequence", LAST_SEQUENCE))
    add("a charge band of one point", "Equal is no contradiction", S, SCHEDULE, ("/soc_min_pct", 50.0), ("/soc_max_pct", 50.0))
    add(
        "a charge band of everything",
        "0 and 100 belong to it, and 0 is not absence",
        S,
        SCHEDULE,
        ("/soc_min_pct", 0.0),
        ("/soc_max_pct", 100.0),
    )
    add("a charge limit in thousandths", "Steps of 0.001 %", S, SCHEDULE, ("/soc_min_pct", 33.333))
    add("the largest jitter", "1800 s", S, SCHEDULE, ("/start_jitter_s", 1800))
    add("the slowest ramp", "1 W/s", S, SCHEDULE, ("/ramp_w_per_s", 1))
    add(
        "an invalid traceparent",
        "It never makes a message invalid: the receiver replaces it",
        S,
        SCHEDULE,
        ("/traceparent", "00-zz"),
    )
    add("metadata beyond ASCII", "Labels are text", S, SCHEDULE, ("/metadata", {"r\u00e9gion": "\u00cele-de-France \u26a1"}))
    add("sixteen labels", "16 are the most", S, SCHEDULE, ("/metadata", {f"k{i:02}": "v" for i in range(16)}))
    add("an empty label", "A value may be empty, a name may not", S, SCHEDULE, ("/metadata", {"note": ""}))
    add(
        "microseconds in every time",
        "Microseconds are kept",
        S,
        SCHEDULE,
        ("/generated_at", "2018-06-30T18:00:00.000001Z"),
        ("/expires_at", "2018-07-01T05:59:59.999999Z"),
    )
    add(
        "a cancel of everything from an instant on",
        "No id, but an instant",
        C,
        CANCEL,
        ("/schedule_id", DROP),
        ("/effective_from", "2018-07-01T12:00:00Z"),
    )
    add("a cancel with its reason", "For people", C, CANCEL, ("/reason", "grid outage announced"), ("/traceparent", TRACE))
    add("an ack RECEIVED", "Neither applied nor failed", A, ACK, ("/status", "RECEIVED"), ("/applied_at", DROP))
    add(
        "an ack without sequence and digest",
        "None could be read, or it was upgraded from version 1",
        A,
        ACK,
        ("/sequence", DROP),
        ("/digest", DROP),
    )
    add(
        "an ack of a payload that had no id",
        "Its SHA-256 stands for the id",
        A,
        FAILED,
        ("/schedule_id", DIGEST),
        ("/error/code", "message.malformed"),
    )
    add(
        "an ack with a code of the future",
        "The registry grows: a reader goes by the class",
        A,
        FAILED,
        ("/error/code", "limit.noise"),
    )
    add("a clock without its offset", "It need not know", A, ACK, ("/clock", {"synced": False}))
    add("a result of five minutes", "300 s are the least", R, RESULT, ("/slot_end", "2018-07-01T10:05:00Z"))
    add("a result of an hour", "3600 s are the most", R, RESULT, ("/slot_end", "2018-07-01T11:00:00Z"))
    add(
        "a result of a slot cut short",
        "A newer plan of another resolution ended it after ten minutes",
        R,
        RESULT,
        ("/slot_end", "2018-07-01T10:10:00Z"),
    )
    add(
        "a result of zero energy",
        "0 is a value, not absence",
        R,
        RESULT,
        ("/energy_charged_wh", 0.0),
        ("/soc_end_pct", 0.0),
        ("/scheduled_w", 0),
    )
    add("a result of a terawatt-hour", "The most", R, RESULT, ("/energy_charged_wh", 1e12), ("/energy_discharged_wh", 1e12))
    add("a result of nothing and everything", "0 and 100 %", R, RESULT, ("/soc_start_pct", 100.0), ("/coverage_pct", 0.0))
    add("a retry at once", "0 s are the least", A, FULL_FAILED, ("/retry_after_s", 0))
    add("a retry after a day", "86,400 s are the most", A, FULL_FAILED, ("/retry_after_s", 86_400))
    add("an error in the first slot", "Slots are counted from 0", A, FULL_FAILED, ("/error/slot", 0))
    failed = [("/status", "FAIL"), ("/outcome", "NOT_EXECUTED"), ("/actual_w", 0), ("/error", {"code": "exec.missed"})]
    add("a result NOT_EXECUTED", "It goes with FAIL", R, RESULT, *failed)
    add("a result OVERRIDDEN", "It goes with either", R, RESULT, ("/status", "FAIL"), ("/outcome", "OVERRIDDEN"))
    for event in ("SUPERSEDED", "EXPIRED", "COMPLETED"):
        add(f"an event {event}", "It names the schedule that it is about", E, EVENT, ("/event", event))
    for event in ("OVERRIDDEN", "FALLBACK_ENTERED", "FALLBACK_LEFT"):
        add(f"an event {event}", "It may be about no schedule", E, EVENT, ("/event", event), ("/schedule_id", DROP))
    add("a cancel answered", "With the cancel's own sequence", E, EVENT, ("/event", "CANCELLED"), ("/sequence", 7))
    add("a last will", "Offline; what the broker says for a device that is gone", D, STATUS, ("/online", False))
    for state in ("OFF", "INITIALISING", "STANDBY", "READY", "CHARGING", "FAULT", "LOCAL", "COMMS_LOST", "ESTOP"):
        add(f"a battery in {state}", "The states are a closed set", D, STATUS, ("/state", state))
    return found


def rich_cases() -> list[Case]:
    """Messages of every kind and shape, to be sent with an unknown member beside, which readers must not take for trouble."""
    names = ("with everything", "of every size", "a cancel of one schedule", "a last will", "seven days of hours")
    return [case for case in good_cases() if any(name in case.name for name in names)]


def bad_cases() -> list[Case]:
    """Messages that break one rule that is the same in every encoding."""
    found: list[Case] = []

    def add(name: str, why: str, body: tuple[str, dict[str, Any]], code: str, path: str, *edits: tuple[str, Any]) -> None:
        found.append(Case(name, why, body[0], edited(body[1], *edits), code, path))

    s, c, a, f, r, e, d = (S, SCHEDULE), (C, CANCEL), (A, ACK), (A, FAILED), (R, RESULT), (E, EVENT), (D, STATUS)
    for body, members in (
        (s, ("schedule_id", "device_id", "sequence", "generated_at", "start", "rates_w")),
        (c, ("device_id", "sequence")),
        (a, ("schedule_id", "device_id", "status", "timestamp")),
        (r, ("slot_start", "slot_end", "status", "actual_w", "timestamp")),
        (e, ("device_id", "event", "timestamp")),
        (d, ("device_id", "online", "timestamp")),
    ):
        for member in members:
            add(f"{body[0]} without {member}", "A required member", body, INVALID, f"/{member}", (f"/{member}", DROP))
    guess = "A receiver never guesses: it answers with the versions that it speaks"
    for body in (s, c, a, r, e, d):
        add(f"{body[0]} of version 3", guess, body, UNSUPPORTED, "/version", ("/version", 3))
    for name, text in (
        ("with a newline at its end", "max300\n"),
        ("with a slash", "a/b"),
        ("of 65 characters", "a" * 65),
        ("that is empty", ""),
        ("with an umlaut", "\u00e4"),
    ):
        add(
            f"a device's id {name}",
            "1 to 64 characters of A-Z a-z 0-9 _ -, matched in full",
            s,
            INVALID,
            "/device_id",
            ("/device_id", text),
        )
    add(
        "a schedule's id with a plus",
        "1 to 64 characters of A-Z a-z 0-9 _ -",
        s,
        INVALID,
        "/schedule_id",
        ("/schedule_id", "+"),
    )
    add("a cancelled id with a newline", "Match in full", c, INVALID, "/schedule_id", ("/schedule_id", "plan\n"))
    add("a superseded id with a space", "They are ids too", a, INVALID, "/superseded/1", ("/superseded", ["a", "b c"]))
    add("a sequence of zero", "1 is the least", s, INVALID, "/sequence", ("/sequence", 0))
    add("a sequence beyond 2199", "It is a time in microseconds", s, INVALID, "/sequence", ("/sequence", LAST_SEQUENCE + 1))
    add("no slots", "1 is the least", s, "time.empty", "/rates_w", ("/rates_w", []))
    add("a slot beyond seven days", "336 slots of 1800 s", s, "limit.slots", "/rates_w", ("/rates_w", [0] * 337))
    add(
        "an hour beyond seven days",
        "168 slots of 3600 s",
        s,
        "limit.slots",
        "/rates_w",
        ("/rates_w", [0] * 169),
        ("/resolution_s", 3600),
    )
    add(
        "five minutes beyond seven days",
        "2,016 slots of 300 s",
        s,
        "limit.slots",
        "/rates_w",
        ("/rates_w", [0] * 2017),
        ("/resolution_s", 300),
    )
    add("a setpoint above 10 MW", "-10,000,000 to 10,000,000 W", s, INVALID, "/rates_w/1", ("/rates_w/1", 10_000_001))
    add("a setpoint below -10 MW", "-10,000,000 to 10,000,000 W", s, INVALID, "/rates_w/3", ("/rates_w/3", -10_000_001))
    for length in (0, 60, 600, 1801, 7200):
        add(f"slots of {length} s", "300, 900, 1800 or 3600", s, INVALID, "/resolution_s", ("/resolution_s", length))
    off = "Slots lie on the UTC grid of their length"
    for name, start, length in (
        ("a half-hour from ten past", "2018-07-01T00:10:00Z", 1800),
        ("an hour from half past", "2018-07-01T00:30:00Z", 3600),
        ("a quarter from five past", "2018-07-01T00:05:00Z", 900),
        ("five minutes from one second past", "2018-07-01T00:00:01Z", 300),
        ("a start one microsecond late", "2018-07-01T00:00:00.000001Z", 1800),
    ):
        add(name, off, s, "time.not_aligned", "/start", ("/start", start), ("/resolution_s", length))
    add(
        "a slot that ends in 2200",
        "Every slot ends before 2200",
        s,
        INVALID,
        "/start",
        ("/start", "2199-12-31T23:30:00Z"),
    )
    add("made before 1970", "Instants begin with 1970", s, INVALID, "/generated_at", ("/generated_at", "1969-12-31T23:59:59Z"))
    add("expiring in 2200", "Instants end before 2200", s, INVALID, "/expires_at", ("/expires_at", "2200-01-01T00:00:00Z"))
    add(
        "a charge band upside down",
        "Nothing could be executed in it",
        s,
        "limit.soc",
        "/soc_min_pct",
        ("/soc_min_pct", 60.0),
        ("/soc_max_pct", 40.0),
    )
    add(
        "a charge limit of half a thousandth",
        "Steps of 0.001 %, so that every language hashes the same digest",
        s,
        "limit.soc",
        "/soc_max_pct",
        ("/soc_max_pct", 90.0005),
    )
    add("a charge limit above 100", "0 to 100 %", s, INVALID, "/soc_max_pct", ("/soc_max_pct", 100.5))
    add("a charge limit below 0", "0 to 100 %", s, INVALID, "/soc_min_pct", ("/soc_min_pct", -1.0))
    add("a ramp of zero", "It would never reach a setpoint", s, INVALID, "/ramp_w_per_s", ("/ramp_w_per_s", 0))
    add("a jitter of more than half an hour", "1800 s are the most", s, INVALID, "/start_jitter_s", ("/start_jitter_s", 1801))
    add("a traceparent of 257 characters", "Text is bounded", s, INVALID, "/traceparent", ("/traceparent", "0" * 257))
    add("seventeen labels", "16 are the most", s, INVALID, "/metadata", ("/metadata", {f"k{i:02}": "v" for i in range(17)}))
    add("a label without a name", "A name has 1 to 64 characters", s, INVALID, "/metadata", ("/metadata", {"": "v"}))
    add("a label of 257 characters", "256 are the most", s, INVALID, "/metadata", ("/metadata", {"k": "v" * 257}))
    add(
        "a cancel of nothing",
        "It names a schedule or an instant; silence never means everything",
        c,
        INVALID,
        "/effective_from",
        ("/schedule_id", DROP),
    )
    add("a cancel's reason of 257 characters", "256 are the most", c, INVALID, "/reason", ("/reason", "x" * 257))
    add("APPLIED without its time", "With APPLIED, and only there", a, INVALID, "/applied_at", ("/applied_at", DROP))
    add("APPLIED with an error", "With FAILED, and only there", a, INVALID, "/error", ("/error", {"code": "limit.power"}))
    add("FAILED without an error", "A refusal says why", f, INVALID, "/error", ("/error", DROP))
    add(
        "FAILED with a time of applying",
        "With APPLIED, and only there",
        f,
        INVALID,
        "/applied_at",
        ("/applied_at", "2018-06-30T18:00:02Z"),
    )
    add("RECEIVED with a time of applying", "With APPLIED, and only there", a, INVALID, "/applied_at", ("/status", "RECEIVED"))
    add("a digest in capitals", "64 lower-case hex digits", a, INVALID, "/digest", ("/digest", DIGEST.upper()))
    add("a digest of 63 digits", "64 lower-case hex digits", a, INVALID, "/digest", ("/digest", DIGEST[1:]))
    add("a digest with a newline", "Match in full", a, INVALID, "/digest", ("/digest", DIGEST[1:] + "\n"))
    add("an error without its code", "Programs match the code", f, INVALID, "/error/code", ("/error", {"message": "no"}))
    for name, code in (
        ("without a class", "power"),
        ("whose class is empty", ".power"),
        ("whose name is empty", "limit."),
        ("in capitals", "LIMIT.POWER"),
        ("with two points", "limit.power.w"),
        ("with a newline", "limit.power\n"),
    ):
        add(f"a code {name}", "class.name, in lower-case letters and _", f, INVALID, "/error/code", ("/error/code", code))
    add("an error's slot below zero", "Slots are counted from 0", f, INVALID, "/error/slot", ("/error/slot", -1))
    add("a retry after more than a day", "86,400 s are the most", f, INVALID, "/retry_after_s", ("/retry_after_s", 86_401))
    add(
        "a supported version of zero",
        "Versions begin with 1",
        f,
        INVALID,
        "/supported_versions/0",
        ("/supported_versions", [0]),
    )
    add("a clock without synced", "A required member of it", a, INVALID, "/clock/synced", ("/clock", {"offset_ms": 1.0}))
    add(
        "a result whose slot runs backwards",
        "300 to 3600 s from its start",
        r,
        "time.bad_duration",
        "/slot_end",
        ("/slot_end", "2018-07-01T09:55:00Z"),
    )
    add(
        "a result of no time",
        "300 to 3600 s from its start",
        r,
        "time.bad_duration",
        "/slot_end",
        ("/slot_end", "2018-07-01T10:00:00Z"),
    )
    add(
        "a result of more than an hour",
        "300 to 3600 s from its start",
        r,
        "time.bad_duration",
        "/slot_end",
        ("/slot_end", "2018-07-01T11:05:00Z"),
    )
    add(
        "a result that starts off the grid",
        "On a whole five minutes of UTC",
        r,
        "time.not_aligned",
        "/slot_start",
        ("/slot_start", "2018-07-01T10:01:00Z"),
    )
    add(
        "a result that ends off the grid",
        "On a whole five minutes of UTC",
        r,
        "time.not_aligned",
        "/slot_end",
        ("/slot_end", "2018-07-01T10:29:59Z"),
    )
    for outcome, status in (("FULL", "FAIL"), ("NOT_EXECUTED", "SUCCEED"), ("FAULTED", "SUCCEED")):
        add(
            f"{outcome} and {status}",
            "The outcome contradicts the status",
            r,
            INVALID,
            "/outcome",
            ("/outcome", outcome),
            ("/status", status),
        )
    add(
        "energy below zero",
        "Charged and discharged are counted apart, each upward",
        r,
        INVALID,
        "/energy_charged_wh",
        ("/energy_charged_wh", -1.0),
    )
    add("energy above a terawatt-hour", "It is no battery's", r, INVALID, "/energy_charged_wh", ("/energy_charged_wh", 1.1e12))
    add("coverage above 100", "0 to 100 %", r, INVALID, "/coverage_pct", ("/coverage_pct", 100.1))
    add("an actual power above 10 MW", "-10,000,000 to 10,000,000 W", r, INVALID, "/actual_w", ("/actual_w", 10_000_001))
    add(
        "a limiting code in capitals",
        "class.name, in lower-case letters and _",
        r,
        INVALID,
        "/limiting/0",
        ("/limiting", ["SOC"]),
    )
    for event in ("STARTED", "SUPERSEDED", "EXPIRED", "COMPLETED"):
        add(
            f"{event} without a schedule",
            "It is about one, and must name it",
            e,
            INVALID,
            "/schedule_id",
            ("/event", event),
            ("/schedule_id", DROP),
        )
    add(
        "CANCELLED without a sequence",
        "It answers one cancel: by its sequence",
        e,
        INVALID,
        "/sequence",
        ("/event", "CANCELLED"),
    )
    add("a state of charge above 100", "0 to 100 %", d, INVALID, "/soc_pct", ("/soc_pct", 101.0))
    add("a power below -10 MW", "-10,000,000 to 10,000,000 W", d, INVALID, "/power_w", ("/power_w", -10_000_001))
    return found
