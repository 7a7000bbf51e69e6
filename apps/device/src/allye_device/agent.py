"""The loop of a device: wait, receive, execute, answer.

1. One turn is one instant (:mod:`allye_device.timekeeping`). When a deadline is due the battery is read, the session sees the
   reading, and the battery gets the setpoint that holds, all at that instant.
2. A message is acknowledged after the session has stored it. While the store does not work, messages wait here, unacknowledged
   and therefore few, and are handed in again; the battery finishes its slot and is then at 0 W.
3. On every connection the hello comes first, then the status, then the outbox (:mod:`allye_device.post`). The status is said
   again when it changes; the last one is ``online: false``, from the broker when it loses the device.
4. What was refused for now is wanted again as soon as its reason has passed: when time becomes trusted or the battery obeys
   again, the hello is published anew, and the cloud sends at once what it would have repeated later.
5. Whatever ends :meth:`Agent.run`, the battery is told 0 W.
"""

from __future__ import annotations

import os
import time as wall
from collections import deque
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from allye_device.battery import Battery, Order, order_of
from allye_device.hello import hello_of
from allye_device.logs import say
from allye_device.post import Post
from allye_device.presence import Presence, seen
from allye_protocol.admission import Policy
from allye_protocol.errors import Problem, StoreError
from allye_protocol.events import (
    DefaultControl,
    DeviceEvent,
    ScheduleAdmitted,
    ScheduleRefused,
    ScheduleSettled,
    SlotStarted,
)
from allye_protocol.session.device import DeviceConfig, DeviceSession
from allye_protocol.transport.base import Connected, Disconnected, Published, Received

if TYPE_CHECKING:
    from collections.abc import Iterator

    from allye_device.config import AgentConfig
    from allye_device.timekeeping import Timekeeper
    from allye_max300 import Driver, Telemetry
    from allye_protocol.frame import Frame
    from allye_protocol.signing import FrameVerifier
    from allye_protocol.store.base import DeviceStore
    from allye_protocol.tracing import RandomBytes
    from allye_protocol.transport.base import Transport, TransportEvent

__all__ = ["Agent"]

STORE_RETRY: Final = timedelta(seconds=5)
FLUSH_S: Final = 2.0


