"""One schedule's way through the cloud: stored, published, answered."""

import os
import random
from datetime import UTC, datetime, timedelta

from allye_protocol import Ack, AckStatus, CloudSession, Frame, Schedule, device_id, digest, encode, schedule_id
from allye_protocol.events import DeliveryChanged
from allye_protocol.store.cloud import MemoryCloudStore

HALF_HOUR = timedelta(minutes=30)
MAX300 = device_id("max300-0001")
evening = datetime(2018, 6, 30, 18, tzinfo=UTC)
midnight = datetime(2018, 7, 1, tzinfo=UTC)

session = CloudSession(MemoryCloudStore(), random_bytes=os.urandom, uniform=random.uniform)
schedule = Schedule(
    schedule_id=schedule_id("plan-1"),
    device_id=MAX300,
    version=2,
    sequence=session.sequence_for(MAX300, evening),
    generated_at=evening,
    start=midnight,
    rates_w=(50_000,),
)
session.submit(schedule, evening)

# This device has said no hello, so the frame is version 1 in JSON. With a hello it would be what both speak best.
for dispatch in session.frames_to_send(evening):
    print("publish on", dispatch.frame.topic, "in version", dispatch.agreement.version)
    session.sent(dispatch.delivery_id)

answer = Ack(
    schedule_id=schedule.schedule_id,
    device_id=MAX300,
    version=2,
    status=AckStatus.APPLIED,
    timestamp=evening,
    applied_at=evening,
    sequence=schedule.sequence,
    digest=digest(schedule),
)
for event in session.receive(Frame(topic="devices/max300-0001/ack", payload=encode(answer)), evening):
    if isinstance(event, DeliveryChanged):
        print(event.before, "->", event.after)
