"""The apps as they are deployed, for tests that kill them: a broker, the cloud and devices, each in processes of its own.

1. All processes share one played clock. Batteries are simulated, and live on in their files while nobody runs them.
2. What happened is read from the databases and the log files, never from the apps' own objects. Every life of a process has a
   log file of its own: one that was killed may end in the middle of a line.
3. Nothing is done after a time; everything is done when something was seen to hold (:meth:`World.until`).
"""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from allye_protocol.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from allye_demo.broker import Broker
    from allye_protocol.store.base import Entry, PlannedSlot

Found = TypeVar("Found")

DEADLINE_S = 120.0
"""A client that has lost its connection often waits up to two minutes before it connects again."""
POLL_S = 0.002
TAIL_LINES = 8
TAIL_CHARS = 300
HALF_HOUR = timedelta(minutes=30)
ZONE = "Europe/London"
POWER_W = 40_000
VALIDITY_S = 1800
CLOCK = """
[clock]
kind = "scaled"
origin = {origin}
started = {started}
speed = {speed}
"""
# Planned far inside of what the battery can hold: half-hours that a dead device missed shall not bring it to its limits.
REGISTRY = """
[defaults]
zone = "{zone}"
capacity_wh = 400000
max_charge_w = {power_w}
max_discharge_w = {power_w}
soc_min_pct = 27.0
soc_max_pct = 73.0
"""
CLOUD = """
[broker]
host = "{host}"
port = {port}

[store]
url = "sqlite:///{folder}/cloud.db"

[fleet]
registry = "devices.toml"

[prices]
path = "{prices}"
unit = "p/kWh"
zone = "{zone}"
"""
DEVICE = """
device_id = "{name}"

[battery]
capacity_wh = 400000
max_charge_w = {power_w}
max_discharge_w = {power_w}
soc_min_pct = 5.0
soc_max_pct = 100.0

[driver]
name = "{driver}"
options = {{ state_file = "{folder}/battery.json", capacity_wh = 400000.0, seed = {seed} }}

[broker]
host = "{host}"
port = {port}

[store]
path = "{folder}/device.db"

[setpoint]
validity_s = {validity_s}

[trust]
time = "always"
"""
HESITANT = """
import time
from pathlib import Path

from allye_max300.simulator import open_simulator


def open_hesitant(options, clock):
    driver, gate = open_simulator(options, clock), Path(options["state_file"]).with_name("gate")

    def limits(ask=driver.limits):
        while gate.exists():
            time.sleep(0.005)
        return ask()

    driver.limits = limits
    return driver
"""
"""A battery that takes long to say what it can do: the moment between RECEIVED and APPLIED, made long enough to be hit."""


class Outage(NamedTuple):
    """A device that was killed.

    :param running: the beginning of the slot that it had begun when it was killed.
    :param back: when it had the battery in its hands again.
    """

    running: datetime
    back: datetime


class Process:
    """A program that is started, ended in any way, and started again.

    :param name: names its logs.
    :param folder: where its logs go.
    :param arguments: of the interpreter.
    :param environment: of the process.
    """

    def __init__(self, name: str, folder: Path, arguments: Sequence[str], environment: dict[str, str]) -> None:
        self.name, self.folder = name, folder
        self._arguments, self._environment = arguments, environment
        self._process: subprocess.Popen[bytes] | None = None
        self.lives = 0
        self.kills = 0
        self.exit_codes: list[int] = []

    def start(self) -> None:
        self.lives += 1
        with self._log(self.lives).open("wb") as log:
            command = [sys.executable, *self._arguments]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment)

    def _log(self, life: int) -> Path:
        return self.folder / f"{self.name}.{life}.log"

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def ended_by_itself(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None, f"{self.name} is not running"
        assert self._process.poll() is None, f"{self.name} ended before it was killed\n{self.tail()}"
        self._process.kill()
        self._process.wait()
        self._process = None
        self.kills += 1

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None, f"{self.name} is not running"
        self._process.send_signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        assert self._process is not None, f"{self.name} is not running"
        try:
            code = self._process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {DEADLINE_S} s\n{self.tail()}") from None
        self._process = None
        self.exit_codes.append(code)
        return code

    def discard(self) -> None:
        """Whatever it is doing, end it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def lines(self, event: str, life: int | None = None) -> list[dict[str, Any]]:
        """The lines of the log that tell of an event, of one life or of all."""
        told = []
        for each in range(1, self.lives + 1) if life is None else [life]:
            lines = self._log(each).read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]
            told += [line for line in whole if line["event"] == event]
        return told

    def tail(self) -> str:
        """The end of the present life's log."""
        if not self.lives:
            return f"--- {self.name} was never started"
        lines = self._log(self.lives).read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"--- {self.name}, life {self.lives}", *(line[:TAIL_CHARS] for line in lines)])


