"""Which changes of a published contract break somebody, and which only add.

A message has a writer and a reader, and either may be the older one. So a change is looked at from both ends:

1. What became *narrower* breaks new readers: an older writer still sends what they refuse.
2. What became *wider* breaks old readers: a newer writer may send what they refuse. A closed enumeration is closed for them.
3. What is *gone* breaks whoever relied on it. A rename is one member gone and one new.
4. A new optional member or a new kind of message is additive: readers ignore what they do not know.
5. A change that cannot be compared (another pattern, another rule between members) counts as breaking.

Words for people (descriptions, examples) are editorial. Compared are JSON Schemas and ``.proto`` files
(:mod:`allye_protocol.schema.proto_fields`); other files are made from the same types and are not looked at.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.schema.proto_fields import field_changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Change", "Impact", "compare"]


class Impact(StrEnum):
    """What a change does to those who rely on the contract."""

    BREAKING = "breaking"
    ADDITIVE = "additive"
    EDITORIAL = "editorial"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change between two states of a contract.

    :param file: the file, by its path in the folder.
    :param path: where in it, as a JSON Pointer, or as ``message.field`` in a ``.proto``; empty for the whole file.
    :param impact: whom it concerns.
    :param message: what changed, and who is broken by it.
    """

    file: str
    path: str
    impact: Impact
    message: str


Found = tuple[str, Impact, str]
"""Path, impact and message of a change."""
Schema = dict[str, Any]

_EDITORIAL: Final = frozenset({"title", "description", "examples", "$comment"})
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_NESTED: Final = frozenset({"items", "additionalProperties", "propertyNames"})
_CHOICES: Final = frozenset({"anyOf", "oneOf"})
_NO_KEYWORD: Final = frozenset({"$defs", "const", "required", "$ref"})
"""Looked at with another keyword, or not by itself."""
_REFUSED_BY_NEW: Final = "new readers refuse what old writers send"
_REFUSED_BY_OLD: Final = "old readers refuse what new writers may send"
_ABSENT: Final = object()


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """Every change between two states of a contract.

    :param old: the text of each file as it was, by path.
    :param new: the text of each file as it is.
    :returns: the changes in the order of the files.
    :raises ValueError: for a file that cannot be read as what its name says.
    """
    return [
        Change(file=file, path=path, impact=impact, message=message)
        for file in sorted({*old, *new})
        if file.endswith((".schema.json", ".proto"))
        for path, impact, message in _file_changes(file, old.get(file), new.get(file))
    ]


def _file_changes(file: str, old: str | None, new: str | None) -> Iterator[Found]:
    if old is None:
        yield "", Impact.ADDITIVE, "is new"
    elif new is None:
        yield "", Impact.BREAKING, "is gone"
    elif file.endswith(".proto"):
        for path, is_breaking, message in field_changes(file, old, new):
            yield path, Impact.BREAKING if is_breaking else Impact.ADDITIVE, message
    else:
        yield from _Comparison(file, _parsed(file, old), _parsed(file, new)).changes()


def _parsed(file: str, text: str) -> Schema:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{file} is not a JSON Schema: an object belongs here")  # noqa: TRY004
    return document


class _Comparison:
    """Two schemas side by side, each resolved by its own definitions."""

    def __init__(self, file: str, old: Schema, new: Schema) -> None:
        self._file: Final = file
        self._old: Final = old
        self._new: Final = new
        self._under_way: Final[set[tuple[str, str]]] = set()

    def changes(self) -> Iterator[Found]:
        return self._node(self._old, self._new, "")

    def _node(self, old: Any, new: Any, path: str) -> Iterator[Found]:
        if not isinstance(old, dict) or not isinstance(new, dict):
            if old != new:
                yield path, Impact.BREAKING, f"{_shown(old)} became {_shown(new)}: these cannot be compared"
            return
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if all(pair) and pair in self._under_way:
            return
        self._under_way.add(pair)
        old, new = self._resolved(old, self._old), self._resolved(new, self._new)
        for keyword in [*old, *(keyword for keyword in new if keyword not in old)]:
            if keyword not in _NO_KEYWORD:
                yield from self._keyword(keyword, old, new, path)
        yield from _value_changes(old, new, path)
        yield from _required_changes(old, new, path)
        self._under_way.discard(pair)

    def _resolved(self, node: Schema, root: Schema) -> Schema:
        """The node with what it refers to; its own keywords stand before those of the definition."""
        reference = node.get("$ref")
        if reference is None:
            return node
        target = root.get("$defs", {}).get(str(reference).removeprefix("#/$defs/"))
        if not isinstance(target, dict):
            raise ValueError(f"{self._file} refers to {reference}, which is not in it")  # noqa: TRY004
        return {**self._resolved(target, root), **{keyword: value for keyword, value in node.items() if keyword != "$ref"}}

    def _keyword(self, keyword: str, old: Schema, new: Schema, path: str) -> Iterator[Found]:
        here = f"{path}/{keyword}"
        before, after = old.get(keyword, _ABSENT), new.get(keyword, _ABSENT)
        if keyword == "properties":
            yield from self._members(old, new, path)
        elif keyword == "allOf":
            yield from _rule_changes(old, new, here)
        elif keyword in _CHOICES | _NESTED and _ABSENT not in (before, after):
            yield from self._parts(before, after, here)
        elif before == after or keyword == "enum":
            return
        elif keyword in _EDITORIAL:
            yield here, Impact.EDITORIAL, "the words for people changed"
        elif keyword == "type":
            yield from _type_changes(before, after, here)
        elif keyword == "default":
            yield here, Impact.BREAKING, f"{_shown(before)} became {_shown(after)}: absence means something else"
        elif keyword in _LOWER | _UPPER:
            yield here, Impact.BREAKING, _bound_change(before, after, is_lower=keyword in _LOWER)
        elif before is _ABSENT:
            yield here, Impact.BREAKING, f"{_shown(after)} is new: {_REFUSED_BY_NEW}"
        elif after is _ABSENT:
            yield here, Impact.BREAKING, f"{_shown(before)} is gone: {_REFUSED_BY_OLD}"
        else:
            yield here, Impact.BREAKING, f"{_shown(before)} became {_shown(after)}: these cannot be compared"

    def _members(self, old: Schema, new: Schema, path: str) -> Iterator[Found]:
        before, after = old.get("properties", {}), new.get("properties", {})
        is_open = old.get("additionalProperties", True) is True
        for name in before:
            here = f"{path}/properties/{name}"
            if name in after:
                yield from self._node(before[name], after[name], here)
            else:
                yield here, Impact.BREAKING, "the member is gone: its readers get nothing (a new name is a new member)"
        for name in after:
            here = f"{path}/properties/{name}"
            if name in before or name in new.get("required", ()):
                continue
            if is_open:
                yield here, Impact.ADDITIVE, "a new optional member: old readers ignore it"
            else:
                yield here, Impact.BREAKING, f"a new member where none was allowed: {_REFUSED_BY_OLD}"

    def _parts(self, before: Any, after: Any, path: str) -> Iterator[Found]:
        if not isinstance(before, list) or not isinstance(after, list):
            yield from self._node(before, after, path)
        elif len(before) == len(after):
            for index, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from self._node(one, other, f"{path}/{index}")
        else:
            wider = len(after) > len(before)
            why = _REFUSED_BY_OLD if wider else _REFUSED_BY_NEW
            yield path, Impact.BREAKING, f"{len(before)} choices became {len(after)}: {why}"


