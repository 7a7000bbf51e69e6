"""The command: what it answers, with which exit status, and that no input gets the better of it."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import allye_protocol
from allye_protocol import schema
from allye_protocol.__main__ import main
from allye_protocol.cli.main import parser
from allye_protocol.cli.streams import Exit
from allye_protocol.codec import MAX_PAYLOAD_BYTES, decode, encode
from allye_protocol.digest import digest
from allye_protocol.messages import Kind
from allye_protocol.messages.registry import BY_TYPE
from allye_protocol.schema.publish import PINS
from tests.strategies import messages, schedules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from allye_protocol.messages import Message, Schedule

EXAMPLES = {kind: schema.generate(kind)["examples"][0] for kind in Kind}
DEADLINE_S = 30


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a payload to a file and give its name."""

    def writer(payload: bytes | dict[str, Any], name: str = "payload") -> str:
        path = tmp_path / name
        path.write_bytes(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        return str(path)

    return writer


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "allye_protocol", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=DEADLINE_S)


def feed(monkeypatch: pytest.MonkeyPatch, payload: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(payload)))


def broken_schedule() -> dict[str, Any]:
    """A schedule with three things wrong with it."""
    body: dict[str, Any] = json.loads(json.dumps(EXAMPLES[Kind.SCHEDULE]))
    body["device_id"] = "a b"
    body["intervals"][1]["mode"] = "CHARGE"
    body["intervals"][1]["rate_kw"] = -1
    body["intervals"][2]["end"] = "2018-07-01T12:00:00Z"
    return body


