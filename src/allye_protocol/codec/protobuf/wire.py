"""Protobuf as it is on the wire: fields one after another, and what every message has under the same numbers.

No runtime is needed for it, so names can be read of a broken payload too. The rules are those of the encoding's own description
(protobuf.dev, "Encoding").
"""

from __future__ import annotations

from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Occurrence", "WireError", "WireType", "names_in", "occurrences", "varint", "version_in"]

MAX_GROUP_DEPTH: Final = 100
"""How deep the runtime lets groups nest; they only come as unknown fields."""
_VARINT_BITS: Final = 64
_MAX_TAG: Final = 2**32 - 1


class WireType(IntEnum):
    """How long a value is, as its tag says."""

    VARINT = 0
    FIXED64 = 1
    LENGTH = 2
    GROUP = 3
    GROUP_END = 4
    FIXED32 = 5


class WireError(ValueError):
    """Bytes that are no Protobuf message of the shape they should have.

    :ivar path: JSON Pointer to the member, where it is one's.
    """

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.path: Final = path


class Occurrence(NamedTuple):
    """One field as it came.

    :param value: an integer below 2**64, or the bytes of any other type; of a group nothing.
    :param offset: where the value begins, bytes from the beginning of the payload.
    """

    number: int
    type: WireType
    value: int | bytes
    offset: int


def occurrences(data: bytes, base: int = 0) -> Iterator[Occurrence]:
    """Every field of a message in the order in which they came.

    :param base: where the message begins in the payload, bytes; for the places in errors.
    :raises WireError: where the bytes stop being fields.
    """
    at = 0
    while at < len(data):
        number, kind, at = _tag(data, at, base)
        start = at
        value: int | bytes
        if kind is WireType.VARINT:
            value, at = varint(data, at, base)
        elif kind is WireType.GROUP:
            value, at = b"", _after_group(data, at, number, base)
        elif kind is WireType.GROUP_END:
            raise WireError(f"a group ends at byte {base + at} that did not begin")
        else:
            length = _FIXED.get(kind)
            if length is None:
                length, at = varint(data, at, base)
                start = at
            at = _within(data, at, length, base)
            value = data[start:at]
        yield Occurrence(number, kind, value, base + start)


def version_in(payload: bytes) -> int | None:
    """The version that a message of any version says, under the same number in all.

    :returns: ``None`` where it says none, or several.
    :raises WireError: for bytes that are no Protobuf message.
    """
    said = {came.value for came in occurrences(payload) if came.number == _VERSION_NUMBER}
    version = said.pop() if len(said) == 1 else None
    return version if isinstance(version, int) else None


def names_in(payload: bytes) -> dict[str, str]:
    """The texts that every message has under the same number, as far as the payload can be read: never raises.

    :returns: ``schedule_id``, ``device_id`` and ``traceparent``, unchecked; those that are there.
    """
    found: dict[str, str] = {}
    with suppress(WireError):
        for came in occurrences(payload):
            name = _NAMES.get(came.number)
            if name is not None and isinstance(came.value, bytes) and came.type is WireType.LENGTH:
                with suppress(UnicodeDecodeError):
                    found[name] = came.value.decode("utf-8")
    return found


_FIXED: Final = {WireType.FIXED64: 8, WireType.FIXED32: 4, WireType.LENGTH: None}
"""How many bytes a value has; ``None`` where its length comes before it."""
_TYPES: Final = {kind.value: kind for kind in WireType}
_VERSION_NUMBER: Final = 1
_NAMES: Final = {2: "schedule_id", 3: "device_id", 4: "traceparent"}


def varint(data: bytes, at: int, base: int) -> tuple[int, int]:
    """Read a number.

    :param at: where it begins in ``data``.
    :param base: where ``data`` begins in the payload, bytes.
    :returns: the number, below 2**64, and where it ends.
    :raises WireError: for a number that ends nowhere or is larger.
    """
    value = shift = 0
    while shift < _VARINT_BITS:
        if at >= len(data):
            raise WireError(f"ends in the middle of a number at byte {base + at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 2**_VARINT_BITS:
                break
            return value, at
        shift += 7
    raise WireError(f"a number of more than 64 bits ends at byte {base + at}")


def _tag(data: bytes, at: int, base: int) -> tuple[int, WireType, int]:
    tag, after = varint(data, at, base)
    kind = _TYPES.get(tag & 7)
    if kind is None or not tag >> 3 or tag > _MAX_TAG:
        raise WireError(f"no field begins with what is at byte {base + at}")
    return tag >> 3, kind, after


def _within(data: bytes, at: int, length: int, base: int) -> int:
    if length > len(data) - at:
        raise WireError(f"ends before the {length} bytes that are announced at byte {base + at}")
    return at + length


def _after_group(data: bytes, at: int, number: int, base: int) -> int:
    """Where a group that nobody knows is over. The stack is explicit: its depth is the sender's."""
    open_groups = [number]
    while open_groups:
        if len(open_groups) > MAX_GROUP_DEPTH:
            raise WireError(f"groups are nested more than {MAX_GROUP_DEPTH} deep at byte {base + at}")
        number, kind, at = _tag(data, at, base)
        if kind is WireType.GROUP:
            open_groups.append(number)
        elif kind is WireType.GROUP_END:
            if open_groups.pop() != number:
                raise WireError(f"a group ends at byte {base + at} that did not begin")
        elif kind is WireType.VARINT:
            _, at = varint(data, at, base)
        else:
            length = _FIXED.get(kind)
            if length is None:
                length, at = varint(data, at, base)
            at = _within(data, at, length, base)
    return at
