import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_max300.simulator import SimulatorConfig
from allye_max300.simulator.physics import STEP_S, Cells, advance, available, connect, disconnect, flowing, new_cells, soc_pct
from allye_max300.telemetry import LimitReason

CONFIG = SimulatorConfig()
COLD, WARM, HOT = -5.0, 25.0, 60.0

configs = st.builds(
    SimulatorConfig,
    capacity_wh=st.floats(10, 1e6),
    max_charge_w=st.integers(0, 300_000),
    max_discharge_w=st.integers(0, 300_000),
    charge_efficiency=st.floats(0.5, 1),
    discharge_efficiency=st.floats(0.5, 1),
    standby_draw_w=st.floats(0, 5000),
    initial_soc_pct=st.floats(0, 100),
    ramp_w_per_s=st.floats(1, 1e6),
    ambient_c=st.floats(-20, 60),
)
steps = st.lists(st.tuples(st.floats(-400_000, 400_000), st.floats(1e-6, STEP_S)), max_size=60)


def cells_at(soc: float, temperature_c: float = WARM) -> Cells:
    return Cells(energy_wh=CONFIG.capacity_wh * soc / 100, temperature_c=temperature_c)


@given(configs, steps)
def test_what_is_stored_is_what_went_in_less_what_came_out_less_the_losses(
    config: SimulatorConfig, steps: list[tuple[float, float]]
) -> None:
    first = cells = new_cells(config)
    for target_w, dt_s in steps:
        cells = advance(config, cells, target_w, dt_s)
    dc_wh = cells.charged_wh * config.charge_efficiency - cells.discharged_wh / config.discharge_efficiency - cells.standby_wh
    assert cells.energy_wh - first.energy_wh == pytest.approx(dc_wh, abs=1e-9 * config.capacity_wh)


@given(configs, steps)
def test_the_state_of_charge_stays_from_0_to_100_and_power_within_what_was_available(
    config: SimulatorConfig, steps: list[tuple[float, float]]
) -> None:
    cells = new_cells(config)
    for target_w, dt_s in steps:
        can = available(config, cells)
        cells = advance(config, cells, target_w, dt_s)
        assert -1e-9 <= cells.energy_wh <= config.capacity_wh * (1 + 1e-12)
        assert 0 <= soc_pct(config, cells) <= 100
        assert -can.discharge_w <= cells.power_w <= can.charge_w


@given(configs, steps)
def test_counters_never_decrease_and_count_one_direction_each(
    config: SimulatorConfig, steps: list[tuple[float, float]]
) -> None:
    cells = new_cells(config)
    for target_w, dt_s in steps:
        after = advance(config, cells, target_w, dt_s)
        charged_wh, discharged_wh = after.charged_wh - cells.charged_wh, after.discharged_wh - cells.discharged_wh
        assert charged_wh >= 0
        assert discharged_wh >= 0
        assert charged_wh == 0 or target_w > 0
        assert discharged_wh == 0 or target_w < 0
        cells = after


@given(configs, st.floats(-30, 70), st.lists(st.floats(0.001, 1e5), min_size=1, max_size=20))
def test_idle_time_may_be_divided_in_any_way(config: SimulatorConfig, temperature_c: float, parts: list[float]) -> None:
    begin = msgspec.structs.replace(new_cells(config), temperature_c=temperature_c)
    whole, divided = advance(config, begin, 0.0, sum(parts)), begin
    for dt_s in parts:
        divided = advance(config, divided, 0.0, dt_s)
    assert whole.energy_wh == pytest.approx(divided.energy_wh, abs=1e-9 * config.capacity_wh)
    assert whole.temperature_c == pytest.approx(divided.temperature_c, abs=1e-9)


@pytest.mark.parametrize(
    ("soc", "charge", "discharge"),
    [(0, 1, 0), (2.5, 1, 0.5), (5, 1, 1), (50, 1, 1), (95, 1, 1), (97.5, 0.5, 1), (99, 0.2, 1), (100, 0, 1)],
)
def test_power_tapers_at_the_ends_of_the_state_of_charge(soc: float, charge: float, discharge: float) -> None:
    can = available(CONFIG, cells_at(soc))
    assert (can.charge_w, can.discharge_w) == pytest.approx((150_000 * charge, 150_000 * discharge))
    assert ((LimitReason.SOC,) if charge < 1 else ()) == can.charge_reasons
    assert ((LimitReason.SOC,) if discharge < 1 else ()) == can.discharge_reasons


