"""What leaves the device: frames from the outbox, and what is retained.

The outbox is the only queue: a frame of it that is under way when a connection ends is sent again on the next one. So is an
answer to which nobody subscribes: a broker that has lost its sessions takes it all the same, and drops it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allye_protocol.errors import TransportError

if TYPE_CHECKING:
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from allye_protocol.frame import Frame
    from allye_protocol.session.device import DeviceSession
    from allye_protocol.transport.base import Published, Transport

__all__ = ["Post"]


class Post:
    """What of a session is on its way to the broker.

    :param session: whose outbox.
    :param transport: to the broker.
    :param log: bound to the device.
    """

    def __init__(self, session: DeviceSession, transport: Transport, log: FilteringBoundLogger) -> None:
        self._session: Final = session
        self._transport: Final = transport
        self._log: Final = log
        self._under_way: Final[dict[int, int]] = {}
        self._unheard = False

    @property
    def waits(self) -> bool:
        """Whether the broker has something of the outbox that it has not answered."""
        return bool(self._under_way)

    def forget(self) -> None:
        """The connection is gone, and with it what was under way."""
        self._session.disconnected()
        self._under_way.clear()

    def send(self, now: datetime) -> None:
        """Hand to the broker what the outbox has and is not under way.

        :raises StoreError: the outbox cannot be read.
        """
        for number, frame in self._session.frames_to_send(now):
            token = self.publish(frame)
            if token is None:
                self._session.not_sent(number, now)
            else:
                self._under_way[token] = number

    def publish(self, frame: Frame) -> int | None:
        """Hand one frame to the broker; ``None`` when it could not be."""
        try:
            return self._transport.publish(frame)
        except TransportError as error:
            self._log.warning("not_published", topic=frame.topic, code=error.code, reason=error.message)
            return None

    def published(self, answer: Published, now: datetime) -> None:
        """The broker has answered.

        :raises StoreError: a frame that it has cannot be forgotten for now.
        """
        number = self._under_way.pop(answer.token, None)
        if not answer.accepted:
            self._log.warning("refused_by_broker", reason=answer.reason)
        if number is None:  # a hello or a status: it is retained, and waits there for who comes
            return
        if answer.unheard is not self._unheard:
            self._unheard = answer.unheard
            (self._log.warning if self._unheard else self._log.info)("nobody_listens" if self._unheard else "somebody_listens")
        if not answer.accepted or answer.unheard:
            self._session.not_sent(number, now)
        else:
            self._session.sent(number)
