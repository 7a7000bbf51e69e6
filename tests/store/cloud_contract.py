"""What every cloud store must do, as tests to inherit: a subclass says how to make a store."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_protocol.delivery import OPEN, Delivery, State
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, ExecutionStatus, TimeSpan
from tests.builders import DEVICE, HELLO, MICROSECOND, NOON, SLOT, TRACE_ID

if TYPE_CHECKING:
    from allye_protocol.store.cloud import CloudStore

__all__ = ["CloudStoreContract", "answer", "delivery", "reported"]

CLOSED = tuple(state for state in State if state not in OPEN)
SECOND = timedelta(seconds=1)


def delivery(name: str = "plan-a", **changes: Any) -> Delivery:
    """A delivery that is due at noon."""
    values: dict[str, Any] = {
        "schedule_id": name,
        "device_id": DEVICE,
        "generated_at": NOON,
        "start": NOON + timedelta(hours=12),
        "end": NOON + timedelta(hours=36),
        "payload": b'{"some": "json"}',
        "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
        "state": State.PENDING,
        "attempts": 0,
        "due_at": NOON,
        "created_at": NOON,
    }
    return Delivery(**{**values, **changes})


def answer(name: str = "plan-a", status: AckStatus = AckStatus.RECEIVED, *, at: datetime = NOON, device: str = DEVICE) -> Ack:
    """An answer of the device."""
    return Ack(schedule_id=ScheduleId(name), device_id=DeviceId(device), status=status, timestamp=at)


def reported(start: datetime = NOON, *, kw: float = 1.0, device: str = DEVICE, name: str = "plan-a") -> ExecutionResult:
    """The result of a slot."""
    return ExecutionResult(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        interval=TimeSpan(start=start, end=start + SLOT),
        status=ExecutionStatus.SUCCEED,
        actual_rate_kw=kw,
        timestamp=start + SLOT,
    )


class CloudStoreContract:
    """Needs a fixture ``store``."""

    def test_a_delivery_comes_back_as_it_was_kept(self, store: CloudStore) -> None:
        kept = delivery(
            state=State.FAILED,
            attempts=7,
            due_at=NOON + MICROSECOND,
            sent_at=NOON + 1 * SECOND,
            received_at=NOON + 2 * SECOND,
            settled_at=NOON + 3 * SECOND,
            alarmed=True,
            reason="device.busy: é \N{SNOWMAN} 'quoted'",
        )
        store.put_delivery(kept)
        assert store.delivery("plan-a") == kept
        assert store.delivery("plan-b") is None

    def test_a_delivery_replaces_the_one_of_its_schedule(self, store: CloudStore) -> None:
        for state in (State.SENT, State.RECEIVED, State.APPLIED):
            store.put_delivery(delivery(state=state))
            found = store.delivery("plan-a")
            assert found is not None
            assert found.state is state

    def test_the_newest_order_never_falls(self, store: CloudStore) -> None:
        assert store.newest(DEVICE) is None
        store.put_delivery(delivery("plan-b", generated_at=NOON + SECOND))
        store.put_delivery(delivery("plan-a", generated_at=NOON, state=State.DEAD))
        store.put_delivery(delivery("plan-x", device_id="other", generated_at=NOON + 2 * SECOND))
        assert store.newest(DEVICE) == NOON + SECOND
        with store.transaction():
            assert store.newest(DEVICE) == NOON + SECOND
            store.put_delivery(delivery("plan-c", generated_at=NOON + 3 * SECOND))
            assert store.newest(DEVICE) == NOON + 3 * SECOND
        assert store.newest(DEVICE) == NOON + 3 * SECOND

    def test_due_are_the_heads_of_the_queues_the_longest_due_first(self, store: CloudStore) -> None:
        store.put_delivery(delivery("a-2", device_id="a", generated_at=NOON + SECOND, due_at=NOON - SLOT))
        store.put_delivery(delivery("a-1", device_id="a", generated_at=NOON, due_at=NOON))
        store.put_delivery(delivery("b-1", device_id="b", due_at=NOON - SECOND))
        store.put_delivery(delivery("c-1", device_id="c", due_at=NOON + MICROSECOND))
        store.put_delivery(delivery("d-1", device_id="d", state=State.APPLIED))
        store.put_delivery(delivery("d-2", device_id="d", generated_at=NOON + SECOND, due_at=NOON - 2 * SECOND))
        assert [found.schedule_id for found in store.due(NOON, 10)] == ["d-2", "b-1", "a-1"]
        assert [found.schedule_id for found in store.due(NOON, 2)] == ["d-2", "b-1"]
        assert store.next_due() == NOON - 2 * SECOND

    @pytest.mark.parametrize("state", CLOSED)
    def test_the_next_of_a_device_is_due_when_the_one_before_it_is_closed(self, store: CloudStore, state: State) -> None:
        store.put_delivery(delivery("first"))
        store.put_delivery(delivery("second", generated_at=NOON + SECOND))
        for way in OPEN:
            store.put_delivery(delivery("first", state=way))
            assert [found.schedule_id for found in store.due(NOON, 10)] == ["first"]
        store.put_delivery(delivery("first", state=state))
        assert [found.schedule_id for found in store.due(NOON, 10)] == ["second"]
        store.put_delivery(delivery("second", generated_at=NOON + SECOND, state=state))
        assert (store.due(NOON, 10), store.next_due()) == ([], None)

    def test_the_open_deliveries_of_a_device_come_oldest_first(self, store: CloudStore) -> None:
        for number, state in enumerate(State):
            store.put_delivery(delivery(f"plan-{state}", generated_at=NOON - number * SECOND, state=state))
        store.put_delivery(delivery("other", device_id="other"))
        expected = [state for state in reversed(list(State)) if state in OPEN]
        assert [found.state for found in store.open_deliveries(DEVICE)] == expected

    def test_what_ends_and_what_starts(self, store: CloudStore) -> None:
        assert (store.next_end(), store.next_start()) == (None, None)
        for number, (state, alarmed) in enumerate(product(State, (False, True))):
            start = NOON + number * SLOT
            store.put_delivery(delivery(f"plan-{number}", start=start, end=start + SLOT, state=state, alarmed=alarmed))
        horizon = NOON + len(State) * 2 * SLOT
        assert {found.state for found in store.ending(horizon + SLOT)} == set(OPEN)
        assert len(store.ending(horizon + SLOT)) == 2 * len(OPEN)
        assert [found.schedule_id for found in store.ending(NOON + SLOT)] == ["plan-0"]
        assert store.ending(NOON + SLOT - MICROSECOND) == []
        assert len(store.starting(horizon)) == len(OPEN)
        assert [found.schedule_id for found in store.starting(NOON)] == ["plan-0"]
        assert store.starting(NOON - MICROSECOND) == []
        assert (store.next_end(), store.next_start()) == (NOON + SLOT, NOON)

    def test_the_first_result_of_a_slot_stays(self, store: CloudStore) -> None:
        first = reported(kw=1.0)
        assert store.keep_result(first, NOON)
        assert not store.keep_result(first, NOON)
        assert not store.keep_result(reported(kw=2.0, name="plan-b"), NOON)
        assert store.keep_result(reported(NOON + SLOT), NOON)
        assert store.keep_result(reported(device="other"), NOON)

    def test_an_answer_may_be_kept_twice(self, store: CloudStore) -> None:
        with store.transaction():
            store.keep_ack(answer(), NOON)
            store.keep_ack(answer(), NOON + SECOND)
        store.keep_ack(answer(), NOON + SECOND)

    def test_the_newest_hello_is_known(self, store: CloudStore) -> None:
        assert store.hello(DEVICE) is None
        store.keep_hello(HELLO, NOON)
        newer = msgspec.structs.replace(HELLO, firmware="2")
        store.keep_hello(newer, NOON)
        assert store.hello(DEVICE) == newer
        store.put_delivery(delivery())
        assert store.hello(DEVICE) == newer

    def test_a_transaction_is_kept_together_or_not_at_all(self, store: CloudStore) -> None:
        def work() -> None:
            with store.transaction():
                store.put_delivery(delivery(state=State.APPLIED))
                store.put_delivery(delivery("plan-b", generated_at=NOON + SECOND))
                store.keep_ack(answer(), NOON)
                store.keep_hello(HELLO, NOON)
                assert store.keep_result(reported(), NOON)
                raise ZeroDivisionError

        store.put_delivery(delivery())
        with pytest.raises(ZeroDivisionError):
            work()
        assert store.delivery("plan-a") == delivery()
        assert store.delivery("plan-b") is None
        assert (store.newest(DEVICE), store.hello(DEVICE)) == (NOON, None)
        assert store.keep_result(reported(), NOON)
        assert [found.schedule_id for found in store.due(NOON, 9)] == ["plan-a"]

    def test_a_transaction_inside_another_joins_it(self, store: CloudStore) -> None:
        def work() -> None:
            with store.transaction():
                with store.transaction():
                    store.put_delivery(delivery())
                assert store.delivery("plan-a") == delivery()
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            work()
        assert store.delivery("plan-a") is None

    def test_a_transaction_sees_what_it_has_done(self, store: CloudStore) -> None:
        with store.transaction():
            store.expect(["plan-a", "plan-b"])
            assert store.delivery("plan-a") is None
            store.put_delivery(delivery())
            store.put_delivery(delivery("plan-b", generated_at=NOON + SECOND))
            assert store.delivery("plan-b") is not None
            assert [found.schedule_id for found in store.due(NOON, 9)] == ["plan-a"]
            store.put_delivery(delivery(state=State.APPLIED))
            assert [found.schedule_id for found in store.due(NOON, 9)] == ["plan-b"]
            assert [found.schedule_id for found in store.open_deliveries(DEVICE)] == ["plan-b"]
            assert store.next_due() == NOON

    @pytest.mark.parametrize("seed", range(5))
    def test_it_answers_as_a_plain_search_does(self, store: CloudStore, seed: int) -> None:
        """Random deliveries, moved at random, in transactions of random size; every query against a list comprehension."""
        chance = Random(seed)
        model: dict[str, Delivery] = {}
        for _ in range(60):
            with store.transaction():
                store.expect(chance.sample(sorted(model), min(3, len(model))))
                for _ in range(chance.randrange(4)):
                    number = chance.randrange(12)
                    made = delivery(
                        f"plan-{number}",
                        device_id=f"device-{number % 3}",
                        generated_at=NOON + number * SECOND,
                        start=NOON + chance.randrange(4) * SLOT,
                        end=NOON + (4 + chance.randrange(4)) * SLOT,
                        state=chance.choice(list(State)),
                        due_at=NOON + chance.randrange(-5, 5) * SECOND + number * MICROSECOND,
                        alarmed=chance.random() < 0.5,
                    )
                    model[made.schedule_id] = made
                    store.put_delivery(made)
                    if chance.random() < 0.2:
                        self._compare(store, model, chance)
            self._compare(store, model, chance)

    @staticmethod
    def _compare(store: CloudStore, model: dict[str, Delivery], chance: Random) -> None:
        alive = sorted((one for one in model.values() if one.state in OPEN), key=lambda one: one.generated_at)
        heads = {one.device_id: one for one in reversed(alive)}.values()
        due = sorted((one for one in heads if one.due_at <= NOON), key=lambda one: one.due_at)
        waiting = [one for one in alive if not one.alarmed]
        limit, by = chance.randrange(1, 4), NOON + chance.randrange(9) * SLOT
        assert store.due(NOON, limit) == due[:limit]
        assert store.next_due() == min((one.due_at for one in heads), default=None)
        assert store.open_deliveries("device-1") == [one for one in alive if one.device_id == "device-1"]
        assert _by_name(store.ending(by)) == _by_name([one for one in alive if one.end <= by])
        assert _by_name(store.starting(by)) == _by_name([one for one in waiting if one.start <= by])
        assert store.next_end() == min((one.end for one in alive), default=None)
        assert store.next_start() == min((one.start for one in waiting), default=None)
        assert [store.delivery(name) for name in model] == list(model.values())


def _by_name(deliveries: list[Delivery]) -> list[Delivery]:
    return sorted(deliveries, key=lambda one: one.schedule_id)
