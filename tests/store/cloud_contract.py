"""What every cloud store must do, as tests to inherit: a subclass says how to make a store."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_protocol.delivery import OPEN, Delivery, State, cancel_id
from allye_protocol.ids import DeviceId
from allye_protocol.messages import EventType, Kind, sequence_at
from tests.builders import DEVICE, HELLO, MICROSECOND, NOON, SLOT, TRACEPARENT, ack, event, result, status

if TYPE_CHECKING:
    from allye_protocol.store.cloud import CloudStore

__all__ = ["FIRST", "CloudStoreContract", "cancelling", "delivery"]

CLOSED = tuple(state for state in State if state not in OPEN)
SECOND = timedelta(seconds=1)
FIRST = sequence_at(NOON)
"""The sequence of what is submitted at noon."""
OTHER = DeviceId("max300-0002")


def delivery(name: str = "plan-a", **changes: Any) -> Delivery:
    """A delivery that is due at noon."""
    values: dict[str, Any] = {
        "kind": Kind.SCHEDULE,
        "schedule_id": name,
        "device_id": DEVICE,
        "sequence": FIRST,
        "digest": "d" * 64,
        "start": NOON + timedelta(hours=12),
        "end": NOON + timedelta(hours=36),
        "payload": b"\x00any\xffbytes",
        "traceparent": TRACEPARENT,
        "state": State.PENDING,
        "attempts": 0,
        "due_at": NOON,
        "created_at": NOON,
    }
    values["until"] = changes.get("end", values["end"])
    return Delivery(**{**values, **changes})


def cancelling(sequence: int = FIRST + 1, **changes: Any) -> Delivery:
    """The delivery of a cancel of everything from an instant on."""
    values: dict[str, Any] = {"kind": Kind.CANCEL, "schedule_id": None, "digest": None, "sequence": sequence}
    return msgspec.structs.replace(delivery(**changes), **{**values, **changes})


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
            until=NOON + SLOT,
            held="version.unsupported: upgrade the peer",
            reason="device.busy: é \N{SNOWMAN} 'quoted'",
        )
        store.put_delivery(kept)
        assert store.delivery("plan-a") == kept
        assert store.delivery("plan-b") is None

    def test_a_cancel_has_a_delivery_of_its_own_beside_that_of_the_schedule_it_names(self, store: CloudStore) -> None:
        kept = [delivery(), cancelling(schedule_id="plan-a"), cancelling(FIRST + 2), cancelling(device_id=OTHER)]
        for each in kept:
            store.put_delivery(each)
        names = ["plan-a", cancel_id(DEVICE, FIRST + 1), cancel_id(DEVICE, FIRST + 2), cancel_id(OTHER, FIRST + 1)]
        with store.transaction():
            store.expect(names)
            assert [store.delivery(name) for name in names] == kept

    def test_a_delivery_replaces_the_one_of_its_schedule(self, store: CloudStore) -> None:
        for state in (State.SENT, State.RECEIVED, State.APPLIED):
            store.put_delivery(delivery(state=state))
            found = store.delivery("plan-a")
            assert found is not None
            assert found.state is state

    def test_the_last_sequence_is_that_of_whatever_was_submitted_last_settled_or_not(self, store: CloudStore) -> None:
        assert store.last_sequence(DEVICE, FIRST) is None
        store.put_delivery(delivery("plan-b", sequence=FIRST + 1))
        store.put_delivery(delivery("plan-a", state=State.DEAD))
        store.put_delivery(delivery("plan-x", device_id=OTHER, sequence=FIRST + 7))
        assert store.last_sequence(DEVICE, FIRST + 9) == FIRST + 1
        store.put_delivery(cancelling(FIRST + 2, state=State.APPLIED))
        assert store.last_sequence(DEVICE, FIRST + 9) == FIRST + 2
        with store.transaction():
            assert store.last_sequence(DEVICE, FIRST + 9) == FIRST + 2
            store.put_delivery(delivery("plan-c", sequence=FIRST + 3))
            assert store.last_sequence(DEVICE, FIRST + 9) == FIRST + 3
        assert store.last_sequence(DEVICE, FIRST + 9) == FIRST + 3

    def test_the_last_sequence_is_the_highest_up_to_a_bound(self, store: CloudStore) -> None:
        for number in (0, 2, 5):
            store.put_delivery(delivery(f"plan-{number}", sequence=FIRST + number, state=State.APPLIED))
        bounds = [store.last_sequence(DEVICE, FIRST + number) for number in range(-1, 7)]
        assert bounds == [None, FIRST, FIRST, FIRST + 2, FIRST + 2, FIRST + 2, FIRST + 5, FIRST + 5]

    def test_due_are_the_heads_of_the_queues_the_longest_due_first(self, store: CloudStore) -> None:
        store.put_delivery(delivery("a-2", device_id="a", sequence=FIRST + 1, due_at=NOON - SLOT))
        store.put_delivery(delivery("a-1", device_id="a", sequence=FIRST, due_at=NOON))
        store.put_delivery(delivery("b-1", device_id="b", due_at=NOON - SECOND))
        store.put_delivery(delivery("c-1", device_id="c", due_at=NOON + MICROSECOND))
        store.put_delivery(delivery("d-1", device_id="d", state=State.APPLIED))
        store.put_delivery(delivery("d-2", device_id="d", sequence=FIRST + 1, due_at=NOON - 2 * SECOND))
        assert [found.schedule_id for found in store.due(NOON, 10)] == ["d-2", "b-1", "a-1"]
        assert [found.schedule_id for found in store.due(NOON, 2)] == ["d-2", "b-1"]
        assert store.next_due() == NOON - 2 * SECOND

    @pytest.mark.parametrize("state", CLOSED)
    def test_the_next_of_a_device_is_due_when_the_one_before_it_is_closed(self, store: CloudStore, state: State) -> None:
        store.put_delivery(delivery("first"))
        store.put_delivery(delivery("second", sequence=FIRST + 1))
        for way in OPEN:
            store.put_delivery(delivery("first", state=way))
            assert [found.schedule_id for found in store.due(NOON, 10)] == ["first"]
        store.put_delivery(delivery("first", state=state))
        assert [found.schedule_id for found in store.due(NOON, 10)] == ["second"]
        store.put_delivery(delivery("second", sequence=FIRST + 1, state=state))
        assert (store.due(NOON, 10), store.next_due()) == ([], None)

    def test_the_open_deliveries_of_a_device_come_oldest_first(self, store: CloudStore) -> None:
        for number, state in enumerate(State):
            store.put_delivery(delivery(f"plan-{state}", sequence=FIRST - number, state=state))
        store.put_delivery(delivery("other", device_id="other"))
        expected = [state for state in reversed(list(State)) if state in OPEN]
        assert [found.state for found in store.open_deliveries(DEVICE)] == expected

    def test_what_ends_and_what_starts(self, store: CloudStore) -> None:
        assert (store.next_end(), store.next_start()) == (None, None)
        for number, (state, alarmed) in enumerate(product(State, (False, True))):
            start = NOON + number * SLOT
            made = delivery(f"plan-{number}", sequence=FIRST + number, start=start, end=start + SLOT)
            store.put_delivery(msgspec.structs.replace(made, state=state, alarmed=alarmed))
        horizon = NOON + len(State) * 2 * SLOT
        assert {found.state for found in store.ending(horizon + SLOT)} == set(OPEN)
        assert len(store.ending(horizon + SLOT)) == 2 * len(OPEN)
        assert [found.schedule_id for found in store.ending(NOON + SLOT)] == ["plan-0"]
        assert store.ending(NOON + SLOT - MICROSECOND) == []
        assert len(store.starting(horizon)) == len(OPEN)
        assert [found.schedule_id for found in store.starting(NOON)] == ["plan-0"]
        assert store.starting(NOON - MICROSECOND) == []
        assert (store.next_end(), store.next_start()) == (NOON + SLOT, NOON)

    def test_applied_schedules_that_are_not_over_come_lowest_sequence_first(self, store: CloudStore) -> None:
        for number, state in enumerate(State):
            store.put_delivery(delivery(f"plan-{state}", sequence=FIRST + number, state=state))
        store.put_delivery(delivery("newer", sequence=FIRST + 99, state=State.APPLIED))
        store.put_delivery(delivery("older", sequence=FIRST - 1, state=State.APPLIED, end=NOON + 30 * SLOT))
        store.put_delivery(delivery("other", device_id=OTHER, state=State.APPLIED))
        store.put_delivery(cancelling(FIRST + 50, state=State.APPLIED))
        found = [each.schedule_id for each in store.applied_deliveries(DEVICE, NOON + 30 * SLOT - MICROSECOND)]
        assert found == ["older", f"plan-{State.APPLIED}", "newer"]
        found = [each.schedule_id for each in store.applied_deliveries(DEVICE, NOON + 30 * SLOT)]
        assert found == [f"plan-{State.APPLIED}", "newer"]

    def test_repeating_stops_before_the_horizon_ends_where_it_should(self, store: CloudStore) -> None:
        store.put_delivery(delivery(until=NOON + SLOT))
        assert store.next_end() == NOON + SLOT
        assert store.ending(NOON + SLOT - MICROSECOND) == []
        assert [found.schedule_id for found in store.ending(NOON + SLOT)] == ["plan-a"]

    def test_the_first_result_of_a_slot_stays(self, store: CloudStore) -> None:
        first = result(actual_w=1_000)
        assert store.keep_result(first, NOON)
        assert not store.keep_result(first, NOON)
        assert not store.keep_result(result("plan-b", actual_w=2_000), NOON)
        assert store.keep_result(result(start=NOON + SLOT), NOON)
        assert store.keep_result(result(device_id=OTHER), NOON)

    def test_an_answer_may_be_kept_twice(self, store: CloudStore) -> None:
        with store.transaction():
            store.keep_ack(ack(), NOON)
            store.keep_ack(ack(), NOON + SECOND)
        store.keep_ack(ack(), NOON + SECOND)

    def test_an_event_is_kept_once(self, store: CloudStore) -> None:
        different = [
            event(),
            event(device_id=OTHER),
            event(name="plan-b"),
            event(EventType.COMPLETED),
            event(timestamp=NOON + MICROSECOND),
            event(EventType.FALLBACK_ENTERED, None),
            event(EventType.CANCELLED, None, sequence=1),
            event(EventType.CANCELLED, None, sequence=2),
        ]
        assert [store.keep_event(each, NOON) for each in different] == [True] * len(different)
        with store.transaction():
            assert [store.keep_event(each, NOON + SECOND) for each in different] == [False] * len(different)

    def test_the_status_that_came_last_is_known(self, store: CloudStore) -> None:
        """Whatever its time says: a last will has that of the connection's beginning."""
        assert store.status(DEVICE) is None
        store.keep_status(status(), NOON)
        will = status(online=False, timestamp=NOON - SLOT, power_w=None, soc_pct=None, state=None)
        store.keep_status(will, NOON)
        store.keep_status(status(device_id=OTHER), NOON)
        assert store.status(DEVICE) == will

    def test_hellos_are_found_together(self, store: CloudStore) -> None:
        other = msgspec.structs.replace(HELLO, device_id=OTHER, firmware="2")
        for said in (HELLO, other, msgspec.structs.replace(HELLO, device_id=DeviceId("third"))):
            store.keep_hello(said, NOON)
        assert dict(store.hellos({DEVICE, OTHER, "silent"})) == {DEVICE: HELLO, OTHER: other}
        assert dict(store.hellos(())) == {}

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
                store.put_delivery(delivery("plan-b", sequence=FIRST + 1))
                store.keep_ack(ack(), NOON)
                store.keep_hello(HELLO, NOON)
                store.keep_status(status(), NOON)
                assert store.keep_event(event(), NOON)
                assert store.keep_result(result(), NOON)
                raise ZeroDivisionError

        store.put_delivery(delivery())
        with pytest.raises(ZeroDivisionError):
            work()
        assert store.delivery("plan-a") == delivery()
        assert store.delivery("plan-b") is None
        assert (store.last_sequence(DEVICE, FIRST + 9), store.hello(DEVICE), store.status(DEVICE)) == (FIRST, None, None)
        assert store.keep_result(result(), NOON)
        assert store.keep_event(event(), NOON)
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
            store.put_delivery(delivery("plan-b", sequence=FIRST + 1))
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
                        sequence=FIRST + number,
                        start=NOON + chance.randrange(4) * SLOT,
                        end=NOON + (4 + chance.randrange(4)) * SLOT,
                        until=NOON + (2 + chance.randrange(4)) * SLOT,
                        state=chance.choice(list(State)),
                        due_at=NOON + chance.randrange(-5, 5) * SECOND + number * MICROSECOND,
                        alarmed=chance.random() < 0.5,
                    )
                    if number % 4 == 3:
                        made = msgspec.structs.replace(made, kind=Kind.CANCEL, schedule_id=None, digest=None)
                    model[made.delivery_id] = made
                    store.put_delivery(made)
                    if chance.random() < 0.2:
                        self._compare(store, model, chance)
            self._compare(store, model, chance)

    @staticmethod
    def _compare(store: CloudStore, model: dict[str, Delivery], chance: Random) -> None:
        alive = sorted((one for one in model.values() if one.state in OPEN), key=lambda one: one.sequence)
        heads = {one.device_id: one for one in reversed(alive)}.values()
        due = sorted((one for one in heads if one.due_at <= NOON), key=lambda one: one.due_at)
        waiting = [one for one in alive if not one.alarmed]
        limit, by = chance.randrange(1, 4), NOON + chance.randrange(9) * SLOT
        assert store.due(NOON, limit) == due[:limit]
        assert store.next_due() == min((one.due_at for one in heads), default=None)
        assert store.open_deliveries("device-1") == [one for one in alive if one.device_id == "device-1"]
        assert _by_name(store.ending(by)) == _by_name([one for one in alive if one.until <= by])
        assert _by_name(store.starting(by)) == _by_name([one for one in waiting if one.start <= by])
        applied = [one for one in model.values() if one.state is State.APPLIED and one.kind is Kind.SCHEDULE and one.end > by]
        applied = [one for one in applied if one.device_id == "device-1"]
        assert store.applied_deliveries("device-1", by) == sorted(applied, key=lambda one: one.sequence)
        sequences = [one.sequence for one in model.values() if one.device_id == "device-2"]
        bound = FIRST + chance.randrange(12)
        assert store.last_sequence("device-2", bound) == max((one for one in sequences if one <= bound), default=None)
        assert store.next_end() == min((one.until for one in alive), default=None)
        assert store.next_start() == min((one.start for one in waiting), default=None)
        assert [store.delivery(name) for name in model] == list(model.values())


def _by_name(deliveries: list[Delivery]) -> list[Delivery]:
    return sorted(deliveries, key=lambda one: one.delivery_id)
