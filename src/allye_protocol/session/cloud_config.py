"""How a cloud session is configured."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from allye_protocol import topics
from allye_protocol.codec import JSON, MSGPACK, PROTOBUF
from allye_protocol.codec.tolerant import Tolerance
from allye_protocol.delivery import RetryPolicy
from allye_protocol.messages import VERSIONS
from allye_protocol.negotiation import Offer

__all__ = ["OFFER", "CloudConfig"]

OFFER: Final = Offer(versions=VERSIONS, content_types=(MSGPACK, PROTOBUF, JSON))
"""What the cloud speaks unless it is told otherwise: every version of the library, the smallest and fastest encoding first.

JSON comes last: every device has it, so one that names another beside it has a reason to. An encoding that is not installed is
not offered in effect: negotiation passes over it.
"""


class CloudConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a cloud session works.

    :param root: the topics' root.
    :param group: the name that workers share who divide the fleet's messages among them; ``None`` for a single worker.
    :param retry: how a delivery is repeated.
    :param max_ahead: how far in the future a schedule may start; devices refuse more than they are configured for. A cancel of
        everything from an instant on is repeated for so long after it.
    :param max_skew: how far ahead of the cloud's clock the sequence of a schedule may be.
    :param offer: the versions and encodings that the cloud speaks; its order of content types is the order of preference.
    :param tolerance: how devices' messages are read. Tolerant reading takes known deviations of third parties and tells them
        (:class:`~allye_protocol.events.DeviationsTolerated`).
    """

    root: str = topics.DEFAULT_ROOT
    group: str | None = None
    retry: RetryPolicy = RetryPolicy()
    max_ahead: timedelta = timedelta(days=8)
    max_skew: timedelta = timedelta(minutes=5)
    offer: Offer = OFFER
    tolerance: Tolerance = Tolerance.STRICT
