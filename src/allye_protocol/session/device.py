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

from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol import topics
from allye_protocol.admission import Policy, Verdict
from allye_protocol.errors import ErrorCode, Problem, StoreError
from allye_protocol.events import (
    DeviceEvent,
    ScheduleAdmitted,
    ScheduleCancelled,
    ScheduleRefused,
    ScheduleRepeated,
    ScheduleSettled,
)
from allye_protocol.execution import Reading, known_pct
from allye_protocol.idempotency import MAX_ATTEMPTS, Arrival, Ledger
from allye_protocol.messages import BatteryState, Cancel, Clock, DeviceStatus, Hello, Schedule
from allye_protocol.messages.registry import NEWEST
from allye_protocol.messages.v2.fields import MAX_OFFSET_MS, MAX_WATTS
from allye_protocol.session.answers import Answers
from allye_protocol.session.executing import Executing
from allye_protocol.session.instants import check_aware, is_over
from allye_protocol.session.reception import Heard, Reception
from allye_protocol.session.sending import Sending
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_protocol.frame import Frame
    from allye_protocol.negotiation import Agreement
    from allye_protocol.plan import Plan
    from allye_protocol.signing import FrameVerifier
    from allye_protocol.store.base import DeviceStore, Entry, OutboxRow

__all__ = ["DeviceConfig", "DeviceSession", "Outgoing", "Reading"]

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


class Outgoing(NamedTuple):
    """A frame from the outbox, and the number to name it by in :meth:`DeviceSession.sent`."""

    number: int
    frame: Frame


