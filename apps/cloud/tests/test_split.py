import itertools
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_cloud.split import split

START = datetime(2018, 10, 27, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("slots", "lengths"),
    [(0, []), (1, [1]), (44, [44]), (46, [46]), (48, [48]), (49, [25, 24]), (50, [25, 25]), (97, [33, 32, 32])],
)
def test_a_plan_becomes_as_few_and_as_even_pieces_as_fit(slots: int, lengths: list[int]) -> None:
    assert [len(piece.watts) for piece in split(START, range(slots))] == lengths


@given(watts=st.lists(st.integers(-10_000_000, 10_000_000), max_size=120), max_slots=st.integers(1, 48))
def test_pieces_hold_every_setpoint_once_in_order_and_without_a_gap(watts: list[int], max_slots: int) -> None:
    pieces = split(START, watts, max_slots=max_slots)

    assert [setpoint for piece in pieces for setpoint in piece.watts] == watts
    assert all(1 <= len(piece.watts) <= max_slots for piece in pieces)
    assert all(piece.end - piece.start == len(piece.watts) * timedelta(minutes=30) for piece in pieces)
    assert [piece.start for piece in pieces[:1]] == [START] * bool(watts)
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(pieces))


def test_a_start_with_another_offset_becomes_utc() -> None:
    local = datetime(2018, 10, 28, 0, tzinfo=timezone(timedelta(hours=1)))

    (piece,) = split(local, [1000])

    assert piece.start == START
    assert piece.start.tzinfo is UTC


@pytest.mark.parametrize("start", [datetime(2018, 1, 1), datetime(2018, 1, 1, 0, 15, tzinfo=UTC)])  # noqa: DTZ001
def test_a_start_off_the_half_hours_is_refused(start: datetime) -> None:
    with pytest.raises(ValueError, match="starts on a UTC half-hour"):
        split(start, [0])
