"""MQTT over the network: a paho connection that is mended when it breaks.

One thread connects, runs one :class:`~allye_protocol.transport.paho_link.Link` after the other and waits between them with full
jitter; paho's own reconnecting has none, and begins anew with every connection that is accepted. The app's thread takes events
from a mailbox. Nothing is kept here across connections: what was not answered is in the outbox, what was not acknowledged the
broker delivers again.

Needs the extra ``mqtt``.
"""

from __future__ import annotations

import random
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Final

from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.matching import check_filter
from allye_protocol.transport.base import Disconnected
from allye_protocol.transport.mailbox import Mailbox
from allye_protocol.transport.paho_link import Link
from allye_protocol.transport.reconnect import Backoff

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_protocol.frame import Frame
    from allye_protocol.transport.base import Received, TransportEvent
    from allye_protocol.transport.options import MqttOptions
    from allye_protocol.transport.reconnect import RandomUnit

__all__ = ["PahoTransport"]

_SYSTEM_RANDOM: Final = random.SystemRandom()

# Of the process and not of a transport: what one transport received, another must not acknowledge.
_connection_numbers: Final = count(1)


class PahoTransport:
    """A :class:`~allye_protocol.transport.base.Transport` over TCP or TLS.

    :param options: where to and as whom.
    :param random_unit: where the jitter of reconnecting comes from.
    """

    def __init__(self, options: MqttOptions, *, random_unit: RandomUnit = _SYSTEM_RANDOM.random) -> None:
        self._options = options
        self._backoff = Backoff(
            random_unit, base_s=options.reconnect_base_s, cap_s=options.reconnect_cap_s, stable_s=options.stable_s
        )
        self._mailbox = Mailbox()
        self._subscriptions: tuple[str, ...] = ()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None
        self._max_inflight = options.max_inflight
        self._subscribed = False

    def open(self, subscriptions: Sequence[str]) -> None:
        """Start connecting, and keep connected.

        :param subscriptions: topic filters.
        :raises TopicError: ``message.invalid_filter``.
        :raises RuntimeError: when it is open, or was closed.
        """
        if self._thread is not None or self._closing.is_set():
            raise RuntimeError("a transport is opened once")
        for topic_filter in subscriptions:
            check_filter(topic_filter)
        self._subscriptions = tuple(subscriptions)
        self._start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Disconnect cleanly once every publish is answered, but after ``timeout_s`` at the latest; s."""
        self._closing.set()
        link = self._link
        if link is not None:
            link.finish(timeout_s)
        if self._thread is not None:
            # A thread in the middle of connecting ends by itself when that does.
            self._thread.join(timeout_s + 1)
        self._mailbox.wake()

    @property
    def connected(self) -> bool:
        """Whether :meth:`publish` can succeed now."""
        return self._link is not None and self._link.ready and self._alive

    def publish(self, frame: Frame) -> int:
        """Hand one frame to the broker.

        :raises TransportError: ``transport.not_connected``, or ``transport.too_large`` above the broker's packet limit.
        :raises TopicError: ``message.invalid_topic``.
        """
        link = self._link
        if link is None or not self.connected:
            raise TransportError(ErrorCode.TRANSPORT_NOT_CONNECTED, "there is no connection: the outbox keeps the frame")
        return link.publish(frame)

    def acknowledge(self, received: Received) -> bool:
        """Acknowledge a message after it has been stored.

        :returns: ``False`` when its connection is gone: the broker will deliver it again.
        """
        link = self._link
        return link is not None and link.acknowledge(received)

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        """All events so far, in order; blocks for at most ``timeout_s`` (``None``: without end) while there are none.

        Never blocks after :meth:`close`.
        """
        if self._thread is not None and not self._alive and not self._closing.is_set():
            self._start()
        events = self._mailbox.take(0 if self._closing.is_set() else timeout_s)
        link = self._link
        if link is not None and link.paused:
            link.wake()
        return events

    def wake(self) -> None:
        """End a :meth:`wait` in progress, or the next one, at once. Safe from other threads and signal handlers."""
        self._mailbox.wake()

    @property
    def _alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"mqtt {self._options.client_id}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                delay_s = self._connect_once()
                self._closing.wait(delay_s)
        finally:
            # Whatever ended this thread, who waits learns of it, and waiting again starts another.
            if not self._closing.is_set():
                self._mailbox.post(Disconnected(reason="the network thread ended"))

    def _connect_once(self) -> float:
        """One connection from its beginning to its end; the delay before the next one, s."""
        link = Link(
            self._options,
            next(_connection_numbers),
            self._subscriptions,
            self._mailbox,
            resubscribe=not self._subscribed,
            max_inflight=self._max_inflight,
        )
        self._link = link
        if self._closing.is_set():
            link.finish(0)
        try:
            reason = link.run()
        except Exception as error:  # noqa: BLE001 the edge of this thread: what a broken packet makes paho raise ends a connection
            reason = f"{type(error).__name__}: {error}"
        connected_s = 0.0
        if link.ready_at_s is not None:
            connected_s = time.monotonic() - link.ready_at_s
            self._subscribed = True
        self._max_inflight = link.max_inflight
        self._mailbox.post(Disconnected(reason=reason))
        return self._backoff.next_delay_s(connected_s)
