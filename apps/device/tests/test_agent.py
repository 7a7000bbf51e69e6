"""The loop: what the battery gets, what the cloud hears, and what trouble changes."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from allye_device.config import BatteryConfig, ConfigError, SetpointConfig
from allye_max300.simulator import faults
from allye_protocol import Frame
from allye_protocol.errors import DriverError, ErrorCode, StoreError
from allye_protocol.messages import AckStatus, ExecutionStatus
from allye_protocol.store.memory import MemoryStore
from tests.store.faults import failing_store

if TYPE_CHECKING:
    from collections.abc import Iterator


class FullStore(MemoryStore):
    """A store that takes nothing while it is told so; what it has can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.failing:
            raise StoreError(ErrorCode.STORE_FULL, "no space left")
        with super().transaction():
            yield


def test_a_day_is_admitted_applied_executed_and_reported(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50, -30, 0)))
    stage.play(until=91)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    results = stage.cloud.results()
    assert stage.powers() == [50, -30, 0]
    assert [result.status for result in results] == [ExecutionStatus.SUCCEED] * 3


def test_hello_is_retained_and_the_first_frame_of_every_connection(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: stage.broker.drop("max300-1"))
    stage.play(until=1)
    channels = stage.cloud.channels()
    assert channels[:4] == ["hello", "status", "ack", "ack"]
    assert channels[4:7] == ["status", "hello", "status"]
    hello = stage.cloud.frames()[0]
    assert b'"max_charge_w":150000' in hello.payload


def test_the_battery_is_at_rest_without_a_plan_and_after_it(stage, schedule):
    seen = []
    stage.at(-1, lambda: seen.append(stage.battery.read().power_w))
    stage.at(-1, lambda: stage.cloud.send(schedule(50)))
    stage.at(10, lambda: seen.append(stage.battery.read().power_w))
    stage.at(31, lambda: seen.append(stage.battery.read().power_w))
    stage.play(until=32)
    assert seen == [0, 50_000, 0]


def test_a_repetition_is_answered_again_and_changes_nothing(stage, schedule):
    for minute in (-5, -4, 10, 40):
        stage.at(minute, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=45)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), *[("plan-a", "APPLIED")] * 4]
    assert stage.powers() == [50]


def test_a_schedule_for_now_joins_the_running_slot(stage, schedule, noon):
    late = schedule(60, start=noon, generated_at=noon + timedelta(minutes=14))
    stage.at(15, lambda: stage.cloud.send(late))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert (result.status, result.actual_w) == (ExecutionStatus.FAIL, 30_000)
    assert result.error.code == "exec.late_start"


def test_what_cannot_be_read_is_answered_and_kept(stage):
    stage.at(-5, lambda: stage.cloud.send_bytes(b'{"schedule_id": "x"'))
    stage.play(until=0)
    (ack,) = stage.cloud.acks()
    assert ack.error.code == "message.malformed"
    assert len(stage.store.rejected()) == 1
    assert stage.lines("schedule_refused")[0]["code"] == "message.malformed"


def test_a_driver_that_raises_what_it_must_not_ends_neither_the_agent_nor_the_plan(stage, schedule):
    """A third party's driver, from ten minutes into the slot on: 0 W by the setpoint's validity, and the result says why."""
    down = [False]

    def linked(driver):
        read, write = driver.read, driver.set_power

        def link(call, *args):
            if down[0]:
                raise OSError("link down")
            return call(*args)

        driver.read, driver.set_power = (lambda: link(read)), (lambda *given: link(write, *given))
        return driver

    stage.wrap = linked
    stage.at(-5, lambda: stage.cloud.send(schedule(50, 30)))
    stage.at(10, lambda: down.__setitem__(0, True))
    stage.at(25, lambda: down.__setitem__(0, False))
    stage.play(until=61)
    first, second = stage.cloud.results()
    assert first.status is ExecutionStatus.FAIL
    assert first.error.code == "driver.timeout"
    assert (second.status, second.actual_w) == (ExecutionStatus.SUCCEED, 30_000)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    (line,) = stage.lines("driver_bug")
    assert line["exc_info"]
    assert stage.lines("battery_does_not_obey")[0]["code"] == "driver.timeout"


