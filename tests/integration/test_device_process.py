"""The agent as it is deployed: its own process, a real broker, signals, kills and restarts."""

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

import pytest

from allye_demo.broker import available_kinds
from allye_protocol.codec import DEFAULT_CONTENT_TYPE
from allye_protocol.convert import decode, encode
from allye_protocol.frame import Frame
from allye_protocol.messages import Ack, DeviceStatus, ExecutionResult, ExecutionStatus, Kind
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.transport.base import Received
from tests.builders import SLOT, schedule
from tests.integration.brokers import Client, running_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_demo.broker import Broker
    from allye_protocol.messages import Schedule

DEADLINE_S = 40.0
ORIGIN = datetime(2026, 3, 1, tzinfo=UTC)
CONFIG = """
device_id = "{device}"

[battery]
capacity_wh = 300000
max_charge_w = 150000
max_discharge_w = 150000

[driver]
name = "{driver}"
options = {{ state_file = "{folder}/battery.json", command_latency_s = 0.0, ramp_w_per_s = 1e9 }}

[broker]
host = "{host}"
port = {port}

[store]
path = "{folder}/device.db"

[setpoint]
validity_s = 900

[trust]
time = "always"

[clock]
kind = "scaled"
origin = {origin}
started = {started}
speed = {speed}
"""
POISON = """
import os
from pathlib import Path

from allye_max300.simulator import open_simulator


def open_poison(options, clock):
    driver, flag = open_simulator(options, clock), Path(options["state_file"]).with_name("poison")

    def limits(ask=driver.limits):
        if flag.exists():
            os._exit(9)
        return ask()

    driver.limits = limits
    return driver
"""


