"""Real brokers and real clients for the integration tests."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import pytest

from allye_demo.broker import Broker, BrokerKind, available_kinds, embedded_broker
from allye_protocol.transport.base import Connected, Disconnected, Published, Received
from allye_protocol.transport.options import MqttOptions
from allye_protocol.transport.paho import PahoTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.frame import Frame
    from allye_protocol.transport.base import TransportEvent

E = TypeVar("E", Connected, Disconnected, Published, Received)

DEADLINE_S = 15.0
QUIET_S = 0.3


@contextmanager
def running_broker(kind: BrokerKind, **settings) -> Iterator[Broker]:
    """A broker of one kind; the test is skipped where it is not installed."""
    if kind not in available_kinds():
        pytest.skip(f"not installed: {kind}")
    with embedded_broker(kind, **settings) as broker:
        yield broker


class Client:
    """A paho transport, with what a test asks of it."""

    def __init__(self, broker: Broker, client_id: str, **settings) -> None:
        options = {"reconnect_base_s": 0.02, "reconnect_cap_s": 0.1, **settings}
        self.transport = PahoTransport(
            MqttOptions(host=broker.host, port=broker.port, client_id=client_id, **options), random_unit=lambda: 0.5
        )
        self._unread: list[TransportEvent] = []

    def open(self, *filters: str) -> None:
        """Connect and subscribe."""
        self.transport.open(filters)
        self.connected = self.until(Connected)

    def until(self, kind: type[E], timeout_s: float = DEADLINE_S) -> E:
        """Wait for an event of a kind; those of other kinds before it are passed over."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            for index, event in enumerate(self._unread):
                if isinstance(event, kind):
                    del self._unread[: index + 1]
                    return event
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise AssertionError(f"no {kind.__name__} within {timeout_s} s")
            self._unread = self.transport.wait(left_s)

    def publish(self, frame: Frame) -> Published:
        """Publish and wait for the broker's answer."""
        token = self.transport.publish(frame)
        published = self.until(Published)
        assert published.token == token
        return published

    def received(self) -> Frame:
        """The next message, acknowledged."""
        event = self.until(Received)
        assert self.transport.acknowledge(event)
        return event.frame

    def hears_nothing(self) -> bool:
        """Whether no message comes for a while."""
        return not self.drain()

    def drain(self) -> list[Frame]:
        """Every message until none comes for a while, acknowledged."""
        frames = []
        with suppress(AssertionError):
            while True:
                event = self.until(Received, QUIET_S)
                self.transport.acknowledge(event)
                frames.append(event.frame)
        return frames

    def vanish(self) -> None:
        """Be gone without a goodbye, as a device whose power is cut."""
        link = self.transport._link
        self.transport._closing.set()
        link._drop("vanished")
        link.wake()
        self.transport._thread.join(DEADLINE_S)
