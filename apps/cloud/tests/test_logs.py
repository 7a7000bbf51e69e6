"""Log lines: JSON, in the clock's time, and harmless whatever a peer wrote."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog

from allye_cloud.logs import logger_to
from apps.cloud.tests.world import HandClock


def lines(write, level: str = "info") -> list[dict[str, Any]]:
    stream = io.StringIO()
    write(logger_to(stream, HandClock(), level))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_level_and_the_clocks_time() -> None:
    (line,) = lines(lambda log: log.info("happened", device_id="a"))
    assert line == {"event": "happened", "device_id": "a", "level": "info", "timestamp": "2018-06-30T18:00:00.000000Z"}


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31mred", "\u202ereversed", "\0", "x\u2028y"])
def test_what_could_forge_or_colour_a_line_is_replaced(text: str) -> None:
    (line,) = lines(lambda log: log.info("happened", reason=text))
    assert line["reason"].isprintable()
    assert len(line["reason"]) == len(text)


def test_a_long_text_is_cut() -> None:
    (line,) = lines(lambda log: log.info("happened", reason="x" * 10_000))
    assert line["reason"] == "x" * 512 + "..."


def test_ordinary_text_stays_as_it_is() -> None:
    (line,) = lines(lambda log: log.info("happened", reason="é \N{SNOWMAN} ok"))
    assert line["reason"] == "é \N{SNOWMAN} ok"


def test_lines_below_the_level_are_not_written() -> None:
    assert lines(lambda log: (log.debug("no"), log.info("no"), log.warning("yes")), "warning")[0]["event"] == "yes"
    assert len(lines(lambda log: (log.debug("no"), log.info("no"), log.warning("yes")), "warning")) == 1


def test_nothing_global_is_configured() -> None:
    lines(lambda log: log.info("happened"))
    assert not structlog.is_configured()
