"""Pointers and objects of the slow road; what it finds is tested with decode."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest

from allye_protocol.codec.explain import Object, explain, pointer
from allye_protocol.errors import ErrorCode
from allye_protocol.messages.registry import Kind
from tests.codec.bodies import VALID, VALID_2

ALL = (0, 1, 2)


def test_a_pointer_escapes_what_rfc_6901_escapes() -> None:
    assert pointer() == ""
    assert pointer("a/b", 0, "~1", "") == "/a~1b/0/~01/"


def test_an_object_remembers_each_duplicate_once_and_keeps_the_last_value() -> None:
    made = Object.of([("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5)])
    assert made == {"a": 4, "b": 5}
    assert made.duplicates == ("a", "b")
    assert Object.of([("a", 1)]).duplicates == ()


def test_a_tree_needs_no_json_to_be_explained() -> None:
    assert explain(VALID[Kind.ACK], Kind.ACK, ALL).message is not None


def test_it_returns_a_message_or_problems_but_never_both() -> None:
    trees: list[object] = [VALID[Kind.HELLO], {}, [], None, Object.of([*VALID[Kind.HELLO].items(), ("model", "x")])]
    for tree in trees:
        message, problems = explain(tree, Kind.HELLO, ALL)
        assert (message is None) is bool(problems)


def test_duplicates_come_before_what_else_is_wrong() -> None:
    tree = Object.of([("schedule_id", "a"), ("schedule_id", "b")])
    found = explain(tree, Kind.ACK, ALL).problems
    assert [(problem.code, problem.path) for problem in found] == [
        (ErrorCode.MESSAGE_DUPLICATE_KEY, "/schedule_id"),
        (ErrorCode.MESSAGE_INVALID, "/device_id"),
        (ErrorCode.MESSAGE_INVALID, "/status"),
        (ErrorCode.MESSAGE_INVALID, "/timestamp"),
    ]


def test_a_tree_as_deep_as_it_likes_is_explained_without_recursion() -> None:
    deep: object = Object.of([("a", 1), ("a", 2)])
    for _ in range(5_000):
        deep = [deep]
    found = explain({**VALID[Kind.ACK], "x": deep}, Kind.ACK, ALL).problems
    assert [problem.code for problem in found] == [ErrorCode.MESSAGE_DUPLICATE_KEY]


def test_an_id_that_is_spelled_wrong_is_listed_beside_other_problems() -> None:
    body = {
        "schedule_id": "plan 1",
        "device_id": "x\n",
        "version": "1",
        "generated_at": "2018-01-01T00:00:00Z",
        "intervals": [],
    }
    found = [problem.path for problem in explain(body, Kind.SCHEDULE, (1,)).problems]
    assert found == ["/schedule_id", "/device_id", "/version", "/intervals"]


def test_instants_that_are_none_any_more_are_taken_as_they_are_and_put_into_utc() -> None:
    zone = timezone(timedelta(hours=2))
    tree = {**VALID_2[Kind.DEVICE_STATUS], "timestamp": datetime(2018, 7, 1, 12, tzinfo=zone)}
    message = explain(tree, Kind.DEVICE_STATUS, (2,)).message
    assert message == explain(VALID_2[Kind.DEVICE_STATUS], Kind.DEVICE_STATUS, (2,)).message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ([], "an array"),
        ("x", "a string"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        (b"x", "bytes"),
        (datetime(2018, 7, 1, tzinfo=UTC), "a timestamp"),
    ],
)
def test_what_stands_in_an_objects_place_is_named(value: object, shown: str) -> None:
    tree = {**VALID_2[Kind.DEVICE_STATUS], "clock": value}
    (problem,) = explain(tree, Kind.DEVICE_STATUS, (2,)).problems
    assert (problem.message, problem.path) == (f"an object belongs here, not {shown}", "/clock")


def test_a_number_that_is_not_finite_is_found_in_an_unknown_member_and_listed_once_in_a_known_one() -> None:
    unknown = explain({**VALID_2[Kind.ACK], "x": [{"y": math.inf}]}, Kind.ACK, (2,)).problems
    assert [(problem.code, problem.path) for problem in unknown] == [(ErrorCode.MESSAGE_NON_FINITE_NUMBER, "/x/0/y")]
    error = {"code": "limit.power", "value": math.nan}
    for tree in ({**VALID_2[Kind.ACK], "error": error}, {**VALID_2[Kind.ACK], "error": error, "status": 1}):
        found = [problem.path for problem in explain(tree, Kind.ACK, (2,)).problems]
        assert found.count("/error/value") == 1


def test_a_kind_that_an_encoding_has_no_version_of_is_refused_whatever_it_says() -> None:
    for tree in (VALID[Kind.HELLO], {**VALID[Kind.HELLO], "version": 2}):
        (problem,) = explain(tree, Kind.HELLO, (2,)).problems
        assert problem.code is ErrorCode.MESSAGE_UNKNOWN_KIND


def test_a_version_that_an_encoding_has_not_is_told_with_those_that_it_has() -> None:
    (problem,) = explain(VALID[Kind.SCHEDULE], Kind.SCHEDULE, (2,)).problems
    assert (problem.code, problem.path) == (ErrorCode.VERSION_UNSUPPORTED, "/version")
    assert problem.details == {"supported_versions": [2]}
