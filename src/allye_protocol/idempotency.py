"""The ledger: admitting a schedule once, however often it arrives, and taking it back once.

1. Two phases. :meth:`Ledger.admit` remembers the schedule and the answer RECEIVED in one transaction; :meth:`Ledger.settle`
   remembers how it ended. A crash in between leaves an entry that :meth:`Ledger.resume` hands out again.
2. A repetition gets the last answer again, unchanged, and has no other effect. So does a repeated cancel.
3. A failure that a retry can mend (by its code) leaves the id open: the next delivery is admitted again. Any other failure is
   final for the id, a refusal too: what was refused as too far ahead or beyond a limit is not taken up when the time or the
   limit has changed, because the cloud has given it up. A stale id needs no remembering, as it stays stale.
4. A cancelled id stays cancelled, also when the cancel came before its schedule.
5. An application that was begun three times and never settled has killed the process three times: it is quarantined.
6. The ledger is bounded: ids are forgotten ``policy.retention`` after their horizon's end, and no horizon begins further ahead
   than ``policy.max_ahead``; of ids that failed for good, the newest thousand are remembered. The high-water mark is kept for
   ever, so what was admitted and forgotten is stale, not new.
7. A dry run is answered like any other and changes neither the plan nor the high-water mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.admission import Case, Decision, Policy, Verdict, decide, decide_cancel
from allye_protocol.codec import JSON, MSGPACK
from allye_protocol.convert import decode, encode
from allye_protocol.digest import digest
from allye_protocol.errors import DecodeError, ErrorCode, Problem, RefusalError, StoreError
from allye_protocol.messages import Ack, AckStatus, Cancel, Clock, ErrorDetail, EventType, Kind, Schedule, ScheduleEvent
from allye_protocol.messages.v2 import MAX_HORIZON
from allye_protocol.plan import Layer, Plan
from allye_protocol.store.base import DeviceStore, Entry, EntryState

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.ids import DeviceId, ScheduleId

__all__ = ["MAX_ATTEMPTS", "Admission", "Arrival", "Cancellation", "Ledger", "Resumed", "failure_of"]

MAX_ATTEMPTS: Final = 3
"""A schedule whose application was begun this often and never settled is not begun again."""
MAX_SUPERSEDED: Final = 64


class Arrival(NamedTuple):
    """How a message came.

    :param payload: the bytes, and ``content_type``: their encoding.
    :param traceparent: the trace that the answer belongs to.
    :param now: the device's time.
    :param clock_trusted: whether ``now`` can be relied on.
    """

    payload: bytes
    content_type: str
    traceparent: str
    now: datetime
    clock_trusted: bool


class Admission(NamedTuple):
    """What became of an arriving schedule.

    :param decision: the verdict, and why where it was refused.
    :param answer: the acknowledgement to send.
    """

    decision: Decision
    answer: Ack


class Resumed(NamedTuple):
    """A schedule that was admitted before, with what is remembered of it."""

    entry: Entry
    schedule: Schedule


class Cancellation(NamedTuple):
    """What became of an arriving cancel.

    :param answer: the event to send.
    :param problem: why it was refused, if it was.
    :param cut: the schedules of which something was taken out of the plan.
    :param failed: the entries that were waiting to be applied and are FAILED now; their answers are to be sent.
    :param repeated: it came before, and nothing happened.
    """

    answer: ScheduleEvent
    problem: Problem | None = None
    cut: tuple[str, ...] = ()
    failed: tuple[Entry, ...] = ()
    repeated: bool = False


class Ledger:
    """What a device has admitted, over a store.

    :param device_id: whose.
    :param store: where it is remembered.
    :param policy: what the device admits, and how long it remembers.
    """

    def __init__(self, device_id: DeviceId, store: DeviceStore, policy: Policy) -> None:
        self._device_id: Final = device_id
        self._store: Final = store
        self._policy: Final = policy
        self._read: dict[str, Schedule] = {}

    def admit(self, schedule: Schedule, arrival: Arrival) -> Admission:
        """Decide on an arriving schedule, and remember it when it is admitted.

        :param schedule: decoded, and addressed to this device.
        :raises StoreError: nothing was remembered.
        """
        mark, now = digest(schedule), arrival.now
        with self._store.transaction():
            known, high_water = self._store.entry(schedule.schedule_id), self._store.high_water()
            case = Case(
                schedule=schedule,
                digest=mark,
                known=known,
                high_water=high_water,
                now=now,
                clock_trusted=arrival.clock_trusted,
                policy=self._policy,
            )
            decision = decide(case)
            if decision.verdict is Verdict.REPEAT and known is not None and known.answer is not None:
                return Admission(decision, known.answer)
            received = Ack(
                schedule_id=schedule.schedule_id,
                device_id=self._device_id,
                version=2,
                status=AckStatus.RECEIVED,
                timestamp=now,
                sequence=schedule.sequence,
                digest=mark,
                received_at=now,
                clock=Clock(synced=arrival.clock_trusted),
                traceparent=arrival.traceparent,
            )
            entry = Entry(
                schedule_id=schedule.schedule_id,
                digest=mark,
                sequence=schedule.sequence,
                end=schedule.end,
                state=EntryState.ADMITTED,
                attempts=1,
                traceparent=arrival.traceparent,
                answer=received,
            )
            if decision.problem is None:
                payload, content_type = _kept(schedule, arrival)
                self._store.put_entry(msgspec.structs.replace(entry, payload=payload, content_type=content_type))
                if not schedule.dry_run:
                    self._store.raise_high_water(schedule.sequence)
                self._read[schedule.schedule_id] = schedule
                return Admission(decision, received)
            answer = failure_of(received, now, decision.problem)
            if decision.problem.code is ErrorCode.ORDER_STALE:
                answer = msgspec.structs.replace(answer, sequence=high_water)
            if _to_be_remembered(known, mark, decision.problem):
                # A horizon that no admission would allow must not keep its id beyond the horizons that one does.
                end = min(schedule.end, now + self._policy.max_ahead)
                failed = msgspec.structs.replace(
                    entry, end=end, state=EntryState.FAILED, answer=answer, payload=b"", content_type=""
                )
                self._store.put_entry(failed)
        return Admission(decision, answer)

    def settle(self, schedule_id: str, now: datetime, problem: Problem | None = None) -> Resumed | None:
        """Remember how an admitted schedule ended. The plan of an applied one has it from now on.

        :param problem: why it failed; ``None`` when it was applied.
        :returns: the settled entry, whose ``answer`` is to be sent, with its schedule; ``None`` when it was settled before.
        :raises RefusalError: ``order.unknown_schedule`` for an id that was never admitted.
        :raises StoreError: nothing was remembered.
        """
        with self._store.transaction():
            entry = self._store.entry(schedule_id)
            if entry is None or entry.answer is None:
                raise RefusalError(ErrorCode.ORDER_UNKNOWN_SCHEDULE, f"no schedule {schedule_id} was admitted")
            if entry.state is not EntryState.ADMITTED:
                return None
            schedule = self._schedule(entry)
            if problem is not None:
                settled = self._fail(entry, now, problem)
            else:
                state = EntryState.OVER if schedule.dry_run else EntryState.APPLIED
                answer = msgspec.structs.replace(
                    entry.answer,
                    status=AckStatus.APPLIED,
                    timestamp=now,
                    applied_at=now,
                    superseded=() if schedule.dry_run else self._superseded_by(entry, schedule, now),
                )
                settled = msgspec.structs.replace(entry, state=state, answer=answer)
                if schedule.dry_run:
                    settled = _without_payload(settled)
                self._store.put_entry(settled)
        return Resumed(settled, schedule)

    def cancel(self, cancel: Cancel, arrival: Arrival) -> Cancellation:
        """Take back what a cancel names.

        :param cancel: decoded, and addressed to this device.
        :raises StoreError: nothing was taken back.
        """
        now = arrival.now
        with self._store.transaction():
            before = self._store.cancellation(cancel.sequence)
            if before is not None and before.schedule_id == cancel.schedule_id:  # another one with its sequence is stale
                return Cancellation(before, repeated=True)
            problem = decide_cancel(cancel, self._store.high_water(), now, self._policy, clock_trusted=arrival.clock_trusted)
            answer = ScheduleEvent(
                device_id=self._device_id,
                version=2,
                event=EventType.CANCELLED,
                timestamp=now,
                schedule_id=cancel.schedule_id,
                sequence=cancel.sequence,
                error=None if problem is None else ErrorDetail.of(problem),
                traceparent=arrival.traceparent,
            )
            if problem is not None:
                return Cancellation(answer, problem)
            begins = cancel.begins(now)
            cut, failed = self._cut(cancel.schedule_id, begins, now)
            if cancel.schedule_id is not None:
                self._bury(cancel.schedule_id, cancel, begins, arrival)
            self._store.raise_high_water(cancel.sequence)
            self._store.keep_cancellation(answer)
        return Cancellation(answer, cut=cut, failed=failed)

    def _cut(self, schedule_id: str | None, begins: datetime, now: datetime) -> tuple[tuple[str, ...], tuple[Entry, ...]]:
        """Cut what is applied or waits to be, and end what waits and has nothing left."""
        cut, failed = [], []
        for entry in (*self._store.applied(), *self._store.unsettled()):
            if (schedule_id is not None and entry.schedule_id != schedule_id) or entry.end <= begins:
                continue
            if entry.cut is not None and entry.cut <= begins:
                continue
            shorter = msgspec.structs.replace(entry, cut=begins)
            if entry.state is EntryState.ADMITTED and begins <= max(now, self._schedule(entry).start):
                message = "it was cancelled before it was applied"
                problem = Problem(code=ErrorCode.ORDER_CANCELLED, message=message)
                failed.append(self._fail(shorter, now, problem))
            else:
                self._store.put_entry(shorter)
                cut.append(entry.schedule_id)
        return tuple(cut), tuple(failed)

    def _bury(self, schedule_id: ScheduleId, cancel: Cancel, begins: datetime, arrival: Arrival) -> None:
        """Make an id unusable: one that was never seen by a tombstone, one that is open to a retry by a cut."""
        entry = self._store.entry(schedule_id)
        if entry is None:
            entry = Entry(
                schedule_id=schedule_id,
                digest="",
                sequence=cancel.sequence,
                end=arrival.now + self._policy.max_ahead + MAX_HORIZON,
                state=EntryState.TOMBSTONE,
                attempts=0,
                traceparent=arrival.traceparent,
            )
        elif entry.cut is None:
            entry = msgspec.structs.replace(entry, cut=begins)
        self._store.put_entry(entry)

    def resume(self) -> list[Resumed]:
        """After a start: every admitted schedule that is not settled, oldest first, with its attempt counted.

        An entry with more than :data:`MAX_ATTEMPTS` attempts is to be settled as ``internal.quarantined``, not applied.
        """
        resumed = []
        with self._store.transaction():
            for entry in self._store.unsettled():
                again = msgspec.structs.replace(entry, attempts=entry.attempts + 1)
                self._store.put_entry(again)
                resumed.append(Resumed(again, self._schedule(entry)))
        return resumed

    def plan(self) -> Plan:
        """The plan that the applied entries make."""
        entries = self._store.applied()
        layers = [Layer(entry, self._schedule(entry)) for entry in entries]
        self._read = {layer.schedule.schedule_id: layer.schedule for layer in layers}
        return Plan(layers)

    def started(self, schedule_id: str) -> bool:
        """Remember that the first slot of a schedule has begun; whether that is new."""
        entry = self._store.entry(schedule_id)
        if entry is None or entry.started:
            return False
        self._store.put_entry(msgspec.structs.replace(entry, started=True))
        return True

    def retire(self, schedule_id: str) -> None:
        """Nothing of an applied schedule is left to execute or report: keep its answer alone."""
        entry = self._store.entry(schedule_id)
        if entry is not None:
            self._store.put_entry(_without_payload(msgspec.structs.replace(entry, state=EntryState.OVER)))

    def prune(self, now: datetime) -> int:
        """Forget what ended more than the retention ago; returns how many entries went."""
        return self._store.prune(now - self._policy.retention)

    def _fail(self, entry: Entry, now: datetime, problem: Problem) -> Entry:
        assert entry.answer is not None  # noqa: S101 - an admitted entry has one
        state = EntryState.RETRY if problem.code.retryable else EntryState.FAILED
        failed = _without_payload(msgspec.structs.replace(entry, state=state, answer=failure_of(entry.answer, now, problem)))
        self._store.put_entry(failed)
        return failed

    def _superseded_by(self, entry: Entry, schedule: Schedule, now: datetime) -> tuple[ScheduleId, ...]:
        """The applied schedules of which nothing is left in the plan once ``schedule`` is in it."""
        others = [Layer(other, self._schedule(other)) for other in self._store.applied()]
        if not others:
            return ()
        plan = Plan([*others, Layer(entry, schedule)])
        gone = [layer for layer in others if now < layer.ends and (plan.last_instant(layer) or now) <= now]
        return tuple(layer.schedule.schedule_id for layer in gone[:MAX_SUPERSEDED])

    def _schedule(self, entry: Entry) -> Schedule:
        read = self._read.get(entry.schedule_id)
        if read is not None and read.sequence == entry.sequence:
            return read
        try:
            schedule = decode(entry.payload, Kind.SCHEDULE, entry.content_type)
        except DecodeError as error:
            message = f"the stored schedule {entry.schedule_id} cannot be read ({error}): move the store away"
            raise StoreError(ErrorCode.STORE_CORRUPT, message) from error
        assert isinstance(schedule, Schedule)  # noqa: S101 - the registry says so; for the type checker
        return schedule


def failure_of(answer: Ack, now: datetime, problem: Problem) -> Ack:
    """An answer turned into FAILED."""
    return msgspec.structs.replace(
        answer,
        status=AckStatus.FAILED,
        timestamp=now,
        applied_at=None,
        error=ErrorDetail.of(problem),
        retryable=problem.code.retryable,
    )


def _kept(schedule: Schedule, arrival: Arrival) -> tuple[bytes, str]:
    """What is stored of a schedule: its bytes as they came, unless an encoding that may be gone tomorrow has to read them."""
    if arrival.content_type in (JSON, MSGPACK):
        return arrival.payload, arrival.content_type
    return encode(schedule, MSGPACK), MSGPACK


def _without_payload(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, payload=b"", content_type="")


def _to_be_remembered(known: Entry | None, mark: str, problem: Problem) -> bool:
    if problem.code.retryable or (known is not None and (known.digest != mark or known.cut is not None)):
        return False
    return known is not None or problem.code is not ErrorCode.ORDER_STALE
