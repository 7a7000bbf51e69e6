"""The codec against msgspec without any check, and against peers, on the same content in every version and encoding.

``python benchmarks/codec.py`` prints the tables and the goals, with ``--json`` the figures for programs. Method: README.md
beside this file.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from raw_messages import RAW

from allye_protocol import convert, digest, schema
from allye_protocol.codec import ENCODINGS, JSON, MSGPACK, PROTOBUF, decode, encode
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, Clock, ExecutionResult, ExecutionStatus, Kind, Outcome, v1

if TYPE_CHECKING:
    from collections.abc import Iterable

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
IDS: dict[str, Any] = {"schedule_id": ScheduleId("plan-2018-07-01-a"), "device_id": DeviceId("max300-0001")}
SECOND: dict[str, Any] = {**IDS, "version": 2, "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
HALF_HOUR = timedelta(minutes=30)
NOW = datetime(2018, 6, 30, 18, 0, 1, 250_000, tzinfo=UTC)
SLOT = datetime(2018, 6, 30, 18, tzinfo=UTC)
SHORT = {JSON: "JSON", MSGPACK: "MessagePack", PROTOBUF: "Protobuf"}


def _schedule() -> v1.Schedule:
    """48 half-hours whose rates have one to three decimals, as a planner's have."""
    start = datetime(2018, 7, 1, tzinfo=UTC)
    rates = [round(((slot * 7_919 + 13) % 3001 - 1500) / 10 + slot / 1000, 3) for slot in range(48)]
    intervals = (
        v1.Interval(start=start + HALF_HOUR * slot, end=start + HALF_HOUR * (slot + 1), rate_kw=rate)
        for slot, rate in enumerate(rates)
    )
    made_at = start - timedelta(hours=6)
    return v1.Schedule(**IDS, version=1, generated_at=made_at, intervals=tuple(intervals), trace_id=TRACE_ID)


SCHEDULE = _schedule()
CORPUS: list[tuple[str, Kind, Any, Any]] = [
    ("schedule, 48 slots", Kind.SCHEDULE, SCHEDULE, convert.upgrade(SCHEDULE)),
    (
        "ack",
        Kind.ACK,
        v1.Ack(**IDS, status=AckStatus.APPLIED, timestamp=NOW, applied_at=NOW, trace_id=TRACE_ID),
        Ack(
            **SECOND,
            status=AckStatus.APPLIED,
            timestamp=NOW,
            sequence=1_530_381_600_000_001,
            digest="0a" * 32,
            received_at=NOW,
            applied_at=NOW,
            clock=Clock(synced=True),
        ),
    ),
    (
        "execution result",
        Kind.EXECUTION_RESULT,
        v1.ExecutionResult(
            **IDS,
            interval=v1.TimeSpan(start=SLOT, end=SLOT + HALF_HOUR),
            status=ExecutionStatus.SUCCEED,
            actual_rate_kw=74.6,
            timestamp=NOW,
            trace_id=TRACE_ID,
        ),
        ExecutionResult(
            **SECOND,
            slot_start=SLOT,
            slot_end=SLOT + HALF_HOUR,
            status=ExecutionStatus.SUCCEED,
            actual_w=74_600,
            timestamp=NOW,
            outcome=Outcome.FULL,
            scheduled_w=75_000,
            energy_charged_wh=37_300.0,
            energy_discharged_wh=0.0,
            soc_start_pct=40.0,
            soc_end_pct=52.0,
            coverage_pct=100.0,
        ),
    ),
]
"""Each content as a message of version 1 and of version 2."""


class Contender(msgspec.Struct):
    """One way of doing one thing.

    :param name: what it is called in the table.
    :param work: does it once for the arguments ``given``.
    :param loops: how often a turn does it.
    :param own: the contender of its group that does the same to the same bytes without any check, by its name.
    """

    name: str
    work: Callable[..., object]
    given: tuple[Any, ...]
    loops: int
    own: str = ""


