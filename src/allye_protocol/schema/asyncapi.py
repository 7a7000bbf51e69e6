"""The AsyncAPI 3.0 document: every channel, what is carried there, by whom, and how.

It is made from the tables of channels and message types, so it says nothing that the code does not, and it stands alone: the
schemas of the payloads and the ``.proto`` are in it.

1. Both sides have their operations: those of a device begin with ``device``, those of the cloud with ``cloud``.
2. A message is one kind in one version and one encoding; a channel lists all that it may carry. Which of them two peers speak,
   they agree on by the hello.
3. Payloads are AsyncAPI schemas (draft 7 of JSON Schema and more), which every tool reads: the same keywords as in the
   published JSON Schemas, with shared definitions under ``components``. A test shows that both accept the same.
4. MQTT 5 user properties are the headers of a message.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from allye_protocol.codec.protobuf.shape import PACKAGE
from allye_protocol.ids import MAX_ID_CHARS
from allye_protocol.messages.registry import CHANNEL_OF, KINDS, NEWEST, Kind, Spec
from allye_protocol.schema import proto
from allye_protocol.schema.generate import generate
from allye_protocol.schema.yaml import dump
from allye_protocol.topics import CHANNELS, DEFAULT_ROOT, Channel, Direction

__all__ = ["CONTENT_TYPES", "document", "text"]


class _Written(NamedTuple):
    """An encoding as a peer sees it.

    :param suffix: what the names of its messages end in.
    :param versions: the major versions that are written in it; 0 for a kind whose shape is the same in all.
    :param note: how its payload differs from JSON.
    """

    suffix: str
    versions: tuple[int, ...]
    note: str


_PROTOBUF: Final = "application/protobuf"
CONTENT_TYPES: Final = {
    "application/json": _Written("", (0, *range(1, NEWEST + 1)), ""),
    "application/vnd.msgpack": _Written(
        "_msgpack",
        (NEWEST,),
        "A map with the members of the JSON payload by the same names; an instant is a timestamp (extension type -1), or a "
        "string as in JSON. The schema is that of the JSON payload.",
    ),
    _PROTOBUF: _Written(
        "_protobuf", (NEWEST,), "The rules of the JSON payload hold for it too, whatever a .proto can say of them."
    ),
}
"""What messages are written in. The encodings themselves are on the floor of the codec, where an extra may be missing."""
_OBJECTS: Final = {
    Kind.SCHEDULE: "Schedule",
    Kind.CANCEL: "Cancel",
    Kind.ACK: "Ack",
    Kind.EXECUTION_RESULT: "ExecutionResult",
    Kind.SCHEDULE_EVENT: "ScheduleEvent",
    Kind.DEVICE_STATUS: "DeviceStatus",
    Kind.HELLO: "Hello",
}
"""How a kind is called in the names of operations."""
_ANSWERS: Final = {Channel.SCHEDULE: Channel.ACK, Channel.CANCEL: Channel.EVENT}
_SIDES: Final = {Direction.TO_DEVICE: ("cloud", "device"), Direction.TO_CLOUD: ("device", "cloud")}
"""Who sends and who receives."""
_KIND_OF: Final = {channel: kind for kind, channel in CHANNEL_OF.items()}
_BINDING: Final = "0.2.0"
_PROTO: Final = "allye_proto"
_ABOUT: Final = """\
Versioned power schedules for batteries over MQTT. A device and the cloud agree on a version and an encoding by the device's
retained hello; a device without one is spoken to in version 1 and JSON. Everything travels with QoS 1, and is idempotent.

The content type is the MQTT 5 property of that name. Without it (MQTT 3.1.1) the first byte of the payload decides: `{` is
JSON, 0x80-0x8f and 0xde-0xdf MessagePack, anything else Protobuf.
"""


def text() -> str:
    """The document as YAML."""
    return "# Generated from the message types and the table of channels; not edited by hand.\n" + dump(document())


def document() -> dict[str, Any]:
    """The document as JSON-ready data."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Allye device protocol", "version": str(NEWEST), "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {str(channel): _channel(channel) for channel in CHANNELS},
        "operations": dict(pair for channel in CHANNELS for pair in _operations(channel)),
        "components": {
            "parameters": _PARAMETERS,
            "messages": dict(pair for spec in KINDS.values() for pair in _messages(spec)),
            "messageTraits": _TRAITS,
            "schemas": _schemas(),
            "securitySchemes": {
                "mutualTls": {"type": "X509", "description": "A certificate each; the common name of a device's is its id."}
            },
        },
    }


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": f"#/{'/'.join(path)}"}


