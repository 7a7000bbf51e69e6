"""Between versions: upgrading is total, downgrading keeps the meaning or refuses, and says what it leaves out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol import codec
from allye_protocol.codec import JSON, content_types_of
from allye_protocol.convert import decode, downgrade, encode, upgrade
from allye_protocol.digest import digest
from allye_protocol.errors import EncodeError, ErrorCode
from allye_protocol.messages import (
    NEWEST,
    Ack,
    AckStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    ExecutionStatus,
    Outcome,
    Schedule,
    Written,
    sequence_at,
    v1,
)
from allye_protocol.messages.fields import EARLIEST, LATEST
from allye_protocol.messages.registry import BY_TYPE, Kind
from allye_protocol.tracing import trace_id_or_none
from tests import builders
from tests.strategies import (
    acks,
    cancels,
    device_statuses,
    half_hourly_results,
    hellos,
    messages,
    schedule_events,
    schedules,
    v1_acks,
    v1_execution_results,
    v1_messages,
    v1_schedules,
    watts,
    written,
)


def down(message: Written) -> Any:
    """The message in version 1."""
    return downgrade(message, 1).message


def refused_at(message: Written) -> str:
    """Where a downgrade to version 1 refuses a message."""
    with pytest.raises(EncodeError) as caught:
        downgrade(message, 1)
    assert caught.value.code is ErrorCode.VERSION_DOWNGRADE_LOSES
    return caught.value.path


def lost(message: Written) -> set[str]:
    """What a downgrade to version 1 says that it loses."""
    losses = downgrade(message, 1).losses
    assert {problem.code for problem in losses} <= {ErrorCode.VERSION_DOWNGRADE_LOSES}
    return {problem.path for problem in losses}


# up


@given(v1_messages)
def test_every_valid_message_of_version_1_has_a_valid_upgrade(message: Any) -> None:
    upgraded = upgrade(message)
    spec = BY_TYPE[type(upgraded)]
    assert (spec.kind, spec.version) == (BY_TYPE[type(message)].kind, NEWEST)
    for content_type in content_types_of(NEWEST):
        assert codec.decode(codec.encode(upgraded, content_type), spec.kind) == upgraded
    assert (upgraded.device_id, upgraded.trace_id) == (message.device_id, trace_id_or_none(message.trace_id))


@given(messages)
def test_a_message_of_the_newest_version_is_its_own_upgrade(message: Any) -> None:
    assert upgrade(message) is message


@given(v1_schedules())
def test_an_upgraded_schedule_asks_for_the_same(schedule: v1.Schedule) -> None:
    upgraded = upgrade(schedule)
    assert isinstance(upgraded, Schedule)
    assert (upgraded.start, upgraded.end) == (schedule.start, schedule.end)
    assert list(upgraded.rates_w) == schedule.rates_w
    assert upgraded.sequence == max(1, sequence_at(schedule.generated_at))


@given(st.lists(v1_schedules(max_slots=1), min_size=2, max_size=2))
def test_upgraded_schedules_have_the_order_that_they_had(pair: list[v1.Schedule]) -> None:
    first, second = pair
    assume(min(first.generated_at, second.generated_at) > EARLIEST)
    before: Any = upgrade(first)
    after: Any = upgrade(second)
    assert (before.sequence < after.sequence) is (first.generated_at < second.generated_at)


@given(v1_acks)
def test_an_upgraded_ack_says_what_it_said_and_invents_nothing(ack: v1.Ack) -> None:
    upgraded = upgrade(ack)
    assert isinstance(upgraded, Ack)
    assert (upgraded.schedule_id, upgraded.status, upgraded.timestamp) == (ack.schedule_id, ack.status, ack.timestamp)
    assert (upgraded.sequence, upgraded.digest, upgraded.clock, upgraded.superseded) == (None, None, None, ())


@given(v1_execution_results)
def test_an_upgraded_result_is_about_the_same_slot(result: v1.ExecutionResult) -> None:
    upgraded = upgrade(result)
    assert isinstance(upgraded, ExecutionResult)
    assert (upgraded.slot_start, upgraded.slot_end) == (result.interval.start, result.interval.end)
    assert (upgraded.status, upgraded.actual_w) == (result.status, v1.watts(result.actual_rate_kw))
    assert upgraded.scheduled_w is upgraded.coverage_pct is None


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("limit.power: too much", ErrorDetail(code="limit.power", message="too much")),
        ("limit.power", ErrorDetail(code="limit.power")),
        ("no idea", ErrorDetail(code="internal.unspecified", message="no idea")),
        ("later.code: words", ErrorDetail(code="internal.unspecified", message="later.code: words")),
        (None, ErrorDetail(code="internal.unspecified")),
    ],
)
def test_a_reason_of_version_1_becomes_a_code_and_words(reason: str | None, error: ErrorDetail) -> None:
    ack = v1.Ack(
        schedule_id=builders.schedule().schedule_id,
        device_id=builders.DEVICE,
        status=AckStatus.FAILED,
        timestamp=builders.NOON,
        error_reason=reason,
    )
    upgraded = upgrade(ack)
    assert isinstance(upgraded, Ack)
    assert upgraded.error == error


# down and up again

plain_schedules = schedules(rates=watts, resolutions_s=st.just(1800), max_slots=48).map(
    lambda schedule: replace(schedule, soc_min_pct=None, soc_max_pct=None, ramp_w_per_s=None, start_jitter_s=0, dry_run=False)
)


@given(plain_schedules)
def test_a_downgraded_schedule_keeps_its_meaning_its_place_and_its_trace(schedule: Schedule) -> None:
    lower = down(schedule)
    again = upgrade(lower)
    assert isinstance(again, Schedule)
    assert digest(again) == digest(schedule)
    assert (again.schedule_id, again.sequence, again.trace_id) == (schedule.schedule_id, schedule.sequence, schedule.trace_id)
    assert codec.decode(codec.encode(lower), Kind.SCHEDULE) == lower


@given(acks)
def test_a_downgraded_ack_keeps_what_it_answers_and_how(ack: Ack) -> None:
    lower = down(ack)
    again: Any = upgrade(lower)
    assert (again.schedule_id, again.status, again.timestamp) == (ack.schedule_id, ack.status, ack.timestamp)
    assert (again.applied_at, again.trace_id) == (ack.applied_at, ack.trace_id)
    if ack.error is not None and ack.error.known_code is not None:
        assert again.error.code == ack.error.code
    assert codec.decode(codec.encode(lower), Kind.ACK) == lower


@given(half_hourly_results)
def test_a_downgraded_result_keeps_its_slot_and_its_power(result: ExecutionResult) -> None:
    lower = down(result)
    again: Any = upgrade(lower)
    assert (again.slot_start, again.slot_end, again.status) == (result.slot_start, result.slot_end, result.status)
    assert (again.actual_w, again.trace_id) == (result.actual_w, result.trace_id)
    assert codec.decode(codec.encode(lower), Kind.EXECUTION_RESULT) == lower


def canonical(message: Any) -> Any:
    """A message of version 1 as this library itself would say it."""
    trace_id = trace_id_or_none(message.trace_id)
    if isinstance(message, v1.Schedule):
        rates = [rate_w / 1000 for rate_w in message.rates_w]
        modes = [v1.Mode.CHARGE if rate > 0 else v1.Mode.DISCHARGE if rate < 0 else v1.Mode.IDLE for rate in rates]
        intervals = tuple(
            replace(slot, rate_kw=rate, mode=mode) for slot, rate, mode in zip(message.intervals, rates, modes, strict=True)
        )
        made_at = max(message.generated_at, EARLIEST + timedelta(microseconds=1))
        return replace(message, intervals=intervals, max_power_kw=None, trace_id=trace_id, generated_at=made_at)
    if isinstance(message, v1.ExecutionResult):
        return replace(message, actual_rate_kw=v1.watts(message.actual_rate_kw) / 1000, trace_id=trace_id)
    applied = message.status is AckStatus.APPLIED
    return replace(message, applied_at=(message.applied_at or message.timestamp) if applied else None, trace_id=trace_id)


def without_reason(message: Any) -> Any:
    return replace(message, error_reason=None) if hasattr(message, "error_reason") else message


@given(v1_messages)
def test_an_upgrade_and_a_downgrade_give_what_version_1_said_in_this_librarys_own_words(message: Any) -> None:
    assert without_reason(down(upgrade(message))) == without_reason(canonical(message))


@given(v1_messages)
def test_a_second_time_changes_nothing(message: Any) -> None:
    once = down(upgrade(message))
    assert down(upgrade(once)) == once


@given(st.sampled_from(ErrorCode), st.text("abc, :", max_size=80).map(str.strip))
def test_a_reason_with_a_code_comes_back(code: ErrorCode, words: str) -> None:
    ack = builders.ack(status=AckStatus.FAILED, error=ErrorDetail(code=code, message=words))
    again: Any = upgrade(down(ack))
    assert again.error.code == code
    assert again.error.message == words or code is ErrorCode.INTERNAL_UNSPECIFIED


def test_a_long_reason_is_cut_and_a_place_is_kept_in_words() -> None:
    error = ErrorDetail(code="limit.power", message="x" * 512, path="/rates_w/7")
    reason = down(builders.ack(status=AckStatus.FAILED, error=error)).error_reason
    assert (len(reason), reason[-3:]) == (256, "...")
    short = replace(error, message="too much")
    assert down(builders.ack(status=AckStatus.FAILED, error=short)).error_reason == "limit.power: too much at /rates_w/7"


# what is lost, and what is refused


@given(schedules(max_slots=60))
def test_a_downgrade_refuses_a_schedule_exactly_when_its_digest_would_change(schedule: Schedule) -> None:
    rates_w = tuple(rate_w or 0 for rate_w in schedule.rates_w[:48])
    bare = builders.schedule(start=schedule.start, rates_w=rates_w, device=schedule.device_id)
    means_more = digest(bare) != digest(schedule)
    if means_more:
        assert refused_at(schedule)
    else:
        assert digest(upgrade(down(schedule))) == digest(schedule)  # type: ignore[arg-type]


PLAN = builders.schedule()


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"resolution_s": 300}, "/resolution_s"),
        ({"resolution_s": 3600}, "/resolution_s"),
        ({"rates_w": (0,) * 49}, "/rates_w"),
        ({"rates_w": (0, None)}, "/rates_w"),
        ({"soc_min_pct": 0.0}, "/soc_min_pct"),
        ({"soc_max_pct": 100.0}, "/soc_max_pct"),
        ({"ramp_w_per_s": 1}, "/ramp_w_per_s"),
        ({"start_jitter_s": 1}, "/start_jitter_s"),
        ({"dry_run": True}, "/dry_run"),
    ],
)
def test_what_version_1_cannot_ask_for_is_refused_at_its_place(changes: dict[str, Any], path: str) -> None:
    assert refused_at(replace(PLAN, **changes)) == path


def test_what_is_not_part_of_the_meaning_is_lost_and_said() -> None:
    assert lost(PLAN) == set()
    labelled = replace(PLAN, expires_at=builders.NOON, metadata={"a": "b"}, sequence=PLAN.sequence + 1)
    assert lost(labelled) == {"/expires_at", "/metadata", "/generated_at"}
    error = ErrorDetail(code="limit.power", slot=1, value=2.0, limit=3.0, digest="0" * 64)
    answer = builders.ack(status=AckStatus.FAILED, error=error, retryable=True, superseded=("a",))
    figures = {"/error/slot", "/error/value", "/error/limit", "/error/digest"}
    assert lost(answer) == {"/sequence", "/retryable", "/superseded", *figures}
    assert lost(builders.result()) == {"/outcome", "/scheduled_w", "/coverage_pct"}


@pytest.mark.parametrize(
    ("start", "minutes"), [(builders.NOON, 5), (builders.NOON, 60), (builders.NOON + timedelta(minutes=5), 30)]
)
def test_a_result_of_another_slot_than_a_half_hour_is_refused(start: Any, minutes: int) -> None:
    assert refused_at(builders.result(start=start, slot_end=start + timedelta(minutes=minutes))) == "/slot_end"


@given(st.one_of(cancels, schedule_events, device_statuses))
def test_what_version_1_has_no_message_for_is_refused(message: Any) -> None:
    assert refused_at(message) == ""


@given(hellos)
def test_a_hello_is_the_same_in_every_version(hello: Any) -> None:
    for version in (1, 2):
        assert downgrade(hello, version).message is hello
    assert upgrade(hello) is hello


@given(written)
def test_a_downgrade_to_its_own_version_changes_nothing(message: Any) -> None:
    version = BY_TYPE[type(message)].version or NEWEST
    assert downgrade(message, version) == (message, ())


@pytest.mark.parametrize(("message", "version"), [(PLAN, 0), (PLAN, 3), (builders.v1_schedule(), 2)])
def test_a_version_that_is_not_spoken_or_newer_is_refused(message: Any, version: int) -> None:
    with pytest.raises(EncodeError) as caught:
        downgrade(message, version)
    assert caught.value.code is ErrorCode.VERSION_UNSUPPORTED
    assert caught.value.details == {"supported_versions": [1, 2]}


def test_what_is_no_message_is_not_downgraded() -> None:
    thing: Any = object()
    with pytest.raises(EncodeError) as caught:
        downgrade(thing, 1)
    assert caught.value.code is ErrorCode.MESSAGE_UNKNOWN_KIND


# decode and encode with the conversion in them


@given(v1_messages)
def test_decode_gives_the_newest_model(message: Any) -> None:
    assert decode(codec.encode(message), BY_TYPE[type(message)].kind) == upgrade(message)


@given(messages)
def test_decode_and_encode_are_the_codecs_for_the_newest_version(message: Any) -> None:
    for content_type in content_types_of(BY_TYPE[type(message)].version):
        payload = encode(message, content_type)
        assert payload == encode(message, content_type, version=NEWEST) == codec.encode(message, content_type)
        assert decode(payload, BY_TYPE[type(message)].kind, content_type) == message


@given(plain_schedules)
def test_encode_downgrades_for_an_older_peer(schedule: Schedule) -> None:
    payload = encode(schedule, JSON, version=1)
    assert codec.decode(payload, Kind.SCHEDULE) == down(schedule)
    with pytest.raises(EncodeError) as caught:
        encode(replace(schedule, dry_run=True), JSON, version=1)
    assert caught.value.code is ErrorCode.VERSION_DOWNGRADE_LOSES


def test_a_message_of_version_1_is_written_as_it_is() -> None:
    assert encode(builders.v1_schedule()) == codec.encode(builders.v1_schedule())


def test_the_last_sequence_has_an_instant() -> None:
    last = replace(PLAN, sequence=sequence_at(LATEST - timedelta(microseconds=1)))
    assert upgrade(down(last)).sequence == last.sequence  # type: ignore[union-attr]


@pytest.mark.parametrize("event", EventType)
def test_no_event_can_be_said_in_version_1(event: EventType) -> None:
    assert refused_at(builders.event(event)) == ""


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (ExecutionStatus.SUCCEED, None, Outcome.FULL),
        (ExecutionStatus.FAIL, None, None),
        (ExecutionStatus.FAIL, "exec.missed: no", Outcome.NOT_EXECUTED),
        (ExecutionStatus.SUCCEED, "exec.limited_soc: full", Outcome.LIMITED),
        (ExecutionStatus.FAIL, "driver.timeout: gone", Outcome.FAULTED),
        (ExecutionStatus.FAIL, "who knows", None),
    ],
)
def test_an_upgraded_result_has_an_outcome_as_far_as_its_reason_says(
    status: ExecutionStatus, reason: str | None, outcome: Outcome | None
) -> None:
    result = replace(down(builders.result()), status=status, error_reason=reason)
    upgraded = upgrade(result)
    assert isinstance(upgraded, ExecutionResult)
    assert upgraded.outcome is outcome