class TestValidate:
    @pytest.mark.parametrize("kind", Kind)
    def test_a_valid_payload_is_said_to_be_so(self, kind: Kind, write: Callable[..., str], capsys: Any) -> None:
        name = write(EXAMPLES[kind])
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
        good, bad = write(EXAMPLES[Kind.SCHEDULE], "good"), write(broken_schedule(), "bad")
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
        good, missing = write(EXAMPLES[Kind.ACK]), str(tmp_path / "missing")
        assert main(["validate", "--kind", "ack", missing, str(tmp_path), good]) == Exit.USAGE
        shown = capsys.readouterr()
        assert f"{good}: valid" in shown.out
        assert "1 valid, 0 invalid, 2 not read" in shown.out
        assert f"cannot read {missing}: No such file" in shown.err
        assert main(["validate", "--json", "--kind", "ack", missing, good]) == Exit.USAGE
        first, second = json.loads(capsys.readouterr().out)["files"]
        assert (first["valid"], second["valid"]) == (None, True)

    def test_a_payload_of_the_wrong_kind_is_invalid(self, write: Callable[..., str]) -> None:
        assert main(["validate", "--kind", "ack", write(EXAMPLES[Kind.HELLO])]) == Exit.INVALID

    def test_the_standard_input_is_a_dash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        feed(monkeypatch, json.dumps(EXAMPLES[Kind.ACK]).encode())
        assert main(["validate", "--kind", "ack", "-"]) == Exit.OK

    def test_a_huge_input_is_refused_after_one_byte_too_many(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        source = io.BytesIO(b" " * (10 * MAX_PAYLOAD_BYTES))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
        assert main(["validate", "--kind", "ack", "-"]) == Exit.INVALID
        assert source.tell() == MAX_PAYLOAD_BYTES + 1
        assert "message.too_large" in capsys.readouterr().out

    def test_a_payload_of_just_the_limit_is_read(self, write: Callable[..., str]) -> None:
        payload = json.dumps(EXAMPLES[Kind.ACK]).encode()
        assert main(["validate", "--kind", "ack", write(payload.ljust(MAX_PAYLOAD_BYTES))]) == Exit.OK
        assert main(["validate", "--kind", "ack", write(payload.ljust(MAX_PAYLOAD_BYTES + 1))]) == Exit.INVALID

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(st.binary(max_size=200), st.sampled_from(Kind), st.sampled_from(["validate", "decode", "encode"]))
    def test_any_bytes_get_an_answer(self, monkeypatch: Any, payload: bytes, kind: Kind, command: str) -> None:
        with monkeypatch.context() as patch:
            feed(patch, payload)
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
            assert main([command, "--kind", kind, "-"]) in {Exit.OK, Exit.INVALID}


class TestDecode:
    @pytest.mark.parametrize("kind", Kind)
    def test_every_member_that_is_there_is_shown(self, kind: Kind, write: Callable[..., str], capsys: Any) -> None:
        assert main(["decode", "--kind", kind, write(EXAMPLES[kind])]) == Exit.OK
        shown = capsys.readouterr().out
        for name in ("schedule_id", "device_id", "status", "trace_id", "timestamp", "model", "firmware", "library"):
            assert EXAMPLES[kind].get(name, "") in shown

    def test_a_schedule_is_shown_in_watts_and_utc_with_its_digest(self, write: Callable[..., str], capsys: Any) -> None:
        body = json.dumps(EXAMPLES[Kind.SCHEDULE]).replace("T10:00:00Z", "T11:00:00+01:00").encode()
        assert main(["decode", "--kind", "schedule", write(body)]) == Exit.OK
        lines = capsys.readouterr().out.splitlines()
        message = decode(body, Kind.SCHEDULE)
        assert f"digest          {digest(message)}" in lines  # type: ignore[arg-type]
        assert "charging        37,500 Wh" in lines
        assert "discharging     60,250 Wh" in lines
        assert "slot 2          2018-07-01T11:00:00Z     -120,500 W  DISCHARGE" in lines
        assert any(line.startswith("slot 0          2018-07-01T10:00:00Z      +75,000 W") for line in lines)

    def test_the_code_of_a_reason_says_whether_it_is_worth_trying_again(self, write: Callable[..., str], capsys: Any) -> None:
        for reason, answer in (("store.full: no room", "yes"), ("limit.power: too much", "no"), ("broken", None)):
            main(["decode", "--kind", "ack", write({**EXAMPLES[Kind.ACK], "status": "FAILED", "error_reason": reason})])
            found = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("retryable")]
            assert found == ([] if answer is None else [answer])

    @given(messages)
    def test_json_holds_the_message_itself(self, message: Message) -> None:
        kind = BY_TYPE[type(message)].kind
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, encode(message))
            patch.setattr(sys, "stdout", out := io.StringIO())
            assert main(["decode", "--json", "--kind", kind, "-"]) == Exit.OK
        assert out.getvalue().isascii()
        document = json.loads(out.getvalue())
        assert decode(json.dumps(document["message"]).encode(), kind) == message
        assert document["size_bytes"] == len(encode(message))

    @given(schedules(max_slots=3))
    def test_json_of_a_schedule_holds_its_digest_and_watts(self, schedule: Schedule) -> None:
        with pytest.MonkeyPatch.context() as patch:
            feed(patch, encode(schedule))
            patch.setattr(sys, "stdout", out := io.StringIO())
            main(["decode", "--json", "--kind", "schedule", "-"])
        document = json.loads(out.getvalue())
        assert document["digest"] == digest(schedule)
        assert document["rates_w"] == [slot.rate_w for slot in schedule.intervals]

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
        hello = {**EXAMPLES[Kind.HELLO], "model": hostile, "content_types": [hostile], hostile: hostile}
        ack = {**EXAMPLES[Kind.ACK], "error_reason": hostile, "trace_id": hostile}
        doubled = f"{{{json.dumps(hostile)}: 1, {json.dumps(hostile)}: 2}}".encode()
        name = write(hello, "file\x1b[2J")
        for arguments in (
            ["decode", "--kind", "hello", name],
            ["decode", "--json", "--kind", "hello", name],
            ["validate", "--kind", "hello", name, "\x1b[2J"],
            ["decode", "--kind", "ack", write(ack)],
            ["validate", "--kind", "ack", write(doubled)],
            ["decode", "--kind", "ack", write(doubled)],
            ["topic", "parse", f"devices/{hostile}/ack"],
            ["topic", "build", hostile, "ack"],
            ["topic", "match", f"a/#{hostile}", "a"],
            ["schema", "--check", hostile],
        ):
            main(arguments)
            shown = capsys.readouterr()
            for char in shown.out + shown.err:
                assert char == "\n" or char.isprintable(), (arguments, char)


