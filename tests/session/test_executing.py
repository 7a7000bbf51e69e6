"""Executing a plan: which slot runs, what the battery is told, what is reported, and what the cloud is told besides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.events import DefaultControl, DeviceEvent, EventReported, ScheduleSettled, SlotEnded, SlotStarted
from allye_protocol.messages import EventType, ExecutionStatus, Kind, Outcome, Schedule, ScheduleEvent, sequence_at
from allye_protocol.plan import Layer
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.store import MemoryStore
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import GENERATED_AT, MICROSECOND, NOON, SLOT, TRACE_ID, cancel, entry, schedule, v1_schedule
from tests.session.device_world import NOW, apply, events_in, kinds, receive, results_in, sent, session_over
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from allye_protocol.store import DeviceStore

END = NOON + SLOT


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeviceStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = SqliteStore(tmp_path / "device.db")
    yield made
    made.close()


@pytest.fixture
def session(store: DeviceStore) -> DeviceSession:
    return session_over(store)


def started_in(events: list[DeviceEvent]) -> SlotStarted:
    """The one instruction to the battery among what a session told its app."""
    (started,) = (event for event in events if isinstance(event, SlotStarted))
    return started


def test_a_slot_begins_ends_and_is_reported_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(100_000, -50_000)))
    assert session.next_deadline(NOW) == NOON
    assert session.tick(NOW, Reading(0.0)) == [DefaultControl(since=NOW)]
    assert session.tick(NOW, Reading(0.0)) == []
    began, started = session.tick(NOON, Reading(0.0))
    assert isinstance(began, EventReported)
    assert isinstance(started, SlotStarted)
    assert (started.slot.rate_w, started.setpoint_w) == (100_000, 100_000)
    assert session.next_deadline(NOON) == END
    for minute in range(1, 30):
        assert session.tick(NOON + timedelta(minutes=minute), Reading(100_000 * minute / 60)) == []
    ended, following = session.tick(END, Reading(50_000))
    assert isinstance(ended, SlotEnded)
    assert isinstance(following, SlotStarted)
    assert (ended.result.status, ended.result.actual_w) == (ExecutionStatus.SUCCEED, 100_000)
    assert following.slot.rate_w == -50_000
    assert session.tick(END, Reading(50_000)) == []
    assert sent(store)[-1] == ended.result
    ended, completed, idle = session.tick(END + SLOT, Reading(50_000))
    assert isinstance(ended, SlotEnded)
    assert events_in([completed]) == [(EventType.COMPLETED, "plan-a")]
    assert idle == DefaultControl(since=END + SLOT)
    assert session.next_deadline(END + SLOT) is None


def test_a_plan_that_comes_in_mid_slot_asks_for_a_tick_at_once(session: DeviceSession) -> None:
    """The one who follows the deadlines and nothing else begins it now, not at the slot's end."""
    now = NOON + timedelta(minutes=5)
    session.tick(now, Reading(0.0))
    for name, minutes in (("plan-a", -1), ("plan-b", 0)):
        apply(session, schedule(name, generated_at=now + timedelta(minutes=minutes)), now=now)
        assert session.next_deadline(now) == now
        started = started_in(session.tick(now, Reading(0.0)))
        assert started.slot.schedule_id == name
        assert session.next_deadline(now) == END


def test_a_session_built_in_mid_slot_asks_for_its_first_tick_at_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    now = NOON + timedelta(minutes=5)
    again = session_over(store)
    assert again.next_deadline(now) == now
    again.tick(now, None, clock_trusted=False)
    assert again.next_deadline(now) is None
    again.tick(now, None)
    assert again.next_deadline(now) == END


