"""Protobuf parsed by the official runtime, cleared by writing it again, explained only when something is wrong.

The runtime parses fast, but it takes the last of two values silently, sets aside what it does not know and takes a field of
the wrong wire type for unknown. One comparison rules all of it out: a body that is byte for byte what the runtime writes for
the message that it has just read, with everything unknown discarded, has each field once, of its type, and no other. Such a
body is checked by the struct's types and the version's rules, and that is all. Any other (unknown fields, another order, and
everything invalid) takes the slow road, which reads the bytes itself (:mod:`allye_protocol.codec.protobuf.tree`) and is
complete.
"""

from __future__ import annotations

from typing import Final

import msgspec

from allye_protocol.codec.explain import Explained, explain
from allye_protocol.codec.plain import IS_PLAIN, IS_VALID
from allye_protocol.codec.protobuf.members import NOT_READ, NOT_WRITTEN, body_of, fields_of, is_in_utc, members_of
from allye_protocol.codec.protobuf.runtime import runtime
from allye_protocol.codec.protobuf.shape import SHAPES
from allye_protocol.codec.protobuf.tree import tree_of
from allye_protocol.codec.protobuf.wire import WireError, version_in
from allye_protocol.codec.refusal import checked
from allye_protocol.errors import DecodeError, ErrorCode, Problem
from allye_protocol.messages.registry import KINDS, Kind, Written
from allye_protocol.messages.v2 import VERSION

__all__ = ["decode", "encode", "explained"]


def decode(payload: bytes, kind: Kind) -> Written:
    """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
    struct = _STRUCTS.get(kind)
    message = None if struct is None else _cleared(payload, struct)
    if message is not None:
        return message
    message, problems = explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message


def explained(payload: bytes, kind: Kind) -> Explained:
    """The message, or everything that is wrong with a payload: the slow road."""
    struct = _STRUCTS.get(kind)
    if struct is None:
        return explain({}, kind, (VERSION,))
    runtime_ = runtime()
    try:
        version = version_in(payload)
        if version not in (None, VERSION):
            # Another version may have another shape: that would be told as a field of the wrong type.
            return explain({"version": version}, kind, (VERSION,))
        tree, found = tree_of(payload, SHAPES[struct])
        runtime_.classes[struct].FromString(payload)
    except (WireError, runtime_.decode_error) as error:
        return Explained(None, [_malformed(error)])
    message, problems = explain(tree, kind, (VERSION,))
    return Explained(None, problems + found) if found else Explained(message, problems)


def encode(message: Written) -> bytes:
    """Check and write; fields in the order of their numbers, members of a map in that of their keys."""
    struct = type(message)
    try:
        same = msgspec.convert(members_of(message), struct)
        if (is_in_utc(same) and IS_PLAIN[struct](same)) or IS_VALID[struct](same):
            return _written(same)
    except NOT_WRITTEN:
        pass
    return _written(checked(message))


_STRUCTS: Final[dict[Kind, type[Written]]] = {
    kind: spec.struct for (kind, version), spec in KINDS.items() if version == VERSION
}


def _cleared(payload: bytes, struct: type[Written]) -> Written | None:
    """The message of a body that the runtime itself could have written and that is valid; ``None`` for any other."""
    runtime_ = runtime()
    try:
        parsed = runtime_.classes[struct].FromString(payload)
        parsed.DiscardUnknownFields()
        if parsed.SerializeToString(deterministic=True) != payload:
            return None
        message = msgspec.convert(body_of(parsed, struct), struct)
    except (runtime_.decode_error, *NOT_READ):
        return None
    return message if IS_PLAIN[struct](message) or IS_VALID[struct](message) else None


def _written(message: Written) -> bytes:
    payload: bytes = runtime().classes[type(message)](**fields_of(message)).SerializeToString(deterministic=True)
    return payload


def _malformed(error: Exception) -> Problem:
    path = error.path if isinstance(error, WireError) else ""
    return Problem(code=ErrorCode.MESSAGE_MALFORMED, message=f"not a Protobuf message of its kind: {error}", path=path)
