"""Which files there are, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conformance.builder import (
    admissions,
    agreements,
    conversions,
    digests,
    encodings,
    hello,
    msgpack,
    protobuf,
    topics,
    version1,
    version2_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.builder.entries import Entry

FOLDER = Path(__file__).parents[2] / "vectors"

SECTIONS: tuple[tuple[str, str, str, Callable[[], list[Entry]]], ...] = (
    ("topic-build", "topic.build", "The topic of a device's channel.", topics.building),
    ("topic-parse", "topic.parse", "Whose a topic is, and what it carries.", topics.parsing),
    ("topic-filters", "topic.filters", "What each side subscribes to.", topics.subscribing),
    ("topic-channel", "topic.channel", "How each channel is used.", topics.channels),
    ("topic-match", "topic.match", "Which filter matches which topic, by MQTT 5 section 4.7.", topics.matching),
    ("v1-json", "decode", "Messages of version 1 in JSON.", version1.entries),
    ("hello-json", "decode", "Hello, which is the same in all versions.", hello.entries),
    ("v2-json", "decode", "Messages of version 2 in JSON.", version2_json.entries),
    ("v2-msgpack", "decode", "Messages of version 2 in MessagePack.", msgpack.entries),
    ("v2-protobuf", "decode", "Messages of version 2 in Protobuf.", protobuf.entries),
    ("encodings", "decode", "Which encoding a payload is read in.", encodings.entries),
    ("digests", "digest", "What a schedule means, hashed.", digests.entries),
    ("negotiation", "negotiate", "What two sides speak with each other.", agreements.entries),
    ("conversions", "convert", "One version's messages as another's.", conversions.entries),
    ("admission", "admission", "What a device answers to a sequence of deliveries.", admissions.entries),
)
"""File, op, what it covers, and who writes it; in the order of a report."""


def files() -> dict[str, str]:
    """The text of every file, by its name."""
    return {
        f"{name}.json": _text({"order": order, "about": about, "op": op, "vectors": entries()})
        for order, (name, op, about, entries) in enumerate(SECTIONS, 1)
    }


def drift(folder: Path) -> list[str]:
    """One line for each file of a folder that is not what would be written."""
    made = files()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    rewrite = "run python -m tests.conformance.builder"
    return [
        f"{name}: not what its builder writes; {rewrite}" for name in sorted(made | there) if made.get(name) != there.get(name)
    ]


def _text(document: dict[str, Any]) -> str:
    """One vector a line group, so that a change shows as the vector that changed."""
    vectors = ",\n".join(json.dumps(vector, ensure_ascii=True, indent=1) for vector in document.pop("vectors"))
    head = json.dumps(document, indent=1)[:-2]
    return f'{head},\n "vectors": [\n{vectors}\n]\n}}\n'
