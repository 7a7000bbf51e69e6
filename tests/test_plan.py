"""The plan: at every instant it is what the highest sequence there says, in any order, resolution and number."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_protocol.plan import Layer, Plan, covered, free
from allye_protocol.store.base import PlannedSlot, Span
from tests.builders import MICROSECOND, NOON, SLOT, entry, schedule

MINUTE = timedelta(minutes=1)
GRID = timedelta(minutes=5)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def layer(
    sequence: int,
    start: int = 0,
    rates_w: tuple[int | None, ...] = (1,),
    minutes: int = 30,
    *,
    cut: float | None = None,
    **others: Any,
) -> Layer:
    """A layer from so many minutes after noon on, of slots of so many minutes."""
    made = schedule(
        f"plan-{sequence}", start=at(start), rates_w=rates_w, resolution_s=minutes * 60, sequence=sequence, **others
    )
    remembered = entry(made.schedule_id, sequence=sequence, end=made.end, cut=None if cut is None else at(cut))
    return Layer(remembered, made)


def listed(slots: list[PlannedSlot]) -> list[tuple[float, float, int | None]]:
    """Slots as minutes after noon and watts."""
    return [((slot.start - NOON) / MINUTE, (slot.end - NOON) / MINUTE, slot.rate_w) for slot in slots]


def whole(plan: Plan) -> list[tuple[float, float, int | None]]:
    return listed(plan.slots(at(-600), at(6000)))


# What decides.


def test_no_layers_are_an_empty_plan() -> None:
    plan = Plan([])
    assert (plan.at(NOON), plan.next_start(NOON), whole(plan)) == (None, None, [])
    assert plan.unreported((), at(600)) == []


def test_a_slot_is_what_its_schedule_says() -> None:
    made = layer(7, rates_w=(-570,), soc_min_pct=1.0, soc_max_pct=2.0, ramp_w_per_s=3)
    assert Plan([made]).at(NOON) == PlannedSlot(
        start=NOON,
        end=NOON + SLOT,
        schedule_id="plan-7",
        sequence=7,
        traceparent=made.entry.traceparent,
        rate_w=-570,
        since=NOON,
        until=NOON + SLOT,
        soc_min_pct=1.0,
        soc_max_pct=2.0,
        ramp_w_per_s=3,
    )


def test_a_slot_without_a_setpoint_is_a_slot() -> None:
    assert whole(Plan([layer(1, rates_w=(1, None, 3))])) == [(0, 30, 1), (30, 60, None), (60, 90, 3)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_highest_sequence_decides_whatever_the_order(order: tuple[int, ...]) -> None:
    layers = [layer(1, 0, (1, 1, 1, 1)), layer(2, 30, (2, 2)), layer(3, 60, (3, 3, 3))]
    assert whole(Plan(layers[index] for index in order)) == [(0, 30, 1), (30, 60, 2), (60, 90, 3), (90, 120, 3), (120, 150, 3)]


def test_a_plan_of_quarters_over_one_of_half_hours_and_back() -> None:
    quarters = [layer(1, 0, (1, 1)), layer(2, 15, (2, 3), 15)]
    assert whole(Plan(quarters)) == [(0, 15, 1), (15, 30, 2), (30, 45, 3), (45, 60, 1)]
    assert whole(Plan([*quarters, layer(3, 0, (4, 4))])) == [(0, 30, 4), (30, 60, 4)]


def test_the_rest_of_a_slot_on_both_sides_of_another_resolution_are_two_slots_of_one_setpoint() -> None:
    assert whole(Plan([layer(1, 0, (1,), 60), layer(2, 20, (2,), 5)])) == [(0, 20, 1), (20, 25, 2), (25, 60, 1)]


def test_a_slot_is_found_by_every_instant_of_it_and_by_no_other() -> None:
    plan = Plan([layer(1, 0, (1, 2)), layer(2, 90, (3,))])
    for minutes, rate_w in ((0, 1), (29.99, 1), (30, 2), (59.99, 2), (90, 3), (119.99, 3)):
        found = plan.at(at(minutes))
        assert found is not None
        assert found.rate_w == rate_w
    for instant in (NOON - MICROSECOND, at(60), at(90) - MICROSECOND, at(120)):
        assert plan.at(instant) is None


@pytest.mark.parametrize(
    ("after", "expected"), [(-1, 0), (0, 15), (10, 15), (15, 30), (30, 60), (60, 120), (90, 120), (120, None), (500, None)]
)
def test_the_next_beginning_is_strictly_later(after: int, expected: int | None) -> None:
    plan = Plan([layer(1, 0, (1, 1, 1)), layer(2, 15, (2,), 15), layer(3, 120, (3,))])
    assert plan.next_start(at(after)) == (None if expected is None else at(expected))


# What was cancelled.


def test_behind_its_cut_a_layer_is_blank_and_so_is_what_lies_under_it() -> None:
    assert whole(Plan([layer(1, 0, (1, 1, 1, 1)), layer(2, 30, (2, 2), cut=60)])) == [(0, 30, 1), (30, 60, 2), (90, 120, 1)]


def test_a_cut_hides_nothing_that_lies_above_it() -> None:
    assert whole(Plan([layer(2, 0, (2, 2), cut=0), layer(3, 30, (3,))])) == [(30, 60, 3)]


def test_a_slot_that_a_cut_lies_in_stays_one_slot_with_the_default_control_from_there_on() -> None:
    plan = Plan([layer(1, 0, (1, 2, 3), cut=40)])
    assert whole(plan) == [(0, 30, 1), (30, 60, 2)]
    found = plan.at(at(50))
    assert found is not None
    assert (found.until, found.setpoint_w(at(39.99)), found.setpoint_w(at(40))) == (at(40), 2, None)


@pytest.mark.parametrize("cut", [-10, 0])
def test_a_cut_before_the_first_slot_leaves_none(cut: int) -> None:
    plan = Plan([layer(1, 0, (1, 1), cut=cut)])
    assert (whole(plan), plan.next_start(at(-60)), plan.at(at(10))) == ([], None, None)


@pytest.mark.parametrize("cut", [60, 90])
def test_a_cut_at_the_end_or_behind_it_cuts_nothing(cut: int) -> None:
    assert whole(Plan([layer(1, 0, (1, 1), cut=cut)])) == [(0, 30, 1), (30, 60, 1)]


# When it begins.


def test_a_jitter_delays_the_first_setpoint_by_a_share_that_the_ids_give() -> None:
    shares = [(layer(sequence, start_jitter_s=600).begins - NOON).total_seconds() for sequence in range(1, 300)]
    assert all(0 <= share <= 600 and share == int(share) for share in shares)
    assert shares == [(layer(sequence, start_jitter_s=600).begins - NOON).total_seconds() for sequence in range(1, 300)]
    assert min(shares) < 60
    assert max(shares) > 540
    assert 250 < sum(shares) / len(shares) < 350


def test_devices_of_one_fleet_have_different_shares() -> None:
    shares = {layer(1, start_jitter_s=1800, device=f"max300-{number:04}").begins for number in range(50)}
    assert len(shares) > 40


def test_without_a_jitter_a_schedule_begins_with_its_horizon() -> None:
    assert layer(1).begins == NOON


def test_slots_before_a_jitters_share_has_passed_wait_with_the_default_control() -> None:
    layers = (layer(sequence, 0, (1, 2, 3), 5, start_jitter_s=1800) for sequence in range(1, 1000))
    made = next(each for each in layers if at(5) < each.begins < at(10))
    first, second, third = Plan([made]).slots(NOON, at(15))
    assert (first.since, second.since, third.since) == (first.end, made.begins, third.start)
    assert first.setpoint_w(first.start) is None
    assert second.setpoint_w(made.begins) == 2


# What is over.


def test_slots_that_ended_and_were_not_reported_are_listed_in_order() -> None:
    plan = Plan([layer(1, 0, (1, 2, 3)), layer(2, 120, (4,))])
    assert listed(plan.unreported((), at(60) - MICROSECOND)) == [(0, 30, 1)]
    assert listed(plan.unreported((), at(600))) == [(0, 30, 1), (30, 60, 2), (60, 90, 3), (120, 150, 4)]
    assert listed(plan.unreported((Span(at(30), at(60)),), at(600))) == [(0, 30, 1), (60, 90, 3), (120, 150, 4)]
    assert plan.unreported((Span(NOON, at(150)),), at(600)) == []


def test_of_a_slot_that_was_reported_in_part_the_rest_is_left() -> None:
    plan = Plan([layer(1, 0, (1,), 60)])
    assert listed(plan.unreported((Span(at(-30), at(15)), Span(at(30), at(45))), at(60))) == [(15, 30, 1), (45, 60, 1)]


def test_a_layer_lasts_until_it_decides_nothing_any_more() -> None:
    below, above, cut, hidden = layer(1, 0, (1, 1, 1)), layer(2, 60, (2, 2)), layer(3, 150, (3, 3), cut=150), layer(0, 60, (0,))
    plan = Plan([below, above, cut, hidden])
    assert [plan.last_instant(each) for each in (below, above, cut, hidden)] == [at(60), at(120), at(210), None]


# Laws, against the plan as one would look it up minute by minute.

layers_drawn = st.lists(
    st.tuples(
        st.sampled_from([5, 15, 30, 60]),
        st.integers(0, 3),
        st.lists(st.none() | st.integers(-9, 9), min_size=1, max_size=5),
        st.none() | st.integers(-10, 200),
    ),
    max_size=5,
).map(
    lambda drawn: [
        layer(sequence, hour * 60, tuple(rates), minutes, cut=cut)
        for sequence, (minutes, hour, rates, cut) in enumerate(drawn, start=1)
    ]
)


def looked_up(layers: list[Layer], instant: datetime) -> tuple[str, int | None, bool] | None:
    """Whose slot an instant is, its rate, and whether the setpoint counts there."""
    for each in sorted(layers, key=lambda each: -each.entry.sequence):
        made, cut = each.schedule, each.entry.cut
        if made.start <= instant < made.end:
            index = (instant - made.start) // made.resolution
            if cut is not None and cut <= made.start + made.resolution * index:
                return None
            return made.schedule_id, made.rates_w[index], cut is None or instant < cut
    return None


@given(layers_drawn, st.randoms())
def test_at_every_instant_the_highest_layer_there_decides(layers: list[Layer], random: Any) -> None:
    shuffled = list(layers)
    random.shuffle(shuffled)
    plan = Plan(shuffled)
    for minute in range(-5, 500, 5):
        for instant in (at(minute), at(minute + 2.5)):
            found, expected = plan.at(instant), looked_up(layers, instant)
            if expected is None:
                assert found is None
                continue
            assert found is not None
            assert found.start <= instant < found.end
            assert (found.schedule_id, found.rate_w) == expected[:2]
            assert found.setpoint_w(instant) == (found.rate_w if expected[2] else None)


@given(layers_drawn)
def test_slots_never_overlap_and_lie_on_the_five_minute_grid(layers: list[Layer]) -> None:
    slots = Plan(layers).slots(at(-60), at(600))
    for slot in slots:
        assert slot.start < slot.end <= slot.start + timedelta(hours=1)
        assert not (slot.start - NOON) % GRID
        assert not (slot.end - NOON) % GRID
    assert all(before.end <= after.start for before, after in pairwise(slots))


@given(layers_drawn, st.integers(-10, 400))
def test_looking_at_an_instant_looking_ahead_and_listing_agree(layers: list[Layer], minute: int) -> None:
    plan = Plan(layers)
    slots = plan.slots(at(-60), at(600))
    assert plan.at(at(minute)) == next((slot for slot in slots if slot.start <= at(minute) < slot.end), None)
    assert plan.next_start(at(minute)) == next((slot.start for slot in slots if slot.start > at(minute)), None)
    assert plan.unreported((), at(minute)) == [slot for slot in slots if slot.end <= at(minute)]


@given(layers_drawn, st.integers(-10, 400))
def test_taking_out_what_decides_nothing_any_more_changes_nothing_that_follows(layers: list[Layer], minute: int) -> None:
    plan, now = Plan(layers), at(minute)
    left = [each for each in layers if (last := plan.last_instant(each)) is not None and last > now]
    assert Plan(left).slots(now, at(600)) == plan.slots(now, at(600))


# Spans.

spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda drawn: Span(at(drawn[0]), at(drawn[0] + drawn[1])))


def minutes_of(taken: tuple[Span, ...] | list[Span]) -> set[int]:
    return {minute for span in taken for minute in range(60) if span.start <= at(minute) < span.end}


@given(st.lists(spans, max_size=8))
def test_reported_time_is_in_order_and_disjoint_and_joined(added: list[Span]) -> None:
    taken: tuple[Span, ...] = ()
    for span in added:
        taken = covered(taken, span)
    assert minutes_of(taken) == minutes_of(added)
    assert all(before.end < after.start for before, after in pairwise(taken))


@given(st.lists(spans, max_size=5), spans)
def test_what_is_free_of_a_span_is_what_was_not_taken(added: list[Span], span: Span) -> None:
    taken: tuple[Span, ...] = ()
    for each in added:
        taken = covered(taken, each)
    left = free(span, taken)
    assert minutes_of(left) == minutes_of([span]) - minutes_of(taken)
    assert all(before.end <= after.start for before, after in pairwise(left))
