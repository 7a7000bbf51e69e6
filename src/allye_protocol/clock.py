"""The clocks that apps put around the machines. The core reads none; it is given the time.

:class:`SystemClock` is for production. :class:`ScaledClock` plays a day in seconds with every instant at its place: it never
runs past the next deadline before the app has handled it, so a busy machine makes the day longer, not wrong.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

__all__ = ["Clock", "ScaledClock", "SystemClock"]


class Clock(Protocol):
    """Where an app's loop takes the time from."""

    def now(self, not_after: datetime | None = None) -> datetime:
        """The time, aware, in UTC.

        :param not_after: the app's next deadline. A clock that plays time stops there until the app has moved its deadline.
        """
        ...

    def seconds_until(self, instant: datetime) -> float:
        """How long to wait for ``instant``, in seconds of real time; 0 when it is past."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self, not_after: datetime | None = None) -> datetime:  # noqa: ARG002 - real time stops for nobody
        """The time, aware, in UTC."""
        return datetime.now(UTC)

    def seconds_until(self, instant: datetime) -> float:
        """Seconds until ``instant``."""
        return max(0.0, (instant - datetime.now(UTC)).total_seconds())


class ScaledClock:
    """A clock that plays time from an origin on, faster or slower than it passes.

    Processes that are given the same three figures agree on the time.

    :param origin: the time that is shown at ``started``.
    :param started: Unix time of the start, s (``time.time()``).
    :param speed: seconds shown for each second that passes; 7200 plays an hour in half a second.
    """

    def __init__(self, origin: datetime, started: float, speed: float) -> None:
        if not 0 < speed < math.inf:
            raise ValueError(f"a clock's speed is a number above 0, not {speed}")
        self._origin: Final = origin
        self._started: Final = started
        self._speed: Final = speed

    def now(self, not_after: datetime | None = None) -> datetime:
        """The time shown, but never later than the next deadline."""
        shown = self._origin + timedelta(seconds=(time.time() - self._started) * self._speed)
        return shown if not_after is None or shown < not_after else not_after

    def seconds_until(self, instant: datetime) -> float:
        """Real seconds until ``instant`` is shown."""
        shown = self._origin + timedelta(seconds=(time.time() - self._started) * self._speed)
        return max(0.0, (instant - shown).total_seconds() / self._speed)
