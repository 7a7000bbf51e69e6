"""What a device's store is, and the records in it.

1. Everything between entering and leaving :meth:`DeviceStore.transaction` is on disk together, or not at all. A transaction
   inside another joins it.
2. Reads inside a transaction see its writes.
3. A store that cannot keep something raises :class:`~allye_protocol.errors.StoreError` (``store.failed``, ``store.full``,
   ``store.corrupt``), and nothing of the transaction is stored. It works again when the trouble is over, without a restart.
4. Every table is bounded: the inbox and the plan by pruning and by the horizon that admission allows, failures for good, the
   outbox and the ring of rejected messages by a number of rows whose size is bounded.
5. A full outbox takes what is worth more than what it has (:class:`Rank`): no flood of refusals costs a result or stops a
   device.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from allye_protocol.errors import ErrorCode
from allye_protocol.messages import Ack, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

__all__ = [
    "MAX_FAILED_ENTRIES",
    "MAX_OUTBOX_ROWS",
    "MAX_REJECTED_ROWS",
    "DeviceStore",
    "Entry",
    "EntryState",
    "OutboxRow",
    "PlannedSlot",
    "Rank",
    "Rejected",
]

MAX_FAILED_ENTRIES: Final = 1_000
"""How many ids that failed for good are remembered. Above it those that were generated first go: they are stale soonest."""
MAX_OUTBOX_ROWS: Final = 20_000
"""More than a year of results and answers for a device that cannot send."""
MAX_REJECTED_ROWS: Final = 100


class EntryState(StrEnum):
    """How far an admitted schedule has come."""

    ADMITTED = "admitted"
    APPLIED = "applied"
    FAILED = "failed"
    RETRY = "retry"
    """Failed for a reason that a retry can mend: the next delivery of the same content is taken up again."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger remembers of one admitted schedule.

    :param schedule_id: its name.
    :param digest: what it means, hashed.
    :param generated_at: its place in the order of schedules.
    :param end: the instant after its horizon.
    :param state: how far it has come.
    :param attempts: how often its application was begun; a schedule that keeps killing the process is quarantined.
    :param trace_id: the trace it belongs to, 32 hex digits.
    :param answer: the last answer, which a repetition gets again unchanged.
    :param payload: the schedule itself as version-1 JSON while it waits to be applied; empty afterwards.
    """

    schedule_id: str
    digest: str
    generated_at: datetime
    end: datetime
    state: EntryState
    attempts: int
    trace_id: str
    answer: Ack
    payload: bytes = b""


class PlannedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of the plan in force, with what is known of its execution.

    :param start: first instant; names the slot.
    :param end: the instant after it.
    :param schedule_id: the schedule that it came from.
    :param generated_at: that schedule's place in the order; a later one replaces it, never the other way round.
    :param trace_id: that schedule's trace.
    :param rate_w: the setpoint, W, positive charges.
    :param planned_wh: energy asked for before a newer schedule switched the running slot, Wh.
    :param since: from when ``rate_w`` counts; ``start`` unless a newer schedule switched the running slot.
    :param started_at: when the setpoint was first given; ``None`` while it was not.
    :param meter_start_wh: net energy (charged less discharged) on the battery's counters when the slot began or was joined, Wh.
    :param meter_wh: the same at the last reading, Wh.
    :param seen_at: when the last reading was taken.
    :param covered_s: for how long of the slot the battery was under control so far, s.
    :param trouble: the last code that kept the battery from the setpoint.
    :param reported: the result is in the outbox or was sent. Such a slot never changes again.
    """

    start: datetime
    end: datetime
    schedule_id: str
    generated_at: datetime
    trace_id: str
    rate_w: int
    planned_wh: float = 0.0
    since: datetime
    started_at: datetime | None = None
    meter_start_wh: float = 0.0
    meter_wh: float = 0.0
    seen_at: datetime | None = None
    covered_s: float = 0.0
    trouble: ErrorCode | None = None
    reported: bool = False

    @property
    def length(self) -> timedelta:
        """How long the slot lasts."""
        return self.end - self.start


