"""What every device store promises, asked of each of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import msgspec
import pytest

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages import Kind
from allye_protocol.store import EntryState, MemoryStore, OutboxRow, Rank, Rejected
from allye_protocol.store.base import MAX_FAILED_ENTRIES, MAX_OUTBOX_ROWS, MAX_REJECTED_ROWS
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import MICROSECOND, NOON, SLOT, entry, slot
from tests.store.contract import contents
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.store import DeviceStore

NAMES = ("plan-a", "plan-b", "plan-c")
ROWS = 4


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


def fill(store: DeviceStore) -> None:
    """Something in every table."""
    with store.transaction():
        store.put_entry(entry("plan-a", state=EntryState.APPLIED))
        store.raise_high_water(NOON - timedelta(hours=1))
        store.put_slots([slot(NOON), slot(NOON + SLOT, reported=True)])
        for number in range(ROWS):
            store.push(Kind.ACK, b"%d" % number, "", rank=Rank.RESULT if number == 1 else Rank.ANSWER)
        store.keep_rejected(rejected(1))


def work(store: DeviceStore) -> None:
    """A transaction that touches everything: replaces, adds, deletes, and makes the outbox's oldest result give way."""
    with store.transaction():
        store.put_entry(entry("plan-a", state=EntryState.FAILED))
        with store.transaction():
            store.put_entry(entry("plan-b"))
            store.raise_high_water(NOON)
            store.raise_high_water(NOON + SLOT)
        store.put_slots([slot(NOON, rate_w=1), slot(NOON + 2 * SLOT), slot(NOON + SLOT, reported=True, rate_w=2)])
        store.push(Kind.ACK, b"new", "00-")
        store.pop(store.outbox(1)[0].number)
        store.keep_rejected(rejected(2))
        store.prune(NOON + 3 * SLOT)
        store.put_entry(entry("plan-c"))


def test_a_new_store_is_empty(store: DeviceStore) -> None:
    assert contents(store, NAMES) == ([None] * 3, [], None, [], [], [], [])
    assert store.outbox_size() == 0
    assert store.slot_at(NOON) is None
    assert store.next_slot(NOON) is None


def test_a_transaction_that_fails_at_any_call_leaves_nothing(make: Callable[[], DeviceStore]) -> None:
    failing_call = calls = 0
    for failing_call in range(1, 100):
        store = make()
        fill(store)
        before = contents(store, NAMES)
        numbers = [row.number for row in store.outbox(ROWS)]
        calls = 0

        def fails(name: str, *, last: int = failing_call) -> bool:
            nonlocal calls
            calls += 1
            return calls == last

        try:
            work(failing_store(store, fails))
        except StoreError:
            assert contents(store, NAMES) == before
            assert [row.number for row in store.outbox(ROWS)] == numbers
            work(store)
            assert store.entry("plan-c") is not None
        else:
            assert contents(store, NAMES) != before
            break
    assert calls == failing_call - 1 >= 15


def test_any_exception_undoes_a_transaction(store: DeviceStore) -> None:
    fill(store)
    before = contents(store, NAMES)
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012 - the exception ends the transaction
        store.put_entry(entry("plan-b"))
        raise KeyboardInterrupt
    assert contents(store, NAMES) == before


def test_a_transaction_inside_another_is_undone_with_it(store: DeviceStore) -> None:
    with pytest.raises(ZeroDivisionError), store.transaction():  # noqa: PT012 - the exception ends the transaction
        with store.transaction():
            store.put_entry(entry("plan-a"))
        store.raise_high_water(NOON)
        raise ZeroDivisionError
    assert contents(store, NAMES) == ([None] * 3, [], None, [], [], [], [])


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
        store.raise_high_water(NOON)
        store.put_slots([slot(NOON)])
        number = store.push(Kind.ACK, b"x", "00-")
        store.keep_rejected(rejected(1))
        assert store.entry("plan-a") == entry("plan-a")
        assert store.unsettled() == [entry("plan-a")]
        assert store.high_water() == NOON
        assert store.slot_at(NOON) == slot(NOON)
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
    there = entry("plan-a", payload=b"{}", attempts=3, generated_at=NOON + MICROSECOND)
    store.put_entry(there)
    assert store.entry("plan-a") == there
    assert store.entry("PLAN-A") is None


def test_unsettled_entries_come_oldest_first_and_only_while_they_are_unsettled(store: DeviceStore) -> None:
    for name, hours in (("plan-b", 2), ("plan-c", 1), ("plan-a", 3)):
        store.put_entry(entry(name, generated_at=NOON + timedelta(hours=hours)))
    assert [found.schedule_id for found in store.unsettled()] == ["plan-c", "plan-b", "plan-a"]
    for name, state in (("plan-b", EntryState.APPLIED), ("plan-c", EntryState.FAILED), ("plan-a", EntryState.RETRY)):
        store.put_entry(entry(name, state=state))
    assert store.unsettled() == []


