"""The in-process broker behaves as MQTT 5 says a broker may, and its transport as a transport must."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, TopicError, TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.base import Connected, Disconnected, Published, Received, Transport
from allye_protocol.transport.memory import MemoryBroker, MemoryTransport


class World:
    """A broker with a clock that a test moves."""

    def __init__(self, **settings) -> None:
        self.now = 1_000.0
        self.broker = MemoryBroker(lambda: self.now, **settings)

    def client(self, name: str, *filters: str, **settings) -> MemoryTransport:
        transport = MemoryTransport(self.broker, name, **settings)
        transport.open(filters)
        return transport


def frame(topic: str = "a", payload: bytes = b"1", **fields) -> Frame:
    return Frame(topic=topic, payload=payload, **fields)


def received(transport: MemoryTransport) -> list[Received]:
    return [event for event in transport.wait(0) if isinstance(event, Received)]


def payloads(transport: MemoryTransport, *, acknowledge: bool = True) -> list[bytes]:
    found = []
    while events := received(transport):
        found += [event.frame.payload for event in events]
        if acknowledge:
            assert all(transport.acknowledge(event) for event in events)
    return found


def test_it_is_a_transport() -> None:
    assert isinstance(World().client("a"), Transport)


def test_a_publisher_is_told_when_nobody_subscribes() -> None:
    world = World()
    one, two = world.client("one"), world.client("two", "x", "$share/group/y")

    def unheard(topic: str) -> bool:
        token = one.publish(frame(topic))
        (published,) = [event for event in one.wait(0) if isinstance(event, Published)]
        assert (published.token, published.accepted) == (token, True)
        return published.unheard

    assert [unheard(topic) for topic in ("x", "y", "z")] == [False, False, True]
    two.close()
    assert [unheard(topic) for topic in ("x", "y")] == [False, False]  # its session is kept, and so are its messages
    world.broker.stop()
    world.broker.start(forget=True)
    assert [unheard(topic) for topic in ("x", "y")] == [True, True]


def test_a_message_travels_with_everything_that_it_has() -> None:
    world = World()
    one, two = world.client("one"), world.client("two", "x/+")
    sent = frame("x/1", b"hi", content_type="application/json", user_properties=(("a", "b"), ("a", "c")), expiry_s=60)
    token = one.publish(sent)
    assert one.wait(0) == [Connected(session_present=False), Published(token=token, accepted=True, reason="Success")]
    connected, event = two.wait(0)
    assert connected == Connected(session_present=False)
    assert isinstance(event, Received)
    assert event.frame == sent
    assert two.acknowledge(event)
    assert two.wait(0) == []


def test_tokens_are_not_repeated() -> None:
    client = World().client("a")
    assert len({client.publish(frame()) for _ in range(100)}) == 100


def test_overlapping_subscriptions_give_one_copy() -> None:
    world = World()
    client = world.client("a", "x/#", "x/+", "x/1")
    client.publish(frame("x/1"))
    assert payloads(client) == [b"1"]


def test_nothing_else_is_delivered() -> None:
    world = World()
    client = world.client("a", "x/+")
    for topic in ("x", "x/1/2", "y/1", "$SYS/1"):
        client.publish(frame(topic))
    assert payloads(client) == []


def test_a_retained_message_waits_for_new_subscriptions_and_an_empty_one_clears_it() -> None:
    world = World()
    publisher = world.client("p")
    publisher.publish(frame("x/1", b"old", retain=True))
    publisher.publish(frame("x/1", b"new", retain=True))
    late = world.client("late", "x/+")
    assert [(event.frame.payload, event.frame.retain) for event in received(late)] == [(b"new", True)]
    publisher.publish(frame("x/1", b"live", retain=True))
    assert [(event.frame.payload, event.frame.retain) for event in received(late)] == [(b"live", False)]
    publisher.publish(frame("x/1", b"", retain=True))
    assert payloads(late) == [b""]
    assert payloads(world.client("later", "x/+")) == []


def test_a_kept_session_does_not_get_the_retained_message_again() -> None:
    world = World()
    client = world.client("a", "x")
    client.publish(frame("x", retain=True))
    assert payloads(client) == [b"1"]
    world.broker.drop("a")
    assert payloads(client) == []
    assert payloads(client) == []


def test_a_message_published_while_a_client_is_away_arrives_when_it_is_back() -> None:
    world = World()
    publisher, away = world.client("p"), world.client("a", "x")
    away.close()
    publisher.publish(frame("x", b"queued"))
    publisher.publish(frame("x", b"qos 0 is not kept", qos=0))
    back = world.client("a", "x")
    events = back.wait(0)
    assert events[0] == Connected(session_present=True)
    assert [event.frame.payload for event in events[1:]] == [b"queued"]


def test_a_clean_start_forgets_the_session() -> None:
    world = World()
    publisher, away = world.client("p"), world.client("a", "x")
    away.close()
    publisher.publish(frame("x"))
    assert world.client("a", "x", clean_start=True).wait(0) == [Connected(session_present=False)]


@pytest.mark.parametrize(("away_s", "kept"), [(59.0, True), (60.0, False)])
def test_a_session_is_kept_until_it_expires(away_s: float, kept: bool) -> None:
    world = World()
    publisher, away = world.client("p"), world.client("a", "x", session_expiry_s=60)
    away.close()
    world.now += away_s
    publisher.publish(frame("x"))
    back = world.client("a", "x", session_expiry_s=60)
    assert back.wait(0)[0] == Connected(session_present=kept)


def test_a_session_without_expiry_ends_with_its_connection() -> None:
    world = World()
    world.client("a", "x", session_expiry_s=0).close()
    assert world.client("a").wait(0) == [Connected(session_present=False)]


def test_a_kept_session_gets_the_filters_of_a_newer_release() -> None:
    world = World()
    world.client("a", "x").close()
    newer = world.client("a", "x", "y")
    newer.publish(frame("y"))
    assert payloads(newer) == [b"1"]


def test_what_was_not_acknowledged_comes_again_first_and_in_order() -> None:
    world = World()
    publisher, client = world.client("p"), world.client("a", "x", receive_maximum=3)
    for index in range(5):
        publisher.publish(frame("x", b"%d" % index))
    before = received(client)
    assert [event.frame.payload for event in before] == [b"0", b"1", b"2"]
    assert client.acknowledge(before[1])
    assert [event.frame.payload for event in received(client)] == [b"3"]
    world.broker.drop("a")
    assert [type(event) for event in client.wait(0)] == [Disconnected]
    assert not client.acknowledge(before[0])
    assert payloads(client) == [b"0", b"2", b"3", b"4"]


def test_an_acknowledgement_counts_on_its_own_connection_only() -> None:
    world = World()
    client = world.client("a", "x")
    client.publish(frame("x"))
    (first,) = received(client)
    world.broker.drop("a")
    client.wait(0)
    (second,) = received(client)
    assert not client.acknowledge(first)
    assert client.acknowledge(second)
    world.broker.drop("a")
    client.wait(0)
    assert received(client) == []


def test_no_more_than_the_receive_maximum_is_under_way() -> None:
    world = World()
    client = world.client("a", "x", receive_maximum=2)
    for index in range(5):
        client.publish(frame("x", b"%d" % index))
    assert payloads(client, acknowledge=False) == [b"0", b"1"]


def test_packet_identifiers_are_never_used_twice_at_once() -> None:
    world = World()
    client = world.client("a", "x", receive_maximum=3)
    client.publish(frame("x"))
    (held,) = received(client)
    for _ in range(65_600):
        client.publish(frame("x"))
        (event,) = received(client)
        assert event.packet != held.packet
        client.acknowledge(event)


def test_an_expired_message_is_not_delivered_and_the_rest_of_its_time_is_told() -> None:
    world = World()
    publisher, away = world.client("p"), world.client("a", "x", "kept")
    away.close()
    publisher.publish(frame("x", b"short", expiry_s=10))
    publisher.publish(frame("x", b"long", expiry_s=60))
    publisher.publish(frame("late", b"retained", expiry_s=10, retain=True))
    world.now += 10.5
    (event,) = received(world.client("a", "x"))
    assert (event.frame.payload, event.frame.expiry_s) == (b"long", 50)
    assert payloads(world.client("new", "late")) == []


def test_the_will_is_published_when_a_client_is_lost_and_not_when_it_leaves() -> None:
    world = World()
    will = frame("status", b"offline", retain=True)
    watcher = world.client("w", "status")
    world.client("a", will=will)
    world.broker.drop("a")
    assert payloads(watcher) == [b"offline"]
    world.client("b", will=will).close()
    assert payloads(watcher) == []
    assert payloads(world.client("later", "status")) == [b"offline"]


def test_a_will_that_is_asked_for_is_that_of_the_lost_connection() -> None:
    world = World()
    asked: list[bytes] = []

    def will() -> Frame:
        asked.append(b"offline %d" % len(asked))
        return frame("status", asked[-1])

    watcher = world.client("w", "status")
    client = world.client("a", will=will)
    for _ in range(2):
        world.broker.drop("a")
        while not client.connected:
            client.wait(0)
    assert payloads(watcher) == [b"offline 0", b"offline 1"]
    assert len(asked) == 3
    world.client("b", will=lambda: None)
    world.broker.drop("b")
    assert payloads(watcher) == []


def test_a_second_client_of_the_same_name_takes_the_session_over() -> None:
    world = World()
    first = world.client("a", "x")
    first.wait(0)
    second = world.client("a", "x")
    assert [type(event) for event in first.wait(0)] == [Disconnected]
    assert second.wait(0) == [Connected(session_present=True)]
    assert (first.connected, second.connected) == (False, True)


def test_a_shared_subscription_gives_each_message_to_one_member_in_turn() -> None:
    world = World()
    members = [world.client(name, "$share/g/x/+") for name in ("a", "b", "c")]
    alone = world.client("alone", "x/#")
    for index in range(6):
        alone.publish(frame(f"x/{index}", b"%d" % index))
    shares = [payloads(member) for member in members]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert sorted(b for share in shares for b in share) == sorted(payloads(alone)) == [b"%d" % index for index in range(6)]


def test_a_shared_subscription_prefers_members_that_are_there_and_keeps_for_those_that_are_not() -> None:
    world = World()
    publisher = world.client("p")
    here, away = world.client("a", "$share/g/x"), world.client("b", "$share/g/x")
    away.close()
    for _ in range(4):
        publisher.publish(frame("x"))
    assert len(payloads(here)) == 4
    here.close()
    publisher.publish(frame("x", b"kept"))
    assert payloads(world.client("a", "$share/g/x")) + payloads(world.client("b", "$share/g/x")) == [b"kept"]


def test_groups_get_their_own_copies_and_no_retained_messages() -> None:
    world = World()
    publisher = world.client("p")
    publisher.publish(frame("x", b"retained", retain=True))
    one, two = world.client("a", "$share/g/x"), world.client("b", "$share/h/x", "x")
    assert (payloads(one), payloads(two)) == ([], [b"retained"])
    publisher.publish(frame("x", b"live"))
    assert (payloads(one), payloads(two)) == ([b"live"], [b"live", b"live"])


def test_an_expired_member_leaves_its_group() -> None:
    world = World()
    publisher = world.client("p")
    gone, here = world.client("a", "$share/g/x", session_expiry_s=0), world.client("b", "$share/g/x")
    gone.close()
    publisher.publish(frame("x"))
    assert payloads(here) == [b"1"]
    here.close()
    publisher.publish(frame("x", b"2"))
    assert payloads(world.client("b", "$share/g/x")) == [b"2"]


def test_a_packet_above_the_limit_is_refused_before_it_is_sent() -> None:
    world = World(max_packet_bytes=50)
    client = world.client("a", "x")
    assert client.wait(0) == [Connected(session_present=False, max_packet_bytes=50)]
    with pytest.raises(TransportError) as caught:
        client.publish(frame("x", b"x" * 50))
    assert caught.value.code is ErrorCode.TRANSPORT_TOO_LARGE
    assert client.wait(0) == []


def test_quality_of_service_2_is_refused() -> None:
    with pytest.raises(TransportError) as caught:
        World().client("a").publish(frame(qos=2))
    assert caught.value.code is ErrorCode.TRANSPORT_REJECTED


def test_a_name_or_filter_that_is_none_is_refused() -> None:
    world = World()
    with pytest.raises(TopicError):
        world.client("a").publish(frame("x/+"))
    with pytest.raises(TopicError):
        world.client("b", "x/#/y")


def test_nothing_is_published_without_a_connection() -> None:
    world = World()
    client = world.client("a", "x")
    world.broker.drop("a", refuse=True)
    assert not client.connected
    with pytest.raises(TransportError) as caught:
        client.publish(frame("x"))
    assert caught.value.code is ErrorCode.TRANSPORT_NOT_CONNECTED
    assert [type(event) for event in client.wait(0)] == [Connected, Disconnected]
    assert client.wait(0) == []
    world.broker.admit("a")
    assert client.wait(0) == [Connected(session_present=True)]


@pytest.mark.parametrize("forget", [False, True])
def test_a_broker_comes_back_with_or_without_its_memory(forget: bool) -> None:
    world = World()
    client = world.client("a", "x", will=frame("will"))
    watcher = world.client("w", "will")
    client.publish(frame("kept", b"retained", retain=True))
    client.publish(frame("x", b"unacknowledged"))
    client.wait(0)
    world.broker.stop()
    assert [type(event) for event in client.wait(0)] == [Disconnected]
    assert client.wait(0) == []
    world.broker.start(forget=forget)
    events = client.wait(0)
    assert events[0] == Connected(session_present=not forget)
    assert [event.frame.payload for event in events[1:]] == ([] if forget else [b"unacknowledged"])
    assert payloads(world.client("new", "kept")) == ([] if forget else [b"retained"])
    assert payloads(watcher) == []
    client.publish(frame("x", b"again"))
    assert b"again" in payloads(client)


def test_a_client_opened_while_the_broker_is_away_is_connected_when_it_is_back() -> None:
    world = World()
    world.broker.stop()
    client = world.client("a")
    assert client.wait(0) == []
    world.broker.start()
    assert client.wait(0) == [Connected(session_present=False)]


def test_a_closed_transport_tells_so_and_never_blocks() -> None:
    client = World().client("a")
    client.close()
    assert client.wait(None) == [Connected(session_present=False), Disconnected(reason="closed")]
    assert client.wait(None) == []
    assert not client.connected


def test_a_wait_is_ended_by_a_message_and_by_a_wake_of_another_thread() -> None:
    world = World()
    client = world.client("a", "x")
    client.wait(0)
    publisher = world.client("p")
    for action, expected in ((lambda: publisher.publish(frame("x")), 1), (client.wake, 0)):
        found: list[int] = []
        waiting = threading.Thread(target=lambda found=found: found.append(len(client.wait(10))))
        waiting.start()
        action()
        waiting.join(10)
        assert found == [expected]


def test_several_threads_may_use_one_broker() -> None:
    world = World()
    reader = world.client("reader", "x", receive_maximum=60_000)

    def publish(name: str) -> None:
        client = world.client(name)
        for _ in range(500):
            client.publish(frame("x"))

    threads = [threading.Thread(target=publish, args=(f"p{index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(payloads(reader)) == 2_000


STEPS = st.lists(st.sampled_from(["publish", "drop", "restart", "read", "ack"]), max_size=60)


@given(STEPS, st.integers(1, 4))
def test_every_message_is_acknowledged_in_the_end_and_first_deliveries_are_in_order(
    steps: list[str], receive_maximum: int
) -> None:
    world = World()
    publisher, client = world.client("p"), world.client("a", "x", receive_maximum=receive_maximum)
    sent, seen, done, open_ = 0, [], set(), []

    def read() -> None:
        for event in received(client):
            seen.append(int(event.frame.payload))
            open_.append(event)

    for step in steps:
        if step == "publish" and publisher.connected:
            publisher.publish(frame("x", b"%d" % sent))
            sent += 1
        elif step == "drop":
            world.broker.drop("a")
        elif step == "restart":
            world.broker.stop()
            world.broker.start()
        elif step == "read":
            read()
        elif step == "ack" and open_:
            event = open_.pop(0)
            if client.acknowledge(event):
                assert int(event.frame.payload) not in done
                done.add(int(event.frame.payload))
    for _ in range(sent + 3):
        read()
        while open_:
            event = open_.pop(0)
            if client.acknowledge(event):
                done.add(int(event.frame.payload))
    assert done == set(range(sent))
    assert sorted(set(seen), key=seen.index) == list(range(sent))
