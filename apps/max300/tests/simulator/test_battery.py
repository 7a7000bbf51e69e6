import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_max300.abilities import EventKind
from allye_max300.simulator import Battery, SimulatorConfig, faults, open_simulator
from allye_max300.telemetry import State, Telemetry
from allye_protocol.errors import DriverError, ErrorCode, StoreError

spans = st.lists(st.tuples(st.integers(-200_000, 200_000), st.floats(1, 900), st.floats(0.1, 1500)), min_size=1, max_size=6)


@given(spans, st.lists(st.floats(0.001, 1), max_size=30), st.floats(3, 97))
def test_looking_more_often_changes_nothing(
    new_bench, spans: list[tuple[int, float, float]], looks: list[float], soc: float
) -> None:
    ends = []
    for pattern in ([], sorted(looks)):
        bench = new_bench()
        driver = bench.open(initial_soc_pct=soc, ambient_c=33.0, heartbeat_timeout_s=1000)
        for watts, valid_for_s, lasts_s in spans:
            driver.heartbeat()
            driver.set_power(watts, valid_for_s)
            begin = bench.clock.now
            for part in pattern:
                bench.clock.now = begin
                bench.wait(lasts_s * part)
                driver.read()
            bench.clock.now = begin
            bench.wait(lasts_s)
        ends.append(driver.read())
    assert numbers(ends[0]) == pytest.approx(numbers(ends[1]), rel=1e-9, abs=1e-6)
    assert (ends[0].state, ends[0].alarms, ends[0].throttle_reasons) == (
        ends[1].state,
        ends[1].alarms,
        ends[1].throttle_reasons,
    )


def numbers(seen: Telemetry) -> tuple[float | None, ...]:
    return (
        seen.power_w,
        seen.setpoint_w,
        seen.soc_pct,
        seen.energy_charged_wh,
        seen.energy_discharged_wh,
        seen.available_energy_wh,
        seen.cell_temperature_max_c,
    )


@given(spans, st.floats(0, 100), st.floats(-5, 60))
def test_what_is_read_is_always_within_bounds(
    new_bench, spans: list[tuple[int, float, float]], soc: float, ambient_c: float
) -> None:
    bench = new_bench()
    driver = bench.open(initial_soc_pct=soc, ambient_c=ambient_c, command_latency_s=0.0)
    before = driver.read()
    for watts, valid_for_s, lasts_s in spans:
        driver.set_power(watts, valid_for_s)
        for _ in range(3):
            bench.wait(lasts_s / 3)
            seen, can = driver.read(), driver.limits()
            assert 0 <= seen.soc_pct <= 100
            assert -can.discharge_w <= seen.power_w <= can.charge_w
            assert abs(seen.power_w) <= abs(seen.setpoint_w)
            assert seen.energy_charged_wh >= before.energy_charged_wh
            assert seen.energy_discharged_wh >= before.energy_discharged_wh
            assert bool(seen.throttle_reasons) is (seen.power_w != seen.setpoint_w)
            before = seen


@given(st.lists(st.floats(-1e7, 1e6), max_size=20))
def test_a_clock_that_steps_corrupts_nothing(new_bench, steps: list[float]) -> None:
    bench = new_bench()
    driver = bench.open()
    passed_s = 0.0
    for step_s in steps:
        driver.set_power(30_000, 3600)
        bench.wait(step_s)
        passed_s += max(step_s, 0.0)
        seen = driver.read()
        assert seen.time == bench.clock.now
        assert 0 <= seen.soc_pct <= 100
        assert seen.energy_charged_wh <= 30_000 * passed_s / 3600 + 1e-6


def test_the_clock_set_back_costs_the_battery_no_time(bench) -> None:
    driver = bench.open(command_latency_s=0.0)
    driver.set_power(30_000, 100)
    bench.wait(50)
    moved_wh = driver.read().energy_charged_wh
    bench.wait(-86_400)
    assert moved_wh == driver.read().energy_charged_wh
    bench.wait(49)
    assert driver.read().power_w == 30_000
    bench.wait(2)
    assert driver.read().power_w == 0


def test_fifty_years_of_rest_are_one_step(bench) -> None:
    driver = bench.open()
    driver.set_power(30_000, 3600)
    bench.wait(50 * 365 * 86_400)
    assert (driver.read().soc_pct, driver.read().state) == (0.0, State.READY)


