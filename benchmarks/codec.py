"""The codec against msgspec without any check, and against peers, on the same bytes.

``python benchmarks/codec.py`` prints a table, with ``--json`` the figures for programs. Method: README.md beside this file.
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
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol import decode, digest, encode, schema
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import (
    Ack,
    AckStatus,
    ExecutionResult,
    ExecutionStatus,
    Interval,
    Kind,
    Message,
    Mode,
    Schedule,
    TimeSpan,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

DAYS = 64
"""Different days for the cold figures: more than any cache of days holds."""
IDS: dict[str, Any] = {"schedule_id": ScheduleId("plan-2018-07-01-a"), "device_id": DeviceId("max300-0001")}
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HALF_HOUR = timedelta(minutes=30)


class RawInterval(msgspec.Struct):
    """What a reader without rules would write."""

    start: datetime
    end: datetime
    rate_kw: float
    mode: Mode | None = None


class RawSchedule(msgspec.Struct, omit_defaults=True):
    """The same fields and types as the protocol's schedule, nothing checked."""

    schedule_id: str
    device_id: str
    version: int
    generated_at: datetime
    intervals: list[RawInterval]
    max_power_kw: float | None = None
    trace_id: str | None = None


class RawAck(msgspec.Struct, omit_defaults=True):
    """The same fields and types as the protocol's acknowledgement, nothing checked."""

    schedule_id: str
    device_id: str
    status: AckStatus
    timestamp: datetime
    applied_at: datetime | None = None
    error_reason: str | None = None
    trace_id: str | None = None


class RawSpan(msgspec.Struct):
    """A slot, nothing checked."""

    start: datetime
    end: datetime


class RawResult(msgspec.Struct, omit_defaults=True):
    """The same fields and types as the protocol's execution result, nothing checked."""

    schedule_id: str
    device_id: str
    interval: RawSpan
    status: ExecutionStatus
    actual_rate_kw: float
    timestamp: datetime
    error_reason: str | None = None
    trace_id: str | None = None


