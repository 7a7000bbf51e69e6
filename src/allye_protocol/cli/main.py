"""The command line as a whole: its grammar, and the edge at which a process meets its shell."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.util import find_spec
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol import __version__
from allye_protocol.cli import completion, payloads, schemas, topics, vectors, writing
from allye_protocol.cli.grammar import HELP_COLUMNS, NAME, STATUS, Commands, Parser
from allye_protocol.cli.streams import Exit, UsageError, complain, fault, put, put_json
from allye_protocol.codec import ENCODINGS
from allye_protocol.messages import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "parser"]

EXAMPLES: Final = """\
examples:
  allye-protocol validate --kind schedule plan.json
  allye-protocol decode --json --kind ack - < ack.json
  allye-protocol convert --kind schedule --to 2 plan-v1.json
  allye-protocol topic parse devices/max300-0001/schedule
  allye-protocol schema show schedule"""
EXTRAS: Final = {"mqtt": "paho", "schema": "jsonschema", "protobuf": "google.protobuf", "signing": "cryptography"}
"""Each extra with a package that it installs."""


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    made = Parser(
        prog=NAME,
        description=fill(
            "Messages, topics and schemas of the Allye device protocol. Files may be - for the standard input.", HELP_COLUMNS
        ),
        epilog=f"{EXAMPLES}\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"{NAME} {__version__}")
    commands = Commands(made)
    for part in (payloads, writing, topics, schemas, vectors):
        part.add(commands)
    completion.add(commands, parser)
    commands.add(
        "version", _version, "print the versions of library, protocol and what is installed", "", ["version", "version --json"]
    )
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: the arguments without the program's name; ``None`` for the process's own.
    :returns: the exit status, see :class:`~allye_protocol.cli.streams.Exit`.
    :raises SystemExit: for ``--help``, ``--version`` and arguments amiss, as ``argparse`` does.
    """
    _give_closed_outputs_a_place()
    args = parser().parse_args(argv)
    run: Callable[[Any], Exit] = args.run
    try:
        status = run(args)
        sys.stdout.flush()
    except UsageError as error:
        complain(f"{NAME}: {error}")
        return Exit.USAGE
    except OSError as error:
        # Files are opened and read under a UsageError: what is left is an output that takes no more.
        return _output_lost(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    return status


def _give_closed_outputs_a_place() -> None:
    """Whoever closes an output wants the exit status alone, and still gets it."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - it stays open to the end


def _output_lost(error: OSError) -> Exit:
    """End quietly when the reader has gone, with a word when a disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    # The interpreter flushes once more at its end, and would complain of what cannot be written.
    os.dup2(nowhere, sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        os.dup2(nowhere, sys.stderr.fileno())
        return Exit.BROKEN_PIPE
    complain(f"{NAME}: cannot write: {fault(error)}")
    return Exit.USAGE


def _version(args: argparse.Namespace) -> Exit:
    facts: dict[str, Any] = {
        "allye-protocol": __version__,
        "protocol versions": list(VERSIONS),
        "content types": list(ENCODINGS),
        "extras": {extra: _is_installed(package) for extra, package in EXTRAS.items()},
        "msgspec": msgspec.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    if args.json:
        put_json({name.replace(" ", "_").replace("-", "_"): value for name, value in facts.items()})
        return Exit.OK
    shown = {extra: "installed" if there else f'pip install "{NAME}[{extra}]"' for extra, there in facts["extras"].items()}
    facts["extras"] = [f"{extra}: {state}" for extra, state in shown.items()]
    for name, value in facts.items():
        put(f"{name:<19}{', '.join(map(str, value)) if isinstance(value, list) else value}")
    return Exit.OK


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what the package would be in
        return False
