"""What every device store promises, asked of each of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages import EventType, Kind, sequence_at
from allye_protocol.negotiation import BASELINE, Agreement
from allye_protocol.store import EntryState, MemoryStore, OutboxRow, Rank, Rejected
from allye_protocol.store.base import MAX_CANCELLATIONS, MAX_FAILED_ENTRIES, MAX_OUTBOX_ROWS, MAX_REJECTED_ROWS, Span
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import GENERATED_AT, MICROSECOND, NOON, SLOT, entry, event, slot
from tests.store.contract import Contents, contents
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.messages import ScheduleEvent
    from allye_protocol.store import DeviceStore

NAMES = ("plan-a", "plan-b", "plan-c")
CANCELS = (1, 2, 3)
ROWS = 4
END = NOON + SLOT
EMPTY = Contents([None] * 3, [], [], 0, [None] * 3, None, (), None, [], [])
MESSAGEPACK = Agreement(version=2, content_type="application/vnd.msgpack")


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], DeviceStore]]:
    """Makes empty stores whose outbox holds four rows."""
    made: list[SqliteStore] = []

    def make_one() -> DeviceStore:
        if request.param == "memory":
            return MemoryStore(max_outbox_rows=ROWS)
        made.append(SqliteStore(tmp_path / f"{len(made)}.db", max_outbox_rows=ROWS))
        return made[-1]

    yield make_one
    for store in made:
        store.close()


@pytest.fixture
def store(make: Callable[[], DeviceStore]) -> DeviceStore:
    return make()


def rejected(number: int) -> Rejected:
    return Rejected(
        at=NOON, topic="devices/x/schedule", size_bytes=number, head=bytes([number % 256]), reason="message.invalid"
    )


def answer(sequence: int, **changes: Any) -> ScheduleEvent:
    return event(EventType.CANCELLED, sequence=sequence, **changes)


def push(store: DeviceStore, payload: bytes, rank: Rank = Rank.ANSWER) -> int:
    return store.push(Kind.ACK, payload, BASELINE, "", rank=rank)


def fill(store: DeviceStore) -> None:
    """Something in every table."""
    with store.transaction():
        store.put_entry(entry("plan-a", state=EntryState.APPLIED))
        store.raise_high_water(sequence_at(GENERATED_AT))
        store.keep_cancellation(answer(1))
        store.put_running(slot(NOON))
        store.put_reported((Span(NOON - SLOT, NOON),))
        store.put_agreement(BASELINE)
        for number in range(ROWS):
            push(store, b"%d" % number, Rank.RESULT if number == 1 else Rank.ANSWER)
        store.keep_rejected(rejected(1))


def work(store: DeviceStore) -> None:
    """A transaction that touches everything: replaces, adds, deletes, and makes the outbox's oldest result give way."""
    with store.transaction():
        store.put_entry(entry("plan-a", state=EntryState.FAILED))
        with store.transaction():
            store.put_entry(entry("plan-b"))
            store.raise_high_water(sequence_at(NOON))
            store.raise_high_water(sequence_at(NOON + SLOT))
            store.keep_cancellation(answer(1, timestamp=NOON + SLOT))
            store.keep_cancellation(answer(2))
        store.put_running(slot(NOON, rate_w=1))
        store.put_running(None)
        store.put_reported((Span(NOON - SLOT, NOON + SLOT),))
        store.put_agreement(MESSAGEPACK)
        push(store, b"new")
        store.pop(store.outbox(1)[0].number)
        store.keep_rejected(rejected(2))
        store.prune(NOON + 3 * SLOT)
        store.put_entry(entry("plan-c"))


def test_a_new_store_is_empty(store: DeviceStore) -> None:
    assert contents(store, NAMES, CANCELS) == EMPTY
    assert store.outbox_size() == 0


def test_a_transaction_that_fails_at_any_call_leaves_nothing(make: Callable[[], DeviceStore]) -> None:
    failing_call = calls = 0
    for failing_call in range(1, 100):
        store = make()
        fill(store)
        before = contents(store, NAMES, CANCELS)
        numbers = [row.number for row in store.outbox(ROWS)]
        calls = 0

        def fails(name: str, *, last: int = failing_call) -> bool:
            nonlocal calls
            calls += 1
            return calls == last

        try:
            work(failing_store(store, fails))
        except StoreError:
            assert contents(store, NAMES, CANCELS) == before
            assert [row.number for row in store.outbox(ROWS)] == numbers
            work(store)
            assert store.entry("plan-c") is not None
        else:
            assert contents(store, NAMES, CANCELS) != before
            break
    assert calls == failing_call - 1 >= 15


