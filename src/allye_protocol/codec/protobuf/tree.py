"""A Protobuf message as the tree that its JSON form is: the slow road, where every field can be seen as it came.

A runtime silently takes the last of two values, joins two halves of a message and sets aside a field of the wrong type. Here
they are found.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from allye_protocol.codec.explain import LISTED, Object
from allye_protocol.codec.protobuf.shape import ENUMS, NO_SETPOINT, SHAPES, Field, Scalar, Shape, word_of
from allye_protocol.codec.protobuf.wire import Occurrence, WireError, WireType, occurrences, varint
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.messages.fields import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tree", "tree_of", "wire_type_of"]


class Tree(NamedTuple):
    """A body as a tree like that of the JSON form, and what is wrong that the tree cannot show."""

    tree: Object
    problems: list[Problem]


def tree_of(payload: bytes, shape: Shape) -> Tree:
    """Read a payload as a message of a shape; unknown fields are left out.

    :raises WireError: for bytes that are no such message.
    """
    problems: list[Problem] = []
    return Tree(_message(payload, shape, "", 0, problems), problems)


def wire_type_of(field: Field) -> WireType:
    """The wire type of one value of a field."""
    if field.type is Scalar.DOUBLE:
        return WireType.FIXED64
    of_length = field.type in (Scalar.STRING, Scalar.LABELS) or field.type in SHAPES
    return WireType.LENGTH if of_length else WireType.VARINT


_FIELDS: Final = {type_: {field.number: field for field in shape.fields} for type_, shape in SHAPES.items()}
_WORDS: Final = {enum: {number: member.value for member, number in numbers.items()} for enum, numbers in ENUMS.items()}
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def _message(data: bytes, shape: Shape, path: str, base: int, problems: list[Problem]) -> Object:
    known = _FIELDS[shape.struct]
    members: list[tuple[str, Any]] = []
    lists: dict[str, list[Any]] = {}
    labels: list[tuple[str, Any]] = []
    for came in occurrences(data, base):
        field = known.get(came.number)
        if field is None:
            continue
        place = f"{path}/{field.member}"
        if field.repeated:
            lists.setdefault(field.member, []).extend(_elements(came, field, place, problems))
        elif field.type is Scalar.LABELS:
            labels.append(_label(came, place, problems))
        else:
            members.append((field.member, _value(came, field, place, problems)))
    if any(field.member == NO_SETPOINT for field in shape.fields):
        # A list that is absent on the wire is an empty one; this is the only list that must not be empty.
        rates = lists.setdefault("rates_w", [])
        problems.extend(_without_setpoint(rates, lists.pop(NO_SETPOINT, [])))
    if labels:
        members.append(("metadata", Object.of(labels)))
    return Object.of([*members, *lists.items()])


def _elements(came: Occurrence, field: Field, path: str, problems: list[Problem]) -> Iterator[Any]:
    """The elements in one occurrence of a list: several numbers may be packed into one."""
    expected = wire_type_of(field)
    if expected is WireType.VARINT and came.type is WireType.LENGTH and isinstance(came.value, bytes):
        at = 0
        while at < len(came.value):
            start = at
            number, at = varint(came.value, at, came.offset)
            packed = Occurrence(field.number, expected, number, came.offset + start)
            yield _value(packed, field, path, problems)
    else:
        yield _value(came, field, path, problems)


def _label(came: Occurrence, path: str, problems: list[Problem]) -> tuple[str, Any]:
    """One entry of a map: a message of a key, 1, and a value, 2, either of which is the empty text when absent."""
    data = _bytes(came, path)
    texts: dict[int, str] = {}
    for part in occurrences(data, came.offset):
        if part.number not in (1, 2):
            continue
        if part.number in texts and len(problems) < LISTED:
            problems.append(_duplicate(path))
        texts[part.number] = _text(_bytes(part, path), part.offset, path)
    return texts.get(1, ""), texts.get(2, "")


def _value(came: Occurrence, field: Field, path: str, problems: list[Problem]) -> Any:
    if came.type is not wire_type_of(field):
        raise WireError(f"the field at byte {came.offset} has wire type {came.type.value}, which is no {field.name}'s", path)
    if isinstance(came.value, int):
        return _number(came.value, field)
    if field.type is Scalar.STRING:
        return _text(came.value, came.offset, path)
    if field.type is Scalar.DOUBLE:
        return struct.unpack("<d", came.value)[0]
    return _message(came.value, SHAPES[field.type], path, came.offset, problems)  # type: ignore[index]


def _number(value: int, field: Field) -> Any:
    """An integer as what it stands for. What stands for nothing stays something that the member's type refuses."""
    match field.type:
        case Scalar.UINT32:
            return value
        case Scalar.SINT32:
            return value >> 1 ^ -(value & 1)
        case Scalar.BOOL:
            return {0: False, 1: True}.get(value, value)
        case Scalar.INT64 | Scalar.INSTANT:
            signed = value - 2**64 if value >= 2**63 else value
            return signed if field.type is Scalar.INT64 else _instant(signed)
        case enum:
            word = _WORDS[enum].get(value)  # type: ignore[index]
            return (word_of(enum) if value == 0 else f"number {value}") if word is None else word  # type: ignore[arg-type]


def _instant(microseconds: int) -> datetime:
    """An instant; beyond what a ``datetime`` can say, the last that it can, which lies far outside the protocol's time too."""
    try:
        return EARLIEST + timedelta(microseconds=microseconds)
    except OverflowError:
        return _LAST if microseconds > 0 else _FIRST


def _bytes(came: Occurrence, path: str) -> bytes:
    if came.type is not WireType.LENGTH or not isinstance(came.value, bytes):
        raise WireError(f"the field at byte {came.offset} has wire type {came.type.value}, which is none of a text", path)
    return came.value


def _text(value: bytes, offset: int, path: str) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise WireError(f"not UTF-8 at byte {offset + error.start}", path) from None


def _without_setpoint(rates: list[Any], slots: list[int]) -> Iterator[Problem]:
    """Take the setpoint from the slots that have none, and say what is wrong with their list."""
    before, listed = -1, 0
    for slot in slots:
        if not before < slot < len(rates):
            message = f"{NO_SETPOINT} has {slot} after {before}" if slot <= before else f"{NO_SETPOINT} names slot {slot}"
            why = f"{message}; the slots without a setpoint are named in order, once each, from 0 to {len(rates) - 1}"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=why, path="/rates_w")
            return
        if rates[slot] != 0 and listed < LISTED:
            message = f"{NO_SETPOINT} names this slot, and it has a setpoint of {rates[slot]} W"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=f"/rates_w/{slot}")
            listed += 1
        rates[slot] = None
        before = slot


def _duplicate(path: str) -> Problem:
    message = "the key comes more than once in its object; which value is meant cannot be known"
    return Problem(code=ErrorCode.MESSAGE_DUPLICATE_KEY, message=message, path=path)
