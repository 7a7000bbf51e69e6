"""What the cloud's store is: deliveries, answers, results and hellos. And one in memory, for tests and simulations.

1. Everything between entering and leaving :meth:`CloudStore.transaction` is kept together, or not at all; a transaction inside
   another joins it. A service that takes in many messages opens one transaction around them all.
2. Acknowledgements and results are deduplicated by what they are about, so taking one in twice changes nothing.
3. The schedules of one device go out one at a time, oldest first: as version 1 orders by ``generated_at``, an older one that
   arrived after a newer one would be stale.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Protocol

from allye_protocol.delivery import OPEN, Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from allye_protocol.messages import Ack, ExecutionResult, Hello

__all__ = ["CloudStore", "MemoryCloudStore"]


class CloudStore(Protocol):
    """Deliveries, answers, results and hellos of a fleet."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is kept together or not at all.

        :raises StoreError: when it could not be kept; then nothing of it is.
        """
        ...

    def expect(self, schedule_ids: Collection[str]) -> None:
        """These deliveries are asked for next in this transaction: a store may read them together now."""

    def delivery(self, schedule_id: str) -> Delivery | None:
        """The delivery of a schedule."""
        ...

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery, replacing what was kept of its schedule."""

    def newest(self, device_id: str) -> datetime | None:
        """``generated_at`` of the newest schedule that was ever submitted for a device."""
        ...

    def due(self, now: datetime, limit: int) -> list[Delivery]:
        """Open deliveries that are the oldest open one of their device and due by ``now``, the longest due first."""
        ...

    def open_deliveries(self, device_id: str) -> list[Delivery]:
        """The open deliveries of a device, oldest first."""
        ...

    def ending(self, by: datetime) -> list[Delivery]:
        """Open deliveries whose horizon ends by ``by``."""
        ...

    def starting(self, by: datetime) -> list[Delivery]:
        """Open deliveries without an alarm whose horizon starts by ``by``."""
        ...

    def next_due(self) -> datetime | None:
        """When the next delivery is :meth:`due`."""
        ...

    def next_end(self) -> datetime | None:
        """The earliest horizon's end of an open delivery."""
        ...

    def next_start(self) -> datetime | None:
        """The earliest horizon's start of an open delivery without an alarm."""
        ...

    def keep_ack(self, ack: Ack, at: datetime) -> None:
        """Keep an answer; the same one (schedule, status and the device's time) is kept once."""

    def keep_result(self, result: ExecutionResult, at: datetime) -> bool:
        """Keep the result of a slot; ``False`` when the slot has one, which stays."""
        ...

    def keep_hello(self, hello: Hello, at: datetime) -> None:
        """Keep a device's newest hello."""

    def hello(self, device_id: str) -> Hello | None:
        """A device's newest hello."""
        ...


class _Tables:
    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.newest: dict[str, datetime] = {}
        self.acks: dict[tuple[str, str, datetime], Ack] = {}
        self.results: dict[tuple[str, datetime], ExecutionResult] = {}
        self.hellos: dict[str, Hello] = {}

    def __copy__(self) -> _Tables:
        made = _Tables()
        for name, table in vars(self).items():
            setattr(made, name, dict(table))
        return made


class MemoryCloudStore(CloudStore):
    """A cloud store in memory. Not for several threads; a transaction costs a copy of what is stored."""

    def __init__(self) -> None:
        self._tables = _Tables()
        self._inside = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept, or undone when it raises."""
        if self._inside:
            yield
            return
        before = copy(self._tables)
        self._inside = True
        try:
            yield
        except BaseException:
            self._tables = before
            raise
        finally:
            self._inside = False

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery, in the order of submission."""
        return list(self._tables.deliveries.values())

    @property
    def acks(self) -> list[Ack]:
        """Every answer, in the order of arrival."""
        return list(self._tables.acks.values())

    @property
    def results(self) -> list[ExecutionResult]:
        """Every result, in the order of arrival."""
        return list(self._tables.results.values())

    def expect(self, schedule_ids: Collection[str]) -> None:
        """Nothing to do: everything is at hand."""

    def delivery(self, schedule_id: str) -> Delivery | None:
        """The delivery of a schedule."""
        return self._tables.deliveries.get(schedule_id)

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        self._tables.deliveries[delivery.schedule_id] = delivery
        newest = self._tables.newest.get(delivery.device_id)
        if newest is None or delivery.generated_at > newest:
            self._tables.newest[delivery.device_id] = delivery.generated_at

    def newest(self, device_id: str) -> datetime | None:
        """The newest order of a device."""
        return self._tables.newest.get(device_id)

    def due(self, now: datetime, limit: int) -> list[Delivery]:
        """The due heads of the devices' queues."""
        return sorted((head for head in self._heads() if head.due_at <= now), key=lambda head: head.due_at)[:limit]

    def open_deliveries(self, device_id: str) -> list[Delivery]:
        """The open deliveries of a device."""
        return sorted((d for d in self._open() if d.device_id == device_id), key=lambda d: d.generated_at)

    def ending(self, by: datetime) -> list[Delivery]:
        """Open deliveries that end by ``by``."""
        return [delivery for delivery in self._open() if delivery.end <= by]

    def starting(self, by: datetime) -> list[Delivery]:
        """Open deliveries without an alarm that start by ``by``."""
        return [delivery for delivery in self._open() if not delivery.alarmed and delivery.start <= by]

    def next_due(self) -> datetime | None:
        """When the next head is due."""
        return min((head.due_at for head in self._heads()), default=None)

    def next_end(self) -> datetime | None:
        """The earliest end."""
        return min((delivery.end for delivery in self._open()), default=None)

    def next_start(self) -> datetime | None:
        """The earliest start without an alarm."""
        return min((delivery.start for delivery in self._open() if not delivery.alarmed), default=None)

    def keep_ack(self, ack: Ack, at: datetime) -> None:  # noqa: ARG002 - the time is for stores that are asked for it
        """Keep an answer."""
        self._tables.acks.setdefault((ack.schedule_id, ack.status, ack.timestamp), ack)

    def keep_result(self, result: ExecutionResult, at: datetime) -> bool:  # noqa: ARG002
        """Keep a result."""
        key = (result.device_id, result.interval.start)
        if key in self._tables.results:
            return False
        self._tables.results[key] = result
        return True

    def keep_hello(self, hello: Hello, at: datetime) -> None:  # noqa: ARG002
        """Keep a hello."""
        self._tables.hellos[hello.device_id] = hello

    def hello(self, device_id: str) -> Hello | None:
        """A device's newest hello."""
        return self._tables.hellos.get(device_id)

    def _open(self) -> list[Delivery]:
        return [delivery for delivery in self._tables.deliveries.values() if delivery.state in OPEN]

    def _heads(self) -> list[Delivery]:
        heads: dict[str, Delivery] = {}
        for delivery in self._open():
            head = heads.get(delivery.device_id)
            if head is None or delivery.generated_at < head.generated_at:
                heads[delivery.device_id] = delivery
        return list(heads.values())
