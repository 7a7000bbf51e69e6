"""A cloud service among real device sessions and an in-process broker, in one thread, at a time that the test moves."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from allye_cloud.battery import Battery
from allye_cloud.books import Books, DayPlan
from allye_cloud.logs import logger_to
from allye_cloud.planning import plan_day
from allye_cloud.prices import synthetic
from allye_cloud.registry import Device
from allye_cloud.schedules import Submitted, submit_plans
from allye_cloud.service import CloudService
from allye_cloud.status import states_of
from allye_cloud.store import SqlCloudStore
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.events import ScheduleAdmitted
from allye_protocol.ids import DeviceId
from allye_protocol.session import CloudConfig, CloudSession, DeviceSession, Reading
from allye_protocol.store import MemoryStore
from allye_protocol.transport.base import Connected, Disconnected, Published, Received
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport
from tests.builders import CONFIG, HELLO, seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allye_cloud.database import Database
    from allye_protocol.clock import Clock, ScaledClock
    from allye_protocol.delivery import State
    from allye_protocol.events import CloudEvent

LONDON = ZoneInfo("Europe/London")
DAY = date(2018, 7, 1)
EVENING = datetime(2018, 6, 30, 18, tzinfo=UTC)
BATTERY = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000)
MAX_TURNS = 100_000


class HandClock:
    """Shows what the test says, but never runs past a deadline."""

    def __init__(self, shown: datetime = EVENING) -> None:
        self.shown = shown

    def now(self, not_after: datetime | None = None) -> datetime:
        return self.shown if not_after is None else min(self.shown, not_after)

    def seconds_until(self, instant: datetime) -> float:
        return 0.0


class Peer:
    """A device: its session, its store and its connection. It does at once what it is asked."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.world = world
        self.refuses: Problem | None = None
        self.twice = False
        self.admitted: list[str] = []
        self.stored = MemoryStore()
        self.transport = MemoryTransport(world.broker, name)
        self._tokens: dict[int, int] = {}
        hello = msgspec.structs.replace(HELLO, device_id=DeviceId(name))
        config = msgspec.structs.replace(CONFIG, hello=hello)
        self.session = DeviceSession(config, self.stored, random_bytes=seeded(hash(name) & 0xFFFF))

    def open(self) -> None:
        self.transport.open(self.session.subscriptions)

    def step(self, now: datetime) -> None:
        for event in self.transport.wait(0):
            match event:
                case Connected():
                    self.transport.publish(self.session.hello())
                case Disconnected():
                    self._tokens.clear()
                    self.session.disconnected()
                case Published():
                    if event.token in self._tokens:
                        self.session.sent(self._tokens.pop(event.token))
                case Received():
                    self._take(event, now)
        self.session.tick(now, Reading(meter_wh=0.0))
        if self.transport.connected:
            for outgoing in self.session.frames_to_send(now):
                if self.twice:
                    self.transport.publish(outgoing.frame)
                self._tokens[self.transport.publish(outgoing.frame)] = outgoing.number

    def _take(self, received: Received, now: datetime) -> None:
        for event in self.session.receive(received.frame, now):
            if isinstance(event, ScheduleAdmitted):
                self.admitted.append(event.schedule.schedule_id)
                if self.refuses is None:
                    self.session.applied(event.schedule.schedule_id, now)
                else:
                    self.session.failed(event.schedule.schedule_id, self.refuses, now)
        self.transport.acknowledge(received)


class World:
    """A broker, devices and one cloud worker that can be stopped and replaced."""

    def __init__(self, database: Database, devices: Sequence[str] = ("a", "b"), scaled: ScaledClock | None = None) -> None:
        self.database = database
        self.hand = HandClock()
        self.clock: Clock = scaled or self.hand
        self.broker = MemoryBroker(lambda: self.clock.now().timestamp())
        self.store = SqlCloudStore(database)
        self.books = Books(database)
        self.peers = {name: Peer(self, name) for name in devices}
        self.events: list[CloudEvent] = []
        self.log = io.StringIO()
        self.random = Random(1)
        self.new_session()

    def new_session(self, **config: Any) -> None:
        self.session = CloudSession(
            self.store,
            random_bytes=self.random.randbytes,
            uniform=self.random.uniform,
            config=CloudConfig(**config),
        )

    def devices(self, **battery: Any) -> list[Device]:
        changed = msgspec.structs.replace(BATTERY, **battery)
        return [Device(device_id=DeviceId(name), zone=LONDON, battery=changed) for name in self.peers]

    def plan(self, day: date = DAY, **battery: Any) -> list[DayPlan]:
        made = plan_day(self.devices(**battery), synthetic(day, LONDON), day, {}, yardsticks=False)
        self.books.put_plans(made)
        return made

    def submit(self, plans: Sequence[DayPlan], *, redrive: bool = False) -> list[Submitted]:
        return submit_plans(
            self.session,
            self.store,
            self.books,
            plans,
            self.clock.now(),
            random_bytes=self.random.randbytes,
            redrive=redrive,
        )

    def connect(self) -> None:
        for peer in self.peers.values():
            peer.open()

    def serve(
        self,
        until: Callable[[], bool],
        *,
        tick: timedelta = timedelta(0),
        transport: MemoryTransport | None = None,
        **settings: Any,
    ) -> None:
        """Run a service until something is so; after each of its turns every device has one, and time moves by ``tick``."""
        turns = iter(range(MAX_TURNS))

        def turn() -> bool:
            next(turns)
            for peer in self.peers.values():
                peer.step(self.clock.now())
            self.hand.shown += tick
            return until()

        service = CloudService(
            self.session,
            transport or MemoryTransport(self.broker, "cloud", receive_maximum=500),
            self.clock,
            logger_to(self.log, self.clock, "debug"),
            on_events=self.events.extend,
            poll_s=0,
            **settings,
        )
        service.run(until=turn)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        found = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in found if line["event"] == event]

    def states(self, day: date = DAY) -> dict[str, State]:
        """The state of every schedule of a day, read from the database."""
        return states_of(self.database, day)

    def all_are(self, state: State) -> Callable[[], bool]:
        """Whether every schedule of the day is in a state."""
        return lambda: set(self.states().values()) == {state}


REFUSAL = Problem(code=ErrorCode.LIMIT_POWER, message="too much")
LOCAL = Problem(code=ErrorCode.DEVICE_LOCAL_MODE, message="somebody is at the battery")
