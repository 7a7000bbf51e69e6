"""How schedules and cancels enter the cloud's store: in order, once, and only what the device could take."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.delivery import OPEN, State, message_of
from allye_protocol.digest import digest
from allye_protocol.errors import EncodeError, ErrorCode, RefusalError, StoreError
from allye_protocol.messages import AckStatus, Cancel, Kind, sequence_at
from allye_protocol.session import CloudSession
from allye_protocol.tracing import TraceContext
from tests.builders import DEVICE, HELLO, MICROSECOND, NOON, SLOT, TRACE_ID, TRACEPARENT, V1_HELLO, ack, schedule, seeded
from tests.session.cloud_world import APPLIED, EVENING, MINUTE, OTHER, Cloud, failed, longest
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from allye_protocol.messages import Hello

AT_EVENING = sequence_at(EVENING)
DAY = timedelta(days=1)


# Schedules


def test_a_schedule_is_stored_before_anything_is_published() -> None:
    cloud = Cloud()
    delivery = cloud.submit()
    assert delivery == cloud.delivery()
    assert (delivery.state, delivery.attempts, delivery.due_at) == (State.PENDING, 0, EVENING)
    assert (delivery.kind, delivery.sequence, delivery.digest) == (Kind.SCHEDULE, AT_EVENING, digest(schedule()))
    assert message_of(delivery) == schedule()


def test_submitting_the_same_meaning_again_changes_nothing() -> None:
    cloud = Cloud()
    first = cloud.submit()
    cloud.send()
    cloud.now += MINUTE
    again = cloud.submit(sequence=cloud.session.sequence_for(DEVICE, cloud.now), traceparent=None, metadata={"try": "2"})
    assert again.payload == first.payload
    assert again.state is State.SENT
    assert len(cloud.store.deliveries) == 1


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"rates_w": (50_000,)}, ErrorCode.ORDER_CONFLICT, "/schedule_id"),
        ({"device": OTHER}, ErrorCode.ORDER_CONFLICT, "/schedule_id"),
        ({"name": "plan-b"}, ErrorCode.ORDER_STALE, "/sequence"),
        ({"name": "plan-b", "sequence": 1}, ErrorCode.ORDER_STALE, "/sequence"),
        ({"name": "plan-b", "device": OTHER, "start": EVENING - SLOT}, ErrorCode.TIME_EXPIRED, ""),
        ({"name": "plan-b", "device": OTHER, "expires_at": EVENING}, ErrorCode.TIME_EXPIRED, ""),
        ({"name": "plan-b", "sequence": sequence_at(EVENING + 5 * MINUTE) + 1}, ErrorCode.ORDER_IN_FUTURE, "/sequence"),
        ({"name": "plan-b", "device": OTHER, "start": EVENING + 9 * DAY}, ErrorCode.TIME_TOO_FAR, "/start"),
    ],
)
def test_what_must_not_be_delivered_is_refused_and_not_stored(fields: dict[str, Any], code: ErrorCode, path: str) -> None:
    cloud = Cloud()
    cloud.submit()
    before = cloud.store.deliveries
    with pytest.raises(RefusalError) as caught:
        cloud.submit(**fields)
    assert (caught.value.code, caught.value.path) == (code, path)
    assert cloud.store.deliveries == before


def test_a_schedule_that_breaks_a_rule_is_not_stored() -> None:
    cloud = Cloud()
    with pytest.raises(EncodeError):
        cloud.submit(start=NOON + MINUTE)
    assert cloud.store.deliveries == []


@pytest.mark.parametrize(
    ("member", "value"),
    [("resolution_s", 900), ("soc_min_pct", 20.0), ("ramp_w_per_s", 100), ("dry_run", True), ("rates_w", (None, 5))],
)
@pytest.mark.parametrize("hello", [V1_HELLO, None], ids=["version 1", "no hello"])
def test_what_version_1_cannot_say_is_refused_where_the_device_speaks_it(hello: Hello | None, member: str, value: Any) -> None:
    cloud = Cloud(hello=hello)
    with pytest.raises(EncodeError) as caught:
        cloud.submit(**{member: value})
    assert (caught.value.code, caught.value.path) == (ErrorCode.VERSION_DOWNGRADE_LOSES, f"/{member}")
    assert cloud.store.deliveries == []
    Cloud().submit(**{member: value})


def test_slots_of_a_length_that_the_device_does_not_take_are_refused() -> None:
    only = msgspec.structs.replace(HELLO.capabilities, slot_lengths_s=(1800, 3600))
    cloud = Cloud(hello=msgspec.structs.replace(HELLO, capabilities=only))
    with pytest.raises(RefusalError) as caught:
        cloud.submit(resolution_s=900)
    assert (caught.value.code, caught.value.path) == (ErrorCode.TIME_BAD_DURATION, "/resolution_s")
    assert cloud.submit(resolution_s=3600).state is State.PENDING


def test_a_schedule_for_a_device_without_a_common_version_is_taken_and_waits() -> None:
    cloud = Cloud(hello=msgspec.structs.replace(HELLO, versions=(7,)))
    assert cloud.submit(resolution_s=900).state is State.PENDING


def test_a_schedule_takes_up_the_trace_it_is_given() -> None:
    cloud = Cloud()
    trace = TraceContext.start(seeded(5))
    delivery = cloud.session.submit(schedule(traceparent=None), cloud.now, trace)
    assert delivery.traceparent == trace.traceparent
    assert message_of(delivery).trace_id == trace.trace_id


@pytest.mark.parametrize("traceparent", [None, "nonsense"])
def test_a_schedule_without_a_trace_begins_one(traceparent: str | None) -> None:
    delivery = Cloud().submit(traceparent=traceparent)
    assert TraceContext.parse(delivery.traceparent) is not None
    assert message_of(delivery).traceparent == delivery.traceparent


def test_repeating_stops_when_a_schedule_expires() -> None:
    assert Cloud().submit(expires_at=NOON).until == NOON
    assert Cloud().submit(expires_at=NOON + DAY).until == NOON + SLOT
    assert Cloud().submit().until == NOON + SLOT


# Order


def test_the_order_of_a_device_rises_when_the_clock_stands_or_is_set_back() -> None:
    cloud = Cloud()
    assert cloud.session.sequence_for(DEVICE, EVENING) == AT_EVENING
    cloud.submit(sequence=AT_EVENING)
    assert cloud.session.sequence_for(DEVICE, EVENING) == AT_EVENING + 1
    assert cloud.session.sequence_for(DEVICE, EVENING - 5 * MINUTE) == AT_EVENING + 1
    assert cloud.session.sequence_for(DEVICE, EVENING + MINUTE) == sequence_at(EVENING + MINUTE)
    assert cloud.session.sequence_for(OTHER, EVENING) == AT_EVENING


def test_the_order_survives_a_restart_and_settled_schedules_keep_their_place() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cloud.restart()
    assert cloud.session.sequence_for(DEVICE, EVENING - MINUTE) == AT_EVENING + 1


def test_an_order_from_a_day_when_the_cloud_s_clock_was_wrong_locks_no_device_out() -> None:
    cloud = Cloud()
    cloud.submit(name="before", sequence=AT_EVENING, start=NOON + DAY)
    cloud.now += DAY
    cloud.submit(name="wrong", sequence=sequence_at(cloud.now), start=NOON + 2 * DAY)
    cloud.now -= DAY
    assert cloud.session.sequence_for(DEVICE, cloud.now) == AT_EVENING + 1
    cloud.submit(name="right", sequence=AT_EVENING + 1)
    assert cloud.session.sequence_for(DEVICE, cloud.now) == AT_EVENING + 2


def test_of_two_publishers_with_the_same_sequence_the_second_asks_again() -> None:
    cloud = Cloud()
    other = CloudSession(cloud.store, random_bytes=seeded(2), uniform=longest)
    mine, theirs = cloud.session.sequence_for(DEVICE, EVENING), other.sequence_for(DEVICE, EVENING)
    assert mine == theirs
    cloud.submit(sequence=mine)
    with pytest.raises(RefusalError) as caught:
        other.submit(schedule("plan-b", sequence=theirs), EVENING)
    assert caught.value.code is ErrorCode.ORDER_STALE
    assert caught.value.details["sequence"] == mine
    other.submit(schedule("plan-b", sequence=other.sequence_for(DEVICE, EVENING)), EVENING)


@given(st.lists(st.tuples(st.integers(-400, 400), st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_sequences_rise_strictly_whatever_the_clock_does(story: list[tuple[int, bool, bool]]) -> None:
    """Seconds by which the clock is set, whether the publisher restarts, and whether it submits a schedule or a cancel."""
    cloud = Cloud()
    latest = cloud.now
    made: list[int] = []
    for number, (seconds, restarts, cancels) in enumerate(story):
        # Set back by more than max_skew below the last submission, a cloud would rightly take that submission for a mistake.
        latest = max(latest, cloud.now)
        cloud.now = max(cloud.now + timedelta(seconds=seconds), latest - timedelta(seconds=299) + len(made) * MICROSECOND)
        if restarts:
            cloud.restart()
        sequence = cloud.session.sequence_for(DEVICE, cloud.now)
        if cancels:
            made.append(cloud.cancel(None, effective_from=NOON).sequence)
        else:
            made.append(cloud.submit(name=f"plan-{number}", sequence=sequence, start=NOON + DAY).sequence)
        assert made[-1] == sequence >= sequence_at(cloud.now)
    assert made == sorted(set(made))


# Superseding


def test_a_newer_schedule_that_covers_an_older_one_does_not_wait_behind_it() -> None:
    cloud = Cloud()
    cloud.submit(name="older", sequence=AT_EVENING)
    cloud.send()
    cloud.hear(failed("device.local_mode", schedule_id="older"))
    cloud.submit(name="newer", sequence=AT_EVENING + 1)
    assert cloud.state("older") is State.SUPERSEDED
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["newer"]


def test_a_dry_run_supersedes_nothing() -> None:
    cloud = Cloud()
    cloud.submit(name="older", sequence=AT_EVENING)
    cloud.submit(name="newer", sequence=AT_EVENING + 1, dry_run=True)
    assert cloud.state("older") is State.PENDING


def test_a_newer_schedule_supersedes_no_cancel() -> None:
    """Whether the plan that it cancels is replaced is known only when the device has said so."""
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cancel = cloud.cancel()
    cloud.submit(name="newer", sequence=cloud.session.sequence_for(DEVICE, cloud.now))
    assert cloud.state(cancel.delivery_id) is State.PENDING
    assert [dispatch.delivery_id for dispatch in cloud.send()] == [cancel.delivery_id]


# Cancels


def test_a_cancel_is_stored_before_anything_is_published() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cloud.now += MINUTE
    delivery = cloud.cancel(reason="grid outage announced")
    assert delivery == cloud.delivery(delivery.delivery_id)
    assert (delivery.kind, delivery.schedule_id, delivery.digest) == (Kind.CANCEL, "plan-a", None)
    assert (delivery.state, delivery.start, delivery.end, delivery.until) == (
        State.PENDING,
        cloud.now,
        NOON + SLOT,
        NOON + SLOT,
    )
    assert message_of(delivery) == Cancel(
        device_id=DEVICE,
        version=2,
        sequence=sequence_at(cloud.now),
        schedule_id=schedule().schedule_id,
        reason="grid outage announced",
        traceparent=TRACEPARENT,
    )


def test_a_cancel_comes_after_all_that_was_submitted_before_it() -> None:
    cloud = Cloud()
    submitted = cloud.submit(sequence=AT_EVENING + 5)
    assert cloud.cancel().sequence == submitted.sequence + 1
    assert cloud.session.sequence_for(DEVICE, cloud.now) == submitted.sequence + 2


def test_a_schedule_that_is_still_open_is_cancelled_at_once() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.send()
    cancel = cloud.cancel()
    assert (cloud.state(), cloud.delivery().settled_at) == (State.CANCELLED, EVENING)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == [cancel.delivery_id]


def test_a_schedule_that_is_applied_stays_so_until_the_device_has_confirmed() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(APPLIED)
    cloud.cancel()
    assert cloud.state() is State.APPLIED


def test_a_cancel_of_the_rest_of_a_schedule_lets_the_beginning_be_delivered_before_it() -> None:
    cloud = Cloud()
    cloud.submit(rates_w=(1, 2, 3, 4))
    cancel = cloud.cancel(effective_from=NOON + SLOT)
    assert (cloud.state(), cloud.delivery().until, cloud.delivery().end) == (State.PENDING, NOON + SLOT, NOON + 4 * SLOT)
    assert [dispatch.delivery_id for dispatch in cloud.send()] == ["plan-a"]
    cloud.now = NOON + SLOT
    cloud.session.tick(cloud.now)
    assert cloud.state() is State.EXPIRED
    assert [dispatch.delivery_id for dispatch in cloud.send()] == [cancel.delivery_id]


def test_a_cancel_from_an_instant_on_ends_what_begins_after_it_and_leaves_what_is_over_before() -> None:
    cloud = Cloud()
    for number, start in enumerate((NOON, NOON + SLOT, NOON + 2 * SLOT)):
        cloud.submit(name=f"plan-{number}", sequence=AT_EVENING + number, start=start)
    cancel = cloud.cancel(None, effective_from=NOON + SLOT)
    assert [cloud.state(f"plan-{number}") for number in range(3)] == [State.PENDING, State.CANCELLED, State.CANCELLED]
    assert (cancel.start, cancel.until) == (NOON + SLOT, NOON + SLOT + cloud.config.max_ahead)


def test_a_cancel_touches_no_other_device_and_no_other_cancel() -> None:
    cloud = Cloud()
    cloud.store.keep_hello(msgspec.structs.replace(HELLO, device_id=OTHER), EVENING)
    cloud.submit()
    cloud.submit(name="plan-b", device=OTHER)
    first = cloud.cancel()
    second = cloud.cancel(None, effective_from=EVENING)
    assert [cloud.state(name) for name in ("plan-b", first.delivery_id, second.delivery_id)] == [State.PENDING] * 3


@pytest.mark.parametrize("hello", [V1_HELLO, None], ids=["version 1", "no hello"])
def test_a_device_of_version_1_cannot_be_sent_a_cancel_and_the_error_says_what_to_do(hello: Hello | None) -> None:
    cloud = Cloud(hello=hello)
    cloud.submit()
    with pytest.raises(EncodeError, match="submit a schedule with a rate of 0") as caught:
        cloud.cancel()
    assert caught.value.code is ErrorCode.VERSION_DOWNGRADE_LOSES
    assert cloud.state() is State.PENDING
    assert len(cloud.store.deliveries) == 1


def test_a_cancel_for_a_device_without_a_common_version_is_taken_and_waits() -> None:
    cloud = Cloud(hello=msgspec.structs.replace(HELLO, versions=(7,)))
    cloud.submit()
    assert cloud.cancel().state is State.PENDING


@pytest.mark.parametrize(
    ("name", "device", "code"),
    [
        ("never-submitted", DEVICE, ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        ("plan-a", OTHER, ErrorCode.ORDER_UNKNOWN_SCHEDULE),
        ("over", DEVICE, ErrorCode.TIME_EXPIRED),
    ],
)
def test_what_cannot_be_cancelled_is_said(name: str, device: str, code: ErrorCode) -> None:
    cloud = Cloud()
    cloud.store.keep_hello(msgspec.structs.replace(HELLO, device_id=OTHER), EVENING)
    cloud.submit(name="over", start=EVENING)
    cloud.now = EVENING + SLOT
    cloud.submit(sequence=sequence_at(cloud.now))
    before = cloud.store.deliveries
    with pytest.raises(RefusalError) as caught:
        cloud.cancel(name, device)
    assert caught.value.code is code
    assert cloud.store.deliveries == before


def test_the_name_of_a_cancel_s_delivery_is_no_schedule_that_could_be_cancelled() -> None:
    cloud = Cloud()
    first = cloud.cancel(None, effective_from=NOON)
    with pytest.raises(RefusalError):
        cloud.cancel(first.delivery_id)


def test_a_cancel_from_after_a_schedule_s_end_takes_nothing_back() -> None:
    cloud = Cloud()
    cloud.submit()
    with pytest.raises(RefusalError) as caught:
        cloud.cancel(effective_from=NOON + SLOT)
    assert caught.value.code is ErrorCode.TIME_EXPIRED


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"effective_from": datetime(2026, 3, 1, 13)},  # noqa: DTZ001 - without an offset, which is what is refused
        {"reason": "x" * 257},
    ],
    ids=["names nothing", "naive time", "long reason"],
)
def test_a_cancel_that_breaks_a_rule_is_not_stored(fields: dict[str, Any]) -> None:
    cloud = Cloud()
    cloud.submit()
    with pytest.raises(EncodeError):
        cloud.cancel(**fields)
    assert (cloud.state(), len(cloud.store.deliveries)) == (State.PENDING, 1)


def test_a_cancel_belongs_to_the_trace_of_its_schedule_unless_it_is_given_one() -> None:
    cloud = Cloud()
    cloud.submit()
    assert cloud.cancel().trace_id == TRACE_ID
    trace = TraceContext.start(seeded(7))
    assert cloud.cancel(trace=trace).trace_id == trace.trace_id
    assert cloud.cancel(None, effective_from=NOON).trace_id not in ("", TRACE_ID)


def test_a_schedule_can_be_cancelled_again_whatever_became_of_it() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.hear(failed("limit.power"))
    assert cloud.cancel().state in OPEN
    assert cloud.cancel().state in OPEN
    assert cloud.state() is State.DEAD


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


@pytest.mark.parametrize("call", ["begin", "put_delivery", "commit"])
def test_a_cancel_that_the_store_refuses_leaves_nothing(call: str) -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.fails = call
    with pytest.raises(StoreError):
        cloud.cancel()
    assert (cloud.state(), len(cloud.store.deliveries)) == (State.PENDING, 1)
    cloud.fails = ""
    cloud.cancel()
    assert cloud.state() is State.CANCELLED


def test_an_answer_to_a_cancelled_schedule_is_kept_and_changes_nothing() -> None:
    cloud = Cloud()
    cloud.submit()
    cloud.cancel()
    assert cloud.hear(ack(status=AckStatus.APPLIED)) == []
    assert (cloud.state(), len(cloud.store.acks)) == (State.CANCELLED, 1)


@pytest.mark.parametrize("work", [Cloud.submit, lambda cloud: cloud.cancel(None, effective_from=NOON)])
def test_the_order_is_asked_for_first_so_that_no_other_publisher_comes_between(work: Callable[[Cloud], object]) -> None:
    """What a store answers to ``last_sequence`` holds until the transaction ends; what was read before it might not."""
    cloud = Cloud()
    calls: list[str] = []

    def watch(call: str) -> bool:
        calls.append(call)
        return False

    watched = failing_store(cloud.store, watch)  # type: ignore[arg-type]
    cloud.session = CloudSession(watched, random_bytes=seeded(), uniform=longest)
    work(cloud)
    assert calls[:2] == ["begin", "last_sequence"]
