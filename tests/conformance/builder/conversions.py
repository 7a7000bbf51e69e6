"""Conversions between versions: total upward; downward with losses, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.builder import version1, version2
from tests.conformance.builder.entries import DROP, compact, edited, payload, refusal
from tests.conformance.builder.version2 import A, C, D, E, R, S

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

LOSES = "version.downgrade_loses"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
UP = {
    S: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "version": 2,
        "sequence": 1_530_381_600_000_001,
        "generated_at": "2018-06-30T18:00:00.000001Z",
        "start": "2018-07-01T00:00:00Z",
        "rates_w": [75_000, -120_500, 0],
    },
    A: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "version": 2,
        "status": "APPLIED",
        "timestamp": "2018-06-30T18:00:01.25Z",
        "applied_at": "2018-06-30T18:00:02Z",
    },
    R: {
        "schedule_id": "plan-2018-07-01-a",
        "device_id": "max300-0001",
        "version": 2,
        "slot_start": "2018-07-01T10:00:00Z",
        "slot_end": "2018-07-01T10:30:00Z",
        "status": "SUCCEED",
        "actual_w": 74_600,
        "timestamp": "2018-07-01T10:30:00.5Z",
        "outcome": "FULL",
    },
}


def entries() -> list[Entry]:
    """``convert``."""
    return [*_upward(), *_downward(), *_refused()]


def _entry(name: str, why: str, kind: str, body: Any, version: int, to: int, answer: dict[str, Any]) -> Entry:
    about = {"name": name, "why": why, "kind": kind, "version": version, "needs": {"versions": [1, 2]}}
    return {**about, "content_type": "application/json", **payload(compact(body)), "to": to, **answer}


def _upward() -> list[Entry]:
    found: list[Entry] = []

    def add(name: str, why: str, kind: str, edits: list[tuple[str, Any]], changes: list[tuple[str, Any]]) -> None:
        body, message = edited(version1.BODIES[kind], *edits), edited(UP[kind], *changes)
        found.append(_entry(f"up: {name}", why, kind, body, 1, 2, {"expect": {"message": message, "losses": []}}))

    sequence = "Version 1 has no sequence: the microseconds of generated_at are it"
    add("a schedule", sequence, S, [], [])
    add(
        "a schedule of 1970",
        "A sequence is at least 1",
        S,
        [("/generated_at", "1970-01-01T00:00:00Z")],
        [("/generated_at", "1970-01-01T00:00:00Z"), ("/sequence", 1)],
    )
    add("a schedule with modes", "The sign is the truth, so nothing is lost", S, [("/intervals/0/mode", "CHARGE")], [])
    add("a schedule with a bound", "It was checked, and means nothing else", S, [("/max_power_kw", 150.0)], [])
    add(
        "fractions of a watt",
        "Toward zero, so that rounding never asks for more",
        S,
        [("/intervals/0/rate_kw", 0.0019), ("/intervals/1/rate_kw", -0.0019)],
        [("/rates_w", [1, -1, 0])],
    )
    add(
        "a rate that doubles cannot hold",
        "The decimal that was written counts: 0.57 kW is 570 W",
        S,
        [("/intervals/0/rate_kw", 0.57)],
        [("/rates_w/0", 570)],
    )
    traced = f"00-{TRACE_ID}-{TRACE_ID[:16]}-01"
    add(
        "a trace",
        "The first half of the trace's id stands for the span",
        S,
        [("/trace_id", TRACE_ID)],
        [("/traceparent", traced)],
    )
    add("an invalid trace", "It is passed on to nobody", S, [("/trace_id", "zz")], [])
    add("a trace of zeros", "W3C trace context forbids it", S, [("/trace_id", "0" * 32)], [])
    second_half = "0000000000000000a3ce929d0e0e4736"
    add(
        "a trace whose first half is zero",
        "A span of zeros is forbidden too: the second half stands for it",
        S,
        [("/trace_id", second_half)],
        [("/traceparent", f"00-{second_half}-a3ce929d0e0e4736-01")],
    )
    add("an ack APPLIED", "Without sequence and digest: what version 1 does not say is not invented", A, [], [])
    add(
        "an ack APPLIED without its time",
        "The answer's own time stands for it",
        A,
        [("/applied_at", DROP)],
        [("/applied_at", "2018-06-30T18:00:01.25Z")],
    )
    add(
        "an ack RECEIVED",
        "Nothing is applied",
        A,
        [("/status", "RECEIVED"), ("/applied_at", DROP)],
        [("/status", "RECEIVED"), ("/applied_at", DROP)],
    )
    add(
        "an ack RECEIVED with a time of applying",
        "With APPLIED alone it means anything",
        A,
        [("/status", "RECEIVED")],
        [("/status", "RECEIVED"), ("/applied_at", DROP)],
    )
    for name, why, reason, error in (
        (
            "a code of the registry",
            "code, colon, words",
            "limit.power: too much",
            {"code": "limit.power", "message": "too much"},
        ),
        ("a code alone", "The words are optional", "order.stale", {"code": "order.stale"}),
        (
            "a reason without a code",
            "Third parties write what they like",
            "battery asleep",
            {"code": "internal.unspecified", "message": "battery asleep"},
        ),
        (
            "a code that is not of the registry",
            "What is not known is kept as words",
            "battery.asleep: zzz",
            {"code": "internal.unspecified", "message": "battery.asleep: zzz"},
        ),
        ("no reason", "A refusal has a code in version 2", None, {"code": "internal.unspecified"}),
    ):
        more = [("/error_reason", reason)] if reason else []
        add(
            f"an ack FAILED with {name}",
            why,
            A,
            [("/status", "FAILED"), ("/applied_at", DROP), *more],
            [("/status", "FAILED"), ("/applied_at", DROP), ("/error", error)],
        )
    add("an execution result", "SUCCEED without a reason is FULL", R, [], [])
    missed = [("/status", "FAIL"), ("/error_reason", "exec.missed: off")]
    add(
        "a result that was missed",
        "The code says what became of the slot",
        R,
        missed,
        [("/status", "FAIL"), ("/outcome", "NOT_EXECUTED"), ("/error", {"code": "exec.missed", "message": "off"})],
    )
    add(
        "a result that failed for no known reason",
        "Then no outcome is invented",
        R,
        [("/status", "FAIL")],
        [("/status", "FAIL"), ("/outcome", DROP)],
    )
    add(
        "a result that was limited",
        "A SUCCEED with a reason",
        R,
        [("/error_reason", "exec.limited_soc: full")],
        [("/outcome", "LIMITED"), ("/error", {"code": "exec.limited_soc", "message": "full"})],
    )
    return found


def _interval(slot: int, rate_kw: float, mode: str) -> dict[str, Any]:
    return {**version1.slots(1, slot)[0], "rate_kw": rate_kw, "mode": mode}


PLAIN = edited(version2.SCHEDULE, ("/rates_w", [75_000, -120_500, 0]), ("/generated_at", "2018-06-30T18:00:00.000001Z"))
DOWN = {
    S: {
        "schedule_id": "plan-2018-07-01-b",
        "device_id": "max300-0001",
        "version": 1,
        "generated_at": "2018-06-30T18:00:00.000001Z",
        "intervals": [_interval(0, 75.0, "CHARGE"), _interval(1, -120.5, "DISCHARGE"), _interval(2, 0.0, "IDLE")],
    },
    A: edited(version1.ACK, ("/schedule_id", "plan-2018-07-01-b"), ("/timestamp", "2018-06-30T18:00:02Z")),
    R: edited(version1.RESULT, ("/schedule_id", "plan-2018-07-01-b")),
}


def _downward() -> list[Entry]:
    found: list[Entry] = []

    def add(name: str, why: str, kind: str, body: Any, losses: list[str], *changes: tuple[str, Any]) -> None:
        answer = {"message": edited(DOWN[kind], *changes), "losses": losses}
        found.append(_entry(f"down: {name}", why, kind, body, 2, 1, {"expect": answer}))

    add("a schedule", "Watts become kW, and modes are written for dashboards", S, PLAIN, [])
    add(
        "a schedule made at another time",
        "There generated_at orders, so it becomes the instant of the sequence",
        S,
        edited(PLAIN, ("/generated_at", "2018-06-30T17:00:00Z")),
        ["/generated_at"],
    )
    add(
        "a schedule that expires",
        "Lost: an old device may admit it later",
        S,
        edited(PLAIN, ("/expires_at", "2018-07-01T01:00:00Z")),
        ["/expires_at"],
    )
    add("a schedule with labels", "Lost: they decide nothing", S, edited(PLAIN, ("/metadata", {"a": "b"})), ["/metadata"])
    add(
        "a schedule with a trace",
        "The span is the sender's own affair",
        S,
        edited(PLAIN, ("/traceparent", version2.TRACE)),
        [],
        ("/trace_id", TRACE_ID),
    )
    add("a schedule with an invalid trace", "It is passed on to nobody", S, edited(PLAIN, ("/traceparent", "00-zz")), [])
    one_watt = edited(PLAIN, ("/rates_w", [1, -1, 0]))
    add("setpoints of one watt", "0.001 kW", S, one_watt, [], ("/intervals/0/rate_kw", 0.001), ("/intervals/1/rate_kw", -0.001))
    add("an ack APPLIED", "Sequence and digest have no place", A, version2.ACK, ["/sequence", "/digest"])
    add(
        "an ack with everything",
        "What has no place is told, each member by its path",
        A,
        version2.FULL_ACK,
        ["/sequence", "/digest", "/received_at", "/superseded", "/clock"],
        ("/trace_id", TRACE_ID),
    )
    failed = [("/status", "FAILED"), ("/applied_at", DROP)]
    add(
        "an ack FAILED",
        "The reason begins with the code",
        A,
        edited(version2.FAILED, ("/error/message", "too much")),
        [],
        *failed,
        ("/error_reason", "limit.power: too much"),
    )
    reason = "limit.power: setpoint 180000 W is beyond this device's own limit of 150000 W at /rates_w/7"
    add(
        "an ack FAILED with figures",
        "The path is said in words; the figures have no place but there",
        A,
        version2.FULL_FAILED,
        ["/error/slot", "/error/value", "/error/limit", "/error/digest", "/retryable", "/retry_after_s", "/supported_versions"],
        *failed,
        ("/error_reason", reason),
    )
    long = edited(version2.FAILED, ("/error/message", "x" * 512))
    add(
        "an ack FAILED with many words",
        "At most 256 characters, the last three of them points",
        A,
        long,
        [],
        *failed,
        ("/error_reason", "limit.power: " + "x" * 240 + "..."),
    )
    whole = edited(version2.FAILED, ("/error/message", "x" * 243))
    longest = "limit.power: " + "x" * 243
    add("an ack FAILED with just enough words", "256 characters fit", A, whole, [], *failed, ("/error_reason", longest))
    add("an execution result", "Watts become kW", R, version2.RESULT, [])
    add(
        "an execution result with everything",
        "What has no place is told, each member by its path",
        R,
        edited(version2.FULL_RESULT, ("/error/message", "full")),
        [
            "/outcome",
            "/scheduled_w",
            "/energy_charged_wh",
            "/energy_discharged_wh",
            "/soc_start_pct",
            "/soc_end_pct",
            "/limiting",
            "/coverage_pct",
        ],
        ("/error_reason", "exec.limited_soc: full"),
        ("/trace_id", TRACE_ID),
    )
    return found


def _refused() -> list[Entry]:
    found: list[Entry] = []

    def add(name: str, why: str, kind: str, body: Any, path: str, *edits: tuple[str, Any]) -> None:
        found.append(_entry(f"refused: {name}", why, kind, edited(body, *edits), 2, 1, {"error": refusal(LOSES, path)}))

    safety = "An old device would not keep to it"
    add("slots of a quarter", "Version 1 has half-hours alone", S, PLAIN, "/resolution_s", ("/resolution_s", 900))
    add("slots of an hour", "Version 1 has half-hours alone", S, PLAIN, "/resolution_s", ("/resolution_s", 3600))
    add("49 slots", "Version 1 has 48", S, PLAIN, "/rates_w", ("/rates_w", [0] * 49))
    add(
        "a slot without a setpoint",
        "Version 1 has a setpoint in each, and 0 is one",
        S,
        PLAIN,
        "/rates_w",
        ("/rates_w/1", None),
    )
    add("a charge limit below", safety, S, PLAIN, "/soc_min_pct", ("/soc_min_pct", 20.0))
    add("a charge limit above", safety, S, PLAIN, "/soc_max_pct", ("/soc_max_pct", 90.0))
    add("a charge limit of zero", "0 is said, so it is there", S, PLAIN, "/soc_min_pct", ("/soc_min_pct", 0.0))
    add("a ramp", safety, S, PLAIN, "/ramp_w_per_s", ("/ramp_w_per_s", 1_000))
    add("a jitter", safety, S, PLAIN, "/start_jitter_s", ("/start_jitter_s", 1))
    add("a dry run", "It would be executed", S, PLAIN, "/dry_run", ("/dry_run", True))
    add(
        "a result of five minutes",
        "It would be another slot",
        R,
        version2.RESULT,
        "/slot_end",
        ("/slot_end", "2018-07-01T10:05:00Z"),
    )
    add(
        "a result that is no half-hour of the grid",
        "It would be another slot",
        R,
        version2.RESULT,
        "/slot_end",
        *(("/slot_start", "2018-07-01T10:10:00Z"), ("/slot_end", "2018-07-01T10:40:00Z")),
    )
    add("a cancel", "Version 1 has none", C, version2.CANCEL, "")
    add("an event", "Version 1 has none", E, version2.EVENT, "")
    add("a status", "Version 1 has none", D, version2.STATUS, "")
    future = {"error": {"code": "version.unsupported", "path": ""}}
    why = "What is not known is not guessed"
    found.append(_entry("refused: to version 3", why, S, version2.SCHEDULE, 2, 3, future))
    found.append(_entry("refused: version 1 to version 3", why, S, version1.SCHEDULE, 1, 3, future))
    found.append(_entry("refused: to version 0", why, S, version2.SCHEDULE, 2, 0, future))
    return found
