"""The paho transport against brokers that refuse, fall silent, drop connections or talk nonsense.

Each test names a trap of MQTT or of paho that the transport must not fall into. Behaviour with real brokers is in
``tests/integration``.
"""

from __future__ import annotations

import os
import re
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from itertools import count, pairwise
from typing import TypeVar

import paho.mqtt.client as mqtt
import pytest
import trustme

from allye_protocol.errors import ErrorCode, TopicError, TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.base import Connected, Disconnected, Published, Received, Transport, TransportEvent
from allye_protocol.transport.options import MqttOptions
from allye_protocol.transport.paho import PahoTransport
from tests.transport.scripted_broker import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Peer,
    ScriptedBroker,
)

DEADLINE_S = 10.0
SESSION_EXPIRY, REASON_STRING, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 17, 31, 33, 39

E = TypeVar("E", Connected, Disconnected, Published, Received)


def frame(topic: str = "x/1", payload: bytes = b"1", **fields) -> Frame:
    return Frame(topic=topic, payload=payload, **fields)


class Client:
    """A transport whose events can be awaited one by one."""

    def __init__(self, transport: PahoTransport) -> None:
        self.transport = transport
        self.publish = transport.publish
        self.acknowledge = transport.acknowledge
        self.close = transport.close
        self._unread: list[TransportEvent] = []

    @property
    def connected(self) -> bool:
        return self.transport.connected

    def wait(self, timeout_s: float | None) -> list[TransportEvent]:
        events, self._unread = self._unread, []
        return events or self.transport.wait(timeout_s)


@contextmanager
def transport(broker: ScriptedBroker, *filters: str, random_unit=lambda: 0.01, **settings):
    options = MqttOptions(**{"host": "127.0.0.1", "port": broker.port, "client_id": "a", **settings})
    opened = PahoTransport(options, random_unit=random_unit)
    opened.open(filters)
    try:
        yield Client(opened)
    finally:
        opened.close(0.1)


