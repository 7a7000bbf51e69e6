"""What the cloud makes of the messages of devices: who may say what, and what follows from it.

1. A device speaks only for itself: the topic's device, the message's and the delivery's must be one.
2. Any version and encoding is read, whatever was agreed: the agreement is about what the cloud sends.
3. An answer to another content than the one that was sent, by its digest, is not believed.
4. A refusal of a version or an encoding is the last word only where the device is spoken to in it now: what a device says in
   its hello decides, and the refusal may be of a copy that was sent before it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol import topics
from allye_protocol.codec.tolerant import Deviation, Tolerance, decode_tolerant
from allye_protocol.convert import decode, upgrade
from allye_protocol.delivery import Cause, Delivery, State, cancel_id, cause_of, message_of, moved
from allye_protocol.errors import DecodeError, ErrorCode, NegotiationError, Problem, TopicError, printable
from allye_protocol.events import (
    CloudEvent,
    DeliveryChanged,
    DeviationsTolerated,
    DeviceAnnounced,
    DeviceUnreachable,
    EventReceived,
    MessageRefused,
    ResultReceived,
    SecurityAlert,
    StatusReceived,
)
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Cancel,
    DeviceStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    Hello,
    Kind,
    Message,
    ScheduleEvent,
)
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF
from allye_protocol.session.submissions import takes_back
from allye_protocol.topics import CHANNELS, Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from allye_protocol.frame import Frame
    from allye_protocol.session.cloud_config import CloudConfig
    from allye_protocol.session.publishing import Publishing
    from allye_protocol.store.cloud import CloudStore

__all__ = ["Heard", "Intake", "delivery_named_by"]

MAX_WORDS_CHARS: Final = 1024
"""Room for the longest error that a device can send, in one line."""
_SHA256_DIGITS: Final = 64
_AT_ONCE: Final = timedelta(0)
_KIND_OF: Final = {channel: kind for kind, channel in CHANNEL_OF.items() if CHANNELS[channel].direction is Direction.TO_CLOUD}


def delivery_named_by(message: Message) -> str | None:
    """The delivery that a message is about, by its id."""
    if isinstance(message, Ack | ExecutionResult):
        return message.schedule_id
    if isinstance(message, ScheduleEvent):
        is_answer = message.event is EventType.CANCELLED and message.sequence is not None
        return cancel_id(message.device_id, message.sequence or 0) if is_answer else message.schedule_id
    return None


class Heard(NamedTuple):
    """A message of a device that may say it.

    :param deviations: what it does otherwise than the protocol says, where that is tolerated.
    """

    message: Message
    deviations: tuple[Deviation, ...]


class Intake:
    """The way from a device into a store.

    :param store: where deliveries and reports are kept.
    :param config: the topics' root, and how long to wait after a failure.
    :param publishing: knows what was sent.
    :param uniform: the source of jitter.
    """

    def __init__(
        self, store: CloudStore, config: CloudConfig, publishing: Publishing, uniform: Callable[[float, float], float]
    ) -> None:
        self._store: Final = store
        self._config: Final = config
        self._publishing: Final = publishing
        self._uniform: Final = uniform

    def read(self, frame: Frame) -> Heard | MessageRefused:
        """What a device says, if it may and can be understood. Needs no store."""
        try:
            topic = topics.parse(frame.topic, self._config.root)
            kind = _KIND_OF.get(topic.channel)
            if kind is None:
                message = f"nothing is taken on channel {topic.channel}"
                return _refused(frame, ErrorCode.MESSAGE_UNKNOWN_KIND, message)
            received, deviations = self._decoded(frame, kind)
        except (TopicError, DecodeError) as error:
            return MessageRefused(topic=frame.topic, problem=error.problem)
        if received.device_id != topic.device_id:
            message = f"device {topic.device_id} sent a message of device {received.device_id}"
            return _refused(frame, ErrorCode.MESSAGE_WRONG_DEVICE, message, "/device_id")
        return Heard(received, deviations)

    def _decoded(self, frame: Frame, kind: Kind) -> tuple[Message, tuple[Deviation, ...]]:
        if self._config.tolerance is Tolerance.STRICT:
            return decode(frame.payload, kind, frame.content_type), ()
        tolerated = decode_tolerant(frame.payload, kind, frame.content_type)
        return upgrade(tolerated.message), tolerated.deviations

    def take(self, frame: Frame, heard: Heard, now: datetime, under_way: Container[str]) -> list[CloudEvent]:
        """Store what follows from a message.

        :param under_way: the deliveries that the broker is still about to take.
        """
        received, told = heard.message, list[CloudEvent]()
        if heard.deviations:
            kind = BY_TYPE[type(received)].kind
            told.append(DeviationsTolerated(device_id=received.device_id, kind=kind, deviations=heard.deviations))
        match received:
            case Ack():
                return told + self._acknowledged(frame, received, now)
            case ExecutionResult():
                return told + self._executed(frame, received, now)
            case ScheduleEvent():
                return told + self._happened(frame, received, now)
            case DeviceStatus():
                return told + self._reported(frame, received, now)
            case Hello():
                return told + self._announced(frame, received, now, under_way)
            case _:
                raise TypeError(f"no handler for {type(received).__name__}")

    def _acknowledged(self, frame: Frame, ack: Ack, now: datetime) -> list[CloudEvent]:
        delivery, outdated = self._store.delivery(ack.schedule_id), False
        if delivery is None:
            delivery, outdated = self._referred_to(ack)
        if delivery is None or delivery.device_id != ack.device_id:
            words = f" ({_words(ack.error)})" if ack.error is not None else ""
            message = f"device {ack.device_id} answered {ack.status} to {ack.schedule_id}, which was never sent to it{words}"
            return [_refused(frame, ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, "/schedule_id")]
        if ack.digest is not None and ack.digest != delivery.digest:
            message = (
                f"device {ack.device_id} answered {ack.status} to another content of {ack.schedule_id} than was sent to it"
            )
            details = {"sent": delivery.digest, "answered": ack.digest}
            return [_mistrusted(frame, message, "/digest", details)]
        self._store.keep_ack(ack, now)
        is_rewritten = outdated or _is_about_version(ack.error)
        cause = cause_of(ack.status, retryable=ack.is_retryable or is_rewritten)
        least = _AT_ONCE if ack.retry_after_s is None else timedelta(seconds=ack.retry_after_s)
        # The first copy may have crossed the hello that says how to write it; whoever refuses another one has time.
        at_once = is_rewritten and delivery.attempts <= 1
        return self._move(delivery, cause, now, _words(ack.error), least=least, at_once=at_once)

    def _referred_to(self, ack: Ack) -> tuple[Delivery | None, bool]:
        """The delivery whose payload an answer names by its SHA-256, as the device could not read the id.

        :returns: it, and whether it was written in another version or encoding than the device is spoken to in now.
        """
        if ack.status is AckStatus.FAILED and len(ack.schedule_id) == _SHA256_DIGITS:
            for waiting in self._store.open_deliveries(ack.device_id):
                sent_in = self._publishing.agreement_of(waiting, ack.schedule_id)
                if sent_in is not None:
                    try:
                        return waiting, sent_in != self._publishing.agreement(self._store.hello(ack.device_id))
                    except NegotiationError:
                        return waiting, True
        return None, False

    def _executed(self, frame: Frame, result: ExecutionResult, now: datetime) -> list[CloudEvent]:
        delivery = self._store.delivery(result.schedule_id)
        if delivery is None or delivery.device_id != result.device_id:
            message = f"device {result.device_id} reported a slot of {result.schedule_id}, which was never sent to it"
            return [_refused(frame, ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, "/schedule_id")]
        if not delivery.start <= result.slot_start < result.slot_end <= delivery.end:
            message = f"{result.schedule_id} has no slot from {result.slot_start.isoformat()} to {result.slot_end.isoformat()}"
            return [_refused(frame, ErrorCode.MESSAGE_INVALID, message, "/slot_start")]
        return [ResultReceived(result=result)] if self._store.keep_result(result, now) else []

    def _happened(self, frame: Frame, event: ScheduleEvent, now: datetime) -> list[CloudEvent]:
        named = delivery_named_by(event)
        delivery = None if named is None else self._store.delivery(named)
        if named is not None and (delivery is None or delivery.device_id != event.device_id):
            message = f"device {event.device_id} told {event.event} of {named}, which was never sent to it"
            return [_refused(frame, ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, "/schedule_id")]
        if delivery is not None and delivery.schedule_id is not None and event.schedule_id not in (None, delivery.schedule_id):
            message = f"device {event.device_id} answered the cancel of {delivery.schedule_id} for {event.schedule_id}"
            return [_mistrusted(frame, message, "/schedule_id", {"sent": delivery.schedule_id, "answered": event.schedule_id})]
        told: list[CloudEvent] = [EventReceived(event=event)] if self._store.keep_event(event, now) else []
        if delivery is not None and delivery.kind is Kind.CANCEL:
            told += self._cancelled(delivery, event, now)
        return told

    def _cancelled(self, delivery: Delivery, event: ScheduleEvent, now: datetime) -> list[CloudEvent]:
        """The answer to a cancel: it is done, and the schedules of which nothing is left are CANCELLED; or it was refused."""
        if event.error is not None:
            again = event.error.retryable or _is_about_version(event.error)
            return self._move(delivery, Cause.FAILED_RETRYABLE if again else Cause.FAILED_FOR_GOOD, now, _words(event.error))
        told = self._move(delivery, Cause.APPLIED, now)
        cancel = message_of(delivery)
        if told and isinstance(cancel, Cancel):
            named = None if cancel.schedule_id is None else self._store.delivery(cancel.schedule_id)
            schedules = self._store.applied_deliveries(cancel.device_id, delivery.start) if named is None else [named]
            for schedule in schedules:
                if takes_back(cancel, schedule, now):
                    told += self._move(schedule, Cause.CANCELLED, now)
        return told

    def _reported(self, frame: Frame, status: DeviceStatus, now: datetime) -> list[CloudEvent]:
        if frame.retain and self._store.status(status.device_id) == status:
            return []
        self._store.keep_status(status, now)
        return [StatusReceived(status=status)]

    def _announced(self, frame: Frame, hello: Hello, now: datetime, under_way: Container[str]) -> list[CloudEvent]:
        """A device is online: what it has not answered is due at once, in what it speaks now."""
        if frame.retain and self._store.hello(hello.device_id) == hello:
            # The broker's copy of what is known, for who has just subscribed: the device said nothing now.
            return []
        self._store.keep_hello(hello, now)
        told: list[CloudEvent] = [DeviceAnnounced(hello=hello)]
        try:
            self._publishing.agreement(hello)
        except NegotiationError as error:
            told.append(DeviceUnreachable(device_id=hello.device_id, problem=error.problem))
        for delivery in self._store.open_deliveries(hello.device_id):
            if delivery.due_at > now and delivery.delivery_id not in under_way:
                self._store.put_delivery(msgspec.structs.replace(delivery, due_at=now))
        return told

    def _move(
        self,
        delivery: Delivery,
        cause: Cause,
        now: datetime,
        reason: str = "",
        *,
        least: timedelta = _AT_ONCE,
        at_once: bool = False,
    ) -> list[CloudEvent]:
        """Apply the transition table, store what it says, and tell.

        :param least: the least time until it is tried again, if it is.
        :param at_once: it need not wait any longer than that.
        """
        after = moved(delivery, cause, now, reason)
        if after is None:
            return []
        if after.state is State.FAILED:
            wait = _AT_ONCE if at_once else self._config.retry.wait(max(delivery.attempts, 1), self._uniform)
            after = msgspec.structs.replace(after, due_at=now + max(wait, least))
        self._store.put_delivery(after)
        return [DeliveryChanged.between(delivery, after)]


def _is_about_version(error: ErrorDetail | None) -> bool:
    return error is not None and error.known_code is ErrorCode.VERSION_UNSUPPORTED


def _words(error: ErrorDetail | None) -> str:
    """An error in one line that begins with its code; a third party's reason without a code alone."""
    if error is None:
        return ""
    where = f" at {error.path}" if error.path else ""
    code = "" if error.known_code is ErrorCode.INTERNAL_UNSPECIFIED else f"{error.code}: "
    return printable(f"{code}{error.message}{where}", MAX_WORDS_CHARS)


def _refused(frame: Frame, code: ErrorCode, message: str, path: str = "") -> MessageRefused:
    return MessageRefused(topic=frame.topic, problem=Problem(code=code, message=message, path=path))


def _mistrusted(frame: Frame, message: str, path: str, details: dict[str, str | None]) -> SecurityAlert:
    problem = Problem(code=ErrorCode.ORDER_CONFLICT, message=message, path=path, details=details)
    return SecurityAlert(topic=frame.topic, problem=problem)