def test_a_driver_that_raises_while_it_is_armed_fails_the_schedule_for_now(stage, schedule):
    def broken(driver):
        driver.limits = lambda: {}["charge_w"]
        return driver

    stage.wrap = broken
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=-4)
    assert stage.cloud.codes() == [None, "driver.rejected"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.LocalControl(), "device.local_mode"),
        (faults.OverTemperature(), "device.fault_active"),
        (faults.LinkLoss(), "driver.timeout"),
        (faults.RefusedWrite(), "driver.rejected"),
        (faults.SilentWrite(), "driver.readback_mismatch"),
        (faults.OtherMaster(setpoint_w=5_000), "driver.external_control"),
        (faults.StaleData(), "driver.timeout"),
    ],
)
def test_a_battery_that_cannot_obey_fails_the_schedule_with_its_code(stage, schedule, fault, code):
    stage.at(-6, lambda: stage.battery.battery.inject(fault))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=-4)
    received, failed = stage.cloud.acks()
    assert (received.status, failed.status) == (AckStatus.RECEIVED, AckStatus.FAILED)
    assert failed.error.code == code
    assert stage.lines("battery_does_not_obey")[0]["code"] == code


def test_an_emergency_stop_fails_the_schedule(stage, schedule):
    def press() -> None:
        stage.battery.emergency_stop()

    stage.at(-6, press)
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=-4)
    assert stage.cloud.acks()[-1].error.code == "device.emergency_stop"


def test_a_schedule_that_failed_for_a_passing_reason_is_taken_up_at_the_next_delivery(stage, schedule):
    stage.at(-6, lambda: stage.battery.battery.inject(faults.LocalControl()))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: stage.battery.battery.clear(faults.LocalControl()))
    stage.at(-3, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=31)
    assert [status for _, status in stage.cloud.statuses()] == ["RECEIVED", "FAILED", "RECEIVED", "APPLIED"]
    assert stage.powers() == [50]


def test_a_lost_link_in_mid_slot_ends_power_with_the_validity_and_is_named_in_the_result(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(10, lambda: stage.battery.battery.inject(faults.LinkLoss()))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert result.status is ExecutionStatus.FAIL
    assert result.error.code == "driver.timeout"


def test_a_link_that_was_gone_for_the_whole_slot_is_named_in_the_result(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50, 20)))
    stage.at(-1, lambda: stage.battery.battery.inject(faults.LinkLoss()))
    stage.at(35, lambda: stage.battery.battery.clear(faults.LinkLoss()))
    stage.play(until=61)
    assert [result.error.code for result in stage.cloud.results()] == ["driver.timeout", "driver.timeout"]


def test_an_empty_battery_is_named_in_the_result(stage, schedule):
    stage.options |= {"initial_soc_pct": 3.0}
    stage.at(-5, lambda: stage.cloud.send(schedule(-100)))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert result.error.code == "exec.limited_soc"


def test_charging_stops_at_the_end_of_the_configured_band(stage, schedule):
    stage.config = replace(stage.config, battery=replace(stage.config.battery, soc_max_pct=60.0))
    stage.options |= {"initial_soc_pct": 55.0}
    stage.at(-5, lambda: stage.cloud.send(schedule(100)))
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert result.error.code == "exec.limited_soc"
    assert stage.battery.battery.reading(stage.battery.battery.present()).telemetry.soc_pct == pytest.approx(60, abs=0.3)


def test_a_plan_in_force_beyond_limits_that_were_lowered_since_is_not_executed(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(100)))
    stage.play(until=-1)
    limits = BatteryConfig(capacity_wh=300_000, max_charge_w=80_000, max_discharge_w=80_000)
    stage.config = replace(stage.config, battery=limits)
    stage.play(until=31)
    (result,) = stage.cloud.results()
    assert result.actual_w == 0
    assert result.error.code == "limit.power"


def test_more_than_the_battery_can_do_is_no_configuration(stage):
    stage.options |= {"max_charge_w": 50_000}
    with pytest.raises(ConfigError, match=r"battery\.max_charge_w: 150000 is more than the 50000 of the battery"):
        stage.open()


def test_a_restart_in_mid_slot_goes_on_with_the_slot(stage, schedule, tmp_path):
    stage.options |= {"state_file": str(tmp_path / "battery.json")}
    stage.at(-5, lambda: stage.cloud.send(schedule(60, -20)))
    stage.play(until=10)
    stage.script.shown += timedelta(minutes=1)
    stage.play(until=61)
    assert stage.powers() == [58, -20]
    assert [result.status for result in stage.cloud.results()] == [ExecutionStatus.SUCCEED] * 2
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]


