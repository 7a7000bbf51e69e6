"""Fuzzing of the decoder, from a seed: ``python -m tests.fuzz.fuzz_decode --encoding msgpack --count 200000 --seed 1``.

Valid bodies are taken apart, changed, written in one of the many ways that the encoding allows, and then damaged as bytes. For
each of them must hold:

1. ``decode`` returns a message or raises DecodeError, nothing else.
2. ``problems`` is empty exactly when it returns one, and begins with the problem that it raises.
3. The slow road alone gives the same message, with the same offsets, or finds a problem too.
4. What the slow road takes, the parser of the fast road takes too.
5. A message that was decoded can be encoded in every encoding of its version, and comes back equal from each.

The first body that breaks one of these ends the run with exit code 1; the seed and its number bring it back.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from allye_protocol.codec import ENCODINGS, JSON, MSGPACK, PROTOBUF, content_types_of, decode, encode, problems
from allye_protocol.codec import json as json_encoding
from allye_protocol.codec import msgpack as msgpack_encoding
from allye_protocol.errors import DecodeError
from allye_protocol.messages.registry import BY_TYPE, Kind
from tests.fuzz import json_bodies, msgpack_bodies, protobuf_bodies
from tests.fuzz.trees import Members, change, trees_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.codec.explain import Explained


class BrokenPromiseError(AssertionError):
    """A body for which the decoder does not do what it promises."""


class Case(NamedTuple):
    """One payload and what it is to be read as."""

    kind: Kind
    body: bytes


class Source(NamedTuple):
    """Where the payloads of one encoding come from.

    :param bodies: valid ones with their kinds, as trees or as bytes.
    :param write: changes one and writes it.
    :param tokens: what damage puts into them.
    :param whole: payloads that are nothing else.
    """

    bodies: list[tuple[Kind, Any]]
    write: Callable[[Any, random.Random], bytes]
    tokens: tuple[bytes, ...]
    whole: tuple[bytes, ...]


def _changed(write: Callable[[Any, random.Random], bytes]) -> Callable[[Any, random.Random], bytes]:
    def write_changed(tree: Members, rng: random.Random) -> bytes:
        for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
            tree = change(tree, rng)
        return write(tree, rng)

    return write_changed


def _recoded(tree: Members, rng: random.Random) -> bytes:
    body = json_bodies.spelled(tree, rng)
    return json_bodies.recoded(body, rng) if rng.random() < 0.02 else body


def _protobuf_bodies() -> list[tuple[Kind, bytes]]:
    """The bodies of version 2 as Protobuf; empty where it is not installed."""
    if PROTOBUF not in ENCODINGS:
        return []
    plain = random.Random(0)
    trees = [(kind, json_bodies.spell(tree, plain, plain=True).encode()) for kind, tree in trees_of((2,))[:-1]]
    return [(kind, encode(decode(body, kind), PROTOBUF)) for kind, body in trees]


SOURCES: dict[str, Source] = {
    JSON: Source(trees_of(ENCODINGS[JSON].versions), _changed(_recoded), json_bodies.TOKENS, json_bodies.WHOLE),
    MSGPACK: Source(
        trees_of(ENCODINGS[MSGPACK].versions), _changed(msgpack_bodies.packed), msgpack_bodies.TOKENS, msgpack_bodies.WHOLE
    ),
    PROTOBUF: Source(_protobuf_bodies(), protobuf_bodies.mixed, protobuf_bodies.TOKENS, protobuf_bodies.WHOLE),
}


def damage(body: bytes, tokens: tuple[bytes, ...], rng: random.Random) -> bytes:
    """The bytes with one thing changed somewhere in them."""
    at, upto = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    ways: list[Callable[[], bytes]] = [
        lambda: body[:at],
        lambda: body[:at] + body[upto:],
        lambda: body[:upto] + body[at:],
        lambda: body[:at] + rng.choice(tokens) + body[at:],
        lambda: body[:at] + rng.choice(tokens) + body[at + 1 :],
        lambda: body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :],
        lambda: body + rng.choice([b" ", b"\n", b"\0", b"}", b"{}", b"\xc0", body]),
    ]
    return rng.choice(ways)()


def case(rng: random.Random, content_type: str = JSON) -> Case:
    """The next payload."""
    source = SOURCES[content_type]
    kind, body = rng.choice(source.bodies)
    if rng.random() < 0.01:
        return Case(kind, rng.choice(source.whole))
    payload = source.write(body, rng)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        payload = damage(payload, source.tokens, rng)
    return Case(rng.choice(list(Kind)) if rng.random() < 0.03 else kind, payload)


def explained(body: bytes, kind: Kind, content_type: str) -> Explained:
    """What the slow road alone says."""
    if content_type == JSON:
        return json_encoding._explained(body, kind)
    if content_type == MSGPACK:
        return msgpack_encoding._explained(body, kind)
    from allye_protocol.codec.protobuf import coder

    return coder.explained(body, kind)


def check(kind: Kind, body: bytes, content_type: str = JSON) -> str:
    """Hold one payload against the promises.

    :returns: the code that it was refused with, or ``valid``.
    :raises BrokenPromiseError: for a broken promise.
    """
    listed = problems(body, kind, content_type)
    try:
        message = decode(body, kind, content_type)
    except DecodeError as error:
        if not listed or listed[0] != error.problem:
            raise BrokenPromiseError(f"decode raises {error}, problems lists {listed}") from error
        return error.code
    if listed:
        raise BrokenPromiseError(f"decode returns a message, problems lists {listed}")
    slow = explained(body, kind, content_type)
    if repr(slow.message) != repr(message):
        raise BrokenPromiseError(f"fast: {message!r}, slow: {slow.message!r}")
    if content_type == MSGPACK and msgspec.msgpack.decode(body, type=type(message)) != message:
        raise BrokenPromiseError("msgspec alone reads something else")
    for other in content_types_of(BY_TYPE[type(message)].version):
        if decode(encode(message, other), kind, other) != message:
            raise BrokenPromiseError(f"the message does not come back from its own encoding as {other}")
    return "valid"


def fuzz(count: int, seed: int, content_type: str = JSON) -> Counter[str]:
    """Check ``count`` payloads; how often each code came out.

    :raises BrokenPromiseError: at the first broken promise, with the payload.
    """
    rng = random.Random(seed)
    codes: Counter[str] = Counter()
    for number in range(count):
        kind, body = case(rng, content_type)
        try:
            codes[check(kind, body, content_type)] += 1
        except Exception as error:
            shown = body if len(body) < 10_000 else body[:100] + b"..."
            raise BrokenPromiseError(
                f"seed {seed}, payload {number}, {kind}: {type(error).__name__}: {error}\n{shown!r}"
            ) from error
    return codes


NAMES = {"json": JSON, "msgpack": MSGPACK, "protobuf": PROTOBUF}


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the decoder from a seed.")
    parser.add_argument("--encoding", choices=NAMES, default="json", help="what the payloads are written in")
    parser.add_argument("--count", type=int, default=200_000, help="how many payloads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    content_type = NAMES[options.encoding]
    if not SOURCES[content_type].bodies:
        print(f"not installed: {options.encoding}")
        return 2
    print(f"{options.encoding}, seed {options.seed}, {options.count} payloads", flush=True)
    try:
        codes = fuzz(options.count, options.seed, content_type)
    except BrokenPromiseError as failure:
        print(failure)
        return 1
    for code, times in codes.most_common():
        print(f"{times:9} {code}")
    print("no exception but DecodeError, both roads agree, every decoded message comes back from every encoding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
