"""Bytes to messages and back: total, bounded, and the same for every encoding.

1. ``decode`` takes any bytes and returns a message that keeps every rule of its kind and version, or raises one
   :class:`~allye_protocol.errors.DecodeError` with a code and a place. Nothing else can leave it.
2. The size is looked at before anything is parsed, so time and memory are bounded by the limit.
3. ``encode`` refuses what ``decode`` would refuse.
4. An encoding is a module with one class (:class:`~allye_protocol.codec.base.Encoding`) and a line in the table below.
"""

from __future__ import annotations

from typing import Final

from allye_protocol.codec.base import MAX_PAYLOAD_BYTES, Encoding
from allye_protocol.codec.json import JsonEncoding
from allye_protocol.codec.protobuf import ProtobufEncoding
from allye_protocol.codec.protobuf import is_installed as protobuf_is_installed
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.messages.registry import BY_TYPE, Kind, Written

__all__ = [
    "DEFAULT_CONTENT_TYPE",
    "ENCODINGS",
    "MAX_PAYLOAD_BYTES",
    "Encoding",
    "content_type_of",
    "content_types_of",
    "decode",
    "encode",
    "problems",
]

_JSON: Final = JsonEncoding()
_PROTOBUF: Final = (ProtobufEncoding(),) if protobuf_is_installed() else ()
ENCODINGS: Final[dict[str, Encoding]] = {encoding.content_type: encoding for encoding in (_JSON, *_PROTOBUF)}
"""Every encoding by its content type; Protobuf only where its extra is installed."""
_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in Kind}
DEFAULT_CONTENT_TYPE: Final = _JSON.content_type


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
    return _encoding(payload, content_type, max_bytes).decode(payload, _kind(kind))


def problems(
    payload: bytes, kind: Kind | str, content_type: str | None = None, *, max_bytes: int = MAX_PAYLOAD_BYTES
) -> list[Problem]:
    """List everything that is wrong with a payload; empty exactly when :func:`decode` returns a message.

    Parameters as for :func:`decode`.
    """
    try:
        encoding = _encoding(payload, content_type, max_bytes)
        return encoding.problems(payload, _kind(kind))
    except DecodeError as error:
        return [error.problem]


def encode(message: Written, content_type: str = DEFAULT_CONTENT_TYPE) -> bytes:
    """Turn a message into a payload, checking it against every rule of its kind and version.

    :param message: any message of :data:`allye_protocol.messages.KINDS`.
    :param content_type: the encoding's media type.
    :raises EncodeError: the codes of :func:`decode`; ``message.unknown_kind`` for an object that is no message,
        ``message.invalid`` for a content type that is not known.
    """
    if type(message) not in BY_TYPE:
        raise EncodeError(ErrorCode.MESSAGE_UNKNOWN_KIND, f"{type(message).__name__} is not a message of this protocol")
    encoding = ENCODINGS.get(content_type)
    if encoding is None:
        raise EncodeError(ErrorCode.MESSAGE_INVALID, _no_such_encoding(content_type))
    payload = encoding.encode(message)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise EncodeError.of(_too_large(len(payload), MAX_PAYLOAD_BYTES))
    return payload


def content_types_of(version: int) -> tuple[str, ...]:
    """The content types in which messages of a major version can be written."""
    return tuple(content_type for content_type, encoding in ENCODINGS.items() if version in encoding.versions)


def content_type_of(payload: bytes, content_type: str | None = None) -> str:
    """The encoding that :func:`decode` reads a payload by.

    :raises DecodeError: for one that it does not read.
    """
    return _encoding(payload, content_type, MAX_PAYLOAD_BYTES).content_type


def _kind(kind: Kind | str) -> Kind:
    try:
        return _KINDS[kind]
    except KeyError:
        raise DecodeError(ErrorCode.MESSAGE_UNKNOWN_KIND, f"no message kind {kind!r}; known: {', '.join(Kind)}") from None


def _encoding(payload: bytes, content_type: str | None, max_bytes: int) -> Encoding:
    """The encoding to read with.

    :raises DecodeError: for a payload that is not read at all.
    """
    if len(payload) > max_bytes:
        raise DecodeError.of(_too_large(len(payload), max_bytes))
    if not payload:
        raise DecodeError(ErrorCode.MESSAGE_MALFORMED, "the payload is empty")
    if content_type is None:
        return _JSON
    encoding = ENCODINGS.get(content_type.partition(";")[0].strip().lower())
    if encoding is None:
        raise DecodeError(ErrorCode.MESSAGE_INVALID, _no_such_encoding(content_type))
    return encoding


def _too_large(size: int, limit: int) -> Problem:
    return Problem(
        code=ErrorCode.MESSAGE_TOO_LARGE,
        message=f"{size} bytes; at most {limit} are read",
        details={"size_bytes": size, "limit_bytes": limit},
    )


def _no_such_encoding(content_type: str) -> str:
    return f"no encoding for content type {content_type[:64]!r}; known: {', '.join(ENCODINGS)}"
