"""Instants as integers, exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from allye_cloud.tables import from_micros, micros


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the strategy adds the zone
def test_an_instant_comes_back_to_the_microsecond(instant: datetime) -> None:
    assert from_micros(micros(instant)) == instant
    assert from_micros(micros(instant)).tzinfo is UTC


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    there = datetime(2018, 7, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    assert micros(there) == micros(datetime(2018, 7, 1, tzinfo=UTC))
