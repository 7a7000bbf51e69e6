"""What an encoding is: the one seam that MessagePack and Protobuf join without anybody else noticing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from allye_protocol.errors import Problem
    from allye_protocol.messages.registry import Kind, Written

__all__ = ["MAX_PAYLOAD_BYTES", "Encoding"]

MAX_PAYLOAD_BYTES: Final = 65_536
"""Largest payload that is parsed, bytes (64 KiB, PROTOCOL section 4)."""


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
        """Check and write a message.

        :raises EncodeError: for a message that :meth:`decode` would refuse.
        """
        ...
