"""Tests of a service of one's own, against devices that are not there."""

from datetime import datetime, timedelta

import pytest

from allye_protocol import Kind, decode
from allye_protocol.testing import Faults, World
from allye_protocol.transport.base import Received, Transport
from allye_protocol.transport.memory import MemoryTransport


class Bill:
    """The service under test: adds up what each battery charged. In production it has a PahoTransport."""

    def __init__(self, transport: Transport) -> None:
        self.charged_wh: dict[str, float] = {}
        self._seen: set[tuple[str, datetime]] = set()
        self._transport = transport
        transport.open(["devices/+/execution"])

    def work(self, timeout_s: float) -> bool:
        """Take what has arrived; whether there was anything."""
        events = self._transport.wait(timeout_s)
        for event in events:
            if isinstance(event, Received):
                result = decode(event.frame.payload, Kind.EXECUTION_RESULT, event.frame.content_type)
                slot = (result.device_id, result.slot_start)
                if slot not in self._seen:  # a message may come twice
                    self._seen.add(slot)
                    charged_wh = max(result.actual_w, 0) * (result.slot_end - result.slot_start) / timedelta(hours=1)
                    self.charged_wh[result.device_id] = self.charged_wh.get(result.device_id, 0.0) + charged_wh
                self._transport.acknowledge(event)
        return bool(events)

    # What a world asks of who takes part in it.

    def step(self, now: datetime) -> bool:
        return self.work(0)

    def next_deadline(self, now: datetime) -> datetime | None:
        return None

    @property
    def quiet(self) -> bool:
        return True


@pytest.fixture
def bill(allye_world: World) -> Bill:
    return allye_world.add(Bill(MemoryTransport(allye_world.broker, "bill")))


def test_what_was_charged_is_billed(allye_world, allye_device, allye_cloud, bill) -> None:
    allye_device("dev-1")
    allye_world.settle()  # the device has said hello
    plan = allye_cloud.plan("dev-1", [50_000, -40_000, 10_000])
    allye_world.run_until(plan.end)
    assert bill.charged_wh == {"dev-1": 30_000.0}


def test_a_battery_that_limps_is_billed_for_what_it_did(allye_world, allye_device, allye_cloud, bill) -> None:
    device = allye_device("dev-1")
    device.battery.limit_w = 20_000
    plan = allye_cloud.plan("dev-1", [50_000])
    allye_world.run_until(plan.end)
    assert bill.charged_wh == {"dev-1": 10_000.0}


def test_nothing_is_billed_twice_or_forgotten(allye_world, allye_device, allye_cloud, allye_broker, bill) -> None:
    for name in ("dev-1", "dev-2"):
        allye_device(name)
    allye_broker.set_faults(Faults(loss=0.05, duplicate=0.3, delay_s=10))
    plans = [allye_cloud.plan(name, [20_000] * 8) for name in ("dev-1", "dev-2")]
    allye_world.run_until(plans[0].start + timedelta(hours=1))
    allye_broker.partition("dev-2")
    allye_world.run_for(timedelta(hours=1))
    allye_broker.restart()
    allye_world.run_until(plans[0].end)
    allye_world.end_faults()
    allye_world.settle()
    assert bill.charged_wh == {"dev-1": 80_000.0, "dev-2": 80_000.0}
