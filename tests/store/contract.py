"""What can be read from a store, as one value to compare."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allye_protocol.store import DeviceStore

__all__ = ["Contents", "contents"]

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(2200, 1, 1, tzinfo=UTC)


class Contents(NamedTuple):
    """Everything that a store holds."""

    entries: list[Any]
    unsettled: list[str]
    high_water: datetime | None
    slots: list[Any]
    unreported: list[datetime]
    outbox: list[tuple[str, bytes, str, str, int]]
    rejected: list[Any]


def contents(store: DeviceStore, names: Iterable[str]) -> Contents:
    """Everything that a store says, ``names`` being the ids to ask for."""
    return Contents(
        entries=[store.entry(name) for name in names],
        unsettled=[entry.schedule_id for entry in store.unsettled()],
        high_water=store.high_water(),
        slots=store.slots(_FIRST, _LAST),
        unreported=[slot.start for slot in store.unreported(_LAST)],
        outbox=[(row.kind, row.payload, row.traceparent, row.tracestate, row.rank) for row in store.outbox(1_000_000)],
        rejected=store.rejected(),
    )
