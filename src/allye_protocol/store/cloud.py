"""What the cloud's store is: deliveries, reports and what devices said of themselves. And one in memory, for tests.

1. Everything between entering and leaving :meth:`CloudStore.transaction` is kept together, or not at all; a transaction inside
   another joins it. A service that takes in many messages opens one transaction around them all.
2. What devices report is deduplicated by what it is about, so taking it in twice changes nothing.
3. What one device is asked, schedules and cancels, goes out one at a time, lowest sequence first: an older one that arrived
   after a newer one would be stale.
4. Publishers share the order of a device through :meth:`CloudStore.last_sequence`: two transactions that submit for one device
   happen one after the other.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Protocol, TypeVar

from allye_protocol.delivery import OPEN, Delivery, State
from allye_protocol.messages import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from allye_protocol.messages import Ack, DeviceStatus, ExecutionResult, Hello, ScheduleEvent

__all__ = ["CloudStore", "MemoryCloudStore"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class CloudStore(Protocol):
    """Deliveries, answers, results, events, hellos and statuses of a fleet."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is kept together or not at all.

        :raises StoreError: when it could not be kept; then nothing of it is.
        """
        ...

    def expect(self, delivery_ids: Collection[str]) -> None:
        """These deliveries are asked for next in this transaction: a store may read them together now."""

    def delivery(self, delivery_id: str) -> Delivery | None:
        """The delivery of a schedule, by its id, or of a cancel, by :func:`allye_protocol.delivery.cancel_id`."""
        ...

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery, replacing what was kept under its :attr:`~allye_protocol.delivery.Delivery.delivery_id`."""

    def last_sequence(self, device_id: str, up_to: int) -> int | None:
        """The highest sequence, not above ``up_to``, of all that was ever submitted for a device, settled or not.

        Within a transaction the answer holds until the transaction ends: a store that several publishers share keeps others
        from submitting for the device, or fails one of the two with :class:`~allye_protocol.errors.StoreError`.
        """
        ...

    def due(self, now: datetime, limit: int) -> list[Delivery]:
        """Open deliveries that are the first open one of their device by sequence and due by ``now``, the longest due first."""
        ...

    def open_deliveries(self, device_id: str) -> list[Delivery]:
        """The open deliveries of a device, lowest sequence first."""
        ...

    def applied_deliveries(self, device_id: str, after: datetime) -> list[Delivery]:
        """The schedules of a device that are APPLIED and whose horizon ends after an instant, lowest sequence first."""
        ...

    def ending(self, by: datetime) -> list[Delivery]:
        """Open deliveries whose repeating stops by ``by`` (their ``until``)."""
        ...

    def starting(self, by: datetime) -> list[Delivery]:
        """Open deliveries without an alarm whose horizon starts by ``by``."""
        ...

    def next_due(self) -> datetime | None:
        """When the next delivery is :meth:`due`."""
        ...

    def next_end(self) -> datetime | None:
        """The earliest ``until`` of an open delivery."""
        ...

    def next_start(self) -> datetime | None:
        """The earliest horizon's start of an open delivery without an alarm."""
        ...

    def keep_ack(self, ack: Ack, at: datetime) -> None:
        """Keep an answer; the same one (schedule, status and the device's time) is kept once."""

    def keep_result(self, result: ExecutionResult, at: datetime) -> bool:
        """Keep the result of a slot; ``False`` when the slot (device and ``slot_start``) has one, which stays."""
        ...

    def keep_event(self, event: ScheduleEvent, at: datetime) -> bool:
        """Keep an event; ``False`` when it is known: the same device, event, device's time, schedule and sequence."""
        ...

    def keep_status(self, status: DeviceStatus, at: datetime) -> None:
        """Keep a device's status, replacing the one before: the last to arrive is the newest.

        A last will carries the time of the connection that it belongs to, so the device's own times do not order them.
        """

    def status(self, device_id: str) -> DeviceStatus | None:
        """A device's newest status."""
        ...

    def keep_hello(self, hello: Hello, at: datetime) -> None:
        """Keep a device's newest hello."""

    def hello(self, device_id: str) -> Hello | None:
        """A device's newest hello."""
        ...

    def hellos(self, device_ids: Collection[str]) -> Mapping[str, Hello]:
        """The newest hellos of devices, as far as they have said one, in one reading."""
        ...


