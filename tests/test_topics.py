"""Topics: build and parse undo each other, and nothing but a topic of this protocol is parsed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.errors import ErrorCode, IdError, TopicError
from allye_protocol.ids import MAX_ID_CHARS
from allye_protocol.matching import MAX_TOPIC_BYTES, check_filter, check_name, matches
from allye_protocol.topics import CHANNELS, Channel, Direction, Topic, build, cloud_filters, device_filters, parse

IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=MAX_ID_CHARS)
ROOTS = st.text(st.characters(codec="utf-8", exclude_characters="+#\0"), min_size=1, max_size=30).filter(lambda r: r[0] != "$")


@given(IDS, st.sampled_from(Channel), ROOTS)
def test_parse_undoes_build(device: str, channel: Channel, root: str) -> None:
    assert parse(build(device, channel, root), root) == Topic(device, channel)


@given(st.one_of(st.text(), st.builds(build, IDS, st.sampled_from(Channel), ROOTS)), ROOTS)
def test_build_undoes_parse_and_nothing_else_is_raised(topic: str, root: str) -> None:
    try:
        found = parse(topic, root)
    except TopicError:
        return
    assert build(found.device_id, found.channel, root) == topic


def test_the_default_root_is_devices() -> None:
    assert build("max300-001", Channel.SCHEDULE) == "devices/max300-001/schedule"
    assert parse("devices/max300-001/schedule") == Topic("max300-001", Channel.SCHEDULE)


def test_a_root_has_as_many_levels_as_it_likes() -> None:
    assert parse("acme/gb/devices/a/ack", "acme/gb/devices") == Topic("a", Channel.ACK)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "devices",
        "devices/a",
        "devices/a/",
        "devices//ack",
        "devices/a/ack/",
        "devices/a/b/ack",
        "devices/a/ACK",
        "devices/a/ack\n",
        "devices/a\n/ack",
        "devices/é/ack",
        "devices/+/ack",
        "devices/a/#",
        "Devices/a/ack",
        "x/devices/a/ack",
        "/devices/a/ack",
        "devices/a/unknown",
        f"devices/{'a' * (MAX_ID_CHARS + 1)}/ack",
    ],
)
def test_anything_else_is_not_a_topic(topic: str) -> None:
    with pytest.raises(TopicError) as caught:
        parse(topic)
    assert caught.value.code is ErrorCode.MESSAGE_INVALID_TOPIC


@pytest.mark.parametrize("root", ["", "+", "a/#", "a\0", "$SYS", "$share/g/a", "\ud800", "a" * (MAX_TOPIC_BYTES - 20)])
def test_a_root_that_could_widen_or_break_a_topic_is_refused(root: str) -> None:
    for use in (
        lambda: build("a", Channel.ACK, root),
        lambda: parse("devices/a/ack", root),
        lambda: device_filters("a", root),
        lambda: cloud_filters(root),
    ):
        with pytest.raises(TopicError) as caught:
            use()
        assert caught.value.code is ErrorCode.MESSAGE_INVALID_TOPIC


@pytest.mark.parametrize("device", ["", "+", "a/b", "a\n", "é", "a" * 65])
def test_a_topic_is_built_for_an_id_only(device: str) -> None:
    with pytest.raises(IdError):
        build(device, Channel.ACK)
    with pytest.raises(IdError):
        device_filters(device)


def test_a_topic_is_built_for_a_channel_only() -> None:
    with pytest.raises(TopicError):
        build("a", "schedules")  # type: ignore[arg-type]


def test_the_longest_root_still_makes_a_legal_topic() -> None:
    root = "a" * (MAX_TOPIC_BYTES - len("/") - MAX_ID_CHARS - len("/execution"))
    topic = build("d" * MAX_ID_CHARS, Channel.EXECUTION, root)
    assert len(check_name(topic)) == MAX_TOPIC_BYTES
    with pytest.raises(TopicError):
        build("d", Channel.ACK, root + "a")


def test_the_channels_are_those_of_the_protocol() -> None:
    assert set(CHANNELS) == set(Channel)
    assert {channel for channel, row in CHANNELS.items() if row.direction is Direction.TO_DEVICE} == {"schedule", "cancel"}
    assert {channel for channel, row in CHANNELS.items() if row.retained} == {"hello", "status"}
    assert {channel for channel, row in CHANNELS.items() if row.since == 2} == {"cancel", "event", "status"}
    assert {row.qos for row in CHANNELS.values()} == {1}


def test_a_device_subscribes_to_its_own_channels() -> None:
    assert device_filters("a") == ("devices/a/schedule", "devices/a/cancel")
    assert device_filters("a", "acme/gb", version=1) == ("acme/gb/a/schedule",)


def test_the_cloud_subscribes_to_all_devices() -> None:
    assert cloud_filters() == tuple(f"devices/+/{name}" for name in ("ack", "execution", "event", "hello", "status"))
    assert cloud_filters("acme", version=1) == ("acme/+/ack", "acme/+/execution", "acme/+/hello")


def test_workers_of_the_cloud_share_their_messages() -> None:
    assert cloud_filters("acme", "workers", version=1)[0] == "$share/workers/acme/+/ack"
    for group in ("", "a/b", "+", "a#", "a\0"):
        with pytest.raises(TopicError) as caught:
            cloud_filters(group=group)
        assert caught.value.code is ErrorCode.MESSAGE_INVALID_FILTER


@given(IDS, st.sampled_from(Channel), ROOTS, st.sampled_from([None, "workers"]))
def test_each_side_receives_exactly_what_the_other_sends(device: str, channel: Channel, root: str, group: str | None) -> None:
    topic = build(device, channel, root)
    to_device = CHANNELS[channel].direction is Direction.TO_DEVICE
    assert any(matches(check_filter(each), topic) for each in device_filters(device, root)) is to_device
    assert any(matches(each, topic) for each in cloud_filters(root, group)) is not to_device
