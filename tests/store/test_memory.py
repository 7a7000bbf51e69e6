"""The store in memory against the one in SQLite: both do what a plain model does, whatever is asked of them."""

from __future__ import annotations

import copy
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from allye_protocol.messages import EventType, Kind, ScheduleEvent
from allye_protocol.negotiation import BASELINE, Agreement
from allye_protocol.store import Entry, EntryState, MemoryStore, PlannedSlot, Rank
from allye_protocol.store.base import Span
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import NOON, SLOT, entry, event, slot
from tests.store.contract import Contents, contents

if TYPE_CHECKING:
    from datetime import datetime

NAMES = ("a", "b", "c")
ROWS = 3
LIVE = (EntryState.ADMITTED, EntryState.APPLIED)
CANCELS = (1, 2, 3)
instants = st.integers(-4, 4).map(lambda index: NOON + SLOT * index)
entries = st.builds(
    lambda name, sequence, at, state: entry(name, sequence=sequence, end=at + SLOT, state=state),
    st.sampled_from(NAMES),
    st.integers(1, 9),
    instants,
    st.sampled_from(EntryState),
)
cancellations = st.builds(event, st.just(EventType.CANCELLED), sequence=st.sampled_from(CANCELS))
spans = st.tuples(instants, instants).map(lambda ends: (Span(min(ends), max(ends) + SLOT),))
steps = st.one_of(
    st.tuples(st.just("put_entry"), entries),
    st.tuples(st.just("raise_high_water"), st.integers(1, 9)),
    st.tuples(
        st.just("keep_cancellation"),
        st.sampled_from(CANCELS).map(lambda sequence: event(EventType.CANCELLED, sequence=sequence)),
    ),
    st.tuples(st.just("put_running"), st.none() | st.builds(slot, instants, rate_w=st.integers(-9, 9))),
    st.tuples(st.just("put_reported"), spans),
    st.tuples(st.just("put_agreement"), st.sampled_from([BASELINE, Agreement(version=2, content_type="application/json")])),
    st.tuples(st.just("push"), st.sampled_from(Rank)),
    st.tuples(st.just("pop"), st.integers(0, ROWS)),
    st.tuples(st.just("prune"), instants),
)


class Model:
    """A store as one would write it without caring for anything but its meaning."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.high_water = 0
        self.cancellations: dict[int, ScheduleEvent] = {}
        self.running: PlannedSlot | None = None
        self.reported: tuple[Span, ...] = ()
        self.agreement: Agreement | None = None
        self.outbox: list[tuple[str, bytes, str, str, int]] = []

    def put_entry(self, new: Entry) -> None:
        self.entries[new.schedule_id] = new

    def raise_high_water(self, sequence: int) -> None:
        self.high_water = max(sequence, self.high_water)

    def keep_cancellation(self, new: ScheduleEvent) -> None:
        assert new.sequence is not None
        self.cancellations[new.sequence] = new

    def put_running(self, new: PlannedSlot | None) -> None:
        self.running = new

    def put_reported(self, new: tuple[Span, ...]) -> None:
        self.reported = new

    def put_agreement(self, new: Agreement) -> None:
        self.agreement = new

    def push(self, rank: Rank, payload: bytes) -> None:
        self.outbox.append((Kind.ACK, payload, "", "", rank))
        if len(self.outbox) > ROWS:
            self.outbox.remove(min(self.outbox if rank < Rank.RESULT else self.outbox[:-1], key=lambda row: row[4]))

    def pop(self, index: int) -> None:
        del self.outbox[index : index + 1]

    def prune(self, before: datetime) -> None:
        self.entries = {name: old for name, old in self.entries.items() if old.end >= before or old.state in LIVE}
        self.reported = tuple(span for span in self.reported if span.end >= before)

    def contents(self) -> Contents:
        def in_state(state: EntryState) -> list[str]:
            return sorted(old.schedule_id for old in self.entries.values() if old.state is state)

        return Contents(
            entries=[self.entries.get(name) for name in NAMES],
            unsettled=in_state(EntryState.ADMITTED),
            applied=in_state(EntryState.APPLIED),
            high_water=self.high_water,
            cancellations=[self.cancellations.get(sequence) for sequence in CANCELS],
            running=self.running,
            reported=self.reported,
            agreement=self.agreement,
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
        self.count = self.water = 0

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
                store.push(Kind.ACK, payload, BASELINE, "", rank=value)
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

    @invariant()
    def all_say_the_same(self) -> None:
        if not hasattr(self, "sqlite"):
            return
        expected = self.model.contents()
        for store in (self.memory, self.sqlite):
            found = contents(store, NAMES, CANCELS)
            assert found._replace(unsettled=sorted(found.unsettled), applied=sorted(found.applied)) == expected
            for each in (store.unsettled(), store.applied()):
                assert [entry.sequence for entry in each] == sorted(entry.sequence for entry in each)
            assert store.outbox_size() == len(expected.outbox)
            assert [row.number for row in store.outbox(ROWS)] == sorted({row.number for row in store.outbox(ROWS)})
        assert expected.high_water >= self.water
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
