"""What a vector is while it is being written: a name, a reason, a payload by hand, and the answer by hand.

Nothing here asks the library: what is right is written down, and the library is checked against it like anybody else.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

Entry = dict[str, Any]
DROP = object()
"""As a value: take the member away."""


def edited(body: Any, *edits: tuple[str, Any]) -> Any:
    """A deep copy of a body with edits: a JSON Pointer and the value that goes there."""
    tree = copy.deepcopy(body)
    for place, value in edits:
        *way, last = place.split("/")[1:]
        node = tree
        for step in way:
            node = node[int(step) if isinstance(node, list) else step]
        if value is DROP:
            del node[last]
        else:
            node[int(last) if isinstance(node, list) else last] = value
    return tree


def compact(body: Any) -> str:
    """A body as JSON without white space, in ASCII."""
    return json.dumps(body, separators=(",", ":"))


def replaced(text: str, old: str, new: str) -> str:
    """The text with the first ``old`` in it replaced; it must be there."""
    if old not in text:
        raise ValueError(f"{old} is not in {text[:200]}")
    return text.replace(old, new, 1)


def payload(content: str | bytes) -> Entry:
    """The member that holds a payload: text as it is, bytes that are no text in base64."""
    if isinstance(content, str):
        return {"payload": content}
    return {"payload_base64": base64.b64encode(content).decode("ascii")}


def refusal(code: str, path: str = "") -> Entry:
    """The answer to a payload that is refused."""
    return {"code": code, "path": path}


class Decoding:
    """Collects the vectors of one encoding and version.

    :param content_type: the encoding.
    :param version: the protocol's major version; 0 for a kind that is the same in all.
    """

    def __init__(self, content_type: str, version: int) -> None:
        self.content_type = content_type
        self.version = version
        self.entries: list[Entry] = []

    def good(self, name: str, why: str, kind: str, content: str | bytes, message: Any, **others: Any) -> None:
        """A payload that is a message."""
        self._add(name, why, kind, content, {"expect": {"message": message}}, others)

    def bad(self, name: str, why: str, kind: str, content: str | bytes, code: str, path: str = "", **others: Any) -> None:
        """A payload that is refused, for one reason."""
        self._add(name, why, kind, content, {"error": refusal(code, path)}, others)

    def _add(self, name: str, why: str, kind: str, content: str | bytes, answer: Entry, others: Entry) -> None:
        about = {"name": name, "why": why, "kind": kind, "version": self.version, "content_type": self.content_type}
        self.entries.append({**about, **payload(content), **others, **answer})
