"""What devices may say, and what follows from it, in whatever version, encoding and order it comes."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.codec import ENCODINGS, encode
from allye_protocol.codec.tolerant import DeviationCode, Tolerance
from allye_protocol.convert import downgrade
from allye_protocol.delivery import TRANSITIONS, Cause, State, cause_of
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.events import (
    DeliveryChanged,
    DeviationsTolerated,
    DeviceAnnounced,
    DeviceUnreachable,
    EventReceived,
    MessageRefused,
    ResultReceived,
    SecurityAlert,
    StatusReceived,
)
from allye_protocol.frame import Frame
from allye_protocol.ids import ScheduleId
from allye_protocol.messages import AckStatus, ErrorDetail, EventType, Kind, sequence_at
from tests.builders import (
    DEVICE,
    HELLO,
    MICROSECOND,
    NOON,
    SLOT,
    TRACE_ID,
    V1_HELLO,
    ack,
    event,
    result,
    schedule,
    status,
    v1_schedule,
)
from tests.session.cloud_world import (
    APPLIED,
    EVENING,
    FAILED_FOR_GOOD,
    FAILED_FOR_NOW,
    MINUTE,
    OTHER,
    RECEIVED,
    Cloud,
    failed,
    the_refusal,
)

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.delivery import Delivery
    from allye_protocol.messages import Ack, ExecutionResult, ScheduleEvent, Written

DIGEST = digest(schedule())
AT_EVENING = sequence_at(EVENING)


def the_mistrust(events: list[Any]) -> ErrorCode:
    (alert,) = events
    assert isinstance(alert, SecurityAlert)
    return alert.problem.code


# Acknowledgements


@given(st.lists(st.sampled_from([RECEIVED, APPLIED, FAILED_FOR_NOW, FAILED_FOR_GOOD, None]), max_size=12))
def test_states_follow_the_table_whatever_the_order_of_answers(story: list[Ack | None]) -> None:
    """``None`` lets time pass to the next repetition."""
    cloud = Cloud()
    cloud.submit()
    expected = State.PENDING
    for answer in story:
        before = cloud.state()
        if answer is None:
            cloud.now += 15 * MINUTE
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


def test_a_retryable_failure_is_repeated_after_a_wait() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    (changed,) = cloud.hear(FAILED_FOR_NOW)
    assert changed == DeliveryChanged(
        delivery_id="plan-a",
        kind=Kind.SCHEDULE,
        schedule_id="plan-a",
        device_id=DEVICE,
        before=State.SENT,
        after=State.FAILED,
        trace_id=TRACE_ID,
        reason="device.local_mode: somebody is at the battery",
    )
    assert cloud.delivery().due_at == EVENING + MINUTE / 2
    cloud.now += MINUTE / 2
    assert len(cloud.send()) == 1
    cloud.hear(APPLIED)
    assert (cloud.state(), cloud.delivery().reason) == (State.APPLIED, "")


@pytest.mark.parametrize(
    ("members", "due_at"),
    [
        ({"retry_after_s": 600}, EVENING + 10 * MINUTE),
        ({"retry_after_s": 1}, EVENING + MINUTE / 2),
        ({"retryable": True}, EVENING + MINUTE / 2),
    ],
)
def test_the_device_may_ask_for_more_patience_than_the_cloud_has(members: dict[str, Any], due_at: datetime) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(failed("device.busy", **members))
    assert (cloud.state(), cloud.delivery().due_at) == (State.FAILED, due_at)


@pytest.mark.parametrize(
    ("code", "retryable", "expected"),
    [
        ("limit.power", True, State.FAILED),
        ("device.busy", False, State.DEAD),
        ("future.code", None, State.DEAD),
        ("future.code", True, State.FAILED),
        ("order.in_future", None, State.FAILED),
    ],
)
def test_the_device_says_whether_a_retry_can_mend_it_and_else_the_code_does(
    code: str, retryable: bool | None, expected: State
) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(failed(code, retryable=retryable))
    assert cloud.state() is expected


@pytest.mark.parametrize("reason", ["limit.power: too much", "we do not feel like it", None])
def test_a_failure_that_no_retry_can_mend_goes_to_the_dead_letters(reason: str | None) -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    cloud.send()
    answer = downgrade(FAILED_FOR_GOOD, 1).message
    cloud.hear(msgspec.structs.replace(answer, error_reason=reason))
    assert (cloud.state(), cloud.delivery().reason) == (State.DEAD, reason or "")
    cloud.now += 60 * MINUTE
    assert cloud.send() == []


def test_what_a_device_writes_cannot_forge_a_line_where_it_is_shown() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(failed("driver.timeout", "a\x1b[31m\nall is well\u202e"))
    assert cloud.delivery().reason == "driver.timeout: a?[31m?all is well?"
    (unknown,) = cloud.hear(failed("driver.timeout", "\n", schedule_id=ScheduleId("ghost")))
    assert isinstance(unknown, MessageRefused)
    assert unknown.problem.message.isprintable()


def test_the_last_reason_of_a_failure_that_is_repeated_is_the_one_that_is_kept() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(FAILED_FOR_NOW)
    later = ErrorDetail(code="driver.timeout", message="no answer", path="/rates_w/3")
    cloud.hear(msgspec.structs.replace(FAILED_FOR_NOW, error=later, timestamp=EVENING + MINUTE))
    assert (cloud.state(), cloud.delivery().reason) == (State.FAILED, "driver.timeout: no answer at /rates_w/3")


@pytest.mark.parametrize(
    "answer",
    [ack("never-sent", AckStatus.APPLIED), ack(status=AckStatus.APPLIED, device_id=OTHER), failed("x.y", schedule_id="0" * 64)],
    ids=["unknown id", "other's schedule", "unknown hash"],
)
def test_an_answer_about_what_was_never_sent_to_that_device_changes_nothing(answer: Ack) -> None:
    cloud = Cloud()
    cloud.submit()
    assert the_refusal(cloud.hear(answer)) is ErrorCode.ORDER_UNKNOWN_SCHEDULE
    assert (cloud.state(), cloud.store.acks) == (State.PENDING, [])


@pytest.mark.parametrize("status_", AckStatus)
def test_an_answer_to_another_content_is_not_believed(status_: AckStatus) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    assert the_mistrust(cloud.hear(ack(status=status_, digest="0" * 64))) is ErrorCode.ORDER_CONFLICT
    assert (cloud.state(), cloud.store.acks) == (State.SENT, [])
    assert len(cloud.hear(ack(status=status_, digest=DIGEST))) == 1


# Answers that name the payload by its hash


@pytest.mark.parametrize("content_type", ENCODINGS)
def test_an_answer_that_names_the_payload_by_its_hash_is_about_that_schedule(content_type: str) -> None:
    cloud = Cloud(hello=msgspec.structs.replace(HELLO, content_types=(content_type,)))
    cloud.submit()
    (dispatch,) = cloud.send()
    assert dispatch.frame.content_type == content_type
    reference = ScheduleId(sha256(dispatch.frame.payload).hexdigest())
    cloud.hear(failed("message.malformed", "cut off", schedule_id=reference, sequence=None))
    assert (cloud.state(), cloud.delivery().reason) == (State.DEAD, "message.malformed: cut off")


def test_so_is_one_from_a_device_of_version_1() -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    (dispatch,) = cloud.send()
    reference = ScheduleId(sha256(dispatch.frame.payload).hexdigest())
    cloud.hear(downgrade(failed("message.malformed", "cut off", schedule_id=reference), 1).message)
    assert cloud.state() is State.DEAD


def test_so_is_one_about_a_cancel() -> None:
    cloud = Cloud()
    cancel = cloud.cancel(None, effective_from=NOON)
    (dispatch,) = cloud.send()
    reference = ScheduleId(sha256(dispatch.frame.payload).hexdigest())
    cloud.hear(failed("message.malformed", "cut off", schedule_id=reference, sequence=None))
    assert cloud.state(cancel.delivery_id) is State.DEAD


def test_a_copy_that_a_device_cannot_read_since_it_speaks_nothing_known_is_not_given_up() -> None:
    cloud = Cloud()
    cloud.submit()
    (copy,) = cloud.send()
    cloud.hear(msgspec.structs.replace(HELLO, versions=(7,)))
    reference = ScheduleId(sha256(copy.frame.payload).hexdigest())
    cloud.hear(failed("message.malformed", schedule_id=reference))
    assert cloud.state() is State.FAILED


def test_a_copy_in_an_encoding_that_is_no_longer_agreed_may_be_unreadable() -> None:
    """The device was set back while the copy was under way: it cannot read it, and gets another that it can."""
    cloud = Cloud()
    cloud.submit()
    (copy,) = cloud.send()
    cloud.hear(V1_HELLO)
    (again,) = cloud.send()
    assert again.frame.payload != copy.frame.payload
    reference = ScheduleId(sha256(copy.frame.payload).hexdigest())
    cloud.hear(downgrade(failed("message.malformed", schedule_id=reference), 1).message)
    assert cloud.state() is State.FAILED
    cloud.hear(downgrade(APPLIED, 1).message)
    assert cloud.state() is State.APPLIED


def test_a_refused_version_is_never_the_last_word() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(V1_HELLO)
    cloud.send()
    cloud.hear(failed("version.unsupported", supported_versions=(1,), digest=None))
    assert cloud.state() is State.FAILED


def test_a_first_copy_that_crossed_the_hello_is_written_anew_at_once() -> None:
    """As when the cloud connects: what was due has left before the broker's copies of the hellos are read."""
    cloud = Cloud(hello=None)
    cloud.submit()
    (copy,) = cloud.session.frames_to_send(cloud.now)
    cloud.hear(HELLO)
    cloud.session.sent(copy.delivery_id)
    cloud.hear(failed("version.unsupported", supported_versions=(2,), digest=None))
    assert (cloud.state(), cloud.delivery().due_at) == (State.FAILED, cloud.now)
    (again,) = cloud.send()
    assert (copy.agreement.version, again.agreement.version) == (1, 2)