def test_the_high_water_mark_never_falls(store: DeviceStore) -> None:
    for minutes in (5, 3, 9, 9, 1):
        store.raise_high_water(NOON + timedelta(minutes=minutes))
    assert store.high_water() == NOON + timedelta(minutes=9)
    store.raise_high_water(NOON + timedelta(minutes=9) + MICROSECOND)
    assert store.high_water() == NOON + timedelta(minutes=9) + MICROSECOND


def test_pruning_leaves_the_high_water_mark(store: DeviceStore) -> None:
    fill(store)
    store.prune(NOON + timedelta(days=1000))
    assert store.high_water() == NOON - timedelta(hours=1)


def test_slots_are_found_by_time(store: DeviceStore) -> None:
    first, second, later = slot(NOON), slot(NOON + SLOT, reported=True), slot(NOON + 4 * SLOT)
    store.put_slots([later, second, first])
    assert store.slots(NOON, NOON + SLOT) == [first]
    assert store.slots(NOON + MICROSECOND, NOON + 4 * SLOT) == [second]
    assert store.slots(NOON, NOON + 5 * SLOT) == [first, second, later]
    assert store.slot_at(NOON - MICROSECOND) is None
    assert store.slot_at(NOON) == first
    assert store.slot_at(NOON + SLOT - MICROSECOND) == first
    assert store.slot_at(NOON + SLOT) == second
    assert store.slot_at(NOON + 2 * SLOT) is None
    assert store.next_slot(NOON - MICROSECOND) == first
    assert store.next_slot(NOON) == second
    assert store.next_slot(NOON + 4 * SLOT) is None


def test_unreported_slots_are_those_that_ended(store: DeviceStore) -> None:
    store.put_slots([slot(NOON + SLOT), slot(NOON), slot(NOON + 2 * SLOT, reported=True)])
    assert store.unreported(NOON + SLOT - MICROSECOND) == []
    assert store.unreported(NOON + SLOT) == [slot(NOON)]
    assert store.unreported(NOON + 9 * SLOT) == [slot(NOON), slot(NOON + SLOT)]
    store.put_slots([slot(NOON, reported=True)])
    assert store.unreported(NOON + 9 * SLOT) == [slot(NOON + SLOT)]


def test_a_slot_replaces_the_one_with_the_same_start(store: DeviceStore) -> None:
    store.put_slots([slot(NOON)])
    begun = slot(
        NOON,
        schedule_id="plan-b",
        rate_w=-5,
        since=NOON + MICROSECOND,
        started_at=NOON,
        seen_at=NOON + MICROSECOND,
        meter_start_wh=0.1,
        meter_wh=-1e9,
        covered_s=0.3,
        planned_wh=7.5,
        trouble=ErrorCode.EXEC_LIMITED_SOC,
    )
    store.put_slots([begun])
    assert store.slots(NOON, NOON + SLOT) == [begun]


def test_instants_are_the_same_ones_in_any_zone(store: DeviceStore) -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    store.put_slots([slot(NOON)])
    store.raise_high_water(NOON.astimezone(kathmandu))
    store.put_entry(entry("plan-a", generated_at=NOON.astimezone(kathmandu)))
    assert store.slot_at(NOON.astimezone(kathmandu)) == slot(NOON)
    assert store.high_water() == NOON
    found = store.entry("plan-a")
    assert found is not None
    assert found.generated_at == NOON


def test_the_outbox_keeps_its_order(store: DeviceStore) -> None:
    numbers = [store.push(Kind.ACK, payload, "00-") for payload in (b"a", b"b", b"c")]
    assert numbers == sorted(set(numbers))
    assert [row.payload for row in store.outbox(2)] == [b"a", b"b"]
    assert [row.payload for row in store.outbox(2, after=numbers[0])] == [b"b", b"c"]
    assert store.outbox(0) == []
    store.pop(numbers[1])
    store.pop(numbers[1])
    assert [row.payload for row in store.outbox(9)] == [b"a", b"c"]


def test_a_number_is_never_used_again(store: DeviceStore) -> None:
    last = [store.push(Kind.ACK, b"a", "") for _ in range(3)][-1]
    for row in store.outbox(9):
        store.pop(row.number)
    assert store.push(Kind.ACK, b"b", "") > last


