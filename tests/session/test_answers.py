"""A device's voice: the version and encoding in which the cloud last spoke, whatever waited meanwhile."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS
from allye_protocol.convert import decode
from allye_protocol.errors import EncodeError, ErrorCode, StoreError
from allye_protocol.frame import Frame
from allye_protocol.messages import Ack, EventType, Kind, ScheduleEvent
from allye_protocol.negotiation import Agreement
from allye_protocol.session import DeviceSession, Reading
from allye_protocol.session.answers import Answers
from allye_protocol.store import MemoryStore, OutboxRow
from allye_protocol.store.sqlite import SqliteStore
from allye_protocol.tracing import TraceContext
from tests.builders import DEVICE, HELLO, NOON, SLOT, TRACEPARENT, ack, cancel, event, result, schedule, seeded, v1_schedule
from tests.session.device_world import NOW, apply, config_of, events_in, receive, sent, session_over
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from allye_protocol.store import DeviceStore

END = NOON + SLOT
V1 = Agreement(version=1, content_type=DEFAULT_CONTENT_TYPE)
SPOKEN = [V1, *(Agreement(version=2, content_type=each) for each, encoding in ENCODINGS.items() if 2 in encoding.versions)]
"""Every way in which a cloud can speak."""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeviceStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    made = SqliteStore(tmp_path / "device.db")
    yield made
    made.close()


def speak(session: DeviceSession, agreement: Agreement, name: str, sequence: int) -> None:
    """A schedule from the cloud, as it speaks."""
    make: Any = v1_schedule if agreement.version == 1 else schedule
    receive(session, make(name, generated_at=NOW.replace(microsecond=sequence)), content_type=agreement.content_type)


def spoken(frame: Frame) -> Agreement:
    """How a frame is written."""
    assert frame.content_type is not None
    if frame.content_type != DEFAULT_CONTENT_TYPE:
        return Agreement(version=2, content_type=frame.content_type)
    body = msgspec.json.decode(frame.payload)
    return Agreement(version=body.get("version", 1), content_type=frame.content_type)


def frames(session: DeviceSession) -> list[Frame]:
    """What the session would send now."""
    session.disconnected()
    return [outgoing.frame for outgoing in session.frames_to_send(NOW, 100)]


# How the cloud is spoken to.


@pytest.mark.parametrize(("versions", "first"), [((1,), 1), ((1, 2), 1), ((2, 1), 1), ((2,), 2)])
def test_before_the_cloud_has_spoken_the_oldest_version_is_spoken_in_json(versions: tuple[int, ...], first: int) -> None:
    session = session_over(MemoryStore(), config_of(versions=versions))
    assert session.agreement == Agreement(version=first, content_type=DEFAULT_CONTENT_TYPE)


@pytest.mark.parametrize("agreement", SPOKEN)
def test_the_answer_is_in_the_version_and_encoding_of_the_message(store: DeviceStore, agreement: Agreement) -> None:
    session = session_over(store)
    speak(session, agreement, "plan-a", 1)
    session.applied("plan-a", NOW)
    assert session.agreement == agreement
    assert [spoken(frame) for frame in frames(session)] == [agreement] * 2
    for frame in frames(session):
        assert isinstance(decode(frame.payload, Kind.ACK, frame.content_type), Ack)


@pytest.mark.parametrize("agreement", SPOKEN)
def test_a_restart_does_not_change_how_the_cloud_is_spoken_to(store: DeviceStore, agreement: Agreement) -> None:
    speak(session_over(store), agreement, "plan-a", 1)
    again = session_over(store)
    again.applied("plan-a", NOW)
    assert again.agreement == agreement
    assert [spoken(frame) for frame in frames(again)] == [agreement] * 2


@pytest.mark.parametrize("agreement", [each for each in SPOKEN if each.version == 2])
def test_a_device_that_went_back_to_version_1_speaks_it_until_the_cloud_knows(store: DeviceStore, agreement: Agreement) -> None:
    speak(session_over(store), agreement, "plan-a", 1)
    again = session_over(store, config_of(versions=(1,)))
    again.applied("plan-a", NOW)
    assert again.agreement == V1
    assert [spoken(frame) for frame in frames(again)] == [V1] * 2


def test_an_encoding_that_is_not_installed_any_more_is_not_spoken(store: DeviceStore) -> None:
    store.put_agreement(Agreement(version=2, content_type="application/cbor"))
    session = session_over(store)
    assert session.agreement == V1
    apply(session, schedule())
    assert session.status(NOW) is not None
    assert [spoken(frame).version for frame in frames(session)] == [2, 2]


def test_a_cancel_says_how_the_cloud_speaks_as_a_schedule_does(store: DeviceStore) -> None:
    session = session_over(store)
    receive(session, cancel(sent_at=NOW))
    assert session.agreement.version == 2
    assert events_in(store) == [(EventType.CANCELLED, "plan-a")]


def test_a_refused_schedule_says_how_the_cloud_speaks_too(store: DeviceStore) -> None:
    session = session_over(store)
    receive(session, schedule(rates_w=(9_000_000,)))
    assert [spoken(frame).version for frame in frames(session)] == [2]


@pytest.mark.parametrize("frame", [b"{", b"\xff", b'{"schedule_id":"x","version":9}'], ids=["broken", "no JSON", "unknown"])
def test_what_cannot_be_read_says_nothing_about_how_the_cloud_speaks(store: DeviceStore, frame: bytes) -> None:
    session = session_over(store)
    apply(session, schedule())
    session.receive(Frame(topic=f"devices/{DEVICE}/schedule", payload=frame, content_type="application/json"), NOW)
    assert session.agreement.version == 2


def test_another_devices_message_says_nothing_about_how_the_cloud_speaks(store: DeviceStore) -> None:
    session = session_over(store)
    receive(session, schedule(device="other"), topic=f"devices/{DEVICE}/schedule")
    assert store.agreement() is None


# What waited.


@pytest.mark.parametrize("before", SPOKEN)
@pytest.mark.parametrize("after", SPOKEN)
def test_what_waited_is_written_as_the_cloud_reads_it_now(store: DeviceStore, before: Agreement, after: Agreement) -> None:
    session = session_over(store)
    speak(session, before, "plan-a", 1)
    session.applied("plan-a", NOW)
    first = [decode(frame.payload, Kind.ACK, frame.content_type) for frame in frames(session)]
    speak(session, after, "plan-b", 2)
    waited = frames(session)[:2]
    # What was written for version 1 left out what version 2 has: it stays what it is, and is read all the same.
    assert [spoken(frame) for frame in waited] == [before if before.version < after.version else after] * 2
    for was, frame in zip(first, waited, strict=True):
        now = decode(frame.payload, Kind.ACK, frame.content_type)
        assert isinstance(now, Ack)
        assert isinstance(was, Ack)
        assert (now.schedule_id, now.status, now.timestamp, now.trace_id) == (
            was.schedule_id,
            was.status,
            was.timestamp,
            was.trace_id,
        )


def test_what_waited_is_whole_again_when_the_cloud_comes_back_to_version_2(store: DeviceStore) -> None:
    session = session_over(store)
    for sequence, agreement in enumerate((SPOKEN[1], V1, SPOKEN[1]), start=1):
        speak(session, agreement, f"plan-{sequence}", sequence)
    answer = decode(frames(session)[0].payload, Kind.ACK)
    assert isinstance(answer, Ack)
    assert (answer.sequence is not None, answer.digest is not None) == (True, True)


def test_events_that_waited_are_dropped_for_a_cloud_of_version_1(store: DeviceStore) -> None:
    session = session_over(store)
    apply(session, schedule(generated_at=NOW))
    session.tick(NOON, Reading(0.0))
    session.tick(END, Reading(0.0))
    assert len(events_in(store)) == 2
    receive(session, v1_schedule("plan-b", start=END, generated_at=NOON), END)
    topics = [outgoing.frame.topic.rpartition("/")[2] for outgoing in session.frames_to_send(END, 100)]
    assert topics == ["ack", "ack", "execution", "ack"]
    assert len(sent(store)) == 4


def test_any_number_of_dropped_events_make_room_for_what_comes_behind(store: DeviceStore) -> None:
    """Whoever is given nothing to send waits for the next occasion: there must be something while there is something."""
    session = session_over(store)
    apply(session, schedule(generated_at=NOW))
    for minute in range(25):
        trouble = None if minute % 2 else ErrorCode.DRIVER_TIMEOUT
        session.tick(NOON.replace(minute=minute), Reading(0.0, trouble))
    receive(session, v1_schedule("plan-b", start=END, generated_at=NOON), NOON)
    found = [outgoing.frame.topic.rpartition("/")[2] for outgoing in session.frames_to_send(NOON, 3)]
    assert found == ["ack", "ack", "ack"]
    assert session.frames_to_send(NOON, 3) == []
    assert store.outbox_size() == 3


def test_dropped_events_do_not_keep_back_what_comes_behind_while_the_store_cannot_forget_them() -> None:
    store, broken = MemoryStore(), [False]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "pop"))
    apply(session, schedule(generated_at=NOW))
    session.tick(NOON, None)
    receive(session, v1_schedule("plan-b", start=END, generated_at=NOON), NOON)
    broken[0] = True
    first = session.frames_to_send(NOON, 100)
    assert [outgoing.frame.topic.rpartition("/")[2] for outgoing in first] == ["ack", "ack", "ack"]
    assert session.frames_to_send(NOON, 100) == []
    broken[0] = False
    session.frames_to_send(NOON, 100)
    assert store.outbox_size() == 3


def test_frames_that_could_not_be_made_are_offered_again() -> None:
    """How the cloud speaks cannot be read at the moment: nothing may be taken for under way."""
    store, broken = MemoryStore(), [False]
    apply(session_over(store), schedule())
    session = session_over(failing_store(store, lambda name: broken[0] and name == "agreement"))
    broken[0] = True
    with pytest.raises(StoreError):
        session.frames_to_send(NOW)
    broken[0] = False
    assert len(session.frames_to_send(NOW)) == 2


def test_a_row_that_was_spoiled_is_sent_as_it_is_and_keeps_nothing_back(store: DeviceStore) -> None:
    session = session_over(store)
    apply(session, schedule(generated_at=NOW))
    for row in store.outbox(9)[:1]:
        store.pop(row.number)
    store.push(Kind.ACK, b"\x00spoiled", SPOKEN[1], TRACEPARENT)
    speak(session, V1, "plan-b", 1)
    assert [frame.payload for frame in frames(session)][1] == b"\x00spoiled"
    assert len(frames(session)) == 3


# Its parts.


def answers_over(store: Any, **hello: Any) -> Answers:
    return Answers(msgspec.structs.replace(HELLO, **hello), "devices", store, seeded())


def row_of(store: DeviceStore) -> OutboxRow:
    (row,) = store.outbox(9)
    return row


@pytest.mark.parametrize("message", [ack(), result(), event()], ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("agreement", SPOKEN[1:])
def test_every_answer_comes_back_from_the_outbox_as_it_was(message: Any, agreement: Agreement) -> None:
    store = MemoryStore()
    answers = answers_over(store)
    answers.hear(agreement)
    trace = TraceContext.parse(TRACEPARENT, "a=b")
    assert trace is not None
    answers.push(message, trace)
    row = row_of(store)
    frame = answers.framed(row, agreement)
    assert frame is not None
    assert decode(frame.payload, row.kind, frame.content_type) == message
    context = TraceContext.parse(frame.user_property("traceparent") or "", frame.user_property("tracestate") or "")
    assert context is not None
    assert (context.trace_id, context.tracestate) == (trace.trace_id, "a=b")
    assert context.span_id != trace.span_id


def test_an_answer_that_no_peer_would_accept_is_a_bug_that_shows() -> None:
    answers = answers_over(MemoryStore(), versions=(2,))
    with pytest.raises(EncodeError):
        answers.push(ack(applied_at=NOON), TraceContext.start(seeded()))


def test_a_hello_is_made_without_the_store() -> None:
    session = session_over(failing_store(MemoryStore(), lambda _: True))
    assert session.hello().content_type == DEFAULT_CONTENT_TYPE


@pytest.mark.parametrize("agreement", SPOKEN)
def test_a_status_is_written_as_the_cloud_reads_it_and_in_json_for_one_of_version_1(
    store: DeviceStore, agreement: Agreement
) -> None:
    session = session_over(store)
    speak(session, agreement, "plan-a", 1)
    frame = session.status(NOW)
    assert frame is not None
    assert frame.content_type == agreement.content_type
    found: Any = decode(frame.payload, Kind.DEVICE_STATUS, frame.content_type)
    assert (found.version, found.online) == (2, True)


@pytest.mark.parametrize("payload", [b"{", b'{"schedule_id":"plan-a","version":2}', b'{"schedule_id":"plan-a","version":9}'])
def test_a_cancel_that_cannot_be_read_or_stored_is_not_answered_as_the_schedule_that_it_names(
    store: DeviceStore, payload: bytes
) -> None:
    session = session_over(store)
    apply(session, schedule())
    frame = Frame(topic=f"devices/{DEVICE}/cancel", payload=payload)
    session.receive(frame, NOW)
    failed = session.store_failure(frame, StoreError(ErrorCode.STORE_FULL, "no room"), NOW)
    answers: list[Any] = [sent(store)[-1], decode(failed.payload, Kind.ACK, failed.content_type)]
    assert [each.schedule_id for each in answers] == [sha256(payload).hexdigest()] * 2


@pytest.mark.parametrize("readable", [True, False], ids=["the store can be read", "the store cannot be read"])
def test_a_store_that_fails_is_told_in_what_the_cloud_speaks_as_far_as_that_is_known(readable: bool) -> None:
    store = MemoryStore()
    apply(session_over(store), schedule())
    session = session_over(failing_store(store, lambda name: name == "commit" or (not readable and name == "agreement")))
    arriving = Frame(topic=f"devices/{DEVICE}/schedule", payload=b"{}")
    frame = session.store_failure(arriving, StoreError(ErrorCode.STORE_FULL, "no space"), NOW)
    assert spoken(frame).version == (2 if readable else 1)
    answer = decode(frame.payload, Kind.ACK, frame.content_type)
    assert isinstance(answer, Ack)
    assert answer.error is not None
    assert (answer.error.code, answer.is_retryable) == (ErrorCode.STORE_FULL, True)


def test_how_the_cloud_speaks_is_forgotten_with_a_transaction_that_was_undone() -> None:
    store, broken = MemoryStore(), [False]
    session = session_over(failing_store(store, lambda name: broken[0] and name == "commit"))
    receive(session, v1_schedule())
    broken[0] = True
    with pytest.raises(StoreError):
        receive(session, schedule("plan-b", generated_at=NOW))
    broken[0] = False
    assert session.agreement == V1
    session.applied("plan-a", NOW)
    assert [spoken(frame).version for frame in frames(session)] == [1, 1]


def test_a_cancel_s_answer_is_one_for_the_outbox_too(store: DeviceStore) -> None:
    session = session_over(store)
    receive(session, cancel(sent_at=NOW))
    (answer,) = sent(store)
    assert isinstance(answer, ScheduleEvent)
    ((_, frame),) = session.frames_to_send(NOW)
    assert (frame.topic, frame.qos, frame.retain) == (f"devices/{DEVICE}/event", 1, False)
