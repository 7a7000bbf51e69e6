"""The device of a test is a real one: its battery can be crippled, its clock can be wrong, and its plug can be pulled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from allye_protocol.delivery import State
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.events import SlotStarted
from allye_protocol.messages import AckStatus, DeviceStatus, ExecutionStatus, Hello, Outcome
from allye_protocol.store.base import EntryState
from allye_protocol.testing import Battery, FakeCloud, FakeDevice, Passage, World

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
MSGPACK = "application/vnd.msgpack"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def cloud(world: World) -> FakeCloud:
    return FakeCloud(world)


def test_it_does_what_it_is_told_and_reports_it(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    world.settle()
    schedule = cloud.plan("dev-1", [50_000, None, -40_000])
    world.run_until(schedule.start + MINUTE)
    assert device.battery.setpoint_w == 50_000
    world.run_until(schedule.end + MINUTE)
    assert device.battery.setpoint_w == 0
    results = world.results("dev-1")
    assert [(result.status, result.actual_w) for result in results] == [
        (ExecutionStatus.SUCCEED, 50_000),
        (ExecutionStatus.SUCCEED, 0),
        (ExecutionStatus.SUCCEED, -40_000),
    ]
    assert [event.setpoint_w for event in device.events if isinstance(event, SlotStarted)] == [50_000, None, -40_000]


def test_it_announces_itself_on_every_connection_and_is_missed_when_it_is_lost(world: World) -> None:
    device = FakeDevice(world, "dev-1")
    world.settle()
    world.broker.drop("dev-1")
    world.settle()
    assert len(world.trace.messages(Hello)) == 2
    device.stop()
    device.stop()
    assert [status.online for status in world.trace.messages(DeviceStatus)] == [True, False, True, False]


def test_one_that_says_no_hello_is_spoken_to_in_version_1(world: World, cloud: FakeCloud) -> None:
    FakeDevice(world, "dev-1", versions=(1,), says_hello=False)
    cloud.plan("dev-1", [1_000])
    world.settle()
    assert world.trace.messages(Hello) == []
    (schedule,) = [entry.incident for entry in world.trace.entries if entry.incident.topic.endswith("/schedule")][:1]
    assert b'"version":1' in schedule.payload


def test_a_battery_that_refuses_is_asked_again_when_it_is_free(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    device.battery.refusal = BUSY
    schedule = cloud.plan("dev-1", [1_000], start=world.now + HOUR)
    world.run_for(MINUTE)
    assert cloud.state_of(schedule.schedule_id) is State.FAILED
    assert world.acks(schedule.schedule_id)[-1].error.code == ErrorCode.DEVICE_BUSY
    device.battery.refusal = None
    world.settle()
    assert cloud.state_of(schedule.schedule_id) is State.APPLIED


def test_a_battery_that_takes_its_time_is_armed_later(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    device.battery.arming = 2 * MINUTE
    cloud.plan("dev-1", [1_000])
    world.settle()
    received, applied = world.acks("plan-1")[0], world.acks("plan-1")[-1]
    assert (received.status, applied.status) == (AckStatus.RECEIVED, AckStatus.APPLIED)
    assert applied.timestamp - received.timestamp == 2 * MINUTE


def test_a_limping_battery_is_reported_with_its_reason(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1", read_every=MINUTE)
    device.battery.limit_w = 30_000
    world.settle()
    schedule = cloud.plan("dev-1", [100_000])
    world.run_until(schedule.end)
    result = world.result_of("dev-1", schedule.start)
    assert (result.status, result.outcome, result.actual_w) == (ExecutionStatus.FAIL, Outcome.LIMITED, 30_000)
    assert result.limiting == (ErrorCode.EXEC_LIMITED_BATTERY,)


def test_a_lost_link_to_the_battery_is_a_fault_of_the_slot(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1", battery=Battery(hold=MINUTE), read_every=timedelta(seconds=20))
    schedule = cloud.plan("dev-1", [100_000])
    world.run_until(schedule.start + 10 * MINUTE)
    device.battery.linked = False
    world.run_until(schedule.start + 20 * MINUTE)
    device.battery.linked = True
    world.run_until(schedule.end)
    result = world.result_of("dev-1", schedule.start)
    assert (result.status, result.outcome) == (ExecutionStatus.FAIL, Outcome.FAULTED)


def test_an_untrusted_clock_takes_no_schedule(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    device.clock_trusted = False
    schedule = cloud.plan("dev-1", [1_000], start=world.now + HOUR)
    world.run_for(MINUTE)
    assert world.acks(schedule.schedule_id)[-1].error.code == ErrorCode.DEVICE_CLOCK_UNTRUSTED
    device.clock_trusted = True
    world.settle()
    assert cloud.state_of(schedule.schedule_id) is State.APPLIED


@pytest.mark.parametrize("error", [-20 * MINUTE, 20 * MINUTE])
def test_a_wrong_clock_executes_at_the_wrong_time_and_says_so(world: World, cloud: FakeCloud, error: timedelta) -> None:
    device = FakeDevice(world, "dev-1")
    schedule = cloud.plan("dev-1", [1_000], start=world.now + 2 * HOUR)
    world.settle()
    device.clock_error = error
    world.run_until(lambda: any(isinstance(event, SlotStarted) for event in device.events))
    assert world.now == schedule.start - error
    assert device.now == schedule.start


def test_a_restart_keeps_what_was_stored_and_a_reset_does_not(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    schedule = cloud.plan("dev-1", [1_000])
    world.settle()
    device.restart()
    world.settle()
    assert device.store.entry(schedule.schedule_id).state is EntryState.APPLIED
    device.restart(forget=True)
    assert device.store.entry(schedule.schedule_id) is None


def test_while_it_is_off_nothing_happens_and_the_plan_goes_on_afterwards(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1")
    schedule = cloud.plan("dev-1", [1_000] * 4)
    world.settle()
    device.stop()
    world.run_until(schedule.start + HOUR)
    assert (device.running, device.quiet, world.results("dev-1")) == (False, True, [])
    device.start()
    device.start()
    world.run_until(schedule.end)
    outcomes = [result.outcome for result in world.results("dev-1")]
    assert outcomes == [Outcome.NOT_EXECUTED, Outcome.NOT_EXECUTED, Outcome.FULL, Outcome.FULL]


def test_an_upgrade_changes_what_it_speaks_and_keeps_what_it_has(world: World, cloud: FakeCloud) -> None:
    device = FakeDevice(world, "dev-1", versions=(1,), content_types=("application/json",))
    schedule = cloud.plan("dev-1", [1_000] * 4)
    world.run_until(schedule.start + HOUR)
    device.upgrade((1, 2), (MSGPACK,))
    world.settle()
    cloud.plan("dev-1", [2_000] * 2, start=schedule.start + HOUR)
    world.run_until(schedule.end)
    assert [result.actual_w for result in world.results("dev-1")] == [1_000, 1_000, 2_000, 2_000]
    spoken = [
        entry.incident.content_type
        for entry in world.trace.entries
        if entry.incident.passage is Passage.PUBLISHED and entry.incident.topic.endswith("/execution")
    ]
    assert spoken == ["application/json"] * 2 + [MSGPACK] * 2
