"""Puts a driver through the rules of :mod:`allye_max300.driver`.

It needs no test framework: :func:`check` takes a driver and a way to let time pass, and returns what it found. **It moves
power**, a tenth of the rating for some seconds each way, and trips the emergency stop unless told to skip that: run it on a
battery that somebody stands next to, or on a simulated one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from allye_max300.driver import Driver  # noqa: TC001 - RULES names it at run time
from allye_max300.telemetry import State
from allye_protocol.errors import DriverError, ErrorCode

if TYPE_CHECKING:
    from allye_max300.telemetry import Telemetry

__all__ = ["RULES", "Finding", "Wait", "check"]

Wait = Callable[[float], None]
"""Lets so many seconds pass: ``time.sleep`` for a real battery, the turn of a virtual clock for a simulated one."""

_VALIDITY_S: Final = 30.0
_STARTING_S: Final = 300
_RUNNING: Final = frozenset({State.READY, State.CHARGING, State.DISCHARGING})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a driver breaks.

    :param rule: a key of :data:`RULES`.
    :param message: what was expected and what was seen.
    """

    rule: str
    message: str


def check(driver: Driver, wait: Wait, *, skip: Collection[str] = ()) -> list[Finding]:
    """Check ``driver`` against every rule, in order; it is closed afterwards.

    :param driver: fresh from its factory, with a battery that is healthy, connected and neither full nor empty.
    :param wait: lets time pass for the battery.
    :param skip: names of rules to leave out.
    :returns: what is wrong; empty for a driver that conforms. Nothing that a driver raises leaves this function.
    """
    return [finding for name, rule in RULES.items() if name not in skip for finding in _findings(name, rule, driver, wait)]


def _findings(name: str, rule: Callable[[Driver, Wait], Iterator[str]], driver: Driver, wait: Wait) -> Iterator[Finding]:
    try:
        for message in rule(driver, wait):
            yield Finding(rule=name, message=message)
    except DriverError as error:
        yield Finding(rule=name, message=f"refused by a healthy battery: {error}")
    except Exception as error:  # noqa: BLE001 - that a driver raises anything else is what is looked for
        yield Finding(rule=name, message=f"raised {type(error).__name__}, which is not a DriverError: {error}")


def _identity(driver: Driver, _wait: Wait) -> Iterator[str]:
    identity = driver.identify()
    yield from (f"{name} is empty" for name in ("manufacturer", "model", "serial") if not getattr(identity, name).strip())
    if driver.identify() != identity:
        yield "identify answers differently the second time"


def _capabilities(driver: Driver, wait: Wait) -> Iterator[str]:
    can = driver.capabilities()
    if not (can.capacity_wh > 0 and can.max_charge_w >= 0 and can.max_discharge_w >= 0):
        yield f"capacity must be above 0 and powers at least 0: {can}"
    if can.power_step_w < 1 or can.max_validity_s < _VALIDITY_S:
        yield f"the power step must be at least 1 W and the longest validity at least {_VALIDITY_S:g} s: {can}"
    wait(1)
    if driver.capabilities() != can:
        yield "capabilities change: what changes belongs into limits"


def _telemetry(driver: Driver, wait: Wait) -> Iterator[str]:
    first = driver.read()
    yield from _implausible(first)
    wait(2)
    second = driver.read()
    if second.time <= first.time:
        yield f"time stands still: {first.time} and two seconds later {second.time}"
    if second.energy_charged_wh < first.energy_charged_wh or second.energy_discharged_wh < first.energy_discharged_wh:
        yield "an energy counter has decreased"


def _implausible(seen: Telemetry) -> Iterator[str]:
    if seen.time.utcoffset() != timedelta(0):
        yield f"time must be an aware UTC datetime, not {seen.time!r}"
    numbers = {name: value for name, value in msgspec.structs.asdict(seen).items() if isinstance(value, float)}
    yield from (f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value))
    shares = {
        "soc_pct": seen.soc_pct,
        "soh_pct": seen.soh_pct,
        **{f"pack {pack.pack} soc_pct": pack.soc_pct for pack in seen.packs},
    }
    yield from (
        f"{name} is {value}, not 0 to 100" for name, value in shares.items() if value is not None and not 0 <= value <= 100
    )
    if seen.energy_charged_wh < 0 or seen.energy_discharged_wh < 0:
        yield "an energy counter is negative: both count upwards from 0"


def _limits(driver: Driver, _wait: Wait) -> Iterator[str]:
    can, now = driver.capabilities(), driver.limits()
    for side, most_w, now_w, reasons in (
        ("charge", can.max_charge_w, now.charge_w, now.charge_reasons),
        ("discharge", can.max_discharge_w, now.discharge_w, now.discharge_reasons),
    ):
        if not 0 <= now_w <= most_w:
            yield f"{side}_w is {now_w}, not 0 to {most_w}"
        if bool(reasons) != (now_w < most_w):
            yield f"{side}_reasons must say why {now_w} W is below {most_w} W, and nothing when it is not: {reasons}"


def _start(driver: Driver, wait: Wait) -> Iterator[str]:
    driver.start()
    driver.start()
    for _ in range(_STARTING_S):
        if driver.read().state in _RUNNING:
            return
        wait(1)
    yield f"not ready {_STARTING_S} s after start: {driver.read().state}"


def _trial_w(driver: Driver, side: int) -> int:
    """A tenth of the rating, whole steps, with its sign; 0 when the battery cannot do so much now."""
    can, now = driver.capabilities(), driver.limits()
    most_w, now_w = (can.max_charge_w, now.charge_w) if side > 0 else (can.max_discharge_w, now.discharge_w)
    trial_w = most_w // 10 // can.power_step_w * can.power_step_w
    return side * trial_w if trial_w <= now_w else 0


