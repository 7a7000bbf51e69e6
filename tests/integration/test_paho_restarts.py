"""The paho transport when a broker dies, freezes, forgets or forbids."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from allye_demo.broker import BrokerKind
from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.base import Connected, Disconnected, Received
from tests.integration.brokers import Client, running_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_demo.broker import Broker


@contextmanager
def world(kind: BrokerKind = BrokerKind.MOSQUITTO, **settings) -> Iterator[tuple[Broker, ExitStack]]:
    """A broker of one's own, and what closes its clients before it."""
    with running_broker(kind, **settings) as broker, ExitStack() as stack:
        yield broker, stack


def client(broker: Broker, stack: ExitStack, client_id: str, *filters: str, **settings) -> Client:
    made = Client(broker, client_id, **settings)
    stack.callback(made.transport.close, 0.5)
    made.open(*filters)
    return made


def frame(topic: str, payload: bytes = b"1", **fields) -> Frame:
    return Frame(topic=topic, payload=payload, **fields)


@pytest.mark.parametrize("kind", list(BrokerKind))
def test_after_a_broker_was_killed_and_restarted_everything_goes_on_by_itself(kind: BrokerKind) -> None:
    with world(kind) as (broker, stack):
        one = client(broker, stack, "one", "x/#")
        for number in range(3):
            broker.kill()
            assert one.until(Disconnected).reason
            with pytest.raises(TransportError) as caught:
                one.transport.publish(frame("x/1", b"offline"))
            assert caught.value.code is ErrorCode.TRANSPORT_NOT_CONNECTED
            broker.start()
            # The broker lost the session: only a new subscription brings the message.
            assert not one.until(Connected).session_present
            one.transport.publish(frame("x/1", b"%d" % number))
            assert one.received().payload == b"%d" % number


def test_a_broker_with_persistence_delivers_after_its_restart_what_was_queued() -> None:
    with world(persistence=True) as (broker, stack):
        publisher, away = client(broker, stack, "p"), client(broker, stack, "a", "x")
        away.transport.close()
        publisher.publish(frame("x", b"queued"))
        broker.stop()
        broker.start()
        back = client(broker, stack, "a", "x")
        assert back.connected.session_present
        assert back.received().payload == b"queued"


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are frozen on POSIX only")
def test_a_frozen_broker_is_left_and_found_again_when_it_thaws() -> None:
    with world() as (broker, stack):
        one = client(broker, stack, "one", keepalive_s=1, connect_timeout_s=0.2)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            assert "nothing received" in one.until(Disconnected).reason
            assert not one.transport.connected
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        one.until(Connected)
        assert one.publish(frame("x")).accepted


def test_mosquitto_tells_its_packet_limit_and_nothing_above_it_is_sent() -> None:
    with world(max_packet_bytes=5_000) as (broker, stack):
        one = client(broker, stack, "one", "x")
        assert one.connected.max_packet_bytes == 5_000
        with pytest.raises(TransportError) as caught:
            one.transport.publish(frame("x", b"x" * 5_000))
        assert caught.value.code is ErrorCode.TRANSPORT_TOO_LARGE
        fits = 5_000 - len(b"\x32\x85\x27") - len(b"\0\x01x") - len(b"\0\x01") - len(b"\0")
        one.transport.publish(frame("x", b"x" * fits))
        assert len(one.received().payload) == fits
        with pytest.raises(TransportError):
            one.transport.publish(frame("x", b"x" * (fits + 1)))


def test_a_publish_that_the_broker_forbids_is_not_accepted(tmp_path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read devices/#\n")
    tmp_path.chmod(0o755)
    acl.chmod(0o700)
    with world(settings=[f"acl_file {acl}"]) as (broker, stack):
        one = client(broker, stack, "one")
        published = one.publish(frame("devices/a/ack"))
        assert not published.accepted
        assert published.reason == "Not authorized"


def test_a_wrong_password_is_told() -> None:
    with world(settings=["password_file /dev/null"]) as (broker, stack):
        one = Client(broker, "one", username="device", password="wrong")
        stack.callback(one.transport.close, 0.5)
        one.transport.open([])
        assert "Not authorized" in one.until(Disconnected).reason


def test_messages_wait_for_their_turn_when_many_are_unacknowledged() -> None:
    with world() as (broker, stack):
        publisher, slow = client(broker, stack, "p"), client(broker, stack, "slow", "x", receive_maximum=3)
        for index in range(8):
            publisher.publish(frame("x", b"%d" % index))
        under_way = [slow.until(Received) for _ in range(3)]
        with pytest.raises(AssertionError, match="no Received"):
            slow.until(Received, 0.3)
        for event in under_way:
            assert slow.transport.acknowledge(event)
        assert [got.payload for got in slow.drain()] == [b"3", b"4", b"5", b"6", b"7"]


def test_an_expired_message_is_not_delivered() -> None:
    with world() as (broker, stack):
        publisher, away = client(broker, stack, "p"), client(broker, stack, "a", "x")
        away.transport.close()
        publisher.publish(frame("x", b"short", expiry_s=1))
        publisher.publish(frame("x", b"long", expiry_s=1_000))
        # mosquitto counts expiry in whole seconds of its own; its first look after two of them is certain to see it.
        publisher.transport.wait(0)
        assert publisher.transport.wait(2.1) == []
        (got,) = client(broker, stack, "a", "x").drain()
        assert got.payload == b"long"
        assert got.expiry_s is not None
        assert 990 <= got.expiry_s <= 999


def test_a_clean_start_and_a_session_without_expiry_forget() -> None:
    with world() as (broker, stack):
        client(broker, stack, "a", "x", session_expiry_s=0).transport.close()
        again = client(broker, stack, "a", "x")
        assert not again.connected.session_present
        again.transport.close()
        assert client(broker, stack, "a", "x", clean_start=True).connected == Connected(
            session_present=False, max_packet_bytes=131_072
        )
