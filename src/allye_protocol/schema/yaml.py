"""A small writer of YAML 1.2 that YAML 1.1 readers read alike: JSON data in block style, for people to read.

What a bare word could mean in one of the two (``no``, ``1_000``, ``12:30``) is quoted, long texts are literal blocks, and short
lists of scalars stay on one line. Nothing is written that is not ASCII. Reading YAML is other people's work.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COLUMNS", "dump"]

COLUMNS: Final = 120
_INDENT: Final = "  "
_BARE: Final = re.compile(r"[A-Za-z$][A-Za-z0-9_./$-]*( [A-Za-z0-9_./$-]+)*")
_AMBIGUOUS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
_LITERAL: Final = re.compile(r"[!-~][ -~]*(\n([ -~]*[!-~])?)*")
_ESCAPED: Final = re.compile(r"[^ -~]")


def dump(document: Any) -> str:
    """Write JSON data as YAML.

    :param document: dicts with text keys (at most 100 characters: YAML has a limit), lists, texts, finite numbers, booleans
        and ``None``.
    :returns: the text, with a newline at its end.
    """
    if not isinstance(document, (dict, list)) or not document:
        return _scalar(document) + "\n"
    return "\n".join(_lines(document)) + "\n"


def _lines(node: Any) -> Iterator[str]:
    """The lines of an object or a list that has something in it."""
    pairs = [(f"{_scalar(key)}:", value) for key, value in node.items()] if isinstance(node, dict) else [("-", v) for v in node]
    for head, value in pairs:
        flow = _flow(value)
        if isinstance(value, str) and "\n" in value and _LITERAL.fullmatch(value):
            yield f"{head} {_block_header(value)}"
            yield from (f"{_INDENT}{line}" if line else "" for line in value.rstrip("\n").split("\n"))
            yield from [""] * (len(value) - len(value.rstrip("\n")) - 1)
        elif flow is not None and len(head) + 1 + len(flow) <= COLUMNS:
            yield f"{head} {flow}"
        elif not isinstance(value, (dict, list)) or not value:
            yield f"{head} {_scalar(value)}"
        elif head == "-":
            first, *rest = _lines(value)
            yield f"- {first}"
            yield from (f"{_INDENT}{line}" if line else "" for line in rest)
        else:
            yield head
            yield from (f"{_INDENT}{line}" if line else "" for line in _lines(value))


def _block_header(text: str) -> str:
    """Literal, with just the newlines at the end that the text has."""
    return "|-" if not text.endswith("\n") else "|+" if text.endswith("\n\n") else "|"


def _flow(value: Any) -> str | None:
    """A list of scalars on one line, or nothing where it needs more."""
    if not isinstance(value, list) or not value or any(isinstance(item, (dict, list)) and item for item in value):
        return None
    return f"[{', '.join(map(_scalar, value))}]"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _AMBIGUOUS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and "e" in text and "." not in text:
        # YAML 1.1 takes 1e+16 for a text.
        return text.replace("e", ".0e")
    return _ESCAPED.sub(lambda char: f"\\U{ord(char[0]):08X}", text)
