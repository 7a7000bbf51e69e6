"""The tables of the cloud's database, the same on SQLite and PostgreSQL.

1. Instants are integers, microseconds since 1970 in UTC: both databases compare and index them alike, and nothing is rounded.
2. ``delivery`` is written often and ``content`` once: a message's payload is larger than all that changes about it.
3. ``is_open`` and ``is_head`` follow from the other columns. They are stored so that what the service asks all the time (what
   is due, what ends, what begins) is answered by partial indexes, whatever the size of the fleet and of its history.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    true,
)

from allye_protocol.ids import MAX_ID_CHARS

__all__ = [
    "LAYOUT",
    "METADATA",
    "ack",
    "content",
    "delivery",
    "device",
    "event",
    "from_micros",
    "layout",
    "micros",
    "plan",
    "publication",
    "result",
]

LAYOUT: Final = 2
"""The number of this layout; a database with another one is not touched."""

METADATA: Final = MetaData()
_ID: Final = String(MAX_ID_CHARS)
_DELIVERY_ID: Final = String(MAX_ID_CHARS + 20)
"""A schedule's id, or what names a cancel (:func:`allye_protocol.delivery.cancel_id`)."""
_KIND: Final = String(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

layout: Final = Table("layout", METADATA, Column("number", Integer, primary_key=True, autoincrement=False))

delivery: Final = Table(
    "delivery",
    METADATA,
    Column("delivery_id", _DELIVERY_ID, primary_key=True),
    Column("kind", _KIND, nullable=False),
    Column("schedule_id", _ID),
    Column("device_id", _ID, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("digest", String(64)),
    Column("starts", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("traceparent", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
    Column("received_at", BigInteger),
    Column("settled_at", BigInteger),
    Column("alarmed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("held", Text, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("is_head", Boolean, nullable=False),
    Index("delivery_order", "device_id", "sequence"),
)
"""One row a schedule or a cancel: how far it has come."""

content: Final = Table(
    "content", METADATA, Column("delivery_id", _DELIVERY_ID, primary_key=True), Column("payload", LargeBinary, nullable=False)
)
"""One row a schedule or a cancel: what it says, in :data:`allye_protocol.delivery.STORED_CONTENT_TYPE`."""


def _partial(name: str, *columns: Column[int] | Column[str], of: Column[bool], without: Column[bool] | None = None) -> None:
    # Written as queries write it, for SQLite to see that the index fits.
    condition = of == true() if without is None else (of == true()) & ~without
    Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


_partial("delivery_due", delivery.c.due_at, of=delivery.c.is_head)
_partial("delivery_queue", delivery.c.device_id, delivery.c.sequence, of=delivery.c.is_open)
_partial("delivery_until", delivery.c.until, of=delivery.c.is_open)
_partial("delivery_starts", delivery.c.starts, of=delivery.c.is_open, without=delivery.c.alarmed)

ack: Final = Table(
    "ack",
    METADATA,
    Column("schedule_id", _ID, primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("timestamp", BigInteger, primary_key=True, autoincrement=False),
    Column("device_id", _ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("applied_at", BigInteger),
    Column("sequence", BigInteger),
    Column("digest", String(64)),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("trace_id", Text),
)
"""Every answer, once. ``timestamp`` is the device's time, ``at`` the cloud's time of arrival."""

result: Final = Table(
    "result",
    METADATA,
    Column("device_id", _ID, primary_key=True),
    Column("starts", BigInteger, primary_key=True, autoincrement=False),
    Column("ends", BigInteger, nullable=False),
    Column("schedule_id", _ID, nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("actual_w", Integer, nullable=False),
    Column("scheduled_w", Integer),
    Column("energy_charged_wh", Float),
    Column("energy_discharged_wh", Float),
    Column("soc_start_pct", Float),
    Column("soc_end_pct", Float),
    Column("coverage_pct", Float),
    Column("timestamp", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("trace_id", Text),
)
"""The result of every slot; the first that arrived stays."""

event: Final = Table(
    "event",
    METADATA,
    Column("device_id", _ID, primary_key=True),
    Column("event", _KIND, primary_key=True),
    Column("timestamp", BigInteger, primary_key=True, autoincrement=False),
    Column("schedule_id", String(MAX_ID_CHARS), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("slot_starts", BigInteger),
    Column("at", BigInteger, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("trace_id", Text),
)
"""What devices tell, once. A missing ``schedule_id`` is empty and a missing ``sequence`` 0, as a key has no NULL."""

device: Final = Table(
    "device",
    METADATA,
    Column("device_id", _ID, primary_key=True),
    Column("hello", LargeBinary),
    Column("hello_at", BigInteger),
    Column("status", LargeBinary),
    Column("status_at", BigInteger),
    Column("heard_at", BigInteger),
)
"""What is known of a device: its hello, its status, and when it was last heard."""

plan: Final = Table(
    "plan",
    METADATA,
    Column("day", Date, primary_key=True),
    Column("device_id", _ID, primary_key=True),
    Column("record", LargeBinary, nullable=False),
)
"""The plan of a device for a local day, as JSON (:class:`allye_cloud.books.DayPlan`)."""

publication: Final = Table(
    "publication",
    METADATA,
    Column("schedule_id", _ID, primary_key=True),
    Column("day", Date, nullable=False),
    Column("device_id", _ID, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("piece", Integer, nullable=False),
    Index("publication_day", "day", "device_id"),
)
"""Which schedule carries which piece of which day's plan."""


def micros(instant: datetime) -> int:
    """An aware instant as the database has it."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(count: int) -> datetime:
    """An instant from the database."""
    return _EPOCH + count * _MICROSECOND
