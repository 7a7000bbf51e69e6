"""Fields of a ``.proto``: number, type and name stay for ever; a new number is additive, in a closed enumeration it is not."""

from __future__ import annotations

import pytest

from allye_protocol.schema import Impact, compare, proto

BASE = """\
syntax = "proto3";  // with a comment; and a brace {
package a.v1;

/* Another: message X { string x = 1; } */
message Plan {
  reserved 16, 20 to 22;
  reserved "old; name";
  optional string id = 1;
  repeated sint32 rates = 2 [packed = true];
  map<string, string> labels = 3;
  State state = 4;
  oneof what {
    bool now = 5;
    int64 at = 6;
  }
  message Inner { optional bool flag = 1; }
}

enum State {
  option allow_alias = false;
  STATE_UNSPECIFIED = 0;
  STATE_ON = 1;
}
"""


def found(old: str, new: str) -> list[tuple[str, str]]:
    return [(change.impact.value, change.path) for change in compare({"a.proto": old}, {"a.proto": new})]


def test_white_space_and_comments_are_no_change() -> None:
    assert found(BASE, " ".join(line.split("//")[0] for line in BASE.splitlines())) == []
    assert found(proto.text(), proto.text()) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("optional string id = 1;", "", [("breaking", "a.v1.Plan.1")]),
        ("optional string id = 1;", "reserved 1;", [("breaking", "a.v1.Plan.1")]),
        ("optional string id = 1;", "optional string name = 1;", [("breaking", "a.v1.Plan.1")]),
        ("optional string id = 1;", "optional bytes id = 1;", [("breaking", "a.v1.Plan.1")]),
        ("optional string id = 1;", "string id = 1;", [("breaking", "a.v1.Plan.1")]),
        ("optional string id = 1;", "optional string id = 7;", [("breaking", "a.v1.Plan.1"), ("additive", "a.v1.Plan.7")]),
        ("int64 at = 6;", "int64 at = 6; int64 until = 8;", [("additive", "a.v1.Plan.8")]),
        ("State state = 4;", "State state = 4; optional bool new = 16;", [("breaking", "a.v1.Plan.16")]),
        ("State state = 4;", "State state = 4; optional bool new = 21;", [("breaking", "a.v1.Plan.21")]),
        ("STATE_ON = 1;", "STATE_ON = 1; STATE_OFF = 2;", [("breaking", "a.v1.State.2")]),
        ("STATE_ON = 1;", "", [("breaking", "a.v1.State.1")]),
        ("STATE_ON = 1;", "STATE_AN = 1;", [("breaking", "a.v1.State.1")]),
        ("optional bool flag = 1;", "", [("breaking", "a.v1.Plan.Inner.1")]),
        ("enum State {", "message New {}\nenum State {", [("additive", "a.v1.New")]),
        ("message Inner { optional bool flag = 1; }", "", [("breaking", "a.v1.Plan.Inner")]),
    ],
)
def test_each_change_by_its_field(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert old in BASE
    assert found(BASE, BASE.replace(old, new)) == expected


def test_another_package_is_another_contract() -> None:
    assert {impact for impact, _ in found(BASE, BASE.replace("a.v1", "a.v2"))} == {Impact.BREAKING, Impact.ADDITIVE}


def test_every_field_of_the_published_file_is_seen() -> None:
    text = proto.text()
    empty = "\n".join(line for line in text.splitlines() if " = " not in line or line.startswith("syntax"))
    numbers = [
        line for line in text.splitlines() if not line.strip().startswith("//") and " = " in line and line.startswith("  ")
    ]
    assert len(numbers) > 60
    assert len(found(text, empty)) == len(numbers)


@pytest.mark.parametrize("text", ["", "message A {", "}", "message A { optional }", "message A {} rest", 'syntax = "proto3";'])
def test_a_text_that_is_no_proto_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.proto is no \.proto"):
        compare({"a.proto": text}, {"a.proto": BASE})
