"""Protobuf parsed by the official runtime, cleared by writing it again, explained only when something is wrong.

The runtime parses fast, but it takes the last of two values silently, sets aside what it does not know and takes a field of
the wrong wire type for unknown. One comparison rules all of it out: a body that is byte for byte what the runtime writes for
the message that it has just read, with everything unknown discarded, has each field once, of its type, and no other. Such a
body is checked by the struct's types and the version's rules, and that is all. Any other (unknown fields, another order, and
everything invalid) takes the slow road, which reads the bytes itself (:mod:`allye_protocol.codec.protobuf.tree`) and is
complete.
"""

from __future__ import annotations

import math
from datetime import UTC
from typing import TYPE_CHECKING

import msgspec

from allye_protocol.codec.explain import Explained, explain, pointer
from allye_protocol.codec.protobuf.members import NOT_READ, NOT_WRITTEN, body_of, fields_of, members_of
from allye_protocol.codec.protobuf.runtime import runtime
from allye_protocol.codec.protobuf.shape import SHAPES
from allye_protocol.codec.protobuf.tree import tree_of
from allye_protocol.codec.protobuf.wire import WireError, version_in
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages.registry import BY_TYPE, KINDS, Kind, Spec, Written
from allye_protocol.messages.v2 import VERSION, Schedule, is_plain_schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["decode", "encode", "explained"]


def decode(payload: bytes, kind: Kind) -> Written:
    """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
    spec = KINDS.get((kind, VERSION))
    message = None if spec is None else _cleared(payload, spec)
    if message is not None:
        return message
    message, problems = explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message


def explained(payload: bytes, kind: Kind) -> Explained:
    """The message, or everything that is wrong with a payload: the slow road."""
    spec = KINDS.get((kind, VERSION))
    if spec is None:
        return Explained(None, [_not_in_protobuf(kind, 0)])
    runtime_ = runtime()
    try:
        version = version_in(payload)
        if version not in (None, VERSION):
            # Another version may have another shape: that would be told as a field of the wrong type.
            return explain({"version": version}, kind, (VERSION,))
        tree, found = tree_of(payload, SHAPES[spec.struct])
        runtime_.classes[spec.struct].FromString(payload)
    except (WireError, runtime_.decode_error) as error:
        return Explained(None, [_malformed(error)])
    message, problems = explain(tree, kind, (VERSION,))
    if not found:
        return Explained(message, problems)
    told = {(problem.code, problem.path) for problem in found}
    return Explained(None, found + [problem for problem in problems if (problem.code, problem.path) not in told])


def encode(message: Written) -> bytes:
    """Check and write; fields in the order of their numbers, members of a map in that of their keys."""
    spec = BY_TYPE[type(message)]
    if spec.version != VERSION:
        raise EncodeError.of(_not_in_protobuf(spec.kind, spec.version))
    try:
        if _is_valid(msgspec.convert(members_of(message), spec.struct), spec):
            written = runtime().classes[spec.struct](**fields_of(message))
            payload: bytes = written.SerializeToString(deterministic=True)
            return payload
    except NOT_WRITTEN as error:
        raise EncodeError.of(_why_not_written(message, spec.kind, error)) from None
    raise EncodeError.of(_why_not_written(message, spec.kind, None))


def _cleared(payload: bytes, spec: Spec) -> Written | None:
    """The message of a body that the runtime itself could have written and that is valid; ``None`` for any other."""
    runtime_ = runtime()
    try:
        parsed = runtime_.classes[spec.struct].FromString(payload)
        parsed.DiscardUnknownFields()
        if parsed.SerializeToString(deterministic=True) != payload:
            return None
        message = msgspec.convert(body_of(parsed, spec.struct), spec.struct)
    except (runtime_.decode_error, *NOT_READ):
        return None
    return message if _is_valid(message, spec) else None


def _is_valid(message: Written, spec: Spec) -> bool:
    """Whether a message whose members are right one by one keeps the rules between them."""
    if isinstance(message, Schedule) and message.start.tzinfo is UTC and is_plain_schedule(message):
        return True
    return not any(spec.problems(message))


def _why_not_written(message: Written, kind: Kind, error: Exception | None) -> Problem:
    """The first problem of a message that cannot be written or that no peer would read."""
    tree = _tree(message)
    for problem in (*_unwritable(tree, ""), *explain(tree, kind, (VERSION,)).problems):
        return problem
    return Problem(code=ErrorCode.MESSAGE_INVALID, message=f"cannot be written as Protobuf: {error}")


def _tree(value: object) -> object:
    """A message as the tree that an encoding would parse it to, but for instants, which stay what they are."""
    if isinstance(value, msgspec.Struct):
        return {
            field.name: _tree(member)
            for field in msgspec.structs.fields(value)
            if (member := getattr(value, field.name)) is not None or field.required
        }
    if isinstance(value, (tuple, list)):
        return [_tree(item) for item in value]
    if isinstance(value, dict):
        return {name: _tree(item) for name, item in value.items()}
    return value


def _unwritable(tree: object, path: str) -> Iterator[Problem]:
    """Every value in a tree that the types of the members let pass and Protobuf, or this protocol, does not."""
    if isinstance(tree, float) and not math.isfinite(tree):
        yield Problem(code=ErrorCode.MESSAGE_NON_FINITE_NUMBER, message=f"{tree} is not a finite number", path=path)
    elif isinstance(tree, str) and not _is_unicode(tree):
        message = "the text has half of a surrogate pair, which is no character"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield from _unwritable(name, path)
            yield from _unwritable(item, path + pointer(name))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _unwritable(item, f"{path}/{index}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _malformed(error: Exception) -> Problem:
    path = error.path if isinstance(error, WireError) else ""
    return Problem(code=ErrorCode.MESSAGE_MALFORMED, message=f"not a Protobuf message of its kind: {error}", path=path)


def _not_in_protobuf(kind: Kind, version: int) -> Problem:
    if version == 0:
        message = f"a {kind} cannot be written as Protobuf: it is always JSON"
        return Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=message)
    return Problem(
        code=ErrorCode.VERSION_UNSUPPORTED,
        message=f"a {kind} of version {version} cannot be written as Protobuf; version {VERSION} can",
        path="/version",
        details={"supported_versions": [VERSION]},
    )
