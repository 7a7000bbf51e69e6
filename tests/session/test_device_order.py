"""Whatever the order, the duplication, the restarts and the store's failures: the plan is that of the highest sequence.

The model below shares nothing with the code: it remembers what was admitted, applied and cancelled, and looks the plan up
instant by instant.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS
from allye_protocol.convert import downgrade
from allye_protocol.errors import ErrorCode, Problem, StoreError
from allye_protocol.events import DeviceEvent, ScheduleAdmitted, ScheduleCancelled, ScheduleRefused, ScheduleRepeated, SlotEnded
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Cancel,
    EventType,
    ExecutionResult,
    Schedule,
    ScheduleEvent,
    Written,
    sequence_at,
)
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.store import DeviceStore, EntryState, MemoryStore
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import NOON, cancel, frame_of, schedule
from tests.session.device_world import sent, session_over
from tests.store.faults import failing_store

MINUTE = timedelta(minutes=1)
LONG_AGO = NOON - timedelta(days=5)
"""When everything was sent: never in the future, however far the clock is set back."""
FIRST = sequence_at(LONG_AGO)
HORIZON = timedelta(hours=6)
NAMES = ("a", "b", "c", "d", "e")
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
ENCODED = [each for each, encoding in ENCODINGS.items() if 2 in encoding.versions]
STATUSES = {"admitted": AckStatus.RECEIVED, "applied": AckStatus.APPLIED, "over": AckStatus.APPLIED}
LATE = (ErrorCode.ORDER_CANCELLED, ErrorCode.ORDER_STALE, ErrorCode.TIME_EXPIRED, ErrorCode.ORDER_CONFLICT)

drawn_schedules = st.builds(
    lambda name, minutes, first, rates, offset, dry_run: schedule(
        name,
        start=NOON + timedelta(hours=first),
        rates_w=rates,
        resolution_s=minutes * 60,
        sequence=FIRST + offset,
        generated_at=LONG_AGO + timedelta(microseconds=offset),
        dry_run=dry_run,
    ),
    st.sampled_from(NAMES),
    st.sampled_from([15, 30, 60]),
    st.integers(0, 2),
    st.lists(st.none() | st.integers(-9, 9).map(lambda kilowatts: kilowatts * 1000), min_size=1, max_size=4).map(tuple),
    st.integers(0, 12),
    st.sampled_from([False] * 5 + [True]),
)
drawn_cancels = st.builds(
    lambda name, minute, offset: cancel(
        name,
        effective_from=None if minute is None else NOON + minute * MINUTE,
        sequence=FIRST + offset,
    ),
    st.sampled_from(NAMES),
    st.none() | st.integers(-10, 200),
    st.integers(1, 14),
) | st.builds(
    lambda minute, offset: cancel(None, effective_from=NOON + minute * MINUTE, sequence=FIRST + offset),
    st.integers(-10, 200),
    st.integers(1, 14),
)


class Known:
    """What the model remembers of one id."""

    def __init__(self, made: Schedule | None, state: str) -> None:
        self.schedule = made
        self.state = state
        self.cut: datetime | None = None


class Model:
    """The device as the protocol describes it, without execution."""

    def __init__(self) -> None:
        self.ids: dict[str, Known] = {}
        self.water = 0
        self.cancels: dict[int, str | None] = {}

    def admits(self, made: Schedule, now: datetime, trusted: bool) -> str:
        """What has to become of an arriving schedule."""
        known = self.ids.get(made.schedule_id)
        if known is not None and known.schedule is not None:
            if meaning(known.schedule) != meaning(made):
                return "refused"
            if known.state != "retry":
                return "repeated"
        if known is not None and (known.schedule is None or known.cut is not None):
            return "refused"
        again = known is not None and known.schedule is not None and known.schedule.sequence == made.sequence == self.water
        stale = made.sequence <= self.water and not again
        if stale or (trusted and made.end <= now):
            if known is not None or not stale:
                self.ids[made.schedule_id] = Known(made, "failed")
            return "refused"
        if not trusted:
            return "refused"
        self.ids[made.schedule_id] = Known(made, "admitted")
        if not made.dry_run:
            self.water = max(self.water, made.sequence)
        return "admitted"

    def cancel(self, taken: Cancel, now: datetime, trusted: bool) -> str:
        """What has to become of an arriving cancel."""
        if taken.sequence in self.cancels and self.cancels[taken.sequence] == taken.schedule_id:
            return "repeated"
        if taken.sequence <= self.water or not trusted:
            return "refused"
        self.water = taken.sequence
        self.cancels[taken.sequence] = taken.schedule_id
        at = now if taken.effective_from is None else max(now, taken.effective_from)
        for name, known in self.ids.items():
            made = known.schedule
            if made is None or (taken.schedule_id is not None and taken.schedule_id != name):
                continue
            waits = known.state == "admitted"
            if waits and at < made.end and (taken.schedule_id is not None or made.start >= at):
                known.state = "failed"
            if (known.state in {"admitted", "applied"} and at < made.end) or taken.schedule_id is not None:
                known.cut = at if known.cut is None else min(known.cut, at)
        if taken.schedule_id is not None and taken.schedule_id not in self.ids:
            self.ids[taken.schedule_id] = Known(None, "tombstone")
        return "cancelled"

    def decides(self, instant: datetime) -> tuple[str, int | None, bool] | None:
        """Whose slot an instant is, its rate, and whether its setpoint counts there; ``None`` for no slot."""
        applied = [known for known in self.ids.values() if known.state == "applied" and known.schedule is not None]
        for known in sorted(applied, key=lambda known: -known.schedule.sequence):  # type: ignore[union-attr]
            made, cut = known.schedule, known.cut
            assert made is not None
            if made.start <= instant < made.end:
                index = (instant - made.start) // made.resolution
                if cut is not None and cut <= made.start + made.resolution * index:
                    return None
                return made.schedule_id, made.rates_w[index], cut is None or instant < cut
        return None


def meaning(made: Schedule) -> tuple[Any, ...]:
    return made.start, made.resolution_s, made.rates_w, made.dry_run


class Devices(RuleBasedStateMachine):
    """One device, whatever happens to it."""

    def make(self) -> DeviceStore:
        raise NotImplementedError

    def reopen(self) -> None:
        """What a restart does to the store."""

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.store = self.make()
        self.failing: str | None = None
        self.now = NOON - timedelta(hours=1)
        self.latest = self.now
        self.model = Model()
        self.water = 0
        self.results: dict[int, ExecutionResult] = {}
        self.seen: set[int] = set()
        self.session = self.start()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def start(self) -> DeviceSession:
        return session_over(failing_store(self.store, lambda name: name == self.failing))

    def settle(self, events: list[DeviceEvent], works: bool) -> None:
        for event in events:
            if isinstance(event, ScheduleAdmitted):
                name = event.schedule.schedule_id
                if works:
                    self.session.applied(name, self.now)
                    self.model.ids[name].state = "over" if event.schedule.dry_run else "applied"
                else:
                    self.session.failed(name, BUSY, self.now)
                    self.model.ids[name].state = "retry"

    def arrive(self, message: Written, content_type: str, trusted: bool) -> list[DeviceEvent]:
        """A message comes, perhaps while the store cannot keep it; then it comes again, as the broker's copy."""
        arriving = frame_of(message, content_type=content_type)
        try:
            return self.session.receive(arriving, self.now, clock_trusted=trusted)
        except StoreError:
            assert self.failing is not None
            self.failing = None
            return self.session.receive(arriving, self.now, clock_trusted=trusted)

    @rule(
        made=drawn_schedules,
        encoding=st.sampled_from([*ENCODED, "version 1"]),
        applied=st.sampled_from([True, True, False, None]),
        trusted=st.sampled_from([True] * 5 + [False]),
    )
    def schedule_comes(self, made: Schedule, encoding: str, applied: bool | None, trusted: bool) -> None:
        written: Written = made
        if encoding == "version 1":
            encoding = DEFAULT_CONTENT_TYPE
            if made.resolution_s == 1800 and None not in made.rates_w and not made.dry_run:
                written = downgrade(made, 1).message
        events = self.arrive(written, encoding, trusted)
        expected = self.model.admits(made, self.now, trusted)
        (event,) = events
        assert {ScheduleAdmitted: "admitted", ScheduleRepeated: "repeated", ScheduleRefused: "refused"}[type(event)] == expected
        if isinstance(event, ScheduleRefused):
            assert event.problem.code in LATE or (event.problem.code is ErrorCode.DEVICE_CLOCK_UNTRUSTED and not trusted)
        if isinstance(event, ScheduleAdmitted) and applied is not None:
            self.settle(events, applied)

    @rule(taken=drawn_cancels, encoding=st.sampled_from(ENCODED), trusted=st.sampled_from([True] * 5 + [False]))
    def cancel_comes(self, taken: Cancel, encoding: str, trusted: bool) -> None:
        expected = self.model.cancel(taken, self.now, trusted)
        last = self.arrive(taken, encoding, trusted)[-1]
        if isinstance(last, ScheduleCancelled):
            assert expected == ("repeated" if last.repeated else "cancelled")
        else:
            assert isinstance(last, ScheduleRefused)
            assert expected == "refused"
            assert last.problem.code in ({ErrorCode.ORDER_STALE} if trusted else {*LATE, ErrorCode.DEVICE_CLOCK_UNTRUSTED})

    @rule(applied=st.booleans())
    def restart(self, applied: bool) -> None:
        self.failing = None
        self.reopen()
        self.session = self.start()
        before = [name for name, known in self.model.ids.items() if known.state == "admitted"]
        events = self.session.resume(self.now)
        taken_up = [event.schedule.schedule_id for event in events if isinstance(event, ScheduleAdmitted)]
        for name in set(before) - set(taken_up):  # over before it was applied, or begun too often
            self.model.ids[name].state = "failed"
        self.settle(events, applied)

    @rule(call=st.sampled_from(["begin", "commit", "put_entry", "push", "put_running", "put_reported", "put_agreement"]))
    def the_store_will_fail(self, call: str) -> None:
        self.failing = call

    @rule(minutes=st.sampled_from([1, 5, 7, 15, 40, 90]), steps=st.integers(1, 4))
    def time_passes(self, minutes: int, steps: int) -> None:
        for _ in range(steps):
            self.now += timedelta(minutes=minutes)
            self.tick()

    @rule(minutes=st.sampled_from([0, 20, 10_000]))
    def the_clock_cannot_be_trusted(self, minutes: int) -> None:
        self.failing = None
        before = self.store.running(), self.store.reported()
        self.session.tick(self.now + timedelta(minutes=minutes), Reading(0.0), clock_trusted=False)
        assert (self.store.running(), self.store.reported()) == before

    @rule(minutes=st.integers(1, 100))
    def the_clock_is_set_back(self, minutes: int) -> None:
        self.now -= timedelta(minutes=minutes)

    @rule()
    def tick(self) -> None:
        self.latest = max(self.latest, self.now)
        try:
            events = self.session.tick(self.now, Reading(0.0))
        except StoreError:
            assert self.failing is not None
            self.failing = None
            events = self.session.tick(self.now, Reading(0.0))
        assert self.session.next_deadline(self.now) != self.now
        for event in events:
            if isinstance(event, SlotEnded):
                assert event.slot.end <= self.now
                if event.slot.started_at is None:  # missed: what the plan had there, and nothing that it hid
                    planned = self.model.decides(event.slot.start)
                    assert planned is not None
                    assert planned[0] == event.slot.schedule_id
        running = self.store.running()
        expected = self.model.decides(self.now)
        covered = any(each.start <= self.now < each.end for each in self.store.reported())
        if expected is None or covered:
            assert running is None or running.setpoint_w(self.now) is None
        else:
            assert running is not None
            assert (running.schedule_id, running.setpoint_w(self.now)) == (expected[0], expected[1] if expected[2] else None)

    @invariant()
    def the_plan_is_that_of_the_highest_sequence(self) -> None:
        if not hasattr(self, "model"):
            return
        at = max(self.now, self.latest)
        while at < NOON + HORIZON:
            expected, found = self.model.decides(at), self.session.plan.at(at)
            if expected is None:
                assert found is None
            else:
                assert found is not None
                assert (found.schedule_id, found.setpoint_w(at)) == (expected[0], expected[1] if expected[2] else None)
            at += timedelta(minutes=7)

    @invariant()
    def results_are_one_for_each_slot_and_never_rewritten(self) -> None:
        if not hasattr(self, "model"):
            return
        rows = zip(self.store.outbox(10_000), sent(self.store), strict=True)
        results = {row.number: message for row, message in rows if isinstance(message, ExecutionResult)}
        for number, before in self.results.items():
            assert results[number] == before
        self.results = results
        spans = sorted((each.slot_start, each.slot_end) for each in results.values())
        assert all(before[1] <= after[0] for before, after in pairwise(spans))
        whole = sum((end - start for start, end in spans), timedelta(0))
        assert whole == sum((each.end - each.start for each in self.store.reported()), timedelta(0))

    @invariant()
    def every_decision_has_its_answer_and_every_answer_its_row(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self.store.high_water() == self.model.water >= self.water
        self.water = self.model.water
        answers: dict[str, list[Ack]] = {}
        cancelled = set()
        for message in sent(self.store):
            if isinstance(message, Ack):
                answers.setdefault(message.schedule_id, []).append(message)
            elif isinstance(message, ScheduleEvent) and message.event is EventType.CANCELLED and message.error is None:
                cancelled.add(message.sequence)
        assert cancelled == set(self.model.cancels)
        for name, known in self.model.ids.items():
            entry = self.store.entry(name)
            assert entry is not None
            if known.schedule is None:
                assert entry.state is EntryState.TOMBSTONE
                continue
            assert entry.answer is not None
            assert entry.answer.status is STATUSES.get(known.state, AckStatus.FAILED)
            said = [msgspec.structs.replace(each, traceparent=None) for each in answers[name]]
            kept = msgspec.structs.replace(entry.answer, traceparent=None)
            assert any((each.status, each.timestamp) == (kept.status, kept.timestamp) for each in said)
        for name, each in answers.items():
            if any(answer.status is AckStatus.RECEIVED for answer in each):
                assert self.store.entry(name) is not None


class InMemory(Devices):
    """Over a store in memory."""

    def make(self) -> DeviceStore:
        return MemoryStore()


class OnDisk(Devices):
    """Over SQLite; a restart opens the file again."""

    def make(self) -> DeviceStore:
        self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "device.db"
        store = SqliteStore(self.path)
        self.stack.callback(self.close)
        return store

    def close(self) -> None:
        self.store.close()  # type: ignore[attr-defined]

    def reopen(self) -> None:
        self.close()
        self.store = SqliteStore(self.path)


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=80, stateful_step_count=25)
TestOnDisk = OnDisk.TestCase
TestOnDisk.settings = settings(max_examples=15, stateful_step_count=20)
