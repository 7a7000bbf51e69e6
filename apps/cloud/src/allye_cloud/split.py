"""A plan cut into pieces that fit into schedules.

A schedule that every device can take has at most 48 half-hours, version 1's limit. A local day of 50 becomes two pieces of 25:
equal ones, so that no schedule is a mere remainder. Pieces follow each other without a gap.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.days import HALF_HOUR, is_half_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_SLOTS", "Piece", "split"]

MAX_SLOTS: Final = 48
"""Most half-hours that a version-1 schedule has."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A run of setpoints for one schedule.

    :param start: where the first half-hour begins, UTC.
    :param watts: one setpoint a half-hour, W; + charges.
    """

    start: datetime
    watts: tuple[int, ...]

    @property
    def end(self) -> datetime:
        """Where the last half-hour ends, UTC."""
        return self.start + len(self.watts) * HALF_HOUR


def split(start: datetime, watts: Sequence[int], *, max_slots: int = MAX_SLOTS) -> tuple[Piece, ...]:
    """Cut a plan into pieces.

    :param start: where the plan's first half-hour begins: aware, on a UTC half-hour.
    :param watts: one setpoint a half-hour, W; + charges.
    :param max_slots: most setpoints in a piece.
    :returns: as few pieces as possible, their lengths differing by at most one, the longer ones first.
    :raises ValueError: for a start that is naive or not on a half-hour (a bug in the caller).
    """
    if start.tzinfo is None or not is_half_hour(start):
        raise ValueError(f"a plan starts on a UTC half-hour, not at {start}")
    first = start.astimezone(UTC)
    count = -(-len(watts) // max_slots)
    edges = [-(-i * len(watts) // count) for i in range(count)] + [len(watts)]
    return tuple(Piece(start=first + a * HALF_HOUR, watts=tuple(watts[a:b])) for a, b in pairwise(edges))
