"""What can be read from a store, as one value to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allye_protocol.negotiation import Agreement
    from allye_protocol.store import DeviceStore
    from allye_protocol.store.base import PlannedSlot, Span

__all__ = ["Contents", "contents"]


class Contents(NamedTuple):
    """Everything that a store holds."""

    entries: list[Any]
    unsettled: list[str]
    applied: list[str]
    high_water: int
    cancellations: list[Any]
    running: PlannedSlot | None
    reported: tuple[Span, ...]
    agreement: Agreement | None
    outbox: list[tuple[str, bytes, str, str, int]]
    rejected: list[Any]


def contents(store: DeviceStore, names: Iterable[str], cancels: Iterable[int] = ()) -> Contents:
    """Everything that a store says, ``names`` being the ids and ``cancels`` the sequences to ask for."""
    return Contents(
        entries=[store.entry(name) for name in names],
        unsettled=[entry.schedule_id for entry in store.unsettled()],
        applied=[entry.schedule_id for entry in store.applied()],
        high_water=store.high_water(),
        cancellations=[store.cancellation(sequence) for sequence in cancels],
        running=store.running(),
        reported=store.reported(),
        agreement=store.agreement(),
        outbox=[(row.kind, row.payload, row.traceparent, row.tracestate, row.rank) for row in store.outbox(1_000_000)],
        rejected=store.rejected(),
    )
