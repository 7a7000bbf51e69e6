"""The tables are complete, the setpoint dies with its order, and every driver's quirk is met."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog
from msgspec.structs import replace

from allye_device.battery import LIMITATION, OBSTACLE, Battery, Order, order_of
from allye_device.config import BatteryConfig
from allye_max300 import GridMode, LimitReason, State
from allye_max300.simulator import faults, open_simulator
from allye_protocol.errors import ErrorCode
from allye_protocol.events import SlotStarted
from allye_protocol.store.base import PlannedSlot

LIMITS = BatteryConfig(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=150_000, soc_min_pct=10, soc_max_pct=90)


class Bench:
    """A battery under an agent's hand, and the time."""

    def __init__(self, now, **options):
        self.now = now
        self.driver = open_simulator({"command_latency_s": 0.0, "ramp_w_per_s": 1e9, **options}, lambda: self.now)
        self.battery = Battery(self.driver, LIMITS, 60, now, structlog.get_logger())

    def look(self):
        reading = self.battery.read(self.now)
        self.battery.hold(self.now)
        return reading

    def setpoint_w(self):
        return self.driver.battery.present().setpoint_w


@pytest.fixture
def bench(noon):
    return lambda **options: Bench(noon, **options)


def test_every_state_and_every_reason_has_its_row():
    assert set(OBSTACLE) == set(State)
    assert set(LIMITATION) == set(LimitReason)


def test_an_order_is_given_and_refreshed_at_a_third_of_its_validity(bench):
    on = bench()
    on.battery.order(Order(watts=50_000))
    on.look()
    assert on.setpoint_w() == 50_000
    assert on.battery.next_look == on.now + timedelta(seconds=20)
    on.now += timedelta(seconds=60)
    assert on.setpoint_w() == 0


def test_an_order_is_over_at_its_end_even_if_nobody_says_so(bench):
    on = bench()
    on.battery.order(Order(watts=50_000, until=on.now + timedelta(seconds=20)))
    on.look()
    on.now += timedelta(seconds=20)
    on.look()
    assert on.setpoint_w() == 0


def test_a_reading_has_the_counters_and_the_state_of_charge(bench):
    on = bench(initial_soc_pct=40.0)
    on.battery.order(Order(watts=60_000))
    first = on.look()
    on.now += timedelta(seconds=60)
    second = on.look()
    assert second.charged_wh - first.charged_wh == pytest.approx(1000)
    assert first.soc_pct == 40.0
    assert second.soc_pct > 40.2


def test_counters_are_charged_less_discharged(bench):
    on = bench()
    on.battery.order(Order(watts=-60_000))
    on.look()
    on.now += timedelta(seconds=60)
    assert on.look().meter_wh == pytest.approx(-1000)


def test_near_the_end_of_the_band_the_next_look_comes_sooner(bench):
    on = bench(initial_soc_pct=89.9)
    on.battery.order(Order(watts=150_000))
    on.look()
    assert on.battery.next_look == on.now + timedelta(seconds=7.2)


@pytest.mark.parametrize(("soc", "watts"), [(90.0, 50_000), (10.0, -50_000)])
def test_at_the_end_of_the_band_the_rest_of_the_order_is_0_w(bench, soc, watts):
    on = bench(initial_soc_pct=soc)
    on.battery.order(Order(watts=watts))
    on.look()
    assert on.setpoint_w() == 0
    assert on.look().trouble is ErrorCode.EXEC_LIMITED_SOC
    on.battery.order(Order(watts=-watts))
    on.look()
    assert on.setpoint_w() == -watts


@pytest.mark.parametrize(("soc", "watts"), [(60.0, 50_000), (40.0, -50_000)])
def test_the_band_of_the_order_lies_in_the_configured_one(bench, soc, watts):
    on = bench(initial_soc_pct=soc)
    on.battery.order(Order(watts=watts, soc_min_pct=40.0, soc_max_pct=60.0))
    on.look()
    assert on.setpoint_w() == 0
    assert on.look().trouble is ErrorCode.EXEC_LIMITED_SOC
    on.battery.order(Order(watts=watts))
    on.look()
    assert on.setpoint_w() == watts


@pytest.mark.parametrize(("soc", "watts"), [(90.0, 50_000), (10.0, -50_000)])
def test_an_order_does_not_widen_the_configured_band(bench, soc, watts):
    on = bench(initial_soc_pct=soc)
    on.battery.order(Order(watts=watts, soc_min_pct=0.0, soc_max_pct=100.0))
    on.look()
    assert on.setpoint_w() == 0