def test_a_restart_in_mid_slot_goes_on_with_the_slot(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    for minute in range(10):
        session.tick(NOON + timedelta(minutes=minute), Reading(100_000 * minute / 60))
    again = session_over(store)
    assert again.resume(NOON) == []
    assert kinds(again.tick(NOON + timedelta(minutes=11), Reading(100_000 * 11 / 60))) == [SlotStarted]
    for minute in range(12, 30):
        again.tick(NOON + timedelta(minutes=minute), Reading(100_000 * minute / 60))
    ended = again.tick(END, Reading(50_000))[0]
    assert isinstance(ended, SlotEnded)
    assert (ended.result.status, ended.result.actual_w) == (ExecutionStatus.SUCCEED, 100_000)
    assert ended.judgement.coverage == pytest.approx(29 / 30)


def test_a_newer_schedule_switches_the_running_slot_at_once(session: DeviceSession) -> None:
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    now = NOON + timedelta(minutes=10)
    apply(session, schedule("plan-b", rates_w=(-100_000,), generated_at=now), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.slot.rate_w, started.slot.schedule_id) == (-100_000, "plan-b")
    ended = session.tick(END, Reading(0.0))[0]
    assert isinstance(ended, SlotEnded)
    assert ended.judgement.scheduled_w == pytest.approx(-100_000 / 3)


def test_slots_that_passed_while_nothing_ran_are_reported_as_missed(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(1_000,) * 48))
    now = NOON + 47 * SLOT
    assert session.next_deadline(now) == now
    events = session.tick(now, None)
    assert kinds(events) == [SlotEnded] * 47 + [SlotStarted]
    missed = [each.error.code for each in results_in(store) if each.error is not None]
    assert missed == [ErrorCode.EXEC_MISSED] * 47


def test_a_late_reading_says_nothing_about_the_slot_before(session: DeviceSession) -> None:
    apply(session, schedule(rates_w=(0,)))
    session.tick(NOON, Reading(0.0))
    ended = session.tick(END + timedelta(seconds=6), Reading(1000.0))[0]
    assert isinstance(ended, SlotEnded)
    assert ended.judgement.actual_w == 0.0


def test_without_trusted_time_the_default_control_applies_and_no_slot_ends(session: DeviceSession, store: DeviceStore) -> None:
    """A device that booted with the time of its last shutdown must not execute what that time asks for."""
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    now = NOON + timedelta(minutes=1)
    events = session.tick(now, Reading(0.0), clock_trusted=False)
    assert events[-1] == DefaultControl(since=now)
    assert events_in(events) == [(EventType.FALLBACK_ENTERED, None)]
    assert session.tick(now, Reading(0.0), clock_trusted=False) == []
    assert session.next_deadline(now) is None
    later = END + timedelta(days=1)
    assert session.tick(later, Reading(0.0), clock_trusted=False) == []
    assert session.next_deadline(later) is None
    events = session.tick(NOON + timedelta(minutes=2), Reading(0.0))
    assert kinds(events) == [SlotStarted]
    assert events_in(events) == [(EventType.FALLBACK_LEFT, "plan-a")]


def test_without_trusted_time_and_without_a_plan_there_is_nothing_to_fall_back_from(session: DeviceSession) -> None:
    assert session.tick(NOON, Reading(0.0), clock_trusted=False) == [DefaultControl(since=NOON)]


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("phase", range(0, 121, 5))
def test_a_clock_that_is_set_by_an_hour_costs_no_slot_and_reports_none_twice(hours: int, phase: int) -> None:
    """Four slots, a reading every five minutes; at one of them the clock jumps."""
    store = MemoryStore()
    session = session_over(store)
    apply(session, schedule(rates_w=(10_000,) * 4))
    now, jumped = NOON, False
    ended: list[SlotEnded] = []
    for _ in range(100):
        if not jumped and now >= NOON + timedelta(minutes=phase):
            now, jumped = now + timedelta(hours=hours), True
        ended += [event for event in session.tick(now, Reading(0.0)) if isinstance(event, SlotEnded)]
        deadline = session.next_deadline(now)
        assert deadline is None or deadline > now
        now += timedelta(minutes=5)
    assert [event.slot.start for event in ended] == [NOON + SLOT * index for index in range(4)]
    assert [each.slot_start for each in results_in(store)] == [event.slot.start for event in ended]
    assert all(0 <= event.judgement.coverage <= 1 for event in ended)


