"""The paho transport with real brokers: what every broker must do for this protocol to work on it."""

from __future__ import annotations

import threading

import pytest

from allye_demo.broker import BrokerKind
from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.frame import Frame
from allye_protocol.topics import Channel, build, cloud_filters, device_filters
from allye_protocol.transport.base import Connected, Disconnected, Received
from tests.integration.brokers import QUIET_S


def frame(topic: str, payload: bytes = b"1", **fields) -> Frame:
    return Frame(topic=topic, payload=payload, **fields)


def test_a_message_arrives_with_all_its_properties(connect, unique) -> None:
    cloud, device = connect(f"{unique}-cloud"), connect(unique, *device_filters(unique))
    sent = frame(
        build(unique, Channel.SCHEDULE),
        b'{"a":1}',
        content_type="application/json",
        user_properties=(("traceparent", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"), ("x", "1"), ("x", "2")),
    )
    for _ in range(2):
        assert cloud.publish(sent).accepted
        assert device.received() == sent


def test_the_cloud_hears_every_device(connect, unique) -> None:
    cloud = connect(f"{unique}-cloud", *cloud_filters(unique))
    for index in range(3):
        device = connect(f"{unique}-{index}")
        device.publish(frame(build(f"{unique}-{index}", Channel.ACK, unique)))
        assert cloud.received().topic == f"{unique}/{unique}-{index}/ack"


def test_mqtt_3_1_1_carries_the_payload(broker, connect, unique) -> None:
    if broker.kind is not BrokerKind.MOSQUITTO:
        pytest.skip("rumqttd has a port for each version of MQTT, and the embedded one is for MQTT 5")
    old, new = connect(f"{unique}-old", f"{unique}/old", protocol="3.1.1"), connect(f"{unique}-new", f"{unique}/new")
    assert new.publish(frame(f"{unique}/old", b"down", content_type="application/json")).accepted
    assert old.received() == frame(f"{unique}/old", b"down")
    assert old.publish(frame(f"{unique}/new", b"up", content_type="application/json")).accepted
    assert new.received() == frame(f"{unique}/new", b"up")


def test_a_retained_message_is_there_for_who_comes_later_until_it_is_cleared(connect, unique) -> None:
    publisher = connect(f"{unique}-p")
    publisher.publish(frame(f"{unique}/hello", b"hello", retain=True))
    late = connect(f"{unique}-late", f"{unique}/+")
    got = late.received()
    assert (got.payload, got.retain) == (b"hello", True)
    publisher.publish(frame(f"{unique}/hello", b"", retain=True))
    assert connect(f"{unique}-later", f"{unique}/+").hears_nothing()


def test_the_will_is_published_for_a_client_that_vanishes_and_not_for_one_that_leaves(connect, unique) -> None:
    will = frame(f"{unique}/status", b"offline", content_type="application/json")
    watcher = connect(f"{unique}-w", f"{unique}/status")
    connect(unique, will=will).transport.close()
    assert watcher.hears_nothing()
    connect(unique, will=will).vanish()
    assert watcher.received().payload == b"offline"


def test_a_message_published_while_a_client_is_away_arrives_when_its_process_is_back(connect, unique) -> None:
    publisher, away = connect(f"{unique}-p"), connect(unique, f"{unique}/x")
    away.transport.close()
    assert publisher.publish(frame(f"{unique}/x", b"queued")).accepted
    back = connect(unique, f"{unique}/x")
    assert back.connected.session_present
    assert back.received().payload == b"queued"


def test_a_message_that_was_not_acknowledged_comes_again(connect, unique) -> None:
    publisher, client = connect(f"{unique}-p"), connect(unique, f"{unique}/x")
    publisher.publish(frame(f"{unique}/x", b"1"))
    publisher.publish(frame(f"{unique}/x", b"2"))
    first, second = client.until(Received), client.until(Received)
    assert client.transport.acknowledge(first)
    # The answer to a later publish proves that the acknowledgement has arrived.
    client.publish(frame(f"{unique}/other"))
    client.vanish()
    back = connect(unique, f"{unique}/x")
    assert not back.transport.acknowledge(second)
    again = back.until(Received)
    assert again.frame.payload == b"2"
    assert back.transport.acknowledge(again)
    assert back.hears_nothing()


def test_workers_of_a_group_share_the_messages(broker, connect, unique) -> None:
    if broker.kind is not BrokerKind.MOSQUITTO:
        pytest.skip("rumqttd 0.20 panics when the members of a group leave with unacknowledged messages")
    workers = [connect(f"{unique}-{index}", f"$share/{unique}/{unique}/+") for index in range(2)]
    publisher = connect(f"{unique}-p")
    for index in range(10):
        publisher.publish(frame(f"{unique}/{index}"))
    counts = [len(worker.drain()) for worker in workers]
    assert sum(counts) == 10
    assert min(counts) > 0


def test_a_packet_above_the_limit_does_not_break_the_connection(connect, unique) -> None:
    client = connect(unique, max_packet_bytes=131_072)
    with pytest.raises(TransportError) as caught:
        client.transport.publish(frame(f"{unique}/x", b"x" * 131_072))
    assert caught.value.code is ErrorCode.TRANSPORT_TOO_LARGE
    assert client.publish(frame(f"{unique}/x", b"small")).accepted


def test_two_hundred_messages_arrive_once_each_and_in_order(connect, unique) -> None:
    publisher, client = connect(f"{unique}-p"), connect(unique, f"{unique}/x")
    sending = threading.Thread(target=lambda: [publisher.publish(frame(f"{unique}/x", b"%d" % index)) for index in range(200)])
    sending.start()
    got = [client.received().payload for _ in range(200)]
    sending.join()
    assert got == [b"%d" % index for index in range(200)]
    assert client.hears_nothing()


def test_a_second_client_of_the_same_name_ends_the_first(connect, unique) -> None:
    first = connect(unique, reconnect_base_s=60.0, reconnect_cap_s=60.0)
    second = connect(unique)
    assert first.until(Disconnected).reason
    assert second.transport.wait(QUIET_S) == []
    assert second.transport.connected


def test_a_client_without_filters_is_connected(connect, unique) -> None:
    assert isinstance(connect(unique).connected, Connected)
