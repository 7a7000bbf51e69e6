import pytest

from allye_cloud.battery import Battery

BATTERY = Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, power_step_w=1000)


def test_charging_loses_on_the_way_in_and_discharging_on_the_way_out() -> None:
    assert BATTERY.follow(150_000, [100_000, 0, -95_000]) == (150_000, 197_500, 197_500, 147_500)


def test_the_largest_setpoints_are_whole_steps_within_battery_and_site() -> None:
    battery = Battery(
        capacity_wh=1, max_charge_w=1999, max_discharge_w=5000, power_step_w=500, import_limit_w=5000, export_limit_w=1200
    )

    assert (battery.charge_w, battery.discharge_w) == (1500, 1000)


def test_inside_the_band_the_corridor_is_the_band_and_ends_where_it_began() -> None:
    corridor = BATTERY.corridor(150_000, 3)

    assert corridor.low_wh == (30_000, 30_000, 150_000)
    assert corridor.high_wh == (285_000, 285_000, 285_000)


def test_below_the_band_the_corridor_rises_at_full_power() -> None:
    assert BATTERY.corridor(0, 2).low_wh == (30_000, 30_000)
    assert Battery(capacity_wh=300_000, max_charge_w=20_000, max_discharge_w=0).corridor(0, 4).low_wh == (
        9500,
        19_000,
        28_500,
        30_000,
    )


def test_above_the_band_the_corridor_falls_at_full_power() -> None:
    battery = Battery(capacity_wh=300_000, max_charge_w=0, max_discharge_w=9_500)

    assert battery.corridor(300_000, 4).high_wh == (295_000, 290_000, 285_000, 285_000)


def test_at_the_top_of_the_band_the_end_may_be_one_step_below() -> None:
    assert BATTERY.corridor(285_000, 1).low_wh == (285_000 - BATTERY.step_down_wh,)


@pytest.mark.parametrize(
    ("watts", "what"),
    [
        ([500, 0], "500 W is not a step"),
        ([151_000, 0], "151000 W is not a step"),
        ([150_000, 150_000], "slot 1: ends at 292500.000 Wh"),
        ([-150_000, -150_000], "slot 1: ends at"),
        ([-1000, 1000], "slot 1: ends at 149948.684 Wh"),
    ],
)
def test_a_plan_that_breaks_a_limit_is_told_where(watts: list[int], what: str) -> None:
    assert any(what in line for line in BATTERY.broken_limits(150_000, watts))


def test_a_plan_that_keeps_every_limit_has_nothing_to_tell() -> None:
    assert BATTERY.broken_limits(150_000, [100_000, -90_000]) == []


@pytest.mark.parametrize("change_wh", [0.0, 475.0, 476.0, -526.0, -527.0, 10_000.0, -10_000.0])
def test_whole_steps_bracket_a_change(change_wh: float) -> None:
    def moved(steps: int) -> float:
        return BATTERY.follow(0, [steps * BATTERY.power_step_w])[1]

    fewest, most = BATTERY.fewest_steps(change_wh), BATTERY.most_steps(change_wh)

    assert moved(fewest - 1) < change_wh <= moved(fewest)
    assert moved(most) <= change_wh < moved(most + 1)


def test_a_battery_without_capacity_is_empty() -> None:
    assert Battery(capacity_wh=0, max_charge_w=1, max_discharge_w=1).soc_pct(0.0) == 0.0