def test_any_exception_undoes_a_transaction(store: DeviceStore) -> None:
    fill(store)
    before = contents(store, NAMES, CANCELS)
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012 - the exception ends the transaction
        store.put_entry(entry("plan-b"))
        raise KeyboardInterrupt
    assert contents(store, NAMES, CANCELS) == before


def test_a_transaction_inside_another_is_undone_with_it(store: DeviceStore) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012 - the exception ends the transaction
        with store.transaction():
            store.put_entry(entry("plan-a"))
        store.raise_high_water(1)
        raise ZeroDivisionError
    assert contents(store, NAMES, CANCELS) == EMPTY


def test_a_store_works_again_after_a_failed_transaction(store: DeviceStore) -> None:
    for _ in range(3):
        with suppress(ZeroDivisionError), store.transaction():
            store.put_entry(entry("plan-b"))
            raise ZeroDivisionError
    with store.transaction():
        store.put_entry(entry("plan-a"))
    assert [store.entry(name) is not None for name in NAMES] == [True, False, False]


def test_reads_in_a_transaction_see_its_writes(store: DeviceStore) -> None:
    with store.transaction():
        store.put_entry(entry("plan-a"))
        store.put_entry(entry("plan-b", state=EntryState.APPLIED))
        store.raise_high_water(7)
        store.keep_cancellation(answer(1))
        store.put_running(slot(NOON))
        store.put_reported((Span(NOON, NOON + SLOT),))
        store.put_agreement(MESSAGEPACK)
        number = push(store, b"x")
        store.keep_rejected(rejected(1))
        assert store.entry("plan-a") == entry("plan-a")
        assert store.unsettled() == [entry("plan-a")]
        assert store.applied() == [entry("plan-b", state=EntryState.APPLIED)]
        assert store.high_water() == 7
        assert store.cancellation(1) == answer(1)
        assert store.running() == slot(NOON)
        assert store.reported() == (Span(NOON, NOON + SLOT),)
        assert store.agreement() == MESSAGEPACK
        assert store.outbox(9)[0].number == number
        assert store.outbox_size() == 1
        assert store.rejected() == [rejected(1)]
        store.pop(number)
        assert store.outbox(9) == []


def test_writes_outside_a_transaction_are_kept(store: DeviceStore) -> None:
    fill(store)
    store.pop(store.outbox(1)[0].number)
    store.put_entry(entry("plan-b"))
    with suppress(ZeroDivisionError), store.transaction():
        raise ZeroDivisionError
    assert store.entry("plan-b") == entry("plan-b")
    assert store.outbox_size() == ROWS - 1


def test_an_entry_comes_back_as_it_was_put(store: DeviceStore) -> None:
    there = entry(
        "plan-a",
        payload=b"{}",
        content_type="application/json",
        attempts=3,
        sequence=sequence_at(NOON) + 1,
        cut=NOON + MICROSECOND,
        started=True,
    )
    store.put_entry(there)
    assert store.entry("plan-a") == there
    assert store.entry("PLAN-A") is None


@pytest.mark.parametrize("state", [EntryState.ADMITTED, EntryState.APPLIED])
def test_entries_that_wait_and_those_in_the_plan_come_by_rising_sequence(store: DeviceStore, state: EntryState) -> None:
    for name, sequence in (("plan-b", 2), ("plan-c", 1), ("plan-a", 3)):
        store.put_entry(entry(name, sequence=sequence, state=state))
    found = {EntryState.ADMITTED: store.unsettled(), EntryState.APPLIED: store.applied()}
    assert [each.schedule_id for each in found.pop(state)] == ["plan-c", "plan-b", "plan-a"]
    assert [*found.values()] == [[]]
    for name, other in (("plan-b", EntryState.OVER), ("plan-c", EntryState.FAILED), ("plan-a", EntryState.RETRY)):
        store.put_entry(entry(name, state=other))
    store.put_entry(entry("plan-x", state=EntryState.TOMBSTONE, answer=None))
    assert store.unsettled() == store.applied() == []


def test_the_high_water_mark_never_falls(store: DeviceStore) -> None:
    for sequence in (5, 3, 9, 9, 1):
        store.raise_high_water(sequence)
    assert store.high_water() == 9
    store.raise_high_water(10)
    assert store.high_water() == 10


def test_pruning_leaves_what_is_kept_for_ever(store: DeviceStore) -> None:
    fill(store)
    store.prune(NOON + timedelta(days=1000))
    assert store.high_water() == sequence_at(GENERATED_AT)
    assert store.agreement() == BASELINE
    assert store.cancellation(1) == answer(1)
    assert store.running() == slot(NOON)