@pytest.mark.parametrize(
    ("temperature_c", "charge", "discharge"),
    [
        (COLD, 0, 0),
        (0, 0, 0),
        (6, 6 / 18, 0.5),
        (12, 12 / 18, 1),
        (18, 1, 1),
        (35, 1, 1),
        (37.5, 0.5, 1),
        (40, 0, 1),
        (50, 0, 0.5),
        (HOT, 0, 0),
    ],
)
def test_power_derates_with_temperature(temperature_c: float, charge: float, discharge: float) -> None:
    even = msgspec.structs.replace(CONFIG, temperature_spread_c=0.0)
    can = available(even, cells_at(50, temperature_c))
    assert (can.charge_w, can.discharge_w) == pytest.approx((150_000 * charge, 150_000 * discharge))
    assert ((LimitReason.TEMPERATURE,) if charge < 1 else ()) == can.charge_reasons


def test_the_hottest_and_the_coldest_cell_decide() -> None:
    assert available(CONFIG, cells_at(50, 18.5)).charge_reasons == (LimitReason.TEMPERATURE,)
    assert available(CONFIG, cells_at(50, 34.5)).charge_reasons == (LimitReason.TEMPERATURE,)


def test_power_rises_along_the_ramp_and_the_energy_under_it_is_exact() -> None:
    cells = advance(CONFIG, cells_at(50), 100_000.0, 1.0)
    assert cells.power_w == 50_000
    assert cells.charged_wh == pytest.approx(25_000 / 3600)
    cells = advance(CONFIG, cells, 100_000.0, 3.0)
    assert cells.power_w == 100_000
    assert cells.charged_wh == pytest.approx((25_000 + 75_000 + 200_000) / 3600)


@pytest.mark.parametrize(
    ("power_w", "goal_w", "flows_w"),
    [(50, 0, 0), (50, 20, 20), (50, 70, 50), (50, -70, 0), (-50, -20, -20), (-50, 20, 0), (0, 9, 0)],
)
def test_power_falls_at_once_and_passes_zero_before_it_turns(power_w: float, goal_w: float, flows_w: float) -> None:
    assert flows_w == flowing(power_w, goal_w)


def test_losses_warm_the_battery_and_rest_cools_it() -> None:
    cells = cells_at(20, CONFIG.ambient_c)
    for _ in range(720):
        cells = advance(CONFIG, cells, 100_000.0, STEP_S)
    settled_c = CONFIG.ambient_c + 100_000 * 0.05 / CONFIG.cooling_w_per_k
    assert CONFIG.ambient_c + 3 < cells.temperature_c < settled_c
    assert advance(CONFIG, cells, 0.0, 1e6).temperature_c == pytest.approx(CONFIG.ambient_c)


@given(st.lists(st.integers(1, 7), max_size=20), st.floats(0, 100))
def test_packs_leave_and_come_back_with_their_energy(order: list[int], soc: float) -> None:
    cells = cells_at(soc)
    for pack in order:
        cells = connect(cells, pack) if pack in cells.dropped else disconnect(CONFIG, cells, pack)
        connected = 7 - len(cells.dropped)
        assert cells.energy_wh + sum(cells.dropped.values()) == pytest.approx(CONFIG.capacity_wh * soc / 100)
        assert soc_pct(CONFIG, cells) == pytest.approx(soc if connected else 0)
        if 10 < soc < 90:
            assert available(CONFIG, cells).charge_w == pytest.approx(150_000 * connected / 7)


def test_a_lost_pack_is_the_reason_for_less_power_and_is_lost_once() -> None:
    cells = disconnect(CONFIG, disconnect(CONFIG, cells_at(50), 3), 3)
    can = available(CONFIG, cells)
    assert list(cells.dropped) == [3]
    assert (LimitReason.PACKS,) == can.charge_reasons == can.discharge_reasons
    assert can.discharge_w == pytest.approx(150_000 * 6 / 7)


def test_a_tiny_battery_is_not_overfilled_in_one_step() -> None:
    tiny = SimulatorConfig(capacity_wh=1.0, ramp_w_per_s=1e9)
    cells = new_cells(tiny)
    for _ in range(5):
        cells = advance(tiny, cells, 150_000.0, STEP_S)
    assert cells.energy_wh <= 1.0
