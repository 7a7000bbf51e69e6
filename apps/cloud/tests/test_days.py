import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_cloud.days import HALF_HOUR, half_hours, is_half_hour, local_day, zone_named
from allye_cloud.errors import DayError

ZONES = [
    "Europe/London",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "UTC",
]


@pytest.mark.parametrize(
    ("zone", "day", "slots"),
    [
        pytest.param("Europe/London", date(2018, 3, 25), 46, id="London, clocks go forward"),
        pytest.param("Europe/London", date(2018, 7, 1), 48, id="London, summer"),
        pytest.param("Europe/London", date(2018, 10, 28), 50, id="London, clocks go back"),
        pytest.param("Australia/Lord_Howe", date(2018, 10, 7), 47, id="Lord Howe, half an hour forward"),
        pytest.param("Australia/Lord_Howe", date(2018, 4, 1), 49, id="Lord Howe, half an hour back"),
        pytest.param("Antarctica/Troll", date(2018, 3, 25), 44, id="Troll, two hours forward"),
        pytest.param("Antarctica/Troll", date(2018, 10, 28), 52, id="Troll, two hours back"),
        pytest.param("America/Sao_Paulo", date(2018, 11, 4), 46, id="Sao Paulo, midnight is skipped"),
        pytest.param("America/Toronto", date(1919, 3, 31), 47, id="Toronto, 23:30 to 00:30 is skipped"),
        pytest.param("Pacific/Apia", date(2011, 12, 29), 48, id="Apia, the day before the one left out"),
        pytest.param("Pacific/Apia", date(2011, 12, 31), 48, id="Apia, the day after the one left out"),
        pytest.param("Asia/Kathmandu", date(2018, 3, 25), 48, id="Kathmandu, midnight is not on a half-hour"),
    ],
)
def test_a_local_day_has_its_own_number_of_half_hours(zone: str, day: date, slots: int) -> None:
    starts = half_hours(day, zone_named(zone))

    assert len(starts) == slots
    assert all(is_half_hour(start) for start in starts)
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {HALF_HOUR}


def test_a_day_that_its_zone_left_out_is_an_error_that_names_it() -> None:
    with pytest.raises(DayError, match="2011-12-30 does not exist in Pacific/Apia"):
        local_day(date(2011, 12, 30), zone_named("Pacific/Apia"))


def test_where_midnight_is_skipped_the_day_begins_at_the_change() -> None:
    start, _ = local_day(date(2018, 11, 4), zone_named("America/Sao_Paulo"))

    assert start == datetime(2018, 11, 4, 3, tzinfo=UTC)


def test_in_kathmandu_the_first_slot_begins_a_quarter_into_the_day() -> None:
    day, zone = date(2018, 3, 25), zone_named("Asia/Kathmandu")

    assert local_day(day, zone)[0] == datetime(2018, 3, 24, 18, 15, tzinfo=UTC)
    assert half_hours(day, zone)[0] == datetime(2018, 3, 24, 18, 30, tzinfo=UTC)


@given(zone=st.sampled_from(ZONES), day=st.dates(date(1975, 1, 1), date(2035, 12, 31)))
def test_days_follow_each_other_without_gap_or_overlap(zone: str, day: date) -> None:
    if zone == "Pacific/Apia" and date(2011, 12, 29) <= day <= date(2011, 12, 30):
        return
    today, tomorrow = (half_hours(day + timedelta(days=i), zone_named(zone)) for i in (0, 1))

    assert tomorrow[0] - today[-1] == HALF_HOUR
    assert local_day(day, zone_named(zone))[1] == local_day(day + timedelta(days=1), zone_named(zone))[0]


@pytest.mark.parametrize("name", ["Europe/Nowhere", "Europe", "../etc/passwd", "", "/etc/localtime"])
def test_a_name_that_is_not_a_zone_is_an_error_that_shows_it(name: str) -> None:
    with pytest.raises(DayError, match="is not a time zone") as caught:
        zone_named(name)

    assert repr(name) in str(caught.value)
