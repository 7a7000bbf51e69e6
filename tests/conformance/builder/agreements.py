"""Negotiation: what two sides speak with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

JSON, MSGPACK, PROTOBUF = "application/json", "application/vnd.msgpack", "application/protobuf"
Offer = tuple[list[int], list[str]]
BOTH: Offer = ([1, 2], [MSGPACK, JSON])
ALL: Offer = ([1, 2], [PROTOBUF, MSGPACK, JSON])
NO_ENCODING = {"code": "version.no_common_encoding"}


def entries() -> list[Entry]:
    """``negotiate``."""
    found: list[Entry] = []

    def offer(said: Offer) -> dict[str, Any]:
        return {"versions": said[0], "content_types": said[1]}

    def add(name: str, why: str, ours: Offer, theirs: Offer | None, version: int, content_type: str) -> None:
        answer = {"expect": {"version": version, "content_type": content_type}}
        _put(name, why, ours, theirs, answer)

    def _put(name: str, why: str, ours: Offer, theirs: Offer | None, answer: dict[str, Any]) -> None:
        about = {
            "name": name,
            "why": why,
            "needs": {"content_types": [known for known in (JSON, MSGPACK, PROTOBUF) if known in ours[1]]},
        }
        found.append({**about, "ours": offer(ours), "theirs": None if theirs is None else offer(theirs), **answer})

    add("the highest common version", "Both speak 1 and 2", BOTH, ([1, 2], [JSON]), 2, JSON)
    add("versions in any order", "A list is a set here", ([2, 1], [JSON]), ([1, 2], [JSON]), 2, JSON)
    add("versions said twice", "A list is a set here", BOTH, ([2, 2, 1], [JSON]), 2, JSON)
    add("a device of version 1 alone", "The one before the newest is always spoken", BOTH, ([1], [JSON]), 1, JSON)
    add("a device of version 2 alone", "It need not speak version 1", BOTH, ([2], [JSON]), 2, JSON)
    add("a device of the future", "Its newest is not known here, its older one is", BOTH, ([2, 3], [JSON]), 2, JSON)
    add(
        "a device that has skipped a version",
        "There is no range: a device can drop one in the middle",
        ([1, 2], [JSON]),
        ([1, 3], [JSON]),
        1,
        JSON,
    )
    add("a device that said nothing", "No hello means version 1 in JSON", BOTH, None, 1, JSON)
    add(
        "this side's preference",
        "The first of ours that they offer, whatever they would prefer",
        BOTH,
        ([2], [JSON, MSGPACK]),
        2,
        MSGPACK,
    )
    add("this side prefers JSON", "The first of ours that they offer", ([2], [JSON, MSGPACK]), ([2], [MSGPACK, JSON]), 2, JSON)
    add(
        "their only encoding", "The second of ours is the first of theirs", ([2], [JSON, MSGPACK]), ([2], [MSGPACK]), 2, MSGPACK
    )
    add(
        "version 1 in JSON alone",
        "MessagePack cannot write version 1, so it is passed over",
        BOTH,
        ([1], [MSGPACK, JSON]),
        1,
        JSON,
    )
    add(
        "unknown encodings beside a known one",
        "What is not known is not chosen",
        BOTH,
        ([2], ["application/cbor", JSON]),
        2,
        JSON,
    )
    add(
        "an encoding in capitals",
        "Media types are compared without case (RFC 9110 section 8.3.1)",
        BOTH,
        ([2], ["Application/JSON"]),
        2,
        JSON,
    )
    add("an encoding with a parameter", "Parameters change nothing", BOTH, ([2], ["application/json; charset=utf-8"]), 2, JSON)
    add("Protobuf first", "The first of ours that they offer", ALL, ([2], [JSON, MSGPACK, PROTOBUF]), 2, PROTOBUF)
    add("Protobuf is not theirs", "The first of ours that they offer", ALL, ([1, 2], [JSON, MSGPACK]), 2, MSGPACK)
    add("Protobuf cannot write version 1", "So JSON it is", ALL, ([1], [PROTOBUF, JSON]), 1, JSON)

    def refuse(name: str, why: str, ours: Offer, theirs: Offer | None, error: dict[str, Any]) -> None:
        _put(name, why, ours, theirs, {"error": error})

    old = {"code": "version.unsupported", "upgrade": "peer"}
    new = {"code": "version.unsupported", "upgrade": "this_side"}
    refuse(
        "a peer that is too old", "All of theirs are older than ours: upgrade the peer", ([2, 3], [JSON]), ([1], [JSON]), old
    )
    refuse(
        "a silent peer that is too old", "No hello means version 1, and this side has given it up", ([2, 3], [JSON]), None, old
    )
    refuse("a peer that is too new", "All of theirs are newer than ours: upgrade this side", BOTH, ([3], [JSON]), new)
    refuse("a peer far ahead", "All of theirs are newer than ours", BOTH, ([7, 8], [JSON]), new)
    refuse(
        "a peer in between",
        "This side has dropped what the peer speaks, and speaks newer and older",
        ([1, 3], [JSON]),
        ([2], [JSON]),
        new,
    )
    refuse("no common encoding", "Versions agree, encodings do not", ([2], [JSON]), ([2], [MSGPACK]), NO_ENCODING)
    refuse("an unknown encoding alone", "What is not known is not guessed", BOTH, ([2], ["application/cbor"]), NO_ENCODING)
    refuse("version 1 in MessagePack alone", "Version 1 is JSON only", BOTH, ([1], [MSGPACK]), NO_ENCODING)
    refuse(
        "the newest in no common encoding",
        "The version is chosen first, and no older one instead",
        ([1, 2], [JSON]),
        ([1, 2], [MSGPACK]),
        NO_ENCODING,
    )
    refuse(
        "an encoding that contains another",
        "application/json-seq is not application/json",
        BOTH,
        ([2], ["application/json-seq"]),
        NO_ENCODING,
    )
    return found
