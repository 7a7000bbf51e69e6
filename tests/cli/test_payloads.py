"""``validate`` and ``decode``: any bytes get an answer, in words or in JSON, and by the exit status."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allye_protocol import codec, schema
from allye_protocol.cli.main import main
from allye_protocol.cli.streams import Exit
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS, MAX_PAYLOAD_BYTES
from allye_protocol.convert import decode
from allye_protocol.digest import digest
from allye_protocol.messages import Kind, Schedule
from allye_protocol.messages.registry import BY_TYPE, KINDS, NEWEST
from tests.cli.shell import EXAMPLES, NEWEST_EXAMPLES, broken_schedule, feed
from tests.strategies import schedules, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from allye_protocol.messages import Written


def leaves(node: Any) -> Iterator[Any]:
    """Every text and number in a body."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from leaves(child)
    if isinstance(node, str) or (isinstance(node, (int, float)) and not isinstance(node, bool)):
        yield node


def spellings(value: Any) -> list[str]:
    """How a value may be shown: a rate in kW is in W, a slot's length in minutes."""
    if isinstance(value, str):
        return [value]
    return [str(value), f"{abs(value):,g}", f"{round(abs(value) * 1000):,}", f"{value / 60:g} min"]


class TestValidate:
    @pytest.mark.parametrize("kind", Kind)
    def test_a_valid_payload_is_said_to_be_so(self, kind: Kind, write: Callable[..., str], capsys: Any) -> None:
        name = write(NEWEST_EXAMPLES[kind])
        assert main(["validate", "--kind", kind, name]) == Exit.OK
        first, summary = capsys.readouterr().out.splitlines()
        assert first == f"{name}: valid"
        assert summary == f"1 checked as {kind}: 1 valid, 0 invalid, 0 not read; 0 problems"

    def test_one_problem_is_not_several(self, write: Callable[..., str], capsys: Any) -> None:
        assert main(["validate", "--kind", "ack", write(b"{")]) == Exit.INVALID
        assert capsys.readouterr().out.endswith("0 valid, 1 invalid, 0 not read; 1 problem\n")

    def test_every_problem_is_a_line_with_its_place(self, write: Callable[..., str], capsys: Any) -> None:
        name = write(broken_schedule())
        assert main(["validate", "--kind", "schedule", name]) == Exit.INVALID
        lines = capsys.readouterr().out.splitlines()
        assert [line[len(name) :].split(": ")[1:3] for line in lines[:-1]] == [
            ["/device_id", "message.invalid"],
            ["/intervals/1/mode", "message.invalid"],
            ["/intervals/2/end", "time.bad_duration"],
        ]
        assert lines[-1] == "1 checked as schedule: 0 valid, 1 invalid, 0 not read; 3 problems"

    def test_json_has_every_problem_of_every_file(self, write: Callable[..., str], capsys: Any) -> None:
        good, bad = write(EXAMPLES[Kind.SCHEDULE, 2], "good"), write(broken_schedule(), "bad")
        assert main(["validate", "--json", "--kind", "schedule", good, bad]) == Exit.INVALID
        document = json.loads(capsys.readouterr().out)
        assert document["valid"] is False
        assert [(file["file"], file["valid"], len(file["problems"])) for file in document["files"]] == [
            (good, True, 0),
            (bad, False, 3),
        ]
        assert set(document["files"][1]["problems"][0]) == {"code", "message", "path", "details", "retryable"}

    def test_a_file_that_cannot_be_read_does_not_keep_the_others_from_being_checked(
        self, write: Callable[..., str], tmp_path: Path, capsys: Any
    ) -> None:
        good, missing = write(EXAMPLES[Kind.ACK, 2]), str(tmp_path / "missing")
        assert main(["validate", "--kind", "ack", missing, str(tmp_path), good]) == Exit.USAGE
        shown = capsys.readouterr()
        assert f"{good}: valid" in shown.out
        assert "1 valid, 0 invalid, 2 not read" in shown.out
        assert f"cannot read {missing}: No such file" in shown.err
        assert main(["validate", "--json", "--kind", "ack", missing, good]) == Exit.USAGE
        first, second = json.loads(capsys.readouterr().out)["files"]
        assert (first["valid"], second["valid"]) == (None, True)

    def test_a_payload_of_the_wrong_kind_is_invalid(self, write: Callable[..., str]) -> None:
        assert main(["validate", "--kind", "ack", write(EXAMPLES[Kind.HELLO, 0])]) == Exit.INVALID

    def test_a_tolerant_reading_lists_what_a_device_does_otherwise(self, write: Callable[..., str], capsys: Any) -> None:
        body = {**EXAMPLES[Kind.ACK, 2], "version": "2", "mood": "fine"}
        name = write(body)
        assert main(["validate", "--kind", "ack", name]) == Exit.INVALID
        capsys.readouterr()
        assert main(["validate", "--kind", "ack", "--tolerant", name]) == Exit.OK
        lines = capsys.readouterr().out.splitlines()
        assert lines[:2] == [
            f'{name}: /version: version_as_string: "2" is taken for 2',
            f'{name}: /mood: member_unknown: "fine" is ignored',
        ]
        assert lines[2] == f"{name}: valid"
        assert main(["validate", "--kind", "ack", "--tolerant", "--json", name]) == Exit.OK
        (verdict,) = json.loads(capsys.readouterr().out)["files"]
        assert [deviation["code"] for deviation in verdict["deviations"]] == ["version_as_string", "member_unknown"]

    def test_what_cannot_be_mended_is_refused_with_every_problem(self, write: Callable[..., str], capsys: Any) -> None:
        name = write({**EXAMPLES[Kind.ACK, 2], "version": "2", "device_id": "a b"})
        assert main(["validate", "--kind", "ack", "--tolerant", name]) == Exit.INVALID
        assert "/device_id: message.invalid" in capsys.readouterr().out
        long = write(b" " * (MAX_PAYLOAD_BYTES + 1))
        assert main(["validate", "--kind", "ack", "--tolerant", long]) == Exit.INVALID

    @pytest.mark.parametrize("kind", ["schedule", "cancel"])
    def test_what_moves_a_battery_is_not_read_tolerantly(self, kind: str, write: Callable[..., str]) -> None:
        assert main(["validate", "--kind", kind, "--tolerant", write(NEWEST_EXAMPLES[Kind(kind)])]) == Exit.USAGE

    def test_the_standard_input_is_a_dash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feed(monkeypatch, json.dumps(EXAMPLES[Kind.ACK, 2]).encode())
        assert main(["validate", "--kind", "ack", "-"]) == Exit.OK

    def test_a_huge_input_is_refused_after_one_byte_too_many(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        source = io.BytesIO(b" " * (10 * MAX_PAYLOAD_BYTES))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
        assert main(["validate", "--kind", "ack", "-"]) == Exit.INVALID
        assert source.tell() == MAX_PAYLOAD_BYTES + 1
        assert "message.too_large" in capsys.readouterr().out

    def test_a_payload_of_just_the_limit_is_read(self, write: Callable[..., str]) -> None:
        payload = json.dumps(EXAMPLES[Kind.ACK, 2]).encode()
        assert main(["validate", "--kind", "ack", write(payload.ljust(MAX_PAYLOAD_BYTES))]) == Exit.OK
        assert main(["validate", "--kind", "ack", write(payload.ljust(MAX_PAYLOAD_BYTES + 1))]) == Exit.INVALID

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.binary(max_size=200), st.sampled_from(Kind), st.sampled_from(["validate", "decode", "encode", "convert --to 1"]))
    def test_any_bytes_get_an_answer(self, monkeypatch: Any, payload: bytes, kind: Kind, command: str) -> None:
        with monkeypatch.context() as patch:
            feed(patch, payload)
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
            assert main([*command.split(), "--kind", kind, "-"]) in {Exit.OK, Exit.INVALID}


