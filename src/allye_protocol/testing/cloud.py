"""A cloud in a world: a real session over a real store in memory."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from allye_protocol.delivery import OPEN, Delivery, State
from allye_protocol.errors import TransportError
from allye_protocol.ids import device_id as checked_device_id
from allye_protocol.ids import schedule_id as checked_schedule_id
from allye_protocol.messages import Schedule
from allye_protocol.messages.v2 import DEFAULT_RESOLUTION_S
from allye_protocol.session import CloudConfig, CloudSession
from allye_protocol.store.cloud import MemoryCloudStore
from allye_protocol.transport.base import Disconnected, Published, Received, TransportEvent
from allye_protocol.transport.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_protocol.events import CloudEvent
    from allye_protocol.messages import ExecutionResult
    from allye_protocol.testing.world import World

__all__ = ["FakeCloud"]

_LIMIT: Final = 20


class FakeCloud:
    """A cloud, from its start on.

    :param world: where it lives.
    :param client_id: its name at the broker.
    :param config: how its session works; without it the defaults, with the world's root.
    """

    def __init__(self, world: World, client_id: str = "cloud", *, config: CloudConfig | None = None) -> None:
        self.world: Final = world
        self.client_id: Final = client_id
        self.config: Final = config or CloudConfig(root=world.root)
        self.store: Final = MemoryCloudStore()
        self.events: list[CloudEvent] = []
        """Everything that the session told, over all restarts."""
        self._names: Final = count(1)
        self._under_way: dict[int, str] = {}
        self._on = False
        world.add(self)
        self.start()

    # What a test does with it

    def plan(
        self,
        device_id: str,
        rates_w: Sequence[int | None],
        *,
        start: datetime | None = None,
        schedule_id: str | None = None,
        **members: Any,
    ) -> Schedule:
        """Make a schedule and have it delivered.

        :param device_id: for which device.
        :param rates_w: one setpoint a slot, W, positive charges; ``None`` for no setpoint.
        :param start: the first instant; without it the beginning of the next slot.
        :param schedule_id: its name; without it ``plan-1`` and so on.
        :param members: further members of :class:`~allye_protocol.messages.Schedule`, such as ``resolution_s``.
        :returns: the schedule.
        :raises EncodeError, RefusalError: as :meth:`allye_protocol.session.CloudSession.submit`.
        """
        now = self.world.now
        resolution = timedelta(seconds=members.get("resolution_s", DEFAULT_RESOLUTION_S))
        schedule = Schedule(
            schedule_id=checked_schedule_id(schedule_id or f"plan-{next(self._names)}"),
            device_id=checked_device_id(device_id),
            version=2,
            sequence=self.session.sequence_for(device_id, now),
            generated_at=now,
            start=start or _next_on_grid(now, resolution),
            rates_w=tuple(rates_w),
            **members,
        )
        self.session.submit(schedule, now)
        return schedule

    def cancel(self, device_id: str, **members: Any) -> Delivery:
        """Have a cancel delivered; parameters and errors as for :meth:`allye_protocol.session.CloudSession.cancel`."""
        return self.session.cancel(device_id, self.world.now, **members)

    def state_of(self, schedule_id: str) -> State:
        """How far the delivery of a schedule has come.

        :raises KeyError: it was never submitted.
        """
        delivery = self.store.delivery(schedule_id)
        if delivery is None:
            raise KeyError(schedule_id)
        return delivery.state

    def results(self, device_id: str) -> list[ExecutionResult]:
        """The results that it has of a device, in order of the slots."""
        return sorted(
            (result for result in self.store.results if result.device_id == device_id), key=lambda result: result.slot_start
        )

    def start(self) -> None:
        """Start it; what its store kept is there again. Nothing happens when it runs."""
        if self._on:
            return
        random = self.world.random
        self.session = CloudSession(self.store, random_bytes=random.randbytes, uniform=random.uniform, config=self.config)
        self.transport = MemoryTransport(self.world.broker, self.client_id, receive_maximum=1_000)
        self.transport.open(self.session.subscriptions)
        self._under_way.clear()
        self._on = True

    def stop(self) -> None:
        """Kill it."""
        self._on = False
        self.world.broker.drop(self.client_id)
        self.transport.close()

    def restart(self) -> None:
        """Kill it and start it again."""
        self.stop()
        self.start()

    # What a world asks

    @property
    def quiet(self) -> bool:
        """Whether every delivery is settled, and none is under way."""
        return not self._on or not (self._under_way or any(delivery.state in OPEN for delivery in self.store.deliveries))

    def next_deadline(self, now: datetime) -> datetime | None:  # noqa: ARG002 - the session knows it without
        """When there is something to do next."""
        if not self._on:
            return None
        return self.session.next_deadline(can_send=self.transport.connected and self.session.under_way < _LIMIT)

    def step(self, now: datetime) -> bool:
        """Do what can be done now."""
        if not self._on:
            return False
        events = self.transport.wait(0)
        for event in events:
            self._hear(event, now)
        deadline = self.next_deadline(now)
        if not events and (deadline is None or deadline > now):
            return False
        self.events += self.session.tick(now)
        for dispatch in self.session.frames_to_send(now, _LIMIT) if self.transport.connected else []:
            with suppress(TransportError):  # the connection has just ended, which is told next
                self._under_way[self.transport.publish(dispatch.frame)] = dispatch.delivery_id
        return True

    def _hear(self, event: TransportEvent, now: datetime) -> None:
        match event:
            case Received():
                self.events += self.session.receive(event.frame, now)
                self.transport.acknowledge(event)
            case Published(token=token) if token in self._under_way:
                name = self._under_way.pop(token)
                if event.accepted and not event.unheard:
                    self.session.sent(name)
                else:
                    self.session.not_sent(name, now)
            case Disconnected():
                self.session.disconnected(now)
                self._under_way.clear()
            case _:
                pass


def _next_on_grid(now: datetime, resolution: timedelta) -> datetime:
    """The first instant after ``now`` at which a slot may begin."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + resolution * ((now - midnight) // resolution + 1)
