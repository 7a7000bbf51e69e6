"""How a device executes its plan: which slot runs, what the battery is to do, what is reported.

1. What runs follows from the plan, the time and the slot that ran last; a restart in between changes nothing.
2. A slot is reported once, in order of time, when it is over: executed, or missed. Time that was reported is never executed
   again, whatever a clock that was set back says.
3. A newer plan switches a running slot at once. Where it has slots of another length, the running one ends where the plan's
   next one begins.
4. While the clock is not trusted no slot begins or ends, and the default control applies.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.errors import ErrorClass, ErrorCode, Problem
from allye_protocol.events import DefaultControl, DeviceEvent, EventReported, SlotEnded, SlotStarted
from allye_protocol.execution import Reading, divided, judge, read_meter, result_of, switched
from allye_protocol.messages import ErrorDetail, EventType, ScheduleEvent
from allye_protocol.plan import Plan, covered, free
from allye_protocol.store.base import PlannedSlot, Span
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from allye_protocol.idempotency import Ledger
    from allye_protocol.ids import DeviceId, ScheduleId
    from allye_protocol.plan import Layer
    from allye_protocol.session.answers import Answers
    from allye_protocol.store.base import DeviceStore

__all__ = ["Executing"]

MAX_READING_DELAY: Final = timedelta(seconds=5)
"""A reading taken later than this after a slot's end says nothing about the slot."""
_OVERRIDDEN: Final = frozenset({ErrorCode.DRIVER_EXTERNAL_CONTROL, ErrorCode.DEVICE_LOCAL_MODE, ErrorCode.DEVICE_MAINTENANCE})
_FALLBACK_CLASSES: Final = frozenset({ErrorClass.DRIVER, ErrorClass.DEVICE})


class _Position(NamedTuple):
    """Where the execution of a plan stands.

    :param running: the slot that runs.
    :param ended: the slot that ran and is over.
    """

    running: PlannedSlot | None
    ended: PlannedSlot | None = None


class _Told(NamedTuple):
    """What the battery and the cloud were told last.

    :param given: what tells one instruction to the battery from the next.
    :param idle: whether it was told that no slot covers the moment.
    :param control: whether the plan is followed.
    """

    given: tuple[datetime, str, int | None] | None = None
    idle: bool = False
    control: EventType = EventType.FALLBACK_LEFT