def until(client: Client, kind: type[E]) -> E:
    """Wait for an event; those before it are passed over."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        events = client.wait(0.5)
        for index, event in enumerate(events):
            if isinstance(event, kind):
                client._unread = events[index + 1 :]
                return event
    raise AssertionError(f"no {kind.__name__}")


def accepting(peer: Peer) -> None:
    peer.accept()
    peer.serve()


def granting(peer: Peer) -> None:
    peer.accept()
    peer.grant()
    peer.serve()


def lost_after_publish(peer: Peer) -> None:
    peer.accept()
    while peer.read().kind != PUBLISH:
        pass


# Connecting


def test_it_is_a_transport() -> None:
    assert isinstance(PahoTransport(MqttOptions(host="h", client_id="a")), Transport)


def test_the_first_connection_keeps_the_session_of_before() -> None:
    with (
        ScriptedBroker(accepting) as broker,
        transport(broker, session_expiry_s=77, receive_maximum=9, keepalive_s=30) as client,
    ):
        until(client, Connected)
        body = broker.next_packet(CONNECT).body
    level, flags, keepalive_s = body[6], body[7], struct.unpack("!H", body[8:10])[0]
    clean_start = flags & 2
    properties = body[11 : 11 + body[10]]
    assert (level, clean_start, keepalive_s) == (5, 0, 30)
    assert properties == bytes([SESSION_EXPIRY]) + struct.pack("!I", 77) + bytes([RECEIVE_MAXIMUM]) + struct.pack("!H", 9)


def test_a_will_that_is_asked_for_is_asked_for_at_every_connection() -> None:
    asked = count(1)

    def will() -> Frame:
        return Frame(topic="status", payload=b"lost %d times" % next(asked))

    with ScriptedBroker(lambda peer: peer.accept(), accepting) as broker, transport(broker, will=will) as client:
        until(client, Disconnected)
        until(client, Connected)
        connects = broker.next_packet(CONNECT), broker.next_packet(CONNECT)
        assert [packet.body[-12:] for packet in connects] == [b"lost 1 times", b"lost 2 times"]


def test_a_refused_connection_is_told_and_tried_again() -> None:
    def refusing(peer: Peer) -> None:
        peer.read()
        peer.send(CONNACK, bytes([0, 0x87, 0]))

    with ScriptedBroker(refusing, accepting) as broker, transport(broker) as client:
        assert "Not authorized" in until(client, Disconnected).reason
        until(client, Connected)


def test_a_broker_that_cannot_be_reached_is_told_and_tried_again() -> None:
    with ScriptedBroker(accepting) as gone:
        port = gone.port
    options = MqttOptions(host="127.0.0.1", port=port, client_id="a")
    client = Client(PahoTransport(options, random_unit=lambda: 0.001))
    client.transport.open([])
    for _ in range(3):
        assert f"127.0.0.1:{port}" in until(client, Disconnected).reason
    assert not client.connected
    client.close(1)


def test_a_broker_that_never_answers_the_connection_is_left() -> None:
    with ScriptedBroker(Peer.serve, accepting) as broker, transport(broker, connect_timeout_s=0.1) as client:
        assert until(client, Disconnected).reason == "the broker did not answer in time"
        until(client, Connected)


def test_the_delay_before_connecting_again_is_drawn_from_the_given_source_and_grows() -> None:
    drawn: list[float] = []

    def source() -> float:
        drawn.append(time.monotonic())
        return 1.0

    def closing(peer: Peer) -> None:
        peer.read()

    with ScriptedBroker(closing) as broker, transport(broker, random_unit=source, reconnect_base_s=0.05) as client:
        for _ in range(4):
            until(client, Disconnected)
    gaps = [after - before for before, after in pairwise(drawn)]
    assert gaps[0] >= 0.05
    assert gaps[1] >= 0.1
    assert gaps[2] >= 0.2


# Subscribing


def test_a_refused_subscription_is_no_connection() -> None:
    def refusing(peer: Peer) -> None:
        peer.accept()
        peer.grant(0x87)
        peer.serve()

    with ScriptedBroker(refusing, granting) as broker, transport(broker, "x/#") as client:
        reason = until(client, Disconnected).reason
        assert "x/#" in reason
        assert "Not authorized" in reason
        until(client, Connected)
        # It ended without a DISCONNECT, so the broker publishes the will.
        assert not [packet for packet in broker.packets() if packet.kind == DISCONNECT]


def test_a_message_that_overtakes_the_answer_to_the_subscription_comes_after_the_connection() -> None:
    def eager(peer: Peer) -> None:
        peer.accept()
        peer.publish("x/1", b"retained", mid=7)
        peer.grant()
        peer.serve()

    with ScriptedBroker(eager) as broker, transport(broker, "x/#") as client:
        events = client.wait(DEADLINE_S)
        while len(events) < 2:
            events += client.wait(DEADLINE_S)
        assert events[0] == Connected(session_present=False)
        assert isinstance(events[1], Received)
        assert events[1].frame.payload == b"retained"


def test_a_kept_session_is_served_before_the_subscription_is_answered() -> None:
    def patient(peer: Peer) -> None:
        peer.accept(session_present=True)
        peer.publish("x/1", b"queued", mid=7)
        subscribe = peer.read()
        assert peer.read().kind == PUBACK
        peer.send(SUBACK, struct.pack("!HBB", subscribe.mid, 0, 1))
        peer.serve()

    with ScriptedBroker(patient) as broker, transport(broker, "x/#") as client:
        assert until(client, Connected).session_present
        assert client.acknowledge(until(client, Received))
        client.publish(frame())
        broker.next_packet(PUBLISH)


def test_a_kept_session_is_subscribed_to_once_a_process_because_a_new_release_may_want_more() -> None:
    def short(peer: Peer) -> None:
        peer.accept(session_present=True)
        peer.grant()

    def kept(peer: Peer) -> None:
        peer.accept(session_present=True)
        peer.serve()

    with ScriptedBroker(short, kept) as broker, transport(broker, "x/#") as client:
        until(client, Connected)
        until(client, Disconnected)
        assert until(client, Connected) == Connected(session_present=True)
        assert [packet.connection for packet in broker.packets() if packet.kind == SUBSCRIBE] == [1]


def test_a_lost_session_is_subscribed_to_again() -> None:
    def short(peer: Peer) -> None:
        peer.accept()
        peer.grant()

    with ScriptedBroker(short, granting) as broker, transport(broker, "x/#") as client:
        until(client, Connected)
        until(client, Disconnected)
        until(client, Connected)
        assert [packet.connection for packet in broker.packets() if packet.kind == SUBSCRIBE] == [1, 2]


# Publishing


@pytest.mark.parametrize(
    ("reason", "accepted", "unheard"),
    [(0x00, True, False), (0x10, True, True), (0x87, False, False), (0x97, False, False)],
)
def test_the_answer_to_a_publish_is_looked_at(reason: int, accepted: bool, unheard: bool) -> None:
    def answering(peer: Peer) -> None:
        peer.accept()
        packet = peer.read()
        peer.send(PUBACK, struct.pack("!HBB", packet.mid, reason, 0))
        peer.serve()

    with ScriptedBroker(answering) as broker, transport(broker) as client:
        until(client, Connected)
        token = client.publish(frame())
        published = until(client, Published)
        assert (published.token, published.accepted, published.unheard) == (token, accepted, unheard)
        assert published.reason


def test_nothing_is_published_offline_and_nothing_is_kept_for_later() -> None:
    with ScriptedBroker(lost_after_publish, accepting) as broker, transport(broker, random_unit=lambda: 0.3) as client:
        until(client, Connected)
        client.publish(frame(payload=b"lost"))
        until(client, Disconnected)
        with pytest.raises(TransportError) as caught:
            client.publish(frame(payload=b"offline"))
        assert caught.value.code is ErrorCode.TRANSPORT_NOT_CONNECTED
        until(client, Connected)
        client.publish(frame(payload=b"new"))
        published = broker.next_packet(PUBLISH), broker.next_packet(PUBLISH)
        assert [(packet.connection, packet.body[-4:]) for packet in published] == [(1, b"lost"), (2, b"\0new")]


def test_tokens_of_two_connections_differ() -> None:
    with ScriptedBroker(lost_after_publish, accepting) as broker, transport(broker) as client:
        until(client, Connected)
        first = client.publish(frame())
        until(client, Disconnected)
        until(client, Connected)
        assert client.publish(frame()) != first


def test_a_packet_above_the_brokers_limit_is_never_sent() -> None:
    def small(peer: Peer) -> None:
        peer.accept(properties=bytes([MAXIMUM_PACKET_SIZE]) + struct.pack("!I", 100))
        peer.serve()

    with ScriptedBroker(small) as broker, transport(broker, max_packet_bytes=1_000) as client:
        assert until(client, Connected).max_packet_bytes == 100
        with pytest.raises(TransportError) as caught:
            client.publish(frame(payload=b"x" * 100))
        assert caught.value.code is ErrorCode.TRANSPORT_TOO_LARGE
        client.publish(frame(payload=b"small"))
        assert broker.next_packet(PUBLISH).body.endswith(b"small")


def test_a_topic_name_that_is_none_is_never_sent() -> None:
    with ScriptedBroker(accepting) as broker, transport(broker) as client:
        until(client, Connected)
        for name in ("x/+", "x\0", ""):
            with pytest.raises(TopicError):
                client.publish(frame(name))


def test_a_brokers_receive_maximum_is_kept() -> None:
    def narrow(peer: Peer) -> None:
        peer.accept(properties=bytes([RECEIVE_MAXIMUM]) + struct.pack("!H", 2))
        peer.serve()

    with ScriptedBroker(narrow) as broker, transport(broker) as client:
        assert "2 publishes at once" in until(client, Disconnected).reason
        until(client, Connected)
        for _ in range(5):
            client.publish(frame())
        sent = broker.next_packet(PUBLISH), broker.next_packet(PUBLISH)
        assert [packet.mid for packet in sent] == [1, 2]
        # The connection is still there for more, and yet nothing more came: the third waits for an answer to the first.
        client.close(0.2)
        assert not [packet for packet in broker.packets() if packet.kind == PUBLISH]


def test_only_the_network_thread_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two threads that write to one socket can cut a packet in two.
    writers: set[str] = set()
    write = mqtt.Client.loop_write

    def noting(client: mqtt.Client) -> object:
        writers.add(threading.current_thread().name)
        return write(client)

    monkeypatch.setattr(mqtt.Client, "loop_write", noting)
    with ScriptedBroker(accepting) as broker, transport(broker) as client:
        until(client, Connected)
        for _ in range(20):
            client.publish(frame(qos=0))
        broker.next_packet(PUBLISH)
    assert writers == {"mqtt a"}


def test_a_message_of_quality_0_is_answered_when_it_is_sent() -> None:
    with ScriptedBroker(accepting) as broker, transport(broker) as client:
        until(client, Connected)
        assert until_published(client, client.publish(frame(qos=0)))


def until_published(client: Client, token: int) -> bool:
    published = until(client, Published)
    assert published.token == token
    return published.accepted


# Receiving


def test_a_message_is_acknowledged_when_the_app_says_so_and_once() -> None:
    def delivering(peer: Peer) -> None:
        peer.accept()
        peer.publish("x/1", b"1", mid=7)
        peer.publish("x/1", b"2", mid=8)
        peer.serve()

    with ScriptedBroker(delivering) as broker, transport(broker) as client:
        first = until(client, Received)
        assert not [packet for packet in broker.packets() if packet.kind == PUBACK]
        assert client.acknowledge(first)
        assert broker.next_packet(PUBACK).mid == 7
        client.acknowledge(first)
        client.publish(frame())
        broker.next_packet(PUBLISH)
        assert not [packet for packet in broker.packets() if packet.kind == PUBACK]


def test_messages_are_acknowledged_in_the_order_in_which_they_came() -> None:
    def delivering(peer: Peer) -> None:
        peer.accept()
        for mid in (7, 3, 9):
            peer.publish("x/1", b"1", mid=mid)
        peer.serve()

    with ScriptedBroker(delivering) as broker, transport(broker) as client:
        first, second, third = [until(client, Received) for _ in range(3)]
        assert client.acknowledge(third)
        assert client.acknowledge(first)
        assert broker.next_packet(PUBACK).mid == 7
        assert client.acknowledge(second)
        assert [broker.next_packet(PUBACK).mid for _ in range(2)] == [3, 9]


def test_a_message_is_acknowledged_only_on_the_connection_that_delivered_it() -> None:
    def delivering(peer: Peer) -> None:
        peer.accept()
        peer.publish("x/1", b"1", mid=7)

    def again(peer: Peer) -> None:
        peer.accept(session_present=True)
        peer.publish("x/1", b"other", mid=7)
        peer.serve()

    with ScriptedBroker(delivering, again) as broker, transport(broker) as client:
        stale = until(client, Received)
        until(client, Disconnected)
        assert not client.acknowledge(stale)
        fresh = until(client, Received)
        assert not client.acknowledge(stale)
        assert client.acknowledge(fresh)
        assert [(packet.connection, packet.mid) for packet in [broker.next_packet(PUBACK)]] == [(2, 7)]


def test_reading_stops_while_too_much_is_unread_and_nothing_is_lost() -> None:
    def flooding(peer: Peer) -> None:
        peer.accept()
        for index in range(5_000):
            peer.publish("x/1", b"%04d" % index + b"x" * 1_000)
        peer.serve()

    with ScriptedBroker(flooding) as broker, transport(broker, receive_maximum=10) as client:
        until(client, Connected)
        deadline = time.monotonic() + DEADLINE_S
        while not client.transport._link.paused and time.monotonic() < deadline:
            threading.Event().wait(0.001)
        assert len(client.transport._mailbox) <= 11
        numbers: list[int] = []
        while 4_999 not in numbers[-20:] and time.monotonic() < deadline:
            numbers += [int(event.frame.payload[:4]) for event in client.wait(1) if isinstance(event, Received)]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 4_999


# The watchdog


def test_a_broker_that_falls_silent_is_left() -> None:
    def silent(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.read()

    with ScriptedBroker(silent, accepting) as broker, transport(broker, keepalive_s=1) as client:
        until(client, Connected)
        started = time.monotonic()
        assert "nothing received" in until(client, Disconnected).reason
        assert time.monotonic() - started < 4
        until(client, Connected)


def test_a_quiet_connection_is_kept_alive() -> None:
    with ScriptedBroker(accepting) as broker, transport(broker, keepalive_s=1) as client:
        until(client, Connected)
        for _ in range(2):
            broker.next_packet(PINGREQ)
        assert client.connected
        assert client.wait(0) == []


@pytest.mark.parametrize(
    ("body", "reason"),  # paho 2.1 raises for both, 2.2 for the second
    [
        (b"\0\3x/1" + bytes([5, 255, 255, 255, 255, 255]) + b"?", "Protocol error|Error|Exception|Malformed"),
        (b"\0\3x/\xff\0", "UnicodeDecodeError"),
    ],
    ids=["properties", "topic"],
)
def test_a_broken_packet_ends_the_connection_and_not_the_transport(body: bytes, reason: str) -> None:
    def broken(peer: Peer) -> None:
        peer.accept()
        peer.send(PUBLISH, body)
        peer.serve()

    with ScriptedBroker(broken, accepting) as broker, transport(broker) as client:
        until(client, Connected)
        assert re.search(reason, until(client, Disconnected).reason)
        until(client, Connected)
        client.publish(frame())
        broker.next_packet(PUBLISH)


def test_a_disconnect_by_the_broker_tells_its_reason() -> None:
    def closing(peer: Peer) -> None:
        peer.accept()
        peer.send(DISCONNECT, bytes([0x8E, 4, REASON_STRING, 0, 1]) + b"x")

    with ScriptedBroker(closing, accepting) as broker, transport(broker) as client:
        until(client, Connected)
        assert "Session taken over" in until(client, Disconnected).reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_network_thread_that_died_is_noticed_and_replaced() -> None:
    calls: list[int] = []

    def dying() -> float:
        calls.append(1)
        if len(calls) == 1:
            raise SystemExit
        return 0.01

    with ScriptedBroker(lost_after_publish, accepting) as broker, transport(broker, random_unit=dying) as client:
        until(client, Connected)
        client.publish(frame())
        until(client, Disconnected)
        assert until(client, Disconnected).reason == "the network thread ended"
        assert not client.connected
        until(client, Connected)
        assert client.connected


def test_more_than_1024_descriptors_are_no_obstacle() -> None:
    resource = pytest.importorskip("resource", reason="file descriptor limits exist on POSIX only")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1_300:
        pytest.skip("this machine allows fewer than 1,300 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1_300), hard))
    null = os.open(os.devnull, os.O_RDONLY)
    taken = [os.dup(null) for _ in range(1_100)]
    try:
        with ScriptedBroker(accepting) as broker, transport(broker) as client:
            until(client, Connected)
            client.publish(frame())
            broker.next_packet(PUBLISH)
    finally:
        for descriptor in [*taken, null]:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Closing


def test_closing_waits_for_answers_and_says_goodbye() -> None:
    release = threading.Event()

    def slow(peer: Peer) -> None:
        peer.accept()
        packet = peer.read()
        release.wait(DEADLINE_S)
        peer.send(PUBACK, struct.pack("!H", packet.mid))
        peer.serve()

    with ScriptedBroker(slow) as broker, transport(broker) as client:
        until(client, Connected)
        token = client.publish(frame())
        closing = threading.Thread(target=client.close)
        closing.start()
        broker.next_packet(PUBLISH)
        release.set()
        closing.join(DEADLINE_S)
        assert [event for event in client.wait(None) if not isinstance(event, Connected)] == [
            Published(token=token, accepted=True, reason="Success"),
            Disconnected(reason="closed"),
        ]
        assert client.wait(None) == []
        assert broker.next_packet(DISCONNECT).body in (b"", b"\0", b"\0\0")


def test_closing_does_not_wait_for_ever() -> None:
    with ScriptedBroker(accepting) as broker, transport(broker) as client:
        until(client, Connected)
        client.publish(frame())
        started = time.monotonic()
        client.close(0.1)
        assert time.monotonic() - started < 2
        assert not client.connected
        broker.next_packet(DISCONNECT)


def test_closing_during_the_delay_ends_it() -> None:
    with ScriptedBroker(accepting) as gone:
        port = gone.port
    client = Client(PahoTransport(MqttOptions(host="127.0.0.1", port=port, client_id="a"), random_unit=lambda: 60.0))
    client.transport.open([])
    until(client, Disconnected)
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 2


def test_a_transport_is_opened_once() -> None:
    with ScriptedBroker(accepting) as broker, transport(broker) as client:
        with pytest.raises(RuntimeError):
            client.transport.open([])
        client.close()
        with pytest.raises(RuntimeError):
            client.transport.open([])


def test_a_filter_that_is_none_is_refused_before_anything_happens() -> None:
    client = PahoTransport(MqttOptions(host="h", client_id="a"))
    with pytest.raises(TopicError):
        client.open(["x/#/y"])


# MQTT 3.1.1


def test_mqtt_3_1_1_has_no_properties() -> None:
    def old(peer: Peer) -> None:
        peer.read()
        peer.send(CONNACK, bytes([1, 0]))
        packet = peer.read()
        peer.send(SUBACK, struct.pack("!HB", packet.mid, 1))
        head = struct.pack("!H", 3) + b"x/1" + struct.pack("!H", 5)
        peer.send(PUBLISH, head + b"hi", flags=2)
        packet = peer.read()
        peer.send(PUBACK, struct.pack("!H", packet.mid))
        peer.serve()

    with ScriptedBroker(old) as broker, transport(broker, "x/#", protocol="3.1.1") as client:
        assert until(client, Connected) == Connected(session_present=True)
        received = until(client, Received)
        assert received.frame == Frame(topic="x/1", payload=b"hi")
        token = client.publish(frame(payload=b"yo", content_type="application/json", user_properties=(("a", "b"),), expiry_s=5))
        assert until_published(client, token)
        connect, published = broker.next_packet(CONNECT), broker.next_packet(PUBLISH)
        assert (connect.body[6], connect.body[7] & 2) == (4, 0)
        assert published.body == struct.pack("!H", 3) + b"x/1" + struct.pack("!H", published.mid) + b"yo"


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_tls_connection_carries_messages_of_many_records(authority: trustme.CA) -> None:
    def delivering(peer: Peer) -> None:
        peer.accept()
        for index in range(50):
            peer.publish("x/1", b"%02d" % index + b"x" * 10_000)
        peer.serve()

    tls = client_context(authority)
    with ScriptedBroker(delivering, tls=server_context(authority, "127.0.0.1")) as broker, transport(broker, tls=tls) as client:
        numbers = [int(until(client, Received).frame.payload[:2]) for _ in range(1)]
        while len(numbers) < 50 and (events := client.wait(DEADLINE_S)):
            numbers += [int(event.frame.payload[:2]) for event in events if isinstance(event, Received)]
        assert numbers[-1] == 49


@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_a_broker_that_is_not_who_it_should_be_is_left(authority: trustme.CA, wrong: str) -> None:
    name = "elsewhere.example" if wrong == "name" else "127.0.0.1"
    tls = client_context(authority if wrong == "name" else trustme.CA())
    with ScriptedBroker(accepting, tls=server_context(authority, name)) as broker, transport(broker, tls=tls) as client:
        assert "certificate verify failed" in until(client, Disconnected).reason
        assert not client.connected
