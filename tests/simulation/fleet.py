"""A cloud and a mixed fleet over a faulty link for a day, and a checker that reads the trace and the cloud's store alone."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from allye_protocol.codec import ENCODINGS
from allye_protocol.delivery import OPEN, RetryPolicy, State
from allye_protocol.errors import RefusalError
from allye_protocol.messages import Ack, AckStatus
from allye_protocol.testing import FakeCloud, FakeDevice, Faults, ThirdPartyDevice, Way, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from allye_protocol.messages import ExecutionResult, Schedule

__all__ = ["DAY", "ENCODINGS_OF_VERSION_2", "TWO_RETRIES", "Fleet"]

CELL = timedelta(minutes=15)
"""The grid on which plans are compared: the shortest slot that is planned here."""
SLOT = timedelta(minutes=30)
DAY = timedelta(days=1)
TWO_RETRIES = 2 * RetryPolicy().cap
JSON = "application/json"
ENCODINGS_OF_VERSION_2 = tuple(ENCODINGS)
POWERS_W = (-100_000, -33_500, 0, 12_000, 75_000, 150_000)


class Fleet:
    """A day of a world in which everything goes wrong that can be mended.

    :param seed: of the faults, of what is planned and of what else happens.
    :param forgetful: the broker loses its memory when it is restarted. Results that it had acknowledged are then gone, and only
        they.
    """

    def __init__(self, seed: int, *, forgetful: bool = False) -> None:
        self.forgetful = forgetful
        self.random = Random(seed)
        self.world = World(seed=seed)
        self.cloud = FakeCloud(self.world)
        world = self.world
        self.devices: dict[str, FakeDevice] = {
            device.device_id: device
            for device in (
                FakeDevice(world, "v1-silent", versions=(1,), content_types=(JSON,), says_hello=False),
                FakeDevice(world, "v1-hello", versions=(1,), content_types=(JSON,)),
                *(
                    FakeDevice(
                        world, f"v2-{name.rpartition('.')[2].rpartition('/')[2]}", versions=(1, 2), content_types=(name,)
                    )
                    for name in ENCODINGS_OF_VERSION_2
                    if name != JSON
                ),
                FakeDevice(world, "v2-json", versions=(2,), content_types=(JSON,)),
            )
        }
        self.foreign = ThirdPartyDevice(world, "foreign")
        self.names = [*self.devices, self.foreign.device_id]
        self.schedules: dict[str, list[Schedule]] = {name: [] for name in self.names}
        self.cancelled: dict[str, datetime] = {}

    # The day

    def play(self) -> None:
        """Faults from the beginning to the end of the day, then none; errors when it does not come to rest in time."""
        self.world.settle()  # the hellos: who says one is spoken to in what it names from the first message on
        self.set_faults()
        end = self.world.now + DAY
        while True:
            pause = timedelta(seconds=self.random.expovariate(1 / 1_500))
            if self.world.now + pause >= end:
                break
            self.world.run_for(pause)
            self.random.choices(self.happenings, self.weights)[0]()
        self.world.run_until(end)
        self.stop_faults()

    def stop_faults(self) -> None:
        """Everything works again, everybody gets one plan more, and all comes to rest within two retry periods."""
        for name in self.names:
            self.plan(name)
        self.cancel()
        self.world.end_faults()
        for device in self.devices.values():
            device.start()
        self.ended_at = self.world.now
        self.world.settle(within=TWO_RETRIES)
        self.at_rest_at = self.world.now

    def finish(self) -> None:
        """Let every slot pass that was planned."""
        last = max(schedule.end for schedules in self.schedules.values() for schedule in schedules)
        self.world.run_until(last + SLOT)

    def set_faults(self) -> None:
        """What is lost after its acknowledgement cannot be had again from a device, so the broker drops nothing of theirs."""
        random = self.random

        def faults(drop: float) -> Faults:
            return Faults(
                loss=random.choice((0, 0.01, 0.05)),
                duplicate=random.choice((0, 0.1)),
                reorder=random.choice((0, 0.2)),
                hold_s=random.choice((5, 120)),
                delay_s=random.choice((0, 0.5, 20)),
                ack_delay_s=random.choice((0, 5)),
                drop=drop,
            )

        self.world.broker.set_faults(faults(0))
        for name in self.names:
            self.world.broker.set_faults(faults(random.choice((0, 0.2))), name)

    def plan(self, name: str | None = None) -> None:
        """A plan of up to a day, that may have begun; version 2 gets slots of any length, and some without a setpoint."""
        random, now = self.random, self.world.now
        name = name or random.choice(self.names)
        rich = name.startswith("v2")
        resolution = timedelta(seconds=random.choice((900, 1800, 3600))) if rich else SLOT
        powers = (*POWERS_W, None) if rich else POWERS_W
        rates = [random.choice(powers) for _ in range(random.randint(1, DAY // resolution))]
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        start = midnight + resolution * ((now - midnight) // resolution + random.choice((0, 1, 1, 2, 10)))
        seconds = int(resolution.total_seconds())
        self.schedules[name].append(self.cloud.plan(name, rates, start=start, resolution_s=seconds))

    def cancel(self) -> None:
        """One of the last plans of a device that knows cancels is taken back, unless nothing is left of it."""
        name = self.random.choice([name for name in self.names if name.startswith("v2")])
        if self.schedules[name]:
            schedule = self.random.choice(self.schedules[name][-3:])
            with suppress(RefusalError):
                self.cloud.cancel(name, schedule_id=schedule.schedule_id)
                self.cancelled.setdefault(schedule.schedule_id, self.world.now)

    def partition(self) -> None:
        name = self.random.choice([*self.names, self.cloud.client_id])
        self.world.broker.partition(name, *self.random.choice(((), (Way.TO_BROKER,), (Way.TO_CLIENT,))))

    def heal(self) -> None:
        self.world.broker.heal()

    def restart_device(self) -> None:
        self.random.choice(list(self.devices.values())).restart()

    def switch_device(self) -> None:
        device = self.random.choice(list(self.devices.values()))
        (device.stop if device.running else device.start)()

    def restart_broker(self) -> None:
        self.world.broker.restart(keep_sessions=not self.forgetful, keep_retained=self.random.random() < 0.5)

    def restart_cloud(self) -> None:
        self.cloud.restart()

    @property
    def happenings(self) -> list[Callable[[], None]]:
        return [
            self.plan,
            self.cancel,
            self.partition,
            self.heal,
            self.restart_device,
            self.switch_device,
            self.restart_broker,
            self.restart_cloud,
            self.set_faults,
        ]

    weights = (10, 2, 4, 6, 3, 2, 1, 1, 2)

    # What must hold

    def check(self) -> None:
        """Every promise, from what went over the wire and what the cloud has."""
        assert not [one for one in self.cloud.store.deliveries if one.state in OPEN]
        answers: dict[str, list[Ack]] = {}
        for ack in self.world.trace.messages(Ack):
            answers.setdefault(ack.schedule_id, []).append(ack)
        self.applied = {
            name: min(ack.timestamp for ack in acks if ack.status is AckStatus.APPLIED)
            for name, acks in answers.items()
            if any(ack.status is AckStatus.APPLIED for ack in acks)
        }
        for name in self.names:
            self._check_answers(name, answers)
            self._check_results(name)
            self._check_plan(name)

    def _check_answers(self, name: str, answers: dict[str, list[Ack]]) -> None:
        """A schedule is applied once, however often that is said, and the cloud believes what was said."""
        for schedule in self.schedules[name]:
            said = [ack for ack in answers.get(schedule.schedule_id, []) if ack.status is AckStatus.APPLIED]
            assert len({ack.timestamp for ack in said}) <= 1, f"{schedule.schedule_id} was applied twice"
            state = self.cloud.state_of(schedule.schedule_id)
            assert (state is not State.APPLIED) or said
            assert (state is not State.CANCELLED) or schedule.schedule_id in self.cancelled
            assert state is not State.DEAD, f"{schedule.schedule_id}: {self.cloud.store.delivery(schedule.schedule_id)}"
            assert (state is not State.EXPIRED) or schedule.end <= self.at_rest_at
            newer = [other for other in self.schedules[name] if other.sequence > schedule.sequence]
            assert (state is not State.SUPERSEDED) or any(other.end >= schedule.end for other in newer)

    def _check_results(self, name: str) -> None:
        """Whatever was in the plan has one result, and the cloud has it."""
        reported, kept = self.world.results(name), self.cloud.results(name)
        told, known = set(map(_figures, reported)), set(map(_figures, kept))
        assert known <= told
        assert self.forgetful or known == told, f"the cloud lacks results of {name}"
        covered = _cells(reported)
        for schedule in self.schedules[name]:
            applied_at = self.applied.get(schedule.schedule_id)
            lacking = [
                cell
                for cell in _grid(schedule.start, schedule.end)
                if applied_at is not None and cell >= applied_at and cell not in covered and not self._taken_back(name, cell)
            ]
            assert not lacking, f"{name} has not reported {lacking} of {schedule.schedule_id}"

    def _taken_back(self, name: str, cell: datetime) -> bool:
        """Whether a cancel may have left nothing to do at an instant."""
        return any(
            schedule.schedule_id in self.cancelled and schedule.start <= cell < schedule.end
            for schedule in self.schedules[name]
        )

    def _check_plan(self, name: str) -> None:
        """Once all is at rest, what is executed is the schedule with the highest sequence that covers an instant."""
        since = self.at_rest_at + timedelta(hours=1)
        expected: dict[datetime, tuple[str, int] | None] = {}
        for schedule in sorted(self.schedules[name], key=lambda each: each.sequence):
            cancelled = schedule.schedule_id in self.cancelled
            if schedule.schedule_id not in self.applied:
                continue  # expired, superseded or cancelled before it came: the answers were checked
            for cell in _grid(schedule.start, schedule.end):
                rate_w = schedule.rates_w[(cell - schedule.start) // schedule.resolution]
                expected[cell] = None if cancelled else (schedule.schedule_id, rate_w or 0)
        found = _cells(self.cloud.results(name))
        planned = {cell: content for cell, content in expected.items() if cell >= since and content is not None}
        assert {cell: content for cell, content in found.items() if cell >= since} == planned


def _grid(start: datetime, end: datetime) -> list[datetime]:
    return [start + CELL * index for index in range((end - start) // CELL)]


def _cells(results: list[ExecutionResult]) -> dict[datetime, tuple[str, int]]:
    """What was done in each cell; no two results may lie over each other."""
    cells: dict[datetime, tuple[str, int]] = {}
    for result in results:
        for cell in _grid(result.slot_start, result.slot_end):
            assert cell not in cells, f"{result.device_id} reported {cell} twice"
            cells[cell] = (result.schedule_id, result.actual_w)
    return cells


def _figures(result: ExecutionResult) -> tuple[object, ...]:
    return (result.slot_start, result.slot_end, result.schedule_id, result.status, result.actual_w, result.timestamp)
