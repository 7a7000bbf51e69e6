"""The service between a broker, real device sessions and a database: nothing lost, nothing twice, nothing too early."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import func, select

from allye_cloud import tables
from allye_cloud.logs import logger_to
from allye_cloud.service import CloudService
from allye_protocol.clock import ScaledClock, SystemClock
from allye_protocol.codec import encode
from allye_protocol.delivery import RetryPolicy, State
from allye_protocol.errors import ErrorCode, StoreError, TransportError
from allye_protocol.events import DeliveryChanged, MessageRefused, ResultReceived
from allye_protocol.frame import Frame
from allye_protocol.messages import Ack, AckStatus, ErrorDetail
from allye_protocol.session import CloudConfig, CloudSession
from allye_protocol.store.cloud import MemoryCloudStore
from allye_protocol.transport.base import Published
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport
from apps.cloud.tests.world import DAY, EVENING, LOCAL, REFUSAL, World
from tests.builders import seeded

if TYPE_CHECKING:
    from allye_cloud.database import Database

SECOND = timedelta(seconds=1)


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)


def count(world: World, table) -> int:
    return world.database.rows(select(func.count()).select_from(table))[0][0]


def published(world: World) -> list[str]:
    return [line["delivery_id"] for line in world.lines("published")]


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_day_goes_out_is_applied_and_every_slot_comes_back(database: Database) -> None:
    world = World(database)
    world.submit(world.plan())
    world.connect()
    world.serve(world.all_are(State.APPLIED))
    world.hand.shown = EVENING + timedelta(hours=4, minutes=30)
    world.serve(lambda: count(world, tables.result) == 96, tick=timedelta(minutes=7))
    assert {peer.name: peer.admitted for peer in world.peers.values()} == {
        "a": ["a_20180701_r1_p1"],
        "b": ["b_20180701_r1_p1"],
    }
    assert sum(isinstance(event, ResultReceived) for event in world.events) == 96


def test_a_long_day_goes_out_as_two_schedules_one_after_the_other(sqlite_database: Database) -> None:
    world = World(sqlite_database, ["a"])
    world.hand.shown = EVENING.replace(month=10, day=27)
    october = DAY.replace(month=10, day=28)
    world.submit(world.plan(october))
    world.connect()
    world.serve(lambda: set(world.states(october).values()) == {State.APPLIED})
    assert world.peers["a"].admitted == ["a_20181028_r1_p1", "a_20181028_r1_p2"]
    changes = [(event.schedule_id[-2:], event.after) for event in world.events if isinstance(event, DeliveryChanged)]
    assert changes == [(piece, state) for piece in ("p1", "p2") for state in (State.RECEIVED, State.APPLIED)]


def test_answers_and_results_that_come_twice_count_once(world: World) -> None:
    for peer in world.peers.values():
        peer.twice = True
    world.submit(world.plan())
    world.connect()
    world.serve(world.all_are(State.APPLIED))
    world.hand.shown = EVENING + timedelta(hours=4, minutes=30)
    world.serve(lambda: count(world, tables.result) == 96, tick=timedelta(minutes=7))
    assert count(world, tables.ack) == 4
    assert sum(isinstance(event, ResultReceived) for event in world.events) == 96


def test_a_service_that_died_in_mid_publish_is_taken_up_by_the_next(sqlite_database: Database) -> None:
    """Half of the fleet is sent, nobody answered, and the process is gone without a word to the broker."""
    world = World(sqlite_database, [f"device-{number}" for number in range(30)])
    world.submit(world.plan())
    first = MemoryTransport(world.broker, "cloud")
    world.serve(lambda: len(published(world)) >= 10, transport=first, window=5)
    before = published(world)
    assert {world.states()[name] for name in before} == {State.SENT}
    assert State.PENDING in world.states().values()
    world.new_session()
    world.connect()
    world.serve(world.all_are(State.APPLIED), tick=SECOND)
    assert set(before) < set(published(world))
    assert [peer.admitted for peer in world.peers.values()] == [[f"{name}_20180701_r1_p1"] for name in world.peers]


def test_a_schedule_is_repeated_until_a_device_that_was_away_is_there(world: World) -> None:
    world.submit(world.plan())
    world.serve(lambda: len(published(world)) >= 8, tick=10 * SECOND)
    assert set(world.states().values()) == {State.SENT}
    world.connect()
    world.serve(world.all_are(State.APPLIED), tick=10 * SECOND)
    assert all(len(peer.admitted) == 1 for peer in world.peers.values())


def test_a_broker_that_restarts_loses_nothing(world: World) -> None:
    world.submit(world.plan())
    world.connect()
    world.serve(lambda: len(published(world)) >= 2)
    world.broker.stop()
    world.broker.start(forget=True)
    world.serve(world.all_are(State.APPLIED), tick=SECOND)


def test_a_connection_that_is_lost_in_mid_publish_is_mended(sqlite_database: Database) -> None:
    world = World(sqlite_database, [f"device-{number}" for number in range(12)])
    world.submit(world.plan())
    world.connect()
    turns = iter(range(1000))

    def applied_between_losses() -> bool:
        if next(turns) in (1, 3, 5):
            world.broker.drop("cloud")
        return world.all_are(State.APPLIED)()

    world.serve(applied_between_losses, tick=SECOND, window=4)
    assert len(world.lines("disconnected")) == 3
    assert world.session.under_way <= 4
    assert all(len(peer.admitted) == 1 for peer in world.peers.values())


class Unwilling(MemoryTransport):
    """Its broker refuses the first publishes, or the connection is found to be gone."""

    def __init__(self, world: World, *, gone: bool) -> None:
        super().__init__(world.broker, "cloud")
        self._first = iter([True] * 2)
        self._gone = gone

    def publish(self, frame: Frame) -> int:
        if not next(self._first, False):
            return super().publish(frame)
        if self._gone:
            self._broker.drop("cloud")
            raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "gone")
        token = -id(frame)
        self.mailbox.post(Published(token=token, accepted=False, reason="Not authorized"))
        return token


def test_what_the_broker_refuses_is_published_again_later(world: World) -> None:
    world.submit(world.plan())
    world.connect()
    transport = Unwilling(world, gone=False)
    world.serve(world.all_are(State.APPLIED), tick=10 * SECOND, transport=transport)
    assert [line["reason"] for line in world.lines("publish_refused")] == ["Not authorized"] * 2


def test_a_connection_that_is_found_gone_while_publishing_is_mended(world: World) -> None:
    world.submit(world.plan())
    world.connect()
    world.serve(world.all_are(State.APPLIED), tick=10 * SECOND, transport=Unwilling(world, gone=True))
    assert world.lines("publish_refused") == []


def test_a_refusal_that_cannot_be_stored_does_not_stop_the_service(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(schedule_id: str, _now: object) -> None:
        world.session.sent(schedule_id)  # as not_sent does: it makes room, whatever becomes of the store
        raise StoreError(ErrorCode.STORE_FAILED, "disk on fire")

    monkeypatch.setattr(world.session, "not_sent", failing)
    world.submit(world.plan())
    world.connect()
    world.serve(world.all_are(State.APPLIED), tick=10 * SECOND, transport=Unwilling(world, gone=False))
    assert len(world.lines("store_failed")) == 2


def test_a_device_that_cannot_now_is_asked_again_and_one_that_never_can_is_not(world: World) -> None:
    world.peers["a"].refuses, world.peers["b"].refuses = LOCAL, REFUSAL
    world.submit(world.plan())
    world.connect()
    world.serve(lambda: set(world.states().values()) == {State.FAILED, State.DEAD})
    world.peers["a"].refuses = world.peers["b"].refuses = None
    world.serve(lambda: State.APPLIED in world.states().values(), tick=SECOND)
    assert world.states() == {"a_20180701_r1_p1": State.APPLIED, "b_20180701_r1_p1": State.DEAD}
    assert published(world).count("b_20180701_r1_p1") == 1
    (dead,) = [line for line in world.lines("delivery_changed") if line["after"] == "DEAD"]
    assert (dead["level"], dead["device_id"]) == ("warning", "b")
    assert dead["reason"].startswith("limit.power")
    assert len(dead["trace_id"]) == 32


@pytest.mark.parametrize("call", ["receive_all", "frames_to_send", "tick", "next_deadline"])
def test_a_store_that_fails_costs_time_and_nothing_else(world: World, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    failures = iter([True] * 3)
    working = getattr(world.session, call)

    def failing(*args, **kwargs):
        if next(failures, False):
            raise StoreError(ErrorCode.STORE_FULL, "no space left")
        return working(*args, **kwargs)

    monkeypatch.setattr(world.session, call, failing)
    monkeypatch.setattr("allye_cloud.service._FIRST_PAUSE_S", 0.001)
    world.hand.shown = EVENING + timedelta(hours=4, minutes=31)  # the alarm is due, so that tick has something to do
    world.submit(world.plan())
    world.connect()
    world.serve(world.all_are(State.APPLIED))
    assert [line["code"] for line in world.lines("store_failed")] == ["store.full"] * 3
    assert count(world, tables.ack) == 4


def test_no_message_is_acknowledged_before_it_is_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker lets two messages wait; while the store fails it must not get rid of more than these two."""

    def failing(*_args: object) -> None:
        raise StoreError(ErrorCode.STORE_FAILED, "disk on fire")

    acknowledged = []
    transport = MemoryTransport(world.broker, "cloud", receive_maximum=2)
    monkeypatch.setattr(transport, "acknowledge", acknowledged.append)
    monkeypatch.setattr(world.session, "receive_all", failing)
    monkeypatch.setattr("allye_cloud.service._FIRST_PAUSE_S", 0.001)
    world.connect()
    world.serve(lambda: len(world.lines("store_failed")) >= 3, transport=transport)
    assert acknowledged == []


