"""Publishing a day: ids that follow from the day, nothing twice, and a new revision for what changed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_cloud.schedules import Outcome, id_for
from allye_protocol.delivery import State, message_of
from allye_protocol.errors import ErrorCode, StoreError
from allye_protocol.ids import is_id
from allye_protocol.messages import Schedule, sequence_at
from allye_protocol.messages.v2 import MAX_SEQUENCE
from apps.cloud.tests.world import DAY, EVENING, REFUSAL, World

if TYPE_CHECKING:
    from allye_cloud.database import Database

OCTOBER = DAY.replace(month=10, day=28)
NAMES = st.text("abcXYZ019_-", min_size=1, max_size=64)


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database, ["a"])


def sent(world: World, name: str) -> Schedule:
    delivery = world.store.delivery(name)
    assert delivery is not None
    schedule = message_of(delivery)
    assert isinstance(schedule, Schedule)
    return schedule


@given(NAMES, st.integers(1, 9999), st.integers(1, 2))
def test_an_id_is_an_id_for_every_device(name: str, revision: int, piece: int) -> None:
    assert is_id(id_for(name, DAY, revision, piece))


@given(st.lists(st.tuples(NAMES, st.dates(), st.integers(1, 99), st.integers(1, 2)), min_size=2, max_size=8, unique=True))
def test_different_pieces_have_different_ids(pieces) -> None:
    assert len({id_for(*piece) for piece in pieces}) == len(pieces)


def test_long_names_that_begin_alike_keep_apart() -> None:
    one, other = ("x" * 63 + end for end in "ab")
    assert id_for(one, DAY, 1, 1) != id_for(other, DAY, 1, 1)
    assert id_for("max300-0001", DAY, 2, 1) == "max300-0001_20180701_r2_p1"


def test_a_schedule_says_what_the_plan_says(world: World) -> None:
    (plan,) = world.plan()
    (done,) = world.submit([plan])
    assert (done.outcome, done.schedule_ids) == (Outcome.SUBMITTED, ("a_20180701_r1_p1",))
    schedule = sent(world, "a_20180701_r1_p1")
    assert (schedule.start, schedule.end, schedule.rates_w) == (plan.start, plan.end, plan.watts)
    assert (schedule.sequence, schedule.generated_at) == (sequence_at(EVENING), EVENING)


def test_publishing_the_same_day_again_changes_nothing(world: World) -> None:
    plans = world.plan()
    world.submit(plans)
    before = world.states(), world.store.last_sequence("a", MAX_SEQUENCE)
    world.hand.shown += timedelta(minutes=5)
    (again,) = world.submit(plans)
    assert (again.outcome, again.schedule_ids) == (Outcome.UNCHANGED, ("a_20180701_r1_p1",))
    assert (world.states(), world.store.last_sequence("a", MAX_SEQUENCE)) == before


def test_a_plan_that_changed_is_a_new_revision_later_in_the_order(world: World) -> None:
    world.submit(world.plan())
    (changed,) = world.submit(world.plan(max_charge_w=100_000))
    assert (changed.outcome, changed.schedule_ids) == (Outcome.SUBMITTED, ("a_20180701_r2_p1",))
    first, second = sent(world, "a_20180701_r1_p1"), sent(world, "a_20180701_r2_p1")
    assert second.sequence > first.sequence
    (back,) = world.submit(world.plan())
    assert back.schedule_ids == ("a_20180701_r3_p1",)
    (again,) = world.submit(world.plan())
    assert (again.outcome, again.schedule_ids) == (Outcome.UNCHANGED, ("a_20180701_r3_p1",))


def test_a_day_of_fifty_half_hours_is_two_schedules_of_one_trace(world: World) -> None:
    (plan,) = world.plan(OCTOBER)
    world.hand.shown = plan.start - timedelta(hours=6)
    (done,) = world.submit([plan])
    first, second = (sent(world, name) for name in done.schedule_ids)
    assert (len(first.rates_w), len(second.rates_w)) == (25, 25)
    assert (first.start, first.end, second.end) == (plan.start, second.start, plan.end)
    assert first.sequence < second.sequence
    assert first.trace_id == second.trace_id


def test_a_piece_that_is_over_is_not_sent_any_more(world: World) -> None:
    (plan,) = world.plan(OCTOBER)
    world.hand.shown = plan.start + timedelta(hours=12, minutes=30)
    (done,) = world.submit([plan])
    assert (done.outcome, done.schedule_ids) == (Outcome.SUBMITTED, ("a_20181028_r1_p2",))
    (again,) = world.submit([plan])
    assert (again.outcome, again.schedule_ids) == (Outcome.UNCHANGED, ("a_20181028_r1_p2",))
    world.hand.shown = plan.end
    (over,) = world.submit([plan])
    assert (over.outcome, over.schedule_ids) == (Outcome.OVER, ())
    assert list(world.states(OCTOBER)) == ["a_20181028_r1_p2"]


def test_a_dead_letter_is_driven_again_only_on_demand_and_as_a_new_schedule(world: World) -> None:
    world.peers["a"].refuses = REFUSAL
    plans = world.plan()
    world.submit(plans)
    world.connect()
    world.serve(world.all_are(State.DEAD))
    (left,) = world.submit(plans)
    assert left.outcome is Outcome.UNCHANGED
    (again,) = world.submit(plans, redrive=True)
    assert again.schedule_ids == ("a_20180701_r2_p1",)
    world.peers["a"].refuses = None
    world.serve(lambda: State.APPLIED in world.states().values())
    (done,) = world.submit(plans, redrive=True)
    assert done.outcome is Outcome.UNCHANGED


def test_a_submission_that_broke_off_is_completed(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allye_cloud.schedules._A_TRANSACTION", 2)
    world = World(sqlite_database, [f"device-{number}" for number in range(5)])
    plans = world.plan()
    working, calls = world.books.put_publications, iter(range(99))

    def failing(rows) -> None:
        if next(calls) == 1:
            raise StoreError(ErrorCode.STORE_FAILED, "disk on fire")
        working(rows)

    monkeypatch.setattr(world.books, "put_publications", failing)
    with pytest.raises(StoreError):
        world.submit(plans)
    assert len(world.states()) == 2
    done = world.submit(plans)
    assert [one.outcome for one in done] == [Outcome.UNCHANGED] * 2 + [Outcome.SUBMITTED] * 3
    assert set(world.states()) == {f"device-{number}_20180701_r1_p1" for number in range(5)}


def test_nothing_planned_is_nothing_submitted(world: World) -> None:
    assert world.submit([]) == []