class Row(msgspec.Struct):
    """One line of the table.

    :param message: what is read or written.
    :param does: decode, encode or both.
    :param what: the contender.
    :param us: median time of one, microseconds.
    :param best_us: least time of one over the repetitions, microseconds.
    :param to_raw_v1: median over the repetitions of its time over that of raw version-1 JSON in the same repetition.
    :param best_to_raw_v1: its least time over the least time of raw version-1 JSON.
    :param best_to_own_raw: the same over the raw contender on the same bytes; ``None`` where there is none.
    """

    message: str
    does: str
    what: str
    us: float
    best_us: float
    to_raw_v1: float
    best_to_raw_v1: float
    best_to_own_raw: float | None


def timed(contender: Contender) -> float:
    """Seconds for one, on average over a turn."""
    work, given = contender.work, contender.given
    turns = itertools.repeat(None, contender.loops)
    start = time.perf_counter()
    for _ in turns:
        work(*given)
    return (time.perf_counter() - start) / contender.loops


def _both(read: Callable[..., Any], write: Callable[..., Any]) -> Callable[..., object]:
    return lambda payload, *arguments: write(read(payload, *arguments), *arguments[1:])


def contenders(kind: Kind, first: Any, second: Any, loops: int) -> Iterable[tuple[str, list[Contender]]]:
    """Groups of contenders for one content; the first of each group is raw version-1 JSON."""
    reads: list[Contender] = []
    writes: list[Contender] = []
    boths: list[Contender] = []

    def add(name: str, payload: bytes, message: Any, *, how: tuple[Callable[..., Any], Callable[..., Any]], own: str) -> None:
        read, write = how
        named = () if own == name else (kind, content_type)
        reads.append(Contender(name, read, (payload, *named), loops, own))
        writes.append(Contender(name, write, (message, *named[1:]), loops, own))
        boths.append(Contender(name, _both(read, write), (payload, *named), loops, own))

    modules: dict[str, Any] = {JSON: msgspec.json, MSGPACK: msgspec.msgpack}
    for version, message in ((1, first), (2, second)):
        for content_type, encoding in ENCODINGS.items():
            if version not in encoding.versions:
                continue
            payload = encode(message, content_type)
            label, own = f"v{version} {SHORT[content_type]}", ""
            if content_type in modules:
                own = f"{label}, raw msgspec"
                read = modules[content_type].Decoder(RAW[type(message)]).decode
                add(own, payload, read(payload), how=(read, modules[content_type].Encoder().encode), own=own)
            add(
                f"{label}, {len(payload)} bytes",
                payload,
                message,
                how=(decode, encode),
                own=own,
            )
    body, later = encode(first), encode(second)
    reads += [
        Contender("v1 JSON, as the newest model", convert.decode, (body, kind, JSON), loops),
        Contender("v1 JSON, stdlib json.loads, nothing checked", json.loads, (body,), loops),
        Contender("v2 JSON, stdlib json.loads, nothing checked", json.loads, (later,), loops),
    ]
    if importlib.util.find_spec("jsonschema"):
        for version, payload in ((1, body), (2, later)):
            validate = schema.validator(kind, version).validate
            slow = max(1, loops // 50)
            name = f"v{version} JSON, json.loads and jsonschema"
            reads.append(Contender(name, lambda body, validate=validate: validate(json.loads(body)), (payload,), slow))
    if kind is Kind.SCHEDULE:
        reads.append(Contender("digest", digest, (second,), loops))
    yield "decode", reads
    yield "encode", writes
    yield "decode and encode", boths


def measured(message: str, does: str, group: list[Contender], repetitions: int) -> list[Row]:
    """Time the contenders in turn, again and again."""
    for contender in group:
        timed(contender)
    runs = [[timed(contender) for contender in group] for _ in range(repetitions)]
    places = {contender.name: at for at, contender in enumerate(group)}

    columns = list(zip(*runs, strict=True))
    best = [min(column) for column in columns]
    return [
        Row(
            message=message,
            does=does,
            what=contender.name,
            us=statistics.median(column) * 1e6,
            best_us=best[at] * 1e6,
            to_raw_v1=statistics.median(run[at] / run[0] for run in runs),
            best_to_raw_v1=best[at] / best[0],
            best_to_own_raw=best[at] / best[places[contender.own]] if contender.own else None,
        )
        for at, (contender, column) in enumerate(zip(group, columns, strict=True))
    ]


class Goal(msgspec.Struct):
    """One line of the goals that the design sets.

    :param what: in words.
    :param most: the largest ratio that meets it.
    :param seen: the ratio of this run's best times; ``None`` where the encoding is not installed.
    """

    what: str
    most: float
    seen: float | None


def goals(rows: Sequence[Row]) -> list[Goal]:
    """The goals with what was seen."""

    def seen(message: str, does: str, what: str, *, own: bool = False) -> float | None:
        for row in rows:
            if (row.message, row.does) == (message, does) and row.what.startswith(f"{what},") and "raw" not in row.what:
                return row.best_to_own_raw if own else row.best_to_raw_v1
        return None

    plan = "schedule, 48 slots"
    return [
        Goal("v1 schedule, decode, to raw v1 JSON", 1.5, seen(plan, "decode", "v1 JSON")),
        Goal("v2 schedule in JSON, decode, to raw v1 JSON", 0.5, seen(plan, "decode", "v2 JSON")),
        Goal("v2 schedule in MessagePack, decode, to raw v1 JSON", 0.35, seen(plan, "decode", "v2 MessagePack")),
        Goal("v2 schedule in Protobuf, both ways, to raw v1 JSON", 1.5, seen(plan, "decode and encode", "v2 Protobuf")),
        Goal("v2 ack in JSON, both ways, to raw on the same bytes", 2.0, seen("ack", "decode and encode", "v2 JSON", own=True)),
        Goal(
            "v2 ack in MessagePack, both ways, to raw on the same bytes",
            2.0,
            seen("ack", "decode and encode", "v2 MessagePack", own=True),
        ),
    ]


def show(rows: Sequence[Row]) -> None:
    """Print the tables."""
    shown = ("", "")
    for row in rows:
        if (row.message, row.does) != shown:
            shown = (row.message, row.does)
            titles = f"{'median us':>10}{'to raw v1':>11}{'best us':>10}{'to raw v1':>11}{'to own raw':>12}"
            print(f"\n{f'{row.message}: {row.does}':46}{titles}")
        own = "" if row.best_to_own_raw is None else f"{row.best_to_own_raw:.2f}"
        figures = f"{row.us:10.2f}{row.to_raw_v1:11.2f}{row.best_us:10.2f}{row.best_to_raw_v1:11.2f}{own:>12}"
        print(f"  {row.what:44}{figures}")
    print(f"\n{'goals, by the best times':62}{'at most':>9}{'seen':>8}")
    for goal in goals(rows):
        seen = "not installed" if goal.seen is None else f"{goal.seen:8.2f}  {'met' if goal.seen <= goal.most else 'missed'}"
        print(f"  {goal.what:60}{goal.most:9.2f}{seen}")


def main() -> int:
    """Run, and print."""
    parser = argparse.ArgumentParser(description="Time the codec against msgspec without checks and against peers.")
    parser.add_argument("--repetitions", type=int, default=250, help="how often each contender has its turn (default 250)")
    parser.add_argument("--loops", type=int, default=50, help="how many messages a turn takes (default 50)")
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    options = parser.parse_args()
    rows = [
        row
        for name, kind, first, second in CORPUS
        for does, group in contenders(kind, first, second, options.loops)
        for row in measured(name, does, group, options.repetitions)
    ]
    machine = {"python": platform.python_version(), "msgspec": msgspec.__version__, "machine": platform.machine()}
    if options.json:
        print(json.dumps({"machine": machine, "rows": msgspec.to_builtins(rows), "goals": msgspec.to_builtins(goals(rows))}))
        return 0
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
