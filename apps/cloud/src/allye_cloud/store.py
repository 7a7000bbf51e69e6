"""The cloud's store in a database: what :class:`~allye_protocol.store.cloud.CloudStore` asks for, on SQLite and PostgreSQL.

1. Inside a transaction, deliveries and answers are gathered and written together: at its end, or before a query that could see
   them. A batch of messages costs a handful of statements, not several for each message.
2. On PostgreSQL a transaction locks the deliveries that it reads, and :meth:`SqlCloudStore.due` passes over those that another
   worker has locked, so workers who share a database neither undo each other's steps nor send the same message at once. Asking
   for a device's last sequence locks the device: two publishers submit for it one after the other. SQLite has one writer.
3. The head of a device's queue is a stored flag, set again whenever a delivery was added, opened or closed.
4. Text from devices is stored without what a database cannot hold (NUL, lone surrogates).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import bindparam, case, exists, func, select, tuple_, update

from allye_cloud import tables
from allye_cloud.tables import from_micros, micros
from allye_protocol.delivery import OPEN, Delivery, State
from allye_protocol.messages import DeviceStatus, Hello, Kind
from allye_protocol.store.cloud import CloudStore

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Row, Select

    from allye_cloud.database import Database
    from allye_protocol.messages import Ack, ErrorDetail, ExecutionResult, ScheduleEvent

__all__ = ["SqlCloudStore", "delivery_of", "storable"]

CHUNK: Final = 500
"""Most values in one ``IN``."""

_D: Final = tables.delivery
_OPEN: Final = frozenset(OPEN)
_FULL: Final = select(_D, tables.content.c.payload).join_from(
    _D, tables.content, _D.c.delivery_id == tables.content.c.delivery_id
)
_LOCKED: Final = _FULL.with_for_update(of=_D)
_BY_ID: Final = _D.c.delivery_id.in_(bindparam("ids", expanding=True))
_QUEUE: Final = (_D.c.device_id == bindparam("device")) & _D.c.is_open
_DUE: Final = (
    _FULL.where(_D.c.is_head, _D.c.due_at <= bindparam("now"))
    .order_by(_D.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(of=_D, skip_locked=True)
)
_APPLIED: Final = _LOCKED.where(
    _D.c.device_id == bindparam("device"),
    _D.c.kind == Kind.SCHEDULE.value,
    _D.c.state == State.APPLIED.value,
    _D.c.ends > bindparam("after"),
).order_by(_D.c.sequence)
_LAST: Final = select(func.max(_D.c.sequence)).where(_D.c.device_id == bindparam("device"), _D.c.sequence <= bindparam("up_to"))
_ENDING: Final = _LOCKED.where(_D.c.is_open, _D.c.until <= bindparam("by")).order_by(_D.c.until)
_STARTING: Final = _LOCKED.where(_D.c.is_open, ~_D.c.alarmed, _D.c.starts <= bindparam("by")).order_by(_D.c.starts)
_NEXT_DUE: Final = select(_D.c.due_at).where(_D.c.is_head).order_by(_D.c.due_at).limit(1)
_NEXT_END: Final = select(_D.c.until).where(_D.c.is_open).order_by(_D.c.until).limit(1)
_NEXT_START: Final = select(_D.c.starts).where(_D.c.is_open, ~_D.c.alarmed).order_by(_D.c.starts).limit(1)
_DEVICE: Final = select(tables.device).where(tables.device.c.device_id == bindparam("device"))
_LOCKED_DEVICE: Final = (
    select(tables.device.c.device_id).where(tables.device.c.device_id == bindparam("device")).with_for_update()
)
_HELLOS: Final = select(tables.device.c.device_id, tables.device.c.hello).where(
    tables.device.c.device_id.in_(bindparam("devices", expanding=True)), tables.device.c.hello.is_not(None)
)

_older: Final = _D.alias("older")
_IS_FIRST: Final = ~exists().where(
    _older.c.device_id == _D.c.device_id,
    _older.c.is_open,
    tuple_(_older.c.sequence, _older.c.delivery_id) < tuple_(_D.c.sequence, _D.c.delivery_id),
)
_NEW_HEADS: Final = (
    update(_D)
    .where(_D.c.device_id.in_(bindparam("devices", expanding=True)), _D.c.is_open, _D.c.is_head != _IS_FIRST)
    .values(is_head=~_D.c.is_head)
)


class _Unit:
    """What one transaction has read and is going to write."""

    def __init__(self) -> None:
        self.known: dict[str, Delivery | None] = {}
        self.locked: set[str] = set()
        self.moved: dict[str, Delivery] = {}
        self.contents: dict[str, bytes] = {}
        self.queues: set[str] = set()
        self.acks: list[dict[str, Any]] = []
        self.heard: dict[str, int] = {}


class SqlCloudStore(CloudStore):
    """Deliveries, answers, results, events, hellos and statuses in a database. Threads may share it.

    :param database: where.
    """

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        self._local: Final = threading.local()
        insert = database.insert
        delivery, device = insert(_D), insert(tables.device)
        changing = {c.name: delivery.excluded[c.name] for c in _D.columns if c.name not in ("delivery_id", "is_head")}
        # A closed delivery is nobody's head; an open one stays what it was until the heads are found again.
        head = case((delivery.excluded.is_open, _D.c.is_head), else_=False)
        self._put_delivery: Final = delivery.on_conflict_do_update(
            index_elements=["delivery_id"], set_={**changing, "is_head": head}
        )
        content = insert(tables.content)
        self._put_content: Final = content.on_conflict_do_update(
            index_elements=["delivery_id"], set_={"payload": content.excluded.payload}
        )
        self._put_heard: Final = device.on_conflict_do_update(
            index_elements=["device_id"], set_={"heard_at": device.excluded.heard_at}
        )
        hello = {name: device.excluded[name] for name in ("hello", "hello_at", "heard_at")}
        self._put_hello: Final = device.on_conflict_do_update(index_elements=["device_id"], set_=hello)
        status = {name: device.excluded[name] for name in ("status", "status_at", "heard_at")}
        self._put_status: Final = device.on_conflict_do_update(index_elements=["device_id"], set_=status)
        self._put_device: Final = insert(tables.device).on_conflict_do_nothing()
        self._put_ack: Final = insert(tables.ack).on_conflict_do_nothing()
        # A count of changed rows is not the same on every driver; what was inserted comes back.
        self._put_result: Final = insert(tables.result).on_conflict_do_nothing().returning(tables.result.c.starts)
        self._put_event: Final = insert(tables.event).on_conflict_do_nothing().returning(tables.event.c.timestamp)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept together or not at all."""
        if self._unit is not None:
            yield
            return
        with self._database.transaction():
            self._local.unit = _Unit()
            try:
                yield
                self._flush()
            finally:
                self._local.unit = None

    @property
    def _unit(self) -> _Unit | None:
        return getattr(self._local, "unit", None)

    def expect(self, delivery_ids: Collection[str]) -> None:
        """Read these deliveries now, in one query."""
        unit = self._unit
        if unit is None:
            return
        wanted = [name for name in delivery_ids if name not in unit.known]
        for chunk in _chunks(wanted):
            unit.known.update(dict.fromkeys(chunk))
            self._deliveries(_LOCKED.where(_BY_ID), {"ids": chunk})

    def delivery(self, delivery_id: str) -> Delivery | None:
        """The delivery of a schedule or a cancel."""
        unit = self._unit
        if unit is None:
            return next(iter(self._deliveries(_FULL.where(_BY_ID), {"ids": [delivery_id]})), None)
        self.expect((delivery_id,))
        return unit.known[delivery_id]

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        with self.transaction():
            unit = self._unit
            assert unit is not None  # noqa: S101 - the transaction made it
            name = delivery.delivery_id
            before = unit.known.get(name)
            if before is None or before.payload != delivery.payload:
                unit.contents[name] = delivery.payload
            if before is None or (before.state in _OPEN) != (delivery.state in _OPEN):
                unit.queues.add(delivery.device_id)
            unit.known[name] = unit.moved[name] = delivery

    def last_sequence(self, device_id: str, up_to: int) -> int | None:
        """The highest sequence of a device up to one; the device is locked until the transaction ends."""
        unit = self._unit
        if unit is not None and device_id not in unit.locked:
            self._database.run(self._put_device, {"device_id": device_id})
            self._database.rows(_LOCKED_DEVICE, {"device": device_id})
            unit.locked.add(device_id)
        self._flush()
        (row,) = self._database.rows(_LAST, {"device": device_id, "up_to": up_to})
        last: int | None = row[0]
        return last

    def due(self, now: datetime, limit: int) -> list[Delivery]:
        """The due heads of the devices' queues."""
        return self._deliveries(_DUE, {"now": micros(now), "most": limit})

    def open_deliveries(self, device_id: str) -> list[Delivery]:
        """The open deliveries of a device."""
        return self._deliveries(_LOCKED.where(_QUEUE).order_by(_D.c.sequence), {"device": device_id})

    def applied_deliveries(self, device_id: str, after: datetime) -> list[Delivery]:
        """The applied schedules of a device that end after an instant."""
        return self._deliveries(_APPLIED, {"device": device_id, "after": micros(after)})

    def ending(self, by: datetime) -> list[Delivery]:
        """Open deliveries that end by ``by``."""
        return self._deliveries(_ENDING, {"by": micros(by)})

    def starting(self, by: datetime) -> list[Delivery]:
        """Open deliveries without an alarm that start by ``by``."""
        return self._deliveries(_STARTING, {"by": micros(by)})

    def next_due(self) -> datetime | None:
        """When the next head is due."""
        return self._instant(_NEXT_DUE)

    def next_end(self) -> datetime | None:
        """The earliest end."""
        return self._instant(_NEXT_END)

    def next_start(self) -> datetime | None:
        """The earliest start without an alarm."""
        return self._instant(_NEXT_START)

    def keep_ack(self, ack: Ack, at: datetime) -> None:
        """Keep an answer."""
        with self.transaction():
            unit = self._unit
            assert unit is not None  # noqa: S101 - the transaction made it
            unit.acks.append(
                {
                    "schedule_id": ack.schedule_id,
                    "status": ack.status.value,
                    "timestamp": micros(ack.timestamp),
                    "device_id": ack.device_id,
                    "at": micros(at),
                    "applied_at": None if ack.applied_at is None else micros(ack.applied_at),
                    "sequence": ack.sequence,
                    "digest": ack.digest,
                    **_error(ack.error),
                    "trace_id": storable(ack.trace_id),
                }
            )
            unit.heard[ack.device_id] = micros(at)

    def keep_result(self, result: ExecutionResult, at: datetime) -> bool:
        """Keep a result."""
        with self.transaction():
            unit = self._unit
            assert unit is not None  # noqa: S101 - the transaction made it
            unit.heard[result.device_id] = micros(at)
            values = {
                "device_id": result.device_id,
                "starts": micros(result.slot_start),
                "ends": micros(result.slot_end),
                "schedule_id": result.schedule_id,
                "status": result.status.value,
                "outcome": None if result.outcome is None else result.outcome.value,
                "actual_w": result.actual_w,
                "scheduled_w": result.scheduled_w,
                "energy_charged_wh": result.energy_charged_wh,
                "energy_discharged_wh": result.energy_discharged_wh,
                "soc_start_pct": result.soc_start_pct,
                "soc_end_pct": result.soc_end_pct,
                "coverage_pct": result.coverage_pct,
                "timestamp": micros(result.timestamp),
                "at": micros(at),
                **_error(result.error),
                "trace_id": storable(result.trace_id),
            }
            return len(self._database.rows(self._put_result, values)) == 1

    def keep_event(self, event: ScheduleEvent, at: datetime) -> bool:
        """Keep an event."""
        with self.transaction():
            unit = self._unit
            assert unit is not None  # noqa: S101 - the transaction made it
            unit.heard[event.device_id] = micros(at)
            values = {
                "device_id": event.device_id,
                "event": event.event.value,
                "timestamp": micros(event.timestamp),
                "schedule_id": event.schedule_id or "",
                "sequence": event.sequence or 0,
                "slot_starts": None if event.slot_start is None else micros(event.slot_start),
                "at": micros(at),
                **_error(event.error),
                "trace_id": storable(event.trace_id),
            }
            return len(self._database.rows(self._put_event, values)) == 1

    def keep_status(self, status: DeviceStatus, at: datetime) -> None:
        """Keep a status."""
        said = {"status": msgspec.json.encode(status), "status_at": micros(at), "heard_at": micros(at)}
        self._database.run(self._put_status, {"device_id": status.device_id, **said})

    def status(self, device_id: str) -> DeviceStatus | None:
        """A device's newest status."""
        said = next((row.status for row in self._database.rows(_DEVICE, {"device": device_id})), None)
        return None if said is None else msgspec.json.decode(said, type=DeviceStatus)

    def keep_hello(self, hello: Hello, at: datetime) -> None:
        """Keep a hello."""
        said = {"hello": msgspec.json.encode(hello), "hello_at": micros(at), "heard_at": micros(at)}
        self._database.run(self._put_hello, {"device_id": hello.device_id, **said})

    def hello(self, device_id: str) -> Hello | None:
        """A device's newest hello."""
        said = next((row.hello for row in self._database.rows(_DEVICE, {"device": device_id})), None)
        return None if said is None else msgspec.json.decode(said, type=Hello)

    def hellos(self, device_ids: Collection[str]) -> dict[str, Hello]:
        """The newest hellos of devices."""
        return {
            row.device_id: msgspec.json.decode(row.hello, type=Hello)
            for chunk in _chunks(sorted(device_ids))
            for row in self._database.rows(_HELLOS, {"devices": chunk})
        }

    def _instant(self, query: Select[Any]) -> datetime | None:
        self._flush()
        row = next(iter(self._database.rows(query)), None)
        return None if row is None else from_micros(row[0])

    def _deliveries(self, query: Select[Any], values: dict[str, Any]) -> list[Delivery]:
        self._flush()
        found = [delivery_of(row, row.payload) for row in self._database.rows(query, values)]
        unit = self._unit
        if unit is not None:
            unit.known.update((delivery.delivery_id, delivery) for delivery in found)
        return found

    def _flush(self) -> None:
        """Write what the transaction has gathered, if there is one."""
        unit = self._unit
        if unit is None:
            return
        run = self._database.run
        if unit.contents:
            run(self._put_content, [{"delivery_id": name, "payload": payload} for name, payload in unit.contents.items()])
            unit.contents.clear()
        if unit.moved:
            run(self._put_delivery, [_row(delivery) for delivery in unit.moved.values()])
            unit.moved.clear()
        for chunk in _chunks(sorted(unit.queues)):
            run(_NEW_HEADS, {"devices": chunk})
        unit.queues.clear()
        if unit.acks:
            run(self._put_ack, unit.acks)
            unit.acks = []
        if unit.heard:
            run(self._put_heard, [{"device_id": name, "heard_at": at} for name, at in sorted(unit.heard.items())])
            unit.heard.clear()


