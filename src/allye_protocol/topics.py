"""Where messages travel: ``{root}/{device_id}/{channel}``.

1. :func:`build` and :func:`parse` are exact inverses for every root, device and channel.
2. The root may have several levels. It holds no wildcard and does not begin with ``$``, so no device and no configuration can
   widen a subscription or reach a broker's own topics.
3. What a channel is (who sends, how, since when) is one row of :data:`CHANNELS`; the filters of both sides come from it.

Matching by MQTT's rules is in :mod:`allye_protocol.matching`.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorCode, TopicError
from allye_protocol.ids import MAX_ID_CHARS, DeviceId, device_id, is_id
from allye_protocol.matching import MAX_TOPIC_BYTES, check_filter, check_name, matches

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CHANNELS",
    "DEFAULT_ROOT",
    "Channel",
    "ChannelRow",
    "Direction",
    "Topic",
    "build",
    "cloud_filters",
    "device_filters",
    "matches",
    "parse",
]

DEFAULT_ROOT: Final = "devices"


class Direction(StrEnum):
    """Who publishes on a channel."""

    TO_DEVICE = "to_device"
    TO_CLOUD = "to_cloud"


class Channel(StrEnum):
    """The last level of a topic: what is carried there."""

    SCHEDULE = "schedule"
    CANCEL = "cancel"
    ACK = "ack"
    EXECUTION = "execution"
    EVENT = "event"
    HELLO = "hello"
    STATUS = "status"


class ChannelRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel is used.

    :param direction: who publishes.
    :param qos: the quality of service of every message.
    :param retained: whether the broker keeps the last message for who comes later.
    :param since: the first major version of the protocol that has the channel.
    """

    direction: Direction
    qos: int = 1
    retained: bool = False
    since: int = 1


CHANNELS: Final[Mapping[Channel, ChannelRow]] = MappingProxyType(
    {
        Channel.SCHEDULE: ChannelRow(direction=Direction.TO_DEVICE),
        Channel.CANCEL: ChannelRow(direction=Direction.TO_DEVICE, since=2),
        Channel.ACK: ChannelRow(direction=Direction.TO_CLOUD),
        Channel.EXECUTION: ChannelRow(direction=Direction.TO_CLOUD),
        Channel.EVENT: ChannelRow(direction=Direction.TO_CLOUD, since=2),
        Channel.HELLO: ChannelRow(direction=Direction.TO_CLOUD, retained=True),
        Channel.STATUS: ChannelRow(direction=Direction.TO_CLOUD, retained=True, since=2),
    }
)
"""Every channel, in the order of the protocol."""

_BY_NAME: Final[Mapping[str, Channel]] = {channel.value: channel for channel in Channel}
_LONGEST_TAIL: Final = len("/") + MAX_ID_CHARS + len("/") + max(map(len, Channel))


class Topic(NamedTuple):
    """What a topic says: whose it is, and what it carries."""

    device_id: DeviceId
    channel: Channel


def build(device: str, channel: Channel, root: str = DEFAULT_ROOT) -> str:
    """Make the topic of one device's channel.

    :param device: the device's id.
    :param channel: the channel.
    :param root: everything above the device, one level or several.
    :raises IdError: ``message.invalid`` when ``device`` is not an id.
    :raises TopicError: ``message.invalid_topic`` for a root or channel that is none.
    """
    if channel not in _BY_NAME:
        raise TopicError(ErrorCode.MESSAGE_INVALID_TOPIC, f"a channel is one of {', '.join(Channel)}")
    return f"{_prefix(root)}{device_id(device)}/{channel}"


def parse(topic: str, root: str = DEFAULT_ROOT) -> Topic:
    """Read a topic.

    :param topic: a topic name as it arrived.
    :param root: everything above the device, one level or several.
    :raises TopicError: ``message.invalid_topic`` when it is not ``{root}/{device_id}/{channel}``.
    """
    prefix = _prefix(root)
    if topic.startswith(prefix):
        name, _, last = topic[len(prefix) :].partition("/")
        channel = _BY_NAME.get(last)
        if channel is not None and is_id(name):
            return Topic(DeviceId(name), channel)
    check_name(topic)
    raise TopicError(
        ErrorCode.MESSAGE_INVALID_TOPIC,
        f"a topic here is {prefix}DEVICE/CHANNEL with a channel of {', '.join(Channel)}",
        details={"topic": topic[:MAX_ID_CHARS]},
    )


def device_filters(device: str, root: str = DEFAULT_ROOT, *, version: int | None = None) -> tuple[str, ...]:
    """What one device subscribes to: its own channels, without a wildcard.

    :param device: the device's id.
    :param root: everything above the device.
    :param version: only the channels that this major version has; ``None`` for all.
    :raises IdError: ``message.invalid`` when ``device`` is not an id.
    :raises TopicError: ``message.invalid_topic`` for a root that is none.
    """
    return tuple(build(device, channel, root) for channel in _channels(Direction.TO_DEVICE, version))


def cloud_filters(root: str = DEFAULT_ROOT, group: str | None = None, *, version: int | None = None) -> tuple[str, ...]:
    """What the cloud subscribes to: the channels of all devices.

    :param root: everything above the devices.
    :param group: the name under which several workers share the messages (``$share``); ``None`` for one worker alone.
    :param version: only the channels that this major version has; ``None`` for all.
    :raises TopicError: ``message.invalid_topic`` for a root, ``message.invalid_filter`` for a group that is none.
    """
    share = "" if group is None else f"$share/{group}/"
    filters = tuple(f"{share}{_prefix(root)}+/{channel}" for channel in _channels(Direction.TO_CLOUD, version))
    if group is not None and "/" in group:
        raise TopicError(ErrorCode.MESSAGE_INVALID_FILTER, "a share group is one level: it has no slash")
    for topic_filter in filters:
        check_filter(topic_filter)
    return filters


def _channels(direction: Direction, version: int | None) -> list[Channel]:
    return [
        channel for channel, row in CHANNELS.items() if row.direction is direction and (version is None or row.since <= version)
    ]


@lru_cache(maxsize=8)
def _prefix(root: str) -> str:
    check_name(root)
    if root.startswith("$"):
        raise TopicError(ErrorCode.MESSAGE_INVALID_TOPIC, "a root does not begin with $: those topics are the broker's own")
    if len(root.encode()) + _LONGEST_TAIL > MAX_TOPIC_BYTES:
        limit = MAX_TOPIC_BYTES - _LONGEST_TAIL
        raise TopicError(ErrorCode.MESSAGE_INVALID_TOPIC, f"a root has at most {limit} bytes: device and channel follow it")
    return f"{root}/"