class TestEncode:
    @pytest.mark.parametrize("kind", Kind)
    def test_the_payload_is_what_encode_writes(self, kind: Kind, write: Callable[..., str], capfdbinary: Any) -> None:
        loose = json.dumps({"unknown": [1], **EXAMPLES[kind]}, indent=4).encode()
        assert main(["encode", "--kind", kind, write(loose)]) == Exit.OK
        assert capfdbinary.readouterr().out == encode(decode(loose, kind))

    def test_json_tells_where_the_payload_goes(self, write: Callable[..., str], capsys: Any) -> None:
        assert main(["encode", "--json", "--kind", "execution_result", write(EXAMPLES[Kind.EXECUTION_RESULT])]) == Exit.OK
        document = json.loads(capsys.readouterr().out)
        assert document["topic"] == "devices/max300-0001/execution"
        assert document["content_type"] == "application/json"
        assert json.loads(document["payload"]) == EXAMPLES[Kind.EXECUTION_RESULT]
        assert document["size_bytes"] == len(document["payload"])

    def test_what_is_not_valid_is_not_encoded(self, write: Callable[..., str], capsys: Any) -> None:
        assert main(["encode", "--kind", "schedule", write(broken_schedule())]) == Exit.INVALID
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "/intervals/2/end: time.bad_duration" in shown.err

    def test_a_payload_that_a_terminal_could_act_on_is_not_sent_to_one(
        self, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert main(["encode", "--kind", "ack", write({**EXAMPLES[Kind.ACK], "error_reason": "\x9b31m"})]) == Exit.USAGE
        assert capsys.readouterr().out == ""
        assert main(["encode", "--kind", "ack", write(EXAMPLES[Kind.ACK])]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == EXAMPLES[Kind.ACK]


class TestTopic:
    @pytest.mark.parametrize(
        ("arguments", "status", "out"),
        [
            (["build", "a", "ack"], Exit.OK, "devices/a/ack\n"),
            (["build", "a", "ack", "--root", "acme/gb"], Exit.OK, "acme/gb/a/ack\n"),
            (["build", "a/b", "ack"], Exit.INVALID, ""),
            (["parse", "devices/a/ack"], Exit.OK, "device a, channel ack (to cloud)\n"),
            (["parse", "x/a/schedule", "--root", "x"], Exit.OK, "device a, channel schedule (to device)\n"),
            (["parse", "x/a/schedule"], Exit.INVALID, ""),
            (["match", "devices/+/ack", "devices/a/ack"], Exit.OK, "matches\n"),
            (["match", "$share/g/devices/#", "devices/a/ack"], Exit.OK, "matches\n"),
            (["match", "devices/+/ack", "devices/a/hello"], Exit.INVALID, "does not match\n"),
            (["match", "a/#/b", "a"], Exit.INVALID, ""),
        ],
    )
    def test_topics_by_the_rules(self, arguments: list[str], status: Exit, out: str, capsys: Any) -> None:
        assert main(["topic", *arguments]) == status
        shown = capsys.readouterr()
        assert shown.out == out
        assert bool(shown.err) is (out == "")

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["build", "a", "ack"], {"valid": True, "topic": "devices/a/ack"}),
            (
                ["parse", "devices/a/hello"],
                {
                    "valid": True,
                    "device_id": "a",
                    "channel": "hello",
                    "direction": "to_cloud",
                    "retained": True,
                    "qos": 1,
                    "since": 1,
                },
            ),
            (["match", "#", "a"], {"valid": True, "matches": True}),
        ],
    )
    def test_json(self, arguments: list[str], expected: dict[str, Any], capsys: Any) -> None:
        assert main(["topic", *arguments, "--json"]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == expected

    def test_json_of_a_refusal_has_its_code(self, capsys: Any) -> None:
        assert main(["topic", "parse", "a", "--json"]) == Exit.INVALID
        assert json.loads(capsys.readouterr().out)["problem"]["code"] == "message.invalid_topic"


class TestSchema:
    @pytest.mark.parametrize("kind", Kind)
    def test_a_schema_is_printed(self, kind: Kind, capsys: Any) -> None:
        assert main(["schema", kind]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == schema.load(kind)

    def test_all_of_them_are_listed(self, capsys: Any) -> None:
        assert main(["schema", "--list"]) == Exit.OK
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(Kind)
        assert main(["schema", "--list", "--json"]) == Exit.OK
        assert [row["path"] for row in json.loads(capsys.readouterr().out)] == [f"v1/{kind}.schema.json" for kind in Kind]

    def test_what_is_written_is_found_in_order(self, tmp_path: Path, capsys: Any) -> None:
        folder = tmp_path / "new" / "schemas"
        assert main(["schema", "--write", str(folder)]) == Exit.OK
        assert capsys.readouterr().out.count("wrote") == len(Kind) + 1
        assert main(["schema", "--check", str(folder)]) == Exit.OK
        capsys.readouterr()
        assert main(["schema", "--write", str(folder), "--json"]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == {"valid": True, "drift": [], "written": []}

    def test_drift_is_shown_as_a_diff_and_mended_by_writing(self, tmp_path: Path, capsys: Any) -> None:
        main(["schema", "--write", str(tmp_path)])
        path = tmp_path / "v1" / "ack.schema.json"
        path.write_text(path.read_text().replace("256", "255"))
        capsys.readouterr()
        assert main(["schema", "--check", str(tmp_path)]) == Exit.INVALID
        shown = capsys.readouterr()
        assert '-      "maxLength": 255' in shown.out
        assert "schema --write" in shown.err
        assert main(["schema", "--check", str(tmp_path), "--json"]) == Exit.INVALID
        assert [item["path"] for item in json.loads(capsys.readouterr().out)["drift"]] == ["v1/ack.schema.json"]
        assert main(["schema", "--write", str(tmp_path)]) == Exit.OK

    def test_other_files_of_the_folder_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "asyncapi.yaml").write_text("asyncapi: 3.0.0\n")
        assert main(["schema", "--write", str(tmp_path)]) == Exit.OK
        assert (tmp_path / "asyncapi.yaml").read_text() == "asyncapi: 3.0.0\n"

    def test_a_release_pins_and_writing_again_keeps_the_pins(self, tmp_path: Path) -> None:
        assert main(["schema", "--write", str(tmp_path), "--release", "1"]) == Exit.OK
        assert main(["schema", "--write", str(tmp_path)]) == Exit.OK
        assert list(json.loads((tmp_path / PINS).read_text())["released"]) == ["1"]

    def test_a_folder_or_pins_that_cannot_be_read_are_a_usage_error(self, tmp_path: Path, capsys: Any) -> None:
        assert main(["schema", "--check", str(tmp_path / "missing")]) == Exit.USAGE
        (tmp_path / PINS).write_text("[]")
        assert main(["schema", "--check", str(tmp_path)]) == Exit.USAGE
        assert main(["schema", "--write", str(tmp_path)]) == Exit.USAGE
        (tmp_path / PINS).write_bytes(b"\xff")
        assert main(["schema", "--check", str(tmp_path)]) == Exit.USAGE
        assert main(["schema", "schedule", "--release", "1"]) == Exit.USAGE
        assert capsys.readouterr().out == ""

    def test_it_needs_no_jsonschema(self) -> None:
        block = "import sys; sys.modules['jsonschema'] = None; from allye_protocol.__main__ import main; sys.exit(main())"
        found = subprocess.run([sys.executable, "-c", block, "schema", "ack"], capture_output=True, check=True)
        assert json.loads(found.stdout) == schema.load(Kind.ACK)


class TestVersion:
    def test_it_names_what_is_installed(self, capsys: Any) -> None:
        assert main(["version"]) == Exit.OK
        assert f"allye-protocol     {allye_protocol.__version__}" in capsys.readouterr().out.splitlines()
        assert main(["version", "--json"]) == Exit.OK
        document = json.loads(capsys.readouterr().out)
        assert document["allye_protocol"] == allye_protocol.__version__
        assert document["protocol_versions"] == [1]
        assert set(document["extras"]) == {"mqtt", "schema"}

    def test_it_says_how_to_install_what_is_missing(self, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        monkeypatch.setattr("allye_protocol.cli.main.find_spec", lambda _: None)
        main(["version"])
        assert 'mqtt: pip install "allye-protocol[mqtt]"' in capsys.readouterr().out


COMMANDS = [
    [],
    ["validate"],
    ["decode"],
    ["encode"],
    ["topic"],
    ["topic", "build"],
    ["topic", "parse"],
    ["topic", "match"],
    ["schema"],
    ["version"],
]


class TestEdges:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_every_command_has_help_with_examples(self, command: list[str], capsys: Any) -> None:
        with pytest.raises(SystemExit) as caught:
            main([*command, "--help"])
        assert caught.value.code == Exit.OK
        shown = capsys.readouterr().out
        assert "exit status" in shown
        assert f"  allye-protocol {' '.join(command)}".rstrip() + " " in f"{shown} ".replace("\n", " \n")

    def test_every_example_of_the_help_is_a_command_line_that_is_understood(self, capsys: Any) -> None:
        lines = []
        for command in COMMANDS:
            with pytest.raises(SystemExit):
                main([*command, "--help"])
            lines += [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  allye-protocol ")]
        assert len(lines) >= len(COMMANDS)
        for line in lines:
            words = line.replace("'", "").split()[1:]
            end = next((index for index, word in enumerate(words) if word in {"|", ">", "<"}), None)
            parser().parse_args(words[:end])

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["explode"],
            ["validate"],
            ["validate", "x"],
            ["validate", "--kind", "plan", "x"],
            ["decode", "--kind", "ack"],
            ["topic"],
            ["topic", "build", "a", "nothing"],
            ["schema"],
            ["schema", "ack", "--list"],
            ["schema", "ack", "--protocol-version", "9"],
            ["version", "\x1b[2J"],
        ],
    )
    def test_arguments_amiss_are_a_usage_error(self, arguments: list[str], capsys: Any) -> None:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == Exit.USAGE
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "usage: allye-protocol" in shown.err
        assert "\x1b" not in shown.err

    def test_as_a_process_it_reads_a_pipe_and_answers_by_its_status(self) -> None:
        good = run("validate", "--kind", "ack", "-", stdin=json.dumps(EXAMPLES[Kind.ACK]).encode())
        assert (good.returncode, good.stderr) == (0, b"")
        bad = run("validate", "--kind", "ack", "-", stdin=b"\xff\xfe")
        assert (bad.returncode, bad.stderr) == (1, b"")
        assert run("validate", "--kind", "ack", "no such file").returncode == 2

    def test_encode_and_decode_make_a_pipe(self) -> None:
        loose = json.dumps(EXAMPLES[Kind.SCHEDULE], indent=2).encode()
        payload = run("encode", "--kind", "schedule", "-", stdin=loose).stdout
        assert payload == encode(decode(loose, Kind.SCHEDULE))
        shown = json.loads(run("decode", "--json", "--kind", "schedule", "-", stdin=payload).stdout)
        assert shown["message"] == EXAMPLES[Kind.SCHEDULE]

    def test_text_beyond_the_outputs_encoding_is_escaped(self) -> None:
        command = [sys.executable, "-m", "allye_protocol", "decode", "--kind", "hello", "-"]
        body = json.dumps({**EXAMPLES[Kind.HELLO], "model": "Speicher \u00df \U0001f50b"}).encode()
        found = subprocess.run(
            command,
            input=body,
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        assert b"model           Speicher \\xdf \\U0001f50b" in found.stdout

    def test_a_reader_that_goes_away_is_no_error_message(self, write: Callable[..., str]) -> None:
        name = write(EXAMPLES[Kind.SCHEDULE])
        command = [sys.executable, "-m", "allye_protocol", "validate", "--kind", "schedule", *[name] * 2000]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(DEADLINE_S) == Exit.BROKEN_PIPE

    def test_an_interrupt_ends_it_quietly(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "allye_protocol", "validate", "--kind", "ack", str(tmp_path / "missing"), "-"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert b"cannot read" in process.stderr.readline()  # from here on it waits for its input
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == Exit.INTERRUPTED
            assert process.stderr.read() == b""

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
    def test_an_output_that_is_full_is_said_so(self) -> None:
        with open("/dev/full", "wb") as full:  # noqa: PTH123
            command = [sys.executable, "-m", "allye_protocol", "version"]
            found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
        assert found.returncode == Exit.USAGE
        assert found.stderr == b"allye-protocol: cannot write: No space left on device\n"
