"""What goes wrong at the in-process broker goes wrong as MQTT over TCP has it, and the same way for the same seed."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.base import Connected, Disconnected, Published, Received
from allye_protocol.transport.faults import Faults, Incident, Passage, Way
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport


class World:
    """A broker, a clock that a test moves, a publisher and a subscriber that remembers what it got."""

    def __init__(self, seed: int = 1, **settings) -> None:
        self.now = 1_000.0
        self.seen: list[Incident] = []
        self.broker = MemoryBroker(lambda: self.now, seed=seed, watch=self.seen.append)
        self.publisher = self.client("p")
        self.subscriber = self.client("s", "x", **settings)
        self.got: list[bytes] = []
        self.outbox: dict[int, bytes] = {}
        self.waiting: list[bytes] = []

    def client(self, name: str, *filters: str, **settings) -> MemoryTransport:
        transport = MemoryTransport(self.broker, name, **settings)
        transport.open(filters)
        return transport

    def send(self, *payloads: bytes) -> None:
        """Publish through an outbox: what was not taken when a connection ends is published again."""
        self.waiting += payloads
        self.step()

    def step(self) -> None:
        """Everything that both clients can do now."""
        busy = True
        while busy:
            told, heard = self.publisher.wait(0), self.subscriber.wait(0)
            busy = bool(told or heard)
            for event in told:
                if isinstance(event, Published):
                    del self.outbox[event.token]
                elif isinstance(event, Disconnected):
                    self.waiting[:0] = self.outbox.values()
                    self.outbox.clear()
            while self.waiting and self.publisher.connected:
                with suppress(TransportError):  # the connection has just ended
                    self.outbox[self.publisher.publish(Frame(topic="x", payload=self.waiting[0]))] = self.waiting[0]
                    del self.waiting[0]
                    busy = True
            for event in heard:
                if isinstance(event, Received):
                    self.got.append(event.frame.payload)
                    self.subscriber.acknowledge(event)

    def run(self, seconds: float) -> None:
        """Let time pass, from one arrival to the next."""
        end = self.now + seconds
        while (left_s := self.broker.seconds_to_next()) is not None and self.now + left_s <= end:
            self.now += left_s
            self.step()
        self.now = end
        self.step()

    def count(self, passage: Passage) -> int:
        return sum(incident.passage is passage for incident in self.seen)


def numbers(count: int) -> list[bytes]:
    return [b"%d" % index for index in range(count)]


def test_what_is_late_arrives_in_order_and_not_before_its_time() -> None:
    world = World()
    world.broker.set_faults(Faults(delay_s=30))
    world.send(*numbers(20))
    assert world.got == []
    world.run(60)
    assert world.got == numbers(20)
    assert world.broker.seconds_to_next() is not None  # the last acknowledgements
    world.run(60)
    assert world.broker.seconds_to_next() is None
    assert world.outbox == {}


def test_what_is_held_back_is_passed_by_what_comes_after_it() -> None:
    world = World(receive_maximum=100)
    world.broker.set_faults(Faults(reorder=0.3, hold_s=10, delay_s=1))
    world.send(*numbers(40))
    world.run(60)
    assert sorted(world.got) == sorted(numbers(40))
    assert world.got != numbers(40)


def test_a_lost_message_is_sent_again_on_the_next_connection() -> None:
    world = World()
    world.step()
    world.broker.set_faults(Faults(loss=1, patience_s=45), "p")
    world.send(b"1")
    assert world.outbox == {1: b"1"}
    world.broker.set_faults(Faults())
    world.send(b"2")
    world.run(44)
    assert world.got == []  # what follows a lost packet waits behind it
    world.run(2)
    assert world.got == [b"1", b"2"]
    assert world.outbox == {}


def test_a_lost_acknowledgement_of_the_broker_makes_the_message_come_twice() -> None:
    world = World()
    world.step()
    world.broker.partition("p", Way.TO_CLIENT)
    world.send(b"1")
    assert world.got == [b"1"]
    assert world.outbox
    world.run(90)
    world.broker.heal()
    world.step()
    assert world.got == [b"1", b"1"]
    assert world.outbox == {}


def test_a_lost_acknowledgement_of_the_subscriber_makes_the_message_come_twice_after_a_reconnect() -> None:
    world = World()
    world.step()
    world.broker.partition("s", Way.TO_BROKER)
    world.send(b"1", b"2")
    assert world.got == [b"1", b"2"]
    world.broker.heal("s")
    world.run(200)
    assert world.got == [b"1", b"2"]  # the acknowledgements were late, not lost
    world.broker.partition("s", Way.TO_BROKER)
    world.send(b"3", b"4")
    world.run(100)
    world.broker.heal("s")
    world.step()
    assert world.got == [b"1", b"2", b"3", b"4", b"3", b"4"]
    assert world.count(Passage.DISCONNECTED) == 1


def test_a_partition_that_ends_in_time_is_not_noticed() -> None:
    world = World()
    world.step()
    world.broker.partition("s")
    world.send(*numbers(3))
    world.run(89)
    assert (world.got, world.subscriber.connected) == ([], True)
    world.broker.heal()
    world.run(200)
    assert world.got == numbers(3)
    assert world.count(Passage.DISCONNECTED) == 0


def test_a_partition_that_lasts_ends_the_connection_and_lets_no_new_one_begin() -> None:
    world = World()
    world.step()
    world.broker.partition("s")
    world.send(*numbers(3))
    world.run(91)
    assert not world.subscriber.connected
    assert world.got == []
    with pytest.raises(TransportError):
        world.subscriber.publish(Frame(topic="x", payload=b""))
    world.broker.heal("somebody else")
    world.step()
    assert not world.subscriber.connected
    world.broker.heal("s")
    world.step()
    assert world.got == numbers(3)


def test_the_will_is_published_when_the_broker_hears_nothing_any_more() -> None:
    world = World()
    device = world.client("device", will=Frame(topic="x", payload=b"offline"))
    world.broker.partition("device", Way.TO_BROKER)
    world.run(89)
    assert world.got == []
    world.run(2)
    assert world.got == [b"offline"]
    assert not device.connected


def test_a_message_that_comes_twice_is_two_messages() -> None:
    world = World()
    world.broker.set_faults(Faults(duplicate=1))
    world.send(b"1")
    assert world.got == [b"1", b"1"]
    assert world.count(Passage.DUPLICATED) == 1


def test_what_the_broker_drops_was_acknowledged_and_never_comes() -> None:
    world = World()
    world.broker.set_faults(Faults(drop=1), "s")
    world.send(b"1")
    world.broker.set_faults(Faults())
    world.send(b"2")
    world.run(1_000)
    assert (world.got, world.outbox) == ([b"2"], {})
    assert world.count(Passage.DROPPED) == 1


def test_a_slow_acknowledgement_keeps_the_message_under_way() -> None:
    world = World()
    world.broker.set_faults(Faults(ack_delay_s=60))
    world.send(b"1")
    assert world.got == [b"1"]
    assert world.outbox == {1: b"1"}
    world.run(60)
    assert (world.got, world.outbox) == ([b"1"], {})


def test_faults_of_one_client_do_not_touch_another() -> None:
    world = World()
    world.step()
    world.broker.set_faults(Faults(loss=1), "somebody else")
    world.send(*numbers(50))
    assert world.got == numbers(50)


@pytest.mark.parametrize(("keep_sessions", "keep_retained"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_broker_is_restarted_with_what_it_keeps(keep_sessions: bool, keep_retained: bool) -> None:
    world = World()
    world.publisher.publish(Frame(topic="kept", payload=b"r", retain=True))
    world.subscriber.close()
    world.publisher.publish(Frame(topic="x", payload=b"queued"))
    world.broker.restart(keep_sessions=keep_sessions, keep_retained=keep_retained)
    back, late = world.client("s", "x"), world.client("late", "kept")

    def told(client: MemoryTransport) -> list[object]:
        return [event.frame.payload if isinstance(event, Received) else event for event in client.wait(0)]

    assert told(back) == [Connected(session_present=keep_sessions), *([b"queued"] if keep_sessions else [])]
    assert told(late) == [Connected(session_present=False), *([b"r"] if keep_retained else [])]


def test_what_was_on_its_way_is_lost_with_its_connection() -> None:
    world = World()
    world.step()
    world.broker.set_faults(Faults(delay_s=10))
    world.send(b"1")
    world.broker.restart()
    world.broker.set_faults(Faults())
    assert world.got == []
    world.step()
    assert world.got == [b"1"]
    world.run(100)
    assert world.got == [b"1"]


def test_a_wait_lasts_no_longer_than_until_something_arrives() -> None:
    world = World()
    world.step()
    world.broker.set_faults(Faults(delay_s=0.01))
    world.publisher.publish(Frame(topic="x", payload=b"1"))
    assert world.publisher.wait(None) == []  # would be without end


faulty = st.builds(
    Faults,
    loss=st.floats(0, 0.3),
    duplicate=st.floats(0, 0.3),
    reorder=st.floats(0, 0.3),
    delay_s=st.floats(0, 100),
    ack_delay_s=st.floats(0, 100),
    hold_s=st.floats(0, 300),
    patience_s=st.floats(0, 100),
)


def played(seed: int, faults: Faults, steps: list[int]) -> World:
    world = World(seed, receive_maximum=3)
    world.broker.set_faults(faults)
    for index, step in enumerate(steps):
        world.send(b"%d" % index)
        if step == 0:
            world.broker.partition("s", *Way)
        elif step == 1:
            world.broker.partition("p", Way.TO_CLIENT)
        elif step == 2:
            world.broker.heal()
        elif step == 3:
            world.broker.restart()
        world.run(20 * step)
    world.broker.heal()
    world.broker.set_faults(Faults())
    world.run(1_000)
    return world


@given(st.integers(0, 1_000_000), faulty, st.lists(st.integers(0, 8), max_size=20))
def test_when_the_faults_end_everything_has_arrived_at_least_once(seed: int, faults: Faults, steps: list[int]) -> None:
    world = played(seed, faults, steps)
    assert set(world.got) == set(numbers(len(steps)))
    assert (world.outbox, world.waiting) == ({}, [])
    assert world.broker.seconds_to_next() is None


@given(st.integers(0, 1_000_000), faulty, st.lists(st.integers(0, 8), max_size=12))
def test_the_same_seed_gives_the_same_run(seed: int, faults: Faults, steps: list[int]) -> None:
    assert played(seed, faults, steps).seen == played(seed, faults, steps).seen