class Agent:
    """One device. It owns the driver and the transport that it is given, and closes them; the store stays its maker's.

    :param config: the device.
    :param time: the time; the same object is the driver's clock.
    :param driver: the battery.
    :param transport: to the broker, not open yet.
    :param store: what the device remembers.
    :param verifier: what signatures are checked by; ``None`` checks none.
    :param random_bytes: where trace ids come from.
    :raises ConfigError: when more is configured than the battery can do.
    :raises DriverError: when the battery does not say what it can do.
    """

    def __init__(
        self,
        config: AgentConfig,
        time: Timekeeper,
        driver: Driver,
        transport: Transport,
        store: DeviceStore,
        *,
        verifier: FrameVerifier | None = None,
        random_bytes: RandomBytes = os.urandom,
    ) -> None:
        self._time: Final = time
        self._driver: Final = driver
        self._transport: Final = transport
        self._log: Final = structlog.get_logger().bind(device_id=config.device_id)
        limits, validity_s = config.battery, config.setpoint.validity_s
        session_config = DeviceConfig(
            hello=hello_of(config, driver),
            policy=Policy(
                max_charge_w=limits.max_charge_w,
                max_discharge_w=limits.max_discharge_w,
                soc_min_pct=limits.soc_min_pct,
                soc_max_pct=limits.soc_max_pct,
                slot_lengths_s=config.protocol.slot_lengths_s,
            ),
            root=config.root,
            hold=timedelta(seconds=validity_s),
        )
        self._session: Final = DeviceSession(session_config, store, random_bytes=random_bytes, verifier=verifier)
        self._post: Final = Post(self._session, transport, self._log)
        rated_w = max(limits.max_charge_w, limits.max_discharge_w)
        self._presence: Final = Presence(self._session, self._post, config.status, rated_w)
        self._running: str | None = None
        self._battery: Final = Battery(driver, limits, validity_s, time.now, self._log)
        self._stopping = False
        self._resumed = False
        self._trusted: bool | None = None
        self._ready = False
        self._put_off = False
        self._unstored: Final[deque[Received]] = deque()
        self._told: Received | None = None
        self._unsettled: Final[deque[ScheduleAdmitted]] = deque()
        self._retry_at: datetime | None = None

    @property
    def telemetry(self) -> Telemetry | None:
        """The battery's last reading, for displays; from any thread."""
        return self._battery.telemetry

    @property
    def last_will(self) -> Frame | None:
        """What the broker is to say when it loses this device; asked for at every connection, from the transport's thread."""
        return self._presence.last_will

    def run(self) -> None:
        """Be a device until :meth:`stop`."""
        with ExitStack() as at_end:  # the last one first, and every one whatever the others raise
            at_end.callback(self._time.keep)
            at_end.callback(self._driver.close)
            at_end.callback(self._transport.close)
            at_end.callback(self._battery.rest)
            with self._storing():
                self._presence.renew_will(self._time.now)
            self._transport.open(self._session.subscriptions)
            self._control()
            self._settle()
            while not self._stopping:
                self._turn()
            self._finish()

    def stop(self) -> None:
        """End :meth:`run` soon: battery at 0 W, answers sent if that is quick. From any thread or signal handler."""
        self._stopping = True
        self._transport.wake()

    def _turn(self) -> None:
        deadline = self._deadline()
        events = self._transport.wait(self._time.seconds_until(deadline))
        now = self._time.advance(deadline)
        if now >= deadline or not self._time.trusted or not self._trusted:
            self._control()
        for event in events:
            self._on_transport(event)
        self._take()
        self._settle()
        self._tell()
        self._send()

    def _deadline(self) -> datetime:
        """The instant beyond which time must not run before something is done."""
        following = None
        if not self._store_is_down:
            with self._storing():
                following = self._session.next_deadline(self._time.now)
        if self._store_is_down:
            following = self._retry_at
        return min(self._battery.next_look, following or self._battery.next_look)

    def _control(self) -> None:
        """Read the battery, let the session see it, and give the battery the setpoint that holds now."""
        now, trusted = self._time.now, self._time.trusted
        if trusted is not self._trusted:
            self._trusted = trusted
            if trusted:
                self._log.info("time_trusted")
            else:
                self._log.warning("time_not_trusted", reason=self._time.doubt)
        reading = self._battery.read(now)
        with self._storing():
            if trusted and not self._resumed:
                self._handle(self._session.resume(now))
                self._resumed = True
            self._handle(self._session.tick(now, reading, clock_trusted=trusted))
            self._on_store_works()
        self._battery.hold(now)
        self._ask_again(ready=trusted and self._battery.obeys)

    def _ask_again(self, *, ready: bool) -> None:
        """Say hello again once what kept this device from a schedule is over: at most once for each refusal."""
        if ready and not self._ready and self._put_off and self._transport.connected:
            self._post.publish(self._session.hello())
            self._put_off = False
        self._ready = ready

    def _tell(self) -> None:
        """Say how the device is, when that is due."""
        if not self._transport.connected or self._store_is_down:
            return
        what = seen(self._battery.telemetry, self._running, clock_trusted=self._time.trusted)
        with self._storing():
            self._presence.tell(self._time.now, what)

    def _on_transport(self, event: TransportEvent) -> None:
        match event:
            case Connected(session_present=session_present):
                self._log.info("connected", session_present=session_present)
                self._forget_connection()
                self._post.publish(self._session.hello())
                self._put_off = False
                self._tell()
            case Disconnected(reason=reason):
                self._log.warning("disconnected", reason=reason)
                self._forget_connection()
                with self._storing():
                    self._presence.renew_will(self._time.now)
            case Received():
                self._unstored.append(event)
                self._take()
            case Published():
                self._on_published(event)

    def _forget_connection(self) -> None:
        self._post.forget()
        self._presence.forget()
        self._unstored.clear()  # not acknowledged, so the broker delivers them again

    def _on_published(self, published: Published) -> None:
        with self._storing():
            self._post.published(published, self._time.now)

    def _take(self) -> None:
        """Hand what was received to the session, and acknowledge what it has stored."""
        while self._unstored and not self._store_is_down:
            received = self._unstored[0]
            try:
                events = self._session.receive(received.frame, self._time.now, clock_trusted=self._time.trusted)
            except StoreError as error:
                if received is not self._told:
                    self._told = received
                    self._post.publish(self._session.store_failure(received.frame, error, self._time.now))
                self._on_store_error(error)
                return
            self._unstored.popleft()
            self._transport.acknowledge(received)
            self._on_store_works()
            self._handle(events)

    def _settle(self) -> None:
        """Arm the battery for what was admitted, and answer APPLIED or FAILED."""
        while self._unsettled and not self._store_is_down:
            schedule_id, now = self._unsettled[0].schedule.schedule_id, self._time.now
            problem = self._battery.arm(now)
            try:
                if problem is None:
                    settled = self._session.applied(schedule_id, now)
                else:
                    settled = self._session.failed(schedule_id, problem, now)
            except StoreError as error:
                self._on_store_error(error)
                return
            self._unsettled.popleft()
            self._handle(settled)
            self._control()

    def _handle(self, events: list[DeviceEvent]) -> None:
        for event in events:
            say(self._log, event)
            match event:
                case ScheduleAdmitted():
                    self._unsettled.append(event)
                case ScheduleRefused(problem=problem) | ScheduleSettled(problem=Problem() as problem):
                    self._put_off = self._put_off or problem.code.retryable
                case SlotStarted():
                    self._running = event.slot.schedule_id
                    self._battery.order(order_of(event))
                case DefaultControl():
                    self._running = None
                    self._battery.order(Order())
                case _:
                    pass

    def _send(self) -> None:
        """Hand to the broker what the outbox has and is not under way."""
        if not self._transport.connected or self._store_is_down:
            return
        with self._storing():
            self._post.send(self._time.now)

    @property
    def _store_is_down(self) -> bool:
        return self._retry_at is not None and self._time.now < self._retry_at

    @contextmanager
    def _storing(self) -> Iterator[None]:
        """What needs the store, and is tried again later when it does not work."""
        try:
            yield
        except StoreError as error:
            self._on_store_error(error)

    def _on_store_error(self, error: StoreError) -> None:
        if self._retry_at is None:
            self._log.error("store_does_not_work", code=error.code, reason=error.message)
        self._retry_at = self._time.now + STORE_RETRY

    def _on_store_works(self) -> None:
        if self._retry_at is not None:
            self._log.info("store_works_again")
        self._retry_at = None

    def _finish(self) -> None:
        """After :meth:`stop`: the battery at rest, its last reading stored, and a moment for the outbox."""
        self._log.info("stopping")
        self._battery.rest()
        self._time.advance(self._deadline())
        now, reading = self._time.now, self._battery.read(self._time.now)
        with self._storing():
            self._handle(self._session.tick(now, reading, clock_trusted=self._time.trusted))
        until_s = wall.monotonic() + FLUSH_S
        self._send()
        while self._post.waits and self._transport.connected and wall.monotonic() < until_s:
            for event in self._transport.wait(until_s - wall.monotonic()):
                if isinstance(event, Published):
                    self._on_published(event)
            self._send()
        if self._transport.connected:
            with self._storing():
                self._presence.leave(self._time.now)
