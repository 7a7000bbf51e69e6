"""The ledger: admitting a schedule once, however often it arrives.

1. Two phases. :meth:`Ledger.admit` remembers the schedule and the answer RECEIVED in one transaction; :meth:`Ledger.settle`
   remembers how it ended. A crash in between leaves an entry that :meth:`Ledger.resume` hands out again.
2. A repetition gets the last answer again, unchanged, and has no other effect.
3. A failure that a retry can mend (by its code) leaves the id open: the next delivery is admitted again. Any other failure is
   final for the id, a refusal too: what was refused as too far ahead or beyond a limit is not taken up when the time or the
   limit has changed, because the cloud has given it up. A stale id needs no remembering, as it stays stale.
4. An application that was begun three times and never settled has killed the process three times: it is quarantined.
5. The ledger is bounded: ids are forgotten ``policy.retention`` after their horizon's end, and no horizon begins further ahead
   than ``policy.max_ahead``; of ids that failed for good, the newest thousand are remembered. The high-water mark is kept for
   ever, so what was admitted and forgotten is stale, not new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.admission import Case, Decision, Policy, Verdict, decide
from allye_protocol.codec import decode, encode
from allye_protocol.digest import digest
from allye_protocol.errors import DecodeError, ErrorCode, Problem, RefusalError, StoreError
from allye_protocol.messages import Ack, AckStatus, Kind, Schedule
from allye_protocol.store.base import DeviceStore, Entry, EntryState

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MAX_ATTEMPTS", "Admission", "Ledger", "Resumed"]

MAX_ATTEMPTS: Final = 3
"""A schedule whose application was begun this often and never settled is not begun again."""


class Admission(NamedTuple):
    """What became of an arriving schedule.

    :param decision: the verdict, and why where it was refused.
    :param answer: the acknowledgement to send.
    """

    decision: Decision
    answer: Ack


class Resumed(NamedTuple):
    """A schedule that was admitted before a restart and has not been settled."""

    entry: Entry
    schedule: Schedule


class Ledger:
    """What a device has admitted, over a store.

    :param store: where it is remembered.
    :param policy: what the device admits, and how long it remembers.
    """

    def __init__(self, store: DeviceStore, policy: Policy) -> None:
        self._store: Final = store
        self._policy: Final = policy

    def admit(self, schedule: Schedule, now: datetime, *, clock_trusted: bool, trace_id: str) -> Admission:
        """Decide on an arriving schedule, and remember it when it is admitted.

        :param schedule: decoded, and addressed to this device.
        :param now: the device's time.
        :param clock_trusted: whether ``now`` can be relied on.
        :param trace_id: the trace that the answer carries.
        :raises StoreError: nothing was remembered.
        """
        mark = digest(schedule)
        with self._store.transaction():
            known = self._store.entry(schedule.schedule_id)
            case = Case(
                schedule=schedule,
                digest=mark,
                known=known,
                high_water=self._store.high_water(),
                now=now,
                clock_trusted=clock_trusted,
                policy=self._policy,
            )
            decision = decide(case)
            if decision.verdict is Verdict.REPEAT and known is not None:
                return Admission(decision, known.answer)
            received = Ack(
                schedule_id=schedule.schedule_id,
                device_id=schedule.device_id,
                status=AckStatus.RECEIVED,
                timestamp=now,
                trace_id=trace_id,
            )
            entry = Entry(
                schedule_id=schedule.schedule_id,
                digest=mark,
                generated_at=schedule.generated_at,
                end=schedule.end,
                state=EntryState.ADMITTED,
                attempts=1,
                trace_id=trace_id,
                answer=received,
            )
            if decision.problem is None:
                self._store.put_entry(msgspec.structs.replace(entry, payload=encode(schedule)))
                self._store.raise_high_water(schedule.generated_at)
                return Admission(decision, received)
            answer = _final_answer(received, now, decision.problem)
            if _to_be_remembered(known, mark, decision.problem):
                # A horizon that no admission would allow must not keep its id beyond the horizons that one does.
                end = min(schedule.end, now + self._policy.max_ahead)
                self._store.put_entry(msgspec.structs.replace(entry, end=end, state=EntryState.FAILED, answer=answer))
        return Admission(decision, answer)

    def settle(self, schedule_id: str, now: datetime, problem: Problem | None = None) -> Resumed | None:
        """Remember how an admitted schedule ended.

        :param problem: why it failed; ``None`` when it was applied.
        :returns: the settled entry, whose ``answer`` is to be sent, with its schedule; ``None`` when it was settled before.
        :raises RefusalError: ``order.unknown_schedule`` for an id that was never admitted.
        :raises StoreError: nothing was remembered.
        """
        with self._store.transaction():
            entry = self._store.entry(schedule_id)
            if entry is None:
                raise RefusalError(ErrorCode.ORDER_UNKNOWN_SCHEDULE, f"no schedule {schedule_id} was admitted")
            if entry.state is not EntryState.ADMITTED:
                return None
            schedule = _schedule(entry)
            settled = msgspec.structs.replace(
                entry, state=_state(problem), answer=_final_answer(entry.answer, now, problem), payload=b""
            )
            self._store.put_entry(settled)
        return Resumed(settled, schedule)

    def resume(self) -> list[Resumed]:
        """After a start: every admitted schedule that is not settled, oldest first, with its attempt counted.

        An entry with more than :data:`MAX_ATTEMPTS` attempts is to be settled as ``internal.quarantined``, not applied.
        """
        resumed = []
        with self._store.transaction():
            for entry in self._store.unsettled():
                again = msgspec.structs.replace(entry, attempts=entry.attempts + 1)
                self._store.put_entry(again)
                resumed.append(Resumed(again, _schedule(entry)))
        return resumed

    def prune(self, now: datetime) -> int:
        """Forget what ended more than the retention ago; returns how many rows went."""
        return self._store.prune(now - self._policy.retention)


def _to_be_remembered(known: Entry | None, mark: str, problem: Problem) -> bool:
    if problem.code.retryable or (known is not None and known.digest != mark):
        return False
    return known is not None or problem.code is not ErrorCode.ORDER_STALE


def _state(problem: Problem | None) -> EntryState:
    if problem is None:
        return EntryState.APPLIED
    return EntryState.RETRY if problem.code.retryable else EntryState.FAILED


def _final_answer(received: Ack, now: datetime, problem: Problem | None) -> Ack:
    if problem is None:
        return msgspec.structs.replace(received, status=AckStatus.APPLIED, timestamp=now, applied_at=now)
    return msgspec.structs.replace(received, status=AckStatus.FAILED, timestamp=now, error_reason=problem.reason())


def _schedule(entry: Entry) -> Schedule:
    try:
        schedule = decode(entry.payload, Kind.SCHEDULE)
    except DecodeError as error:
        message = f"the stored schedule {entry.schedule_id} cannot be read ({error}): move the store away"
        raise StoreError(ErrorCode.STORE_CORRUPT, message) from error
    assert isinstance(schedule, Schedule)  # noqa: S101 - the registry says so; for the type checker
    return schedule
