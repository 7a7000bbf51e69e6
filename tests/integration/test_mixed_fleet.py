"""One cloud and thirty devices over mosquitto: ten that have never said hello, ten in MessagePack, ten in Protobuf."""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from allye_demo.broker import BrokerKind
from allye_protocol import CloudSession, DeviceConfig, DeviceSession, Schedule, decode, device_id, digest, schedule_id
from allye_protocol.admission import Policy
from allye_protocol.delivery import State
from allye_protocol.events import ScheduleAdmitted
from allye_protocol.frame import Frame
from allye_protocol.messages import Capabilities, Hello, Kind
from allye_protocol.store.cloud import MemoryCloudStore
from allye_protocol.store.memory import MemoryStore
from allye_protocol.topics import Channel, build
from allye_protocol.transport.base import Connected, Disconnected, Published, Received
from allye_protocol.transport.options import MqttOptions
from allye_protocol.transport.paho import PahoTransport
from tests.integration.brokers import running_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_demo.broker import Broker

MSGPACK, PROTOBUF, JSON = "application/vnd.msgpack", "application/protobuf", "application/json"
EACH = 10
DEADLINE = timedelta(seconds=60)


@pytest.fixture
def mosquitto() -> Iterator[Broker]:
    with running_broker(BrokerKind.MOSQUITTO) as broker:
        yield broker