def _servers() -> dict[str, Any]:
    will = {"topic": f"{DEFAULT_ROOT}/{{device_id}}/{Channel.STATUS}", "qos": CHANNELS[Channel.STATUS].qos, "retain": True}
    words = "A device_status that says online false, in the version and encoding that the device speaks with the cloud."
    broker = {
        "host": "{host}:{port}",
        "protocol": "secure-mqtt",
        "variables": {
            "host": {"description": "The broker.", "default": "localhost"},
            "port": {"description": "Its port for MQTT over TLS.", "default": "8883"},
        },
        "security": [_ref("components", "securitySchemes", "mutualTls")],
        "bindings": {"mqtt": {"cleanSession": False, "lastWill": {**will, "message": words}, "bindingVersion": _BINDING}},
    }
    return {
        "mqtt5": {**broker, "protocolVersion": "5.0", "description": "With content types, trace context and signatures."},
        "mqtt311": {
            **broker,
            "protocolVersion": "3.1.1",
            "description": "The same messages without properties: no signatures, and the first byte tells the encoding.",
        },
    }


_PARAMETERS: Final[dict[str, Any]] = {
    "root": {
        "description": "Everything above the devices: one level or several, without wildcards, not beginning with $.",
        "default": DEFAULT_ROOT,
        "examples": [DEFAULT_ROOT, "acme/gb/devices"],
    },
    "device_id": {
        "description": f"1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ -. The payload names the same device.",
        "examples": ["max300-0001"],
    },
}


def _property(pattern: str, description: str, example: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, "description": description, "examples": [example]}


