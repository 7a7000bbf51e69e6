"""Protobuf messages taken apart at their fields, changed and put together again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allye_protocol.codec.protobuf.wire import Occurrence, WireError, WireType, occurrences

if TYPE_CHECKING:
    import random

__all__ = ["TOKENS", "WHOLE", "mixed"]

TOKENS = tuple(
    bytes.fromhex(text)
    for text in [
        "00",
        "01",
        "07",
        "08",
        "0802",
        "0a",
        "0a00",
        "12",
        "1a",
        "7b",
        "7c",
        "80",
        "8001",
        "fa3f00",
        "ff",
        "ffffffffffffffffff01",
    ]
)
WHOLE = (
    b"\x08\x02",
    b"\x08\x01",
    b"\x08\x03",
    b"\xff" * 60_000,
    b"\x7b" * 60_000,
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x00",
    b"null",
    b"[]",
)
NUMBERS = (0, 1, 2, 3, 5, 127, 128, 1800, 3600, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64 - 1)
FIXED = (b"\x00" * 8, b"\x00" * 6 + b"\xf8\x7f", b"\x00" * 6 + b"\xf0\x7f", b"\x00" * 6 + b"\xf0\xff", b"\xff" * 8)
TEXTS = (b"", b"Z", b"\xff", b"\xed\xa0\x80", b"a/b", b"A" * 65, b"limit.power", b"\x08\x02", b"\x80" * 11)


def varint(number: int, *, padding: int = 0) -> bytes:
    """A number, in more bytes than it needs where there is ``padding``."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F)
    groups += [0] * padding
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def _joined(fields: list[Occurrence], rng: random.Random) -> bytes:
    parts = []
    for field in fields:
        parts.append(varint(field.number << 3 | field.type, padding=rng.random() < 0.01))
        if isinstance(field.value, int):
            parts.append(varint(field.value, padding=rng.random() < 0.01))
        else:
            parts += [varint(len(field.value)), field.value] if field.type is WireType.LENGTH else [field.value]
    return b"".join(parts)


def mixed(body: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """The message with some of its fields changed; what cannot be taken apart is returned as it is."""
    try:
        fields = [field for field in occurrences(body) if field.type is not WireType.GROUP]
    except WireError:
        return body
    for _ in range(rng.choice([0, 1, 1, 2])):
        if not fields:
            break
        at = rng.randrange(len(fields))
        field = fields[at]
        match rng.randrange(9):
            case 0:
                fields.pop(at)
            case 1:
                fields.insert(rng.randrange(len(fields) + 1), field)
            case 2:
                rng.shuffle(fields)
            case 3:
                fields[at] = field._replace(number=rng.choice([field.number + 1, 1, 15, 16, 2_000, 2**29 - 1]))
            case 4:
                kind = rng.choice([WireType.VARINT, WireType.FIXED64, WireType.LENGTH, WireType.FIXED32])
                fields.insert(rng.randrange(len(fields) + 1), _hostile(rng.choice([field.number, 999]), kind, rng))
            case 5 | 6 if isinstance(field.value, bytes) and depth < 2:
                fields[at] = field._replace(value=mixed(field.value, rng, depth + 1))
            case _:
                fields[at] = _hostile(field.number, field.type, rng)
    return _joined(fields, rng)


def _hostile(number: int, kind: WireType, rng: random.Random) -> Occurrence:
    value: int | bytes
    match kind:
        case WireType.VARINT:
            value = rng.choice(NUMBERS)
        case WireType.FIXED64:
            value = rng.choice(FIXED)
        case WireType.FIXED32:
            value = rng.choice(FIXED)[:4]
        case _:
            value = rng.choice(TEXTS)
    return Occurrence(number, kind, value, 0)
