"""A strict reader of MessagePack: the whole body as a tree, with the members of every map as they came.

It is for bodies that the fast road did not clear, and says what is wrong with their bytes, and where. It reads what msgspec
reads, and nothing that this protocol forbids: the names of a map are texts, texts are UTF-8, the only extension is the
timestamp, a body is one value with nothing after it. A length or a count that the rest of the body cannot hold is refused
before anything is made for it, so a body never costs more than its bytes; nesting is bounded.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.codec.explain import Object
from allye_protocol.messages.fields import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DEPTH", "MalformedError", "read_tree"]

MAX_DEPTH: Final = 64
"""Deepest nesting that is read. Messages have a depth of three."""
_TIMESTAMP: Final = -1
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_MAX_NANOSECONDS: Final = 999_999_999


class MalformedError(ValueError):
    """Bytes that are no MessagePack, or none that this protocol has a use for."""


def read_tree(payload: bytes) -> object:
    """Read a whole body.

    :returns: :class:`~allye_protocol.codec.explain.Object`, lists, texts, ``bytes``, numbers, booleans, ``None``, and UTC
        instants for timestamps. Nanoseconds are rounded to microseconds, half up. A timestamp beyond what a ``datetime`` can
        hold is the nearest one that it can, which no message takes either.
    :raises MalformedError: what is wrong, and at which byte.
    """
    reader = _Reader(payload)
    tree = reader.value(0)
    if reader.at != len(payload):
        raise MalformedError(f"{len(payload) - reader.at} bytes after the end of the value, at byte {reader.at}")
    return tree


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def value(self, depth: int) -> object:
        """The value that begins here."""
        first = self.number("B", 1)
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first < 0x90:
            return self.map(first & 0x0F, depth)
        if first < 0xA0:
            return self.array(first & 0x0F, depth)
        if first < 0xC0:
            return self.text(first & 0x1F)
        read = _FORMATS.get(first)
        if read is None:
            raise MalformedError(f"0x{first:02x} at byte {self.at - 1} begins no value")
        return read(self, depth)

    def taken(self, size: int) -> bytes:
        """The next bytes; refused before they are touched when there are not so many."""
        end = self.at + size
        if end > len(self.data):
            raise MalformedError(f"ends within a value: {end - len(self.data)} bytes are missing at byte {self.at}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, form: str, size: int) -> Any:
        """The next bytes as a number, big end first."""
        return struct.unpack(f">{form}", self.taken(size))[0]

    def text(self, size: int) -> str:
        """The next bytes as a text."""
        begin = self.at
        try:
            return self.taken(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedError(f"not UTF-8 at byte {begin + error.start}") from None

    def map(self, count: int, depth: int) -> Object:
        """The next members."""
        self._counted(2 * count, depth)
        return Object.of([(self._name(), self.value(depth + 1)) for _ in range(count)])

    def array(self, count: int, depth: int) -> list[object]:
        """The next elements."""
        self._counted(count, depth)
        return [self.value(depth + 1) for _ in range(count)]

    def extension(self, size: int) -> datetime:
        """The next bytes as an extension, which must be a timestamp."""
        begin = self.at - 1
        kind = self.number("b", 1)
        if kind != _TIMESTAMP:
            raise MalformedError(f"extension {kind} at byte {begin}; only timestamps ({_TIMESTAMP}) are read")
        data = self.taken(size)
        match size:
            case 4:
                seconds, nanoseconds = int.from_bytes(data, "big"), 0
            case 8:
                nanoseconds, seconds = divmod(int.from_bytes(data, "big"), 1 << 34)
            case 12:
                nanoseconds, seconds = struct.unpack(">Iq", data)
            case _:
                raise MalformedError(f"a timestamp of {size} bytes at byte {begin}; it has 4, 8 or 12")
        if nanoseconds > _MAX_NANOSECONDS:
            raise MalformedError(f"a timestamp of {nanoseconds} nanoseconds within a second at byte {begin}")
        try:
            return EARLIEST + timedelta(seconds=seconds, microseconds=(nanoseconds + 500) // 1000)
        except OverflowError:
            return _FIRST if seconds < 0 else _LAST

    def _name(self) -> str:
        begin = self.at
        name = self.value(MAX_DEPTH)
        if not isinstance(name, str):
            raise MalformedError(f"the name of a member at byte {begin} is no text")
        return name

    def _counted(self, count: int, depth: int) -> None:
        """Look at how many values are announced, each of which takes a byte at least."""
        if depth >= MAX_DEPTH:
            raise MalformedError(f"nested more than {MAX_DEPTH} deep at byte {self.at - 1}")
        if count > len(self.data) - self.at:
            raise MalformedError(f"{count} values are announced at byte {self.at - 1}, {len(self.data) - self.at} bytes follow")


def _number(form: str, size: int) -> Callable[[_Reader, int], object]:
    return lambda reader, _depth: reader.number(form, size)


_FORMATS: Final[dict[int, Callable[[_Reader, int], object]]] = {
    0xC0: lambda _reader, _depth: None,
    0xC2: lambda _reader, _depth: False,
    0xC3: lambda _reader, _depth: True,
    0xC4: lambda reader, _depth: reader.taken(reader.number("B", 1)),
    0xC5: lambda reader, _depth: reader.taken(reader.number("H", 2)),
    0xC6: lambda reader, _depth: reader.taken(reader.number("I", 4)),
    0xC7: lambda reader, _depth: reader.extension(reader.number("B", 1)),
    0xC8: lambda reader, _depth: reader.extension(reader.number("H", 2)),
    0xC9: lambda reader, _depth: reader.extension(reader.number("I", 4)),
    0xCA: _number("f", 4),
    0xCB: _number("d", 8),
    0xCC: _number("B", 1),
    0xCD: _number("H", 2),
    0xCE: _number("I", 4),
    0xCF: _number("Q", 8),
    0xD0: _number("b", 1),
    0xD1: _number("h", 2),
    0xD2: _number("i", 4),
    0xD3: _number("q", 8),
    0xD4: lambda reader, _depth: reader.extension(1),
    0xD5: lambda reader, _depth: reader.extension(2),
    0xD6: lambda reader, _depth: reader.extension(4),
    0xD7: lambda reader, _depth: reader.extension(8),
    0xD8: lambda reader, _depth: reader.extension(16),
    0xD9: lambda reader, _depth: reader.text(reader.number("B", 1)),
    0xDA: lambda reader, _depth: reader.text(reader.number("H", 2)),
    0xDB: lambda reader, _depth: reader.text(reader.number("I", 4)),
    0xDC: lambda reader, depth: reader.array(reader.number("H", 2), depth),
    0xDD: lambda reader, depth: reader.array(reader.number("I", 4), depth),
    0xDE: lambda reader, depth: reader.map(reader.number("H", 2), depth),
    0xDF: lambda reader, depth: reader.map(reader.number("I", 4), depth),
}
"""How to read a value by its first byte, from 0xc0 to 0xdf (the MessagePack specification's table of formats)."""
