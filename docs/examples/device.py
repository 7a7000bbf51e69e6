"""One schedule's way through a device: from the bytes that arrived to the results that leave."""

import os
from datetime import UTC, datetime, timedelta

from allye_protocol import (
    Capabilities,
    DeviceConfig,
    DeviceSession,
    Frame,
    Hello,
    Schedule,
    __version__,
    device_id,
    encode,
    schedule_id,
)
from allye_protocol.admission import Policy
from allye_protocol.events import ScheduleAdmitted, SlotStarted
from allye_protocol.messages import sequence_at
from allye_protocol.session import Reading
from allye_protocol.store import MemoryStore

HALF_HOUR = timedelta(minutes=30)
MAX300 = device_id("max300-0001")
midnight = datetime(2018, 7, 1, tzinfo=UTC)

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
# On a device: allye_protocol.store.sqlite.SqliteStore("device.db").
session = DeviceSession(config, MemoryStore(), random_bytes=os.urandom)

# What a broker would deliver: half an hour of charging, half an hour of discharging.
evening = midnight - HALF_HOUR
schedule = Schedule(
    schedule_id=schedule_id("plan-1"),
    device_id=MAX300,
    version=2,
    sequence=sequence_at(evening),
    generated_at=evening,
    start=midnight,
    rates_w=(50_000, -40_000),
)
arrived = Frame(topic="devices/max300-0001/schedule", payload=encode(schedule), content_type="application/json")

for event in session.receive(arrived, evening):
    if isinstance(event, ScheduleAdmitted):  # arm the battery here, then say so
        session.applied(event.schedule.schedule_id, evening)

meter_wh, setpoint_w, now = 0.0, 0, evening  # a battery that does exactly what it is told
while deadline := session.next_deadline(now):
    meter_wh += setpoint_w * ((deadline - now) / timedelta(hours=1))
    now = deadline
    setpoint_w = 0
    for event in session.tick(now, Reading(meter_wh)):
        print(now.time(), type(event).__name__)
        if isinstance(event, SlotStarted):
            setpoint_w = event.setpoint_w or 0

for outgoing in session.frames_to_send(now):
    print(outgoing.frame.topic, outgoing.frame.payload.decode())
    session.sent(outgoing.number)
