"""One JSON Schema (2020-12) from one message type.

msgspec writes what the types say. Here it becomes a document for people: the message at the root instead of behind a reference,
an optional member with its description where readers and tools look for it, a constant as a constant, members in a fixed order,
the rules between members, and whole messages as examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from allye_protocol.errors import DecodeError, ErrorCode
from allye_protocol.messages.registry import KINDS, NEWEST, VERSIONS, Kind, Spec
from allye_protocol.schema.examples import examples
from allye_protocol.schema.rules import MEMBER_RULES, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["generate", "identifier", "spec_of"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ORDER: Final = (
    "$schema", "$id", "$ref", "$comment", "title", "description", "type", "const", "enum", "default", "pattern", "not",
    "format", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "items", "properties", "required",
    "if", "then", "allOf", "anyOf", "examples", "$defs",
)  # fmt: skip
_VERBATIM: Final = frozenset({"examples", "default", "enum"})
"""Members of a schema that hold values and not schemas."""


def generate(kind: Kind | str, version: int = NEWEST) -> dict[str, Any]:
    """The JSON Schema of one kind of message.

    :param kind: what the message is.
    :param version: the protocol's major version. The shape of ``hello`` is the same in all of them.
    :returns: a new JSON-ready document.
    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    spec = spec_of(kind, version)
    _, definitions = msgspec.json.schema_components([spec.struct], ref_template="#/$defs/{name}")
    structs = {found.cls.__name__: found for found in _structs(inspect.type_info(spec.struct))}
    for name, struct in structs.items():
        _describe_members(definitions[name]["properties"], struct)
    definitions = {name: _tidied({**node, **MEMBER_RULES.get((spec.version, name), {})}) for name, node in definitions.items()}
    root = definitions.pop(spec.struct.__name__)
    document = {
        **root,
        "$schema": DIALECT,
        "$id": identifier(spec.kind, version),
        "title": f"Allye device protocol, {'all versions' if spec.version == 0 else f'version {version}'}: {spec.kind}",
        "description": _described(root["description"], spec),
        "examples": examples(spec.kind, spec.version),
        "$defs": dict(sorted(definitions.items())),
    }
    ready: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_ordered(document)))
    return ready


def identifier(kind: Kind, version: int = NEWEST) -> str:
    """The ``$id`` of a schema: a name, not an address.

    :param kind: what the message is.
    :param version: the protocol's major version; the shape of ``hello`` is the same in all, and so is its name.
    """
    return ":".join(["urn:allye:protocol", *([] if (kind, 0) in KINDS else [f"v{version}"]), kind])


def spec_of(kind: Kind | str, version: int) -> Spec:
    """The message type of a kind in a version.

    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    try:
        kind = Kind(kind)
    except ValueError:
        raise DecodeError(
            ErrorCode.MESSAGE_UNKNOWN_KIND, f"no message kind {str(kind)[:64]!r}; known: {', '.join(Kind)}"
        ) from None
    spec = KINDS.get((kind, version)) or KINDS.get((kind, 0))
    if spec is None or version not in VERSIONS:
        known = ", ".join(str(number) for number in VERSIONS if {(kind, number), (kind, 0)} & KINDS.keys())
        raise DecodeError(ErrorCode.VERSION_UNSUPPORTED, f"there is no {kind} of version {version}; known: {known}")
    return spec


def _structs(node: inspect.Type) -> Iterator[inspect.StructType]:
    """Every struct that a type is made of."""
    match node:
        case inspect.StructType(fields=fields):
            yield node
            for field in fields:
                yield from _structs(field.type)
        case inspect.Metadata(type=inner):
            yield from _structs(inner)
        case inspect.UnionType(types=types):
            for inner in types:
                yield from _structs(inner)
        case inspect.VarTupleType(item_type=inner):
            yield from _structs(inner)
        case _:
            return


def _describe_members(members: dict[str, Any], struct: inspect.StructType) -> None:
    """Give the description of an optional struct back to its member: msgspec keeps only the reference."""
    for field in struct.fields:
        match field.type:
            case inspect.UnionType(types=(inspect.Metadata(type=inspect.StructType(), extra_json_schema={**extra}), *_)):
                members[field.name] = {**extra, **members[field.name]}
            case _:
                continue


def _described(summary: str, spec: Spec) -> str:
    evolution = (
        "Unknown members are ignored: later minor versions add optional ones. A member that may be null is absent when it is."
    )
    words = (f"- {rule.text} ({', '.join(sorted(rule.codes))})" for rule in rules(spec.kind, spec.version))
    return "\n".join([summary, "", evolution, "", "A receiver also refuses what JSON Schema cannot express:", *words])


def _tidied(node: Any) -> Any:
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy: dict[str, Any] = {key: value if key in _VERBATIM else _tidied(value) for key, value in node.items()}
    if "anyOf" in tidy:
        # Releases of msgspec differ in where they put it.
        tidy["anyOf"].sort(key={"type": "null"}.__eq__)
    match tidy:
        case {"anyOf": [{"$ref": str(reference)} as inner, {"type": "null"}]}:
            del inner["$ref"]
            tidy |= {**inner, "anyOf": [{"$ref": reference}, {"type": "null"}]}
        case {"anyOf": [{"type": str(name)} as inner, {"type": "null"}]}:
            del tidy["anyOf"]
            tidy |= {**inner, "type": [name, "null"]}
        case {"enum": [int(only)]}:
            del tidy["enum"]
            tidy |= {"type": "integer", "const": only}
        case {"enum": [str(), *_]}:
            tidy["type"] = "string"
        case {"enum": [int(), *_]}:
            tidy["type"] = "integer"
    return _ordered(tidy)


def _ordered(node: dict[str, Any]) -> dict[str, Any]:
    return {key: node[key] for key in (*_ORDER, *node) if key in node}
