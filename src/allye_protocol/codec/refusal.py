"""The slow road of writing: a message in memory as the tree that a peer would parse, and everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from allye_protocol.codec.explain import explain, pointer
from allye_protocol.errors import EncodeError, ErrorCode, Problem
from allye_protocol.messages.registry import BY_TYPE, Written

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked"]


def checked(message: Written) -> Written:
    """The same message with every rule proved and every instant in UTC.

    :raises EncodeError: the first problem, with its place.
    """
    spec = BY_TYPE[type(message)]
    tree = _tree(message)
    for problem in _no_characters(tree, ""):
        raise EncodeError.of(problem)
    explained = explain(tree, spec.kind, (spec.version,))
    if explained.message is None:
        raise EncodeError.of(explained.problems[0])
    return explained.message


def _tree(value: object) -> object:
    """A message as an encoding would parse it, but for instants, which stay what they are."""
    if isinstance(value, msgspec.Struct):
        return {
            field.name: _tree(member)
            for field in msgspec.structs.fields(value)
            if (member := getattr(value, field.name)) is not None or field.required
        }
    if isinstance(value, (tuple, list)):
        return [_tree(item) for item in value]
    if isinstance(value, dict):
        return {name: _tree(item) for name, item in value.items()}
    return value


def _no_characters(tree: object, path: str) -> Iterator[Problem]:
    """Every text that no encoding can write: half of a surrogate pair is no character."""
    if isinstance(tree, str) and not tree.isascii():
        try:
            tree.encode("utf-8")
        except UnicodeEncodeError:
            message = "the text has half of a surrogate pair, which is no character"
            yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path=path)
    elif isinstance(tree, dict):
        for name, item in tree.items():
            yield from _no_characters(name, path)
            yield from _no_characters(item, path + pointer(str(name)))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _no_characters(item, f"{path}/{index}")
