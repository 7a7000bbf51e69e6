"""``vectors run`` and ``vectors serve``: what they print, and with which exit status they end."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol.cli.main import main
from allye_protocol.cli.streams import Exit
from allye_protocol.conformance.vectors import load_sections

if TYPE_CHECKING:
    from pathlib import Path

SERVE = shlex.join([sys.executable, "-m", "allye_protocol", "vectors", "serve"])
TOTAL = sum(len(section.vectors) for section in load_sections())


def test_this_library_conforms(capsys: Any) -> None:
    assert main(["vectors", "run"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].split() == ["total", str(TOTAL), "0", "0"]


def test_it_conforms_over_the_line_protocol_too(capsys: Any) -> None:
    assert main(["vectors", "run", "--command", SERVE, "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert told["conforms"] is True
    assert told["total"] == {"section": "total", "passed": TOTAL, "failed": 0, "not_claimed": 0}
    assert told["failures"] == []


def test_only_what_matches_is_asked(capsys: Any) -> None:
    assert main(["vectors", "run", "--only", "topic-*", "--only", "hello-json/no c*", "--json"]) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert [tally["section"] for tally in told["tallies"]] == [
        "topic-build",
        "topic-parse",
        "topic-filters",
        "topic-channel",
        "topic-match",
        "hello-json",
    ]
    assert told["tallies"][-1]["passed"] == 3


def test_the_vectors_can_be_listed(capsys: Any) -> None:
    assert main(["vectors", "run", "--list", "--only", "v1-json/a naive*"]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "v1-json/a naive time: An instant without an offset is another one in every zone (RFC 3339 section 4.4)",
        "v1-json/a naive slot: RFC 3339 section 4.4",
    ]
    assert main(["vectors", "run", "--list", "--json"]) == Exit.OK
    assert len(json.loads(capsys.readouterr().out)) == TOTAL


def test_a_failure_ends_with_1_and_is_explained(tmp_path: Path, capsys: Any) -> None:
    vector = {"name": "wrong", "why": "it is", "root": "r", "topic": "r/d/ack", "expect": {"device_id": "x", "channel": "ack"}}
    document = {"order": 1, "about": "a test's", "op": "topic.parse", "vectors": [vector]}
    (tmp_path / "mine.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["vectors", "run", "--vectors", str(tmp_path)]) == Exit.INVALID
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "FAILED mine/wrong",
        "  why       it is",
        '  expected  {"ok": {"device_id": "x", "channel": "ack"}}',
        '  got       /device_id is "d", not "x"',
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--command", "/nowhere/at-all"], "cannot start /nowhere/at-all"),
        (["--command", ""], "the command is empty"),
        (["--command", "'"], "No closing quotation"),
        (["--command", shlex.join([sys.executable, "-c", "print(1)"])], "not an answer"),
        (["--only", "nothing-*"], "no vector matches nothing-*"),
        (["--vectors", "/nowhere"], "no vectors in /nowhere"),
    ],
)
def test_what_cannot_be_run_ends_with_2(arguments: list[str], said: str, capsys: Any) -> None:
    assert main(["vectors", "run", *arguments]) == Exit.USAGE
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "1e300", "soon"])
def test_a_timeout_is_a_time_that_ends(seconds: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["vectors", "run", f"--timeout-s={seconds}"])
    assert caught.value.code == Exit.USAGE
    assert f"more than 0 s and at most 3600 s, not '{seconds}'" in capsys.readouterr().err


def served(questions: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(shlex.split(SERVE), input=questions, capture_output=True, check=False, timeout=60)


def test_every_question_is_answered_on_a_line_of_its_own() -> None:
    match = {"op": "topic.match", "filter": "a/+", "topic": "a/b"}
    questions = [{"id": 1, **match}, {"id": "two", "op": "guess"}, {"id": 3, "op": "decode"}]
    outcome = served(b"\n".join(json.dumps(question).encode() for question in questions))
    assert outcome.returncode == Exit.OK
    first, second, third = map(json.loads, outcome.stdout.splitlines())
    assert first == {"id": 1, "ok": {"matches": True}}
    assert second == {"id": "two", "unsupported": "no op 'guess'"}
    assert set(third) == {"id", "fault"}


@pytest.mark.parametrize("line", [b"{", b"7", b"[]", b'{"id": 1}', b"\xff"])
def test_what_is_no_question_ends_it(line: bytes) -> None:
    outcome = served(line)
    assert outcome.returncode == Exit.USAGE
    assert b"not a question of the line protocol" in outcome.stderr
