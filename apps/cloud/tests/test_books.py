"""Plans and publications come back as they were written."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from allye_cloud.books import Books, Publication
from allye_protocol.errors import ErrorCode, StoreError
from apps.cloud.tests.world import DAY, World

if TYPE_CHECKING:
    from allye_cloud.database import Database


def test_plans_come_back_by_day_and_device(database: Database) -> None:
    world, books = World(database), Books(database)
    plans = world.plan()
    assert books.plans(DAY) == plans
    assert books.plans(DAY, "b") == [plans[1]]
    assert (books.plans(DAY, "c"), books.plans(DAY + timedelta(days=1))) == ([], [])


def test_a_plan_replaces_the_one_of_its_device_and_day(database: Database) -> None:
    world, books = World(database, ["a"]), Books(database)
    (plan,) = world.plan()
    changed = msgspec.structs.replace(plan, margin_gbp=-1.0)
    books.put_plans([changed])
    assert books.plans(DAY) == [changed]


def test_the_latest_day_is_known(database: Database) -> None:
    world, books = World(database, ["a"]), Books(database)
    assert books.latest_day() is None
    world.plan(DAY + timedelta(days=1))
    world.plan(DAY)
    assert books.latest_day() == DAY + timedelta(days=1)


def test_publications_come_by_device_revision_and_piece(database: Database) -> None:
    books = Books(database)
    rows = [
        Publication(schedule_id=f"{name}{revision}{piece}", day=DAY, device_id=name, revision=revision, piece=piece)
        for name in "ab"
        for revision in (1, 2)
        for piece in (1, 2)
    ]
    books.put_publications(reversed(rows))
    books.put_publications(rows)
    assert books.publications(DAY) == rows
    assert books.publications(DAY, "b") == rows[4:]
    assert books.publications(DAY + timedelta(days=1)) == []


def test_a_plan_that_cannot_be_read_is_named(sqlite_database: Database) -> None:
    World(sqlite_database, ["a"]).plan()
    sqlite_database._connected().exec_driver_sql("UPDATE plan SET record = x'7b7d'")
    with pytest.raises(StoreError, match="2018-07-01") as caught:
        Books(sqlite_database).plans(DAY)
    assert caught.value.code is ErrorCode.STORE_CORRUPT
