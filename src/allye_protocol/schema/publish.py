"""The published files: what is in them, whether they are still what the code says, and what a release has fixed.

``schemas/`` is generated, committed and shipped in the wheel as ``allye_protocol/schemas``:

``v1/*.schema.json``, ``v2/*.schema.json``, ``hello.schema.json``
    JSON Schema of each message; the hello is one file, as its shape is the same in all versions.
``asyncapi.yaml``, ``allye.proto``
    the channels with all messages, and the messages as Protobuf.
``released/NUMBER/``
    a copy of all of them as they were when the library of that number was released. A copy never changes.
``PINNED.json``
    the SHA-256 of each file, for whoever copies them elsewhere, and of each released copy. Writing the files again never
    touches what is released; only releasing does, and that adds a folder.

Two things are refused: a released copy that changed, and a contract that breaks the newest release
(:mod:`allye_protocol.schema.compare`). Everything here is text in, text out; the folder is the command's work.
"""

from __future__ import annotations

import difflib
import json
import re
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.messages.registry import KINDS, NEWEST, Kind
from allye_protocol.schema import asyncapi, proto
from allye_protocol.schema.compare import Impact, compare
from allye_protocol.schema.generate import generate, spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASYNCAPI", "PINS", "PROTO", "REWRITE", "Drift", "drift", "load", "path_of", "publish", "shipped"]

PINS: Final = "PINNED.json"
ASYNCAPI: Final = "asyncapi.yaml"
PROTO: Final = "allye.proto"
RELEASED: Final = "released/"
REWRITE: Final = "python -m allye_protocol schema write schemas"
_ABOUT: Final = f"Written by `{REWRITE}`; `released` only by adding `--release NUMBER`."
_NUMBER: Final = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}")


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One file that is not what it should be.

    :param path: the file, relative to the folder of the schemas.
    :param message: what is wrong, and what to do.
    :param diff: a unified diff from the file to what it should be; empty where there is nothing to compare.
    """

    path: str
    message: str
    diff: str = ""


class _Pins(msgspec.Struct, frozen=True, kw_only=True):
    about: str
    files: dict[str, str]
    released: dict[str, dict[str, str]]


def path_of(kind: Kind | str, version: int = NEWEST) -> str:
    """Where a schema is published, relative to the folder of the schemas.

    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    spec = spec_of(kind, version)
    folder = f"v{spec.version}/" if spec.version else ""
    return f"{folder}{spec.kind}.schema.json"


