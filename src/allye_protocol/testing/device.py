"""A device in a world: a real session, a real store in memory, and a battery that a test can cripple."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from allye_protocol.admission import Policy
from allye_protocol.codec import ENCODINGS
from allye_protocol.errors import TransportError
from allye_protocol.events import DefaultControl, DeviceEvent, ScheduleAdmitted, SlotStarted
from allye_protocol.ids import device_id as checked_id
from allye_protocol.messages import VERSIONS, Capabilities, Hello
from allye_protocol.session import DeviceConfig, DeviceSession
from allye_protocol.store import MemoryStore
from allye_protocol.testing.battery import Battery
from allye_protocol.transport.base import Connected, Disconnected, Published, Received, TransportEvent
from allye_protocol.transport.memory_transport import MemoryTransport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from allye_protocol.frame import Frame
    from allye_protocol.testing.world import World

__all__ = ["FakeDevice"]


class FakeDevice:
    """A device, from its boot on.

    Its attributes and its battery's may be changed at any time.

    :param world: where it lives.
    :param device_id: its id.
    :param versions: the versions that it speaks.
    :param content_types: the encodings that it speaks, the preferred one first; without it all that are installed.
    :param says_hello: whether it announces what it speaks. One that does not is spoken to in version 1, JSON.
    :param power_w: what it charges and discharges at most, W.
    :param policy: what it admits; without it the defaults, with ``power_w``.
    :param battery: the battery; without it a perfect one.
    :param read_every: how often it reads the battery besides the beginnings and ends of slots; ``None`` for never.
    """

    def __init__(
        self,
        world: World,
        device_id: str,
        *,
        versions: Sequence[int] = VERSIONS,
        content_types: Sequence[str] | None = None,
        says_hello: bool = True,
        power_w: int = 150_000,
        policy: Policy | None = None,
        battery: Battery | None = None,
        read_every: timedelta | None = None,
    ) -> None:
        self.world: Final = world
        self.device_id: Final = checked_id(device_id)
        self.versions = tuple(versions)
        self.content_types = tuple(content_types or ENCODINGS)
        self.says_hello = says_hello
        self.power_w: Final = power_w
        self.policy: Final = policy or Policy(max_charge_w=power_w, max_discharge_w=power_w)
        self.battery: Final = battery or Battery()
        self.read_every = read_every
        self.clock_error: timedelta = timedelta(0)
        """How far the device's clock is ahead of the world's."""
        self.clock_trusted: bool = True
        """Whether the device trusts its clock."""
        self.store = MemoryStore()
        self.events: list[DeviceEvent] = []
        """Everything that the session told, over all restarts."""
        self._arming: list[tuple[datetime, str]] = []
        self._under_way: dict[int, int] = {}
        self._read_at: datetime | None = None
        self._told: tuple[timedelta, bool] | None = None
        self._due_at: datetime | None = None
        self._on = False
        world.add(self)
        self.start()

    # What a test does to it

    def start(self) -> None:
        """Switch it on; what its store kept is there again. Nothing happens when it is on."""
        if self._on:
            return
        config = DeviceConfig(hello=self._hello(), policy=self.policy, root=self.world.root, hold=self.battery.hold)
        session = self.session = DeviceSession(config, self.store, random_bytes=self.world.random.randbytes)
        self.transport = MemoryTransport(
            self.world.broker,
            self.device_id,
            will=lambda: session.status(self.now, online=False) if self.says_hello else None,
        )
        self.transport.open(self.session.subscriptions)
        self._on, self._read_at, self._told = True, None, None
        self._arming.clear()
        self._under_way.clear()
        self._handle(self.session.resume(self.now))

    def stop(self) -> None:
        """Cut its power: the broker publishes its last will, and the battery goes on until its setpoint runs out."""
        self._on = False
        self.world.broker.drop(self.device_id)
        self.transport.close()

    def restart(self, *, forget: bool = False) -> None:
        """Cut its power and switch it on again.

        :param forget: with an empty store, as after a factory reset.
        """
        self.stop()
        if forget:
            self.store = MemoryStore()
        self.start()

    def upgrade(self, versions: Sequence[int], content_types: Sequence[str], *, says_hello: bool = True) -> None:
        """Give it another firmware, which restarts it with the same store.

        :param versions: what it speaks from then on; ``content_types``: the encodings.
        """
        self.versions, self.content_types, self.says_hello = tuple(versions), tuple(content_types), says_hello
        self.restart()

    # What a world asks

    @property
    def now(self) -> datetime:
        """The device's time."""
        return self.world.now + self.clock_error

    @property
    def running(self) -> bool:
        """Whether it is switched on."""
        return self._on

    @property
    def quiet(self) -> bool:
        """Whether the broker has everything that it said, and the battery is armed for everything that it took."""
        return not self._on or not (self._arming or self._under_way or self.store.outbox_size())

    def next_deadline(self, now: datetime) -> datetime | None:
        """When there is something to do next, in the world's time."""
        if not self._on:
            return None
        instants = [self.session.next_deadline(now + self.clock_error), *(due for due, _ in self._arming)]
        if self.read_every is not None and self._read_at is not None:
            instants.append(self._read_at + self.read_every)
        self._due_at = min((instant for instant in instants if instant is not None), default=None)
        return None if self._due_at is None else self._due_at - self.clock_error

    def step(self, now: datetime) -> bool:
        """Do what can be done now."""
        if not self._on:
            return False
        now = self.now
        events, clock = self.transport.wait(0), (self.clock_error, self.clock_trusted)
        if not events and clock == self._told and (self._due_at is None or now < self._due_at):
            return False
        for event in events:
            self._hear(event, now)
        for name in [name for due, name in self._arming if due <= now]:
            self._arming = [one for one in self._arming if one[1] != name]
            self._arm(name, now)
        self._told, self._read_at = clock, now
        self._handle(self.session.tick(now, self.battery.read(now), clock_trusted=self.clock_trusted))
        for number, frame in self.session.frames_to_send(now) if self.transport.connected else []:
            with suppress(TransportError):  # the connection has just ended, which is told next
                self._under_way[self.transport.publish(frame)] = number
        return True

    # Inside

    def _hear(self, event: TransportEvent, now: datetime) -> None:
        match event:
            case Received():
                self._handle(self.session.receive(event.frame, now, clock_trusted=self.clock_trusted))
                self.transport.acknowledge(event)
            case Published(token=token) if token in self._under_way:
                number = self._under_way.pop(token)
                if event.accepted and not event.unheard:
                    self.session.sent(number)
                else:
                    self.session.not_sent(number, now)
            case Connected() if self.says_hello:
                self._announce(self.session.hello(), self._status(now))
            case Disconnected():
                self.session.disconnected()
                self._under_way.clear()
            case _:
                pass

    def _announce(self, *frames: Frame | None) -> None:
        for frame in frames:
            if frame is not None:
                with suppress(TransportError):  # it is announced on the next connection
                    self.transport.publish(frame)

    def _status(self, now: datetime) -> Frame | None:
        return self.session.status(now, power_w=self.battery.setpoint_w, soc_pct=round(self.battery.soc_pct, 3))

    def _handle(self, events: Iterable[DeviceEvent]) -> None:
        for event in events:
            self.events.append(event)
            match event:
                case ScheduleAdmitted():
                    self._arming.append((self.now + self.battery.arming, event.schedule.schedule_id))
                case SlotStarted():
                    self.battery.order(event.setpoint_w or 0, self.now)
                case DefaultControl():
                    self.battery.order(0, self.now)
                case _:
                    pass

    def _arm(self, name: str, now: datetime) -> None:
        refusal = self.battery.refusal
        self._handle(self.session.failed(name, refusal, now) if refusal else self.session.applied(name, now))

    def _hello(self) -> Hello:
        return Hello(
            device_id=self.device_id,
            versions=self.versions,
            content_types=self.content_types,
            model="fake",
            firmware="1",
            library="allye_protocol.testing",
            capabilities=Capabilities(
                max_charge_w=self.policy.max_charge_w,
                max_discharge_w=self.policy.max_discharge_w,
                capacity_wh=round(self.battery.capacity_wh),
                power_step_w=1,
                soc_min_pct=self.policy.soc_min_pct,
                soc_max_pct=self.policy.soc_max_pct,
                slot_lengths_s=self.policy.slot_lengths_s,
            ),
        )
