"""When to try again: full jitter, so that ten thousand clients that fell together do not come back together.

The delay is drawn from ``[0, min(cap, base * 2**n))`` where ``n`` counts the attempts since the last stable connection. One
that is accepted and lost at once counts as a failure: that is what an overloaded broker looks like.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Backoff", "RandomUnit"]

RandomUnit = Callable[[], float]
"""A source of randomness: a number in ``[0, 1)``. ``random.SystemRandom().random`` in an app, a seeded one in a test."""


class Backoff:
    """The delays between attempts to connect.

    :param random_unit: where the jitter comes from.
    :param base_s: upper end of the first delay, s.
    :param cap_s: no delay is longer, s.
    :param stable_s: a connection that lasted so long begins the count anew, s.
    """

    def __init__(self, random_unit: RandomUnit, *, base_s: float = 1.0, cap_s: float = 120.0, stable_s: float = 60.0) -> None:
        self._random_unit = random_unit
        self._base_s = base_s
        self._cap_s = cap_s
        self._stable_s = stable_s
        self._upper_s = base_s

    def next_delay_s(self, connected_s: float = 0.0) -> float:
        """How long to wait before the next attempt, s.

        :param connected_s: how long the connection that ended now had lasted, s; 0 when there was none.
        """
        if connected_s >= self._stable_s:
            self._upper_s = self._base_s
        delay_s = self._random_unit() * min(self._cap_s, self._upper_s)
        self._upper_s = min(self._cap_s, self._upper_s * 2)
        return delay_s
