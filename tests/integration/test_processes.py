"""Two days (50 and 48 half-hours) over mosquitto, with every app in its own process, and each of them killed in the middle.

The days are played once; the tests then read what the databases, the batteries and the logs say. A longer or larger play is
made by the environment: ``PLAY_DEVICES``, ``PLAY_ROUNDS`` (how often every kind of fault is made), ``PLAY_SPEED``
and ``PLAY_PRICES`` (a CSV of local half-hours); ``pytest -s`` shows its figures.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from allye_cloud.days import half_hours
from allye_demo.broker import BrokerKind
from allye_protocol.convert import decode
from allye_protocol.delivery import STORED_CONTENT_TYPE
from allye_protocol.errors import ErrorCode
from allye_protocol.messages import Kind
from allye_protocol.store.base import EntryState
from tests.integration.brokers import running_broker
from tests.integration.processes import DEADLINE_S, HALF_HOUR, POWER_W, ZONE, Device, Outage, World, instant, write_prices

LONG, PLAIN = date(2018, 10, 28), date(2018, 10, 29)
DAYS: Final = {day: half_hours(day, ZoneInfo(ZONE)) for day in (LONG, PLAIN)}
DEVICES: Final = int(os.environ.get("PLAY_DEVICES", "4"))
ROUNDS: Final = int(os.environ.get("PLAY_ROUNDS", "1"))
SPEED: Final = float(os.environ.get("PLAY_SPEED", "3600"))
LEAD_S: Final = 8.0 + 0.5 * DEVICES
"""Real time from the start of the clock to the first half-hour, s: for the kills on the way to it."""
KEEPS_EVERYTHING: Final = ("autosave_interval 1", "autosave_on_changes true")
"""As operations.md wants it: what a broker has acknowledged and loses when it is killed, nobody has any more."""
LOW_PCT, HIGH_PCT = 5.1, 99.9
"""Just inside the band that the devices are configured with."""
ROUNDING_WH: Final = 0.25
"""A result is whole watts over half an hour."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The two days, played to their end, with every process ended by SIGTERM."""
    folder = tmp_path_factory.mktemp("processes")
    first, last = DAYS[LONG][0], DAYS[PLAIN][-1]
    prices = Path(os.environ["PLAY_PRICES"]) if "PLAY_PRICES" in os.environ else folder / "prices.csv"
    if prices.parent == folder:
        write_prices(prices, first, last + HALF_HOUR)
    with running_broker(BrokerKind.MOSQUITTO, persistence=True, settings=KEEPS_EVERYTHING) as broker:
        played = World(folder, broker, [f"max300-{number:04d}" for number in range(1, DEVICES + 1)], prices, SPEED)
        try:
            _play(played)
        finally:
            played.close()
    print(f"\n{json.dumps(_figures(played), indent=1)}")
    return played


def _play(world: World) -> None:
    for day in DAYS:
        world.carry_out("plan", "--day", day.isoformat(), "--no-yardsticks")
    world.start_clock(DAYS[LONG][0] - timedelta(seconds=LEAD_S * SPEED))
    _deliver_the_first_day(world)
    victims = cycle(world.devices[1:])
    _one_fault_of_each_kind(world, next(victims))
    _publish_the_second_day(world, next(victims))
    for _ in range(ROUNDS - 1):
        _one_fault_of_each_kind(world, next(victims))
    expected = DEVICES * sum(map(len, DAYS.values()))
    day_s = (DAYS[PLAIN][-1] + HALF_HOUR - world.now).total_seconds() / SPEED
    world.until(f"{expected} results", lambda: world.result_count() == expected, day_s + DEADLINE_S)
    for process in [*world.devices, world.cloud]:
        process.terminate()


