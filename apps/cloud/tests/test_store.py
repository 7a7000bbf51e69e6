"""The store in a database keeps the contract of all cloud stores, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from allye_cloud import store as module
from allye_cloud import tables
from allye_cloud.database import Database
from allye_cloud.store import SqlCloudStore, storable
from allye_cloud.tables import micros
from allye_protocol.delivery import State
from allye_protocol.messages import AckStatus
from allye_protocol.messages.v2 import MAX_SEQUENCE
from tests.builders import DEVICE, HELLO, NOON, ack, result
from tests.store.cloud_contract import CloudStoreContract, delivery

SECOND = timedelta(seconds=1)


class TestSqlCloudStore(CloudStoreContract):
    @pytest.fixture
    def store(self, database: Database) -> SqlCloudStore:
        return SqlCloudStore(database)


def test_answers_results_and_hellos_keep_their_time_of_arrival(database: Database) -> None:
    store = SqlCloudStore(database)
    store.keep_ack(ack(), NOON + SECOND)
    store.keep_ack(ack(), NOON + 9 * SECOND)
    store.keep_ack(ack(status=AckStatus.APPLIED), NOON + 2 * SECOND)
    store.keep_result(result(), NOON + 3 * SECOND)
    store.keep_result(result(actual_w=5_000), NOON + 9 * SECOND)
    store.keep_hello(HELLO, NOON + 4 * SECOND)
    acks = database.rows(select(tables.ack).order_by(tables.ack.c.at))
    assert [(row.status, row.at) for row in acks] == [
        ("RECEIVED", micros(NOON + SECOND)),
        ("APPLIED", micros(NOON + 2 * SECOND)),
    ]
    (kept,) = database.rows(select(tables.result))
    assert (kept.at, kept.actual_w) == (micros(NOON + 3 * SECOND), 100_000)
    (device,) = database.rows(select(tables.device))
    assert (device.hello_at, device.heard_at) == (micros(NOON + 4 * SECOND), micros(NOON + 4 * SECOND))


def test_everything_is_there_after_a_restart(url: str) -> None:
    first = Database(url)
    SqlCloudStore(first).put_delivery(delivery())
    first.close()
    second = Database(url)
    try:
        assert SqlCloudStore(second).delivery("plan-a") == delivery()
    finally:
        second.close()


def test_text_that_no_database_can_hold_is_made_storable(database: Database) -> None:
    store = SqlCloudStore(database)
    store.put_delivery(delivery(state=State.FAILED, reason="a\0b\ud800c"))
    kept = store.delivery("plan-a")
    assert kept is not None
    assert kept.reason == "a\N{REPLACEMENT CHARACTER}b?c"
    assert storable(None) is None


def test_threads_have_transactions_of_their_own(database: Database) -> None:
    store = SqlCloudStore(database)
    seen = []

    def look() -> None:
        seen.append(store.delivery("plan-a"))

    with store.transaction():
        store.put_delivery(delivery())
        store.next_due()  # so that it is written
        reader = threading.Thread(target=look)
        reader.start()
        reader.join(20)
    assert seen == [None]
    look()
    assert seen[1] == delivery()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_worker_passes_over_what_another_one_is_sending(url: str) -> None:
    """On SQLite the second worker waits for the first."""
    one, two = Database(url), Database(url)
    first, second = SqlCloudStore(one), SqlCloudStore(two)
    try:
        with first.transaction():
            for name in "ab":
                first.put_delivery(delivery(name, device_id=name))
        with first.transaction():
            assert [found.schedule_id for found in first.due(NOON, 1)] == ["a"]
            with second.transaction():
                assert [found.schedule_id for found in second.due(NOON, 9)] == ["b"]
    finally:
        one.close()
        two.close()


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("_DUE", "delivery_due"),
        ("_NEXT_DUE", "delivery_due"),
        ("_ENDING", "delivery_until"),
        ("_NEXT_END", "delivery_until"),
        ("_STARTING", "delivery_starts"),
        ("_NEXT_START", "delivery_starts"),
    ],
)
def test_what_is_asked_all_the_time_is_answered_by_an_index(sqlite_database: Database, name: str, index: str) -> None:
    connection = sqlite_database._connected()
    sql = str(getattr(module, name).compile(connection.engine, compile_kwargs={"render_postcompile": True}))
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (1,) * sql.count("?")).fetchall()
    steps = [row[3] for row in plan]
    assert f"USING INDEX {index}" in steps[0] or f"USING COVERING INDEX {index}" in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_a_batch_costs_few_statements(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlCloudStore(sqlite_database)
    count = 200
    with store.transaction():
        for number in range(count):
            store.put_delivery(delivery(f"plan-{number}", device_id=f"d{number}"))
    statements = []
    for method in ("run", "rows"):
        called = getattr(sqlite_database, method)
        monkeypatch.setattr(sqlite_database, method, lambda *args, called=called: statements.append(args[0]) or called(*args))
    with store.transaction():
        store.expect([f"plan-{number}" for number in range(count)])
        for number in range(count):
            known = store.delivery(f"plan-{number}")
            assert known is not None
            store.keep_ack(ack(known.schedule_id, AckStatus.APPLIED, device_id=known.device_id), NOON)
            store.put_delivery(delivery(known.schedule_id, device_id=known.device_id, state=State.APPLIED))
    assert len(statements) <= 6
    assert store.due(NOON, 1) == []
    assert store.last_sequence(DEVICE, MAX_SEQUENCE) is None
