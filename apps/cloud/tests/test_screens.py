"""What people see: nothing of a table is left out, and a terminal of 80 columns is enough for a usual one."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from allye_cloud.screens import plans_table, slots_table, status_screen
from allye_cloud.status import day_status, slot_lines
from allye_protocol.delivery import State
from apps.cloud.tests.world import DAY, REFUSAL, World

if TYPE_CHECKING:
    from rich.console import RenderableType

    from allye_cloud.database import Database

DEVICE = "max300-0001"
AWAY = "max300-0002"


def shown(screen: list[RenderableType], columns: int) -> str:
    output = io.StringIO()
    Console(file=output, width=columns, color_system=None).print(*screen, sep="\n")
    return output.getvalue()


@pytest.fixture
def played(sqlite_database: Database) -> World:
    """A day on which one device took its plan, one refused it, and one was never there."""
    world = World(sqlite_database, [DEVICE, "refuses", AWAY])
    world.peers["refuses"].refuses = REFUSAL
    world.submit(world.plan())
    world.peers.pop(AWAY)
    world.connect()
    world.serve(lambda: {State.APPLIED, State.DEAD} <= set(world.states().values()))
    return world


def test_the_status_of_a_fleet_fits_80_columns(played: World) -> None:
    text = shown(status_screen(day_status(played.database, played.books, DAY, played.hand.shown)), 80)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for word in (DEVICE, AWAY, "online", "APPLIED", "DEAD", "0/48", "schedules", "reported", "planned", "limit.power"):
        assert word in words


def test_plans_and_slots_fit_80_columns(played: World) -> None:
    plan, *others = played.books.plans(DAY)
    slots = slots_table(plan, slot_lines(played.database, played.books, DAY, plan.device_id))
    text = shown([plans_table([plan, *others]), slots], 80)
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for word in (DEVICE, "discharged", f"{plan.margin_gbp:.2f}", f"{plan.cycles:.2f}", "actual", "result"):
        assert word in words


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_what_is_too_wide_is_broken_and_not_cut(played: World, columns: int) -> None:
    screen = status_screen(day_status(played.database, played.books, DAY, played.hand.shown))
    narrow, wide = (Counter(shown(screen, width)) for width in (columns, 400))
    for layout in " \n\u2500":
        del narrow[layout], wide[layout]
    assert narrow == wide
