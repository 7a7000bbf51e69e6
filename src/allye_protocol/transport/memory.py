"""An MQTT broker inside the process. :class:`MemoryTransport` is the way to it.

1. It behaves as MQTT 5 says a broker may: QoS 0 and 1, retained messages, persistent sessions with an expiry, last wills,
   ``$share`` in turn, wildcards, message expiry, a limit of unacknowledged messages a client, a packet size limit, and delivery
   in order and again after a lost connection. A client with overlapping subscriptions gets one copy.
2. Nothing happens by itself: no thread, no clock. Time comes from ``now``; without faults every call does all its work before
   it returns. So one thread may drive a broker and thousands of clients and repeat a run exactly; threads may share one, too.
3. What goes wrong is told by :class:`~allye_protocol.transport.faults.Faults`, may change at any time, and comes from a seed.
   What is late arrives in :meth:`MemoryBroker.run_due`, which every call on a transport does first.
4. A connection that was lost is mended by the next :meth:`MemoryTransport.wait` that finds nothing to tell, or as soon as a
   broker that was away is back.
"""

from __future__ import annotations

from functools import partial
from threading import RLock
from typing import TYPE_CHECKING

from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.transport.base import Connected, Disconnected, Published
from allye_protocol.transport.faults import Faults, Incident, Passage, Way
from allye_protocol.transport.memory_link import Link, Network
from allye_protocol.transport.memory_routing import Routing
from allye_protocol.transport.memory_session import Message, Session
from allye_protocol.transport.memory_transport import MemoryTransport
from allye_protocol.transport.packet import check_packet_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.frame import Frame
    from allye_protocol.transport.base import Received

__all__ = ["MemoryBroker", "MemoryTransport"]

_MAX_QOS = 1