class _Tables:
    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.names: dict[str, tuple[str, ...]] = {}
        """The deliveries of each device."""
        self.acks: dict[tuple[str, str, datetime], Ack] = {}
        self.results: dict[tuple[str, datetime], ExecutionResult] = {}
        self.events: dict[tuple[str, str, datetime, str | None, int | None], ScheduleEvent] = {}
        self.statuses: dict[str, DeviceStatus] = {}
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

    @property
    def events(self) -> list[ScheduleEvent]:
        """Every event, in the order of arrival."""
        return list(self._tables.events.values())

    def expect(self, delivery_ids: Collection[str]) -> None:
        """Nothing to do: everything is at hand."""

    def delivery(self, delivery_id: str) -> Delivery | None:
        """The delivery of a schedule or a cancel."""
        return self._tables.deliveries.get(delivery_id)

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        tables, name = self._tables, delivery.delivery_id
        if name not in tables.deliveries:
            tables.names[delivery.device_id] = (*tables.names.get(delivery.device_id, ()), name)
        tables.deliveries[name] = delivery

    def last_sequence(self, device_id: str, up_to: int) -> int | None:
        """The highest sequence of a device, not above a bound."""
        return max((each.sequence for each in self._of(device_id) if each.sequence <= up_to), default=None)

    def due(self, now: datetime, limit: int) -> list[Delivery]:
        """The due heads of the devices' queues."""
        return sorted((head for head in self._heads() if head.due_at <= now), key=lambda head: head.due_at)[:limit]

    def open_deliveries(self, device_id: str) -> list[Delivery]:
        """The open deliveries of a device."""
        return sorted((each for each in self._of(device_id) if each.state in OPEN), key=_sequence)

    def applied_deliveries(self, device_id: str, after: datetime) -> list[Delivery]:
        """The applied schedules of a device that end after an instant."""
        schedules = (each for each in self._of(device_id) if each.kind is Kind.SCHEDULE and each.end > after)
        return sorted((each for each in schedules if each.state is State.APPLIED), key=_sequence)

    def ending(self, by: datetime) -> list[Delivery]:
        """Open deliveries whose repeating stops by ``by``."""
        return [delivery for delivery in self._open() if delivery.until <= by]

    def starting(self, by: datetime) -> list[Delivery]:
        """Open deliveries without an alarm that start by ``by``."""
        return [delivery for delivery in self._open() if not delivery.alarmed and delivery.start <= by]

    def next_due(self) -> datetime | None:
        """When the next head is due."""
        return min((head.due_at for head in self._heads()), default=None)

    def next_end(self) -> datetime | None:
        """The earliest end of repeating."""
        return min((delivery.until for delivery in self._open()), default=None)

    def next_start(self) -> datetime | None:
        """The earliest start without an alarm."""
        return min((delivery.start for delivery in self._open() if not delivery.alarmed), default=None)

    def keep_ack(self, ack: Ack, at: datetime) -> None:  # noqa: ARG002 - the time is for stores that are asked for it
        """Keep an answer."""
        self._tables.acks.setdefault((ack.schedule_id, ack.status, ack.timestamp), ack)

    def keep_result(self, result: ExecutionResult, at: datetime) -> bool:  # noqa: ARG002
        """Keep a result."""
        return _is_first(self._tables.results, (result.device_id, result.slot_start), result)

    def keep_event(self, event: ScheduleEvent, at: datetime) -> bool:  # noqa: ARG002
        """Keep an event."""
        key = (event.device_id, event.event, event.timestamp, event.schedule_id, event.sequence)
        return _is_first(self._tables.events, key, event)

    def keep_status(self, status: DeviceStatus, at: datetime) -> None:  # noqa: ARG002
        """Keep a status."""
        self._tables.statuses[status.device_id] = status

    def status(self, device_id: str) -> DeviceStatus | None:
        """A device's newest status."""
        return self._tables.statuses.get(device_id)

    def keep_hello(self, hello: Hello, at: datetime) -> None:  # noqa: ARG002
        """Keep a hello."""
        self._tables.hellos[hello.device_id] = hello

    def hello(self, device_id: str) -> Hello | None:
        """A device's newest hello."""
        return self._tables.hellos.get(device_id)

    def hellos(self, device_ids: Collection[str]) -> Mapping[str, Hello]:
        """The newest hellos of devices."""
        return {name: said for name, said in self._tables.hellos.items() if name in device_ids}

    def _of(self, device_id: str) -> Iterator[Delivery]:
        return (self._tables.deliveries[name] for name in self._tables.names.get(device_id, ()))

    def _open(self) -> list[Delivery]:
        return [delivery for delivery in self._tables.deliveries.values() if delivery.state in OPEN]

    def _heads(self) -> list[Delivery]:
        heads: dict[str, Delivery] = {}
        for delivery in sorted(self._open(), key=_sequence):
            heads.setdefault(delivery.device_id, delivery)
        return list(heads.values())


def _sequence(delivery: Delivery) -> int:
    return delivery.sequence


def _is_first(table: dict[_Key, _Value], key: _Key, value: _Value) -> bool:
    """Keep a value where there is none yet."""
    if key in table:
        return False
    table[key] = value
    return True
