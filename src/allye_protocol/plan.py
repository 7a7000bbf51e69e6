"""The plan: what a device is to do at any instant, as layers.

1. Every applied schedule is a layer. At any instant the layer with the highest sequence that covers it decides, alone: what is
   under it is replaced, not waiting. So the plan is that of the highest sequence, whatever the order of arrival.
2. A layer that was cancelled is blank behind its cut: neither its own slots nor those under it are executed there. The slot
   that the cut lies in stays one slot, with the default control from the cut on.
3. Where a slot is partly covered by a layer of another resolution, its rest is a slot.
4. A slot without a setpoint is a slot: the default control applies, and it is reported.
5. Nothing here is stored. A plan is made from the entries that are applied, and thrown away when they change.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from allye_protocol.store.base import Entry, PlannedSlot, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from allye_protocol.messages import Schedule

__all__ = ["Layer", "Plan", "covered", "free"]


class Layer(NamedTuple):
    """One applied schedule."""

    entry: Entry
    schedule: Schedule

    @property
    def begins(self) -> datetime:
        """When its first setpoint counts: its start, later by this device's share of the jitter.

        The share is a hash of the ids, so a device that restarts comes to the same one, and a fleet is spread evenly.
        """
        schedule = self.schedule
        if not schedule.start_jitter_s:
            return schedule.start
        seed = sha256(f"{schedule.device_id}/{schedule.schedule_id}".encode()).digest()
        return schedule.start + timedelta(seconds=int.from_bytes(seed[:8], "big") % (schedule.start_jitter_s + 1))

    @property
    def ends(self) -> datetime:
        """Where its last slot ends: with its horizon, or with the slot that its cut lies in."""
        schedule, cut = self.schedule, self.entry.cut
        if cut is None or cut >= schedule.end:
            return schedule.end
        return schedule.start + schedule.resolution * -((schedule.start - max(cut, schedule.start)) // schedule.resolution)

    def hides(self, others: Iterable[Layer]) -> bool:
        """Whether what was cancelled of it lies over any of some layers with lower sequences."""
        blank, end = self.ends, self.schedule.end
        return any(max(blank, other.schedule.start) < min(end, other.schedule.end) for other in others)

    def slots(self, start: datetime, end: datetime) -> Iterator[PlannedSlot]:
        """Its slots in ``[start, end)``, which lies in its horizon; the first and the last are cut to it."""
        schedule, entry, begins = self.schedule, self.entry, self.begins
        cut = entry.cut or schedule.end
        index = (start - schedule.start) // schedule.resolution
        at = schedule.start + schedule.resolution * index
        while at < end:
            first, last = max(at, start), min(at + schedule.resolution, end)
            yield PlannedSlot(
                start=first,
                end=last,
                schedule_id=schedule.schedule_id,
                sequence=entry.sequence,
                traceparent=entry.traceparent,
                rate_w=schedule.rates_w[index],
                since=min(max(first, begins), last),
                until=min(cut, last),
                soc_min_pct=schedule.soc_min_pct,
                soc_max_pct=schedule.soc_max_pct,
                ramp_w_per_s=schedule.ramp_w_per_s,
            )
            index, at = index + 1, at + schedule.resolution


class _Piece(NamedTuple):
    """A stretch of time in which one layer decides; what is behind its cut is blank."""

    start: datetime
    end: datetime
    layer: Layer
    blank: bool


class Plan:
    """The plan that some layers make.

    :param layers: in any order.
    """

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers: Final = sorted(layers, key=lambda layer: layer.entry.sequence)
        pieces = list(_pieces(self.layers))
        self._last: Final = {id(piece.layer): piece.end for piece in pieces}
        self._pieces: Final = [piece for piece in pieces if not piece.blank]
        self._starts: Final = [piece.start for piece in self._pieces]

    def at(self, instant: datetime) -> PlannedSlot | None:
        """The slot that contains an instant."""
        index = bisect_right(self._starts, instant) - 1
        if index < 0 or instant >= self._pieces[index].end:
            return None
        piece = self._pieces[index]
        step, origin = piece.layer.schedule.resolution, piece.layer.schedule.start
        at = origin + step * ((instant - origin) // step)
        return next(piece.layer.slots(max(at, piece.start), min(at + step, piece.end)))

    def next_start(self, after: datetime) -> datetime | None:
        """The first instant after ``after`` at which a slot begins."""
        for piece in self._pieces[max(0, bisect_right(self._starts, after) - 1) :]:
            if piece.start > after:
                return piece.start
            step, origin = piece.layer.schedule.resolution, piece.layer.schedule.start
            following = origin + step * ((after - origin) // step + 1)
            if following < piece.end:
                return following
        return None

    def slots(self, start: datetime, end: datetime) -> list[PlannedSlot]:
        """The slots in ``[start, end)``, in order; those at the edges are cut."""
        return [
            slot
            for piece in self._pieces
            if piece.start < end and start < piece.end
            for slot in piece.layer.slots(max(start, piece.start), min(end, piece.end))
        ]

    def unreported(self, reported: tuple[Span, ...], until: datetime) -> list[PlannedSlot]:
        """The slots that ended by ``until`` and are not in the time that was reported."""
        return [
            slot
            for piece in self._pieces
            if piece.start < until
            for span in free(Span(piece.start, piece.end), reported)
            for slot in piece.layer.slots(span.start, span.end)
            if slot.end <= until
        ]

    def last_instant(self, layer: Layer) -> datetime | None:
        """Until when one of the plan's layers decides anywhere, be it that nothing is executed; ``None`` where it never does.

        A layer that decides nothing any more can be taken out of the plan without changing what follows, and, unless it
        :meth:`~Layer.hides` one that stays, without anything that it took back coming to light again.
        """
        return self._last.get(id(layer))


def covered(reported: tuple[Span, ...], span: Span) -> tuple[Span, ...]:
    """The reported time with another span in it: in order, disjoint, and joined where spans touch."""
    start, end, others = span.start, span.end, []
    for other in reported:
        if other.end < start or end < other.start:
            others.append(other)
        else:
            start, end = min(start, other.start), max(end, other.end)
    return tuple(sorted([*others, Span(start, end)], key=lambda one: one.start))


def free(span: Span, reported: tuple[Span, ...]) -> list[Span]:
    """What is left of a span without the reported time."""
    left, at = [], span.start
    for taken in reported:
        if taken.end <= at or taken.start >= span.end:
            continue
        if taken.start > at:
            left.append(Span(at, taken.start))
        at = taken.end
    if at < span.end:
        left.append(Span(at, span.end))
    return left


def _pieces(layers: list[Layer]) -> Iterator[_Piece]:
    """The stretches in which one layer decides, in order."""
    horizons = [(layer.schedule.start, layer.ends, layer.schedule.end, layer) for layer in reversed(layers)]
    edges = sorted({edge for horizon in horizons for edge in horizon[:3]})
    piece: _Piece | None = None
    for start, end in pairwise(edges):
        here = next((horizon for horizon in horizons if horizon[0] <= start < horizon[2]), None)
        top, blank = (None, False) if here is None else (here[3], here[1] <= start)
        if piece is not None and (piece.layer is not top or piece.blank is not blank):
            yield piece
            piece = None
        if top is not None:
            piece = _Piece(start if piece is None else piece.start, end, top, blank)
    if piece is not None:
        yield piece
