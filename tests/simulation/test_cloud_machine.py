"""A cloud under everything at once, over its store in memory."""

from __future__ import annotations

from hypothesis import settings

from tests.simulation.cloud_machine import MemoryCloud

TestMemoryCloud = MemoryCloud.TestCase
TestMemoryCloud.settings = settings(max_examples=60, stateful_step_count=40)
