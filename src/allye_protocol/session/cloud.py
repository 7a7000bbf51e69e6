"""The cloud's side of the protocol as a machine, for a whole fleet.

1. It reads no clock, opens nothing and waits for nothing; jitter comes from an injected source. It keeps nothing but what is
   under way: everything else is in its store, so several workers can share one.
2. A schedule is stored before it is first published, and repeated with the same id and content until the device answers, its
   horizon ends, or the answer is final (:mod:`allye_protocol.delivery`).
3. :meth:`CloudSession.receive` never raises for what a device sent. When it returns, what follows from the message is stored.
   It raises :class:`~allye_protocol.errors.StoreError`, and nothing else, when the store could not keep it.
   :meth:`CloudSession.receive_all` does the same for many messages, all or none.
4. A device speaks only for itself: the topic's device, the message's and the schedule's must be one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol import topics
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, decode
from allye_protocol.delivery import OPEN, TRANSITIONS, Cause, Delivery, State, cause_of, moved
from allye_protocol.errors import DecodeError, ErrorCode, Problem, TopicError, code_of_reason
from allye_protocol.events import (
    AlarmRaised,
    CloudEvent,
    DeliveryChanged,
    DeviceAnnounced,
    MessageRefused,
    ResultReceived,
)
from allye_protocol.frame import Frame
from allye_protocol.messages import VERSIONS, Ack, AckStatus, ExecutionResult, Hello, Kind, Schedule
from allye_protocol.messages.registry import CHANNEL_OF, Message
from allye_protocol.session.submissions import CloudConfig, Submissions
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from allye_protocol.store.cloud import CloudStore

__all__ = ["CloudConfig", "CloudSession", "Dispatch"]

REFUSED_BY_BROKER_WAIT: Final = timedelta(seconds=60)
_SHA256_DIGITS: Final = 64
_LONGEST_EXPIRY_S: Final = 0xFFFF_FFFF
"""MQTT 5 section 3.3.2.3.3: four bytes."""
_KIND_OF: Final = {channel: kind for kind, channel in CHANNEL_OF.items() if kind is not Kind.SCHEDULE}


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule to publish now.

    :param schedule_id: names it in :meth:`CloudSession.sent`.
    """

    schedule_id: str
    frame: Frame