def test_a_reading_that_is_no_number_stops_nothing(session: DeviceSession) -> None:
    apply(session, schedule())
    for minute, meter in enumerate([float("nan"), float("inf"), 0.0, float("nan"), None]):
        session.tick(NOON + timedelta(minutes=minute), Reading(meter))
    assert kinds(session.tick(END, Reading(float("nan")))) == [SlotEnded, DefaultControl]


def test_a_tick_that_could_not_be_stored_happens_again(store: DeviceStore) -> None:
    broken = [False]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "commit"))
    apply(session, schedule())
    for now, meter, expected in ((NOON, 0.0, [SlotStarted]), (END, 50_000.0, [SlotEnded, DefaultControl])):
        broken[0] = True
        for _ in range(2):
            with pytest.raises(StoreError):
                session.tick(now, Reading(meter))
        assert session.next_deadline(now) == now
        broken[0] = False
        assert kinds(session.tick(now, Reading(meter))) == expected
        assert session.tick(now, Reading(meter)) == []


def test_what_the_cloud_could_not_be_told_it_is_told_by_the_next_tick(store: DeviceStore) -> None:
    broken = [False]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "commit"))
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    for minute, trouble, event in (
        (1, ErrorCode.DRIVER_TIMEOUT, EventType.FALLBACK_ENTERED),
        (2, None, EventType.FALLBACK_LEFT),
    ):
        now = NOON + timedelta(minutes=minute)
        broken[0] = True
        with pytest.raises(StoreError):
            session.tick(now, Reading(0.0, trouble))
        broken[0] = False
        assert events_in(session.tick(now, Reading(0.0, trouble))) == [(event, "plan-a")]
        assert events_in(session.tick(now, Reading(0.0, trouble))) == []
    assert [event for event, _ in events_in(store)] == [
        EventType.STARTED,
        EventType.FALLBACK_ENTERED,
        EventType.FALLBACK_LEFT,
    ]


def test_a_message_that_could_not_be_stored_repeats_nothing_that_the_battery_was_told(store: DeviceStore) -> None:
    broken = [False]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "commit"))
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    broken[0] = True
    with pytest.raises(StoreError):
        receive(session, schedule("plan-b", generated_at=NOON), NOON)
    broken[0] = False
    assert session.next_deadline(NOON) == END
    assert session.tick(NOON + MICROSECOND, Reading(0.0)) == []


# Setpoints that begin late, end early, or are none.


def test_a_slot_without_a_setpoint_runs_with_the_default_control_and_is_reported(
    session: DeviceSession, store: DeviceStore
) -> None:
    apply(session, schedule(rates_w=(None, 60_000)))
    events = session.tick(NOON, Reading(0.0))
    assert started_in(events).setpoint_w is None
    assert events_in(events) == []
    for minute in range(1, 30):
        session.tick(NOON + timedelta(minutes=minute), Reading(0.0))
    events = session.tick(END, Reading(0.0))
    assert kinds(events) == [SlotEnded, SlotStarted]
    assert (started_in(events).setpoint_w, events_in(events)) == (60_000, [(EventType.STARTED, "plan-a")])
    (result,) = results_in(store)
    assert (result.status, result.scheduled_w, result.outcome) == (ExecutionStatus.SUCCEED, 0, Outcome.FULL)


def jittered(low: float, high: float) -> tuple[Schedule, datetime]:
    """A schedule whose share of a jitter of half an hour lies between so many minutes, and when it begins."""
    for number in range(10_000):
        made = schedule(f"plan-{number}", rates_w=(60_000, 60_000), start_jitter_s=1800)
        begins = Layer(entry(made.schedule_id), made).begins
        if timedelta(minutes=low) <= begins - NOON <= timedelta(minutes=high):
            return made, begins
    raise AssertionError("no such share")


