"""The data files: one JSON document a section, each entry one question with the one right answer.

1. An entry has ``name``, ``why`` and either ``expect`` or ``error``. What else it has are the parameters of its question, but
   for ``version`` and ``needs``, which say who can be asked it.
2. A payload is given as ``payload`` where it is text, and as ``payload_base64`` where it is not. Whoever is asked always gets
   ``payload_base64``, so that no JSON library in between can mend or break what is tested.
3. Names are unique in their section, and a file with a member that is not known is refused: a misspelled ``error`` must not
   make a vector that anything passes.
"""

from __future__ import annotations

import base64
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ENCODE", "OPS", "Section", "Vector", "load_sections", "shipped"]

JSON: Final = "application/json"
CONTENT_TYPES: Final = (JSON, "application/vnd.msgpack", "application/protobuf")
DECODE: Final = "decode"
ENCODE: Final = "encode"
_PAYLOADS: Final = frozenset({"payload", "payload_base64"})
OPS: Final[dict[str, frozenset[str]]] = {
    DECODE: frozenset({"kind", "content_type"}) | _PAYLOADS,
    "digest": frozenset({"content_type"}) | _PAYLOADS,
    "convert": frozenset({"kind", "content_type", "to"}) | _PAYLOADS,
    "topic.build": frozenset({"root", "device_id", "channel"}),
    "topic.parse": frozenset({"root", "topic"}),
    "topic.match": frozenset({"filter", "topic"}),
    "topic.filters": frozenset({"side", "root", "device_id", "group", "protocol_version"}),
    "topic.channel": frozenset({"channel"}),
    "negotiate": frozenset({"ours", "theirs"}),
    "admission": frozenset({"device", "steps"}),
}
"""What can be asked, with the parameters of each question. ``encode`` is asked with what ``decode`` should have answered."""
STEPS: Final = frozenset({"at", "channel", "to", "content_type", "clock_trusted", "battery", "restart", "setpoint"}) | _PAYLOADS
"""What a step of ``admission`` may say."""


class Vector(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer.

    :param section: the section that it belongs to.
    :param name: what it is about; unique in its section.
    :param why: what it teaches, and where the rule stands.
    :param op: what is asked.
    :param parameters: the rest of the question, JSON-ready.
    :param expect: the answer, when the question has one.
    :param error: the refusal, when it has none: its code, and its place in the message where there is one.
    :param versions: the protocol versions that whoever is asked must speak.
    :param content_types: the encodings that it must have.
    """

    section: str
    name: str
    why: str
    op: str
    parameters: dict[str, Any]
    expect: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    versions: tuple[int, ...] = ()
    content_types: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Section and name, by which a vector is chosen."""
        return f"{self.section}/{self.name}"


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One file: vectors about one thing.

    :param name: as the file is called.
    :param about: what it covers.
    :param vectors: in the order of the file.
    """

    name: str
    about: str
    vectors: tuple[Vector, ...]


class _Needs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    versions: tuple[int, ...] = ()
    content_types: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    order: int
    about: str
    op: str
    vectors: tuple[dict[str, Any], ...]


def shipped() -> Path:
    """The folder of the vectors of this version of the library: in a wheel beside it, in a checkout with the tests."""
    beside = Path(str(files("allye_protocol"))) / "vectors"
    return beside if beside.is_dir() else Path(__file__).parents[3] / "tests" / "vectors"


def load_sections(folder: Path | None = None) -> tuple[Section, ...]:
    """Read and check every file of a folder.

    :param folder: where the files are; ``None`` for the ones that are shipped.
    :returns: the sections in their order, those of ``encode`` behind the sections that they are made of.
    :raises ValueError: for a file that cannot be read or is not of this format, naming it.
    """
    where = shipped() if folder is None else folder
    found = []
    for path in sorted(where.glob("*.json")):
        try:
            document = msgspec.json.decode(path.read_bytes(), type=_File)
            found.append((document.order, _section(path.stem, document)))
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
    if not found:
        raise ValueError(f"no vectors in {where}")
    sections = [section for _, section in sorted(found, key=lambda pair: pair[0])]
    return tuple(part for section in sections for part in (section, *_to_be_encoded(section)))


def _section(name: str, document: _File) -> Section:
    if document.op not in OPS:
        raise ValueError(f"op {document.op!r} is none of {', '.join(OPS)}")
    vectors = tuple(_vector(name, document.op, dict(entry)) for entry in document.vectors)
    twice = [vector for vector, times in Counter(vector.name for vector in vectors).items() if times > 1]
    if twice:
        raise ValueError(f"vectors of the same name: {', '.join(twice)}")
    return Section(name=name, about=document.about, vectors=vectors)


def _vector(section: str, op: str, entry: dict[str, Any]) -> Vector:
    name, why = entry.pop("name", None), entry.pop("why", None)
    if not (isinstance(name, str) and name and isinstance(why, str) and why):
        raise ValueError("a vector has a name and says why it is there")
    expect, error = entry.pop("expect", None), entry.pop("error", None)
    if (expect is None) == (error is None):
        raise ValueError(f"{name}: a vector has either expect or error")
    if op == DECODE and expect is not None and set(expect) != {"message"}:
        raise ValueError(f"{name}: what is decoded is a message alone")
    version = entry.pop("version", 0)
    needs = msgspec.convert(entry.pop("needs", {}), _Needs)
    unknown = set(entry) - OPS[op]
    if unknown:
        raise ValueError(f"{name}: {op} has no {', '.join(sorted(unknown))}")
    content_type = entry.get("content_type")
    return Vector(
        section=section,
        name=name,
        why=why,
        op=op,
        parameters=_asked(name, entry),
        expect=expect,
        error=error,
        versions=needs.versions or ((version,) if version else ()),
        content_types=needs.content_types or ((content_type,) if content_type in CONTENT_TYPES else ()),
    )


def _asked(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The parameters as they are sent."""
    sent = _payload(name, entry)
    if "steps" in entry:
        unknown = {member for step in entry["steps"] for member in step} - STEPS
        if unknown:
            raise ValueError(f"{name}: a step has no {', '.join(sorted(unknown))}")
        sent["steps"] = [_payload(name, step) | step for step in entry.pop("steps")]
    return entry | sent


def _payload(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """The payload as it is sent, if there is one; what it is given as is taken out of ``entry``."""
    given = _PAYLOADS & set(entry)
    if len(given) > 1:
        raise ValueError(f"{name}: either payload or payload_base64")
    if "payload" in given:
        return {"payload_base64": base64.b64encode(entry.pop("payload").encode("utf-8")).decode("ascii")}
    if given:
        base64.b64decode(entry["payload_base64"], validate=True)
    return {}


def _to_be_encoded(section: Section) -> Iterator[Section]:
    """The messages that a section's payloads say, to be written: each once."""
    seen: list[Any] = []
    vectors = []
    for vector in section.vectors:
        if vector.op != DECODE or vector.expect is None or not vector.content_types or vector.expect["message"] in seen:
            continue
        message = vector.expect["message"]
        seen.append(message)
        kind, content_type = vector.parameters["kind"], vector.content_types[0]
        parameters = {"kind": kind, "version": (vector.versions or (0,))[0], "content_type": content_type, "message": message}
        vectors.append(
            msgspec.structs.replace(
                vector, section=f"{section.name}-encode", op=ENCODE, parameters=parameters, content_types=(content_type,)
            )
        )
    if vectors:
        about = f"The messages of {section.name} as payloads: whatever is written must be read again as the same message."
        yield Section(name=f"{section.name}-encode", about=about, vectors=tuple(vectors))