class MemoryBroker:
    """The broker.

    :param now: the time, s, from any origin; it matters for expiry and for what is late.
    :param max_packet_bytes: the largest packet that it takes, bytes; ``None`` for no limit.
    :param seed: of everything that :class:`~allye_protocol.transport.faults.Faults` leave to chance.
    :param watch: called with everything that happens between it and its clients.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        max_packet_bytes: int | None = None,
        seed: int = 0,
        watch: Callable[[Incident], None] | None = None,
    ) -> None:
        self._now = now
        self._max_packet_bytes = max_packet_bytes
        self._watch = watch
        self._lock = RLock()
        self._network = Network(now, seed)
        self._up = True
        self._connections = 0
        self._transports: list[MemoryTransport] = []
        self._online: dict[str, MemoryTransport] = {}
        self._links: dict[str, Link] = {}
        self._wills: dict[str, Frame | None] = {}
        self._refused: set[str] = set()
        self._partitioned: dict[str, set[Way]] = {}
        self._sessions: dict[str, Session] = {}
        self._routing = Routing()

    # Faults

    def set_faults(self, faults: Faults, *client_ids: str) -> None:
        """Change what goes wrong from now on.

        :param faults: what; ``Faults()`` is nothing.
        :param client_ids: for these clients; without any for all, whatever was set for some before.
        """
        with self._lock:
            self._network.faults_of.update(dict.fromkeys(client_ids, faults))
            if not client_ids:
                self._network.faults = faults
                self._network.faults_of.clear()

    def partition(self, client_id: str, *ways: Way) -> None:
        """Let nothing pass between a client and the broker until :meth:`heal`.

        Neither end notices before :attr:`~allye_protocol.transport.faults.Faults.patience_s` is over. What was sent until then
        arrives when the partition ends earlier, and is lost when it does not.

        :param client_id: whose way.
        :param ways: the directions; both when none is named.
        """
        with self._lock:
            shut = set(ways or Way)
            self._partitioned.setdefault(client_id, set()).update(shut)
            if client_id in self._links:
                self._links[client_id].partition(shut)

    def heal(self, *client_ids: str) -> None:
        """End the partitions of some clients; of all when none is named."""
        with self._lock:
            for client_id in client_ids or list(self._partitioned):
                self._partitioned.pop(client_id, None)
                if client_id in self._links:
                    self._links[client_id].heal()
            self._mend_all()

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
                self._forget_all(sessions=True, retained=True)
            self._up = True
            self._mend_all()

    def restart(self, *, keep_sessions: bool = True, keep_retained: bool = True) -> None:
        """Be gone and back at once.

        :param keep_sessions: whether subscriptions and queued messages are still there.
        :param keep_retained: whether retained messages are.
        """
        with self._lock:
            self.stop()
            self._forget_all(sessions=not keep_sessions, retained=not keep_retained)
            self.start()

    # Time

    def run_due(self) -> None:
        """Let everything arrive whose time has come."""
        with self._lock:
            self._network.run_due()

    def seconds_to_next(self) -> float | None:
        """How long until something arrives, s; 0 when it is due, ``None`` when nothing is on its way."""
        with self._lock:
            at = self._network.next_at()
            return None if at is None else max(0.0, at - self._now())

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
            if not self._up or client_id in self._refused or client_id in self._partitioned:
                return
            if transport not in self._transports or self.online(transport):
                return
            if client_id in self._online:
                self._lose(self._online[client_id], "another client took the session over")
            self._connect(transport)

    def online(self, transport: MemoryTransport) -> bool:
        """Whether this transport has its client's connection."""
        return self._online.get(transport.client_id) is transport

    def publish(self, transport: MemoryTransport, frame: Frame, token: int) -> None:
        """Take a frame from a connected transport, answer it and deliver it; see :meth:`MemoryTransport.publish`."""
        with self._lock:
            self._network.run_due()
            if not self.online(transport):
                raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "there is no connection: the outbox keeps the frame")
            check_packet_size(frame, self._max_packet_bytes)
            if frame.qos > _MAX_QOS:
                raise TransportError(ErrorCode.TRANSPORT_REJECTED, f"this broker takes QoS up to {_MAX_QOS}, not {frame.qos}")
            link = self._links[transport.client_id]
            self._send(link, Way.TO_BROKER, frame, partial(self._published, transport, link, frame, token))

    def acknowledge(self, transport: MemoryTransport, received: Received) -> bool:
        """See :meth:`MemoryTransport.acknowledge`."""
        with self._lock:
            self._network.run_due()
            session = self._sessions.get(transport.client_id)
            if session is None or not self.online(transport) or not session.is_current(received):
                return False
            link = self._links[transport.client_id]
            if received.packet:  # QoS 0 has no acknowledgement
                arrive = lambda: session.acknowledge(received.packet, self._now())  # noqa: E731
                self._send(link, Way.TO_BROKER, received.frame, arrive, note="PUBACK")
            return True

    # Inside

    def _forget_all(self, *, sessions: bool, retained: bool) -> None:
        if sessions:
            kept, self._routing = self._routing.retained, Routing()
            self._routing.retained = kept
            self._sessions = {}
        if retained:
            self._routing.retained = {}

    def _mend_all(self) -> None:
        for transport in list(self._transports):
            # A client id that two transports claim goes to the first; the other may take it over when it waits.
            if transport.client_id not in self._online:
                self.mend(transport)

    def _connect(self, transport: MemoryTransport) -> None:
        now, client_id = self._now(), transport.client_id
        session = self._sessions.get(client_id)
        if session is not None and (transport.clean_start or session.ended(now)):
            self._forget(session)
            session = None
        present = session is not None
        if session is None:
            session = self._sessions[client_id] = Session(client_id)
        self._connections += 1
        link = Link(self._network, client_id, partial(self._lose, transport, "nothing passed for too long"))
        self._online[client_id], self._links[client_id] = transport, link
        self._wills[client_id] = transport.will()
        self._tell(Passage.CONNECTED, client_id, note="with its session" if present else "without a session")
        transport.mailbox.post(Connected(session_present=present, max_packet_bytes=self._max_packet_bytes))
        session.expiry_s = transport.session_expiry_s
        session.attach(partial(self._deliver, transport, link), self._connections, transport.receive_maximum, now)
        for topic_filter in transport.subscriptions:
            for message in self._routing.subscribe(session, topic_filter):
                session.enqueue(message, _MAX_QOS, now, retain=True)

    def _lose(self, transport: MemoryTransport, reason: str, *, will: bool = True) -> None:
        if not self.online(transport):
            return
        client_id = transport.client_id
        del self._online[client_id]
        self._links.pop(client_id).close()
        session = self._sessions[client_id]
        session.detach(self._now())
        if session.ended(self._now()):
            self._forget(session)
        self._tell(Passage.DISCONNECTED, client_id, note=reason)
        transport.mailbox.post(Disconnected(reason=reason))
        last_will = self._wills.pop(client_id)
        if will and last_will is not None:
            self._route(client_id, last_will, "as its will")

    def _forget(self, session: Session) -> None:
        del self._sessions[session.client_id]
        self._routing.forget(session)

    def _published(self, transport: MemoryTransport, link: Link, frame: Frame, token: int) -> None:
        """A PUBLISH of a client is here."""
        heard = self._route(transport.client_id, frame)
        reason = "Success" if heard else "No matching subscribers"
        answer = Published(token=token, accepted=True, unheard=not heard, reason=reason)
        late_s = self._network.between(transport.client_id).ack_delay_s
        self._send(link, Way.TO_CLIENT, frame, lambda: transport.mailbox.post(answer), note="PUBACK", later_s=late_s)

    def _deliver(self, transport: MemoryTransport, link: Link, received: Received) -> None:
        def arrive() -> None:
            self._tell(Passage.DELIVERED, transport.client_id, received.frame)
            transport.mailbox.post(received)

        self._send(link, Way.TO_CLIENT, received.frame, arrive)

    def _send(
        self, link: Link, way: Way, frame: Frame, arrive: Callable[[], None], *, note: str = "PUBLISH", later_s: float = 0.0
    ) -> None:
        if not link.send(way, arrive, later_s=later_s):
            self._tell(Passage.LOST, link.client_id, frame, f"{note} {way}")

    def _route(self, client_id: str, frame: Frame, note: str = "") -> bool:
        """Give a message to everybody who subscribes to it; whether anybody does."""
        now = self._now()
        message = Message(frame, now)
        self._tell(Passage.PUBLISHED, client_id, frame, note)
        if frame.retain:
            self._routing.retain(message)
        heard = False
        for session in self._routing.receivers(frame.topic, now):
            if session.ended(now):
                self._forget(session)
                continue
            heard = True
            faults = self._network.between(session.client_id)
            if self._network.happens(faults.drop):
                self._tell(Passage.DROPPED, session.client_id, frame)
                continue
            session.enqueue(message, min(frame.qos, _MAX_QOS), now)
            if self._network.happens(faults.duplicate):
                self._tell(Passage.DUPLICATED, session.client_id, frame)
                session.enqueue(message, min(frame.qos, _MAX_QOS), now)
        return heard

    def _tell(self, passage: Passage, client_id: str, frame: Frame | None = None, note: str = "") -> None:
        if self._watch is None:
            return
        if frame is None:
            self._watch(Incident(passage=passage, client_id=client_id, note=note))
        else:
            self._watch(
                Incident(
                    passage=passage,
                    client_id=client_id,
                    topic=frame.topic,
                    payload=frame.payload,
                    content_type=frame.content_type,
                    note=note,
                )
            )
