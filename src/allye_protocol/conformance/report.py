"""A run: every vector that an implementation claims is asked, and what it answers is judged and counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from allye_protocol.conformance.judging import mismatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from allye_protocol.conformance.vectors import Section, Vector

__all__ = ["NOT_ASKED", "Claims", "Failure", "FaultError", "Implementation", "Report", "Tally", "run"]

_SHOWN_CHARS = 300
_LISTED = 200
NOT_ASKED = "not asked"
"""How the fault of an implementation begins that has been given up: such failures are counted for people, not listed."""


class FaultError(Exception):
    """An implementation that gave no answer of the line protocol: it ended, hung or printed something else."""


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What an implementation says that it can be asked.

    :param name: what it is, for the report.
    :param ops: the questions.
    :param versions: the protocol's major versions.
    :param content_types: the encodings.
    """

    name: str
    ops: tuple[str, ...]
    versions: tuple[int, ...]
    content_types: tuple[str, ...]

    def covers(self, vector: Vector) -> bool:
        """Whether a vector's question is among them."""
        return (
            vector.op in self.ops
            and set(vector.versions) <= set(self.versions)
            and set(vector.content_types) <= set(self.content_types)
        )


class Implementation(Protocol):
    """Whoever is asked."""

    def describe(self) -> Claims:
        """What it can be asked.

        :raises FaultError: it does not say so.
        """
        ...

    def ask(self, op: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Ask one question.

        :returns: an object with ``ok``, ``error`` or ``unsupported``.
        :raises FaultError: there is no such answer.
        """
        ...


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A vector that was answered wrongly, or not at all.

    :param op: what was asked.
    :param why: what the vector teaches.
    :param expected: the right answer, JSON-ready.
    :param got: how the answer differs.
    """

    section: str
    name: str
    op: str
    why: str
    expected: dict[str, Any]
    got: str


class Tally(msgspec.Struct, kw_only=True):
    """How one section went."""

    section: str
    passed: int = 0
    failed: int = 0
    not_claimed: int = 0


class Report(msgspec.Struct, kw_only=True):
    """What a run found.

    :param implementation: whose answers they are.
    """

    implementation: Claims
    tallies: list[Tally] = []
    failures: list[Failure] = []

    @property
    def total(self) -> Tally:
        """The sum of all sections."""
        sums = {name: sum(getattr(tally, name) for tally in self.tallies) for name in ("passed", "failed", "not_claimed")}
        return Tally(section="total", **sums)

    @property
    def conforms(self) -> bool:
        """Whether everything that is claimed passed, and something was."""
        return not self.total.failed and self.total.passed > 0

    def lines(self) -> Iterator[str]:
        """The report for people."""
        claims = self.implementation
        yield f"{claims.name}: versions {', '.join(map(str, claims.versions))}; {', '.join(claims.content_types)}"
        yield ""
        yield f"{'section':<22}{'passed':>8}{'failed':>8}{'not claimed':>13}"
        for tally in [*self.tallies, self.total]:
            yield f"{tally.section:<22}{tally.passed:>8}{tally.failed:>8}{tally.not_claimed:>13}"
        unasked = [failure for failure in self.failures if failure.got.startswith(NOT_ASKED)]
        asked = [failure for failure in self.failures if not failure.got.startswith(NOT_ASKED)]
        for failure in asked[:_LISTED]:
            yield ""
            yield f"FAILED {failure.section}/{failure.name}"
            yield f"  why       {failure.why}"
            yield f"  expected  {_shown(failure.expected)}"
            yield f"  got       {failure.got}"
        if len(asked) > _LISTED:
            yield f"and {len(asked) - _LISTED} more; --json lists all"
        if unasked:
            yield ""
            yield f"FAILED {len(unasked)} more, {unasked[0].got}"


def run(sections: Iterable[Section], implementation: Implementation) -> Report:
    """Ask everything that is claimed.

    :raises FaultError: the implementation cannot even be asked what it is.
    """
    claims = implementation.describe()
    report = Report(implementation=claims)
    for section in sections:
        tally = Tally(section=section.name)
        report.tallies.append(tally)
        for vector in section.vectors:
            got = _asked(vector, implementation) if claims.covers(vector) else _NOT_CLAIMED
            if got is _NOT_CLAIMED:
                tally.not_claimed += 1
            elif got is None:
                tally.passed += 1
            else:
                tally.failed += 1
                report.failures.append(_failure(vector, got))
    return report


_NOT_CLAIMED = "not claimed"


def _asked(vector: Vector, implementation: Implementation) -> str | None:
    """How the answer differs, ``None`` for the right one."""
    try:
        response = implementation.ask(vector.op, vector.parameters)
    except FaultError as error:
        return str(error)
    return _NOT_CLAIMED if "unsupported" in response else mismatch(vector, response)


def _failure(vector: Vector, got: str) -> Failure:
    expected = {"error": vector.error} if vector.error is not None else {"ok": vector.expect}
    return Failure(section=vector.section, name=vector.name, op=vector.op, why=vector.why, expected=expected, got=got)


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}... ({len(text)} characters)"
