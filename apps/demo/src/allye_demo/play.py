"""Playing a local day: a broker, the cloud and a device for each site, on one played clock.

1. Everything is the real thing but the clock and the batteries: the apps' own service and agents, each in a thread with its own
   connection and database, over a broker in a process of its own.
2. The day is planned and submitted before the clock starts, as a cloud does the evening before. The clock starts early enough
   for the plans to be delivered before the first half-hour.
3. The play is over when the cloud has the result of every half-hour, or when it takes far longer than it should.
"""

from __future__ import annotations

import os
import random
import threading
import time
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import msgspec

from allye_cloud.books import Books, DayPlan
from allye_cloud.database import Database
from allye_cloud.days import local_day
from allye_cloud.logs import logger_to
from allye_cloud.planning import plan_day
from allye_cloud.prices import PriceSeries
from allye_cloud.registry import load as load_registry
from allye_cloud.schedules import submit_plans
from allye_cloud.service import CloudService
from allye_cloud.store import SqlCloudStore
from allye_demo.broker import Broker, BrokerKind, embedded_broker
from allye_demo.fleet import agent_config, registry_text, sites
from allye_device.assembly import assembled, clock_of
from allye_device.config import ClockConfig
from allye_device.logs import configure
from allye_protocol.events import CloudEvent, DeliveryChanged, ResultReceived
from allye_protocol.session import CloudSession
from allye_protocol.transport.options import MqttOptions
from allye_protocol.transport.paho import PahoTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TextIO

    from allye_device.agent import Agent
    from allye_protocol.clock import Clock
    from allye_protocol.delivery import State

__all__ = ["Play", "Script", "play"]

LEAD_S: Final = 2.0
"""Real time between the start of the clock and the first half-hour, s: for connecting and delivering."""
PATIENCE: Final = 3.0
"""How many times as long as planned a play may take."""
SPARE_S: Final = 60.0
_STEP_S: Final = 0.1


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be played.

    :param devices: how many.
    :param day: the local date.
    :param zone: whose calendar the day is on.
    :param prices: what the day is planned with.
    :param speed: played seconds for each real one.
    :param seed: of the sites' sizes and states of charge.
    :param broker: which broker; ``None``: the best there is.
    """

    devices: int
    day: date
    zone: ZoneInfo
    prices: PriceSeries
    speed: float
    seed: int
    broker: BrokerKind | None


class Play:
    """A play that is going on, for whoever watches it. Safe to read from any thread.

    :param script: what is played.
    :param folder: where databases and logs are.
    """

    def __init__(self, script: Script, folder: Path) -> None:
        self.script: Final = script
        self.folder: Final = folder
        self.start, self.end = local_day(script.day, script.zone)
        self.broker: Broker | None = None
        self.clock: Clock | None = None
        self.plans: list[DayPlan] = []
        self.agents: dict[str, Agent] = {}
        self.tongues: dict[str, str] = {}
        self.states: dict[str, dict[str, State]] = {}
        self.results: dict[str, dict[datetime, bool]] = {}
        self.failures: list[str] = []

    @property
    def half_hours(self) -> int:
        """How many half-hours the day has."""
        return (self.end - self.start) // timedelta(minutes=30)

    @property
    def database_url(self) -> str:
        """The cloud's database."""
        return f"sqlite:///{self.folder / 'cloud.db'}"

    @property
    def now(self) -> datetime:
        """The played time."""
        return self.start if self.clock is None else self.clock.now()

    @property
    def reported(self) -> int:
        """How many results the cloud has."""
        return sum(len(slots) for slots in self.results.values())

    def hear(self, events: Sequence[CloudEvent]) -> None:
        """Take in what the cloud's session told."""
        for event in events:
            if isinstance(event, DeliveryChanged):
                self.states.setdefault(event.device_id, {})[event.delivery_id] = event.after
            elif isinstance(event, ResultReceived):
                result = event.result
                self.results.setdefault(result.device_id, {})[result.slot_start] = result.status == "SUCCEED"


def play(script: Script, folder: Path, log: TextIO, watch: Callable[[Play], None]) -> Play:
    """Play a day.

    :param folder: an empty folder for databases.
    :param log: where everybody's log lines go.
    :param watch: called about ten times a second while it is going on.
    :returns: the play when it is over; what happened is in its database.
    :raises BrokerError: when no broker can be started.
    :raises DayError: when the zone has no such day.
    :raises PriceError: when the prices do not cover it.
    """
    going = Play(script, folder)
    with ExitStack() as at_end:
        going.broker = at_end.enter_context(embedded_broker(script.broker))
        database = Database(going.database_url)
        at_end.callback(database.close)
        store, books = SqlCloudStore(database), Books(database)
        session = CloudSession(store, random_bytes=os.urandom, uniform=random.uniform)
        fleet = sites(script.devices, script.seed)
        registry = folder / "devices.json"
        registry.write_text(registry_text(fleet, script.zone.key), encoding="utf-8")
        origin = going.start - timedelta(seconds=LEAD_S * script.speed)
        going.plans = plan_day(load_registry(registry).values(), script.prices, script.day, {})
        books.put_plans(going.plans)
        for submitted in submit_plans(session, store, books, going.plans, origin, random_bytes=os.urandom):
            going.states[submitted.device_id] = {}
        played = ClockConfig(kind="scaled", origin=origin, started=time.time(), speed=script.speed)
        going.clock = clock = clock_of(played)
        configure(log, clock.now)
        options = MqttOptions(host=going.broker.host, port=going.broker.port, client_id="allye-cloud")
        service = CloudService(session, PahoTransport(options), clock, logger_to(log, clock), on_events=going.hear)
        actors = [_Actor("cloud", service.run, service.stop, going)]
        for site in fleet:
            agent = at_end.enter_context(assembled(agent_config(site, going.broker, played, folder), clock_of(played)))
            going.agents[site.device_id] = agent
            going.tongues[site.device_id] = str(site.tongue)
            actors.append(_Actor(site.device_id, agent.run, agent.stop, going))
        _perform(going, actors, watch)
    return going


def _perform(going: Play, actors: Sequence[_Actor], watch: Callable[[Play], None]) -> None:
    expected = going.half_hours * len(going.agents)
    day_s = (going.end - going.start).total_seconds() / going.script.speed
    latest_s = time.monotonic() + PATIENCE * (LEAD_S + day_s) + SPARE_S
    for actor in actors:
        actor.start()
    try:
        while going.reported < expected and not going.failures and time.monotonic() < latest_s:
            watch(going)
            time.sleep(_STEP_S)
        watch(going)
    finally:
        # Devices first: what they have left to say still reaches the cloud.
        for actor in reversed(actors):
            actor.end()


class _Actor:
    """A thread that does one app's work and says when it failed."""

    def __init__(self, name: str, run: Callable[[], None], stop: Callable[[], None], going: Play) -> None:
        self._name = name
        self._run = run
        self._stop = stop
        self._going = going
        self._thread = threading.Thread(target=self._act, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _act(self) -> None:
        try:
            self._run()
        except Exception as error:  # noqa: BLE001 - a thread's edge: told to whoever watches, and the play ends
            self._going.failures.append(f"{self._name}: {type(error).__name__}: {error}")

    def end(self) -> None:
        self._stop()
        self._thread.join(timeout=15)
