"""The size of a PUBLISH is computed exactly: paho's own packet is the measure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes

from allye_protocol.errors import ErrorCode, TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.packet import check_packet_size, publish_bytes
from allye_protocol.transport.paho_client import frame_properties

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
FRAMES = st.builds(
    Frame,
    topic=TEXT.filter(bool),
    payload=st.binary(max_size=300) | st.integers(0, 20_000).map(bytes),
    qos=st.sampled_from([0, 1]),
    content_type=st.none() | TEXT,
    user_properties=st.lists(st.tuples(TEXT, TEXT), max_size=6).map(tuple),
    expiry_s=st.none() | st.integers(0, 0xFFFF_FFFF),
)


def varint_bytes(number: int) -> int:
    return 1 if number < 128 else 1 + varint_bytes(number // 128)


@given(FRAMES)
def test_the_size_is_that_of_the_packet(frame: Frame) -> None:
    bare = 2 + len(frame.topic.encode()) + (2 if frame.qos else 0) + len(frame.payload)
    body = bare + len(frame_properties(frame, PacketTypes.PUBLISH).pack())
    assert publish_bytes(frame) == 1 + varint_bytes(body) + body
    assert publish_bytes(frame, mqtt5=False) == 1 + varint_bytes(bare) + bare


def test_a_packet_above_the_limit_is_refused_with_the_figures() -> None:
    frame = Frame(topic="a", payload=b"x" * 100)
    size = publish_bytes(frame)
    check_packet_size(frame, size)
    check_packet_size(frame, None)
    with pytest.raises(TransportError) as caught:
        check_packet_size(frame, size - 1)
    assert caught.value.code is ErrorCode.TRANSPORT_TOO_LARGE
    assert caught.value.details == {"bytes": size, "limit": size - 1, "topic": "a"}
