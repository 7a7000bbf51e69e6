"""The published schema files: what is in them, whether they are still what the code says, and what a release has fixed.

``schemas/`` is generated, committed and shipped in the wheel as ``allye_protocol/schemas``. ``PINNED.json`` beside the schemas
holds two things:

``schemas``
    the SHA-256 of each file, for whoever copies them elsewhere. It follows the files.
``released``
    by major version, the SHA-256 of the message modules as they were when that version was released. Writing the schemas again
    never touches these; only releasing a version does. A module that no longer has its pinned hash has changed what is already
    spoken in the field.

Everything here is text in, text out; reading and writing the folder is the command's work.
"""

from __future__ import annotations

import difflib
import json
import sys
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_protocol.messages.registry import KINDS, VERSIONS, Kind
from allye_protocol.schema.generate import generate, spec_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PINS", "REWRITE", "Drift", "drift", "load", "path_of", "publish"]

PINS: Final = "PINNED.json"
REWRITE: Final = "python -m allye_protocol schema --write schemas"
_ABOUT: Final = f"Written by `{REWRITE}`; `released` only by adding `--release VERSION`."


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One file that is not what the code says.

    :param path: the file, relative to the folder of the schemas.
    :param message: what is wrong, and what to do.
    :param diff: a unified diff from the file to what it should be; empty where there is nothing to compare.
    """

    path: str
    message: str
    diff: str = ""


class _Pins(msgspec.Struct, frozen=True, kw_only=True):
    about: str
    schemas: dict[str, str]
    released: dict[str, dict[str, str]]


def path_of(kind: Kind | str, version: int = 1) -> str:
    """Where a schema is published, relative to the folder of the schemas.

    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    return f"v{version}/{spec_of(kind, version).kind}.schema.json"


def load(kind: Kind | str, version: int = 1) -> dict[str, Any]:
    """The schema of one kind of message: the file that was shipped, or in a source checkout what it would hold.

    :param kind: what the message is.
    :param version: the protocol's major version.
    :returns: a new JSON-ready document.
    :raises DecodeError: ``message.unknown_kind``, ``version.unsupported``.
    """
    shipped = files("allye_protocol").joinpath("schemas", path_of(kind, version))
    if shipped.is_file():
        document: dict[str, Any] = json.loads(shipped.read_text(encoding="utf-8"))
        return document
    return generate(kind, version)


def publish(found: Mapping[str, str], release: int | None = None) -> dict[str, str]:
    """Every file as it should be.

    :param found: the files as they are, by path; only the pins of released versions are taken over.
    :param release: a major version whose message modules are to be pinned as they are now.
    :returns: the text of each file by its path.
    :raises ValueError: for a ``PINNED.json`` that cannot be read, or a version that does not exist.
    """
    released = dict(_read_pins(found).released)
    if release is not None:
        if release not in VERSIONS:
            raise ValueError(f"no version {release} to release; known: {', '.join(map(str, VERSIONS))}")
        released[str(release)] = _module_hashes(release)
    documents = {path_of(kind, version): _text(generate(kind, version)) for version in VERSIONS for kind in Kind}
    hashes = {path: _hash(text) for path, text in sorted(documents.items())}
    pins = _Pins(about=_ABOUT, schemas=hashes, released=dict(sorted(released.items())))
    return {**documents, PINS: _text(msgspec.to_builtins(pins))}


def drift(found: Mapping[str, str]) -> list[Drift]:
    """Every file that is not what the code says.

    :param found: the text of ``PINNED.json`` and of each schema that is there, by path relative to their folder.
    :returns: what is wrong, in the order of the paths; empty when all is well.
    :raises ValueError: for a ``PINNED.json`` that cannot be read.
    """
    expected = publish(found)
    differing = [_difference(path, found.get(path), expected.get(path)) for path in sorted({*found, *expected})]
    return [item for item in differing if item is not None] + _changed_after_release(_read_pins(found))


def _difference(path: str, old: str | None, new: str | None) -> Drift | None:
    if old == new:
        return None
    if new is None:
        return Drift(path=path, message="no message has this schema: delete the file")
    if old is None:
        return Drift(path=path, message=f"is missing: run `{REWRITE}` and commit it")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), f"{path} (file)", f"{path} (code)", lineterm="")
    return Drift(path=path, message=f"is not what the code says: run `{REWRITE}` and look at the change", diff="\n".join(lines))


def _changed_after_release(pins: _Pins) -> list[Drift]:
    found: list[Drift] = []
    for version, modules in pins.released.items():
        now = _module_hashes(int(version))
        for path, pinned in modules.items():
            if now.get(path) != pinned:
                message = (
                    f"version {version} is released and its module has changed: undo the change, or make a new version. "
                    f"A change that only adds an optional member or mends a text is pinned by `{REWRITE} --release {version}`"
                )
                found.append(Drift(path=path, message=message))
    return found


def _module_hashes(version: int) -> dict[str, str]:
    """The hash of each module that defines messages of a version, by its path in the package."""
    names = {spec.struct.__module__ for spec in KINDS.values() if spec.version in (0, version)}
    hashes = {}
    for name in sorted(names):
        package, _, module = name.rpartition(".")
        source = files(sys.modules[package]).joinpath(f"{module}.py").read_text(encoding="utf-8")
        hashes[f"{name.replace('.', '/')}.py"] = _hash(source)
    return hashes


def _read_pins(found: Mapping[str, str]) -> _Pins:
    if PINS not in found:
        return _Pins(about=_ABOUT, schemas={}, released={})
    try:
        return msgspec.json.decode(found[PINS], type=_Pins)
    except msgspec.MsgspecError as error:
        raise ValueError(f"{PINS} cannot be read: {error}; restore it from the last commit") from error


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
