"""A cloud session with its store, a time that a test moves, and a broker that takes everything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, encode
from allye_protocol.events import MessageRefused
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId
from allye_protocol.messages import AckStatus, ErrorDetail, Schedule
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.session import CloudConfig, CloudSession
from allye_protocol.store.cloud import MemoryCloudStore
from tests.builders import HELLO, NOON, ack, schedule, seeded
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.delivery import Delivery, State
    from allye_protocol.errors import ErrorCode
    from allye_protocol.events import CloudEvent
    from allye_protocol.messages import Ack, Hello, Written
    from allye_protocol.session import Dispatch
    from allye_protocol.signing import FrameSigner

__all__ = [
    "APPLIED",
    "EVENING",
    "FAILED_FOR_GOOD",
    "FAILED_FOR_NOW",
    "MINUTE",
    "OTHER",
    "RECEIVED",
    "Cloud",
    "failed",
    "longest",
    "the_refusal",
]

MINUTE = timedelta(minutes=1)
EVENING = NOON - timedelta(hours=1)
"""When the stories below begin: an hour before the first slot."""
OTHER = DeviceId("max300-0002")


def failed(code: str, message: str = "", **members: Any) -> Ack:
    """The device's refusal of plan-a."""
    return ack(status=AckStatus.FAILED, error=ErrorDetail(code=code, message=message), **members)


RECEIVED, APPLIED = ack(), ack(status=AckStatus.APPLIED)
FAILED_FOR_NOW = failed("device.local_mode", "somebody is at the battery")
FAILED_FOR_GOOD = failed("limit.power", "too much")


def longest(low: float, high: float) -> float:
    """The longest of all waits."""
    return high


class Cloud:
    """A session over a store in memory. The device says the hello that it is given, if it is given one.

    :param hello: what the device has said before the story begins; ``None`` for a device that has said nothing.
    :param config: members of the session's configuration.
    """

    def __init__(
        self,
        uniform: Callable[[float, float], float] = longest,
        *,
        hello: Hello | None = HELLO,
        signer: FrameSigner | None = None,
        **config: Any,
    ) -> None:
        self.store = MemoryCloudStore()
        self.fails = ""
        self.now = EVENING
        self.config = CloudConfig(**config)
        self.uniform = uniform
        self.signer = signer
        self.restart()
        if hello is not None:
            self.store.keep_hello(hello, self.now)

    def restart(self, **config: Any) -> None:
        """Another session over the same store.

        :param config: another configuration, if it is to have one.
        """
        if config:
            self.config = CloudConfig(**config)
        failing: Any = failing_store(self.store, lambda call: call == self.fails)  # type: ignore[arg-type]
        self.session = CloudSession(
            failing, random_bytes=seeded(), uniform=self.uniform, config=self.config, signer=self.signer
        )

    def submit(self, made: Schedule | None = None, **fields: Any) -> Delivery:
        """Submit a schedule; see :func:`tests.builders.schedule`."""
        return self.session.submit(made or schedule(**fields), self.now)

    def cancel(self, name: str | None = "plan-a", device: str = HELLO.device_id, **fields: Any) -> Delivery:
        """Cancel a schedule, or with ``None`` everything from ``effective_from`` on."""
        return self.session.cancel(device, self.now, schedule_id=name, **fields)

    def send(self, limit: int = 20) -> list[Dispatch]:
        """Publish what is due, and have the broker take it."""
        made = self.session.frames_to_send(self.now, limit)
        for dispatch in made:
            self.session.sent(dispatch.delivery_id)
        return made

    def hear(
        self,
        message: Written,
        device: str | None = None,
        *,
        retain: bool = False,
        content_type: str = DEFAULT_CONTENT_TYPE,
    ) -> list[CloudEvent]:
        """Take a message from a device, as it is written."""
        topic = f"devices/{device or message.device_id}/{CHANNEL_OF[BY_TYPE[type(message)].kind]}"
        payload = encode(message, content_type)
        return self.session.receive(Frame(topic=topic, payload=payload, content_type=content_type, retain=retain), self.now)

    def delivery(self, name: str = "plan-a") -> Delivery:
        """A delivery that there is."""
        found = self.store.delivery(name)
        assert found is not None
        return found

    def state(self, name: str = "plan-a") -> State:
        """How far a delivery has come."""
        return self.delivery(name).state


def the_refusal(events: list[CloudEvent]) -> ErrorCode:
    """The code of the one event there is, a refusal."""
    (event,) = events
    assert isinstance(event, MessageRefused)
    return event.problem.code