def _setpoint(driver: Driver, wait: Wait) -> Iterator[str]:
    for side, counter, other in (
        (1, "energy_charged_wh", "energy_discharged_wh"),
        (-1, "energy_discharged_wh", "energy_charged_wh"),
    ):
        watts = _trial_w(driver, side)
        before = driver.read()
        outcome = driver.set_power(watts, _VALIDITY_S)
        held = driver.read().setpoint_w
        if not outcome.requested_w == outcome.setpoint_w == held == watts:
            yield f"asked for {watts} W; the outcome says {outcome.setpoint_w} W; the battery holds {held} W"
        wait(_VALIDITY_S / 2)
        after = driver.read()
        if watts and not (after.power_w * side > 0 and getattr(after, counter) > getattr(before, counter)):
            grown_wh = getattr(after, counter) - getattr(before, counter)
            yield f"asked for {watts} W: power is {after.power_w} W, {counter} went up by {grown_wh} Wh"
        if getattr(after, other) < getattr(before, other):
            yield f"{other} has decreased"
        driver.set_power(0, _VALIDITY_S)
        wait(_VALIDITY_S / 2)
        if (rest := driver.read()).setpoint_w or _runs(driver, rest):
            yield f"0 W was asked for: setpoint {rest.setpoint_w} W, power {rest.power_w} W"


def _runs(driver: Driver, seen: Telemetry) -> bool:
    """Whether more than a fiftieth of the rating flows: instruments and auxiliaries are allowed their share."""
    can = driver.capabilities()
    return abs(seen.power_w) > max(can.max_charge_w, can.max_discharge_w) / 50


def _refresh(driver: Driver, wait: Wait) -> Iterator[str]:
    watts = _trial_w(driver, -1)
    for _ in range(3):
        driver.set_power(watts, _VALIDITY_S)
        wait(_VALIDITY_S * 2 / 3)
    held = driver.read().setpoint_w
    if held != watts:
        yield f"{watts} W was refreshed within its validity, but the battery holds {held} W"
    driver.set_power(0, _VALIDITY_S)


def _reversion(driver: Driver, wait: Wait) -> Iterator[str]:
    driver.set_power(_trial_w(driver, -1), _VALIDITY_S)
    wait(_VALIDITY_S + 5)
    seen = driver.read()
    if seen.setpoint_w or _runs(driver, seen):
        yield f"5 s after the validity ran out: setpoint {seen.setpoint_w} W, power {seen.power_w} W"


def _arguments(driver: Driver, _wait: Wait) -> Iterator[str]:
    can = driver.capabilities()
    for valid_for_s in (0.0, -1.0, math.nan, can.max_validity_s + 1):
        if _refusal(driver, valid_for_s=valid_for_s) is None:
            yield f"a validity of {valid_for_s} s was taken"
    watts = can.max_charge_w + 10 * can.power_step_w
    outcome = driver.set_power(watts, _VALIDITY_S)
    if not outcome.limited or outcome.setpoint_w > can.max_charge_w:
        yield f"{watts} W is beyond the rating and was not limited: {outcome}"
    driver.set_power(0, _VALIDITY_S)


def _refusal(driver: Driver, *, valid_for_s: float = _VALIDITY_S) -> ErrorCode | None:
    """The code with which 0 W is refused; ``None`` when it is taken."""
    try:
        driver.set_power(0, valid_for_s)
    except DriverError as error:
        return error.code
    return None


def _operation(driver: Driver, wait: Wait) -> Iterator[str]:
    for leave, state in ((driver.standby, State.STANDBY), (driver.stop, State.OFF)):
        leave()
        leave()
        wait(5)
        seen = driver.read()
        if seen.state is not state or seen.setpoint_w or _runs(driver, seen):
            yield f"expected {state} at 0 W: {seen.state}, setpoint {seen.setpoint_w} W, power {seen.power_w} W"
        if _refusal(driver) is not ErrorCode.DRIVER_REJECTED:
            yield f"a setpoint in {state} must be refused with driver.rejected"
        yield from _start(driver, wait)


def _emergency_stop(driver: Driver, wait: Wait) -> Iterator[str]:
    driver.set_power(_trial_w(driver, -1), _VALIDITY_S)
    wait(5)
    driver.emergency_stop()
    driver.emergency_stop()
    wait(1)
    seen = driver.read()
    if seen.state is not State.ESTOP or seen.setpoint_w or _runs(driver, seen):
        yield f"expected ESTOP at 0 W: {seen.state}, setpoint {seen.setpoint_w} W, power {seen.power_w} W"
    if _refusal(driver) is not ErrorCode.DEVICE_EMERGENCY_STOP:
        yield "a setpoint in ESTOP must be refused with device.emergency_stop"
    driver.clear_alarms()
    if (state := driver.read().state) is not State.STANDBY:
        yield f"clear_alarms must lead to STANDBY, not {state}"
    yield from _start(driver, wait)


def _close(driver: Driver, _wait: Wait) -> Iterator[str]:
    driver.close()
    driver.close()
    try:
        driver.read()
    except DriverError:
        return
    yield "a closed driver still reads"


RULES: Final[dict[str, Callable[[Driver, Wait], Iterator[str]]]] = {
    "identity": _identity,
    "capabilities": _capabilities,
    "telemetry": _telemetry,
    "limits": _limits,
    "start": _start,
    "setpoint": _setpoint,
    "refresh": _refresh,
    "reversion": _reversion,
    "arguments": _arguments,
    "operation": _operation,
    "emergency_stop": _emergency_stop,
    "close": _close,
}
"""Every rule by its name, in the order in which they are checked."""
