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
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Raw

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["has_only_members_json", "has_only_members_msgpack"]


def _presence(struct: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(field.name, Raw, UNSET) for field in msgspec.structs.fields(struct)]
    return msgspec.defstruct(f"{struct.__name__}Presence", fields, module=__name__)


@lru_cache(maxsize=64)
def _json_reader(struct: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(_presence(struct)).decode


@lru_cache(maxsize=64)
def _msgpack_reader(struct: type[msgspec.Struct]) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(_presence(struct)).decode


def _members(presence: Any, message: msgspec.Struct) -> list[tuple[bytes, Any]]:
    """The members that a body has, each as it stands and as it was read."""
    return [
        (bytes(raw), getattr(message, name))
        for name in message.__struct_fields__
        if (raw := getattr(presence, name)) is not UNSET
    ]


def has_only_members_json(body: bytes, message: msgspec.Struct) -> bool:
    """Whether a JSON object has each member of the message at most once, and no other.

    :param body: from which ``message`` was read; without a backslash, so that its texts are what they stand for.
    """
    members = _members(_json_reader(type(message))(body), message)
    if body.count(b",") != sum(raw.count(b",") for raw, _ in members) + len(members) - 1:
        return False
    for raw, value in members:
        if isinstance(value, msgspec.Struct):
            if not has_only_members_json(raw, value):
                return False
        elif isinstance(value, dict):
            texts = "".join((*value, *value.values()))
            if raw.count(b",") != max(0, len(value) - 1) + texts.count(","):
                return False
    return True


def has_only_members_msgpack(body: bytes, message: msgspec.Struct) -> bool:
    """Whether a MessagePack map has each member of the message exactly once, and no other.

    :param body: from which ``message`` was read.
    """
    members = _members(_msgpack_reader(type(message))(body), message)
    if _size(body) != len(members):
        return False
    for raw, value in members:
        if isinstance(value, msgspec.Struct):
            if not has_only_members_msgpack(raw, value):
                return False
        elif isinstance(value, dict) and _size(raw) != len(value):
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
