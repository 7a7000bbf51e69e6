"""A status is said when there is something to say, and not more often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from allye_device.config import StatusConfig
from allye_device.presence import Presence, Seen, seen
from allye_max300 import State
from allye_max300.simulator import open_simulator
from allye_protocol.messages import BatteryState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SEEN = Seen(50_000, 50.0, BatteryState.CHARGING, "plan-a", clock_trusted=True)


class Session:
    """What a status is asked of: the device's session, as far as it matters here."""

    def __init__(self, *, speaks=True):
        self.speaks = speaks

    def status(self, now, *, online=True, **seen):
        return (now, online, seen.get("power_w")) if self.speaks else None


class Post:
    def __init__(self):
        self.frames = []
        self.open = True

    def publish(self, frame):
        self.frames.append(frame)
        return 1 if self.open else None


@pytest.fixture
def post():
    return Post()


def presence(post, **session):
    return Presence(Session(**session), post, StatusConfig(least_interval_s=10, most_interval_s=300), 150_000)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_the_first_one_of_a_connection_is_due_at_once(post):
    on = presence(post)
    on.tell(NOW, SEEN)
    on.tell(NOW, SEEN)
    on.forget()
    on.tell(NOW, SEEN)
    assert len(post.frames) == 2


@pytest.mark.parametrize(
    ("change", "is_said"),
    [
        ({}, False),
        ({"power_w": 47_001}, False),
        ({"power_w": 47_000}, True),
        ({"power_w": None}, True),
        ({"soc_pct": 50.9}, False),
        ({"soc_pct": 49.0}, True),
        ({"state": BatteryState.READY}, True),
        ({"schedule_id": None}, True),
        ({"clock_trusted": False}, True),
    ],
)
def test_a_change_is_said_after_the_least_interval(post, change, is_said):
    on = presence(post)
    on.tell(NOW, SEEN)
    on.tell(after(9), SEEN._replace(**change))
    assert len(post.frames) == 1
    on.tell(after(10), SEEN._replace(**change))
    assert (len(post.frames) == 2) is is_said


def test_nothing_new_is_said_every_few_minutes(post):
    on = presence(post)
    for seconds in range(0, 901, 20):
        on.tell(after(seconds), SEEN)
    assert [frame[0] for frame in post.frames] == [after(seconds) for seconds in (0, 300, 600, 900)]


def test_a_clock_that_was_set_back_silences_nobody(post):
    on = presence(post)
    on.tell(NOW, SEEN)
    on.tell(after(-3600), SEEN)
    assert len(post.frames) == 2


def test_what_could_not_be_published_is_tried_again(post):
    on = presence(post)
    post.open = False
    on.tell(NOW, SEEN)
    on.tell(NOW, SEEN)
    assert len(post.frames) == 2


def test_who_goes_says_so_as_the_broker_would(post):
    on = presence(post)
    on.renew_will(NOW)
    assert on.last_will == (NOW, False, None)
    on.leave(after(5))
    assert post.frames == [(after(5), False, None)]


def test_a_device_without_a_status_says_none(post):
    on = presence(post, speaks=False)
    on.renew_will(NOW)
    on.tell(NOW, SEEN)
    on.leave(NOW)
    assert (post.frames, on.last_will) == ([], None)


def test_the_states_of_a_battery_are_those_of_the_protocol():
    assert {state.value for state in State} == {state.value for state in BatteryState}


def test_what_no_battery_has_is_not_told():
    telemetry = open_simulator({}, lambda: NOW).read()
    assert seen(telemetry, None, clock_trusted=True)[:3] == (round(telemetry.power_w), 50.0, BatteryState.READY)
    for wrong in (float("nan"), float("inf"), 1e9):
        broken = replace(telemetry, power_w=wrong, soc_pct=wrong)
        assert seen(broken, None, clock_trusted=True)[:2] == (None, None)
    assert seen(None, "plan-a", clock_trusted=False) == Seen(None, None, BatteryState.COMMS_LOST, "plan-a", clock_trusted=False)
