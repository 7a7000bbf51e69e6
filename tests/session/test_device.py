"""The device's session: what it answers, what it plans, what it reports, and that nothing stops it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allye_protocol import topics
from allye_protocol.codec import ENCODINGS, MAX_PAYLOAD_BYTES
from allye_protocol.convert import decode, encode
from allye_protocol.digest import digest
from allye_protocol.errors import EncodeError, ErrorCode, Problem, RefusalError, StoreError
from allye_protocol.events import (
    DefaultControl,
    ScheduleAdmitted,
    ScheduleCancelled,
    ScheduleRefused,
    ScheduleRepeated,
    ScheduleSettled,
    SecurityAlert,
    SlotEnded,
)
from allye_protocol.frame import Frame
from allye_protocol.messages import (
    Ack,
    AckStatus,
    BatteryState,
    Cancel,
    Clock,
    EventType,
    Kind,
    Schedule,
    ScheduleEvent,
    sequence_at,
)
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.store import MemoryStore, Rank
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.topics import Channel
from allye_protocol.tracing import TraceContext
from tests.builders import (
    CONFIG,
    DEVICE,
    HELLO,
    LIMIT_W,
    MICROSECOND,
    NOON,
    SLOT,
    TRACE_ID,
    V1_HELLO,
    cancel,
    frame_of,
    schedule,
    v1_schedule,
)
from tests.session.device_world import NOW, apply, config_of, events_in, kinds, receive, sent, session_over, statuses
from tests.store.contract import contents
from tests.store.faults import failing_store
from tests.strategies import instants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.store import DeviceStore

END = NOON + SLOT
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
STEEP = Problem(code=ErrorCode.LIMIT_RAMP, message="too steep")
SEQUENCE = sequence_at(NOW)
JSON = "application/json"


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


# What it is made of.


def test_a_hello_that_no_peer_would_accept_is_refused_when_the_session_is_made() -> None:
    config = msgspec.structs.replace(CONFIG, hello=msgspec.structs.replace(HELLO, versions=()))
    with pytest.raises(EncodeError):
        session_over(MemoryStore(), config)


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
        lambda session: session.status(NAIVE),
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
    assert [slot.rate_w for slot in session.plan.slots(NOON, END)] == [100_000]


def test_a_schedule_that_the_battery_refuses_leaves_the_plan_as_it_was(session: DeviceSession, store: DeviceStore) -> None:
    apply(session, schedule())
    session.receive(frame_of(schedule("plan-b", rates_w=(1,), generated_at=NOW)), NOW)
    (settled,) = session.failed("plan-b", STEEP, NOW)
    assert settled == ScheduleSettled(schedule_id="plan-b", status=AckStatus.FAILED, problem=STEEP, trace_id=TRACE_ID)
    assert [slot.schedule_id for slot in session.plan.slots(NOON, END)] == ["plan-a"]
    assert (sent(store)[-1].error.code, sent(store)[-1].error.message) == (STEEP.code, STEEP.message)


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
        (schedule(expires_at=NOW), ErrorCode.TIME_EXPIRED),
        (schedule(rates_w=(0, 150_100)), ErrorCode.LIMIT_POWER),
        (schedule(rates_w=(-150_100,)), ErrorCode.LIMIT_POWER),
    ],
)
def test_a_refused_schedule_is_answered_with_its_code(
    session: DeviceSession, store: DeviceStore, arriving: Schedule, code: ErrorCode
) -> None:
    (refused,) = session.receive(frame_of(arriving), NOW)
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is code
    (answer,) = sent(store)
    assert (answer.schedule_id, answer.status, answer.error.code) == ("plan-a", AckStatus.FAILED, code)
    assert (answer.error.path, answer.error.message) == (refused.problem.path, refused.problem.message)
    assert (answer.digest, answer.sequence, answer.retryable) == (digest(arriving), arriving.sequence, False)
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
    assert (sent(store)[0].error.code, sent(store)[0].retryable) == (ErrorCode.ORDER_IN_FUTURE, True)
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
    assert answer.error.code == code
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
            session.receive(frame_of(schedule(f"plan-{number}", rates_w=(999_000,), generated_at=NOW)), NOW)
        assert store.outbox_size() == 5
        session.tick(NOON, Reading(0.0))
        assert kinds(session.tick(END, Reading(50_000))) == [SlotEnded, DefaultControl]
        for number in range(10):
            session.receive(unreadable(b"y%d" % number), END)
        rows = store.outbox(9)
        assert [row.rank for row in rows] == [Rank.ANSWER, Rank.ANSWER, Rank.EVENT, Rank.RESULT, Rank.EVENT]
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
    assert [row.rank for row in store.outbox(9)] == [*[Rank.ANSWER] * 4, Rank.RESULT]


@pytest.mark.parametrize(
    ("arriving", "rank"),
    [
        pytest.param(schedule("plan-b", generated_at=NOW), Rank.ANSWER, id="received"),
        pytest.param(schedule("plan-b", rates_w=(999_000,), generated_at=NOW), Rank.REFUSAL, id="remembered"),
        pytest.param(schedule("plan-b"), Rank.PASSING, id="stale"),
        pytest.param(schedule("plan-b", generated_at=NOW + SLOT), Rank.PASSING, id="from the future"),
        pytest.param(schedule("plan-a", rates_w=(1,)), Rank.PASSING, id="conflict"),
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
        st.just(f"devices/{DEVICE}/cancel"),
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
            st.sampled_from([frame_of(each).payload for each in (schedule(), v1_schedule(), cancel(sent_at=NOW))]),
        ),
        st.sampled_from([b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000, b"\xff" * 70_000, b'{"schedule_id":"\\ud800"}']),
    ),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    content_type=st.none() | st.sampled_from([*ENCODINGS, "application/json; charset=utf-8"]) | st.text(max_size=9),
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
        assert isinstance(event, ScheduleAdmitted | ScheduleRefused | ScheduleRepeated | SecurityAlert | ScheduleCancelled)
        msgspec.msgpack.encode(store.rejected())
    for outgoing in session.frames_to_send(now, 100):
        assert outgoing.frame.topic in {f"devices/{DEVICE}/ack", f"devices/{DEVICE}/event"}
        kind = Kind.ACK if outgoing.frame.topic.endswith("ack") else Kind.SCHEDULE_EVENT
        assert isinstance(decode(outgoing.frame.payload, kind, outgoing.frame.content_type), Ack | ScheduleEvent)


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
    assert answer.error is not None
    assert (answer.error.code, answer.is_retryable) == (ErrorCode.STORE_FAILED, True)
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


NEXT = schedule("plan-b", start=END, rates_w=(2, 2), resolution_s=900, generated_at=NOW)
CANCEL_FROM = cancel(None, effective_from=END + timedelta(minutes=20), sequence=SEQUENCE + 5)
ACTS: list[tuple[str, Callable[[DeviceSession], object]]] = [
    ("a schedule of version 1", lambda session: receive(session, v1_schedule(rates_kw=(1.0, 1.0)))),
    ("applied", lambda session: session.applied("plan-a", NOW)),
    ("begins", lambda session: session.tick(NOON, Reading(0.0))),
    ("a schedule of version 2", lambda session: receive(session, NEXT, NOON)),
    ("resume", lambda session: session.resume(NOON)),
    ("applied, superseding", lambda session: session.applied("plan-b", NOON)),
    ("a schedule to be refused", lambda session: receive(session, schedule("plan-c", rates_w=(10**7,), sequence=SEQUENCE + 1))),
    ("a schedule to fail", lambda session: receive(session, schedule("plan-d", start=END, sequence=SEQUENCE + 2), NOON)),
    ("failed", lambda session: session.failed("plan-d", BUSY, NOON)),
    ("a schedule to wait", lambda session: receive(session, schedule("plan-e", start=END, sequence=SEQUENCE + 3), NOON)),
    ("a reading with trouble", lambda session: session.tick(NOON + MICROSECOND, Reading(0.0, ErrorCode.DRIVER_TIMEOUT))),
    ("a cancel of the one that waits", lambda session: receive(session, cancel("plan-e", sequence=SEQUENCE + 4), NOON)),
    ("a cancel from an instant", lambda session: receive(session, CANCEL_FROM, NOON)),
    ("a cancel before its schedule", lambda session: receive(session, cancel("plan-f", sequence=SEQUENCE + 6), NOON)),
    ("ends and begins", lambda session: session.tick(END, Reading(500.0))),
    ("what cannot be read", lambda session: session.receive(unreadable(b"{"), END)),
    ("another device's", lambda session: receive(session, schedule(device="other"), END)),
    ("a clock that is not trusted", lambda session: session.tick(END + MICROSECOND, None, clock_trusted=False)),
    ("ends and is pruned", lambda session: session.tick(END + timedelta(days=30), Reading(1000.0))),
]
ALL = [f"plan-{letter}" for letter in "abcdef"]


def test_a_store_that_fails_at_any_call_stores_nothing_and_everything_happens_again(store: DeviceStore) -> None:
    """What is held in memory, the plan and how the cloud speaks, goes back with the transaction."""
    left = [0]

    def fails(_: str) -> bool:
        left[0] -= 1
        return left[0] == 0

    session, calls = session_over(failing_store(store, fails)), 0
    cancels = [SEQUENCE + number for number in range(9)]
    for what, act in ACTS:
        for failing in range(1, 200):
            before = contents(store, ALL, cancels)
            left[0] = failing
            try:
                act(session)
            except StoreError:
                left[0] = 0
                assert contents(store, ALL, cancels) == before, what
                fresh = session_over(store)
                assert session.agreement == fresh.agreement
                assert planned(session) == planned(fresh)
                calls += 1
            else:
                left[0] = 0
                assert contents(store, ALL, cancels) != before or what == "resume"
                break
    assert calls > 150
    states = [None if (found := store.entry(name)) is None else found.state for name in ALL]
    assert states == [None] * 6
    assert [row.kind for row in store.outbox(100)].count(Kind.EXECUTION_RESULT) == 3
    assert events_in(store) == [
        (EventType.FALLBACK_ENTERED, "plan-a"),
        (EventType.CANCELLED, "plan-e"),
        (EventType.CANCELLED, None),
        (EventType.CANCELLED, "plan-f"),
        (EventType.STARTED, "plan-b"),
        (EventType.FALLBACK_LEFT, "plan-b"),
        (EventType.FALLBACK_ENTERED, None),
        (EventType.FALLBACK_LEFT, None),
    ]


# What is planned.


ORDERS = list(permutations(range(4)))
FOUR = [
    schedule("plan-a", rates_w=(1, 1, 1, 1, 1), generated_at=NOW - timedelta(minutes=4)),
    schedule("plan-b", start=NOON + SLOT, rates_w=(2, 2, 2), generated_at=NOW - timedelta(minutes=3)),
    schedule("plan-c", start=NOON + 2 * SLOT, rates_w=(3,), generated_at=NOW - timedelta(minutes=2)),
    schedule("plan-d", start=NOON + 2 * SLOT, rates_w=(4, 4), generated_at=NOW - timedelta(minutes=1)),
]


def planned(session: DeviceSession) -> dict[datetime, int | None]:
    return {slot.start: slot.rate_w for slot in session.plan.slots(NOON, NOON + 9 * SLOT)}


def asked(schedules: list[Schedule]) -> dict[datetime, int | None]:
    """What schedules ask for, the later in the list deciding."""
    return {each.start + each.resolution * index: rate for each in schedules for index, rate in enumerate(each.rates_w)}


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
        assert [each.sequence for each in arrived] == sorted(each.sequence for each in arrived)
        assert arrived[-1] is not None
        assert arrived[-1].schedule_id == "plan-d"
        assert planned(session) == asked(arrived)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("abcd"[index] for index in order))
def test_the_plan_is_that_of_the_highest_order_whatever_the_battery_takes_first(order: tuple[int, ...]) -> None:
    store = MemoryStore()
    session = session_over(store)
    for each in FOUR:
        session.receive(frame_of(each), NOW)
    for index in order:
        session.applied(FOUR[index].schedule_id, NOW)
    assert planned(session) == asked(FOUR)


SAME_HORIZON = [schedule(f"plan-{name}", rates_w=(index,) * 4, sequence=SEQUENCE + index) for index, name in enumerate("abcd")]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join("abcd"[index] for index in order))
def test_of_schedules_with_one_horizon_the_highest_is_the_plan_in_the_end(order: tuple[int, ...]) -> None:
    """Every permutation, every arrival and the first one repeated, and a restart or none between any two."""
    for restarts in product([False, True], repeat=4):
        store = MemoryStore()
        session = session_over(store)
        for index, restart in zip(order, restarts, strict=True):
            for each in (SAME_HORIZON[index], SAME_HORIZON[index], SAME_HORIZON[order[0]]):
                events = receive(session, each)
                if restart:
                    session = session_over(store)
                    events = session.resume(NOW)
                for event in events:
                    if isinstance(event, ScheduleAdmitted):
                        session.applied(event.schedule.schedule_id, NOW)
        assert planned(session) == asked(SAME_HORIZON[3:])


# What version 2 answers.


def v2_session(store: DeviceStore, **others: Any) -> DeviceSession:
    """A session whose cloud has spoken version 2."""
    session = session_over(store, **others)
    receive(session, schedule("first", sequence=1, dry_run=True), NOW)
    session.failed("first", STEEP, NOW)
    for row in store.outbox(9):
        store.pop(row.number)
    return session


@pytest.mark.parametrize("trusted", [True, False])
def test_an_answer_says_how_far_its_times_can_be_relied_on(store: DeviceStore, trusted: bool) -> None:
    session = v2_session(store)
    session.receive(frame_of(schedule(sequence=2)), NOW, clock_trusted=trusted)
    (answer,) = sent(store)
    assert answer.clock == Clock(synced=trusted)


def test_the_answers_to_a_schedule_say_what_was_understood(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule("plan-a", sequence=2))
    apply(session, schedule("plan-b", sequence=3), now=NOW + MICROSECOND)
    received, applied = sent(store)[2:]
    for answer in (received, applied):
        assert (answer.sequence, answer.digest) == (3, digest(schedule()))
        assert (answer.received_at, answer.trace_id) == (NOW + MICROSECOND, TRACE_ID)
    assert (received.superseded, applied.superseded) == ((), ("plan-a",))


def test_a_conflict_is_answered_with_both_digests(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=2))
    receive(session, schedule(rates_w=(1,), sequence=3))
    answer = sent(store)[-1]
    assert (answer.error.code, answer.retryable) == (ErrorCode.ORDER_CONFLICT, False)
    assert (answer.digest, answer.error.digest) == (digest(schedule(rates_w=(1,))), digest(schedule()))
    assert [slot.rate_w for slot in session.plan.slots(NOON, END)] == [100_000]


def test_what_is_stale_is_answered_with_the_current_sequence(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=7))
    for stale in (7, 6):
        receive(session, schedule("plan-b", sequence=stale))
        answer = sent(store)[-1]
        assert (answer.error.code, answer.sequence) == (ErrorCode.ORDER_STALE, 7)
        assert (answer.error.value, answer.error.limit) == (stale, 7)


def test_a_setpoint_beyond_the_limit_is_answered_with_its_slot_and_figures(store: DeviceStore) -> None:
    session = v2_session(store)
    receive(session, schedule(rates_w=(0, None, LIMIT_W + 1), sequence=2))
    (answer,) = sent(store)
    error = answer.error
    assert (error.code, error.path, error.slot, error.value, error.limit) == (
        ErrorCode.LIMIT_POWER,
        "/rates_w/2",
        2,
        LIMIT_W + 1,
        LIMIT_W,
    )


def test_a_schedule_that_failed_and_may_be_retried_is_taken_with_the_same_sequence(store: DeviceStore) -> None:
    session = v2_session(store)
    for attempt in range(3):
        assert kinds(receive(session, schedule(sequence=2))) == [ScheduleAdmitted]
        session.failed("plan-a", BUSY, NOW)
        assert sent(store)[-1].retryable is True
        assert len(sent(store)) == 2 * (attempt + 1)
    receive(session, schedule(sequence=2))
    session.applied("plan-a", NOW)
    assert [slot.rate_w for slot in session.plan.slots(NOON, END)] == [100_000]


def test_a_dry_run_is_answered_and_leaves_the_plan_and_the_order(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=2))
    apply(session, schedule("plan-b", rates_w=(1,), sequence=SEQUENCE, dry_run=True))
    assert statuses(store)[2:] == [("plan-b", "RECEIVED"), ("plan-b", "APPLIED")]
    assert [slot.schedule_id for slot in session.plan.slots(NOON, END)] == ["plan-a"]
    assert store.high_water() == 2
    assert kinds(receive(session, schedule("plan-c", sequence=3))) == [ScheduleAdmitted]


def test_slots_without_setpoint_are_planned_as_such(session: DeviceSession) -> None:
    apply(session, schedule(rates_w=(None, 5, None)))
    assert [slot.rate_w for slot in session.plan.slots(NOON, END + SLOT * 2)] == [None, 5, None]


def test_limits_of_a_schedule_are_in_its_slots(session: DeviceSession) -> None:
    apply(session, schedule(soc_min_pct=20.0, soc_max_pct=80.0, ramp_w_per_s=500))
    (slot,) = session.plan.slots(NOON, END)
    assert (slot.soc_min_pct, slot.soc_max_pct, slot.ramp_w_per_s) == (20.0, 80.0, 500)


# Cancels.


def cancelled_in(store: DeviceStore) -> list[ScheduleEvent]:
    return [each for each in sent(store) if isinstance(each, ScheduleEvent) and each.event is EventType.CANCELLED]


def test_a_cancel_takes_an_applied_schedule_out_of_the_plan_and_is_answered(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=2))
    arriving = cancel(sent_at=NOW)
    (taken,) = receive(session, arriving)
    assert taken == ScheduleCancelled(cancel=arriving, cut=("plan-a",), repeated=False, trace_id=TRACE_ID)
    (answer,) = cancelled_in(store)
    assert (answer.schedule_id, answer.sequence, answer.timestamp, answer.error) == ("plan-a", SEQUENCE, NOW, None)
    assert answer.trace_id == TRACE_ID
    assert session.plan.at(NOON) is None
    row = store.outbox(9)[-1]
    assert (row.kind, row.rank) == (Kind.SCHEDULE_EVENT, Rank.ANSWER)


def test_a_cancel_from_an_instant_leaves_what_comes_before(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(rates_w=(1, 2, 3), sequence=2))
    receive(session, cancel(None, effective_from=END + timedelta(minutes=10), sent_at=NOW))
    assert [slot.rate_w for slot in session.plan.slots(NOON, END + 9 * SLOT)] == [1, 2]
    slot = session.plan.at(END)
    assert slot is not None
    assert slot.until == END + timedelta(minutes=10)


def test_a_cancel_of_a_waiting_schedule_fails_it_and_both_are_answered(store: DeviceStore) -> None:
    session = v2_session(store)
    receive(session, schedule(sequence=2))
    settled, taken = receive(session, cancel(sent_at=NOW))
    assert isinstance(settled, ScheduleSettled)
    assert isinstance(taken, ScheduleCancelled)
    assert (settled.schedule_id, settled.status, taken.cut) == ("plan-a", AckStatus.FAILED, ())
    assert settled.problem is not None
    assert settled.problem.code is ErrorCode.ORDER_CANCELLED
    assert statuses(store) == [("plan-a", "RECEIVED"), ("plan-a", "FAILED")]
    assert len(cancelled_in(store)) == 1
    assert session.applied("plan-a", NOW) == []
    assert session.plan.at(NOON) is None


def test_a_schedule_that_comes_after_its_cancel_is_refused(store: DeviceStore) -> None:
    session = v2_session(store)
    receive(session, cancel(sent_at=NOW - SLOT))
    (refused,) = receive(session, schedule(sequence=SEQUENCE))
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.ORDER_CANCELLED
    assert (sent(store)[-1].error.code, sent(store)[-1].retryable) == (ErrorCode.ORDER_CANCELLED, False)


def test_a_retry_that_comes_after_its_cancel_is_refused(store: DeviceStore) -> None:
    session = v2_session(store)
    receive(session, schedule(sequence=2))
    session.failed("plan-a", BUSY, NOW)
    receive(session, cancel(sent_at=NOW - SLOT))
    (refused,) = receive(session, schedule(sequence=SEQUENCE))
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.ORDER_CANCELLED


def test_a_repeated_cancel_gets_the_same_answer_again(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=2))
    receive(session, cancel(sent_at=NOW))
    apply(session, schedule("plan-b", sequence=SEQUENCE + 1), now=NOW + MICROSECOND)
    (taken,) = receive(session_over(store), cancel(sent_at=NOW), END + timedelta(days=2))
    assert isinstance(taken, ScheduleCancelled)
    assert (taken.repeated, taken.cut) == (True, ())
    first, second = cancelled_in(store)
    assert first == second
    assert [slot.schedule_id for slot in session.plan.slots(NOON, END)] == ["plan-b"]


@pytest.mark.parametrize(
    ("arriving", "trusted", "reference", "code"),
    [
        pytest.param(cancel(sequence=2), True, "plan-a", ErrorCode.ORDER_STALE, id="stale"),
        pytest.param(cancel(sent_at=NOON), True, "plan-a", ErrorCode.ORDER_IN_FUTURE, id="in the future"),
        pytest.param(cancel(sent_at=NOW), False, "plan-a", ErrorCode.DEVICE_CLOCK_UNTRUSTED, id="clock not trusted"),
        pytest.param(cancel(None, effective_from=NOON, sequence=2), True, "2", ErrorCode.ORDER_STALE, id="of no schedule"),
    ],
)
def test_a_cancel_that_does_not_count_is_answered_and_changes_nothing(
    store: DeviceStore, arriving: Any, trusted: bool, reference: str, code: ErrorCode
) -> None:
    session = v2_session(store)
    apply(session, schedule(sequence=2))
    before = contents(store, ["plan-a"], [arriving.sequence])
    (refused,) = session.receive(frame_of(arriving), NOW, clock_trusted=trusted)
    assert isinstance(refused, ScheduleRefused)
    assert (refused.reference, refused.problem.code) == (reference, code)
    (answer,) = cancelled_in(store)
    assert answer.error is not None
    assert (answer.sequence, answer.error.code) == (arriving.sequence, code)
    after = contents(store, ["plan-a"], [arriving.sequence])
    assert after._replace(outbox=after.outbox[:-1]) == before


def test_the_order_of_cancels_and_schedules_is_one(store: DeviceStore) -> None:
    session = v2_session(store)
    receive(session, cancel(None, effective_from=NOON, sent_at=NOW))
    (refused,) = receive(session, schedule(sequence=SEQUENCE))
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.ORDER_STALE


def test_a_plan_for_time_that_was_cancelled_is_a_new_one(store: DeviceStore) -> None:
    session = v2_session(store)
    apply(session, schedule(rates_w=(1, 1), sequence=2))
    receive(session, cancel(None, effective_from=NOON, sent_at=NOW))
    apply(session, schedule("plan-b", start=END, rates_w=(2,), sequence=SEQUENCE + 1))
    assert planned(session) == {END: 2}


# Versions.


def test_version_1_is_taken_and_answered_in_version_1(session: DeviceSession, store: DeviceStore) -> None:
    (admitted,) = receive(session, v1_schedule(rates_kw=(1.5, -0.25)))
    assert isinstance(admitted, ScheduleAdmitted)
    assert (admitted.schedule.rates_w, admitted.schedule.sequence) == (
        (1500, -250),
        sequence_at(admitted.schedule.generated_at),
    )
    session.applied("plan-a", NOW)
    assert statuses(store) == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    for _, frame in session.frames_to_send(NOW):
        assert frame.content_type == JSON
        body = msgspec.json.decode(frame.payload)
        assert {"schedule_id", "device_id", "status", "timestamp", "trace_id"} <= body.keys()
        assert not {"version", "sequence", "clock", "digest"} & body.keys()
    session.tick(NOON, Reading(0.0))
    session.tick(END, Reading(750.0))
    (_, frame) = session.frames_to_send(END)[-1]
    assert frame.topic == f"devices/{DEVICE}/execution"
    assert msgspec.json.decode(frame.payload)["interval"] == {"start": "2026-03-01T12:00:00Z", "end": "2026-03-01T12:30:00Z"}


def reference_of(arriving: Any) -> str:
    """What an answer to an unread message names: of a cancel the bytes, as the schedule that it names is not what failed."""
    return sha256(frame_of(arriving).payload).hexdigest() if isinstance(arriving, Cancel) else str(arriving.schedule_id)


@pytest.mark.parametrize(
    ("versions", "arriving", "supported"),
    [
        ((1,), schedule(), (1,)),
        ((1,), cancel(sent_at=NOW), (1,)),
        ((2,), v1_schedule(), (2,)),
    ],
    ids=["version 2 on a device of version 1", "a cancel on a device of version 1", "version 1 on a device of version 2"],
)
def test_a_version_that_the_device_does_not_speak_is_refused_with_those_that_it_does(
    store: DeviceStore, versions: tuple[int, ...], arriving: Any, supported: tuple[int, ...]
) -> None:
    session = session_over(store, config_of(versions=versions))
    (refused,) = receive(session, arriving)
    assert isinstance(refused, ScheduleRefused)
    assert refused.problem.code is ErrorCode.VERSION_UNSUPPORTED
    assert refused.reference == reference_of(arriving)
    ((_, frame),) = session.frames_to_send(NOW)
    answer = decode(frame.payload, Kind.ACK, frame.content_type)
    assert isinstance(answer, Ack)
    assert answer.error is not None
    assert (answer.schedule_id, answer.status) == (refused.reference, AckStatus.FAILED)
    assert answer.error.code == ErrorCode.VERSION_UNSUPPORTED
    assert answer.supported_versions == (supported if versions == (2,) else ())
    assert store.entry("plan-a") is None
    assert len(store.rejected()) == 1


def test_a_version_that_nobody_knows_is_refused_with_those_that_the_device_speaks(store: DeviceStore) -> None:
    session = v2_session(store)
    session.receive(unreadable(b'{"schedule_id":"plan-x","version":9}'), NOW)
    (answer,) = sent(store)
    assert (answer.error.code, answer.supported_versions) == (ErrorCode.VERSION_UNSUPPORTED, (1, 2))


def test_a_device_of_version_2_alone_speaks_it_from_the_first_word(store: DeviceStore) -> None:
    session = session_over(store, config_of(versions=(2,)))
    assert session.agreement.version == 2
    session.receive(unreadable(b"{"), NOW)
    (answer,) = sent(store)
    assert answer.supported_versions == ()
    assert msgspec.json.decode(store.outbox(1)[0].payload)["version"] == 2


def test_a_device_of_version_1_alone_works_as_ever(store: DeviceStore) -> None:
    session = session_over(store, msgspec.structs.replace(CONFIG, hello=V1_HELLO))
    receive(session, v1_schedule())
    session.applied("plan-a", NOW)
    session.tick(NOON, Reading(0.0))
    session.tick(END, Reading(50_000.0))
    assert [row.kind for row in store.outbox(9)] == [Kind.ACK, Kind.ACK, Kind.EXECUTION_RESULT]
    assert session.status(NOW) is None


# Signatures.


class Verdicts:
    """A verifier that says what it is told to, and remembers what it was asked."""

    def __init__(self, problem: Problem | None) -> None:
        self.problem = problem
        self.asked: list[tuple[Frame, Kind, str, datetime | None]] = []

    def check(self, frame: Frame, kind: Kind, device_id: str, now: datetime | None) -> Problem | None:
        self.asked.append((frame, kind, device_id, now))
        return self.problem


WRONG = Problem(code=ErrorCode.MESSAGE_BAD_SIGNATURE, message="not this key's")
V2_JSON = encode(schedule())


@pytest.mark.parametrize("arriving", [schedule(), cancel(sent_at=NOW), v1_schedule()], ids=["schedule", "cancel", "version 1"])
def test_a_message_whose_signature_does_not_hold_is_refused_with_an_alert(store: DeviceStore, arriving: Any) -> None:
    session = session_over(store, verifier=Verdicts(WRONG))
    alert, refused = receive(session, arriving)
    assert isinstance(alert, SecurityAlert)
    assert isinstance(refused, ScheduleRefused)
    assert alert.problem == refused.problem == WRONG
    (answer,) = sent(store)
    reference = sha256(frame_of(arriving).payload).hexdigest()
    assert (answer.schedule_id, answer.error.code) == (reference, ErrorCode.MESSAGE_BAD_SIGNATURE)
    assert (store.high_water(), store.entry("plan-a"), store.agreement()) == (0, None, None)
    assert len(store.rejected()) == 1


def test_a_verifier_is_given_the_frame_its_kind_and_the_time_that_can_be_relied_on(store: DeviceStore) -> None:
    verifier = Verdicts(None)
    session = session_over(store, verifier=verifier)
    frames_ = [frame_of(schedule()), frame_of(cancel(sent_at=NOW))]
    session.receive(frames_[0], NOW)
    session.receive(frames_[1], NOW, clock_trusted=False)
    assert verifier.asked == [(frames_[0], Kind.SCHEDULE, DEVICE, NOW), (frames_[1], Kind.CANCEL, DEVICE, None)]


def test_the_signature_of_what_is_not_for_this_device_is_not_looked_at(store: DeviceStore) -> None:
    verifier = Verdicts(WRONG)
    session = session_over(store, verifier=verifier)
    session.receive(frame_of(schedule(device="other")), NOW)
    session.receive(frame_of(schedule(device="other"), topic=f"devices/{DEVICE}/schedule"), NOW)
    assert verifier.asked == []


@pytest.mark.parametrize("payload", [b'{"schedule_id":"plan-a"}', b'{"schedule_id":"plan-a","version":9}', V2_JSON])
@pytest.mark.parametrize("problem", [None, WRONG], ids=["signed", "forged"])
def test_only_what_is_signed_is_refused_under_the_id_that_it_says(
    store: DeviceStore, payload: bytes, problem: Problem | None
) -> None:
    session = session_over(store, config_of(versions=(1,)), verifier=Verdicts(problem))
    refused = session.receive(unreadable(payload), NOW)[-1]
    assert isinstance(refused, ScheduleRefused)
    assert refused.reference == sent(store)[0].schedule_id == ("plan-a" if problem is None else sha256(payload).hexdigest())


# Status.


def test_a_status_says_how_the_device_is(session: DeviceSession) -> None:
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    frame = session.status(NOON, power_w=99_500, soc_pct=51.5, state=BatteryState.CHARGING, clock_offset_ms=1.5)
    assert frame is not None
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/status", 1, True)
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert (found.online, found.timestamp, found.power_w, found.soc_pct) == (True, NOON, 99_500, 51.5)
    assert (found.state, found.schedule_id) == (BatteryState.CHARGING, "plan-a")
    assert found.clock == Clock(synced=True, offset_ms=1.5)


def test_a_status_without_a_running_slot_or_a_trusted_clock_says_so(session: DeviceSession) -> None:
    session.tick(NOW, None, clock_trusted=False)
    frame = session.status(NOW)
    assert frame is not None
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert (found.schedule_id, found.clock, found.power_w, found.soc_pct, found.state) == (
        None,
        Clock(synced=False),
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("power_w", "offset_ms"), [(2**31, -1.77e12), (-(2**31), float("inf")), (10_000_001, float("nan")), (-10_000_001, 1.1e12)]
)
def test_figures_that_make_no_sense_stop_no_status(session: DeviceSession, power_w: int, offset_ms: float) -> None:
    frame = session.status(NOW, power_w=power_w, clock_offset_ms=offset_ms)
    assert frame is not None
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert (found.power_w, found.clock) == (None, Clock(synced=True))


@pytest.mark.parametrize(("read", "told"), [(100.2, 100.0), (-0.1, 0.0), (float("nan"), None)])
def test_a_state_of_charge_that_makes_no_sense_stops_no_status(session: DeviceSession, read: float, told: float | None) -> None:
    frame = session.status(NOW, soc_pct=read)
    assert frame is not None
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert found.soc_pct == told


def test_the_last_will_says_that_the_device_is_gone_and_no_more(session: DeviceSession) -> None:
    apply(session, schedule())
    session.tick(NOON, Reading(0.0))
    frame = session.status(NOON, online=False)
    assert frame is not None
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert (found.online, found.schedule_id) == (False, None)
    assert frame.retain


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
    assert sent(store)[-1].error.code == ErrorCode.INTERNAL_QUARANTINED
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
    assert [outgoing.frame.topic for outgoing in session.frames_to_send(END)][2:] == [
        f"devices/{DEVICE}/execution",
        f"devices/{DEVICE}/event",
    ]


def test_hello_is_retained_and_says_what_the_device_is(session: DeviceSession) -> None:
    frame = session.hello()
    assert decode(frame.payload, Kind.HELLO) == HELLO
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/hello", 1, True)


def test_the_device_subscribes_to_its_own_schedules_and_cancels_alone(session: DeviceSession) -> None:
    assert session.subscriptions == (f"devices/{DEVICE}/schedule", f"devices/{DEVICE}/cancel")


def test_a_device_of_version_1_has_no_cancels_to_subscribe_to() -> None:
    session = session_over(MemoryStore(), config_of(versions=(1,)))
    assert session.subscriptions == (f"devices/{DEVICE}/schedule",)


def test_another_root_moves_every_topic() -> None:
    config = msgspec.structs.replace(CONFIG, root="acme/gb/devices")
    session = session_over(MemoryStore(), config)
    assert session.subscriptions == (f"acme/gb/devices/{DEVICE}/schedule", f"acme/gb/devices/{DEVICE}/cancel")
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
