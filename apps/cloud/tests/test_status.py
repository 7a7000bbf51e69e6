"""What an operator is told, from a day that was really played."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from allye_cloud.status import STALE_AFTER, Funnel, Link, _latency, day_status, slot_lines, states_of
from allye_protocol.delivery import State
from allye_protocol.ids import DeviceId
from allye_protocol.messages import ExecutionStatus
from apps.cloud.tests.world import DAY, EVENING, LOCAL, REFUSAL, World
from tests.builders import status as said

if TYPE_CHECKING:
    from allye_cloud.database import Database
    from allye_cloud.status import Status


def status(world: World, device: str | None = None) -> Status:
    return day_status(world.database, world.books, DAY, world.hand.shown, device)


def test_a_day_that_is_only_planned_has_devices_and_nothing_else(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    plans = world.plan()
    found = status(world)
    assert found.funnel == Funnel(submitted=0, sent=0, received=0, applied=0, executed=0)
    assert (found.received_after, found.applied_after, found.result_after, found.failures) == (None, None, None, {})
    assert [(line.device_id, line.link, line.slots, line.reported) for line in found.devices] == [
        ("a", Link.NEVER_HEARD, 48, 0),
        ("b", Link.NEVER_HEARD, 48, 0),
    ]
    assert [line.planned_margin_gbp for line in found.devices] == [plan.margin_gbp for plan in plans]
    assert found.price_source == "synthetic price curve, not market data"


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_the_funnel_of_a_played_day(database: Database) -> None:
    world = World(database, ["a", "b", "c", "away"])
    world.peers["b"].refuses, world.peers["c"].refuses = REFUSAL, LOCAL
    plans = world.plan()
    world.submit(plans)
    away = world.peers.pop("away")
    world.connect()
    world.serve(lambda: set(world.states().values()) == {State.APPLIED, State.DEAD, State.FAILED, State.SENT})
    world.hand.shown = plans[0].start + timedelta(minutes=90)
    world.serve(lambda: status(world, "a").devices[0].reported >= 3 and status(world, "c").devices[0].link is Link.ONLINE)
    found = status(world)
    assert found.funnel == Funnel(submitted=4, sent=4, received=3, applied=1, executed=0)
    assert found.failures == {"limit.power": 1, "device.local_mode": 1}
    assert [line.schedule_id for line in found.dead_letters] == ["b_20180701_r1_p1"]
    assert found.dead_letters[0].reason.startswith("limit.power")
    assert {line.device_id: line.link for line in found.devices} == {
        "a": Link.ONLINE,
        "b": Link.STALE,
        "c": Link.ONLINE,
        away.name: Link.NEVER_HEARD,
    }
    assert found.applied_after is not None
    assert (found.applied_after.count, found.applied_after.p99_s) == (1, 0.0)
    world.hand.shown = plans[0].end + timedelta(minutes=1)
    world.serve(lambda: status(world, "a").devices[0].reported == 48)
    assert status(world, "a").funnel == Funnel(submitted=1, sent=1, received=1, applied=1, executed=1)
    assert [line.reported for line in status(world, "a").schedules] == [48]
    assert status(world).funnel.executed == 1
    assert {line.state for line in status(world).dead_letters} == {State.DEAD, State.EXPIRED}


def test_only_the_newest_revision_counts(sqlite_database: Database) -> None:
    world = World(sqlite_database, ["a"])
    world.submit(world.plan())
    world.submit(world.plan(max_charge_w=100_000))
    found = status(world)
    assert [(line.schedule_id, line.revision) for line in found.schedules] == [("a_20180701_r2_p1", 2)]
    assert found.funnel.submitted == 1
    assert len(states_of(world.database, DAY)) == 2


def test_a_battery_at_rest_deviates_by_all_that_was_planned(sqlite_database: Database) -> None:
    """The devices here report 0 kW, so what they miss is the whole plan, and they earn nothing."""
    world = World(sqlite_database, ["a"])
    (plan,) = world.plan()
    world.submit([plan])
    world.connect()
    world.serve(world.all_are(State.APPLIED))
    world.hand.shown = plan.end + timedelta(minutes=1)
    world.serve(lambda: status(world).devices[0].reported == 48)
    (line,) = status(world).devices
    moved_wh = sum(abs(watts) for watts in plan.watts) / 2
    assert line.throughput_wh == pytest.approx(moved_wh)
    assert line.deviation_wh == pytest.approx(moved_wh)
    assert (line.margin_gbp, line.expected_margin_gbp) == (pytest.approx(0.0), pytest.approx(plan.margin_gbp))
    slots = slot_lines(world.database, world.books, DAY, "a")
    assert [slot.planned_w for slot in slots] == list(plan.watts)
    assert {slot.actual_w for slot in slots} == {0}
    assert [slot.planned_soc_pct for slot in slots] == list(plan.soc_pct[1:])
    assert {slot.status for slot in slots} <= {ExecutionStatus.SUCCEED, ExecutionStatus.FAIL}
    assert line.succeeded == sum(slot.status is ExecutionStatus.SUCCEED for slot in slots)
    assert slot_lines(world.database, world.books, DAY, "nobody") == []


def test_a_device_is_stale_when_it_was_not_heard_for_longer_than_a_slot(sqlite_database: Database) -> None:
    world = World(sqlite_database, ["a"])
    world.plan()
    world.connect()
    world.serve(lambda: bool(world.lines("device_announced")))
    for later, link in ((STALE_AFTER, Link.ONLINE), (STALE_AFTER + timedelta(microseconds=1), Link.STALE)):
        world.hand.shown = EVENING + later
        assert status(world).devices[0].link is link


def test_percentiles_are_times_that_happened() -> None:
    assert _latency([]) is None
    found = _latency(range(1_000_000, 101_000_000, 1_000_000))
    assert found is not None
    assert (found.count, found.p50_s, found.p95_s, found.p99_s) == (100, 50.0, 95.0, 99.0)
    one = _latency([2_500_000])
    assert one is not None
    assert (one.p50_s, one.p95_s, one.p99_s) == (2.5, 2.5, 2.5)


def test_a_cancel_is_shown_until_and_after_the_device_has_confirmed_it(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    plan, _ = world.plan()
    world.submit(world.books.plans(DAY))
    world.connect()
    world.serve(world.all_are(State.APPLIED))
    assert status(world).cancels == ()
    schedule_id = "a_20180701_r1_p1"
    noon = plan.start + timedelta(hours=12)
    world.hand.shown += timedelta(seconds=1)
    world.session.cancel("a", world.hand.shown, schedule_id=schedule_id)
    world.session.cancel("b", world.hand.shown, effective_from=noon)
    world.session.cancel("b", world.hand.shown, effective_from=plan.end)  # of other days
    assert [(line.device_id, line.schedule_id, line.state) for line in status(world).cancels] == [
        ("a", schedule_id, State.PENDING),
        ("b", None, State.PENDING),
    ]
    world.serve(lambda: {line.state for line in status(world).cancels} == {State.APPLIED})
    (line,) = status(world, "b").cancels
    assert (line.effective_from, line.attempts, line.reason) == (noon, 1, "")
    world.hand.shown += timedelta(seconds=1)
    world.submit(world.plan(max_charge_w=100_000))
    assert [line.device_id for line in status(world).cancels] == ["a", "b"], "what was taken back was an older revision"


def test_a_last_will_says_that_a_device_is_offline(sqlite_database: Database) -> None:
    world = World(sqlite_database, ["a"])
    world.plan()
    world.store.keep_status(said(device_id=DeviceId("a")), EVENING)
    assert status(world).devices[0].link is Link.ONLINE
    world.store.keep_status(said(device_id=DeviceId("a"), online=False), EVENING)
    assert status(world).devices[0].link is Link.OFFLINE
