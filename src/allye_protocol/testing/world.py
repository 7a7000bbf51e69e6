"""A world in a test: a clock, a broker with faults, devices and a cloud, and a trace of what they said.

1. Nothing happens by itself. :meth:`World.run_until` lets everybody do what can be done now, then moves the clock to the next
   instant at which anything can, until the time is over. Nobody sleeps, and there are no threads.
2. The same seed and the same calls give the same run, to the byte of the trace.
3. Who takes part is an :class:`Actor`: the doubles of this package, or your own service around a
   :class:`~allye_protocol.transport.memory.MemoryTransport`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from allye_protocol import topics
from allye_protocol.messages import Ack, ExecutionResult
from allye_protocol.testing.clock import VirtualClock
from allye_protocol.testing.trace import Trace
from allye_protocol.transport.faults import Faults
from allye_protocol.transport.memory import MemoryBroker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["START", "Actor", "World"]

START: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""When a world begins, unless it is told otherwise."""
_MAX_ROUNDS: Final = 10_000
"""So often may everybody do something at one instant; more is a circle."""


class Actor(Protocol):
    """Somebody who takes part in a world."""

    def step(self, now: datetime) -> bool:
        """Do what can be done now, without waiting; whether there was anything."""
        ...

    def next_deadline(self, now: datetime) -> datetime | None:
        """When there is something to do next, if nothing arrives.

        It is asked when the world begins to go on, and after every step that did something.
        """
        ...

    @property
    def quiet(self) -> bool:
        """Whether everything that was begun is finished, as far as this one knows."""
        ...


A = TypeVar("A", bound=Actor)


class World:
    """A clock, a broker and everybody who talks over it.

    :param seed: of everything that is left to chance.
    :param start: when it begins.
    :param faults: what goes wrong from the beginning on.
    :param root: the topics' root.
    """

    def __init__(
        self, *, seed: int = 0, start: datetime = START, faults: Faults | None = None, root: str = topics.DEFAULT_ROOT
    ) -> None:
        self.seed: Final = seed
        self.root: Final = root
        self.random: Final = Random(seed)  # noqa: S311 - chance that can be repeated, not a secret
        self.clock: Final = VirtualClock(start)
        self.trace: Final = Trace(self.clock.now, root)
        self.broker: Final = MemoryBroker(self.clock.seconds, seed=seed, watch=self.trace.record)
        self.broker.set_faults(faults or Faults())
        self.actors: Final[list[Actor]] = []
        self._deadlines: dict[int, datetime | None] = {}

    @property
    def now(self) -> datetime:
        """The time."""
        return self.clock.now()

    def add(self, actor: A) -> A:
        """Let somebody take part from now on."""
        self.actors.append(actor)
        return actor

    def run_until(self, until: datetime | Callable[[], bool], *, within: timedelta = timedelta(days=1)) -> None:
        """Let the world go on.

        :param until: an instant, or a condition that ends it as soon as it holds.
        :param within: how long to wait for the condition.
        :raises TimeoutError: the condition did not hold in that time; with the last lines of the trace.
        :raises RuntimeError: somebody always has something to do at one instant.
        """
        at_instant = isinstance(until, datetime)
        end = until if isinstance(until, datetime) else self.now + within
        self._deadlines = {id(actor): actor.next_deadline(self.now) for actor in self.actors}
        self._work()
        while at_instant or not until():  # type: ignore[operator]
            instant = self._next_instant()
            if instant is None or instant > end:
                self.clock.advance_to(max(end, self.now))
                self._work()
                if at_instant or until():  # type: ignore[operator]
                    return
                raise TimeoutError(f"not within {within}\n{self.trace.tail()}")
            self.clock.advance_to(max(instant, self.now))
            self._work()

    def run_for(self, time: timedelta) -> None:
        """Let the world go on for a while; errors as for :meth:`run_until`."""
        self.run_until(self.now + time)

    def settle(self, *, within: timedelta = timedelta(hours=1)) -> None:
        """Let the world go on until nothing is on its way and everybody is quiet; errors as for :meth:`run_until`."""
        self.run_until(self.is_quiet, within=within)

    def is_quiet(self) -> bool:
        """Whether nothing is on its way and everybody has finished what was begun."""
        return self.broker.seconds_to_next() is None and all(actor.quiet for actor in self.actors)

    def end_faults(self) -> None:
        """From now on nothing goes wrong. A connection that has lost a packet still ends when its time comes."""
        self.broker.set_faults(Faults())
        self.broker.heal()

    def acks(self, schedule_id: str) -> list[Ack]:
        """What devices answered to a schedule, in the order in which the broker got it, repeated answers too."""
        return [ack for ack in self.trace.messages(Ack) if ack.schedule_id == schedule_id]

    def results(self, device_id: str) -> list[ExecutionResult]:
        """The results that a device reported, in the order in which the broker first got each; repeated ones once."""
        return list(dict.fromkeys(self.trace.messages(ExecutionResult, device_id)))

    def result_of(self, device_id: str, slot_start: datetime) -> ExecutionResult | None:
        """The result that a device reported for a slot.

        :raises AssertionError: it reported two different ones.
        """
        found = [result for result in self.results(device_id) if result.slot_start == slot_start]
        if len(found) > 1:
            raise AssertionError(f"{device_id} reported {len(found)} results for {slot_start.isoformat()}: {found}")
        return found[0] if found else None

    def __repr__(self) -> str:
        return f"<World at {self.now.isoformat()}, seed {self.seed}>\n{self.trace.tail()}"

    def _work(self) -> None:
        """Everybody does what can be done at this instant."""
        for _ in range(_MAX_ROUNDS):
            self.broker.run_due()
            now = self.now
            busy = [actor for actor in self.actors if actor.step(now)]
            self._deadlines.update({id(actor): actor.next_deadline(now) for actor in busy})
            if not busy and self.broker.seconds_to_next() != 0:
                return
        raise RuntimeError(f"at {self.now.isoformat()} somebody always has something to do\n{self.trace.tail()}")

    def _next_instant(self) -> datetime | None:
        now = self.now
        instants = [instant for instant in self._deadlines.values() if instant is not None]
        late_s = self.broker.seconds_to_next()
        if late_s is not None:
            instants.append(now + timedelta(microseconds=math.ceil(late_s * 1e6)))
        return min(instants, default=None)
