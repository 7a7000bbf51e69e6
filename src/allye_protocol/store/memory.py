"""A device store in memory, for tests and simulations. It keeps every promise of a store but durability."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from allye_protocol.store.base import (
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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from allye_protocol.messages import Kind

__all__ = ["MemoryStore"]


class MemoryStore(DeviceStore):
    """Inbox, plan and outbox in memory. Not for several threads.

    A transaction is undone by a log of inverse steps, so that its cost does not grow with what is stored.
    """

    def __init__(self, *, max_outbox_rows: int = MAX_OUTBOX_ROWS) -> None:
        self._max_outbox_rows = max_outbox_rows
        self._entries: dict[str, Entry] = {}
        self._failed: list[tuple[datetime, str]] = []
        self._high_water: datetime | None = None
        self._slots: dict[datetime, PlannedSlot] = {}
        self._starts: list[datetime] = []
        self._open: dict[datetime, None] = {}
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
        if before is not None and before.state is EntryState.FAILED:
            del self._failed[bisect_left(self._failed, (before.generated_at, name))]
        if entry is not None:
            self._entries[name] = entry
            if entry.state is EntryState.FAILED:
                insort(self._failed, (entry.generated_at, name))

    def unsettled(self) -> list[Entry]:
        """Entries that are admitted and not settled, oldest first."""
        waiting = [entry for entry in self._entries.values() if entry.state is EntryState.ADMITTED]
        return sorted(waiting, key=lambda entry: entry.generated_at)

    def high_water(self) -> datetime | None:
        """``generated_at`` of the newest schedule ever admitted."""
        return self._high_water

    def raise_high_water(self, generated_at: datetime) -> None:
        """Never falls."""
        before = self._high_water
        if before is None or generated_at > before:
            self._undo_by(lambda: setattr(self, "_high_water", before))
            self._high_water = generated_at

    def slots(self, start: datetime, end: datetime) -> list[PlannedSlot]:
        """The planned slots that begin in ``[start, end)``."""
        found = self._starts[bisect_left(self._starts, start) : bisect_left(self._starts, end)]
        return [self._slots[at] for at in found]

    def slot_at(self, instant: datetime) -> PlannedSlot | None:
        """The planned slot that contains ``instant``."""
        index = bisect_right(self._starts, instant) - 1
        slot = self._slots[self._starts[index]] if index >= 0 else None
        return slot if slot is not None and instant < slot.end else None

    def next_slot(self, after: datetime) -> PlannedSlot | None:
        """The first planned slot that begins after ``after``."""
        index = bisect_right(self._starts, after)
        return self._slots[self._starts[index]] if index < len(self._starts) else None

    def unreported(self, now: datetime) -> list[PlannedSlot]:
        """The ended slots without a result."""
        return [slot for slot in (self._slots[at] for at in sorted(self._open)) if slot.end <= now]

    def put_slots(self, slots: Iterable[PlannedSlot]) -> None:
        """Store slots by their start."""
        for slot in slots:
            before = self._slots.get(slot.start)
            self._undo_by(lambda at=slot.start, before=before: self._set_slot(at, before))  # type: ignore[misc]
            self._set_slot(slot.start, slot)

    def _set_slot(self, at: datetime, slot: PlannedSlot | None) -> None:
        if slot is None:
            del self._slots[at]
            del self._starts[bisect_left(self._starts, at)]
        else:
            if at not in self._slots:
                insort(self._starts, at)
            self._slots[at] = slot
        if slot is None or slot.reported:
            self._open.pop(at, None)
        else:
            self._open[at] = None

    def push(self, kind: Kind, payload: bytes, traceparent: str, *, tracestate: str = "", rank: Rank = Rank.ANSWER) -> int:
        """Append to the outbox."""
        if len(self._outbox) >= self._max_outbox_rows:
            lowest = min(self._outbox.values(), key=lambda row: (row.rank, row.number))
            if rank < min(lowest.rank, Rank.RESULT):
                return 0
            self.pop(lowest.number)
        self._number += 1
        number = self._number
        self._outbox[number] = OutboxRow(
            number=number, kind=kind, payload=payload, traceparent=traceparent, tracestate=tracestate, rank=rank
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
        entries = [e for e in self._entries.values() if e.end < before and e.state is not EntryState.ADMITTED]
        for entry in entries:
            self._change_entry(entry.schedule_id, None)
        slots = [slot for slot in self._slots.values() if slot.end < before and slot.reported]
        for slot in slots:
            self._set_slot(slot.start, None)
            self._undo_by(lambda slot=slot: self._set_slot(slot.start, slot))  # type: ignore[misc]
        return len(entries) + len(slots)
