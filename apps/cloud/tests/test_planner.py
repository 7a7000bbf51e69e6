from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from allye_cloud.battery import SOC_TOLERANCE_WH, Battery
from allye_cloud.errors import PlanError
from allye_cloud.planner import Plan, assess, plan

BATTERY = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000)
TWO_PEAKS = [40.0] * 12 + [90.0] * 8 + [50.0] * 12 + [160.0] * 8 + [70.0] * 8

prices = st.lists(st.floats(-300, 600, allow_nan=False), min_size=1, max_size=12)
batteries = st.builds(
    Battery,
    capacity_wh=st.integers(0, 400_000),
    max_charge_w=st.integers(0, 200_000),
    max_discharge_w=st.integers(0, 200_000),
    power_step_w=st.sampled_from([1, 7, 100, 1000, 30_000]),
    soc_min_pct=st.floats(0, 60),
    soc_max_pct=st.floats(40, 100),
    efficiency=st.sampled_from([0.5, 0.85, 0.95, 1.0]),
    import_limit_w=st.none() | st.integers(0, 200_000),
    export_limit_w=st.none() | st.integers(0, 200_000),
    wear_gbp_per_kwh=st.sampled_from([0.0, 0.02, 0.2]),
)


@settings(max_examples=150, deadline=None)
@given(battery=batteries, prices=prices, soc_pct=st.floats(0, 100))
@example(battery=BATTERY, prices=[-50.0, 100.0] * 6, soc_pct=95.0)
@example(battery=BATTERY, prices=[-50.0, 100.0] * 6, soc_pct=0.0)
@example(battery=BATTERY, prices=[-50.0, 100.0] * 6, soc_pct=100.0)
def test_a_plan_always_exists_and_keeps_every_limit(battery: Battery, prices: list[float], soc_pct: float) -> None:
    found = plan(battery, prices, soc_pct)

    assert len(found.watts) == len(prices)
    assert len(found.soc_pct) == len(prices) + 1
    if battery.can_follow_a_plan:
        check_by_hand(battery, found, soc_pct)
    else:
        assert set(found.watts) == {0}


def check_by_hand(battery: Battery, found: Plan, soc_pct: float) -> None:
    """The limits in plain arithmetic, apart from the code that the planner proves itself with."""
    low, high = (battery.capacity_wh * pct / 100 for pct in (battery.soc_min_pct, battery.soc_max_pct))
    begin = stored = battery.capacity_wh * soc_pct / 100
    for w in found.watts:
        assert w % battery.power_step_w == 0
        assert -battery.max_discharge_w <= w <= battery.max_charge_w
        assert battery.import_limit_w is None or w <= battery.import_limit_w
        assert battery.export_limit_w is None or -w <= battery.export_limit_w
        before = stored
        stored += w / 2 * battery.efficiency if w > 0 else w / 2 / battery.efficiency
        assert stored <= max(high, before) + SOC_TOLERANCE_WH
        assert stored >= min(low, before) - SOC_TOLERANCE_WH
    assert stored >= min(begin, high - battery.power_step_w / 2 / battery.efficiency) - SOC_TOLERANCE_WH


def tiny(efficiency: float, wear: float) -> Battery:
    """Three steps of power each way, and a band of five steps of energy: every plan of few slots can be tried."""
    return Battery(
        capacity_wh=5000,
        max_charge_w=3000,
        max_discharge_w=3000,
        power_step_w=1000,
        soc_min_pct=10,
        soc_max_pct=60,
        efficiency=efficiency,
        wear_gbp_per_kwh=wear,
    )


@settings(max_examples=30, deadline=None)
@given(
    prices=st.lists(st.integers(-200, 300), min_size=1, max_size=4),
    soc_pct=st.sampled_from([0.0, 5.0, 10.0, 30.0, 60.0, 80.0]),
    efficiency=st.sampled_from([0.7, 0.95, 1.0]),
    wear=st.sampled_from([0.0, 0.05]),
)
def test_no_plan_of_whole_steps_beats_the_optimum(prices: list[int], soc_pct: float, efficiency: float, wear: float) -> None:
    battery = tiny(efficiency, wear)
    start_wh = battery.stored_wh(soc_pct)
    found = plan(battery, prices, soc_pct)

    tried = [
        watts for watts in product(range(-3000, 3001, 1000), repeat=len(prices)) if not battery.broken_limits(start_wh, watts)
    ]
    values = [assess(battery, watts, prices, soc_pct) for watts in tried]
    best = max(value.margin_gbp - value.wear_gbp for value in values)

    assert found.watts in tried
    assert best <= found.objective_gbp + 1e-6


@settings(max_examples=30, deadline=None)
@given(prices=st.lists(st.integers(-200, 300), min_size=1, max_size=4), soc_pct=st.sampled_from([10.0, 20.0, 30.0, 40.0, 50.0]))
def test_without_losses_the_rounded_plan_is_the_best_of_whole_steps(prices: list[int], soc_pct: float) -> None:
    battery = tiny(1.0, 0.0)
    start_wh = battery.stored_wh(soc_pct)

    plans = [
        watts for watts in product(range(-3000, 3001, 1000), repeat=len(prices)) if not battery.broken_limits(start_wh, watts)
    ]
    best = max(assess(battery, watts, prices, soc_pct).margin_gbp for watts in plans)

    assert plan(battery, prices, soc_pct).margin_gbp == pytest.approx(best, abs=1e-6)


