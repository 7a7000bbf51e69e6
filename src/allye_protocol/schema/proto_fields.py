"""The fields and values of a ``.proto`` file, and what became of them.

On the wire a field is its number and its type; in generated code it is its name. All three stay as they are for ever, and so do
the numbers of an enumeration, to which nothing is added: readers refuse what they do not know of a closed set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["field_changes"]

Found = tuple[str, bool, str]
"""Path, whether it breaks somebody, and what changed."""


class _Block(NamedTuple):
    """A message or an enumeration.

    :param fields: by number, what is declared: label, type and name of a field, the name of a value.
    :param reserved: numbers that are not to be used.
    """

    is_enum: bool
    fields: dict[int, str]
    reserved: set[int]


_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_TEXT: Final = re.compile(r'"[^"\n]*"')
_PIECE: Final = re.compile(r"([^;{}]*)([;{}])")
_FIELD: Final = re.compile(r"((?:(?:optional|repeated|required) )?(?:map ?<[^>]*>|[\w.]+) \w+) ?= ?(\d+)(?: ?\[.*\])?")
_VALUE: Final = re.compile(r"(\w+) ?= ?(-?\d+)(?: ?\[.*\])?")
_RANGE: Final = re.compile(r"(\d+)(?: to (\d+))?")


def field_changes(file: str, old: str, new: str) -> Iterator[Found]:
    """Every change between two states of a ``.proto`` file.

    :param file: the file's name, for errors.
    :raises ValueError: for a text that is none.
    """
    before, after = _blocks(file, old), _blocks(file, new)
    for name in before:
        if name in after:
            yield from _block_changes(name, before[name], after[name])
        else:
            yield name, True, "is gone"
    for name in after:
        if name not in before:
            yield name, False, "is new"


def _block_changes(name: str, old: _Block, new: _Block) -> Iterator[Found]:
    for number, declared in old.fields.items():
        if number not in new.fields:
            yield f"{name}.{number}", True, f"{declared} is gone"
        elif new.fields[number] != declared:
            yield f"{name}.{number}", True, f"{declared} became {new.fields[number]}"
    for number, declared in new.fields.items():
        if number in old.reserved:
            yield f"{name}.{number}", True, f"{declared} has a number that was reserved"
        elif number not in old.fields:
            closed = old.is_enum or declared.startswith("required ")
            why = "old readers refuse it" if closed else "old readers ignore it"
            yield f"{name}.{number}", closed, f"{declared} is new: {why}"


def _blocks(file: str, text: str) -> dict[str, _Block]:
    """Every message and enumeration by its full name."""
    text = " ".join(_TEXT.sub('""', _COMMENT.sub(" ", text)).split())
    found: dict[str, _Block] = {}
    package = ""
    names: list[str] = []
    end = 0
    for piece in _PIECE.finditer(text):
        end = piece.end()
        words, mark = piece[1].strip(), piece[2]
        if mark == "}":
            if not names or words:
                raise ValueError(f"{file} is no .proto: a brace too many, or a semicolon too few")
            names.pop()
        elif mark == "{":
            keyword, _, name = words.partition(" ")
            # The fields of a oneof are fields of the message around it.
            names.append(name if keyword in {"message", "enum"} else "")
            if names[-1]:
                found[_full(package, names)] = _Block(keyword == "enum", {}, set())
        elif words.startswith("package "):
            package = words.removeprefix("package ")
        elif names:
            _declare(file, found[_full(package, names)], words)
    if names or text[end:].strip() or not found:
        raise ValueError(f"{file} is no .proto: messages in braces belong there")
    return found


def _full(package: str, names: list[str]) -> str:
    return ".".join(filter(None, [package, *names]))


def _declare(file: str, block: _Block, words: str) -> None:
    if words.startswith("reserved "):
        for low, high in _RANGE.findall(words):
            block.reserved.update(range(int(low), int(high or low) + 1))
    elif words and not words.startswith("option "):
        declared = (_VALUE if block.is_enum else _FIELD).fullmatch(words)
        if declared is None:
            raise ValueError(f"{file} is no .proto that can be read here: {words!r}")
        block.fields[int(declared[2])] = declared[1]
