"""What of an outbox is on its way: offered once, never starved, never forgotten before the broker has it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.messages import Kind
from allye_protocol.negotiation import BASELINE
from allye_protocol.session.sending import REFUSED_WAIT, Sending
from allye_protocol.store import MemoryStore, Rank
from tests.builders import MICROSECOND, NOON
from tests.store.faults import failing_store


def filled(rows: int) -> MemoryStore:
    store = MemoryStore()
    for number in range(rows):
        store.push(Kind.ACK, b"%d" % number, BASELINE, "")
    return store


def numbers(sending: Sending, limit: int = 3, after: timedelta = timedelta(0)) -> list[int]:
    return [row.number for row in sending.offer(NOON + after, limit)]


def test_the_oldest_rows_come_first_and_no_more_than_the_limit_are_under_way() -> None:
    sending = Sending(filled(6))
    assert numbers(sending) == [1, 2, 3]
    assert numbers(sending) == []
    sending.taken(2)
    assert numbers(sending) == [4]
    assert numbers(sending, limit=5) == [5, 6]


def test_a_limit_below_what_is_under_way_offers_nothing() -> None:
    sending = Sending(filled(6))
    numbers(sending, limit=4)
    assert numbers(sending, limit=2) == []


def test_a_taken_row_is_forgotten() -> None:
    store = filled(2)
    sending = Sending(store)
    numbers(sending)
    sending.taken(1)
    assert [row.number for row in store.outbox(9)] == [2]


def test_refused_rows_at_the_head_do_not_starve_those_behind() -> None:
    """A broker whose access list forbids one topic: the rows of that topic must not silence the device."""
    sending = Sending(filled(50))
    refused = set()
    for _ in range(10):
        for number in numbers(sending):
            refused.add(number)
            sending.refused(number, NOON)
    assert refused == set(range(1, 31))
    assert numbers(sending) == [31, 32, 33]


def test_a_refused_row_waits_a_minute_and_comes_again_in_its_place() -> None:
    sending = Sending(filled(5))
    numbers(sending, limit=1)
    sending.refused(1, NOON)
    assert sending.next_deadline() == NOON + REFUSED_WAIT
    assert numbers(sending, limit=1, after=REFUSED_WAIT - MICROSECOND) == [2]
    sending.taken(2)
    assert numbers(sending, limit=2, after=REFUSED_WAIT) == [1, 3]
    assert sending.next_deadline() is None


def test_a_clock_that_is_set_back_does_not_make_the_wait_longer() -> None:
    sending = Sending(filled(1))
    numbers(sending)
    sending.refused(1, NOON)
    assert numbers(sending, after=-timedelta(hours=1)) == [1]


def test_after_a_disconnection_everything_is_offered_again() -> None:
    sending = Sending(filled(4))
    first = numbers(sending)
    sending.refused(first[0], NOON)
    sending.disconnected()
    assert numbers(sending) == first
    assert sending.next_deadline() is None


def test_a_refusal_that_comes_after_the_disconnection_sets_no_deadline() -> None:
    sending = Sending(filled(1))
    numbers(sending)
    sending.disconnected()
    sending.refused(1, NOON)
    assert sending.next_deadline() is None
    assert numbers(sending) == [1]


def test_what_the_broker_has_is_not_sent_again_while_the_store_cannot_forget_it() -> None:
    store, broken = filled(4), [True]
    sending = Sending(failing_store(store, lambda name: name == "pop" and broken[0]))
    numbers(sending, limit=2)
    with pytest.raises(StoreError) as caught:
        sending.taken(1)
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert numbers(sending, limit=2) == [3]
    sending.disconnected()
    assert numbers(sending, limit=9) == [2, 3, 4]
    assert store.outbox_size() == 4
    broken[0] = False
    numbers(sending)
    assert [row.number for row in store.outbox(9)] == [2, 3, 4]


def test_a_row_that_gave_way_while_it_was_under_way_harms_nothing() -> None:
    store = MemoryStore(max_outbox_rows=2)
    for _ in range(2):
        store.push(Kind.EXECUTION_RESULT, b"", BASELINE, "", rank=Rank.RESULT)
    sending = Sending(store)
    assert numbers(sending) == [1, 2]
    store.push(Kind.ACK, b"", BASELINE, "")
    sending.taken(1)
    sending.refused(2, NOON)
    assert numbers(sending) == [3]


def test_an_outbox_that_cannot_be_read_offers_nothing_and_loses_nothing() -> None:
    broken = [True]
    sending = Sending(failing_store(filled(2), lambda _: broken[0]))
    with pytest.raises(StoreError):
        numbers(sending)
    broken[0] = False
    assert numbers(sending) == [1, 2]


@given(st.lists(st.tuples(st.sampled_from(["taken", "refused", "lost"]), st.integers(1, 4)), max_size=40))
def test_every_row_is_taken_in_the_end(happened: list[tuple[str, int]]) -> None:
    store = filled(12)
    sending, now = Sending(store), NOON
    happened = [*happened, ("lost", 1), *[("taken", 4)] * 3]
    for outcome, limit in happened:
        rows = sending.offer(now, limit)
        for row in rows:
            if outcome == "taken":
                sending.taken(row.number)
            elif outcome == "refused":
                sending.refused(row.number, now)
        if outcome == "lost":
            sending.disconnected()
        now += timedelta(seconds=20)
    assert store.outbox_size() == 0
