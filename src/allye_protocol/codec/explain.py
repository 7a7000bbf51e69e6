"""The slow road: everything that is wrong with a parsed body, each problem with its place.

It takes the tree that an encoding parsed (dicts, lists, strings, numbers) and walks it beside the message type, so it finds
the second and the tenth problem as well. The codec takes this road only for a body that its fast checks did not clear.

Either it finds a problem, or it returns the message with all instants in UTC. It needs no encoding's parser to agree with it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, get_args, get_origin

import msgspec

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import MAX_ID_CHARS, DeviceId, ScheduleId, is_id
from allye_protocol.messages.registry import KINDS, Kind, Spec, Written, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Explained", "Object", "explain", "pointer"]

LISTED: Final = 20
"""Most duplicate keys and list elements with problems that are listed; a message of rubbish needs no longer list."""


class Object(dict[str, Any]):
    """A parsed object that remembers which of its keys came more than once."""

    duplicates: tuple[str, ...] = ()

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Object:
        """Build from the members in the order in which they came; the last one of a name wins."""
        made = cls(pairs)
        if len(made) != len(pairs):
            seen: set[str] = set()
            twice: dict[str, None] = {}
            for name, _ in pairs:
                if name in seen:
                    twice[name] = None
                seen.add(name)
            made.duplicates = tuple(twice)
        return made


class Explained(NamedTuple):
    """A message, or everything that is wrong with the body; never both."""

    message: Written | None
    problems: list[Problem]


def explain(tree: object, kind: Kind, spoken: tuple[int, ...]) -> Explained:
    """Find everything that is wrong with a parsed body.

    :param tree: dicts (:class:`Object` where duplicates could be), lists, strings, numbers, booleans and ``None``; instants as
        ``datetime``, and ``bytes``, where an encoding has a type for them. Names are strings. A float of a type of its own is a
        number that its encoding did not read; in an unknown member that is the encoding's business.
    :param kind: what the body should be.
    :param spoken: the versions that can be written in its encoding.
    """
    if not isinstance(tree, dict):
        problem = Problem(code=ErrorCode.MESSAGE_INVALID, message=f"a {kind} is an object, not {_shown_type(tree)}")
        return Explained(None, [problem])
    spec_or_problem = _spec_of(tree, kind, spoken)
    if isinstance(spec_or_problem, Problem):
        return Explained(None, [spec_or_problem])
    anywhere = list(_anywhere(tree))
    try:
        message = _in_utc(msgspec.convert(tree, spec_or_problem.struct))
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        known = [*_struct_problems(tree, spec_or_problem.struct, "")]
        problems = [*anywhere, *(problem for problem in known if problem not in anywhere)]
        return Explained(None, problems or [Problem(code=ErrorCode.MESSAGE_INVALID, message=str(error))])
    problems = [*anywhere, *(problem for problem in spec_or_problem.problems(message) if problem not in anywhere)]
    return Explained(None, problems) if problems else Explained(message, [])


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901) of these reference tokens."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _spec_of(tree: dict[str, Any], kind: Kind, spoken: tuple[int, ...]) -> Spec | Problem:
    """The type to read by: the body's version, or the only one where the kind has none.

    A body that should say its version and does not, or says no number, is read by the version that it looks most like, so that
    its other problems are listed.
    """
    known = [KINDS[kind, version] for version in versions_of(kind) if version in spoken]
    if not known:
        message = f"a {kind} cannot be written in this encoding"
        return Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=message)
    silent = [spec for spec in known if not spec.says_version]
    if silent and ("version" not in tree or silent[-1].version == 0):
        return silent[-1]  # to a kind whose shape is frozen, "version" is an unknown member like any other
    version = tree.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        for spec in known:
            if spec.version == version:
                return spec
        versions = [spec.version for spec in known]
        shown = version if abs(version) < 2**63 else "a huge number"
        message = f"version {shown} is not supported here; supported: {', '.join(map(str, versions))}"
        return Problem(
            code=ErrorCode.VERSION_UNSUPPORTED, message=message, path="/version", details={"supported_versions": versions}
        )
    return max(known, key=lambda spec: sum(field.name in tree for field in _fields(spec.struct)))


def _anywhere(tree: object) -> Iterator[Problem]:
    """What is wrong wherever it stands, in unknown members too: duplicate keys, and numbers that are not finite.

    The stack is explicit: a parsed tree is as deep as its parser allowed.
    """
    stack: list[tuple[object, str]] = [(tree, "")]
    found = 0
    while stack and found < LISTED:
        node, path = stack.pop()
        if isinstance(node, dict):
            if isinstance(node, Object):
                for name in node.duplicates[: LISTED - found]:
                    found += 1
                    message = "the key comes more than once in its object; which value is meant cannot be known"
                    yield Problem(code=ErrorCode.MESSAGE_DUPLICATE_KEY, message=message, path=path + pointer(name[:64]))
            stack.extend((value, path + pointer(name[:64])) for name, value in node.items() if isinstance(value, _LOOKED_AT))
        elif isinstance(node, list):
            stack.extend((value, f"{path}/{index}") for index, value in enumerate(node) if isinstance(value, _LOOKED_AT))
        elif type(node) is float and not math.isfinite(node):
            found += 1
            yield _not_finite(path)


_LOOKED_AT: Final = (dict, list, float)


def _not_finite(path: str) -> Problem:
    return Problem(code=ErrorCode.MESSAGE_NON_FINITE_NUMBER, message="not a finite number", path=path)


def _struct_problems(tree: object, struct: type[msgspec.Struct], path: str) -> Iterator[Problem]:
    if not isinstance(tree, dict):
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=f"an object belongs here, not {_shown_type(tree)}", path=path)
        return
    for field in _fields(struct):
        place = f"{path}/{field.name}"
        if field.name in tree:
            yield from _value_problems(tree[field.name], field.type, place)
        elif field.required:
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message="required member is missing", path=place)


class _Field(NamedTuple):
    name: str
    required: bool
    type: Any


@lru_cache(maxsize=64)
def _fields(struct: type[msgspec.Struct]) -> tuple[_Field, ...]:
    return tuple(_Field(field.encode_name, field.required, field.type) for field in msgspec.structs.fields(struct))


@lru_cache(maxsize=256)
def _box(expected: Any) -> type[msgspec.Struct]:
    """A struct around one value: msgspec prepares a struct's types once, and any other type at every conversion."""
    return msgspec.defstruct("Box", [("value", expected)], module=__name__)


