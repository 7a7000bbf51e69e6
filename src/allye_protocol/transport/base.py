"""What a transport is: frames out, events in, acknowledgement after the commit.

1. A transport is never the queue. :meth:`Transport.publish` is called only while connected, from an outbox that keeps the row
   until :class:`Published` says that the broker took it.
2. A received message is acknowledged by the app, after the transaction that stored it, and only on the connection that
   delivered it; :meth:`Transport.acknowledge` says whether it was.
3. Whatever happens on the network becomes an event in the order in which it happened, and :class:`Connected` comes before the
   messages of its connection. Nothing is called back.
4. :meth:`Transport.wait` is the only place that blocks, and :meth:`Transport.wake` ends it from any thread or signal handler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from allye_protocol.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Connected", "Disconnected", "Published", "Received", "Transport", "TransportEvent", "Will", "will_of"]

Will = Frame | Callable[[], Frame | None] | None
"""What a broker publishes when a client is lost: always the same, or asked for at every connection; ``None`` for nothing."""


def will_of(will: Will) -> Frame | None:
    """The will of the connection that begins now."""
    return will() if callable(will) else will


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """The broker accepted the connection and every subscription is granted.

    :param session_present: the broker kept the session, with its subscriptions and queued messages.
    :param max_packet_bytes: the largest packet that the broker takes, bytes; ``None`` when it names no limit.
    """

    session_present: bool
    max_packet_bytes: int | None = None


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """The connection is gone, or an attempt to connect failed; the transport tries again by itself unless it was closed.

    :param reason: why, for a log line. The last event of a closed transport has ``closed``.
    """

    reason: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message arrived and waits for :meth:`Transport.acknowledge`.

    :param frame: the message.
    :param connection: number of the connection that delivered it.
    :param packet: the MQTT packet identifier; 0 for QoS 0.
    """

    frame: Frame
    connection: int
    packet: int


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The broker answered a publish.

    :param token: what :meth:`Transport.publish` returned.
    :param accepted: the reason code was below 0x80 (MQTT 5 section 4.13).
    :param unheard: it was accepted and dropped, because nobody subscribes to its topic (reason code 0x10, MQTT 5 section
        3.4.2.1). A broker that was restarted and has lost its sessions says so until the subscribers are back. Brokers need not
        say it, and those of MQTT 3.1.1 cannot.
    :param reason: the broker's reason, for a log line.
    """

    token: int
    accepted: bool
    unheard: bool = False
    reason: str = ""


TransportEvent = Connected | Disconnected | Received | Published


@runtime_checkable
class Transport(Protocol):
    """A connection to a broker that mends itself."""

    def open(self, subscriptions: Sequence[str]) -> None:
        """Start connecting, and keep connected.

        :param subscriptions: topic filters, subscribed with QoS 1 on the first connection and on every one without a kept
            session: a session that was kept over a new release may lack a filter.
        """

    def close(self, timeout_s: float = 5.0) -> None:
        """Disconnect cleanly after handing over what is under way; s."""

    @property
    def connected(self) -> bool:
        """Whether :meth:`publish` can succeed now."""
        ...

    def publish(self, frame: Frame) -> int:
        """Hand one frame to the broker.

        :returns: a token; one :class:`Published` with it follows, unless the connection ends first.
        :raises TransportError: ``transport.not_connected``, or ``transport.too_large`` above the broker's packet limit.
        :raises TopicError: ``message.invalid_topic``.
        """
        ...

    def acknowledge(self, received: Received) -> bool:
        """Acknowledge a message after it has been stored.

        :returns: ``False`` when its connection is gone: the broker will deliver it again.
        """
        ...

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        """All events so far, in order; blocks for at most ``timeout_s`` (``None``: without end) while there are none.

        Never blocks after :meth:`close`.
        """
        ...

    def wake(self) -> None:
        """End a :meth:`wait` in progress, or the next one, at once. Safe from other threads and signal handlers."""