def test_the_running_slot_comes_back_as_it_was_put(store: DeviceStore) -> None:
    begun = slot(
        NOON,
        schedule_id="plan-b",
        rate_w=None,
        since=NOON + MICROSECOND,
        until=NOON + 2 * MICROSECOND,
        soc_min_pct=0.5,
        soc_max_pct=99.5,
        ramp_w_per_s=7,
        started_at=NOON,
        seen_at=NOON + MICROSECOND,
        meter_start_wh=0.1,
        meter_wh=-1e9,
        charged_start_wh=0.0,
        charged_wh=0.7,
        soc_start_pct=1.0,
        soc_pct=2.0,
        covered_s=0.3,
        planned_wh=7.5,
        trouble=ErrorCode.EXEC_LIMITED_SOC,
    )
    for running in (slot(NOON), begun, None):
        store.put_running(running)
        assert store.running() == running


def test_reported_time_comes_back_as_it_was_put(store: DeviceStore) -> None:
    spans = (Span(NOON, NOON + SLOT), Span(NOON + 3 * SLOT, NOON + 9 * SLOT))
    store.put_reported(spans)
    assert store.reported() == spans
    store.put_reported(())
    assert store.reported() == ()


def test_answers_to_cancels_are_found_by_their_sequence(store: DeviceStore) -> None:
    store.keep_cancellation(answer(1))
    store.keep_cancellation(answer(2, schedule_id=None))
    assert [store.cancellation(sequence) for sequence in (1, 2, 3)] == [answer(1), answer(2, schedule_id=None), None]


def test_of_the_answers_to_cancels_those_with_the_highest_sequences_are_remembered(store: DeviceStore) -> None:
    with store.transaction():
        for sequence in [*range(2, MAX_CANCELLATIONS + 5), 1]:
            store.keep_cancellation(answer(sequence))
    kept = [sequence for sequence in range(MAX_CANCELLATIONS + 9) if store.cancellation(sequence)]
    assert kept == list(range(5, MAX_CANCELLATIONS + 5))


def test_instants_are_the_same_ones_in_any_zone(store: DeviceStore) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    store.put_running(slot(NOON.astimezone(kathmandu)))
    store.put_reported((Span(NOON.astimezone(kathmandu), END),))
    store.put_entry(entry("plan-a", end=END.astimezone(kathmandu)))
    assert store.running() == slot(NOON)
    assert store.reported() == (Span(NOON, END),)
    found = store.entry("plan-a")
    assert found is not None
    assert found.end == END


def test_the_outbox_keeps_its_order(store: DeviceStore) -> None:
    numbers = [push(store, payload) for payload in (b"a", b"b", b"c")]
    assert numbers == sorted(set(numbers))
    assert [row.payload for row in store.outbox(2)] == [b"a", b"b"]
    assert [row.payload for row in store.outbox(2, after=numbers[0])] == [b"b", b"c"]
    assert store.outbox(0) == []
    store.pop(numbers[1])
    store.pop(numbers[1])
    assert [row.payload for row in store.outbox(9)] == [b"a", b"c"]


def test_a_number_is_never_used_again(store: DeviceStore) -> None:
    last = [push(store, b"a") for _ in range(3)][-1]
    for row in store.outbox(9):
        store.pop(row.number)
    assert push(store, b"b") > last


def test_undoing_restores_the_order_of_the_outbox(store: DeviceStore) -> None:
    for payload in (b"a", b"b", b"c"):
        push(store, payload)
    rows = store.outbox(9)
    with suppress(ZeroDivisionError), store.transaction():
        store.pop(rows[1].number)
        store.pop(rows[0].number)
        push(store, b"d")
        raise ZeroDivisionError
    assert store.outbox(9) == rows
    push(store, b"e")
    assert [row.payload for row in store.outbox(9)] == [b"a", b"b", b"c", b"e"]


P, F, E, R, A = Rank


@pytest.mark.parametrize(
    ("waiting", "new", "left"),
    [
        ((A, P, F, P), P, "0234"),
        ((A, P, F, R), A, "0234"),
        ((A, R, F, R), P, "0123"),
        ((A, R, F, F), F, "0134"),
        ((A, R, R, R), F, "0123"),
        ((A, R, R, A), R, "0234"),
        ((A, R, R, A), A, "0234"),
        ((A, A, A, A), F, "0123"),
        ((A, A, A, A), R, "1234"),
        ((A, A, A, A), A, "1234"),
        ((A, E, F, E), E, "0134"),
        ((A, E, R, E), E, "0234"),
        ((R, E, R, A), F, "0123"),
        ((R, A, R, A), E, "0123"),
        ((R, A, E, E), R, "0134"),
    ],
)
def test_in_a_full_outbox_the_oldest_of_the_lowest_rank_gives_way(
    store: DeviceStore, waiting: tuple[Rank, ...], new: Rank, left: str
) -> None:
    *_, kept = [
        store.push(Kind.EXECUTION_RESULT if rank is R else Kind.ACK, b"%d" % number, BASELINE, "", rank=rank)
        for number, rank in enumerate((*waiting, new))
    ]
    assert "".join(row.payload.decode() for row in store.outbox(9)) == left
    assert (kept > 0) == ("4" in left)
    assert store.outbox_size() == ROWS


