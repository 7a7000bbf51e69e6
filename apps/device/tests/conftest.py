"""One device on a stage: a scripted clock, a broker in memory, a simulated battery, and the cloud's ears."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import structlog

from allye_device import Agent, AgentConfig, Timekeeper
from allye_device.config import BatteryConfig, BrokerConfig, DriverConfig, SetpointConfig, StoreConfig
from allye_device.trusted import verifier_of
from allye_max300.simulator import open_simulator
from allye_protocol import Frame, decode, encode
from allye_protocol.codec import DEFAULT_CONTENT_TYPE
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, Cancel, DeviceStatus, ExecutionResult, Kind, Schedule, ScheduleEvent
from allye_protocol.messages.v2 import sequence_at
from allye_protocol.store.memory import MemoryStore
from allye_protocol.transport.base import Received
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from allye_max300 import Driver
    from allye_max300.simulator import SimulatorDriver
    from allye_protocol.signing import Signer
    from allye_protocol.store.base import DeviceStore
    from allye_protocol.transport.base import TransportEvent

T = TypeVar("T")
DEVICE = "max300-1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def config_of(**changes: Any) -> AgentConfig:
    """A device without surprises; every part can be replaced."""
    parts: dict[str, Any] = {
        "device_id": DEVICE,
        "battery": BatteryConfig(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000),
        "driver": DriverConfig(name="simulator"),
        "broker": BrokerConfig(host="127.0.0.1"),
        "store": StoreConfig(path="device.db"),
        "setpoint": SetpointConfig(validity_s=300),
    }
    return AgentConfig(**{**parts, **changes})


def schedule_of(
    *rates_kw: float | None,
    name: str = "plan-a",
    start: datetime = NOON,
    generated_at: datetime | None = None,
    **others: Any,
) -> Schedule:
    """A schedule of half-hours from noon on; ``None`` for the default control."""
    sent_at = generated_at or NOON - timedelta(minutes=10)
    return Schedule(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(DEVICE),
        version=2,
        sequence=sequence_at(sent_at),
        generated_at=sent_at,
        start=start,
        rates_w=tuple(None if rate_kw is None else round(1000 * rate_kw) for rate_kw in rates_kw),
        traceparent=TRACEPARENT,
        **others,
    )


class Script:
    """A clock that jumps from deadline to deadline and stops where something is to happen, or is happening."""

    def __init__(self, shown: datetime) -> None:
        self.shown = shown
        self.busy = False
        self._steps: list[tuple[datetime, Callable[[], object]]] = []

    def add(self, at: datetime, action: Callable[[], object]) -> None:
        self._steps.append((at, action))
        self._steps.sort(key=lambda step: step[0])

    def perform(self) -> None:
        while self._steps and self._steps[0][0] <= self.shown:
            self._steps.pop(0)[1]()

    def now(self, not_after: datetime | None = None) -> datetime:
        limit = self._steps[0][0] if self._steps and not self.busy else self.shown
        self.shown = max(self.shown, limit if not_after is None else min(limit, not_after))
        return self.shown

    def seconds_until(self, instant: datetime) -> float:
        return 0.0


class StageTransport(MemoryTransport):
    """A transport that lets the script happen while the agent waits."""

    script: Script

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        self.script.perform()
        events = super().wait(0)
        self.script.busy = bool(events)
        return events


class Cloud:
    """Who sends schedules and hears answers."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._transport = MemoryTransport(broker, "cloud", receive_maximum=1000)
        self._transport.open([f"devices/+/{channel}" for channel in ("ack", "execution", "event", "hello", "status")])
        self._frames: list[Frame] = []

    def send(
        self,
        message: Schedule | Cancel,
        *,
        device: str = DEVICE,
        version: int = 2,
        content_type: str = DEFAULT_CONTENT_TYPE,
        signer: Signer | None = None,
    ) -> None:
        payload = encode(message, content_type, version=version)
        kind = Kind.SCHEDULE if isinstance(message, Schedule) else Kind.CANCEL
        signature = () if signer is None else signer.sign(kind, device, payload)
        frame = Frame(topic=f"devices/{device}/{kind}", payload=payload, content_type=content_type, user_properties=signature)
        self._transport.publish(frame)

    def send_bytes(self, payload: bytes, *, device: str = DEVICE) -> None:
        self._transport.publish(Frame(topic=f"devices/{device}/schedule", payload=payload))

    def frames(self, channel: str = "") -> list[Frame]:
        """What was heard, of one channel or of all."""
        for event in self._transport.wait(0):
            if isinstance(event, Received):
                self._transport.acknowledge(event)
                self._frames.append(event.frame)
        return [frame for frame in self._frames if frame.topic.endswith(channel)]

    def channels(self) -> list[str]:
        return [frame.topic.rpartition("/")[2] for frame in self.frames()]

    def acks(self) -> list[Ack]:
        return self._heard("/ack", Kind.ACK, Ack)

    def results(self) -> list[ExecutionResult]:
        return self._heard("/execution", Kind.EXECUTION_RESULT, ExecutionResult)

    def events(self) -> list[ScheduleEvent]:
        return self._heard("/event", Kind.SCHEDULE_EVENT, ScheduleEvent)

    def presence(self) -> list[DeviceStatus]:
        return self._heard("/status", Kind.DEVICE_STATUS, DeviceStatus)

    def statuses(self) -> list[tuple[str, str]]:
        return [(ack.schedule_id, ack.status.value) for ack in self.acks()]

    def codes(self) -> list[str | None]:
        """What every answer says is wrong."""
        return [None if ack.error is None else ack.error.code for ack in self.acks()]

    def _heard(self, channel: str, kind: Kind, message: type[T]) -> list[T]:
        decoded = [decode(frame.payload, kind, frame.content_type) for frame in self.frames(channel)]
        return [heard for heard in decoded if isinstance(heard, message)]


