"""The agent's one time: it stops at deadlines, never runs backwards, and knows whether it can be believed.

1. Everything that the agent does in one turn happens at one instant, :attr:`Timekeeper.now`. The driver is given the same one,
   so a reading at the end of a slot is exact however busy the machine is.
2. A machine without a battery-backed clock boots in the past. Time is trusted once the machine has synchronised, and never
   while it is before the newest time that was trusted, which is kept on disk.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from pathlib import Path

    from allye_protocol.clock import Clock

__all__ = ["Timekeeper"]

MAX_STEP_BACK: Final = timedelta(seconds=5)
"""A clock that is set back by less stands still until it has caught up; one that is set back further is wrong."""
KEEP_INTERVAL: Final = timedelta(minutes=10)
RECHECK_S: Final = 10.0


class Timekeeper:
    """A clock with a present, a memory and a doubt. Called, it tells the present: a driver's clock.

    :param clock: where time comes from.
    :param synchronised: the file that says the machine has synchronised; ``None``: the clock is always believed.
    :param memory: the file that keeps the newest trusted time; ``None``: it is forgotten at the end of the process.
    """

    def __init__(self, clock: Clock, *, synchronised: Path | None = None, memory: Path | None = None) -> None:
        self._clock: Final = clock
        self._synchronised: Final = synchronised
        self._memory: Final = memory
        self._log = structlog.get_logger()
        self._newest: datetime | None = None
        self._kept: datetime | None = None
        self.now = clock.now()
        """The instant of this turn, UTC."""
        self.doubt = ""
        """Why :attr:`now` cannot be relied on; empty when it can."""
        self._newest = self._kept = self._remembered()
        self.advance()

    def __call__(self) -> datetime:
        """The instant of this turn."""
        return self.now

    @property
    def trusted(self) -> bool:
        """Whether :attr:`now` can be relied on."""
        return not self.doubt

    def advance(self, not_after: datetime | None = None) -> datetime:
        """Begin a turn.

        :param not_after: the next deadline: a clock that plays time does not run past it.
        """
        shown = self._clock.now(None if not_after is None else max(not_after, self.now))
        newest = self._newest or shown
        if self._synchronised is not None and not self._synchronised.exists():
            self.doubt = f"the machine has not synchronised its clock: {self._synchronised} is not there"
        elif newest - shown > MAX_STEP_BACK:
            self.doubt = f"it was {newest.isoformat()} before; set the clock, or delete {self._memory} if that was wrong"
        else:
            self.doubt = ""
        self.now = max(shown, newest) if self.trusted else shown
        if self.trusted:
            self._newest = self.now
            if self._kept is None or self.now - self._kept >= KEEP_INTERVAL:
                self.keep()
        return self.now

    def seconds_until(self, instant: datetime) -> float:
        """How long to wait for ``instant``, s of real time; while time is not trusted, until it is to be looked at again."""
        return self._clock.seconds_until(instant) if self.trusted else RECHECK_S

    def keep(self) -> None:
        """Keep the newest trusted time on disk. A disk that does not take it costs nothing but the memory."""
        self._kept = self._newest
        if self._memory is None or self._newest is None:
            return
        beside = self._memory.with_name(self._memory.name + ".new")
        try:
            beside.write_text(self._newest.isoformat(), encoding="ascii")
            beside.replace(self._memory)
        except OSError as error:
            self._log.warning("time_not_kept", file=str(self._memory), reason=str(error))

    def _remembered(self) -> datetime | None:
        if self._memory is None or not self._memory.exists():
            return None
        try:
            return datetime.fromisoformat(self._memory.read_text(encoding="ascii")).astimezone(UTC)
        except (OSError, ValueError) as error:
            self._log.warning("time_not_remembered", file=str(self._memory), reason=str(error))
            return None
