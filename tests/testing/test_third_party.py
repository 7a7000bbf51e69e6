"""The foreign device speaks version 1 as the baseline has it, and a cloud works with it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from allye_protocol import codec
from allye_protocol.delivery import State
from allye_protocol.frame import Frame
from allye_protocol.messages import Kind, v1
from allye_protocol.testing import FakeCloud, Faults, Passage, ThirdPartyDevice, World

SLOT = timedelta(minutes=30)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def device(world: World) -> ThirdPartyDevice:
    return ThirdPartyDevice(world, "foreign")


@pytest.fixture
def cloud(world: World) -> FakeCloud:
    return FakeCloud(world)


def said(world: World, channel: str) -> list[dict[str, Any]]:
    return [
        json.loads(entry.incident.payload)
        for entry in world.trace.entries
        if entry.incident.topic == f"devices/foreign/{channel}" and entry.incident.passage is Passage.PUBLISHED
    ]


def test_it_is_spoken_to_in_version_1_and_answers_so(world: World, device: ThirdPartyDevice, cloud: FakeCloud) -> None:
    schedule = cloud.plan("foreign", [50_000, -40_000])
    world.settle()
    (heard,) = said(world, "schedule")
    assert (heard["version"], [interval["rate_kw"] for interval in heard["intervals"]]) == (1, [50.0, -40.0])
    assert [answer["status"] for answer in said(world, "ack")] == ["RECEIVED", "APPLIED"]
    assert cloud.state_of(schedule.schedule_id) is State.APPLIED
    assert device.plan == {schedule.start: 50.0, schedule.start + SLOT: -40.0}


def test_everything_it_says_is_a_valid_message_of_version_1(world: World, device: ThirdPartyDevice, cloud: FakeCloud) -> None:
    cloud.plan("foreign", [50_000])
    world.run_for(2 * SLOT)
    for answer in said(world, "ack"):
        assert isinstance(codec.decode(json.dumps(answer).encode(), Kind.ACK), v1.Ack)
    (result,) = said(world, "execution")
    assert isinstance(codec.decode(json.dumps(result).encode(), Kind.EXECUTION_RESULT), v1.ExecutionResult)
    assert [(result.status.value, result.actual_w) for result in cloud.results("foreign")] == [("SUCCEED", 50_000)]


def test_a_newer_plan_replaces_what_it_covers_and_an_older_one_is_refused(
    world: World, device: ThirdPartyDevice, cloud: FakeCloud
) -> None:
    first = cloud.plan("foreign", [1_000] * 4)
    second = cloud.plan("foreign", [2_000], start=first.start + SLOT)
    world.settle()
    assert list(device.plan.values()) == [1.0, 2.0, 1.0, 1.0]
    late = codec.encode(
        v1.Schedule(
            schedule_id="late",
            device_id="foreign",
            version=1,
            generated_at=world.now - timedelta(hours=1),
            intervals=(v1.Interval(start=second.start, end=second.end, rate_kw=9.0),),
        )
    )
    cloud.transport.publish(Frame(topic="devices/foreign/schedule", payload=late))
    world.settle()
    assert said(world, "ack")[-1]["status"] == "FAILED"
    assert list(device.plan.values()) == [1.0, 2.0, 1.0, 1.0]


def test_it_says_again_what_was_lost_and_answers_a_repetition_with_the_same_words(
    world: World, device: ThirdPartyDevice, cloud: FakeCloud
) -> None:
    world.broker.set_faults(Faults(loss=0.3, duplicate=0.5))
    schedule = cloud.plan("foreign", [3_000] * 4)
    world.run_until(schedule.end)
    world.end_faults()
    world.settle()
    assert len({json.dumps(answer) for answer in said(world, "ack")}) == 2
    assert len(said(world, "ack")) > 2
    assert [result.actual_w for result in cloud.results("foreign")] == [3_000] * 4
