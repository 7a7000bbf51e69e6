"""The command as a whole: its help, its edges as a process, and that no argument gets the better of it."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import allye_protocol
from allye_protocol import codec
from allye_protocol.__main__ import main
from allye_protocol.cli.completion import levels
from allye_protocol.cli.main import parser
from allye_protocol.cli.streams import Exit
from allye_protocol.messages import Kind
from tests.cli.shell import DEADLINE_S, EXAMPLES, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a payload to a file and give its name."""

    def writer(payload: dict[str, Any], name: str = "payload") -> str:
        path = tmp_path / name
        path.write_text(json.dumps(payload))
        return str(path)

    return writer


class TestVersion:
    def test_it_names_what_is_installed(self, capsys: Any) -> None:
        assert main(["version"]) == Exit.OK
        assert f"allye-protocol     {allye_protocol.__version__}" in capsys.readouterr().out.splitlines()
        assert main(["version", "--json"]) == Exit.OK
        document = json.loads(capsys.readouterr().out)
        assert document["allye_protocol"] == allye_protocol.__version__
        assert document["protocol_versions"] == [1, 2]
        assert set(document["extras"]) == {"mqtt", "schema", "protobuf", "signing"}

    @pytest.mark.parametrize(
        "missing", [lambda _: None, lambda _: importlib.import_module("no.such")], ids=["it", "its parent"]
    )
    def test_it_says_how_to_install_what_is_missing(
        self, missing: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr("allye_protocol.cli.main.find_spec", missing)
        main(["version"])
        assert 'mqtt: pip install "allye-protocol[mqtt]"' in capsys.readouterr().out


COMMANDS = [path.split() for path, _ in levels(parser())]


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
            words = shlex.split(line)[1:]
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
            ["schema", "ack"],
            ["schema", "show", "plan"],
            ["schema", "show", "ack", "--version", "9"],
            ["schema", "diff", "a"],
            ["convert", "--kind", "ack", "x"],
            ["convert", "--kind", "ack", "--to", "9", "x"],
            ["encode", "--kind", "ack", "--content-type", "text/plain", "x"],
            ["topic", "filters", "--device", "a", "--group", "g"],
            ["completion", "fish"],
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
        good = run("validate", "--kind", "ack", "-", stdin=json.dumps(EXAMPLES[Kind.ACK, 1]).encode())
        assert (good.returncode, good.stderr) == (0, b"")
        bad = run("validate", "--kind", "ack", "-", stdin=b"\xff\xfe")
        assert (bad.returncode, bad.stderr) == (1, b"")
        assert run("validate", "--kind", "ack", "no such file").returncode == 2

    def test_encode_and_decode_make_a_pipe(self) -> None:
        loose = json.dumps(EXAMPLES[Kind.SCHEDULE, 1], indent=2).encode()
        payload = run("encode", "--kind", "schedule", "-", stdin=loose).stdout
        assert payload == codec.encode(codec.decode(loose, Kind.SCHEDULE))
        shown = json.loads(run("decode", "--json", "--kind", "schedule", "-", stdin=payload).stdout)
        assert shown["message"] == EXAMPLES[Kind.SCHEDULE, 1]

    def test_text_beyond_the_outputs_encoding_is_escaped(self) -> None:
        command = [sys.executable, "-m", "allye_protocol", "decode", "--kind", "hello", "-"]
        body = json.dumps({**EXAMPLES[Kind.HELLO, 0], "model": "Speicher \u00df \U0001f50b"}).encode()
        found = subprocess.run(
            command,
            input=body,
            capture_output=True,
            check=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
        )
        assert b"model           Speicher \\xdf \\U0001f50b" in found.stdout

    def test_a_reader_that_goes_away_is_no_error_message(self, write: Callable[..., str]) -> None:
        name = write(EXAMPLES[Kind.SCHEDULE, 1])
        command = [sys.executable, "-m", "allye_protocol", "validate", "--kind", "schedule", *[name] * 2000]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(DEADLINE_S) == Exit.BROKEN_PIPE

    def test_a_binary_payload_whose_reader_goes_away_ends_quietly(self, write: Callable[..., str]) -> None:
        body = {**EXAMPLES[Kind.SCHEDULE, 2], "rates_w": [75_000] * 336}
        arguments = ["encode", "--kind", "schedule", "--content-type", "application/vnd.msgpack", write(body)]
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.run(
            [sys.executable, "-m", "allye_protocol", *arguments], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        os.close(writer)
        assert (process.returncode, process.stderr) == (Exit.BROKEN_PIPE, b"")

    @pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
    @pytest.mark.parametrize(
        ("closed", "status", "said"),
        [
            ("<&-", Exit.USAGE, b"cannot read -: the standard input is closed"),
            (">&-", Exit.INVALID, b""),
            ("2>&-", Exit.INVALID, b""),
        ],
    )
    def test_a_stream_that_is_closed_is_no_traceback(self, closed: str, status: Exit, said: bytes) -> None:
        command = f"{shlex.quote(sys.executable)} -m allye_protocol validate --kind ack - {closed}"
        found = subprocess.run(["/bin/sh", "-c", command], input=b"{}", capture_output=True, check=False, timeout=DEADLINE_S)
        assert found.returncode == status
        assert said in found.stderr
        assert b"Traceback" not in found.stderr

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