_TRAITS: Final[dict[str, Any]] = {
    "traced": {
        "headers": {
            "type": "object",
            "properties": {
                "traceparent": _property(
                    "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                    "W3C trace context, as an MQTT 5 user property. One that is invalid is replaced, never passed on.",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                ),
                "tracestate": {
                    "type": "string",
                    "maxLength": 512,
                    "description": "W3C trace state, as an MQTT 5 user property; only beside a traceparent.",
                },
            },
        }
    },
    "signed": {
        "headers": {
            "type": "object",
            "properties": {
                "sig": _property(
                    "^[A-Za-z0-9_-]{86}$",
                    "Ed25519 signature in base64url without padding, as an MQTT 5 user property. Whether it has to be there is "
                    "the device's policy; one that is there has to be right.",
                    "A" * 86,
                ),
                "kid": _property(f"^[A-Za-z0-9_-]{{1,{MAX_ID_CHARS}}}$", "The name of the key that it was made with.", "key-1"),
            },
        }
    },
}


def _channel(channel: Channel) -> dict[str, Any]:
    row = CHANNELS[channel]
    sender, receiver = _SIDES[row.direction]
    kept = " The broker keeps the last one for who comes later." if row.retained else ""
    return {
        "address": f"{{root}}/{{device_id}}/{channel}",
        "title": f"{_OBJECTS[_KIND_OF[channel]]}, from {_named(sender)} to {_named(receiver)}",
        "description": f"Since version {row.since} of the protocol.{kept}",
        "messages": {name: _ref("components", "messages", name) for name in _names(channel)},
        "parameters": {name: _ref("components", "parameters", name) for name in _PARAMETERS},
    }


def _named(side: str) -> str:
    return "the cloud" if side == "cloud" else "one device"


def _operations(channel: Channel) -> list[tuple[str, dict[str, Any]]]:
    row = CHANNELS[channel]
    sides = dict(zip(_SIDES[row.direction], ("send", "receive"), strict=True))
    answer = _ANSWERS.get(channel)
    made: dict[str, Any] = {
        "channel": _ref("channels", channel),
        "messages": [_ref("channels", channel, "messages", name) for name in _names(channel)],
        "bindings": {"mqtt": {"qos": row.qos, "retain": row.retained, "bindingVersion": _BINDING}},
    }
    if answer is not None:
        names = [_ref("channels", answer, "messages", name) for name in _names(answer)]
        made["reply"] = {"channel": _ref("channels", answer), "messages": names}
    return [
        (
            f"{side}{action.capitalize()}{_OBJECTS[_KIND_OF[channel]]}",
            {"action": action, "summary": _summary(_KIND_OF[channel]), "tags": [{"name": side}], **made},
        )
        for side, action in sides.items()
    ]


def _summary(kind: Kind) -> str:
    """What a kind is for, in the words of its newest type."""
    spec = KINDS.get((kind, NEWEST)) or KINDS[kind, 0]
    return (spec.struct.__doc__ or "").partition("\n")[0]


def _names(channel: Channel) -> list[str]:
    return [name for spec in KINDS.values() if CHANNEL_OF[spec.kind] is channel for name, _ in _messages(spec)]


def _messages(spec: Spec) -> list[tuple[str, dict[str, Any]]]:
    """Each message of a type: one for each encoding."""
    return [
        (_schema_name(spec) + written.suffix, _message(spec, content_type, written))
        for content_type, written in CONTENT_TYPES.items()
        if spec.version in written.versions
    ]


def _message(spec: Spec, content_type: str, written: _Written) -> dict[str, Any]:
    is_json = not written.suffix
    version = f" of version {spec.version}" if spec.version else " of all versions"
    made: dict[str, Any] = {
        "name": spec.kind,
        "title": f"{spec.kind}{version}, {content_type}",
        "summary": (spec.struct.__doc__ or "").partition("\n")[0],
        "contentType": content_type,
        "payload": _ref("components", "schemas", _PROTO if content_type == _PROTOBUF else _schema_name(spec)),
        "bindings": {"mqtt": {"contentType": content_type, "bindingVersion": _BINDING}},
    }
    if content_type == _PROTOBUF:
        made["x-protobuf-message"] = f"{PACKAGE}.{spec.struct.__name__}"
    if not is_json:
        made["description"] = written.note
    traits = _traits(spec)
    if traits:
        made["traits"] = [_ref("components", "messageTraits", trait) for trait in traits]
    if is_json:
        bodies = generate(spec.kind, spec.version or NEWEST)["examples"]
        made["examples"] = [{"name": f"{spec.kind}-{index + 1}", "payload": body} for index, body in enumerate(bodies)]
    return made


def _traits(spec: Spec) -> list[str]:
    """A hello and a status belong to no trace; what asks something of a battery may be signed."""
    if CHANNELS[CHANNEL_OF[spec.kind]].retained:
        return []
    return ["traced", "signed"] if CHANNELS[CHANNEL_OF[spec.kind]].direction is Direction.TO_DEVICE else ["traced"]


def _schema_name(spec: Spec) -> str:
    return f"{spec.kind}_v{spec.version}" if spec.version else str(spec.kind)


def _schemas() -> dict[str, Any]:
    """The payloads and what they are made of; a definition that several of a version share is there once."""
    found: dict[str, Any] = {}
    for spec in KINDS.values():
        schema = generate(spec.kind, spec.version or NEWEST)
        definitions = schema.pop("$defs")
        shared = {name: f"{name}_v{spec.version}" if spec.version else name for name in definitions}
        found |= {shared[name]: _draft7(definition, shared) for name, definition in definitions.items()}
        body = {keyword: value for keyword, value in schema.items() if keyword not in {"$schema", "$id", "examples"}}
        found[_schema_name(spec)] = _draft7(body, shared)
    return {
        **dict(sorted(found.items())),
        _PROTO: {"schemaFormat": "application/vnd.google.protobuf;version=3", "schema": proto.text()},
    }


def _draft7(node: Any, names: dict[str, str]) -> Any:
    """A schema as draft 7 has it: there, whatever stands beside a reference is not looked at."""
    if isinstance(node, list):
        return [_draft7(item, names) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: value if key in {"examples", "default", "enum"} else _draft7(value, names) for key, value in node.items()}
    if isinstance(made.get("$ref"), str):
        reference = _ref("components", "schemas", names[made.pop("$ref").removeprefix("#/$defs/")])
        return {**made, "allOf": [reference]} if made else reference
    return made