def test_who_goes_on_refusing_the_version_is_asked_with_pauses() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cloud.hear(failed("version.unsupported", supported_versions=(2,), digest=None))
    cloud.send()
    cloud.hear(failed("version.unsupported", supported_versions=(2,), digest=None))
    assert cloud.delivery().due_at > cloud.now


# Every version and encoding


@pytest.mark.parametrize("content_type", ENCODINGS)
@pytest.mark.parametrize("message", [ack(), result(), event(), status()], ids=["ack", "result", "event", "status"])
def test_devices_are_understood_in_whatever_they_speak(message: Written, content_type: str) -> None:
    cloud = Cloud()
    cloud.submit()
    assert len(cloud.hear(message, content_type=content_type)) == 1
    without_content_type = Cloud()
    without_content_type.submit()
    (told,) = without_content_type.session.receive(
        Frame(topic=_topic(message), payload=encode(message, content_type)), without_content_type.now
    )
    assert not isinstance(told, MessageRefused)


def test_devices_of_version_1_are_understood_whatever_they_announced() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(downgrade(APPLIED, 1).message)
    assert cloud.state() is State.APPLIED
    (told,) = cloud.hear(downgrade(result(), 1).message)
    assert isinstance(told, ResultReceived)
    assert (told.result.version, told.result.slot_start, told.result.actual_w) == (2, NOON, 100_000)