def test_an_order_ends_where_its_slot_was_cut_and_has_the_limits_of_its_schedule(noon):
    slot = PlannedSlot(
        start=noon,
        end=noon + timedelta(minutes=30),
        schedule_id="plan-a",
        sequence=1,
        traceparent="",
        rate_w=50_000,
        since=noon,
        until=noon + timedelta(minutes=10),
        soc_min_pct=20.0,
        soc_max_pct=80.0,
        ramp_w_per_s=500,
    )
    order = order_of(SlotStarted(slot=slot, setpoint_w=50_000))
    limits = {"soc_min_pct": 20.0, "soc_max_pct": 80.0, "ramp_w_per_s": 500}
    assert order == Order(watts=50_000, until=noon + timedelta(minutes=10), **limits)
    assert order_of(SlotStarted(slot=slot, setpoint_w=None)) == Order()


def step(on, times=1):
    for _ in range(times):
        on.now = on.battery.next_look
        on.look()
    return on.setpoint_w()


def test_a_ramp_is_followed_every_second_and_named_meanwhile(bench):
    on = bench()
    on.look()
    on.now += timedelta(seconds=20)
    on.battery.order(Order(watts=2_500, ramp_w_per_s=1_000))
    on.look()
    assert on.setpoint_w() == 0
    assert on.battery.next_look == on.now + timedelta(seconds=1)
    assert [step(on) for _ in range(3)] == [1_000, 2_000, 2_500]
    assert on.look().trouble is None
    assert on.battery.next_look == on.now + timedelta(seconds=20)


def test_while_it_ramps_it_says_so(bench):
    on = bench()
    on.battery.order(Order(watts=2_500, ramp_w_per_s=1_000))
    on.look()
    on.now = on.battery.next_look
    assert on.look().trouble is ErrorCode.LIMIT_RAMP


def test_a_late_step_is_no_larger_than_one_in_time(bench):
    on = bench()
    on.battery.order(Order(watts=50_000, ramp_w_per_s=1_000))
    on.look()
    on.now += timedelta(seconds=15)
    on.look()
    assert on.setpoint_w() == 1_000


def test_a_decrease_is_not_delayed_and_a_change_of_sign_begins_at_0(bench):
    on = bench()
    on.battery.order(Order(watts=50_000))
    on.look()
    on.battery.order(Order(watts=20_000, ramp_w_per_s=100))
    assert (on.look() and on.setpoint_w()) == 20_000
    on.battery.order(Order(watts=-20_000, ramp_w_per_s=100))
    assert (on.look() and on.setpoint_w()) == 0
    assert step(on, 3) == -300
    on.battery.order(Order(ramp_w_per_s=100))
    assert (on.look() and on.setpoint_w()) == 0


def test_a_ramp_goes_on_from_what_the_battery_holds_after_a_start(bench, noon):
    on = bench()
    on.driver.set_power(50_000, 60)
    on.now += timedelta(seconds=1)
    on.battery.order(Order(watts=60_000, ramp_w_per_s=1_000))
    on.look()
    assert on.setpoint_w() == 50_000
    assert step(on) == 51_000


def test_a_ramp_begins_anew_after_a_refusal(bench):
    on = bench()
    on.battery.order(Order(watts=50_000))
    on.look()
    on.battery.order(Order(watts=50_000, ramp_w_per_s=1_000))
    on.driver.battery.inject(faults.RefusedWrite())
    on.look()
    on.driver.battery.clear(faults.RefusedWrite())
    assert step(on) == 1_000


def test_a_refused_setpoint_becomes_0_w(bench):
    on = bench()
    on.battery.order(Order(watts=50_000))
    on.look()
    given = []
    write = on.driver.set_power
    on.driver.set_power = lambda watts, valid_for_s: (given.append(watts), write(watts, valid_for_s))[1]
    on.driver.battery.inject(faults.RefusedWrite())
    on.look()
    assert given == [50_000, 0]
    assert on.look().trouble is ErrorCode.DRIVER_REJECTED


def test_heartbeats_are_given_as_often_as_the_battery_wants(bench):
    on = bench(heartbeat_timeout_s=15)
    on.battery.order(Order(watts=50_000))
    for _ in range(20):
        on.look()
        assert on.driver.read().state in (State.READY, State.CHARGING)
        on.now = on.battery.next_look
    assert on.setpoint_w() == 50_000


def test_an_island_takes_no_schedules(bench):
    on = bench()
    read = on.driver.read
    on.driver.read = lambda: replace(read(), grid_mode=GridMode.ISLAND)
    problem = on.battery.arm(on.now)
    assert problem is not None
    assert problem.code is ErrorCode.DEVICE_GRID_LOST


def test_a_battery_that_does_not_answer_at_the_end_is_left_to_its_validity(bench):
    on = bench()
    on.battery.order(Order(watts=50_000))
    on.look()
    on.driver.battery.inject(faults.LinkLoss())
    on.battery.rest()
    assert on.setpoint_w() == 50_000
    on.now += timedelta(seconds=60)
    assert on.setpoint_w() == 0
