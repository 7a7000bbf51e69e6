import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_max300.simulator import SimulatorConfig, faults
from allye_max300.simulator.controller import (
    REFUSALS,
    BatteryState,
    Mode,
    advance_to,
    cleared,
    grid_boundary,
    heard,
    new_battery,
    operating_state,
    rebooted,
    register_value,
    target_w,
    with_fault,
    with_mode,
    without_fault,
    write_setpoint,
)
from allye_max300.telemetry import LimitReason, State

CONFIG = SimulatorConfig(command_latency_s=0.5, start_delay_s=20, heartbeat_timeout_s=None)
SECOND = 1_000_000


def battery(config: SimulatorConfig = CONFIG) -> BatteryState:
    return new_battery(config, 3 * SECOND)


def later(state: BatteryState, seconds: float, config: SimulatorConfig = CONFIG) -> BatteryState:
    return advance_to(config, state, state.time_us + round(seconds * SECOND))


@pytest.mark.parametrize(
    ("watts", "held", "reasons"),
    [
        (0, 0, ()),
        (50_000, 50_000, ()),
        (-50_000, -50_000, ()),
        (50_099, 50_000, (LimitReason.STEP,)),
        (-50_099, -50_000, (LimitReason.STEP,)),
        (299, 0, (LimitReason.DEAD_BAND,)),
        (-300, -300, ()),
        (150_001, 150_000, (LimitReason.RATING,)),
        (-10_000_000, -150_000, (LimitReason.RATING,)),
    ],
)
def test_the_register_holds_what_rating_step_and_dead_band_leave(
    watts: int, held: int, reasons: tuple[LimitReason, ...]
) -> None:
    assert (held, reasons) == register_value(CONFIG, watts)


@given(st.integers(-10_000_000, 10_000_000), st.integers(1, 5000), st.integers(0, 5000))
def test_a_setpoint_is_only_ever_made_smaller_and_never_without_a_reason(watts: int, step_w: int, dead_band_w: int) -> None:
    config = SimulatorConfig(power_step_w=step_w, dead_band_w=dead_band_w)
    held, reasons = register_value(config, watts)
    assert abs(held) <= abs(watts)
    assert held * watts >= 0
    assert held % step_w == 0
    assert held == 0 or abs(held) >= dead_band_w
    assert bool(reasons) is (held != watts)
    assert (held, ()) == register_value(config, held)


def test_power_follows_a_setpoint_after_the_latency() -> None:
    state = write_setpoint(CONFIG, battery(), 50_000, 60)
    assert (state.setpoint_w, target_w(later(state, 0.49))) == (50_000, 0)
    assert target_w(later(state, 0.5)) == 50_000


def test_setpoints_that_come_faster_than_the_latency_do_not_hold_power_up() -> None:
    state = battery()
    for watts in range(1000, 11_000, 1000):
        state = later(write_setpoint(CONFIG, state, watts, 60), 0.1)
    assert target_w(state) == 10_000


@given(st.floats(0.001, 3600), st.integers(-150_000, 150_000))
def test_the_battery_follows_until_the_validity_ends_and_not_after(valid_for_s: float, watts: int) -> None:
    config = SimulatorConfig(command_latency_s=0.0)
    state = write_setpoint(config, battery(config), watts, valid_for_s)
    end_us = state.valid_until_us
    assert end_us is not None
    assert advance_to(config, state, end_us - 1).setpoint_w == register_value(config, watts)[0]
    ended = advance_to(config, state, end_us)
    assert (ended.setpoint_w, ended.applied_w, ended.valid_until_us, ended.cells.power_w) == (0, 0, None, 0.0)


def test_the_energy_moved_is_that_of_the_validity_exactly() -> None:
    config = SimulatorConfig(command_latency_s=0.0, ramp_w_per_s=1e9)
    state = advance_to(config, write_setpoint(config, battery(config), -36_000, 100.25), 10_000 * SECOND)
    assert state.cells.discharged_wh == pytest.approx(36_000 * 100.25 / 3600, rel=1e-4)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BatteryState(time_us=0, cells=battery().cells), State.READY),
        (BatteryState(time_us=0, cells=battery().cells, comms_lost=True), State.COMMS_LOST),
        (BatteryState(time_us=0, cells=battery().cells, mode=Mode.STANDBY, comms_lost=True), State.STANDBY),
        (BatteryState(time_us=0, cells=battery().cells, mode=Mode.STANDBY, ready_us=1), State.INITIALISING),
        (BatteryState(time_us=0, cells=battery().cells, mode=Mode.OFF, ready_us=1), State.OFF),
        (BatteryState(time_us=0, cells=battery().cells, mode=Mode.OFF, faults=(faults.LocalControl(),)), State.LOCAL),
        (BatteryState(time_us=0, cells=battery().cells, latched=("x",), faults=(faults.LocalControl(),)), State.FAULT),
        (BatteryState(time_us=0, cells=battery().cells, mode=Mode.ESTOP, latched=("x",)), State.ESTOP),
    ],
)
def test_one_state_is_told_where_several_hold(state: BatteryState, expected: State) -> None:
    assert expected is operating_state(state)
    assert (expected in REFUSALS) is (expected is not State.READY)