def test_undoing_restores_the_order_of_the_outbox(store: DeviceStore) -> None:
    for payload in (b"a", b"b", b"c"):
        store.push(Kind.ACK, payload, "")
    rows = store.outbox(9)
    with suppress(ZeroDivisionError), store.transaction():
        store.pop(rows[1].number)
        store.pop(rows[0].number)
        store.push(Kind.ACK, b"d", "")
        raise ZeroDivisionError
    assert store.outbox(9) == rows
    store.push(Kind.ACK, b"e", "")
    assert [row.payload for row in store.outbox(9)] == [b"a", b"b", b"c", b"e"]


P, F, R, A = Rank


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
    ],
)
def test_in_a_full_outbox_the_oldest_of_the_lowest_rank_gives_way(
    store: DeviceStore, waiting: tuple[Rank, ...], new: Rank, left: str
) -> None:
    *_, kept = [
        store.push(Kind.EXECUTION_RESULT if rank is R else Kind.ACK, b"%d" % number, "", rank=rank)
        for number, rank in enumerate((*waiting, new))
    ]
    assert "".join(row.payload.decode() for row in store.outbox(9)) == left
    assert (kept > 0) == ("4" in left)
    assert store.outbox_size() == ROWS


def test_a_row_of_the_outbox_is_what_was_pushed(store: DeviceStore) -> None:
    number = store.push(Kind.ACK, b"x", "00-", tracestate="a=b", rank=Rank.PASSING)
    assert store.outbox(9) == [
        OutboxRow(number=number, kind=Kind.ACK, payload=b"x", traceparent="00-", tracestate="a=b", rank=Rank.PASSING)
    ]


def test_of_ids_that_failed_for_good_the_newest_are_remembered(store: DeviceStore) -> None:
    with store.transaction():
        store.put_entry(entry("applied", generated_at=NOON - timedelta(days=9), state=EntryState.APPLIED))
        for number in range(MAX_FAILED_ENTRIES):
            at = NOON + timedelta(seconds=number)
            store.put_entry(entry(f"f{number}", generated_at=at, state=EntryState.FAILED))
    with suppress(ZeroDivisionError), store.transaction():
        store.put_entry(entry("undone", generated_at=NOON + SLOT, state=EntryState.FAILED))
        assert store.entry("f0") is None
        raise ZeroDivisionError
    assert store.entry("f0") is not None
    store.put_entry(entry("newer", generated_at=NOON + SLOT, state=EntryState.FAILED))
    store.put_entry(entry("newer", generated_at=NOON + SLOT, state=EntryState.FAILED))
    store.put_entry(entry("oldest", generated_at=NOON - SLOT, state=EntryState.FAILED))
    assert [store.entry(name) is not None for name in ("f0", "f1", "newer", "oldest", "applied")] == [
        False,
        True,
        True,
        False,
        True,
    ]


def test_gaps_in_the_numbers_do_not_fill_the_outbox(store: DeviceStore) -> None:
    store.push(Kind.ACK, b"first", "")
    for _ in range(3 * ROWS):
        store.pop(store.push(Kind.ACK, b"x", ""))
    for _ in range(ROWS - 1):
        store.push(Kind.ACK, b"y", "")
    assert [row.payload for row in store.outbox(9)] == [b"first", *[b"y"] * (ROWS - 1)]
    store.push(Kind.ACK, b"z", "")
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


def test_pruning_forgets_what_ended_before_and_is_settled(store: DeviceStore) -> None:
    at = NOON + SLOT
    for name, state in (("plan-a", EntryState.APPLIED), ("plan-b", EntryState.ADMITTED), ("plan-c", EntryState.RETRY)):
        store.put_entry(entry(name, state=state, end=at))
    store.put_slots([slot(NOON, reported=True), slot(NOON - SLOT), slot(NOON + SLOT, reported=True)])
    assert store.prune(at) == 0
    assert store.prune(at + MICROSECOND) == 3
    assert [store.entry(name) is not None for name in NAMES] == [False, True, False]
    assert store.slots(NOON - SLOT, NOON + 9 * SLOT) == [slot(NOON - SLOT), slot(NOON + SLOT, reported=True)]
    assert store.prune(at + MICROSECOND) == 0


def test_records_are_not_shared_with_the_caller(store: DeviceStore) -> None:
    given = [slot(NOON)]
    store.put_slots(iter(given))
    given[0] = msgspec.structs.replace(given[0], rate_w=1)
    assert store.slot_at(NOON) == slot(NOON)
    store.slots(NOON, NOON + SLOT).clear()
    assert store.slot_at(datetime(2026, 3, 1, 12, tzinfo=UTC)) == slot(NOON)