class DeviceSession:
    """The protocol of one device.

    :param config: the device.
    :param store: where it remembers.
    :param random_bytes: where trace ids come from; ``os.urandom`` outside tests.
    :param verifier: what signatures of schedules and cancels are checked by; ``None`` checks none.
    :raises EncodeError: for a hello that no peer would accept.

    Every ``now`` is the device's time with its offset: one without raises ``ValueError``.
    """

    def __init__(
        self,
        config: DeviceConfig,
        store: DeviceStore,
        *,
        random_bytes: RandomBytes,
        verifier: FrameVerifier | None = None,
    ) -> None:
        self._config: Final = config
        self._device_id: Final = config.hello.device_id
        self._store: Final = store
        self._ledger: Final = Ledger(self._device_id, store, config.policy)
        self._random_bytes: Final = random_bytes
        self._answers: Final = Answers(config.hello, config.root, store, random_bytes)
        self._executing: Final = Executing(
            self._device_id,
            store,
            self._ledger,
            self._answers,
            rated_w=max(config.hello.capabilities.max_charge_w, config.hello.capabilities.max_discharge_w),
            hold=config.hold,
            random_bytes=random_bytes,
        )
        self._reception: Final = Reception(config.hello, config.root, self._answers, random_bytes, verifier)
        self._hello: Final = self._answers.frame(config.hello)
        self._sending: Final = Sending(store)
        self._clock_trusted = True
        self._pruned_at: datetime | None = None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        return topics.device_filters(self._device_id, self._config.root, version=max(self._config.hello.versions))

    @property
    def plan(self) -> Plan:
        """The plan in force: which slot is executed when."""
        return self._executing.plan

    @property
    def agreement(self) -> Agreement:
        """How the cloud is spoken to."""
        return self._answers.agreement

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything inside is stored together or not at all, and what is held in memory goes back when it is not."""
        told = self._executing.told
        try:
            with self._store.transaction():
                yield
        except BaseException:
            self._executing.undone(told)
            self._answers.agreement_changed()
            raise

    def hello(self) -> Frame:
        """What to publish, retained, on every connection, before anything else."""
        return self._hello

    def status(
        self,
        now: datetime,
        *,
        online: bool = True,
        power_w: int | None = None,
        soc_pct: float | None = None,
        state: BatteryState | None = None,
        clock_offset_ms: float | None = None,
    ) -> Frame | None:
        """What to publish, retained, on every connection after :meth:`hello`, and when something changes.

        With ``online=False`` it is the last will that the broker is given.

        A figure that makes no sense is left out: it stops no status.

        :param power_w: power at the AC terminals, W, positive charges; ``soc_pct``: state of charge, %, as it is read.
        :param state: the battery's state.
        :param clock_offset_ms: how far the clock is ahead of its reference, ms, where that is known.
        :returns: ``None`` for a device that speaks version 1 only, which has no status.
        :raises StoreError: the running slot cannot be read.
        """
        check_aware(now)
        if NEWEST not in self._config.hello.versions:
            return None
        running = self._executing.running_schedule() if online else None
        offset_ms = clock_offset_ms if clock_offset_ms is not None and abs(clock_offset_ms) <= MAX_OFFSET_MS else None
        message = DeviceStatus(
            device_id=self._device_id,
            version=2,
            online=online,
            timestamp=now,
            power_w=power_w if power_w is not None and abs(power_w) <= MAX_WATTS else None,
            soc_pct=known_pct(soc_pct),
            state=state,
            schedule_id=running,  # type: ignore[arg-type]
            clock=Clock(synced=self._clock_trusted, offset_ms=offset_ms),
        )
        return self._answers.frame(message)

    def resume(self, now: datetime) -> list[DeviceEvent]:
        """After a start: take up what a restart interrupted.

        :raises StoreError: nothing was taken up; try again.
        """
        check_aware(now)
        events: list[DeviceEvent] = []
        with self._transaction():  # all of it: an attempt that the store let down must not count as one that was begun
            for entry, schedule in self._ledger.resume():
                if entry.attempts > MAX_ATTEMPTS:
                    message = f"applying it ended the process {MAX_ATTEMPTS} times; it is not tried again"
                    events += self.failed(entry.schedule_id, Problem(code=ErrorCode.INTERNAL_QUARANTINED, message=message), now)
                elif schedule.end <= now:
                    message = "its horizon passed before it was applied"
                    events += self.failed(entry.schedule_id, Problem(code=ErrorCode.TIME_EXPIRED, message=message), now)
                    events.append(self._executing.expired(now, entry.schedule_id, entry.sequence, entry.traceparent))
                else:
                    trace_id = _trace_id(entry.traceparent)
                    events.append(ScheduleAdmitted(schedule=schedule, trace_id=trace_id, attempt=entry.attempts))
        return events

    def receive(self, frame: Frame, now: datetime, *, clock_trusted: bool = True) -> list[DeviceEvent]:
        """Take a message from the broker.

        :param frame: the message.
        :param now: the device's time, UTC.
        :param clock_trusted: whether ``now`` can be relied on.
        :raises StoreError: nothing was stored; do not acknowledge the message, and hand it in again later.
        """
        check_aware(now)
        heard = self._reception.read(frame, now, clock_trusted=clock_trusted)
        if not isinstance(heard, Heard):
            return heard
        message, agreement, trace = heard
        arrival = Arrival(frame.payload, agreement.content_type, trace.traceparent, now, clock_trusted)
        with self._transaction():
            self._answers.hear(agreement)
            if isinstance(message, Cancel):
                return self._cancel(message, arrival, trace)
            return self._admit(message, arrival, trace)

    def _admit(self, schedule: Schedule, arrival: Arrival, trace: TraceContext) -> list[DeviceEvent]:
        decision, answer = self._ledger.admit(schedule, arrival)
        if decision.verdict is Verdict.REPEAT:
            own = answer.trace_id == trace.trace_id  # a repeated answer belongs to the trace that its body names
            self._answers.push(answer, trace if own else TraceContext.start(self._random_bytes, answer.trace_id))
            return [ScheduleRepeated(schedule_id=schedule.schedule_id, trace_id=trace.trace_id)]
        self._answers.push(answer, trace)
        if decision.problem is not None:
            return [ScheduleRefused(reference=schedule.schedule_id, problem=decision.problem, trace_id=trace.trace_id)]
        return [ScheduleAdmitted(schedule=schedule, trace_id=trace.trace_id, attempt=1)]

    def _cancel(self, cancel: Cancel, arrival: Arrival, trace: TraceContext) -> list[DeviceEvent]:
        taken = self._ledger.cancel(cancel, arrival)
        self._executing.plan_changed()
        events: list[DeviceEvent] = []
        for entry in taken.failed:
            events += self._settled(
                entry, Problem(code=ErrorCode.ORDER_CANCELLED, message="it was cancelled before it was applied")
            )
        self._answers.push(taken.answer, trace)
        if taken.problem is not None:
            reference = cancel.schedule_id or str(cancel.sequence)
            return [ScheduleRefused(reference=reference, problem=taken.problem, trace_id=trace.trace_id)]
        cancelled = ScheduleCancelled(cancel=cancel, cut=taken.cut, repeated=taken.repeated, trace_id=trace.trace_id)
        return [*events, cancelled]

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
        check_aware(now)
        with self._transaction():
            settled = self._ledger.settle(schedule_id, now, problem)
            if settled is None:
                return []
            self._executing.plan_changed()
            return self._settled(settled.entry, problem)

    def _settled(self, entry: Entry, problem: Problem | None) -> list[DeviceEvent]:
        """Say how an entry ended."""
        assert entry.answer is not None  # noqa: S101 - a settled entry has one
        trace = TraceContext.parse(entry.traceparent) or TraceContext.start(self._random_bytes)
        self._answers.push(entry.answer, trace)
        return [
            ScheduleSettled(schedule_id=entry.schedule_id, status=entry.answer.status, problem=problem, trace_id=trace.trace_id)
        ]

    def tick(self, now: datetime, reading: Reading | None, *, clock_trusted: bool = True) -> list[DeviceEvent]:
        """Let time pass: end and report slots that are over, begin the one that is due.

        Call it at :meth:`next_deadline`, after :meth:`applied` and a cancel, and whenever the battery is read; every reading
        counts for the slot's coverage.

        :param now: the device's time.
        :param reading: the battery's counters just now; ``None`` when nobody looked.
        :param clock_trusted: whether ``now`` can be relied on. While it cannot, no slot begins or ends and the default control
            applies.
        :raises StoreError: nothing changed; call again, after a pause: :meth:`next_deadline` asks for it at once.
        """
        check_aware(now)
        self._clock_trusted = clock_trusted
        if not clock_trusted:
            with self._transaction():
                return self._executing.distrust(now)
        to_prune = is_over(self._pruned_at, PRUNE_INTERVAL, now)
        with self._transaction():
            events = self._executing.tick(now, reading)
            if to_prune:
                self._ledger.prune(now)
        if to_prune:
            self._pruned_at = now
        return events

    def next_deadline(self, now: datetime) -> datetime | None:
        """When :meth:`tick` or :meth:`frames_to_send` has something to do next, if nothing arrives."""
        check_aware(now)
        sending = self._sending.next_deadline()
        executing = self._executing.next_deadline(now) if self._clock_trusted else None
        return min((instant for instant in (sending, executing) if instant is not None), default=None)

    def frames_to_send(self, now: datetime, limit: int = 20) -> list[Outgoing]:
        """The oldest frames of the outbox that are not under way, so that at most ``limit`` are.

        Call :meth:`sent` with the number when the broker has taken a frame, :meth:`not_sent` when it refused it, and
        :meth:`disconnected` when the connection ends. A frame that was refused lets those behind it pass while it waits.

        :raises StoreError: the outbox cannot be read.
        """
        check_aware(now)
        agreement = self._answers.agreement  # before anything is offered: what is offered and not returned would stay under way
        outgoing: list[Outgoing] = []
        rows = self._sending.offer(now, limit)
        while rows:
            unsaid = [row.number for row in rows if not self._frame(row, agreement, outgoing)]
            rows = []
            for number in unsaid:
                with suppress(StoreError):
                    self._sending.taken(number)
            if unsaid:  # they leave room to what comes behind; where that cannot be read, it is for the next call
                with suppress(StoreError):
                    rows = self._sending.offer(now, limit)
        return outgoing

    def _frame(self, row: OutboxRow, agreement: Agreement, outgoing: list[Outgoing]) -> bool:
        """Make a frame of a row, unless the cloud has no message for it any more; whether it has."""
        frame = self._answers.framed(row, agreement)
        if frame is not None:
            outgoing.append(Outgoing(row.number, frame))
        return frame is not None

    def sent(self, number: int) -> None:
        """The broker has taken a frame: forget it.

        :raises StoreError: it stays in the store for now and is not sent again by this session. After a restart it may be; the
            cloud drops the repetition.
        """
        self._sending.taken(number)

    def not_sent(self, number: int, now: datetime) -> None:
        """The broker refused a frame: try again in a minute. Nothing is changed by a number that is not under way."""
        check_aware(now)
        self._sending.refused(number, now)

    def disconnected(self) -> None:
        """The connection is gone: what was under way is to be sent again."""
        self._sending.disconnected()

    def store_failure(self, frame: Frame, error: StoreError, now: datetime) -> Frame:
        """The answer to a message that could not be stored, to be published once, outside the outbox."""
        check_aware(now)
        return self._answers.store_failure(frame, error.problem, now)


def _trace_id(traceparent: str) -> str:
    trace = TraceContext.parse(traceparent)
    return "" if trace is None else trace.trace_id
