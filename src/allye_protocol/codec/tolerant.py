"""Reading what third-party devices write: known deviations are mended by name and reported, and nothing else is.

1. A message that is tolerated is one that the strict checks accept after its repairs (:mod:`allye_protocol.codec.deviations`):
   tolerance mends spellings, it weakens no rule.
2. What strict reading accepts gives the same message here. What it accepts without a word, members that it does not know and
   offsets other than Z, is reported too.
3. Only what a device says is read so. A schedule or a cancel moves a battery, and is read strictly or not at all.
4. The deviations are those of who writes JSON by hand; messages in other encodings are read strictly.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from allye_protocol import codec
from allye_protocol.codec.base import MAX_PAYLOAD_BYTES
from allye_protocol.codec.deviations import ABSENT, REPAIRS, UNMENDED, Deviation, DeviationCode, Place
from allye_protocol.codec.explain import Object, explain, pointer
from allye_protocol.errors import DecodeError, ErrorCode, Problem
from allye_protocol.messages.fields import shown
from allye_protocol.messages.registry import BY_TYPE, KINDS, VERSIONS, Kind, Spec, Written, versions_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEVIATIONS", "ORDERS", "Deviation", "DeviationCode", "Tolerance", "Tolerated", "decode_tolerant"]

ORDERS: Final = frozenset({Kind.SCHEDULE, Kind.CANCEL})
"""The kinds that are never read tolerantly: what the cloud asks of a device."""
MAX_DEVIATIONS: Final = 64
"""A message that needs more repairs is refused; of other deviations so many are reported."""
MAX_SHOWN_CHARS: Final = 64
MAX_INTEGER: Final = 2**63
_SPOKEN: Final = (0, *VERSIONS)


class Tolerance(StrEnum):
    """How an app reads what devices say."""

    STRICT = "strict"
    """As the protocol says."""
    TOLERANT = "tolerant"
    """With :func:`decode_tolerant`."""


class Tolerated(NamedTuple):
    """A message, and what it does otherwise than the protocol says.

    :param message: as it is written, of its version; it keeps every rule.
        :func:`allye_protocol.convert.upgrade` gives it in the newest one.
    :param deviations: empty for a message to which nothing is to be said; at most :data:`MAX_DEVIATIONS`.
    """

    message: Written
    deviations: tuple[Deviation, ...]


def decode_tolerant(
    payload: bytes, kind: Kind | str, content_type: str | None = None, *, max_bytes: int = MAX_PAYLOAD_BYTES
) -> Tolerated:
    """Turn a device's payload into a checked message, mending what can mean one thing only.

    Parameters as for :func:`allye_protocol.codec.decode`.

    :raises DecodeError: with what is wrong with the first thing that cannot be mended; the codes of strict reading.
    :raises ValueError: for a schedule or a cancel, which are never read so (a bug in the caller).
    """
    if kind in ORDERS:
        raise ValueError(f"a {kind} is read strictly or not at all; tolerant reading is for what devices say")
    deviations: list[Deviation] = []
    if content_type is not None and _media_type(content_type) not in codec.ENCODINGS and _looks_like_json(payload):
        deviations.append(_deviation(DeviationCode.CONTENT_TYPE_UNKNOWN, "", content_type, codec.DEFAULT_CONTENT_TYPE))
        content_type = None
    try:
        message = codec.decode(payload, kind, content_type, max_bytes=max_bytes)
    except DecodeError as refusal:
        tree = None if refusal.code in _NOT_OF_A_TREE else _tree_of(payload, content_type)
        if tree is None:
            raise
        message = _mended(tree, Kind(kind), deviations)
    else:
        tree = _tree_of(payload, content_type)
    if tree is not None:
        notes = _notes(tree, BY_TYPE[type(message)].struct)
        deviations += islice(notes, MAX_DEVIATIONS - len(deviations))
    return Tolerated(message, tuple(deviations))


_NOT_OF_A_TREE: Final = frozenset(
    {ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.MESSAGE_MALFORMED, ErrorCode.MESSAGE_UNKNOWN_KIND, ErrorCode.VERSION_UNSUPPORTED}
)
"""Refusals of the payload as a whole."""


def _mended(tree: Object, kind: Kind, deviations: list[Deviation]) -> Written:
    """The message of a tree in which everything has been mended.

    :param deviations: takes what was mended.
    :raises DecodeError: what cannot be mended.
    """
    _mend_version(tree, kind, deviations)
    spec = _spec_of(tree, kind)
    while True:
        message, problems = explain(tree, kind, _SPOKEN)
        if message is not None:
            return message
        for problem in problems:
            if spec is None or len(deviations) == MAX_DEVIATIONS:
                raise DecodeError.of(problem) from None
            deviations.append(_mend(tree, spec, problem))


def _mend(tree: Object, spec: Spec, problem: Problem) -> Deviation:
    """Mend the place of a problem.

    :raises DecodeError: the problem, when there is no repair.
    """
    found = _find(tree, spec, problem.path) if problem.code is ErrorCode.MESSAGE_INVALID else None
    if found is not None:
        holder, key, place = found
        for repair in REPAIRS:
            meant = repair.mend(place)
            if meant is ABSENT:
                del holder[key]
                return _deviation(repair.code, problem.path, place.value, None)
            if meant is not UNMENDED:
                holder[key] = meant
                return _deviation(repair.code, problem.path, place.value, meant)
    raise DecodeError.of(problem) from None


def _mend_version(tree: Object, kind: Kind, deviations: list[Deviation]) -> None:
    """Settle first which version a body has: it says what belongs everywhere else."""
    specs = [KINDS[kind, version] for version in versions_of(kind)]
    value = tree.get("version")
    if value is not None:
        place = Place("version", value, inspect.LiteralType(tuple(spec.version for spec in specs)), required=True)
        for repair in REPAIRS:
            meant = repair.mend(place)
            if meant is not UNMENDED:
                tree["version"] = meant
                deviations.append(_deviation(repair.code, "/version", value, meant))
                return
        return
    if "version" in tree:
        del tree["version"]
        deviations.append(_deviation(DeviationCode.NULL_FOR_ABSENT, "/version", None, None))
    silent = {name for spec in specs if not spec.says_version for name in _fields(spec.struct)}
    fitting = [spec for spec in specs if spec.says_version and _fits(tree, spec, silent)]
    if len(fitting) == 1:
        tree["version"] = fitting[0].version
        deviations.append(_deviation(DeviationCode.VERSION_MISSING, "/version", None, fitting[0].version))


def _fits(tree: Object, spec: Spec, silent: set[str]) -> bool:
    """Whether a body without a version has all that this one needs, and a member that no version without a number has."""
    fields = _fields(spec.struct)
    needed = {name for name, field in fields.items() if field.required} - {"version"}
    return needed <= tree.keys() and not (tree.keys() & fields.keys()) <= silent


def _spec_of(tree: Object, kind: Kind) -> Spec | None:
    """The type that a body with a settled version is read by, if there is one."""
    if "version" in tree:
        version = tree["version"]
        return KINDS.get((kind, version)) if type(version) is int else None
    return next((spec for spec in map(KINDS.__getitem__, _keys_of(kind)) if not spec.says_version), None)


def _keys_of(kind: Kind) -> Iterator[tuple[Kind, int]]:
    return ((kind, version) for version in reversed(versions_of(kind)))


def _find(tree: Object, spec: Spec, path: str) -> tuple[Any, Any, Place] | None:
    """A value by its JSON Pointer: what holds it, under which key, and what belongs there. ``None`` for what is not there."""
    holder: Any = None
    key: Any = None
    place = Place("", tree, inspect.type_info(spec.struct), required=True)
    for token in path.split("/")[1:]:
        holder, expected = place.value, place.expected
        if isinstance(holder, list) and isinstance(expected, inspect.VarTupleType):
            key = int(token)
            place = Place(place.name, holder[key], _bare(expected.item_type), required=True)
        elif isinstance(holder, dict) and isinstance(expected, inspect.StructType) and token in holder:
            key = token
            field = _fields(expected.cls)[token]
            place = Place(token, holder[token], _bare(field.type), field.required)
        else:
            return None
    return None if holder is None else (holder, key, place)


def _notes(tree: Object, struct: type[msgspec.Struct]) -> Iterator[Deviation]:
    """What strict reading accepts without a word, in a tree that it accepts."""
    places: list[tuple[object, inspect.Type, str]] = [(tree, inspect.type_info(struct), "")]
    while places:
        value, expected, path = places.pop()
        if isinstance(value, dict) and isinstance(expected, inspect.StructType):
            fields = _fields(expected.cls)
            for name, member in value.items():
                place = path + pointer(_shown(name))
                if name in fields:
                    places.append((member, _bare(fields[name].type), place))
                else:
                    yield _deviation(DeviationCode.MEMBER_UNKNOWN, place, member, None)
        elif isinstance(value, list) and isinstance(expected, inspect.VarTupleType):
            places += ((item, _bare(expected.item_type), f"{path}/{index}") for index, item in enumerate(value))
        elif isinstance(value, str) and isinstance(expected, inspect.DateTimeType) and not value.endswith("Z"):
            instant = msgspec.convert(value, datetime).astimezone(UTC)
            yield _deviation(DeviationCode.OFFSET_NOT_Z, path, value, shown(instant))


@lru_cache(maxsize=32)
def _fields(struct: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    info = inspect.type_info(struct)
    return {field.encode_name: field for field in info.fields} if isinstance(info, inspect.StructType) else {}


def _bare(expected: inspect.Type) -> inspect.Type:
    """The type without its description and without the ``None`` of an optional member."""
    while True:
        if isinstance(expected, inspect.Metadata):
            expected = expected.type
            continue
        others = [kind for kind in getattr(expected, "types", ()) if not isinstance(kind, inspect.NoneType)]
        if len(others) != 1:
            return expected
        expected = others[0]


def _deviation(code: DeviationCode, path: str, found: object, taken: object) -> Deviation:
    return Deviation(code=code, path=path, found=_shown(found), taken=_shown(taken))


def _shown(value: object) -> Any:
    """A value as a program can take it and a person can read it: printable, and never long."""
    if isinstance(value, str):
        return "".join(char if char.isprintable() else "?" for char in value[:MAX_SHOWN_CHARS])
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "an array"
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        return "a huge number"
    return value


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _looks_like_json(payload: bytes) -> bool:
    return payload.lstrip(b" \t\r\n")[:1] == b"{"


def _tree_of(payload: bytes, content_type: str | None) -> Object | None:
    """The members as they came, of an object in JSON; ``None`` for anything else."""
    if content_type is not None and _media_type(content_type) != codec.DEFAULT_CONTENT_TYPE:
        return None
    if not _looks_like_json(payload):
        return None
    try:
        tree = _PARSER.decode(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, Object) else None


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:MAX_SHOWN_CHARS]} is not a finite number")
    return number


_PARSER: Final = json.JSONDecoder(object_pairs_hook=Object.of, parse_float=_finite, parse_constant=_finite)
