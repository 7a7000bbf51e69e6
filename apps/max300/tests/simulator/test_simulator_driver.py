import time
from collections.abc import Callable

import pytest

from allye_max300.simulator import SimulatorDriver, faults
from allye_max300.telemetry import LimitReason, State
from allye_protocol.errors import DriverError, ErrorCode

Call = Callable[[SimulatorDriver], object]
CALLS: dict[str, Call] = {
    "identify": lambda driver: driver.identify(),
    "capabilities": lambda driver: driver.capabilities(),
    "read": lambda driver: driver.read(),
    "limits": lambda driver: driver.limits(),
    "set_power": lambda driver: driver.set_power(0, 60),
    "stop": lambda driver: driver.stop(),
    "emergency_stop": lambda driver: driver.emergency_stop(),
    "start": lambda driver: driver.start(),
    "standby": lambda driver: driver.standby(),
    "clear_alarms": lambda driver: driver.clear_alarms(),
    "heartbeat": lambda driver: driver.heartbeat(),
    "reversion_remaining_s": lambda driver: driver.reversion_remaining_s(),
    "events": lambda driver: driver.events(),
}


def code_of(call: Call, driver: SimulatorDriver) -> ErrorCode | None:
    try:
        call(driver)
    except DriverError as error:
        return error.code
    return None


@pytest.fixture
def charging(bench) -> SimulatorDriver:
    """A battery that has been charging with 50 kW for ten seconds and may for fifty more."""
    driver: SimulatorDriver = bench.open()
    driver.set_power(50_000, 60)
    bench.wait(10)
    return driver


def test_a_setpoint_is_accepted(bench) -> None:
    driver = bench.open()
    outcome = driver.set_power(-40_000, 90)
    assert (
        outcome.requested_w,
        outcome.setpoint_w,
        outcome.expected_w,
        outcome.reasons,
    ) == (-40_000, -40_000, -40_000.0, ())
    assert (outcome.valid_until - bench.clock.now).total_seconds() == 90
    assert driver.reversion_remaining_s() == 90


def test_a_setpoint_is_limited_with_every_reason(bench) -> None:
    driver = bench.open(initial_soc_pct=98.0, ambient_c=10.0)
    driver.battery.inject(faults.PackDropout(1))
    outcome = driver.set_power(200_050, 90)
    assert outcome.reasons == (LimitReason.RATING, LimitReason.PACKS, LimitReason.TEMPERATURE, LimitReason.SOC)
    assert outcome.setpoint_w == 150_000
    assert outcome.expected_w == driver.limits().charge_w == pytest.approx(150_000 * 6 / 7 * 9 / 18 * 2 / 5)


@pytest.mark.parametrize("watts", [1.5, "5", None])
def test_power_is_whole_watts(bench, watts: object) -> None:
    with pytest.raises(DriverError, match="whole number") as caught:
        bench.open().set_power(watts, 60)
    assert caught.value.code is ErrorCode.DRIVER_REJECTED


def test_a_refused_argument_leaves_the_setpoint_alone(charging: SimulatorDriver) -> None:
    with pytest.raises(DriverError, match="valid_for_s must be above 0, at most 3600") as caught:
        charging.set_power(1000, 3601)
    assert caught.value.code is ErrorCode.DRIVER_REJECTED
    assert charging.read().setpoint_w == 50_000


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_without_a_link_every_call_times_out(charging: SimulatorDriver, call: Call) -> None:
    charging.battery.inject(faults.LinkLoss())
    assert code_of(call, charging) is ErrorCode.DRIVER_TIMEOUT


def test_without_a_link_the_battery_goes_to_0_w_by_itself(bench, charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.LinkLoss())
    bench.wait(3600)
    charging.battery.clear(faults.LinkLoss())
    seen = charging.read()
    assert (seen.power_w, seen.setpoint_w, seen.state) == (0.0, 0, State.READY)
    assert seen.energy_charged_wh == pytest.approx(50_000 * 60 / 3600, rel=0.02)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_closed_driver_does_nothing_more(charging: SimulatorDriver, call: Call) -> None:
    charging.close()
    charging.close()
    assert code_of(call, charging) is ErrorCode.DRIVER_REJECTED


@pytest.mark.parametrize(
    ("fault", "code", "shown"),
    [
        (faults.OverTemperature(), ErrorCode.DEVICE_FAULT_ACTIVE, (State.FAULT, 0)),
        (faults.ContactorFault(), ErrorCode.DEVICE_FAULT_ACTIVE, (State.FAULT, 0)),
        (faults.LocalControl(), ErrorCode.DEVICE_LOCAL_MODE, (State.LOCAL, 0)),
        (faults.OtherMaster(-7000), ErrorCode.DRIVER_EXTERNAL_CONTROL, (State.DISCHARGING, -7000)),
        (faults.RefusedWrite(), ErrorCode.DRIVER_REJECTED, (State.CHARGING, 50_000)),
        (faults.SilentWrite(), ErrorCode.DRIVER_READBACK_MISMATCH, (State.CHARGING, 50_000)),
        (faults.StuckValue("setpoint_w"), ErrorCode.DRIVER_READBACK_MISMATCH, (State.CHARGING, 50_000)),
        (faults.StaleData(), ErrorCode.DRIVER_READBACK_MISMATCH, (State.CHARGING, 50_000)),
        (faults.PackDropout(7), None, (State.CHARGING, 30_000)),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "__struct_fields__") else None,
)
def test_each_fault_refuses_a_setpoint_with_its_code_and_can_still_be_read(
    bench, charging: SimulatorDriver, fault: faults.Fault, code: ErrorCode | None, shown: tuple[State, int]
) -> None:
    charging.battery.inject(fault)
    bench.wait(5)
    assert code is code_of(lambda driver: driver.set_power(30_000, 60), charging)
    seen = charging.read()
    assert shown == (seen.state, seen.setpoint_w)