class Device:
    """A device process that can be ended in every way and started again, and a cloud for it."""

    def __init__(self, folder: Path, broker: Broker, name: str, *, speed: float = 600, driver: str = "simulator") -> None:
        self.name, self.folder, self.speed = name, folder, speed
        self.started = time.time()
        self.environment = dict(os.environ)
        self._file = folder / "device.toml"
        self._file.write_text(
            CONFIG.format(
                device=name,
                driver=driver,
                folder=folder,
                host=broker.host,
                port=broker.port,
                origin=ORIGIN.isoformat(),
                started=self.started,
                speed=speed,
            )
        )
        self._log = folder / "device.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._sender, self._listener = Client(broker, f"{name}-sends"), Client(broker, f"{name}-hears")
        self._sender.open()
        self._listener.open(f"devices/{name}/#")
        self._heard: list[Frame] = []

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "allye_device", "--config", str(self._file), "run"]
            self._process = subprocess.Popen(command, stderr=log, env=self.environment)

    def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self.exit_code()

    def exit_code(self) -> int:
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._sender.transport.close(0.5)
        self._listener.transport.close(0.5)

    def next_slot(self) -> datetime:
        """The half-hour that begins next on the device's clock, at least ten minutes away."""
        shown = ORIGIN + timedelta(seconds=(time.time() - self.started) * self.speed)
        return ORIGIN + ((shown + timedelta(minutes=10) - ORIGIN) // SLOT + 1) * SLOT

    def send(self, plan: Schedule) -> None:
        self._sender.publish(
            Frame(topic=f"devices/{self.name}/schedule", payload=encode(plan), content_type=DEFAULT_CONTENT_TYPE)
        )

    def plan(self, *rates_w: int, name: str = "plan-a") -> Schedule:
        start = self.next_slot()
        return schedule(name, start=start, rates_w=rates_w, generated_at=start - timedelta(minutes=60), device=self.name)

    def heard(self, channel: str) -> list[Frame]:
        for event in self._listener.transport.wait(0.02):
            if isinstance(event, Received):
                self._listener.transport.acknowledge(event)
                self._heard.append(event.frame)
        return [frame for frame in self._heard if frame.topic == f"devices/{self.name}/{channel}"]

    def acks(self) -> list[Ack]:
        return [ack for frame in self.heard("ack") if isinstance(ack := decode(frame.payload, Kind.ACK), Ack)]

    def statuses(self) -> list[tuple[str, str]]:
        return [(ack.schedule_id, ack.status.value) for ack in self.acks()]

    def results(self) -> list[ExecutionResult]:
        decoded = [decode(frame.payload, Kind.EXECUTION_RESULT) for frame in self.heard("execution")]
        return [result for result in decoded if isinstance(result, ExecutionResult)]

    def online(self) -> list[bool]:
        """What was said of its presence."""
        decoded = [decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type) for frame in self.heard("status")]
        return [status.online for status in decoded if isinstance(status, DeviceStatus)]

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Whole lines of the log; a killed process may leave half of one."""
        lines = self._log.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]
        return [line for line in told if line["event"] == event]

    def battery(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "battery.json").read_bytes())["state"]
        return state

    def net_wh(self) -> float:
        cells = self.battery()["cells"]
        return float(cells["charged_wh"] - cells["discharged_wh"])

    def until(self, what: str, holds: Callable[[], object]) -> None:
        """Wait on the messages that come in until something holds."""
        until_s = time.monotonic() + DEADLINE_S
        while not holds():
            self.heard("hello")
            log = self._log.read_text()[-2000:] if self._log.exists() else ""
            assert time.monotonic() < until_s, f"not within {DEADLINE_S} s: {what}\n{log}"


@pytest.fixture
def preferred() -> Iterator[Broker]:
    with running_broker(available_kinds()[0]) as broker:
        yield broker


@pytest.fixture
def deploy(tmp_path: Path, unique: str) -> Iterator[Callable[..., Device]]:
    devices: list[Device] = []

    def make(broker: Broker, **settings: Any) -> Device:
        devices.append(Device(tmp_path, broker, unique, **settings))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_puts_the_battery_at_rest_sends_the_answers_and_ends_with_0(broker, deploy, number):
    device = deploy(broker, speed=1200)
    device.start()
    device.until("hello", lambda: device.heard("hello"))
    device.send(device.plan(50_000, 50_000))
    device.until("charging", lambda: device.battery()["setpoint_w"] == 50_000)
    assert device.end(number) == 0
    assert device.battery()["setpoint_w"] == 0
    with closing(SqliteStore(device.folder / "device.db")) as store:
        assert store.outbox_size() == 0
    device.until("answers", lambda: len(device.acks()) == 2)
    assert device.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    assert len(device.lines("stopped")) == 1
    device.until("its farewell", lambda: device.online()[-1:] == [False])


def test_a_device_that_is_killed_in_mid_slot_goes_on_with_it(preferred, deploy):
    device = deploy(preferred, speed=300)
    device.start()
    device.until("hello", lambda: device.heard("hello"))
    plan = device.plan(60_000, -40_000)
    device.send(plan)
    device.until("charging", lambda: device.battery()["setpoint_w"] == 60_000)
    device.end(signal.SIGKILL)
    device.until("its last will", lambda: device.online()[-1:] == [False])
    device.start()
    device.until("its status", lambda: device.online()[-1:] == [True])
    device.until("results", lambda: len(device.results()) == 2)
    assert device.end(signal.SIGTERM) == 0
    results = device.results()
    assert [result.slot_start for result in results] == [plan.start, plan.start + SLOT]
    assert [(result.status, result.actual_w) for result in results] == [
        (ExecutionStatus.SUCCEED, 60_000),
        (ExecutionStatus.SUCCEED, -40_000),
    ]
    assert device.net_wh() == pytest.approx(30_000 - 20_000, abs=1)
    assert len(device.lines("schedule_applied")) == 1
    assert [line["rate_w"] for line in device.lines("slot_started")] == [60_000, 60_000, -40_000]
    assert set(device.statuses()) == {("plan-a", "RECEIVED"), ("plan-a", "APPLIED")}


def test_a_broker_that_was_killed_gets_the_results_when_it_is_back(preferred, deploy):
    device = deploy(preferred)
    device.start()
    device.until("hello", lambda: device.heard("hello"))
    device.send(device.plan(50_000, -30_000))
    device.until("charging", lambda: device.battery()["setpoint_w"] == 50_000)
    preferred.kill()
    device.until("the end of a slot that nobody can hear of", lambda: device.lines("slot_ended"))
    preferred.start()
    device.until("results", lambda: len(device.results()) == 2)
    assert [result.actual_w for result in device.results()] == [50_000, -30_000]


def test_a_schedule_that_kills_the_process_is_quarantined_after_three_times(preferred, deploy, tmp_path):
    site = tmp_path / "site"
    (site / "poison-1.0.dist-info").mkdir(parents=True)
    (site / "poison.py").write_text(POISON)
    (site / "poison-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: poison\nVersion: 1.0\n")
    (site / "poison-1.0.dist-info" / "entry_points.txt").write_text("[allye.drivers]\npoison = poison:open_poison\n")
    device = deploy(preferred, speed=1, driver="poison")
    device.environment["PYTHONPATH"] = os.pathsep.join([str(site), device.environment.get("PYTHONPATH", "")])
    device.start()
    device.until("hello", lambda: device.heard("hello"))
    (tmp_path / "poison").touch()
    device.send(device.plan(50_000, name="deadly"))
    assert device.exit_code() == 9
    for _ in range(2):
        device.start()
        assert device.exit_code() == 9
    device.start()
    device.until("the verdict", lambda: ("deadly", "FAILED") in device.statuses())
    error = device.acks()[-1].error
    assert error is not None
    assert error.code == "internal.quarantined"
    (tmp_path / "poison").unlink()
    later = device.plan(50_000, name="harmless")
    newer = later.generated_at + timedelta(minutes=1)
    device.send(schedule("harmless", start=later.start, generated_at=newer, device=device.name))
    device.until("the next one", lambda: ("harmless", "APPLIED") in device.statuses())
    assert device.end(signal.SIGTERM) == 0
