"""The AsyncAPI document: it says of every channel and message what the code does, and stands alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from allye_protocol import codec, schema
from allye_protocol.codec import encode
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF, KINDS, NEWEST, Kind
from allye_protocol.schema import asyncapi, proto
from allye_protocol.signing import CONTEXTS
from allye_protocol.topics import CHANNELS, Channel, Direction, build
from tests.strategies import written
from tests.test_schema import bodies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.messages import Written

jsonschema = pytest.importorskip("jsonschema", reason="not installed: jsonschema")
yaml = pytest.importorskip("yaml", reason="not installed: PyYAML")

DOCUMENT = asyncapi.document()
MESSAGES = DOCUMENT["components"]["messages"]


def target(reference: dict[str, str]) -> Any:
    """What a reference within the document refers to."""
    node: Any = DOCUMENT
    for step in reference["$ref"].removeprefix("#/").split("/"):
        node = node[step]
    return target(node) if isinstance(node, dict) and set(node) == {"$ref"} else node


def references(node: Any) -> Iterator[dict[str, str]]:
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from references(child)


def payload_validator(name: str) -> Any:
    """A validator for the payload of a message, by the document alone."""
    payload = MESSAGES[name]["payload"]
    return jsonschema.Draft7Validator({**payload, "components": DOCUMENT["components"]})


def test_the_text_is_the_document() -> None:
    assert yaml.safe_load(asyncapi.text()) == DOCUMENT
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    assert asyncapi.text() == asyncapi.text()


def test_every_reference_leads_somewhere_in_the_document() -> None:
    found = list(references(DOCUMENT))
    assert len(found) > 100
    for reference in found:
        assert target(reference)


@pytest.mark.parametrize("channel", Channel)
def test_a_channel_has_its_topic_and_every_message_that_it_carries(channel: Channel) -> None:
    entry = DOCUMENT["channels"][channel]
    assert entry["address"].format(root="acme/gb", device_id="a") == build("a", channel, "acme/gb")
    assert set(entry["parameters"]) == {"root", "device_id"}
    carried = [target(reference) for reference in entry["messages"].values()]
    assert {CHANNEL_OF[Kind(message["name"])] for message in carried} == {channel}
    versions = {name.removesuffix("_msgpack").removesuffix("_protobuf") for name in entry["messages"]}
    assert versions == {f"{kind}_v{version}" if version else kind for kind, version in KINDS if CHANNEL_OF[kind] is channel}


@pytest.mark.parametrize("channel", Channel)
def test_both_sides_have_an_operation_with_the_channels_quality_and_retention(channel: Channel) -> None:
    row = CHANNELS[channel]
    found = {
        operation["tags"][0]["name"]: operation
        for operation in DOCUMENT["operations"].values()
        if operation["channel"] == {"$ref": f"#/channels/{channel}"}
    }
    assert set(found) == {"device", "cloud"}
    sender = "cloud" if row.direction is Direction.TO_DEVICE else "device"
    for side, operation in found.items():
        assert operation["action"] == ("send" if side == sender else "receive")
        assert operation["bindings"]["mqtt"] == {"qos": row.qos, "retain": row.retained, "bindingVersion": "0.2.0"}
        assert len(operation["messages"]) == len(DOCUMENT["channels"][channel]["messages"])


@pytest.mark.parametrize(("asked", "answered"), [("cloudSendSchedule", "ack"), ("deviceReceiveCancel", "event")])
def test_what_is_asked_of_a_device_names_where_it_answers(asked: str, answered: str) -> None:
    assert DOCUMENT["operations"][asked]["reply"]["channel"] == {"$ref": f"#/channels/{answered}"}


def test_messages_have_the_encodings_that_the_codec_writes_them_in() -> None:
    for content_type, encoding in codec.ENCODINGS.items():
        said = {name for name, message in MESSAGES.items() if message["contentType"] == content_type}
        suffix = asyncapi.CONTENT_TYPES[content_type].suffix
        able = {
            f"{kind}_v{version}{suffix}" if version else f"{kind}{suffix}"
            for kind, version in KINDS
            if version in encoding.versions
        }
        assert said == able
    assert DOCUMENT["defaultContentType"] == codec.DEFAULT_CONTENT_TYPE


def test_what_is_signed_has_the_properties_of_a_signature() -> None:
    signed = {
        message["name"]
        for message in MESSAGES.values()
        if {"$ref": "#/components/messageTraits/signed"} in message.get("traits", ())
    }
    assert signed == set(CONTEXTS)


def test_protobuf_messages_are_named_as_in_the_proto_which_is_in_the_document() -> None:
    shipped = DOCUMENT["components"]["schemas"]["allye_proto"]
    assert shipped["schema"] == proto.text()
    named = {message["x-protobuf-message"] for message in MESSAGES.values() if "x-protobuf-message" in message}
    assert len(named) == sum(version == NEWEST for _, version in KINDS)
    for name in named:
        package, _, message = name.rpartition(".")
        assert f"package {package};" in shipped["schema"]
        assert f"message {message} {{" in shipped["schema"]


@pytest.mark.parametrize("name", [name for name, message in MESSAGES.items() if "examples" in message])
def test_examples_are_valid_by_the_document_alone(name: str) -> None:
    assert MESSAGES[name]["examples"]
    for shown in MESSAGES[name]["examples"]:
        payload_validator(name).validate(shown["payload"])


VALIDATORS = {
    (kind, version): (
        payload_validator(f"{kind}_v{version}" if version else kind),
        schema.validator(kind, version or NEWEST),
    )
    for kind, version in KINDS
}


@settings(deadline=None)
@given(written)
def test_every_valid_message_is_valid_by_the_document(message: Written) -> None:
    spec = BY_TYPE[type(message)]
    VALIDATORS[spec.kind, spec.version][0].validate(json.loads(encode(message)))


@settings(deadline=None)
@given(bodies())
def test_the_document_and_the_published_schemas_accept_the_same(body: tuple[Kind, Any]) -> None:
    kind, tree = body
    for (known, _), (by_document, by_schema) in VALIDATORS.items():
        if known is kind:
            assert by_document.is_valid(tree) == by_schema.is_valid(tree)
