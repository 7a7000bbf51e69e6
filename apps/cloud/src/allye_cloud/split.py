"""A plan cut into pieces that fit into schedules.

A version-1 schedule has at most 48 half-hours. A local day of 50 becomes two pieces of 25: equal ones, so that no schedule is a
mere remainder. Pieces follow each other without a gap.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.days import HALF_HOUR, is_half_hour

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_SLOTS", "Piece", "Setpoint", "kw", "split"]

MAX_SLOTS: Final = 48
"""Most half-hours that a version-1 schedule has."""


class Setpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What to do in one half-hour.

    :param start: where it begins, UTC.
    :param end: where it ends, UTC.
    :param watts: power, W; + charges.
    """

    start: datetime
    end: datetime
    watts: int

    @property
    def rate_kw(self) -> float:
        """The power as version 1 says it, kW."""
        return kw(self.watts)


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A run of setpoints for one schedule.

    :param setpoints: one a half-hour, each beginning where the one before it ends; at least one.
    """

    setpoints: tuple[Setpoint, ...]

    @property
    def start(self) -> datetime:
        """Where the first setpoint begins, UTC."""
        return self.setpoints[0].start

    @property
    def end(self) -> datetime:
        """Where the last setpoint ends, UTC."""
        return self.setpoints[-1].end


def kw(watts: int) -> float:
    """Watts as kilowatts. A watt is within version 1's precision: rounding back gives the same number."""
    return watts / 1000


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
    setpoints = tuple(
        Setpoint(start=first + i * HALF_HOUR, end=first + (i + 1) * HALF_HOUR, watts=w) for i, w in enumerate(watts)
    )
    count = -(-len(setpoints) // max_slots)
    edges = [-(-i * len(setpoints) // count) for i in range(count)] + [len(setpoints)]
    return tuple(Piece(setpoints=setpoints[a:b]) for a, b in pairwise(edges))
