"""Pointers and objects of the slow road; what it finds is tested with decode."""

from __future__ import annotations

from allye_protocol.codec.explain import Object, explain, pointer
from allye_protocol.errors import ErrorCode
from allye_protocol.messages.registry import Kind
from tests.codec.bodies import VALID


def test_a_pointer_escapes_what_rfc_6901_escapes() -> None:
    assert pointer() == ""
    assert pointer("a/b", 0, "~1", "") == "/a~1b/0/~01/"


def test_an_object_remembers_each_duplicate_once_and_keeps_the_last_value() -> None:
    made = Object.of([("a", 1), ("b", 2), ("a", 3), ("a", 4), ("b", 5)])
    assert made == {"a": 4, "b": 5}
    assert made.duplicates == ("a", "b")
    assert Object.of([("a", 1)]).duplicates == ()


def test_a_tree_needs_no_json_to_be_explained() -> None:
    assert explain(VALID[Kind.ACK], Kind.ACK).message is not None


def test_it_returns_a_message_or_problems_but_never_both() -> None:
    trees: list[object] = [VALID[Kind.HELLO], {}, [], None, Object.of([*VALID[Kind.HELLO].items(), ("model", "x")])]
    for tree in trees:
        message, problems = explain(tree, Kind.HELLO)
        assert (message is None) is bool(problems)


def test_duplicates_come_before_what_else_is_wrong() -> None:
    tree = Object.of([("schedule_id", "a"), ("schedule_id", "b")])
    found = explain(tree, Kind.ACK).problems
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
    found = explain({**VALID[Kind.ACK], "x": deep}, Kind.ACK).problems
    assert [problem.code for problem in found] == [ErrorCode.MESSAGE_DUPLICATE_KEY]


def test_an_id_that_is_spelled_wrong_is_listed_beside_other_problems() -> None:
    body = {
        "schedule_id": "plan 1",
        "device_id": "x\n",
        "version": "1",
        "generated_at": "2018-01-01T00:00:00Z",
        "intervals": [],
    }
    found = [problem.path for problem in explain(body, Kind.SCHEDULE).problems]
    assert found == ["/schedule_id", "/device_id", "/version", "/intervals"]
