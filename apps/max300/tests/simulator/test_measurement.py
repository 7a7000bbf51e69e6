import statistics

import pytest

from allye_max300.simulator import faults
from allye_max300.telemetry import GridMode, LimitReason, State


def test_a_reading_at_rest(bench) -> None:
    seen = bench.open(initial_soc_pct=40.0).read()
    assert (seen.power_w, seen.setpoint_w, seen.soc_pct, seen.state, seen.throttle_reasons) == (0.0, 0, 40.0, State.READY, ())
    assert (seen.available_energy_wh, seen.contactor_closed, seen.grid_mode) == (120_000.0, True, GridMode.GRID_CONNECTED)
    assert bench.clock.now == seen.time


@pytest.mark.parametrize(("watts", "state"), [(60_000, State.CHARGING), (-60_000, State.DISCHARGING)])
def test_currents_have_the_sign_of_power_and_the_dc_side_its_losses(bench, watts: int, state: State) -> None:
    driver = bench.open(standby_draw_w=0.0)
    driver.set_power(watts, 60)
    bench.wait(10)
    seen = driver.read()
    assert (watts, state) == (seen.power_w, seen.state)
    assert None not in {seen.ac_current_a, seen.ac_voltage_v, seen.dc_current_a, seen.dc_voltage_v}
    assert seen.ac_current_a * seen.ac_voltage_v * 3**0.5 == pytest.approx(watts)
    assert seen.dc_current_a * seen.dc_voltage_v == pytest.approx(watts * 0.95 if watts > 0 else watts / 0.95)


def test_packs_are_mixed_and_their_extremes_are_the_batterys(bench) -> None:
    seen = bench.open().read()
    assert [pack.pack for pack in seen.packs] == [1, 2, 3, 4, 5, 6, 7]
    assert len({pack.soh_pct for pack in seen.packs}) > 1
    temperatures = [pack.temperature_c for pack in seen.packs]
    assert (seen.cell_temperature_min_c, seen.cell_temperature_max_c) == pytest.approx((min(temperatures), max(temperatures)))


def test_a_lost_pack_keeps_its_state_of_charge_and_the_others_go_on(bench) -> None:
    driver = bench.open(initial_soc_pct=50.0)
    driver.battery.inject(faults.PackDropout(2))
    driver.set_power(-60_000, 600)
    bench.wait(600)
    packs = {pack.pack: pack for pack in driver.read().packs}
    assert not packs[2].connected
    assert packs[2].soc_pct == pytest.approx(50.0)
    assert packs[1].connected
    assert packs[1].soc_pct == pytest.approx(driver.read().soc_pct)
    assert packs[1].soc_pct < 46.5


def test_open_contactors_are_seen(bench) -> None:
    driver = bench.open()
    driver.stop()
    assert (driver.read().contactor_closed, driver.read().grid_mode) == (False, GridMode.DISCONNECTED)


def test_power_on_its_way_says_so(bench) -> None:
    driver = bench.open(command_latency_s=0.0, ramp_w_per_s=1000.0)
    driver.set_power(60_000, 600)
    bench.wait(30)
    assert (driver.read().power_w, driver.read().throttle_reasons) == (30_000.0, (LimitReason.RAMP,))


def test_noise_is_in_what_is_measured_and_not_in_what_is_counted(bench) -> None:
    driver = bench.open(power_noise_w=100.0, temperature_noise_c=1.0)
    readings = [driver.read() for _ in range(400)]
    assert statistics.stdev(seen.power_w for seen in readings) == pytest.approx(100, rel=0.2)
    assert statistics.mean(seen.power_w for seen in readings) == pytest.approx(0, abs=20)
    assert {(0.0, 0.0, 50.0)} == {(seen.energy_charged_wh, seen.energy_discharged_wh, seen.soc_pct) for seen in readings}
