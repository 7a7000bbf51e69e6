"""Reconnecting: full jitter under a growing limit, and when it begins anew."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.transport.reconnect import Backoff


def almost_one() -> float:
    return 0.9999999


def upper_ends(connected_s: list[float], **settings: float) -> list[int]:
    backoff = Backoff(almost_one, **settings)
    return [round(backoff.next_delay_s(each)) for each in connected_s]


def test_the_upper_end_doubles_up_to_the_cap() -> None:
    assert upper_ends([0.0] * 9) == [1, 2, 4, 8, 16, 32, 64, 120, 120]


def test_a_connection_that_was_lost_soon_counts_as_a_failure() -> None:
    assert upper_ends([0.0, 59.9, 0.1, 30.0]) == [1, 2, 4, 8]


def test_a_stable_connection_begins_the_count_anew() -> None:
    assert upper_ends([0.0, 0.0, 0.0, 60.0, 0.0]) == [1, 2, 4, 1, 2]


def test_the_figures_can_be_chosen() -> None:
    assert upper_ends([0, 0, 0, 5, 0], base_s=3, cap_s=7, stable_s=5) == [3, 6, 7, 3, 6]


@given(st.integers(0, 2**32), st.lists(st.floats(0, 200), max_size=2_000))
def test_every_delay_is_within_the_cap(seed: int, connected_s: list[float]) -> None:
    backoff = Backoff(random.Random(seed).random)
    assert all(0 <= backoff.next_delay_s(each) < 120 for each in connected_s)


def test_the_delays_are_spread_over_the_whole_interval() -> None:
    backoff = Backoff(random.Random(7).random, base_s=120)
    delays = [backoff.next_delay_s() for _ in range(2_000)]
    tenths = [sum(12 * index <= delay < 12 * (index + 1) for delay in delays) for index in range(10)]
    assert min(tenths) > 150