class Executing:
    """The execution of one device's plan.

    :param device_id: whose.
    :param store: where the running slot and the reported time are.
    :param ledger: where the plan is.
    :param answers: how results and events are said.
    :param rated_w: the battery's rated power, W.
    :param hold: for how long the battery obeys a setpoint that is not refreshed.
    :param random_bytes: where trace ids come from.
    """

    def __init__(
        self,
        device_id: DeviceId,
        store: DeviceStore,
        ledger: Ledger,
        answers: Answers,
        *,
        rated_w: int,
        hold: timedelta,
        random_bytes: RandomBytes,
    ) -> None:
        self._device_id: Final = device_id
        self._store: Final = store
        self._ledger: Final = ledger
        self._answers: Final = answers
        self._rated_w: Final = rated_w
        self._hold: Final = hold
        self._random_bytes: Final = random_bytes
        self._plan: Plan | None = None
        self._told = _Told()

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        if self._plan is None:
            self._plan = self._ledger.plan()
        return self._plan

    @property
    def told(self) -> _Told:
        """What is to be handed to :meth:`undone` when what follows could not be stored."""
        return self._told

    def plan_changed(self) -> None:
        """Something was applied, cancelled or retired: read the plan anew."""
        self._plan = None

    def undone(self, told: _Told) -> None:
        """A transaction was undone: nobody was told what it would have told, and the plan is read anew."""
        self._told, self._plan = told, None

    def tick(self, now: datetime, reading: Reading | None) -> list[DeviceEvent]:
        """Let time pass; in a transaction of the caller's.

        :param reading: the battery's counters just now; ``None`` when nobody looked.
        """
        plan, reported = self.plan, self._store.reported()
        before = self._store.running()
        running, ended = _position(plan, before, reported, now)
        over = [] if ended is None else [self._last_reading(ended, now, reading)]
        taken = _taken(reported, over)
        missed = plan.unreported(_taken(taken, [] if running is None else [running]), now)
        events: list[DeviceEvent] = []
        for slot in sorted([*over, *missed], key=lambda slot: slot.start):
            events.append(self._report(slot, now))
            taken = covered(taken, Span(slot.start, slot.end))
        if running is not None and reading is not None:
            running = read_meter(running, now, reading, self._hold)
        if running != before:
            self._store.put_running(running)
        if taken != reported:
            self._store.put_reported(taken)
        if running is not None and running.rate_w is not None and self._ledger.started(running.schedule_id):
            events.append(self._tell(EventType.STARTED, now, running))
        events += self._retire(plan, now)
        if reading is not None:
            events += self._control_events(_control(reading, running, now), now, reading.trouble, running)
        return events + self._turn_to(running, now)

    def distrust(self, now: datetime) -> list[DeviceEvent]:
        """The clock is not trusted: the default control applies; in a transaction of the caller's."""
        events: list[DeviceEvent] = []
        if self.plan.layers:
            events += self._control_events(EventType.FALLBACK_ENTERED, now, ErrorCode.DEVICE_CLOCK_UNTRUSTED, None)
        return events + self._turn_to(None, now)

    def _last_reading(self, slot: PlannedSlot, now: datetime, reading: Reading | None) -> PlannedSlot:
        if slot.started_at is None or slot.seen_at == slot.end or reading is None or now - slot.end > MAX_READING_DELAY:
            return slot
        return read_meter(slot, now, reading, self._hold)

    def _report(self, slot: PlannedSlot, now: datetime) -> SlotEnded:
        judgement = judge(slot, self._rated_w)
        result = result_of(slot, judgement, self._device_id, now)
        self._answers.push(result, self._trace(slot.traceparent))
        return SlotEnded(slot=slot, judgement=judgement, result=result)

    def _retire(self, plan: Plan, now: datetime) -> list[DeviceEvent]:
        """End the schedules of which nothing is left to execute, now that everything before ``now`` is reported."""
        events: list[DeviceEvent] = []
        kept: list[Layer] = []
        for layer in plan.layers:
            entry, end, last = layer.entry, layer.schedule.end, plan.last_instant(layer)
            if (last is not None and last > now) or layer.hides(kept):
                kept.append(layer)
                continue
            self._ledger.retire(entry.schedule_id)
            self.plan_changed()
            if entry.cut is None or entry.cut >= end:
                event = EventType.COMPLETED if last == end else EventType.SUPERSEDED
                events.append(self._tell_of(event, now, entry.schedule_id, entry.sequence, entry.traceparent))
        return events

    def _control_events(
        self, control: EventType, now: datetime, trouble: ErrorCode | None, slot: PlannedSlot | None
    ) -> list[DeviceEvent]:
        if control is self._told.control:
            return []
        self._told = self._told._replace(control=control)
        error = None
        if trouble is not None and control is not EventType.FALLBACK_LEFT:
            error = ErrorDetail.of(Problem(code=trouble, message="the battery does not follow the plan"))
        return [self._tell(control, now, slot, error)]

    def _tell(
        self, event: EventType, now: datetime, slot: PlannedSlot | None, error: ErrorDetail | None = None
    ) -> EventReported:
        if slot is None:
            return self._tell_of(event, now, None, None, None, error=error)
        return self._tell_of(event, now, slot.schedule_id, slot.sequence, slot.traceparent, slot_start=slot.start, error=error)

    def _tell_of(
        self,
        event: EventType,
        now: datetime,
        schedule_id: ScheduleId | str | None,
        sequence: int | None,
        traceparent: str | None,
        *,
        slot_start: datetime | None = None,
        error: ErrorDetail | None = None,
    ) -> EventReported:
        trace = self._trace(traceparent)
        message = ScheduleEvent(
            device_id=self._device_id,
            version=2,
            event=event,
            timestamp=now,
            schedule_id=schedule_id,  # type: ignore[arg-type]
            sequence=sequence,
            slot_start=slot_start,
            error=error,
            traceparent=trace.traceparent,
        )
        self._answers.push(message, trace)
        return EventReported(event=message)

    def expired(self, now: datetime, schedule_id: str, sequence: int, traceparent: str) -> EventReported:
        """Say that the horizon of a schedule passed before it was applied."""
        return self._tell_of(EventType.EXPIRED, now, schedule_id, sequence, traceparent)

    def _trace(self, traceparent: str | None) -> TraceContext:
        return TraceContext.parse(traceparent or "") or TraceContext.start(self._random_bytes)

    def _turn_to(self, slot: PlannedSlot | None, now: datetime) -> list[DeviceEvent]:
        """What changes for the battery when ``slot`` is the one in force."""
        before, given = self._told, _given(slot, now)
        self._told = before._replace(given=given, idle=slot is None)
        if slot is not None:
            return [SlotStarted(slot=slot, setpoint_w=slot.setpoint_w(now))] if given != before.given else []
        return [] if before.idle else [DefaultControl(since=now)]

    def next_deadline(self, now: datetime) -> datetime | None:
        """When :meth:`tick` has something to do next, if nothing arrives."""
        plan, reported = self.plan, self._store.reported()
        running, ended = _position(plan, self._store.running(), reported, now)
        if ended is not None or _given(running, now) != self._told.given:
            return now
        if plan.unreported(_taken(reported, [] if running is None else [running]), now):
            return now
        instants: list[datetime | None] = [plan.next_start(now)]
        if running is not None:
            instants += [at for at in (running.since, running.until, running.end) if at > now]
        return min((instant for instant in instants if instant is not None), default=None)

    def running_schedule(self) -> str | None:
        """The schedule whose slot is running."""
        running = self._store.running()
        return None if running is None else running.schedule_id


