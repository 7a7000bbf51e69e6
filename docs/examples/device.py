"""One schedule's way through a device: from the bytes that arrived to the results that leave."""

import os
from datetime import UTC, datetime, timedelta

from allye_protocol import (
    Capabilities,
    DeviceConfig,
    DeviceSession,
    Frame,
    Hello,
    Interval,
    Schedule,
    device_id,
    encode,
    schedule_id,
)
from allye_protocol.admission import Policy
from allye_protocol.events import ScheduleAdmitted
from allye_protocol.session import Reading
from allye_protocol.store import MemoryStore

HALF_HOUR = timedelta(minutes=30)
MAX300 = device_id("max300-0001")
midnight = datetime(2018, 7, 1, tzinfo=UTC)

hello = Hello(
    device_id=MAX300,
    versions=(1,),
    content_types=("application/json",),
    model="MAX300",
    firmware="2026.11",
    library="allye-protocol 0.1.0",
    capabilities=Capabilities(
        max_charge_w=100_000,
        max_discharge_w=100_000,
        capacity_wh=200_000,
        power_step_w=100,
        soc_min_pct=10,
        soc_max_pct=95,
        slot_lengths_s=(1800,),
    ),
)
config = DeviceConfig(hello=hello, policy=Policy(max_charge_w=100_000, max_discharge_w=100_000), hold=HALF_HOUR)
# On a device: allye_protocol.store.sqlite.SqliteStore("device.db").
session = DeviceSession(config, MemoryStore(), random_bytes=os.urandom)

# What a broker would deliver: half an hour of charging, half an hour of discharging.
schedule = Schedule(
    schedule_id=schedule_id("plan-1"),
    device_id=MAX300,
    version=1,
    generated_at=midnight - HALF_HOUR,
    intervals=tuple(
        Interval(start=midnight + HALF_HOUR * slot, end=midnight + HALF_HOUR * (slot + 1), rate_kw=rate_kw)
        for slot, rate_kw in enumerate((50.0, -40.0))
    ),
)
arrived = Frame(topic="devices/max300-0001/schedule", payload=encode(schedule), content_type="application/json")

for event in session.receive(arrived, midnight - HALF_HOUR):
    if isinstance(event, ScheduleAdmitted):  # arm the battery here, then say so
        session.applied(event.schedule.schedule_id, midnight - HALF_HOUR)

meter_wh = 0.0  # a battery that does exactly what it is told
now = midnight - HALF_HOUR
while deadline := session.next_deadline(now):
    now = deadline
    for event in session.tick(now, Reading(meter_wh)):
        print(now.time(), type(event).__name__)
    slot = schedule.intervals[int((now - midnight) / HALF_HOUR)] if now < schedule.end else None
    meter_wh += slot.rate_w / 2 if slot else 0

for outgoing in session.frames_to_send(now):
    print(outgoing.frame.topic, outgoing.frame.payload.decode())
    session.sent(outgoing.number)
