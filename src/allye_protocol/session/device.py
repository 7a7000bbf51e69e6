"""A device's side of the protocol as a machine: frames, readings and the time in; events and frames out.

1. It reads no clock, opens nothing and waits for nothing. Every method takes ``now``; :meth:`DeviceSession.next_deadline` says
   when :meth:`DeviceSession.tick` wants to be called.
2. :meth:`DeviceSession.receive` never raises for what a peer sent. When it returns, everything that follows from the message is
   on disk, and the transport may acknowledge it. It raises :class:`~allye_protocol.errors.StoreError`, and nothing else, when
   the store could not keep it: then the message must not be acknowledged.
3. What is to be sent leaves through the outbox, oldest first, and stays there until the broker has taken it. What a peer sends
   can neither fill it nor cost a result: answers to what cannot be read are limited to so many a minute, and give way first.
4. A session that is built again over the same store goes on where the last one was.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol import topics
from allye_protocol.admission import Policy, Verdict
from allye_protocol.codec import decode
from allye_protocol.codec.peek import peek
from allye_protocol.errors import DecodeError, ErrorCode, Problem, StoreError, TopicError
from allye_protocol.events import (
    DefaultControl,
    DeviceEvent,
    ScheduleAdmitted,
    ScheduleRefused,
    ScheduleRepeated,
    ScheduleSettled,
    SecurityAlert,
    SlotEnded,
    SlotStarted,
)
from allye_protocol.execution import judge, merge, read_meter, result_of
from allye_protocol.idempotency import MAX_ATTEMPTS, Ledger
from allye_protocol.messages import Hello, Kind, Schedule
from allye_protocol.messages.registry import CHANNEL_OF
from allye_protocol.session.answers import Answers, is_over
from allye_protocol.session.sending import Sending
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from allye_protocol.frame import Frame
    from allye_protocol.store.base import DeviceStore, PlannedSlot

__all__ = ["DeviceConfig", "DeviceSession", "Outgoing", "Reading"]

MAX_READING_DELAY: Final = timedelta(seconds=5)
"""A reading taken later than this after a slot's end says nothing about the slot."""
ALERT_INTERVAL: Final = timedelta(seconds=60)
PRUNE_INTERVAL: Final = timedelta(hours=6)


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a device session needs to know of its device.

    :param hello: who the device is, what it speaks and what it can do.
    :param policy: what it admits; its power limits are the device's own.
    :param root: the topics' root.
    :param hold: for how long the battery obeys a setpoint that is not refreshed.
    """

    hello: Hello
    policy: Policy
    root: str = topics.DEFAULT_ROOT
    hold: timedelta = timedelta(seconds=60)


class Reading(NamedTuple):
    """What the battery's counters say.

    :param meter_wh: net energy at the AC terminals, Wh: charged less discharged, since whenever; ``None`` while the battery
        cannot be read, and ``trouble`` says why.
    :param trouble: what keeps the battery from its setpoint at the moment, if anything.
    """

    meter_wh: float | None
    trouble: ErrorCode | None = None


class Outgoing(NamedTuple):
    """A frame from the outbox, and the number to name it by in :meth:`DeviceSession.sent`."""

    number: int
    frame: Frame


class DeviceSession:
    """The protocol of one device.

    :param config: the device.
    :param store: where it remembers.
    :param random_bytes: where trace ids come from; ``os.urandom`` outside tests.
    :raises EncodeError: for a hello that no peer would accept.

    Every ``now`` is the device's time with its offset: one without raises ``ValueError``.
    """

    def __init__(self, config: DeviceConfig, store: DeviceStore, *, random_bytes: RandomBytes) -> None:
        self._config: Final = config
        self._device_id: Final = config.hello.device_id
        self._store: Final = store
        self._ledger: Final = Ledger(store, config.policy)
        self._random_bytes: Final = random_bytes
        self._rated_w: Final = max(config.hello.capabilities.max_charge_w, config.hello.capabilities.max_discharge_w)
        self._answers: Final = Answers(self._device_id, config.root, store, random_bytes)
        self._hello: Final = self._answers.frame(config.hello, None)
        self._sending: Final = Sending(store)
        self._clock_trusted = True
        self._running: tuple[datetime, str] | None = None
        self._idle = False
        self._alerted_at: datetime | None = None
        self._pruned_at: datetime | None = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        return (topics.build(self._device_id, CHANNEL_OF[Kind.SCHEDULE], self._config.root),)

    def hello(self) -> Frame:
        """What to publish, retained, on every connection, before anything else."""
        return self._hello

    def resume(self, now: datetime) -> list[DeviceEvent]:
        """After a start: take up what a restart interrupted.

        :raises StoreError: nothing was taken up; try again.
        """
        _check(now)
        events: list[DeviceEvent] = []
        with self._store.transaction():  # all of it: an attempt that the store let down must not count as one that was begun
            for entry, schedule in self._ledger.resume():
                if entry.attempts > MAX_ATTEMPTS:
                    message = f"applying it ended the process {MAX_ATTEMPTS} times; it is not tried again"
                    events += self.failed(entry.schedule_id, Problem(code=ErrorCode.INTERNAL_QUARANTINED, message=message), now)
                else:
                    events.append(ScheduleAdmitted(schedule=schedule, trace_id=entry.trace_id, attempt=entry.attempts))
        return events

    def receive(self, frame: Frame, now: datetime, *, clock_trusted: bool = True) -> list[DeviceEvent]:
        """Take a message from the broker.

        :param frame: the message.
        :param now: the device's time, UTC.
        :param clock_trusted: whether ``now`` can be relied on.
        :raises StoreError: nothing was stored; do not acknowledge the message, and hand it in again later.
        """
        _check(now)
        try:
            topic = topics.parse(frame.topic, self._config.root)
        except TopicError as error:
            return self._refuse(frame, error.problem, now)
        if topic.device_id != self._device_id:
            return self._alert(frame, f"the topic names device {topic.device_id}", now)
        if topic.channel is not CHANNEL_OF[Kind.SCHEDULE]:
            message = f"this device takes nothing on channel {topic.channel}"
            return self._refuse(frame, Problem(code=ErrorCode.MESSAGE_UNKNOWN_KIND, message=message), now)
        try:
            schedule = decode(frame.payload, Kind.SCHEDULE, frame.content_type)
        except DecodeError as error:
            named = peek(frame.payload).device_id
            if named is not None and named != self._device_id:
                return self._alert(frame, f"the message names device {named}", now)
            return self._refuse(frame, error.problem, now)
        assert isinstance(schedule, Schedule)  # noqa: S101 - the registry says so; for the type checker
        if schedule.device_id != self._device_id:
            return self._alert(frame, f"the message names device {schedule.device_id}", now)
        return self._admit(frame, schedule, now, clock_trusted=clock_trusted)

    def _admit(self, frame: Frame, schedule: Schedule, now: datetime, *, clock_trusted: bool) -> list[DeviceEvent]:
        trace = TraceContext.from_frame(frame, self._random_bytes, schedule.trace_id)
        with self._store.transaction():
            decision, answer = self._ledger.admit(schedule, now, clock_trusted=clock_trusted, trace_id=trace.trace_id)
            own = answer.trace_id == trace.trace_id  # a repeated answer belongs to the trace that its body names
            self._answers.push(answer, trace if own else TraceContext.start(self._random_bytes, answer.trace_id))
        if decision.problem is not None:
            return [ScheduleRefused(reference=schedule.schedule_id, problem=decision.problem, trace_id=trace.trace_id)]
        if decision.verdict is Verdict.REPEAT:
            return [ScheduleRepeated(schedule_id=schedule.schedule_id, trace_id=trace.trace_id)]
        return [ScheduleAdmitted(schedule=schedule, trace_id=trace.trace_id, attempt=1)]

    def applied(self, schedule_id: str, now: datetime) -> list[DeviceEvent]:
        """The battery is armed for an admitted schedule: put its slots in force and answer APPLIED.

        :raises RefusalError: ``order.unknown_schedule``.
        :raises StoreError: nothing changed; call again.
        """
        return self._settle(schedule_id, now, None)

    def failed(self, schedule_id: str, problem: Problem, now: datetime) -> list[DeviceEvent]:
        """The battery cannot take an admitted schedule: answer FAILED; the plan in force stays.

        :param problem: why. A retryable code leaves the id open for the cloud's next delivery.
        :raises RefusalError: ``order.unknown_schedule``.
        :raises StoreError: nothing changed; call again.
        """
        return self._settle(schedule_id, now, problem)

    def _settle(self, schedule_id: str, now: datetime, problem: Problem | None) -> list[DeviceEvent]:
        _check(now)
        with self._store.transaction():
            settled = self._ledger.settle(schedule_id, now, problem)
            if settled is None:
                return []
            entry, schedule = settled
            if problem is None:
                planned = self._store.slots(schedule.start, schedule.end)
                self._store.put_slots(merge(schedule, planned, now, entry.trace_id))
            self._answers.push(entry.answer, TraceContext.start(self._random_bytes, entry.trace_id))
        status = entry.answer.status
        return [ScheduleSettled(schedule_id=schedule_id, status=status, problem=problem, trace_id=entry.trace_id)]

    def tick(self, now: datetime, reading: Reading | None, *, clock_trusted: bool = True) -> list[DeviceEvent]:
        """Let time pass: end and report slots that are over, begin the one that is due.

        Call it at :meth:`next_deadline`, after :meth:`applied`, and whenever the battery is read; every reading counts for the
        slot's coverage.

        :param now: the device's time.
        :param reading: the battery's counters just now; ``None`` when nobody looked.
        :param clock_trusted: whether ``now`` can be relied on. While it cannot, no slot begins or ends and the default control
            applies.
        :raises StoreError: nothing changed; call again, after a pause: :meth:`next_deadline` asks for it at once.
        """
        _check(now)
        self._clock_trusted = clock_trusted
        if not clock_trusted:
            return self._turn_to(None, now)
        to_prune = is_over(self._pruned_at, PRUNE_INTERVAL, now)
        with self._store.transaction():
            ended: list[DeviceEvent] = [self._end(slot, now, reading) for slot in self._store.unreported(now)]
            current = self._open_slot_at(now)
            if current is not None and reading is not None:
                current = read_meter(current, now, reading.meter_wh, self._config.hold, reading.trouble)
                self._store.put_slots([current])
            if to_prune:
                self._ledger.prune(now)
        if to_prune:
            self._pruned_at = now
        return ended + self._turn_to(current, now)

    def _open_slot_at(self, now: datetime) -> PlannedSlot | None:
        """The slot to be executed at ``now``: one that was reported is over, whatever a clock that was set back says."""
        slot = self._store.slot_at(now)
        return None if slot is None or slot.reported else slot

    def _end(self, slot: PlannedSlot, now: datetime, reading: Reading | None) -> SlotEnded:
        if slot.started_at is not None and reading is not None and now - slot.end <= MAX_READING_DELAY:
            slot = read_meter(slot, now, reading.meter_wh, self._config.hold, reading.trouble)
        judgement = judge(slot, self._rated_w)
        result = result_of(slot, judgement, self._device_id, now)
        slot = msgspec.structs.replace(slot, reported=True)
        self._store.put_slots([slot])
        self._answers.push(result, TraceContext.start(self._random_bytes, slot.trace_id))
        return SlotEnded(slot=slot, judgement=judgement, result=result)

    def _turn_to(self, slot: PlannedSlot | None, now: datetime) -> list[DeviceEvent]:
        """What changes for the battery when ``slot`` is the one in force."""
        running = _run_of(slot)
        if slot is not None and running != self._running:
            self._running, self._idle = running, False
            return [SlotStarted(slot=slot)]
        self._running = running
        if slot is None and not self._idle:
            self._idle = True
            return [DefaultControl(since=now)]
        return []

    def next_deadline(self, now: datetime) -> datetime | None:
        """When :meth:`tick` or :meth:`frames_to_send` has something to do next, if nothing arrives."""
        _check(now)
        instants: list[datetime | None] = [self._sending.next_deadline()]
        if self._clock_trusted:
            if self._store.unreported(now):
                return now
            slot, following = self._open_slot_at(now), self._store.next_slot(now)
            if _run_of(slot) != self._running:
                return now  # a plan that came in mid-slot, or a clock that was set: no tick has turned to it yet
            instants += [None if slot is None else slot.end, None if following is None else following.start]
        return min((instant for instant in instants if instant is not None), default=None)

    def frames_to_send(self, now: datetime, limit: int = 20) -> list[Outgoing]:
        """The oldest frames of the outbox that are not under way, so that at most ``limit`` are.

        Call :meth:`sent` with the number when the broker has taken a frame, :meth:`not_sent` when it refused it, and
        :meth:`disconnected` when the connection ends. A frame that was refused lets those behind it pass while it waits.

        :raises StoreError: the outbox cannot be read.
        """
        _check(now)
        return [Outgoing(row.number, self._answers.framed(row)) for row in self._sending.offer(now, limit)]

    def sent(self, number: int) -> None:
        """The broker has taken a frame: forget it.

        :raises StoreError: it stays in the store for now and is not sent again by this session. After a restart it may be; the
            cloud drops the repetition.
        """
        self._sending.taken(number)

    def not_sent(self, number: int, now: datetime) -> None:
        """The broker refused a frame: try again in a minute. Nothing is changed by a number that is not under way."""
        _check(now)
        self._sending.refused(number, now)

    def disconnected(self) -> None:
        """The connection is gone: what was under way is to be sent again."""
        self._sending.disconnected()

    def store_failure(self, frame: Frame, error: StoreError, now: datetime) -> Frame:
        """The answer to a message that could not be stored, to be published once, outside the outbox."""
        _check(now)
        return self._answers.store_failure(frame, error.problem, now)

    def _refuse(self, frame: Frame, problem: Problem, now: datetime) -> list[DeviceEvent]:
        """Keep the head of what could not be read, and answer FAILED unless too many were answered just now."""
        reference, trace = self._answers.refuse(frame, problem, now)
        return [ScheduleRefused(reference=reference, problem=problem, trace_id=trace.trace_id)]

    def _alert(self, frame: Frame, what: str, now: datetime) -> list[DeviceEvent]:
        """A message for another device: said on this device's own topic only, at most once a minute."""
        problem = Problem(code=ErrorCode.MESSAGE_WRONG_DEVICE, message=f"{what}; this is {self._device_id}")
        if is_over(self._alerted_at, ALERT_INTERVAL, now):
            self._answers.refuse(frame, problem, now)
            self._alerted_at = now
        return [SecurityAlert(topic=frame.topic, problem=problem)]


def _check(now: datetime) -> None:
    if now.tzinfo is None:
        raise ValueError(f"now is {now.isoformat()} without an offset; give an aware datetime, in UTC")


def _run_of(slot: PlannedSlot | None) -> tuple[datetime, str] | None:
    """What tells one execution of a slot from the next: a newer schedule's setpoint for the same slot is another one."""
    return None if slot is None else (slot.start, slot.schedule_id)
