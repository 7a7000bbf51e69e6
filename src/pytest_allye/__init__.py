"""The pytest plugin of ``allye_protocol.testing``: a simulated world as fixtures, and the seed of a run that failed.

It is a module beside the library, not inside: pytest imports every installed plugin at its start, and the library is to be
loaded by the tests that use it alone.
"""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from allye_protocol.testing import FakeCloud, FakeDevice, VirtualClock, World
    from allye_protocol.transport.memory import MemoryBroker

_SEED = pytest.StashKey[int]()
_WORLD = pytest.StashKey["World"]()
_RANDOM = "random"
_LARGEST = 2**32


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say where the seed can come from."""
    what = "seed of simulated worlds: a number, or 'random' for another one in every test"
    parser.getgroup("allye", "Allye device protocol").addoption("--allye-seed", metavar="SEED", help=what)
    parser.addini("allye_seed", what, default="0")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse a seed that is none."""
    config.addinivalue_line(
        "markers", "allye_seed(seed): the seed of this test's simulated world, whatever the command line says"
    )
    text = _configured(config)
    if text != _RANDOM and not (text.isascii() and text.isdigit()):
        raise pytest.UsageError(f"allye_seed is a number or '{_RANDOM}', not {text!r}")


def _configured(config: pytest.Config) -> str:
    return str(config.getoption("--allye-seed") or config.getini("allye_seed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the seed and the last lines of the trace with a test that failed."""
    report = yield
    if report.failed and _SEED in item.stash:
        seed = item.stash[_SEED]
        lines = [f"seed {seed}; the same again: --allye-seed={seed}"]
        if _WORLD in item.stash:
            lines.append(item.stash[_WORLD].trace.tail())
        report.sections.append(("allye world", "\n".join(lines)))
    return report


@pytest.fixture
def allye_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: of its marker, of the command line, or of the configuration."""
    marker = request.node.get_closest_marker("allye_seed")
    text = str(marker.args[0]) if marker is not None else _configured(request.config)
    seed = SystemRandom().randrange(_LARGEST) if text == _RANDOM else int(text)
    request.node.stash[_SEED] = seed
    return seed


@pytest.fixture
def allye_world(request: pytest.FixtureRequest, allye_seed: int) -> World:
    """A world with nobody in it yet: a clock, a broker and a trace."""
    from allye_protocol.testing import World  # noqa: PLC0415 - not before a test asks for it

    world = request.node.stash[_WORLD] = World(seed=allye_seed)
    return world


@pytest.fixture
def allye_clock(allye_world: World) -> VirtualClock:
    """The world's clock."""
    return allye_world.clock


@pytest.fixture
def allye_broker(allye_world: World) -> MemoryBroker:
    """The world's broker; its faults can be set at any time."""
    return allye_world.broker


@pytest.fixture
def allye_device(allye_world: World) -> Callable[..., FakeDevice]:
    """Makes a device in the world; arguments as for ``FakeDevice``, without the world."""
    from allye_protocol.testing import FakeDevice  # noqa: PLC0415

    def make(device_id: str = "dev-1", **knobs: Any) -> FakeDevice:
        return FakeDevice(allye_world, device_id, **knobs)

    return make


@pytest.fixture
def allye_cloud(allye_world: World) -> FakeCloud:
    """A cloud in the world."""
    from allye_protocol.testing import FakeCloud  # noqa: PLC0415

    return FakeCloud(allye_world)
