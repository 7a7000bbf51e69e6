"""Topic names and topic filters as MQTT 5 section 4.7 has them, and which filter matches which name.

1. A level is what stands between two slashes; an empty level is a level. ``+`` stands for exactly one level, ``#`` as the last
   level for the level above it and everything below.
2. A filter that begins with a wildcard matches no name that begins with ``$``.
3. ``$share/{group}/{filter}`` (section 4.8.2) matches what ``filter`` matches.
4. Nothing here recurses and everything is linear in the length of its texts: a name of 30,000 levels is legal.

Texts from a peer are checked here once; whatever they hold, the answer is a value or a
:class:`~allye_protocol.errors.TopicError`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Generic, TypeVar

from allye_protocol.errors import ErrorCode, TopicError

__all__ = ["MAX_TOPIC_BYTES", "Matcher", "check_filter", "check_name", "matches", "split_share"]

MAX_TOPIC_BYTES: Final = 65_535
"""Longest topic name or filter, in bytes of UTF-8 (MQTT 5 section 1.5.4)."""

_SHARE: Final = "$share/"
_SHOWN_CHARS: Final = 64
_REMEMBERED_CHARS: Final = 256

T = TypeVar("T")


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a subscription to ``topic_filter`` receives what is published to ``topic``.

    :param topic_filter: a topic filter, shared or not.
    :param topic: a topic name.
    :raises TopicError: ``message.invalid_filter`` or ``message.invalid_topic``.
    """
    # Only short filters are remembered, so that what is remembered stays small.
    compiled = _remembered(topic_filter) if len(topic_filter) <= _REMEMBERED_CHARS else _compile(topic_filter)
    return compiled.matches(check_name(topic))


def check_name(topic: str) -> str:
    """Check a topic name.

    :returns: ``topic``.
    :raises TopicError: ``message.invalid_topic`` when it is empty, longer than 65,535 bytes or not UTF-8, or has a NUL or a
        wildcard.
    """
    if topic.isascii() and 0 < len(topic) <= MAX_TOPIC_BYTES and not ("\0" in topic or "+" in topic or "#" in topic):
        return topic
    _check_text(topic, "topic name", ErrorCode.MESSAGE_INVALID_TOPIC)
    if "+" in topic or "#" in topic:
        raise TopicError(ErrorCode.MESSAGE_INVALID_TOPIC, f"a topic name has no wildcard: {_shown(topic)}")
    return topic


def check_filter(topic_filter: str) -> str:
    """Check a topic filter.

    :returns: the filter that names are compared with: ``topic_filter`` without ``$share/{group}/``.
    :raises TopicError: ``message.invalid_filter`` when it is empty, longer than 65,535 bytes or not UTF-8, or has a NUL, a
        wildcard that is not a whole level, a ``#`` that is not the last level, or a ``$share`` without a group or a filter.
    """
    _check_text(topic_filter, "topic filter", ErrorCode.MESSAGE_INVALID_FILTER)
    pattern = topic_filter
    if topic_filter[0] == "$":
        pattern = split_share(topic_filter)[1]
    if "#" in pattern and (pattern.index("#") != len(pattern) - 1 or pattern[-2:-1] not in ("", "/")):
        raise TopicError(ErrorCode.MESSAGE_INVALID_FILTER, f"'#' is a whole level and the last one: {_shown(topic_filter)}")
    if "+" in pattern and pattern.split("/").count("+") != pattern.count("+"):
        raise TopicError(ErrorCode.MESSAGE_INVALID_FILTER, f"'+' is a whole level: {_shown(topic_filter)}")
    return pattern


def split_share(topic_filter: str) -> tuple[str | None, str]:
    """Take a shared subscription's filter apart.

    :returns: the group and the filter; ``(None, topic_filter)`` for a filter that is not shared.
    :raises TopicError: ``message.invalid_filter`` for ``$share/`` without a group of at least one character, with a wildcard in
        the group, or without a filter.
    """
    if not topic_filter.startswith(_SHARE):
        return None, topic_filter
    group, slash, pattern = topic_filter[len(_SHARE) :].partition("/")
    if not group or not slash or not pattern or "+" in group or "#" in group:
        raise TopicError(ErrorCode.MESSAGE_INVALID_FILTER, f"a shared filter is $share/group/filter: {_shown(topic_filter)}")
    return group, pattern


