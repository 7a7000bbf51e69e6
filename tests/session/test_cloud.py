"""The cloud's session: stored before it is sent, repeated until the device answers, and only ever forward."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, decode, encode
from allye_protocol.delivery import OPEN, TRANSITIONS, Cause, Delivery, RetryPolicy, State, cause_of
from allye_protocol.errors import EncodeError, ErrorCode, RefusalError, StoreError
from allye_protocol.events import AlarmRaised, DeliveryChanged, DeviceAnnounced, MessageRefused, ResultReceived
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, ExecutionStatus, Hello, Kind, Schedule, TimeSpan
from allye_protocol.session import CloudConfig, CloudSession, Dispatch
from allye_protocol.store.cloud import MemoryCloudStore
from allye_protocol.tracing import TraceContext
from tests.builders import DEVICE, HELLO, MICROSECOND, NOON, SLOT, TRACE_ID, schedule, seeded
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.events import CloudEvent

EVENING = NOON - timedelta(hours=1)
MINUTE = timedelta(minutes=1)
OTHER = "max300-0002"


def longest(low: float, high: float) -> float:
    return high


class Cloud:
    """A session, its store and a time that the test moves."""

    def __init__(self, uniform: Callable[[float, float], float] = longest, **config: Any) -> None:
        self.store = MemoryCloudStore()
        self.fails = ""
        self.now = EVENING
        self.config = CloudConfig(**config)
        self.uniform = uniform
        self.restart()

    def restart(self) -> None:
        failing: Any = failing_store(self.store, lambda call: call == self.fails)  # type: ignore[arg-type]
        self.session = CloudSession(failing, random_bytes=seeded(), uniform=self.uniform, config=self.config)

    def submit(self, made: Schedule | None = None, **fields: Any) -> Delivery:
        return self.session.submit(made or schedule(**fields), self.now)

    def send(self, limit: int = 20) -> list[Dispatch]:
        """Publish what is due, and have the broker take it."""
        made = self.session.frames_to_send(self.now, limit)
        for dispatch in made:
            self.session.sent(dispatch.schedule_id)
        return made

    def hear(
        self, message: Ack | ExecutionResult | Hello, device: str | None = None, *, retain: bool = False
    ) -> list[CloudEvent]:
        channel = {Ack: "ack", ExecutionResult: "execution", Hello: "hello"}[type(message)]
        topic = f"devices/{device or message.device_id}/{channel}"
        frame = Frame(topic=topic, payload=encode(message), content_type=DEFAULT_CONTENT_TYPE, retain=retain)
        return self.session.receive(frame, self.now)

    def delivery(self, name: str = "plan-a") -> Delivery:
        found = self.store.delivery(name)
        assert found is not None
        return found

    def state(self, name: str = "plan-a") -> State:
        return self.delivery(name).state


def ack(
    status: AckStatus, name: str = "plan-a", *, device: str = DEVICE, reason: str | None = None, at: datetime = EVENING
) -> Ack:
    return Ack(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        status=status,
        timestamp=at,
        applied_at=at if status is AckStatus.APPLIED else None,
        error_reason=reason,
    )


def result(name: str = "plan-a", *, device: str = DEVICE, start: datetime = NOON, kw: float = 99.5) -> ExecutionResult:
    return ExecutionResult(
        schedule_id=ScheduleId(name),
        device_id=DeviceId(device),
        interval=TimeSpan(start=start, end=start + SLOT),
        status=ExecutionStatus.SUCCEED,
        actual_rate_kw=kw,
        timestamp=start + SLOT,
    )


RECEIVED, APPLIED = ack(AckStatus.RECEIVED), ack(AckStatus.APPLIED)
FAILED_FOR_NOW = ack(AckStatus.FAILED, reason="device.local_mode: somebody is at the battery")
FAILED_FOR_GOOD = ack(AckStatus.FAILED, reason="limit.power: too much")


def the_refusal(events: list[CloudEvent]) -> ErrorCode:
    (event,) = events
    assert isinstance(event, MessageRefused)
    return event.problem.code


# Submitting


def test_a_schedule_is_stored_before_anything_is_published() -> None:
    cloud = Cloud()
    delivery = cloud.submit()
    assert delivery == cloud.delivery()
    assert (delivery.state, delivery.attempts, delivery.due_at) == (State.PENDING, 0, EVENING)
    assert decode(delivery.payload, Kind.SCHEDULE) == schedule()


def test_submitting_the_same_content_again_changes_nothing() -> None:
    cloud = Cloud()
    first = cloud.submit()
    cloud.send()
    again = cloud.session.submit(schedule(trace_id="0" * 31 + "1"), cloud.now + MINUTE)
    assert again.payload == first.payload
    assert again.state is State.SENT
    assert len(cloud.store.deliveries) == 1


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"rates_kw": (50.0,)}, ErrorCode.ORDER_CONFLICT),
        ({"device": OTHER}, ErrorCode.ORDER_CONFLICT),
        ({"name": "plan-b"}, ErrorCode.ORDER_STALE),
        ({"name": "plan-b", "generated_at": NOON - timedelta(hours=2)}, ErrorCode.ORDER_STALE),
        ({"name": "plan-b", "device": OTHER, "start": EVENING - SLOT}, ErrorCode.TIME_EXPIRED),
        ({"name": "plan-b", "device": OTHER, "generated_at": EVENING + 6 * MINUTE}, ErrorCode.ORDER_IN_FUTURE),
        ({"name": "plan-b", "device": OTHER, "start": EVENING + timedelta(days=9)}, ErrorCode.TIME_TOO_FAR),
    ],
)
def test_what_must_not_be_delivered_is_refused_and_not_stored(fields: dict[str, Any], code: ErrorCode) -> None:
    cloud = Cloud()
    cloud.submit()
    before = cloud.store.deliveries
    with pytest.raises(RefusalError) as caught:
        cloud.submit(**fields)
    assert caught.value.code is code
    assert cloud.store.deliveries == before


def test_a_schedule_that_breaks_a_rule_is_not_stored() -> None:
    cloud = Cloud()
    with pytest.raises(EncodeError):
        cloud.submit(start=NOON + MINUTE)
    assert cloud.store.deliveries == []


def test_the_order_of_a_device_rises_when_the_clock_stands_or_is_set_back() -> None:
    cloud = Cloud()
    assert cloud.session.order_for(DEVICE, EVENING) == EVENING
    cloud.submit(generated_at=EVENING)
    assert cloud.session.order_for(DEVICE, EVENING) == EVENING + MICROSECOND
    assert cloud.session.order_for(DEVICE, EVENING - 5 * MINUTE) == EVENING + MICROSECOND
    assert cloud.session.order_for(DEVICE, EVENING + MINUTE) == EVENING + MINUTE
    assert cloud.session.order_for(OTHER, EVENING) == EVENING


def test_an_order_from_a_day_when_the_cloud_s_clock_was_wrong_locks_no_device_out() -> None:
    cloud = Cloud()
    cloud.now += timedelta(days=1)
    cloud.submit(name="wrong", generated_at=cloud.now, start=NOON + timedelta(days=1))
    cloud.now -= timedelta(days=1)
    first = cloud.session.order_for(DEVICE, cloud.now)
    assert first == cloud.now
    cloud.submit(name="right", generated_at=first)
    assert cloud.session.order_for(DEVICE, cloud.now) == first + MICROSECOND


def test_a_newer_schedule_that_covers_an_older_one_does_not_wait_behind_it() -> None:
    cloud = Cloud()
    cloud.submit(name="older", generated_at=EVENING)
    cloud.send()
    cloud.hear(ack(AckStatus.FAILED, "older", reason="device.local_mode: somebody is at the battery"))
    cloud.submit(name="newer", generated_at=EVENING + MICROSECOND)
    assert cloud.state("older") is State.SUPERSEDED
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["newer"]


def test_what_the_broker_has_not_taken_yet_is_not_handed_out_twice() -> None:
    cloud = Cloud()
    cloud.submit()
    assert len(cloud.session.frames_to_send(cloud.now)) == 1
    cloud.now += timedelta(seconds=30)
    assert cloud.session.frames_to_send(cloud.now) == []
    assert cloud.session.under_way == 1
    deadline = cloud.session.next_deadline(can_send=True)
    assert deadline is not None
    assert deadline > cloud.now


def test_an_answer_that_names_the_payload_by_its_hash_is_about_that_schedule() -> None:
    cloud = Cloud()
    cloud.submit()
    (dispatch,) = cloud.send()
    unreadable = ack(AckStatus.FAILED, sha256(dispatch.frame.payload).hexdigest(), reason="message.malformed: cut off")
    cloud.hear(unreadable)
    assert cloud.state() is State.DEAD
    assert cloud.delivery().reason == "message.malformed: cut off"


def test_the_last_reason_of_a_failure_that_is_repeated_is_the_one_that_is_kept() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(FAILED_FOR_NOW)
    cloud.hear(ack(AckStatus.FAILED, reason="driver.timeout: no answer", at=EVENING + MINUTE))
    assert (cloud.state(), cloud.delivery().reason) == (State.FAILED, "driver.timeout: no answer")


def test_a_device_that_speaks_no_common_version_is_told_of() -> None:
    cloud = Cloud()
    announced, told = cloud.hear(msgspec.structs.replace(HELLO, versions=(7,)))
    assert isinstance(announced, DeviceAnnounced)
    assert the_refusal([told]) is ErrorCode.VERSION_UNSUPPORTED


def test_an_expiry_fits_into_its_four_bytes() -> None:
    cloud = Cloud(max_ahead=timedelta(days=366 * 150))
    cloud.submit(start=NOON + timedelta(days=365 * 140))
    assert cloud.send()[0].frame.expiry_s == 2**32 - 1


def test_a_schedule_takes_up_the_trace_it_is_given() -> None:
    cloud = Cloud()
    trace = TraceContext.start(seeded(5))
    delivery = cloud.session.submit(schedule(trace_id=None), cloud.now, trace)
    assert delivery.traceparent == trace.traceparent
    sent = decode(delivery.payload, Kind.SCHEDULE)
    assert isinstance(sent, Schedule)
    assert sent.trace_id == trace.trace_id


# Publishing


def test_what_is_published_is_what_was_submitted_with_its_trace_and_an_expiry() -> None:
    cloud = Cloud()
    cloud.submit()
    (dispatch,) = cloud.send()
    frame = dispatch.frame
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/schedule", 1, False)
    assert decode(frame.payload, Kind.SCHEDULE, frame.content_type) == schedule()
    assert frame.expiry_s == (NOON + SLOT - EVENING).total_seconds()
    assert TraceContext.from_frame(frame, seeded()).trace_id == TRACE_ID


def test_a_schedule_is_stored_as_sent_before_it_is_handed_out() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    assert (cloud.state(), cloud.delivery().attempts, cloud.delivery().sent_at) == (State.SENT, 1, EVENING)


def test_at_most_so_many_are_under_way_and_the_broker_makes_room() -> None:
    cloud = Cloud()
    for number in range(5):
        cloud.submit(name=f"plan-{number}", device=f"device-{number}")
    first = cloud.session.frames_to_send(cloud.now, 3)
    assert (len(first), cloud.session.under_way) == (3, 3)
    assert cloud.session.frames_to_send(cloud.now, 3) == []
    cloud.session.sent(first[0].schedule_id)
    assert len(cloud.session.frames_to_send(cloud.now, 3)) == 1


def test_the_schedules_of_a_device_go_one_at_a_time_oldest_first() -> None:
    cloud = Cloud()
    cloud.submit(name="first", generated_at=EVENING)
    cloud.submit(name="second", generated_at=EVENING + MICROSECOND, start=NOON + 2 * SLOT)
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["first"]
    cloud.now += timedelta(hours=1)
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["first"]
    cloud.hear(ack(AckStatus.APPLIED, "first"))
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["second"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_same_content_is_repeated_with_full_jitter_until_the_horizon_ends(shares: list[float]) -> None:
    draws = iter([*shares, *[1.0] * 200])
    spans: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        spans.append((low, high))
        return low + (high - low) * next(draws)

    cloud = Cloud(uniform)
    cloud.submit()
    payloads, waited = [], []
    while (due := cloud.session.next_deadline(can_send=True)) is not None:
        before, cloud.now = cloud.now, max(due, cloud.now)
        cloud.session.tick(cloud.now)
        for dispatch in cloud.send():
            waited.append(cloud.now - before)
            payloads.append(dispatch.frame.payload)
    assert cloud.state() is State.EXPIRED
    assert cloud.now == NOON + SLOT
    assert set(payloads) == {encode(schedule())}
    assert [high for _, high in spans] == [min(900.0, 30.0 * 2**n) for n in range(len(spans))]
    assert {low for low, _ in spans} == {0.0}
    assert cloud.delivery().attempts == len(payloads)


def test_a_refusal_of_the_broker_is_tried_again_in_a_minute() -> None:
    cloud = Cloud()
    cloud.submit()
    (dispatch,) = cloud.session.frames_to_send(cloud.now)
    cloud.session.not_sent(dispatch.schedule_id, cloud.now)
    assert cloud.session.under_way == 0
    assert cloud.session.next_deadline(can_send=True) == EVENING + MINUTE


def test_what_was_under_way_when_the_connection_ended_is_due_at_once() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    cloud.now += timedelta(seconds=1)
    cloud.session.disconnected(cloud.now)
    assert cloud.session.next_deadline(can_send=True) == cloud.now
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["plan-a"]


def test_an_answer_that_was_faster_than_the_broker_is_not_undone_by_a_lost_connection() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    cloud.hear(APPLIED)
    cloud.session.disconnected(cloud.now)
    assert cloud.state() is State.APPLIED
    assert cloud.send() == []


def test_a_restart_goes_on_with_the_same_ids_and_content() -> None:
    cloud = Cloud()
    cloud.submit()
    (before,) = cloud.send()
    cloud.restart()
    assert cloud.session.next_deadline(can_send=True) == EVENING + timedelta(seconds=30)
    cloud.now += timedelta(seconds=30)
    (after,) = cloud.send()
    assert (after.schedule_id, after.frame.payload) == (before.schedule_id, before.frame.payload)


# Answers


@given(st.lists(st.sampled_from([RECEIVED, APPLIED, FAILED_FOR_NOW, FAILED_FOR_GOOD, None]), max_size=12))
def test_states_follow_the_table_whatever_the_order_of_answers(story: list[Ack | None]) -> None:
    """``None`` lets time pass to the next repetition."""
    cloud = Cloud()
    cloud.submit()
    expected = State.PENDING
    for answer in story:
        before = cloud.state()
        if answer is None:
            cloud.now += timedelta(seconds=900)
            cause, events = Cause.PUBLISHED, []
            if not cloud.send():
                continue
        else:
            cause = cause_of(answer.status, retryable=answer is FAILED_FOR_NOW)
            events = cloud.hear(answer)
        expected = TRANSITIONS.get((before, cause), before)
        assert cloud.state() is expected
        if answer is not None:
            moved = [(event.before, event.after) for event in events if isinstance(event, DeliveryChanged)]
            assert moved == ([(before, expected)] if (before, cause) in TRANSITIONS else [])
        if before is State.APPLIED:
            assert expected is before


@given(st.permutations([RECEIVED, RECEIVED, APPLIED, APPLIED]))
def test_an_applied_schedule_is_applied_in_whatever_order_its_answers_come(answers: list[Ack]) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    changes = [event for answer in answers for event in cloud.hear(answer)]
    assert cloud.state() is State.APPLIED
    assert cloud.delivery().settled_at == EVENING
    assert sum(isinstance(event, DeliveryChanged) and event.after is State.APPLIED for event in changes) == 1
    assert len(cloud.store.acks) == 2


def test_received_is_not_enough_to_stop_repeating() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(RECEIVED)
    cloud.now += timedelta(seconds=30)
    assert len(cloud.send()) == 1
    assert cloud.state() is State.RECEIVED


def test_a_retryable_failure_is_repeated_after_a_wait() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    (changed,) = cloud.hear(FAILED_FOR_NOW)
    assert isinstance(changed, DeliveryChanged)
    assert (changed.after, changed.reason, changed.trace_id) == (State.FAILED, FAILED_FOR_NOW.error_reason, TRACE_ID)
    assert cloud.session.next_deadline(can_send=True) == EVENING + timedelta(seconds=30)
    cloud.now += timedelta(seconds=30)
    assert len(cloud.send()) == 1
    cloud.hear(APPLIED)
    assert (cloud.state(), cloud.delivery().reason) == (State.APPLIED, "")


@pytest.mark.parametrize("reason", ["limit.power: too much", "we do not feel like it", None])
def test_a_failure_that_no_retry_can_mend_goes_to_the_dead_letters(reason: str | None) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(ack(AckStatus.FAILED, reason=reason))
    assert (cloud.state(), cloud.delivery().reason) == (State.DEAD, reason or "")
    cloud.now += timedelta(hours=1)
    assert cloud.send() == []


@pytest.mark.parametrize(
    "answer",
    [ack(AckStatus.APPLIED, "never-sent"), ack(AckStatus.APPLIED, device=OTHER)],
    ids=["unknown id", "other's schedule"],
)
def test_an_answer_about_what_was_never_sent_to_that_device_changes_nothing(answer: Ack) -> None:
    cloud = Cloud()
    cloud.submit()
    assert the_refusal(cloud.hear(answer)) is ErrorCode.ORDER_UNKNOWN_SCHEDULE
    assert (cloud.state(), cloud.store.acks) == (State.PENDING, [])


@pytest.mark.parametrize("message", [APPLIED, result(), HELLO], ids=["ack", "result", "hello"])
def test_a_device_speaks_only_for_itself(message: Ack | ExecutionResult | Hello) -> None:
    cloud = Cloud()
    cloud.submit()
    assert the_refusal(cloud.hear(message, OTHER)) is ErrorCode.MESSAGE_WRONG_DEVICE
    assert (cloud.state(), cloud.store.results, cloud.store.hello(DEVICE)) == (State.PENDING, [], None)


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        (f"devices/{DEVICE}/ack", b"\xff", ErrorCode.MESSAGE_MALFORMED),
        (f"devices/{DEVICE}/ack", b"{}", ErrorCode.MESSAGE_INVALID),
        (f"devices/{DEVICE}/ack", b"", ErrorCode.MESSAGE_MALFORMED),
        (f"devices/{DEVICE}/schedule", encode(schedule()), ErrorCode.MESSAGE_UNKNOWN_KIND),
        (f"devices/{DEVICE}/status", b"{}", ErrorCode.MESSAGE_UNKNOWN_KIND),
        (f"elsewhere/{DEVICE}/ack", encode(APPLIED), ErrorCode.MESSAGE_INVALID_TOPIC),
    ],
)
def test_what_cannot_be_understood_is_refused_even_without_a_store(topic: str, payload: bytes, code: ErrorCode) -> None:
    cloud = Cloud()
    events = cloud.session.receive(Frame(topic=topic, payload=payload), cloud.now)
    assert the_refusal(events) is code


@given(st.binary(max_size=200))
def test_nothing_that_a_device_sends_makes_the_session_raise(payload: bytes) -> None:
    cloud = Cloud()
    for channel in ("ack", "execution", "hello"):
        the_refusal(cloud.session.receive(Frame(topic=f"devices/{DEVICE}/{channel}", payload=payload), cloud.now))


# Results


def test_the_first_result_of_a_slot_stays() -> None:
    cloud = Cloud()
    cloud.submit()
    assert cloud.hear(result(kw=99.5)) == [ResultReceived(result=result(kw=99.5))]
    assert cloud.hear(result(kw=99.5)) == []
    assert cloud.hear(result(kw=10.0)) == []
    assert cloud.store.results == [result(kw=99.5)]


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        (result("never-sent"), ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        (result(device=OTHER), ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        (result(start=NOON + SLOT), ErrorCode.MESSAGE_INVALID),
        (result(start=NOON - SLOT), ErrorCode.MESSAGE_INVALID),
    ],
    ids=["unknown id", "other's schedule", "after the horizon", "before the horizon"],
)
def test_a_result_is_about_a_slot_of_a_schedule_of_that_device(reported: ExecutionResult, code: ErrorCode) -> None:
    cloud = Cloud()
    cloud.submit()
    assert the_refusal(cloud.hear(reported)) is code
    assert cloud.store.results == []


# Hello


def test_a_device_that_comes_online_gets_what_it_has_not_answered_at_once() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.now += timedelta(seconds=1)
    assert cloud.hear(HELLO) == [DeviceAnnounced(hello=HELLO)]
    assert [dispatch.schedule_id for dispatch in cloud.send()] == ["plan-a"]


def test_a_hello_does_not_double_what_is_still_under_way() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.session.frames_to_send(cloud.now)
    cloud.hear(HELLO)
    assert cloud.session.frames_to_send(cloud.now) == []


def test_a_hello_does_not_revive_what_is_settled() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(APPLIED)
    cloud.hear(HELLO)
    assert cloud.send() == []


def test_the_brokers_copy_of_a_known_hello_says_nothing_new() -> None:
    cloud = Cloud()
    assert cloud.hear(HELLO, retain=True) == [DeviceAnnounced(hello=HELLO)]
    assert cloud.hear(HELLO, retain=True) == []
    newer = msgspec.structs.replace(HELLO, firmware="2")
    assert cloud.hear(newer, retain=True) == [DeviceAnnounced(hello=newer)]
    assert cloud.hear(newer) == [DeviceAnnounced(hello=newer)]


# Time


def test_an_alarm_is_raised_once_half_an_hour_before_the_first_slot() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.now = NOON - timedelta(minutes=30) - MICROSECOND
    assert cloud.session.tick(cloud.now) == []
    cloud.now += MICROSECOND
    (alarm,) = cloud.session.tick(cloud.now)
    assert alarm == AlarmRaised(schedule_id="plan-a", device_id=DEVICE, first_slot=NOON, state=State.SENT, trace_id=TRACE_ID)
    assert cloud.session.tick(cloud.now) == []


def test_no_alarm_is_raised_for_what_is_applied() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    assert cloud.session.tick(NOON) == []
    assert cloud.session.next_deadline(can_send=True) is None


def test_an_expired_schedule_is_not_sent_any_more_but_a_late_applied_still_counts() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.now = NOON + SLOT
    expired = [event for event in cloud.session.tick(cloud.now) if isinstance(event, DeliveryChanged)]
    assert [(event.before, event.after) for event in expired] == [(State.SENT, State.EXPIRED)]
    assert cloud.send() == []
    assert cloud.hear(RECEIVED) == []
    cloud.hear(APPLIED)
    assert cloud.state() is State.APPLIED


def test_the_next_deadline_is_the_first_of_what_is_to_be_done() -> None:
    cloud = Cloud(retry=RetryPolicy(alarm_before=timedelta(hours=1)))
    assert cloud.session.next_deadline(can_send=True) is None
    cloud.submit()
    assert cloud.session.next_deadline(can_send=True) == EVENING
    assert cloud.session.next_deadline(can_send=False) == NOON - timedelta(hours=1)
    cloud.session.tick(NOON - timedelta(hours=1))
    assert cloud.session.next_deadline(can_send=False) == NOON + SLOT


# The store


@pytest.mark.parametrize("call", ["begin", "put_delivery", "commit"])
def test_a_submit_that_the_store_refuses_leaves_nothing(call: str) -> None:
    cloud = Cloud()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.submit()
    assert cloud.store.deliveries == []
    cloud.fails = ""
    cloud.submit()


@pytest.mark.parametrize("call", ["begin", "due", "put_delivery", "commit"])
def test_nothing_is_published_that_the_store_does_not_know_of(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.session.frames_to_send(cloud.now)
    assert (cloud.state(), cloud.session.under_way) == (State.PENDING, 0)
    cloud.fails = ""
    assert len(cloud.send()) == 1


@pytest.mark.parametrize("call", ["begin", "delivery", "keep_ack", "put_delivery", "commit"])
def test_an_answer_that_the_store_refuses_can_be_taken_again(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.hear(APPLIED)
    assert (cloud.state(), cloud.store.acks) == (State.SENT, [])
    cloud.fails = ""
    assert len(cloud.hear(APPLIED)) == 1


@pytest.mark.parametrize("call", ["begin", "put_delivery", "commit"])
def test_an_expiry_that_the_store_refuses_is_told_later(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.session.tick(NOON + SLOT)
    assert cloud.state() is State.PENDING
    cloud.fails = ""
    assert len(cloud.session.tick(NOON + SLOT)) == 1


def test_a_batch_is_kept_together_or_not_at_all() -> None:
    cloud = Cloud()
    cloud.submit()
    topic = f"devices/{DEVICE}/ack"
    frames = [
        Frame(topic=topic, payload=encode(RECEIVED)),
        Frame(topic=topic, payload=b"nonsense"),
        Frame(topic=topic, payload=encode(APPLIED)),
    ]
    cloud.fails = "commit"
    with pytest.raises(StoreError):
        cloud.session.receive_all(frames, cloud.now)
    assert (cloud.state(), cloud.store.acks) == (State.PENDING, [])
    cloud.fails = ""
    events = cloud.session.receive_all(frames, cloud.now)
    assert [type(event) for event in events] == [DeliveryChanged, MessageRefused, DeliveryChanged]
    assert cloud.state() is State.APPLIED


def test_a_fleet_is_shared_by_workers_of_a_group() -> None:
    session = CloudSession(
        MemoryCloudStore(), random_bytes=seeded(), uniform=random.uniform, config=CloudConfig(root="acme/gb", group="cloud")
    )
    assert session.subscriptions == tuple(f"$share/cloud/acme/gb/+/{name}" for name in ("ack", "execution", "hello"))


def test_every_open_delivery_is_one_that_something_can_still_move() -> None:
    assert set(OPEN) == {state for state, _ in TRANSITIONS} - {State.EXPIRED, State.DEAD}