def test_a_schedule_with_a_jitter_waits_its_share_with_the_default_control_and_is_judged_by_the_rest(
    session: DeviceSession, store: DeviceStore
) -> None:
    made, begins = jittered(8, 12)
    apply(session, made)
    assert started_in(session.tick(NOON, Reading(0.0))).setpoint_w is None
    assert session.next_deadline(NOON) == begins
    events: list[DeviceEvent] = []
    now, meter = NOON, 0.0
    while now < END:
        step = min(timedelta(seconds=30), (begins if now < begins else END) - now)
        meter += 60_000 * (step / timedelta(hours=1)) if now >= begins else 0.0
        now += step
        events = session.tick(now, Reading(meter))
        if now == begins:
            assert started_in(events).setpoint_w == 60_000
        elif now < END:
            assert events == []
    ended = events[0]
    assert isinstance(ended, SlotEnded)
    assert ended.judgement.scheduled_w == pytest.approx(60_000 * (END - begins) / SLOT)
    assert ended.result.status is ExecutionStatus.SUCCEED
    assert started_in(events).setpoint_w == 60_000


def test_a_restart_does_not_change_a_schedules_share_of_its_jitter(session: DeviceSession, store: DeviceStore) -> None:
    made, begins = jittered(8, 12)
    apply(session, made)
    session.tick(NOON, Reading(0.0))
    again = session_over(store)
    again.tick(NOON + timedelta(minutes=1), Reading(0.0))
    assert again.next_deadline(NOON + timedelta(minutes=1)) == begins


def test_a_cancel_in_a_running_slot_ends_its_setpoint_at_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(60_000, 60_000)))
    for minute in range(11):
        session.tick(NOON + timedelta(minutes=minute), Reading(minute * 1000.0))
    now = NOON + timedelta(minutes=10)
    receive(session, cancel(sent_at=NOON), now)
    assert session.next_deadline(now) == now
    assert started_in(session.tick(now, Reading(10_000.0))).setpoint_w is None
    assert session.next_deadline(now) == END
    for minute in range(11, 30):
        assert session.tick(NOON + timedelta(minutes=minute), Reading(10_000.0)) == []
    events = session.tick(END, Reading(10_000.0))
    assert kinds(events) == [SlotEnded, DefaultControl]
    assert events_in(events) == []
    (result,) = results_in(store)
    assert (result.status, result.scheduled_w, result.actual_w) == (ExecutionStatus.SUCCEED, 20_000, 20_000)
    assert session.next_deadline(END) is None


def test_a_cancel_from_an_instant_in_a_later_slot_ends_that_one_there(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(1_000, 2_000, 3_000)))
    cut = END + timedelta(minutes=10)
    receive(session, cancel(None, effective_from=cut, sent_at=NOW))
    deadlines, now = [], NOW
    while (deadline := session.next_deadline(now)) is not None:
        now = deadline
        deadlines.append(now)
        session.tick(now, Reading(0.0))
    assert deadlines == [NOON, END, cut, END + SLOT]
    assert [result.slot_start for result in results_in(store)] == [NOON, END]


def test_what_ran_before_a_cancel_that_a_wrong_clock_dated_back_is_reported_all_the_same(
    session: DeviceSession, store: DeviceStore
) -> None:
    apply(session, schedule(rates_w=(60_000,)))
    run(session, NOON, NOON + timedelta(minutes=10))
    receive(session, cancel(sent_at=NOW), NOW)
    assert session.plan.at(NOON) is None
    now = NOON + timedelta(minutes=11)
    assert started_in(session.tick(now, Reading(0.0))).setpoint_w is None
    assert kinds(session.tick(END, Reading(0.0))) == [SlotEnded, DefaultControl]
    assert [whose for _, _, whose, _ in reported(store)] == ["plan-a"]


