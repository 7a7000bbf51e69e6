"""When a device's status is worth saying again: on every connection, when something changed, and every few minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from allye_protocol.messages import BatteryState
from allye_protocol.messages.v2 import MAX_WATTS

if TYPE_CHECKING:
    from allye_device.config import StatusConfig
    from allye_device.post import Post
    from allye_max300 import Telemetry
    from allye_protocol.frame import Frame
    from allye_protocol.session.device import DeviceSession

__all__ = ["Presence", "Seen", "seen"]

POWER_CHANGE: Final = 0.02
"""Of rated power: what is a change of power, but at least a kilowatt."""
SOC_CHANGE_PCT: Final = 1.0


class Seen(NamedTuple):
    """What a status tells of the battery and the plan.

    :param power_w: W, positive charges; ``soc_pct``: %; ``None`` for what is not known.
    :param state: ``COMMS_LOST`` while the battery cannot be read.
    :param schedule_id: whose slot is running.
    :param clock_trusted: whether the device's time can be relied on.
    """

    power_w: int | None
    soc_pct: float | None
    state: BatteryState
    schedule_id: str | None
    clock_trusted: bool


def seen(telemetry: Telemetry | None, schedule_id: str | None, *, clock_trusted: bool) -> Seen:
    """What there is to tell.

    :param telemetry: the last reading; ``None`` while the battery cannot be read. Figures that no battery has are not told.
    """
    if telemetry is None:
        return Seen(None, None, BatteryState.COMMS_LOST, schedule_id, clock_trusted)
    power_w = round(telemetry.power_w) if abs(telemetry.power_w) <= MAX_WATTS else None
    soc_pct = round(telemetry.soc_pct, 2) if 0 <= telemetry.soc_pct <= 100 else None
    return Seen(power_w, soc_pct, BatteryState(telemetry.state.value), schedule_id, clock_trusted)


class Presence:
    """What a device says of itself: the status, and the one that the broker says for it when it is lost.

    :param session: of the device.
    :param post: how it leaves.
    :param config: how often it may be said, and must be.
    :param rated_w: the battery's rated power, W.
    """

    def __init__(self, session: DeviceSession, post: Post, config: StatusConfig, rated_w: int) -> None:
        self._session: Final = session
        self._post: Final = post
        self._least: Final = timedelta(seconds=config.least_interval_s)
        self._most: Final = timedelta(seconds=config.most_interval_s)
        self._power_change_w: Final = max(POWER_CHANGE * rated_w, 1000)
        self._said: tuple[datetime, Seen] | None = None
        self.last_will: Frame | None = None
        """What the broker is to say when it loses the device; ``None`` for a device without a status."""

    def forget(self) -> None:
        """There is a new connection: whoever listens there has heard nothing yet."""
        self._said = None

    def renew_will(self, now: datetime) -> None:
        """There will be a new connection.

        :raises StoreError: the will stays that of the connection before.
        """
        self.last_will = self._session.status(now, online=False)

    def leave(self, now: datetime) -> None:
        """Say that the device goes: a broker says nothing of who leaves in good order.

        :raises StoreError: it cannot be said.
        """
        self.renew_will(now)
        if self.last_will is not None:
            self._post.publish(self.last_will)

    def tell(self, now: datetime, what: Seen) -> None:
        """Say how the device is, when that is due.

        :raises StoreError: the running slot cannot be read.
        """
        if not self._is_due(now, what):
            return
        status = self._session.status(now, power_w=what.power_w, soc_pct=what.soc_pct, state=what.state)
        if status is None or self._post.publish(status) is not None:
            self._said = now, what

    def _is_due(self, now: datetime, what: Seen) -> bool:
        """Whether to say it now. A clock that was set back counts as a change."""
        if self._said is None:
            return True
        at, before = self._said
        if not timedelta(0) <= now - at < self._most:
            return True
        return now - at >= self._least and self._differs(before, what)

    def _differs(self, before: Seen, what: Seen) -> bool:
        return (
            before[2:] != what[2:]
            or _moved(before.power_w, what.power_w, self._power_change_w)
            or _moved(before.soc_pct, what.soc_pct, SOC_CHANGE_PCT)
        )


def _moved(before: float | None, after: float | None, change: float) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) >= change
