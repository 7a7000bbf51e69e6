"""``vectors``: check this library, or any other implementation, against the conformance vectors."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol.cli.streams import Exit, UsageError, put, put_json, standard_input
from allye_protocol.conformance import Library, Program, load_sections, run
from allye_protocol.conformance.report import FaultError

if TYPE_CHECKING:
    from allye_protocol.cli.grammar import Commands
    from allye_protocol.conformance import Report, Section

__all__ = ["add"]

_SHOWN_BYTES = 80
_LONGEST_S = 3600


def add(commands: Commands) -> None:
    """Add the command and what it can do."""
    vectors = commands.group(
        "vectors",
        "check an implementation of the protocol against the conformance vectors",
        "A vector is one question with the one right answer: a payload and its message or error, a topic, a digest, a sequence "
        "of deliveries. Without --command it is this library that is asked.",
        ["vectors run", "vectors run --command './their-program'", "vectors run --list --only 'v1-*'"],
    )
    running = vectors.add(
        "run",
        _run,
        "ask every vector and report; exit 1 when one that is claimed fails",
        "A program is asked on its standard input and answers on its standard output, one JSON object a line. What it does not "
        "claim is counted, never as passed. Exit 2: the program cannot be started, or does not say what it claims.",
        [
            "vectors run",
            "vectors run --command 'node allye.mjs' --only 'topic-*'",
            "vectors run --json --command ./firmware-check",
        ],
    )
    running.add_argument("--command", metavar="COMMAND", help="the program to ask, with its arguments; no shell is involved")
    running.add_argument(
        "--only",
        metavar="PATTERN",
        action="append",
        help="only vectors whose section/name, or section, matches; may be repeated",
    )
    running.add_argument("--list", action="store_true", help="list the vectors, ask nothing")
    running.add_argument(
        "--timeout-s", metavar="S", type=_timeout_s, default=10.0, help="longest wait for one answer, s (default: %(default)g)"
    )
    running.add_argument("--vectors", metavar="DIR", type=Path, help="other data files than those of this library")
    vectors.add(
        "serve",
        _serve,
        "answer the line protocol by this library",
        "For trying the line protocol by hand, and for comparing another implementation's answers with this one's.",
        ["vectors serve", "allye-protocol vectors run --command 'allye-protocol vectors serve'"],
        has_json=False,
    )


def _timeout_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_S:  # so is NaN refused
        raise argparse.ArgumentTypeError(f"the timeout is more than 0 s and at most {_LONGEST_S} s, not {text!r}")
    return seconds


def _run(args: argparse.Namespace) -> Exit:
    sections = _chosen(args)
    if args.list:
        return _list(sections, as_json=args.json)
    report = _report(sections, args)
    if args.json:
        total = msgspec.to_builtins(report.total)
        put_json({"conforms": report.conforms, "total": total, **msgspec.to_builtins(report)})
    else:
        for line in report.lines():
            put(line)
    return Exit.OK if report.conforms else Exit.INVALID


def _chosen(args: argparse.Namespace) -> list[Section]:
    try:
        sections = load_sections(args.vectors)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if not args.only:
        return list(sections)

    def is_chosen(name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in args.only)

    chosen = [
        msgspec.structs.replace(
            section, vectors=tuple(vector for vector in section.vectors if is_chosen(section.name) or is_chosen(vector.label))
        )
        for section in sections
    ]
    chosen = [section for section in chosen if section.vectors]
    if not chosen:
        raise UsageError(f"no vector matches {' or '.join(args.only)}: see vectors run --list")
    return chosen


def _list(sections: list[Section], *, as_json: bool) -> Exit:
    vectors = [vector for section in sections for vector in section.vectors]
    if as_json:
        put_json([{"section": v.section, "name": v.name, "why": v.why, "op": v.op} for v in vectors])
    else:
        for vector in vectors:
            put(f"{vector.label}: {vector.why}")
    return Exit.OK


def _report(sections: list[Section], args: argparse.Namespace) -> Report:
    try:
        if args.command is None:
            return run(sections, Library())
        command = shlex.split(args.command)
        if not command:
            raise UsageError("the command is empty")
        with Program(command, timeout_s=args.timeout_s) as program:
            return run(sections, program)
    except (FaultError, ValueError) as error:
        raise UsageError(f"{args.command}: {error}") from error


def _serve(_args: argparse.Namespace) -> Exit:
    library = Library()
    for line in standard_input():
        try:
            asked: dict[str, Any] = json.loads(line)
            number, op = asked.pop("id"), asked.pop("op")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"not a question of the line protocol: {line[:_SHOWN_BYTES]!r}") from error
        try:
            answer = library.ask(op, asked)
        except FaultError as error:
            answer = {"fault": str(error)}
        sys.stdout.write(json.dumps({"id": number, **answer}) + "\n")
        sys.stdout.flush()
    return Exit.OK
