"""The service: a loop around the session that feeds it messages and time, and publishes what it wants published.

1. A message is acknowledged to the broker only after the transaction that stored what follows from it. When the store fails,
   nothing is acknowledged; what has arrived is kept here and tried again, and the broker holds back the rest.
2. Everything runs in the thread that calls :meth:`CloudService.run`. :meth:`CloudService.stop` and :meth:`CloudService.wake`
   are for any thread, and for signal handlers.
3. The time that the session is given never runs past a deadline that was not handled yet, so a played day is handled in order.
   Nor is it taken back to one that could not be handled when it came, for want of a connection.
4. At most ``window`` schedules are under way to the broker at once: more would only wait there, unseen and unordered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allye_cloud.logs import log_event
from allye_protocol.errors import ErrorCode, StoreError, TransportError
from allye_protocol.transport.base import Connected, Disconnected, Published, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from allye_protocol.clock import Clock
    from allye_protocol.events import CloudEvent
    from allye_protocol.session import CloudSession
    from allye_protocol.transport.base import Transport, TransportEvent

__all__ = ["BATCH", "WINDOW", "CloudService"]

WINDOW: Final = 20
BATCH: Final = 500
POLL_S: Final = 1.0
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0


class CloudService:
    """One worker of the cloud.

    :param session: the protocol, over its store.
    :param transport: the way to the broker; it is opened by :meth:`run` and closed at its end.
    :param clock: where the time comes from.
    :param log: where lines go.
    :param on_events: told what the session told, after it is stored.
    :param window: most schedules under way to the broker.
    :param batch: most messages that are stored in one transaction.
    :param poll_s: longest wait, s: how soon a schedule is seen that another process submitted.
    """

    def __init__(
        self,
        session: CloudSession,
        transport: Transport,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        on_events: Callable[[Sequence[CloudEvent]], None] | None = None,
        window: int = WINDOW,
        batch: int = BATCH,
        poll_s: float = POLL_S,
    ) -> None:
        self._session: Final = session
        self._transport: Final = transport
        self._clock: Final = clock
        self._log: Final = log
        self._on_events: Final = on_events
        self._window: Final = window
        self._batch: Final = batch
        self._poll_s: Final = poll_s
        self._arrived: list[TransportEvent] = []
        self._tokens: dict[int, str] = {}
        self._connected = False
        self._stopping = False
        self._failures = 0
        self._last = clock.now()

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Work until :meth:`stop`.

        :param until: asked after every turn; ``True`` ends the work as well.
        """
        self._log.info("service_started", subscriptions=list(self._session.subscriptions))
        self._transport.open(self._session.subscriptions)
        try:
            while not self._stopping and not (until is not None and until()):
                self._turn_or_pause()
        finally:
            self._transport.close()
            self._give_back()
            self._log.info("service_stopped")

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._stopping = True
        self._transport.wake()

    def wake(self) -> None:
        """Look at the store at once: something was submitted."""
        self._transport.wake()

    def _give_back(self) -> None:
        """What was under way when the connection ended is due again, for this session's next service or another worker."""
        self._tokens.clear()
        try:
            self._session.disconnected(self._last)
        except StoreError as error:  # it is sent again at its usual time
            self._log.error("store_failed", code=error.code, reason=error.message)

    def _turn_or_pause(self) -> None:
        try:
            self._turn()
            self._failures = 0
        except StoreError as error:
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
            self._failures = min(self._failures + 1, 16)
            self._log.error("store_failed", code=error.code, reason=error.message, pause_s=pause_s)
            self._arrived += self._transport.wait(pause_s)

    def _turn(self) -> None:
        """Wait for what is next, and do it.

        :raises StoreError: what has not been done is done in the next turn.
        """
        deadline = self._session.next_deadline(can_send=self._can_send)
        waiting_s = self._poll_s if deadline is None else min(self._poll_s, self._clock.seconds_until(deadline))
        self._arrived += self._transport.wait(0 if self._arrived else waiting_s)
        now = self._last = self._clock.now(not_after=None if deadline is None else max(deadline, self._last))
        while self._arrived:
            self._take(now)
        if deadline is not None and deadline <= now:
            self._tell(self._session.tick(now))
        if self._can_send:
            self._send(now)

    @property
    def _can_send(self) -> bool:
        return self._connected and self._transport.connected and self._session.under_way < self._window

    def _take(self, now: datetime) -> None:
        """Handle the first event, or as many messages as come first."""
        messages: list[Received] = []
        for event in self._arrived[: self._batch]:
            if not isinstance(event, Received):
                break
            messages.append(event)
        if messages:
            events = self._session.receive_all([message.frame for message in messages], now)
            del self._arrived[: len(messages)]
            for message in messages:
                self._transport.acknowledge(message)
            self._tell(events)
        else:
            self._connection_event(self._arrived[0], now)
            del self._arrived[0]

    def _connection_event(self, event: TransportEvent, now: datetime) -> None:
        match event:
            case Connected():
                self._connected = True
                self._log.info("connected", session_present=event.session_present)
            case Disconnected():
                self._connected = False
                self._log.warning("disconnected", reason=event.reason)
                self._tokens.clear()
                self._session.disconnected(now)
            case Published(accepted=True):
                if event.token in self._tokens:
                    self._session.sent(self._tokens.pop(event.token))
            case Published():
                if event.token in self._tokens:
                    self._refused(self._tokens.pop(event.token), event.reason, now)

    def _send(self, now: datetime) -> None:
        for dispatch in self._session.frames_to_send(now, self._window):
            try:
                self._tokens[self._transport.publish(dispatch.frame)] = dispatch.delivery_id
            except TransportError as error:
                if error.code is ErrorCode.TRANSPORT_NOT_CONNECTED:
                    # The session gives back all that is under way when the end of the connection is told.
                    break
                self._refused(dispatch.delivery_id, error.message, now)
            else:
                self._log.debug(
                    "published",
                    delivery_id=dispatch.delivery_id,
                    version=dispatch.agreement.version,
                    topic=dispatch.frame.topic,
                )

    def _refused(self, delivery_id: str, reason: str, now: datetime) -> None:
        self._log.error("publish_refused", delivery_id=delivery_id, reason=reason)
        try:
            self._session.not_sent(delivery_id, now)
        except StoreError as error:  # it is sent again at its usual time; the others that were handed out still have to go
            self._log.error("store_failed", code=error.code, reason=error.message, delivery_id=delivery_id)

    def _tell(self, events: Sequence[CloudEvent]) -> None:
        for event in events:
            log_event(self._log, event)
        if events and self._on_events is not None:
            self._on_events(events)
