"""``validate``, ``decode`` and ``encode``: payloads in, verdicts, readable messages and canonical payloads out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol.cli.readable import readable
from allye_protocol.cli.streams import Exit, UsageError, complain, printable, problem_line, put, put_json, read
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS, MAX_PAYLOAD_BYTES, decode, encode, problems
from allye_protocol.digest import digest
from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.messages import Kind, Schedule
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.topics import build

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands
    from allye_protocol.messages import Message

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the three commands."""
    validate = commands.add(
        "validate",
        _validate,
        "check payloads and list everything that is wrong with them",
        "Every problem is one line: file, place as a JSON Pointer, code, message. How members fit together (slots one after "
        "another, modes and signs) is looked at once each member by itself is right.",
        [
            "validate --kind schedule plan.json",
            "validate --kind ack --json acks/*.json",
            "mosquitto_sub ... -C 1 | allye-protocol validate --kind hello -",
        ],
    )
    _add_input(validate)
    validate.add_argument("files", nargs="+", metavar="FILE", help="a payload; - for the standard input")
    decode_ = commands.add(
        "decode",
        _decode,
        "show a payload in a normalised, readable form",
        "Times are in UTC, powers in W with + for charging; a schedule comes with the digest of what it means.",
        ["decode --kind schedule plan.json", "decode --kind execution_result --json - < result.json"],
    )
    _add_input(decode_)
    decode_.add_argument("file", metavar="FILE", help="a payload; - for the standard input")
    encode_ = commands.add(
        "encode",
        _encode,
        "write the canonical payload of a message that is given as JSON",
        "Any JSON that the protocol accepts will do: white space, any order, other offsets than Z, unknown members, nulls. The "
        "payload goes to the standard output as it belongs on the wire, without a newline behind it.",
        ["encode --kind schedule plan.json > payload", "encode --kind schedule - < plan.json | mosquitto_pub ... -s"],
    )
    encode_.add_argument("--kind", required=True, choices=[kind.value for kind in Kind], help="what the message is")
    encode_.add_argument(
        "--content-type", choices=list(ENCODINGS), default=DEFAULT_CONTENT_TYPE, help="encoding to write (default: %(default)s)"
    )
    encode_.add_argument("file", metavar="FILE", help="a message as JSON; - for the standard input")


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", required=True, choices=[kind.value for kind in Kind], help="what the payload should be")
    parser.add_argument(
        "--content-type", choices=list(ENCODINGS), help="encoding of the payload (default: its first byte says)"
    )


def _check(payload: bytes, kind: str, content_type: str | None) -> list[Problem]:
    if len(payload) > MAX_PAYLOAD_BYTES:
        # Of a longer input one byte more is read, so its size is not known.
        message = f"more than {MAX_PAYLOAD_BYTES} bytes; a payload has at most so many"
        return [Problem(code=ErrorCode.MESSAGE_TOO_LARGE, message=message, details={"limit_bytes": MAX_PAYLOAD_BYTES})]
    return problems(payload, kind, content_type)


def _validate(args: argparse.Namespace) -> Exit:
    verdicts: list[dict[str, Any]] = []
    for name in args.files:
        try:
            found = _check(read(name), args.kind, args.content_type)
        except UsageError as error:
            verdicts.append({"file": name, "valid": None, "error": str(error)})
            complain(f"allye-protocol validate: {error}")
            continue
        verdicts.append({"file": name, "valid": not found, "problems": [_as_json(problem) for problem in found]})
        if not args.json:
            for line in [problem_line(name, problem) for problem in found] or [f"{name}: valid"]:
                put(line)
    valid, invalid = ([verdict["valid"] for verdict in verdicts].count(which) for which in (True, False))
    unread = len(verdicts) - valid - invalid
    if args.json:
        put_json({"kind": args.kind, "valid": valid == len(verdicts), "files": verdicts})
    else:
        listed = sum(len(verdict.get("problems", ())) for verdict in verdicts)
        problems = f"{listed} problem{'' if listed == 1 else 's'}"
        put(f"{len(verdicts)} checked as {args.kind}: {valid} valid, {invalid} invalid, {unread} not read; {problems}")
    if unread:
        return Exit.USAGE
    return Exit.INVALID if invalid else Exit.OK


def _as_json(problem: Problem) -> dict[str, Any]:
    return {**msgspec.to_builtins(problem), "retryable": problem.code.retryable}


def _message(args: argparse.Namespace, content_type: str | None) -> tuple[Message, int] | None:
    """The message of the command's file and its size in bytes, or nothing once its problems have been printed."""
    payload = read(args.file)
    found = _check(payload, args.kind, content_type)
    if not found:
        return decode(payload, args.kind, content_type), len(payload)
    if args.json:
        put_json({"kind": args.kind, "valid": False, "problems": [_as_json(problem) for problem in found]})
    else:
        for problem in found:
            complain(problem_line(args.file, problem))
    return None


def _decode(args: argparse.Namespace) -> Exit:
    decoded = _message(args, args.content_type)
    if decoded is None:
        return Exit.INVALID
    message, size_bytes = decoded
    if not args.json:
        for line in readable(message):
            put(line)
        return Exit.OK
    document = {
        "kind": args.kind,
        "valid": True,
        "version": BY_TYPE[type(message)].version or None,
        "size_bytes": size_bytes,
        "message": msgspec.to_builtins(message),
    }
    if isinstance(message, Schedule):
        document |= {"digest": digest(message), "rates_w": [slot.rate_w for slot in message.intervals]}
    put_json(document)
    return Exit.OK


def _encode(args: argparse.Namespace) -> Exit:
    decoded = _message(args, "application/json")
    if decoded is None:
        return Exit.INVALID
    message, _ = decoded
    payload = encode(message, args.content_type)
    if args.json:
        topic = build(message.device_id, CHANNEL_OF[BY_TYPE[type(message)].kind])
        about = {"kind": args.kind, "valid": True, "content_type": args.content_type, "size_bytes": len(payload)}
        put_json({**about, "topic": topic, "payload": payload.decode("utf-8")})
        return Exit.OK
    text = payload.decode("utf-8", "replace")
    if sys.stdout.isatty() and printable(text) != text:
        raise UsageError("the payload holds characters that a terminal could act on: send it to a file or a pipe")
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()
    return Exit.OK
