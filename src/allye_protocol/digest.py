"""What a schedule means, hashed.

Two schedules with the same digest ask the same of the same device. The digest covers the device, the start, the resolution,
the rates in watts, the limits and the flags; not bytes, encoding, ``generated_at``, ``sequence``, ``expires_at``, trace or
metadata, and not version 1's ``max_power_kw``, which only lets a schedule contradict itself. A version-1 schedule and its
upgrade have the same digest.

Canonical form: a UTF-8 JSON object without white space, its members in the order of :class:`Meaning`, those from
``soc_min_milli_pct`` on only where the schedule has them. Every number is an integer: ``start`` in seconds since the Unix
epoch, rates in watts (``null`` for no setpoint), limits of the state of charge in thousandths of a percent.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from allye_protocol.messages import Schedule

__all__ = ["digest"]


class Meaning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members of the canonical form."""

    device_id: str
    start: int
    resolution_s: int
    rates_w: tuple[int | None, ...]
    soc_min_milli_pct: int | None = None
    soc_max_milli_pct: int | None = None
    ramp_w_per_s: int | None = None
    start_jitter_s: int = 0
    dry_run: bool = False


_encode = msgspec.json.Encoder().encode


def digest(schedule: Schedule) -> str:
    """The digest of a schedule's meaning: SHA-256, 64 lower-case hex digits.

    :param schedule: a valid schedule, as ``decode`` returns it.
    """
    low, high = schedule.soc_min_pct, schedule.soc_max_pct
    meaning = Meaning(
        device_id=schedule.device_id,
        start=int(schedule.start.timestamp()),
        resolution_s=schedule.resolution_s,
        rates_w=schedule.rates_w,
        soc_min_milli_pct=None if low is None else round(low * 1000),
        soc_max_milli_pct=None if high is None else round(high * 1000),
        ramp_w_per_s=schedule.ramp_w_per_s,
        start_jitter_s=schedule.start_jitter_s,
        dry_run=schedule.dry_run,
    )
    return sha256(_encode(meaning)).hexdigest()
