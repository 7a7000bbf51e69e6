"""A world goes on from one instant to the next, comes to rest, and is the same for the same seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from allye_protocol.delivery import State
from allye_protocol.frame import Frame
from allye_protocol.testing import FakeCloud, FakeDevice, Faults, World
from allye_protocol.testing.world import START
from allye_protocol.transport.base import Received
from allye_protocol.transport.memory import MemoryTransport

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Alarm:
    """Somebody who does something at some instants."""

    quiet = True

    def __init__(self, *instants: datetime) -> None:
        self.instants = list(instants)
        self.rung: list[datetime] = []

    def step(self, now: datetime) -> bool:
        if not self.instants or now < self.instants[0]:
            return False
        self.rung.append(now)
        del self.instants[0]
        return True

    def next_deadline(self, now: datetime) -> datetime | None:
        return self.instants[0] if self.instants else None


def test_everybody_acts_at_the_very_instant() -> None:
    world = World()
    instants = [START, START + timedelta(microseconds=1), START + HOUR]
    alarm = world.add(Alarm(*instants))
    world.run_for(HOUR)
    assert alarm.rung == instants
    assert world.now == START + HOUR


def test_nothing_beyond_the_end_happens() -> None:
    world = World()
    alarm = world.add(Alarm(START + HOUR))
    world.run_until(START + 59 * MINUTE)
    assert (alarm.rung, world.now) == ([], START + 59 * MINUTE)


def test_what_was_due_in_the_past_happens_now() -> None:
    world = World()
    world.run_for(HOUR)
    alarm = world.add(Alarm(START))
    world.run_for(MINUTE)
    assert alarm.rung == [START + HOUR]


def test_a_condition_ends_it_as_soon_as_it_holds() -> None:
    world = World()
    alarm = world.add(Alarm(START + MINUTE, START + 2 * MINUTE, START + 3 * MINUTE))
    world.run_until(lambda: len(alarm.rung) == 2)
    assert world.now == START + 2 * MINUTE


def test_a_condition_that_never_holds_ends_it_in_time_with_the_trace() -> None:
    world = World()
    FakeDevice(world, "dev-1")
    with pytest.raises(TimeoutError, match=r"not within 0:10:00(.|\n)*devices/dev-1/hello"):
        world.run_until(lambda: False, within=10 * MINUTE)
    assert world.now == START + 10 * MINUTE


def test_who_never_comes_to_an_end_is_found() -> None:
    class Restless(Alarm):
        def step(self, now: datetime) -> bool:
            return True

    world = World()
    world.add(Restless())
    with pytest.raises(RuntimeError, match="always has something to do"):
        world.run_for(MINUTE)


def test_it_is_at_rest_when_everybody_is_and_nothing_is_on_its_way() -> None:
    world = World(faults=Faults(delay_s=30))
    device, cloud = FakeDevice(world, "dev-1"), FakeCloud(world)
    cloud.plan("dev-1", [1_000], start=START + HOUR)
    assert not world.is_quiet()
    world.settle()
    assert world.is_quiet()
    assert START < world.now < START + HOUR
    assert device.store.outbox_size() == 0


def test_somebody_else_can_take_part() -> None:
    class Listener:
        """A service of its own, that reads what devices say."""

        quiet = True

        def __init__(self, world: World) -> None:
            self.heard: list[str] = []
            self.transport = MemoryTransport(world.broker, "listener")
            self.transport.open(["devices/+/hello"])

        def next_deadline(self, now: datetime) -> None:
            return None

        def step(self, now: datetime) -> bool:
            events = self.transport.wait(0)
            for event in events:
                if isinstance(event, Received):
                    self.heard.append(event.frame.topic)
                    self.transport.acknowledge(event)
            return bool(events)

    world = World()
    listener = world.add(Listener(world))
    FakeDevice(world, "dev-1")
    world.settle()
    assert listener.heard == ["devices/dev-1/hello"]


def day_of(seed: int) -> World:
    world = World(seed=seed, faults=Faults(loss=0.05, duplicate=0.1, reorder=0.1, delay_s=5))
    for index in range(3):
        FakeDevice(world, f"dev-{index}")
    cloud = FakeCloud(world)
    for _ in range(6):
        world.run_for(HOUR)
        cloud.plan(f"dev-{world.random.randrange(3)}", [world.random.randrange(-9, 9) * 1_000 for _ in range(8)])
    return world


def test_the_same_seed_gives_the_same_trace_and_another_one_another() -> None:
    assert repr(day_of(5).trace.entries) == repr(day_of(5).trace.entries)
    assert repr(day_of(5).trace.entries) != repr(day_of(6).trace.entries)


def test_faults_end_and_all_is_well_again() -> None:
    world = day_of(3)
    world.broker.partition("dev-0")
    world.run_for(2 * MINUTE)
    world.end_faults()
    world.settle()
    (cloud,) = [actor for actor in world.actors if isinstance(actor, FakeCloud)]
    assert {delivery.state for delivery in cloud.store.deliveries} <= {State.APPLIED, State.SUPERSEDED}


def test_it_begins_when_it_is_told() -> None:
    start = datetime(2018, 7, 1, 10, 7, tzinfo=UTC)
    assert World(start=start).now == start


def test_the_result_of_a_slot_is_found_and_a_second_one_is_not_overlooked() -> None:
    world = World()
    device, cloud = FakeDevice(world, "dev-1"), FakeCloud(world)
    schedule = cloud.plan("dev-1", [40_000])
    world.run_until(schedule.end)
    result = world.result_of("dev-1", schedule.start)
    assert result is not None
    assert result.actual_w == 40_000
    assert world.result_of("dev-1", schedule.end) is None
    assert world.results("dev-1") == [result]
    device.restart(forget=True)  # a device that has lost its memory does it again
    world.broker.set_faults(Faults())
    device.clock_error = -HOUR
    frames = [entry.incident for entry in world.trace.entries if entry.incident.topic.endswith("/schedule")]
    sent = frames[0]
    again = Frame(topic=sent.topic, payload=sent.payload, content_type=sent.content_type)
    device.session.receive(again, device.now)
    device.session.applied(schedule.schedule_id, device.now)
    world.run_for(HOUR)
    with pytest.raises(AssertionError, match="reported 2 results"):
        world.result_of("dev-1", schedule.start)
