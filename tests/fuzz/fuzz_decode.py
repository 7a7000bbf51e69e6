"""Fuzzing of the decoder, from a seed: ``python tests/fuzz/fuzz_decode.py --count 200000 --seed 1``.

Valid bodies are taken apart, changed, written in one of the many ways that JSON allows, and then damaged as bytes. For each
of them must hold:

1. ``decode`` returns a message or raises DecodeError, nothing else.
2. ``problems`` is empty exactly when it returns one, and begins with the problem that it raises.
3. The slow road alone gives the same message, with the same offsets, or finds a problem too.
4. A message that was decoded can be encoded, and comes back equal.

The first body that breaks one of these ends the run with exit code 1; the seed and its number bring it back.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from allye_protocol.codec import decode, encode, problems
from allye_protocol.codec import json as json_encoding
from allye_protocol.errors import DecodeError
from allye_protocol.messages.registry import Kind

if TYPE_CHECKING:
    from collections.abc import Callable


class Members(list[tuple[str, Any]]):
    """An object as its members were written: in any order, and a name as often as it likes."""

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Members:
        return cls(pairs)


class Verbatim(str):
    """A value that is written as it stands: numbers and literals in all their spellings."""

    __slots__ = ()


class BrokenPromiseError(AssertionError):
    """A body for which the decoder does not do what it promises."""


def _slots(count: int) -> str:
    times = [f"2018-07-01T{index // 2:02}:{index % 2 * 30:02}:00Z" for index in range(count + 1)]
    words = ("CHARGE", "DISCHARGE", "IDLE")
    rates = (75.0, -120.5, 0)
    return ",".join(
        f'{{"start":"{times[i]}","end":"{times[i + 1]}","rate_kw":{rates[i % 3]},"mode":"{words[i % 3]}"}}'
        for i in range(count)
    )


_IDS = '"schedule_id":"plan-Z1","device_id":"max300-Z"'
_TRACED = '"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"'
_ABILITIES = (
    '"library":"allye-protocol 0.1.0","capabilities":{"max_charge_w":150000,"max_discharge_w":150000,'
    '"capacity_wh":300000,"power_step_w":100,"soc_min_pct":10.0,"soc_max_pct":95.0,"slot_lengths_s":[1800]}'
)
_SPAN = '{"start":"2018-07-01T00:00:00Z","end":"2018-07-01T00:30:00Z"}'
CORPUS: list[tuple[Kind, str]] = [
    (
        Kind.SCHEDULE,
        f'{_IDS},"version":1,"generated_at":"2018-06-30T18:00:00Z","intervals":[{_slots(5)}],"max_power_kw":150,{_TRACED}',
    ),
    (Kind.SCHEDULE, f'{_IDS},"version":1,"generated_at":"2018-06-30T18:00:00.000001Z","intervals":[{_slots(1)}]'),
    (Kind.ACK, f'{_IDS},"status":"RECEIVED","timestamp":"2018-06-30T18:00:01Z"'),
    (
        Kind.ACK,
        f'{_IDS},"status":"FAILED","timestamp":"2018-06-30T18:00:01.25Z","error_reason":"a, Z, b","trace_id":"Z,4bf92f"',
    ),
    (Kind.ACK, f'{_IDS},"status":"APPLIED","timestamp":"2018-06-30T18:00:01Z","applied_at":"2018-06-30T18:00:02Z",{_TRACED}'),
    (
        Kind.EXECUTION_RESULT,
        f'{_IDS},"interval":{_SPAN},"status":"FAIL","actual_rate_kw":74.6,"timestamp":"2018-07-01T00:30:00.5Z","error_reason":"Z,"',
    ),
    (
        Kind.HELLO,
        '"device_id":"max300-1","versions":[1],"content_types":["application/json"],"model":"MAX300","firmware":"1",'
        + _ABILITIES,
    ),
]
NUMBERS = """
0 -0 -0.0 1 2 1.0 1e0 10E-1 -1 150 75.0 7.5e1 75.00000000000000000000001 1e4 10000.000000000001 1e308 1e309 -1e400 1e-400 0.1e-5
9223372036854775807 9223372036854775808 18446744073709551616 01 +1 .5 5. 1e 0x10 NaN Infinity -Infinity
"""
TIMES = """
2018-07-01T01:00:00+01:00 2018-07-01T00:30:00z 2018-07-01t00:00:00Z 2018-07-01T00:00:00.000Z 2018-07-01T01:00:00+0100
2018-06-30T23:00:00-01:00 2018-06-30T23:00:00-0100 2018-07-01T00:00:00-00:00 2018-07-01T00:00:00 2018-07-01T00:00:60Z
2018-07-01T24:00:00Z 0001-01-01T00:00:00+23:59 0001-01-01T00:00:00Z 9999-12-31T23:59:59-23:59 9999-12-31T23:59:59.9999999Z
1970-01-01T00:00:00Z 1969-12-31T23:30:00Z 2199-12-31T23:30:00Z 2200-01-01T00:00:00Z 2018-07-01T00:29:59.9999999Z
2018-02-29T00:00:00Z 2018-07-01T01:30:00Z 2018-07-01T02:00:00Z 2018-07-01T00:15:00Z 2018-07-01 Z
"""
LONG_NUMBERS = ("9" * 500, "-" + "1" * 5000, "0." + "3" * 2000, "1" + "0" * 309)
ODD_TIMES = ("2018-07-01 00:00:00Z", "2018-07-01T00:00:00Z\n")
TEXTS = (
    "",
    "Z",
    ",",
    "Z,Z,",
    '","',
    "a,b",
    '","x":"Z',
    "\\",
    "é",
    "\u2028",
    "\U0001f50b",
    "\n",
    "\x00",
    "~/",
    "A" * 65,
    "CHARGE",
    "FAIL",
)
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
CHARSETS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1")
NAMES = ("version", "schedule_id", "mode", "trace_id", "start", "applied_at", "max_power_kw", "x", "Z", ",", "", "a/b~c", "é")
WHOLE = (
    b"",
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


def change(node: Any, rng: random.Random) -> Any:
    """The tree with one thing changed somewhere in it."""
    if not isinstance(node, list) or not node or rng.random() < 0.2:
        return hostile(rng)
    made, at = copy.copy(node), rng.randrange(len(node))
    ways: list[Callable[[], object]]
    if isinstance(node, Members):
        name, value = node[at]
        ways = [
            lambda: made.pop(at),
            lambda: made.append((name, value)),
            lambda: made.insert(rng.randrange(len(made) + 1), (rng.choice(NAMES), hostile(rng))),
            lambda: made.append((rng.choice(NAMES), Verbatim("null"))),
            lambda: made.__setitem__(at, (name, hostile(rng))),
            *[lambda: made.__setitem__(at, (name, change(value, rng)))] * 3,
            lambda: rng.shuffle(made),
        ]
    else:
        ways = [
            lambda: made.pop(at),
            lambda: made.insert(at, made[at]),
            *[lambda: made.__setitem__(at, change(made[at], rng))] * 3,
            lambda: made.extend(made * rng.choice([1, 12])),
            made.reverse,
        ]
    rng.choice(ways)()
    return made


def hostile(rng: random.Random) -> Any:
    """A value that might go anywhere."""
    choice = rng.random()
    if choice < 0.35:
        return Verbatim(rng.choice((*NUMBERS.split(), *LONG_NUMBERS)))
    if choice < 0.65:
        return rng.choice((*TIMES.split(), *ODD_TIMES))
    if choice < 0.85:
        return rng.choice(TEXTS)
    return rng.choice([Verbatim("null"), Verbatim("true"), [], Members(), [[]], Members([("Z", "Z,"), ("Z", Verbatim("1"))])])


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


def damage(body: bytes, rng: random.Random) -> bytes:
    """The bytes with one thing changed somewhere in them."""
    at, upto = sorted((rng.randrange(len(body) + 1), rng.randrange(len(body) + 1)))
    ways: list[Callable[[], bytes]] = [
        lambda: body[:at],
        lambda: body[:at] + body[upto:],
        lambda: body[:upto] + body[at:],
        lambda: body[:at] + rng.choice(TOKENS) + body[at:],
        lambda: body[:at] + rng.choice(TOKENS) + body[at + 1 :],
        lambda: body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :],
        lambda: body + rng.choice([b" ", b"\n", b"\0", b"}", b"{}", body]),
        lambda: body.decode("utf-8", "replace").encode(
            rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"]), "replace"
        ),
    ]
    return rng.choice(ways)()


class Case(NamedTuple):
    """One payload and what it is to be read as."""

    kind: Kind
    body: bytes


TREES = [(kind, json.loads(f"{{{text}}}", object_pairs_hook=Members.of)) for kind, text in CORPUS]


def case(rng: random.Random) -> Case:
    """The next payload."""
    kind, tree = rng.choice(TREES)
    if rng.random() < 0.01:
        return Case(kind, rng.choice(WHOLE))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        tree = change(tree, rng)
    body = spell(tree, rng, plain=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        body = damage(body, rng)
    return Case(rng.choice(list(Kind)) if rng.random() < 0.03 else kind, body)


def check(kind: Kind, body: bytes) -> str:
    """Hold one payload against the promises.

    :returns: the code that it was refused with, or ``valid``.
    :raises BrokenPromiseError: for a broken promise.
    """
    listed = problems(body, kind)
    try:
        message = decode(body, kind)
    except DecodeError as error:
        if not listed or listed[0] != error.problem:
            raise BrokenPromiseError(f"decode raises {error}, problems lists {listed}") from error
        return error.code
    if listed:
        raise BrokenPromiseError(f"decode returns a message, problems lists {listed}")
    explained = json_encoding._explained(body, kind)
    if repr(explained.message) != repr(message):
        raise BrokenPromiseError(f"fast: {message!r}, slow: {explained.message!r}")
    if decode(encode(message), kind) != message:
        raise BrokenPromiseError("the message does not come back from its own encoding")
    return "valid"


def fuzz(count: int, seed: int) -> Counter[str]:
    """Check ``count`` payloads; how often each code came out.

    :raises BrokenPromiseError: at the first broken promise, with the payload.
    """
    rng = random.Random(seed)
    codes: Counter[str] = Counter()
    for number in range(count):
        kind, body = case(rng)
        try:
            codes[check(kind, body)] += 1
        except Exception as error:
            shown = body if len(body) < 10_000 else body[:100] + b"..."
            raise BrokenPromiseError(
                f"seed {seed}, payload {number}, {kind}: {type(error).__name__}: {error}\n{shown!r}"
            ) from error
    return codes


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the decoder from a seed.")
    parser.add_argument("--count", type=int, default=200_000, help="how many payloads")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.count} payloads", flush=True)
    try:
        codes = fuzz(options.count, options.seed)
    except BrokenPromiseError as failure:
        print(failure)
        return 1
    for code, times in codes.most_common():
        print(f"{times:9} {code}")
    print("no exception but DecodeError, both roads agree, every decoded message comes back")
    return 0


if __name__ == "__main__":
    sys.exit(main())
