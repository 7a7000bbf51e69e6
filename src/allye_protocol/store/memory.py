"""A device store in memory, for tests and simulations. It keeps every promise of a store but durability."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from allye_protocol.store.base import (
    MAX_CANCELLATIONS,
    MAX_FAILED_ENTRIES,
    MAX_OUTBOX_ROWS,
    MAX_REJECTED_ROWS,
    DeviceStore,
    Entry,
    EntryState,
    OutboxRow,
    PlannedSlot,
    Rank,
    Rejected,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from allye_protocol.messages import Kind, ScheduleEvent
    from allye_protocol.negotiation import Agreement

__all__ = ["MemoryStore"]

_LIVE = (EntryState.ADMITTED, EntryState.APPLIED)


class MemoryStore(DeviceStore):
    """Inbox, running slot and outbox in memory. Not for several threads.

    A transaction is undone by a log of inverse steps, so that its cost does not grow with what is stored.
    """

    def __init__(self, *, max_outbox_rows: int = MAX_OUTBOX_ROWS) -> None:
        self._max_outbox_rows = max_outbox_rows
        self._entries: dict[str, Entry] = {}
        self._failed: list[tuple[int, str]] = []
        self._live: dict[str, Entry] = {}
        self._high_water = 0
        self._cancellations: dict[int, ScheduleEvent] = {}
        self._running: PlannedSlot | None = None
        self._reported: tuple[Span, ...] = ()
        self._agreement: Agreement | None = None
        self._outbox: dict[int, OutboxRow] = {}
        self._number = 0
        self._rejected: deque[Rejected] = deque(maxlen=MAX_REJECTED_ROWS)
        self._undo: list[Callable[[], object]] | None = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept, or undone when it raises."""
        if self._undo is not None:
            yield
            return
        self._undo = []
        try:
            yield
        except BaseException:
            for step in reversed(self._undo):
                step()
            raise
        finally:
            self._undo = None

    def _undo_by(self, step: Callable[[], object]) -> None:
        if self._undo is not None:
            self._undo.append(step)

    def entry(self, schedule_id: str) -> Entry | None:
        """What is remembered of an id."""
        return self._entries.get(schedule_id)

    def put_entry(self, entry: Entry) -> None:
        """Remember an entry."""
        self._change_entry(entry.schedule_id, entry)
        if len(self._failed) > MAX_FAILED_ENTRIES:
            self._change_entry(self._failed[0][1], None)

    def _change_entry(self, name: str, entry: Entry | None) -> None:
        before = self._entries.get(name)
        self._undo_by(lambda: self._set_entry(name, before))
        self._set_entry(name, entry)

    def _set_entry(self, name: str, entry: Entry | None) -> None:
        before = self._entries.pop(name, None)
        self._live.pop(name, None)
        if before is not None and before.state is EntryState.FAILED:
            del self._failed[bisect_left(self._failed, (before.sequence, name))]
        if entry is not None:
            self._entries[name] = entry
            if entry.state in _LIVE:
                self._live[name] = entry
            if entry.state is EntryState.FAILED:
                insort(self._failed, (entry.sequence, name))

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and not settled."""
        return self._in_state(EntryState.ADMITTED)

    def applied(self) -> list[Entry]:
        """Entries that are applied and not over."""
        return self._in_state(EntryState.APPLIED)

    def _in_state(self, state: EntryState) -> list[Entry]:
        return sorted((entry for entry in self._live.values() if entry.state is state), key=lambda entry: entry.sequence)

    def high_water(self) -> int:
        """The highest sequence ever admitted."""
        return self._high_water

    def raise_high_water(self, sequence: int) -> None:
        """Never falls."""
        if sequence > self._high_water:
            self._set("_high_water", sequence)

    def _set(self, name: str, value: object) -> None:
        before = getattr(self, name)
        self._undo_by(lambda: setattr(self, name, before))
        setattr(self, name, value)

    def cancellation(self, sequence: int) -> ScheduleEvent | None:
        """The answer to a cancel."""
        return self._cancellations.get(sequence)

    def keep_cancellation(self, event: ScheduleEvent) -> None:
        """Remember the answer to a cancel."""
        kept = {**self._cancellations, event.sequence or 0: event}
        if len(kept) > MAX_CANCELLATIONS:
            del kept[min(kept)]
        self._set("_cancellations", kept)

    def running(self) -> PlannedSlot | None:
        """The slot that is being executed."""
        return self._running

    def put_running(self, slot: PlannedSlot | None) -> None:
        """Remember the running slot."""
        self._set("_running", slot)

    def reported(self) -> tuple[Span, ...]:
        """The time that was reported."""
        return self._reported

    def put_reported(self, spans: tuple[Span, ...]) -> None:
        """Remember the time that was reported."""
        self._set("_reported", spans)

    def agreement(self) -> Agreement | None:
        """How the peer last spoke."""
        return self._agreement

    def put_agreement(self, agreement: Agreement) -> None:
        """Remember how the peer speaks."""
        self._set("_agreement", agreement)

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
        """Append to the outbox."""
        if len(self._outbox) >= self._max_outbox_rows:
            lowest = min(self._outbox.values(), key=lambda row: (row.rank, row.number))
            if rank < min(lowest.rank, Rank.RESULT):
                return 0
            self.pop(lowest.number)
        self._number += 1
        number = self._number
        self._outbox[number] = OutboxRow(
            number=number,
            kind=kind,
            payload=payload,
            agreement=agreement,
            traceparent=traceparent,
            tracestate=tracestate,
            rank=rank,
        )
        self._undo_by(lambda: self._outbox.pop(number, None))
        return number

    def outbox(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """The oldest rows above ``after``."""
        rows: list[OutboxRow] = []
        for number, row in self._outbox.items():
            if len(rows) == limit:
                break
            if number > after:
                rows.append(row)
        return rows

    def pop(self, number: int) -> None:
        """Forget a row that the broker has."""
        row = self._outbox.pop(number, None)
        if row is not None and self._undo is not None:
            self._undo_by(lambda: self._put_back(row))

    def _put_back(self, row: OutboxRow) -> None:
        self._outbox = dict(sorted({**self._outbox, row.number: row}.items()))

    def outbox_size(self) -> int:
        """How many rows wait."""
        return len(self._outbox)

    def keep_rejected(self, rejected: Rejected) -> None:
        """Add to the ring."""
        before = deque(self._rejected, maxlen=MAX_REJECTED_ROWS)
        self._undo_by(lambda: setattr(self, "_rejected", before))
        self._rejected.append(rejected)

    def rejected(self) -> list[Rejected]:
        """The ring, oldest first."""
        return list(self._rejected)

    def prune(self, before: datetime) -> int:
        """Forget what ended long ago."""
        entries = [e for e in self._entries.values() if e.end < before and e.state not in _LIVE]
        for entry in entries:
            self._change_entry(entry.schedule_id, None)
        self._set("_reported", tuple(span for span in self._reported if span.end >= before))
        return len(entries)
