"""``validate`` and ``decode``: payloads in, verdicts and readable messages out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from allye_protocol.cli.readable import readable
from allye_protocol.cli.streams import Exit, UsageError, complain, problem_line, put, put_json, read
from allye_protocol.codec import ENCODINGS, MAX_PAYLOAD_BYTES, content_type_of, decode, problems
from allye_protocol.codec.tolerant import ORDERS, decode_tolerant
from allye_protocol.convert import upgrade
from allye_protocol.digest import digest
from allye_protocol.errors import DecodeError, ErrorCode, Problem
from allye_protocol.messages import Kind, Schedule
from allye_protocol.messages.registry import BY_TYPE

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands
    from allye_protocol.codec.tolerant import Deviation
    from allye_protocol.messages import Written

__all__ = ["Read", "add", "add_kind", "problem_document", "read_message"]


class Read(NamedTuple):
    """A message as it was read.

    :param message: as it is written, of its version.
    :param content_type: the encoding that it was read by.
    :param size_bytes: the payload's size.
    """

    message: Written
    content_type: str
    size_bytes: int


def add(commands: Commands) -> None:
    """Add the two commands."""
    validate = commands.add(
        "validate",
        _validate,
        "check payloads and list everything that is wrong with them",
        "Every problem is one line: file, place as a JSON Pointer, code, message. How members fit together (slots one after "
        "another, modes and signs) is looked at once each member by itself is right.",
        [
            "validate --kind schedule plan.json",
            "validate --kind ack --json acks/*.json",
            "validate --kind ack --tolerant third-party-ack.json",
            "mosquitto_sub ... -C 1 -N | allye-protocol validate --kind hello -",
        ],
    )
    add_kind(validate, "--content-type")
    validate.add_argument(
        "--tolerant",
        action="store_true",
        help="read what devices say as a tolerant cloud does, and list what they do otherwise; not for schedules and cancels",
    )
    validate.add_argument("files", nargs="+", metavar="FILE", help="a payload; - for the standard input")
    decode_ = commands.add(
        "decode",
        _decode,
        "show a payload in a normalised, readable form",
        "Any version and encoding. Times are in UTC, powers in W with + for charging; a schedule comes with the digest of what "
        "it means. With --json the message has the members of its JSON form, whatever it was written in.",
        [
            "decode --kind schedule plan.json",
            "decode --kind execution_result --json - < result.json",
            "decode --kind ack --content-type application/protobuf ack.bin",
        ],
    )
    add_kind(decode_, "--content-type")
    decode_.add_argument("file", metavar="FILE", help="a payload; - for the standard input")


def add_kind(parser: argparse.ArgumentParser, content_type: str) -> None:
    """Add the options that say what a payload is.

    :param content_type: how the option for its encoding is called.
    """
    kinds = [kind.value for kind in Kind]
    parser.add_argument(
        "--kind", required=True, metavar="KIND", choices=kinds, help=f"what the payload should be: {', '.join(kinds)}"
    )
    parser.add_argument(
        content_type,
        dest="read_as",
        metavar="TYPE",
        choices=list(ENCODINGS),
        help=f"encoding of the payload: {', '.join(ENCODINGS)} (default: its first byte says)",
    )


def read_message(args: argparse.Namespace) -> Read | None:
    """The message of the command's file, or nothing once its problems have been printed."""
    payload = read(args.file)
    found = _check(payload, args.kind, args.read_as)
    if not found:
        return Read(decode(payload, args.kind, args.read_as), content_type_of(payload, args.read_as), len(payload))
    if args.json:
        put_json({"kind": args.kind, "valid": False, "problems": [problem_document(problem) for problem in found]})
    else:
        for problem in found:
            complain(problem_line(args.file, problem))
    return None


def problem_document(problem: Problem) -> dict[str, Any]:
    """A problem as programs read it."""
    return {**msgspec.to_builtins(problem), "retryable": problem.code.retryable}


def _check(payload: bytes, kind: str, content_type: str | None) -> list[Problem]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        # Of a longer input one byte more is read, so its size is not known.
        message = f"more than {MAX_PAYLOAD_BYTES} bytes; a payload has at most so many"
        return [Problem(code=ErrorCode.MESSAGE_TOO_LARGE, message=message, details={"limit_bytes": MAX_PAYLOAD_BYTES})]
    return problems(payload, kind, content_type)


def _read_tolerantly(payload: bytes, args: argparse.Namespace) -> tuple[list[Problem], tuple[Deviation, ...]]:
    """What is wrong with a payload for a tolerant reader, and what it does otherwise than the protocol says."""
    found = _check(payload, args.kind, args.read_as)
    if not args.tolerant or len(payload) > MAX_PAYLOAD_BYTES:
        return found, ()
    try:
        return [], decode_tolerant(payload, args.kind, args.read_as).deviations
    except DecodeError:
        return found, ()


def _deviation_line(name: str, deviation: Deviation) -> str:
    taken = "is ignored" if deviation.taken is None else f"is taken for {json.dumps(deviation.taken)}"
    return f"{name}: {deviation.path or '(whole message)'}: {deviation.code}: {json.dumps(deviation.found)} {taken}"


def _validate(args: argparse.Namespace) -> Exit:
    if args.tolerant and args.kind in ORDERS:
        raise UsageError(f"a {args.kind} is read strictly or not at all: leave --tolerant out")
    verdicts: list[dict[str, Any]] = []
    for name in args.files:
        try:
            found, deviations = _read_tolerantly(read(name), args)
        except UsageError as error:
            verdicts.append({"file": name, "valid": None, "error": str(error)})
            complain(f"allye-protocol validate: {error}")
            continue
        verdicts.append({"file": name, "valid": not found, "problems": [problem_document(problem) for problem in found]})
        if args.tolerant:
            verdicts[-1]["deviations"] = deviations
        if not args.json:
            verdict = [problem_line(name, problem) for problem in found] or [f"{name}: valid"]
            for line in [*(_deviation_line(name, deviation) for deviation in deviations), *verdict]:
                put(line)
    valid, invalid = ([verdict["valid"] for verdict in verdicts].count(which) for which in (True, False))
    unread = len(verdicts) - valid - invalid
    if args.json:
        put_json({"kind": args.kind, "valid": valid == len(verdicts), "files": verdicts})
    else:
        listed = sum(len(verdict.get("problems", ())) for verdict in verdicts)
        problems_ = f"{listed} problem{'' if listed == 1 else 's'}"
        put(f"{len(verdicts)} checked as {args.kind}: {valid} valid, {invalid} invalid, {unread} not read; {problems_}")
    if unread:
        return Exit.USAGE
    return Exit.INVALID if invalid else Exit.OK


def _decode(args: argparse.Namespace) -> Exit:
    found = read_message(args)
    if found is None:
        return Exit.INVALID
    if not args.json:
        for line in readable(found.message):
            put(line)
        return Exit.OK
    document = {
        "kind": args.kind,
        "valid": True,
        "version": BY_TYPE[type(found.message)].version or None,
        "content_type": found.content_type,
        "size_bytes": found.size_bytes,
        "message": found.message,
    }
    newest = upgrade(found.message)
    if isinstance(newest, Schedule):
        document |= {"digest": digest(newest), "rates_w": newest.rates_w}
    put_json(document)
    return Exit.OK
