"""Bytes to messages and back: total, bounded, and the same for every encoding.

1. ``decode`` takes any bytes and returns a message that keeps every rule of its kind and version, or raises one
   :class:`~allye_protocol.errors.DecodeError` with a code and a place. Nothing else can leave it.
2. The size is looked at before anything is parsed, so time and memory are bounded by the limit.
3. ``encode`` refuses what ``decode`` would refuse. No message that it takes is longer than what ``decode`` reads.
4. An encoding is a module with one class (:class:`~allye_protocol.codec.base.Encoding`) and a line in the table below. That of
   Protobuf is there when its extra is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from allye_protocol.codec.base import JSON, MAX_PAYLOAD_BYTES, MSGPACK, PROTOBUF, Encoding, sniffed
from allye_protocol.codec.json import FAST as FAST_JSON
from allye_protocol.codec.json import JsonEncoding
from allye_protocol.codec.msgpack import FAST as FAST_MSGPACK
from allye_protocol.codec.msgpack import MsgpackEncoding
from allye_protocol.codec.protobuf import ProtobufEncoding
from allye_protocol.codec.protobuf import is_installed as protobuf_is_installed
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages.registry import BY_TYPE, Kind, Written

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DEFAULT_CONTENT_TYPE",
    "ENCODINGS",
    "JSON",
    "MAX_PAYLOAD_BYTES",
    "MSGPACK",
    "PROTOBUF",
    "Encoding",
    "content_type_of",
    "content_types_of",
    "decode",
    "encode",
    "problems",
]

_PROTOBUF: Final = (ProtobufEncoding(),) if protobuf_is_installed() else ()
ENCODINGS: Final[dict[str, Encoding]] = {
    encoding.content_type: encoding for encoding in (JsonEncoding(), MsgpackEncoding(), *_PROTOBUF)
}
"""Every encoding by its content type; Protobuf only where its extra is installed."""
_FAST: Final[dict[str | None, dict[str, Callable[[bytes], Written | None]]]] = {JSON: FAST_JSON, MSGPACK: FAST_MSGPACK}
_WRITERS: Final[dict[tuple[type, str], Callable[[Written], bytes]]] = {
    (struct, content_type): encoding.encode
    for content_type, encoding in ENCODINGS.items()
    for struct, spec in BY_TYPE.items()
    if spec.version in encoding.versions
}
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in Kind}
DEFAULT_CONTENT_TYPE: Final = JSON


def decode(payload: bytes, kind: Kind | str, content_type: str | None = None, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> Written:
    """Turn a payload into a checked message.

    :param payload: the application payload, any bytes.
    :param kind: what the payload should be; a topic's channel says it.
    :param content_type: the MQTT 5 content-type property; ``None`` where the transport has none: then the first byte decides.
    :param max_bytes: size limit, bytes; a longer payload is not parsed.
    :returns: the message as it is written, of its version; its instants are in UTC.
        :func:`allye_protocol.convert.decode` gives it in the newest one.
    :raises DecodeError: ``message.too_large``, ``message.malformed``, ``message.invalid``, ``message.duplicate_key``,
        ``message.non_finite_number``, ``message.unknown_kind``, ``version.unsupported``, a ``time`` code or a ``limit`` code;
        ``path`` is a JSON Pointer.
    """
    if not 0 < len(payload) <= max_bytes:
        raise DecodeError.of(_bad_size(len(payload), max_bytes))
    # Most bodies are cleared by the fast road of their encoding; it is asked first, and costs as few calls as can be.
    roads = _FAST.get(content_type)
    fast = None if roads is None else roads.get(kind)
    message = None if fast is None else fast(payload)
    return _encoding(payload, content_type).decode(payload, _kind(kind)) if message is None else message


def problems(
    payload: bytes, kind: Kind | str, content_type: str | None = None, *, max_bytes: int = MAX_PAYLOAD_BYTES
) -> list[Problem]:
    """List everything that is wrong with a payload; empty exactly when :func:`decode` returns a message.

    Parameters as for :func:`decode`.
    """
    if not 0 < len(payload) <= max_bytes:
        return [_bad_size(len(payload), max_bytes)]
    try:
        return _encoding(payload, content_type).problems(payload, _kind(kind))
    except DecodeError as error:
        return [error.problem]


def encode(message: Written, content_type: str = DEFAULT_CONTENT_TYPE) -> bytes:
    """Turn a message into a payload, checking it against every rule of its kind and version.

    :param message: any message of :data:`allye_protocol.messages.KINDS`.
    :param content_type: the encoding's media type.
    :raises EncodeError: the codes of :func:`decode`; ``message.unknown_kind`` for an object that is no message, or of a kind
        that is not written so, ``version.unsupported`` for a version that is not, ``message.invalid`` for a content
        type that is not known.
    """
    write = _WRITERS.get((type(message), content_type))
    if write is None:
        raise EncodeError.of(_not_written_so(message, content_type))
    return write(message)


def content_types_of(version: int) -> tuple[str, ...]:
    """The content types in which messages of a major version can be written."""
    return tuple(content_type for content_type, encoding in ENCODINGS.items() if version in encoding.versions)


def content_type_of(payload: bytes, content_type: str | None = None) -> str:
    """The encoding that :func:`decode` reads a payload by.

    :raises DecodeError: for one that it does not read.
    """
    if not 0 < len(payload) <= MAX_PAYLOAD_BYTES:
        raise DecodeError.of(_bad_size(len(payload), MAX_PAYLOAD_BYTES))
    return _encoding(payload, content_type).content_type


def _kind(kind: Kind | str) -> Kind:
    try:
        return _KINDS[kind]
    except KeyError:
        raise DecodeError(ErrorCode.MESSAGE_UNKNOWN_KIND, f"no message kind {kind!r}; known: {', '.join(Kind)}") from None


def _encoding(payload: bytes, content_type: str | None) -> Encoding:
    """The encoding to read with.

    :raises DecodeError: for a payload that is not read at all.
    """
    named = sniffed(payload) if content_type is None else content_type.partition(";")[0].strip().lower()
    encoding = ENCODINGS.get(named)
    if encoding is not None:
        return encoding
    if content_type is not None:
        raise DecodeError(ErrorCode.MESSAGE_INVALID, _no_such_encoding(content_type))
    message = f"a payload that begins with 0x{payload[0]:02x} is neither JSON nor MessagePack; {_NO_PROTOBUF}"
    raise DecodeError(ErrorCode.MESSAGE_MALFORMED, message)


def _bad_size(size: int, limit: int) -> Problem:
    if not size:
        return Problem(code=ErrorCode.MESSAGE_MALFORMED, message="the payload is empty")
    return Problem(
        code=ErrorCode.MESSAGE_TOO_LARGE,
        message=f"{size} bytes; at most {limit} are read",
        details={"size_bytes": size, "limit_bytes": limit},
    )


def _not_written_so(message: object, content_type: str) -> Problem:
    spec, encoding = BY_TYPE.get(type(message)), ENCODINGS.get(content_type)
    if spec is None:
        words = f"{type(message).__name__} is not a message of this protocol"
        return Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=words)
    if encoding is None:
        return Problem(code=ErrorCode.MESSAGE_INVALID, message=_no_such_encoding(content_type))
    if not spec.version:
        words = f"a {spec.kind} is always JSON; {encoding.content_type} has no place for it"
        return Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=words)
    versions = ", ".join(map(str, encoding.versions))
    return Problem(
        code=ErrorCode.VERSION_UNSUPPORTED,
        message=f"version {spec.version} is not written as {encoding.content_type}, which has: {versions}",
        path="/version",
        details={"supported_versions": list(encoding.versions)},
    )


_NO_PROTOBUF: Final = "Protobuf is not installed here: pip install 'allye-protocol[protobuf]'"


def _no_such_encoding(content_type: str) -> str:
    known = f"known: {', '.join(ENCODINGS)}"
    if content_type.partition(";")[0].strip().lower() == PROTOBUF:
        return f"no encoding for content type {PROTOBUF!r}; {known}; {_NO_PROTOBUF}"
    return f"no encoding for content type {content_type[:64]!r}; {known}"