def test_starting_takes_its_time_from_off_and_none_from_standby() -> None:
    off = with_mode(CONFIG, battery(), Mode.OFF)
    starting = with_mode(CONFIG, off, Mode.ON)
    assert operating_state(later(starting, 19.9)) is State.INITIALISING
    assert operating_state(later(starting, 20)) is State.READY
    assert operating_state(with_mode(CONFIG, with_mode(CONFIG, battery(), Mode.STANDBY), Mode.ON)) is State.READY


def test_being_told_the_same_again_changes_nothing() -> None:
    state = write_setpoint(CONFIG, battery(), 50_000, 60)
    assert state is with_mode(CONFIG, state, Mode.ON)


@pytest.mark.parametrize("fault", [faults.OverTemperature(), faults.ContactorFault()])
def test_an_alarm_outlives_its_cause_until_it_is_cleared(fault: faults.Fault) -> None:
    running = later(write_setpoint(CONFIG, battery(), 50_000, 600), 10)
    tripped = with_fault(CONFIG, running, fault)
    assert (operating_state(tripped), tripped.setpoint_w, tripped.cells.power_w) == (State.FAULT, 0, 0.0)
    assert operating_state(later(without_fault(tripped, fault), 1000)) is State.FAULT
    assert operating_state(rebooted(CONFIG, without_fault(tripped, fault))) is State.FAULT
    assert operating_state(cleared(without_fault(tripped, fault))) is State.STANDBY


def test_clearing_leaves_a_battery_off_that_was_off_and_a_healthy_one_alone() -> None:
    off = with_fault(CONFIG, with_mode(CONFIG, battery(), Mode.OFF), faults.OverTemperature())
    assert operating_state(cleared(off)) is State.OFF
    running = write_setpoint(CONFIG, battery(), 50_000, 60)
    assert running is cleared(running)


def test_a_restart_loses_the_setpoint() -> None:
    running = later(write_setpoint(CONFIG, battery(), 50_000, 600), 10)
    restarted = rebooted(CONFIG, running)
    assert (operating_state(restarted), restarted.setpoint_w) == (State.INITIALISING, 0)
    assert (operating_state(later(restarted, 20)), target_w(later(restarted, 20))) == (State.READY, 0.0)


def test_another_master_is_followed_without_end() -> None:
    state = with_fault(CONFIG, write_setpoint(CONFIG, battery(), 50_000, 60), faults.OtherMaster(-7000))
    assert target_w(later(state, 3600)) == -7000
    assert target_w(without_fault(state, faults.OtherMaster(0))) == 0


def test_a_fault_of_a_kind_replaces_the_one_before_and_packs_are_told_apart() -> None:
    state = with_fault(CONFIG, with_fault(CONFIG, battery(), faults.OtherMaster(1)), faults.OtherMaster(2))
    assert state.faults == (faults.OtherMaster(2),)
    state = with_fault(CONFIG, with_fault(CONFIG, battery(), faults.PackDropout(1)), faults.PackDropout(2))
    assert set(state.cells.dropped) == {1, 2}
    assert set(without_fault(state, faults.PackDropout(1)).cells.dropped) == {2}


def test_a_missed_heartbeat_takes_the_setpoint_away_until_the_next_one() -> None:
    config = SimulatorConfig(heartbeat_timeout_s=30)
    state = write_setpoint(config, battery(config), 50_000, 600)
    assert target_w(later(state, 29.9, config)) == 50_000
    lost = later(state, 30, config)
    assert (operating_state(lost), lost.setpoint_w) == (State.COMMS_LOST, 0)
    again = heard(config, later(lost, 500, config))
    assert (operating_state(again), target_w(again)) == (State.READY, 0.0)
    assert operating_state(later(again, 31, config)) is State.COMMS_LOST


@given(st.integers(-(10**17), 10**17))
def test_steps_lie_on_one_grid(time_us: int) -> None:
    assert 0 <= time_us - grid_boundary(time_us) < 5 * SECOND
    assert grid_boundary(time_us) % (5 * SECOND) == 0


def test_time_does_not_run_backwards() -> None:
    state = battery()
    assert state is advance_to(CONFIG, state, state.time_us - 1)
