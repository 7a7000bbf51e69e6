"""An MQTT broker inside the process, and a transport to it.

1. It behaves as MQTT 5 says a broker may: QoS 0 and 1, retained messages, persistent sessions with an expiry, last wills,
   ``$share`` in turn, wildcards, message expiry, a limit of unacknowledged messages a client, a packet size limit, and delivery
   in order and again after a lost connection. A client with overlapping subscriptions gets one copy.
2. Nothing happens by itself: no thread, no clock, no chance. Time comes from ``now``; every call does all its work before it
   returns. So one thread may drive a broker and thousands of clients and repeat a run exactly; several threads may share one.
3. A connection that was lost is mended by the next :meth:`MemoryTransport.wait` that finds nothing to tell, or as soon as a
   broker that was away is back.
"""

from __future__ import annotations

from itertools import count
from threading import RLock
from typing import TYPE_CHECKING

from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.matching import Matcher, check_filter, check_name, matches, split_share
from allye_protocol.transport.base import Connected, Disconnected, Published
from allye_protocol.transport.mailbox import Mailbox
from allye_protocol.transport.memory_session import Message, Session, Share
from allye_protocol.transport.packet import check_packet_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allye_protocol.frame import Frame
    from allye_protocol.transport.base import Received, TransportEvent

__all__ = ["MemoryBroker", "MemoryTransport"]

_MAX_QOS = 1


