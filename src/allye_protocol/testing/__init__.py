"""A test kit: what a service or a firmware is tested against, without a network, a thread or a sleep.

- :class:`~allye_protocol.testing.world.World`: a clock, a broker and a trace, and who takes part.
- :class:`~allye_protocol.testing.device.FakeDevice` and :class:`~allye_protocol.testing.cloud.FakeCloud`: the real sessions.
- :class:`~allye_protocol.testing.third_party.ThirdPartyDevice`: a version-1 device that has nothing of this library.
- :class:`~allye_protocol.testing.battery.Battery`: a perfect battery until a test cripples it.
- :class:`~allye_protocol.transport.faults.Faults`, :class:`~allye_protocol.transport.faults.Way`: what goes wrong.

As pytest fixtures: ``allye_world``, ``allye_device``, ``allye_cloud``, ``allye_broker``, ``allye_clock`` and ``allye_seed``.
"""

from __future__ import annotations

from allye_protocol.testing.battery import Battery
from allye_protocol.testing.clock import VirtualClock
from allye_protocol.testing.cloud import FakeCloud
from allye_protocol.testing.device import FakeDevice
from allye_protocol.testing.third_party import ThirdPartyDevice
from allye_protocol.testing.trace import Entry, Trace
from allye_protocol.testing.world import Actor, World
from allye_protocol.transport.faults import Faults, Incident, Passage, Way

__all__ = [
    "Actor",
    "Battery",
    "Entry",
    "FakeCloud",
    "FakeDevice",
    "Faults",
    "Incident",
    "Passage",
    "ThirdPartyDevice",
    "Trace",
    "VirtualClock",
    "Way",
    "World",
]
