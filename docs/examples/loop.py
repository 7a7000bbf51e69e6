"""A device's whole loop over a transport, and a played hour of it over a broker inside the process."""

import os
import time
from datetime import UTC, datetime, timedelta

from allye_protocol import (
    Capabilities,
    DeviceConfig,
    DeviceSession,
    Frame,
    Hello,
    Kind,
    Schedule,
    __version__,
    decode,
    device_id,
    encode,
    schedule_id,
)
from allye_protocol.admission import Policy
from allye_protocol.clock import Clock, ScaledClock
from allye_protocol.errors import TransportError
from allye_protocol.events import DefaultControl, DeviceEvent, ScheduleAdmitted, SlotStarted
from allye_protocol.messages import sequence_at
from allye_protocol.session import Reading
from allye_protocol.store import MemoryStore
from allye_protocol.transport.base import Connected, Disconnected, Published, Received, Transport
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport

HALF_HOUR = timedelta(minutes=30)
MAX300 = device_id("max300-0001")
midnight = datetime(2018, 7, 1, tzinfo=UTC)


class Battery:
    """Does exactly what it is told. A driver of a real one is described in apps/max300/README.md."""

    def __init__(self, now: datetime) -> None:
        self._now, self._watts, self._meter_wh = now, 0, 0.0

    def order(self, watts: int) -> None:
        """Charge, or discharge below 0, from now on; W."""
        self._watts = watts

    def read(self, now: datetime) -> Reading:
        """The energy meter at an instant."""
        self._meter_wh += self._watts * ((now - self._now) / timedelta(hours=1))
        self._now = now
        return Reading(self._meter_wh)


def run(session: DeviceSession, transport: Transport, battery: Battery, clock: Clock, until: datetime) -> None:
    """Be a device over an open transport; a real one ends by a signal instead of ``until``."""
    now, under_way = clock.now(), {}

    def handle(events: list[DeviceEvent]) -> None:
        for event in events:
            match event:
                case ScheduleAdmitted():  # a real battery is armed first, and its refusal is told by session.failed
                    handle(session.applied(event.schedule.schedule_id, now))
                case SlotStarted():
                    battery.order(event.setpoint_w or 0)
                case DefaultControl():
                    battery.order(0)

    handle(session.resume(now))
    while now < until:
        deadline = min(session.next_deadline(now) or until, until)
        events = transport.wait(clock.seconds_until(deadline))
        now = clock.now(not_after=deadline)  # played time stops at the deadline; real time stops for nobody
        for event in events:
            match event:
                case Received():
                    handle(session.receive(event.frame, now))
                    transport.acknowledge(event)  # after the store has it
                case Published(token=token) if token in under_way:
                    number = under_way.pop(token)
                    session.sent(number) if event.accepted and not event.unheard else session.not_sent(number, now)
                case Connected():
                    transport.publish(session.hello())
                    if status := session.status(now):  # a device that speaks version 1 alone has none
                        transport.publish(status)
                case Disconnected():
                    session.disconnected()
                    under_way.clear()
        handle(session.tick(now, battery.read(now)))
        for number, frame in session.frames_to_send(now) if transport.connected else []:
            try:
                under_way[transport.publish(frame)] = number
            except TransportError:  # the connection has just ended: the outbox keeps the frame
                session.not_sent(number, now)


hello = Hello(
    device_id=MAX300,
    versions=(1, 2),
    content_types=("application/vnd.msgpack", "application/json"),
    model="MAX300",
    firmware="2026.11",
    library=f"allye-protocol {__version__}",
    capabilities=Capabilities(
        max_charge_w=100_000,
        max_discharge_w=100_000,
        capacity_wh=200_000,
        power_step_w=100,
        soc_min_pct=10,
        soc_max_pct=95,
        slot_lengths_s=(900, 1800),
    ),
)
config = DeviceConfig(hello=hello, policy=Policy(max_charge_w=100_000, max_discharge_w=100_000), hold=HALF_HOUR)
session = DeviceSession(config, MemoryStore(), random_bytes=os.urandom)  # a device has allye_protocol.store.sqlite.SqliteStore

# On a device: PahoTransport(MqttOptions(host="broker.example", client_id=MAX300)).
broker = MemoryBroker(time.monotonic)
transport, cloud = MemoryTransport(broker, MAX300), MemoryTransport(broker, "cloud")
transport.open(session.subscriptions)
cloud.open(["devices/+/ack", "devices/+/execution"])
evening = midnight - 2 * HALF_HOUR
schedule = Schedule(
    schedule_id=schedule_id("plan-1"),
    device_id=MAX300,
    version=2,
    sequence=sequence_at(evening),
    generated_at=evening,
    start=midnight,
    rates_w=(50_000, -40_000),
)
cloud.publish(Frame(topic="devices/max300-0001/schedule", payload=encode(schedule)))

# On a device: SystemClock(). This one begins an hour early and plays an hour in half a second.
clock = ScaledClock(evening, started=time.time(), speed=7200)
run(session, transport, Battery(clock.now()), clock, until=schedule.end + timedelta(minutes=1))
transport.close()

for event in cloud.wait(0):
    if isinstance(event, Received):
        kind = Kind.ACK if event.frame.topic.endswith("/ack") else Kind.EXECUTION_RESULT
        answer = decode(event.frame.payload, kind)
        print(kind, answer.status, "" if kind is Kind.ACK else f"{answer.actual_w:+d} W")
