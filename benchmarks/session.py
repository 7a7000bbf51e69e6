"""A device's whole way of a schedule, from the frame to two acknowledgements, against parsing its bytes and nothing else.

``python benchmarks/session.py`` prints two tables: the way over a store in memory and over SQLite with ``synchronous=FULL``, in
every version and encoding, and admission against ledgers of different sizes. Method: README.md beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import msgspec
from codec import NOW, SCHEDULE, SHORT
from raw_messages import RAW

from allye_protocol import DeviceConfig, DeviceSession, Frame, Hello, Schedule, convert
from allye_protocol.admission import Policy
from allye_protocol.codec import JSON, MSGPACK, PROTOBUF
from allye_protocol.digest import digest
from allye_protocol.idempotency import Arrival, Ledger
from allye_protocol.ids import ScheduleId
from allye_protocol.messages import Ack, AckStatus, Capabilities, sequence_at, v1
from allye_protocol.negotiation import Agreement
from allye_protocol.store import DeviceStore, Entry, EntryState, MemoryStore
from allye_protocol.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_W = 200_000
POLICY = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W)
DAY = cast("Schedule", convert.upgrade(SCHEDULE))
HELLO = Hello(
    device_id=DAY.device_id,
    versions=(1, 2),
    content_types=(JSON, MSGPACK, PROTOBUF),
    model="benchmark",
    firmware="1",
    library="allye-protocol",
    capabilities=Capabilities(
        max_charge_w=LIMIT_W,
        max_discharge_w=LIMIT_W,
        capacity_wh=300_000,
        power_step_w=100,
        soc_min_pct=10.0,
        soc_max_pct=95.0,
        slot_lengths_s=(1800,),
    ),
)
CONFIG = DeviceConfig(hello=HELLO, policy=POLICY)
TOPIC = f"devices/{DAY.device_id}/schedule"
AGREEMENTS = [
    Agreement(version=1, content_type=JSON),
    *(Agreement(version=2, content_type=content_type) for content_type in (JSON, MSGPACK, PROTOBUF)),
]


def schedules(first: int = 0) -> Iterator[Schedule]:
    """The same day planned again and again: new ids, each a millisecond after the one before."""
    number = first
    while True:
        made_at = NOW - timedelta(hours=1) + timedelta(milliseconds=number)
        name = ScheduleId(f"plan-{number}")
        yield msgspec.structs.replace(DAY, schedule_id=name, generated_at=made_at, sequence=sequence_at(made_at))
        number += 1


def zeros(count: int) -> bytes:
    """Trace ids cost what they cost; making them random is the operating system's part."""
    return bytes(count)


class Turn(NamedTuple):
    """Seconds a schedule until both answers are stored, and until the broker has them."""

    stored: float
    sent: float


class Way:
    """One device over one store, and how long a batch of new schedules takes it."""

    def __init__(self, store: DeviceStore) -> None:
        self._session = DeviceSession(CONFIG, store, random_bytes=zeros)

    def turn(self, frames: list[Frame]) -> Turn:
        """Take a batch; after each schedule time passes, uncounted, so that what it replaced is retired."""
        stored = handed_over = 0.0
        for frame in frames:
            start = time.perf_counter()
            (event,) = self._session.receive(frame, NOW)
            self._session.applied(event.schedule.schedule_id, NOW)  # type: ignore[union-attr]
            middle = time.perf_counter()
            outgoing = self._session.frames_to_send(NOW)
            for number, _ in outgoing:
                self._session.sent(number)
            handed_over += time.perf_counter() - middle
            stored += middle - start
            if len(outgoing) != 2:
                raise SystemExit(f"{len(outgoing)} answers instead of 2")
            self._session.tick(NOW, None)
            for number, _ in self._session.frames_to_send(NOW):
                self._session.sent(number)
        return Turn(stored / len(frames), (stored + handed_over) / len(frames))


def raw(payloads: list[bytes]) -> float:
    """Seconds a schedule for parsing version 1 without any check."""
    decoder = msgspec.json.Decoder(RAW[v1.Schedule])
    start = time.perf_counter()
    for payload in payloads:
        decoder.decode(payload)
    return (time.perf_counter() - start) / len(payloads)