def test_it_lives_on_while_no_process_runs_it(bench, tmp_path: Path) -> None:
    options = {"state_file": str(tmp_path / "battery.json"), "command_latency_s": 0.0}
    first, always = bench.open(**options), bench.open(command_latency_s=0.0)
    for driver in (first, always):
        driver.set_power(-60_000, 90)
    del first
    bench.wait(60)
    second = bench.open(**options)
    assert (second.read().setpoint_w, second.read().power_w) == (-60_000, -60_000)
    assert always.read() == second.read()
    del second
    bench.wait(3600)
    third = bench.open(**options)
    assert always.read() == third.read()
    assert third.read().setpoint_w == 0


RUN = """
import sys
from datetime import UTC, datetime
from allye_max300.simulator import open_simulator
driver = open_simulator({"state_file": sys.argv[1], "command_latency_s": 0.0}, lambda: datetime.now(UTC))
while True:
    print(driver.set_power(-50_000, 600).setpoint_w, flush=True)
"""


def test_a_process_killed_while_saving_leaves_a_battery_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "battery.json"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(50)] == [b"-50000\n"] * 50
            process.kill()
        seen = open_simulator({"state_file": str(path)}, lambda: datetime.now(UTC)).read()
        assert (seen.setpoint_w, seen.state) == (-50_000, State.DISCHARGING)


def test_what_is_wrong_with_it_survives_a_process_too(bench, tmp_path: Path) -> None:
    options = {"state_file": str(tmp_path / "battery.json")}
    bench.open(**options).battery.inject(faults.PackDropout(4))
    bench.open(**options).battery.inject(faults.ContactorFault())
    bench.open(**options).battery.inject(faults.StuckValue("soc_pct"))
    driver = bench.open(**options)
    assert (driver.read().state, driver.read().alarms) == (State.FAULT, ("contactor", "pack_4_lost"))


def test_readings_save_it_from_time_to_time_and_commands_always(bench, tmp_path: Path) -> None:
    path = tmp_path / "battery.json"
    driver = bench.open(state_file=str(path), save_every_s=60)
    new = path.read_bytes()
    bench.wait(59)
    driver.read()
    assert new == path.read_bytes()
    bench.wait(1)
    driver.read()
    assert new != (read := path.read_bytes())
    driver.set_power(1000, 5)
    assert read != path.read_bytes()


def test_a_state_that_cannot_be_saved_is_reported_with_the_file(bench, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no_such_folder") as caught:
        bench.open(state_file=str(tmp_path / "no_such_folder" / "battery.json"))
    assert caught.value.code is ErrorCode.STORE_FAILED


def test_what_happened_is_told_once_in_order(bench) -> None:
    driver = bench.open(command_latency_s=0.0)
    began = bench.clock.now
    driver.set_power(30_000, 100)
    bench.wait(10)
    driver.read()
    bench.wait(1000)
    driver.battery.inject(faults.OverTemperature())
    driver.battery.clear(faults.OverTemperature())
    driver.clear_alarms()
    events = driver.events()
    assert [(event.kind, event.text) for event in events] == [
        (EventKind.STATE_CHANGED, "CHARGING"),
        (EventKind.SETPOINT_REVERTED, "30000 W"),
        (EventKind.STATE_CHANGED, "READY"),
        (EventKind.STATE_CHANGED, "FAULT"),
        (EventKind.ALARM_RAISED, "over_temperature"),
        (EventKind.STATE_CHANGED, "STANDBY"),
        (EventKind.ALARM_CLEARED, "over_temperature"),
    ]
    assert (events[1].time - began).total_seconds() == 100
    assert driver.events() == []


def test_a_missed_heartbeat_is_not_told_as_a_reversion(bench) -> None:
    driver = bench.open(heartbeat_timeout_s=10)
    driver.set_power(30_000, 100)
    bench.wait(200)
    assert [(event.kind, event.text) for event in driver.events()] == [(EventKind.STATE_CHANGED, "COMMS_LOST")]


def test_a_pack_that_is_not_there_cannot_drop_out(bench) -> None:
    with pytest.raises(DriverError, match="packs go from 1 to 7") as caught:
        bench.open().battery.inject(faults.PackDropout(8))
    assert caught.value.code is ErrorCode.DRIVER_REJECTED


def test_the_same_seed_gives_the_same_noise(bench) -> None:
    config = SimulatorConfig(power_noise_w=50.0, temperature_noise_c=1.0)
    readings = []
    for seed in (5, 5, 6):
        battery = Battery(config, bench.clock, random.Random(seed))
        readings.append([battery.reading(battery.present()).telemetry for _ in range(3)])
    assert readings[0] == readings[1]
    assert readings[0] != readings[2]
