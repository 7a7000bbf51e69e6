"""The SQLite store: what reaches the disk, and what happens when the disk does not do its part."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages import EventType, Kind
from allye_protocol.negotiation import BASELINE, Agreement
from allye_protocol.store import EntryState, Rank, Rejected
from allye_protocol.store.base import Span
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import NOON, SLOT, entry, event, slot
from tests.store.contract import contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.store.base import DeviceStore

NAMES = ("plan-a", "plan-b", "plan-c")
CANCELS = (1, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def push(store: DeviceStore, payload: bytes) -> int:
    return store.push(Kind.ACK, payload, BASELINE, "")


def fill(store: DeviceStore) -> None:
    with store.transaction():
        for name in NAMES:
            store.put_entry(entry(name, payload=b"x" * 3000))
        store.raise_high_water(7)
        store.keep_cancellation(event(EventType.CANCELLED, sequence=1))
        store.put_running(slot(NOON))
        store.put_reported((Span(NOON - SLOT, NOON),))
        store.put_agreement(BASELINE)
        for index in range(20):
            push(store, b"%d" % index * 100)
        store.keep_rejected(Rejected(at=NOON, topic="t", size_bytes=1, head=b"x", reason="message.invalid"))


def open_fails(path: Path, code: ErrorCode) -> str:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert caught.value.code is code
    assert str(path) in caught.value.message
    return caught.value.message


def test_a_commit_waits_for_the_disk(store: SqliteStore) -> None:
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_reopened_commit_waits_for_the_disk(store: SqliteStore, path: Path) -> None:
    store.close()
    again = SqliteStore(path)
    assert again._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert again._db.execute("PRAGMA synchronous").fetchone() == (2,)
    again.close()


def test_a_reopened_file_goes_on(store: SqliteStore, path: Path) -> None:
    fill(store)
    before = contents(store, NAMES, CANCELS)
    last = store.outbox(100)[-1].number
    for row in store.outbox(100):
        store.pop(row.number)
    store.close()
    again = SqliteStore(path)
    assert contents(again, NAMES, CANCELS) == before._replace(outbox=[])
    assert push(again, b"") > last
    again.close()


def test_a_process_that_dies_in_a_transaction_leaves_nothing_of_it(path: Path) -> None:
    script = """
import os, sys
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import entry
store = SqliteStore(sys.argv[1])
store.put_entry(entry("plan-a"))
with store.transaction():
    store.put_entry(entry("plan-b"))
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=30).returncode == 9
    store = SqliteStore(path)
    assert [store.entry(name) is not None for name in NAMES] == [True, False, False]
    store.close()


def test_another_process_reads_while_this_one_writes(store: SqliteStore, path: Path) -> None:
    script = """
import sys
from allye_protocol.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1], read_only=True)
print(len(store.unsettled()), store.outbox_size())
"""
    fill(store)
    with store.transaction():
        store.put_entry(entry("plan-a", state=EntryState.APPLIED))
        push(store, b"")
        reader = subprocess.run(
            [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True, timeout=30
        )
    assert reader.stdout.split() == ["3", "20"]


def test_another_connection_reads_what_was_committed_at_once(store: SqliteStore, path: Path) -> None:
    reader = SqliteStore(path)
    store.raise_high_water(7)
    assert reader.high_water() == 7
    reader.close()


def test_a_reader_that_only_reads_is_kept_from_writing(store: SqliteStore, path: Path) -> None:
    fill(store)
    reader = SqliteStore(path, read_only=True)
    assert contents(reader, NAMES, CANCELS) == contents(store, NAMES, CANCELS)
    with pytest.raises(StoreError) as caught:
        reader.raise_high_water(9)
    assert caught.value.code is ErrorCode.STORE_FAILED
    reader.close()
    assert store.high_water() == 7


def test_a_reader_that_only_reads_makes_no_file(path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, read_only=True)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert not path.exists()


def test_a_file_that_is_no_database_is_named_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database, but longer than a header" * 100)
    assert "no intact store" in open_fails(path, ErrorCode.STORE_CORRUPT)
    assert path.read_bytes().startswith(b"not a database")


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text TEXT)")
    other.close()
    before = path.read_bytes()
    assert "another program" in open_fails(path, ErrorCode.STORE_CORRUPT)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, 1, 2, 4, -1])