def whole_way(folder: Path, repetitions: int, loops: int) -> None:
    """Print the first table."""
    ways = [
        (agreement, name, Way(store))
        for index, agreement in enumerate(AGREEMENTS)
        for name, store in (("memory", MemoryStore()), ("SQLite FULL", SqliteStore(folder / f"{index}.db")))
    ]
    source = schedules()
    rows: list[tuple[float, list[Turn]]] = []
    for _ in range(repetitions + 1):
        batch = list(islice(source, loops))
        payloads = {
            agreement: [convert.encode(each, agreement.content_type, version=agreement.version) for each in batch]
            for agreement in AGREEMENTS
        }
        turns = [
            way.turn([Frame(topic=TOPIC, payload=each, content_type=agreement.content_type) for each in payloads[agreement]])
            for agreement, _, way in ways
        ]
        rows.append((raw(payloads[AGREEMENTS[0]]), turns))
    rows = rows[1:]
    fastest = min(row[0] for row in rows)
    print(f"{'48 slots: best us, ratio of bests, median ratio':48} {'two answers stored':>28} {'two answers sent':>28}")
    print(f"{'version 1 JSON, raw decode':48} {fastest * 1e6:12.1f} {1.0:7.1f} {1.0:7.1f}")
    for column, (agreement, name, _) in enumerate(ways):
        title = f"version {agreement.version} {SHORT[agreement.content_type]}, {name}"
        figures = ""
        for part in range(2):
            best = min(row[1][column][part] for row in rows)
            ratio = statistics.median(row[1][column][part] / row[0] for row in rows)
            figures += f" {best * 1e6:12.1f} {best / fastest:7.1f} {ratio:7.1f}"
        print(f"{title:48}{figures}")


def fill(store: DeviceStore, ids: int) -> None:
    """A ledger of so many schedules that are over."""
    mark, highest = digest(DAY), 0
    with store.transaction():
        for each in islice(schedules(), ids):
            answer = Ack(
                schedule_id=each.schedule_id,
                device_id=each.device_id,
                version=2,
                status=AckStatus.APPLIED,
                timestamp=NOW,
                sequence=each.sequence,
                digest=mark,
                applied_at=NOW,
            )
            entry = Entry(
                schedule_id=each.schedule_id,
                digest=mark,
                sequence=each.sequence,
                end=each.end,
                state=EntryState.OVER,
                attempts=1,
                traceparent="",
                answer=answer,
            )
            store.put_entry(entry)
            highest = each.sequence
        store.raise_high_water(highest)


def admissions(folder: Path, sizes: list[int], repetitions: int, loops: int) -> None:
    """Print the second table."""
    stores: list[tuple[str, int, DeviceStore]] = []
    for size in sizes:
        stores += [("memory", size, MemoryStore()), ("SQLite FULL", size, SqliteStore(folder / f"{size}.db"))]
    for _, size, store in stores:
        fill(store, size)
    sources = [schedules(size) for _, size, _ in stores]
    # Three quarters through the smallest ledger: an id that every ledger holds.
    known = next(iter(islice(schedules(min(sizes) * 3 // 4), 1)))
    new_s: list[list[float]] = []
    repeated_s: list[list[float]] = []
    for _ in range(repetitions + 1):
        new_s.append([])
        repeated_s.append([])
        for (_, _, store), source in zip(stores, sources, strict=True):
            ledger, arriving = Ledger(DAY.device_id, store, POLICY), list(islice(source, loops))
            new_s[-1].append(_timed(ledger, arriving))
            repeated_s[-1].append(_timed(ledger, [known] * loops))
    print(f"\n{'admission, us':14} {'ids':>9} {'a new one':>10} {'a repetition':>13}")
    for column, (name, size, _) in enumerate(stores):
        fresh = statistics.median(row[column] for row in new_s[1:])
        again = statistics.median(row[column] for row in repeated_s[1:])
        print(f"{name:14} {size:9,} {fresh * 1e6:10.1f} {again * 1e6:13.1f}")


def _timed(ledger: Ledger, arriving: list[Schedule]) -> float:
    arrivals = [(each, Arrival(convert.encode(each), JSON, "", NOW, clock_trusted=True)) for each in arriving]
    start = time.perf_counter()
    for each, arrival in arrivals:
        ledger.admit(each, arrival)
    return (time.perf_counter() - start) / len(arriving)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Time a device session's whole way of a schedule.")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--loops", type=int, default=100, help="schedules a repetition")
    parser.add_argument("--ids", type=int, nargs="+", default=[1_000, 100_000], help="sizes of the ledgers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole_way(Path(folder), chosen.repetitions, chosen.loops)
        admissions(Path(folder), chosen.ids, chosen.repetitions, chosen.loops)


if __name__ == "__main__":
    main()