class _Peer(threading.Thread):
    """A device on a thread of its own, until it is told to end."""

    def __init__(self, broker: Broker, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.device = device_id(name)
        self.transport = PahoTransport(MqttOptions(host=broker.host, port=broker.port, client_id=name))
        self.arrived: list[Frame] = []
        self.ended = threading.Event()

    def end(self) -> None:
        self.ended.set()
        self.transport.wake()
        self.join(10)
        self.transport.close(1.0)


class ThirdPartyDevice(_Peer):
    """Speaks version 1 with nothing but a JSON parser, and says no hello."""

    def run(self) -> None:
        self.transport.open([build(self.device, Channel.SCHEDULE)])
        while not self.ended.is_set():
            for event in self.transport.wait(0.5):
                if isinstance(event, Received):
                    self.arrived.append(event.frame)
                    plan = json.loads(event.frame.payload)
                    self._answer(plan, "RECEIVED", {})
                    self._answer(plan, "APPLIED", {"applied_at": _now()})
                    self.transport.acknowledge(event)

    def _answer(self, plan: dict[str, object], status: str, more: dict[str, str]) -> None:
        body = {
            "schedule_id": plan["schedule_id"],
            "device_id": str(self.device),
            "status": status,
            "timestamp": _now(),
            "trace_id": plan["trace_id"],
            **more,
        }
        self.transport.publish(Frame(topic=build(self.device, Channel.ACK), payload=json.dumps(body).encode()))


class LibraryDevice(_Peer):
    """A device session over MQTT that reads one encoding besides JSON."""

    def __init__(self, broker: Broker, name: str, content_type: str) -> None:
        super().__init__(broker, name)
        capabilities = Capabilities(
            max_charge_w=100_000,
            max_discharge_w=100_000,
            capacity_wh=200_000,
            power_step_w=100,
            soc_min_pct=10,
            soc_max_pct=95,
            slot_lengths_s=(1800,),
        )
        hello = Hello(
            device_id=self.device,
            versions=(1, 2),
            content_types=(content_type, JSON),
            model="MAX300",
            firmware="1",
            library="test",
            capabilities=capabilities,
        )
        config = DeviceConfig(hello=hello, policy=Policy(max_charge_w=100_000, max_discharge_w=100_000))
        self.session = DeviceSession(config, MemoryStore(), random_bytes=os.urandom)

    def run(self) -> None:
        under_way: dict[int, int] = {}
        self.transport.open(self.session.subscriptions)
        while not self.ended.is_set():
            for event in self.transport.wait(0.5):
                now = datetime.now(UTC)
                if isinstance(event, Connected):
                    self.transport.publish(self.session.hello())
                elif isinstance(event, Disconnected):
                    self.session.disconnected()
                elif isinstance(event, Published) and event.token in under_way:
                    self.session.sent(under_way.pop(event.token))
                elif isinstance(event, Received):
                    self.arrived.append(event.frame)
                    for told in self.session.receive(event.frame, now):
                        if isinstance(told, ScheduleAdmitted):
                            self.session.applied(told.schedule.schedule_id, now)
                    self.transport.acknowledge(event)
            for number, frame in self.session.frames_to_send(datetime.now(UTC)):
                under_way[self.transport.publish(frame)] = number


def _now() -> str:
    return datetime.now(UTC).isoformat()


def test_one_cloud_serves_three_kinds_of_device_and_all_understand_the_same(mosquitto) -> None:
    old = [ThirdPartyDevice(mosquitto, f"old-{index}") for index in range(EACH)]
    packed = [LibraryDevice(mosquitto, f"packed-{index}", MSGPACK) for index in range(EACH)]
    buffered = [LibraryDevice(mosquitto, f"buffered-{index}", PROTOBUF) for index in range(EACH)]
    store = MemoryCloudStore()
    session = CloudSession(store, random_bytes=os.urandom, uniform=random.Random(1).uniform)
    transport = PahoTransport(MqttOptions(host=mosquitto.host, port=mosquitto.port, client_id="cloud"))
    with ExitStack() as stack:
        stack.callback(transport.close, 1.0)
        transport.open(session.subscriptions)
        for peer in (*old, *packed, *buffered):
            peer.start()
            stack.callback(peer.end)
        spoken = _deliver(session, store, transport, [*old, *packed, *buffered])

    assert Counter(spoken.values()) == {(1, JSON): EACH, (2, MSGPACK): EACH, (2, PROTOBUF): EACH}
    assert {delivery.state for delivery in store.deliveries} == {State.APPLIED}
    meant = {delivery.device_id: delivery.digest for delivery in store.deliveries}
    for peer in (*old, *packed, *buffered):
        for frame in peer.arrived:
            assert digest(decode(frame.payload, Kind.SCHEDULE, frame.content_type)) == meant[peer.device]
    answered = {ack.device_id: ack.digest for ack in store.acks if ack.digest is not None}
    assert answered == {peer.device: meant[peer.device] for peer in (*packed, *buffered)}


def _deliver(
    session: CloudSession, store: MemoryCloudStore, transport: PahoTransport, peers: list[_Peer]
) -> dict[str, tuple[int, str]]:
    """Wait for the hellos, submit one schedule for each device, and run the cloud until all are settled."""
    spoken: dict[str, tuple[int, str]] = {}
    tokens: dict[int, str] = {}
    begun = datetime.now(UTC)
    greeting = [peer for peer in peers if isinstance(peer, LibraryDevice)]
    submitted = False
    while datetime.now(UTC) - begun < DEADLINE:
        for event in transport.wait(0.2):
            now = datetime.now(UTC)
            if isinstance(event, Received):
                session.receive(event.frame, now)
                transport.acknowledge(event)
            elif isinstance(event, Published) and event.token in tokens:
                session.sent(tokens.pop(event.token))
        now = datetime.now(UTC)
        if not submitted and all(store.hello(peer.device) for peer in greeting):
            submitted = True
            for peer in peers:
                session.submit(_plan(session, peer.device, now), now)
        for dispatch in session.frames_to_send(now, 40) if transport.connected else []:
            tokens[transport.publish(dispatch.frame)] = dispatch.delivery_id
            spoken[dispatch.frame.topic] = (dispatch.agreement.version, dispatch.agreement.content_type)
        if submitted and all(delivery.state is State.APPLIED for delivery in store.deliveries):
            break
    return spoken


def _plan(session: CloudSession, device: str, now: datetime) -> Schedule:
    half_hour = timedelta(minutes=30)
    start = datetime.fromtimestamp((now.timestamp() // 1800 + 1) * 1800, UTC)
    return Schedule(
        schedule_id=schedule_id(f"plan-{device}"),
        device_id=device_id(device),
        version=2,
        sequence=session.sequence_for(device, now),
        generated_at=now,
        start=start + half_hour,
        rates_w=tuple(range(-24_000, 24_000, 1_000)),
    )