class MemoryBroker:
    """The broker.

    :param now: the time, s, from any origin; it only matters for expiry.
    :param max_packet_bytes: the largest packet that it takes, bytes; ``None`` for no limit.
    """

    def __init__(self, now: Callable[[], float], *, max_packet_bytes: int | None = None) -> None:
        self._now = now
        self._max_packet_bytes = max_packet_bytes
        self._lock = RLock()
        self._up = True
        self._connections = 0
        self._transports: list[MemoryTransport] = []
        self._online: dict[str, MemoryTransport] = {}
        self._refused: set[str] = set()
        self._forget_all()

    # Faults

    def drop(self, client_id: str, *, refuse: bool = False) -> None:
        """Break a client's connection; the broker publishes its will.

        :param client_id: whose; nothing happens when it is not connected.
        :param refuse: keep it away until :meth:`admit`.
        """
        with self._lock:
            if refuse:
                self._refused.add(client_id)
            if client_id in self._online:
                self._lose(self._online[client_id], "connection lost")

    def admit(self, client_id: str) -> None:
        """Let a client in again that was refused."""
        with self._lock:
            self._refused.discard(client_id)
            self._mend_all()

    def stop(self) -> None:
        """Be gone at once: every connection is lost, and no will is published."""
        with self._lock:
            self._up = False
            for transport in list(self._online.values()):
                self._lose(transport, "broker stopped", will=False)

    def start(self, *, forget: bool = False) -> None:
        """Be back.

        :param forget: without sessions, queued and retained messages, as a broker without persistence.
        """
        with self._lock:
            if forget:
                self._forget_all()
            self._up = True
            self._mend_all()

    # What a transport asks for

    def enter(self, transport: MemoryTransport) -> None:
        """A transport is opened; its client is connected when it can be."""
        with self._lock:
            self._transports.append(transport)
            self.mend(transport)

    def leave(self, transport: MemoryTransport) -> None:
        """A transport is closed: a clean end, without a will."""
        with self._lock:
            if transport in self._transports:
                self._transports.remove(transport)
                self._lose(transport, "closed", will=False)

    def mend(self, transport: MemoryTransport) -> None:
        """Connect an open transport that is not connected, when that is possible now."""
        with self._lock:
            client_id = transport.client_id
            if not self._up or client_id in self._refused or transport not in self._transports or self.online(transport):
                return
            if client_id in self._online:
                self._lose(self._online[client_id], "another client took the session over")
            self._connect(transport)

    def online(self, transport: MemoryTransport) -> bool:
        """Whether this transport has its client's connection."""
        return self._online.get(transport.client_id) is transport

    def publish(self, transport: MemoryTransport, frame: Frame) -> bool:
        """Take a frame from a connected transport and deliver it; see :meth:`MemoryTransport.publish`.

        :returns: whether anybody subscribes to it.
        """
        with self._lock:
            if not self.online(transport):
                raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "there is no connection: the outbox keeps the frame")
            check_packet_size(frame, self._max_packet_bytes)
            if frame.qos > _MAX_QOS:
                raise TransportError(ErrorCode.TRANSPORT_REJECTED, f"this broker takes QoS up to {_MAX_QOS}, not {frame.qos}")
            return self._route(frame)

    def acknowledge(self, transport: MemoryTransport, received: Received) -> bool:
        """See :meth:`MemoryTransport.acknowledge`."""
        with self._lock:
            return self.online(transport) and self._sessions[transport.client_id].acknowledge(received, self._now())

    # Inside

    def _forget_all(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._subscribers: Matcher[Session | Share] = Matcher()
        self._shares: dict[tuple[str, str], Share] = {}
        self._retained: dict[str, Message] = {}

    def _mend_all(self) -> None:
        for transport in list(self._transports):
            # A client id that two transports claim goes to the first; the other may take it over when it waits.
            if transport.client_id not in self._online:
                self.mend(transport)

    def _connect(self, transport: MemoryTransport) -> None:
        now = self._now()
        session = self._sessions.get(transport.client_id)
        if session is not None and (transport.clean_start or session.ended(now)):
            self._forget(session)
            session = None
        present = session is not None
        if session is None:
            session = self._sessions[transport.client_id] = Session(transport.client_id)
        self._connections += 1
        self._online[transport.client_id] = transport
        transport.mailbox.post(Connected(session_present=present, max_packet_bytes=self._max_packet_bytes))
        session.expiry_s = transport.session_expiry_s
        session.attach(transport.mailbox, self._connections, transport.receive_maximum, now)
        for topic_filter in transport.subscriptions:
            self._subscribe(session, topic_filter, now)

    def _lose(self, transport: MemoryTransport, reason: str, *, will: bool = True) -> None:
        if not self.online(transport):
            return
        del self._online[transport.client_id]
        session = self._sessions[transport.client_id]
        session.detach(self._now())
        if session.ended(self._now()):
            self._forget(session)
        transport.mailbox.post(Disconnected(reason=reason))
        if will and transport.will is not None:
            self._route(transport.will)

    def _subscribe(self, session: Session, topic_filter: str, now: float) -> None:
        if topic_filter in session.filters:
            return
        session.filters.add(topic_filter)
        group, pattern = split_share(topic_filter)
        if group is not None:
            if (group, pattern) not in self._shares:
                self._shares[group, pattern] = Share()
                self._subscribers.add(pattern, self._shares[group, pattern])
            self._shares[group, pattern].members.append(session)
            return
        self._subscribers.add(pattern, session)
        for topic, message in self._retained.items():
            if matches(pattern, topic):
                session.enqueue(message, _MAX_QOS, now, retain=True)

    def _forget(self, session: Session) -> None:
        del self._sessions[session.client_id]
        for topic_filter in session.filters:
            group, pattern = split_share(topic_filter)
            if group is None:
                self._subscribers.remove(pattern, session)
                continue
            share = self._shares[group, pattern]
            share.members.remove(session)
            if not share.members:
                self._subscribers.remove(pattern, share)
                del self._shares[group, pattern]

    def _route(self, frame: Frame) -> bool:
        now = self._now()
        message = Message(frame, now)
        if frame.retain:
            if frame.payload:
                self._retained[frame.topic] = message
            else:
                self._retained.pop(frame.topic, None)
        served: set[int] = set()
        heard = False
        for subscriber in self._subscribers.match(frame.topic):
            # A share's message is its own: a member that is also subscribed by itself gets both.
            session = subscriber.pick(now) if isinstance(subscriber, Share) else subscriber
            if session is None or id(subscriber) in served:
                continue
            served.add(id(subscriber))
            if session.ended(now):
                self._forget(session)
            else:
                session.enqueue(message, min(frame.qos, _MAX_QOS), now)
                heard = True
        return heard


class MemoryTransport:
    """A :class:`~allye_protocol.transport.base.Transport` to a :class:`MemoryBroker`.

    :param broker: the broker.
    :param client_id: the name of the session; for a device its device id.
    :param will: what the broker publishes when this client is lost.
    :param clean_start: forget the session of before, on every connection.
    :param session_expiry_s: how long the broker keeps the session of a client that is away, s; ``None`` for ever.
    :param receive_maximum: how many QoS 1 messages may wait for their acknowledgement.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        client_id: str,
        *,
        will: Frame | None = None,
        clean_start: bool = False,
        session_expiry_s: float | None = None,
        receive_maximum: int = 20,
    ) -> None:
        self._broker = broker
        self.client_id = client_id
        self.will = will
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

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 everything under way has arrived already
        """Disconnect cleanly."""
        self._closed = True
        self._broker.leave(self)
        self.mailbox.wake()

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
        heard = self._broker.publish(self, frame)
        token = next(self._tokens)
        reason = "Success" if heard else "No matching subscribers"
        self.mailbox.post(Published(token=token, accepted=True, unheard=not heard, reason=reason))
        return token

    def acknowledge(self, received: Received) -> bool:
        """Acknowledge a message after it has been stored.

        :returns: ``False`` when its connection is gone: the broker will deliver it again.
        """
        return self._broker.acknowledge(self, received)

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        """All events so far, in order; blocks for at most ``timeout_s`` (``None``: without end) while there are none."""
        if not len(self.mailbox):
            self._broker.mend(self)
        return self.mailbox.take(0 if self._closed else timeout_s)

    def wake(self) -> None:
        """End a :meth:`wait` in progress, or the next one, at once. Safe from other threads and signal handlers."""
        self.mailbox.wake()
