"""Error codes and exceptions: a closed registry and one tree that match each other both ways."""

from __future__ import annotations

import inspect
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol import errors
from allye_protocol.errors import AllyeError, DecodeError, ErrorClass, ErrorCode, Problem, code_of_reason

TYPES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AllyeError)]
codes = st.sampled_from(ErrorCode)
problems = st.builds(
    Problem,
    code=codes,
    message=st.text(),
    path=st.text(),
    details=st.dictionaries(st.text(), st.integers() | st.text(), max_size=3),
)

# The codes, as they were released: codes may join, none may change or go.
RELEASED = {
    "message": "too_large malformed invalid wrong_device bad_signature unknown_kind non_finite_number duplicate_key",
    "version": "unsupported downgrade_loses",
    "time": "naive not_aligned bad_duration overlap gap out_of_order empty expired too_far",
    "order": "conflict stale in_future cancelled unknown_schedule",
    "limit": "power soc ramp slots import export",
    "device": "local_mode maintenance fault_active grid_lost emergency_stop clock_untrusted busy",
    "driver": "timeout rejected readback_mismatch not_supported external_control heartbeat_lost",
    "store": "failed full corrupt",
    "exec": "late_start missed limited_soc limited_temperature limited_battery preempted tripped no_data",
    "internal": "bug quarantined",
}
RETRYABLE = {"device", "driver", "store", "transport"}
DIFFERENT = {ErrorCode.ORDER_IN_FUTURE: True}


def test_every_released_code_is_registered() -> None:
    released = {f"{group}.{name}" for group, names in RELEASED.items() for name in names.split()}
    assert released <= {code.value for code in ErrorCode}


@pytest.mark.parametrize("code", ErrorCode)
def test_a_code_is_its_class_and_its_name(code: ErrorCode) -> None:
    group, dot, name = code.value.partition(".")
    assert dot
    assert code.name == f"{group}_{name}".upper()
    assert code.error_class.value == group


@pytest.mark.parametrize("group", ErrorClass)
def test_a_class_has_codes_and_says_whether_they_are_retryable(group: ErrorClass) -> None:
    assert any(code.error_class is group for code in ErrorCode)
    assert group.retryable is (group.value in RETRYABLE)
    own = [code for code in ErrorCode if code.error_class is group]
    assert {code: code.retryable for code in own} == {code: DIFFERENT.get(code, group.retryable) for code in own}


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_an_exception_that_carries_it(code: ErrorCode) -> None:
    carriers = [kind for kind in TYPES if kind is not AllyeError and code.error_class in kind.classes]
    assert carriers


@pytest.mark.parametrize("kind", TYPES)
def test_every_exception_carries_the_codes_of_its_classes_and_no_others(kind: type[AllyeError]) -> None:
    assert kind.__name__ in errors.__all__
    for code in ErrorCode:
        if code.error_class in kind.classes:
            error = kind(code, "why", path="/a", details={"b": 1})
            assert (error.code, error.message, error.path, error.details, error.retryable) == (
                code,
                "why",
                "/a",
                {"b": 1},
                code.retryable,
            )
        else:
            with pytest.raises(ValueError, match=f"does not carry {code}"):
                kind(code, "why")


@given(problems)
def test_an_exception_and_its_problem_say_the_same(problem: Problem) -> None:
    error = AllyeError.of(problem)
    assert error.problem == problem
    assert str(error) == str(problem)


@given(problems)
def test_an_exception_survives_pickling(problem: Problem) -> None:
    error = pickle.loads(pickle.dumps(AllyeError.of(problem)))
    assert type(error) is AllyeError
    assert error.problem == problem


def test_an_exception_pickles_as_its_own_type() -> None:
    error = pickle.loads(pickle.dumps(DecodeError(ErrorCode.TIME_GAP, "a gap", path="/intervals/1")))
    assert type(error) is DecodeError
    assert (error.code, error.path) == (ErrorCode.TIME_GAP, "/intervals/1")


def test_the_details_of_an_exception_cannot_be_changed() -> None:
    error = DecodeError(ErrorCode.MESSAGE_INVALID, "why", details={"limit": 1})
    with pytest.raises(TypeError):
        error.details["limit"] = 2  # type: ignore[index]


def test_a_problem_reads_as_code_message_and_place() -> None:
    problem = Problem(code=ErrorCode.LIMIT_POWER, message="too much", path="/intervals/7/rate_kw")
    assert str(problem) == "limit.power: too much at /intervals/7/rate_kw"
    assert str(Problem(code=ErrorCode.STORE_FULL, message="no room")) == "store.full: no room"


@given(problems)
def test_a_reason_is_at_most_256_printable_characters_that_begin_with_the_code(problem: Problem) -> None:
    reason = problem.reason()
    assert len(reason) <= 256
    assert reason.isprintable()
    assert code_of_reason(reason) is problem.code


@pytest.mark.parametrize("reason", [None, "", "too hot", "limit.unknown: x", ": x", "LIMIT.POWER: x"])
def test_a_reason_without_a_known_code_has_none(reason: str | None) -> None:
    assert code_of_reason(reason) is None
