"""A device under everything at once: loss, repetition, disorder, restarts, kills, a failing store and a clock that is set."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.store import MemoryStore
from allye_protocol.store.sqlite import SqliteStore
from tests.builders import NOON, SLOT, frame_of, schedule
from tests.simulation.device_world import World

if TYPE_CHECKING:
    from allye_protocol.store import DeviceStore

GENERATED = NOON - timedelta(hours=1)
SCHEDULES = {
    made.schedule_id: made
    for made in (
        schedule("plan-a", rates_w=(1_000, 2_000, 3_000, 4_000), generated_at=GENERATED),
        schedule("plan-b", start=NOON + SLOT, rates_w=(10_000, 20_000), generated_at=GENERATED + timedelta(minutes=1)),
        schedule("plan-c", start=NOON - 2 * SLOT, rates_w=(-100_000,) * 4, generated_at=GENERATED + timedelta(minutes=2)),
        schedule("plan-d", start=NOON + 2 * SLOT, rates_w=(0,) * 5, generated_at=GENERATED + timedelta(minutes=3)),
        schedule("beyond", rates_w=(1_000, 151_000), generated_at=GENERATED + timedelta(minutes=4)),
        schedule("too-far", start=NOON - SLOT + timedelta(days=8, minutes=30), generated_at=GENERATED),
        schedule("from-the-future", generated_at=NOON - SLOT + timedelta(minutes=6), rates_w=(7_000, 7_000)),
    )
}
FRAMES = [
    *map(frame_of, SCHEDULES.values()),
    frame_of(schedule("plan-a", rates_w=(5_000,), generated_at=GENERATED + timedelta(minutes=5))),
    frame_of(schedule("plan-b", start=NOON + SLOT, rates_w=(10_000, 20_000), generated_at=GENERATED + timedelta(minutes=9))),
    frame_of(schedule("plan-e", device="another-device")),
    msgspec.structs.replace(frame_of(schedule("plan-f")), topic="devices/another-device/schedule"),
    msgspec.structs.replace(frame_of(schedule("plan-g")), payload=b'{"schedule_id": "plan-a", "version": 2, "rates_w": []}'),
]
BUSY = Problem(code=ErrorCode.DEVICE_BUSY, message="in use")
STEEP = Problem(code=ErrorCode.LIMIT_RAMP, message="too steep")

failing = st.none() | st.integers(1, 12)
powers = st.sampled_from([0.0, 100_000.0, -100_000.0, 1e9])


class MemoryDevice(RuleBasedStateMachine):
    """Any order of everything that can happen, over a store in memory that survives its sessions."""

    def open_store(self) -> DeviceStore:
        return self.kept

    @initialize()
    def begin(self) -> None:
        self.stack = ExitStack()
        self.kept = MemoryStore()
        self.device = World(self.open_store)

    def teardown(self) -> None:
        if hasattr(self, "device"):
            try:
                self.device.finish()
            finally:
                self.stack.close()

    @rule(frame=st.sampled_from(FRAMES), fails_in=failing, kill=st.booleans())
    def receive(self, frame: object, fails_in: int | None, kill: bool) -> None:
        self.device.attempt(lambda: self.device.receive(frame), fails_in, kill=kill)  # type: ignore[arg-type]

    @rule(frames=st.lists(st.sampled_from(FRAMES[:4]), min_size=1, max_size=6))
    def receive_many(self, frames: list[object]) -> None:
        for frame in frames:
            self.device.receive(frame)  # type: ignore[arg-type]

    @precondition(lambda self: hasattr(self, "device") and self.device.pending)
    @rule(data=st.data(), problem=st.sampled_from([None, None, None, BUSY, STEEP]), fails_in=failing, kill=st.booleans())
    def settle(self, data: st.DataObject, problem: Problem | None, fails_in: int | None, kill: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.device.pending)))
        self.device.attempt(lambda: self.device.settle(name, problem), fails_in, kill=kill)

    @rule(power=st.none() | powers, fails_in=failing, kill=st.booleans())
    def tick(self, power: float | None, fails_in: int | None, kill: bool) -> None:
        self.device.attempt(lambda: self.device.tick(power), fails_in, kill=kill)

    @rule(minutes=st.integers(0, 45), power=powers)
    def pass_time(self, minutes: int, power: float) -> None:
        self.device.advance(timedelta(minutes=minutes), power)
        self.device.tick(power)

    @rule(hours=st.sampled_from([-1, 1]))
    def set_the_clock(self, hours: int) -> None:
        self.device.advance(timedelta(hours=hours), 0.0)

    @rule(trusted=st.booleans())
    def trust_the_clock(self, trusted: bool) -> None:
        self.device.trusted = trusted

    @rule(
        limit=st.integers(1, 5),
        outcomes=st.lists(st.sampled_from(["taken", "taken", "refused", "lost", "gone"]), min_size=5, max_size=5),
        fails_in=failing,
        kill=st.booleans(),
    )
    def pump(self, limit: int, outcomes: list[str], fails_in: int | None, kill: bool) -> None:
        self.device.attempt(lambda: self.device.pump(limit, outcomes.__getitem__), fails_in, kill=kill)

    @rule()
    def restart(self) -> None:
        self.device.restart()

    @invariant()
    def every_promise_holds(self) -> None:
        if hasattr(self, "device"):
            self.device.check()


class SqliteDevice(MemoryDevice):
    """The same over a file that is closed and opened again."""

    file: SqliteStore | None = None

    def open_store(self) -> DeviceStore:
        if self.file is None:
            self.path = Path(self.stack.enter_context(tempfile.TemporaryDirectory())) / "device.db"
        else:
            self.file.close()
        self.file = SqliteStore(self.path)
        return self.file

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if self.file is not None:
                self.file.close()


TestMemoryDevice = MemoryDevice.TestCase
TestMemoryDevice.settings = settings(max_examples=200, stateful_step_count=40)
TestSqliteDevice = SqliteDevice.TestCase
TestSqliteDevice.settings = settings(max_examples=30, stateful_step_count=30)
