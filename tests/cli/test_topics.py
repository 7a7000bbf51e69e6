"""``topic``: what devices and cloud do with topics, from a shell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allye_protocol.cli.main import main
from allye_protocol.cli.streams import Exit
from allye_protocol.topics import cloud_filters


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
            (["filters", "--device", "a", "--protocol-version", "1"], Exit.OK, "devices/a/schedule\n"),
            (["filters", "--device", "a", "--root", "x"], Exit.OK, "x/a/schedule\nx/a/cancel\n"),
            (["filters", "--protocol-version", "1"], Exit.OK, "devices/+/ack\ndevices/+/execution\ndevices/+/hello\n"),
            (["filters", "--device", "a/b"], Exit.INVALID, ""),
            (["filters", "--group", "a/b"], Exit.INVALID, ""),
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
            (["filters", "--device", "a", "--protocol-version", "1"], {"valid": True, "filters": ["devices/a/schedule"]}),
            (["filters", "--group", "g"], {"valid": True, "filters": list(cloud_filters(group="g"))}),
        ],
    )
    def test_json(self, arguments: list[str], expected: dict[str, Any], capsys: Any) -> None:
        assert main(["topic", *arguments, "--json"]) == Exit.OK
        assert json.loads(capsys.readouterr().out) == expected

    def test_json_of_a_refusal_has_its_code(self, capsys: Any) -> None:
        assert main(["topic", "parse", "a", "--json"]) == Exit.INVALID
        assert json.loads(capsys.readouterr().out)["problem"]["code"] == "message.invalid_topic"