def _deliver_the_first_day(world: World) -> None:
    """The cloud is killed twice while it delivers, and a device between RECEIVED and APPLIED."""
    hesitant, *others = world.devices
    early, late = others[: len(others) // 2], others[len(others) // 2 :]
    hesitant.gate.touch()
    for device in [hesitant, *early]:
        device.start()
    world.until("the first devices", lambda: all(device.lines("connected") for device in [hesitant, *early]))
    world.carry_out("publish", "--day", LONG.isoformat())
    world.cloud.start()
    _kill_in_mid_publish(world, LONG, {"SENT"})
    world.cloud.start()
    _kill_in_mid_publish(world, LONG, {"SENT", "APPLIED"})
    world.until("a schedule that waits for its battery", hesitant.unsettled)
    hesitant.kill()
    assert [entry.state for entry in hesitant.unsettled()] == [EntryState.ADMITTED]
    hesitant.gate.unlink()
    for device in [hesitant, *late]:
        device.start()
    world.cloud.start()
    _until_applied(world, LONG)


def _publish_the_second_day(world: World, absent: Device) -> None:
    """While a device is dead, both processes that send are killed in the middle of it."""
    _kill_in_mid_slot(world, absent)
    publish = world.begin("publish", "--day", PLAIN.isoformat(), "--wait")
    _until_mid_publish(world, PLAIN, {"SENT", "APPLIED"})
    publish.kill()
    world.cloud.kill()
    world.cloud.start()
    _back(world, absent)
    _until_applied(world, PLAIN)


def _one_fault_of_each_kind(world: World, victim: Device) -> None:
    # A device that is there again at once, and the cloud while results come in.
    _kill_in_mid_slot(world, victim)
    _back(world, victim)
    _until_a_result_is_on_its_way(world)
    world.cloud.kill()
    world.cloud.start()
    _until_connected(world)
    # A broker that is killed, while results come in.
    _until_caught_up(world)
    _until_a_result_is_on_its_way(world)
    world.broker.kill()
    world.broker_kills += 1
    world.broker.start()
    _until_caught_up(world)
    # A broker that has forgotten everything, and nobody listens to the devices when they are connected again: the cloud comes
    # back after them. It holds nothing at that moment that a device believes to be delivered.
    reported = world.reported()
    world.broker.kill()
    world.broker_kills += 1
    world.cloud.kill()
    (world.broker._config.parent / "mosquitto.db").unlink()
    seen = {device.name: len(device.lines("connected")) for device in world.devices}
    world.broker.start()
    world.until("the devices back", lambda: all(len(device.lines("connected")) > seen[device.name] for device in world.devices))
    world.until("results that nobody takes", lambda: world.reported() >= reported + 2 * DEVICES)
    world.cloud.start()
    _until_caught_up(world)
    # A device that is away for more than a slot.
    _kill_in_mid_slot(world, victim)
    gone = victim.outages_begun[-1]
    world.until("the next slot but one", lambda: world.now > gone + 2 * HALF_HOUR)
    _back(world, victim)
    # A broker that keeps for the dead cloud what the devices have handed over, over its own restart.
    world.cloud.kill()
    behind = world.result_count()
    world.until("results at the broker", lambda: world.reported() > behind and not any(d.outbox() for d in world.devices))
    world.broker.stop()
    world.broker_stops += 1
    world.broker.start()
    world.cloud.start()
    _until_caught_up(world)


def _kill_in_mid_publish(world: World, day: date, seen: set[str]) -> None:
    _until_mid_publish(world, day, seen)
    world.cloud.kill()


def _until_mid_publish(world: World, day: date, seen: set[str]) -> None:
    def holds() -> bool:
        states = set(world.states(day).values())
        return seen <= states and states != {"APPLIED"}

    world.until(f"{sorted(seen)} among the schedules of {day}", holds)


def _until_applied(world: World, day: date) -> None:
    world.until(f"APPLIED everywhere on {day}", lambda: set(world.states(day).values()) == {"APPLIED"})


def _kill_in_mid_slot(world: World, device: Device) -> None:
    slot = world.until(f"{device.name} in mid-slot, under power", device.in_mid_slot)
    device.kill()
    # It may have gone on to the next slot since it was looked at.
    running = device.running()
    device.outages_begun.append(slot.start if running is None else max(slot.start, running.start))


def _back(world: World, device: Device) -> None:
    device.start()
    first = world.until(f"{device.name} at work again", lambda: device.lines("slot_started", device.lives))[0]
    device.outages.append(Outage(device.outages_begun[-1], datetime.fromisoformat(first["timestamp"])))


def _until_a_result_is_on_its_way(world: World) -> None:
    world.until("a result between device and cloud", lambda: world.reported() > world.result_count())


def _until_connected(world: World) -> None:
    world.until("the cloud at the broker", lambda: world.cloud.lines("connected", world.cloud.lives))


def _until_caught_up(world: World) -> None:
    """What the devices have reported has reached the cloud."""
    world.until("every reported result in the cloud", lambda: world.result_count() >= world.reported())


def _figures(world: World) -> dict[str, object]:
    repeated = sum(len(device.lines("schedule_repeated")) for device in world.devices)
    attempts = world.rows("SELECT sum(attempts) FROM delivery")[0][0]
    failed = Counter(result.code for result in world.results().values() if result.status == "FAIL")
    return {
        "devices": DEVICES,
        "kills": {
            "cloud": world.cloud.kills + sum(command.kills for command in world.commands),
            "device": sum(device.kills for device in world.devices),
            "broker": world.broker_kills,
        },
        "broker stops": world.broker_stops,
        "schedules": dict(Counter(world.states().values())),
        "deliveries": attempts,
        "deliveries that a device knew already": repeated,
        "slots": DEVICES * sum(map(len, DAYS.values())),
        "results": len(world.results()),
        "failed": dict(failed),
    }


def test_every_schedule_is_applied(world: World) -> None:
    assert set(world.states().values()) == {"APPLIED"}
    assert Counter(state for day in DAYS for state in world.states(day).values()) == {"APPLIED": 3 * DEVICES}


def test_every_slot_has_one_result_of_the_schedule_that_planned_it(world: World) -> None:
    query = "SELECT schedule_id, device_id, payload FROM delivery JOIN content USING (delivery_id)"
    planned = {
        (device, schedule.start + index * HALF_HOUR): name
        for name, device, payload in world.rows(query)
        for schedule in [decode(payload, Kind.SCHEDULE, STORED_CONTENT_TYPE)]
        for index in range(len(schedule.rates_w))
    }
    assert set(planned) == {(device.name, start) for device in world.devices for starts in DAYS.values() for start in starts}
    assert {slot: result.schedule_id for slot, result in world.results().items()} == planned


def test_nothing_is_applied_twice(world: World) -> None:
    answers = Counter(name for (name,) in world.rows("SELECT schedule_id FROM ack WHERE status = 'APPLIED'"))
    assert answers == dict.fromkeys(world.states(), 1)
    for device in world.devices:
        applied = Counter(line["schedule_id"] for line in device.lines("schedule_applied"))
        of_this_device = [name for name in world.states() if name.startswith(device.name)]
        assert applied == dict.fromkeys(of_this_device, 1)
        assert {device.entry(name).state for name in of_this_device} <= {EntryState.APPLIED, EntryState.OVER}


def test_schedules_were_delivered_more_often_than_they_were_applied(world: World) -> None:
    assert sum(len(device.lines("schedule_repeated")) for device in world.devices) > 0


def test_a_schedule_that_was_being_applied_when_its_device_was_killed_is_taken_up_again(world: World) -> None:
    hesitant = world.devices[0]
    admitted = [line for line in hesitant.lines("schedule_admitted") if line["attempt"] == 2]
    assert len(admitted) == 1
    assert hesitant.lines("schedule_applied", 1) == []
    assert hesitant.lines("schedule_applied", 2)[0]["schedule_id"] == admitted[0]["schedule_id"]


def test_the_cloud_has_of_every_slot_what_the_device_has(world: World) -> None:
    """As far as a device that was killed had come to write it down: its log is behind its store."""
    results = world.results()
    slots = sum(map(len, DAYS.values()))
    for device in world.devices:
        told = {datetime.fromisoformat(line["start"]): line for line in device.lines("slot_ended")}
        assert slots - device.kills <= len(told) <= slots == device.reported()
        for start, line in told.items():
            result = results[device.name, start]
            assert (result.status, result.actual_w, result.code) == (line["status"], line["actual_w"], line.get("code", ""))
            assert result.schedule_id == line["schedule_id"]


def test_no_result_is_taken_in_twice(world: World) -> None:
    taken = Counter((line["device_id"], line["slot"]) for line in world.cloud.lines("result_received"))
    assert max(taken.values()) == 1


def test_the_results_of_a_device_that_was_not_killed_in_mid_slot_are_what_its_battery_counted(world: World) -> None:
    unharmed = [device for device in world.devices if not device.outages]
    assert unharmed
    for device in unharmed:
        reported_wh = sum(result.actual_w / 2 for (name, _), result in world.results().items() if name == device.name)
        assert reported_wh == pytest.approx(device.net_wh(), abs=ROUNDING_WH * device.reported())


def test_a_slot_fails_only_where_its_device_was_dead_or_did_not_know_of_it_and_says_so(world: World) -> None:
    applied_at = {name: instant(at) for name, at in world.rows("SELECT schedule_id, applied_at FROM ack WHERE applied_at > 0")}
    outages = {device.name: device.outages for device in world.devices}
    untrue = []
    for (device, start), result in world.results().items():
        if result.status == "SUCCEED":
            continue
        applied = applied_at[result.schedule_id]
        known_late = [Outage(start - HALF_HOUR, applied)] if applied > start else []
        if result.code == ErrorCode.EXEC_LIMITED_SOC and result.soc_pct is not None and not LOW_PCT < result.soc_pct < HIGH_PCT:
            continue  # what was missed before has taken the battery to the end of its band
        if not any(_is_true(result.code, start, outage) for outage in known_late + outages[device]):
            untrue.append((device, start.isoformat(), result.code))
    assert untrue == []


def _is_true(code: str, start: datetime, outage: Outage) -> bool:
    """Whether an outage makes a slot fail with this code."""
    end = start + HALF_HOUR
    match code:
        case ErrorCode.EXEC_MISSED:
            return outage.running < start and end <= outage.back
        case ErrorCode.EXEC_LATE_START:
            return outage.running < start < outage.back
        case ErrorCode.EXEC_NO_DATA:
            return outage.running == start
        case _:
            return False


def test_no_setpoint_is_beyond_the_devices_limit(world: World) -> None:
    for device in world.devices:
        ordered = [line["setpoint_w"] or 0 for line in device.lines("slot_started")]
        assert max(map(abs, ordered)) <= POWER_W
    assert max(abs(result.actual_w) for result in world.results().values()) <= POWER_W


def test_nothing_is_left_to_send_and_everyone_ends_with_0(world: World) -> None:
    assert [device.outbox() for device in world.devices] == [0] * DEVICES
    assert [process.exit_codes for process in [*world.devices, world.cloud]] == [[0]] * (DEVICES + 1)


def test_the_faults_were_made(world: World) -> None:
    assert world.cloud.kills == 3 + 3 * ROUNDS
    assert (world.broker_kills, world.broker_stops) == (2 * ROUNDS, ROUNDS)
    assert any(device.lines("nobody_listens") for device in world.devices)
    assert [device.kills > 0 for device in world.devices[:3]] == [True] * min(3, DEVICES)
