"""A device session with everything around it that can go wrong, and a checker that trusts none of it.

The checker reads what was put into the outbox, what was published and what the store holds; never the session.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from allye_protocol.convert import decode
from allye_protocol.errors import ErrorCode, Problem, StoreError
from allye_protocol.events import DeviceEvent, ScheduleAdmitted, ScheduleRefused, ScheduleRepeated, SecurityAlert, SlotStarted
from allye_protocol.idempotency import MAX_ATTEMPTS
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, Kind, Message, Schedule, ScheduleEvent
from allye_protocol.plan import Layer, Plan, covered
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.store.base import Span
from tests.builders import CONFIG, DEVICE, LIMIT_W, NOON, SLOT, seeded
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.frame import Frame
    from allye_protocol.negotiation import Agreement
    from allye_protocol.store import DeviceStore

__all__ = ["Killed", "World"]

_LAST = NOON + timedelta(days=365)
_ABOUT_ANOTHER_CONTENT = (ErrorCode.ORDER_CONFLICT, ErrorCode.MESSAGE_INVALID, ErrorCode.MESSAGE_WRONG_DEVICE)


class Killed(BaseException):
    """The process is gone: nothing after this statement happens."""


class World:
    """One device, its broker and its app.

    :param open_store: opens the device's store; called again after each restart.
    """

    def __init__(self, open_store: Callable[[], DeviceStore]) -> None:
        self._open_store = open_store
        self.schedules: dict[str, Schedule] = {}
        self.now = NOON - SLOT
        self.latest = self.now
        self.trusted = True
        self.fails_in: int | None = None
        self.error: Callable[[], BaseException] = lambda: StoreError(ErrorCode.STORE_FAILED, "told to fail")
        self.pending: dict[str, Schedule] = {}
        self.begun: dict[str, int] = {}
        self.meter_wh = 0.0
        self.rows: dict[int, tuple[Kind, bytes, Agreement]] = {}
        self.published: list[Frame] = []
        self.high_water = 0
        self._random = seeded(7)
        self._build()

    def _build(self) -> None:
        self.store = self._open_store()
        self.session = DeviceSession(CONFIG, failing_store(self.store, self._fails), random_bytes=self._random)
        self.pending.clear()

    def _fails(self, _: str) -> bool:
        if self.fails_in is not None:
            self.fails_in -= 1
            if self.fails_in <= 0:
                self.fails_in = None
                raise self.error()
        return False

    # What happens to the device.

    def attempt(self, act: Callable[[], object], fails_in: int | None, *, kill: bool) -> bool:
        """Do something while the store's n-th call fails or the process dies there; whether it was done."""
        self.fails_in = fails_in
        self.error = Killed if kill else lambda: StoreError(ErrorCode.STORE_FAILED, "told to fail")
        done = False
        try:
            act()
            done = True
        except StoreError:
            assert fails_in is not None
        except Killed:
            self.fails_in = None
            self.restart()
        self.fails_in = None
        self.observe()
        return done

    def receive(self, frame: Frame) -> None:
        before = len(self.rows)
        events = self.session.receive(frame, self.now, clock_trusted=self.trusted)
        self.take(events)
        self.observe()
        assert len(events) == 1
        assert len(self.rows) > before or isinstance(events[0], SecurityAlert)
        assert isinstance(events[0], ScheduleAdmitted | ScheduleRefused | ScheduleRepeated | SecurityAlert)

    def settle(self, name: str, problem: Problem | None) -> None:
        self.take(self.session.failed(name, problem, self.now) if problem else self.session.applied(name, self.now))
        self.pending.pop(name, None)

    def tick(self, power_w: float | None) -> None:
        reading = None if power_w is None else Reading(self.meter_wh, None)
        self.take(self.session.tick(self.now, reading, clock_trusted=self.trusted))
        self.session.frames_to_send(self.now, limit=0)
        deadline = self.session.next_deadline(self.now)
        assert deadline is None or deadline > self.now, "a deadline that is past although everything was done"

    def pump(self, limit: int, outcome: Callable[[int], str]) -> None:
        """Hand frames to the broker, which takes them, refuses them or is gone before it says so."""
        self.observe()
        offered = self.session.frames_to_send(self.now, limit)
        assert len(offered) <= limit
        for index, (number, frame) in enumerate(offered):
            match outcome(index):
                case "taken":
                    self.published.append(frame)
                    self.session.sent(number)
                case "refused":
                    self.session.not_sent(number, self.now)
                case "lost":
                    self.published.append(frame)
                    self.session.disconnected()
                    return
                case "gone":
                    self.session.disconnected()
                    return

    def restart(self) -> None:
        self._build()
        self.take(self.session.resume(self.now))
        self.observe()

    def advance(self, step: timedelta, power_w: float) -> None:
        self.now += step
        self.latest = max(self.latest, self.now)
        self.meter_wh += power_w * (abs(step) / timedelta(hours=1))

    def take(self, events: list[DeviceEvent]) -> None:
        for event in events:
            if isinstance(event, ScheduleAdmitted):
                name = event.schedule.schedule_id
                self.pending[name] = self.schedules[name] = event.schedule
                self.begun[name] = 1 if event.attempt == 1 else self.begun[name] + 1
                assert event.attempt == self.begun[name]
            elif isinstance(event, SlotStarted):
                assert abs(event.setpoint_w or 0) <= LIMIT_W
                assert self.trusted

    # What the checker sees.

    def observe(self) -> None:
        """Take down what the outbox holds, and check that it only grows at its end."""
        for row in self.store.outbox(1_000_000):
            known = self.rows.setdefault(row.number, (row.kind, row.payload, row.agreement))
            assert known == (row.kind, row.payload, row.agreement)
        water = self.store.high_water()
        assert water >= self.high_water
        self.high_water = water

    def check(self) -> None:
        """Every invariant that holds at any time."""
        self.observe()
        messages = self._said()
        self._check_answers([each for each in messages if isinstance(each, Ack)])
        self._check_results([each for each in messages if isinstance(each, ExecutionResult)])
        self._check_decisions()
        self._check_plan([each for each in messages if isinstance(each, Ack)])
        assert all(isinstance(each, Ack | ExecutionResult | ScheduleEvent) for each in messages)
        allowed = {f"devices/{DEVICE}/{channel}" for channel in ("ack", "execution", "event")}
        assert {frame.topic for frame in self.published} <= allowed
        assert {frame.payload for frame in self.published} <= {payload for _, payload, _ in self.rows.values()}

    def _said(self) -> list[Message]:
        """Everything that was ever put into the outbox, in order."""
        rows = (self.rows[number] for number in sorted(self.rows))
        return [decode(payload, kind, agreement.content_type) for kind, payload, agreement in rows]

    def _check_answers(self, answers: list[Ack]) -> None:
        last: dict[str, Ack] = {}
        applied: dict[str, Ack] = {}
        for answer in answers:
            name, code = answer.schedule_id, _code(answer)
            assert answer.device_id == DEVICE
            if code in _ABOUT_ANOTHER_CONTENT:
                continue
            before = last.get(name)
            if answer == before:
                continue
            over = before is not None and (
                before.status is AckStatus.APPLIED
                or (before.status is AckStatus.FAILED and not _retryable(before) and not _stale(before))
            )
            assert not over, f"{answer} after {before}"
            if answer.status is AckStatus.APPLIED:
                assert before is not None
                assert before.status is AckStatus.RECEIVED
                assert applied.setdefault(name, answer) == answer
            if code is ErrorCode.INTERNAL_QUARANTINED:
                assert self.begun[name] == MAX_ATTEMPTS
            last[name] = answer

    def _check_results(self, results: list[ExecutionResult]) -> None:
        spans: tuple[Span, ...] = ()
        for result in sorted(results, key=lambda each: each.slot_start):
            before = sum((span.end - span.start for span in spans), timedelta(0))
            spans = covered(spans, Span(result.slot_start, result.slot_end))
            after = sum((span.end - span.start for span in spans), timedelta(0))
            assert after - before == result.slot_end - result.slot_start, "two results for the same time"
        assert self.store.reported() == spans, "a result is in the outbox exactly when its time is marked"

    def _check_decisions(self) -> None:
        answers = [each for each in self._said() if isinstance(each, Ack)]
        for name in {each.schedule_id for each in answers}:
            entry = self.store.entry(name)
            assert entry is None or entry.answer in answers, "a stored decision has no answer"

    def _check_plan(self, answers: list[Ack]) -> None:
        applied = [self.schedules[each.schedule_id] for each in answers if each.status is AckStatus.APPLIED]
        applied.sort(key=lambda each: each.sequence)
        expected = {
            each.start + each.resolution * index: (each.schedule_id, rate_w)
            for each in applied
            for index, rate_w in enumerate(each.rates_w)
        }
        ahead = {start: content for start, content in expected.items() if start > self.latest}
        assert ahead.items() <= self._planned().items(), "the plan is not that of the highest order"

    def _planned(self) -> dict[datetime, tuple[str, int | None]]:
        """The plan from now on, from what the store has."""
        layers = []
        for entry in self.store.applied():
            schedule = decode(entry.payload, Kind.SCHEDULE, entry.content_type)
            assert isinstance(schedule, Schedule)
            layers.append(Layer(entry, schedule))
        return {slot.start: (slot.schedule_id, slot.rate_w) for slot in Plan(layers).slots(self.latest, _LAST)}

    def finish(self) -> None:
        """The faults stop: everything is settled, executed, reported and sent."""
        self.trusted = True
        self.now = self.latest
        self.restart()
        for name in list(self.pending):
            self.settle(name, None)
        for _ in range(200):
            self.tick(0.0)
            deadline = self.session.next_deadline(self.now)
            if deadline is None:
                break
            self.advance(deadline - self.now, 0.0)
        else:
            raise AssertionError("the deadlines never end")
        while self.session.frames_to_send(self.now, 0) or self.store.outbox_size():
            size = self.store.outbox_size()
            self.pump(7, lambda _: "taken")
            self.observe()
            assert self.store.outbox_size() < size
        self.check()
        assert {frame.payload for frame in self.published} == {payload for _, payload, _ in self.rows.values()}
        assert self.store.running() is None
        assert self.store.applied() == self.store.unsettled() == []


def _code(answer: Ack) -> ErrorCode | None:
    return None if answer.error is None else answer.error.known_code


def _retryable(answer: Ack) -> bool:
    return answer.is_retryable


def _stale(answer: Ack) -> bool:
    """A stale copy says nothing about the id's own answer: it may be a failure that a retry could have mended."""
    return _code(answer) is ErrorCode.ORDER_STALE
