"""The ``now`` of a session: with its offset, and maybe set back since."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["check_aware", "is_over"]


def check_aware(now: datetime) -> None:
    """Refuse a time that does not say which it is.

    :raises ValueError: for one without an offset.
    """
    if now.tzinfo is None:
        raise ValueError(f"now is {now.isoformat()} without an offset; give an aware datetime, in UTC")


def is_over(since: datetime | None, interval: timedelta, now: datetime) -> bool:
    """Whether an interval has ended, or never began; also when the clock was set back to before it."""
    return since is None or not timedelta(0) <= now - since < interval
