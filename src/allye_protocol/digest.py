"""What a schedule means, hashed.

Two schedules with the same digest ask the same of the same device. The digest covers the device, the start, the resolution,
the rates in watts, the limits and the flags; not bytes, encoding, ``generated_at``, trace or metadata, and not
``max_power_kw``, which only lets a schedule contradict itself. It is taken over the columnar form, so that a schedule and its
upgrade to a later version have the same digest (PROTOCOL section 4).

Canonical form: the UTF-8 JSON object ``{"device_id", "start", "resolution_s", "rates_w"}`` with these members in this order,
no white space, ``start`` in whole seconds since the Unix epoch, rates as integers.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from allye_protocol.messages.v1 import RESOLUTION

if TYPE_CHECKING:
    from allye_protocol.messages.v1 import Schedule

__all__ = ["digest"]


class _Meaning(msgspec.Struct, frozen=True, kw_only=True):
    device_id: str
    start: int
    resolution_s: int
    rates_w: list[int]


def digest(schedule: Schedule) -> str:
    """The digest of a schedule's meaning: SHA-256, 64 lower-case hex digits.

    :param schedule: a valid schedule, as ``decode`` returns it.
    """
    meaning = _Meaning(
        device_id=schedule.device_id,
        start=int(schedule.start.timestamp()),
        resolution_s=int(RESOLUTION.total_seconds()),
        rates_w=schedule.rates_w,
    )
    return sha256(msgspec.json.encode(meaning)).hexdigest()
