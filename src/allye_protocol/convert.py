"""Between versions: every message in memory is of the newest version, whatever its peer speaks.

1. Converting goes one major version at a time; each newer version's module has the step to the one before it and back.
2. :func:`upgrade` is total. :func:`downgrade` reports what it loses, and refuses what would change the meaning.
3. :func:`decode` and :func:`encode` are the codec's with the conversion in them: what sessions and most programs use. The
   codec's own (:mod:`allye_protocol.codec`) give and take messages as they are written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from allye_protocol import codec
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, MAX_PAYLOAD_BYTES
from allye_protocol.errors import EncodeError, ErrorCode, Problem
from allye_protocol.messages.registry import BY_TYPE, NEWEST, VERSIONS, Kind, Message, Written
from allye_protocol.messages.v2.steps import DOWNGRADES, UPGRADES

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Downgraded", "decode", "downgrade", "encode", "upgrade"]


class Downgraded(NamedTuple):
    """A message of an older version, and what it leaves out.

    :param losses: what the older version has no place for, each with the member's path; nothing that changes the meaning.
    """

    message: Written
    losses: tuple[Problem, ...]


_UPGRADES: Final[dict[type, Callable[[Any], Any]]] = dict(UPGRADES)


def upgrade(message: Written) -> Message:
    """The same message in the newest version.

    :param message: valid, of any version.
    """
    step = _UPGRADES.get(type(message))
    while step is not None:
        message = step(message)
        step = _UPGRADES.get(type(message))
    return cast("Message", message)


def downgrade(message: Written, version: int) -> Downgraded:
    """The same message in an older version.

    :param message: valid, of any version that is not older.
    :param version: the major version to speak. ``hello`` is the same in all.
    :raises EncodeError: ``version.downgrade_loses`` with the path of what cannot be said, ``version.unsupported`` for a version
        that this library does not speak, or a message that is older already.
    """
    spec = BY_TYPE.get(type(message))
    if spec is None:
        raise EncodeError(ErrorCode.MESSAGE_UNKNOWN_KIND, f"{type(message).__name__} is not a message of this protocol")
    if version not in VERSIONS or 0 < spec.version < version:
        known = ", ".join(map(str, VERSIONS))
        message_ = f"a message of version {spec.version} cannot be written as version {version}; spoken here: {known}"
        raise EncodeError(ErrorCode.VERSION_UNSUPPORTED, message_, details={"supported_versions": list(VERSIONS)})
    losses: list[Problem] = []
    while BY_TYPE[type(message)].version > version:
        message = DOWNGRADES[type(message)](message, losses.append)
    return Downgraded(message, tuple(losses))


def decode(payload: bytes, kind: Kind | str, content_type: str | None = None, *, max_bytes: int = MAX_PAYLOAD_BYTES) -> Message:
    """Turn a payload of any version into a checked message of the newest one.

    Parameters and errors as for :func:`allye_protocol.codec.decode`.
    """
    message = codec.decode(payload, kind, content_type, max_bytes=max_bytes)
    step = _UPGRADES.get(type(message))
    return cast("Message", message) if step is None else upgrade(message)


def encode(message: Written, content_type: str = DEFAULT_CONTENT_TYPE, *, version: int | None = None) -> bytes:
    """Turn a message into a payload that a peer of a version can read.

    :param message: any message.
    :param content_type: the encoding's media type.
    :param version: the version that the peer speaks; ``None`` writes the message as it is. What a downgrade loses is told by
        :func:`downgrade`.
    :raises EncodeError: as :func:`allye_protocol.codec.encode` and :func:`downgrade`.
    """
    if version is None or version == NEWEST:
        return codec.encode(message, content_type)
    return codec.encode(downgrade(message, version).message, content_type)
