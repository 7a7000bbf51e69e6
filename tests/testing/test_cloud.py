"""The cloud of a test plans, delivers, takes back and survives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from allye_protocol.delivery import State
from allye_protocol.errors import ErrorCode, RefusalError
from allye_protocol.events import DeliveryChanged
from allye_protocol.testing import FakeCloud, FakeDevice, Faults, World
from allye_protocol.testing.world import START

HOUR = timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cloud(world: World) -> FakeCloud:
    return FakeCloud(world)


@pytest.fixture
def device(world: World) -> FakeDevice:
    return FakeDevice(world, "dev-1")


def test_a_plan_begins_with_the_next_slot_and_is_delivered(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    world.settle()
    schedule = cloud.plan("dev-1", [1_000, None])
    assert (schedule.schedule_id, schedule.start) == ("plan-1", START + HOUR / 2)
    assert cloud.state_of("plan-1") is State.PENDING
    world.settle()
    assert cloud.state_of("plan-1") is State.APPLIED
    assert [event.after for event in cloud.events if isinstance(event, DeliveryChanged)] == [State.RECEIVED, State.APPLIED]


def test_every_member_of_a_schedule_can_be_given(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    world.settle()
    world.run_until(START + timedelta(minutes=7))
    schedule = cloud.plan("dev-1", [1_000], schedule_id="mine", resolution_s=900, metadata={"tariff": "agile"})
    assert (schedule.start, schedule.end) == (START + HOUR / 4, START + HOUR / 2)
    assert (schedule.schedule_id, schedule.metadata) == ("mine", {"tariff": "agile"})
    world.settle()
    assert cloud.state_of("mine") is State.APPLIED


def test_what_the_session_refuses_is_refused(cloud: FakeCloud) -> None:
    cloud.plan("dev-1", [1_000], schedule_id="mine")
    with pytest.raises(RefusalError) as caught:
        cloud.plan("dev-1", [2_000], schedule_id="mine")
    assert caught.value.code is ErrorCode.ORDER_CONFLICT
    with pytest.raises(KeyError):
        cloud.state_of("unknown")


def test_a_cancel_takes_back_what_was_applied(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    schedule = cloud.plan("dev-1", [1_000] * 4)
    world.settle()
    cloud.cancel("dev-1", schedule_id=schedule.schedule_id)
    world.settle()
    assert cloud.state_of(schedule.schedule_id) is State.CANCELLED
    assert device.session.plan.slots(schedule.start, schedule.end) == []


def test_it_has_the_results_in_the_order_of_the_slots(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    world.broker.set_faults(Faults(reorder=0.5, hold_s=7_200))
    schedule = cloud.plan("dev-1", [1_000, 2_000, 3_000, 4_000])
    world.run_until(schedule.end + 3 * HOUR)
    assert [result.actual_w for result in cloud.results("dev-1")] == [1_000, 2_000, 3_000, 4_000]
    assert cloud.results("dev-2") == []


def test_a_restart_loses_nothing(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    device.stop()
    schedule = cloud.plan("dev-1", [1_000])
    cloud.restart()
    device.start()
    world.run_until(schedule.end)
    assert [result.actual_w for result in cloud.results("dev-1")] == [1_000]


def test_while_it_is_down_nothing_happens_and_nothing_is_lost(world: World, cloud: FakeCloud, device: FakeDevice) -> None:
    schedule = cloud.plan("dev-1", [1_000])
    world.settle()
    cloud.stop()
    cloud.stop()
    world.run_until(schedule.end)
    assert (cloud.quiet, cloud.results("dev-1")) == (True, [])
    cloud.start()
    cloud.start()
    world.settle()
    assert [result.actual_w for result in cloud.results("dev-1")] == [1_000]


def test_a_broker_that_refuses_nothing_and_reaches_nobody_is_not_believed(world: World, cloud: FakeCloud) -> None:
    cloud.plan("dev-1", [1_000])
    world.run_for(timedelta(seconds=30))
    assert cloud.state_of("plan-1") is State.SENT  # nobody subscribes: the broker said so
    FakeDevice(world, "dev-1")
    world.settle()
    assert cloud.state_of("plan-1") is State.APPLIED