def storable(text: str | None) -> str | None:
    """A text from a device as every database can hold it."""
    return None if text is None else text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _error(error: ErrorDetail | None) -> dict[str, str | None]:
    """What the tables keep of an error."""
    if error is None:
        return {"error_code": None, "error_message": None}
    where = f" at {error.path}" if error.path else ""
    return {"error_code": storable(error.code), "error_message": storable(f"{error.message}{where}")}


def delivery_of(row: Row[Any], payload: bytes) -> Delivery:
    """The delivery in a row of ``delivery``.

    :param payload: its content; empty where nobody is going to read it.
    """
    return Delivery(
        kind=Kind(row.kind),
        schedule_id=row.schedule_id,
        device_id=row.device_id,
        sequence=row.sequence,
        digest=row.digest,
        start=from_micros(row.starts),
        end=from_micros(row.ends),
        until=from_micros(row.until),
        payload=payload,
        traceparent=row.traceparent,
        state=State(row.state),
        attempts=row.attempts,
        due_at=from_micros(row.due_at),
        created_at=from_micros(row.created_at),
        sent_at=None if row.sent_at is None else from_micros(row.sent_at),
        received_at=None if row.received_at is None else from_micros(row.received_at),
        settled_at=None if row.settled_at is None else from_micros(row.settled_at),
        alarmed=row.alarmed,
        reason=row.reason,
        held=row.held,
    )


def _row(delivery: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": delivery.delivery_id,
        "kind": delivery.kind.value,
        "schedule_id": delivery.schedule_id,
        "device_id": delivery.device_id,
        "sequence": delivery.sequence,
        "digest": delivery.digest,
        "starts": micros(delivery.start),
        "ends": micros(delivery.end),
        "until": micros(delivery.until),
        "traceparent": delivery.traceparent,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "due_at": micros(delivery.due_at),
        "created_at": micros(delivery.created_at),
        "sent_at": None if delivery.sent_at is None else micros(delivery.sent_at),
        "received_at": None if delivery.received_at is None else micros(delivery.received_at),
        "settled_at": None if delivery.settled_at is None else micros(delivery.settled_at),
        "alarmed": delivery.alarmed,
        "reason": storable(delivery.reason),
        "held": storable(delivery.held),
        "is_open": delivery.state in _OPEN,
        "is_head": False,
    }


def _chunks(values: Sequence[str] | list[str]) -> Iterable[list[str]]:
    return (list(values[i : i + CHUNK]) for i in range(0, len(values), CHUNK))
