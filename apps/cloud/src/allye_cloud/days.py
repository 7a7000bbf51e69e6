"""Local days on UTC: where one begins, where it ends, and which half-hours belong to it.

1. A local day runs from the first instant that bears its date to the first instant that bears a later one. So a day has 46,
   48 or 50 half-hours in Europe/London, 47 or 49 in Australia/Lord_Howe, 44 in spring at Antarctica/Troll, and the next day
   begins exactly where it ends.
2. A day that a zone left out (Pacific/Apia, 2011-12-30) is an error, never an empty day.
3. Slots are half-hours of UTC. Where local midnight is none (Asia/Kathmandu, +05:45), a day has the slots that *begin* in it:
   its first slot begins 15 minutes into the day and its last one runs 15 minutes into the next. Every slot still belongs to
   exactly one day.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from allye_cloud.errors import DayError

__all__ = ["HALF_HOUR", "half_hours", "is_half_hour", "local_day", "zone_named"]

HALF_HOUR: Final = timedelta(minutes=30)


def zone_named(name: str) -> ZoneInfo:
    """The time zone called ``name`` in the IANA database, such as ``Europe/London``.

    :raises DayError: when there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown name, a path, a folder of the database
        raise DayError(f"{name!r} is not a time zone; use an IANA name such as Europe/London or UTC") from None


def is_half_hour(instant: datetime) -> bool:
    """Whether an aware instant is on :00 or :30 of UTC to the microsecond."""
    utc = instant.astimezone(UTC)
    return utc.minute in (0, 30) and utc.second == 0 and utc.microsecond == 0


def local_day(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Where a local day begins and ends.

    :param day: the date on the local calendar.
    :param zone: the zone of that calendar.
    :returns: its half-open interval ``(start, end)``, aware and in UTC. Not always on a half-hour: see rule 3.
    :raises DayError: when the zone has no such day.
    """
    start, end = _first_instant(day, zone), _first_instant(day + timedelta(days=1), zone)
    if start == end:
        raise DayError(f"{day} does not exist in {zone.key}, which left that day out; ask for the day before or after it")
    return start, end


def half_hours(day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The starts of all UTC half-hours that begin in a local day, in order.

    :raises DayError: when the zone has no such day.
    """
    start, end = local_day(day, zone)
    first = start + (datetime.min.replace(tzinfo=UTC) - start) % HALF_HOUR
    return tuple(first + i * HALF_HOUR for i in range(-((first - end) // HALF_HOUR)))


def _first_instant(day: date, zone: ZoneInfo) -> datetime:
    """The first instant on or after which the local date is ``day`` or later."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    utc = midnight.astimezone(UTC)
    if utc.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return utc
    # Clocks skip midnight. The two offsets around the gap bracket the instant at which they are moved (PEP 495).
    earliest = midnight.replace(fold=1).astimezone(UTC)
    seconds = range(int((utc - earliest).total_seconds()) + 1)
    skip = bisect_left(seconds, True, key=lambda s: (earliest + timedelta(seconds=s)).astimezone(zone).date() >= day)  # noqa: FBT003
    return earliest + timedelta(seconds=skip)
