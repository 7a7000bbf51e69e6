"""What a device's store says, read by another process while the agent runs or after it has ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from allye_device.config import store_file
from allye_device.logs import instant, printable
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.execution import judge
from allye_protocol.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from allye_device.config import AgentConfig
    from allye_protocol.store.base import PlannedSlot

__all__ = ["RejectedStatus", "SlotStatus", "Status", "as_text", "status_of"]

BEFORE: Final = timedelta(days=1)
AHEAD: Final = timedelta(days=9)


class SlotStatus(Struct, frozen=True, kw_only=True):
    """One slot of the plan.

    :param state: ``planned``, ``running``, ``over`` (not reported yet), ``SUCCEED`` or ``FAIL``.
    :param rate_w: the setpoint, W; positive charges.
    :param actual_w: average power over the slot, W; ``None`` until it is reported.
    :param reason: why it is a FAIL.
    """

    start: datetime
    end: datetime
    schedule_id: str
    trace_id: str
    state: str
    rate_w: int
    actual_w: int | None = None
    reason: str = ""


class RejectedStatus(Struct, frozen=True, kw_only=True):
    """A message that was refused unread.

    :param head: its first bytes, hexadecimal.
    """

    at: datetime
    topic: str
    size_bytes: int
    head: str
    reason: str


class Status(Struct, frozen=True, kw_only=True):
    """A device's memory.

    :param now: the device's time, by its configured clock.
    :param newest: when the newest admitted schedule was generated.
    :param unsettled: schedules that are admitted and neither applied nor failed.
    :param outbox: how many answers wait for the broker.
    :param slots: the plan from a day ago on.
    """

    device_id: str
    now: datetime
    newest: datetime | None
    unsettled: list[str]
    outbox: int
    slots: list[SlotStatus]
    rejected: list[RejectedStatus]


def status_of(config: AgentConfig, now: datetime) -> Status:
    """Read a device's store. Nothing is written, and the agent is not disturbed.

    :param now: the device's time.
    :raises ConfigError: the store's folder is not there.
    :raises StoreError: ``store.failed`` where there is no store, ``store.corrupt`` for a damaged one.
    """
    path = store_file(config)
    if not path.exists():
        message = f"there is no store {path.absolute()} yet: 'allye-device run' makes it; or correct path in [store]"
        raise StoreError(ErrorCode.STORE_FAILED, message)
    store = SqliteStore(path, read_only=True)
    try:
        rated_w = max(config.battery.max_charge_w, config.battery.max_discharge_w)
        rejected = [
            RejectedStatus(at=row.at, topic=row.topic, size_bytes=row.size_bytes, head=row.head.hex(), reason=row.reason)
            for row in store.rejected()
        ]
        return Status(
            device_id=config.device_id,
            now=now,
            newest=store.high_water(),
            unsettled=[entry.schedule_id for entry in store.unsettled()],
            outbox=store.outbox_size(),
            slots=[_slot(slot, rated_w, now) for slot in store.slots(now - BEFORE, now + AHEAD)],
            rejected=rejected,
        )
    finally:
        store.close()


def _slot(slot: PlannedSlot, rated_w: int, now: datetime) -> SlotStatus:
    judged = judge(slot, rated_w) if slot.reported else None
    waiting = "planned" if now < slot.start else "running" if now < slot.end else "over"
    return SlotStatus(
        start=slot.start,
        end=slot.end,
        schedule_id=slot.schedule_id,
        trace_id=slot.trace_id,
        state=waiting if judged is None else judged.status,
        rate_w=slot.rate_w,
        actual_w=None if judged is None else round(judged.actual_w),
        reason="" if judged is None or judged.problem is None else judged.problem.reason(),
    )


def as_text(status: Status) -> str:
    """The status for a person."""
    newest = "none" if status.newest is None else instant(status.newest)
    lines = [
        f"device {status.device_id}, {instant(status.now)}",
        f"newest schedule admitted: {newest}; not settled: {', '.join(status.unsettled) or 'none'}",
        f"answers waiting for the broker: {status.outbox}",
        "",
        f"{'slot (UTC)':<17} {'planned W':>10} {'actual W':>10}  {'state':<8} schedule",
    ]
    for slot in status.slots:
        actual = "" if slot.actual_w is None else str(slot.actual_w)
        row = f"{slot.start:%Y-%m-%d %H:%M}  {slot.rate_w:>10} {actual:>10}  {slot.state:<8} {slot.schedule_id} {slot.reason}"
        lines.append(row.rstrip())
    if not status.slots:
        lines.append("no plan: 0 W")
    if status.rejected:
        lines += ["", "messages that were refused unread, oldest first:"]
        lines += [f"{instant(row.at)} {row.topic} {row.size_bytes} bytes: {row.reason}" for row in status.rejected]
    return "\n".join(printable(line) for line in lines)
