"""What two peers speak with each other: chosen from what each offers, by a pure function.

1. The highest version that both have, then the first content type of this side's preferences that the other offers and that
   the version can be written in. Nothing else is looked at, and nothing is remembered: a new hello is a new choice.
2. A device that has said no hello speaks version 1 in JSON (:data:`BASELINE`).
3. Without a common version nothing is guessed: :class:`~allye_protocol.errors.PeerTooOld` and
   :class:`~allye_protocol.errors.PeerTooNew` say what both speak and which side to upgrade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol.codec import DEFAULT_CONTENT_TYPE, content_types_of
from allye_protocol.errors import ErrorCode, NegotiationError, PeerTooNew, PeerTooOld

if TYPE_CHECKING:
    from allye_protocol.messages import Hello

__all__ = ["BASELINE", "Agreement", "Offer", "agreement_with", "choose"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What one side speaks.

    :param versions: major versions, in any order.
    :param content_types: media types, the preferred one first.
    """

    versions: tuple[int, ...]
    content_types: tuple[str, ...]

    @classmethod
    def of(cls, hello: Hello) -> Offer:
        """What a device says in its hello."""
        return cls(versions=hello.versions, content_types=hello.content_types)


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How two sides speak.

    :param version: the major version.
    :param content_type: the media type.
    """

    version: int
    content_type: str


BASELINE: Final = Agreement(version=1, content_type=DEFAULT_CONTENT_TYPE)
"""What is spoken with a device that has said no hello."""


def choose(ours: Offer, theirs: Offer) -> Agreement:
    """Agree on a version and an encoding.

    :param ours: what this side speaks; its order of content types counts.
    :param theirs: what the other side speaks.
    :raises PeerTooOld: ``version.unsupported``: every version of theirs is older than ours.
    :raises PeerTooNew: ``version.unsupported``: every version of theirs is newer than ours, or lies between.
    :raises NegotiationError: ``version.no_common_encoding``: no content type of the highest common version is known to both.
    """
    common = set(ours.versions) & set(theirs.versions)
    if not common:
        mine, other = sorted(ours.versions), sorted(theirs.versions)
        spoken = f"this side speaks {_listed(mine)}, the peer {_listed(other)}"
        details = {"ours": mine, "theirs": other}
        if not other or not mine or max(other) < min(mine):
            raise PeerTooOld(ErrorCode.VERSION_UNSUPPORTED, f"{spoken}: upgrade the peer", details=details)
        raise PeerTooNew(ErrorCode.VERSION_UNSUPPORTED, f"{spoken}: upgrade this side", details=details)
    version = max(common)
    offered = {content_type.partition(";")[0].strip().lower() for content_type in theirs.content_types}
    writable = content_types_of(version)
    for content_type in ours.content_types:
        if content_type in offered and content_type in writable:
            return Agreement(version=version, content_type=content_type)
    raise NegotiationError(
        ErrorCode.VERSION_NO_COMMON_ENCODING,
        f"version {version} can be written as {', '.join(writable)}; this side has {', '.join(ours.content_types)}, the peer "
        f"{', '.join(theirs.content_types)}: add one that both know",
        details={"version": version},
    )


def agreement_with(hello: Hello | None, ours: Offer) -> Agreement:
    """What to speak with a device, by its newest hello.

    :param hello: ``None`` for a device that has said none.
    :raises NegotiationError: as :func:`choose`; for a device without a hello too, when this side no longer speaks version 1.
    """
    if hello is not None:
        return choose(ours, Offer.of(hello))
    return choose(ours, Offer(versions=(BASELINE.version,), content_types=(BASELINE.content_type,)))


def _listed(versions: list[int]) -> str:
    return ", ".join(map(str, versions)) or "none"