class Rank(IntEnum):
    """What a row of the outbox is worth: in a full one the lowest gives way, and of equals the oldest.

    Answers can be had again: a cloud that misses one sends the schedule again. So the last two always find room; the first two
    do not in an outbox of rows that are worth more.
    """

    PASSING = 0
    """A refusal that nothing remembers: the next copy of the message is judged anew."""
    REFUSAL = 1
    """A refusal that the ledger remembers."""
    RESULT = 2
    """What became of a slot."""
    ANSWER = 3
    """That a schedule was received or applied."""


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that the broker has not acknowledged yet.

    :param number: its place in the order of sending.
    :param kind: what it is.
    :param payload: the message as JSON of the newest version; encoded for the peer when it is sent.
    :param traceparent: the W3C trace context that it travels with.
    :param tracestate: what tracing systems carry along with it; empty for nothing.
    :param rank: what it is worth.
    """

    number: int
    kind: Kind
    payload: bytes
    traceparent: str
    tracestate: str = ""
    rank: Rank = Rank.ANSWER


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a message that was refused unread, kept for diagnosis.

    :param at: when it came.
    :param topic: where it came, shortened.
    :param size_bytes: the payload's length.
    :param head: its first 256 bytes.
    :param reason: why it was refused.
    """

    at: datetime
    topic: str
    size_bytes: int
    head: bytes
    reason: str


class DeviceStore(Protocol):
    """Inbox, plan and outbox of one device."""

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is stored together or not at all.

        :raises StoreError: when it could not be stored; then nothing of it is.
        """
        ...

    def entry(self, schedule_id: str) -> Entry | None:
        """What is remembered of an id."""
        ...

    def put_entry(self, entry: Entry) -> None:
        """Remember an entry, replacing what was remembered of its id.

        Of more than :data:`MAX_FAILED_ENTRIES` failures for good the one that was generated first goes.
        """
        ...

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and neither applied nor failed, oldest first."""
        ...

    def high_water(self) -> datetime | None:
        """``generated_at`` of the newest schedule ever admitted."""
        ...

    def raise_high_water(self, generated_at: datetime) -> None:
        """Remember for ever that this was admitted; a lower value changes nothing."""

    def slots(self, start: datetime, end: datetime) -> list[PlannedSlot]:
        """The planned slots that begin in ``[start, end)``, in order."""
        ...

    def slot_at(self, instant: datetime) -> PlannedSlot | None:
        """The planned slot that contains ``instant``."""
        ...

    def next_slot(self, after: datetime) -> PlannedSlot | None:
        """The first planned slot that begins after ``after``."""
        ...

    def unreported(self, now: datetime) -> list[PlannedSlot]:
        """The planned slots that ended by ``now`` and have no result yet, in order."""
        ...

    def put_slots(self, slots: Iterable[PlannedSlot]) -> None:
        """Store slots, each replacing the one with the same start."""

    def push(self, kind: Kind, payload: bytes, traceparent: str, *, tracestate: str = "", rank: Rank = Rank.ANSWER) -> int:
        """Append a message to the outbox; in a full one the row of the lowest rank gives way.

        :returns: its number; 0 when the outbox is full of rows that are worth more, and the message was not kept.
        """
        ...

    def outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """The oldest rows with a number above ``after``."""
        ...

    def pop(self, number: int) -> None:
        """The broker has this row: forget it. A number that is not there changes nothing."""

    def outbox_size(self) -> int:
        """How many rows wait."""
        ...

    def keep_rejected(self, rejected: Rejected) -> None:
        """Add to the ring of refused messages; the oldest gives way."""

    def rejected(self) -> list[Rejected]:
        """The ring of refused messages, oldest first."""
        ...

    def prune(self, before: datetime) -> int:
        """Forget settled entries and reported slots whose end lies before ``before``; returns how many rows went."""
        ...
