"""A device store in SQLite: what a device uses.

1. Write-ahead log with ``synchronous=FULL``: a transaction that returned has reached the disk. With ``NORMAL``, acknowledged
   schedules were lost in simulated power cuts; that setting is not offered.
2. ``BEGIN IMMEDIATE``: a transaction that begins can be finished; there is no lock to wait for half-way.
3. Rows hold the columns that queries need, and the record itself as MessagePack.
4. One thread at a time, of whatever name. Other processes may read at any time (``allye-device status`` does).
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import msgspec

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages import Kind
from allye_protocol.store.base import (
    MAX_FAILED_ENTRIES,
    MAX_OUTBOX_ROWS,
    MAX_REJECTED_ROWS,
    DeviceStore,
    Entry,
    EntryState,
    OutboxRow,
    PlannedSlot,
    Rank,
    Rejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["SqliteStore"]

APPLICATION_ID: Final = 0x416C7965
"""Marks a file as a device store in SQLite's own header, so that no other program's database is taken for one."""
SCHEMA_VERSION: Final = 2
SCHEMA: Final = """
CREATE TABLE entry (schedule_id TEXT PRIMARY KEY, generated_at INTEGER, ends INTEGER, state TEXT, record BLOB) WITHOUT ROWID;
CREATE INDEX entry_by_state ON entry (state, generated_at);
CREATE INDEX entry_by_end ON entry (ends);
CREATE TABLE slot (starts INTEGER PRIMARY KEY, ends INTEGER, reported INTEGER, record BLOB);
CREATE INDEX slot_open ON slot (ends) WHERE NOT reported;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, payload BLOB, traceparent TEXT, tracestate TEXT, rank INTEGER
);
CREATE INDEX outbox_by_rank ON outbox (rank);
CREATE TABLE rejected (number INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB);
CREATE TABLE high_water (only INTEGER PRIMARY KEY CHECK (only = 1), generated_at INTEGER);
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_encode: Final = msgspec.msgpack.Encoder().encode
_entry: Final = msgspec.msgpack.Decoder(Entry).decode
_slot: Final = msgspec.msgpack.Decoder(PlannedSlot).decode
_rejected: Final = msgspec.msgpack.Decoder(Rejected).decode

Record = TypeVar("Record")


