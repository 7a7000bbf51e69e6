"""Two implementations that share no line agree on payloads that nobody wrote: the vectors' own, spoiled at random.

Where they did not agree, the documentation would say too little, or one of them would be wrong.
"""

from __future__ import annotations

import base64
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.conformance import Library, Program, Vector, load_sections, mismatch
from tests.conformance.test_javascript import NODE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAYLOADS = 1_500
LONGEST = 3_000
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9.eE+]+|true|false|null|[\[\]{},:]')
PIECES = (
    *(b"null", b"true", b"1.0", b"-0", b"1e2", b"1e400", b"NaN", b"-Infinity", b"0", b"9", b"-", b".", b"Z", b" ", b"\n", b"a"),
    *(b'"x"', b"[]", b"{}", b",", b":", b'"', b"{", b"}", b"[", b"]", b"\\u0061", b"\\ud800", b"\xff", b"\xc3\xa9"),
    *(b'"version":1,', b'"x":NaN,', b'"rate_kw":1,', b'"2018-07-01T00:00:00.5Z"', b'"2018-07-01T00:30:00+00:30"'),
)


@pytest.fixture(scope="module")
def other() -> Iterator[Program]:
    with Program([str(NODE), str(ROOT / "examples" / "javascript" / "allye.mjs")], timeout_s=60) as program:
        yield program


def spoiled(payload: bytes, chance: random.Random) -> bytes:
    """A payload with something replaced, taken away or put in."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = [token.span() for token in TOKEN.finditer(payload)] or [(0, len(payload))]
        start, end = chance.choice(places)
        borrowed = payload[slice(*chance.choice(places))]
        if chance.random() < 0.3:
            start = end = chance.randrange(len(payload) + 1)
        payload = payload[:start] + chance.choice((b"", borrowed, chance.choice(PIECES), chance.choice(PIECES))) + payload[end:]
    return payload


@pytest.mark.parametrize("seed", [1, 2])
def test_both_take_the_same_payloads_as_the_same_messages(seed: int, other: Program) -> None:
    chance = random.Random(seed)
    sections = [section for section in load_sections() if section.name in {"v1-json", "hello-json"}]
    vectors = [vector for section in sections for vector in section.vectors if vector.error is None]
    payloads = [
        (v.parameters["kind"], p) for v in vectors if len(p := base64.b64decode(v.parameters["payload_base64"])) < LONGEST
    ]
    disagreements: list[Any] = []
    taken = 0
    for _ in range(PAYLOADS):
        kind, payload = chance.choice(payloads)
        payload = spoiled(payload, chance)
        encoded = base64.b64encode(payload).decode()
        question = {"kind": kind, "content_type": "application/json", "payload_base64": encoded}
        ours, theirs = Library().ask("decode", question), other.ask("decode", question)
        if "ok" in ours:
            taken += 1
            told = Vector(section="", name="", why="", op="decode", parameters={}, expect=ours["ok"])
            found = mismatch(told, theirs)
        else:
            # Where several things are wrong, each may name another.
            found = None if "error" in theirs else f"only one of them refused it: {ours['error']}"
        if found is not None:
            disagreements.append((payload, found))
    assert disagreements == []
    assert PAYLOADS / 20 < taken < PAYLOADS / 2
