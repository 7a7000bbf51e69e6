"""``allye.proto``: the messages of version 2 for ``protoc``, written from the field numbers and the structs.

Whoever implements the protocol in another language generates code from it. What a ``.proto`` cannot express (which fields are
required, and their bounds) stands in the comments, in the same words for each.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import msgspec

from allye_protocol.codec.protobuf.shape import ENUMS, NO_SETPOINT, NOBODYS, PACKAGE, SHAPES, Field, Scalar, Shape, word_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum

__all__ = ["text"]

WIDTH: Final = 100
_HEADER: Final = """\
The Allye device protocol, version 2, as Protobuf. Content type: application/protobuf.

A payload is one message of the kind that its topic's channel carries; the hello is always JSON. Version 1 is JSON only.

Every singular field has presence, and no value stands for absence. "Required" and the bounds in the comments are rules of the
protocol: a receiver refuses a message that breaks one, as it refuses what the JSON Schemas of version 2 say in words, with the
same error codes. Besides: a singular field comes once (message.duplicate_key), has the wire type of its declaration and holds
UTF-8 where it is a string (message.malformed), and a double is finite (message.non_finite_number). Fields that are not known
are ignored. A number of an enumeration that is not known, 0 among them, is an error.

An instant is an int64 of microseconds since 1970-01-01T00:00:00Z, leap seconds not counted, and its field's name ends in _us.
It lies before 2200-01-01T00:00:00Z.

The JSON Pointer of an error names the member of the JSON form: without _us, and /rates_w/7 for the slot with index 7.