class SqliteStore(DeviceStore):
    """Inbox, plan and outbox of one device in one SQLite file.

    :param path: the file; it is made where there is none. Its folder must exist.
    :param max_outbox_rows: rows above which the lowest in rank gives way.
    :param read_only: for another process's eyes: the file must be there, and every write raises ``store.failed``.
    :raises StoreError: ``store.corrupt`` for a file that is no intact store of this version, ``store.failed`` for one that
        cannot be opened.
    """

    def __init__(self, path: Path | str, *, max_outbox_rows: int = MAX_OUTBOX_ROWS, read_only: bool = False) -> None:
        self.path: Final = str(path)
        self._max_outbox_rows: Final = max_outbox_rows
        self._depth = 0
        try:
            place = f"{Path(self.path).absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
            self._db = sqlite3.connect(place, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            self._fail(error)
        try:
            self._prepare(read_only=read_only)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, *, read_only: bool) -> None:
        # Reading comes first: a file that is not ours is left as it was found.
        if not self._is_empty() or read_only:
            self._check_identity()
        if read_only:
            return
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        if self._is_empty():
            with self.transaction():
                self._create()
        (health,) = self._run("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise StoreError(ErrorCode.STORE_CORRUPT, f"{self.path} is damaged ({health}): move it away and start again")

    def _is_empty(self) -> bool:
        return self._run("SELECT 1 FROM sqlite_master").fetchone() is None

    def _check_identity(self) -> None:
        (application,) = self._run("PRAGMA application_id").fetchone()
        (version,) = self._run("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise StoreError(ErrorCode.STORE_CORRUPT, f"{self.path} is the database of another program: use another file")
        if version != SCHEMA_VERSION:
            raise StoreError(
                ErrorCode.STORE_CORRUPT,
                f"{self.path} has store layout {version}; this library knows {SCHEMA_VERSION}: upgrade it, or use another file",
            )

    def _create(self) -> None:
        for statement in SCHEMA.strip().split(";\n"):
            self._run(statement)
        self._run(f"PRAGMA application_id = {APPLICATION_ID}")
        self._run(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file. Using the store afterwards raises ``store.failed``."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is on disk when this returns, or none of it."""
        if self._depth:
            yield
            return
        self._roll_back()  # of a transaction whose rollback failed, for a trouble that may be over
        self._run("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._depth = 0

    def _roll_back(self) -> None:
        # SQLite has rolled back by itself after some errors, a full disk among them.
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._fail(error)

    def entry(self, schedule_id: str) -> Entry | None:
        """What is remembered of an id."""
        row = self._run("SELECT record FROM entry WHERE schedule_id = ?", schedule_id).fetchone()
        return None if row is None else self._read(_entry, row[0])

    def put_entry(self, entry: Entry) -> None:
        """Remember an entry."""
        columns = (entry.schedule_id, _micros(entry.generated_at), _micros(entry.end), entry.state, _encode(entry))
        with self.transaction():
            self._run("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", *columns)
            if entry.state is EntryState.FAILED:
                self._run(
                    "DELETE FROM entry WHERE schedule_id IN (SELECT schedule_id FROM entry WHERE state = ? "
                    "ORDER BY generated_at DESC, schedule_id DESC LIMIT -1 OFFSET ?)",
                    *(EntryState.FAILED, MAX_FAILED_ENTRIES),
                )

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and not settled, oldest first."""
        rows = self._run("SELECT record FROM entry WHERE state = ? ORDER BY generated_at", EntryState.ADMITTED)
        return [self._read(_entry, record) for (record,) in rows]

    def high_water(self) -> datetime | None:
        """``generated_at`` of the newest schedule ever admitted."""
        row = self._run("SELECT generated_at FROM high_water").fetchone()
        return None if row is None else _EPOCH + row[0] * _MICROSECOND

    def raise_high_water(self, generated_at: datetime) -> None:
        """Never falls."""
        self._run(
            "INSERT INTO high_water VALUES (1, ?) ON CONFLICT (only) "
            "DO UPDATE SET generated_at = max(generated_at, excluded.generated_at)",
            _micros(generated_at),
        )

    def slots(self, start: datetime, end: datetime) -> list[PlannedSlot]:
        """The planned slots that begin in ``[start, end)``."""
        rows = self._run(
            "SELECT record FROM slot WHERE starts >= ? AND starts < ? ORDER BY starts", _micros(start), _micros(end)
        )
        return [self._read(_slot, record) for (record,) in rows]

    def slot_at(self, instant: datetime) -> PlannedSlot | None:
        """The planned slot that contains ``instant``."""
        at = _micros(instant)
        row = self._run("SELECT ends, record FROM slot WHERE starts <= ? ORDER BY starts DESC LIMIT 1", at).fetchone()
        return None if row is None or row[0] <= at else self._read(_slot, row[1])

    def next_slot(self, after: datetime) -> PlannedSlot | None:
        """The first planned slot that begins after ``after``."""
        row = self._run("SELECT record FROM slot WHERE starts > ? ORDER BY starts LIMIT 1", _micros(after)).fetchone()
        return None if row is None else self._read(_slot, row[0])

    def unreported(self, now: datetime) -> list[PlannedSlot]:
        """The ended slots without a result."""
        rows = self._run("SELECT record FROM slot WHERE NOT reported AND ends <= ? ORDER BY starts", _micros(now))
        return [self._read(_slot, record) for (record,) in rows]

    def put_slots(self, slots: Iterable[PlannedSlot]) -> None:
        """Store slots by their start."""
        rows = [(_micros(slot.start), _micros(slot.end), slot.reported, _encode(slot)) for slot in slots]
        self._run("INSERT OR REPLACE INTO slot VALUES (?, ?, ?, ?)", *rows, many=True)

    def push(self, kind: Kind, payload: bytes, traceparent: str, *, tracestate: str = "", rank: Rank = Rank.ANSWER) -> int:
        """Append to the outbox."""
        with self.transaction():
            if self._outbox_is_full():
                lowest, number = self._run("SELECT rank, number FROM outbox ORDER BY rank, number LIMIT 1").fetchone()
                if rank < min(lowest, Rank.RESULT):
                    return 0
                self.pop(number)
            insert = "INSERT INTO outbox (kind, payload, traceparent, tracestate, rank) VALUES (?, ?, ?, ?, ?)"
            return self._run(insert, kind, payload, traceparent, tracestate, rank).lastrowid or 0

    def _outbox_is_full(self) -> bool:
        # Counting reads every row. Two numbers that are close together say as much without it.
        first, last = self._run("SELECT (SELECT min(number) FROM outbox), (SELECT max(number) FROM outbox)").fetchone()
        if first is None or last - first + 1 < self._max_outbox_rows:
            return False
        return self.outbox_size() >= self._max_outbox_rows

    def outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """The oldest rows above ``after``."""
        rows = self._run(
            "SELECT number, kind, payload, traceparent, tracestate, rank FROM outbox WHERE number > ? ORDER BY number LIMIT ?",
            *(after, limit),
        )
        return [
            OutboxRow(
                number=row[0],
                kind=self._read(Kind, row[1]),
                payload=row[2],
                traceparent=row[3],
                tracestate=row[4],
                rank=self._read(Rank, row[5]),
            )
            for row in rows
        ]

    def pop(self, number: int) -> None:
        """Forget a row that the broker has."""
        self._run("DELETE FROM outbox WHERE number = ?", number)

    def outbox_size(self) -> int:
        """How many rows wait."""
        (count,) = self._run("SELECT count(*) FROM outbox").fetchone()
        return int(count)

    def keep_rejected(self, rejected: Rejected) -> None:
        """Add to the ring."""
        with self.transaction():
            number = self._run("INSERT INTO rejected (record) VALUES (?)", _encode(rejected)).lastrowid or 0
            self._run("DELETE FROM rejected WHERE number <= ?", number - MAX_REJECTED_ROWS)

    def rejected(self) -> list[Rejected]:
        """The ring, oldest first."""
        return [self._read(_rejected, record) for (record,) in self._run("SELECT record FROM rejected ORDER BY number")]

    def prune(self, before: datetime) -> int:
        """Forget what ended long ago."""
        at = _micros(before)
        with self.transaction():
            entries = self._run("DELETE FROM entry WHERE ends < ? AND state != ?", at, EntryState.ADMITTED)
            slots = self._run("DELETE FROM slot WHERE ends < ? AND reported", at)
        return entries.rowcount + slots.rowcount

    def _read(self, decode: Callable[[Any], Record], record: object) -> Record:
        try:
            return decode(record)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            # SQLite has no checksums: a page that is whole may hold a record that is not.
            message = f"{self.path} holds a record that cannot be read ({error}): move it away and start again"
            raise StoreError(ErrorCode.STORE_CORRUPT, message) from error

    def _run(self, statement: str, *values: Any, many: bool = False) -> sqlite3.Cursor:
        """Run a statement, with ``many`` once for each row of values."""
        if self._depth and not self._db.in_transaction:
            # Whoever caught the error and went on would store the rest of the transaction without its beginning.
            raise StoreError(ErrorCode.STORE_FAILED, "this transaction was undone when a statement of it failed")
        try:
            return self._db.executemany(statement, values) if many else self._db.execute(statement, values)
        except sqlite3.Error as error:
            self._fail(error)

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        number = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code; SQLite extends it in the higher bits
        if number == sqlite3.SQLITE_FULL:
            raise StoreError(ErrorCode.STORE_FULL, f"no space left to write {self.path}: free some") from error
        if number in _CORRUPT:
            raise StoreError(ErrorCode.STORE_CORRUPT, f"{self.path} is no intact store ({error}): move it away") from error
        raise StoreError(ErrorCode.STORE_FAILED, f"cannot use {self.path}: {error}") from error


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
