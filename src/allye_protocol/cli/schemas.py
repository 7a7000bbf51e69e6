"""``schema``: the published contracts: print and copy them, compare two states of them, and keep them in step with the code."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from allye_protocol.cli.streams import Exit, UsageError, complain, fault, put, put_json
from allye_protocol.messages import VERSIONS, Kind
from allye_protocol.messages.registry import KINDS, NEWEST
from allye_protocol.schema import Impact, compare, drift, identifier, load, path_of, publish, shipped
from allye_protocol.schema.publish import ASYNCAPI, PINS, PROTO, RELEASED

if TYPE_CHECKING:
    import argparse

    from allye_protocol.cli.grammar import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command and what it can do."""
    schema = commands.group(
        "schema",
        "print, copy and compare the published contracts",
        "JSON Schema 2020-12 for each message, the AsyncAPI document and the .proto, as they are shipped with this version of "
        "the library.",
        ["schema show schedule > schedule.schema.json", "schema export contracts", "schema diff old-contracts contracts"],
    )
    show = schema.add(
        "show", _show, "print the JSON Schema of a kind of message", "", ["schema show ack", "schema show ack --version 1"]
    )
    show.add_argument("kind", metavar="KIND", choices=[kind.value for kind in Kind], help=", ".join(Kind))
    show.add_argument(
        "--version",
        dest="protocol_version",
        type=int,
        choices=VERSIONS,
        default=NEWEST,
        help="the version of the messages (default: %(default)s)",
    )
    schema.add("list", _list, "list the JSON Schemas", "", ["schema list", "schema list --json"])
    export = schema.add(
        "export",
        _export,
        "write all contracts to a folder",
        "The files are those that were shipped with this library, to be read by other tools or kept beside other code.",
        ["schema export contracts"],
    )
    export.add_argument("folder", metavar="DIR", type=Path, help="the folder; it is made where it is missing")
    diff = schema.add(
        "diff",
        _diff,
        "tell what changed between two states of the contracts; exit 1 when a change breaks somebody",
        "A change is breaking when a newer reader refuses what an older writer sends, or an older reader what a newer writer "
        "may send: a member gone or newly required, anything narrower, and anything wider, a new word of a closed set too. A "
        "new optional member and a new message are additive. JSON Schemas and .proto files are compared.",
        ["schema diff schemas/released/1.0.0 schemas", "schema diff old.schema.json new.schema.json --json"],
    )
    diff.add_argument("old", metavar="OLD", type=Path, help="a folder of contracts, or one JSON Schema or .proto")
    diff.add_argument("new", metavar="NEW", type=Path, help="the same, as it is now")
    write = schema.add(
        "write",
        _write,
        "write the contracts that the code says, with their pins",
        "For work on the library itself. What is released is never written again.",
        ["schema write schemas", "schema write schemas --release 1.0.0"],
    )
    write.add_argument("folder", metavar="DIR", type=Path, help="the folder of the contracts")
    write.add_argument("--release", metavar="NUMBER", help="keep a copy of them as released under this number, like 1.0.0")
    check = schema.add(
        "check",
        _check,
        "compare a folder with what the code says; exit 1 with a diff when it differs, or breaks the last release",
        "For work on the library itself. Released copies must be as they were released, and the contracts of now must not "
        "break the newest of them.",
        ["schema check schemas"],
    )
    check.add_argument("folder", metavar="DIR", type=Path, help="the folder of the contracts")


def _show(args: argparse.Namespace) -> Exit:
    known = [version for version in VERSIONS if {(args.kind, version), (args.kind, 0)} & KINDS.keys()]
    if args.protocol_version not in known:
        raise UsageError(f"there is no {args.kind} of version {args.protocol_version}; there is {', '.join(map(str, known))}")
    put_json(load(args.kind, args.protocol_version))
    return Exit.OK


def _list(args: argparse.Namespace) -> Exit:
    rows = [
        {
            "kind": kind,
            "version": version or None,
            "id": identifier(kind, version or NEWEST),
            "path": path_of(kind, version or NEWEST),
        }
        for kind, version in KINDS
    ]
    if args.json:
        put_json(rows)
    else:
        for row in rows:
            version = "all versions" if row["version"] is None else f"version {row['version']}"
            put(f"{row['kind']:<18}{version:<14}{row['id']}")
    return Exit.OK


def _export(args: argparse.Namespace) -> Exit:
    texts = shipped()
    _put_files(args.folder, texts)
    if args.json:
        put_json({"written": list(texts)})
    else:
        for path in texts:
            put(f"wrote {args.folder / path}")
    return Exit.OK


def _diff(args: argparse.Namespace) -> Exit:
    for place in (args.old, args.new):
        if not place.exists():
            raise UsageError(f"cannot compare {place}: it is not there")
    if args.old.is_dir() is not args.new.is_dir():
        raise UsageError("OLD and NEW are two folders, or two files")
    try:
        changes = compare(_contracts(args.old, args.old.name), _contracts(args.new, args.old.name))
    except ValueError as error:
        raise UsageError(str(error)) from error
    counts = Counter(change.impact for change in changes)
    compatible = not counts[Impact.BREAKING]
    if args.json:
        put_json({"compatible": compatible, **{impact.value: counts[impact] for impact in Impact}, "changes": changes})
    else:
        for change in changes:
            put(f"{change.impact:<10} {change.file}: {change.path or '(whole file)'}: {change.message}")
        put(", ".join(f"{counts[impact]} {impact}" for impact in Impact))
    return Exit.OK if compatible else Exit.INVALID


def _contracts(place: Path, name: str) -> dict[str, str]:
    """What can be compared: of a folder everything but its released copies, of a file that file under a name."""
    if not place.is_dir():
        if not name.endswith((".json", ".proto")):
            raise UsageError(f"cannot compare {place}: a JSON Schema or a .proto belongs there")
        name = f"{name.removesuffix('.json').removesuffix('.schema')}.schema.json" if name.endswith(".json") else name
        return {name: _text(place)}
    found = {path: text for path, text in _found(place).items() if not path.startswith(RELEASED)}
    if not any(path.endswith((".schema.json", ".proto")) for path in found):
        raise UsageError(f"cannot compare {place}: there is no *.schema.json and no .proto in it")
    return found


def _write(args: argparse.Namespace) -> Exit:
    found = _found(args.folder)
    try:
        texts = {path: text for path, text in publish(found, args.release).items() if found.get(path) != text}
    except ValueError as error:
        raise UsageError(str(error)) from error
    _put_files(args.folder, texts)
    if not args.json:
        for path in texts:
            put(f"wrote {args.folder / path}")
    return _verdict(args.folder, as_json=args.json, written=list(texts))


def _check(args: argparse.Namespace) -> Exit:
    if not args.folder.is_dir():
        raise UsageError(f"cannot read {args.folder}: not a folder")
    return _verdict(args.folder, as_json=args.json)


def _verdict(folder: Path, *, as_json: bool, written: list[str] | None = None) -> Exit:
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


def _put_files(folder: Path, texts: dict[str, str]) -> None:
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {fault(error)}") from error


def _found(folder: Path) -> dict[str, str]:
    """The files that are published from the code, as they are in the folder."""
    try:
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {fault(error)}") from error
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: _text(path) for name, path in names.items() if name == PINS or _is_contract(path.name)}


def _is_contract(name: str) -> bool:
    return name.endswith(".schema.json") or name in {ASYNCAPI, PROTO}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {path}: {fault(error)}") from error
