"""The way between the in-process broker and one client, for as long as one connection lasts.

1. Everything goes through one queue by time, and by order of sending where the times are equal; so a run is the same whenever
   its seed, its calls and their times are.
2. Without faults everything arrives during the call that sends it.
3. A direction is shut by a partition, which may end, or by a lost packet, after which nothing passes for good. What reaches a
   partition waits; it arrives when the partition ends, and is lost when the connection ends first.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from functools import partial
from itertools import count
from random import Random
from typing import TYPE_CHECKING

from allye_protocol.transport.faults import Faults, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Link", "Network"]

_GRAIN_S = 1e-6
"""Instants that are closer than this are one: virtual clocks count whole microseconds."""


class Network:
    """What is on its way, and the chance that decides what happens to it.

    :param now: the time, s.
    :param seed: of everything that is left to chance.
    """

    def __init__(self, now: Callable[[], float], seed: int) -> None:
        self.now = now
        self.faults = Faults()
        self.faults_of: dict[str, Faults] = {}
        self._random = Random(seed)  # noqa: S311 - chance that can be repeated, not a secret
        self._under_way: list[tuple[float, int, Link, Callable[[], None]]] = []
        self._order = count()
        self._running = False

    def between(self, client_id: str) -> Faults:
        """What goes wrong for a client."""
        return self.faults_of.get(client_id, self.faults)

    def happens(self, share: float) -> bool:
        """Whether something that happens in a share of all cases happens now."""
        return share > 0 and self._random.random() < share

    def up_to(self, longest_s: float) -> float:
        """A time between 0 and ``longest_s``, s."""
        return self._random.uniform(0, longest_s) if longest_s > 0 else 0.0

    def at(self, instant: float, link: Link, act: Callable[[], None]) -> None:
        """Let something happen to a link at an instant, s; nothing does when it is over by then."""
        heapq.heappush(self._under_way, (instant, next(self._order), link, act))

    def next_at(self) -> float | None:
        """When the next thing happens, s; ``None`` when nothing is under way."""
        while self._under_way and not self._under_way[0][2].alive:
            heapq.heappop(self._under_way)
        return self._under_way[0][0] if self._under_way else None

    def run_due(self) -> None:
        """Let everything happen whose time has come."""
        if self._running:
            return
        self._running = True
        try:
            while self._under_way and self._under_way[0][0] < self.now() + _GRAIN_S:
                _, _, link, act = heapq.heappop(self._under_way)
                if link.alive:
                    act()
        finally:
            self._running = False


class Link:
    """One connection.

    :param network: what it is part of.
    :param client_id: whose it is.
    :param give_up: called when both ends have noticed that nothing passes.
    """

    def __init__(self, network: Network, client_id: str, give_up: Callable[[], None]) -> None:
        self.client_id = client_id
        self._network = network
        self._give_up = give_up
        self.alive = True
        self._partitioned: set[Way] = set()
        self._broken: set[Way] = set()
        self._held: defaultdict[Way, list[Callable[[], None]]] = defaultdict(list)
        self._last: defaultdict[Way, float] = defaultdict(float)
        self._gives_up_at: float | None = None

    def send(self, way: Way, arrive: Callable[[], None], *, later_s: float = 0.0) -> bool:
        """Send one packet.

        :param way: where to.
        :param arrive: called when it is there; it may never be.
        :param later_s: how much longer at most than another packet it takes, s.
        :returns: ``False`` when it was lost just now.
        """
        network, faults = self._network, self._network.between(self.client_id)
        if way in self._broken:  # behind the packet that was lost
            return True
        if network.happens(faults.loss):
            self._broken.add(way)
            self._watch_for_silence()
            return False
        at = network.now() + network.up_to(faults.delay_s) + network.up_to(later_s)
        if network.happens(faults.reorder):
            at += network.up_to(faults.hold_s)
        else:
            at = self._last[way] = max(at, self._last[way])
        network.at(at, self, partial(self._arrived, way, arrive))
        network.run_due()
        return True

    def partition(self, ways: Iterable[Way]) -> None:
        """Let nothing pass in some directions."""
        self._partitioned.update(ways)
        self._watch_for_silence()

    def heal(self) -> None:
        """End the partition: what waited for it arrives."""
        self._partitioned.clear()
        if not self._broken:
            self._gives_up_at = None
        for way in Way:
            for arrive in self._held.pop(way, ()):
                self._network.at(self._network.now(), self, partial(self._arrived, way, arrive))
        self._network.run_due()

    def close(self) -> None:
        """The connection is over, and what was on its way with it."""
        self.alive = False
        self._held.clear()

    def _arrived(self, way: Way, arrive: Callable[[], None]) -> None:
        if way in self._partitioned:
            self._held[way].append(arrive)
        elif way not in self._broken:
            arrive()

    def _watch_for_silence(self) -> None:
        if self._gives_up_at is not None:
            return
        instant = self._gives_up_at = self._network.now() + self._network.between(self.client_id).patience_s

        def look() -> None:
            if self._gives_up_at == instant:
                self._give_up()

        self._network.at(instant, self, look)
