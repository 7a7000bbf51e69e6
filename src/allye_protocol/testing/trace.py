"""Everything that went over the wire, to be asserted on and to be read when a test fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from allye_protocol import topics
from allye_protocol.convert import decode
from allye_protocol.errors import DecodeError, TopicError
from allye_protocol.messages import DeviceStatus, Message
from allye_protocol.messages.registry import CHANNEL_OF
from allye_protocol.transport.faults import Incident, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["Entry", "Trace"]

_KIND_OF: Final = {channel: kind for kind, channel in CHANNEL_OF.items()}
_SHOWN: Final = 60
_SHORT: Final = {
    Passage.CONNECTED: "+",
    Passage.DISCONNECTED: "-",
    Passage.PUBLISHED: ">",
    Passage.DELIVERED: "<",
    Passage.LOST: "x",
    Passage.DROPPED: "x",
    Passage.DUPLICATED: "2",
}
M = TypeVar("M", bound=Message)


class Entry(NamedTuple):
    """One thing that happened at the broker.

    :param at: when.
    :param incident: what.
    :param root: the topics' root.
    """

    at: datetime
    incident: Incident
    root: str = topics.DEFAULT_ROOT

    @property
    def message(self) -> Message | None:
        """The message that it was about, in the newest version; ``None`` where there is none that can be read."""
        incident = self.incident
        try:
            kind = _KIND_OF[topics.parse(incident.topic, self.root).channel]
            return decode(incident.payload, kind, incident.content_type)
        except (TopicError, DecodeError):
            return None

    def __str__(self) -> str:
        incident = self.incident
        words = [f"{self.at:%d %H:%M:%S.%f}"[:-3], f"{_SHORT[incident.passage]} {incident.client_id:<12}"]
        if incident.topic:
            encoding = (incident.content_type or "no content type").rpartition("/")[2]
            words += [incident.topic, _told(self.message), f"({encoding}, {len(incident.payload)} B)"]
        words += [f"{incident.passage} {incident.note}".strip()]
        return " ".join(word for word in words if word)


class Trace:
    """What happened, in order.

    Its text is one line for each entry: the time, ``>`` for what the broker got from a client and ``<`` for what a client got
    from the broker, ``+`` and ``-`` for connections that began and ended, ``x`` for what was lost, ``2`` for what came twice.

    :param now: the time of what is recorded.
    :param root: the topics' root.
    """

    def __init__(self, now: Callable[[], datetime], root: str = topics.DEFAULT_ROOT) -> None:
        self._now = now
        self._root = root
        self.entries: list[Entry] = []

    def record(self, incident: Incident) -> None:
        """Take something down: the ``watch`` of a :class:`~allye_protocol.transport.memory.MemoryBroker`."""
        self.entries.append(Entry(self._now(), incident, self._root))

    def messages(self, kind: type[M], device_id: str | None = None, passage: Passage = Passage.PUBLISHED) -> list[M]:
        """The messages of one type that passed, in order, repeated ones too.

        :param kind: a message's type, such as ``Ack``.
        :param device_id: of this device only.
        :param passage: at which point they are looked at: when the broker has them, or when a client has.
        """
        return [message for message in self._readable(passage) if isinstance(message, kind) and _is_of(message, device_id)]

    def _readable(self, passage: Passage) -> Iterator[Message]:
        for entry in self.entries:
            if entry.incident.passage is passage and (message := entry.message) is not None:
                yield message

    def tail(self, lines: int = _SHOWN) -> str:
        """The last entries, one a line."""
        left_out = len(self.entries) - lines
        head = [f"... {left_out} earlier entries"] if left_out > 0 else []
        return "\n".join(head + [str(entry) for entry in self.entries[-lines:]])

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<Trace of {len(self.entries)} entries>\n{self.tail()}"


def _is_of(message: Message, device_id: str | None) -> bool:
    return device_id is None or message.device_id == device_id


def _told(message: Message | None) -> str:
    """A message in a few words."""
    if message is None:
        return "cannot be read"
    words = [str(value) for name in ("schedule_id", "status", "event") if (value := getattr(message, name, None)) is not None]
    if isinstance(message, DeviceStatus):
        words.insert(0, "online" if message.online else "offline")
    start = getattr(message, "slot_start", None)
    if start is not None:
        words.append(f"{start:%d %H:%M}")
    error = getattr(message, "error", None)
    if error is not None:
        words.append(str(error.code))
    return " ".join(words) or type(message).__name__
