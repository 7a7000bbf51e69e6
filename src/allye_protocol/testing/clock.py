"""A clock that a test moves."""

from __future__ import annotations

from datetime import datetime, timedelta

__all__ = ["VirtualClock"]

_ZERO = timedelta(0)


class VirtualClock:
    """A :class:`~allye_protocol.clock.Clock` whose time passes only when it is told to.

    :param start: the time that it shows at first.
    :raises ValueError: for a time without an offset.
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"{start.isoformat()} has no offset; give an aware datetime, in UTC")
        self._start = start
        self._now = start

    def __repr__(self) -> str:
        return f"VirtualClock({self._now.isoformat()})"

    def now(self, not_after: datetime | None = None) -> datetime:
        """The time shown, but never later than ``not_after``."""
        return self._now if not_after is None or self._now < not_after else not_after

    def seconds_until(self, instant: datetime) -> float:
        """Seconds of this clock until ``instant``; 0 when it is past."""
        return max(0.0, (instant - self._now).total_seconds())

    def seconds(self) -> float:
        """Seconds shown since the start: the time for a :class:`~allye_protocol.transport.memory.MemoryBroker`."""
        return (self._now - self._start).total_seconds()

    def advance(self, step: timedelta) -> datetime:
        """Let time pass.

        :raises ValueError: for a step back; a device's own clock may be wrong, the world's is not.
        """
        if step < _ZERO:
            raise ValueError(f"time does not go back, by {-step}")
        self._now += step
        return self._now

    def advance_to(self, instant: datetime) -> datetime:
        """Let time pass until an instant.

        :raises ValueError: for one that is past.
        """
        return self.advance(instant - self._now)
