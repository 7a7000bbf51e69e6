"""What an operator looks at: how far the day's schedules have come, how long that took, and which devices are silent.

1. Figures come from the database alone, so they are the same whether the service runs or not.
2. Times are the cloud's own: when it stored, published and heard. A device's clock decides nothing here.
3. Where a day was published in several revisions, the newest schedule of each piece counts.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import bindparam, select

from allye_cloud import tables
from allye_cloud.battery import SLOT_H
from allye_cloud.days import HALF_HOUR
from allye_cloud.tables import from_micros, micros
from allye_protocol.delivery import State
from allye_protocol.errors import code_of_reason
from allye_protocol.messages import DeviceStatus, ExecutionStatus, Kind
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Row

    from allye_cloud.books import Books, DayPlan
    from allye_cloud.database import Database

__all__ = [
    "STALE_AFTER",
    "CancelLine",
    "DeviceLine",
    "Funnel",
    "Latency",
    "Link",
    "ScheduleLine",
    "SlotLine",
    "Status",
    "day_status",
    "slot_lines",
    "states_of",
]

STALE_AFTER: Final = timedelta(minutes=45)
"""A device reports every half-hour of its plan; one that was not heard for longer than this is stale."""
NO_CODE: Final = "no known code"
_HALF_HOUR: Final = HALF_HOUR // timedelta(microseconds=1)


class Link(StrEnum):
    """Whether a device is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    """Its last will says so."""
    STALE = "stale"
    NEVER_HEARD = "never heard"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took, in seconds, ``count`` times."""

    count: int
    p50_s: float
    p95_s: float
    p99_s: float


class Funnel(msgspec.Struct, frozen=True, kw_only=True):
    """How many schedules have come how far; each number includes those that have come further.

    :param submitted: stored for delivery.
    :param sent: published at least once.
    :param received: answered.
    :param applied: armed on the device.
    :param executed: applied, and every slot has its result.
    """

    submitted: int
    sent: int
    received: int
    applied: int
    executed: int


class ScheduleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule.

    :param revision: of the day's plan; ``piece``: of that revision.
    :param attempts: how often it was published.
    :param slots: how many half-hours it has; ``reported``: how many of them have a result.
    :param reason: the device's words with the last FAILED.
    """

    schedule_id: str
    device_id: str
    revision: int
    piece: int
    state: State
    attempts: int
    slots: int
    reported: int
    trace_id: str
    reason: str


class CancelLine(msgspec.Struct, frozen=True, kw_only=True):
    """One cancel of schedules of that day.

    :param schedule_id: the schedule that is taken back; ``None`` for everything from ``effective_from`` on.
    :param state: of its delivery; APPLIED means that the device has taken it back.
    :param attempts: how often it was published.
    :param reason: the device's words when it refused.
    """

    device_id: str
    schedule_id: str | None
    effective_from: datetime
    state: State
    attempts: int
    trace_id: str
    reason: str


class DeviceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One device on that day. What compares plan and reality is about the slots that have a result.

    :param heard_at: when anything last came from it.
    :param states: of its schedules, in order.
    :param slots: half-hours of its plan; ``reported``: those with a result; ``succeeded``: executed as planned.
    :param planned_margin_gbp: what the whole plan earns before wear, pounds.
    :param margin_gbp: what the reported slots earned, pounds; ``expected_margin_gbp``: what the plan has for them.
    :param deviation_wh: energy by which reality differed from the plan, slot by slot, either way added up, Wh.
    :param throughput_wh: energy that the plan moves in those slots, either way added up, Wh.
    """

    device_id: str
    link: Link
    heard_at: datetime | None
    states: tuple[State, ...]
    slots: int
    reported: int
    succeeded: int
    planned_margin_gbp: float
    expected_margin_gbp: float
    margin_gbp: float
    deviation_wh: float
    throughput_wh: float


class SlotLine(msgspec.Struct, frozen=True, kw_only=True):
    """One half-hour of one device: what was planned and what came of it.

    :param planned_soc_pct: state of charge at its end as the plan has it, %.
    :param actual_w: average power, W, + charges; ``None`` while there is no result.
    :param reason: the device's words with the result.
    """

    start: datetime
    price_gbp_per_mwh: float
    planned_w: int
    planned_soc_pct: float
    actual_w: int | None
    status: ExecutionStatus | None
    reason: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a fleet, or of one device.

    :param at: when this was so.
    :param price_source: where the prices of the plans came from; several are joined by a comma.
    :param received_after: from the first publish to the first answer; ``applied_after``: to APPLIED.
    :param result_after: from a slot's end to the arrival of its result.
    :param failures: schedules that are FAILED or DEAD, by the code that the device gave.
    :param dead_letters: schedules that only a new revision can help: DEAD or EXPIRED.
    """

    day: date
    at: datetime
    price_source: str
    funnel: Funnel
    received_after: Latency | None
    applied_after: Latency | None
    result_after: Latency | None
    failures: dict[str, int]
    devices: tuple[DeviceLine, ...]
    schedules: tuple[ScheduleLine, ...]
    cancels: tuple[CancelLine, ...]
    dead_letters: tuple[ScheduleLine, ...]


