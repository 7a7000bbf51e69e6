"""The cloud's side of the protocol as a machine, for a whole fleet.

1. It reads no clock, opens nothing and waits for nothing; jitter comes from an injected source. It keeps nothing but what is
   under way: everything else is in its store, so several workers can share one.
2. A schedule or a cancel is stored before it is first published, and repeated with the same id and meaning until the device
   answers, its time is over, or the answer is final (:mod:`allye_protocol.delivery`).
3. Every publish is in the version and encoding of the device's newest hello. What cannot be said in it is held, not lost, and
   tried again with the next hello.
4. :meth:`CloudSession.receive` never raises for what a device sent. When it returns, what follows from the message is stored.
   It raises :class:`~allye_protocol.errors.StoreError`, and nothing else, when the store could not keep it.
   :meth:`CloudSession.receive_all` does the same for many messages, all or none.
5. A device speaks only for itself: the topic's device, the message's and the schedule's must be one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol import topics
from allye_protocol.delivery import OPEN, TRANSITIONS, Cause, Delivery, moved
from allye_protocol.errors import AllyeError, Problem
from allye_protocol.events import AlarmRaised, CloudEvent, DeliveryChanged, DeliveryHeld
from allye_protocol.frame import Frame
from allye_protocol.negotiation import Agreement
from allye_protocol.session.cloud_config import CloudConfig
from allye_protocol.session.instants import check_aware
from allye_protocol.session.intake import Heard, Intake, delivery_named_by
from allye_protocol.session.publishing import Publishing
from allye_protocol.session.submissions import Submissions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allye_protocol.messages import Hello, Schedule
    from allye_protocol.signing import FrameSigner
    from allye_protocol.store.cloud import CloudStore
    from allye_protocol.tracing import RandomBytes, TraceContext

__all__ = ["CloudConfig", "CloudSession", "Dispatch"]

REFUSED_BY_BROKER_WAIT: Final = timedelta(seconds=60)


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule or a cancel to publish now.

    :param delivery_id: names it in :meth:`CloudSession.sent`.
    :param agreement: the version and encoding that it is in.
    """

    delivery_id: str
    agreement: Agreement
    frame: Frame


