"""Trees as JSON, in the many ways that JSON allows, and bytes that are nearly so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.fuzz.trees import Members, Verbatim

if TYPE_CHECKING:
    import random

__all__ = ["TOKENS", "WHOLE", "recoded", "spell", "spelled"]

TOKENS = (
    b",",
    b"Z",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b"null",
    b"true",
    b'"Z":1,',
    b',"Z":1',
    b"\\u005a",
    b"\\ud800",
    b"\xff",
)
WHOLE = (
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'""',
    b" ",
    b"\xef\xbb\xbf{}",
    b"{" * 60_000,
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b"9" * 60_000,
)


def spell(node: Any, rng: random.Random, *, plain: bool = False) -> str:
    """Write a tree as JSON: ``plain``, or with white space and escapes wherever they may stand."""
    gap = "" if plain or rng.random() < 0.9 else rng.choice([" ", "\n", "\t", "\r\n  "])
    if isinstance(node, Verbatim):
        return gap + node
    if isinstance(node, Members):
        members = (f"{spell(name, rng, plain=plain)}:{gap}{spell(value, rng, plain=plain)}" for name, value in node)
        return f"{gap}{{{(',' + gap).join(members)}{gap}}}"
    if isinstance(node, list):
        return f"{gap}[{(',' + gap).join(spell(item, rng, plain=plain) for item in node)}{gap}]"
    if isinstance(node, str) and not plain and rng.random() < 0.02:
        return '"' + "".join(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char for char in node) + '"'
    return json.dumps(node, ensure_ascii=not plain and rng.random() < 0.1)


def spelled(tree: Any, rng: random.Random) -> bytes:
    """A tree as a payload, spelled in one of many ways."""
    return spell(tree, rng, plain=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def recoded(body: bytes, rng: random.Random) -> bytes:
    """The text in an encoding that JSON has not."""
    charset = rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"])
    return body.decode("utf-8", "replace").encode(charset, "replace")