def test_a_store_of_another_layout_says_which_and_what_to_do(store: SqliteStore, path: Path, version: int) -> None:
    store._db.execute(f"PRAGMA user_version = {version}")
    store.close()
    message = open_fails(path, ErrorCode.STORE_CORRUPT)
    assert f"layout {version}" in message
    assert "upgrade" in message


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_corrupt(store: SqliteStore, path: Path, share: float) -> None:
    fill(store)
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    open_fails(path, ErrorCode.STORE_CORRUPT)


def test_a_damaged_page_is_corrupt(store: SqliteStore, path: Path) -> None:
    fill(store)
    store.close()
    whole = bytearray(path.read_bytes())
    for page in range(4096, len(whole), 4096):
        whole[page : page + 200] = b"\xff" * 200
    path.write_bytes(whole)
    open_fails(path, ErrorCode.STORE_CORRUPT)


READS: dict[str, Callable[[SqliteStore], object]] = {
    "entry": lambda store: store.entry("plan-a"),
    "entry of a state": lambda store: store.unsettled(),
    "cancellation": lambda store: store.cancellation(1),
    "value": lambda store: store.high_water(),
    "value, the running slot": lambda store: store.running(),
    "value, the reported time": lambda store: store.reported(),
    "value, how the peer speaks": lambda store: store.agreement(),
    "rejected": lambda store: store.rejected(),
}


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x81\xa5state\x01", b"\xa1x"])
@pytest.mark.parametrize("what", READS)
def test_a_damaged_record_is_corrupt_and_not_a_crash(store: SqliteStore, what: str, garbage: bytes) -> None:
    fill(store)
    table = what.partition(" ")[0].rstrip(",")
    store._db.execute(f"UPDATE {table} SET record = ?", [garbage])
    with pytest.raises(StoreError) as caught:
        READS[what](store)
    assert caught.value.code is ErrorCode.STORE_CORRUPT


def test_a_damaged_kind_in_the_outbox_is_corrupt(store: SqliteStore) -> None:
    fill(store)
    store._db.execute("UPDATE outbox SET kind = 'x'")
    with pytest.raises(StoreError) as caught:
        store.outbox(1)
    assert caught.value.code is ErrorCode.STORE_CORRUPT


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    assert "unable to open" in open_fails(tmp_path, ErrorCode.STORE_FAILED)


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    open_fails(tmp_path / "missing" / "device.db", ErrorCode.STORE_FAILED)
    assert not (tmp_path / "missing").exists()


def test_a_store_that_failed_to_open_can_be_opened_when_the_trouble_is_over(tmp_path: Path) -> None:
    path = tmp_path / "later" / "device.db"
    open_fails(path, ErrorCode.STORE_FAILED)
    path.parent.mkdir()
    SqliteStore(path).close()


def test_a_read_only_store_reads_and_works_again_afterwards(store: SqliteStore) -> None:
    fill(store)
    before = contents(store, NAMES, CANCELS)
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError) as caught:
        fill(store)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert "readonly" in caught.value.message
    assert contents(store, NAMES, CANCELS) == before
    store._db.execute("PRAGMA query_only = OFF")
    store.raise_high_water(8)
    assert store.high_water() == 8


def test_a_full_disk_keeps_all_of_a_transaction_or_nothing(store: SqliteStore) -> None:
    fill(store)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    seen = [contents(store, NAMES, CANCELS)]

    def write_until_full() -> None:
        while True:
            with store.transaction():
                store.put_entry(entry("plan-a", payload=b"y" * 2000, attempts=len(seen) + 1))
                push(store, b"z" * 2000)
                store.put_reported((Span(NOON - SLOT * len(seen), NOON),))
            seen.append(contents(store, NAMES, CANCELS))

    with pytest.raises(StoreError) as caught:
        write_until_full()
    assert caught.value.code is ErrorCode.STORE_FULL
    assert "free some" in caught.value.message
    before = seen[-1]
    assert len(seen) > 1
    assert contents(store, NAMES, CANCELS) == before
    store._db.execute("PRAGMA max_page_count = 1000000")
    push(store, b"z" * 2000)
    assert store.outbox_size() == len(before.outbox) + 1


