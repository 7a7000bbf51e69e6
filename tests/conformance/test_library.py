"""This library passes every vector, and its answers are those of the line protocol."""

from __future__ import annotations

import pytest

from allye_protocol import codec
from allye_protocol.conformance.library import Library
from allye_protocol.conformance.report import FaultError, run
from allye_protocol.conformance.vectors import Section, load_sections

SECTIONS = load_sections()


@pytest.mark.parametrize("section", SECTIONS, ids=[section.name for section in SECTIONS])
def test_every_vector_of_a_section_passes(section: Section) -> None:
    report = run([section], Library())
    assert [f"{failure.name}: {failure.got}" for failure in report.failures] == []
    assert report.total.passed == len(section.vectors)


def test_it_claims_what_is_installed() -> None:
    claims = Library().describe()
    assert claims.versions == (1, 2)
    assert claims.content_types == tuple(codec.ENCODINGS)
    assert {vector.op for section in SECTIONS for vector in section.vectors} <= set(claims.ops)


def test_a_question_that_is_none_is_unsupported() -> None:
    assert Library().ask("guess", {}) == {"unsupported": "no op 'guess'"}


def test_a_bug_costs_its_vector_alone() -> None:
    with pytest.raises(FaultError, match="KeyError"):
        Library().ask("decode", {})


@pytest.mark.parametrize(("ours", "theirs", "upgrade"), [([2], [1], "peer"), ([1], [2], "this_side")])
def test_a_failed_negotiation_says_which_side_to_upgrade(ours: list[int], theirs: list[int], upgrade: str) -> None:
    sides = {name: {"versions": v, "content_types": ["application/json"]} for name, v in (("ours", ours), ("theirs", theirs))}
    answer = Library().ask("negotiate", sides)
    assert (answer["error"]["code"], answer["error"]["upgrade"]) == ("version.unsupported", upgrade)