def _position(plan: Plan, running: PlannedSlot | None, reported: tuple[Span, ...], now: datetime) -> _Position:
    """What runs at ``now``, by the plan and by what ran before."""
    running = running and _as_planned(plan, running)
    if running is not None and now >= running.end:
        return _Position(_begin(plan, covered(reported, Span(running.start, running.end)), now), running)
    planned = plan.at(now)
    if running is None or now < running.start:
        return _Position(_begin(plan, reported, now))
    if planned is None:  # what ran was cut away
        return _Position(msgspec.structs.replace(running, until=min(running.until, now)))
    planned = _unreported(planned, reported, now)
    if planned.sequence == running.sequence:
        return _Position(
            msgspec.structs.replace(running, end=planned.end, until=min(running.until, planned.until, planned.end))
        )
    if planned.start <= running.start:
        return _Position(switched(planned, running, now))
    ended, rest = divided(running, planned.start)
    begun = _begin(plan, covered(reported, Span(ended.start, ended.end)), now)
    if begun is not None and begun.start == rest.start and rest.started_at is not None:
        begun = switched(begun, rest, now)
    return _Position(begun, ended)


def _as_planned(plan: Plan, running: PlannedSlot) -> PlannedSlot:
    """A running slot that ends where the plan's does.

    What was put into the plan behind its last reading is a slot of its own, also when nobody looked while that one was due.
    """
    planned = plan.at(max(running.start, running.seen_at or running.start))
    if planned is None or planned.sequence != running.sequence or planned.end >= running.end:
        return running
    return msgspec.structs.replace(running, end=planned.end, until=min(running.until, planned.end))


def _begin(plan: Plan, reported: tuple[Span, ...], now: datetime) -> PlannedSlot | None:
    """The slot to begin at ``now``: what of the planned one was not reported."""
    planned = plan.at(now)
    if planned is None:
        return None
    for left in free(Span(planned.start, planned.end), reported):
        if left.start <= now < left.end:
            since = min(max(planned.since, left.start), left.end)
            return msgspec.structs.replace(
                planned, start=left.start, end=left.end, since=since, until=min(planned.until, left.end)
            )
    return None


def _unreported(planned: PlannedSlot, reported: tuple[Span, ...], now: datetime) -> PlannedSlot:
    """A planned slot up to what was reported before the clock was set back."""
    end = min((span.start for span in reported if now < span.start < planned.end), default=planned.end)
    return msgspec.structs.replace(planned, end=end, since=min(planned.since, end), until=min(planned.until, end))


def _taken(reported: tuple[Span, ...], slots: list[PlannedSlot]) -> tuple[Span, ...]:
    for slot in slots:
        reported = covered(reported, Span(slot.start, slot.end))
    return reported


def _given(slot: PlannedSlot | None, now: datetime) -> tuple[datetime, str, int | None] | None:
    """What tells one instruction to the battery from the next."""
    return None if slot is None else (slot.start, slot.schedule_id, slot.setpoint_w(now))


def _control(reading: Reading, slot: PlannedSlot | None, now: datetime) -> EventType:
    """Whether the plan is followed, as far as a reading says."""
    if reading.trouble in _OVERRIDDEN:
        return EventType.OVERRIDDEN
    has_setpoint = slot is not None and slot.setpoint_w(now) is not None
    if has_setpoint and reading.trouble is not None and reading.trouble.error_class in _FALLBACK_CLASSES:
        return EventType.FALLBACK_ENTERED
    return EventType.FALLBACK_LEFT
