"""What a device's store is, and the records in it.

The plan is not stored slot by slot: it follows from the entries that are applied (:mod:`allye_protocol.plan`). Besides there is
one slot that is running, and the spans of time that were reported.

1. Everything between entering and leaving :meth:`DeviceStore.transaction` is on disk together, or not at all. A transaction
   inside another joins it.
2. Reads inside a transaction see its writes.
3. A store that cannot keep something raises :class:`~allye_protocol.errors.StoreError` (``store.failed``, ``store.full``,
   ``store.corrupt``), and nothing of the transaction is stored. It works again when the trouble is over, without a restart.
4. Every table is bounded: the inbox by pruning and by the horizon that admission allows; failures for good, cancellations, the
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
from allye_protocol.messages import Ack, Kind, ScheduleEvent
from allye_protocol.negotiation import Agreement

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = [
    "MAX_CANCELLATIONS",
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
    "Span",
]

MAX_FAILED_ENTRIES: Final = 1_000
"""How many ids that failed for good are remembered. Above it those with the lowest sequences go: they are stale soonest."""
MAX_CANCELLATIONS: Final = 100
"""How many answers to cancels are remembered, the newest."""
MAX_OUTBOX_ROWS: Final = 20_000
"""More than a year of results and answers for a device that cannot send."""
MAX_REJECTED_ROWS: Final = 100


class EntryState(StrEnum):
    """How far an admitted schedule has come."""

    ADMITTED = "admitted"
    APPLIED = "applied"
    """In the plan, or in the part of it that has not been reported."""
    OVER = "over"
    """Was applied; nothing of it is left to execute or report."""
    FAILED = "failed"
    RETRY = "retry"
    """Failed for a reason that a retry can mend: the next delivery of the same content is taken up again."""
    TOMBSTONE = "tombstone"
    """Cancelled before it came."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger remembers of one schedule.

    :param schedule_id: its name.
    :param digest: what it means, hashed; empty for a tombstone.
    :param sequence: its place in the order of everything that was asked of the device; of a tombstone, that of the cancel.
    :param end: the instant after its horizon.
    :param state: how far it has come.
    :param attempts: how often its application was begun; a schedule that keeps killing the process is quarantined.
    :param traceparent: the W3C trace context that it came with.
    :param answer: the last answer, which a repetition gets again unchanged; ``None`` for a tombstone.
    :param payload: the schedule, in an encoding that every installation reads, while it waits to be applied and while it is in
        the plan; empty otherwise.
    :param content_type: the encoding of ``payload``.
    :param cut: from when on it was cancelled; nothing of it is in the plan from there on.
    :param started: its first slot has begun.
    """

    schedule_id: str
    digest: str
    sequence: int
    end: datetime
    state: EntryState
    attempts: int
    traceparent: str
    answer: Ack | None = None
    payload: bytes = b""
    content_type: str = ""
    cut: datetime | None = None
    started: bool = False


class PlannedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One slot of the plan, with what is known of its execution.

    :param start: first instant; names the slot.
    :param end: the instant after it.
    :param schedule_id: the schedule that it comes from.
    :param sequence: that schedule's place in the order.
    :param traceparent: that schedule's trace.
    :param rate_w: the setpoint, W, positive charges; ``None`` for none: the default control applies.
    :param since: from when ``rate_w`` counts: ``start`` unless the schedule begins with a jitter or a newer one switched the
        running slot. Before it the default control applies in a slot that waits.
    :param until: from when on it does not count any more, where a cancel lies in the slot; else ``end``.
    :param soc_min_pct: the schedule's own lowest state of charge, %; ``soc_max_pct``: its highest.
    :param ramp_w_per_s: fastest increase of the power either way, W/s.
    :param planned_wh: energy asked for before ``since``, Wh.
    :param started_at: when the counters were first read; ``None`` while they were not.
    :param meter_start_wh: net energy (charged less discharged) on the battery's counters when the slot began or was joined, Wh.
    :param meter_wh: the same at the last reading, Wh.
    :param charged_start_wh: energy charged on the counters when the slot began, Wh, where it is counted; ``charged_wh``: at
        the last reading.
    :param soc_start_pct: state of charge when the slot began, %; ``soc_pct``: at the last reading.
    :param seen_at: when the last reading was taken.
    :param covered_s: for how long of the slot the battery was under control so far, s.
    :param trouble: the last code that kept the battery from the setpoint.
    """

    start: datetime
    end: datetime
    schedule_id: str
    sequence: int
    traceparent: str
    rate_w: int | None
    since: datetime
    until: datetime
    soc_min_pct: float | None = None
    soc_max_pct: float | None = None
    ramp_w_per_s: int | None = None
    planned_wh: float = 0.0
    started_at: datetime | None = None
    meter_start_wh: float = 0.0
    meter_wh: float = 0.0
    charged_start_wh: float | None = None
    charged_wh: float | None = None
    soc_start_pct: float | None = None
    soc_pct: float | None = None
    seen_at: datetime | None = None
    covered_s: float = 0.0
    trouble: ErrorCode | None = None

    @property
    def length(self) -> timedelta:
        """How long the slot lasts."""
        return self.end - self.start

    def setpoint_w(self, now: datetime) -> int | None:
        """The setpoint at an instant of the slot, W; ``None`` where the default control applies."""
        return self.rate_w if self.since <= now < self.until else None


