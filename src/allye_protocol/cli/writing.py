"""``encode`` and ``convert``: a message in, its payload in another encoding or another version out."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allye_protocol.cli.payloads import add_kind, problem_document, read_message
from allye_protocol.cli.streams import Exit, UsageError, complain, fault, printable, problem_line, put_json
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, ENCODINGS, encode
from allye_protocol.convert import downgrade, upgrade
from allye_protocol.errors import EncodeError
from allye_protocol.messages import VERSIONS
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.topics import build

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands
    from allye_protocol.messages import Written

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the two commands."""
    encode_ = commands.add(
        "encode",
        _encode,
        "write the canonical payload of a message",
        "Whatever the protocol accepts will do as input: of JSON any white space, any order, other offsets than Z, unknown "
        "members, nulls. The payload goes to a file or a pipe as it belongs on the wire, without a newline behind it.",
        [
            "encode --kind schedule plan.json > payload",
            "encode --kind schedule - < plan.json | mosquitto_pub ... -s",
            "encode --kind schedule --content-type application/vnd.msgpack --output plan.msgpack plan.json",
        ],
    )
    _add_output(encode_)
    convert = commands.add(
        "convert",
        _convert,
        "write a message in another version of the protocol",
        "Upgrading is always possible. Downgrading tells on the error output what the older version has no place for; what "
        "would change the meaning is refused with exit status 1, and so is any loss with --lossless.",
        [
            "convert --kind schedule --to 2 plan-v1.json > plan-v2.json",
            "convert --kind ack --to 1 --json ack-v2.json",
            "convert --kind schedule --to 2 --content-type application/vnd.msgpack --output plan.msgpack plan-v1.json",
        ],
    )
    convert.add_argument(
        "--to", required=True, type=int, choices=VERSIONS, metavar="VERSION", help=f"one of {', '.join(map(str, VERSIONS))}"
    )
    convert.add_argument("--lossless", action="store_true", help="refuse whatever would be lost")
    _add_output(convert)


def _add_output(parser: argparse.ArgumentParser) -> None:
    add_kind(parser, "--input-type")
    parser.add_argument(
        "--content-type",
        metavar="TYPE",
        choices=list(ENCODINGS),
        default=DEFAULT_CONTENT_TYPE,
        help="encoding to write, of the same ones (default: %(default)s)",
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the payload to a file")
    parser.add_argument("file", metavar="FILE", help="a message; - for the standard input")


def _encode(args: argparse.Namespace) -> Exit:
    found = read_message(args)
    if found is None:
        return Exit.INVALID
    try:
        payload = encode(found.message, args.content_type)
    except EncodeError as error:
        return _refused(args, error)
    return _put(args, found.message, payload, {})


def _convert(args: argparse.Namespace) -> Exit:
    found = read_message(args)
    if found is None:
        return Exit.INVALID
    try:
        message, losses = downgrade(upgrade(found.message), args.to)
        if BY_TYPE[type(found.message)].version == args.to:
            # Up and down again is not the same: what the older version alone has would be gone.
            message, losses = found.message, ()
        payload = encode(message, args.content_type)
    except EncodeError as error:
        return _refused(args, error)
    if losses and args.lossless:
        return _refused(args, *(EncodeError.of(loss) for loss in losses))
    if not args.json:
        for loss in losses:
            complain(f"lost: {problem_line(args.file, loss)}")
    return _put(args, message, payload, {"losses": [problem_document(loss) for loss in losses]})


def _refused(args: argparse.Namespace, *errors: EncodeError) -> Exit:
    if args.json:
        problems = [problem_document(error.problem) for error in errors]
        put_json({"kind": args.kind, "valid": False, "problems": problems})
    else:
        for error in errors:
            complain(problem_line(args.file, error.problem))
    return Exit.INVALID


def _put(args: argparse.Namespace, message: Written, payload: bytes, others: dict[str, Any]) -> Exit:
    """Write the payload where it belongs, or tell programs of it."""
    if args.output is not None:
        try:
            args.output.write_bytes(payload)
        except OSError as error:
            raise UsageError(f"cannot write to {args.output}: {fault(error)}") from error
    if args.json:
        spec = BY_TYPE[type(message)]
        put_json(
            {
                "kind": args.kind,
                "valid": True,
                "version": spec.version or None,
                "content_type": args.content_type,
                "size_bytes": len(payload),
                "topic": build(message.device_id, CHANNEL_OF[spec.kind]),
                **others,
                **_as_json(payload, args.content_type),
            }
        )
    elif args.output is None:
        _put_payload(payload, args.content_type)
    return Exit.OK


def _as_json(payload: bytes, content_type: str) -> dict[str, str]:
    """JSON is text; what is in another encoding is bytes, and may look like text by chance."""
    if content_type == DEFAULT_CONTENT_TYPE:
        return {"payload": payload.decode("utf-8")}
    return {"payload_base64": base64.b64encode(payload).decode("ascii")}


def _put_payload(payload: bytes, content_type: str) -> None:
    if sys.stdout.isatty():
        if content_type != DEFAULT_CONTENT_TYPE:
            raise UsageError("the payload is binary: send it to a file (--output) or a pipe, or see it with --json")
        text = payload.decode("utf-8")
        if printable(text) != text:
            raise UsageError("the payload holds characters that a terminal could act on: send it to a file or a pipe")
        payload += b"\n"  # or the shell's prompt would stand behind it
    sys.stdout.buffer.write(payload)
    sys.stdout.buffer.flush()
