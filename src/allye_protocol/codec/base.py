"""What an encoding is: the one seam between the codec and its encodings, which know nothing of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from allye_protocol.errors import Problem
    from allye_protocol.messages.registry import Kind, Written

__all__ = ["JSON", "MAX_PAYLOAD_BYTES", "MSGPACK", "PROTOBUF", "Encoding", "sniffed"]

MAX_PAYLOAD_BYTES: Final = 65_536
"""Largest payload that is parsed, bytes (64 KiB)."""

JSON: Final = "application/json"
MSGPACK: Final = "application/vnd.msgpack"
PROTOBUF: Final = "application/protobuf"

_BRACE: Final = ord("{")
_MAPS: Final = frozenset((*range(0x80, 0x90), 0xDE, 0xDF))
"""First bytes of a map in MessagePack."""
_JSON_SPACE: Final = b" \t\n\r"


def sniffed(payload: bytes) -> str:
    """The content type that a payload without one has, by its first byte.

    A message is an object: ``{`` begins one in JSON, also after white space, and 0x80-0x8f, 0xde, 0xdf begin a map in
    MessagePack. Anything else is Protobuf, no message of which begins so: as tags these are of a group, or of fields that no
    message has.
    """
    first = payload[0] if payload else 0
    if first == _BRACE:
        return JSON
    if first in _MAPS:
        return MSGPACK
    return JSON if payload.lstrip(_JSON_SPACE).startswith(b"{") else PROTOBUF


class Encoding(Protocol):
    """One way of writing messages as bytes. It sees only payloads within the size limit."""

    @property
    def content_type(self) -> str:
        """The media type, as in the MQTT 5 content-type property."""
        ...

    @property
    def versions(self) -> tuple[int, ...]:
        """The major versions that can be written in it; 0 for a kind whose shape is the same in all."""
        ...

    def decode(self, payload: bytes, kind: Kind) -> Written:
        """Parse and check a payload completely.

        :raises DecodeError: for whatever is wrong; nothing else.
        """
        ...

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; empty exactly when :meth:`decode` returns a message."""
        ...

    def encode(self, message: Written) -> bytes:
        """Check and write a message of a version that can be written in it.

        :raises EncodeError: for a message that :meth:`decode` would refuse.
        """
        ...
