"""A version-1 device as somebody else writes it: JSON in, JSON out, and nothing of this library but the way to the broker."""

from __future__ import annotations

import json
from collections import deque
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from allye_protocol.errors import TransportError
from allye_protocol.frame import Frame
from allye_protocol.transport.base import Disconnected, Published, Received
from allye_protocol.transport.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from allye_protocol.testing.world import World

__all__ = ["ThirdPartyDevice"]

_MAX_IN_FLIGHT: Final = 20


class _Slot(NamedTuple):
    start: datetime
    end: datetime
    schedule_id: str
    rate_kw: float


class ThirdPartyDevice:
    """A device that says no hello, knows no other version, and keeps everything in memory.

    It takes every schedule that is newer than those before it, executes it exactly, and reports each slot once.

    :param world: where it lives.
    :param device_id: its id.
    """

    def __init__(self, world: World, device_id: str) -> None:
        self.device_id: Final = device_id
        self._prefix: Final = f"{world.root}/{device_id}/"
        self._answers: dict[str, list[dict[str, Any]]] = {}
        self._newest: datetime | None = None
        self._plan: dict[datetime, _Slot] = {}
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._in_flight: dict[int, tuple[str, bytes]] = {}
        self.transport: Final = MemoryTransport(world.broker, device_id)
        self.transport.open([f"{self._prefix}schedule"])
        world.add(self)

    @property
    def plan(self) -> dict[datetime, float]:
        """What it is going to execute, kW by the start of the slot."""
        return {slot.start: slot.rate_kw for slot in self._plan.values()}

    @property
    def quiet(self) -> bool:
        """Whether the broker has everything that it said."""
        return not self._outbox and not self._in_flight

    def next_deadline(self, now: datetime) -> datetime | None:  # noqa: ARG002 - what is due was done
        """When the next slot ends."""
        return min((slot.end for slot in self._plan.values()), default=None)

    def step(self, now: datetime) -> bool:
        """Do what can be done now."""
        events = self.transport.wait(0)
        for event in events:
            match event:
                case Received():
                    self._take(event.frame, now)
                    self.transport.acknowledge(event)
                case Published(token=token):
                    self._in_flight.pop(token, None)
                case Disconnected():
                    self._outbox.extendleft(reversed(self._in_flight.values()))
                    self._in_flight.clear()
                case _:
                    pass
        over = [slot for slot in self._plan.values() if slot.end <= now]
        for slot in over:
            del self._plan[slot.start]
            self._report(slot, now)
        while self._outbox and self.transport.connected and len(self._in_flight) < _MAX_IN_FLIGHT:
            channel, payload = self._outbox[0]
            with suppress(TransportError):  # the connection has just ended, which is told next
                token = self.transport.publish(Frame(topic=self._prefix + channel, payload=payload))
                self._in_flight[token] = self._outbox.popleft()
        return bool(events or over)

    def _take(self, frame: Frame, now: datetime) -> None:
        schedule = json.loads(frame.payload)
        name, generated_at = schedule["schedule_id"], datetime.fromisoformat(schedule["generated_at"])
        if name not in self._answers:
            if self._newest is not None and generated_at <= self._newest:
                self._answers[name] = [self._answer(schedule, "FAILED", now, error_reason="older than the plan in force")]
            else:
                self._newest = generated_at
                self._answers[name] = [
                    self._answer(schedule, "RECEIVED", now),
                    self._answer(schedule, "APPLIED", now, applied_at=_text(now)),
                ]
                self._put(schedule, now)
        for answer in self._answers[name]:
            self._say("ack", answer)

    def _put(self, schedule: dict[str, Any], now: datetime) -> None:
        for interval in schedule["intervals"]:
            start, end = datetime.fromisoformat(interval["start"]), datetime.fromisoformat(interval["end"])
            if end > now:
                self._plan[start] = _Slot(start, end, schedule["schedule_id"], interval["rate_kw"])

    def _report(self, slot: _Slot, now: datetime) -> None:
        result = {
            "schedule_id": slot.schedule_id,
            "device_id": self.device_id,
            "interval": {"start": _text(slot.start), "end": _text(slot.end)},
            "status": "SUCCEED",
            "actual_rate_kw": slot.rate_kw,
            "timestamp": _text(now),
        }
        self._say("execution", result)

    def _answer(self, schedule: dict[str, Any], status: str, now: datetime, **members: str) -> dict[str, Any]:
        name = schedule["schedule_id"]
        return {"schedule_id": name, "device_id": self.device_id, "status": status, "timestamp": _text(now), **members}

    def _say(self, channel: str, message: dict[str, Any]) -> None:
        self._outbox.append((channel, json.dumps(message).encode()))


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
