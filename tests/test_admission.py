"""The decision table: every row, the order of rows, the limits and the figures."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.admission import TABLE, Case, Policy, Verdict, decide
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode
from allye_protocol.store import EntryState
from tests.builders import LIMIT_W, MICROSECOND, NOON, POLICY, SLOT, entry, schedule
from tests.strategies import schedules

NOW = NOON - timedelta(minutes=30)
OTHER = "0" * 64


def case(**changes: Any) -> Case:
    """A schedule that is admitted, but for what a test changes; ``known`` holds changes to an entry with the same digest."""
    names = ("start", "rates_kw", "generated_at", "name")
    arriving = schedule(**{name: changes.pop(name) for name in names if name in changes})
    known = changes.pop("known", None)
    values: dict[str, Any] = {
        "schedule": arriving,
        "digest": digest(arriving),
        "known": None if known is None else entry(**{"digest": digest(arriving), "state": EntryState.APPLIED, **known}),
        "high_water": None,
        "now": NOW,
        "clock_trusted": True,
        "policy": POLICY,
        **changes,
    }
    return Case(**values)


HITS: dict[ErrorCode | str, dict[str, Any]] = {
    "repeated": {"known": {}},
    ErrorCode.ORDER_CONFLICT: {"known": {"digest": OTHER}},
    ErrorCode.ORDER_STALE: {"high_water": NOW + timedelta(days=400)},
    ErrorCode.ORDER_IN_FUTURE: {"generated_at": NOW + timedelta(minutes=6)},
    ErrorCode.TIME_EXPIRED: {"start": NOW - timedelta(hours=3)},
    ErrorCode.TIME_TOO_FAR: {"start": NOW + timedelta(days=9)},
    ErrorCode.LIMIT_POWER: {"policy": Policy(max_charge_w=99_999, max_discharge_w=LIMIT_W)},
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
    assert len(PAIRS) >= 22


def test_what_no_row_hits_is_admitted() -> None:
    assert outcome(case()) == "admitted"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (EntryState.ADMITTED, "repeated"),
        (EntryState.APPLIED, "repeated"),
        (EntryState.FAILED, "repeated"),
        (EntryState.RETRY, "admitted"),
    ],
)
def test_a_repetition_is_answered_as_before_unless_a_retry_can_mend_it(state: EntryState, expected: str) -> None:
    assert outcome(case(known={"state": state}, high_water=NOON - timedelta(hours=1))) == expected


def test_a_late_retry_of_an_applied_schedule_is_a_repetition_and_not_expired() -> None:
    assert outcome(case(known={}, now=NOON + timedelta(days=3))) == "repeated"


def test_a_retry_is_stale_when_a_newer_schedule_was_admitted_meanwhile() -> None:
    assert outcome(case(known={"state": EntryState.RETRY}, high_water=NOON)) == ErrorCode.ORDER_STALE


def test_a_retry_may_not_borrow_the_order_of_the_newest_schedule() -> None:
    """Another schedule has this ``generated_at``: two schedules of one order would make the plan depend on arrival."""
    at = NOON - timedelta(minutes=40)
    borrowed = case(known={"state": EntryState.RETRY}, generated_at=at, high_water=at)
    assert outcome(borrowed) == ErrorCode.ORDER_STALE


def test_a_retry_of_other_content_is_a_conflict() -> None:
    assert outcome(case(known={"state": EntryState.RETRY, "digest": OTHER})) == ErrorCode.ORDER_CONFLICT


GENERATED = NOON - timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"high_water": GENERATED}, ErrorCode.ORDER_STALE, id="generated when the newest was"),
        pytest.param({"high_water": GENERATED - MICROSECOND}, "admitted", id="generated just after the newest"),
        pytest.param({"generated_at": NOW + timedelta(minutes=5)}, "admitted", id="generated just within the skew"),
        pytest.param(
            {"generated_at": NOW + timedelta(minutes=5) + MICROSECOND}, ErrorCode.ORDER_IN_FUTURE, id="just beyond the skew"
        ),
        pytest.param({"now": NOON + SLOT - MICROSECOND}, "admitted", id="the last microsecond of the last slot"),
        pytest.param({"now": NOON + SLOT}, ErrorCode.TIME_EXPIRED, id="the end of the last slot"),
        pytest.param({"start": NOW + timedelta(days=8)}, "admitted", id="starts as far ahead as allowed"),
        pytest.param(
            {"now": NOW - MICROSECOND, "start": NOW + timedelta(days=8)}, ErrorCode.TIME_TOO_FAR, id="starts just too far ahead"
        ),
        pytest.param({"rates_kw": (150.0,)}, "admitted", id="charges at the limit"),
        pytest.param({"rates_kw": (150.001,)}, ErrorCode.LIMIT_POWER, id="charges a watt beyond the limit"),
        pytest.param({"rates_kw": (150.0009,)}, "admitted", id="charges beyond the limit by less than a watt"),
        pytest.param({"rates_kw": (-150.0,)}, "admitted", id="discharges at the limit"),
        pytest.param({"rates_kw": (-150.001,)}, ErrorCode.LIMIT_POWER, id="discharges a watt beyond the limit"),
    ],
)
def test_limits_belong_to_what_is_allowed(changes: dict[str, Any], expected: ErrorCode | str) -> None:
    assert outcome(case(**changes)) == expected


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
    problem = problem_of(high_water=NOON + MICROSECOND)
    assert problem.path == "/generated_at"
    assert problem.details == {"generated_at": "2026-03-01T11:00:00Z", "newest": "2026-03-01T12:00:00.000001Z"}
    assert all(figure in problem.message for figure in problem.details.values())


def test_a_schedule_from_the_future_is_told_by_how_much() -> None:
    problem = problem_of(generated_at=NOW + timedelta(minutes=5, milliseconds=1))
    assert problem.path == "/generated_at"
    assert problem.details == {"ahead_s": 300.001, "limit_s": 300.0}
    assert "0:05:00.001000 ahead" in problem.message
    assert "at most 0:05:00" in problem.message
    assert "2026-03-01T11:30:00Z" in problem.message


def test_an_expired_schedule_is_told_when_it_ended_and_what_time_it_is() -> None:
    problem = problem_of(now=NOON + timedelta(hours=2))
    assert problem.path == "/intervals"
    assert problem.details == {"end": "2026-03-01T12:30:00Z"}
    assert "2026-03-01T12:30:00Z" in problem.message
    assert "2026-03-01T14:00:00Z" in problem.message


def test_a_schedule_too_far_ahead_is_told_by_how_much() -> None:
    problem = problem_of(now=NOW - timedelta(seconds=1), start=NOW + timedelta(days=8))
    assert problem.path == "/intervals/0/start"
    assert problem.details == {"ahead_s": 8 * 86_400 + 1.0, "limit_s": 8 * 86_400.0}
    assert "8 days, 0:00:01 ahead" in problem.message


@pytest.mark.parametrize(("rate_kw", "limit_w"), [(151.0, 140_000), (-151.0, -130_000)])
def test_a_setpoint_beyond_a_limit_is_named_with_its_slot_and_its_direction_s_limit(rate_kw: float, limit_w: int) -> None:
    policy = Policy(max_charge_w=140_000, max_discharge_w=130_000)
    problem = problem_of(rates_kw=(0.0, 120.0, rate_kw, 1000.0), policy=policy)
    assert problem.path == "/intervals/2/rate_kw"
    assert problem.details == {"slot": 2, "value_w": round(rate_kw * 1000), "limit_w": limit_w}
    assert f"{round(rate_kw * 1000)} W" in problem.message
    assert f"{limit_w} W" in problem.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_charge_w", -1),
        ("max_discharge_w", -1),
        ("max_ahead", timedelta(0)),
        ("max_skew", -MICROSECOND),
        ("retention", timedelta(days=1) - MICROSECOND),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_its_fields_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field} "):
        Policy(**{"max_charge_w": 1, "max_discharge_w": 1, field: value})
    Policy(max_charge_w=0, max_discharge_w=0, max_skew=timedelta(0), retention=timedelta(days=1))


def test_a_zero_limit_admits_only_rest_in_that_direction() -> None:
    one_way = Policy(max_charge_w=10_000, max_discharge_w=0)
    assert outcome(case(rates_kw=(0.0, 10.0), policy=one_way)) == "admitted"
    assert outcome(case(rates_kw=(0.0, -0.001), policy=one_way)) == ErrorCode.LIMIT_POWER


@pytest.mark.parametrize("row", NEED_THE_CLOCK)
def test_a_clock_that_is_not_trusted_is_compared_with_nothing(row: ErrorCode) -> None:
    assert outcome(case(**HITS[row], clock_trusted=False)) == ErrorCode.DEVICE_CLOCK_UNTRUSTED


def test_only_what_is_about_a_clock_that_may_be_wrong_is_worth_a_retry() -> None:
    retryable = {rule.code for rule in TABLE if rule.code is not None and rule.code.retryable}
    assert retryable == {ErrorCode.DEVICE_CLOCK_UNTRUSTED, ErrorCode.ORDER_IN_FUTURE}


ENTRIES = st.tuples(st.sampled_from(EntryState), st.sampled_from([OTHER, None]))


@given(
    schedules(max_slots=4),
    st.none() | ENTRIES,
    st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    st.timedeltas(timedelta(days=-9), timedelta(days=9)),
    st.booleans(),
)
def test_the_same_case_has_one_answer_and_no_effect(arriving: Any, known: Any, water: Any, ahead: Any, trusted: Any) -> None:
    asked = Case(
        schedule=arriving,
        digest=digest(arriving),
        known=None if known is None else entry(state=known[0], digest=known[1] or digest(arriving)),
        high_water=None if water is None else arriving.generated_at + water,
        now=arriving.start + ahead,
        clock_trusted=trusted,
        policy=POLICY,
    )
    before = msgspec.json.encode(asked)
    first = decide(asked)
    assert decide(asked) == first
    assert msgspec.json.encode(asked) == before
    assert (first.problem is None) is (first.verdict is not Verdict.REFUSE)