def schedule(day: date, *, modes: bool) -> Schedule:
    """48 half-hours whose rates have one to three decimals, as a planner's have."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    rates = [((slot * 7_919 + 13) % 3001 - 1500) / 10 + slot / 1000 for slot in range(48)]
    intervals = (
        Interval(
            start=start + HALF_HOUR * slot,
            end=start + HALF_HOUR * (slot + 1),
            rate_kw=round(rate, 3),
            mode=(Mode.CHARGE if rate > 0 else Mode.DISCHARGE) if modes else None,
        )
        for slot, rate in enumerate(rates)
    )
    return Schedule(
        **IDS,
        version=1,
        generated_at=start - timedelta(hours=6),
        intervals=tuple(intervals),
        max_power_kw=151.0,
        trace_id=TRACE_ID,
    )


NOW = datetime(2018, 6, 30, 18, 0, 1, 250_000, tzinfo=UTC)
SLOT = NOW.replace(second=0, microsecond=0)
ACK = Ack(**IDS, status=AckStatus.APPLIED, timestamp=NOW, applied_at=NOW, trace_id=TRACE_ID)
RESULT = ExecutionResult(
    **IDS,
    interval=TimeSpan(start=SLOT, end=SLOT + HALF_HOUR),
    status=ExecutionStatus.SUCCEED,
    actual_rate_kw=74.6,
    timestamp=NOW,
    trace_id=TRACE_ID,
)
FIRST_DAY = date(2018, 7, 1)
CORPUS: list[tuple[str, Kind, type, list[Message]]] = [
    (
        "schedule, 48 slots with modes",
        Kind.SCHEDULE,
        RawSchedule,
        [schedule(FIRST_DAY + timedelta(days=n), modes=True) for n in range(DAYS)],
    ),
    (
        "schedule, 48 slots",
        Kind.SCHEDULE,
        RawSchedule,
        [schedule(FIRST_DAY + timedelta(days=n), modes=False) for n in range(DAYS)],
    ),
    ("ack", Kind.ACK, RawAck, [ACK]),
    ("execution result", Kind.EXECUTION_RESULT, RawResult, [RESULT]),
]


class Contender(msgspec.Struct):
    """One way of doing one thing.

    :param name: what it is called in the table.
    :param work: does it once for an element of ``inputs``.
    :param inputs: taken in turn.
    :param loops: how often a repetition does it.
    """

    name: str
    work: Callable[[Any], object]
    inputs: Sequence[Any]
    loops: int


class Row(msgspec.Struct):
    """One line of the table.

    :param message: what is read or written.
    :param size_bytes: its length in JSON.
    :param what: the contender.
    :param us: median time of one, microseconds.
    :param best_us: least time of one over the repetitions, microseconds.
    :param ratio: median over the repetitions of its time over that of ``baseline`` in the same repetition.
    :param baseline: the raw contender that it is compared with.
    """

    message: str
    size_bytes: int
    what: str
    us: float
    best_us: float
    ratio: float
    baseline: str


def timed(contender: Contender) -> float:
    """Seconds for one, on average over a repetition."""
    work, turns = contender.work, list(itertools.islice(itertools.cycle(contender.inputs), contender.loops))
    start = time.perf_counter()
    for each in turns:
        work(each)
    return (time.perf_counter() - start) / contender.loops


def contenders(kind: Kind, raw: type, messages: list[Message], loops: int) -> Iterable[list[Contender]]:
    """Groups of contenders for one message; the first of each group is its baseline."""
    payloads = [encode(message) for message in messages]
    read: Callable[[bytes], Any] = msgspec.json.Decoder(raw).decode
    write = msgspec.json.Encoder().encode
    one, first = payloads[:1], messages[:1]

    def raw_both(payload: bytes) -> object:
        return write(read(payload))

    def both(payload: bytes) -> object:
        return encode(decode(payload, kind))

    group = [
        Contender("raw msgspec decode", read, one, loops),
        Contender("decode, warm", lambda payload: decode(payload, kind), one, loops),
    ]
    if len(payloads) > 1:
        group.append(Contender("decode, cold: a new day each time", lambda payload: decode(payload, kind), payloads, loops))
    group.append(Contender("stdlib json.loads, nothing checked", json.loads, one, loops))
    if importlib.util.find_spec("jsonschema"):
        validator = schema.validator(kind)
        slow = max(3, loops // 50)
        group.append(Contender("json.loads + jsonschema", lambda payload: validator.validate(json.loads(payload)), one, slow))
    yield group
    yield [Contender("raw msgspec encode", write, [read(one[0])], loops), Contender("encode", encode, first, loops)]
    yield [Contender("raw msgspec decode + encode", raw_both, one, loops), Contender("decode + encode", both, one, loops)]
    if kind is Kind.SCHEDULE:
        yield [Contender("raw msgspec decode", read, one, loops), Contender("digest", digest, first, loops)]


def measured(message: str, size_bytes: int, group: list[Contender], repetitions: int) -> list[Row]:
    """Time the contenders in turn, again and again."""
    for contender in group:
        timed(contender)
    runs = [[timed(contender) for contender in group] for _ in range(repetitions)]
    return [
        Row(
            message=message,
            size_bytes=size_bytes,
            what=contender.name,
            us=statistics.median(column) * 1e6,
            best_us=min(column) * 1e6,
            ratio=statistics.median(run[at] / run[0] for run in runs),
            baseline=group[0].name,
        )
        for at, (contender, column) in enumerate(zip(group, zip(*runs, strict=True), strict=True))
    ]


def main() -> int:
    """Run, and print."""
    parser = argparse.ArgumentParser(description="Time the codec against msgspec without checks and against peers.")
    parser.add_argument("--repetitions", type=int, default=25, help="how often each contender has its turn (default 25)")
    parser.add_argument("--loops", type=int, default=500, help="how many messages a turn takes (default 500)")
    parser.add_argument("--json", action="store_true", help="print the figures for programs")
    options = parser.parse_args()
    rows = [
        row
        for name, kind, raw, messages in CORPUS
        for group in contenders(kind, raw, messages, options.loops)
        for row in measured(name, len(encode(messages[0])), group, options.repetitions)
    ]
    machine = {"python": platform.python_version(), "msgspec": msgspec.__version__, "machine": platform.machine()}
    if options.json:
        print(json.dumps({"machine": machine, "rows": msgspec.to_builtins(rows)}, indent=2))
        return 0
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    shown = ""
    for row in rows:
        if row.message != shown:
            shown = row.message
            print(f"\n{f'{shown}, {row.size_bytes} bytes':42}{'median us':>10}{'best us':>10}{'ratio':>8}")
        print(f"  {row.what:40}{row.us:10.2f}{row.best_us:10.2f}{row.ratio:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
