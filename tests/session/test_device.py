"""The device's session: what it answers, what it plans, what it reports, and that nothing stops it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allye_protocol import topics
from allye_protocol.codec import MAX_PAYLOAD_BYTES, decode
from allye_protocol.errors import EncodeError, ErrorCode, Problem, RefusalError, StoreError, code_of_reason
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
from allye_protocol.frame import Frame
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, ExecutionStatus, Kind, Schedule
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.store import MemoryStore, Rank
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.topics import Channel
from allye_protocol.tracing import TraceContext
from tests.builders import CONFIG, DEVICE, HELLO, MICROSECOND, NOON, SLOT, TRACE_ID, frame_of, schedule, seeded
from tests.store.faults import failing_store
from tests.strategies import instants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.store import DeviceStore

NOW = NOON - SLOT
END = NOON + SLOT
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
STEEP = Problem(code=ErrorCode.LIMIT_RAMP, message="too steep")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeviceStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = SqliteStore(tmp_path / "device.db")
    yield made
    made.close()


def session_over(store: Any) -> DeviceSession:
    return DeviceSession(CONFIG, store, random_bytes=seeded())


@pytest.fixture
def session(store: DeviceStore) -> DeviceSession:
    return session_over(store)


def sent(store: DeviceStore) -> list[Any]:
    """The messages in the outbox, oldest first."""
    return [decode(row.payload, row.kind) for row in store.outbox(10_000)]


def statuses(store: DeviceStore) -> list[tuple[str, str]]:
    return [(each.schedule_id, each.status) for each in sent(store)]


def apply(session: DeviceSession, *schedules: Schedule, now: datetime = NOW) -> None:
    for each in schedules:
        session.receive(frame_of(each), now)
        session.applied(each.schedule_id, now)


def kinds(events: list[DeviceEvent]) -> list[type]:
    return [type(event) for event in events]


# What it is made of.


def test_a_hello_that_no_peer_would_accept_is_refused_when_the_session_is_made() -> None:
    config = msgspec.structs.replace(CONFIG, hello=msgspec.structs.replace(HELLO, versions=()))
    with pytest.raises(EncodeError):
        DeviceSession(config, MemoryStore(), random_bytes=seeded())


NAIVE = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - the mistake that is told


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.resume(NAIVE),
        lambda session: session.receive(frame_of(schedule()), NAIVE),
        lambda session: session.applied("plan-a", NAIVE),
        lambda session: session.failed("plan-a", BUSY, NAIVE),
        lambda session: session.tick(NAIVE, None),
        lambda session: session.next_deadline(NAIVE),
        lambda session: session.frames_to_send(NAIVE),
        lambda session: session.not_sent(1, NAIVE),
        lambda session: session.store_failure(frame_of(schedule()), StoreError(ErrorCode.STORE_FULL, "full"), NAIVE),
    ],
)
def test_a_time_without_an_offset_is_an_error_that_says_so(
    session: DeviceSession, act: Callable[[DeviceSession], object]
) -> None:
    with pytest.raises(ValueError, match="aware"):
        act(session)


# What is answered.


def test_a_schedule_is_received_then_applied(session: DeviceSession, store: DeviceStore) -> None:
    (admitted,) = session.receive(frame_of(schedule()), NOW)
    assert admitted == ScheduleAdmitted(schedule=schedule(), trace_id=TRACE_ID, attempt=1)
    (settled,) = session.applied("plan-a", NOW + MICROSECOND)
    assert settled == ScheduleSettled(schedule_id="plan-a", status=AckStatus.APPLIED, problem=None, trace_id=TRACE_ID)
    received, applied = sent(store)
    assert (received.status, received.timestamp, received.applied_at) == (AckStatus.RECEIVED, NOW, None)
    assert (applied.status, applied.timestamp, applied.applied_at) == (AckStatus.APPLIED, NOW + MICROSECOND, NOW + MICROSECOND)
    assert {each.trace_id for each in (received, applied)} == {TRACE_ID}
    assert [slot.rate_w for slot in store.slots(NOON, END)] == [100_000]


def test_a_schedule_that_the_battery_refuses_leaves_the_plan_as_it_was(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    session.receive(frame_of(schedule("plan-b", rates_kw=(1.0,), generated_at=NOW)), NOW)
    (settled,) = session.failed("plan-b", STEEP, NOW)
    assert settled == ScheduleSettled(schedule_id="plan-b", status=AckStatus.FAILED, problem=STEEP, trace_id=TRACE_ID)
    assert [slot.schedule_id for slot in store.slots(NOON, END)] == ["plan-a"]
    assert sent(store)[-1].error_reason == STEEP.reason()


def test_settling_twice_answers_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    assert session.applied("plan-a", NOW) == []
    assert session.failed("plan-a", STEEP, NOW) == []
    assert statuses(store) == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]


def test_settling_what_was_never_admitted_is_refused(session: DeviceSession) -> None:
    with pytest.raises(RefusalError):
        session.applied("plan-x", NOW)


def test_a_repetition_is_answered_as_before_and_changes_nothing(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    (repeated,) = session.receive(frame_of(schedule()), END + timedelta(days=3))
    assert repeated == ScheduleRepeated(schedule_id="plan-a", trace_id=TRACE_ID)
    assert sent(store)[2] == sent(store)[1]


@pytest.mark.parametrize(
    ("arriving", "code"),
    [
        (schedule(start=NOW - timedelta(hours=3)), ErrorCode.TIME_EXPIRED),
        (schedule(start=NOW + timedelta(days=9)), ErrorCode.TIME_TOO_FAR),
        (schedule(rates_kw=(0.0, 150.1)), ErrorCode.LIMIT_POWER),
        (schedule(rates_kw=(-150.1,)), ErrorCode.LIMIT_POWER),
    ],
)
def test_a_refused_schedule_is_answered_with_its_code(
    session: DeviceSession, store: DeviceStore, arriving: Schedule, code: ErrorCode
) -> None:
    (refused,) = session.receive(frame_of(arriving), NOW)
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is code
    (answer,) = sent(store)
    assert (answer.schedule_id, answer.status, answer.error_reason) == ("plan-a", AckStatus.FAILED, refused.problem.reason())
    assert store.rejected() == []
    assert session.receive(frame_of(arriving), NOW) == [ScheduleRepeated(schedule_id="plan-a", trace_id=TRACE_ID)]
    assert sent(store) == [answer, answer]


def test_without_trusted_time_a_schedule_is_to_be_tried_again(session: DeviceSession, store: DeviceStore) -> None:
    (refused,) = session.receive(frame_of(schedule()), datetime(1970, 1, 1, tzinfo=UTC), clock_trusted=False)
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.DEVICE_CLOCK_UNTRUSTED
    assert kinds(session.receive(frame_of(schedule()), NOW)) == [ScheduleAdmitted]


def test_a_schedule_from_the_future_is_to_be_tried_again(session: DeviceSession, store: DeviceStore) -> None:
    arriving = frame_of(schedule(generated_at=NOW))
    (refused,) = session.receive(arriving, NOW - timedelta(minutes=10))
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.ORDER_IN_FUTURE
    code = code_of_reason(sent(store)[0].error_reason)
    assert code is not None
    assert code.retryable
    assert kinds(session.receive(arriving, NOW)) == [ScheduleAdmitted]


def unreadable(payload: bytes, **changes: Any) -> Frame:
    return Frame(**{"topic": f"devices/{DEVICE}/schedule", "payload": payload, **changes})


@pytest.mark.parametrize(
    ("frame", "code", "reference"),
    [
        pytest.param(unreadable(b"{" * 10), ErrorCode.MESSAGE_MALFORMED, None, id="not JSON"),
        pytest.param(unreadable(b'{"schedule_id":"plan-x"}'), ErrorCode.MESSAGE_INVALID, "plan-x", id="members missing"),
        pytest.param(unreadable(b'{"schedule_id":"a/b"}'), ErrorCode.MESSAGE_INVALID, None, id="an id that is none"),
        pytest.param(
            unreadable(b'{"schedule_id":"plan-x","version":9}'), ErrorCode.VERSION_UNSUPPORTED, "plan-x", id="a later version"
        ),
        pytest.param(unreadable(b" " * (MAX_PAYLOAD_BYTES + 1)), ErrorCode.MESSAGE_TOO_LARGE, None, id="too large"),
        pytest.param(unreadable(b"{}", content_type="text/plain"), ErrorCode.MESSAGE_INVALID, None, id="another encoding"),
        pytest.param(unreadable(b"{}", topic=f"devices/{DEVICE}/ack"), ErrorCode.MESSAGE_UNKNOWN_KIND, None, id="own answers"),
        pytest.param(unreadable(b"{}", topic="elsewhere"), ErrorCode.MESSAGE_INVALID_TOPIC, None, id="another topic"),
    ],
)
def test_what_cannot_be_read_is_answered_and_its_head_kept(
    session: DeviceSession, store: DeviceStore, frame: Frame, code: ErrorCode, reference: str | None
) -> None:
    (refused,) = session.receive(frame, NOW)
    (answer,) = sent(store)
    (kept,) = store.rejected()
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is code
    assert code_of_reason(answer.error_reason) is code
    assert answer.schedule_id == refused.reference
    assert len(answer.schedule_id) == 64 if reference is None else answer.schedule_id == reference
    assert (kept.size_bytes, kept.head, kept.at) == (len(frame.payload), frame.payload[:256], NOW)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(frame_of(schedule(device="other")), id="the payload's"),
        pytest.param(frame_of(schedule(), topic="devices/other/schedule"), id="the topic's"),
        pytest.param(unreadable(b'{"device_id":"other","schedule_id":"plan-a"}'), id="an invalid payload's"),
    ],
)
def test_a_message_for_another_device_raises_an_alert_and_is_answered_once_a_minute(
    session: DeviceSession, store: DeviceStore, frame: Frame
) -> None:
    for seconds, answers in ((0, 1), (1, 1), (59, 1), (60, 2), (61, 2), (-3600, 3)):
        (alert,) = session.receive(frame, NOW + timedelta(seconds=seconds))
        assert isinstance(alert, SecurityAlert)
        assert alert.problem.code is ErrorCode.MESSAGE_WRONG_DEVICE
        assert alert.topic == frame.topic
        assert len(sent(store)) == answers
    assert {each.device_id for each in sent(store)} == {DEVICE}
    assert {outgoing.frame.topic for outgoing in session.frames_to_send(NOW)} == {f"devices/{DEVICE}/ack"}
    assert store.entry("plan-a") is None


def test_of_messages_that_cannot_be_read_sixty_a_minute_are_answered(session: DeviceSession, store: DeviceStore) -> None:
    for number in range(100):
        (refused,) = session.receive(unreadable(b"x%d" % number), NOW)
        assert isinstance(refused, ScheduleRefused)
    assert len(sent(store)) == 60
    assert store.rejected()[-1].head == b"x99"
    for seconds, answers in ((59, 60), (60, 61), (61, 62), (-3600, 63)):
        session.receive(unreadable(b"y"), NOW + timedelta(seconds=seconds))
        assert len(sent(store)) == answers
    assert kinds(session.receive(frame_of(schedule()), NOW)) == [ScheduleAdmitted]


def test_no_flood_of_refusals_costs_a_result_or_an_answer(tmp_path: Path) -> None:
    """A device that cannot send: its outbox is full of what a peer makes it refuse, and it goes on."""
    for store in (MemoryStore(max_outbox_rows=5), SqliteStore(tmp_path / "device.db", max_outbox_rows=5)):
        session = session_over(store)
        apply(session, schedule())
        for number in range(10):
            session.receive(unreadable(b"x%d" % number), NOW)
            session.receive(frame_of(schedule(f"plan-{number}", rates_kw=(999.0,), generated_at=NOW)), NOW)
        assert store.outbox_size() == 5
        session.tick(NOON, Reading(0.0))
        assert kinds(session.tick(END, Reading(50_000))) == [SlotEnded, DefaultControl]
        for number in range(10):
            session.receive(unreadable(b"y%d" % number), END)
        rows = store.outbox(9)
        assert [row.rank for row in rows] == [Rank.ANSWER, Rank.ANSWER, Rank.REFUSAL, Rank.REFUSAL, Rank.RESULT]
        if isinstance(store, SqliteStore):
            store.close()


def test_an_outbox_full_of_answers_stops_no_slot() -> None:
    store = MemoryStore(max_outbox_rows=5)
    session = session_over(store)
    apply(session, schedule())
    for _ in range(5):
        session.receive(frame_of(schedule()), NOW)
    session.tick(NOON, Reading(0.0))
    session.tick(END, Reading(50_000))
    assert store.outbox(9)[-1].rank is Rank.RESULT
    assert store.outbox_size() == 5


@pytest.mark.parametrize(
    ("arriving", "rank"),
    [
        pytest.param(schedule("plan-b", generated_at=NOW), Rank.ANSWER, id="received"),
        pytest.param(schedule("plan-b", rates_kw=(999.0,), generated_at=NOW), Rank.REFUSAL, id="remembered"),
        pytest.param(schedule("plan-b"), Rank.PASSING, id="stale"),
        pytest.param(schedule("plan-b", generated_at=NOW + SLOT), Rank.PASSING, id="from the future"),
        pytest.param(schedule("plan-a", rates_kw=(1.0,)), Rank.PASSING, id="conflict"),
    ],
)
def test_an_answer_ranks_by_whether_it_can_be_had_again(
    session: DeviceSession, store: DeviceStore, arriving: Schedule, rank: Rank
) -> None:
    apply(session, schedule())
    session.receive(frame_of(arriving), NOW)
    assert store.outbox(9)[-1].rank is rank


frames = st.builds(
    Frame,
    topic=st.one_of(
        st.just(f"devices/{DEVICE}/schedule"),
        st.builds(topics.build, st.sampled_from([DEVICE, "other"]), st.sampled_from(Channel)),
        st.text(max_size=30),
        st.text(st.characters(categories=["Cs", "Cc"]), max_size=5),
    ),
    payload=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda at, byte, whole: whole[:at] + bytes([byte]) + whole[at + 1 :],
            st.integers(0, 300),
            st.integers(0, 255),
            st.just(frame_of(schedule()).payload),
        ),
        st.sampled_from([b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000, b"\xff" * 70_000, b'{"schedule_id":"\\ud800"}']),
    ),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    content_type=st.none() | st.sampled_from(["application/json", "application/json; charset=utf-8"]) | st.text(max_size=9),
    user_properties=st.lists(
        st.tuples(st.sampled_from(["traceparent", "tracestate", "x"]), st.text(max_size=60)), max_size=3
    ).map(tuple),
)


@given(st.lists(frames, min_size=1, max_size=4), instants, st.booleans())
@example([Frame(topic="a\ud800b", payload=b"x")], NOW, True)
def test_no_frame_whatever_is_in_it_raises(arriving: list[Frame], now: datetime, trusted: bool) -> None:
    store = MemoryStore()
    session = session_over(store)
    for frame in arriving:
        (event,) = session.receive(frame, now, clock_trusted=trusted)
        assert isinstance(event, ScheduleAdmitted | ScheduleRefused | ScheduleRepeated | SecurityAlert)
        msgspec.msgpack.encode(store.rejected())
    for outgoing in session.frames_to_send(now, 100):
        assert outgoing.frame.topic == f"devices/{DEVICE}/ack"
        assert isinstance(decode(outgoing.frame.payload, Kind.ACK), Ack)


def test_a_message_that_could_not_be_stored_leaves_nothing_and_can_be_answered_outside(store: DeviceStore) -> None:
    broken = [True]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "commit"))
    with pytest.raises(StoreError) as caught:
        session.receive(frame_of(schedule()), NOW)
    assert store.entry("plan-a") is None
    assert store.outbox_size() == 0
    frame = session.store_failure(frame_of(schedule()), caught.value, NOW)
    answer = decode(frame.payload, Kind.ACK)
    assert isinstance(answer, Ack)
    assert (frame.topic, answer.schedule_id, answer.status) == (f"devices/{DEVICE}/ack", "plan-a", AckStatus.FAILED)
    code = code_of_reason(answer.error_reason)
    assert code is ErrorCode.STORE_FAILED
    assert code.retryable
    broken[0] = False
    assert kinds(session.receive(frame_of(schedule()), NOW)) == [ScheduleAdmitted]


def test_an_alert_that_could_not_be_stored_is_not_counted_as_answered(store: DeviceStore) -> None:
    broken = [True]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "push"))
    stray = frame_of(schedule(device="other"))
    with pytest.raises(StoreError):
        session.receive(stray, NOW)
    broken[0] = False
    session.receive(stray, NOW)
    assert len(sent(store)) == 1


# What is planned.


ORDERS = list(permutations(range(4)))
FOUR = [
    schedule("plan-a", rates_kw=(1.0, 1.0, 1.0, 1.0, 1.0), generated_at=NOW - timedelta(minutes=4)),
    schedule("plan-b", start=NOON + SLOT, rates_kw=(2.0, 2.0, 2.0), generated_at=NOW - timedelta(minutes=3)),
    schedule("plan-c", start=NOON + 2 * SLOT, rates_kw=(3.0,), generated_at=NOW - timedelta(minutes=2)),
    schedule("plan-d", start=NOON + 2 * SLOT, rates_kw=(4.0, 4.0), generated_at=NOW - timedelta(minutes=1)),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("abcd"[index] for index in order))
def test_the_plan_is_that_of_the_highest_order_whatever_arrives_when(order: tuple[int, ...]) -> None:
    """Every permutation, every arrival repeated, a restart or none between any two."""
    for restarts in product([False, True], repeat=4):
        store = MemoryStore()
        session = session_over(store)
        arrived: list[Schedule] = []
        for index, restart in zip(order, restarts, strict=True):
            events = session.receive(frame_of(FOUR[index]), NOW)
            if restart:
                session = session_over(store)
                events = session.resume(NOW)
            admitted = [event for event in events if isinstance(event, ScheduleAdmitted)]
            for event in admitted:
                session.applied(event.schedule.schedule_id, NOW)
                arrived.append(event.schedule)
            for again in (FOUR[index], FOUR[order[0]]):
                assert kinds(session.receive(frame_of(again), NOW)) != [ScheduleAdmitted]
        assert [each.generated_at for each in arrived] == sorted(each.generated_at for each in arrived)
        assert arrived[-1] is not None
        assert arrived[-1].schedule_id == "plan-d"
        planned = {slot.start: slot.rate_w for slot in store.slots(NOON, NOON + 9 * SLOT)}
        assert planned == {slot.start: slot.rate_w for each in arrived for slot in each.intervals}


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("abcd"[index] for index in order))
def test_the_plan_is_that_of_the_highest_order_whatever_the_battery_takes_first(order: tuple[int, ...]) -> None:
    store = MemoryStore()
    session = session_over(store)
    for each in FOUR:
        session.receive(frame_of(each), NOW)
    for index in order:
        session.applied(FOUR[index].schedule_id, NOW)
    planned = {slot.start: slot.rate_w for slot in store.slots(NOON, NOON + 9 * SLOT)}
    assert planned == {slot.start: slot.rate_w for each in FOUR for slot in each.intervals}


# What is executed.


def test_a_slot_begins_ends_and_is_reported_once(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_kw=(100.0, -50.0)))
    assert session.next_deadline(NOW) == NOON
    assert session.tick(NOW, Reading(0.0)) == [DefaultControl(since=NOW)]
    assert session.tick(NOW, Reading(0.0)) == []
    (started,) = session.tick(NOON, Reading(0.0))
    assert isinstance(started, SlotStarted)
    assert started.slot.rate_w == 100_000
    assert session.next_deadline(NOON) == END
    for minute in range(1, 30):
        assert session.tick(NOON + timedelta(minutes=minute), Reading(100_000 * minute / 60)) == []
    ended, following = session.tick(END, Reading(50_000))
    assert isinstance(ended, SlotEnded)
    assert isinstance(following, SlotStarted)
    assert (ended.result.status, ended.result.actual_rate_kw) == (ExecutionStatus.SUCCEED, 100.0)
    assert following.slot.rate_w == -50_000
    assert session.tick(END, Reading(50_000)) == []
    assert sent(store)[-1] == ended.result
    ended, idle = session.tick(END + SLOT, Reading(50_000))
    assert isinstance(ended, SlotEnded)
    assert idle == DefaultControl(since=END + SLOT)
    assert session.next_deadline(END + SLOT) is None


def test_a_plan_that_comes_in_mid_slot_asks_for_a_tick_at_once(session: DeviceSession) -> None:
    """The one who follows the deadlines and nothing else begins it now, not at the slot's end."""
    now = NOON + timedelta(minutes=5)
    session.tick(now, Reading(0.0))
    for name, minutes in (("plan-a", -1), ("plan-b", 0)):
        apply(session, schedule(name, generated_at=now + timedelta(minutes=minutes)), now=now)
        assert session.next_deadline(now) == now
        (started,) = session.tick(now, Reading(0.0))
        assert isinstance(started, SlotStarted)
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
    (started,) = again.tick(NOON + timedelta(minutes=11), Reading(100_000 * 11 / 60))
    assert isinstance(started, SlotStarted)
    for minute in range(12, 30):
        again.tick(NOON + timedelta(minutes=minute), Reading(100_000 * minute / 60))
    ended = again.tick(END, Reading(50_000))[0]
    assert isinstance(ended, SlotEnded)
    assert (ended.result.status, ended.result.actual_rate_kw) == (ExecutionStatus.SUCCEED, 100.0)
    assert ended.judgement.coverage == pytest.approx(29 / 30)