def test_what_a_cancelled_plan_had_replaced_is_neither_executed_nor_missed(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule("plan-a", rates_w=(1_000,) * 4, sequence=1))
    apply(session, schedule("plan-b", start=END, rates_w=(2_000, 2_000), sequence=2))
    receive(session, cancel("plan-b", sent_at=NOW))
    run(session, NOON, NOON + timedelta(hours=4))
    assert [(first, last, whose) for first, last, whose, _ in reported(store)] == [(0, 30, "plan-a"), (90, 120, "plan-a")]
    assert store.applied() == []


def test_a_plan_after_a_cancel_is_begun_in_the_same_slot(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(60_000,)))
    session.tick(NOON, Reading(0.0))
    now = NOON + timedelta(minutes=10)
    receive(session, cancel(sent_at=NOON), now)
    session.tick(now, Reading(0.0))
    apply(session, schedule("plan-b", rates_w=(30_000,), sequence=sequence_at(now)), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.setpoint_w, started.slot.schedule_id) == (30_000, "plan-b")
    session.tick(END, Reading(0.0))
    (result,) = results_in(store)
    assert (result.schedule_id, result.scheduled_w) == ("plan-b", round((60_000 * 10 + 30_000 * 20) / 30))


# Plans of another resolution.


def run(session: DeviceSession, now: datetime, until: datetime, power_w: float = 0.0) -> datetime:
    """Tick every minute and at every deadline, the battery at a power."""
    while now < until:
        deadline = session.next_deadline(now)
        now = min(now + timedelta(minutes=1), until if deadline is None or deadline <= now else deadline, until)
        session.tick(now, Reading(power_w * ((now - NOON) / timedelta(hours=1))))
    return now


