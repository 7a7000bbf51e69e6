"""MessagePack: parsed once by msgspec, cleared by comparing or counting, explained only when something is wrong.

The same messages as in JSON from version 2 on, member by member. An instant is a timestamp (extension -1), and is read as
RFC 3339 text too. Version 1 is JSON, and so is a hello.

A body that is byte for byte what this library writes for the message that was read holds that message and nothing else. Any
other is cleared by the numbers of members that its maps say they have (:mod:`allye_protocol.codec.members`), or takes the slow
road (:mod:`allye_protocol.codec.msgpack_reader`, :mod:`allye_protocol.codec.explain`), which is complete by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.codec.base import MSGPACK
from allye_protocol.codec.explain import Explained, explain
from allye_protocol.codec.members import has_only_members_msgpack
from allye_protocol.codec.msgpack_reader import MalformedError, read_tree
from allye_protocol.codec.plain import IS_PLAIN, IS_VALID, is_in_utc
from allye_protocol.codec.refusal import checked
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages import v2
from allye_protocol.messages.registry import KINDS, NEWEST, VERSIONS, Kind, Spec, Written

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAST", "MsgpackEncoding"]


class MsgpackEncoding:
    """The MessagePack encoding of the messages of version 2 and later."""

    @property
    def content_type(self) -> str:
        """``application/vnd.msgpack``."""
        return MSGPACK

    @property
    def versions(self) -> tuple[int, ...]:
        """Every version but the first."""
        return _SPOKEN

    def decode(self, payload: bytes, kind: Kind) -> Written:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        message = FAST[kind](payload)
        return _explained_message(payload, kind) if message is None else message

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        return _explained(payload, kind).problems

    def encode(self, message: Written) -> bytes:
        """Check and write; the proof that a peer will accept the bytes is that this library reads them."""
        read, is_plain, is_valid = _READ[type(message)]
        try:
            payload = _write(message)
            same = read(payload)
            if is_plain(same) or is_valid(same):
                return payload
        except (*_PARSE_ERRORS, TypeError):
            pass
        complete = checked(message)
        try:
            return _write(complete)
        except (*_PARSE_ERRORS, TypeError) as error:
            raise EncodeError(ErrorCode.MESSAGE_INVALID, f"cannot be written as MessagePack: {error}") from None


def _fast(spec: Spec) -> Callable[[bytes], Any]:
    """Reads bodies of one kind: a function that returns ``None`` for one that it does not clear."""
    read, is_plain, is_valid = _READ[spec.struct]
    write = _write

    def fast(payload: bytes) -> Any:
        try:
            message = read(payload)
            is_ours = write(message) == payload or (is_in_utc(message) and has_only_members_msgpack(payload, message))
        except _PARSE_ERRORS:
            return None
        return message if is_ours and (is_plain(message) or is_valid(message)) else None

    return fast


def _fast_schedule(spec: Spec) -> Callable[[bytes], Any]:
    """The same for schedules, the longest messages: most need not be written again, as their few members can be counted."""
    read, is_plain, _ = _READ[spec.struct]
    complete = _fast(spec)

    def fast(payload: bytes) -> Any:
        try:
            schedule = read(payload)
        except _PARSE_ERRORS:
            return None
        head = _HEADS[schedule.traceparent is not None]
        if payload.startswith(head) and is_plain(schedule):
            return schedule
        return complete(payload)

    return fast


Checks = tuple["Callable[[bytes], Any]", "Callable[[Any], bool]", "Callable[[Any], bool]"]
_SPOKEN: Final = tuple(version for version in VERSIONS if version > 1)
_PARSE_ERRORS: Final = (msgspec.MsgspecError, RecursionError, ValueError, OverflowError)
_write: Final = msgspec.msgpack.Encoder().encode
_READ: Final[dict[type, Checks]] = {
    spec.struct: (msgspec.msgpack.Decoder(spec.struct).decode, IS_PLAIN[spec.struct], IS_VALID[spec.struct])
    for spec in KINDS.values()
    if spec.version in _SPOKEN
}
_REQUIRED: Final = sum(field.required for field in msgspec.structs.fields(v2.Schedule))
_HEADS: Final = tuple(b"\xde" + (_REQUIRED + traced).to_bytes(2, "big") for traced in (False, True))
"""How a map begins, as msgspec writes it, that has the members of every schedule and no other, or a trace besides."""


def _never(_payload: bytes) -> None:
    return None


FAST: Final[dict[str, Callable[[bytes], Any]]] = {
    **dict.fromkeys(Kind, _never),
    **{
        kind: (_fast_schedule if spec.struct is v2.Schedule else _fast)(spec)
        for (kind, version), spec in KINDS.items()
        if version == NEWEST
    },
}
"""The fast road of each kind: a message, or ``None`` for a body that is not cleared."""


def _explained(payload: bytes, kind: Kind) -> Explained:
    try:
        tree = read_tree(payload)
    except MalformedError as error:
        return Explained(None, [Problem(code=ErrorCode.MESSAGE_MALFORMED, message=f"not MessagePack: {error}")])
    return explain(tree, kind, _SPOKEN)


def _explained_message(payload: bytes, kind: Kind) -> Written:
    message, problems = _explained(payload, kind)
    if message is None:
        raise DecodeError.of(problems[0])
    return message
