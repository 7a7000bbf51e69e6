"""What the agent does with its driver: give the setpoint that holds, keep it alive, and tell how the battery took it.

1. The setpoint is an :class:`Order` with an end. It is given with a validity, refreshed at a third of it, and is 0 W from its
   end on, whatever else goes wrong. Who does not refresh it loses it: the battery goes to 0 W by itself.
2. 0 W also when the battery cannot be read or refuses the setpoint, when the order is beyond the configured power, and for the
   rest of an order that has reached the end of the state-of-charge band, the order's own or the configured one.
3. A ramp limits increases of |power|; a decrease is never delayed. A change of sign is at 0 at once, and ramps from there.
4. Nothing here raises because of the battery or its driver (:mod:`allye_device.boundary`). What is wrong is a code in the
   reading, a line in the log, and the answer of :meth:`Battery.arm`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from allye_device.boundary import Boundary
from allye_max300 import GridMode, HasHeartbeat, LimitReason, State
from allye_protocol.errors import AllyeError, DriverError, ErrorCode, Problem
from allye_protocol.session.device import Reading

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from allye_device.config import BatteryConfig
    from allye_max300 import Driver, Telemetry
    from allye_protocol.events import SlotStarted

__all__ = ["Battery", "Order", "order_of"]

MAX_AGE: Final = timedelta(seconds=5)
"""A reading that is older does not say what the battery does now: a gateway answers from its cache."""
RAMP_STEP: Final = timedelta(seconds=1)
"""How often the setpoint follows a ramp. A step is never larger than the ramp allows in this time, however late it comes."""
SHORTEST_LOOK: Final = 0.05
"""Of the time between two looks: how soon the next one may come when the end of the band is near."""

OBSTACLE: Final[dict[State, ErrorCode | None]] = {
    State.READY: None,
    State.CHARGING: None,
    State.DISCHARGING: None,
    State.OFF: ErrorCode.DRIVER_REJECTED,
    State.STANDBY: ErrorCode.DRIVER_REJECTED,
    State.INITIALISING: ErrorCode.DEVICE_BUSY,
    State.FAULT: ErrorCode.DEVICE_FAULT_ACTIVE,
    State.LOCAL: ErrorCode.DEVICE_LOCAL_MODE,
    State.COMMS_LOST: ErrorCode.DRIVER_HEARTBEAT_LOST,
    State.ESTOP: ErrorCode.DEVICE_EMERGENCY_STOP,
}
"""What keeps a battery in this state from following setpoints."""

LIMITATION: Final[dict[LimitReason, ErrorCode | None]] = {
    LimitReason.SOC: ErrorCode.EXEC_LIMITED_SOC,
    LimitReason.TEMPERATURE: ErrorCode.EXEC_LIMITED_TEMPERATURE,
    LimitReason.RATING: ErrorCode.EXEC_LIMITED_BATTERY,
    LimitReason.PACKS: ErrorCode.EXEC_LIMITED_BATTERY,
    LimitReason.OTHER: ErrorCode.EXEC_LIMITED_BATTERY,
    LimitReason.STEP: None,
    LimitReason.DEAD_BAND: None,
    LimitReason.RAMP: None,
}
"""What a battery that does less says about the slot; the reasons without a code cost less than what a slot tolerates."""


class Order(Struct, frozen=True, kw_only=True):
    """What is wanted of the battery.

    :param watts: the setpoint, W; positive charges.
    :param until: from then on 0 W is wanted; ``None``: no end.
    :param soc_min_pct: discharging stops here, %; ``None``: at the configured end of the band.
    :param soc_max_pct: charging stops here, %; likewise.
    :param ramp_w_per_s: fastest increase of |power|, W/s; ``None``: as fast as the battery does it.
    """

    watts: int = 0
    until: datetime | None = None
    soc_min_pct: float | None = None
    soc_max_pct: float | None = None
    ramp_w_per_s: int | None = None


def order_of(event: SlotStarted) -> Order:
    """What a slot asks for: its setpoint under its limits, or the default control, 0 W."""
    slot = event.slot
    if event.setpoint_w is None:
        return Order()
    return Order(
        watts=event.setpoint_w,
        until=slot.until,
        soc_min_pct=slot.soc_min_pct,
        soc_max_pct=slot.soc_max_pct,
        ramp_w_per_s=slot.ramp_w_per_s,
    )


class Battery:
    """One battery, under one order at a time.

    :param driver: how it is reached.
    :param limits: what this device never goes beyond.
    :param validity_s: for how long it follows a setpoint that is not refreshed, s.
    :param now: the present instant.
    :param log: where to say what is wrong with it.
    :raises DriverError: when it does not say how often it wants to hear from its controller.
    """

    def __init__(
        self, driver: Driver, limits: BatteryConfig, validity_s: float, now: datetime, log: FilteringBoundLogger
    ) -> None:
        self._driver: Final = driver
        self._limits: Final = limits
        self._validity_s: Final = validity_s
        self._log: Final = log
        self._cross: Final = Boundary(log)
        interval_s = self._cross(lambda: driver.heartbeat_interval_s) if isinstance(driver, HasHeartbeat) else None
        self._heart: Final = driver if isinstance(driver, HasHeartbeat) and interval_s is not None else None
        self._period: Final = timedelta(seconds=min(validity_s / 3, interval_s or validity_s))
        self._order = Order()
        self._turned = False
        self._held: tuple[datetime, int] | None = None
        self._ramping = False
        self._obstacle: Problem | None = None
        self._withheld: Problem | None = None
        self._refused: Problem | None = None
        self._said: ErrorCode | None = None
        self.telemetry: Telemetry | None = None
        """The last reading; ``None`` while the battery cannot be read."""
        self.next_look = now
        """When the battery is to be read and its setpoint refreshed next."""

    @property
    def obeys(self) -> bool:
        """Whether it was in a state to follow setpoints, and took the last one."""
        return self._obstacle is None and self._refused is None

    def order(self, order: Order) -> None:
        """Want something else from now on; :meth:`hold` gives it to the battery."""
        self._order, self._withheld, self._turned = order, None, True
        if not -self._limits.max_discharge_w <= order.watts <= self._limits.max_charge_w:
            message = f"the plan in force asks for {order.watts} W, beyond the configured power; 0 W instead"
            self._withheld = Problem(code=ErrorCode.LIMIT_POWER, message=message)

    def read(self, now: datetime) -> Reading:
        """Read the battery.

        :param now: the present instant.
        :returns: its energy counters, and what keeps it from the setpoint.
        """
        self.telemetry = None
        try:
            return self._cross(self._seen, now)
        except AllyeError as error:
            self._obstacle = error.problem
            return Reading(None, error.code)

    def _seen(self, now: datetime) -> Reading:
        if self._heart is not None:
            self._heart.heartbeat()
        telemetry = self._driver.read()
        if now - telemetry.time > MAX_AGE:
            raise DriverError(ErrorCode.DRIVER_TIMEOUT, f"the battery's data stand still since {telemetry.time.isoformat()}")
        obstacle = _obstacle(telemetry)
        problem = obstacle or self._withheld or self._refused
        limitations = (LIMITATION[reason] for reason in telemetry.throttle_reasons)
        trouble = problem.code if problem is not None else next((code for code in limitations if code is not None), None)
        if trouble is None and self._ramping:
            trouble = ErrorCode.LIMIT_RAMP
        reading = Reading(
            meter_wh=telemetry.energy_charged_wh - telemetry.energy_discharged_wh,
            trouble=trouble,
            charged_wh=telemetry.energy_charged_wh,
            soc_pct=round(telemetry.soc_pct, 3),
        )
        self.telemetry, self._obstacle = telemetry, obstacle
        return reading

    def hold(self, now: datetime) -> None:
        """Give the battery the setpoint that holds now; :meth:`read` comes before, at the same instant.

        :param now: the present instant.
        """
        wanted_w = self._wanted_w(now)
        watts = self._ramped_w(wanted_w, now)
        self._ramping = watts != wanted_w
        look = max(min(self._period, self._until_band(watts)), self._period * SHORTEST_LOOK)
        self.next_look = now + (min(look, RAMP_STEP) if self._ramping else look)
        self._held, self._turned = (now, watts), False
        try:
            self._cross(self._driver.set_power, watts, self._validity_s)
            self._refused = None
        except AllyeError as error:
            self._refused, self._held = error.problem, (now, 0)
            if watts:
                with suppress(AllyeError):  # said already; if this fails too, the battery reverts by itself
                    self._cross(self._driver.set_power, 0, self._validity_s)
        self._say()

    def arm(self, now: datetime) -> Problem | None:
        """Whether the battery can take a schedule: it is read, it is in a state to obey, and it proves it by a read-back.

        The setpoint that it is given for that is the one that holds already. That its cells can do less at the moment is no
        reason to refuse a plan for later, and is logged.

        :param now: the present instant.
        :returns: why it cannot.
        """
        self.read(now)
        self.hold(now)
        problem = self._obstacle or self._refused
        if problem is not None:
            return problem
        try:
            can = self._cross(self._driver.limits)
        except AllyeError as error:
            return error.problem
        self._log.info("battery_armed", charge_w=round(can.charge_w), discharge_w=round(can.discharge_w))
        return None

    def rest(self) -> None:
        """0 W, for good: the agent is going."""
        self._order = Order()
        try:
            self._cross(self._driver.set_power, 0, self._validity_s)
        except AllyeError as error:
            self._log.error("battery_not_at_rest", code=error.code, reason=error.message, reverts_within_s=self._validity_s)

    def _wanted_w(self, now: datetime) -> int:
        order, telemetry = self._order, self.telemetry
        if telemetry is None or (order.until is not None and now >= order.until):
            return 0
        least, most = self._band_pct
        full, empty = telemetry.soc_pct >= most, telemetry.soc_pct <= least
        if self._withheld is None and ((full and order.watts > 0) or (empty and order.watts < 0)):
            message = f"state of charge is {telemetry.soc_pct:.1f} %, at the end of its band; 0 W for the rest of the slot"
            self._withheld = Problem(code=ErrorCode.EXEC_LIMITED_SOC, message=message)
        return order.watts if self._withheld is None else 0

    @property
    def _band_pct(self) -> tuple[float, float]:
        """The state of charge that the order may lead to, %: its own band within the configured one."""
        least, most = self._order.soc_min_pct, self._order.soc_max_pct
        return (
            self._limits.soc_min_pct if least is None else max(least, self._limits.soc_min_pct),
            self._limits.soc_max_pct if most is None else min(most, self._limits.soc_max_pct),
        )

    def _ramped_w(self, wanted_w: int, now: datetime) -> int:
        """As much of the wanted power as the ramp allows now."""
        ramp = self._order.ramp_w_per_s
        if ramp is None or wanted_w == 0 or self.telemetry is None:
            return wanted_w
        # After a start the battery may still hold what the process before this one gave it.
        at, held_w = self._held or (now, self.telemetry.setpoint_w)
        step = timedelta(0) if self._turned else min(max(now - at, timedelta(0)), RAMP_STEP)
        reached_w = abs(held_w) if (held_w > 0) is (wanted_w > 0) else 0
        most_w = int(reached_w + ramp * step.total_seconds())
        return wanted_w if abs(wanted_w) <= most_w else most_w if wanted_w > 0 else -most_w

    def _until_band(self, watts: int) -> timedelta:
        """How long the state of charge stays in its band at this power, without losses. Full and empty the battery knows."""
        least, most = self._band_pct
        edge = most if watts > 0 else least
        if self.telemetry is None or not watts or edge in (0.0, 100.0):
            return self._period
        return timedelta(hours=(edge - self.telemetry.soc_pct) / 100 * self._limits.capacity_wh / watts)

    def _say(self) -> None:
        problem = self._obstacle or self._withheld or self._refused
        code = None if problem is None else problem.code
        if code is self._said:
            return
        self._said = code
        if problem is None:
            self._log.info("battery_obeys")
        else:
            self._log.warning("battery_does_not_obey", code=problem.code, reason=problem.message)


def _obstacle(telemetry: Telemetry) -> Problem | None:
    code = OBSTACLE[telemetry.state]
    if code is not None:
        alarms = f" ({', '.join(telemetry.alarms)})" if telemetry.alarms else ""
        return Problem(code=code, message=f"the battery is {telemetry.state}{alarms} and takes no setpoints")
    if telemetry.grid_mode not in (None, GridMode.GRID_CONNECTED):
        return Problem(code=ErrorCode.DEVICE_GRID_LOST, message=f"the battery's grid mode is {telemetry.grid_mode}")
    return None
