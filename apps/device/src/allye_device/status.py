"""What a device's store says, read by another process while the agent runs or after it has ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from allye_device.config import store_file
from allye_device.logs import instant, printable
from allye_protocol.admission import Policy
from allye_protocol.codec import DEFAULT_CONTENT_TYPE
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.idempotency import Ledger
from allye_protocol.ids import device_id
from allye_protocol.messages.fields import EARLIEST
from allye_protocol.negotiation import Agreement
from allye_protocol.plan import free
from allye_protocol.store.base import Span
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from allye_device.config import AgentConfig
    from allye_protocol.store.base import PlannedSlot

__all__ = ["RejectedStatus", "SlotStatus", "Status", "as_text", "status_of"]

BEFORE: Final = timedelta(days=1)
AHEAD: Final = timedelta(days=9)


class SlotStatus(Struct, frozen=True, kw_only=True):
    """One slot of the plan in force.

    :param state: ``planned``, ``running``, ``over`` (not reported yet) or ``reported``.
    :param rate_w: the setpoint, W; positive charges; ``None``: the default control applies.
    :param soc_min_pct: lower end of the schedule's own band of the state of charge, %; ``soc_max_pct``: the upper one.
    :param ramp_w_per_s: fastest increase of |power|, W/s.
    :param actual_w: average power of the running slot so far, W.
    """

    start: datetime
    end: datetime
    schedule_id: str
    trace_id: str
    state: str
    rate_w: int | None
    soc_min_pct: float | None = None
    soc_max_pct: float | None = None
    ramp_w_per_s: int | None = None
    actual_w: int | None = None


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
    :param newest: the sequence of the newest schedule or cancel that was taken, as an instant.
    :param spoken: the version and encoding in which the cloud is answered: that in which it last spoke, and before it has the
        lowest version that is offered, in JSON.
    :param unsettled: schedules that are admitted and neither applied nor failed.
    :param outbox: how many answers wait for the broker.
    :param slots: the plan from a day ago on.
    """

    device_id: str
    now: datetime
    newest: datetime | None
    spoken: str
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
        policy = Policy(max_charge_w=config.battery.max_charge_w, max_discharge_w=config.battery.max_discharge_w)
        plan = Ledger(device_id(config.device_id), store, policy).plan()
        running, reported, agreement = store.running(), store.reported(), store.agreement()
        if agreement is None or agreement.version not in config.protocol.versions:  # not heard yet, or no longer spoken here
            agreement = Agreement(version=min(config.protocol.versions), content_type=DEFAULT_CONTENT_TYPE)
        rejected = [
            RejectedStatus(at=row.at, topic=row.topic, size_bytes=row.size_bytes, head=row.head.hex(), reason=row.reason)
            for row in store.rejected()
        ]
        return Status(
            device_id=config.device_id,
            now=now,
            newest=_instant_of(store.high_water()),
            spoken=f"version {agreement.version} in {agreement.content_type}",
            unsettled=[entry.schedule_id for entry in store.unsettled()],
            outbox=store.outbox_size(),
            slots=[_slot(slot, running, reported, now) for slot in plan.slots(now - BEFORE, now + AHEAD)],
            rejected=rejected,
        )
    finally:
        store.close()


def _slot(slot: PlannedSlot, running: PlannedSlot | None, reported: tuple[Span, ...], now: datetime) -> SlotStatus:
    state, actual_w = "planned" if now < slot.start else "running" if now < slot.end else "over", None
    if not free(Span(slot.start, slot.end), reported):
        state = "reported"
    elif running is not None and running.start <= slot.start < running.end:
        actual_w = _average_w(running)
    trace = TraceContext.parse(slot.traceparent)
    return SlotStatus(
        start=slot.start,
        end=slot.end,
        schedule_id=slot.schedule_id,
        trace_id="" if trace is None else trace.trace_id,
        state=state,
        rate_w=slot.rate_w,
        soc_min_pct=slot.soc_min_pct,
        soc_max_pct=slot.soc_max_pct,
        ramp_w_per_s=slot.ramp_w_per_s,
        actual_w=actual_w,
    )


def _average_w(slot: PlannedSlot) -> int | None:
    if slot.started_at is None or slot.seen_at is None or slot.seen_at <= slot.started_at:
        return None
    return round((slot.meter_wh - slot.meter_start_wh) / ((slot.seen_at - slot.started_at) / timedelta(hours=1)))


def _instant_of(sequence: int) -> datetime | None:
    return EARLIEST + timedelta(microseconds=sequence) if sequence else None


def as_text(status: Status) -> str:
    """The status for a person."""
    newest = "none" if status.newest is None else instant(status.newest)
    lines = [
        f"device {status.device_id}, {instant(status.now)}",
        f"newest schedule or cancel taken: {newest}; not settled: {', '.join(status.unsettled) or 'none'}",
        f"the cloud is answered in: {status.spoken}",
        f"answers waiting for the broker: {status.outbox}",
        "",
        f"{'slot (UTC)':<17} {'planned W':>10} {'actual W':>10}  {'state':<8} schedule",
    ]
    for slot in status.slots:
        actual = "" if slot.actual_w is None else str(slot.actual_w)
        rate = "default" if slot.rate_w is None else str(slot.rate_w)
        row = f"{slot.start:%Y-%m-%d %H:%M}  {rate:>10} {actual:>10}  {slot.state:<8} {slot.schedule_id}{_limits(slot)}"
        lines.append(row)
    if not status.slots:
        lines.append("no plan: 0 W")
    if status.rejected:
        lines += ["", "messages that were refused unread, oldest first:"]
        lines += [f"{instant(row.at)} {row.topic} {row.size_bytes} bytes: {row.reason}" for row in status.rejected]
    return "\n".join(printable(line) for line in lines)


def _limits(slot: SlotStatus) -> str:
    """What a schedule limits besides its setpoints."""
    told = []
    if slot.soc_min_pct is not None:
        told.append(f"from {slot.soc_min_pct:g} %")
    if slot.soc_max_pct is not None:
        told.append(f"to {slot.soc_max_pct:g} %")
    if slot.ramp_w_per_s is not None:
        told.append(f"at most {slot.ramp_w_per_s} W/s")
    return f" ({', '.join(told)})" if told else ""
