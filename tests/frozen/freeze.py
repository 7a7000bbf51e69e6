"""Write down how this library says things, so that every later one still understands it.

``python -m tests.frozen.freeze NUMBER`` writes ``NUMBER.json`` once, when that number is released; a file that is there is
never written again. Each sample has a payload as it is on the wire, in one version and encoding, and what it must be read as.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol import codec
from allye_protocol.convert import upgrade
from allye_protocol.digest import digest
from allye_protocol.messages import Kind, Schedule
from allye_protocol.messages.registry import BY_TYPE, KINDS, NEWEST
from allye_protocol.schema import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.messages import Written

HERE = Path(__file__).parent
LOOSE: dict[Kind, dict[str, Any]] = {
    Kind.SCHEDULE: {"generated_at": "2018-06-30T20:00:00.0000011+02:00", "unknown": [{"é\n": None}], "trace_id": None},
    Kind.ACK: {"timestamp": "2018-06-30t18:00:01z", "unknown": {"version": 7}, "traceparent": "not a trace"},
    Kind.HELLO: {"unknown": 1.5},
}
"""Members with which a message is right, but not as this library writes it."""


def sample(message: Written, payload: bytes, content_type: str) -> dict[str, Any]:
    """One sample; what it must be read as is said in the members of its own version."""
    spec = BY_TYPE[type(message)]
    newest = upgrade(message)
    return {
        "kind": spec.kind,
        "version": spec.version,
        "content_type": content_type,
        "payload_base64": base64.b64encode(payload).decode("ascii"),
        "message": msgspec.to_builtins(message),
        **({"digest": digest(newest)} if isinstance(newest, Schedule) else {}),
    }


def samples() -> Iterator[dict[str, Any]]:
    """Every example of every kind in every version and encoding, and some JSON as others write it."""
    for kind, version in KINDS:
        bodies = generate(kind, version or NEWEST)["examples"]
        for body in bodies:
            message = codec.decode(json.dumps(body).encode(), kind)
            for content_type, encoding in codec.ENCODINGS.items():
                if version in encoding.versions:
                    yield sample(message, codec.encode(message, content_type), content_type)
        if kind in LOOSE:
            payload = json.dumps({**bodies[0], **LOOSE[kind]}, indent=1).encode()
            yield sample(codec.decode(payload, kind), payload, codec.DEFAULT_CONTENT_TYPE)


if __name__ == "__main__":
    with (HERE / f"{sys.argv[1]}.json").open("x", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(list(samples()), indent=1) + "\n")
