"""The ledger: a schedule is admitted once and settled once, however often it arrives and whatever stops in between."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_protocol.admission import Policy, Verdict
from allye_protocol.codec import MSGPACK, PROTOBUF
from allye_protocol.convert import decode, encode, upgrade
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode, Problem, RefusalError, StoreError
from allye_protocol.idempotency import MAX_ATTEMPTS, Admission, Arrival, Cancellation, Ledger
from allye_protocol.messages import AckStatus, Cancel, Clock, EventType, Kind, Schedule, sequence_at
from allye_protocol.messages.v2 import MAX_HORIZON
from allye_protocol.store import DeviceStore, EntryState, MemoryStore
from tests.builders import (
    DEVICE,
    GENERATED_AT,
    LIMIT_W,
    MICROSECOND,
    NOON,
    POLICY,
    SLOT,
    TRACEPARENT,
    cancel,
    frame_of,
    schedule,
    v1_schedule,
)
from tests.store.contract import contents
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NOW = NOON - timedelta(minutes=30)
LATER = NOW + timedelta(minutes=1)
GENERATED = sequence_at(GENERATED_AT)
NEWER = sequence_at(NOW)
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
REJECTED = Problem(code=ErrorCode.LIMIT_RAMP, message="too steep")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def arrival(message: Schedule | Cancel, now: datetime, *, trusted: bool = True) -> Arrival:
    return Arrival(frame_of(message).payload, "application/json", TRACEPARENT, now, trusted)


def ledger_over(store: DeviceStore, policy: Policy = POLICY) -> Ledger:
    return Ledger(DEVICE, store, policy)


def admit(
    store: DeviceStore, arriving: Schedule, now: datetime = NOW, policy: Policy = POLICY, *, trusted: bool = True
) -> Admission:
    return ledger_over(store, policy).admit(arriving, arrival(arriving, now, trusted=trusted))


def take_back(store: DeviceStore, taken: Cancel, now: datetime = NOW, *, trusted: bool = True) -> Cancellation:
    return ledger_over(store).cancel(taken, arrival(taken, now, trusted=trusted))


def code_of(decided: Admission) -> ErrorCode | None:
    problem = decided.decision.problem
    assert (problem is None) is (decided.answer.error is None)
    if problem is not None:
        assert decided.answer.error is not None
        assert decided.answer.error.code == problem.code
        assert decided.answer.retryable is problem.code.retryable
    return None if problem is None else problem.code


def settle(store: DeviceStore, problem: Problem | None = None, name: str = "plan-a", now: datetime = LATER) -> Any:
    return ledger_over(store).settle(name, now, problem)


def state(store: DeviceStore, name: str = "plan-a") -> EntryState | None:
    found = store.entry(name)
    return None if found is None else found.state


def test_an_admitted_schedule_is_remembered_with_its_answer(store: MemoryStore) -> None:
    decision, answer = admit(store, schedule())
    remembered = store.entry("plan-a")
    assert decision.verdict is Verdict.ADMIT
    assert remembered is not None
    assert remembered.answer == answer
    assert (answer.status, answer.timestamp, answer.received_at, answer.device_id) == (AckStatus.RECEIVED, NOW, NOW, DEVICE)
    assert (answer.applied_at, answer.error, answer.retryable, answer.superseded) == (None, None, None, ())
    assert (answer.sequence, answer.digest) == (GENERATED, digest(schedule()))
    assert (answer.clock, answer.traceparent) == (Clock(synced=True), TRACEPARENT)
    assert (remembered.digest, remembered.end, remembered.attempts) == (digest(schedule()), NOON + SLOT, 1)
    assert (remembered.sequence, remembered.traceparent, remembered.cut, remembered.started) == (
        GENERATED,
        TRACEPARENT,
        None,
        False,
    )
    assert decode(remembered.payload, Kind.SCHEDULE, remembered.content_type) == schedule()
    assert store.high_water() == GENERATED


def test_applied_is_the_second_answer_and_puts_the_schedule_into_the_plan(store: MemoryStore) -> None:
    received = admit(store, schedule()).answer
    entry, found = settle(store)
    assert found == schedule()
    assert entry.answer == msgspec.structs.replace(received, status=AckStatus.APPLIED, timestamp=LATER, applied_at=LATER)
    assert store.entry("plan-a") == entry
    assert entry.state is EntryState.APPLIED
    (layer,) = ledger_over(store).plan().layers
    assert (layer.entry, layer.schedule) == (entry, schedule())


def test_a_schedule_of_version_1_is_remembered_as_it_came_and_planned_as_it_means(store: MemoryStore) -> None:
    arriving, payload = upgrade(v1_schedule()), frame_of(v1_schedule()).payload
    assert isinstance(arriving, Schedule)
    ledger_over(store).admit(arriving, Arrival(payload, "application/json", TRACEPARENT, NOW, clock_trusted=True))
    settle(store)
    found = store.entry("plan-a")
    assert found is not None
    assert found.payload == payload
    (layer,) = ledger_over(store).plan().layers
    assert layer.schedule == arriving


def test_a_plan_is_kept_in_an_encoding_that_needs_no_extra(store: MemoryStore) -> None:
    """The device may be installed again without it, and has a plan to go on with."""
    came = encode(schedule(), PROTOBUF)
    ledger_over(store).admit(schedule(), Arrival(came, PROTOBUF, TRACEPARENT, NOW, clock_trusted=True))
    kept = store.entry("plan-a")
    assert kept is not None
    assert kept.content_type == MSGPACK
    assert decode(kept.payload, Kind.SCHEDULE, MSGPACK) == schedule()


@pytest.mark.parametrize("problem", [BUSY, REJECTED])
def test_a_failed_schedules_payload_is_not_kept(store: MemoryStore, problem: Problem) -> None:
    admit(store, schedule())
    entry, _ = settle(store, problem)
    assert (entry.payload, entry.content_type) == (b"", "")


@pytest.mark.parametrize(("problem", "expected"), [(BUSY, EntryState.RETRY), (REJECTED, EntryState.FAILED)])
def test_failed_says_why_and_whether_a_retry_can_mend_it(store: MemoryStore, problem: Problem, expected: EntryState) -> None:
    admit(store, schedule())
    entry, _ = settle(store, problem)
    assert (entry.answer.status, entry.answer.error.code) == (AckStatus.FAILED, problem.code)
    assert (entry.answer.error.message, entry.answer.applied_at) == (problem.message, None)
    assert entry.answer.retryable is problem.code.retryable
    assert state(store) is expected


@pytest.mark.parametrize("first", [None, BUSY, REJECTED])
@pytest.mark.parametrize("second", [None, BUSY, REJECTED])
def test_settling_again_changes_nothing(store: MemoryStore, first: Problem | None, second: Problem | None) -> None:
    admit(store, schedule())
    settle(store, first)
    before = contents(store, ["plan-a"], [NEWER])
    assert settle(store, second, now=LATER + SLOT) is None
    assert contents(store, ["plan-a"], [NEWER]) == before


def test_an_id_that_was_never_admitted_cannot_be_settled(store: MemoryStore) -> None:
    with pytest.raises(RefusalError) as caught:
        settle(store)
    assert caught.value.code is ErrorCode.ORDER_UNKNOWN_SCHEDULE
    assert "plan-a" in caught.value.message


@pytest.mark.parametrize("settled", ["not yet", None, REJECTED])
def test_a_repetition_gets_the_last_answer_unchanged_and_changes_nothing(store: MemoryStore, settled: Any) -> None:
    _, answer = admit(store, schedule())
    if settled != "not yet":
        answer = settle(store, settled).entry.answer
    before = contents(store, ["plan-a"], [NEWER])
    late = admit(store, schedule(), NOON + timedelta(days=9), trusted=False)
    assert late.decision.verdict is Verdict.REPEAT
    assert late.answer == answer
    assert contents(store, ["plan-a"], [NEWER]) == before


def test_a_repetition_may_differ_in_what_it_does_not_mean(store: MemoryStore) -> None:
    admit(store, schedule())
    again = schedule(generated_at=NOW, traceparent=None, expires_at=NOW, metadata={"a": "b"})
    assert admit(store, again).decision.verdict is Verdict.REPEAT
    assert store.high_water() == GENERATED


def test_a_repetition_may_come_in_another_version(store: MemoryStore) -> None:
    admit(store, schedule())
    again = upgrade(v1_schedule())
    assert isinstance(again, Schedule)
    assert admit(store, again).decision.verdict is Verdict.REPEAT


def test_a_failure_that_a_retry_can_mend_is_tried_again(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store, BUSY)
    decision, answer = admit(store, schedule(), LATER)
    assert (decision.verdict, answer.status, answer.timestamp) == (Verdict.ADMIT, AckStatus.RECEIVED, LATER)
    assert settle(store).entry.answer.status is AckStatus.APPLIED


def test_the_attempts_of_a_retry_are_counted_anew(store: MemoryStore) -> None:
    admit(store, schedule())
    ledger_over(store).resume()
    settle(store, BUSY)
    admit(store, schedule(), LATER)
    found = store.entry("plan-a")
    assert found is not None
    assert found.attempts == 1


def test_other_content_under_a_known_id_changes_nothing(store: MemoryStore) -> None:
    admit(store, schedule())
    before = contents(store, ["plan-a"], [NEWER])
    other = schedule(rates_w=(1,), generated_at=NOW)
    refused = admit(store, other)
    assert code_of(refused) is ErrorCode.ORDER_CONFLICT
    assert refused.answer.status is AckStatus.FAILED
    assert refused.answer.error is not None
    assert (refused.answer.digest, refused.answer.error.digest) == (digest(other), digest(schedule()))
    assert contents(store, ["plan-a"], [NEWER]) == before


LOW = Policy(max_charge_w=1, max_discharge_w=1)
LONG = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W, slot_lengths_s=(1800,))
NARROW = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W, soc_min_pct=5.0)


@pytest.mark.parametrize(
    ("arriving", "now", "policy", "code"),
    [
        (schedule(start=NOW + timedelta(days=9)), NOW, POLICY, ErrorCode.TIME_TOO_FAR),
        (schedule(), NOON + timedelta(hours=1), POLICY, ErrorCode.TIME_EXPIRED),
        (schedule(), NOW, LOW, ErrorCode.LIMIT_POWER),
        (schedule(expires_at=NOW - SLOT), NOW, POLICY, ErrorCode.TIME_EXPIRED),
        (schedule(resolution_s=3600), NOW, LONG, ErrorCode.TIME_BAD_DURATION),
        (schedule(soc_max_pct=1.0), NOW, NARROW, ErrorCode.LIMIT_SOC),
    ],
)
def test_a_refusal_is_final_even_when_its_reason_has_passed(
    store: MemoryStore, arriving: Schedule, now: datetime, policy: Policy, code: ErrorCode
) -> None:
    """The cloud gives up a schedule that FAILED for good: it must not be executed because a copy of it comes later."""
    refused = admit(store, arriving, now, policy)
    assert code_of(refused) is code
    when_it_would_do = min(max(NOW, arriving.generated_at), arriving.start)
    again = admit(store, arriving, max(when_it_would_do, arriving.start - timedelta(days=7)))
    assert again.decision.verdict is Verdict.REPEAT
    assert again.answer == refused.answer
    assert store.high_water() == 0
    assert ledger_over(store).resume() == []


def test_a_refusal_that_a_retry_can_mend_leaves_nothing(store: MemoryStore) -> None:
    refused = admit(store, schedule(), trusted=False)
    assert code_of(refused) is ErrorCode.DEVICE_CLOCK_UNTRUSTED
    assert refused.answer.clock == Clock(synced=False)
    assert contents(store, ["plan-a"], [NEWER]) == contents(MemoryStore(), ["plan-a"], [NEWER])
    assert admit(store, schedule()).decision.verdict is Verdict.ADMIT


def test_what_a_wrong_clock_refused_is_admitted_when_the_clock_is_right(store: MemoryStore) -> None:
    """A device ten minutes behind that believes its clock must not lose the plan for good."""
    behind = NOW - timedelta(minutes=10)
    refused = admit(store, schedule(generated_at=NOW), behind)
    assert code_of(refused) is ErrorCode.ORDER_IN_FUTURE
    assert contents(store, ["plan-a"], [NEWER]) == contents(MemoryStore(), ["plan-a"], [NEWER])
    assert admit(store, schedule("plan-b", generated_at=NOW - timedelta(minutes=6)), behind).decision.verdict is Verdict.ADMIT
    assert admit(store, schedule(generated_at=NOW), NOW).decision.verdict is Verdict.ADMIT


def test_what_is_stale_leaves_nothing_as_it_stays_stale(store: MemoryStore) -> None:
    admit(store, schedule("plan-b", generated_at=NOW))
    before = contents(store, ["plan-a", "plan-b", "plan-c"], [NEWER, NEWER + 60_000_000])
    refused = admit(store, schedule())
    assert code_of(refused) is ErrorCode.ORDER_STALE
    assert refused.answer.sequence == NEWER
    assert contents(store, ["plan-a", "plan-b", "plan-c"], [NEWER, NEWER + 60_000_000]) == before


def test_a_retry_that_is_refused_for_good_is_over(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store, BUSY)
    admit(store, schedule("plan-b", generated_at=NOW))
    stale = admit(store, schedule())
    assert state(store) is EntryState.FAILED
    assert admit(store, schedule()) == (stale.decision._replace(verdict=Verdict.REPEAT, problem=None), stale.answer)


def test_refusals_are_forgotten_in_time_whatever_horizon_they_claim(store: MemoryStore) -> None:
    far = schedule(start=NOON + timedelta(days=60_000))
    admit(store, far)
    ledger = ledger_over(store)
    assert ledger.prune(NOW + POLICY.max_ahead + POLICY.retention) == 0
    assert ledger.prune(NOW + POLICY.max_ahead + POLICY.retention + MICROSECOND) == 1


def test_a_decided_id_is_remembered_for_the_retention_and_stays_stale_afterwards(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store)
    ledger = ledger_over(store)
    ledger.retire("plan-a")
    assert ledger.prune(NOON + SLOT + timedelta(days=14)) == 0
    assert ledger.prune(NOON + SLOT + timedelta(days=14) + MICROSECOND) == 1
    replayed = admit(store, schedule(), NOW)
    assert code_of(replayed) is ErrorCode.ORDER_STALE


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_day_that_is_replayed_later_applies_nothing(store: MemoryStore, days: int) -> None:
    day = [schedule(f"plan-{index}", generated_at=NOW + MICROSECOND * index) for index in range(10)]
    for each in day:
        admit(store, each)
        settle(store, None, each.schedule_id)
        ledger_over(store).retire(each.schedule_id)
    for clock in (NOW + timedelta(days=days), NOW):
        ledger_over(store).prune(clock)
        verdicts = {admit(store, each, clock).decision.verdict for each in day}
        assert Verdict.ADMIT not in verdicts


def test_after_a_restart_what_is_not_settled_is_taken_up_oldest_first(store: MemoryStore) -> None:
    for name, minutes in (("plan-a", 1), ("plan-b", 2), ("plan-c", 3)):
        admit(store, schedule(name, generated_at=NOW - timedelta(minutes=30 - minutes)))
    settle(store, None, "plan-b")
    resumed = ledger_over(store).resume()
    assert [(each.schedule.schedule_id, each.entry.attempts) for each in resumed] == [("plan-a", 2), ("plan-c", 2)]
    assert resumed[0].schedule == schedule(generated_at=NOW - timedelta(minutes=29))


def test_every_attempt_is_counted(store: MemoryStore) -> None:
    admit(store, schedule())
    counted = [ledger_over(store).resume()[0].entry.attempts for _ in range(MAX_ATTEMPTS)]
    assert counted == [2, 3, MAX_ATTEMPTS + 1]


def test_a_ledger_whose_store_fails_at_any_call_remembers_nothing(store: MemoryStore) -> None:
    """Admit, settle and resume: each is kept whole or not at all, and works when it is tried again."""
    acts: list[Callable[[Any], object]] = [
        lambda kept: admit(kept, schedule()),
        lambda kept: ledger_over(kept).resume(),
        settle,
        lambda kept: admit(kept, schedule("plan-b", rates_w=(999_000,), generated_at=NOW)),
        lambda kept: take_back(kept, cancel("plan-a", sent_at=NOW)),
        lambda kept: take_back(kept, cancel("plan-c", sent_at=LATER)),
    ]
    failing = 0
    for act in acts:
        for failing in range(1, 50):
            before = contents(store, ["plan-a", "plan-b", "plan-c"], [NEWER, NEWER + 60_000_000])
            left = [failing]

            def fails(_: str, left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] == 0

            try:
                act(failing_store(store, fails))
            except StoreError:
                assert contents(store, ["plan-a", "plan-b", "plan-c"], [NEWER, NEWER + 60_000_000]) == before
            else:
                break
        assert failing > 3
    assert [state(store), state(store, "plan-b")] == [EntryState.APPLIED, EntryState.FAILED]


def test_a_store_that_holds_another_message_says_so(store: MemoryStore) -> None:
    admit(store, schedule())
    found = store.entry("plan-a")
    assert found is not None
    store.put_entry(msgspec.structs.replace(found, payload=b"{}"))
    with pytest.raises(StoreError) as caught:
        settle(store)
    assert caught.value.code is ErrorCode.STORE_CORRUPT
    assert "plan-a" in caught.value.message


def test_the_devices_own_limit_decides() -> None:
    narrow = Policy(max_charge_w=LIMIT_W - 1, max_discharge_w=LIMIT_W)
    assert code_of(admit(MemoryStore(), schedule(rates_w=(LIMIT_W,)))) is None
    assert code_of(admit(MemoryStore(), schedule(rates_w=(LIMIT_W,)), policy=narrow)) is ErrorCode.LIMIT_POWER


# What the newest one leaves of those before.


def superseded(store: DeviceStore, arriving: Schedule, now: datetime = NOW) -> tuple[str, ...]:
    admit(store, arriving, now)
    answer = settle(store, None, arriving.schedule_id, now).entry.answer
    return tuple(answer.superseded)


def test_an_answer_names_the_schedules_of_which_nothing_is_left(store: MemoryStore) -> None:
    assert superseded(store, schedule("plan-a", rates_w=(1, 1), sequence=1)) == ()
    assert superseded(store, schedule("plan-b", rates_w=(2,), sequence=2)) == ()
    assert superseded(store, schedule("plan-c", start=NOON + 9 * SLOT, sequence=3)) == ()
    assert superseded(store, schedule("plan-d", rates_w=(4, 4), sequence=4)) == ("plan-a", "plan-b")


def test_a_schedule_that_several_newer_ones_cover_together_is_superseded_by_the_last(store: MemoryStore) -> None:
    assert superseded(store, schedule("plan-a", rates_w=(1, 1), sequence=1)) == ()
    assert superseded(store, schedule("plan-b", start=NOON + SLOT, sequence=2)) == ()
    assert superseded(store, schedule("plan-c", rates_w=(3, None), resolution_s=900, sequence=3)) == ("plan-a",)


def test_what_is_executed_of_a_schedule_is_not_what_is_left_of_it(store: MemoryStore) -> None:
    superseded(store, schedule("plan-a", rates_w=(1, 1), sequence=1))
    now = NOON + timedelta(minutes=40)
    assert superseded(store, schedule("plan-b", start=NOON + SLOT, sequence=2), now) == ("plan-a",)


def test_a_schedule_that_is_over_is_not_superseded(store: MemoryStore) -> None:
    superseded(store, schedule("plan-a", sequence=1))
    assert superseded(store, schedule("plan-b", rates_w=(1, 1), sequence=2), NOON + SLOT) == ()


# Dry runs.


def test_a_dry_run_is_answered_like_any_other_and_changes_neither_plan_nor_order(store: MemoryStore) -> None:
    decision, received = admit(store, schedule(dry_run=True))
    assert (decision.verdict, received.status) == (Verdict.ADMIT, AckStatus.RECEIVED)
    entry, found = settle(store)
    assert found.dry_run
    assert (entry.answer.status, entry.answer.superseded, entry.state) == (AckStatus.APPLIED, (), EntryState.OVER)
    assert entry.payload == b""
    assert store.high_water() == 0
    assert ledger_over(store).plan().layers == []


def test_a_dry_run_supersedes_nothing(store: MemoryStore) -> None:
    superseded(store, schedule("plan-a", sequence=1))
    assert superseded(store, schedule("plan-b", sequence=2, dry_run=True)) == ()
    assert [layer.schedule.schedule_id for layer in ledger_over(store).plan().layers] == ["plan-a"]
    assert superseded(store, schedule("plan-c", sequence=2)) == ("plan-a",)


def test_what_a_dry_run_found_wrong_is_said_as_for_any_other(store: MemoryStore) -> None:
    assert code_of(admit(store, schedule(dry_run=True, rates_w=(LIMIT_W + 1,)))) is ErrorCode.LIMIT_POWER
    admit(store, schedule("plan-b", sequence=2))
    assert code_of(admit(store, schedule("plan-c", sequence=2, dry_run=True))) is ErrorCode.ORDER_STALE


def test_the_id_of_a_dry_run_names_the_dry_run(store: MemoryStore) -> None:
    admit(store, schedule(dry_run=True))
    settle(store)
    assert admit(store, schedule(dry_run=True)).decision.verdict is Verdict.REPEAT
    assert code_of(admit(store, schedule())) is ErrorCode.ORDER_CONFLICT


# Cancels.


def applied(store: DeviceStore, arriving: Schedule, now: datetime = NOW) -> None:
    admit(store, arriving, now)
    settle(store, None, arriving.schedule_id, now)


def test_a_cancel_of_an_applied_schedule_cuts_it_and_keeps_its_answer(store: MemoryStore) -> None:
    applied(store, schedule())
    before = store.entry("plan-a")
    taken = take_back(store, cancel(sent_at=NOW, reason="storm"))
    assert (taken.cut, taken.failed, taken.problem, taken.repeated) == (("plan-a",), (), None, False)
    assert (taken.answer.event, taken.answer.error, taken.answer.timestamp) == (EventType.CANCELLED, None, NOW)
    assert (taken.answer.schedule_id, taken.answer.sequence, taken.answer.traceparent) == ("plan-a", NEWER, TRACEPARENT)
    assert before is not None
    assert store.entry("plan-a") == msgspec.structs.replace(before, cut=NOW)
    assert store.high_water() == NEWER
    assert admit(store, schedule()).answer == before.answer


def test_a_cancel_of_a_waiting_schedule_fails_it(store: MemoryStore) -> None:
    admit(store, schedule())
    taken = take_back(store, cancel(sent_at=NOW), LATER)
    (failed,) = taken.failed
    assert taken.cut == ()
    assert failed.answer is not None
    assert failed.answer.error is not None
    assert (failed.answer.status, failed.answer.error.code) == (AckStatus.FAILED, ErrorCode.ORDER_CANCELLED)
    assert (failed.answer.timestamp, failed.answer.retryable, failed.payload) == (LATER, False, b"")
    assert store.entry("plan-a") == failed
    assert settle(store) is None
    assert admit(store, schedule()) == (admit(store, schedule()).decision, failed.answer)


def test_a_cancel_that_leaves_the_beginning_of_a_waiting_schedule_does_not_fail_it(store: MemoryStore) -> None:
    """As it would not, had the schedule been applied a moment before."""
    admit(store, schedule(rates_w=(1_000, 1_000)))
    taken = take_back(store, cancel(sent_at=NOW, effective_from=NOON + SLOT), LATER)
    assert (taken.cut, taken.failed) == (("plan-a",), ())
    settled = settle(store)
    assert settled is not None
    assert (settled.entry.state, settled.entry.cut) == (EntryState.APPLIED, NOON + SLOT)


def test_an_id_that_was_cancelled_before_it_came_is_never_taken(store: MemoryStore) -> None:
    taken = take_back(store, cancel(sent_at=NOW))
    assert (taken.cut, taken.failed, taken.problem) == ((), (), None)
    assert state(store) is EntryState.TOMBSTONE
    for arriving in (schedule(), schedule(sequence=NEWER + 1), schedule(rates_w=(5,), sequence=NEWER + 2)):
        assert code_of(admit(store, arriving, LATER)) is ErrorCode.ORDER_CANCELLED
        assert state(store) is EntryState.TOMBSTONE
    assert store.high_water() == NEWER


def test_an_id_that_was_never_admitted_cannot_be_settled_by_its_tombstone(store: MemoryStore) -> None:
    take_back(store, cancel(sent_at=NOW))
    with pytest.raises(RefusalError):
        settle(store)


def test_a_tombstone_is_kept_for_as_long_as_its_schedule_could_be_admitted(store: MemoryStore) -> None:
    take_back(store, cancel(sent_at=NOW))
    ledger, end = ledger_over(store), NOW + POLICY.max_ahead + MAX_HORIZON
    assert ledger.prune(end + POLICY.retention) == 0
    assert ledger.prune(end + POLICY.retention + MICROSECOND) == 1


def test_an_id_that_is_open_to_a_retry_is_closed_by_a_cancel(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store, BUSY)
    take_back(store, cancel(sent_at=NOW))
    for sequence in (GENERATED, NEWER + 1):
        assert code_of(admit(store, schedule(sequence=sequence), LATER)) is ErrorCode.ORDER_CANCELLED


def test_a_cancel_from_an_instant_cuts_everything_that_reaches_beyond_it(store: MemoryStore) -> None:
    applied(store, schedule("plan-a", rates_w=(1,), sequence=1))
    applied(store, schedule("plan-b", start=NOON + SLOT, rates_w=(2, 2), sequence=2))
    admit(store, schedule("plan-c", start=NOON + SLOT, rates_w=(3, 3), sequence=3))
    admit(store, schedule("plan-d", start=NOON + 2 * SLOT, rates_w=(4,), sequence=4))
    taken = take_back(store, cancel(None, effective_from=NOON + 2 * SLOT, sent_at=NOW))
    assert (taken.cut, [entry.schedule_id for entry in taken.failed]) == (("plan-b", "plan-c"), ["plan-d"])
    cuts = [entry.cut for name in "abcd" if (entry := store.entry(f"plan-{name}")) is not None]
    assert cuts == [None, NOON + 2 * SLOT, NOON + 2 * SLOT, NOON + 2 * SLOT]
    assert settle(store, None, "plan-c").entry.cut == NOON + 2 * SLOT
    assert taken.answer.schedule_id is None


def test_a_second_cancel_cuts_further_and_never_less(store: MemoryStore) -> None:
    applied(store, schedule(rates_w=(1, 2, 3)))
    for minutes, expected in ((60, 60), (30, 30), (45, 30)):
        at = NOON + timedelta(minutes=minutes)
        take_back(store, cancel(effective_from=at, sequence=store.high_water() + 1))
        found = store.entry("plan-a")
        assert found is not None
        assert found.cut == NOON + timedelta(minutes=expected)


def test_a_cancel_counts_from_its_arrival_when_its_instant_has_passed(store: MemoryStore) -> None:
    applied(store, schedule())
    now = NOON + timedelta(minutes=10)
    take_back(store, cancel(effective_from=NOON, sent_at=NOW), now)
    found = store.entry("plan-a")
    assert found is not None
    assert found.cut == now


def test_a_repeated_cancel_gets_its_answer_again_and_changes_nothing(store: MemoryStore) -> None:
    applied(store, schedule())
    first = take_back(store, cancel(sent_at=NOW))
    applied(store, schedule("plan-b", sequence=NEWER + 1), LATER)
    before = contents(store, ["plan-a", "plan-b"], [NEWER])
    again = take_back(store, cancel(sent_at=NOW), NOON, trusted=False)
    assert again == Cancellation(first.answer, repeated=True)
    assert contents(store, ["plan-a", "plan-b"], [NEWER]) == before


@pytest.mark.parametrize("other", [cancel("plan-b", sent_at=NOW), cancel(None, sent_at=NOW, effective_from=NOON)])
def test_another_cancel_with_the_sequence_of_one_is_stale_and_does_not_get_its_answer(
    store: MemoryStore, other: Cancel
) -> None:
    applied(store, schedule())
    take_back(store, cancel(sent_at=NOW))
    refused = take_back(store, other)
    assert refused.problem is not None
    assert refused.problem.code is ErrorCode.ORDER_STALE
    assert (refused.answer.schedule_id, refused.answer.sequence) == (other.schedule_id, other.sequence)
    assert take_back(store, cancel(sent_at=NOW)).repeated


@pytest.mark.parametrize(
    ("taken", "trusted", "code"),
    [
        (cancel(sequence=GENERATED), True, ErrorCode.ORDER_STALE),
        (cancel(sent_at=NOW + timedelta(minutes=6)), True, ErrorCode.ORDER_IN_FUTURE),
        (cancel(sent_at=NOW), False, ErrorCode.DEVICE_CLOCK_UNTRUSTED),
    ],
)
def test_a_refused_cancel_is_answered_and_leaves_nothing(
    store: MemoryStore, taken: Cancel, trusted: bool, code: ErrorCode
) -> None:
    applied(store, schedule())
    before = contents(store, ["plan-a"], [taken.sequence])
    refused = take_back(store, taken, trusted=trusted)
    assert refused.problem is not None
    assert refused.answer.error is not None
    assert refused.problem.code == refused.answer.error.code == code
    assert (refused.answer.event, refused.answer.sequence) == (EventType.CANCELLED, taken.sequence)
    assert contents(store, ["plan-a"], [taken.sequence]) == before


def test_what_is_older_than_a_cancel_is_stale(store: MemoryStore) -> None:
    take_back(store, cancel(None, effective_from=NOON, sent_at=NOW))
    assert code_of(admit(store, schedule("plan-b", sequence=NEWER))) is ErrorCode.ORDER_STALE
    assert code_of(admit(store, schedule("plan-c", sequence=NEWER + 1))) is None


# What is known of its execution.


def test_a_schedule_begins_once(store: MemoryStore) -> None:
    applied(store, schedule())
    ledger = ledger_over(store)
    assert [ledger.started("plan-a"), ledger.started("plan-a"), ledger.started("plan-x")] == [True, False, False]


def test_of_a_retired_schedule_its_answer_is_left(store: MemoryStore) -> None:
    applied(store, schedule())
    ledger_over(store).retire("plan-a")
    ledger_over(store).retire("plan-x")
    found = store.entry("plan-a")
    assert found is not None
    assert (found.state, found.payload) == (EntryState.OVER, b"")
    assert ledger_over(store).plan().layers == []
    assert admit(store, schedule()).answer.status is AckStatus.APPLIED