class CloudSession:
    """The protocol of a fleet, as seen by the cloud.

    :param store: where deliveries, answers and results are kept.
    :param random_bytes: where trace ids come from; ``os.urandom`` outside tests.
    :param uniform: the source of jitter; ``random.uniform`` outside tests.
    """

    def __init__(
        self,
        store: CloudStore,
        *,
        random_bytes: RandomBytes,
        uniform: Callable[[float, float], float],
        config: CloudConfig | None = None,
    ) -> None:
        self._store: Final = store
        self._config: Final = config or CloudConfig()
        self._random_bytes: Final = random_bytes
        self._uniform: Final = uniform
        self._submissions: Final = Submissions(store, self._config)
        self._in_flight: set[str] = set()

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The topic filters to subscribe to."""
        return tuple(
            topic_filter
            for topic_filter in topics.cloud_filters(self._config.root, self._config.group)
            if topic_filter.rpartition("/")[2] in _KIND_OF
        )

    def order_for(self, device_id: str, now: datetime) -> datetime:
        """The ``generated_at`` of the next schedule for a device: now, or just after the newest one."""
        return self._submissions.order_for(device_id, now)

    def submit(self, schedule: Schedule, now: datetime, trace: TraceContext | None = None) -> Delivery:
        """Store a schedule for delivery. Submitting the same content again changes nothing.

        Open deliveries of the device that the schedule covers entirely are SUPERSEDED (decision 17).

        :param trace: the trace it belongs to; without one, the schedule's ``trace_id`` or a new one.
        :returns: its delivery.
        :raises EncodeError: for a schedule that breaks a rule of its kind.
        :raises RefusalError: ``order.conflict`` for an id that names another content, ``order.stale`` for a schedule that is
            not newer than the device's newest (see :meth:`order_for`), ``order.in_future`` for one that was generated later
            than now, ``time.expired`` for one whose horizon is past, ``time.too_far`` for one that starts too far ahead.
        :raises StoreError: it was not stored.
        """
        return self._submissions.submit(schedule, now, trace or TraceContext.start(self._random_bytes, schedule.trace_id))

    def frames_to_send(self, now: datetime, limit: int = 20) -> list[Dispatch]:
        """The schedules to publish now, so that at most ``limit`` are under way. Each is stored as SENT before it is returned.

        Call :meth:`sent` when the broker has taken one, :meth:`not_sent` when it refused it, and :meth:`disconnected` when the
        connection ends.

        :raises StoreError: nothing is to be published.
        """
        room = limit - len(self._in_flight)
        if room <= 0:
            return []
        made: list[Dispatch] = []
        with self._store.transaction():
            for delivery in self._store.due(now, limit):
                if delivery.schedule_id in self._in_flight:  # the broker is slow; a second copy would not make it faster
                    self._put_off(delivery.schedule_id, now + self._config.retry.wait(delivery.attempts, self._uniform))
                    continue
                if len(made) == room:
                    break
                attempts = delivery.attempts + 1
                sent = msgspec.structs.replace(
                    delivery,
                    state=TRANSITIONS.get((delivery.state, Cause.PUBLISHED), delivery.state),
                    attempts=attempts,
                    due_at=now + self._config.retry.wait(attempts, self._uniform),
                    sent_at=delivery.sent_at or now,
                )
                self._store.put_delivery(sent)
                made.append(Dispatch(schedule_id=sent.schedule_id, frame=self._frame(sent, now)))
        self._in_flight.update(dispatch.schedule_id for dispatch in made)
        return made

    def sent(self, schedule_id: str) -> None:
        """The broker has taken a schedule. Neither delivery nor durability: only room for the next one."""
        self._in_flight.discard(schedule_id)

    def not_sent(self, schedule_id: str, now: datetime) -> None:
        """The broker refused a schedule: try again in a minute.

        :raises StoreError: it is tried again when its turn comes.
        """
        self._in_flight.discard(schedule_id)
        self._put_off(schedule_id, now + REFUSED_BY_BROKER_WAIT)

    def disconnected(self, now: datetime) -> None:
        """The connection is gone: what was under way is due again at once.

        :raises StoreError: it is due again when its turn comes.
        """
        under_way, self._in_flight = self._in_flight, set()
        with self._store.transaction():
            for schedule_id in under_way:
                self._put_off(schedule_id, now)

    def _put_off(self, schedule_id: str, until: datetime) -> None:
        delivery = self._store.delivery(schedule_id)
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
        read = [self._read(frame) for frame in frames]
        about = {message.schedule_id for message in read if isinstance(message, Ack | ExecutionResult)}
        events: list[CloudEvent] = []
        with self._store.transaction():
            self._store.expect(about)
            for frame, message in zip(frames, read, strict=True):
                events += [message] if isinstance(message, MessageRefused) else self._take(frame, message, now)
        return events

    def _read(self, frame: Frame) -> Message | MessageRefused:
        """What a device says, if it may and can be understood."""
        try:
            topic = topics.parse(frame.topic, self._config.root)
            kind = _KIND_OF.get(topic.channel)
            if kind is None:
                message = f"nothing is taken on channel {topic.channel}"
                return _refused(frame, ErrorCode.MESSAGE_UNKNOWN_KIND, message)
            received = decode(frame.payload, kind, frame.content_type)
        except (TopicError, DecodeError) as error:
            return MessageRefused(topic=frame.topic, problem=error.problem)
        if received.device_id != topic.device_id:
            message = f"device {topic.device_id} sent a message of device {received.device_id}"
            return _refused(frame, ErrorCode.MESSAGE_WRONG_DEVICE, message, "/device_id")
        return received

    def _take(self, frame: Frame, received: Message, now: datetime) -> list[CloudEvent]:
        if isinstance(received, Ack):
            return self._acknowledged(frame, received, now)
        if isinstance(received, ExecutionResult):
            return self._executed(frame, received, now)
        if isinstance(received, Hello):
            return self._announced(frame, received, now)
        raise TypeError(f"no handler for {type(received).__name__}")

    def _executed(self, frame: Frame, result: ExecutionResult, now: datetime) -> list[CloudEvent]:
        delivery = self._store.delivery(result.schedule_id)
        if delivery is None or delivery.device_id != result.device_id:
            message = f"device {result.device_id} reported a slot of {result.schedule_id}, which was never sent to it"
            return [_refused(frame, ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, "/schedule_id")]
        if not delivery.start <= result.interval.start < delivery.end:
            message = f"{result.schedule_id} has no slot at {result.interval.start.isoformat()}"
            return [_refused(frame, ErrorCode.MESSAGE_INVALID, message, "/interval/start")]
        return [ResultReceived(result=result)] if self._store.keep_result(result, now) else []

    def _announced(self, frame: Frame, hello: Hello, now: datetime) -> list[CloudEvent]:
        """A device is online: what it has not answered is due at once."""
        if frame.retain and self._store.hello(hello.device_id) == hello:
            # The broker's copy of what is known, for who has just subscribed: the device said nothing now.
            return []
        self._store.keep_hello(hello, now)
        events: list[CloudEvent] = [DeviceAnnounced(hello=hello)]
        if not set(VERSIONS) & set(hello.versions) or DEFAULT_CONTENT_TYPE not in hello.content_types:
            theirs = f"versions {list(hello.versions)} in {', '.join(hello.content_types)}"
            ours = f"{list(VERSIONS)} in {DEFAULT_CONTENT_TYPE}"
            message = f"device {hello.device_id} speaks {theirs}; this library speaks {ours}: upgrade the older of the two"
            events.append(_refused(frame, ErrorCode.VERSION_UNSUPPORTED, message, "/versions"))
        for delivery in self._store.open_deliveries(hello.device_id):
            if delivery.due_at > now and delivery.schedule_id not in self._in_flight:
                self._store.put_delivery(msgspec.structs.replace(delivery, due_at=now))
        return events

    def _acknowledged(self, frame: Frame, ack: Ack, now: datetime) -> list[CloudEvent]:
        delivery = self._store.delivery(ack.schedule_id) or self._referred_to(ack)
        if delivery is None or delivery.device_id != ack.device_id:
            words = f" ({ack.error_reason})" if ack.error_reason else ""
            message = f"device {ack.device_id} answered {ack.status} to {ack.schedule_id}, which was never sent to it{words}"
            return [_refused(frame, ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, "/schedule_id")]
        self._store.keep_ack(ack, now)
        code = code_of_reason(ack.error_reason)
        cause = cause_of(ack.status, retryable=code is not None and code.retryable)
        return self._move(delivery, cause, now, ack.error_reason or "")

    def _referred_to(self, ack: Ack) -> Delivery | None:
        """The delivery whose payload an answer names by its SHA-256: the device could not read the schedule's id."""
        if ack.status is not AckStatus.FAILED or len(ack.schedule_id) != _SHA256_DIGITS:
            return None
        waiting = self._store.open_deliveries(ack.device_id)
        return next((one for one in waiting if sha256(one.payload).hexdigest() == ack.schedule_id), None)

    def _move(self, delivery: Delivery, cause: Cause, now: datetime, reason: str = "") -> list[CloudEvent]:
        """Apply the transition table, store what it says, and tell."""
        after = moved(delivery, cause, now, reason)
        if after is None:
            return []
        if after.state is State.FAILED:
            wait = self._config.retry.wait(max(delivery.attempts, 1), self._uniform)
            after = msgspec.structs.replace(after, due_at=now + wait)
        self._store.put_delivery(after)
        return [
            DeliveryChanged(
                schedule_id=delivery.schedule_id,
                device_id=delivery.device_id,
                before=delivery.state,
                after=after.state,
                trace_id=_trace_id(delivery),
                reason=reason,
            )
        ]

    def tick(self, now: datetime) -> list[CloudEvent]:
        """Let time pass: expire what is over, raise alarms for what is near.

        :raises StoreError: nothing changed; call again.
        """
        events: list[CloudEvent] = []
        with self._store.transaction():
            for delivery in self._store.ending(now):
                events += self._move(delivery, Cause.HORIZON_PASSED, now, delivery.reason)
            for delivery in self._store.starting(now + self._config.retry.alarm_before):
                self._store.put_delivery(msgspec.structs.replace(delivery, alarmed=True))
                events.append(
                    AlarmRaised(
                        schedule_id=delivery.schedule_id,
                        device_id=delivery.device_id,
                        first_slot=delivery.start,
                        state=delivery.state,
                        trace_id=_trace_id(delivery),
                    )
                )
        return events

    @property
    def under_way(self) -> int:
        """How many schedules were handed out and neither taken nor refused by the broker."""
        return len(self._in_flight)

    def next_deadline(self, *, can_send: bool) -> datetime | None:
        """When :meth:`tick` or :meth:`frames_to_send` has something to do next, if nothing arrives.

        :param can_send: whether the app could publish now: it is connected and has room under its limit.
        """
        first = self._store.next_start()
        alarm = None if first is None else first - self._config.retry.alarm_before
        instants = (self._store.next_due() if can_send else None, self._store.next_end(), alarm)
        return min((instant for instant in instants if instant is not None), default=None)

    def _frame(self, delivery: Delivery, now: datetime) -> Frame:
        row = topics.CHANNELS[CHANNEL_OF[Kind.SCHEDULE]]
        trace = TraceContext.parse(delivery.traceparent) or TraceContext.start(self._random_bytes)
        return Frame(
            topic=topics.build(delivery.device_id, CHANNEL_OF[Kind.SCHEDULE], self._config.root),
            payload=delivery.payload,
            qos=row.qos,
            retain=row.retained,
            content_type=DEFAULT_CONTENT_TYPE,
            user_properties=trace.child(self._random_bytes).user_properties(),
            # A schedule that waited at the broker until its horizon was over is of no use to anyone.
            expiry_s=min(max(1, int((delivery.end - now).total_seconds())), _LONGEST_EXPIRY_S),
        )


def _refused(frame: Frame, code: ErrorCode, message: str, path: str = "") -> MessageRefused:
    return MessageRefused(topic=frame.topic, problem=Problem(code=code, message=message, path=path))


def _trace_id(delivery: Delivery) -> str:
    trace = TraceContext.parse(delivery.traceparent)
    return "" if trace is None else trace.trace_id
