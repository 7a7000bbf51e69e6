"""Digests: what a schedule means, hashed. The canonical form is written out here by its description, not by the library."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tests.conformance.builder import msgpack, protobuf, version1, version2
from tests.conformance.builder.entries import compact, edited, payload, refusal

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

JSON = "application/json"
START = 1_530_403_200
"""2018-07-01T00:00:00Z, in seconds since the Unix epoch."""


def meaning(
    rates_w: list[int | None], *, device: str = "max300-0001", start: int = START, length: int = 1800, **more: Any
) -> str:
    """The digest of a schedule."""
    members = {"device_id": device, "start": start, "resolution_s": length, "rates_w": rates_w, **more}
    return sha256(json.dumps(members, separators=(",", ":")).encode()).hexdigest()


def entries() -> list[Entry]:
    """``digest``."""
    found: list[Entry] = []

    def add(name: str, why: str, version: int, content: str | bytes, digest: str, content_type: str = JSON) -> None:
        about = {"name": name, "why": why, "version": version, "content_type": content_type}
        found.append({**about, **payload(content), "expect": {"digest": digest}})

    plain = meaning([75_000, -120_500, 0])
    two = edited(version2.SCHEDULE, ("/rates_w", [75_000, -120_500, 0]))

    def first(name: str, why: str, digest: str, *edits: tuple[str, Any]) -> None:
        add(f"version 1: {name}", why, 1, compact(edited(version1.SCHEDULE, *edits)), digest)

    def second(name: str, why: str, digest: str, *edits: tuple[str, Any]) -> None:
        add(f"version 2: {name}", why, 2, compact(edited(two, *edits)), digest)

    first("three slots", "kW become watts", plain)
    first("another id", "The id names the content, and is none of it", plain, ("/schedule_id", "another"))
    first("made at another time", "When it was made is not what it means", plain, ("/generated_at", "2018-06-30T19:00:00Z"))
    first("with modes", "The sign is the truth, the mode says it again", plain, ("/intervals/0/mode", "CHARGE"))
    first("with a bound", "A bound lets a schedule contradict itself, and means nothing else", plain, ("/max_power_kw", 150.0))
    first("with a trace", "Who asked is not what is asked", plain, ("/trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"))
    first("written with an offset", "The instant counts", plain, ("/intervals/0/start", "2018-07-01T02:00:00+02:00"))
    first("another device", "Each device's plan is its own", meaning([75_000, -120_500, 0], device="b"), ("/device_id", "b"))
    first("a slot less", "A horizon is part of it", meaning([75_000, -120_500]), ("/intervals", version1.slots(2)))
    later = [{**slot, "rate_kw": rate} for slot, rate in zip(version1.slots(3, 1), (75.0, -120.5, 0.0), strict=True)]
    first("half an hour later", "When is part of it", meaning([75_000, -120_500, 0], start=START + 1800), ("/intervals", later))
    for kw, watts, why in (
        (0.57, 570, "The decimal that was written counts: 0.57 * 1000 is 569.999... in doubles"),
        (0.0015, 1, "Fractions of a watt are cut off, toward zero"),
        (-0.0015, -1, "Toward zero, not down"),
        (-0.0009, 0, "There is one zero"),
        (-0.0, 0, "There is one zero"),
        (10_000.0, 10_000_000, "The most"),
        (1.1, 1_100, "1.1 * 1000 is 1100.0000000000002 in doubles"),
        (-4.35, -4_350, "4.35 * 1000 is 4350.0 or 4349.999..., by the order of rounding"),
    ):
        first(f"{kw} kW", why, meaning([watts, -120_500, 0]), ("/intervals/0/rate_kw", kw))
    second("three slots", "A version-1 schedule and its upgrade mean the same", plain)
    second("another sequence", "Order is not meaning", plain, ("/sequence", 1))
    second("made at another time", "When it was made is not what it means", plain, ("/generated_at", "2018-06-30T19:00:00Z"))
    second("expiring", "Until when it may be admitted is not what it asks for", plain, ("/expires_at", "2018-07-01T01:00:00Z"))
    second("with labels", "Labels decide nothing", plain, ("/metadata", {"tariff": "agile"}))
    second("with a trace", "Who asked is not what is asked", plain, ("/traceparent", version2.TRACE))
    second("written with an offset", "The instant counts", plain, ("/start", "2018-07-01T01:00:00+01:00"))
    second(
        "with its defaults said",
        "A default is its absence",
        plain,
        ("/resolution_s", 1800),
        ("/dry_run", False),
        ("/start_jitter_s", 0),
    )
    rates: list[int | None] = [75_000, -120_500, 0]
    second(
        "no setpoint instead of rest",
        "null is not 0: the default control applies",
        meaning([75_000, -120_500, None]),
        ("/rates_w/2", None),
    )
    second("slots of a quarter", "The length is part of it", meaning(rates, length=900), ("/resolution_s", 900))
    second(
        "a charge limit below",
        "Thousandths of a percent, as an integer",
        meaning(rates, soc_min_milli_pct=20_000),
        ("/soc_min_pct", 20),
    )
    second(
        "a charge limit below of zero", "0 is said, so it is there", meaning(rates, soc_min_milli_pct=0), ("/soc_min_pct", 0.0)
    )
    second(
        "a charge limit above",
        "33.333 * 1000 is 33333.0 or less, by the double: round",
        meaning(rates, soc_max_milli_pct=33_333),
        ("/soc_max_pct", 33.333),
    )
    second("a ramp", "How fast is part of it", meaning(rates, ramp_w_per_s=1_000), ("/ramp_w_per_s", 1_000))
    second("a jitter", "So is when it begins", meaning(rates, start_jitter_s=120), ("/start_jitter_s", 120))
    second("a dry run", "Nothing is to be done, which is another meaning", meaning(rates, dry_run=True), ("/dry_run", True))
    full = version2.FULL_SCHEDULE
    everything = meaning(
        [75_000, 0, None, -120_500],
        length=900,
        soc_min_milli_pct=20_000,
        soc_max_milli_pct=90_125,
        ramp_w_per_s=1_000,
        start_jitter_s=120,
        dry_run=True,
    )
    same = "The encoding is not the meaning"
    add("everything, in JSON", "The members in their order", 2, compact(full), everything)
    add("everything, in MessagePack", same, 2, msgpack.message(full), everything, msgpack.CONTENT_TYPE)
    add("everything, in Protobuf", same, 2, protobuf.message("schedule", full), everything, protobuf.CONTENT_TYPE)
    add("three slots, in MessagePack", same, 2, msgpack.message(two), plain, msgpack.CONTENT_TYPE)
    add("three slots, in Protobuf", same, 2, protobuf.message("schedule", two), plain, protobuf.CONTENT_TYPE)
    wrong = compact(edited(two, ("/start", "2018-07-01T00:10:00Z")))
    found.append(
        {
            "name": "no schedule",
            "why": "What is no valid schedule has no digest",
            "version": 2,
            "content_type": JSON,
            **payload(wrong),
            "error": refusal("time.not_aligned", "/start"),
        }
    )
    return found
