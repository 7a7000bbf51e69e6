"""The demo as its user sees it: a process, its exit status and what it prints."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allye_demo.broker import BrokerKind, available_kinds

FAST = ("--speed", "14400")


def run(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "allye_demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )


def played(*arguments: str) -> dict[str, Any]:
    outcome = run(*FAST, "--json", *arguments)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    summary: dict[str, Any] = json.loads(outcome.stdout)
    return summary


@pytest.mark.parametrize(
    ("day", "half_hours", "schedules"),
    [("2018-03-25", 46, 2), ("2018-10-28", 50, 4)],
    ids=["clocks go forward", "clocks go back"],
)
def test_a_day_of_any_length_is_applied_executed_and_reported(day: str, half_hours: int, schedules: int) -> None:
    summary = played("--devices", "2", "--day", day)
    assert summary["ok"] is True
    assert summary["half_hours"] == half_hours
    assert summary["funnel"] == dict.fromkeys(("submitted", "sent", "received", "applied", "executed"), schedules)
    assert summary["reported"] == summary["slots"] == 2 * half_hours
    assert summary["succeeded"] == summary["slots"]
    assert summary["actual_margin_gbp"] == pytest.approx(summary["planned_margin_gbp"], rel=0.01)
    assert summary["price_source"] == "synthetic price curve, not market data"


@pytest.mark.parametrize("kind", list(BrokerKind))
def test_either_broker_carries_the_day(kind: BrokerKind) -> None:
    if kind not in available_kinds():
        pytest.skip(f"not installed: {kind}")
    summary = played("--devices", "2", "--broker", kind)
    assert (summary["broker"], summary["ok"]) == (kind, True)


def test_prices_come_from_a_file_and_logs_are_kept(tmp_path: Path) -> None:
    prices, folder = tmp_path / "prices.csv", tmp_path / "kept"
    rows = [
        f"2018-07-{day:02d} {hour:02d}:{minute:02d}:00,{5 + hour}" for day in (1, 2) for hour in range(24) for minute in (0, 30)
    ]
    prices.write_text("\n".join(["Date_Time,price (p/kWh)", *rows]) + "\n", encoding="utf-8")
    outcome = run(*FAST, "--devices", "1", "--prices", str(prices), "--keep", str(folder))
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "48 of 48 reported" in outcome.stdout
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    applied = [line for line in lines if line["event"] == "schedule_applied"]
    assert [line["device_id"] for line in applied] == ["max300-0001"]
    told = {line["trace_id"] for line in lines if line.get("schedule_id") == applied[0]["schedule_id"]}
    assert told == {applied[0]["trace_id"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--devices", "0"), "a number from 1 to 200"),
        (("--devices", "many"), "a number from 1 to 200"),
        (("--speed", "nan"), "a number from 1 to 20000"),
        (("--day", "28.10.2018"), "a date like 2018-10-28"),
        (("--zone", "Europe/Nowhere"), "Europe/Nowhere"),
        (("--prices", "no-such-file.csv"), "no-such-file.csv"),
        (("--day", "2011-12-30", "--zone", "Pacific/Apia"), "2011-12-30"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_bad_input_is_told_in_a_line_and_exits_2(arguments: tuple[str, ...], says: str) -> None:
    outcome = run(*arguments)
    assert outcome.returncode == 2
    assert says in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    outcome = run("--keep", str(tmp_path))
    assert outcome.returncode == 2
    assert "is not empty" in outcome.stderr
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "precious"
