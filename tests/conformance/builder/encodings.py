"""Which encoding a payload is read in, and what each encoding cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.builder import hello, msgpack, protobuf, version1, version2
from tests.conformance.builder.entries import compact, payload, refusal

if TYPE_CHECKING:
    from tests.conformance.builder.entries import Entry

JSON = "application/json"


def entries() -> list[Entry]:
    """``decode`` with a content type, without one, and with the wrong one."""
    found: list[Entry] = []
    one, two = compact(version1.SCHEDULE), compact(version2.SCHEDULE)
    packed, wire = msgpack.message(version2.SCHEDULE), protobuf.message("schedule", version2.SCHEDULE)

    def add(
        name: str,
        why: str,
        content_type: str | None,
        content: str | bytes,
        answer: dict[str, Any],
        needs: str,
        version: int = 2,
    ) -> None:
        about = {"name": name, "why": why, "kind": "schedule", "version": version, "needs": {"content_types": [needs]}}
        found.append({**about, "content_type": content_type, **payload(content), **answer})

    first: dict[str, Any] = {"expect": {"message": version1.SCHEDULE}}
    second: dict[str, Any] = {"expect": {"message": version2.SCHEDULE}}
    byte = "Without a content type (MQTT 3.1.1) the first byte decides"
    add("no content type: JSON of version 1", byte, None, one, first, JSON, 1)
    add("no content type: JSON of version 2", byte, None, two, second, JSON)
    add("no content type: JSON behind white space", "JSON's white space may come first", None, " \t\r\n" + two, second, JSON)
    add("no content type: MessagePack", byte, None, packed, second, msgpack.CONTENT_TYPE)
    large = b"\xde\x00\x07" + packed[1:]
    add("no content type: MessagePack with a map of 16 bits", byte, None, large, second, msgpack.CONTENT_TYPE)
    add("no content type: Protobuf", byte, None, wire, second, protobuf.CONTENT_TYPE)
    backwards = protobuf.message("schedule", dict(reversed(version2.SCHEDULE.items())))
    add(
        "no content type: Protobuf in another order",
        "No field begins with a byte of the others",
        None,
        backwards,
        second,
        protobuf.CONTENT_TYPE,
    )
    add(
        "no content type: nothing",
        "An empty payload is no message in any encoding",
        None,
        "",
        {"error": refusal("message.malformed")},
        JSON,
    )
    case = "Media types are compared without case (RFC 9110 section 8.3.1)"
    add("a content type in capitals", case, "Application/JSON", two, second, JSON)
    add("a content type with a parameter", "Parameters change nothing", "application/json; charset=utf-8", two, second, JSON)
    unknown = {"error": refusal("message.invalid")}
    add("an unknown content type", "It is not guessed", "application/cbor", two, unknown, JSON)
    add("text/json", "It is another media type", "text/json", two, unknown, JSON)
    add("an empty content type", "It is said, and it is none", "", two, unknown, JSON)
    malformed = {"error": refusal("message.malformed")}
    believed = "A content type that is there is believed"
    add("MessagePack called JSON", believed, JSON, packed, malformed, JSON)
    add("JSON called MessagePack", believed, msgpack.CONTENT_TYPE, two, malformed, msgpack.CONTENT_TYPE)
    unsupported = {"error": refusal("version.unsupported", "/version")}
    alone = "Version 1 is JSON only"
    add(
        "version 1 in MessagePack",
        alone,
        msgpack.CONTENT_TYPE,
        msgpack.pack({**version1.SCHEDULE}),
        unsupported,
        msgpack.CONTENT_TYPE,
    )
    add(
        "version 1 in Protobuf",
        alone,
        protobuf.CONTENT_TYPE,
        protobuf.message("schedule", {**version2.SCHEDULE, "version": 1}),
        unsupported,
        protobuf.CONTENT_TYPE,
    )
    kind = {"error": refusal("message.unknown_kind")}
    add(
        "a hello in MessagePack",
        "A hello is read before anything is agreed on, so it is always JSON",
        msgpack.CONTENT_TYPE,
        msgpack.pack(hello.HELLO),
        kind,
        msgpack.CONTENT_TYPE,
    )
    found[-1]["kind"] = "hello"
    add("an unknown kind", "The kinds are a closed set", JSON, two, kind, JSON)
    found[-1]["kind"] = "telemetry"
    return found
