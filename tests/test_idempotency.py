"""The ledger: a schedule is admitted once and settled once, however often it arrives and whatever stops in between."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from allye_protocol.admission import Policy, Verdict
from allye_protocol.codec import decode
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode, Problem, RefusalError, StoreError
from allye_protocol.idempotency import MAX_ATTEMPTS, Admission, Ledger
from allye_protocol.messages import AckStatus, Kind, Schedule
from allye_protocol.store import DeviceStore, EntryState, MemoryStore
from tests.builders import DEVICE, LIMIT_W, MICROSECOND, NOON, POLICY, SLOT, TRACE_ID, schedule
from tests.store.contract import contents
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

NOW = NOON - timedelta(minutes=30)
LATER = NOW + timedelta(minutes=1)
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
REJECTED = Problem(code=ErrorCode.LIMIT_RAMP, message="too steep")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def admit(
    store: DeviceStore, arriving: Schedule, now: datetime = NOW, policy: Policy = POLICY, *, trusted: bool = True
) -> Admission:
    return Ledger(store, policy).admit(arriving, now, clock_trusted=trusted, trace_id=TRACE_ID)


def settle(store: DeviceStore, problem: Problem | None = None, name: str = "plan-a", now: datetime = LATER) -> Any:
    return Ledger(store, POLICY).settle(name, now, problem)


def state(store: DeviceStore, name: str = "plan-a") -> EntryState | None:
    found = store.entry(name)
    return None if found is None else found.state


def test_an_admitted_schedule_is_remembered_with_its_answer(store: MemoryStore) -> None:
    decision, answer = admit(store, schedule())
    remembered = store.entry("plan-a")
    assert decision.verdict is Verdict.ADMIT
    assert remembered is not None
    assert remembered.answer == answer
    assert (answer.status, answer.timestamp, answer.trace_id, answer.device_id) == (AckStatus.RECEIVED, NOW, TRACE_ID, DEVICE)
    assert (answer.applied_at, answer.error_reason) == (None, None)
    assert (remembered.digest, remembered.end, remembered.attempts) == (digest(schedule()), NOON + SLOT, 1)
    assert decode(remembered.payload, Kind.SCHEDULE) == schedule()
    assert store.high_water() == schedule().generated_at


def test_applied_is_the_second_answer_and_the_payload_is_not_kept_longer(store: MemoryStore) -> None:
    admit(store, schedule())
    entry, found = settle(store)
    assert found == schedule()
    assert (entry.answer.status, entry.answer.applied_at, entry.answer.timestamp) == (AckStatus.APPLIED, LATER, LATER)
    assert store.entry("plan-a") == entry
    assert (entry.state, entry.payload) == (EntryState.APPLIED, b"")


@pytest.mark.parametrize(("problem", "expected"), [(BUSY, EntryState.RETRY), (REJECTED, EntryState.FAILED)])
def test_failed_says_why_and_whether_a_retry_can_mend_it(store: MemoryStore, problem: Problem, expected: EntryState) -> None:
    admit(store, schedule())
    entry, _ = settle(store, problem)
    assert (entry.answer.status, entry.answer.error_reason) == (AckStatus.FAILED, problem.reason())
    assert entry.answer.applied_at is None
    assert state(store) is expected


@pytest.mark.parametrize("first", [None, BUSY, REJECTED])
@pytest.mark.parametrize("second", [None, BUSY, REJECTED])
def test_settling_again_changes_nothing(store: MemoryStore, first: Problem | None, second: Problem | None) -> None:
    admit(store, schedule())
    settle(store, first)
    before = contents(store, ["plan-a"])
    assert settle(store, second, now=LATER + SLOT) is None
    assert contents(store, ["plan-a"]) == before


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
    before = contents(store, ["plan-a"])
    late = admit(store, schedule(), NOON + timedelta(days=9), trusted=False)
    assert late.decision.verdict is Verdict.REPEAT
    assert late.answer == answer
    assert contents(store, ["plan-a"]) == before


def test_a_repetition_may_differ_in_what_it_does_not_mean(store: MemoryStore) -> None:
    admit(store, schedule())
    again = schedule(generated_at=NOW, trace_id=None)
    assert admit(store, again).decision.verdict is Verdict.REPEAT
    assert store.high_water() == schedule().generated_at


def test_a_failure_that_a_retry_can_mend_is_tried_again(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store, BUSY)
    decision, answer = admit(store, schedule(), LATER)
    assert (decision.verdict, answer.status, answer.timestamp) == (Verdict.ADMIT, AckStatus.RECEIVED, LATER)
    assert settle(store).entry.answer.status is AckStatus.APPLIED


def test_the_attempts_of_a_retry_are_counted_anew(store: MemoryStore) -> None:
    admit(store, schedule())
    Ledger(store, POLICY).resume()
    settle(store, BUSY)
    admit(store, schedule(), LATER)
    found = store.entry("plan-a")
    assert found is not None
    assert found.attempts == 1


def test_other_content_under_a_known_id_changes_nothing(store: MemoryStore) -> None:
    admit(store, schedule())
    before = contents(store, ["plan-a"])
    refused = admit(store, schedule(rates_kw=(1.0,), generated_at=NOW))
    assert refused.decision.problem is not None
    assert refused.decision.problem.code is ErrorCode.ORDER_CONFLICT
    assert refused.answer.status is AckStatus.FAILED
    assert contents(store, ["plan-a"]) == before


LOW = Policy(max_charge_w=1, max_discharge_w=1)


@pytest.mark.parametrize(
    ("arriving", "now", "policy", "code"),
    [
        (schedule(start=NOW + timedelta(days=9)), NOW, POLICY, ErrorCode.TIME_TOO_FAR),
        (schedule(), NOON + timedelta(hours=1), POLICY, ErrorCode.TIME_EXPIRED),
        (schedule(), NOW, LOW, ErrorCode.LIMIT_POWER),
    ],
)
def test_a_refusal_is_final_even_when_its_reason_has_passed(
    store: MemoryStore, arriving: Schedule, now: datetime, policy: Policy, code: ErrorCode
) -> None:
    """The cloud gives up a schedule that FAILED for good: it must not be executed because a copy of it comes later."""
    refused = admit(store, arriving, now, policy)
    assert refused.decision.problem is not None
    assert refused.decision.problem.code is code
    assert refused.answer.error_reason == refused.decision.problem.reason()
    when_it_would_do = min(max(NOW, arriving.generated_at), arriving.start)
    again = admit(store, arriving, max(when_it_would_do, arriving.start - timedelta(days=7)))
    assert again.decision.verdict is Verdict.REPEAT
    assert again.answer == refused.answer
    assert store.high_water() is None
    assert Ledger(store, POLICY).resume() == []


def test_a_refusal_that_a_retry_can_mend_leaves_nothing(store: MemoryStore) -> None:
    refused = admit(store, schedule(), trusted=False)
    assert refused.answer.error_reason is not None
    assert refused.answer.error_reason.startswith("device.clock_untrusted")
    assert contents(store, ["plan-a"]) == contents(MemoryStore(), ["plan-a"])
    assert admit(store, schedule()).decision.verdict is Verdict.ADMIT


def test_what_a_wrong_clock_refused_is_admitted_when_the_clock_is_right(store: MemoryStore) -> None:
    """A device ten minutes behind that believes its clock must not lose the plan for good."""
    behind = NOW - timedelta(minutes=10)
    refused = admit(store, schedule(generated_at=NOW), behind)
    assert refused.decision.problem is not None
    assert refused.decision.problem.code is ErrorCode.ORDER_IN_FUTURE
    assert contents(store, ["plan-a"]) == contents(MemoryStore(), ["plan-a"])
    assert admit(store, schedule("plan-b", generated_at=NOW - timedelta(minutes=6)), behind).decision.verdict is Verdict.ADMIT
    assert admit(store, schedule(generated_at=NOW), NOW).decision.verdict is Verdict.ADMIT


def test_what_is_stale_leaves_nothing_as_it_stays_stale(store: MemoryStore) -> None:
    admit(store, schedule("plan-b", generated_at=NOW))
    before = contents(store, ["plan-a", "plan-b"])
    refused = admit(store, schedule())
    assert refused.decision.problem is not None
    assert refused.decision.problem.code is ErrorCode.ORDER_STALE
    assert contents(store, ["plan-a", "plan-b"]) == before


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
    ledger = Ledger(store, POLICY)
    assert ledger.prune(NOW + POLICY.max_ahead + POLICY.retention) == 0
    assert ledger.prune(NOW + POLICY.max_ahead + POLICY.retention + MICROSECOND) == 1


def test_a_decided_id_is_remembered_for_the_retention_and_stays_stale_afterwards(store: MemoryStore) -> None:
    admit(store, schedule())
    settle(store)
    ledger = Ledger(store, POLICY)
    assert ledger.prune(NOON + SLOT + timedelta(days=14)) == 0
    assert ledger.prune(NOON + SLOT + timedelta(days=14) + MICROSECOND) == 1
    replayed = admit(store, schedule(), NOW)
    assert replayed.decision.problem is not None
    assert replayed.decision.problem.code is ErrorCode.ORDER_STALE


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_day_that_is_replayed_later_applies_nothing(store: MemoryStore, days: int) -> None:
    day = [schedule(f"plan-{index}", generated_at=NOW + MICROSECOND * index) for index in range(10)]
    for each in day:
        admit(store, each)
        settle(store, None, each.schedule_id)
    for clock in (NOW + timedelta(days=days), NOW):
        Ledger(store, POLICY).prune(clock)
        verdicts = {admit(store, each, clock).decision.verdict for each in day}
        assert Verdict.ADMIT not in verdicts


def test_after_a_restart_what_is_not_settled_is_taken_up_oldest_first(store: MemoryStore) -> None:
    for name, minutes in (("plan-a", 1), ("plan-b", 2), ("plan-c", 3)):
        admit(store, schedule(name, generated_at=NOW - timedelta(minutes=30 - minutes)))
    settle(store, None, "plan-b")
    resumed = Ledger(store, POLICY).resume()
    assert [(each.schedule.schedule_id, each.entry.attempts) for each in resumed] == [("plan-a", 2), ("plan-c", 2)]
    assert resumed[0].schedule == schedule(generated_at=NOW - timedelta(minutes=29))


def test_every_attempt_is_counted(store: MemoryStore) -> None:
    admit(store, schedule())
    counted = [Ledger(store, POLICY).resume()[0].entry.attempts for _ in range(MAX_ATTEMPTS)]
    assert counted == [2, 3, MAX_ATTEMPTS + 1]


def test_a_ledger_whose_store_fails_at_any_call_remembers_nothing(store: MemoryStore) -> None:
    """Admit, settle and resume: each is kept whole or not at all, and works when it is tried again."""
    acts: list[Callable[[Any], object]] = [
        lambda kept: admit(kept, schedule()),
        lambda kept: Ledger(kept, POLICY).resume(),
        settle,
        lambda kept: admit(kept, schedule("plan-b", rates_kw=(999.0,), generated_at=NOW)),
    ]
    failing = 0
    for act in acts:
        for failing in range(1, 50):
            before = contents(store, ["plan-a", "plan-b"])
            left = [failing]

            def fails(_: str, left: list[int] = left) -> bool:
                left[0] -= 1
                return left[0] == 0

            try:
                act(failing_store(store, fails))
            except StoreError:
                assert contents(store, ["plan-a", "plan-b"]) == before
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


def test_the_devices_own_limit_decides_and_not_the_messages() -> None:
    arriving = msgspec.structs.replace(schedule(rates_kw=(150.0,)), max_power_kw=150.0)
    narrow = Policy(max_charge_w=LIMIT_W - 1, max_discharge_w=LIMIT_W)
    assert admit(MemoryStore(), arriving).decision.verdict is Verdict.ADMIT
    refused = admit(MemoryStore(), arriving, policy=narrow).decision.problem
    assert refused is not None
    assert refused.code is ErrorCode.LIMIT_POWER