class Span(msgspec.Struct, frozen=True, array_like=True):
    """A half-open stretch of time ``[start, end)``."""

    start: datetime
    end: datetime


class Rank(IntEnum):
    """What a row of the outbox is worth: in a full one the lowest gives way, and of equals the oldest.

    Answers can be had again: a cloud that misses one sends the schedule again. So the last two always find room; the others
    do not in an outbox of rows that are worth more.
    """

    PASSING = 0
    """A refusal that nothing remembers: the next copy of the message is judged anew."""
    REFUSAL = 1
    """A refusal that the ledger remembers."""
    EVENT = 2
    """What happened to a schedule after it was answered."""
    RESULT = 3
    """What became of a slot."""
    ANSWER = 4
    """That a schedule was received, applied or cancelled."""


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that the broker has not acknowledged yet.

    :param number: its place in the order of sending.
    :param kind: what it is.
    :param payload: the message as it was written for the peer.
    :param agreement: the version and encoding of ``payload``. It is written anew when the peer has changed before it is sent.
    :param traceparent: the W3C trace context that it travels with.
    :param tracestate: what tracing systems carry along with it; empty for nothing.
    :param rank: what it is worth.
    """

    number: int
    kind: Kind
    payload: bytes
    agreement: Agreement
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
    """Inbox, running slot and outbox of one device."""

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

        Of more than :data:`MAX_FAILED_ENTRIES` failures for good the one with the lowest sequence goes.
        """
        ...

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and neither applied nor failed, by rising sequence."""
        ...

    def applied(self) -> list[Entry]:
        """Entries that are applied and not over: what the plan is made of, by rising sequence."""
        ...

    def high_water(self) -> int:
        """The highest sequence ever admitted; 0 before the first."""
        ...

    def raise_high_water(self, sequence: int) -> None:
        """Remember for ever that this was admitted; a lower value changes nothing."""

    def cancellation(self, sequence: int) -> ScheduleEvent | None:
        """The answer to the cancel with this sequence."""
        ...

    def keep_cancellation(self, event: ScheduleEvent) -> None:
        """Remember the answer to a cancel; of more than :data:`MAX_CANCELLATIONS` the lowest sequence goes."""

    def running(self) -> PlannedSlot | None:
        """The slot that is being executed."""
        ...

    def put_running(self, slot: PlannedSlot | None) -> None:
        """Remember the slot that is being executed, or that none is."""

    def reported(self) -> tuple[Span, ...]:
        """The time whose slots have their results, in order, without neighbours that touch."""
        ...

    def put_reported(self, spans: tuple[Span, ...]) -> None:
        """Remember the time whose slots have their results."""

    def agreement(self) -> Agreement | None:
        """How the peer last spoke; ``None`` while it has not."""
        ...

    def put_agreement(self, agreement: Agreement) -> None:
        """Remember how the peer speaks."""

    def push(
        self,
        kind: Kind,
        payload: bytes,
        agreement: Agreement,
        traceparent: str,
        *,
        tracestate: str = "",
        rank: Rank = Rank.ANSWER,
    ) -> int:
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
        """Forget settled entries and reported spans whose end lies before ``before``; returns how many entries went.

        What is admitted or applied stays.
        """
        ...
