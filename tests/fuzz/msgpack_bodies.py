"""Trees as MessagePack, in the many ways that MessagePack allows, and some that it does not."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.fuzz.trees import Members, Verbatim

if TYPE_CHECKING:
    import random

__all__ = ["TOKENS", "WHOLE", "pack", "packed"]

TOKENS = tuple(
    bytes.fromhex(text)
    for text in [
        "00",
        "7f",
        "80",
        "81",
        "8f",
        "90",
        "9f",
        "a0",
        "a178",
        "bf",
        "c0",
        "c1",
        "c2",
        "c3",
        "c400",
        "c70cff",
        "c7",
        "c8",
        "c9",
        "ca",
        "cb",
        "cc",
        "cd",
        "ce",
        "cf",
        "d0",
        "d3",
        "d4ff00",
        "d5",
        "d605",
        "d6ffffffffff",
        "d7ff",
        "d8ff",
        "d9",
        "da",
        "dbffffffff",
        "dcffff",
        "ddffffffff",
        "deffff",
        "dfffffffff",
        "e0",
        "ff",
        "a0c0",
        "a17801",
        "81a17801",
    ]
)
WHOLE = (
    b"\x80",
    b"\xde\x00\x00",
    b"\xdf\x00\x00\x00\x00",
    b"\xdf\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff",
    b"\x91" * 60_000,
    b"\x81\xa1a" * 20_000,
    b"\x81\xa1x" + b"\x91" * 100 + b"\xc0",
    b"\xc0",
    b"\x93\x01\x02\x03",
    b"{}",
)
_DIGITS = 400


def _sized(count: int, rng: random.Random, fixed: tuple[int, int] | None, *wider: tuple[int, int]) -> bytes:
    """The head of a text, array or map: the shortest one most of the time, any that is wide enough otherwise."""
    heads = [bytes([fixed[0] | count])] if fixed is not None and count < fixed[1] else []
    heads += [bytes([first]) + count.to_bytes(size, "big") for first, size in wider if count < 1 << 8 * size]
    return heads[0] if rng.random() < 0.9 else rng.choice(heads)


def _text(text: str, rng: random.Random) -> bytes:
    body = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.005:
        return _sized(len(body), rng, None, (0xC4, 1), (0xC5, 2), (0xC6, 4)) + body
    return _sized(len(body), rng, (0xA0, 32), (0xD9, 1), (0xDA, 2), (0xDB, 4)) + body


def _integer(value: int, rng: random.Random) -> bytes:
    forms = [bytes([value & 0xFF])] if -32 <= value < 128 else []
    for first, form, size in zip(range(0xCC, 0xD4), "BHIQbhiq", (1, 2, 4, 8) * 2, strict=True):
        low, high = (0, 1 << 8 * size) if form.isupper() else (-(1 << 8 * size - 1), 1 << 8 * size - 1)
        if low <= value < high:
            forms.append(bytes([first]) + struct.pack(f">{form}", value))
    if not forms:
        return _real(float(value) if abs(value) < 1 << 1023 else math.inf, rng)
    return forms[0] if rng.random() < 0.9 else rng.choice(forms)


def _real(value: float, rng: random.Random) -> bytes:
    if rng.random() < 0.1 and (not math.isfinite(value) or abs(value) < 3e38):
        return b"\xca" + struct.pack(">f", value)
    return b"\xcb" + struct.pack(">d", value)


def _number(text: str, rng: random.Random) -> bytes:
    if text in ("null", "true", "false"):
        return {"null": b"\xc0", "true": b"\xc3", "false": b"\xc2"}[text]
    digits = text.lstrip("-")
    if digits.isdecimal() and len(digits) < _DIGITS:
        return _integer(int(text), rng)
    try:
        return _real(float(text), rng)
    except ValueError:
        return _text(text, rng)


def _timestamp(instant: datetime, rng: random.Random) -> bytes:
    seconds = math.floor(instant.timestamp())
    nanoseconds = rng.choice([instant.microsecond * 1000] * 6 + [499, 500, 999_999_499, 999_999_500, 1_000_000_000])
    seconds = rng.choice([seconds] * 20 + [-1, -(2**62), 2**62, 253_402_300_799, 253_402_300_800, -62_135_596_800])
    forms = [b"\xc7\x0c\xff" + struct.pack(">Iq", nanoseconds, seconds)]
    if 0 <= seconds < 1 << 34:
        data = (nanoseconds << 34 | seconds).to_bytes(8, "big")
        forms += [b"\xd7\xff" + data, b"\xc7\x08\xff" + data, b"\xc8\x00\x08\xff" + data, b"\xd7\x01" + data]
    if 0 <= seconds < 1 << 32 and not nanoseconds:
        forms += [b"\xd6\xff" + seconds.to_bytes(4, "big")] * 6
    return rng.choice(forms)


def pack(node: Any, rng: random.Random) -> bytes:
    """Write a tree as MessagePack."""
    if isinstance(node, Verbatim):
        return _number(node, rng)
    if isinstance(node, Members):
        head = _sized(len(node), rng, (0x80, 16), (0xDE, 2), (0xDF, 4))
        return head + b"".join(
            (pack(name, rng) if rng.random() < 0.999 else b"\x05") + pack(value, rng) for name, value in node
        )
    if isinstance(node, list):
        return _sized(len(node), rng, (0x90, 16), (0xDC, 2), (0xDD, 4)) + b"".join(pack(item, rng) for item in node)
    if isinstance(node, str):
        instant = _instant(node)
        return _text(node, rng) if instant is None or rng.random() < 0.2 else _timestamp(instant, rng)
    return _number(str(node).lower() if isinstance(node, bool) else "null" if node is None else str(node), rng)


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if "T" in text else None
        return None if instant is None or instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def packed(tree: Any, rng: random.Random) -> bytes:
    """A tree as a payload, written in one of many ways."""
    return pack(tree, rng)
