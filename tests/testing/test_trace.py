"""A trace keeps what went over the wire, can be asked for messages, and can be read by a person."""

from __future__ import annotations

from datetime import timedelta

import pytest

from allye_protocol.frame import Frame
from allye_protocol.messages import Ack, AckStatus, Hello, Schedule
from allye_protocol.testing import FakeCloud, FakeDevice, Faults, Passage, World
from allye_protocol.transport.memory import MemoryTransport


@pytest.fixture
def world() -> World:
    world = World()
    for name in ("one", "two"):
        FakeDevice(world, name)
    cloud = FakeCloud(world)
    world.settle()
    cloud.plan("one", [1_000])
    cloud.plan("two", [2_000])
    world.settle()
    return world


def test_it_has_the_messages_that_passed_in_the_newest_version(world: World) -> None:
    assert [schedule.rates_w for schedule in world.trace.messages(Schedule)] == [(1_000,), (2_000,)]
    assert [hello.device_id for hello in world.trace.messages(Hello)] == ["one", "two"]
    answers = [(ack.schedule_id, ack.status) for ack in world.trace.messages(Ack, "two")]
    assert answers == [("plan-2", AckStatus.RECEIVED), ("plan-2", AckStatus.APPLIED)]


def test_it_tells_what_was_published_from_what_was_delivered() -> None:
    world = World(faults=Faults(drop=1))
    FakeDevice(world, "one")
    cloud = FakeCloud(world)
    cloud.plan("one", [1_000])
    world.run_for(timedelta(seconds=1))
    assert world.trace.messages(Schedule) != []
    assert world.trace.messages(Schedule, passage=Passage.DELIVERED) == []
    assert world.trace.messages(Schedule, passage=Passage.DROPPED) != []


def test_its_text_is_a_line_for_each_entry(world: World) -> None:
    lines = world.trace.tail(1_000).splitlines()
    assert len(lines) == len(world.trace)
    assert lines[0] == "01 00:00:00.000 + one          connected without a session"
    told = [line for line in lines if "plan-2" in line and "<" in line]
    assert told[0].startswith("01 00:00:00.000 < two          devices/two/schedule plan-2 (")
    assert told[-1].startswith("01 00:00:00.000 < cloud        devices/two/ack plan-2 APPLIED (")
    assert all(line.endswith(" B) delivered") for line in told)


def test_a_long_one_shows_its_end(world: World) -> None:
    lines = world.trace.tail(2).splitlines()
    assert lines == [f"... {len(world.trace) - 2} earlier entries", *map(str, world.trace.entries[-2:])]
    assert repr(world.trace).startswith(f"<Trace of {len(world.trace)} entries>\n")
    assert lines[-1] in repr(world)


def test_what_cannot_be_read_is_in_it_all_the_same(world: World) -> None:
    stranger = MemoryTransport(world.broker, "stranger")
    stranger.open(())
    stranger.publish(Frame(topic="devices/one/ack", payload=b"?"))
    stranger.publish(Frame(topic="elsewhere", payload=b""))
    entries = [entry for entry in world.trace.entries if entry.incident.client_id == "stranger"]
    assert [entry.message for entry in entries] == [None, None, None]
    assert "devices/one/ack cannot be read (no content type, 1 B) published" in str(entries[1])


def test_a_world_with_another_root_reads_its_own_topics() -> None:
    world = World(root="acme/gb")
    FakeDevice(world, "one")
    cloud = FakeCloud(world)
    cloud.plan("one", [1_000])
    world.settle()
    assert [ack.status for ack in world.acks("plan-1")] == [AckStatus.RECEIVED, AckStatus.APPLIED]
    assert "cannot be read" not in repr(world.trace)
    assert {entry.incident.topic.rpartition("/")[0] for entry in world.trace.entries} == {"", "acme/gb/one"}


def test_a_device_that_is_lost_is_told_from_one_that_speaks() -> None:
    world = World()
    device = FakeDevice(world, "one")
    world.settle()
    device.stop()
    told = [str(entry) for entry in world.trace.entries if "status" in entry.incident.topic]
    assert "online" in told[0]
    assert told[-1].endswith("published as its will")
    assert "offline" in told[-1]