def _topic(message: Written) -> str:
    channels = {"Ack": "ack", "ExecutionResult": "execution", "ScheduleEvent": "event", "DeviceStatus": "status"}
    return f"devices/{DEVICE}/{channels[type(message).__name__]}"


# Who may say what


@pytest.mark.parametrize(
    "message", [APPLIED, result(), HELLO, event(), status()], ids=["ack", "result", "hello", "event", "status"]
)
def test_a_device_speaks_only_for_itself(message: Written) -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    assert the_refusal(cloud.hear(message, OTHER)) is ErrorCode.MESSAGE_WRONG_DEVICE
    assert (cloud.state(), cloud.store.results, cloud.store.events) == (State.PENDING, [], [])
    assert (cloud.store.hello(DEVICE), cloud.store.status(DEVICE)) == (None, None)


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        (f"devices/{DEVICE}/ack", b"{\xff", ErrorCode.MESSAGE_MALFORMED),
        (f"devices/{DEVICE}/ack", b"{}", ErrorCode.MESSAGE_INVALID),
        (f"devices/{DEVICE}/ack", b"", ErrorCode.MESSAGE_MALFORMED),
        (f"devices/{DEVICE}/status", b"{}", ErrorCode.MESSAGE_INVALID),
        (f"devices/{DEVICE}/schedule", encode(schedule()), ErrorCode.MESSAGE_UNKNOWN_KIND),
        (f"devices/{DEVICE}/schedule", encode(v1_schedule()), ErrorCode.MESSAGE_UNKNOWN_KIND),
        (f"elsewhere/{DEVICE}/ack", encode(APPLIED), ErrorCode.MESSAGE_INVALID_TOPIC),
    ],
)
def test_what_cannot_be_understood_is_refused_even_without_a_store(topic: str, payload: bytes, code: ErrorCode) -> None:
    cloud = Cloud()
    events = cloud.session.receive(Frame(topic=topic, payload=payload), cloud.now)
    assert the_refusal(events) is code


