"""Bytes in and text out: bounded reading, printing that is safe for a terminal, and what the exit status means."""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from allye_protocol.codec import MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from allye_protocol.errors import Problem

__all__ = [
    "Exit",
    "UsageError",
    "complain",
    "fault",
    "printable",
    "problem_line",
    "put",
    "put_json",
    "read",
    "standard_input",
]

STDIN = "-"


class Exit(IntEnum):
    """The exit status.

    A broken pipe and an interrupt end with what the shell reports for a process that died of the signal.
    """

    OK = 0
    INVALID = 1
    USAGE = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class UsageError(Exception):
    """The command cannot do what it was asked, whatever the data: a file that cannot be read or written, an option amiss."""


def read(name: str) -> bytes:
    """Read a payload.

    :param name: a file, or ``-`` for the standard input.
    :returns: the bytes; of a longer input one byte more than :data:`allye_protocol.codec.MAX_PAYLOAD_BYTES`, the rest unread.
    :raises UsageError: when it cannot be read.
    """
    try:
        if name == STDIN:
            return standard_input().read(MAX_PAYLOAD_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_PAYLOAD_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {name}: {fault(error)}") from error


def standard_input() -> BinaryIO:
    """The standard input.

    :raises UsageError: when the process was begun without one.
    """
    if sys.stdin is None:
        raise UsageError("cannot read -: the standard input is closed")
    return sys.stdin.buffer


def fault(error: OSError | ValueError) -> str:
    """What went wrong with a file, without the file's name."""
    return str(getattr(error, "strerror", None) or error)


def printable(text: str) -> str:
    """The text with every character that a terminal could act on, or that cannot be seen, as a backslash escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def put(line: str) -> None:
    """Print one line of text on the standard output."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """Print one line of text on the standard error output."""
    _write(sys.stderr, line)


def put_json(document: Any) -> None:
    """Print one JSON document on the standard output, in ASCII."""
    sys.stdout.write(json.dumps(msgspec.to_builtins(document), indent=2) + "\n")


def problem_line(name: str, problem: Problem) -> str:
    """A problem on one line, in the manner of compilers: file, place, code, message."""
    return f"{name}: {problem.path or '(whole message)'}: {problem.code}: {problem.message}"


def _write(stream: Any, line: str) -> None:
    encoding = stream.encoding or "utf-8"
    stream.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
