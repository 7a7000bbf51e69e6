"""Databases for the tests: a SQLite file, and a PostgreSQL server of their own where one is installed."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from allye_cloud.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

_names = count()
_USER = "allye"


def _binaries() -> Path | None:
    """Where PostgreSQL's programs are; Debian does not put them on the PATH."""
    on_path = shutil.which("pg_ctl")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return Path(on_path).parent if on_path else found[-1] if found else None


def _owner() -> str:
    """Who may run a server: never root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    return next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server that ends with the tests, without a database name."""
    binaries = _binaries()
    if binaries is None or (os.geteuid() == 0 and shutil.which("runuser") is None):
        pytest.skip("not installed: PostgreSQL")
    if find_spec("psycopg") is None:
        pytest.skip("not installed: psycopg")
    as_owner = ["runuser", "-u", _owner(), "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="allye-pg-", ignore_cleanup_errors=True) as folder:
        if as_owner:
            shutil.chown(folder, _owner())
        data, log = f"{folder}/data", f"{folder}/log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories='' -c fsync=off"

        def run(*command: str) -> None:
            subprocess.run([*as_owner, *command], check=True, cwd="/", capture_output=True, timeout=60)

        run(f"{binaries}/initdb", "-D", data, "-U", _USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        run(f"{binaries}/pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://{_USER}@127.0.0.1:{port}"
        finally:
            run(f"{binaries}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cloud.db"
    server, name = request.getfixturevalue("postgres_server"), f"t{next(_names)}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """An empty database of each kind."""
    with closing(Database(url)) as opened:
        yield opened


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    """An empty database in a file."""
    with closing(Database(f"sqlite:///{tmp_path}/cloud.db")) as opened:
        yield opened