class TestDecode:
    @pytest.mark.parametrize("key", KINDS, ids=lambda key: f"{key[0]}-{key[1]}")
    def test_every_member_that_is_there_is_shown(self, key: tuple[Kind, int], write: Callable[..., str], capsys: Any) -> None:
        for body in schema.generate(key[0], key[1] or NEWEST)["examples"]:
            assert main(["decode", "--kind", key[0], write(body)]) == Exit.OK
            shown = capsys.readouterr().out
            for value in leaves(body):
                assert any(text in shown for text in spellings(value)), (value, shown)

    def test_a_schedule_is_shown_in_watts_and_utc_with_its_digest(self, write: Callable[..., str], capsys: Any) -> None:
        body = json.dumps(EXAMPLES[Kind.SCHEDULE, 1]).replace("T10:00:00Z", "T11:00:00+01:00").encode()
        assert main(["decode", "--kind", "schedule", write(body)]) == Exit.OK
        lines = capsys.readouterr().out.splitlines()
        message = decode(body, Kind.SCHEDULE)
        assert isinstance(message, Schedule)
        assert f"digest          {digest(message)}" in lines
        assert "charging        37,500 Wh" in lines
        assert "discharging     60,250 Wh" in lines
        assert "slot 2          2018-07-01T11:00:00Z     -120,500 W  DISCHARGE" in lines
        assert any(line.startswith("slot 0          2018-07-01T10:00:00Z      +75,000 W") for line in lines)

    def test_the_code_of_a_reason_says_whether_it_is_worth_trying_again(self, write: Callable[..., str], capsys: Any) -> None:
        for reason, answer in (("store.full: no room", "yes"), ("limit.power: too much", "no"), ("broken", None)):
            main(["decode", "--kind", "ack", write({**EXAMPLES[Kind.ACK, 1], "status": "FAILED", "error_reason": reason})])
            found = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("retryable")]
            assert found == ([] if answer is None else [answer])

    @given(written, st.sampled_from(list(ENCODINGS)))
    def test_json_holds_the_message_itself_whatever_it_was_written_in(self, message: Written, content_type: str) -> None:
        kind, version = BY_TYPE[type(message)].kind, BY_TYPE[type(message)].version
        if version not in ENCODINGS[content_type].versions:
            content_type = DEFAULT_CONTENT_TYPE
        payload = codec.encode(message, content_type)
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, payload)
            patch.setattr(sys, "stdout", out := io.StringIO())
            assert main(["decode", "--json", "--kind", kind, "-"]) == Exit.OK
        assert out.getvalue().isascii()
        document = json.loads(out.getvalue())
        assert codec.decode(json.dumps(document["message"]).encode(), kind) == message
        assert document["size_bytes"] == len(payload)
        assert document["version"] == (version or None)
        assert document["content_type"] == content_type

    @given(schedules(max_slots=3))
    def test_json_of_a_schedule_holds_its_digest_and_watts(self, schedule: Schedule) -> None:
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, codec.encode(schedule))
            patch.setattr(sys, "stdout", out := io.StringIO())
            main(["decode", "--json", "--kind", "schedule", "-"])
        document = json.loads(out.getvalue())
        assert document["digest"] == digest(schedule)
        assert document["rates_w"] == list(schedule.rates_w)

    def test_what_is_wrong_goes_to_the_error_output(self, write: Callable[..., str], capsys: Any) -> None:
        name = write(broken_schedule())
        assert main(["decode", "--kind", "schedule", name]) == Exit.INVALID
        shown = capsys.readouterr()
        assert shown.out == ""
        assert len(shown.err.splitlines()) == 3
        assert main(["decode", "--json", "--kind", "schedule", name]) == Exit.INVALID
        document = json.loads(capsys.readouterr().out)
        assert (document["valid"], len(document["problems"])) == (False, 3)

    def test_nothing_of_a_payload_reaches_the_terminal_as_a_control_character(
        self, write: Callable[..., str], capsys: Any
    ) -> None:
        hostile = "\x1b]0;owned\x07\x9b31m\u202egnp\r\n\x7f\u2028\x00"
        hello = {**EXAMPLES[Kind.HELLO, 0], "model": hostile, "content_types": [hostile], hostile: hostile}
        ack = {**EXAMPLES[Kind.ACK, 1], "error_reason": hostile, "trace_id": hostile}
        error = {"code": "limit.power", "message": hostile, "path": hostile}
        failed = {**EXAMPLES[Kind.ACK, 2], "status": "FAILED", "error": error, "traceparent": hostile}
        labelled = {**EXAMPLES[Kind.SCHEDULE, 2], "metadata": {hostile: hostile}}
        doubled = f"{{{json.dumps(hostile)}: 1, {json.dumps(hostile)}: 2}}".encode()
        name = write(hello, "file\x1b[2J")
        for arguments in (
            ["decode", "--kind", "hello", name],
            ["decode", "--json", "--kind", "hello", name],
            ["validate", "--kind", "hello", name, "\x1b[2J"],
            ["decode", "--kind", "ack", write(ack)],
            ["decode", "--kind", "ack", write(failed)],
            ["decode", "--kind", "schedule", write(labelled)],
            ["convert", "--kind", "schedule", "--to", "1", write({**labelled, "dry_run": True}, "x\x1b[2J")],
            ["schema", "diff", hostile, hostile],
            ["validate", "--kind", "ack", write(doubled)],
            ["decode", "--kind", "ack", write(doubled)],
            ["topic", "parse", f"devices/{hostile}/ack"],
            ["topic", "build", hostile, "ack"],
            ["topic", "match", f"a/#{hostile}", "a"],
            ["schema", "check", hostile],
        ):
            main(arguments)
            shown = capsys.readouterr()
            for char in shown.out + shown.err:
                assert char == "\n" or char.isprintable(), (arguments, char)
