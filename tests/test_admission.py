"""The decision table: every row, the order of rows, the limits and the figures."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.admission import TABLE, Case, Policy, Verdict, decide, decide_cancel
from allye_protocol.convert import upgrade
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode
from allye_protocol.messages import Schedule, sequence_at
from allye_protocol.store import EntryState
from tests.builders import LIMIT_W, MICROSECOND, NOON, POLICY, SLOT, cancel, entry, schedule, v1_schedule
from tests.strategies import schedules

NOW = NOON - timedelta(minutes=30)
OWN = Policy(max_charge_w=LIMIT_W, max_discharge_w=LIMIT_W, soc_min_pct=10.0, soc_max_pct=95.0, slot_lengths_s=(1800, 3600))
"""A device that is narrower than the protocol in everything."""
OTHER = "0" * 64


def case(**changes: Any) -> Case:
    """A schedule that is admitted, but for what a test changes; ``known`` holds changes to an entry with the same digest."""
    names = ("name", *Schedule.__struct_fields__)
    arriving = schedule(**{name: changes.pop(name) for name in names if name in changes})
    known = changes.pop("known", None)
    values: dict[str, Any] = {
        "schedule": arriving,
        "digest": digest(arriving),
        "known": None if known is None else entry(**{"digest": digest(arriving), "state": EntryState.APPLIED, **known}),
        "high_water": 0,
        "now": NOW,
        "clock_trusted": True,
        "policy": OWN,
        **changes,
    }
    return Case(**values)


HITS: dict[ErrorCode | str, dict[str, Any]] = {
    "repeated": {"known": {}},
    ErrorCode.ORDER_CONFLICT: {"known": {"digest": OTHER}},
    ErrorCode.ORDER_CANCELLED: {"known": {"state": EntryState.TOMBSTONE, "digest": ""}},
    ErrorCode.ORDER_STALE: {"high_water": sequence_at(NOW + timedelta(days=400))},
    ErrorCode.ORDER_IN_FUTURE: {"sequence": sequence_at(NOW + timedelta(minutes=6))},
    ErrorCode.TIME_EXPIRED: {"expires_at": NOW},
    ErrorCode.TIME_TOO_FAR: {"start": NOW + timedelta(days=9)},
    ErrorCode.TIME_BAD_DURATION: {"resolution_s": 900},
    ErrorCode.LIMIT_POWER: {"rates_w": (LIMIT_W + 1,)},
    ErrorCode.LIMIT_SOC: {"soc_max_pct": 5.0},
    ErrorCode.DEVICE_CLOCK_UNTRUSTED: {"clock_trusted": False},
}
"""For each row, in the order of the protocol, what makes it hit."""
NEED_THE_CLOCK = {ErrorCode.ORDER_IN_FUTURE, ErrorCode.TIME_EXPIRED, ErrorCode.TIME_TOO_FAR}


def outcome(decided: Case) -> ErrorCode | str:
    decision = decide(decided)
    if decision.verdict is Verdict.REFUSE:
        assert decision.problem is not None
        return decision.problem.code
    assert decision.problem is None
    return {Verdict.REPEAT: "repeated", Verdict.ADMIT: "admitted"}[decision.verdict]


def together(upper: ErrorCode | str, lower: ErrorCode | str) -> bool:
    if HITS[upper].keys() & HITS[lower].keys():
        return False
    return not (lower is ErrorCode.DEVICE_CLOCK_UNTRUSTED and upper in NEED_THE_CLOCK)


def test_the_rows_stand_in_the_order_of_the_protocol() -> None:
    assert [rule.code or "repeated" for rule in TABLE] == list(HITS)


@pytest.mark.parametrize("row", HITS)
def test_every_row_is_hit_alone(row: ErrorCode | str) -> None:
    assert outcome(case(**HITS[row])) == row
    hit = [rule.code or "repeated" for rule in TABLE if rule.explain(case(**HITS[row])) is not None]
    assert hit == [row]


PAIRS = [pair for pair in combinations(HITS, 2) if together(*pair)]


@pytest.mark.parametrize(("upper", "lower"), PAIRS)
def test_of_two_rows_that_hit_the_upper_one_decides(upper: ErrorCode | str, lower: ErrorCode | str) -> None:
    both = case(**HITS[upper], **HITS[lower])
    hit = {rule.code or "repeated" for rule in TABLE if rule.explain(both) is not None}
    assert hit >= {upper, lower}
    assert outcome(both) == upper


def test_nearly_every_pair_of_rows_can_hit_together() -> None:
    assert len(PAIRS) >= 45


def test_what_no_row_hits_is_admitted() -> None:
    assert outcome(case()) == "admitted"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (EntryState.ADMITTED, "repeated"),
        (EntryState.APPLIED, "repeated"),
        (EntryState.OVER, "repeated"),
        (EntryState.FAILED, "repeated"),
        (EntryState.RETRY, "admitted"),
    ],
)
def test_a_repetition_is_answered_as_before_unless_a_retry_can_mend_it(state: EntryState, expected: str) -> None:
    assert outcome(case(known={"state": state}, high_water=GENERATED)) == expected


def test_a_late_retry_of_an_applied_schedule_is_a_repetition_and_not_expired() -> None:
    assert outcome(case(known={}, now=NOON + timedelta(days=3))) == "repeated"


def test_a_retry_is_stale_when_a_newer_schedule_was_admitted_meanwhile() -> None:
    assert outcome(case(known={"state": EntryState.RETRY}, high_water=GENERATED + 1)) == ErrorCode.ORDER_STALE


def test_a_retry_may_come_with_a_newer_sequence() -> None:
    assert outcome(case(known={"state": EntryState.RETRY}, sequence=GENERATED + 2, high_water=GENERATED + 1)) == "admitted"


def test_a_retry_may_not_borrow_the_order_of_the_newest_schedule() -> None:
    """Another schedule has this sequence: two schedules of one order would make the plan depend on arrival."""
    borrowed = case(known={"state": EntryState.RETRY}, sequence=GENERATED + 1, high_water=GENERATED + 1)
    assert outcome(borrowed) == ErrorCode.ORDER_STALE


def test_a_retry_of_other_content_is_a_conflict() -> None:
    assert outcome(case(known={"state": EntryState.RETRY, "digest": OTHER})) == ErrorCode.ORDER_CONFLICT


def test_a_cancelled_schedule_that_was_open_to_a_retry_is_cancelled() -> None:
    assert outcome(case(known={"state": EntryState.RETRY, "cut": NOON}, high_water=GENERATED)) == ErrorCode.ORDER_CANCELLED


def test_a_copy_of_a_cancelled_schedule_gets_its_own_answer_again() -> None:
    assert outcome(case(known={"state": EntryState.APPLIED, "cut": NOON}, high_water=GENERATED)) == "repeated"


GENERATED = sequence_at(NOON - timedelta(hours=1))
AHEAD = sequence_at(NOW + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"high_water": GENERATED}, ErrorCode.ORDER_STALE, id="the newest one's sequence"),
        pytest.param({"high_water": GENERATED - 1}, "admitted", id="just above the newest"),
        pytest.param({"sequence": AHEAD}, "admitted", id="just within the skew"),
        pytest.param({"sequence": AHEAD + 1}, ErrorCode.ORDER_IN_FUTURE, id="just beyond the skew"),
        pytest.param({"generated_at": NOW + timedelta(days=1), "sequence": 1}, "admitted", id="generated_at decides nothing"),
        pytest.param({"now": NOON + SLOT - MICROSECOND}, "admitted", id="the last microsecond of the last slot"),
        pytest.param({"now": NOON + SLOT}, ErrorCode.TIME_EXPIRED, id="the end of the last slot"),
        pytest.param({"expires_at": NOW + MICROSECOND}, "admitted", id="the last microsecond before it expires"),
        pytest.param({"expires_at": NOW}, ErrorCode.TIME_EXPIRED, id="the instant at which it expires"),
        pytest.param({"start": NOW + timedelta(days=8)}, "admitted", id="starts as far ahead as allowed"),
        pytest.param(
            {"now": NOW - MICROSECOND, "start": NOW + timedelta(days=8)}, ErrorCode.TIME_TOO_FAR, id="starts just too far ahead"
        ),
        pytest.param({"rates_w": (150_000,)}, "admitted", id="charges at the limit"),
        pytest.param({"rates_w": (150_001,)}, ErrorCode.LIMIT_POWER, id="charges a watt beyond the limit"),
        pytest.param({"rates_w": (-150_000,)}, "admitted", id="discharges at the limit"),
        pytest.param({"rates_w": (-150_001,)}, ErrorCode.LIMIT_POWER, id="discharges a watt beyond the limit"),
        pytest.param({"rates_w": (None, 150_000, None)}, "admitted", id="some setpoints within the limit"),
        pytest.param({"rates_w": (None, 150_001)}, ErrorCode.LIMIT_POWER, id="some setpoints beyond it"),
        pytest.param({"rates_w": (None, None)}, "admitted", id="no setpoint at all"),
        pytest.param({"resolution_s": 3600}, "admitted", id="the longest slots that the device takes"),
        pytest.param({"resolution_s": 300}, ErrorCode.TIME_BAD_DURATION, id="slots that it does not take"),
        pytest.param({"soc_min_pct": 95.0, "soc_max_pct": 100.0}, "admitted", id="touches the device's band from above"),
        pytest.param({"soc_min_pct": 95.001}, ErrorCode.LIMIT_SOC, id="wholly above the device's band"),
        pytest.param({"soc_min_pct": 0.0, "soc_max_pct": 10.0}, "admitted", id="touches the device's band from below"),
        pytest.param({"soc_max_pct": 9.999}, ErrorCode.LIMIT_SOC, id="wholly below the device's band"),
        pytest.param({"soc_min_pct": 0.0, "soc_max_pct": 100.0}, "admitted", id="wider than the device's band"),
    ],
)
def test_limits_belong_to_what_is_allowed(changes: dict[str, Any], expected: ErrorCode | str) -> None:
    assert outcome(case(**changes)) == expected


def test_a_schedule_of_version_1_is_ordered_by_its_generation() -> None:
    arriving = upgrade(v1_schedule())
    assert isinstance(arriving, Schedule)
    values = {**case()._asdict(), "schedule": arriving, "digest": digest(arriving)}
    assert outcome(Case(**{**values, "high_water": GENERATED - 1})) == "admitted"
    assert outcome(Case(**{**values, "high_water": GENERATED})) == ErrorCode.ORDER_STALE


def problem_of(**changes: Any) -> Any:
    problem = decide(case(**changes)).problem
    assert problem is not None
    return problem


def test_a_conflict_names_both_digests_and_the_way_out() -> None:
    problem = problem_of(known={"digest": OTHER})
    assert problem.path == "/schedule_id"
    assert problem.details == {"digest": digest(schedule()), "stored_digest": OTHER}
    assert "plan-a" in problem.message
    assert "new id" in problem.message


def test_a_stale_schedule_is_told_the_newest_order() -> None:
    problem = problem_of(high_water=GENERATED + 7)
    assert problem.path == "/sequence"
    assert problem.details == {"value": GENERATED, "limit": GENERATED + 7}
    assert all(str(figure) in problem.message for figure in problem.details.values())


def test_a_schedule_from_the_future_is_told_by_how_much() -> None:
    problem = problem_of(sequence=AHEAD + 1000)
    assert problem.path == "/sequence"
    assert problem.details == {"value": 300.001, "limit": 300.0}
    assert "0:05:00.001000 ahead" in problem.message
    assert "at most 0:05:00" in problem.message
    assert "2026-03-01T11:30:00Z" in problem.message


def test_an_expired_schedule_is_told_when_it_ended_and_what_time_it_is() -> None:
    problem = problem_of(now=NOON + timedelta(hours=2))
    assert problem.path == "/start"
    assert "2026-03-01T12:30:00Z" in problem.message
    assert "2026-03-01T14:00:00Z" in problem.message


def test_a_schedule_that_came_after_its_expiry_is_told_so() -> None:
    problem = problem_of(expires_at=NOW - timedelta(minutes=1))
    assert problem.path == "/expires_at"
    assert "2026-03-01T11:29:00Z" in problem.message
    assert "2026-03-01T11:30:00Z" in problem.message


def test_a_schedule_too_far_ahead_is_told_by_how_much() -> None:
    problem = problem_of(now=NOW - timedelta(seconds=1), start=NOW + timedelta(days=8))
    assert problem.path == "/start"
    assert problem.details == {"value": 8 * 86_400 + 1.0, "limit": 8 * 86_400.0}
    assert "8 days, 0:00:01 ahead" in problem.message


def test_slots_of_a_length_that_the_device_does_not_take_are_told_which_it_takes() -> None:
    problem = problem_of(resolution_s=900)
    assert (problem.path, problem.details) == ("/resolution_s", {"value": 900})
    assert "1800, 3600" in problem.message


@pytest.mark.parametrize(
    ("band", "path", "value", "limit"),
    [({"soc_min_pct": 96.0}, "/soc_min_pct", 96.0, 95.0), ({"soc_max_pct": 9.0}, "/soc_max_pct", 9.0, 10.0)],
)
def test_a_band_that_leaves_nothing_is_told_the_devices_own(
    band: dict[str, float], path: str, value: float, limit: float
) -> None:
    problem = problem_of(**band)
    assert (problem.path, problem.details) == (path, {"value": value, "limit": limit})
    assert "10.0 to 95.0 %" in problem.message


@pytest.mark.parametrize(("rate_w", "limit_w"), [(151_000, 140_000), (-151_000, -130_000)])
def test_a_setpoint_beyond_a_limit_is_named_with_its_slot_and_its_direction_s_limit(rate_w: int, limit_w: int) -> None:
    policy = Policy(max_charge_w=140_000, max_discharge_w=130_000)
    problem = problem_of(rates_w=(0, None, rate_w, 1_000_000), policy=policy)
    assert problem.path == "/rates_w/2"
    assert problem.details == {"slot": 2, "value": rate_w, "limit": limit_w}
    assert f"{rate_w} W" in problem.message
    assert f"{limit_w} W" in problem.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_charge_w", -1),
        ("max_discharge_w", -1),
        ("max_ahead", timedelta(0)),
        ("max_skew", -MICROSECOND),
        ("retention", timedelta(days=1) - MICROSECOND),
        ("soc_min_pct", -0.1),
        ("soc_min_pct", 100.1),
        ("soc_max_pct", 100.1),
        ("slot_lengths_s", ()),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_its_fields_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        Policy(**{"max_charge_w": 1, "max_discharge_w": 1, field: value})
    Policy(max_charge_w=0, max_discharge_w=0, max_skew=timedelta(0), retention=timedelta(days=1))


def test_a_zero_limit_admits_only_rest_in_that_direction() -> None:
    one_way = Policy(max_charge_w=10_000, max_discharge_w=0)
    assert outcome(case(rates_w=(0, 10_000), policy=one_way)) == "admitted"
    assert outcome(case(rates_w=(0, -1), policy=one_way)) == ErrorCode.LIMIT_POWER


@pytest.mark.parametrize("row", NEED_THE_CLOCK)
def test_a_clock_that_is_not_trusted_is_compared_with_nothing(row: ErrorCode) -> None:
    assert outcome(case(**HITS[row], clock_trusted=False)) == ErrorCode.DEVICE_CLOCK_UNTRUSTED


def test_only_what_is_about_a_clock_that_may_be_wrong_is_worth_a_retry() -> None:
    retryable = {rule.code for rule in TABLE if rule.code is not None and rule.code.retryable}
    assert retryable == {ErrorCode.DEVICE_CLOCK_UNTRUSTED, ErrorCode.ORDER_IN_FUTURE}


# Cancels.


@pytest.mark.parametrize(
    ("sequence", "trusted", "expected"),
    [
        (GENERATED + 1, True, None),
        (GENERATED, True, ErrorCode.ORDER_STALE),
        (GENERATED, False, ErrorCode.ORDER_STALE),
        (AHEAD, True, None),
        (AHEAD + 1, True, ErrorCode.ORDER_IN_FUTURE),
        (GENERATED + 1, False, ErrorCode.DEVICE_CLOCK_UNTRUSTED),
        (AHEAD + 1, False, ErrorCode.DEVICE_CLOCK_UNTRUSTED),
    ],
)
def test_a_cancel_is_judged_by_its_order_and_the_clock(sequence: int, trusted: bool, expected: ErrorCode | None) -> None:
    problem = decide_cancel(cancel(sequence=sequence), GENERATED, NOW, OWN, clock_trusted=trusted)
    assert (None if problem is None else problem.code) == expected


def test_a_stale_cancel_is_told_the_newest_order() -> None:
    problem = decide_cancel(cancel(sequence=1), GENERATED, NOW, OWN, clock_trusted=True)
    assert problem is not None
    assert (problem.path, problem.details) == ("/sequence", {"value": 1, "limit": GENERATED})


ENTRIES = st.tuples(st.sampled_from(EntryState), st.sampled_from([OTHER, None]))


@given(
    schedules(max_slots=4),
    st.none() | ENTRIES,
    st.integers(-(10**12), 10**12),
    st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    st.booleans(),
)
def test_the_same_case_has_one_answer_and_no_effect(arriving: Any, known: Any, water: Any, ahead: Any, trusted: Any) -> None:
    asked = Case(
        schedule=arriving,
        digest=digest(arriving),
        known=None if known is None else entry(state=known[0], digest=known[1] or digest(arriving)),
        high_water=max(0, arriving.sequence + water),
        now=arriving.start + ahead,
        clock_trusted=trusted,
        policy=POLICY,
    )
    before = msgspec.json.encode(asked)
    first = decide(asked)
    assert decide(asked) == first
    assert msgspec.json.encode(asked) == before
    assert (first.problem is None) is (first.verdict is not Verdict.REFUSE)