def test_a_full_disk_that_is_swallowed_half_way_keeps_nothing(store: SqliteStore) -> None:
    """SQLite has rolled back by itself: what follows must not be committed alone."""
    fill(store)
    before = contents(store, NAMES, CANCELS)
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")

    def swallow() -> None:
        with store.transaction():
            store.raise_high_water(8)
            try:
                for _ in range(100):
                    push(store, b"z" * 4000)
            except StoreError:
                store.pop(store.outbox(1)[0].number)

    with pytest.raises(StoreError):
        swallow()
    assert contents(store, NAMES, CANCELS) == before


class Failing:
    """A connection whose n-th statement fails as a broken disk makes it fail."""

    def __init__(self, db: sqlite3.Connection, failing_statement: int) -> None:
        self._db = db
        self._left = failing_statement

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        self._step()
        return self._db.execute(statement, values)

    def _step(self) -> None:
        self._left -= 1
        if not self._left:
            raise sqlite3.OperationalError("disk I/O error")


def test_an_error_at_any_statement_leaves_nothing(store: SqliteStore) -> None:
    fill(store)
    before = contents(store, NAMES, CANCELS)
    db, statement = store._db, 0
    for statement in range(1, 1000):
        store._db = Failing(db, statement)  # type: ignore[assignment]
        failed = True
        with suppress(StoreError):
            with store.transaction():
                store.put_entry(entry("plan-a", state=EntryState.APPLIED))
                store.raise_high_water(8)
                store.keep_cancellation(event(EventType.CANCELLED, sequence=2))
                store.put_running(slot(NOON, rate_w=1))
                store.put_reported((Span(NOON - SLOT, NOON + 4 * SLOT),))
                store.put_agreement(Agreement(version=2, content_type="application/json"))
                store.pop(push(store, b""))
                push(store, b"last")
                store.keep_rejected(Rejected(at=NOON, topic="t", size_bytes=2, head=b"", reason=""))
                store.prune(NOON + 2 * SLOT)
            failed = False
        store._db = db
        if not failed:
            break
        assert contents(store, NAMES, CANCELS) == before
    assert contents(store, NAMES, CANCELS) != before
    assert statement > 10


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_CORRUPT | 3 << 8, ErrorCode.STORE_CORRUPT),
        (sqlite3.SQLITE_FULL, ErrorCode.STORE_FULL),
        (sqlite3.SQLITE_IOERR | 4 << 8, ErrorCode.STORE_FAILED),
    ],
)
def test_an_extended_error_code_means_what_its_primary_code_means(store: SqliteStore, number: int, code: ErrorCode) -> None:
    class Broken(Failing):
        def _step(self) -> None:
            error = sqlite3.DatabaseError("made up")
            error.sqlite_errorcode = number
            raise error

    db = store._db
    store._db = Broken(db, 1)  # type: ignore[assignment]
    with pytest.raises(StoreError) as caught:
        store.high_water()
    store._db = db
    assert caught.value.code is code


def test_a_rollback_that_fails_is_made_up_for(store: SqliteStore) -> None:
    fill(store)
    before = contents(store, NAMES, CANCELS)
    db = store._db
    with pytest.raises(StoreError), store.transaction():  # noqa: PT012 - the exception ends the transaction
        store.put_entry(entry("plan-a", attempts=99))
        store._db = Failing(db, 1)  # type: ignore[assignment]
        raise ZeroDivisionError
    store._db = db
    push(store, b"new")
    assert contents(store, NAMES, CANCELS) == before._replace(outbox=[*before.outbox, ("ack", b"new", "", "", Rank.ANSWER)])


def test_a_locked_file_is_a_failure_that_passes(store: SqliteStore, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._db.execute("PRAGMA busy_timeout = 0")
    with pytest.raises(StoreError) as caught:
        store.raise_high_water(7)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert caught.value.retryable
    other.execute("ROLLBACK")
    other.close()
    store.raise_high_water(7)
    assert store.high_water() == 7


def test_a_closed_store_fails_and_says_so(store: SqliteStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError) as caught:
        store.entry("plan-a")
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert "closed" in caught.value.message
    with pytest.raises(StoreError), store.transaction():
        raise AssertionError("a closed store began a transaction")
