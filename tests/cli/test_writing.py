"""``encode`` and ``convert``: canonical payloads in any encoding and version, and what is lost on the way."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from allye_protocol import codec
from allye_protocol.cli.main import main
from allye_protocol.cli.streams import Exit
from allye_protocol.codec import ENCODINGS
from allye_protocol.convert import decode, downgrade
from allye_protocol.digest import digest
from allye_protocol.messages import Kind, Schedule
from tests.cli.shell import EXAMPLES, NEWEST_EXAMPLES, broken_schedule, run

if TYPE_CHECKING:
    from collections.abc import Callable

BINARY = [content_type for content_type in ENCODINGS if content_type != codec.DEFAULT_CONTENT_TYPE]


class TestEncode:
    @pytest.mark.parametrize("kind", Kind)
    def test_the_payload_is_what_encode_writes(self, kind: Kind, write: Callable[..., str], capfdbinary: Any) -> None:
        loose = json.dumps({"unknown": [1], **NEWEST_EXAMPLES[kind]}, indent=4).encode()
        assert main(["encode", "--kind", kind, write(loose)]) == Exit.OK
        assert capfdbinary.readouterr().out == codec.encode(codec.decode(loose, kind))

    def test_json_tells_where_the_payload_goes(self, write: Callable[..., str], capsys: Any) -> None:
        assert main(["encode", "--json", "--kind", "execution_result", write(EXAMPLES[Kind.EXECUTION_RESULT, 2])]) == Exit.OK
        document = json.loads(capsys.readouterr().out)
        assert document["topic"] == "devices/max300-0001/execution"
        assert document["content_type"] == "application/json"
        assert json.loads(document["payload"]) == EXAMPLES[Kind.EXECUTION_RESULT, 2]
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
        assert main(["encode", "--kind", "ack", write({**EXAMPLES[Kind.ACK, 1], "error_reason": "\x9b31m"})]) == Exit.USAGE
        assert capsys.readouterr().out == ""
        assert main(["encode", "--kind", "ack", write(EXAMPLES[Kind.ACK, 1])]) == Exit.OK
        shown = capsys.readouterr().out
        assert json.loads(shown) == EXAMPLES[Kind.ACK, 1]
        assert shown.endswith("}\n")  # the shell's prompt is not to stand behind it; a pipe gets the payload alone

    @pytest.mark.parametrize("content_type", BINARY)
    @pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.HELLO])
    def test_a_binary_payload_goes_to_a_pipe_a_file_and_json_unharmed(
        self, kind: Kind, content_type: str, write: Callable[..., str], capfdbinary: Any
    ) -> None:
        name = write(NEWEST_EXAMPLES[kind])
        target = Path(name).with_name("out")
        expected = codec.encode(codec.decode(Path(name).read_bytes(), kind), content_type)
        arguments = ["encode", "--kind", kind, "--content-type", content_type, name]
        assert main(arguments) == Exit.OK
        assert capfdbinary.readouterr().out == expected
        assert main([*arguments, "--output", str(target)]) == Exit.OK
        assert target.read_bytes() == expected
        assert main([*arguments, "--json"]) == Exit.OK
        document = json.loads(capfdbinary.readouterr().out)
        assert base64.b64decode(document["payload_base64"]) == expected
        assert (document["size_bytes"], document["content_type"], document["version"]) == (len(expected), content_type, 2)
        assert "payload" not in document

    @pytest.mark.parametrize("content_type", BINARY)
    def test_what_an_encoding_cannot_write_is_refused(self, content_type: str, write: Callable[..., str], capsys: Any) -> None:
        assert main(["encode", "--kind", "ack", "--content-type", content_type, write(EXAMPLES[Kind.ACK, 1])]) == Exit.INVALID
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "version.unsupported" in shown.err

    @pytest.mark.parametrize("content_type", BINARY)
    def test_a_binary_payload_is_not_sent_to_a_terminal(
        self, content_type: str, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        name = write(EXAMPLES[Kind.ACK, 2])
        assert main(["encode", "--kind", "ack", "--content-type", content_type, name]) == Exit.USAGE
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "--output" in shown.err

    def test_an_output_that_cannot_be_written_is_a_usage_error(self, write: Callable[..., str], tmp_path: Path) -> None:
        assert main(["encode", "--kind", "ack", write(EXAMPLES[Kind.ACK, 2]), "--output", str(tmp_path)]) == Exit.USAGE


class TestConvert:
    @pytest.mark.parametrize("kind", [Kind.SCHEDULE, Kind.ACK, Kind.EXECUTION_RESULT])
    def test_upgrading_is_what_decoding_gives(self, kind: Kind, write: Callable[..., str], capfdbinary: Any) -> None:
        name = write(EXAMPLES[kind, 1])
        assert main(["convert", "--kind", kind, "--to", "2", name]) == Exit.OK
        assert capfdbinary.readouterr().out == codec.encode(decode(Path(name).read_bytes(), kind))

    def test_a_schedule_means_the_same_in_both_versions(self, write: Callable[..., str], capfdbinary: Any) -> None:
        main(["convert", "--kind", "schedule", "--to", "1", write(EXAMPLES[Kind.SCHEDULE, 2])])
        older = capfdbinary.readouterr().out
        first, second = decode(older, Kind.SCHEDULE), decode(json.dumps(EXAMPLES[Kind.SCHEDULE, 2]).encode(), Kind.SCHEDULE)
        assert isinstance(first, Schedule)
        assert isinstance(second, Schedule)
        assert json.loads(older)["version"] == 1
        assert digest(first) == digest(second)

    @pytest.mark.parametrize("key", EXAMPLES, ids=lambda key: f"{key[0]}-{key[1]}")
    def test_a_message_of_the_version_stays_as_it_is(
        self, key: tuple[Kind, int], write: Callable[..., str], capfdbinary: Any
    ) -> None:
        name = write(EXAMPLES[key])
        assert main(["convert", "--kind", key[0], "--to", str(key[1] or 1), name]) == Exit.OK
        assert json.loads(capfdbinary.readouterr().out) == EXAMPLES[key]

    def test_losses_are_told_apart_from_the_payload(self, write: Callable[..., str], capfd: Any) -> None:
        name = write(EXAMPLES[Kind.ACK, 2])
        assert main(["convert", "--kind", "ack", "--to", "1", name]) == Exit.OK
        shown = capfd.readouterr()
        assert json.loads(shown.out)["status"] == "RECEIVED"
        message = codec.decode(Path(name).read_bytes(), Kind.ACK)
        expected = [loss.path for loss in downgrade(message, 1).losses]
        assert expected
        assert [line.split(": ")[2] for line in shown.err.splitlines()] == expected
        assert all(line.startswith("lost: ") for line in shown.err.splitlines())
        assert main(["convert", "--json", "--kind", "ack", "--to", "1", name]) == Exit.OK
        document = json.loads(capfd.readouterr().out)
        assert [loss["path"] for loss in document["losses"]] == expected
        assert json.loads(document["payload"])["status"] == "RECEIVED"

    def test_any_loss_can_be_refused(self, write: Callable[..., str], capsys: Any) -> None:
        name = write(EXAMPLES[Kind.ACK, 2])
        assert main(["convert", "--lossless", "--kind", "ack", "--to", "1", name]) == Exit.INVALID
        assert main(["convert", "--lossless", "--json", "--kind", "ack", "--to", "1", name]) == Exit.INVALID
        document = json.loads(capsys.readouterr().out)
        assert {problem["code"] for problem in document["problems"]} == {"version.downgrade_loses"}
        assert main(["convert", "--lossless", "--kind", "schedule", "--to", "2", write(EXAMPLES[Kind.SCHEDULE, 1])]) == Exit.OK

    @pytest.mark.parametrize(
        ("kind", "members", "path"),
        [
            ("schedule", {"dry_run": True}, "/dry_run"),
            ("schedule", {"rates_w": [1, None]}, "/rates_w"),
            ("schedule", {"soc_min_pct": 20.0}, "/soc_min_pct"),
            ("cancel", {}, "(whole message)"),
            ("device_status", {}, "(whole message)"),
        ],
    )
    def test_what_would_change_the_meaning_is_refused(
        self, kind: str, members: dict[str, Any], path: str, write: Callable[..., str], capsys: Any
    ) -> None:
        name = write({**NEWEST_EXAMPLES[Kind(kind)], **members})
        assert main(["convert", "--kind", kind, "--to", "1", name]) == Exit.INVALID
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(f"{name}: {path}: version.downgrade_loses: ")

    def test_what_is_not_valid_is_not_converted(self, write: Callable[..., str], capsys: Any) -> None:
        assert main(["convert", "--kind", "schedule", "--to", "2", write(broken_schedule())]) == Exit.INVALID
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "/device_id: message.invalid" in shown.err

    @pytest.mark.parametrize("content_type", BINARY)
    def test_processes_make_a_pipe_from_one_version_and_encoding_to_another_and_back(self, content_type: str) -> None:
        body = json.dumps(EXAMPLES[Kind.SCHEDULE, 1]).encode()
        up = run("convert", "--kind", "schedule", "--to", "2", "--content-type", content_type, "-", stdin=body)
        assert (up.returncode, up.stderr) == (0, b"")
        assert codec.content_type_of(up.stdout) == content_type
        shown = run("decode", "--kind", "schedule", "-", stdin=up.stdout)
        assert b"slot 2          2018-07-01T11:00:00Z     -120,500 W" in shown.stdout
        down = run("convert", "--kind", "schedule", "--to", "1", "-", stdin=up.stdout)
        # Version 2 has no place for version 1's own bound.
        assert json.loads(down.stdout) == {k: v for k, v in EXAMPLES[Kind.SCHEDULE, 1].items() if k != "max_power_kw"}