class Stage:
    """Everything around one agent. ``play`` runs it from ten minutes before noon; several times: it restarts."""

    def __init__(self, log: list[dict[str, Any]]) -> None:
        self.log = log
        self.script = Script(NOON - timedelta(minutes=10))
        self.broker = MemoryBroker(lambda: 0.0)
        self.cloud = Cloud(self.broker)
        self.store: DeviceStore = MemoryStore()
        self.config = config_of()
        self.options: dict[str, object] = {"command_latency_s": 0.0, "ramp_w_per_s": 1e9}
        self.synchronised: Path | None = None
        self.memory: Path | None = None
        self.wrap: Callable[[Driver], Driver] = lambda driver: driver
        self.battery: SimulatorDriver
        self.transport: StageTransport
        self.agent: Agent

    def open(self) -> Agent:
        time = Timekeeper(self.script, synchronised=self.synchronised, memory=self.memory)
        self.battery = open_simulator(self.options, time)
        self.transport = StageTransport(self.broker, DEVICE, will=lambda: self.agent.last_will)
        self.transport.script = self.script
        randomness = random.Random(1)
        self.agent = Agent(
            self.config,
            time,
            self.wrap(self.battery),
            self.transport,
            self.store,
            verifier=verifier_of(self.config),
            random_bytes=randomness.randbytes,
        )
        return self.agent

    def at(self, minutes: float, action: Callable[[], object]) -> None:
        """Let something happen so many minutes after noon."""
        self.script.add(NOON + timedelta(minutes=minutes), action)

    def play(self, *, until: float) -> None:
        """Run a new agent until so many minutes after noon, and end it as SIGTERM does."""
        agent = self.open()
        self.at(until, agent.stop)
        agent.run()

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line["event"] == event]

    def powers(self, results: Sequence[ExecutionResult] | None = None) -> list[float]:
        return [result.actual_w / 1000 for result in (self.cloud.results() if results is None else results)]


@pytest.fixture
def stage() -> Iterator[Stage]:
    log: list[dict[str, Any]] = []

    def keep(_logger: object, method: str, line: Any) -> Any:
        log.append(json.loads(json.dumps({**line, "level": method}, default=str)))
        raise structlog.DropEvent

    structlog.configure(processors=[keep], cache_logger_on_first_use=False)
    yield Stage(log)
    structlog.reset_defaults()


@pytest.fixture
def make_config() -> Callable[..., AgentConfig]:
    return config_of


@pytest.fixture
def schedule() -> Callable[..., Schedule]:
    return schedule_of


@pytest.fixture
def noon() -> datetime:
    return NOON
