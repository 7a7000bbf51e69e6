"""Valid bodies as trees, and ways to change them that know no encoding."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allye_protocol.codec import encode
from allye_protocol.messages import AckStatus, Clock, ErrorDetail, EventType, ExecutionStatus, Hello, Outcome
from allye_protocol.messages.registry import BY_TYPE, Kind, Written
from tests import builders

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["TREES", "Members", "Verbatim", "change", "hostile", "trees_of"]


class Members(list[tuple[str, Any]]):
    """An object as its members were written: in any order, and a name as often as it likes."""

    @classmethod
    def of(cls, pairs: list[tuple[str, Any]]) -> Members:
        return cls(pairs)


class Verbatim(str):
    """A value that is written as it stands: numbers and literals in all their spellings."""

    __slots__ = ()


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
_SPAN = '{"start":"2018-07-01T00:00:00Z","end":"2018-07-01T00:30:00Z"}'
_VERSION_1: list[tuple[Kind, str]] = [
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
]
_ERROR = ErrorDetail(code="limit.power", message="too, much", path="/rates_w/1", slot=1, value=180_000.5, limit=150_000.0)
_LATER = builders.NOON + timedelta(seconds=1, microseconds=250_000)
_VERSION_2: list[Written] = [
    builders.schedule(rates_w=(75_000, None, -120_500, 0)),
    builders.schedule(
        rates_w=[0] * 20,
        resolution_s=900,
        expires_at=_LATER,
        soc_min_pct=20.5,
        soc_max_pct=90.0,
        ramp_w_per_s=1_000,
        start_jitter_s=120,
        dry_run=True,
        metadata={"tariff": "a,Z", "é": ""},
        traceparent="Z,4bf92f",
    ),
    builders.ack(),
    builders.ack(
        status=AckStatus.APPLIED,
        digest="0a" * 32,
        received_at=_LATER,
        superseded=("plan-Z", "b"),
        clock=Clock(synced=True, offset_ms=-12.5),
    ),
    builders.ack(
        status=AckStatus.FAILED, error=_ERROR, retryable=False, retry_after_s=60, supported_versions=(1, 2), sequence=None
    ),
    builders.result(),
    builders.result(
        status=ExecutionStatus.FAIL,
        outcome=Outcome.FAULTED,
        energy_charged_wh=37_300.0,
        energy_discharged_wh=0.0,
        soc_start_pct=40.0,
        limiting=("exec.limited_soc", "exec.tripped"),
        error=_ERROR,
    ),
    builders.event(),
    builders.event(EventType.CANCELLED, None, slot_start=builders.NOON, error=_ERROR),
    builders.cancel(),
    builders.cancel(None, effective_from=_LATER, reason="a, Z"),
    builders.status(),
    builders.status(online=False, power_w=-1, soc_pct=52.5, clock=Clock(synced=False)),
]


def _tree(text: str) -> Members:
    made: Members = json.loads(text, object_pairs_hook=Members.of)
    return made


TREES: list[tuple[Kind, int, Members]] = [
    *((kind, 1, _tree(f"{{{text}}}")) for kind, text in _VERSION_1),
    *((BY_TYPE[type(message)].kind, 2, _tree(encode(message).decode())) for message in _VERSION_2),
    (BY_TYPE[Hello].kind, 0, _tree(encode(builders.HELLO).decode())),
]
"""Bodies with their kinds and versions."""


def trees_of(versions: tuple[int, ...]) -> list[tuple[Kind, Members]]:
    """The bodies of such versions, and one of another, which is to be refused."""
    spoken = [(kind, tree) for kind, version, tree in TREES if version in versions]
    return [*spoken, *[(kind, tree) for kind, version, tree in TREES if version not in versions][:1]]


NUMBERS = """
0 -0 -0.0 1 2 1.0 1e0 10E-1 -1 150 75.0 7.5e1 75.00000000000000000000001 1e4 10000.000000000001 1e308 1e309 -1e400 1e-400 0.1e-5
900 1800 3600 100 100.0 10000000 10000001 -10000001 9007199254740993
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
TEXTS = [
    "Z",
    ",",
    "Z,Z,",
    '","',
    "a,b",
    '","x":"Z',
    "\\",
    "é",
    "🔋",
    "\x00",
    "~/",
    "CHARGE",
    "FAIL",
    "FULL",
    "null",
    "limit.power",
    "limit.",
    '{"x":1}',
    "{}",
]
EMPTY_AND_LONG = ("", "\n", "\u2028", "A" * 65, "a" * 257, "f" * 1025)
NAMES = (
    *(
        "version",
        "schedule_id",
        "mode",
        "trace_id",
        "start",
        "applied_at",
        "max_power_kw",
        "resolution_s",
        "dry_run",
        "metadata",
    ),
    *("soc_min_pct", "error", "clock", "code", "limit", "sequence", "x", "Z", ",", "", "a/b~c", "é"),
)
DEFAULTS = (("resolution_s", "1800"), ("dry_run", "false"), ("start_jitter_s", "0"), ("error", "null"), ("digest", "null"))


def change(node: Any, rng: random.Random) -> Any:
    """The tree with one thing changed somewhere in it."""
    if not isinstance(node, list) or not node or rng.random() < 0.2:
        return hostile(rng)
    made, at = copy.copy(node), rng.randrange(len(node))
    ways: list[Callable[[], object]]
    if isinstance(node, Members):
        name, value = node[at]
        default, literal = rng.choice(DEFAULTS)
        ways = [
            lambda: made.pop(at),
            lambda: made.append((name, value)),
            lambda: made.insert(rng.randrange(len(made) + 1), (rng.choice(NAMES), hostile(rng))),
            lambda: made.append((rng.choice(NAMES), Verbatim("null"))),
            lambda: made.insert(rng.randrange(len(made) + 1), (default, Verbatim(literal))),
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
        return rng.choice((*TEXTS, *EMPTY_AND_LONG))
    return rng.choice(
        [
            Verbatim("null"),
            Verbatim("true"),
            [],
            Members(),
            [[]],
            Members([("Z", "Z,"), ("Z", Verbatim("1"))]),
            Members([("x", Members([("y", Verbatim("1"))]))]),
        ]
    )