def test_a_schedule_that_was_admitted_and_not_settled_is_settled_after_a_restart(stage, schedule):
    class CrashError(BaseException):
        """The end of the process."""

    def crash() -> None:
        raise CrashError

    stage.at(-6, lambda: setattr(stage.battery, "limits", crash))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    with pytest.raises(CrashError):
        stage.play(until=-4)
    assert [entry.schedule_id for entry in stage.store.unsettled()] == ["plan-a"]
    stage.play(until=31)
    assert stage.cloud.statuses() == [("plan-a", "RECEIVED"), ("plan-a", "APPLIED")]
    assert stage.powers() == [50]


def hellos(stage):
    return len(stage.cloud.frames("/hello"))


def test_a_battery_that_obeys_again_asks_once_for_what_it_refused(stage, schedule):
    heard = []
    stage.at(-6, lambda: stage.battery.battery.inject(faults.LocalControl()))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-4, lambda: heard.append(hellos(stage)))
    stage.at(-4, lambda: stage.battery.battery.clear(faults.LocalControl()))
    stage.at(-1, lambda: heard.append(hellos(stage)))
    stage.at(-1, lambda: stage.battery.battery.inject(faults.LocalControl()))
    stage.at(5, lambda: stage.battery.battery.clear(faults.LocalControl()))
    stage.play(until=10)
    assert heard == [1, 2]
    assert hellos(stage) == 2


def test_a_device_whose_time_becomes_trusted_asks_for_what_it_refused(stage, schedule, tmp_path):
    stage.synchronised = tmp_path / "synchronised"
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-2, stage.synchronised.touch)
    stage.play(until=-1)
    assert stage.cloud.codes() == ["device.clock_untrusted"]
    assert hellos(stage) == 2


def test_a_driver_that_fails_every_arming_does_not_ask_for_more_of_it(stage, schedule):
    def refuses():
        raise DriverError(ErrorCode.DRIVER_TIMEOUT, "no answer")

    stage.at(-6, lambda: setattr(stage.battery, "limits", refuses))
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=5)
    assert hellos(stage) == 1


def test_whatever_ends_the_agent_ends_power_too(stage, schedule):
    def bug() -> None:
        raise ZeroDivisionError

    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(10, bug)
    with pytest.raises(ZeroDivisionError):
        stage.play(until=20)
    assert stage.battery.battery.present().setpoint_w == 0
    assert not stage.transport.connected


def test_the_end_leaves_the_battery_at_rest_and_the_outbox_empty(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=10)
    state = stage.battery.battery.present()
    assert (state.setpoint_w, stage.store.outbox_size(), stage.transport.connected) == (0, 0, False)


def test_answers_wait_for_the_connection_and_slots_do_not(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50, -20)))
    stage.at(-4, lambda: stage.broker.drop("max300-1", refuse=True))
    stage.at(45, lambda: stage.broker.admit("max300-1"))
    stage.play(until=61)
    assert stage.powers() == [50, -20]
    assert stage.store.outbox_size() == 0


def test_a_message_for_another_device_is_an_alert_and_changes_nothing(stage, schedule):
    other = replace(schedule(50), device_id="max300-2")
    stage.at(-5, lambda: stage.cloud.send(other))
    stage.play(until=1)
    (alert,) = stage.lines("security_alert")
    assert alert["code"] == "message.wrong_device"
    assert stage.store.applied() == []


# The clock


def test_an_untrusted_clock_executes_nothing_and_says_so(stage, schedule, tmp_path):
    stage.synchronised = tmp_path / "synchronised"
    seen = []
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-2, stage.synchronised.touch)
    stage.at(-1, lambda: stage.cloud.send(schedule(50)))
    stage.at(10, stage.synchronised.unlink)
    stage.at(12, lambda: seen.append(stage.battery.read().setpoint_w))
    stage.at(15, stage.synchronised.touch)
    stage.at(16, lambda: seen.append(stage.battery.read().setpoint_w))
    stage.play(until=31)
    assert [status for _, status in stage.cloud.statuses()] == ["FAILED", "RECEIVED", "APPLIED"]
    assert stage.cloud.acks()[0].error.code == "device.clock_untrusted"
    assert seen == [0, 50_000]
    assert len(stage.lines("time_not_trusted")) == 2


