"""A battery that does exactly what it is told, but for what a test forbids it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.execution import Reading

__all__ = ["Battery"]

_HOUR: Final = timedelta(hours=1)


class Battery:
    """A battery without losses, ramps or a taper, so that every figure of a result can be predicted.

    Its attributes may be changed at any time; they count from then on.

    :param capacity_wh: energy between empty and full, Wh; so much by default that no plan of a test comes to an end of it.
    :param soc_pct: state of charge at first, %.
    :param hold: for how long it obeys a setpoint after nobody could reach it any more.
    """

    def __init__(self, *, capacity_wh: float = 100_000_000.0, soc_pct: float = 50.0, hold: timedelta = _HOUR) -> None:
        self.capacity_wh: Final = capacity_wh
        self.hold: Final = hold
        self.refusal: Problem | None = None
        """Why it refuses to be armed for a schedule, if it does."""
        self.arming: timedelta = timedelta(0)
        """How long it takes to be armed."""
        self.limit_w: int | None = None
        """The most power that it gives or takes at the moment, W; ``None`` for what it is told."""
        self.limited_by: ErrorCode = ErrorCode.EXEC_LIMITED_BATTERY
        """What it names as the reason while :attr:`limit_w` keeps it from its setpoint."""
        self.linked: bool = True
        """Whether it can be read and told anything."""
        self._stored_wh = capacity_wh * soc_pct / 100
        self._meter_wh = 0.0
        self._charged_wh = 0.0
        self._setpoint_w = 0
        self._now: datetime | None = None
        self._reached_at: datetime | None = None

    @property
    def soc_pct(self) -> float:
        """State of charge when it was last looked at, %."""
        return 100 * self._stored_wh / self.capacity_wh

    @property
    def setpoint_w(self) -> int:
        """What it was last told, W; positive charges."""
        return self._setpoint_w

    def order(self, watts: int, now: datetime) -> None:
        """Tell it a setpoint, W; nothing happens while it cannot be reached."""
        self._go_on(now)
        if self.linked:
            self._setpoint_w = watts

    def read(self, now: datetime) -> Reading:
        """Its counters."""
        self._go_on(now)
        if not self.linked:
            return Reading(None, ErrorCode.DRIVER_TIMEOUT)
        limited = self.limit_w is not None and abs(self._setpoint_w) > self.limit_w
        trouble = self.limited_by if limited else None
        return Reading(self._meter_wh, trouble, charged_wh=self._charged_wh, soc_pct=round(self.soc_pct, 3))

    def _go_on(self, now: datetime) -> None:
        """What happened since it was last looked at; a clock that was set back changes nothing."""
        if self._now is not None and self._reached_at is not None and now > self._now:
            obeyed = max(min(now, self._reached_at + self.hold) - self._now, timedelta(0))
            wanted_wh = self._power_w() * (obeyed / _HOUR)
            moved_wh = min(max(wanted_wh, -self._stored_wh), self.capacity_wh - self._stored_wh)
            self._stored_wh += moved_wh
            self._meter_wh += moved_wh
            self._charged_wh += max(moved_wh, 0.0)
        self._now = now if self._now is None else max(now, self._now)
        if self.linked:
            self._reached_at = self._now

    def _power_w(self) -> int:
        if self.limit_w is None:
            return self._setpoint_w
        return max(-self.limit_w, min(self.limit_w, self._setpoint_w))
