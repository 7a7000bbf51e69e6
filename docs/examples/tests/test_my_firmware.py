"""Tests of firmware in another language, or without this library's sessions, against a cloud that is not there."""

import json
from datetime import datetime, timedelta

import pytest

from allye_protocol.delivery import State
from allye_protocol.frame import Frame
from allye_protocol.testing import World
from allye_protocol.transport.base import Received
from allye_protocol.transport.memory import MemoryTransport


class Firmware:
    """The firmware under test, as far as the cloud sees it: bytes in, bytes out. It refuses to discharge."""

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id

    def answer(self, payload: bytes, now: datetime) -> bytes:
        schedule = json.loads(payload)
        discharges = any(interval["rate_kw"] < 0 for interval in schedule["intervals"])
        ack = {
            "schedule_id": schedule["schedule_id"],
            "device_id": self._device_id,
            "status": "FAILED" if discharges else "APPLIED",
            "timestamp": now.isoformat(),
        }
        if discharges:
            ack["error_reason"] = "limit.power: this battery does not discharge"
        else:
            ack["applied_at"] = now.isoformat()
        return json.dumps(ack).encode()


class Wire:
    """What a world asks of who takes part in it, around the firmware."""

    quiet = True

    def __init__(self, world: World, device_id: str) -> None:
        self._topics = f"devices/{device_id}"
        self._firmware = Firmware(device_id)
        self._transport = MemoryTransport(world.broker, device_id)
        self._transport.open([f"{self._topics}/schedule"])

    def next_deadline(self, now: datetime) -> datetime | None:
        return None

    def step(self, now: datetime) -> bool:
        events = self._transport.wait(0)
        for event in events:
            if isinstance(event, Received):
                answer = self._firmware.answer(event.frame.payload, now)
                self._transport.publish(Frame(topic=f"{self._topics}/ack", payload=answer))
                self._transport.acknowledge(event)
        return bool(events)


@pytest.mark.parametrize(("rates_w", "state"), [([50_000], State.APPLIED), ([50_000, -1_000], State.DEAD)])
def test_the_cloud_understands_what_the_firmware_answers(allye_world, allye_cloud, rates_w, state) -> None:
    allye_world.add(Wire(allye_world, "dev-1"))
    plan = allye_cloud.plan("dev-1", rates_w)  # it has said no hello: version 1
    allye_world.settle()
    assert allye_cloud.state_of(plan.schedule_id) is state


def test_a_cloud_that_was_away_hears_the_answer_when_it_is_back(allye_world, allye_cloud) -> None:
    wire = allye_world.add(Wire(allye_world, "dev-1"))
    plan = allye_cloud.plan("dev-1", [50_000], start=allye_world.now + timedelta(hours=2))
    allye_world.broker.partition("cloud")
    allye_world.run_for(timedelta(minutes=10))
    allye_world.broker.heal()
    allye_world.settle()
    assert wire.quiet
    assert allye_cloud.state_of(plan.schedule_id) is State.APPLIED