def test_messages_are_stored_many_at_a_time(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(sqlite_database, [f"device-{number}" for number in range(40)])
    sizes = []
    working = world.session.receive_all
    monkeypatch.setattr(world.session, "receive_all", lambda frames, now: sizes.append(len(frames)) or working(frames, now))
    world.connect()
    for peer in world.peers.values():
        peer.step(world.hand.shown)
    world.serve(lambda: sum(sizes) >= 40, batch=16)
    assert sizes == [16, 16, 8]


def test_nonsense_is_logged_harmless_and_acknowledged(world: World) -> None:
    stranger = MemoryTransport(world.broker, "stranger")
    stranger.open([])
    world.serve(lambda: bool(world.lines("connected")))
    forged = "x\x1b[2J\n" * 20
    error = ErrorDetail(code="driver.rejected", message=forged)
    ack = Ack(schedule_id="unknown", device_id="a", version=2, status=AckStatus.FAILED, timestamp=EVENING, error=error)
    stranger.publish(Frame(topic="devices/a/ack", payload=encode(ack)))
    stranger.publish(Frame(topic="devices/a/ack", payload=b"\x00\xff"))
    world.serve(lambda: len(world.lines("message_refused")) >= 2)
    assert [line["code"] for line in world.lines("message_refused")] == ["order.unknown_schedule", "message.malformed"]
    assert "\x1b" not in world.log.getvalue()
    assert "\\u001b" not in world.log.getvalue()
    assert sum(isinstance(event, MessageRefused) for event in world.events) == 2
    world.events.clear()
    world.serve(lambda: bool(world.lines("service_stopped")))
    assert world.events == []  # they do not come again


def test_a_schedule_that_the_broker_finds_too_large_does_not_hold_up_the_others(sqlite_database: Database) -> None:
    world = World(sqlite_database, ["large", "small"])
    world.broker = MemoryBroker(lambda: 0.0, max_packet_bytes=1_000)
    large, small = world.plan()
    short = msgspec.structs.replace(small, watts=small.watts[:2], prices_gbp_per_mwh=small.prices_gbp_per_mwh[:2])
    world.peers.clear()
    world.submit([large, short])
    world.serve(lambda: bool(published(world) and world.lines("publish_refused")) and world.session.under_way == 0)
    assert published(world) == ["small_20180701_r1_p1"]
    assert world.states() == {"large_20180701_r1_p1": State.SENT, "small_20180701_r1_p1": State.SENT}


def test_time_that_passed_while_nothing_could_be_sent_is_not_played_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schedule that was due hours ago is sent now, once, not once for every wait since then."""
    working, failures = world.session.frames_to_send, iter([True])

    def failing_once(*args):
        if next(failures, False):
            raise StoreError(ErrorCode.STORE_FAILED, "disk on fire")
        return working(*args)

    monkeypatch.setattr(world.session, "frames_to_send", failing_once)
    monkeypatch.setattr("allye_cloud.service._FIRST_PAUSE_S", 0.001)
    world.submit(world.plan())
    world.hand.shown = later = EVENING + timedelta(hours=3)
    world.serve(lambda: len(published(world)) >= 2)
    assert [line["code"] for line in world.lines("store_failed")] == ["store.failed"]
    sent = [world.store.delivery(name) for name in published(world)]
    assert [(one.attempts, one.sent_at) for one in sent if one is not None] == [(1, later), (1, later)]


def test_every_kind_of_event_is_told(world: World) -> None:
    world.submit(world.plan())
    world.connect()
    world.hand.shown = EVENING + timedelta(hours=4, minutes=40)
    world.serve(world.all_are(State.APPLIED))
    world.hand.shown = EVENING + timedelta(hours=5, minutes=30)
    world.serve(lambda: len(world.lines("result_received")) >= 2)
    assert {line["device_id"] for line in world.lines("device_announced")} == {"a", "b"}
    assert {line["device_id"] for line in world.lines("schedule_not_applied")} == {"a", "b"}
    assert {line["slot"] for line in world.lines("result_received")} == {"2018-06-30T23:00:00Z"}
    assert {line["timestamp"][:16] for line in world.lines("result_received")} == {"2018-06-30T23:30"}


def test_stop_ends_a_service_in_another_thread_and_wake_makes_it_look() -> None:
    """With a poll interval of an hour, only a wake can make it see what was submitted."""
    store = MemoryCloudStore()
    session = CloudSession(
        store, random_bytes=seeded(), uniform=lambda low, high: high, config=CloudConfig(retry=RetryPolicy())
    )
    transport = MemoryTransport(MemoryBroker(lambda: 0.0), "cloud")
    turned = threading.Semaphore(0)
    clock = SystemClock()
    service = CloudService(session, transport, clock, logger_to(None, clock, "error"), poll_s=3600)
    thread = threading.Thread(target=service.run, args=(lambda: bool(turned.release()),))
    thread.start()
    assert turned.acquire(timeout=20)  # connected
    service.wake()
    assert turned.acquire(timeout=20)
    service.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert not transport.connected


def test_a_played_day_is_handled_in_the_order_of_its_time(sqlite_database: Database) -> None:
    """Thirty hours in about a second, and no instant before the one that came before it."""
    world = World(sqlite_database, ["a"], ScaledClock(EVENING, time.time(), 100_000))
    world.new_session(retry=RetryPolicy(base=timedelta(hours=2)))
    world.submit(world.plan())
    world.connect()
    world.serve(lambda: count(world, tables.result) == 48)
    times = [row.at for row in world.database.rows(select(tables.result.c.at).order_by(tables.result.c.starts))]
    assert times == sorted(times)
    assert world.peers["a"].admitted == ["a_20180701_r1_p1"]
