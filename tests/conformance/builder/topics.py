"""Topics: building, reading, subscribing and matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

CHANNELS = ("schedule", "cancel", "ack", "execution", "event", "hello", "status")
LIMIT = 65_535
"""Longest topic name or filter, bytes of UTF-8 (MQTT 5 section 1.5.4)."""
LONGEST_TAIL = len("/") + 64 + len("/") + len("execution")
INVALID_ID, INVALID_TOPIC, INVALID_FILTER = "message.invalid", "message.invalid_topic", "message.invalid_filter"

_BAD_IDS = {
    "an empty id": ("", "An id has at least one character: an empty level would be another device's topic"),
    "an id of 65 characters": ("a" * 65, "64 characters are the most"),
    "an id with a slash": ("a/b", "It would be two levels, and so another topic"),
    "an id that is a plus": ("+", "A wildcard in a topic name is forbidden (MQTT 5 section 3.3.2.1), in an id dangerous"),
    "an id with a number sign": ("a#", "The other wildcard"),
    "an id with a space": ("a b", "Not in the alphabet A-Z a-z 0-9 _ -"),
    "an id with a dot": ("a.b", "Not in the alphabet"),
    "an id with a newline at its end": ("a\n", "In many languages $ in a regular expression matches before it: match in full"),
    "an id with a newline at its start": ("\na", "Match in full"),
    "an id with a NUL": ("a\u0000", "MQTT 5 section 1.5.4 forbids it anywhere"),
    "an id with an umlaut": ("ger\u00e4t", "Ids are ASCII: \\w is wider in many languages"),
    "an id of full-width letters": ("\uff41\uff42", "They are letters to Unicode, not to this protocol"),
    "an id of Arabic digits": ("\u0661\u0662", "\\d is wider than 0-9 in many languages"),
    "an id with a percent sign": ("a%2Fb", "Topics are not URLs: nothing is decoded"),
    "an id with a dollar": ("$SYS", "Not in the alphabet"),
}


def building() -> list[Entry]:
    """``topic.build``."""
    found: list[Entry] = []

    def add(name: str, why: str, root: str, device_id: str, channel: str, answer: str, code: str | None = None) -> None:
        told = {"expect": {"topic": answer}} if code is None else {"error": {"code": code}}
        found.append({"name": name, "why": why, "root": root, "device_id": device_id, "channel": channel, **told})

    for channel in CHANNELS:
        why = "A topic is root, device and channel, one slash between each"
        add(f"the {channel} of a device", why, "devices", "max300-0001", channel, f"devices/max300-0001/{channel}")
    for name, why, root in (
        ("a root of several levels", "A root may have several levels, for tenants and regions", "acme/gb/devices"),
        ("a root with an empty level", "An empty level is a level (MQTT 5 section 4.7.1.1)", "a//b"),
        ("a root that begins with a slash", "The level before it is empty, and it stays", "/devices"),
        ("a root that ends with a slash", "Nothing is normalised away: build and parse are exact inverses", "devices/"),
        ("a root with a space", "MQTT allows every character but NUL and the wildcards", "my devices"),
        ("a root beyond ASCII", "Topics are UTF-8", "ger\u00e4te/\u96fb\u6c60"),
        ("a root with a dollar inside", "Only a leading $ is the broker's own", "a$b"),
    ):
        add(name, why, root, "d", "ack", f"{root}/d/ack")
    add("an id of one character", "1 is the least", "devices", "a", "ack", "devices/a/ack")
    add("an id of 64 characters", "64 is the most", "devices", "a" * 64, "ack", f"devices/{'a' * 64}/ack")
    every = "ABCXYZ-abcxyz_0189"
    add("an id of the whole alphabet", "A-Z a-z 0-9 _ -", "devices", every, "hello", f"devices/{every}/hello")
    add("an id that is a hyphen", "Any character may come first", "devices", "-", "ack", "devices/-/ack")
    add("an id that is a channel's name", "Levels are told apart by their place", "devices", "ack", "ack", "devices/ack/ack")
    longest = "r" * (LIMIT - LONGEST_TAIL)
    add(
        "the longest root",
        "With the longest id and channel behind it, the topic has 65,535 bytes",
        longest,
        "d",
        "ack",
        f"{longest}/d/ack",
    )
    for name, (device_id, why) in _BAD_IDS.items():
        add(name, why, "devices", device_id, "ack", "", INVALID_ID)
    for name, why, channel in (
        ("an unknown channel", "The channels are a closed set", "telemetry"),
        ("a channel in upper case", "Topics are compared byte by byte", "ACK"),
        ("an empty channel", "The channels are a closed set", ""),
        ("a channel with a newline at its end", "Match in full", "ack\n"),
    ):
        add(name, why, "devices", "d", channel, "", INVALID_TOPIC)
    for name, why, root in (
        ("an empty root", "A topic without a root would begin with an empty level", ""),
        ("a root with a plus", "No wildcard in a topic name (MQTT 5 section 3.3.2.1)", "a/+"),
        ("a root with a number sign", "No wildcard in a topic name, alone on its level or not", "a#"),
        ("a root with a NUL", "MQTT 5 section 1.5.4", "a\u0000b"),
        ("a root that begins with a dollar", "Those topics are the broker's own, and + does not match them", "$SYS"),
        ("a root that shares", "A shared subscription is a filter, no topic", "$share/g/devices"),
        ("a root one byte too long", "The longest id and channel would no longer fit into 65,535 bytes", longest + "r"),
        ("a root too long in UTF-8", "Bytes count, not characters", "\u00e4" * (LIMIT // 2 - 10)),
    ):
        add(name, why, root, "d", "ack", "", INVALID_TOPIC)
    return found


def parsing() -> list[Entry]:
    """``topic.parse``."""
    found: list[Entry] = []

    def add(name: str, why: str, root: str, topic: str, answer: tuple[str, str] | None = None) -> None:
        if answer is None:
            told: Entry = {"error": {"code": INVALID_TOPIC}}
        else:
            told = {"expect": {"device_id": answer[0], "channel": answer[1]}}
        found.append({"name": name, "why": why, "root": root, "topic": topic, **told})

    for channel in CHANNELS:
        why = "The device and the channel are the last two levels"
        add(f"a device's {channel}", why, "devices", f"devices/max300-0001/{channel}", ("max300-0001", channel))
    for name, why, root in (
        ("below a root of several levels", "The root is known, so its levels are no guess", "acme/gb/devices"),
        ("below a root that ends with a slash", "Build and parse are exact inverses", "devices/"),
        ("below a root with empty levels", "An empty level is a level", "/a//b"),
        ("below a root beyond ASCII", "Topics are UTF-8", "ger\u00e4te"),
        ("below a root that ends like a topic", "The root is taken from the front, whatever it looks like", "a/ack"),
    ):
        add(name, why, root, f"{root}/d/ack", ("d", "ack"))
    add("an id of 64 characters", "64 is the most", "devices", f"devices/{'Z' * 64}/ack", ("Z" * 64, "ack"))
    for name, (device_id, why) in _BAD_IDS.items():
        add(name, why, "devices", f"devices/{device_id}/ack")
    for name, why, topic in (
        ("an empty topic", "A topic name has at least one character (MQTT 5 section 4.7.3)", ""),
        ("the root alone", "Two levels are missing", "devices"),
        ("the root with a slash", "The device would be empty", "devices/"),
        ("no channel", "One level is missing", "devices/d"),
        ("an empty channel", "The channels are a closed set", "devices/d/"),
        ("an unknown channel", "The channels are a closed set", "devices/d/telemetry"),
        ("a channel in upper case", "Topics are compared byte by byte", "devices/d/Ack"),
        ("a channel with a newline at its end", "Match in full", "devices/d/ack\n"),
        ("a level after the channel", "A topic has nothing behind its channel", "devices/d/ack/x"),
        ("a slash after the channel", "That is one more level, an empty one", "devices/d/ack/"),
        ("a slash before the root", "That is one more level, an empty one", "/devices/d/ack"),
        ("an empty level in between", "An empty level is a level", "devices//d/ack"),
        ("another root", "The root is compared in full", "device/d/ack"),
        ("a root that begins with this one", "The root is compared level by level", "devices2/d/ack"),
        ("the root in upper case", "Topics are compared byte by byte", "Devices/d/ack"),
        ("the root twice", "The rest is no device and channel", "devices/devices/d/ack"),
        ("a shared filter", "A filter is no topic name", "$share/g/devices/d/ack"),
        ("a topic of 65,536 bytes", "65,535 are the most (MQTT 5 section 1.5.4)", "devices/" + "d" * (LIMIT - 11) + "/ack"),
        (
            "a topic of 32,000 levels",
            "It is legal in MQTT and none here; reading it must not recurse",
            "devices" + "/" * 32_000,
        ),
    ):
        add(name, why, "devices", topic)
    add("below another root of two levels", "The root is compared in full", "a/b", "a/c/d/ack")
    return found


def subscribing() -> list[Entry]:
    """``topic.filters``."""
    up, down = ("ack", "execution", "event", "hello", "status"), ("schedule", "cancel")
    device = [f"devices/max300-0001/{channel}" for channel in down]
    tenant = [f"acme/gb/devices/max300-0001/{channel}" for channel in down]
    cloud = [f"devices/+/{channel}" for channel in up]
    shared = [f"$share/workers/devices/+/{channel}" for channel in up]
    d, root, wild = "max300-0001", "devices", "No wildcard: a device sees its own channels alone"
    return [
        {"name": "a device's own", "why": wild, "side": "device", "root": root, "device_id": d, "expect": {"filters": device}},
        {
            "name": "a device's own below a root of several levels",
            "why": wild,
            "side": "device",
            "root": "acme/gb/devices",
            "device_id": d,
            "expect": {"filters": tenant},
        },
        {
            "name": "a version-1 device's own",
            "why": "Version 1 has no cancel",
            "side": "device",
            "root": root,
            "device_id": d,
            "protocol_version": 1,
            "expect": {"filters": device[:1]},
        },
        {
            "name": "the cloud's of version 1",
            "why": "Version 1 has neither event nor status",
            "side": "cloud",
            "root": root,
            "protocol_version": 1,
            "expect": {"filters": [f"devices/+/{channel}" for channel in ("ack", "execution", "hello")]},
        },
        {
            "name": "a device with a wildcard for an id",
            "why": "It would receive every device's schedules",
            "side": "device",
            "root": root,
            "device_id": "+",
            "error": {"code": INVALID_ID},
        },
        {
            "name": "the cloud's",
            "why": "One level of wildcard, for the device; what the cloud itself sends is not subscribed to",
            "side": "cloud",
            "root": root,
            "expect": {"filters": cloud},
        },
        {
            "name": "the cloud's by several workers",
            "why": "A shared subscription gives each message to one of them (MQTT 5 section 4.8.2)",
            "side": "cloud",
            "root": root,
            "group": "workers",
            "expect": {"filters": shared},
        },
        *(
            {
                "name": f"a group {what}",
                "why": "A share name has at least one character, and no slash and no wildcard (MQTT 5 section 4.8.2)",
                "side": "cloud",
                "root": root,
                "group": group,
                "error": {"code": INVALID_FILTER},
            }
            for what, group in (("without a character", ""), ("with a slash", "a/b"), ("with a plus", "a+"), ("that is #", "#"))
        ),
        {
            "name": "a root with a wildcard",
            "why": "A configuration cannot widen a subscription",
            "side": "cloud",
            "root": "+",
            "error": {"code": INVALID_TOPIC},
        },
    ]


def channels() -> list[Entry]:
    """``topic.channel``."""
    found: list[Entry] = [
        {
            "name": channel,
            "why": "Every message has QoS 1; the broker keeps what says how a device is, and no order",
            "channel": channel,
            "expect": {"direction": direction, "qos": 1, "retained": retained, "since": since},
        }
        for channel, direction, retained, since in (
            ("schedule", "to_device", False, 1),
            ("cancel", "to_device", False, 2),
            ("ack", "to_cloud", False, 1),
            ("execution", "to_cloud", False, 1),
            ("event", "to_cloud", False, 2),
            ("hello", "to_cloud", True, 1),
            ("status", "to_cloud", True, 2),
        )
    ]
    unknown = {"name": "an unknown channel", "why": "The channels are a closed set", "channel": "telemetry"}
    return [*found, {**unknown, "error": {"code": INVALID_TOPIC}}]


def matching() -> list[Entry]:
    """``topic.match``."""
    found: list[Entry] = []

    def add(name: str, why: str, topic_filter: str, topic: str, answer: bool | str) -> None:
        told = {"error": {"code": answer}} if isinstance(answer, str) else {"expect": {"matches": answer}}
        found.append({"name": name, "why": why, "filter": topic_filter, "topic": topic, **told})

    single, multi, dollar = "MQTT 5 section 4.7.1.3", "MQTT 5 section 4.7.1.2", "MQTT 5 section 4.7.2"
    for topic_filter, topic, answer, why in (
        ("a/b", "a/b", True, "Without a wildcard, equal texts match"),
        ("a/b", "a/B", False, "Case counts (MQTT 5 section 4.7.3)"),
        ("a/b", "a/b/", False, "A slash at the end is one more level, an empty one"),
        ("a/b", "/a/b", False, "A slash at the start is one more level, an empty one"),
        ("a", "a/b", False, "A filter without # does not reach below itself"),
        ("a b", "a b", True, "A space is a character like others (MQTT 5 section 4.7.3)"),
        ("\u00e9", "e\u0301", False, "No Unicode normalisation (MQTT 5 section 4.7.3)"),
        ("a+b", "a+b", INVALID_FILTER, f"+ is a whole level ({single})"),
        ("+", "a", True, single),
        ("+", "a/b", False, f"+ is exactly one level ({single})"),
        ("+", "/a", False, f"/a has two levels ({single})"),
        ("+/+", "/a", True, f"The empty level is one for + ({single})"),
        ("/+", "/a", True, single),
        ("/+", "/", True, f"+ matches an empty level ({single})"),
        ("+/", "a/", True, f"+ matches its level, the empty one stands for itself ({single})"),
        ("+/", "a", False, f"One level is missing ({single})"),
        ("a/+", "a", False, f"+ is one level, not none ({single})"),
        ("a/+", "a/", True, f"The level after the slash is empty, and it is a level ({single})"),
        ("a/+/c", "a/b/c", True, single),
        ("a/+/c", "a//c", True, f"An empty level in the middle ({single})"),
        ("a/+/c", "a/b/b/c", False, single),
        ("+/b/+", "a/b/c", True, single),
        ("+/+/+", "//", True, f"Three empty levels ({single})"),
        ("+/+", "//", False, f"// has three levels ({single})"),
        ("a/+/+", "a/b", False, single),
        ("#", "a", True, multi),
        ("#", "a/b/c", True, multi),
        ("#", "/", True, multi),
        ("a/#", "a", True, f"# stands for its parent level too ({multi})"),
        ("a/#", "a/", True, multi),
        ("a/#", "a/b/c", True, multi),
        ("a/#", "ab", False, f"Levels, not characters ({multi})"),
        ("a/#", "ab/c", False, f"Levels, not characters ({multi})"),
        ("/#", "/", True, multi),
        ("/#", "/a/b", True, multi),
        ("/#", "a", False, f"a has no empty first level ({multi})"),
        ("a/b/#", "a", False, f"Only the parent level, not the one above it ({multi})"),
        ("+/#", "a", True, f"# may stand for nothing below + ({multi})"),
        ("+/#", "/a", True, multi),
        ("a/+/#", "a", False, f"+ is one level, not none ({single})"),
        ("a/+/#", "a/b", True, multi),
        ("a/+/#", "a/b/c/d", True, multi),
        ("a//#", "a/", True, f"The parent level is the empty one ({multi})"),
        ("a//#", "a", False, multi),
        ("#", "$SYS/uptime", False, f"A leading wildcard does not match a leading $ ({dollar})"),
        ("+/uptime", "$SYS/uptime", False, f"A leading wildcard does not match a leading $ ({dollar})"),
        ("+/#", "$SYS", False, dollar),
        ("$SYS/#", "$SYS/uptime", True, f"Named, it matches ({dollar})"),
        ("$SYS/#", "$SYS", True, dollar),
        ("$SYS/+", "$SYS/uptime", True, dollar),
        ("/+", "/$SYS", True, f"Only the very first character counts ({dollar})"),
        ("a/#", "a/$SYS", True, f"Only the very first character counts ({dollar})"),
        ("#", "a$", True, f"Only the very first character counts ({dollar})"),
        ("$share/g/a/+", "a/b", True, "A shared subscription matches what its filter matches (MQTT 5 section 4.8.2)"),
        ("$share/g/#", "a/b", True, "MQTT 5 section 4.8.2"),
        ("$share/g/#", "$SYS/uptime", False, "The rule on $ is asked of the filter behind the group"),
        ("$share/g/$SYS/#", "$SYS/uptime", True, "The filter behind the group may begin with $"),
        ("$share/g//a", "/a", True, "The filter behind the group begins with an empty level"),
        ("$share/g//a", "a", False, "The filter behind the group is /a, not a"),
        ("$share/$g/a", "a", True, "A share name may begin with $"),
        ("$share/g/a", "$share/g/a", False, "The filter is a, not the whole text"),
        ("$shared/g/a", "$shared/g/a", True, "Only $share/ shares"),
        ("$share", "$share", True, "Without a slash it is an ordinary filter"),
        ("devices/+/ack", "devices/max300-0001/ack", True, "What the cloud subscribes to"),
        ("devices/+/ack", "devices/max300-0001/hello", False, "What the cloud subscribes to"),
        ("devices/+/ack", "devices/a/b/ack", False, "An id is one level"),
        ("", "a", INVALID_FILTER, "At least one character (MQTT 5 section 4.7.3)"),
        ("a/b#", "a/b", INVALID_FILTER, f"# is a whole level ({multi})"),
        ("#/a", "a/a", INVALID_FILTER, f"# is the last level ({multi})"),
        ("##", "a", INVALID_FILTER, f"# is a whole level ({multi})"),
        ("a/#/", "a", INVALID_FILTER, f"# is the last level, and an empty one follows ({multi})"),
        ("#+", "a", INVALID_FILTER, multi),
        ("a/+b", "a/b", INVALID_FILTER, f"+ is a whole level ({single})"),
        ("++", "a", INVALID_FILTER, f"+ is a whole level ({single})"),
        ("a\u0000", "a", INVALID_FILTER, "MQTT 5 section 1.5.4"),
        ("$share/g", "g", INVALID_FILTER, "A filter is missing (MQTT 5 section 4.8.2)"),
        ("$share/g/", "g", INVALID_FILTER, "A filter has at least one character (MQTT 5 section 4.8.2)"),
        ("$share//a", "a", INVALID_FILTER, "A share name has at least one character (MQTT 5 section 4.8.2)"),
        ("$share/+/a", "a", INVALID_FILTER, "A share name has no wildcard (MQTT 5 section 4.8.2)"),
        ("$share/g#/a", "a", INVALID_FILTER, "A share name has no wildcard (MQTT 5 section 4.8.2)"),
        ("$share/g/a+", "a", INVALID_FILTER, "The filter behind the group is checked like any other"),
        ("a", "", INVALID_TOPIC, "At least one character (MQTT 5 section 4.7.3)"),
        ("#", "a/+", INVALID_TOPIC, "A name that is published to has no wildcard (MQTT 5 section 3.3.2.1)"),
        ("#", "a/#", INVALID_TOPIC, "A name that is published to has no wildcard (MQTT 5 section 3.3.2.1)"),
        ("a+", "a+", INVALID_FILTER, "What is wrong with the filter is said first"),
        ("#", "a\u0000", INVALID_TOPIC, "MQTT 5 section 1.5.4"),
    ):
        shown = ascii(f"{topic_filter} and {topic}")[1:-1]
        add(shown, why, topic_filter, topic, answer)
    longest = "a" * LIMIT
    add("a name of 65,535 bytes", "MQTT 5 section 1.5.4", "#", longest, answer=True)
    add("a name of 65,536 bytes", "MQTT 5 section 1.5.4", "#", longest + "a", INVALID_TOPIC)
    add("a filter of 65,536 bytes", "MQTT 5 section 1.5.4", longest + "a", "a", INVALID_FILTER)
    add("a name of 65,536 bytes in 32,768 characters", "Bytes count, not characters", "#", "\u00e4" * 32_768, INVALID_TOPIC)
    levels = "/" * 30_000
    add("a name of 30,001 levels", "Legal: matching is not recursive", "#", levels, answer=True)
    add("a filter of 30,000 wildcards", "Matching is linear", "/+" * 30_000, levels, answer=True)
    add("a filter of one wildcard too many", "Matching is linear", "/+" * 30_001, levels, answer=False)
    return found