class _Compiled:
    """One filter, ready to be compared: its text between the ``+``, so that all comparing is searching in the name."""

    __slots__ = ("_anything", "_below", "_first", "_rest", "_wild")

    def __init__(self, pattern: str) -> None:
        self._anything = pattern == "#"
        self._below = pattern.endswith("/#")
        self._wild = pattern[0] in "+#"
        self._first, *self._rest = pattern.removesuffix("/#").split("+")

    def matches(self, topic: str) -> bool:
        if not topic.startswith(self._first):
            return self._anything and topic[0] != "$"
        if self._wild and topic[0] == "$":
            return False
        at = len(self._first)
        for piece in self._rest:
            at = topic.find("/", at)
            if at < 0:
                at = len(topic)
            if not topic.startswith(piece, at):
                return False
            at += len(piece)
        return at == len(topic) or (self._below and topic[at] == "/")


def _compile(topic_filter: str) -> _Compiled:
    return _Compiled(check_filter(topic_filter))


_remembered = lru_cache(maxsize=1024)(_compile)


class _Node(Generic[T]):
    """One level of a :class:`Matcher`'s tree, with the values whose filter ends here."""

    __slots__ = ("children", "values")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.values: list[T] = []


class Matcher(Generic[T]):
    """Many filters at once: which of their values a topic name concerns.

    The filters form a tree of levels, so a name is compared only with the filters that share its beginning; ten thousand
    devices' own filters cost the same as ten.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()

    def add(self, topic_filter: str, value: T) -> None:
        """Add one value under a filter; a group of a shared filter is ignored.

        :raises TopicError: ``message.invalid_filter``.
        """
        node = self._root
        for level in check_filter(topic_filter).split("/"):
            node = node.children.setdefault(level, _Node())
        node.values.append(value)

    def remove(self, topic_filter: str, value: T) -> None:
        """Take out one value that was added under this filter, and the branch of the tree that only it needed.

        :raises TopicError: ``message.invalid_filter``.
        :raises KeyError: when it is not there.
        """
        path: list[tuple[_Node[T], str]] = []
        node = self._root
        for level in check_filter(topic_filter).split("/"):
            path.append((node, level))
            node = node.children[level]
        if value not in node.values:
            raise KeyError(topic_filter)
        node.values.remove(value)
        for parent, level in reversed(path):
            if node.values or node.children:
                break
            del parent.children[level]
            node = parent

    def match(self, topic: str) -> list[T]:
        """The values of every filter that matches a name, in no particular order; a value added twice may come twice.

        :raises TopicError: ``message.invalid_topic``.
        """
        levels = check_name(topic).split("/")
        found: list[T] = []
        # Rule 2: below the root, the wildcards do not exist for a name that begins with "$".
        at = [node] if topic[0] == "$" and (node := self._root.children.get(levels[0])) else []
        if topic[0] != "$":
            at = self._step([self._root], levels[0], found)
        for level in levels[1:]:
            if not at:
                return found
            at = self._step(at, level, found)
        for node in at:
            found += node.values
            if "#" in node.children:
                found += node.children["#"].values
        return found

    @staticmethod
    def _step(nodes: list[_Node[T]], level: str, found: list[T]) -> list[_Node[T]]:
        """One level down from ``nodes``; what ends in ``#`` here has matched."""
        below: list[_Node[T]] = []
        for node in nodes:
            children = node.children
            below += [children[key] for key in (level, "+") if key in children]
            if "#" in children:
                found += children["#"].values
        return below


def _check_text(text: str, what: str, code: ErrorCode) -> None:
    if not text:
        raise TopicError(code, f"a {what} has at least one character")
    size = len(text)
    if not text.isascii():
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise TopicError(code, f"a {what} is UTF-8 text, not {_shown(text)}") from None
    if size > MAX_TOPIC_BYTES:
        raise TopicError(
            code, f"a {what} has at most {MAX_TOPIC_BYTES} bytes, not {size}", details={"bytes": size, "limit": MAX_TOPIC_BYTES}
        )
    if "\0" in text:
        raise TopicError(code, f"a {what} has no NUL: {_shown(text)}")


def _shown(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")