def _value_changes(old: Schema, new: Schema, path: str) -> Iterator[Found]:
    """Changes of ``enum`` and ``const``, which is an enumeration of one."""
    before, after = ([node["const"]] if "const" in node else node.get("enum") for node in (old, new))
    here = f"{path}/{'enum' if 'enum' in old or 'enum' in new else 'const'}"
    if before is None and after is not None:
        yield here, Impact.BREAKING, f"only {_shown(after)} is left: {_REFUSED_BY_NEW}"
    elif before is not None and after is None:
        yield here, Impact.BREAKING, f"no longer only {_shown(before)}: {_REFUSED_BY_OLD}"
    for value in before or ():
        if after is not None and value not in after:
            yield here, Impact.BREAKING, f"{_shown(value)} is gone: {_REFUSED_BY_NEW}"
    for value in after or ():
        if before is not None and value not in before:
            yield here, Impact.BREAKING, f"{_shown(value)} is new in a closed set: {_REFUSED_BY_OLD}"


def _required_changes(old: Schema, new: Schema, path: str) -> Iterator[Found]:
    before, after = old.get("required", []), new.get("required", [])
    here = f"{path}/required"
    for name in after:
        if name not in before:
            what = "became required" if name in old.get("properties", {}) else "is a new required member"
            yield here, Impact.BREAKING, f"{name} {what}: new readers refuse what old writers send without it"
    for name in before:
        if name not in after and name in new.get("properties", {}):
            yield here, Impact.BREAKING, f"{name} is no longer required: old readers refuse what new writers send without it"


def _rule_changes(old: Schema, new: Schema, path: str) -> Iterator[Found]:
    """Changes of the rules between members; a rule that only a new member sets in motion is additive."""
    before, after = old.get("allOf", []), new.get("allOf", [])
    fresh = new.get("properties", {}).keys() - old.get("properties", {}).keys()
    for index, rule in enumerate(before):
        if rule not in after:
            yield f"{path}/{index}", Impact.BREAKING, f"a rule is gone: {_REFUSED_BY_OLD}"
    for index, rule in enumerate(after):
        if rule not in before:
            if fresh & set(rule.get("if", {}).get("required", ())):
                yield f"{path}/{index}", Impact.ADDITIVE, "a new rule that only a new member sets in motion"
            else:
                yield f"{path}/{index}", Impact.BREAKING, f"a new rule: {_REFUSED_BY_NEW}"


def _type_changes(before: Any, after: Any, path: str) -> Iterator[Found]:
    old, new = _types(before), _types(after)
    if gone := old - new:
        yield path, Impact.BREAKING, f"no longer {', '.join(sorted(gone))}: {_REFUSED_BY_NEW}"
    if fresh := new - old:
        yield path, Impact.BREAKING, f"{', '.join(sorted(fresh))} as well: {_REFUSED_BY_OLD}"


def _types(value: Any) -> set[str]:
    if value is _ABSENT:
        return {"array", "boolean", "integer", "null", "number", "object", "string"}
    named = {value} if isinstance(value, str) else set(value)
    return named | {"integer"} if "number" in named else named


def _bound_change(before: Any, after: Any, *, is_lower: bool) -> str:
    narrower = before is _ABSENT or (after is not _ABSENT and (after > before) is is_lower)
    return f"{_shown(before)} became {_shown(after)}: {_REFUSED_BY_NEW if narrower else _REFUSED_BY_OLD}"


def _shown(value: Any) -> str:
    return "nothing" if value is _ABSENT else json.dumps(value)