def test_a_row_of_the_outbox_is_what_was_pushed(store: DeviceStore) -> None:
    number = store.push(Kind.ACK, b"x", MESSAGEPACK, "00-", tracestate="a=b", rank=Rank.PASSING)
    (row,) = store.outbox(9)
    assert row == OutboxRow(
        number=number,
        kind=Kind.ACK,
        payload=b"x",
        agreement=MESSAGEPACK,
        traceparent="00-",
        tracestate="a=b",
        rank=Rank.PASSING,
    )


def test_of_ids_that_failed_for_good_the_newest_are_remembered(store: DeviceStore) -> None:
    with store.transaction():
        store.put_entry(entry("applied", sequence=1, state=EntryState.APPLIED))
        for number in range(MAX_FAILED_ENTRIES):
            store.put_entry(entry(f"f{number}", sequence=10 + number, state=EntryState.FAILED))
    with suppress(ZeroDivisionError), store.transaction():
        store.put_entry(entry("undone", sequence=10_000, state=EntryState.FAILED))
        assert store.entry("f0") is None
        raise ZeroDivisionError
    assert store.entry("f0") is not None
    store.put_entry(entry("newer", sequence=10_000, state=EntryState.FAILED))
    store.put_entry(entry("newer", sequence=10_000, state=EntryState.FAILED))
    store.put_entry(entry("oldest", sequence=2, state=EntryState.FAILED))
    assert [store.entry(name) is not None for name in ("f0", "f1", "newer", "oldest", "applied")] == [
        False,
        True,
        True,
        False,
        True,
    ]


def test_gaps_in_the_numbers_do_not_fill_the_outbox(store: DeviceStore) -> None:
    push(store, b"first")
    for _ in range(3 * ROWS):
        store.pop(push(store, b"x"))
    for _ in range(ROWS - 1):
        push(store, b"y")
    assert [row.payload for row in store.outbox(9)] == [b"first", *[b"y"] * (ROWS - 1)]
    push(store, b"z")
    assert [row.payload for row in store.outbox(9)] == [*[b"y"] * (ROWS - 1), b"z"]


def test_a_year_of_slots_and_answers_fits_in_the_outbox() -> None:
    assert MAX_OUTBOX_ROWS >= 365 * 48 + 2 * 365


def test_the_ring_of_rejected_messages_keeps_the_newest(store: DeviceStore) -> None:
    with store.transaction():
        for number in range(MAX_REJECTED_ROWS + 7):
            store.keep_rejected(rejected(number))
    assert [kept.size_bytes for kept in store.rejected()] == list(range(7, MAX_REJECTED_ROWS + 7))


def test_undoing_restores_what_the_ring_dropped(store: DeviceStore) -> None:
    for number in range(MAX_REJECTED_ROWS):
        store.keep_rejected(rejected(number))
    before = store.rejected()
    with suppress(ZeroDivisionError), store.transaction():
        store.keep_rejected(rejected(200))
        store.keep_rejected(rejected(201))
        raise ZeroDivisionError
    assert store.rejected() == before


@pytest.mark.parametrize("state", EntryState)
def test_pruning_forgets_what_ended_before_and_is_settled(store: DeviceStore, state: EntryState) -> None:
    store.put_entry(entry("plan-a", state=state, end=END))
    assert store.prune(END) == 0
    live = state in {EntryState.ADMITTED, EntryState.APPLIED}
    assert store.prune(END + MICROSECOND) == (0 if live else 1)
    assert (store.entry("plan-a") is not None) is live
    assert store.prune(END + MICROSECOND) == 0


def test_pruning_forgets_reported_time_that_ended_before(store: DeviceStore) -> None:
    first, second = Span(NOON - SLOT, NOON), Span(END, END + SLOT)
    store.put_reported((first, second))
    store.prune(NOON)
    assert store.reported() == (first, second)
    store.prune(NOON + MICROSECOND)
    assert store.reported() == (second,)


def test_records_are_not_shared_with_the_caller(store: DeviceStore) -> None:
    store.put_entry(entry("plan-a", state=EntryState.APPLIED))
    store.applied().clear()
    push(store, b"x")
    store.outbox(9).clear()
    assert [each.schedule_id for each in store.applied()] == ["plan-a"]
    assert store.outbox_size() == len(store.outbox(9)) == 1