def test_cheap_hours_are_charged_and_dear_ones_discharged() -> None:
    found = plan(BATTERY, TWO_PEAKS, 50.0)

    assert all(w >= 0 for w, price in zip(found.watts, TWO_PEAKS, strict=True) if price == 40)
    assert all(w <= 0 for w, price in zip(found.watts, TWO_PEAKS, strict=True) if price == 160)
    assert found.soc_pct[0] == 50.0
    assert found.soc_pct[-1] == pytest.approx(50.0, abs=0.1)
    assert found.margin_gbp > 30
    assert found.solver_s > 0


@pytest.mark.parametrize(("step_w", "loss"), [(1, 0.0001), (100, 0.002), (1000, 0.02)])
def test_rounding_costs_little(step_w: int, loss: float) -> None:
    battery = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, power_step_w=step_w)
    found = plan(battery, TWO_PEAKS, 50.0)

    assert found.objective_gbp * (1 - loss) <= found.margin_gbp <= found.objective_gbp + 1e-6


def test_with_negative_prices_nothing_is_earned_by_charging_and_discharging_at_once() -> None:
    day = [-100.0] * 8
    found = plan(BATTERY, day, 95.0)

    # A full battery at -100 pounds per MWh: emptying costs 100 for each MWh, filling earns it. Burning both would earn in every
    # slot; alternating earns only the losses.
    assert found.objective_gbp == pytest.approx(found.margin_gbp, abs=0.05)
    assert found.margin_gbp <= (300 * 0.85 / 0.95 * (1 - 0.95**2)) * 0.1 * 2


def test_the_objective_with_negative_prices_is_worth_what_one_direction_at_a_time_earns() -> None:
    fine = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, power_step_w=1)
    for day in ([-80.0] * 6, [-80.0, 20.0, -150.0, 90.0, -5.0, 0.0], [0.0] * 4):
        found = plan(fine, day, 90.0)
        assert found.objective_gbp == pytest.approx(found.margin_gbp, abs=0.001)


def test_wear_stops_trading_that_does_not_pay_for_it() -> None:
    day = [50.0] * 10 + [100.0] * 10
    worn = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, wear_gbp_per_kwh=0.06)

    assert plan(BATTERY, day, 50.0).cycles > 0.4
    assert set(plan(worn, day, 50.0).watts) == {0}


def test_wear_is_counted_by_the_discharged_kwh() -> None:
    worn = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, wear_gbp_per_kwh=0.01)
    found = plan(worn, TWO_PEAKS, 50.0)

    assert found.wear_gbp == pytest.approx(found.discharged_wh / 1000 * 0.01)
    assert found.objective_gbp == pytest.approx(found.margin_gbp - found.wear_gbp, rel=0.01)


@pytest.mark.parametrize(
    "battery",
    [
        pytest.param(Battery(capacity_wh=0, max_charge_w=150_000, max_discharge_w=150_000), id="no capacity"),
        pytest.param(Battery(capacity_wh=300_000, max_charge_w=0, max_discharge_w=0), id="no power"),
        pytest.param(
            Battery(capacity_wh=300_000, max_charge_w=99, max_discharge_w=99, power_step_w=100), id="less than a step"
        ),
        pytest.param(
            Battery(capacity_wh=300_000, max_charge_w=9000, max_discharge_w=9000, import_limit_w=0, export_limit_w=0),
            id="no grid",
        ),
        pytest.param(
            Battery(capacity_wh=300_000, max_charge_w=9000, max_discharge_w=9000, soc_min_pct=50, soc_max_pct=50), id="no band"
        ),
    ],
)
def test_a_battery_that_cannot_do_anything_is_left_idle(battery: Battery) -> None:
    found = plan(battery, TWO_PEAKS, 50.0)

    assert found.watts == (0,) * 48
    assert (found.margin_gbp, found.cycles) == (0.0, 0.0)
    assert found.objective_gbp == pytest.approx(0, abs=1e-9)


def test_an_soc_below_the_band_rises_at_full_power_whatever_the_price() -> None:
    found = plan(BATTERY, [500.0, 500.0, 1.0, 1.0], 0.0)

    assert found.watts[0] > 0
    assert found.soc_pct[1] >= 10.0 - 1e-6


def test_an_soc_above_the_band_falls_at_full_power_whatever_the_price() -> None:
    slow = Battery(capacity_wh=300_000, max_charge_w=9500, max_discharge_w=9500)
    found = plan(slow, [-50.0] * 6, 100.0)

    assert found.watts[:3] == (-9500, -9500, -9500)
    assert found.soc_pct[3] == pytest.approx(95.0)


@pytest.mark.parametrize(
    ("prices", "soc_pct", "what"),
    [
        ([], 50.0, "at least one half-hour"),
        ([1.0, float("nan")], 50.0, "finite price"),
        ([1.0, float("inf")], 50.0, "finite price"),
        ([1.0], 101.0, "not 101"),
        ([1.0], float("nan"), "not nan"),
    ],
)
def test_what_cannot_be_planned_is_an_error_that_says_why(prices: list[float], soc_pct: float, what: str) -> None:
    with pytest.raises(PlanError, match=what):
        plan(BATTERY, prices, soc_pct)


def test_given_setpoints_are_assessed_as_they_are() -> None:
    found = assess(BATTERY, [100_000, -90_000], [10.0, 200.0], 50.0)

    assert (found.charged_wh, found.discharged_wh, found.cycles) == (50_000, 45_000, 0.15)
    assert found.margin_gbp == found.objective_gbp == pytest.approx(45 * 0.2 - 50 * 0.01)
