"""Connections, transactions and what is said when a database cannot be used."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select, text

from allye_cloud import tables
from allye_cloud.database import Database
from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from pathlib import Path


def content(database: Database) -> int:
    return database.rows(select(func.count()).select_from(tables.content))[0][0]


def put(database: Database, name: str = "a") -> None:
    database.run(insert(tables.content), {"delivery_id": name, "payload": b"x"})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "sqlite:///FILE"),
        ("mysql://localhost/x", "sqlite:///FILE"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////no/such/folder/cloud.db", "cannot use"),
        ("postgresql://user:secret@127.0.0.1:1/none", "cannot use"),
    ],
)
def test_a_database_that_cannot_be_used_is_an_error_without_its_password(url: str, words: str) -> None:
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="not installed: psycopg")
    with pytest.raises(StoreError, match=words) as caught:
        Database(url)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"allye-cloud\[postgresql\]"):
        Database("postgresql://127.0.0.1/none")


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cloud.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"cloud\.db") as caught:
        Database(f"sqlite:///{path}")
    assert caught.value.code is ErrorCode.STORE_CORRUPT
    assert path.read_bytes() == b"not a database" * 100


def test_a_database_of_another_layout_is_not_touched(url: str) -> None:
    with closing(Database(url)) as database:
        database.run(text("UPDATE layout SET number = 99"))
    with pytest.raises(StoreError, match="layout 99, not 2") as caught:
        Database(url)
    assert caught.value.code is ErrorCode.STORE_CORRUPT


def test_a_database_is_opened_again_as_it_was(url: str) -> None:
    with closing(Database(url)) as database:
        put(database)
    with closing(Database(url)) as database:
        assert content(database) == 1


def test_sqlite_survives_a_power_cut(sqlite_database: Database) -> None:
    connection = sqlite_database._connected()
    assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_transaction_is_undone_when_it_raises_and_the_next_one_works(database: Database) -> None:
    def work() -> None:
        with database.transaction():
            put(database)
            assert content(database) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert content(database) == 0
    with database.transaction():
        put(database)
    assert content(database) == 1


def test_a_statement_that_fails_inside_a_transaction_undoes_all_of_it(database: Database) -> None:
    def work() -> None:
        with database.transaction():
            put(database)
            put(database)

    with pytest.raises(StoreError) as caught:
        work()
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert "payload" not in caught.value.message
    assert content(database) == 0


def test_a_writer_that_waits_too_long_for_another_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allye_cloud.database.BUSY_TIMEOUT_S", 0.01)
    url = f"sqlite:///{tmp_path}/cloud.db"
    with closing(Database(url)) as one, closing(Database(url)) as two:
        with one.transaction(), pytest.raises(StoreError, match="locked"):
            put(two)
        put(two)
        assert content(one) == 1


def test_a_full_disk_is_told_from_other_troubles(sqlite_database: Database) -> None:
    pages = sqlite_database._connected().exec_driver_sql("PRAGMA page_count").scalar()
    sqlite_database._connected().exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="no space left") as caught:
        sqlite_database.run(insert(tables.content), {"delivery_id": "big", "payload": bytes(1_000_000)})
    assert caught.value.code is ErrorCode.STORE_FULL


def test_a_damaged_file_is_told_from_other_troubles(tmp_path: Path) -> None:
    path = tmp_path / "cloud.db"
    with closing(Database(f"sqlite:///{path}")) as database:
        for number in range(200):
            put(database, f"{number}")
    page = 4096
    raw = bytearray(path.read_bytes())
    raw[page:] = b"\xaa" * (len(raw) - page)
    path.write_bytes(raw)
    with pytest.raises(StoreError) as caught, closing(Database(f"sqlite:///{path}")) as database:
        content(database)
    assert caught.value.code is ErrorCode.STORE_CORRUPT


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_server_that_cut_the_connection_is_connected_to_again(url: str) -> None:
    with closing(Database(url)) as database, closing(Database(url)) as other:
        put(database)
        other.rows(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        )
        with pytest.raises(StoreError) as caught:
            put(database, "b")
        assert caught.value.code is ErrorCode.STORE_FAILED
        put(database, "c")
        assert content(database) == 2


def test_an_insert_that_knows_conflicts_does(database: Database) -> None:
    statement = database.insert(tables.content).on_conflict_do_nothing()
    for _ in range(2):
        database.run(statement, {"delivery_id": "a", "payload": b"x"})
    assert content(database) == 1


def test_the_name_of_a_database_has_no_password(url: str) -> None:
    with closing(Database(url)) as database:
        assert database.name in (url, url.replace("sqlite:", "sqlite+pysqlite:"))
