"""Frames: values with MQTT's defaults."""

from __future__ import annotations

import pytest

from allye_protocol.frame import Frame


def test_a_frame_is_at_least_once_and_not_retained_unless_it_says_so() -> None:
    frame = Frame(topic="devices/a/ack", payload=b"{}")
    assert (frame.qos, frame.retain, frame.content_type, frame.user_properties, frame.expiry_s) == (1, False, None, (), None)


def test_frames_are_values() -> None:
    one = Frame(topic="a", payload=b"x", user_properties=(("k", "v"),))
    assert one == Frame(topic="a", payload=b"x", user_properties=(("k", "v"),))
    assert one != Frame(topic="a", payload=b"y", user_properties=(("k", "v"),))
    assert len({one, Frame(topic="a", payload=b"x", user_properties=(("k", "v"),))}) == 1
    with pytest.raises(AttributeError):
        one.qos = 2  # type: ignore[misc]


def test_the_first_user_property_of_a_name_counts() -> None:
    frame = Frame(topic="a", payload=b"", user_properties=(("k", "1"), ("K", "2"), ("k", "3")))
    assert frame.user_property("k") == "1"
    assert frame.user_property("K") == "2"
    assert frame.user_property("x") is None