def test_a_fault_is_cleared_in_order_cause_alarm_start(charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.OverTemperature())
    with pytest.raises(DriverError, match="over_temperature") as caught:
        charging.clear_alarms()
    assert caught.value.code is ErrorCode.DEVICE_FAULT_ACTIVE
    assert code_of(CALLS["start"], charging) is ErrorCode.DEVICE_FAULT_ACTIVE
    charging.battery.clear(faults.OverTemperature())
    assert charging.read().state is State.FAULT
    charging.clear_alarms()
    assert (charging.read().state, charging.read().power_w, charging.read().alarms) == (State.STANDBY, 0.0, ())
    charging.start()
    assert charging.set_power(50_000, 60).reasons == ()


def test_a_silent_write_is_found_out_even_when_it_repeats_the_setpoint(charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.SilentWrite())
    with pytest.raises(DriverError, match="confirmed 50000 W for 60 s, but shows 50000 W for 50 s") as caught:
        charging.set_power(50_000, 60)
    assert caught.value.code is ErrorCode.DRIVER_READBACK_MISMATCH


def test_stale_data_keep_their_time_while_the_battery_goes_on(bench, charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.StaleData())
    before = charging.read()
    bench.wait(30)
    assert before == charging.read()
    assert code_of(CALLS["heartbeat"], charging) is ErrorCode.DRIVER_HEARTBEAT_LOST
    charging.battery.clear(faults.StaleData())
    assert charging.read().energy_charged_wh > before.energy_charged_wh


def test_a_stuck_value_stands_still_while_the_others_move(bench, charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.StuckValue("soc_pct"))
    before = charging.read()
    bench.wait(30)
    after = charging.read()
    assert before.soc_pct == after.soc_pct
    assert before.energy_charged_wh < after.energy_charged_wh
    assert before.time < after.time


def test_under_local_control_nothing_is_written_but_the_emergency_stop(charging: SimulatorDriver) -> None:
    charging.battery.inject(faults.LocalControl())
    others = {name: call for name, call in CALLS.items() if name != "emergency_stop"}
    refused = {name for name, call in others.items() if code_of(call, charging) is ErrorCode.DEVICE_LOCAL_MODE}
    assert refused == {"set_power", "stop", "start", "standby"}
    charging.emergency_stop()
    assert charging.read().state is State.ESTOP


def test_a_restart_in_mid_slot_loses_the_setpoint_and_is_busy_for_a_while(bench, charging: SimulatorDriver) -> None:
    charging.battery.reboot()
    assert code_of(CALLS["set_power"], charging) is ErrorCode.DEVICE_BUSY
    assert (charging.read().state, charging.read().setpoint_w) == (State.INITIALISING, 0)
    bench.wait(20)
    assert charging.set_power(50_000, 60).reasons == ()


def test_the_emergency_stop_is_latched_and_not_undone_by_stop(charging: SimulatorDriver) -> None:
    charging.emergency_stop()
    charging.stop()
    assert (charging.read().state, charging.read().power_w, charging.read().alarms) == (State.ESTOP, 0.0, ("emergency_stop",))
    assert code_of(CALLS["start"], charging) is ErrorCode.DEVICE_EMERGENCY_STOP


def test_a_heartbeat_keeps_the_battery_following(bench) -> None:
    driver = bench.open(heartbeat_timeout_s=30)
    driver.set_power(50_000, 600)
    for _ in range(10):
        bench.wait(driver.heartbeat_interval_s)
        driver.heartbeat()
    assert driver.read().state is State.CHARGING
    bench.wait(31)
    assert code_of(CALLS["set_power"], driver) is ErrorCode.DRIVER_HEARTBEAT_LOST


def test_a_battery_that_does_not_watch_wants_no_heartbeat(bench) -> None:
    assert bench.open().heartbeat_interval_s is None


def test_it_says_that_it_is_simulated(bench) -> None:
    identity = bench.open(serial="S-9").identify()
    assert (identity.model, identity.serial) == ("MAX300 (simulated)", "S-9")


def test_a_day_of_control_every_half_minute_runs_in_a_blink(bench) -> None:
    driver = bench.open()
    began = time.process_time()
    for second in range(0, 86_400, 30):
        driver.set_power(40_000 if second % 14_400 < 7_200 else -36_000, 90)
        bench.wait(30)
        driver.read()
    assert time.process_time() - began < 5
