"""allye.proto says what the structs say, in the words of people who write firmware."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from allye_protocol.codec.protobuf.shape import ENUMS, NO_SETPOINT, NOBODYS, SHAPES, Scalar, Shape, word_of
from allye_protocol.schema import proto

TEXT = proto.text()
PUBLISHED = Path(__file__).parents[1] / "schemas" / "allye.proto"
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.struct.__name__)


def declarations(name: str) -> dict[str, tuple[str, str, str]]:
    """Each field of a message: its label and type, its number, and the comment above it as one line."""
    (inside,) = re.findall(rf"^message {name} {{\n(.*?)^}}$", TEXT, re.MULTILINE | re.DOTALL)
    found: dict[str, tuple[str, str, str]] = {}
    for block in inside.split("\n\n"):
        *comment, declared = block.splitlines()
        match = re.fullmatch(r"  (.+) (\w+) = (\d+);", declared)
        if match is not None:
            found[match[2]] = (match[1], match[3], " ".join(line.strip().removeprefix("// ") for line in comment))
    return found


def test_it_is_the_published_file() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == TEXT


def test_it_is_proto3_of_version_2() -> None:
    assert 'syntax = "proto3";\n\npackage allye.v2;\n' in TEXT
    assert "import" not in re.sub("//.*", "", TEXT)


def test_lines_are_short_and_end_with_a_newline() -> None:
    assert max(map(len, TEXT.splitlines())) <= proto.WIDTH
    assert TEXT.endswith("}\n")


@every_shape
def test_every_field_is_declared_with_its_number(shape: Shape) -> None:
    declared = declarations(shape.struct.__name__)
    assert {name: number for name, (_, number, _) in declared.items()} == {
        field.name: str(field.number) for field in shape.fields
    }


@every_shape
def test_a_singular_field_has_presence(shape: Shape) -> None:
    declared = declarations(shape.struct.__name__)
    for field in shape.fields:
        label = declared[field.name][0].split()[0]
        assert label == ("repeated" if field.repeated else "map<string," if field.type is Scalar.LABELS else "optional")


@every_shape
def test_a_field_says_whether_it_is_required(shape: Shape) -> None:
    required = {member.name for member in msgspec.structs.fields(shape.struct) if member.required}
    declared = declarations(shape.struct.__name__)
    assert {field.member for field in shape.fields if "Required." in declared[field.name][2]} == required


@every_shape
def test_an_instant_says_its_unit_and_names_it(shape: Shape) -> None:
    declared = declarations(shape.struct.__name__)
    for field in shape.fields:
        assert field.name.endswith("_us") is (field.type is Scalar.INSTANT)
        if field.type is Scalar.INSTANT:
            assert "microseconds since the Unix epoch" in declared[field.name][2]
    assert "RFC 3339" not in TEXT


@pytest.mark.parametrize(
    ("message", "field", "said"),
    [
        ("Schedule", "rates_w", "1 to 2016 elements. Each: -10000000 to 10000000."),
        ("Schedule", "resolution_s", "1800 when absent. One of 300, 900, 1800, 3600."),
        ("Schedule", "dry_run", "false when absent."),
        ("Schedule", "metadata", "At most 16 entries. Keys: 1 to 64 characters. Values: at most 256 characters."),
        ("Schedule", "soc_min_pct", "0 to 100."),
        ("Schedule", NO_SETPOINT, "strictly increasing"),
        ("Ack", "digest", " 64 characters."),
        ("Ack", "supported_versions", "At most 32 elements. Each: 1 to 65535."),
        ("Ack", "error", "Why it FAILED."),
        ("Clock", "offset_ms", "-1000000000000 to 1000000000000."),
    ],
)
def test_bounds_and_defaults_are_said(message: str, field: str, said: str) -> None:
    assert said in declarations(message)[field][2]


def test_numbers_that_are_nobodys_are_reserved_where_they_lie_between() -> None:
    reserving = [shape for shape in SHAPES.values() if shape.fields[-1].number > NOBODYS[-1]]
    assert reserving
    assert TEXT.count("  reserved 16, 17;\n") == len(reserving)


def test_every_value_of_an_enumeration_is_declared_and_0_is_never_valid() -> None:
    for enum, numbers in ENUMS.items():
        (inside,) = re.findall(rf"^enum {enum.__name__} {{\n(.*?)^}}$", TEXT, re.MULTILINE | re.DOTALL)
        assert re.findall(r"(\w+) = (\d+);", inside) == [
            (word_of(enum), "0"),
            *((word_of(enum, member), str(number)) for member, number in numbers.items()),
        ]
        assert inside.startswith("  // Never valid.\n")
