"""Events on their way from the network to the one who waits for them."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allye_protocol.transport.base import TransportEvent

__all__ = ["Mailbox"]


class Mailbox:
    """Events in the order in which they were posted, from any thread, for one who waits.

    It rests on :class:`queue.SimpleQueue`, whose ``put`` may interrupt itself, so :meth:`wake` is safe in a signal handler. Its
    size is bounded by who posts: a transport stops reading from the network while too much is unread here.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[TransportEvent | None] = SimpleQueue()

    def __len__(self) -> int:
        return self._queue.qsize()

    def post(self, event: TransportEvent) -> None:
        """Add an event at the end."""
        self._queue.put(event)

    def wake(self) -> None:
        """End the :meth:`take` in progress, or the next one."""
        self._queue.put(None)

    def take(self, timeout_s: float | None) -> list[TransportEvent]:
        """All events so far.

        :param timeout_s: how long to wait for a first one, s; ``None``: without end.
        :returns: the events; none after the time is up or a :meth:`wake`.
        """
        taken: list[TransportEvent | None] = []
        with suppress(Empty):
            taken.append(
                self._queue.get_nowait() if timeout_s is not None and timeout_s <= 0 else self._queue.get(timeout=timeout_s)
            )
            while True:
                taken.append(self._queue.get_nowait())
        return [event for event in taken if event is not None]
