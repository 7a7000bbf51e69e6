from datetime import UTC, datetime, timedelta

import pytest

from allye_max300.simulator import SimulatorDriver, open_simulator


class VirtualClock:
    """An instant that only the test moves."""

    def __init__(self) -> None:
        self.now = datetime(2024, 3, 31, 0, 30, 7, 123456, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Bench:
    """A clock and any number of batteries that follow it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()

    def open(self, **options: object) -> SimulatorDriver:
        return open_simulator(options, self.clock)

    def wait(self, seconds: float) -> None:
        self.clock.wait(seconds)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def new_bench() -> type[Bench]:
    """For laws, which need a bench of their own for every example."""
    return Bench