@given(st.binary(max_size=200), st.sampled_from(Tolerance))
def test_nothing_that_a_device_sends_makes_the_session_raise(payload: bytes, tolerance: Tolerance) -> None:
    cloud = Cloud(tolerance=tolerance)
    for channel in ("ack", "execution", "hello", "event", "status"):
        the_refusal(cloud.session.receive(Frame(topic=f"devices/{DEVICE}/{channel}", payload=payload), cloud.now))


# Results


def test_the_first_result_of_a_slot_stays() -> None:
    cloud = Cloud()
    cloud.submit()
    assert cloud.hear(result()) == [ResultReceived(result=result())]
    assert cloud.hear(result()) == []
    assert cloud.hear(result(actual_w=10_000)) == []
    assert cloud.store.results == [result()]


@pytest.mark.parametrize(
    ("reported", "code"),
    [
        (result("never-sent"), ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        (result(device_id=OTHER), ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        (result(start=NOON + SLOT), ErrorCode.MESSAGE_INVALID),
        (result(start=NOON - SLOT), ErrorCode.MESSAGE_INVALID),
        (result(slot_end=NOON + 2 * SLOT), ErrorCode.MESSAGE_INVALID),
    ],
    ids=["unknown id", "other's schedule", "after the horizon", "before the horizon", "out of the horizon"],
)
def test_a_result_is_about_a_slot_of_a_schedule_of_that_device(reported: ExecutionResult, code: ErrorCode) -> None:
    cloud = Cloud()
    cloud.submit()
    assert the_refusal(cloud.hear(reported)) is code
    assert cloud.store.results == []


# Events and cancels


def test_an_event_is_told_once_and_moves_nothing_but_a_cancel() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    for what in (each for each in EventType if each is not EventType.CANCELLED):
        assert cloud.hear(event(what)) == [EventReceived(event=event(what))]
        assert cloud.hear(event(what)) == []
    assert cloud.state() is State.SENT
    assert len(cloud.store.events) == len(EventType) - 1


def test_an_event_may_be_about_the_device_alone() -> None:
    lost = event(EventType.FALLBACK_ENTERED, None, error=ErrorDetail(code="driver.timeout"))
    assert Cloud().hear(lost) == [EventReceived(event=lost)]


@pytest.mark.parametrize(
    "told",
    [
        event(name="never-sent"),
        event(device_id=OTHER),
        event(EventType.CANCELLED, sequence=AT_EVENING),
        event(EventType.CANCELLED, None, sequence=AT_EVENING + 1, device_id=OTHER),
    ],
    ids=["unknown id", "other's schedule", "a schedule's sequence", "other's cancel"],
)
def test_an_event_about_what_was_never_sent_to_that_device_changes_nothing(told: ScheduleEvent) -> None:
    cloud = Cloud()
    cloud.submit()
    cancel = cloud.cancel(None, effective_from=NOON)
    assert the_refusal(cloud.hear(told)) is ErrorCode.ORDER_UNKNOWN_SCHEDULE
    assert (cloud.state(cancel.delivery_id), cloud.store.events) == (State.PENDING, [])


def confirmed(cancel: Delivery, *, at: datetime = EVENING, **members: Any) -> ScheduleEvent:
    return event(EventType.CANCELLED, cancel.schedule_id, sequence=cancel.sequence, timestamp=at, **members)


def test_a_cancel_is_over_and_its_schedule_cancelled_when_the_device_has_said_so() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cancel = cloud.cancel()
    cloud.send()
    told = cloud.hear(confirmed(cancel))
    assert [type(each) for each in told] == [EventReceived, DeliveryChanged, DeliveryChanged]
    assert (cloud.state(cancel.delivery_id), cloud.state()) == (State.APPLIED, State.CANCELLED)
    assert cloud.hear(confirmed(cancel)) == []
    cloud.now += 15 * MINUTE
    assert cloud.send() == []


def test_a_cancel_is_repeated_until_it_is_confirmed() -> None:
    cloud = Cloud()
    cancel = cloud.cancel(None, effective_from=NOON)
    payloads = set()
    for _ in range(5):
        payloads |= {dispatch.frame.payload for dispatch in cloud.send()}
        cloud.now += 15 * MINUTE
    assert len(payloads) == 1
    assert cloud.delivery(cancel.delivery_id).attempts == 5
    cloud.hear(confirmed(cancel))
    cloud.now += 15 * MINUTE
    assert cloud.send() == []


def test_a_confirmed_cancel_from_an_instant_on_cancels_what_has_nothing_left() -> None:
    cloud = Cloud()
    for number, start in enumerate((NOON, NOON + SLOT, NOON + 2 * SLOT)):
        cloud.submit(name=f"plan-{number}", sequence=AT_EVENING + number, start=start, rates_w=(1, 2))
        cloud.send()
        cloud.hear(ack(f"plan-{number}", AckStatus.APPLIED, digest=None))
    cancel = cloud.cancel(None, effective_from=NOON + SLOT)
    cloud.submit(name="newer", sequence=cancel.sequence + 1, start=NOON + 4 * SLOT)
    cloud.hear(confirmed(cancel))
    states = [cloud.state(name) for name in ("plan-0", "plan-1", "plan-2", "newer")]
    assert states == [State.APPLIED, State.CANCELLED, State.CANCELLED, State.PENDING]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("order.stale", State.DEAD),
        ("order.unknown_schedule", State.DEAD),
        ("store.failed", State.FAILED),
        ("version.unsupported", State.FAILED),
    ],
)
def test_a_refused_cancel_is_repeated_where_that_can_help_and_cancels_nothing(code: str, expected: State) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cancel = cloud.cancel()
    cloud.send()
    cloud.hear(confirmed(cancel, error=ErrorDetail(code=code, message="no")))
    delivery = cloud.delivery(cancel.delivery_id)
    assert (delivery.state, delivery.reason, cloud.state()) == (expected, f"{code}: no", State.APPLIED)
    if expected is State.FAILED:
        cloud.now += MINUTE / 2
        assert len(cloud.send()) == 1
        cloud.hear(confirmed(cancel, at=EVENING + MINUTE))
        assert (cloud.state(cancel.delivery_id), cloud.state()) == (State.APPLIED, State.CANCELLED)


