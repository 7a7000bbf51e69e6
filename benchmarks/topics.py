"""Topics against the matchers of other clients: the same filters and names, answers compared, ratios in one run.

``python benchmarks/topics.py`` prints one table. A repetition times every contender in turn, and the figures are medians of the
repetitions, so a machine that slows down slows all of them.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING

from paho.mqtt.client import topic_matches_sub

from allye_protocol.matching import matches
from allye_protocol.topics import Channel, build, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPETITIONS = 15
SEED = 20181028

PAIRS = [
    ("devices/+/ack", "devices/max300-0001/ack"),
    ("devices/+/ack", "devices/max300-0001/execution"),
    ("devices/max300-0001/schedule", "devices/max300-0001/schedule"),
    ("acme/gb/devices/+/execution", "acme/gb/devices/max300-0001/execution"),
    ("devices/#", "devices/max300-0001/hello"),
    ("+/+/status", "devices/max300-0001/status"),
    ("#", "devices/max300-0001/event"),
    ("sport/tennis/player1/#", "sport/tennis/player1"),
    ("+/monitor/Clients", "$SYS/monitor/Clients"),
]


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(contenders: Sequence[Callable[[], object]]) -> list[float]:
    runs = [[timed(each) for each in contenders] for _ in range(REPETITIONS)]
    return [statistics.median(column) for column in zip(*runs, strict=True)]


def check_equal() -> int:
    """Compare the answers on the pairs and on random filters and names; how many comparisons were made."""
    rng = random.Random(SEED)
    levels = ["", "a", "b", "max300", "$a"]
    cases = list(PAIRS)
    while len(cases) < 5_000:
        name = "/".join(rng.choices(levels, k=rng.randint(1, 5)))
        pattern = "/".join(rng.choices([*levels, "+"], k=rng.randint(1, 5))) + rng.choice(["", "/#"])
        if name and pattern:
            cases.append((pattern, name))
    for pattern, name in cases:
        if matches(pattern, name) is not topic_matches_sub(pattern, name):
            raise SystemExit(f"different answers for {pattern!r} and {name!r}")
    return len(cases)


def main() -> None:
    print(f"{check_equal()} answers equal\n")
    print(f"{'filter':30} {'ours us':>9} {'paho us':>9} {'ratio':>6}")
    loops = range(2_000)
    for pattern, name in PAIRS:
        ours, paho = medians(
            [
                lambda p=pattern, n=name: [matches(p, n) for _ in loops],
                lambda p=pattern, n=name: [topic_matches_sub(p, n) for _ in loops],
            ]
        )
        print(f"{pattern:30} {ours / len(loops) * 1e6:9.2f} {paho / len(loops) * 1e6:9.2f} {paho / ours:6.1f}")
    every = medians([lambda f=f: [f(p, n) for _ in range(200) for p, n in PAIRS] for f in (matches, topic_matches_sub)])
    print(f"{'all of them':30} {every[0] / 1800 * 1e6:9.2f} {every[1] / 1800 * 1e6:9.2f} {every[1] / every[0]:6.1f}\n")

    topic = build("max300-0001", Channel.SCHEDULE)
    made, read = medians(
        [
            lambda: [build("max300-0001", Channel.SCHEDULE) for _ in loops],
            lambda: [parse(topic) for _ in loops],
        ]
    )
    print(f"build {made / len(loops) * 1e6:.2f} us, parse {read / len(loops) * 1e6:.2f} us\n")

    print("levels    us    us per 1,000 levels")
    for count in (300, 3_000, 30_000):
        deep, name = "/".join("+" * count), "/".join("a" * count)
        (took,) = medians([lambda d=deep, n=name: matches(d, n)])
        print(f"{count:6} {took * 1e6:8.1f} {took * 1e9 / count:8.1f}")


if __name__ == "__main__":
    main()
