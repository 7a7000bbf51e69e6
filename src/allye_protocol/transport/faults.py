"""What can go wrong between clients and the in-process broker, and in it.

MQTT runs over TCP, so a packet that is lost takes its connection with it: nothing passes in that direction any more, both ends
notice after :attr:`Faults.patience_s`, and what was not acknowledged is sent again on the next connection. What one client
sends arrives in order, unless :attr:`Faults.reorder` says otherwise. The two faults that break these rules (``drop`` and
``reorder``) are those that real brokers and bridges have.
"""

from __future__ import annotations

import math
from enum import StrEnum

import msgspec

__all__ = ["Faults", "Incident", "Passage", "Way"]


class Way(StrEnum):
    """A direction between a client and the broker."""

    TO_BROKER = "to_broker"
    TO_CLIENT = "to_client"


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How a network and a broker misbehave; by default they do not.

    :param loss: share of packets (PUBLISH and PUBACK alike) that are lost, each with its connection, 0 to 1.
    :param duplicate: share of messages that the broker delivers twice.
    :param drop: share of messages that the broker acknowledges to the publisher and then does not deliver to a subscriber, as
        one whose queue is full does.
    :param reorder: share of packets that are held back so that later ones pass them.
    :param hold_s: for how long at most such a packet is held back, s.
    :param delay_s: how long a packet is on its way at most, s.
    :param ack_delay_s: how much longer at most the broker takes to acknowledge a PUBLISH, s.
    :param patience_s: after how long both ends notice that nothing passes, s; one and a half keepalives as a rule.
    :raises ValueError: for a share that is none, or a time that is not finite and at least 0.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    hold_s: float = 10.0
    delay_s: float = 0.0
    ack_delay_s: float = 0.0
    patience_s: float = 90.0

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "drop", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")
        for name in ("hold_s", "delay_s", "ack_delay_s", "patience_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a number of seconds from 0, not {getattr(self, name)}")


class Passage(StrEnum):
    """What happened between a client and the broker."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    PUBLISHED = "published"
    """The broker has a client's message."""
    DELIVERED = "delivered"
    """A client has the broker's message."""
    LOST = "lost"
    """A packet was lost, and the connection with it."""
    DROPPED = "dropped"
    DUPLICATED = "duplicated"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, for who watches a broker.

    :param passage: what.
    :param client_id: the client it happened to.
    :param topic: the message's topic; empty where there is no message.
    :param payload: its payload.
    :param content_type: its content type.
    :param note: more about it, for a person.
    """

    passage: Passage
    client_id: str
    topic: str = ""
    payload: bytes = b""
    content_type: str | None = None
    note: str = ""
