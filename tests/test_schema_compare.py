"""What breaks whom: each change of a schema is looked at from both ends, and what cannot be compared counts as breaking."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol import schema
from allye_protocol.messages.registry import KINDS, NEWEST
from allye_protocol.schema import Impact, compare

BASE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "urn:test",
    "title": "A message",
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z]+$", "description": "Its name."},
        "state": {"$ref": "#/$defs/State"},
        "level": {"type": ["integer", "null"], "minimum": 0, "maximum": 10, "default": None},
        "rates": {"type": "array", "minItems": 1, "maxItems": 48, "items": {"type": "integer"}},
        "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 8}, "maxProperties": 4},
        "detail": {"anyOf": [{"$ref": "#/$defs/Detail"}, {"type": "null"}], "default": None},
        "version": {"type": "integer", "const": 2},
    },
    "required": ["id", "state"],
    "allOf": [{"if": {"properties": {"state": {"const": "OFF"}}, "required": ["state"]}, "then": {"required": ["level"]}}],
    "$defs": {
        "State": {"type": "string", "enum": ["ON", "OFF"]},
        "Detail": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}
ABSENT = object()
OLD, NEW = "new readers refuse", "old readers refuse"
"""Words that say who is refused: what old writers send, what new writers may send."""


def edited(*edits: tuple[str, Any]) -> dict[str, Any]:
    """The base with edits: a JSON Pointer and the value that goes there."""
    document = copy.deepcopy(BASE)
    for place, value in edits:
        *way, last = place.split("/")[1:]
        node: Any = document
        for step in way:
            node = node[int(step)] if isinstance(node, list) else node[step]
        if value is ABSENT:
            del node[last]
        elif isinstance(node, list):
            node.append(value) if last == "-" else node.__setitem__(int(last), value)
        else:
            node[last] = value
    return document


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[schema.Change]:
    return compare({"a.schema.json": json.dumps(old)}, {"a.schema.json": json.dumps(new)})


BREAKING: dict[str, tuple[list[tuple[str, Any]], str, str]] = {
    "a member is gone": ([("/properties/level", ABSENT)], "/properties/level", "gone"),
    "an optional member became required": ([("/required/-", "level")], "/required", "level became required"),
    "a new member is required": (
        [("/properties/extra", {"type": "string"}), ("/required/-", "extra")],
        "/required",
        "a new required member",
    ),
    "a member is no longer required": ([("/required", ["id"])], "/required", "old readers refuse"),
    "a word is gone": ([("/$defs/State/enum", ["ON"])], "/properties/state/enum", OLD),
    "a word is new in a closed set": ([("/$defs/State/enum", ["ON", "OFF", "IDLE"])], "/properties/state/enum", NEW),
    "the set is no longer closed": ([("/$defs/State/enum", ABSENT)], "/properties/state/enum", NEW),
    "a set is closed": ([("/properties/level/enum", [1, 2])], "/properties/level/enum", OLD),
    "another constant": ([("/properties/version/const", 3)], "/properties/version/const", OLD),
    "a higher minimum": ([("/properties/level/minimum", 1)], "/properties/level/minimum", OLD),
    "a lower minimum": ([("/properties/level/minimum", -1)], "/properties/level/minimum", NEW),
    "no minimum": ([("/properties/level/minimum", ABSENT)], "/properties/level/minimum", NEW),
    "a higher maximum": ([("/properties/level/maximum", 11)], "/properties/level/maximum", NEW),
    "a lower maximum": ([("/properties/level/maximum", 9)], "/properties/level/maximum", OLD),
    "a new maximum": ([("/properties/rates/items/maximum", 9)], "/properties/rates/items/maximum", OLD),
    "longer texts": ([("/properties/id/maxLength", 65)], "/properties/id/maxLength", NEW),
    "shorter texts": ([("/properties/id/maxLength", 63)], "/properties/id/maxLength", OLD),
    "longer lists": ([("/properties/rates/maxItems", 50)], "/properties/rates/maxItems", NEW),
    "empty lists": ([("/properties/rates/minItems", 0)], "/properties/rates/minItems", NEW),
    "longer labels": (
        [("/properties/labels/additionalProperties/maxLength", 9)],
        "/properties/labels/additionalProperties/maxLength",
        NEW,
    ),
    "no null any more": ([("/properties/level/type", "integer")], "/properties/level/type", OLD),
    "null as well": ([("/properties/rates/type", ["array", "null"])], "/properties/rates/type", NEW),
    "numbers for integers": ([("/properties/rates/items/type", "number")], "/properties/rates/items/type", NEW),
    "another pattern": ([("/properties/id/pattern", "^[a-z0-9]+$")], "/properties/id/pattern", "cannot be compared"),
    "a new pattern": ([("/$defs/State/pattern", "^O")], "/properties/state/pattern", OLD),
    "no pattern": ([("/properties/id/pattern", ABSENT)], "/properties/id/pattern", NEW),
    "another default": ([("/properties/level/default", 1)], "/properties/level/default", "absence means something else"),
    "a choice more": ([("/properties/detail/anyOf/-", {"type": "string"})], "/properties/detail/anyOf", NEW),
    "a choice less": ([("/properties/detail/anyOf", [{"type": "null"}])], "/properties/detail/anyOf", OLD),
    "a member of a definition": (
        [("/$defs/Detail/properties/code/type", "integer")],
        "/properties/detail/anyOf/0/properties",
        OLD,
    ),
    "a rule is gone": ([("/allOf", ABSENT)], "/allOf/0", NEW),
    "a new rule": ([("/allOf/-", {"if": {"required": ["id"]}, "then": {"required": ["level"]}})], "/allOf/1", OLD),
    "members are no longer free": ([("/additionalProperties", False)], "/additionalProperties", OLD),
    "another name": ([("/$id", "urn:other")], "/$id", "cannot be compared"),
    "a keyword that is not known here": ([("/properties/rates/contains", {"const": 1})], "/properties/rates/contains", OLD),
    "nothing is allowed": ([("/properties/level", False)], "/properties/level", "cannot be compared"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_breaking_change_says_where_and_who_is_broken(name: str) -> None:
    edits, path, words = BREAKING[name]
    found = [change for change in changes(BASE, edited(*edits)) if change.impact is Impact.BREAKING]
    assert found, "no breaking change was seen"
    assert all(change.path.startswith(path) and change.file == "a.schema.json" for change in found)
    assert words in found[0].message


ADDITIVE: dict[str, list[tuple[str, Any]]] = {
    "a new optional member": [("/properties/extra", {"type": "string"})],
    "a rule that only a new member sets in motion": [
        ("/properties/extra", {"type": "string"}),
        ("/allOf/-", {"if": {"required": ["extra"]}, "then": {"required": ["level"]}}),
    ],
    "a new optional member of a definition": [("/$defs/Detail/properties/path", {"type": "string"})],
}


@pytest.mark.parametrize("name", ADDITIVE)
def test_an_additive_change_breaks_nobody(name: str) -> None:
    assert {change.impact for change in changes(BASE, edited(*ADDITIVE[name]))} == {Impact.ADDITIVE}


@pytest.mark.parametrize(
    "edits",
    [
        [("/title", "Another")],
        [("/description", "New words.")],
        [("/properties/id/description", ABSENT)],
        [("/properties/level/examples", [1])],
    ],
)
def test_words_for_people_are_editorial(edits: list[tuple[str, Any]]) -> None:
    assert {change.impact for change in changes(BASE, edited(*edits))} == {Impact.EDITORIAL}


def test_how_definitions_are_called_and_ordered_is_no_change() -> None:
    other = edited(
        ("/$defs", {"Detail": BASE["$defs"]["Detail"], "Mode": BASE["$defs"]["State"]}),
        ("/properties/state", {"$ref": "#/$defs/Mode"}),
    )
    other["properties"] = dict(reversed(other["properties"].items()))
    assert changes(BASE, other) == []


def test_a_new_member_where_none_was_allowed_is_breaking() -> None:
    closed = edited(("/additionalProperties", False))
    opened = edited(("/additionalProperties", False), ("/properties/extra", {}))
    assert [change.impact for change in changes(closed, opened)] == [Impact.BREAKING]


def test_a_definition_that_refers_to_itself_comes_to_an_end() -> None:
    def tree(depth: int) -> dict[str, Any]:
        node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "level": {"maximum": depth}}}
        return {"$ref": "#/$defs/Node", "$defs": {"Node": node}}

    assert changes(tree(1), tree(1)) == []
    assert {change.path for change in changes(tree(2), tree(1))} == {"/properties/level/maximum"}


def test_a_new_file_adds_and_a_missing_one_breaks() -> None:
    old = {"v1/a.schema.json": "{}", "allye.proto": "message A {}", "asyncapi.yaml": "a"}
    new = {"v1/a.schema.json": "{}", "v1/b.schema.json": "{}", "asyncapi.yaml": "b"}
    assert [(change.file, change.impact) for change in compare(old, new)] == [
        ("allye.proto", Impact.BREAKING),
        ("v1/b.schema.json", Impact.ADDITIVE),
    ]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"properties": {"a": {"$ref": "#/$defs/Missing"}}}'])
def test_a_file_that_is_no_schema_is_named(text: str) -> None:
    good = json.dumps({"properties": {"a": {}}})
    with pytest.raises(ValueError, match=r"^a\.schema\.json "):
        compare({"a.schema.json": text}, {"a.schema.json": good})


PUBLISHED = [schema.generate(kind, version or NEWEST) for kind, version in KINDS]


@pytest.mark.parametrize("document", PUBLISHED, ids=lambda document: document["$id"])
def test_what_is_published_does_not_differ_from_itself(document: dict[str, Any]) -> None:
    assert changes(document, copy.deepcopy(document)) == []


@given(st.data())
def test_a_member_taken_away_or_a_bound_moved_anywhere_is_seen(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(PUBLISHED))
    other = copy.deepcopy(document)
    nodes = [other, *other["$defs"].values()]
    node = data.draw(st.sampled_from([node for node in nodes if node.get("properties")]))
    name = data.draw(st.sampled_from(sorted(node["properties"])))
    member = node["properties"][name]
    bounds = sorted(member.keys() & {"maximum", "minimum", "maxLength", "minLength", "maxItems", "minItems"})
    if bounds and data.draw(st.booleans()):
        member[data.draw(st.sampled_from(bounds))] += data.draw(st.sampled_from([-1, 1]))
    else:
        del node["properties"][name]
    assert Impact.BREAKING in {change.impact for change in changes(document, other)}
    assert Impact.BREAKING in {change.impact for change in changes(other, document)} or name not in node["properties"]


jsonschema = pytest.importorskip("jsonschema", reason="not installed: jsonschema")
EDITS = [edits for edits, _, _ in BREAKING.values()] + list(ADDITIVE.values())
bodies = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "abc", "a1", "", "x" * 64, "x" * 65, 1]),
        "state": st.sampled_from(["ON", "OFF", "IDLE", "on", None]),
        "level": st.sampled_from([None, -1, 0, 1, 9, 10, 11, 1.5, "1"]),
        "rates": st.sampled_from([[], [1], [10], [1.5], [1] * 48, [1] * 49, None]),
        "labels": st.sampled_from([{}, {"a": "x" * 8}, {"a": "x" * 9}, {str(index): "" for index in range(5)}]),
        "detail": st.sampled_from([None, {}, {"code": "a"}, {"code": 1}, {"code": "a", "path": 1}, "text"]),
        "version": st.sampled_from([2, 3]),
        "extra": st.sampled_from(["text", 1]),
    },
)


@given(st.sampled_from([[], *EDITS]), st.sampled_from(EDITS), st.lists(bodies, min_size=1, max_size=20))
def test_where_nothing_breaks_each_side_takes_what_the_other_sends(
    before: list[tuple[str, Any]], after: list[tuple[str, Any]], sent: list[dict[str, Any]]
) -> None:
    try:
        old, new = edited(*before), edited(*before, *after)
    except (LookupError, TypeError):
        return  # what the second edit is about is gone by the first
    if any(change.impact is Impact.BREAKING for change in changes(old, new)):
        return
    old_reader, new_reader = (jsonschema.Draft202012Validator(document) for document in (old, new))
    for body in sent:
        if new_reader.is_valid(body):
            assert old_reader.is_valid(body)
        if old_reader.is_valid(body) and only_known(body, old):
            assert new_reader.is_valid(body)


def only_known(body: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether an old writer could have sent a body: it has no member that it does not know."""
    detail = body.get("detail")
    known = document["$defs"]["Detail"].get("properties", {})
    return body.keys() <= document["properties"].keys() and not (isinstance(detail, dict) and detail.keys() - known.keys())
