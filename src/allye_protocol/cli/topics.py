"""``topic``: build, parse and match topics, and list filters, by the rules that devices and cloud use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allye_protocol.cli.streams import Exit, complain, put, put_json
from allye_protocol.errors import IdError, TopicError
from allye_protocol.messages import VERSIONS
from allye_protocol.topics import CHANNELS, DEFAULT_ROOT, Channel, build, cloud_filters, device_filters, matches, parse

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command and what it can do."""
    topic = commands.group(
        "topic",
        "build, parse and match topics, and list what to subscribe to",
        "Topics here are {root}/{device}/{channel}. Matching follows MQTT 5 section 4.7, shared subscriptions included.",
        [
            "topic build max300-0001 schedule",
            "topic parse devices/max300-0001/ack",
            "topic match 'devices/+/ack' devices/a/ack",
        ],
    )
    building = topic.add(
        "build",
        _build,
        "make the topic of one device's channel",
        "",
        ["topic build max300-0001 schedule --root acme/gb/devices"],
    )
    building.add_argument("device", metavar="DEVICE", help="the device's id")
    building.add_argument("channel", metavar="CHANNEL", choices=[channel.value for channel in Channel], help=", ".join(Channel))
    parsing = topic.add(
        "parse", _parse, "read a topic; exit 1 when it is none", "", ["topic parse devices/max300-0001/ack --json"]
    )
    parsing.add_argument("topic", metavar="TOPIC", help="a topic name")
    filtering = topic.add(
        "filters",
        _filters,
        "list what the cloud subscribes to, or one device",
        "One filter a line.",
        ["topic filters", "topic filters --group workers", "topic filters --device max300-0001 --protocol-version 1"],
    )
    whose = filtering.add_mutually_exclusive_group()
    whose.add_argument("--device", metavar="DEVICE", help="a device's id (default: the cloud's filters)")
    whose.add_argument("--group", help="the name under which several workers of the cloud share the messages")
    filtering.add_argument(
        "--protocol-version", type=int, choices=VERSIONS, help="only channels that this version has (default: all)"
    )
    for parser in (building, parsing, filtering):
        parser.add_argument("--root", default=DEFAULT_ROOT, help="everything above the device (default: %(default)s)")
    matching = topic.add(
        "match",
        _match,
        "tell whether a subscription gets a topic; exit 1 when it does not",
        "",
        ["topic match 'devices/+/ack' devices/max300-0001/ack", "topic match '$share/workers/devices/#' devices/a/ack"],
    )
    matching.add_argument("filter", metavar="FILTER", help="a topic filter; quote it")
    matching.add_argument("topic", metavar="TOPIC", help="a topic name")


def _build(args: argparse.Namespace) -> Exit:
    try:
        topic = build(args.device, args.channel, args.root)
    except (TopicError, IdError) as error:
        return _refused(args, error)
    if args.json:
        put_json({"valid": True, "topic": topic})
    else:
        put(topic)
    return Exit.OK


def _parse(args: argparse.Namespace) -> Exit:
    try:
        found = parse(args.topic, args.root)
    except TopicError as error:
        return _refused(args, error)
    row = CHANNELS[found.channel]
    facts = {"device_id": found.device_id, "channel": found.channel, "direction": row.direction, "retained": row.retained}
    if args.json:
        put_json({"valid": True, **facts, "qos": row.qos, "since": row.since})
    else:
        put(f"device {found.device_id}, channel {found.channel} ({row.direction.replace('_', ' ')})")
    return Exit.OK


def _match(args: argparse.Namespace) -> Exit:
    try:
        matched = matches(args.filter, args.topic)
    except TopicError as error:
        return _refused(args, error)
    if args.json:
        put_json({"valid": True, "matches": matched})
    else:
        put("matches" if matched else "does not match")
    return Exit.OK if matched else Exit.INVALID


def _filters(args: argparse.Namespace) -> Exit:
    try:
        if args.device is None:
            filters = cloud_filters(args.root, args.group, version=args.protocol_version)
        else:
            filters = device_filters(args.device, args.root, version=args.protocol_version)
    except (TopicError, IdError) as error:
        return _refused(args, error)
    if args.json:
        put_json({"valid": True, "filters": filters})
    else:
        for topic_filter in filters:
            put(topic_filter)
    return Exit.OK


def _refused(args: argparse.Namespace, error: TopicError | IdError) -> Exit:
    if args.json:
        put_json({"valid": False, "problem": error.problem})
    else:
        complain(f"allye-protocol topic: {error}")
    return Exit.INVALID