def test_a_newer_schedule_switches_the_running_slot_at_once(session: DeviceSession) -> None:
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    now = NOON + timedelta(minutes=10)
    apply(session, schedule("plan-b", rates_kw=(-100.0,), generated_at=now), now=now)
    (started,) = session.tick(now, Reading(0.0))
    assert isinstance(started, SlotStarted)
    assert (started.slot.rate_w, started.slot.schedule_id) == (-100_000, "plan-b")
    ended = session.tick(END, Reading(0.0))[0]
    assert isinstance(ended, SlotEnded)
    assert ended.judgement.scheduled_w == pytest.approx(-100_000 / 3)


def test_slots_that_passed_while_nothing_ran_are_reported_as_missed(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule(rates_kw=(1.0,) * 48))
    now = NOON + 47 * SLOT
    assert session.next_deadline(now) == now
    events = session.tick(now, None)
    assert kinds(events) == [SlotEnded] * 47 + [SlotStarted]
    missed = [each for each in sent(store) if isinstance(each, ExecutionResult)]
    assert {code_of_reason(each.error_reason) for each in missed} == {ErrorCode.EXEC_MISSED}


def test_a_late_reading_says_nothing_about_the_slot_before(session: DeviceSession) -> None:
    apply(session, schedule(rates_kw=(0.0,)))
    session.tick(NOON, Reading(0.0))
    ended = session.tick(END + timedelta(seconds=6), Reading(1000.0))[0]
    assert isinstance(ended, SlotEnded)
    assert ended.judgement.actual_w == 0.0