def load(kind: Kind | str, version: int = NEWEST) -> dict[str, Any]:
    """The schema of one kind of message: the file that was shipped, or in a source checkout what it would hold.

    :param kind: what the message is.
    :param version: the protocol's major version.
    :returns: a new JSON-ready document.
    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    found = files("allye_protocol").joinpath("schemas", path_of(kind, version))
    if found.is_file():
        document: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return document
    return generate(kind, version)


def shipped() -> dict[str, str]:
    """The text of every published file but the released copies, by its path.

    As shipped with this library, or in a source checkout as the code says.
    """
    expected = publish({})
    folder = files("allye_protocol").joinpath("schemas")
    if folder.joinpath(PINS).is_file():
        return {path: folder.joinpath(*path.split("/")).read_text(encoding="utf-8") for path in expected}
    return expected


def publish(found: Mapping[str, str], release: str | None = None) -> dict[str, str]:
    """Every file as it should be.

    :param found: the files as they are, by path; only what is released is taken over.
    :param release: the number of a release, as ``1.0.0``, of which the files as they are now are to be kept.
    :returns: the text of each file by its path.
    :raises ValueError: for a ``PINNED.json`` that cannot be read, or a number that is none or not above the last one.
    """
    released = dict(_read_pins(found).released)
    documents = {path_of(kind, version or NEWEST): _text(generate(kind, version or NEWEST)) for kind, version in KINDS}
    documents |= {ASYNCAPI: asyncapi.text(), PROTO: proto.text()}
    hashes = {path: _hash(text) for path, text in sorted(documents.items())}
    copies: dict[str, str] = {}
    if release is not None:
        _check_number(release, released)
        released[release] = hashes
        copies = {f"{RELEASED}{release}/{path}": text for path, text in documents.items()}
    pins = _Pins(about=_ABOUT, files=hashes, released=released)
    return {**documents, **copies, PINS: _text(msgspec.to_builtins(pins))}


def drift(found: Mapping[str, str]) -> list[Drift]:
    """Every file that is not what it should be.

    :param found: the text of each published file that is there, released copies and ``PINNED.json`` among them, by path.
    :returns: what is wrong, in the order of the paths; empty when all is well.
    :raises ValueError: for a ``PINNED.json`` that cannot be read.
    """
    expected = publish(found)
    current = {path: text for path, text in found.items() if not path.startswith(RELEASED)}
    differing = [_difference(path, current.get(path), expected.get(path)) for path in sorted({*current, *expected})]
    released = _read_pins(found).released
    return (
        [item for item in differing if item is not None] + _changed_copies(found, released) + _broken(found, released, expected)
    )


def _difference(path: str, old: str | None, new: str | None) -> Drift | None:
    if old == new:
        return None
    if new is None:
        return Drift(path=path, message="no message has this schema: delete the file")
    if old is None:
        return Drift(path=path, message=f"is missing: run `{REWRITE}` and commit it")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{path} (file)", f"{path} (code)", lineterm="")
    return Drift(path=path, message=f"is not what the code says: run `{REWRITE}` and look at the change", diff="\n".join(lines))


def _changed_copies(found: Mapping[str, str], released: dict[str, dict[str, str]]) -> list[Drift]:
    """Copies of releases that are not what was released."""
    pinned = {f"{RELEASED}{number}/{path}": pin for number, pins in released.items() for path, pin in pins.items()}
    wrong = []
    for path in sorted({*pinned, *(path for path in found if path.startswith(RELEASED))}):
        if path not in pinned:
            wrong.append(Drift(path=path, message="is in no release: delete the file; a release is made by --release NUMBER"))
        elif path not in found:
            wrong.append(Drift(path=path, message="was released and is missing: restore it from the last commit"))
        elif _hash(found[path]) != pinned[path]:
            wrong.append(Drift(path=path, message="was released and has changed; what is released never does: undo the change"))
    return wrong


def _broken(found: Mapping[str, str], released: dict[str, dict[str, str]], expected: Mapping[str, str]) -> list[Drift]:
    """What the contracts of now break of the newest release."""
    if not released:
        return []
    newest = max(released, key=_ordered)
    folder = f"{RELEASED}{newest}/"
    before = {path.removeprefix(folder): text for path, text in found.items() if path.startswith(folder)}
    changes = compare(before, {path: text for path, text in expected.items() if path != PINS})
    advice = "undo it, or make a new major version of the messages"
    return [
        Drift(
            path=change.file,
            message=f"breaks release {newest} at {change.path or 'the whole file'}: {change.message}; {advice}",
        )
        for change in changes
        if change.impact is Impact.BREAKING
    ]


def _check_number(release: str, released: dict[str, dict[str, str]]) -> None:
    if not _NUMBER.fullmatch(release):
        raise ValueError(f"a release has a number like 1.0.0, not {release!r}")
    if released and _ordered(release) <= _ordered(newest := max(released, key=_ordered)):
        raise ValueError(f"{release} is not above {newest}, which is released already: what is released never changes")


def _ordered(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in number.split("."))


def _read_pins(found: Mapping[str, str]) -> _Pins:
    if PINS not in found:
        return _Pins(about=_ABOUT, files={}, released={})
    try:
        pins = msgspec.json.decode(found[PINS], type=_Pins)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{PINS} cannot be read: {error}; restore it from the last commit") from error
    for number in pins.released:
        if not _NUMBER.fullmatch(number):
            raise ValueError(f"{PINS} cannot be read: {number!r} is no number of a release; restore it from the last commit")
    return pins


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
