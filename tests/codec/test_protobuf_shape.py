"""The table of field numbers is complete, unambiguous, and keeps the first byte of a payload for telling encodings apart."""

from __future__ import annotations

import string
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given

from allye_protocol.codec import PROTOBUF, encode
from allye_protocol.codec.protobuf.shape import ENUMS, NO_SETPOINT, NOBODYS, SHAPES, Field, Scalar, word_of
from allye_protocol.codec.protobuf.tree import wire_type_of
from allye_protocol.messages.registry import KINDS
from tests.strategies import v2_messages

if TYPE_CHECKING:
    from allye_protocol.messages import Message

ON_TOPICS = [spec.struct for spec in KINDS.values() if spec.version == 2]
JSON_BEGINS = set(b" \t\n\r{")
MESSAGEPACK_BEGINS = {*range(0x80, 0x90), 0xDE, 0xDF}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.struct.__name__)


def bare(expected: Any) -> Any:
    """A member's type without annotations, without None and without the list around it."""
    if get_origin(expected) is Annotated:
        return bare(get_args(expected)[0])
    if type(None) in get_args(expected):
        return bare(next(member for member in get_args(expected) if member is not type(None)))
    if get_origin(expected) is tuple:
        return bare(get_args(expected)[0])
    return getattr(expected, "__supertype__", expected)


def scalars_of(expected: Any) -> set[Any]:
    """What a member of a type may be in Protobuf."""
    if get_origin(expected) is Literal:
        return {Scalar.UINT32}
    if get_origin(expected) is dict:
        return {Scalar.LABELS}
    numbers = {Scalar.INT64, Scalar.SINT32, Scalar.UINT32}
    scalars = {bool: {Scalar.BOOL}, int: numbers, float: {Scalar.DOUBLE}, str: {Scalar.STRING}, datetime: {Scalar.INSTANT}}
    return scalars.get(expected, {expected})


def test_every_message_of_version_2_has_a_shape() -> None:
    nested = {field.type for shape in SHAPES.values() for field in shape.fields if field.type in SHAPES}
    assert set(ON_TOPICS) | nested == set(SHAPES)


def test_an_instant_stands_in_a_message_and_not_in_one_inside_it() -> None:
    """Whether a message is in UTC is looked up in its own fields."""
    inside = [field for struct, shape in SHAPES.items() if struct not in ON_TOPICS for field in shape.fields]
    assert not [field for field in inside if field.type is Scalar.INSTANT]


@every_shape
def test_every_member_has_one_field_of_its_type(shape: Any) -> None:
    members = {member.name: member.type for member in msgspec.structs.fields(shape.struct)}
    fields = [field for field in shape.fields if field.member != NO_SETPOINT]
    assert sorted(field.member for field in fields) == sorted(members)
    for field in fields:
        assert field.type in scalars_of(bare(members[field.member])), field.member
        origins = [get_origin(part) for part in (members[field.member], *get_args(members[field.member]))]
        assert field.repeated is (tuple in origins), field.member


@every_shape
def test_a_whole_number_fits_into_its_field(shape: Any) -> None:
    spaces = {Scalar.UINT32: (0, 2**32 - 1), Scalar.SINT32: (-(2**31), 2**31 - 1), Scalar.INT64: (-(2**63), 2**63 - 1)}

    def metas(expected: Any) -> list[msgspec.Meta]:
        return [extra for extra in get_args(expected) if isinstance(extra, msgspec.Meta)] + [
            meta for part in get_args(expected) if part is not expected for meta in metas(part)
        ]

    members = {member.name: member.type for member in msgspec.structs.fields(shape.struct)}
    for field in shape.fields:
        if field.type in spaces and field.member != NO_SETPOINT and get_origin(bare(members[field.member])) is not Literal:
            bounds = [
                (meta.ge, meta.le) for meta in metas(members[field.member]) if meta.ge is not None and meta.le is not None
            ]
            assert bounds, field.member
            low, high = spaces[field.type]
            assert all(low <= least and most <= high for least, most in bounds), field.member


@every_shape
def test_numbers_come_once_and_in_order(shape: Any) -> None:
    numbers = [field.number for field in shape.fields]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 1


@pytest.mark.parametrize("struct", ON_TOPICS)
def test_the_first_numbers_mean_the_same_in_every_message(struct: type) -> None:
    first = {field.number: field.member for field in SHAPES[struct].fields if field.number <= 5}
    same = {1: "version", 2: "schedule_id", 3: "device_id", 4: "traceparent", 5: "sequence"}
    assert first.items() <= same.items()
    assert {"version", "device_id"} <= set(first.values())


def first_bytes(field: Field) -> set[int]:
    """Every byte with which a payload can begin that begins with the field: a list of numbers has two wire types."""
    types = {wire_type_of(field)} | ({2} if field.repeated else set())
    tags = {field.number << 3 | wire_type for wire_type in types}
    return {tag if tag < 0x80 else tag & 0x7F | 0x80 for tag in tags}


@pytest.mark.parametrize("struct", ON_TOPICS)
def test_no_field_begins_like_another_encoding(struct: type) -> None:
    for field in SHAPES[struct].fields:
        assert not first_bytes(field) & (JSON_BEGINS | MESSAGEPACK_BEGINS), field.name


def test_numbers_that_would_begin_like_messagepack_are_nobodys() -> None:
    like = {
        number for number in range(1, 32) for kind in (0, 1, 2, 5) if (number << 3 | kind) & 0x7F | 0x80 in MESSAGEPACK_BEGINS
    }
    assert {number for number in like if number > 15} == set(NOBODYS)


@given(v2_messages)
def test_a_payload_begins_with_the_version(message: Message) -> None:
    assert encode(message, PROTOBUF)[:2] == b"\x08\x02"


def test_every_enumeration_is_numbered_from_1() -> None:
    used = {field.type for shape in SHAPES.values() for field in shape.fields if field.type in ENUMS}
    assert used == set(ENUMS)
    for enum, numbers in ENUMS.items():
        assert set(numbers) == set(enum)
        assert list(numbers.values()) == list(range(1, len(numbers) + 1))


def test_a_word_carries_the_name_of_its_enumeration() -> None:
    class BatteryMood(StrEnum):
        GOOD = "GOOD"

    assert word_of(BatteryMood) == "BATTERY_MOOD_UNSPECIFIED"
    assert word_of(BatteryMood, "GOOD") == "BATTERY_MOOD_GOOD"


def test_words_and_names_are_of_their_alphabet() -> None:
    words = [word_of(enum, member) for enum, numbers in ENUMS.items() for member in numbers]
    assert len(set(words)) == len(words), "the words of all enumerations share one space"
    assert not "".join(words).strip(string.ascii_uppercase + "_")
