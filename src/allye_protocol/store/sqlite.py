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
from allye_protocol.messages import Kind, ScheduleEvent
from allye_protocol.negotiation import Agreement
from allye_protocol.store.base import (
    MAX_CANCELLATIONS,
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
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["SqliteStore"]

APPLICATION_ID: Final = 0x416C7965
"""Marks a file as a device store in SQLite's own header, so that no other program's database is taken for one."""
SCHEMA_VERSION: Final = 3
SCHEMA: Final = """
CREATE TABLE entry (schedule_id TEXT PRIMARY KEY, sequence INTEGER, ends INTEGER, state TEXT, record BLOB) WITHOUT ROWID;
CREATE INDEX entry_by_state ON entry (state, sequence);
CREATE INDEX entry_by_end ON entry (ends);
CREATE TABLE cancellation (sequence INTEGER PRIMARY KEY, record BLOB);
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT, payload BLOB, version INTEGER, content_type TEXT, traceparent TEXT, tracestate TEXT, rank INTEGER
);
CREATE INDEX outbox_by_rank ON outbox (rank);
CREATE TABLE rejected (number INTEGER PRIMARY KEY AUTOINCREMENT, record BLOB);
CREATE TABLE value (name TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID;
"""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_CORRUPT: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_encode: Final = msgspec.msgpack.Encoder().encode
_entry: Final = msgspec.msgpack.Decoder(Entry).decode
_event: Final = msgspec.msgpack.Decoder(ScheduleEvent).decode
_running: Final = msgspec.msgpack.Decoder(PlannedSlot | None).decode
_reported: Final = msgspec.msgpack.Decoder(tuple[Span, ...]).decode
_agreement: Final = msgspec.msgpack.Decoder(Agreement).decode
_number: Final = msgspec.msgpack.Decoder(int).decode
_rejected: Final = msgspec.msgpack.Decoder(Rejected).decode

Record = TypeVar("Record")


class SqliteStore(DeviceStore):
    """Inbox, running slot and outbox of one device in one SQLite file.

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
        columns = (entry.schedule_id, entry.sequence, _micros(entry.end), entry.state, _encode(entry))
        with self.transaction():
            self._run("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", *columns)
            if entry.state is EntryState.FAILED:
                self._run(
                    "DELETE FROM entry WHERE schedule_id IN (SELECT schedule_id FROM entry WHERE state = ? "
                    "ORDER BY sequence DESC, schedule_id DESC LIMIT -1 OFFSET ?)",
                    *(EntryState.FAILED, MAX_FAILED_ENTRIES),
                )

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and not settled."""
        return self._in_state(EntryState.ADMITTED)

    def applied(self) -> list[Entry]:
        """Entries that are applied and not over."""
        return self._in_state(EntryState.APPLIED)

    def _in_state(self, state: EntryState) -> list[Entry]:
        rows = self._run("SELECT record FROM entry WHERE state = ? ORDER BY sequence", state)
        return [self._read(_entry, record) for (record,) in rows]

    def _value(self, name: str, decode: Callable[[Any], Record]) -> Record | None:
        row = self._run("SELECT record FROM value WHERE name = ?", name).fetchone()
        return None if row is None else self._read(decode, row[0])

    def _put_value(self, name: str, value: object) -> None:
        self._run("INSERT OR REPLACE INTO value VALUES (?, ?)", name, _encode(value))

    def high_water(self) -> int:
        """The highest sequence ever admitted."""
        return self._value("high_water", _number) or 0

    def raise_high_water(self, sequence: int) -> None:
        """Never falls."""
        with self.transaction():
            if sequence > self.high_water():
                self._put_value("high_water", sequence)

    def cancellation(self, sequence: int) -> ScheduleEvent | None:
        """The answer to a cancel."""
        row = self._run("SELECT record FROM cancellation WHERE sequence = ?", sequence).fetchone()
        return None if row is None else self._read(_event, row[0])

    def keep_cancellation(self, event: ScheduleEvent) -> None:
        """Remember the answer to a cancel."""
        with self.transaction():
            self._run("INSERT OR REPLACE INTO cancellation VALUES (?, ?)", event.sequence, _encode(event))
            self._run(
                "DELETE FROM cancellation WHERE sequence IN "
                "(SELECT sequence FROM cancellation ORDER BY sequence DESC LIMIT -1 OFFSET ?)",
                MAX_CANCELLATIONS,
            )

    def running(self) -> PlannedSlot | None:
        """The slot that is being executed."""
        return self._value("running", _running)

    def put_running(self, slot: PlannedSlot | None) -> None:
        """Remember the running slot."""
        self._put_value("running", slot)

    def reported(self) -> tuple[Span, ...]:
        """The time that was reported."""
        return self._value("reported", _reported) or ()

    def put_reported(self, spans: tuple[Span, ...]) -> None:
        """Remember the time that was reported."""
        self._put_value("reported", spans)

    def agreement(self) -> Agreement | None:
        """How the peer last spoke."""
        return self._value("agreement", _agreement)

    def put_agreement(self, agreement: Agreement) -> None:
        """Remember how the peer speaks."""
        self._put_value("agreement", agreement)

    def push(
        self,
        kind: Kind,
        payload: bytes,
        agreement: Agreement,
        traceparent: str,
        *,
        tracestate: str = "",
        rank: Rank = Rank.ANSWER,
    ) -> int:
        """Append to the outbox."""
        with self.transaction():
            if self._outbox_is_full():
                lowest, number = self._run("SELECT rank, number FROM outbox ORDER BY rank, number LIMIT 1").fetchone()
                if rank < min(lowest, Rank.RESULT):
                    return 0
                self.pop(number)
            columns = (kind, payload, agreement.version, agreement.content_type, traceparent, tracestate, rank)
            return self._run("INSERT INTO outbox VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", *columns).lastrowid or 0

    def _outbox_is_full(self) -> bool:
        # Counting reads every row. Two numbers that are close together say as much without it.
        first, last = self._run("SELECT (SELECT min(number) FROM outbox), (SELECT max(number) FROM outbox)").fetchone()
        if first is None or last - first + 1 < self._max_outbox_rows:
            return False
        return self.outbox_size() >= self._max_outbox_rows

    def outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """The oldest rows above ``after``."""
        rows = self._run(
            "SELECT number, kind, payload, version, content_type, traceparent, tracestate, rank FROM outbox WHERE number > ? "
            "ORDER BY number LIMIT ?",
            *(after, limit),
        )
        return [
            OutboxRow(
                number=row[0],
                kind=self._read(Kind, row[1]),
                payload=row[2],
                agreement=Agreement(version=row[3], content_type=row[4]),
                traceparent=row[5],
                tracestate=row[6],
                rank=self._read(Rank, row[7]),
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
            live = (EntryState.ADMITTED, EntryState.APPLIED)
            entries = self._run("DELETE FROM entry WHERE ends < ? AND state NOT IN (?, ?)", at, *live)
            self.put_reported(tuple(span for span in self.reported() if span.end >= before))
        return entries.rowcount

    def _read(self, decode: Callable[[Any], Record], record: object) -> Record:
        try:
            return decode(record)
        except (msgspec.DecodeError, ValueError, TypeError) as error:
            # SQLite has no checksums: a page that is whole may hold a record that is not.
            message = f"{self.path} holds a record that cannot be read ({error}): move it away and start again"
            raise StoreError(ErrorCode.STORE_CORRUPT, message) from error

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if self._depth and not self._db.in_transaction:
            # Whoever caught the error and went on would store the rest of the transaction without its beginning.
            raise StoreError(ErrorCode.STORE_FAILED, "this transaction was undone when a statement of it failed")
        try:
            return self._db.execute(statement, values)
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
