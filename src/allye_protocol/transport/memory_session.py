"""What the in-process broker keeps for one client, and for one group of clients that share a subscription."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from allye_protocol.transport.base import Received

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.frame import Frame

__all__ = ["Message", "Session", "Share"]

_PACKET_IDS = 65_535


class Message:
    """A frame in the broker, with the time at which it is no longer worth delivering."""

    __slots__ = ("_expires_at", "_frame")

    def __init__(self, frame: Frame, now: float) -> None:
        self._frame = frame
        self._expires_at = math.inf if frame.expiry_s is None else now + frame.expiry_s

    @property
    def topic(self) -> str:
        """Where it was published."""
        return self._frame.topic

    @property
    def is_empty(self) -> bool:
        """Whether it clears a retained message."""
        return not self._frame.payload

    def frame(self, now: float, *, retain: bool) -> Frame | None:
        """The frame as a subscriber gets it; ``None`` when it has expired."""
        left_s = self._expires_at - now
        if left_s <= 0:
            return None
        expiry_s = None if self._frame.expiry_s is None else math.ceil(left_s)
        if (retain, expiry_s) == (self._frame.retain, self._frame.expiry_s):
            return self._frame
        return msgspec.structs.replace(self._frame, retain=retain, expiry_s=expiry_s)


class Session:
    """One client's subscriptions and messages; it outlives the connection.

    :param client_id: whose.
    """

    def __init__(self, client_id: str) -> None:
        self.client_id = client_id
        self.filters: set[str] = set()
        self.expiry_s: float | None = None
        """How long it is kept without a connection, s; ``None`` for ever."""
        self._ends_at = math.inf
        self._deliver_to: Callable[[Received], None] | None = None
        self._connection = 0
        self._receive_maximum = 0
        self._waiting: deque[tuple[Message, bool]] = deque()
        self._in_flight: dict[int, tuple[Message, bool]] = {}
        self._last_packet = 0

    @property
    def connected(self) -> bool:
        """Whether a client is there."""
        return self._deliver_to is not None

    def ended(self, now: float) -> bool:
        """Whether its time is up."""
        return now >= self._ends_at

    def attach(self, deliver_to: Callable[[Received], None], connection: int, receive_maximum: int, now: float) -> None:
        """A connection begins: what was not acknowledged comes first, in its order, then what came meanwhile."""
        self._deliver_to = deliver_to
        self._connection = connection
        self._receive_maximum = receive_maximum
        self._ends_at = math.inf
        self._waiting.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        self._deliver(now)

    def detach(self, now: float) -> None:
        """The connection is gone."""
        self._deliver_to = None
        self._ends_at = math.inf if self.expiry_s is None else now + self.expiry_s

    def enqueue(self, message: Message, qos: int, now: float, *, retain: bool = False) -> None:
        """Deliver a message now or, with QoS 1, when it is possible.

        :param message: the message.
        :param qos: the lower one of the publisher's and the subscription's.
        :param now: the time, s.
        :param retain: whether it is an old message for a new subscription.
        """
        if qos:
            self._waiting.append((message, retain))
            self._deliver(now)
        elif self._deliver_to is not None and (frame := message.frame(now, retain=retain)):
            self._deliver_to(Received(frame=frame, connection=self._connection, packet=0))

    def is_current(self, received: Received) -> bool:
        """Whether a message was delivered on the present connection."""
        return self._deliver_to is not None and received.connection == self._connection

    def acknowledge(self, packet: int, now: float) -> None:
        """The client has stored a message of the present connection."""
        self._in_flight.pop(packet, None)
        self._deliver(now)

    def _deliver(self, now: float) -> None:
        while self._deliver_to is not None and self._waiting and len(self._in_flight) < self._receive_maximum:
            message, retain = self._waiting.popleft()
            frame = message.frame(now, retain=retain)
            if frame is not None:
                packet = self._free_packet()
                self._in_flight[packet] = (message, retain)
                self._deliver_to(Received(frame=frame, connection=self._connection, packet=packet))

    def _free_packet(self) -> int:
        while True:
            self._last_packet = self._last_packet % _PACKET_IDS + 1
            if self._last_packet not in self._in_flight:
                return self._last_packet


class Share:
    """The members of one shared subscription; each message goes to one of them."""

    def __init__(self) -> None:
        self.members: deque[Session] = deque()

    def pick(self, now: float) -> Session | None:
        """The next one in turn, one that is connected if there is any."""
        kept = [member for member in self.members if not member.ended(now)]
        chosen = next((member for member in kept if member.connected), kept[0] if kept else None)
        if chosen is not None:
            self.members.remove(chosen)
            self.members.append(chosen)
        return chosen
