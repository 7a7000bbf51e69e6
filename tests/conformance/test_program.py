"""Another implementation behind the line protocol, and every way in which one can misbehave."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.conformance.program import MAX_FAULTS, Program
from allye_protocol.conformance.report import FaultError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import json, os, sys, time
def answer(question, **answer):
    print(json.dumps({"id": question["id"], **answer}), flush=True)
questions = (json.loads(line) for line in sys.stdin)
"""
ECHO = "for q in questions: answer(q, ok=q)"
PATIENCE_S = 30.0


def program(body: str, timeout_s: float = PATIENCE_S) -> Program:
    return Program([sys.executable, "-I", "-S", "-c", HEAD + body], timeout_s=timeout_s)


def fault(body: str, timeout_s: float = PATIENCE_S, **parameters: Any) -> str:
    """What is said of the first answer of a program."""
    with program(body, timeout_s) as asked, pytest.raises(FaultError) as caught:
        asked.ask("decode", parameters)
    return str(caught.value)


def test_a_question_is_one_line_with_id_op_and_parameters() -> None:
    with program(ECHO) as asked:
        first = asked.ask("decode", {"payload_base64": "e30=", "text": "\u00e9\n"})
        second = asked.ask("digest", {})
    assert first == {"id": 1, "ok": {"id": 1, "op": "decode", "payload_base64": "e30=", "text": "\u00e9\n"}}
    assert second == {"id": 2, "ok": {"id": 2, "op": "digest"}}


def test_it_says_what_it_claims() -> None:
    told = {"name": "x", "ops": ["decode"], "versions": [1], "content_types": ["application/json"], "more": 1}
    with program(f"for q in questions: answer(q, ok={told!r})") as asked:
        claims = asked.describe()
    assert (claims.name, claims.ops, claims.versions, claims.content_types) == ("x", ("decode",), (1,), ("application/json",))


@pytest.mark.parametrize("told", ["{}", "{'name': 'x'}", "7", "{'name': 1, 'ops': [], 'versions': [], 'content_types': []}"])
def test_one_that_does_not_say_cannot_be_asked(told: str) -> None:
    with program(f"for q in questions: answer(q, ok={told})") as asked, pytest.raises(FaultError, match="describe"):
        asked.describe()


def test_one_that_cannot_be_started_says_so() -> None:
    with Program(["/nowhere/at-all"]) as asked, pytest.raises(FaultError, match="cannot start /nowhere/at-all: No such file"):
        asked.describe()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", "the program ended without an answer (status 3)"),
        ("next(questions); sys.exit(0)", "the program ended without an answer (status 0)"),
        ("os.kill(os.getpid(), 9)", "the program ended without an answer (signal 9)"),
        ("next(questions)\nprint('{\"id\": 1, \"ok\": {}', end='', flush=True)", 'no whole line: \'{"id": 1, "ok": {}\''),
        ("print('hello')\nnext(questions)", "not a line of JSON: 'hello\\n'"),
        ("print()\nnext(questions)", "not a line of JSON: '\\n'"),
        ("print('[' * 100_000)\nnext(questions)", "not a line of JSON: '[["),
        ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()\nnext(questions)", "not a line of JSON: '\\\\xff\\n'"),
        ("print(7)\nnext(questions)", "not an answer with one of ok, error and unsupported: '7\\n'"),
        ("answer(next(questions))", "not an answer with one of ok, error and unsupported"),
        ("answer(next(questions), ok={}, error={})", "not an answer with one of ok, error and unsupported"),
        ("print(json.dumps({'id': 9, 'ok': {}}))\nnext(questions)", "the answer to another question, 9 and not 1"),
        ("print(json.dumps({'ok': {}}))\nnext(questions)", "the answer to another question, None and not 1"),
        ("while True: print('x' * 10_000_000, end='')", "no whole line: 'xxx"),
    ],
)
def test_what_is_no_answer_is_told(body: str, said: str) -> None:
    assert fault(body).startswith(said)


def test_one_that_hangs_is_ended() -> None:
    begun = time.monotonic()
    assert fault("time.sleep(600)", timeout_s=0.2) == "no answer within 0.2 s"
    assert time.monotonic() - begun < PATIENCE_S


def test_one_that_never_reads_does_not_block_a_long_question() -> None:
    assert fault("time.sleep(600)", timeout_s=0.2, text="x" * 2_000_000) == "no answer within 0.2 s"


def test_one_that_answers_without_reading_does_not_block_the_end() -> None:
    body = "print(json.dumps({'id': 1, 'ok': {}}), flush=True)\ntime.sleep(600)"
    with program(body) as asked:
        assert asked.ask("decode", {"text": "x" * 2_000_000}) == {"id": 1, "ok": {}}


def test_one_that_closes_its_output_and_runs_on_is_ended() -> None:
    said = fault("next(questions); os.close(1)\ntime.sleep(600)")
    assert said == "the program ended without an answer (it closed its output and runs on)"


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    child = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    body = f"import subprocess\nsubprocess.Popen([sys.executable, '-I', '-S', '-c', {child!r}])\n{ECHO}"
    with program(body) as asked:
        asked.ask("decode", {})
        deadline = time.monotonic() + PATIENCE_S
        while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
            asked.ask("decode", {})
        pid = mark.read_text()
    assert is_gone(pid)


def is_gone(pid: str) -> bool:
    """Whether a process has ended; one that nobody has waited for counts as ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123 - as /proc is read
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
    return False


def test_a_fault_costs_one_question() -> None:
    body = "for q in questions:\n    if q['op'] == 'bad': sys.exit(1)\n    answer(q, ok={})"
    with program(body) as asked:
        for _ in range(MAX_FAULTS + 2):
            with pytest.raises(FaultError):
                asked.ask("bad", {})
            assert "ok" in asked.ask("good", {})


def test_an_answer_too_many_costs_the_next_question_alone() -> None:
    body = "for q in questions:\n    answer(q, ok={})\n    q['op'] == 'twice' and answer(q, ok={})"
    with program(body) as asked:
        asked.ask("twice", {})
        with pytest.raises(FaultError, match="another question, 1 and not 2"):
            asked.ask("once", {})
        assert asked.ask("once", {}) == {"id": 3, "ok": {}}


def test_one_that_fails_again_and_again_is_given_up() -> None:
    with program("sys.exit(1)") as asked:
        said = []
        for _ in range(MAX_FAULTS + 1):
            with pytest.raises(FaultError) as caught:
                asked.ask("decode", {})
            said.append(str(caught.value))
    assert said[-1] == f"not asked: the program had failed {MAX_FAULTS} times in a row"
    assert set(said[:-1]) == {"the program ended without an answer (status 1)"}


def test_what_it_says_on_its_standard_error_is_nobodys_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with program(f"print('listening', file=sys.stderr)\n{ECHO}") as asked:
        assert asked.ask("decode", {})["id"] == 1
    assert capfd.readouterr().err == "listening\n"