def test_an_answer_that_names_another_schedule_than_the_cancel_is_not_believed() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cancel = cloud.cancel()
    answer = msgspec.structs.replace(confirmed(cancel), schedule_id=ScheduleId("plan-b"))
    assert the_mistrust(cloud.hear(answer)) is ErrorCode.ORDER_CONFLICT
    assert (cloud.state(cancel.delivery_id), cloud.state(), cloud.store.events) == (State.PENDING, State.APPLIED, [])


# Hello and status


def test_a_device_that_comes_online_gets_what_it_has_not_answered_at_once() -> None:
    cloud = Cloud(hello=None)
    cloud.submit()
    cloud.send()
    cloud.now += MINUTE / 60
    assert cloud.hear(HELLO) == [DeviceAnnounced(hello=HELLO)]
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-a"]


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
    cloud = Cloud(hello=None)
    assert cloud.hear(HELLO, retain=True) == [DeviceAnnounced(hello=HELLO)]
    assert cloud.hear(HELLO, retain=True) == []
    newer = msgspec.structs.replace(HELLO, firmware="2")
    assert cloud.hear(newer, retain=True) == [DeviceAnnounced(hello=newer)]
    assert cloud.hear(newer) == [DeviceAnnounced(hello=newer)]


@pytest.mark.parametrize(
    ("members", "code", "upgrade"),
    [
        ({"versions": (7,)}, ErrorCode.VERSION_UNSUPPORTED, "upgrade this side"),
        ({"content_types": ("text/plain",)}, ErrorCode.VERSION_NO_COMMON_ENCODING, "add one that both know"),
    ],
)
def test_a_device_that_nobody_can_speak_with_is_told_of_with_who_is_to_be_upgraded(
    members: dict[str, Any], code: ErrorCode, upgrade: str
) -> None:
    announced, told = Cloud(hello=None).hear(msgspec.structs.replace(HELLO, **members))
    assert isinstance(announced, DeviceAnnounced)
    assert isinstance(told, DeviceUnreachable)
    assert (told.device_id, told.problem.code) == (DEVICE, code)
    assert upgrade in told.problem.message


