"""The store in memory against the one in SQLite: both do what a plain model does, whatever is asked of them."""

from __future__ import annotations

import copy
import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from allye_protocol.messages import Kind
from allye_protocol.store import Entry, EntryState, MemoryStore, PlannedSlot, Rank
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import NOON, SLOT, entry, slot
from tests.store.contract import Contents, contents

NAMES = ("a", "b", "c")
ROWS = 3
instants = st.integers(-4, 4).map(lambda index: NOON + SLOT * index)
entries = st.builds(
    lambda name, at, state: entry(name, generated_at=at, end=at + SLOT, state=state),
    st.sampled_from(NAMES),
    st.integers(-400, 400).map(lambda index: NOON + timedelta(minutes=index)),
    st.sampled_from(EntryState),
)
slots = st.builds(lambda at, done, rate: slot(at, reported=done, rate_w=rate), instants, st.booleans(), st.integers(-9, 9))
steps = st.one_of(
    st.tuples(st.just("put_entry"), entries),
    st.tuples(st.just("raise_high_water"), instants),
    st.tuples(st.just("put_slots"), st.lists(slots, max_size=3)),
    st.tuples(st.just("push"), st.sampled_from(Rank)),
    st.tuples(st.just("pop"), st.integers(0, ROWS)),
    st.tuples(st.just("prune"), instants),
)


class Model:
    """A store as one would write it without caring for anything but its meaning."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.high_water: datetime | None = None
        self.slots: dict[datetime, PlannedSlot] = {}
        self.outbox: list[tuple[str, bytes, str, str, int]] = []

    def put_entry(self, new: Entry) -> None:
        self.entries[new.schedule_id] = new

    def raise_high_water(self, at: datetime) -> None:
        self.high_water = at if self.high_water is None else max(at, self.high_water)

    def put_slots(self, new: list[PlannedSlot]) -> None:
        self.slots.update({each.start: each for each in new})

    def push(self, rank: Rank, payload: bytes) -> None:
        self.outbox.append((Kind.ACK, payload, "", "", rank))
        if len(self.outbox) > ROWS:
            self.outbox.remove(min(self.outbox if rank < Rank.RESULT else self.outbox[:-1], key=lambda row: row[4]))

    def pop(self, index: int) -> None:
        del self.outbox[index : index + 1]

    def prune(self, before: datetime) -> None:
        self.entries = {
            name: old for name, old in self.entries.items() if old.end >= before or old.state is EntryState.ADMITTED
        }
        self.slots = {at: old for at, old in self.slots.items() if old.end >= before or not old.reported}

    def contents(self) -> Contents:
        waiting = [old for old in self.entries.values() if old.state is EntryState.ADMITTED]
        return Contents(
            entries=[self.entries.get(name) for name in NAMES],
            unsettled=sorted(old.schedule_id for old in waiting),
            high_water=self.high_water,
            slots=[self.slots[at] for at in sorted(self.slots)],
            unreported=sorted(at for at, old in self.slots.items() if not old.reported),
            outbox=self.outbox,
            rejected=[],
        )


class Undo(Exception):  # noqa: N818 - a signal of the test, no error
    """Ends a transaction."""


class Stores(RuleBasedStateMachine):
    """Random steps, alone and in transactions that are kept or undone, on the model and both stores."""

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "device.db"
        self.model = Model()
        self.memory = MemoryStore(max_outbox_rows=ROWS)
        self.sqlite = SqliteStore(self.path, max_outbox_rows=ROWS)
        self.count = 0
        self.water: datetime | None = None

    def teardown(self) -> None:
        if hasattr(self, "sqlite"):
            self.sqlite.close()
            self.stack.close()

    def apply(self, step: tuple[str, Any]) -> None:
        """One step on all three; they agree on whether it is possible."""
        name, value = step
        if name == "push":
            self.count += 1
            payload = b"%d" % self.count
            self.model.push(value, payload)
            for store in (self.memory, self.sqlite):
                store.push(Kind.ACK, payload, "", rank=value)
        elif name == "pop":
            self.model.pop(value)
            for store in (self.memory, self.sqlite):
                for row in store.outbox(ROWS)[value : value + 1]:
                    store.pop(row.number)
        else:
            for each in (self.model, self.memory, self.sqlite):
                getattr(each, name)(value)

    @rule(step=steps)
    def alone(self, step: tuple[str, Any]) -> None:
        self.apply(step)

    @rule(before=st.lists(steps, max_size=4), inside=st.lists(steps, max_size=4), undo=st.booleans())
    def together(self, before: list[tuple[str, Any]], inside: list[tuple[str, Any]], undo: bool) -> None:
        kept = copy.deepcopy(self.model)
        try:
            with self.memory.transaction(), self.sqlite.transaction():
                for step in before:
                    self.apply(step)
                with self.memory.transaction(), self.sqlite.transaction():
                    for step in inside:
                        self.apply(step)
                if undo:
                    raise Undo  # noqa: TRY301 - it ends the transactions
        except Undo:
            self.model = kept

    @rule()
    def restart(self) -> None:
        self.sqlite.close()
        self.sqlite = SqliteStore(self.path, max_outbox_rows=ROWS)

    @rule(at=instants)
    def look(self, at: datetime) -> None:
        planned = sorted(self.model.slots)
        here = [self.model.slots[start] for start in planned if start <= at < self.model.slots[start].end]
        following = [self.model.slots[start] for start in planned if start > at]
        ended = [old for start in planned if not (old := self.model.slots[start]).reported and old.end <= at]
        for store in (self.memory, self.sqlite):
            assert store.slot_at(at) == (here[0] if here else None)
            assert store.next_slot(at) == (following[0] if following else None)
            assert store.unreported(at) == ended

    @invariant()
    def all_say_the_same(self) -> None:
        if not hasattr(self, "sqlite"):
            return
        expected = self.model.contents()
        for store in (self.memory, self.sqlite):
            found = contents(store, NAMES)
            assert found._replace(unsettled=sorted(found.unsettled)) == expected
            assert store.outbox_size() == len(expected.outbox)
            assert [row.number for row in store.outbox(ROWS)] == sorted({row.number for row in store.outbox(ROWS)})
        assert self.water is None or (expected.high_water is not None and expected.high_water >= self.water)
        self.water = expected.high_water


TestStores = Stores.TestCase
TestStores.settings = settings(max_examples=40, stateful_step_count=20)


def test_the_cost_of_a_transaction_does_not_grow_with_what_is_stored() -> None:
    """A transaction that is undone leaves the very same objects: nothing was copied."""
    store = MemoryStore()
    store.put_entry(entry("a"))
    held = store.entry("a")

    def undone() -> None:
        with store.transaction():
            store.put_entry(entry("a", attempts=2))
            raise Undo

    with pytest.raises(Undo):
        undone()
    assert store.entry("a") is held
