"""A device's whole way of a schedule, from the frame to two acknowledgements, against parsing its bytes and nothing else.

``python benchmarks/session.py`` prints two tables: the way over a store in memory and over SQLite with ``synchronous=FULL``,
and admission against ledgers of different sizes. Method: README.md beside this file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from codec import RawSchedule, schedule

from allye_protocol import Capabilities, DeviceConfig, DeviceSession, Frame, Hello, Schedule, ScheduleId, digest, encode
from allye_protocol.admission import Policy
from allye_protocol.idempotency import Ledger
from allye_protocol.messages import Ack, AckStatus
from allye_protocol.store import DeviceStore, Entry, EntryState, MemoryStore
from allye_protocol.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2018, 6, 30, 18, 0, tzinfo=UTC)
LIMIT_W = 200_000
POLICY = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W)
DAY = schedule(date(2018, 7, 1), modes=True)
HELLO = Hello(
    device_id=DAY.device_id,
    versions=(1,),
    content_types=("application/json",),
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


def schedules(first: int = 0) -> Iterator[Schedule]:
    """The same day planned again and again: new ids, each generated a millisecond after the one before."""
    number = first
    while True:
        made_at = NOW - timedelta(hours=1) + timedelta(milliseconds=number)
        yield msgspec.structs.replace(DAY, schedule_id=ScheduleId(f"plan-{number}"), generated_at=made_at)
        number += 1


def zeros(count: int) -> bytes:
    """Trace ids cost what they cost; making them random is the operating system's part."""
    return bytes(count)


class Way:
    """One device over one store, and how long a batch of new schedules takes it."""

    def __init__(self, store: DeviceStore) -> None:
        self._session = DeviceSession(CONFIG, store, random_bytes=zeros)

    def batch(self, frames: list[Frame]) -> tuple[float, float]:
        """Seconds a schedule until both answers are stored, and until the broker has them."""
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
        return stored / len(frames), (stored + handed_over) / len(frames)


def raw(frames: list[Frame]) -> float:
    """Seconds a schedule for parsing it without any check."""
    decoder = msgspec.json.Decoder(RawSchedule)
    start = time.perf_counter()
    for frame in frames:
        decoder.decode(frame.payload)
    return (time.perf_counter() - start) / len(frames)


def whole_way(folder: Path, repetitions: int, loops: int) -> None:
    """Print the first table."""
    memory, sqlite = Way(MemoryStore()), Way(SqliteStore(folder / "way.db"))
    source = schedules()
    rows: list[tuple[float, ...]] = []
    for _ in range(repetitions + 1):
        frames = [Frame(topic=TOPIC, payload=encode(each)) for each in islice(source, loops)]
        rows.append((raw(frames), *memory.batch(frames), *sqlite.batch(frames)))
    titles = (
        "raw decode, nothing checked",
        "memory, frame to two answers stored",
        "memory, frame to two answers sent",
        "SQLite FULL, frame to two answers stored",
        "SQLite FULL, frame to two answers sent",
    )
    print(f"{'48 slots with modes':44} {'median us':>10} {'best us':>9} {'ratio':>7}")
    for column, title in enumerate(titles):
        times = [row[column] for row in rows[1:]]
        ratio = statistics.median(row[column] / row[0] for row in rows[1:])
        print(f"{title:44} {statistics.median(times) * 1e6:10.1f} {min(times) * 1e6:9.1f} {ratio:7.1f}")


def fill(store: DeviceStore, ids: int) -> None:
    """A ledger of so many applied schedules."""
    mark = digest(DAY)
    with store.transaction():
        for each in islice(schedules(), ids):
            answer = Ack(schedule_id=each.schedule_id, device_id=each.device_id, status=AckStatus.APPLIED, timestamp=NOW)
            entry = Entry(
                schedule_id=each.schedule_id,
                digest=mark,
                generated_at=each.generated_at,
                end=each.end,
                state=EntryState.APPLIED,
                attempts=1,
                trace_id="",
                answer=answer,
            )
            store.put_entry(entry)
        store.raise_high_water(each.generated_at)


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
            ledger, arriving = Ledger(store, POLICY), list(islice(source, loops))
            new_s[-1].append(_timed(ledger, arriving))
            repeated_s[-1].append(_timed(ledger, [known] * loops))
    print(f"\n{'admission, us':14} {'ids':>9} {'a new one':>10} {'a repetition':>13}")
    for column, (name, size, _) in enumerate(stores):
        fresh = statistics.median(row[column] for row in new_s[1:])
        again = statistics.median(row[column] for row in repeated_s[1:])
        print(f"{name:14} {size:9,} {fresh * 1e6:10.1f} {again * 1e6:13.1f}")


def _timed(ledger: Ledger, arriving: list[Schedule]) -> float:
    admit: Callable[..., object] = ledger.admit
    start = time.perf_counter()
    for each in arriving:
        admit(each, NOW, clock_trusted=True, trace_id="")
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