def _value_problems(value: object, expected: Any, path: str) -> Iterator[Problem]:
    kind = _bare(expected)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _struct_problems(value, kind, path)
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield _not_finite(path)
        return
    if get_origin(kind) is tuple and isinstance(value, list):
        yield from _list_problems(value, expected, path)
        return
    problem = _leaf_problem(value, expected, path)
    if problem is not None:
        yield problem


_SLOTS: Final = ("/intervals", "/rates_w")


def _list_problems(value: list[Any], expected: Any, path: str) -> Iterator[Problem]:
    """The problems of the elements; the list's own length is a problem of its place."""
    element = get_args(_bare(expected))[0]
    limits = [meta for meta in _metas(expected) if meta.min_length is not None or meta.max_length is not None]
    low = max((meta.min_length or 0 for meta in limits), default=0)
    high = min((meta.max_length for meta in limits if meta.max_length is not None), default=len(value))
    if not low <= len(value) <= high:
        of_slots = path in _SLOTS
        empty = len(value) < low
        code = (ErrorCode.TIME_EMPTY if empty else ErrorCode.LIMIT_SLOTS) if of_slots else ErrorCode.MESSAGE_INVALID
        yield Problem(
            code=code, message=f"has {len(value)} elements; {low} to {high} are allowed", path=path, details={"limit": high}
        )
    found = 0
    for index, item in enumerate(value[:high]):
        for problem in _value_problems(item, element, f"{path}/{index}"):
            yield problem
            found += 1
        if found >= LISTED:
            return


def _leaf_problem(value: object, expected: Any, path: str) -> Problem | None:
    try:
        converted = msgspec.convert({"value": value}, _box(expected)).value  # type: ignore[attr-defined]
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        text = str(error).removesuffix(" - at `$.value`")
        naive = "timezone component" in text
        message = "the time has no offset; write it in UTC with a Z" if naive else text
        return Problem(code=ErrorCode.TIME_NAIVE if naive else ErrorCode.MESSAGE_INVALID, message=message, path=path)
    if isinstance(converted, datetime):
        try:
            converted.astimezone(UTC)
        except OverflowError:
            return Problem(code=ErrorCode.MESSAGE_INVALID, message="the time is out of range", path=path)
    if isinstance(converted, str) and _bare(expected) in (DeviceId, ScheduleId) and not is_id(converted):
        message = f"an id is 1 to {MAX_ID_CHARS} characters of A-Z a-z 0-9 _ -"
        return Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)
    return None


def _bare(expected: Any) -> Any:
    """The type without ``Annotated`` and without the ``None`` of an optional field."""
    while True:
        if get_origin(expected) is Annotated:
            expected = get_args(expected)[0]
            continue
        members = [member for member in get_args(expected) if member is not type(None)]
        if type(None) in get_args(expected) and len(members) == 1:
            expected = members[0]
            continue
        return expected


def _metas(expected: Any) -> Iterator[msgspec.Meta]:
    if get_origin(expected) is Annotated:
        inner, *extras = get_args(expected)
        yield from (extra for extra in extras if isinstance(extra, msgspec.Meta))
        yield from _metas(inner)


def _in_utc(value: Any) -> Any:
    """The same message with every instant in UTC."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **{name: _in_utc(getattr(value, name)) for name in value.__struct_fields__})
    if isinstance(value, tuple):
        return tuple(_in_utc(item) for item in value)
    return value


def _shown_type(value: object) -> str:
    for kind, name in _NAMES_OF_TYPES.items():
        if isinstance(value, kind):
            return name
    return "a number"


_NAMES_OF_TYPES: Final[dict[type, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    type(None): "null",
    bytes: "bytes",
    datetime: "a timestamp",
}
