import math
import random
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from allye_max300 import Capabilities, Identity, LimitReason, Limits, SetpointOutcome, State, Telemetry
from allye_max300.conformance import RULES, check
from allye_max300.simulator import Battery, SimulatorConfig, SimulatorDriver
from allye_protocol.errors import DriverError, ErrorCode


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"command_latency_s": 3.0, "power_noise_w": 20.0, "temperature_noise_c": 0.2},
        {"max_charge_w": 50_000, "max_discharge_w": 999_999, "power_step_w": 1, "dead_band_w": 0},
        {"initial_soc_pct": 96.0},
        {"ambient_c": 10.0},
    ],
    ids=str,
)
def test_the_simulator_conforms(bench, options: dict[str, object]) -> None:
    assert check(bench.open(**options), bench.wait) == []


class Forgetful(SimulatorDriver):
    """Believes what it wrote instead of reading it back."""

    def read(self) -> Telemetry:
        return msgspec.structs.replace(super().read(), setpoint_w=0)


class Immortal(SimulatorDriver):
    """Gives every setpoint ten times the validity."""

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        return super().set_power(watts, valid_for_s * 10)


class Reversed(SimulatorDriver):
    """Counts as SunSpec does."""

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        return super().set_power(-watts, valid_for_s)


class Frozen(SimulatorDriver):
    """Answers from a cache."""

    def read(self) -> Telemetry:
        return msgspec.structs.replace(super().read(), time=self.battery.wall(0))


class Naive(SimulatorDriver):
    """Tells the local time."""

    def read(self) -> Telemetry:
        seen = super().read()
        return msgspec.structs.replace(seen, time=seen.time.replace(tzinfo=None), soc_pct=seen.soc_pct * 3)


class Silent(SimulatorDriver):
    """Does not say why."""

    def limits(self) -> Limits:
        return Limits(charge_w=1.0, discharge_w=-1.0, discharge_reasons=(LimitReason.SOC,))


class Crashing(SimulatorDriver):
    """Lets its link's exceptions out."""

    def standby(self) -> None:
        raise ConnectionResetError("reset by peer")


class Stubborn(SimulatorDriver):
    """Ignores what ends operation."""

    def stop(self) -> None:
        pass

    def emergency_stop(self) -> None:
        pass

    def close(self) -> None:
        pass


class Refusing(SimulatorDriver):
    """Never starts."""

    def start(self) -> None:
        raise DriverError(ErrorCode.DRIVER_REJECTED, "not today")


class Fickle(SimulatorDriver):
    """Is somebody else each time, and counts downwards."""

    calls = 0

    def identify(self) -> Identity:
        self.calls += 1
        return msgspec.structs.replace(super().identify(), serial=str(self.calls))

    def capabilities(self) -> Capabilities:
        self.calls += 1
        return msgspec.structs.replace(super().capabilities(), capacity_wh=-self.calls, power_step_w=0)

    def read(self) -> Telemetry:
        self.calls += 1
        return msgspec.structs.replace(super().read(), energy_charged_wh=-self.calls, soh_pct=math.nan)


class Lenient(SimulatorDriver):
    """Takes any validity and promises any power."""

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        outcome = super().set_power(watts, valid_for_s if 0 < valid_for_s <= 3600 else 60)
        return msgspec.structs.replace(outcome, reasons=())


class Clinging(SimulatorDriver):
    """Does not let go of power."""

    def set_power(self, watts: int, valid_for_s: float) -> SetpointOutcome:
        return super().set_power(watts or 90_000, valid_for_s)


class Sleeping(SimulatorDriver):
    """Never becomes ready."""

    def read(self) -> Telemetry:
        return msgspec.structs.replace(super().read(), state=State.INITIALISING)


class Downward(SimulatorDriver):
    """Counts net energy instead of each direction."""

    def read(self) -> Telemetry:
        seen = super().read()
        return msgspec.structs.replace(seen, energy_charged_wh=1e6 + seen.energy_charged_wh - seen.energy_discharged_wh)


@pytest.mark.parametrize(
    ("kind", "rules"),
    [
        (Fickle, {"identity", "capabilities", "telemetry"}),
        (Lenient, {"arguments"}),
        (Clinging, {"setpoint"}),
        (Sleeping, {"start"}),
        (Downward, {"setpoint"}),
        (Forgetful, {"setpoint", "refresh"}),
        (Immortal, {"reversion"}),
        (Reversed, {"setpoint"}),
        (Frozen, {"telemetry"}),
        (Naive, {"telemetry"}),
        (Silent, {"limits"}),
        (Crashing, {"operation"}),
        (Stubborn, {"operation", "emergency_stop", "close"}),
        (Refusing, {"start", "operation"}),
    ],
)
def test_a_driver_that_breaks_a_rule_is_found_out(bench, kind: Callable[[Battery], SimulatorDriver], rules: set[str]) -> None:
    driver = kind(Battery(SimulatorConfig(), bench.clock, random.Random(0)))
    assert rules <= {finding.rule for finding in check(driver, bench.wait)}


def test_an_exception_of_another_kind_is_reported_by_its_name(bench) -> None:
    driver = Crashing(Battery(SimulatorConfig(), bench.clock, random.Random(0)))
    found = [finding.message for finding in check(driver, bench.wait) if finding.rule == "operation"]
    assert found == ["raised ConnectionResetError, which is not a DriverError: reset by peer"]


def test_rules_can_be_left_out(bench) -> None:
    driver = bench.open()
    check(driver, bench.wait, skip=RULES.keys() - {"identity", "emergency_stop"})
    assert driver.read().state is State.STANDBY or driver.read().state is State.READY
    driver = bench.open()
    check(driver, bench.wait, skip={"emergency_stop", "close"})
    assert "ESTOP" not in {event.text for event in driver.events()}


def test_it_ends_with_the_battery_at_rest(bench) -> None:
    driver = bench.open()
    check(driver, bench.wait, skip={"close"})
    bench.wait(1)
    assert driver.read().power_w == 0


def test_the_checks_take_a_few_minutes_of_the_battery(bench) -> None:
    began = bench.clock()
    check(bench.open(), bench.wait)
    assert bench.clock() - began < timedelta(minutes=10)