def test_without_trusted_time_the_default_control_applies_and_no_slot_ends(session: DeviceSession, store: DeviceStore) -> None:
    """A device that booted with the time of its last shutdown must not execute what that time asks for."""
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    now = NOON + timedelta(minutes=1)
    assert session.tick(now, Reading(0.0), clock_trusted=False) == [DefaultControl(since=now)]
    assert session.tick(now, Reading(0.0), clock_trusted=False) == []
    assert session.next_deadline(now) is None
    later = END + timedelta(days=1)
    assert session.tick(later, Reading(0.0), clock_trusted=False) == []
    assert session.next_deadline(later) is None
    assert kinds(session.tick(NOON + timedelta(minutes=2), Reading(0.0))) == [SlotStarted]


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("phase", range(0, 121, 5))
def test_a_clock_that_is_set_by_an_hour_costs_no_slot_and_reports_none_twice(hours: int, phase: int) -> None:
    """Four slots, a reading every five minutes; at one of them the clock jumps."""
    store = MemoryStore()
    session = session_over(store)
    apply(session, schedule(rates_kw=(10.0,) * 4))
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
    assert [each.interval.start for each in sent(store) if isinstance(each, ExecutionResult)] == [e.slot.start for e in ended]
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
    session.tick(NOON, Reading(0.0))
    broken[0] = True
    with pytest.raises(StoreError):
        session.tick(END, Reading(50_000.0))
    assert session.next_deadline(END) == END
    broken[0] = False
    assert kinds(session.tick(END, Reading(50_000.0))) == [SlotEnded, DefaultControl]


