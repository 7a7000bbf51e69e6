"""What a run counts and tells."""

from __future__ import annotations

from typing import Any

from allye_protocol.conformance.library import Library
from allye_protocol.conformance.report import NOT_ASKED, Claims, FaultError, run
from allye_protocol.conformance.vectors import Section, Vector, load_sections


class Answering:
    """An implementation that gives the same answer to every question."""

    def __init__(self, answer: dict[str, Any], **claims: Any) -> None:
        every = {"ops": ("decode", "topic.match"), "versions": (1, 2), "content_types": ("application/json",)}
        self.claims = Claims(name="answering", **{**every, **claims})
        self.answer = answer
        self.asked = 0

    def describe(self) -> Claims:
        return self.claims

    def ask(self, op: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        if "fault" in self.answer:
            raise FaultError(self.answer["fault"])
        return self.answer


def section(*vectors: Vector) -> Section:
    return Section(name="s", about="a test's", vectors=vectors)


def question(name: str = "n", **more: Any) -> Vector:
    given = {"op": "decode", "expect": {"a": 1}, "versions": (1,), "content_types": ("application/json",), **more}
    return Vector(section="s", name=name, why="because", parameters={}, **given)


def test_right_and_wrong_answers_are_counted() -> None:
    report = run([section(question("one"), question("two", expect={"a": 2}))], Answering({"ok": {"a": 1}}))
    assert (report.total.passed, report.total.failed, report.total.not_claimed) == (1, 1, 0)
    (failure,) = report.failures
    assert (failure.name, failure.why, failure.expected, failure.got) == (
        "two",
        "because",
        {"ok": {"a": 2}},
        "/a is 1, not 2",
    )
    assert not report.conforms


def test_what_is_not_claimed_is_not_asked_and_never_passed() -> None:
    other = Answering({"ok": {"a": 1}}, ops=("topic.match",))
    one_version = Answering({"ok": {"a": 1}}, versions=(2,))
    no_json = Answering({"ok": {"a": 1}}, content_types=())
    for implementation in (other, one_version, no_json):
        report = run([section(question())], implementation)
        assert (report.total.passed, report.total.not_claimed, implementation.asked) == (0, 1, 0)
        assert not report.conforms


def test_what_is_unsupported_is_not_claimed_either() -> None:
    report = run([section(question())], Answering({"unsupported": "not yet"}))
    assert (report.total.passed, report.total.failed, report.total.not_claimed) == (0, 0, 1)


def test_a_fault_is_a_failure() -> None:
    report = run([section(question())], Answering({"fault": "it ended"}))
    assert [failure.got for failure in report.failures] == ["it ended"]


def test_the_report_names_each_failure_with_its_reason() -> None:
    report = run([section(question("a naive time", expect=None, error={"code": "time.naive"}))], Answering({"ok": {}}))
    lines = list(report.lines())
    assert lines[2:5] == [
        "section                 passed  failed  not claimed",
        "s                            0       1            0",
        "total                        0       1            0",
    ]
    assert lines[6:] == [
        "FAILED s/a naive time",
        "  why       because",
        '  expected  {"error": {"code": "time.naive"}}',
        "  got       accepted: {}",
    ]


def test_a_long_list_of_failures_is_cut_for_people() -> None:
    report = run([section(*(question(str(index)) for index in range(203)))], Answering({"ok": {}}))
    assert len(report.failures) == 203
    assert list(report.lines())[-1] == "and 3 more; --json lists all"


def test_what_a_program_that_was_given_up_is_not_asked_is_one_line() -> None:
    report = run([section(*(question(str(index)) for index in range(203)))], Answering({"fault": f"{NOT_ASKED}: it is broken"}))
    assert (report.total.failed, len(report.failures)) == (203, 203)
    assert list(report.lines())[-2:] == ["", "FAILED 203 more, not asked: it is broken"]


def test_an_implementation_that_takes_everything_fails_every_bad_vector() -> None:
    every = Library().describe()
    sections = load_sections()
    bad = sum(vector.error is not None for part in sections for vector in part.vectors)
    taking = Answering({"ok": {}}, ops=every.ops, versions=every.versions, content_types=every.content_types)
    assert run(sections, taking).total.passed == 0
    refusing = Answering(
        {"error": {"code": "message.invalid"}}, ops=every.ops, versions=every.versions, content_types=every.content_types
    )
    assert run(sections, refusing).total.passed < bad / 5
