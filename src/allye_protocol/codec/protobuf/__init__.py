"""Protobuf: the messages of version 2, by the official runtime (extra ``protobuf``).

Importing this package loads neither the runtime nor what prepares its classes
(:mod:`allye_protocol.codec.protobuf.coder`): most programs never see a Protobuf message. The first one that is read or
written does.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from allye_protocol.codec.base import PROTOBUF
from allye_protocol.messages.v2 import VERSION

if TYPE_CHECKING:
    from types import ModuleType

    from allye_protocol.errors import Problem
    from allye_protocol.messages.registry import Kind, Written

__all__ = ["ProtobufEncoding", "is_installed"]


def is_installed() -> bool:
    """Whether the extra ``protobuf`` is there, which is found out without loading it."""
    try:
        return find_spec("google.protobuf") is not None
    except ModuleNotFoundError:
        return False


class ProtobufEncoding:
    """The Protobuf encoding of the messages of version 2."""

    @property
    def content_type(self) -> str:
        """``application/protobuf``."""
        return PROTOBUF

    @property
    def versions(self) -> tuple[int, ...]:
        """Version 2: version 1 is JSON, and so is a hello."""
        return (VERSION,)

    def decode(self, payload: bytes, kind: Kind) -> Written:
        """Parse and check; see :class:`~allye_protocol.codec.base.Encoding`."""
        message: Written = _coder().decode(payload, kind)
        return message

    def problems(self, payload: bytes, kind: Kind) -> list[Problem]:
        """Everything that is wrong with a payload; see :class:`~allye_protocol.codec.base.Encoding`."""
        problems: list[Problem] = _coder().explained(payload, kind).problems
        return problems

    def encode(self, message: Written) -> bytes:
        """Check and write; see :class:`~allye_protocol.codec.base.Encoding`."""
        payload: bytes = _coder().encode(message)
        return payload


@cache
def _coder() -> ModuleType:
    from allye_protocol.codec.protobuf import coder  # noqa: PLC0415

    return coder