Without a content type a receiver tells the encodings apart by the first byte of the payload. So no field of a message that a
topic carries may begin with one of JSON's or MessagePack's: new ones get no number that is 0 or 1 modulo 16."""
_EPOCH: Final = "microseconds since the Unix epoch"
_RATES: Final = (
    "Power at the AC terminals in each slot, W: positive charges, negative discharges, 0 rests. 0 also stands for a slot of "
    f"{NO_SETPOINT}."
)
_WITHOUT: Final = (
    "The slots without a setpoint, in which the default control applies: indices of rates_w, strictly increasing, each of "
    "which has 0 there."
)
_ELEMENT: Final = Field(0, "", Scalar.STRING)
"""What stands for the elements of a list where their bounds are put into words."""
_WORDS: Final = {
    Scalar.BOOL: "bool",
    Scalar.DOUBLE: "double",
    Scalar.INSTANT: "int64",
    Scalar.INT64: "int64",
    Scalar.LABELS: "map<string, string>",
    Scalar.SINT32: "sint32",
    Scalar.STRING: "string",
    Scalar.UINT32: "uint32",
}


def text() -> str:
    """The published file."""
    parts = [
        "\n".join(_comment(_HEADER, 0)),
        'syntax = "proto3";',
        f"package {PACKAGE};",
        *("\n".join(_message(shape)) for shape in SHAPES.values()),
        *("\n".join(_enum(enum, numbers)) for enum, numbers in ENUMS.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _message(shape: Shape) -> Iterator[str]:
    members = {member.name: member for member in msgspec.structs.fields(shape.struct)}
    yield from _comment((shape.struct.__doc__ or "").strip(), 0)
    yield f"message {shape.struct.__name__} {{"
    if shape.fields[-1].number > NOBODYS[0]:
        yield f"  reserved {', '.join(map(str, NOBODYS))};"
        yield ""
    for index, field in enumerate(shape.fields):
        if index:
            yield ""
        yield from _comment(_said_of(field, members.get(field.member)), 1)
        yield f"  {_declared(field)} {field.name} = {field.number};"
    yield "}"


def _declared(field: Field) -> str:
    word = _WORDS[field.type] if isinstance(field.type, Scalar) else field.type.__name__
    if field.type is Scalar.LABELS:
        return word
    return f"{'repeated' if field.repeated else 'optional'} {word}"


def _enum(enum: type[StrEnum], numbers: dict[StrEnum, int]) -> Iterator[str]:
    yield from _comment((enum.__doc__ or "").strip(), 0)
    yield f"enum {enum.__name__} {{"
    yield "  // Never valid."
    yield f"  {word_of(enum)} = 0;"
    for member, number in numbers.items():
        yield f"  {word_of(enum, member)} = {number};"
    yield "}"


def _said_of(field: Field, member: msgspec.structs.FieldInfo | None) -> str:
    """What a field means, whether it must be there, and its bounds."""
    if member is None:
        return _WITHOUT
    metas = list(_metas(member.type))
    said = [_meaning(field, metas), _presence(member)]
    if field.member == "rates_w":
        said = [_RATES, said[0], said[1]]
    said.extend(_bounds(field, member.type))
    return " ".join(part for part in said if part)


def _meaning(field: Field, metas: list[msgspec.Meta]) -> str:
    described = ""
    for meta in metas:
        described = meta.description or described
        described = (meta.extra_json_schema or {}).get("description", described)
    if field.type is Scalar.INSTANT:
        in_words = "RFC 3339 with an offset"
        return described.replace(in_words, _EPOCH) if in_words in described else f"{described} In {_EPOCH}."
    return described


def _presence(member: msgspec.structs.FieldInfo) -> str:
    if member.required:
        return "Required."
    absent = member.default
    return f"{str(absent).lower()} when absent." if isinstance(absent, int) else ""


def _bounds(field: Field, expected: Any) -> Iterator[str]:
    """The bounds of a member, as sentences, and those of a list's elements."""
    metas = list(_metas(expected))
    low, high = _bound(metas, "ge"), _bound(metas, "le")
    if low is not None:
        yield f"{low:.15g} to {high:.15g}."
    low, high = _bound(metas, "min_length") or 0, _bound(metas, "max_length")
    if high is not None:
        unit = "elements" if field.repeated else "entries" if field.type is Scalar.LABELS else "characters"
        yield f"{high} {unit}." if low == high else f"{low} to {high} {unit}." if low else f"At most {high} {unit}."
    inner = _bare(expected)
    if get_origin(inner) is Literal and len(get_args(inner)) > 1:
        yield f"One of {', '.join(map(str, get_args(inner)))}."
    elif get_origin(inner) is tuple:
        yield from (f"Each: {bound.lower()}" for bound in _bounds(_ELEMENT, get_args(inner)[0]))
    elif get_origin(inner) is dict:
        for name, part in zip(("Keys", "Values"), get_args(inner), strict=True):
            yield from (f"{name}: {bound.lower()}" for bound in _bounds(_ELEMENT, part))


def _bound(metas: list[msgspec.Meta], name: str) -> Any:
    """The innermost bound of that name is overridden by any outer one."""
    return next((bound for meta in reversed(metas) if (bound := getattr(meta, name)) is not None), None)


def _bare(expected: Any) -> Any:
    """The type without what is annotated on it and without the ``None`` of an optional member."""
    if get_origin(expected) is Annotated:
        return _bare(get_args(expected)[0])
    if type(None) in get_args(expected):
        return next(_bare(member) for member in get_args(expected) if member is not type(None))
    return expected


def _metas(expected: Any) -> Iterator[msgspec.Meta]:
    """What is annotated on a type, the innermost first; that of a list's elements is not its own."""
    if get_origin(expected) is Annotated:
        inner, *extras = get_args(expected)
        yield from _metas(inner)
        yield from (extra for extra in extras if isinstance(extra, msgspec.Meta))
    elif type(None) in get_args(expected):
        for member in get_args(expected):
            yield from _metas(member)


def _comment(words: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for index, paragraph in enumerate(words.split("\n\n")):
        if index:
            yield f"{indent}//"
        filled = textwrap.fill(paragraph, WIDTH - len(indent) - 3, break_long_words=False, break_on_hyphens=False)
        yield from (f"{indent}// {line}" for line in filled.splitlines())
