"""Whether a body has the members that were read and no other: the bytes' half of the fast roads.

msgspec takes the last of two members of one name, and passes over a name that it does not know. Both are found by counting. A
struct is read once more as its *presence*: the same names, each holding the bytes of its value as they stand, or nothing.

1. In JSON every member but the first of its object costs exactly one comma. So an object has the commas within the values that
   were kept, and one less than there are of these; or there was something besides.
2. In MessagePack a map begins with the number of its members.

Objects within an object are looked at in the same way. No array of this protocol's newest version has objects in it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_origin

import msgspec
from msgspec import UNSET, Raw
from msgspec.structs import astuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["has_only_members_json", "has_only_members_msgpack"]


class _Presence(NamedTuple):
    """How to look at one struct.

    :param json: reads the presence of its members in JSON.
    :param msgpack: reads it in MessagePack.
    :param size: how many members it can have.
    :param objects: the members that hold members of their own.
    """

    json: Callable[[bytes], msgspec.Struct]
    msgpack: Callable[[bytes], msgspec.Struct]
    size: int
    objects: tuple[str, ...]


@lru_cache(maxsize=64)
def _presence(struct: type[msgspec.Struct]) -> _Presence:
    fields = msgspec.structs.fields(struct)
    made = msgspec.defstruct(f"{struct.__name__}Presence", [(field.name, Raw, UNSET) for field in fields], module=__name__)
    objects = tuple(field.name for field in fields if _holds_members(field.type))
    return _Presence(msgspec.json.Decoder(made).decode, msgspec.msgpack.Decoder(made).decode, len(fields), objects)


def _holds_members(expected: Any) -> bool:
    kind = get_origin(expected) or expected
    if isinstance(kind, type) and issubclass(kind, (msgspec.Struct, dict)):
        return True
    return kind is not tuple and any(map(_holds_members, get_args(expected)))


def has_only_members_json(body: bytes, message: msgspec.Struct) -> bool:
    """Whether a JSON object has each member of the message at most once, and no other.

    :param body: from which ``message`` was read; without a backslash, so that its texts are what they stand for.
    """
    how = _presence(type(message))
    presence = how.json(body)
    values = [raw for raw in astuple(presence) if raw is not UNSET]
    if body.count(b",") != b"".join(values).count(b",") + len(values) - 1:
        return False
    for name in how.objects:
        value = getattr(message, name)
        if isinstance(value, msgspec.Struct):
            if not has_only_members_json(bytes(getattr(presence, name)), value):
                return False
        elif value:
            texts = "".join((*value, *value.values()))
            if bytes(getattr(presence, name)).count(b",") != len(value) - 1 + texts.count(","):
                return False
    return True


def has_only_members_msgpack(body: bytes, message: msgspec.Struct) -> bool:
    """Whether a MessagePack map has each member of the message exactly once, and no other.

    :param body: from which ``message`` was read.
    """
    how = _presence(type(message))
    presence = how.msgpack(body)
    if _size(body) != how.size - astuple(presence).count(UNSET):
        return False
    for name in how.objects:
        value = getattr(message, name)
        if isinstance(value, msgspec.Struct):
            if not has_only_members_msgpack(bytes(getattr(presence, name)), value):
                return False
        elif value and _size(bytes(getattr(presence, name))) != len(value):
            return False
    return True


_FIXMAP: Final = 0x80
_MAP16: Final = 0xDE


def _size(body: bytes) -> int:
    """The number of members that a map says it has."""
    first = body[0]
    if first < _MAP16:
        return first - _FIXMAP
    return int.from_bytes(body[1:3] if first == _MAP16 else body[1:5], "big")