# What a restart takes up.


def test_an_application_that_a_restart_interrupted_is_taken_up(session: DeviceSession, store: DeviceStore) -> None:
    session.receive(frame_of(schedule()), NOW)
    again = session_over(store)
    (admitted,) = again.resume(NOW)
    assert admitted == ScheduleAdmitted(schedule=schedule(), trace_id=TRACE_ID, attempt=2)
    again.applied("plan-a", NOW)
    assert statuses(store) == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    assert session_over(store).resume(NOW) == []


def test_a_schedule_that_ended_the_process_three_times_is_quarantined(store: DeviceStore) -> None:
    session_over(store).receive(frame_of(schedule()), NOW)
    attempts = [session_over(store).resume(NOW) for _ in range(3)]
    assert [kinds(events) for events in attempts] == [[ScheduleAdmitted], [ScheduleAdmitted], [ScheduleSettled]]
    assert code_of_reason(sent(store)[-1].error_reason) is ErrorCode.INTERNAL_QUARANTINED
    session = session_over(store)
    assert session.resume(NOW) == []
    assert kinds(session.receive(frame_of(schedule()), NOW)) == [ScheduleRepeated]
    assert kinds(session.receive(frame_of(schedule("plan-b", generated_at=NOW)), NOW)) == [ScheduleAdmitted]


