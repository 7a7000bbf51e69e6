"""Log lines: JSON, UTC, and nothing in them that a peer could abuse."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from allye_device import logs
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.events import SecurityAlert


@pytest.fixture
def stream(noon):
    stream = io.StringIO()
    logs.configure(stream, lambda: noon)
    yield stream
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_the_devices_time(stream):
    structlog.get_logger().bind(device_id="max300-1").info("started", slots=3)
    assert json.loads(stream.getvalue()) == {
        "timestamp": "2026-03-01T12:00:00.000000Z",
        "device_id": "max300-1",
        "slots": 3,
        "event": "started",
        "level": "info",
    }


def test_text_of_peers_is_printable_and_short(stream):
    problem = Problem(code=ErrorCode.MESSAGE_WRONG_DEVICE, message="\x1b[2J\u202eevil\n" + "x" * 10_000)
    logs.say(structlog.get_logger(), SecurityAlert(topic="devices/a\nb/schedule", problem=problem))
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told["reason"].startswith("?[2J?evil?xxx")
    assert len(told["reason"]) == 500
    assert told["topic"] == "devices/a?b/schedule"
    assert (told["level"], told["code"]) == ("warning", "message.wrong_device")


def test_a_crash_is_told_with_its_traceback(stream):
    try:
        int("boom")
    except ValueError:
        structlog.get_logger().exception("crashed")
    told = json.loads(stream.getvalue())
    assert told["level"] == "error"
    assert "ValueError: invalid literal" in told["exception"]


def test_every_line_about_a_schedule_has_its_ids(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: stage.cloud.send(schedule(50)))
    stage.at(-3, lambda: stage.cloud.send(schedule(60)))
    stage.play(until=31)
    names = (
        "schedule_admitted",
        "schedule_applied",
        "schedule_repeated",
        "schedule_refused",
        "slot_started",
        "slot_ended",
    )
    told = {name: stage.lines(name) for name in names}
    assert [len(lines) for lines in told.values()] == [1] * len(names)
    for (line,) in told.values():
        assert (line["device_id"], line["schedule_id"]) == ("max300-1", "plan-a")
        assert line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