class CloudSession:
    """The protocol of a fleet, as seen by the cloud.

    :param store: where deliveries, answers and results are kept.
    :param random_bytes: where trace ids come from; ``os.urandom`` outside tests.
    :param uniform: the source of jitter; ``random.uniform`` outside tests.
    :param signer: what signs schedules and cancels (:class:`allye_protocol.signing.Signer`); ``None`` to leave them unsigned.

    Every ``now`` is the time with its offset: one without raises ``ValueError``.
    """

    def __init__(
        self,
        store: CloudStore,
        *,
        random_bytes: RandomBytes,
        uniform: Callable[[float, float], float],
        config: CloudConfig | None = None,
        signer: FrameSigner | None = None,
    ) -> None:
        self._store: Final = store
        self._config: Final = config or CloudConfig()
        self._uniform: Final = uniform
        self._publishing: Final = Publishing(self._config, random_bytes, signer)
        self._submissions: Final = Submissions(store, self._config, random_bytes)
        self._intake: Final = Intake(store, self._config, self._publishing, uniform)
        self._in_flight: set[str] = set()
        self._held: list[tuple[datetime, DeliveryHeld]] = []

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        return topics.cloud_filters(self._config.root, self._config.group)

    def sequence_for(self, device_id: str, now: datetime) -> int:
        """The sequence of the next schedule for a device: now in microseconds, or one more than the last.

        Publishers who ask at the same time may get the same answer. The first to submit wins; the submit of the others is
        refused with ``order.stale``: ask again and submit again. When both are done in one transaction of the store, the answer
        holds.
        """
        check_aware(now)
        return self._submissions.sequence_for(device_id, now)

    def submit(self, schedule: Schedule, now: datetime, trace: TraceContext | None = None) -> Delivery:
        """Store a schedule for delivery. Submitting the same id with the same meaning (digest) again changes nothing.

        Open deliveries of the device that the schedule covers entirely are SUPERSEDED (decision 17), unless it is a dry run.

        :param schedule: its sequence from :meth:`sequence_for`.
        :param trace: the trace it belongs to; without one, the schedule's ``traceparent`` or a new one.
        :returns: its delivery.
        :raises EncodeError: for a schedule that breaks a rule of its kind; ``version.downgrade_loses`` with the member's path
            for one that cannot be said in the version that the device speaks.
        :raises RefusalError: ``order.conflict`` for an id that names another content, ``order.stale`` for a sequence that is
            not above the device's last, ``order.in_future`` for one that is further ahead than ``max_skew``,
            ``time.expired`` for a schedule whose horizon or ``expires_at`` is past, ``time.too_far`` for one that starts too
            far ahead, ``time.bad_duration`` for slots of a length that the device does not take.
        :raises StoreError: it was not stored.
        """
        check_aware(now)
        return self._submissions.submit(schedule, now, trace)

    def cancel(
        self,
        device_id: str,
        now: datetime,
        *,
        schedule_id: str | None = None,
        effective_from: datetime | None = None,
        reason: str | None = None,
        trace: TraceContext | None = None,
    ) -> Delivery:
        """Store a cancel for delivery, with a sequence of its own.

        Open deliveries of which it leaves nothing are CANCELLED at once; of the others nothing is sent any more once it counts.
        A schedule that the device has applied is CANCELLED when the device has confirmed the cancel. A cancel of one
        schedule is repeated until that schedule's end, one of everything from an instant on until ``max_ahead`` after it.

        :param schedule_id: the schedule to take back; without one, everything from ``effective_from`` on.
        :param effective_from: from when on; with ``schedule_id`` it may be left out: at once.
        :param reason: why, for people; at most 256 characters.
        :param trace: the trace it belongs to; without one, that of the schedule or a new one.
        :returns: its delivery; APPLIED means that the device has taken back what it names.
        :raises EncodeError: ``version.downgrade_loses`` for a device that speaks version 1, which has no cancel: submit a
            schedule of zeros instead; or a cancel that breaks a rule of its kind.
        :raises RefusalError: ``order.unknown_schedule`` for a schedule that was never submitted for the device,
            ``time.expired`` where nothing is left to take back.
        :raises StoreError: it was not stored.
        """
        check_aware(now)
        return self._submissions.cancel(
            device_id, now, schedule_id=schedule_id, effective_from=effective_from, reason=reason, trace=trace
        )

    def frames_to_send(self, now: datetime, limit: int = 20) -> list[Dispatch]:
        """What to publish now, so that at most ``limit`` are under way. Each is stored as SENT before it is returned.

        Call :meth:`sent` when the broker has taken one, :meth:`not_sent` when it refused it, and :meth:`disconnected` when the
        connection ends. What cannot be said to its device now is held, which the next :meth:`tick` tells.

        :raises StoreError: nothing is to be published.
        """
        check_aware(now)
        room = limit - len(self._in_flight)
        if room <= 0:
            return []
        made: list[Dispatch] = []
        held: list[DeliveryHeld] = []
        with self._store.transaction():
            due = self._store.due(now, limit)
            hellos = self._store.hellos({delivery.device_id for delivery in due})
            for delivery in due:
                if delivery.delivery_id in self._in_flight:  # the broker is slow; a second copy would not make it faster
                    self._put_off(delivery.delivery_id, now + self._config.retry.wait(delivery.attempts, self._uniform))
                    continue
                if len(made) == room:
                    break
                try:
                    made.append(self._dispatch(delivery, hellos.get(delivery.device_id), now))
                except AllyeError as error:  # of this delivery alone: no other has to wait for it
                    held += self._hold(delivery, error.problem, now)
                else:
                    self._store.put_delivery(self._published(delivery, now))
        self._in_flight.update(dispatch.delivery_id for dispatch in made)
        self._held += ((now, event) for event in held)
        return made

    def _dispatch(self, delivery: Delivery, hello: Hello | None, now: datetime) -> Dispatch:
        agreement = self._publishing.agreement(hello)
        frame = self._publishing.frame(delivery, agreement, now)
        return Dispatch(delivery_id=delivery.delivery_id, agreement=agreement, frame=frame)

    def _published(self, delivery: Delivery, now: datetime) -> Delivery:
        attempts = delivery.attempts + 1
        return msgspec.structs.replace(
            delivery,
            state=TRANSITIONS.get((delivery.state, Cause.PUBLISHED), delivery.state),
            attempts=attempts,
            due_at=now + self._config.retry.wait(attempts, self._uniform),
            sent_at=delivery.sent_at or now,
            held="",
        )

    def _hold(self, delivery: Delivery, problem: Problem, now: datetime) -> list[DeliveryHeld]:
        """Have a delivery wait for a new hello, or for a change on this side: it is looked at again now and then.

        :returns: what to tell: each obstacle once.
        """
        held = msgspec.structs.replace(delivery, held=problem.reason(), due_at=now + self._config.retry.cap)
        self._store.put_delivery(held)
        if held.held == delivery.held:
            return []
        return [
            DeliveryHeld(
                delivery_id=held.delivery_id,
                kind=held.kind,
                schedule_id=held.schedule_id,
                device_id=held.device_id,
                problem=problem,
                trace_id=held.trace_id,
            )
        ]

    def sent(self, delivery_id: str) -> None:
        """The broker has taken a delivery. Neither delivery nor durability: only room for the next one."""
        self._in_flight.discard(delivery_id)

    def not_sent(self, delivery_id: str, now: datetime) -> None:
        """The broker refused a delivery: try again in a minute.

        :raises StoreError: it is tried again when its turn comes.
        """
        check_aware(now)
        self._in_flight.discard(delivery_id)
        self._put_off(delivery_id, now + REFUSED_BY_BROKER_WAIT)

    def disconnected(self, now: datetime) -> None:
        """The connection is gone: what was under way is due again at once.

        :raises StoreError: it is due again when its turn comes.
        """
        check_aware(now)
        under_way, self._in_flight = self._in_flight, set()
        with self._store.transaction():
            for delivery_id in under_way:
                self._put_off(delivery_id, now)

    def _put_off(self, delivery_id: str, until: datetime) -> None:
        delivery = self._store.delivery(delivery_id)
        if delivery is not None and delivery.state in OPEN:
            self._store.put_delivery(msgspec.structs.replace(delivery, due_at=until))

    def receive(self, frame: Frame, now: datetime) -> list[CloudEvent]:
        """Take a message from a device.

        :raises StoreError: nothing was stored; do not acknowledge the message.
        """
        return self.receive_all((frame,), now)

    def receive_all(self, frames: Sequence[Frame], now: datetime) -> list[CloudEvent]:
        """Take messages from devices in one transaction, which costs much less than one for each.

        :raises StoreError: nothing was stored; acknowledge none of the messages.
        """
        check_aware(now)
        read = [self._intake.read(frame) for frame in frames]
        about = {delivery_named_by(heard.message) for heard in read if isinstance(heard, Heard)}
        events: list[CloudEvent] = []
        with self._store.transaction():
            self._store.expect({name for name in about if name is not None})
            for frame, heard in zip(frames, read, strict=True):
                events += self._intake.take(frame, heard, now, self._in_flight) if isinstance(heard, Heard) else [heard]
        return events

    def tick(self, now: datetime) -> list[CloudEvent]:
        """Let time pass: expire what is over, raise alarms for what is near, tell what :meth:`frames_to_send` had to hold.

        :raises StoreError: nothing changed; call again.
        """
        check_aware(now)
        events: list[CloudEvent] = [event for _, event in self._held]
        with self._store.transaction():
            for delivery in self._store.ending(now):
                expired = moved(delivery, Cause.HORIZON_PASSED, now, delivery.reason)
                if expired is not None:
                    self._store.put_delivery(expired)
                    events.append(DeliveryChanged.between(delivery, expired))
            for delivery in self._store.starting(now + self._config.retry.alarm_before):
                self._store.put_delivery(msgspec.structs.replace(delivery, alarmed=True))
                events.append(
                    AlarmRaised(
                        delivery_id=delivery.delivery_id,
                        kind=delivery.kind,
                        schedule_id=delivery.schedule_id,
                        device_id=delivery.device_id,
                        starts=delivery.start,
                        state=delivery.state,
                        trace_id=delivery.trace_id,
                    )
                )
        self._held.clear()
        return events

    @property
    def under_way(self) -> int:
        """How many deliveries were handed out and neither taken nor refused by the broker."""
        return len(self._in_flight)

    def next_deadline(self, *, can_send: bool) -> datetime | None:
        """When :meth:`tick` or :meth:`frames_to_send` has something to do next, if nothing arrives.

        :param can_send: whether the app could publish now: it is connected and has room under its limit.
        """
        first = self._store.next_start()
        alarm = None if first is None else first - self._config.retry.alarm_before
        to_tell = self._held[0][0] if self._held else None
        instants = (self._store.next_due() if can_send else None, self._store.next_end(), alarm, to_tell)
        return min((instant for instant in instants if instant is not None), default=None)
