"""When an answer is the expected one, and that a wrong one never passes."""

from __future__ import annotations

import base64
import copy
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.conformance.judging import mismatch
from allye_protocol.conformance.library import Library
from allye_protocol.conformance.vectors import Vector, load_sections

if TYPE_CHECKING:
    from collections.abc import Iterator


def vector(expect: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> Vector:
    return Vector(section="s", name="n", why="w", op="decode", parameters={}, expect=expect, error=error)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 75.0}, {"a": 75}),
        ({"a": 0}, {"a": -0.0}),
        ({"a": "2018-06-30T18:00:00.25Z"}, {"a": "2018-06-30T18:00:00.250000Z"}),
        ({"a": "2018-06-30T18:00:00Z"}, {"a": "2018-06-30T18:00:00.000Z"}),
        ({"a": {}}, {"a": {"b": None}}),
        ({"message": {}}, {"message": {"resolution_s": 1800, "dry_run": False, "metadata": {}, "superseded": []}}),
        ({"losses": ["/b", "/a"]}, {"losses": ["/a", "/b"]}),
    ],
)
def test_the_same_answer_in_other_words_is_right(expected: dict[str, Any], got: dict[str, Any]) -> None:
    assert mismatch(vector(expected), {"id": 1, "ok": got}) is None


@pytest.mark.parametrize(
    ("expected", "got", "said"),
    [
        ({"a": 1}, {"a": True}, "/a is true, not 1"),
        ({"a": False}, {"a": 0}, "/a is 0, not false"),
        ({"a": 1}, {"a": "1"}, '/a is "1", not 1'),
        ({"a": 1}, {}, "/a is missing"),
        ({"a": None}, {}, "/a is missing"),
        ({}, {"a": 1}, "/a is one member too many: 1"),
        ({}, {"resolution_s": 900}, "/resolution_s is one member too many: 900"),
        ({"a": [1]}, {"a": [1, 2]}, "/a has 2 elements, not 1"),
        ({"a": [1, None]}, {"a": [1, 0]}, "/a/1 is 0, not null"),
        ({"a": "2018-06-30T18:00:00Z"}, {"a": "2018-06-30T18:00:00.000001Z"}, "/a is "),
        ({"a": "2018-06-30T18:00:00Z"}, {"a": "2018-06-30T19:00:00+01:00"}, "/a is "),
        ({"a": {"b": 1}}, {"a": [1]}, "/a is [1], not "),
        ({"losses": ["/a"]}, {"losses": ["/a", "/a"]}, "/losses has 2 elements, not 1"),
        ({"a": 1}, 7, " is 7, not "),
    ],
)
def test_another_answer_is_wrong_and_says_where(expected: dict[str, Any], got: Any, said: str) -> None:
    found = mismatch(vector(expected), {"id": 1, "ok": got})
    assert found is not None
    assert found.startswith(said)


def test_a_refusal_is_judged_by_its_code_and_its_place() -> None:
    refused = vector(error={"code": "time.naive", "path": "/start"})
    assert mismatch(refused, {"error": {"code": "time.naive", "path": "/start", "message": "words"}}) is None
    assert mismatch(refused, {"error": {"code": "time.naive"}}) == 'refused with path ""'
    assert mismatch(refused, {"error": {"code": "time.gap", "path": "/start"}}) == 'refused with code "time.gap"'
    assert mismatch(refused, {"error": "time.naive"}) == 'an error is an object, not "time.naive"'
    assert mismatch(refused, {"ok": {}}) == "accepted: {}"
    assert mismatch(vector({}), {"error": {"code": "time.gap"}}) == 'refused: {"code": "time.gap"}'
    assert mismatch(vector(error={"code": "message.malformed", "path": ""}), {"error": {"code": "message.malformed"}}) is None


def test_a_bottomless_answer_is_wrong_like_any_other() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert mismatch(vector({"a": 1}), {"ok": {"a": deep}}) == "/a is a value that is nested too deeply, not 1"


class TestWhatWasWritten:
    (FIRST,) = (s.vectors[0] for s in load_sections() if s.name == "v1-json-encode")

    def judged(self, payload: bytes) -> str | None:
        return mismatch(self.FIRST, {"ok": {"payload_base64": base64.b64encode(payload).decode()}})

    def test_it_is_right_when_it_is_read_as_the_same_message(self) -> None:
        written = Library().ask("encode", self.FIRST.parameters)
        assert mismatch(self.FIRST, written) is None

    def test_it_is_wrong_otherwise(self) -> None:
        payload = base64.b64decode(Library().ask("encode", self.FIRST.parameters)["ok"]["payload_base64"])
        assert "another" in (self.judged(payload.replace(b"max300-0001", b"another")) or "")
        assert "cannot be read: message.malformed" in (self.judged(payload[:-1]) or "")
        assert mismatch(self.FIRST, {"ok": {"payload_base64": "?"}}) == 'no payload_base64: {"payload_base64": "?"}'
        assert mismatch(self.FIRST, {"ok": {}}) == "no payload_base64: {}"
        assert mismatch(self.FIRST, {"error": {"code": "message.invalid"}}) == 'refused: {"code": "message.invalid"}'


def leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value that is neither an object nor a list."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if children is None:
        yield way
    else:
        for step, child in children:
            yield from leaves(child, (*way, step))


def changed(value: Any, way: tuple[Any, ...]) -> Any:
    """A copy with another value at the end of a way."""
    made = copy.deepcopy(value)
    node = made
    for step in way[:-1]:
        node = node[step]
    old = node[way[-1]]
    node[way[-1]] = not old if isinstance(old, bool) else old + 1 if isinstance(old, (int, float)) else f"{old}x"
    return made


def some_leaves(expect: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The first leaves and the last: schedules have thousands of the same."""
    ways = list(leaves(expect))
    return [*ways[:12], *ways[-4:]]


def test_no_change_of_any_expected_answer_passes() -> None:
    passed = [
        (one.label, way)
        for section in load_sections()
        for one in section.vectors
        if one.expect is not None and one.op != "encode"
        for way in some_leaves(one.expect)
        if mismatch(one, {"ok": changed(one.expect, way)}) is None
    ]
    assert passed == []
