"""Promise P3: loss, duplication, reordering, delay, partitions and restarts change nothing in the end.

``FLEET_SEEDS`` in the environment says how many seeds are played; 50 without it.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import timedelta

import pytest

from allye_protocol.delivery import State
from allye_protocol.messages import AckStatus, ExecutionStatus
from allye_protocol.testing import Battery, FakeCloud, FakeDevice, Faults, Passage, World
from tests.simulation.fleet import DAY, ENCODINGS_OF_VERSION_2, JSON, SLOT, TWO_RETRIES, Fleet

SEEDS = int(os.environ.get("FLEET_SEEDS", "50"))
MSGPACK = "application/vnd.msgpack"


def played(seed: int, *, forgetful: bool = False) -> Fleet:
    fleet = Fleet(seed, forgetful=forgetful)
    fleet.play()
    fleet.finish()
    return fleet


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_mixed_fleet_ends_up_with_the_newest_plan_and_one_result_for_every_slot(seed: int) -> None:
    played(seed).check()


@pytest.mark.parametrize("seed", range(1_000_000, 1_000_000 + SEEDS // 5))
def test_a_broker_without_memory_costs_results_that_it_had_taken_and_no_plan(seed: int) -> None:
    played(seed, forgetful=True).check()


def test_the_days_are_as_bad_as_they_claim() -> None:
    fleets = [played(seed) for seed in range(5)]
    seen = Counter(entry.incident.passage for fleet in fleets for entry in fleet.world.trace.entries)
    assert min(seen[passage] for passage in Passage) > 20
    spoken = {
        (entry.incident.client_id, entry.incident.content_type)
        for fleet in fleets
        for entry in fleet.world.trace.entries
        if entry.incident.topic.endswith("/execution") and entry.incident.passage is Passage.PUBLISHED
    }
    silent = {("foreign", None), ("v1-silent", JSON), ("v1-hello", JSON)}
    assert spoken == silent | {(f"v2-{name.replace('vnd.', '').rpartition('/')[2]}", name) for name in ENCODINGS_OF_VERSION_2}
    assert all(fleet.cancelled for fleet in fleets)


def test_the_same_seed_is_the_same_day() -> None:
    assert played(3).world.trace.entries == played(3).world.trace.entries


def test_what_a_cancelled_plan_had_replaced_never_comes_back() -> None:
    world = World()
    device, cloud = FakeDevice(world, "dev-1"), FakeCloud(world)
    world.settle()
    long = cloud.plan("dev-1", [10_000] * 12)
    taken_back = cloud.plan("dev-1", [20_000] * 6, start=long.start + 2 * SLOT)
    world.settle()
    cloud.cancel("dev-1", schedule_id=taken_back.schedule_id)
    world.run_until(long.start + 3 * SLOT)
    device.restart()
    world.run_until(long.end + SLOT)
    done = [(result.slot_start, result.schedule_id) for result in cloud.results("dev-1")]
    assert done == [(long.start + SLOT * index, long.schedule_id) for index in (0, 1, 8, 9, 10, 11)]
    assert device.store.applied() == []


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    ("before", "after"),
    [(((1,), (JSON,)), ((1, 2), (MSGPACK,))), (((1, 2), (MSGPACK,)), ((2,), (JSON,))), (((1, 2), (MSGPACK,)), ((1,), (JSON,)))],
    ids=["1-to-2", "msgpack-to-json", "2-to-1"],
)
def test_a_device_that_is_upgraded_while_it_runs_changes_over_without_loss(
    seed: int, before: tuple[tuple[int, ...], tuple[str, ...]], after: tuple[tuple[int, ...], tuple[str, ...]]
) -> None:
    world = World(seed=seed)
    cloud = FakeCloud(world)
    device = FakeDevice(world, "dev-1", versions=before[0], content_types=before[1], battery=Battery(hold=DAY))
    world.settle()
    world.broker.set_faults(Faults(loss=0.03, duplicate=0.1, reorder=0.1, delay_s=3))
    plan = [world.random.randrange(-100, 100) * 1_000 for _ in range(12)]
    first = cloud.plan("dev-1", plan)
    world.run_until(first.start + 3 * SLOT + timedelta(seconds=world.random.uniform(0, 1_800)))
    device.battery.arming = timedelta(minutes=1)
    second = cloud.plan("dev-1", [42_000] * 2, start=first.start + 6 * SLOT)  # on its way while the firmware changes
    world.run_for(timedelta(seconds=world.random.uniform(0, 90)))
    device.upgrade(*after)
    changed_at = world.now
    third = cloud.plan("dev-1", [-42_000] * 2, start=first.start + 8 * SLOT)
    world.run_for(timedelta(minutes=20))
    world.end_faults()
    world.settle(within=TWO_RETRIES)
    world.run_until(first.end + SLOT)
    expected = [*plan[:6], *second.rates_w, *third.rates_w, *plan[10:]]
    assert [(result.status, result.actual_w) for result in cloud.results("dev-1")] == [
        (ExecutionStatus.SUCCEED, rate_w) for rate_w in expected
    ]
    for schedule in (first, second, third):
        assert cloud.state_of(schedule.schedule_id) is State.APPLIED
        assert len({ack.timestamp for ack in world.acks(schedule.schedule_id) if ack.status is AckStatus.APPLIED}) == 1
    spoken = [
        (entry.at, entry.incident.content_type)
        for entry in world.trace.entries
        if entry.incident.topic.endswith("/execution") and entry.incident.passage is Passage.PUBLISHED
    ]
    assert {name for at, name in spoken if at < changed_at} == {before[1][0]}
    assert {name for at, name in spoken if at > changed_at + timedelta(hours=1)} == {after[1][0]}