def reported(store: DeviceStore) -> list[tuple[int, int, str, int | None]]:
    """Results as minutes after noon, whose, and what was asked for."""
    minute = timedelta(minutes=1)
    return [
        ((each.slot_start - NOON) // minute, (each.slot_end - NOON) // minute, each.schedule_id, each.scheduled_w)
        for each in results_in(store)
    ]


def test_a_plan_of_quarters_over_one_of_half_hours_and_back_in_mid_slot(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule("plan-a", rates_w=(10_000,) * 4, sequence=1))
    session.tick(NOON, Reading(0.0))
    now = run(session, NOON, NOON + timedelta(minutes=20))
    apply(session, schedule("plan-b", rates_w=(20_000,) * 6, resolution_s=900, sequence=2), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.slot.start, started.slot.end, started.setpoint_w) == (NOON + timedelta(minutes=15), END, 20_000)
    now = run(session, now, NOON + timedelta(minutes=50))
    apply(session, schedule("plan-c", start=END, rates_w=(30_000,) * 3, sequence=3), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.slot.start, started.slot.end) == (NOON + timedelta(minutes=45), NOON + timedelta(minutes=60))
    run(session, now, NOON + timedelta(hours=3))
    assert reported(store) == [
        (0, 15, "plan-a", 10_000),
        (15, 30, "plan-b", round((10_000 * 5 + 20_000 * 10) / 15)),
        (30, 45, "plan-b", 20_000),
        (45, 60, "plan-c", round((20_000 * 5 + 30_000 * 10) / 15)),
        (60, 90, "plan-c", 30_000),
        (90, 120, "plan-c", 30_000),
    ]


@pytest.mark.parametrize("resolution_s", [300, 900])
@pytest.mark.parametrize("minute", [1, 7, 15, 20, 29])
def test_a_finer_plan_in_mid_slot_costs_no_result_of_a_battery_that_does_as_it_is_told(
    session: DeviceSession, store: DeviceStore, minute: int, resolution_s: int
) -> None:
    apply(session, schedule("plan-a", rates_w=(60_000,) * 2, sequence=1))
    session.tick(NOON, Reading(0.0))
    now = run(session, NOON, NOON + timedelta(minutes=minute), 60_000)
    finer = schedule("plan-b", rates_w=(60_000,) * (3600 // resolution_s), resolution_s=resolution_s, sequence=2)
    apply(session, finer, now=now)
    session.tick(now, Reading(1000.0 * minute))
    run(session, now, NOON + timedelta(hours=1), 60_000)
    told = results_in(store)
    assert {(each.status, each.actual_w, each.scheduled_w) for each in told} == {(ExecutionStatus.SUCCEED, 60_000, 60_000)}
    assert [each.slot_end for each in told[:-1]] == [each.slot_start for each in told[1:]]
    assert (told[0].slot_start, told[-1].slot_end) == (NOON, NOON + timedelta(hours=1))


def test_of_a_slot_whose_beginning_was_reported_the_rest_is_executed_and_judged_by_itself(
    session: DeviceSession, store: DeviceStore
) -> None:
    apply(session, schedule("plan-a", rates_w=(10_000, 10_000), resolution_s=900, sequence=1))
    session.tick(NOON, Reading(0.0))
    run(session, NOON, NOON + timedelta(minutes=14))
    now = NOON + timedelta(minutes=15)
    apply(session, schedule("plan-b", rates_w=(30_000,), sequence=2), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.slot.start, started.slot.end, started.setpoint_w) == (now, END, 30_000)
    run(session, now, NOON + timedelta(hours=1))
    assert reported(store) == [(0, 15, "plan-a", 10_000), (15, 30, "plan-b", 30_000)]


@pytest.mark.parametrize("switched", [False, True], ids=["the same plan", "a newer one"])
def test_a_longer_slot_ends_where_time_begins_that_was_reported_before_the_clock_was_set_back(
    session: DeviceSession, store: DeviceStore, switched: bool
) -> None:
    apply(session, schedule("plan-a", start=NOON + timedelta(minutes=10), rates_w=(10_000,) * 2, resolution_s=300, sequence=1))
    session.tick(NOON + timedelta(minutes=20), Reading(0.0))
    now = NOON + timedelta(minutes=1)
    apply(session, schedule("plan-b", rates_w=(20_000,), resolution_s=3600, sequence=2), now=now)
    session.tick(now, Reading(0.0))
    if switched:
        apply(session, schedule("plan-c", rates_w=(20_000,), resolution_s=3600, sequence=3), now=now)
    run(session, now, NOON + timedelta(hours=2))
    newest = "plan-c" if switched else "plan-b"
    assert sorted(each[:3] for each in reported(store)) == [
        (0, 10, newest),
        (10, 15, "plan-a"),
        (15, 20, "plan-a"),
        (20, 60, newest),
    ]


def test_a_longer_slot_over_a_running_one_takes_it_over(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule("plan-a", rates_w=(10_000,) * 4, sequence=1, resolution_s=900))
    session.tick(NOON, Reading(0.0))
    now = run(session, NOON, NOON + timedelta(minutes=20))
    apply(session, schedule("plan-b", rates_w=(20_000,), resolution_s=3600, sequence=2), now=now)
    started = started_in(session.tick(now, Reading(0.0)))
    assert (started.slot.start, started.slot.end) == (NOON + timedelta(minutes=15), NOON + timedelta(minutes=60))
    run(session, now, NOON + timedelta(hours=2))
    asked = round((10_000 * 5 + 20_000 * 40) / 45)
    assert reported(store) == [(0, 15, "plan-a", 10_000), (15, 60, "plan-b", asked)]


def test_a_slot_that_came_while_nothing_ran_is_reported_as_missed_and_not_as_the_one_before(
    session: DeviceSession, store: DeviceStore
) -> None:
    """The device stops right after it took the new plan, and starts again when that one's slot is over."""
    apply(session, schedule("plan-a", rates_w=(10_000,), sequence=1))
    session.tick(NOON, Reading(0.0))
    now = run(session, NOON, NOON + timedelta(minutes=4))
    apply(
        session,
        schedule("plan-b", start=NOON + timedelta(minutes=10), rates_w=(20_000,), resolution_s=300, sequence=2),
        now=now,
    )
    again = session_over(store)
    run(again, NOON + timedelta(minutes=24), NOON + timedelta(minutes=40))
    assert [(first, last, whose) for first, last, whose, _ in reported(store)] == [
        (0, 10, "plan-a"),
        (10, 15, "plan-b"),
        (15, 30, "plan-a"),
    ]


def test_a_plan_that_is_applied_when_its_slots_are_over_takes_nothing_from_what_ran(
    session: DeviceSession, store: DeviceStore
) -> None:
    apply(session, schedule("plan-a", rates_w=(10_000,), sequence=1))
    session.tick(NOON, Reading(0.0))
    now = run(session, NOON, NOON + timedelta(minutes=2))
    receive(session, schedule("plan-b", rates_w=(20_000, 20_000), resolution_s=300, sequence=2), now)
    now = run(session, now, NOON + timedelta(minutes=15))
    session.applied("plan-b", now)
    run(session, now, NOON + timedelta(hours=1))
    assert reported(store) == [(0, 30, "plan-a", 10_000)]


# What the cloud is told besides.


def test_a_schedule_starts_and_completes_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_w=(1_000, 2_000)))
    session.tick(NOON, Reading(0.0))
    again = session_over(store)
    run(again, NOON, NOON + timedelta(hours=2))
    started, completed = [each for each in sent(store) if isinstance(each, ScheduleEvent)]
    assert (started.event, started.slot_start, started.timestamp) == (EventType.STARTED, NOON, NOON)
    assert (completed.event, completed.slot_start, completed.timestamp) == (EventType.COMPLETED, None, END + SLOT)
    for event in (started, completed):
        assert (event.schedule_id, event.sequence, event.trace_id) == ("plan-a", sequence_at(GENERATED_AT), TRACE_ID)
    assert store.entry("plan-a") is not None
    assert store.applied() == []


def test_a_schedule_of_which_nothing_is_left_is_superseded_at_the_next_tick(session: DeviceSession) -> None:
    apply(session, schedule("plan-a", start=NOON + timedelta(days=1), sequence=1))
    apply(session, schedule("plan-b", start=NOON + timedelta(days=1), sequence=2))
    assert events_in(session.tick(NOW, None)) == [(EventType.SUPERSEDED, "plan-a")]
    assert session.tick(NOW, None) == []


def test_a_schedule_whose_rest_was_replaced_is_superseded_when_its_last_slot_is_over(session: DeviceSession) -> None:
    apply(session, schedule("plan-a", rates_w=(1_000, 1_000), sequence=1))
    session.tick(NOON, Reading(0.0))
    apply(session, schedule("plan-b", start=END, rates_w=(2_000,), sequence=2), now=NOON)
    assert session.tick(NOON + MICROSECOND, None) == []
    assert events_in(session.tick(END, None)) == [(EventType.STARTED, "plan-b"), (EventType.SUPERSEDED, "plan-a")]
    assert events_in(session.tick(END + SLOT, None)) == [(EventType.COMPLETED, "plan-b")]


def test_a_cancelled_schedule_neither_completes_nor_is_superseded(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule("plan-a", rates_w=(1_000, 1_000), sequence=1))
    receive(session, cancel(None, effective_from=END, sent_at=NOW))
    run(session, NOON, NOON + timedelta(hours=3))
    assert [event for event, _ in events_in(store)] == [EventType.CANCELLED, EventType.STARTED]
    assert store.applied() == []


def test_a_cancel_that_cuts_nothing_lets_a_schedule_complete(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule("plan-a", sequence=1))
    receive(session, cancel("plan-a", effective_from=END, sent_at=NOW))
    run(session, NOON, NOON + timedelta(hours=1))
    assert events_in(store)[-1] == (EventType.COMPLETED, "plan-a")


def test_a_schedule_that_was_not_applied_before_it_was_over_has_expired(session: DeviceSession, store: DeviceStore) -> None:
    receive(session, schedule())
    events = session_over(store).resume(END)
    assert kinds(events) == [ScheduleSettled]
    assert events_in(events) == events_in(store) == [(EventType.EXPIRED, "plan-a")]
    assert sent(store)[1].error.code == ErrorCode.TIME_EXPIRED


@pytest.mark.parametrize(
    ("trouble", "event"),
    [
        (ErrorCode.DRIVER_EXTERNAL_CONTROL, EventType.OVERRIDDEN),
        (ErrorCode.DEVICE_LOCAL_MODE, EventType.OVERRIDDEN),
        (ErrorCode.DEVICE_MAINTENANCE, EventType.OVERRIDDEN),
        (ErrorCode.DRIVER_TIMEOUT, EventType.FALLBACK_ENTERED),
        (ErrorCode.DEVICE_FAULT_ACTIVE, EventType.FALLBACK_ENTERED),
    ],
)
def test_the_cloud_is_told_when_the_plan_is_not_followed_and_when_it_is_again(
    session: DeviceSession, store: DeviceStore, trouble: ErrorCode, event: EventType
) -> None:
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    for minute, reading, expected in (
        (1, Reading(0.0, trouble), [event]),
        (2, Reading(None, trouble), []),
        (3, Reading(0.0, ErrorCode.EXEC_LIMITED_SOC), [EventType.FALLBACK_LEFT]),
        (4, Reading(0.0), []),
    ):
        events = session.tick(NOON + timedelta(minutes=minute), reading)
        assert events_in(events) == [(each, "plan-a") for each in expected]
    told = [each for each in sent(store) if isinstance(each, ScheduleEvent)][1]
    assert told.error is not None
    assert (told.event, told.error.code, told.slot_start) == (event, trouble, NOON)


def test_without_a_setpoint_there_is_nothing_to_fall_back_from(session: DeviceSession) -> None:
    apply(session, schedule(rates_w=(None, 1_000)))
    assert events_in(session.tick(NOON, Reading(0.0, ErrorCode.DRIVER_TIMEOUT))) == []
    assert events_in(session.tick(END, Reading(0.0, ErrorCode.DRIVER_TIMEOUT))) == [
        (EventType.STARTED, "plan-a"),
        (EventType.FALLBACK_ENTERED, "plan-a"),
    ]


def test_somebody_elses_control_is_told_without_a_schedule_too(session: DeviceSession) -> None:
    events = session.tick(NOON, Reading(0.0, ErrorCode.DEVICE_LOCAL_MODE))
    assert events_in(events) == [(EventType.OVERRIDDEN, None)]
    assert events_in(session.tick(NOON, Reading(0.0))) == [(EventType.FALLBACK_LEFT, None)]


def test_version_1_has_no_events_and_its_app_is_told_them_all_the_same(store: DeviceStore) -> None:
    session = session_over(store)
    receive(session, v1_schedule())
    session.applied("plan-a", NOW)
    assert events_in(session.tick(NOON, Reading(0.0))) == [(EventType.STARTED, "plan-a")]
    assert events_in(session.tick(END, Reading(0.0))) == [(EventType.COMPLETED, "plan-a")]
    assert [row.kind for row in store.outbox(9)] == [Kind.ACK, Kind.ACK, Kind.EXECUTION_RESULT]


def test_a_plan_of_another_resolution_is_reported_to_a_cloud_that_went_back_to_version_1(store: DeviceStore) -> None:
    """It planned those slots when it spoke version 2; what it wants to know of them it can read."""
    session = session_over(store)
    apply(session, schedule(rates_w=(1_000, 1_000), resolution_s=900, sequence=1))
    receive(session, v1_schedule("plan-b", start=NOON + timedelta(days=1)))
    session.tick(END, None)
    rows = store.outbox(9)[3:]
    assert [(row.kind, row.agreement.version) for row in rows] == [(Kind.EXECUTION_RESULT, 2)] * 2
    assert all(outgoing.frame is not None for outgoing in session.frames_to_send(END))
