"""The cloud as it is deployed: its own processes, a real broker, kills and restarts.

The devices are real sessions behind one client.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_cloud.database import Database
from allye_cloud.status import states_of
from allye_demo.broker import BrokerKind, available_kinds
from allye_protocol.errors import TransportError
from allye_protocol.events import ScheduleAdmitted
from allye_protocol.ids import DeviceId
from allye_protocol.session import DeviceSession
from allye_protocol.store import MemoryStore
from allye_protocol.topics import parse
from allye_protocol.transport.base import Connected, Received
from tests.builders import CONFIG, HELLO, seeded
from tests.integration.brokers import Client, running_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_demo.broker import Broker

DEADLINE_S = 60.0
DAY = (datetime.now(UTC) + timedelta(days=1)).date()
FLEET = 40


class Gateway:
    """Device sessions behind one connection: what would be as many processes."""

    def __init__(self, broker: Broker, count: int) -> None:
        self.sessions = {}
        self.admitted: list[str] = []
        for number in range(count):
            name = f"device-{number:03}"
            config = msgspec.structs.replace(CONFIG, hello=msgspec.structs.replace(HELLO, device_id=DeviceId(name)))
            self.sessions[name] = DeviceSession(config, MemoryStore(), random_bytes=seeded(number))
        self.client = Client(broker, "gateway")
        self.client.transport.open(["devices/+/schedule"])

    def step(self) -> None:
        """Take what has come, and answer."""
        transport = self.client.transport
        for event in transport.wait(0.02):
            if isinstance(event, Connected):
                for session in self.sessions.values():
                    session.disconnected()
            elif isinstance(event, Received):
                session, now = self.sessions[parse(event.frame.topic).device_id], datetime.now(UTC)
                for told in session.receive(event.frame, now):
                    if isinstance(told, ScheduleAdmitted):
                        self.admitted.append(told.schedule.schedule_id)
                        session.applied(told.schedule.schedule_id, now)
                transport.acknowledge(event)
        if transport.connected:
            for session in self.sessions.values():
                for outgoing in session.frames_to_send(datetime.now(UTC)):
                    try:
                        transport.publish(outgoing.frame)
                    except TransportError:  # the connection ended since it was looked at; the outbox keeps the frame
                        session.disconnected()
                        return
                    session.sent(outgoing.number)


class Cloud:
    """A folder with everything that the command needs, and the processes that run there."""

    def __init__(self, folder: Path, broker: Broker, count: int) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/cloud.db"
        names = "\n".join(f"[devices.device-{number:03}]" for number in range(count))
        limits = "capacity_wh = 300000\nmax_charge_w = 150000\nmax_discharge_w = 150000"
        (folder / "devices.toml").write_text(f'[defaults]\nzone = "UTC"\n{limits}\n{names}\n')
        start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)
        rows = [f"{start + i * timedelta(minutes=30):%Y-%m-%dT%H:%MZ},{5 + i * 7 % 11}" for i in range(48)]
        (folder / "prices.csv").write_text("\n".join(["start,price", *rows]))
        (folder / "cloud.toml").write_text(
            f"[broker]\nhost = '{broker.host}'\nport = {broker.port}\n[store]\nurl = '{self.url}'\n"
            "[fleet]\nregistry = 'devices.toml'\n[prices]\npath = 'prices.csv'\n"
            "[retry]\nbase_s = 0.5\ncap_s = 2\n"
        )
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "allye_cloud", "--config", str(self.folder / "cloud.toml"), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ALLYE_CLOUD_")}
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stderr=log, stdout=subprocess.PIPE, env=environment))
        return self.processes[-1]

    def run(self, *arguments: str) -> str:
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, (self.folder / "log").read_text()[-2_000:]
        return out.decode()

    def states(self) -> list[str]:
        with closing(Database(self.url)) as database:
            return sorted(states_of(database, DAY).values())

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line.startswith("{")]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture(params=list(BrokerKind))
def kind(request: pytest.FixtureRequest) -> BrokerKind:
    if request.param not in available_kinds():
        pytest.skip(f"not installed: {request.param}")
    return request.param


@pytest.fixture
def broker(kind: BrokerKind) -> Iterator[Broker]:
    with running_broker(kind) as running:
        yield running


@pytest.fixture
def cloud(tmp_path: Path, broker: Broker) -> Iterator[Cloud]:
    made = Cloud(tmp_path, broker, FLEET)
    yield made
    made.close()


@pytest.fixture
def gateway(broker: Broker) -> Iterator[Gateway]:
    made = Gateway(broker, FLEET)
    yield made
    made.client.transport.close(0.5)


def wait_until(condition: Callable[[], bool], gateway: Gateway | None = None) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "not in time"
        if gateway is not None:
            gateway.step()
        else:
            time.sleep(0.01)


def test_a_cloud_that_is_killed_in_mid_publish_and_started_again_loses_nothing(cloud: Cloud, gateway: Gateway) -> None:
    cloud.run("plan", "--day", f"{DAY}", "--no-yardsticks")
    cloud.run("publish", "--day", f"{DAY}")
    assert cloud.states() == ["PENDING"] * FLEET
    for starts in range(1, 4):
        process = cloud.start("serve")
        wait_until(lambda starts=starts: sum(line["event"] == "connected" for line in cloud.lines()) == starts)
        process.kill()
        process.wait()
    assert "APPLIED" not in cloud.states()
    cloud.start("serve")
    wait_until(lambda: cloud.states() == ["APPLIED"] * FLEET, gateway)
    assert sorted(gateway.admitted) == [f"device-{number:03}_{DAY:%Y%m%d}_r1_p1" for number in range(FLEET)]


def test_a_broker_that_dies_while_schedules_are_under_way_loses_nothing(cloud: Cloud, gateway: Gateway, broker: Broker) -> None:
    cloud.run("plan", "--day", f"{DAY}", "--no-yardsticks")
    cloud.run("publish", "--day", f"{DAY}")
    cloud.start("serve")
    wait_until(lambda: "SENT" in cloud.states())
    broker.kill()
    broker.start()
    wait_until(lambda: cloud.states() == ["APPLIED"] * FLEET, gateway)
    assert len(gateway.admitted) == len(set(gateway.admitted)) == FLEET


def test_publish_and_wait_delivers_by_itself_and_serve_ends_on_sigterm(cloud: Cloud, gateway: Gateway) -> None:
    cloud.run("plan", "--day", f"{DAY}", "--no-yardsticks")
    publish = cloud.start("publish", "--day", f"{DAY}", "--wait", "--json")
    wait_until(lambda: publish.poll() is not None, gateway)
    assert publish.returncode == 0
    assert publish.stdout is not None
    assert json.loads(publish.stdout.read())["schedules"] == {"APPLIED": FLEET}
    serve = cloud.start("serve")
    wait_until(lambda: any(line["event"] == "connected" for line in cloud.lines()))
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(DEADLINE_S) == 0
    assert cloud.lines()[-1]["event"] == "service_stopped"
