"""``schema``: print the JSON Schemas, and keep the folder of published ones in step with the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from allye_protocol.cli.streams import Exit, UsageError, complain, fault, put, put_json
from allye_protocol.messages import VERSIONS, Kind
from allye_protocol.schema import drift, identifier, load, path_of, publish
from allye_protocol.schema.publish import PINS

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add(
        "schema",
        _schema,
        "print the JSON Schema of a kind of message",
        "JSON Schema 2020-12, as it is shipped with this version of the library. --write and --check are for working on the "
        "library itself: they compare the published folder with what the code says.",
        ["schema schedule > schedule.schema.json", "schema --list", "schema --check schemas", "schema --write schemas"],
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("kind", nargs="?", choices=[kind.value for kind in Kind], help="the kind of message")
    what.add_argument("--list", action="store_true", help="list the schemas")
    what.add_argument("--write", metavar="DIR", type=Path, help="write the schemas and their pins to a folder")
    what.add_argument("--check", metavar="DIR", type=Path, help="exit 1 with a diff when a folder is not what --write writes")
    parser.add_argument(
        "--protocol-version",
        type=int,
        choices=VERSIONS,
        default=VERSIONS[-1],
        help="the version to print (default: %(default)s)",
    )
    parser.add_argument(
        "--release", metavar="VERSION", type=int, choices=VERSIONS, help="with --write: pin the message modules of this version"
    )


def _schema(args: argparse.Namespace) -> Exit:
    if args.release is not None and args.write is None:
        raise UsageError("--release goes with --write")
    if args.write is not None:
        return _write(args.write, args.release, as_json=args.json)
    if args.check is not None:
        return _check(args.check, as_json=args.json)
    if args.list:
        return _list(as_json=args.json)
    put_json(load(args.kind, args.protocol_version))
    return Exit.OK


def _list(*, as_json: bool) -> Exit:
    rows = [
        {"kind": kind, "version": version, "id": identifier(kind, version), "path": path_of(kind, version)}
        for version in VERSIONS
        for kind in Kind
    ]
    if as_json:
        put_json(rows)
    else:
        for row in rows:
            put(f"{row['kind']:<18}version {row['version']}  {row['id']}")
    return Exit.OK


def _write(folder: Path, release: int | None, *, as_json: bool) -> Exit:
    found = _found(folder)
    written = []
    try:
        for path, text in publish(found, release).items():
            if found.get(path) != text:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8", newline="\n")
                written.append(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write to {folder}: {fault(error)}") from error
    if not as_json:
        for path in written:
            put(f"wrote {folder / path}")
    return _check(folder, as_json=as_json, written=written)


def _check(folder: Path, *, as_json: bool, written: list[str] | None = None) -> Exit:
    if not folder.is_dir():
        raise UsageError(f"cannot read {folder}: not a folder")
    try:
        differing = drift(_found(folder))
    except ValueError as error:
        raise UsageError(str(error)) from error
    if as_json:
        put_json({"valid": not differing, "drift": differing, **({} if written is None else {"written": written})})
        return Exit.INVALID if differing else Exit.OK
    for item in differing:
        for line in item.diff.splitlines():
            put(line)
        complain(f"{item.path}: {item.message}")
    if not differing:
        put(f"{folder} is what the code says")
    return Exit.INVALID if differing else Exit.OK


def _found(folder: Path) -> dict[str, str]:
    """The files that are published from the code, as they are in the folder."""
    try:
        paths = [path for path in (*sorted(folder.rglob("*.schema.json")), folder / PINS) if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {folder}: {fault(error)}") from error