def test_a_start_that_the_store_let_down_counts_as_no_attempt(store: DeviceStore) -> None:
    healthy = session_over(store)
    healthy.receive(frame_of(schedule()), NOW)
    for _ in range(2):
        session_over(store).resume(NOW)
    healthy.receive(frame_of(schedule("plan-b", generated_at=NOW)), NOW)
    broken = session_over(failing_store(store, lambda name: name == "push"))
    for _ in range(5):
        with pytest.raises(StoreError):
            broken.resume(NOW)
    quarantined, admitted = session_over(store).resume(NOW)
    assert isinstance(quarantined, ScheduleSettled)
    assert admitted == ScheduleAdmitted(schedule=schedule("plan-b", generated_at=NOW), trace_id=TRACE_ID, attempt=2)


def test_an_old_id_is_forgotten_and_its_schedule_stays_stale(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    session.tick(END, None)
    late = END + timedelta(days=15)
    session.tick(late, None)
    assert store.entry("plan-a") is None
    (refused,) = session.receive(frame_of(schedule()), NOW)
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.ORDER_STALE


# What is sent.


def test_frames_carry_their_message_with_its_trace(session: DeviceSession) -> None:
    apply(session, schedule())
    received, applied = (outgoing.frame for outgoing in session.frames_to_send(NOW))
    for frame in (received, applied):
        assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/ack", 1, False)
        assert frame.content_type == "application/json"
        context = TraceContext.parse(frame.user_property("traceparent") or "")
        assert context is not None
        assert context.trace_id == TRACE_ID
    assert received.user_properties != applied.user_properties


def test_results_travel_on_their_own_channel(session: DeviceSession) -> None:
    apply(session, schedule())
    session.tick(END, None)
    assert [outgoing.frame.topic for outgoing in session.frames_to_send(END)][-1] == f"devices/{DEVICE}/execution"


def test_hello_is_retained_and_says_what_the_device_is(session: DeviceSession) -> None:
    frame = session.hello()
    assert decode(frame.payload, Kind.HELLO) == HELLO
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/hello", 1, True)


def test_the_device_subscribes_to_its_own_schedules_alone(session: DeviceSession) -> None:
    assert session.subscriptions == (f"devices/{DEVICE}/schedule",)


def test_another_root_moves_every_topic() -> None:
    config = msgspec.structs.replace(CONFIG, root="acme/gb/devices")
    session = DeviceSession(config, MemoryStore(), random_bytes=seeded())
    assert session.subscriptions == (f"acme/gb/devices/{DEVICE}/schedule",)
    assert session.hello().topic == f"acme/gb/devices/{DEVICE}/hello"
    session.receive(frame_of(schedule(), topic=f"acme/gb/devices/{DEVICE}/schedule"), NOW)
    assert session.frames_to_send(NOW)[0].frame.topic == f"acme/gb/devices/{DEVICE}/ack"


@pytest.mark.parametrize("property_value", ["00-" + "f" * 32 + "-" + "1" * 16 + "-01", None])
def test_the_trace_of_the_frame_goes_before_the_bodys(
    session: DeviceSession, store: DeviceStore, property_value: str | None
) -> None:
    properties = () if property_value is None else (("traceparent", property_value),)
    frame = msgspec.structs.replace(frame_of(schedule()), user_properties=properties)
    (admitted,) = session.receive(frame, NOW)
    assert isinstance(admitted, ScheduleAdmitted)
    assert admitted.trace_id == (TRACE_ID if property_value is None else "f" * 32)
    assert sent(store)[0].trace_id == admitted.trace_id


def traced(trace_id: str, tracestate: str = "") -> Frame:
    properties = (("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01"), ("tracestate", tracestate))
    return msgspec.structs.replace(frame_of(schedule()), user_properties=properties)


def test_the_answer_to_a_message_carries_its_tracestate(session: DeviceSession) -> None:
    session.receive(traced("1" * 32, "a=b"), NOW)
    ((_, frame),) = session.frames_to_send(NOW)
    assert frame.user_property("tracestate") == "a=b"


def test_a_repeated_answer_travels_in_the_trace_that_its_body_names(session: DeviceSession) -> None:
    session.receive(traced("1" * 32, "a=b"), NOW)
    (repeated,) = session.receive(traced("2" * 32, "c=d"), NOW)
    assert isinstance(repeated, ScheduleRepeated)
    assert repeated.trace_id == "2" * 32
    for _, frame in session.frames_to_send(NOW):
        answer = decode(frame.payload, Kind.ACK)
        context = TraceContext.parse(frame.user_property("traceparent") or "")
        assert isinstance(answer, Ack)
        assert context is not None
        assert answer.trace_id == context.trace_id == "1" * 32
        assert frame.user_property("tracestate") != "c=d"


def test_a_frame_that_was_refused_is_tried_again_at_its_deadline(session: DeviceSession) -> None:
    session.receive(frame_of(schedule()), NOW)
    ((number, frame),) = session.frames_to_send(NOW)
    session.not_sent(number, NOW)
    deadline = NOW + timedelta(minutes=1)
    assert session.next_deadline(NOW) == deadline
    assert session.frames_to_send(deadline) == [(number, frame)]
    session.sent(number)
    assert session.frames_to_send(deadline) == []
    assert session.next_deadline(deadline) is None


def test_a_frame_that_was_lost_with_its_connection_is_sent_again_unchanged(session: DeviceSession) -> None:
    apply(session, schedule())
    first = session.frames_to_send(NOW)
    session.disconnected()
    assert session.frames_to_send(NOW) == first
