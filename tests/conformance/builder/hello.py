"""Hello, which is the same in all versions and always JSON."""

from __future__ import annotations

from typing import Any

from tests.conformance.builder.entries import DROP, Decoding, Entry, compact, edited, replaced
from tests.conformance.builder.texts import DUPLICATE

K, INVALID, NOT_FINITE = "hello", "message.invalid", "message.non_finite_number"
HELLO: dict[str, Any] = {
    "device_id": "max300-0001",
    "versions": [1, 2],
    "content_types": ["application/vnd.msgpack", "application/json"],
    "model": "MAX300",
    "firmware": "2026.11",
    "library": "firmware-c 3.1",
    "capabilities": {
        "max_charge_w": 150_000,
        "max_discharge_w": 150_000,
        "capacity_wh": 300_000,
        "power_step_w": 100,
        "soc_min_pct": 10.0,
        "soc_max_pct": 95.0,
        "slot_lengths_s": [300, 1800],
    },
}


def entries() -> list[Entry]:
    """All of it."""
    out = Decoding("application/json", 0)
    for name, why, edits in (
        ("a hello", "What a device says on every connection", []),
        ("one version", "In any order, 1 to 32 of them", [("/versions", [1])]),
        ("versions in reverse", "Their order means nothing", [("/versions", [2, 1])]),
        ("versions of the future", "A newer device says what it speaks, and is understood", [("/versions", [2, 3, 65535])]),
        ("content types of the future", "An unknown encoding is simply not chosen", [("/content_types", ["application/cbor"])]),
        ("empty texts", "Model, firmware and library are for people", [("/model", ""), ("/firmware", ""), ("/library", "")]),
        ("a battery that cannot move", "0 W is a limit like any other", [("/capabilities/max_charge_w", 0)]),
        (
            "the largest battery",
            "10 MW, 1 GWh",
            [("/capabilities/max_discharge_w", 10_000_000), ("/capabilities/capacity_wh", 10**9)],
        ),
        (
            "a band of everything",
            "0 and 100 belong to it",
            [("/capabilities/soc_min_pct", 0.0), ("/capabilities/soc_max_pct", 100.0)],
        ),
        ("slots of a second and of a day", "1 and 86,400 s", [("/capabilities/slot_lengths_s", [1, 86_400])]),
        ("a battery of nothing", "0 Wh, while every pack is out", [("/capabilities/capacity_wh", 0)]),
        ("a band of one point", "Equal is no contradiction", [("/capabilities/soc_min_pct", 95.0)]),
    ):
        body = edited(HELLO, *edits)
        out.good(name, why, K, compact(body), body)
    text = compact(HELLO)
    out.good(
        "an unknown member", "Its shape is frozen, and grows by members alone", K, text[:-1] + ',"version":7,"site":{}}', HELLO
    )
    for name, why, path, value in (
        ("no version", "1 is the least", "/versions", []),
        ("33 versions", "32 are the most", "/versions", list(range(1, 34))),
        ("version 0", "Versions begin with 1", "/versions/0", 0),
        ("a version as text", "Types are never converted", "/versions/1", "2"),
        ("a version that is true", "Booleans are no numbers", "/versions/0", True),
        ("versions as a number", "An array belongs there", "/versions", 2),
        ("no content type", "1 is the least", "/content_types", []),
        ("17 content types", "16 are the most", "/content_types", ["application/json"] * 17),
        ("a content type that is null", "A string belongs there", "/content_types/0", None),
        ("a model of 129 characters", "128 are the most", "/model", "x" * 129),
        ("a firmware that is a number", "A string belongs there", "/firmware", 2026.11),
        ("an id with a newline", "Match in full", "/device_id", "max300\n"),
        ("no id", "A required member", "/device_id", DROP),
        ("no library", "A required member", "/library", DROP),
        ("no capabilities", "A required member", "/capabilities", DROP),
        ("capabilities that are null", "An object belongs there", "/capabilities", None),
        ("no capacity", "A required member", "/capabilities/capacity_wh", DROP),
        ("a charge power below zero", "A limit of discharging is positive too", "/capabilities/max_charge_w", -1),
        ("a discharge power with a fraction", "Whole watts", "/capabilities/max_discharge_w", 0.5),
        ("a power step of zero", "No setpoint is a multiple of it", "/capabilities/power_step_w", 0),
        ("a percentage above 100", "0 to 100 %", "/capabilities/soc_max_pct", 100.1),
        ("no slot length", "1 is the least", "/capabilities/slot_lengths_s", []),
        ("a slot length of more than a day", "86,400 s are the most", "/capabilities/slot_lengths_s/0", 86_401),
        ("a slot length of zero", "1 s is the least", "/capabilities/slot_lengths_s/0", 0),
    ):
        out.bad(name, why, K, compact(edited(HELLO, (path, value))), INVALID, path)
    upside = compact(edited(HELLO, ("/capabilities/soc_min_pct", 96.0)))
    out.bad("a charge band upside down", "Nothing could be executed in it", K, upside, "limit.soc", "/capabilities/soc_min_pct")
    out.bad(
        "a percentage of NaN", "RFC 8259 section 6", K, replaced(text, "95.0", "NaN"), NOT_FINITE, "/capabilities/soc_max_pct"
    )
    twice = replaced(text, '"capacity_wh"', '"capacity_wh":1,"capacity_wh"')
    out.bad("a capacity twice", "Two receivers would plan for two batteries", K, twice, DUPLICATE, "/capabilities/capacity_wh")
    return out.entries