def test_the_newest_status_is_kept_and_told_and_so_is_a_last_will() -> None:
    cloud = Cloud()
    online, will = status(soc_pct=50.0), status(online=False, timestamp=NOON - SLOT)
    assert cloud.hear(online) == [StatusReceived(status=online)]
    assert cloud.hear(online) == [StatusReceived(status=online)]
    assert cloud.hear(online, retain=True) == []
    assert cloud.hear(will) == [StatusReceived(status=will)]
    assert cloud.store.status(DEVICE) == will


# Tolerance


def test_what_a_third_party_is_known_to_do_otherwise_is_refused_unless_it_is_tolerated() -> None:
    payload = encode(downgrade(APPLIED, 1).message).replace(b'"APPLIED"', b'"applied"')
    frame = Frame(topic=f"devices/{DEVICE}/ack", payload=payload)
    strict, tolerant = Cloud(), Cloud(tolerance=Tolerance.TOLERANT)
    for cloud in (strict, tolerant):
        cloud.submit()
    assert the_refusal(strict.session.receive(frame, strict.now)) is ErrorCode.MESSAGE_INVALID
    told, changed = tolerant.session.receive(frame, tolerant.now)
    assert isinstance(changed, DeliveryChanged)
    assert tolerant.state() is State.APPLIED
    assert isinstance(told, DeviationsTolerated)
    assert (told.device_id, told.kind) == (DEVICE, Kind.ACK)
    assert [(each.code, each.path) for each in told.deviations] == [(DeviationCode.WORD_CASE, "/status")]


def test_what_is_as_it_should_be_is_not_reported_where_deviations_are_tolerated() -> None:
    cloud = Cloud(tolerance=Tolerance.TOLERANT)
    cloud.submit()
    assert [type(each) for each in cloud.hear(APPLIED)] == [DeliveryChanged]


def test_nothing_else_is_tolerated() -> None:
    cloud = Cloud(tolerance=Tolerance.TOLERANT)
    cloud.submit()
    assert the_refusal(cloud.hear(APPLIED, OTHER)) is ErrorCode.MESSAGE_WRONG_DEVICE
    assert the_mistrust(cloud.hear(ack(digest="0" * 64))) is ErrorCode.ORDER_CONFLICT


# The store


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


@pytest.mark.parametrize("call", ["begin", "keep_event", "put_delivery", "applied_deliveries", "commit"])
def test_a_confirmation_that_the_store_refuses_can_be_taken_again(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cancel = cloud.cancel(None, effective_from=EVENING)
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.hear(confirmed(cancel))
    assert (cloud.state(), cloud.state(cancel.delivery_id), cloud.store.events) == (State.APPLIED, State.PENDING, [])
    cloud.fails = ""
    assert len(cloud.hear(confirmed(cancel))) == 3


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


def test_what_was_kept_is_what_was_said() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cloud.hear(result())
    cloud.hear(event(timestamp=NOON + MICROSECOND))
    assert (cloud.store.acks, cloud.store.results) == ([APPLIED], [result()])
    assert cloud.store.events == [event(timestamp=NOON + MICROSECOND)]
