"""What only version 2 can ask of a device: cancels, limits, ramps, jitter, other slots, signatures; and how it is told."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise

import pytest
from msgspec.structs import replace

from allye_device.config import KeyConfig, ProtocolConfig, SigningConfig, StatusConfig
from allye_max300.simulator import faults
from allye_protocol import codec
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import AckStatus, BatteryState, Cancel, EventType, ExecutionStatus, Outcome
from allye_protocol.messages.v2 import sequence_at
from allye_protocol.plan import Layer
from allye_protocol.signing import Signer, new_private_pem, public_pem


def cancel_of(at, name="plan-a", **others):
    return Cancel(
        device_id=DeviceId("max300-1"),
        version=2,
        sequence=sequence_at(at),
        schedule_id=None if name is None else ScheduleId(name),
        **others,
    )


@pytest.fixture
def watch(stage):
    """The setpoints that the battery holds at some minutes after noon, W."""
    seen = []

    def at(*minutes):
        for minute in minutes:
            stage.at(minute, lambda: seen.append(stage.battery.battery.present().setpoint_w))
        return seen

    return at


# Versions and encodings


@pytest.mark.parametrize("content_type", codec.content_types_of(2))
def test_the_device_answers_in_the_encoding_in_which_it_was_asked(stage, schedule, content_type):
    stage.at(-5, lambda: stage.cloud.send(schedule(50), content_type=content_type))
    stage.play(until=31)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    assert stage.powers() == [50]
    answers = [frame for channel in ("/ack", "/execution", "/event") for frame in stage.cloud.frames(channel)]
    assert {frame.content_type for frame in answers} == {content_type}


def test_a_cloud_of_version_1_hears_version_1_and_no_events(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50), version=1))
    stage.play(until=31)
    assert stage.powers() == [50]
    assert b'"actual_rate_kw":50' in stage.cloud.frames("/execution")[0].payload
    assert b'"version"' not in stage.cloud.frames("/ack")[0].payload
    assert stage.cloud.events() == []


def test_a_cloud_that_is_upgraded_is_spoken_to_anew(stage, schedule, noon):
    later = schedule(30, name="plan-b", start=noon + timedelta(minutes=30), generated_at=noon)
    stage.at(-5, lambda: stage.cloud.send(schedule(50), version=1))
    stage.at(5, lambda: stage.cloud.send(later, content_type=codec.content_types_of(2)[-1]))
    stage.play(until=61)
    assert stage.powers() == [50, 30]
    assert [name for name, _ in stage.cloud.statuses()] == ["plan-a", "plan-a", "plan-b", "plan-b"]
    assert [event.event for event in stage.cloud.events()][-1] is EventType.COMPLETED


def test_a_device_of_version_1_has_no_status_and_takes_no_version_2(stage, schedule):
    stage.config = replace(stage.config, protocol=ProtocolConfig(versions=(1,), slot_lengths_s=(1800,)))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: stage.cloud.send(schedule(40), version=1))
    stage.play(until=31)
    assert stage.cloud.presence() == []
    assert stage.cloud.codes() == ["version.unsupported", None, None]
    assert stage.powers() == [40]


# Slots


def test_slots_of_five_minutes_each_have_their_result(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50, -50, None, resolution_s=300)))
    stage.play(until=16)
    assert stage.powers() == [50, -50, 0]
    assert [result.slot_start.minute for result in stage.cloud.results()] == [0, 5, 10]
    assert [result.status for result in stage.cloud.results()] == [ExecutionStatus.SUCCEED] * 3


def test_a_slot_without_a_setpoint_is_the_default_control(stage, schedule, watch):
    seen = watch(10, 40, 70)
    stage.at(-5, lambda: stage.cloud.send(schedule(50, None, 20)))
    stage.play(until=91)
    assert seen == [50_000, 0, 20_000]
    assert stage.powers() == [50, 0, 20]


def test_a_dry_run_is_answered_and_executes_nothing(stage, schedule, watch):
    seen = watch(10)
    stage.at(-5, lambda: stage.cloud.send(schedule(50, dry_run=True)))
    stage.play(until=31)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    assert (seen, stage.cloud.results()) == ([0], [])


def test_a_start_with_jitter_begins_later_and_no_later_than_that(stage, schedule, noon):
    jittered = schedule(50, start_jitter_s=600)
    begun = []

    def given():
        if stage.battery.battery.present().setpoint_w and not begun:
            begun.append(stage.script.shown)

    for second in range(0, 900, 5):
        stage.at(second / 60, given)
    stage.at(-5, lambda: stage.cloud.send(jittered))
    stage.play(until=31)
    planned = Layer(None, jittered).begins  # type: ignore[arg-type]
    assert noon < planned <= noon + timedelta(minutes=10)
    assert planned <= begun[0] <= planned + timedelta(seconds=5)


def test_a_result_has_energy_and_state_of_charge(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(60)))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert result.energy_charged_wh == pytest.approx(30_000, rel=0.01)
    assert result.energy_discharged_wh == pytest.approx(0, abs=1)
    assert result.soc_start_pct == pytest.approx(50, abs=0.1)
    assert result.soc_end_pct == pytest.approx(50 + 100 * 30 * 0.95 / 300, abs=0.2)
    assert (result.outcome, result.limiting, result.coverage_pct) == (Outcome.FULL, (), 100.0)


def test_a_battery_that_tells_nonsense_of_its_charge_costs_no_result(stage, schedule):
    def nonsense(driver):
        read = driver.read
        driver.read = lambda: replace(read(), soc_pct=float("nan"), power_w=1e30)
        return driver

    stage.wrap = nonsense
    stage.at(-5, lambda: stage.cloud.send(schedule(0)))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert (result.status, result.soc_start_pct, result.soc_end_pct) == (ExecutionStatus.SUCCEED, None, None)
    assert {(status.power_w, status.soc_pct) for status in stage.cloud.presence()} == {(None, None)}


# Limits


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"soc_max_pct": 5.0}, "limit.soc"),
        ({"soc_min_pct": 95.0}, "limit.soc"),
        ({"resolution_s": 300}, "time.bad_duration"),
    ],
)
def test_what_the_device_is_not_configured_for_is_refused(stage, schedule, limits, code):
    battery = replace(stage.config.battery, soc_min_pct=10.0, soc_max_pct=90.0)
    stage.config = replace(stage.config, battery=battery, protocol=ProtocolConfig(slot_lengths_s=(900, 1800)))
    stage.at(-5, lambda: stage.cloud.send(schedule(50, **limits)))
    stage.play(until=-4)
    assert stage.cloud.codes() == [code]


def test_the_band_of_a_schedule_narrows_the_configured_one(stage, schedule):
    stage.options |= {"initial_soc_pct": 52.0}
    stage.at(-5, lambda: stage.cloud.send(schedule(100, -40, soc_max_pct=60.0)))
    stage.play(until=61)
    first, second = stage.cloud.results()
    assert (first.error.code, first.limiting) == ("exec.limited_soc", ("exec.limited_soc",))
    assert first.outcome is Outcome.LIMITED
    assert first.soc_end_pct == pytest.approx(60, abs=0.3)
    assert second.actual_w == -40_000


def test_the_band_of_a_schedule_ends_with_it(stage, schedule, noon):
    stage.options |= {"initial_soc_pct": 52.0}
    free = schedule(100, name="plan-b", start=noon + timedelta(minutes=30), generated_at=noon - timedelta(minutes=4))
    stage.at(-5, lambda: stage.cloud.send(schedule(100, soc_max_pct=53.0)))
    stage.at(-3, lambda: stage.cloud.send(free))
    stage.play(until=61)
    first, second = stage.cloud.results()
    assert first.error.code == "exec.limited_soc"
    assert second.actual_w == 100_000


def test_a_ramp_limits_increases_and_delays_no_decrease(stage, schedule):
    given = []
    stage.at(-5, lambda: stage.cloud.send(schedule(60, 20, -20, ramp_w_per_s=100)))

    def note():
        setpoint_w = stage.battery.battery.present().setpoint_w
        if not given or given[-1][1] != setpoint_w:
            given.append((stage.script.shown, setpoint_w))

    for second in range(5500):
        stage.at(second / 60, note)
    stage.play(until=91)
    for (before, held_w), (after, next_w) in pairwise(given):
        reached = abs(held_w) if held_w * next_w > 0 else 0
        assert abs(next_w) - reached <= 100 * (after - before).total_seconds() + 100
    (full,) = [at for at, setpoint_w in given if setpoint_w == 60_000]
    assert timedelta(seconds=599) <= full - schedule(0).start <= timedelta(seconds=602)
    assert (schedule(0).start + timedelta(minutes=30), 20_000) in given
    first, second, third = stage.cloud.results()
    assert (first.error.code, first.limiting) == ("limit.ramp", ("limit.ramp",))
    assert first.outcome is Outcome.LIMITED
    assert first.actual_w == pytest.approx(60_000 * 5 / 6, rel=0.01)
    assert (second.status, second.actual_w) == (ExecutionStatus.SUCCEED, 20_000)
    assert third.actual_w == pytest.approx(-20_000 * 17 / 18, rel=0.01)


# Cancels


def test_a_cancel_ends_a_running_slot_at_once(stage, schedule, noon, watch):
    seen = watch(9.9, 10.1, 40)
    stage.at(-5, lambda: stage.cloud.send(schedule(60, 30)))
    stage.at(10, lambda: stage.cloud.send(cancel_of(noon + timedelta(minutes=10))))
    stage.play(until=61)
    assert seen == [60_000, 0, 0]
    (cancelled,) = [event for event in stage.cloud.events() if event.event is EventType.CANCELLED]
    assert (cancelled.schedule_id, cancelled.error) == ("plan-a", None)
    (result,) = stage.cloud.results()
    assert (result.slot_start, result.actual_w, result.status) == (noon, 20_000, ExecutionStatus.SUCCEED)
    assert stage.lines("cancelled")[0]["cut"] == ["plan-a"]


def test_a_cancel_of_everything_from_an_instant_on_leaves_what_is_before(stage, schedule, noon, watch):
    seen = watch(20, 40)
    half_past = noon + timedelta(minutes=30)
    stage.at(-5, lambda: stage.cloud.send(schedule(60, 30)))
    stage.at(10, lambda: stage.cloud.send(cancel_of(noon + timedelta(minutes=10), None, effective_from=half_past)))
    stage.play(until=61)
    assert seen == [60_000, 0]
    assert stage.powers() == [60]


def test_a_cancelled_schedule_that_comes_again_stays_cancelled(stage, schedule, noon):
    stage.at(-5, lambda: stage.cloud.send(schedule(60)))
    stage.at(-4, lambda: stage.cloud.send(cancel_of(noon - timedelta(minutes=4))))
    stage.at(-3, lambda: stage.cloud.send(schedule(60)))
    stage.play(until=31)
    assert [status for _, status in stage.cloud.statuses()] == ["RECEIVED", "APPLIED", "APPLIED"]  # the last answer again
    assert stage.cloud.results() == []


def test_a_schedule_that_comes_after_its_cancel_is_refused(stage, schedule, noon):
    stage.at(-5, lambda: stage.cloud.send(cancel_of(noon - timedelta(minutes=5))))
    stage.at(-4, lambda: stage.cloud.send(schedule(60)))
    stage.play(until=31)
    assert stage.cloud.codes() == ["order.cancelled"]
    assert stage.cloud.results() == []


# Events and status


def test_the_story_of_a_schedule_is_told(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=31)
    assert [event.event for event in stage.cloud.events()] == [EventType.STARTED, EventType.COMPLETED]
    assert [line["what"] for line in stage.lines("schedule_event")] == ["STARTED", "COMPLETED"]


def test_somebody_elses_control_is_told_and_its_end(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(10, lambda: stage.battery.battery.inject(faults.LocalControl()))
    stage.at(20, lambda: stage.battery.battery.clear(faults.LocalControl()))
    stage.play(until=29)
    told = [(event.event, event.error and event.error.code) for event in stage.cloud.events()]
    assert told == [
        (EventType.STARTED, None),
        (EventType.OVERRIDDEN, "device.local_mode"),
        (EventType.FALLBACK_LEFT, None),
    ]
    assert stage.lines("schedule_event")[1]["code"] == "device.local_mode"


def test_the_status_follows_the_battery_and_the_plan(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=35)
    told = [(status.state, status.power_w, status.schedule_id) for status in stage.cloud.presence() if status.online]
    assert told[0] == (BatteryState.READY, 0, None)
    assert (BatteryState.CHARGING, 50_000, "plan-a") in told
    assert told[-1] == (BatteryState.READY, 0, None)
    assert all(frame.retain is False for frame in stage.cloud.frames("/status"))  # it was subscribed before they came
    times = [status.timestamp for status in stage.cloud.presence() if status.online]
    assert all(after - before >= timedelta(seconds=10) for before, after in pairwise(times))
    assert all(after - before <= timedelta(seconds=420) for before, after in pairwise(times))


def test_a_lost_device_is_offline_by_its_last_will_and_online_again_when_it_is_back(stage, schedule, noon):
    stage.at(-9, lambda: None)
    stage.at(-5, lambda: stage.broker.drop("max300-1"))
    stage.play(until=-4)
    told = stage.cloud.presence()
    at = [status.online for status in told].index(False)
    first, lost, back, gone = told[0], told[at], told[at + 1], told[-1]
    assert [status.online for status in (first, lost, back, gone)] == [True, False, True, False]
    assert lost.timestamp == noon - timedelta(minutes=9)
    assert back.timestamp >= noon - timedelta(minutes=5)
    assert gone.timestamp == noon - timedelta(minutes=4)


def test_a_device_that_was_lost_for_a_moment_says_at_once_that_it_is_back(stage):
    stage.at(-9, lambda: None)
    for seconds in range(3):
        stage.at(-5 + seconds / 60, lambda: stage.broker.drop("max300-1"))
    stage.play(until=-4.9)
    *told, gone = stage.cloud.presence()
    assert [status.online for status in told] == [True, *[False, True] * 3]
    assert not gone.online


def test_the_schedule_of_a_status_is_the_one_that_runs(stage, schedule, noon):
    half_past = noon + timedelta(minutes=30)
    following = schedule(50, name="plan-b", start=half_past, generated_at=noon - timedelta(minutes=4))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-3, lambda: stage.cloud.send(following))
    stage.play(until=31)
    assert ("plan-b", half_past) in [(status.schedule_id, status.timestamp) for status in stage.cloud.presence()]


def test_the_will_of_a_later_connection_says_when_that_was(stage, noon):
    stage.at(-9, lambda: None)
    stage.at(-5, lambda: stage.broker.drop("max300-1"))
    stage.at(-3, lambda: stage.broker.drop("max300-1"))
    stage.play(until=-2)
    wills = [status.timestamp for status in stage.cloud.presence() if not status.online]
    assert wills[0] == noon - timedelta(minutes=9)
    assert noon - timedelta(minutes=6) <= wills[1] <= noon - timedelta(minutes=4)


def test_an_untrusted_clock_is_in_the_status(stage, tmp_path):
    stage.synchronised = tmp_path / "synchronised"
    stage.at(-9, lambda: None)
    stage.at(-5, stage.synchronised.touch)
    stage.play(until=-4)
    clocks = [status.clock.synced for status in stage.cloud.presence() if status.online]
    assert (clocks[0], clocks[-1]) == (False, True)


def test_a_status_is_not_said_more_often_than_configured(stage, schedule):
    stage.config = replace(stage.config, status=StatusConfig(least_interval_s=1800, most_interval_s=3600))
    stage.at(-5, lambda: stage.cloud.send(schedule(50, -50, 50)))
    stage.play(until=91)
    assert len([status for status in stage.cloud.presence() if status.online]) <= 4


# Signatures


@pytest.fixture
def signers(stage, tmp_path):
    """Two keys that the device trusts and one that it does not, under the policy that the test asks for."""

    def under(policy):
        pems = {name: new_private_pem(os.urandom) for name in ("old", "new", "foreign")}
        keys = {}
        for name in ("old", "new"):
            file = tmp_path / f"{name}.pub"
            file.write_bytes(public_pem(pems[name]))
            keys[name] = KeyConfig(file=str(file))
        stage.config = replace(stage.config, signing=SigningConfig(policy=policy, keys=keys))
        return {name: Signer.from_pem(name, pem) for name, pem in pems.items()}

    return under


def test_what_is_not_signed_is_refused_where_it_must_be(stage, schedule, signers, noon):
    keys = signers("require")
    cancel = cancel_of(noon)
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: stage.cloud.send(schedule(50), signer=keys["foreign"]))
    stage.at(-3, lambda: stage.cloud.send(schedule(50), signer=keys["old"]))
    stage.at(0, lambda: stage.cloud.send(cancel))
    stage.at(10, lambda: stage.cloud.send(cancel, signer=keys["new"]))
    stage.play(until=31)
    assert stage.cloud.codes() == ["message.bad_signature"] * 2 + [None] * 2 + ["message.bad_signature"]
    assert [line["code"] for line in stage.lines("security_alert")] == ["message.bad_signature"] * 3
    assert stage.powers() == [pytest.approx(16.667, abs=0.01)]


def test_an_unsigned_schedule_passes_while_signatures_are_only_accepted(stage, schedule, signers):
    keys = signers("accept")
    stage.at(-5, lambda: stage.cloud.send(schedule(50), signer=keys["foreign"]))
    stage.at(-4, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=31)
    assert [ack.status for ack in stage.cloud.acks()] == [AckStatus.FAILED, AckStatus.RECEIVED, AckStatus.APPLIED]
    assert stage.powers() == [50]
