"""A connection to SQLite or PostgreSQL for each thread, transactions that join, and one kind of error.

1. SQLite runs in WAL mode with ``synchronous = FULL``: what was committed survives a power cut. A transaction takes the write
   lock at its beginning, so it never fails for having read before it wrote.
2. Outside a transaction every statement stands alone; nothing is held open between two of them.
3. After any error the thread's connection is thrown away: the next statement has a new one, also to a server that was away.
4. Every error of the database leaves here as a :class:`~allye_protocol.errors.StoreError`, without the statement's values.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from allye_cloud.tables import LAYOUT, METADATA, layout
from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import URL, Connection, Engine, Executable, Row, Table

__all__ = ["Database", "file_of", "parse_url"]

BUSY_TIMEOUT_S: Final = 30.0
"""How long to wait for another process that is writing."""
_DRIVERS: Final = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_BACKENDS: Final = ("sqlite", "postgresql")
_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(7005103)"
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Database:
    """A database. Threads may share it; each has its own connection and its own transaction.

    :param url: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/NAME``. A SQLite file is made where there is none; its
        folder must exist.
    :raises StoreError: ``store.failed`` for what cannot be opened, ``store.corrupt`` for what is no intact database of this
        version.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = parse_url(url)
        self._engine: Final = self._made()
        self._local = threading.local()
        self._lock: Final = threading.Lock()
        self._connections: Final[list[Connection]] = []
        self._prepare()

    @property
    def name(self) -> str:
        """Which database, without a password."""
        return self._url.render_as_string(hide_password=True)

    def _made(self) -> Engine:
        try:
            arguments = {"timeout": BUSY_TIMEOUT_S} if self._url.get_backend_name() == "sqlite" else {}
            # Every thread keeps its connection itself. Transactions are begun by hand: SQLite's must take the lock at once.
            return create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments)
        except ModuleNotFoundError as error:
            message = f"the driver {error.name} is not installed: python -m pip install 'allye-cloud[postgresql]'"
            raise StoreError(ErrorCode.STORE_FAILED, message) from None

    def _prepare(self) -> None:
        with self.transaction():
            connection = self._connected()
            try:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql(_ONE_AT_A_TIME)
                METADATA.create_all(connection)
            except SQLAlchemyError as error:
                raise self._failure(error) from error
            numbers = [row.number for row in self.rows(select(layout.c.number))]
            if not numbers:
                self.run(insert(layout), {"number": LAYOUT})
        if numbers not in ([], [LAYOUT]):
            self.close()
            message = f"{self.name} has layout {numbers[0]}, not {LAYOUT}: use the release that made it, or another database"
            raise StoreError(ErrorCode.STORE_CORRUPT, message)

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._connections:
                with suppress(SQLAlchemyError):
                    connection.close()
            self._connections.clear()
        self._local = threading.local()
        self._engine.dispose()

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT."""
        return postgresql.insert(table) if self._engine.dialect.name == "postgresql" else sqlite.insert(table)

    def rows(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        """All rows of a query.

        :raises StoreError: the query failed.
        """
        try:
            return self._connected().execute(statement, values).fetchall()
        except SQLAlchemyError as error:
            raise self._failure(error) from error

    def run(self, statement: Executable, values: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None) -> None:
        """Run a statement, or run it for each of several mappings.

        :raises StoreError: the statement failed.
        """
        try:
            self._connected().execute(statement, values)
        except SQLAlchemyError as error:
            raise self._failure(error) from error

    @property
    def inside(self) -> bool:
        """Whether this thread is inside a transaction."""
        return getattr(self._local, "inside", False)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is on disk when this returns, or none of it. One inside another joins it.

        :raises StoreError: nothing is stored; or, for a server that was lost during the commit, perhaps all of it.
        """
        if self.inside:
            yield
            return
        self._command("BEGIN IMMEDIATE" if self._engine.dialect.name == "sqlite" else "BEGIN")
        self._local.inside = True
        try:
            yield
            self._command("COMMIT")
        except BaseException:
            self._throw_away()
            raise
        finally:
            self._local.inside = False

    def _command(self, statement: str) -> None:
        try:
            self._connected().exec_driver_sql(statement)
        except SQLAlchemyError as error:
            raise self._failure(error) from error

    def _connected(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._engine.connect()
            with self._lock:
                self._connections.append(connection)
            self._local.connection = connection
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("PRAGMA synchronous = FULL")
        return connection

    def _throw_away(self) -> None:
        """Close the connection, which rolls back what was not committed."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            return
        self._local.connection = None
        with self._lock:
            self._connections.remove(connection)
        with suppress(SQLAlchemyError):
            connection.close()

    def _failure(self, error: SQLAlchemyError) -> StoreError:
        if not self.inside:
            self._throw_away()
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        said = str(cause).strip().partition("\n")[0]
        sqlite_code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the rest says more than is needed
        sqlstate = getattr(cause, "sqlstate", None) or ""
        if sqlite_code == sqlite3.SQLITE_FULL or sqlstate == "53100":
            return StoreError(ErrorCode.STORE_FULL, f"no space left to write {self.name} ({said}): free some")
        if sqlite_code in _DAMAGED or sqlstate.startswith("XX"):
            return StoreError(ErrorCode.STORE_CORRUPT, f"{self.name} is no intact database ({said}): restore it from a backup")
        return StoreError(ErrorCode.STORE_FAILED, f"cannot use {self.name}: {said}")


def file_of(url: str) -> Path | None:
    """The file that a SQLite URL names; ``None`` for a server.

    :raises StoreError: ``store.failed`` for a URL that can be none of this app's.
    """
    parsed = parse_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def parse_url(url: str) -> URL:
    """Which database a URL names.

    :raises StoreError: ``store.failed`` for one that can be none of this app's.
    """
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        known = parsed.get_backend_name() in _BACKENDS
    except SQLAlchemyError:
        parsed, known = None, False
    if parsed is None or not known:
        message = "a database is given as sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        raise StoreError(ErrorCode.STORE_FAILED, message)
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        message = "a SQLite database needs a file (sqlite:///FILE): one in memory is shared with no thread and no process"
        raise StoreError(ErrorCode.STORE_FAILED, message)
    return parsed