_D: Final = tables.delivery
_C: Final = tables.delivery.alias("cancel")
_P: Final = tables.publication
_R: Final = tables.result
_SCHEDULES: Final = (
    select(_D, _P.c.revision, _P.c.piece)
    .join_from(_P, _D, _P.c.schedule_id == _D.c.delivery_id)
    .where(_P.c.day == bindparam("day"))
    .order_by(_P.c.device_id, _P.c.piece, _P.c.revision)
)
_STATES: Final = (
    select(_D.c.schedule_id, _D.c.state)
    .join_from(_P, _D, _P.c.schedule_id == _D.c.delivery_id)
    .where(_P.c.day == bindparam("day"))
)
_CANCELS: Final = (
    # A cancel takes back what is older than itself.
    select(_C)
    .join_from(_P, _D, _P.c.schedule_id == _D.c.delivery_id)
    .join(_C, (_C.c.device_id == _D.c.device_id) & (_C.c.sequence > _D.c.sequence) & (_C.c.kind == Kind.CANCEL))
    .where(
        _P.c.day == bindparam("day"),
        (_C.c.schedule_id == _D.c.schedule_id) | (_C.c.schedule_id.is_(None) & (_C.c.starts < _D.c.ends)),
    )
    .distinct()
    .order_by(_C.c.device_id, _C.c.sequence)
)
_RESULTS: Final = select(_R).where(_R.c.starts >= bindparam("first"), _R.c.starts < bindparam("end"))
_HEARD: Final = select(tables.device.c.device_id, tables.device.c.heard_at, tables.device.c.status)


def states_of(database: Database, day: date) -> dict[str, State]:
    """The state of every schedule of a day, by its id.

    :raises StoreError: the database cannot be read.
    """
    return {row.schedule_id: State(row.state) for row in database.rows(_STATES, {"day": day})}


def slot_lines(database: Database, books: Books, day: date, device_id: str) -> list[SlotLine]:
    """The half-hours of one device's day; empty when it has no plan.

    :raises StoreError: the database cannot be read.
    """
    lines = []
    for plan in books.plans(day, device_id):
        results = _results(database, [plan])[device_id]
        for i, (planned_w, price) in enumerate(zip(plan.watts, plan.prices_gbp_per_mwh, strict=True)):
            start = plan.start + i * HALF_HOUR
            result = results.get(micros(start))
            lines.append(
                SlotLine(
                    start=start,
                    price_gbp_per_mwh=price,
                    planned_w=planned_w,
                    planned_soc_pct=plan.soc_pct[i + 1],
                    actual_w=None if result is None else result.actual_w,
                    status=None if result is None else ExecutionStatus(result.status),
                    reason=""
                    if result is None or result.error_code is None
                    else f"{result.error_code}: {result.error_message}",
                )
            )
    return lines


def day_status(database: Database, books: Books, day: date, now: datetime, device_id: str | None = None) -> Status:
    """How a day stands.

    :param day: the local date that was planned.
    :param now: the time.
    :param device_id: only this device.
    :raises StoreError: the database cannot be read.
    """
    plans = books.plans(day, device_id)
    results = _results(database, plans)
    heard = {row.device_id: row for row in database.rows(_HEARD)}
    rows = [row for row in database.rows(_SCHEDULES, {"day": day}) if device_id in (None, row.device_id)]
    newest = list({(row.device_id, row.piece): row for row in rows}.values())
    schedules = tuple(_schedule_line(row, results[row.device_id]) for row in newest)
    states = defaultdict(list)
    for line in schedules:
        states[line.device_id].append(line.state)
    return Status(
        day=day,
        at=now,
        price_source=", ".join(sorted({plan.price_source for plan in plans})),
        funnel=_funnel(newest, schedules),
        received_after=_latency(row.received_at - row.sent_at for row in newest if None not in (row.received_at, row.sent_at)),
        applied_after=_latency(
            row.settled_at - row.sent_at for row in newest if row.state == State.APPLIED and row.sent_at is not None
        ),
        result_after=_latency(row.at - row.starts - _HALF_HOUR for of in results.values() for row in of.values()),
        failures=dict(
            Counter(
                str(code_of_reason(line.reason) or NO_CODE) for line in schedules if line.state in (State.FAILED, State.DEAD)
            ).most_common()
        ),
        devices=tuple(
            _device_line(plan, results[plan.device_id], heard.get(plan.device_id), tuple(states[plan.device_id]), now)
            for plan in plans
        ),
        schedules=schedules,
        cancels=tuple(_cancel_line(row) for row in database.rows(_CANCELS, {"day": day}) if device_id in (None, row.device_id)),
        dead_letters=tuple(line for line in schedules if line.state in (State.DEAD, State.EXPIRED)),
    )