class Device(Process):
    """A device's process, and what its store and its battery say."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(name, folder, ["-m", "allye_device", "--config", str(folder / "device.toml"), "run"], environment)
        self.gate = folder / "gate"
        self.outages: list[Outage] = []
        self.outages_begun: list[datetime] = []

    def store(self) -> closing[SqliteStore]:
        return closing(SqliteStore(self.folder / "device.db", read_only=True))

    def reported(self) -> int:
        """How many slots have their result; all of these plans are half-hours."""
        with self.store() as store:
            return sum((span.end - span.start) // HALF_HOUR for span in store.reported())

    def running(self) -> PlannedSlot | None:
        with self.store() as store:
            return store.running()

    def unsettled(self) -> list[Entry]:
        with self.store() as store:
            return store.unsettled()

    def entry(self, schedule_id: str) -> Entry | None:
        with self.store() as store:
            return store.entry(schedule_id)

    def outbox(self) -> int:
        with self.store() as store:
            return store.outbox_size()

    def in_mid_slot(self) -> PlannedSlot | None:
        """The slot that it is executing with power, and has seen the battery obey."""
        slot = self.running()
        return slot if slot is not None and slot.rate_w and slot.covered_s > 0 else None

    def net_wh(self) -> float:
        """What the battery's own counters say: charged less discharged."""
        cells = json.loads((self.folder / "battery.json").read_bytes())["state"]["cells"]
        return float(cells["charged_wh"] - cells["discharged_wh"])


class Reported(NamedTuple):
    """The result of a slot: average power in W, the code of what is wrong, its schedule, and the charge at its end, %."""

    status: str
    actual_w: int
    code: str
    schedule_id: str
    soc_pct: float | None


