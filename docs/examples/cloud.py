"""One schedule's way through the cloud: stored, published, answered."""

import os
import random
from datetime import UTC, datetime, timedelta

from allye_protocol import Ack, AckStatus, CloudSession, Frame, Interval, Schedule, device_id, encode, schedule_id
from allye_protocol.store.cloud import MemoryCloudStore

HALF_HOUR = timedelta(minutes=30)
MAX300 = device_id("max300-0001")
evening = datetime(2018, 6, 30, 18, tzinfo=UTC)
midnight = datetime(2018, 7, 1, tzinfo=UTC)

session = CloudSession(MemoryCloudStore(), random_bytes=os.urandom, uniform=random.uniform)
session.submit(
    Schedule(
        schedule_id=schedule_id("plan-1"),
        device_id=MAX300,
        version=1,
        generated_at=session.order_for(MAX300, evening),
        intervals=(Interval(start=midnight, end=midnight + HALF_HOUR, rate_kw=50.0),),
    ),
    evening,
)

for dispatch in session.frames_to_send(evening):
    print("publish on", dispatch.frame.topic)
    session.sent(dispatch.schedule_id)

answer = Ack(
    schedule_id=schedule_id("plan-1"), device_id=MAX300, status=AckStatus.APPLIED, timestamp=evening, applied_at=evening
)
for event in session.receive(Frame(topic="devices/max300-0001/ack", payload=encode(answer)), evening):
    print(event.before, "->", event.after)
