"""What of an outbox is on its way to the broker.

1. A row is offered once, and again only when the connection ended or the broker refused it.
2. A refused row lets those behind it pass while it waits: a broker that refuses one topic must not silence the others.
3. A row that the broker has taken is not offered again, even while the store cannot forget it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from allye_protocol.errors import StoreError

if TYPE_CHECKING:
    from allye_protocol.store.base import DeviceStore, OutboxRow

__all__ = ["REFUSED_WAIT", "Sending"]

REFUSED_WAIT: Final = timedelta(seconds=60)
"""How long a row waits that the broker refused."""


class Sending:
    """The rows of one outbox that are under way, refused, or taken and not forgotten yet.

    :param store: whose outbox.
    """

    def __init__(self, store: DeviceStore) -> None:
        self._store: Final = store
        self._under_way: set[int] = set()
        self._refused_at: dict[int, datetime] = {}
        self._taken: set[int] = set()

    def offer(self, now: datetime, limit: int) -> list[OutboxRow]:
        """The oldest rows to hand to the broker, so that at most ``limit`` are under way.

        :raises StoreError: the outbox cannot be read.
        """
        with suppress(StoreError):
            self._forget_taken()
        self._refused_at = {number: at for number, at in self._refused_at.items() if timedelta(0) <= now - at < REFUSED_WAIT}
        fresh: list[OutboxRow] = []
        room, after = limit - len(self._under_way), 0
        while room > len(fresh) and (rows := self._store.outbox(limit, after)):
            free = [row for row in rows if not self._is_held_back(row.number)]
            fresh += free[: room - len(fresh)]
            after = rows[-1].number
        self._under_way.update(row.number for row in fresh)
        return fresh

    def taken(self, number: int) -> None:
        """The broker has a row: forget it.

        :raises StoreError: it could not be forgotten; that is tried again with every call.
        """
        self._under_way.discard(number)
        self._refused_at.pop(number, None)
        self._taken.add(number)
        self._forget_taken()

    def refused(self, number: int, now: datetime) -> None:
        """The broker refused a row: it waits. Nothing is changed by a row that is not under way."""
        if number in self._under_way:
            self._under_way.discard(number)
            self._refused_at[number] = now

    def disconnected(self) -> None:
        """Nothing is under way any more."""
        self._under_way.clear()
        self._refused_at.clear()

    def next_deadline(self) -> datetime | None:
        """When the first refused row has waited long enough."""
        return min(self._refused_at.values()) + REFUSED_WAIT if self._refused_at else None

    def _is_held_back(self, number: int) -> bool:
        return number in self._under_way or number in self._refused_at or number in self._taken

    def _forget_taken(self) -> None:
        for number in sorted(self._taken):
            self._store.pop(number)
            self._taken.discard(number)