class World:
    """A broker, a cloud and a fleet.

    :param folder: an empty folder.
    :param broker: a running broker.
    :param names: the devices; the first one's battery can be made to hesitate.
    :param prices: the price file.
    :param speed: played seconds for each real one.
    """

    def __init__(self, folder: Path, broker: Broker, names: Sequence[str], prices: Path, speed: float) -> None:
        self.folder, self.broker, self.speed = folder, broker, speed
        self._origin, self._started = datetime.min.replace(tzinfo=UTC), 0.0
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("ALLYE_")}
        self._texts: dict[Path, str] = {}
        site = _site_with_hesitant_driver(folder)
        path = os.pathsep.join([str(site), self._environment.get("PYTHONPATH", "")])
        with_site = {**self._environment, "PYTHONPATH": path}
        self.devices: list[Device] = []
        for number, name in enumerate(names):
            home = folder / name
            home.mkdir()
            self._texts[home / "device.toml"] = DEVICE.format(
                name=name,
                folder=home,
                driver="simulator" if number else "hesitant",
                seed=number,
                host=broker.host,
                port=broker.port,
                power_w=POWER_W,
                validity_s=VALIDITY_S,
            )
            self.devices.append(Device(name, home, self._environment if number else with_site))
        registry = REGISTRY.format(zone=ZONE, power_w=POWER_W) + "".join(f"\n[devices.{name}]\n" for name in names)
        self._texts[folder / "devices.toml"] = registry
        self._texts[folder / "cloud.toml"] = CLOUD.format(
            folder=folder, host=broker.host, port=broker.port, prices=prices, zone=ZONE
        )
        self.cloud = self.command("serve", "serve")
        self.commands: list[Process] = []
        self.broker_kills = self.broker_stops = 0
        self._write("")

    def command(self, name: str, *arguments: str) -> Process:
        """A process of ``allye-cloud``."""
        config = str(self.folder / "cloud.toml")
        return Process(name, self.folder, ["-m", "allye_cloud", "--config", config, *arguments], self._environment)

    def carry_out(self, *arguments: str) -> None:
        """Run ``allye-cloud`` to its end."""
        process = self.begin(*arguments)
        assert process.exit_code() == 0, process.tail()

    def begin(self, *arguments: str) -> Process:
        """Start ``allye-cloud`` with a command that ends by itself."""
        process = self.command(f"{arguments[0]}-{len(self.commands) + 1}", *arguments)
        self.commands.append(process)
        process.start()
        return process

    def _write(self, clock: str) -> None:
        for path, text in self._texts.items():
            path.write_text(text + ("" if path.name == "devices.toml" else clock), encoding="utf-8")

    def start_clock(self, origin: datetime) -> None:
        """From now on it is ``origin`` and later. Processes that were started before live by the machine's clock."""
        self._origin, self._started = origin, time.time()
        self._write(CLOCK.format(origin=origin.isoformat(), started=self._started, speed=self.speed))

    @property
    def now(self) -> datetime:
        """The played time."""
        return self._origin + timedelta(seconds=(time.time() - self._started) * self.speed)

    def until(self, what: str, holds: Callable[[], Found], timeout_s: float = DEADLINE_S) -> Found:
        """Wait until something holds; what it is then.

        :param what: names it when it does not come.
        :param holds: asked again and again.
        """
        until_s = time.monotonic() + timeout_s
        while not (found := holds()):
            processes = [self.cloud, *self.devices]
            dead = [process.name for process in processes if process.ended_by_itself]
            assert not dead, f"ended while waiting for {what}: {dead}\n{self.tails()}"
            assert time.monotonic() < until_s, f"not within {timeout_s} s: {what}\n{self.tails()}"
            time.sleep(POLL_S)
        return found

    def tails(self) -> str:
        """The ends of all logs, and how far the cloud is."""
        head = f"played time {self.now.isoformat()}, deliveries {self.states()}, results {len(self.results())}"
        return "\n".join([head, *(process.tail() for process in [*self.commands, self.cloud, *self.devices])])

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the cloud's database; none while there is no database."""
        path = self.folder / "cloud.db"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            return database.execute(query, values).fetchall()

    def states(self, day: date | None = None) -> dict[str, str]:
        """How far each schedule has come, of a day or of all."""
        query = "SELECT d.delivery_id, d.state FROM delivery d JOIN publication p ON p.schedule_id = d.delivery_id"
        found = self.rows(query) if day is None else self.rows(f"{query} WHERE p.day = ?", day.isoformat())
        return dict(found)

    def results(self) -> dict[tuple[str, datetime], Reported]:
        """What the cloud has of each slot."""
        query = "SELECT device_id, starts, status, actual_w, error_code, schedule_id, soc_end_pct FROM result"
        return {(row[0], instant(row[1])): Reported(row[2], row[3], row[4] or "", *row[5:]) for row in self.rows(query)}

    def result_count(self) -> int:
        found = self.rows("SELECT count(*) FROM result")
        return int(found[0][0]) if found else 0

    def reported(self) -> int:
        """How many slots the devices have reported, as they see it."""
        return sum(device.reported() for device in self.devices if device.lives)

    def close(self) -> None:
        for process in [*self.commands, self.cloud, *self.devices]:
            process.discard()


def instant(micros: int) -> datetime:
    """An instant of a database."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def write_prices(path: Path, start: datetime, end: datetime) -> None:
    """Made-up prices with two peaks a day, and below zero at the bottom of the valleys."""
    with path.open("w", encoding="utf-8") as file:
        file.write("time,price (p/kWh)\n")
        for at in _half_hours(start, end):
            price = 12 - 14 * math.cos(4 * math.pi * (at.hour + at.minute / 60) / 24)
            file.write(f"{at.isoformat()},{price:.2f}\n")


def _half_hours(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += HALF_HOUR


def _site_with_hesitant_driver(folder: Path) -> Path:
    """A folder of packages with one more driver, installed as any other would be."""
    site = folder / "site"
    about = site / "hesitant-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "hesitant.py").write_text(HESITANT, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hesitant\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text("[allye.drivers]\nhesitant = hesitant:open_hesitant\n", encoding="utf-8")
    return site