def _results(database: Database, plans: Sequence[DayPlan]) -> defaultdict[str, dict[int, Row[Any]]]:
    """The results of the plans' half-hours, by device and start."""
    found: defaultdict[str, dict[int, Row[Any]]] = defaultdict(dict)
    if not plans:
        return found
    bounds = {"first": micros(min(plan.start for plan in plans)), "end": micros(max(plan.end for plan in plans))}
    spans = {plan.device_id: (micros(plan.start), micros(plan.end)) for plan in plans}
    query = _RESULTS if len(plans) > 1 else _RESULTS.where(_R.c.device_id == plans[0].device_id)
    for row in database.rows(query, bounds):
        first, end = spans.get(row.device_id, (0, 0))
        if first <= row.starts < end:
            found[row.device_id][row.starts] = row
    return found


def _cancel_line(row: Row[Any]) -> CancelLine:
    return CancelLine(
        device_id=row.device_id,
        schedule_id=row.schedule_id,
        effective_from=from_micros(row.starts),
        state=State(row.state),
        attempts=row.attempts,
        trace_id=_trace_id(row),
        reason=row.reason,
    )


def _schedule_line(row: Row[Any], results: Mapping[int, Row[Any]]) -> ScheduleLine:
    starts = range(row.starts, row.ends, _HALF_HOUR)
    return ScheduleLine(
        schedule_id=row.schedule_id,
        device_id=row.device_id,
        revision=row.revision,
        piece=row.piece,
        state=State(row.state),
        attempts=row.attempts,
        slots=len(starts),
        reported=sum(start in results for start in starts),
        trace_id=_trace_id(row),
        reason=row.reason,
    )


def _trace_id(row: Row[Any]) -> str:
    trace = TraceContext.parse(row.traceparent)
    return "" if trace is None else trace.trace_id


def _funnel(rows: Sequence[Row[Any]], lines: Sequence[ScheduleLine]) -> Funnel:
    applied = [line for line in lines if line.state is State.APPLIED]
    return Funnel(
        submitted=len(lines),
        sent=sum(row.sent_at is not None for row in rows),
        received=sum(row.received_at is not None for row in rows),
        applied=len(applied),
        executed=sum(line.reported == line.slots for line in applied),
    )


def _device_line(
    plan: DayPlan, results: Mapping[int, Row[Any]], heard: Row[Any] | None, states: tuple[State, ...], now: datetime
) -> DeviceLine:
    margin = expected = deviation_wh = throughput_wh = 0.0
    for i, (planned_w, price) in enumerate(zip(plan.watts, plan.prices_gbp_per_mwh, strict=True)):
        result = results.get(micros(plan.start + i * HALF_HOUR))
        if result is not None:
            planned_wh, actual_wh = planned_w * SLOT_H, result.actual_w * SLOT_H
            expected -= planned_wh * price / 1e6
            margin -= actual_wh * price / 1e6
            deviation_wh += abs(actual_wh - planned_wh)
            throughput_wh += abs(planned_wh)
    last = None if heard is None or heard.heard_at is None else from_micros(heard.heard_at)
    return DeviceLine(
        device_id=plan.device_id,
        link=_link(None if heard is None else heard.status, last, now),
        heard_at=last,
        states=states,
        slots=len(plan.watts),
        reported=len(results),
        succeeded=sum(result.status == ExecutionStatus.SUCCEED for result in results.values()),
        planned_margin_gbp=plan.margin_gbp,
        expected_margin_gbp=expected,
        margin_gbp=margin,
        deviation_wh=deviation_wh,
        throughput_wh=throughput_wh,
    )


def _link(status: bytes | None, last: datetime | None, now: datetime) -> Link:
    """Whether a device is there, by its status and by when it was last heard."""
    if last is None:
        return Link.NEVER_HEARD
    if status is not None and not msgspec.json.decode(status, type=DeviceStatus).online:
        return Link.OFFLINE
    return Link.STALE if now - last > STALE_AFTER else Link.ONLINE


def _latency(micros_taken: Iterable[int]) -> Latency | None:
    """The nearest-rank percentiles."""
    taken = sorted(micros_taken)
    if not taken:
        return None
    p50, p95, p99 = (taken[math.ceil(len(taken) * share / 100) - 1] / 1e6 for share in (50, 95, 99))
    return Latency(count=len(taken), p50_s=p50, p95_s=p95, p99_s=p99)
