"""Where a device keeps what it must not forget: inbox, plan and outbox behind one interface and one transaction.

``base`` says what a store is and holds its records; ``memory`` is for tests and simulations; ``sqlite`` is for devices.
"""

from __future__ import annotations

from allye_protocol.store.base import DeviceStore, Entry, EntryState, OutboxRow, PlannedSlot, Rank, Rejected
from allye_protocol.store.memory import MemoryStore

__all__ = ["DeviceStore", "Entry", "EntryState", "MemoryStore", "OutboxRow", "PlannedSlot", "Rank", "Rejected"]