# The store


def test_a_message_that_cannot_be_stored_is_not_acknowledged_and_is_handed_in_again(stage, schedule):
    store = stage.store = FullStore()
    acknowledged = []

    def full() -> None:
        store.failing = True
        real = stage.transport.acknowledge
        stage.transport.acknowledge = lambda received: acknowledged.append(stage.script.shown) or real(received)

    def room() -> None:
        store.failing = False

    stage.at(-6, full)
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.at(-3, room)
    stage.play(until=31)
    assert stage.cloud.acks()[0].error.code == "store.full"
    assert [status for _, status in stage.cloud.statuses()] == ["FAILED", "RECEIVED", "APPLIED"]
    assert len(acknowledged) == 1
    assert acknowledged[0] >= schedule(50).start - timedelta(minutes=3)
    assert stage.powers() == [50]
    assert [len(stage.lines(name)) for name in ("store_does_not_work", "store_works_again")] == [1, 1]


def test_a_full_disk_lets_the_slot_end_and_the_battery_rest(stage, schedule):
    store = stage.store = FullStore()
    seen = []
    stage.at(-5, lambda: stage.cloud.send(schedule(50, 50)))
    stage.at(10, lambda: setattr(store, "failing", True))
    stage.at(25, lambda: seen.append(stage.battery.read().setpoint_w))
    stage.at(35, lambda: seen.append(stage.battery.read().setpoint_w))
    stage.at(40, lambda: setattr(store, "failing", False))
    stage.at(45, lambda: seen.append(stage.battery.read().setpoint_w))
    stage.play(until=61)
    assert seen == [50_000, 0, 50_000]
    assert [result.slot_start.minute for result in stage.cloud.results()] == [0, 30]


def test_whichever_call_of_the_store_fails_the_day_comes_out_the_same(stage, schedule):
    def play(nth: int) -> int:
        calls = 0

        def fails(_name: str) -> bool:
            nonlocal calls
            calls += 1
            return calls == nth

        on = type(stage)(stage.log)
        on.store = failing_store(MemoryStore(), fails)
        on.config = replace(on.config, setpoint=SetpointConfig(validity_s=1800))
        on.at(-5, lambda: on.cloud.send(schedule(50, -20)))
        on.play(until=61)
        statuses = [status for _, status in on.cloud.statuses()]
        assert [status for status in statuses if status != "FAILED"] == ["RECEIVED", "APPLIED"], nth
        assert [(result.slot_start.minute, result.status) for result in on.cloud.results()] == [
            (0, ExecutionStatus.SUCCEED),
            (30, ExecutionStatus.SUCCEED),
        ], nth
        assert on.store.outbox_size() == 0
        return calls

    for nth in range(1, play(0)):
        play(nth)


# The broker


def test_a_frame_that_the_broker_refuses_is_sent_again(stage, schedule):
    refused = []

    def refuse_once() -> None:
        real = stage.transport.publish

        def publish(frame: Frame) -> int:
            if frame.topic.endswith("/ack") and not refused:
                refused.append(frame)
                token = real(Frame(topic="elsewhere", payload=b""))
                events = stage.transport.mailbox.take(0)
                for event in events:
                    stage.transport.mailbox.post(replace(event, accepted=False) if event == events[-1] else event)
                return token
            return real(frame)

        stage.transport.publish = publish

    stage.at(-6, refuse_once)
    stage.at(-5, lambda: stage.cloud.send(schedule(50)))
    stage.play(until=1)
    assert sorted(status for _, status in stage.cloud.statuses()) == ["APPLIED", "RECEIVED"]
    assert len(stage.lines("refused_by_broker")) == 1


def test_answers_that_nobody_hears_are_kept_until_somebody_listens(stage, schedule):
    stage.at(-5, lambda: stage.cloud.send(schedule(50, 50)))
    stage.at(10, lambda: stage.broker.drop("cloud", refuse=True))
    stage.at(20, lambda: (stage.broker.stop(), stage.broker.start(forget=True)))
    stage.at(45, lambda: stage.broker.admit("cloud"))
    stage.play(until=61)
    assert [result.slot_start.minute for result in stage.cloud.results()] == [0, 30]
    assert stage.store.outbox_size() == 0
    assert [len(stage.lines(event)) for event in ("nobody_listens", "somebody_listens")] == [1, 1]
