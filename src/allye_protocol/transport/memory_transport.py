"""A transport to the in-process broker."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from allye_protocol.matching import check_filter, check_name
from allye_protocol.transport.base import will_of
from allye_protocol.transport.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_protocol.frame import Frame
    from allye_protocol.transport.base import Received, TransportEvent, Will
    from allye_protocol.transport.memory import MemoryBroker

__all__ = ["MemoryTransport"]


class MemoryTransport:
    """A :class:`~allye_protocol.transport.base.Transport` to a :class:`~allye_protocol.transport.memory.MemoryBroker`.

    :param broker: the broker.
    :param client_id: the name of the session; for a device its device id.
    :param will: what the broker publishes when this client is lost; a function is called at every connection.
    :param clean_start: forget the session of before, on every connection.
    :param session_expiry_s: how long the broker keeps the session of a client that is away, s; ``None`` for ever.
    :param receive_maximum: how many QoS 1 messages may wait for their acknowledgement.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        client_id: str,
        *,
        will: Will = None,
        clean_start: bool = False,
        session_expiry_s: float | None = None,
        receive_maximum: int = 20,
    ) -> None:
        self._broker = broker
        self.client_id = client_id
        self._will = will
        self.clean_start = clean_start
        self.session_expiry_s = session_expiry_s
        self.receive_maximum = receive_maximum
        self.subscriptions: tuple[str, ...] = ()
        self.mailbox = Mailbox()
        self._closed = False
        self._tokens = count(1)

    def open(self, subscriptions: Sequence[str]) -> None:
        """Connect, and keep connected.

        :param subscriptions: topic filters.
        :raises TopicError: ``message.invalid_filter``.
        """
        for topic_filter in subscriptions:
            check_filter(topic_filter)
        self.subscriptions = tuple(subscriptions)
        self._broker.enter(self)

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - it waits for nothing
        """Disconnect cleanly. What is late by a fault is lost, and sent again by its outbox."""
        self._closed = True
        self._broker.leave(self)
        self.mailbox.wake()

    def will(self) -> Frame | None:
        """What the broker is to publish when the connection that begins now is lost."""
        return will_of(self._will)

    @property
    def connected(self) -> bool:
        """Whether :meth:`publish` can succeed now."""
        return self._broker.online(self)

    def publish(self, frame: Frame) -> int:
        """Hand one frame to the broker.

        :raises TransportError: ``transport.not_connected``, ``transport.too_large`` above the broker's packet limit, or
            ``transport.rejected`` for QoS 2.
        :raises TopicError: ``message.invalid_topic``.
        """
        check_name(frame.topic)
        token = next(self._tokens)
        self._broker.publish(self, frame, token)
        return token

    def acknowledge(self, received: Received) -> bool:
        """Acknowledge a message after it has been stored.

        :returns: ``False`` when its connection is gone: the broker will deliver it again.
        """
        return self._broker.acknowledge(self, received)

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        """All events so far, in order; blocks for at most ``timeout_s`` (``None``: without end) while there are none."""
        self._broker.run_due()
        if not len(self.mailbox):
            self._broker.mend(self)
        if self._closed:
            timeout_s = 0
        elif timeout_s != 0 and (late_s := self._broker.seconds_to_next()) is not None:
            timeout_s = late_s if timeout_s is None else min(timeout_s, late_s)
        return self.mailbox.take(timeout_s)

    def wake(self) -> None:
        """End a :meth:`wait` in progress, or the next one, at once. Safe from other threads and signal handlers."""
        self.mailbox.wake()
