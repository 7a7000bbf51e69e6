"""What a device says: answers worded, ranked and put into the outbox, and frames made of its rows.

1. Everything travels on the device's own topics.
2. An answer to what cannot be read has no id to be repeated under. It is given at most so often, and gives way first when the
   outbox is full; the head of the message stays in the ring of refused messages in any case.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from allye_protocol import topics
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, encode
from allye_protocol.codec.peek import peek
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import Ack, AckStatus, ExecutionResult, Kind
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF, Message
from allye_protocol.store.base import DeviceStore, OutboxRow, Rank, Rejected
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from allye_protocol.errors import Problem

__all__ = ["MAX_UNREAD_ANSWERS", "UNREAD_INTERVAL", "Answers", "is_over"]

UNREAD_INTERVAL: Final = timedelta(seconds=60)
MAX_UNREAD_ANSWERS: Final = 60
"""How many messages that could not be read are answered in one interval; the others are kept in the ring alone."""
HEAD_BYTES: Final = 256


class Answers:
    """The voice of one device.

    :param device_id: whose.
    :param root: the topics' root.
    :param store: where the outbox and the ring are.
    :param random_bytes: where trace ids come from.
    """

    def __init__(self, device_id: DeviceId, root: str, store: DeviceStore, random_bytes: RandomBytes) -> None:
        self._device_id: Final = device_id
        self._store: Final = store
        self._random_bytes: Final = random_bytes
        self._topics: Final = {kind: topics.build(device_id, channel, root) for kind, channel in CHANNEL_OF.items()}
        self._unread_since: datetime | None = None
        self._unread_answers = 0

    def push(self, message: Ack | ExecutionResult, trace: TraceContext) -> None:
        """Put a message into the outbox, as the next step of a trace."""
        kind, child = BY_TYPE[type(message)].kind, trace.child(self._random_bytes)
        rank = self._rank_of(message) if isinstance(message, Ack) else Rank.RESULT
        self._store.push(kind, encode(message), child.traceparent, tracestate=child.tracestate, rank=rank)

    def refuse(self, frame: Frame, problem: Problem, now: datetime) -> tuple[str, TraceContext]:
        """Keep the head of what could not be read, and answer FAILED unless too many were in this interval.

        :returns: what the answer names, and the trace it belongs to.
        """
        names = peek(frame.payload)
        trace = TraceContext.from_frame(frame, self._random_bytes, names.trace_id)
        begins = is_over(self._unread_since, UNREAD_INTERVAL, now)
        with self._store.transaction():
            self._keep(frame, problem, now)
            if begins or self._unread_answers < MAX_UNREAD_ANSWERS:
                self.push(self._failure(names.reference, problem, now, trace), trace)
        if begins:
            self._unread_since, self._unread_answers = now, 0
        self._unread_answers += 1
        return names.reference, trace

    def store_failure(self, frame: Frame, problem: Problem, now: datetime) -> Frame:
        """The answer to a message that could not be stored: a frame, as there is no outbox to put it into."""
        names = peek(frame.payload)
        trace = TraceContext.from_frame(frame, self._random_bytes, names.trace_id)
        return self.frame(self._failure(names.reference, problem, now, trace), trace)

    def frame(self, message: Message, trace: TraceContext | None) -> Frame:
        """A message as a frame.

        :raises EncodeError: for one that no peer would accept.
        """
        return self._framed(BY_TYPE[type(message)].kind, encode(message), trace)

    def framed(self, row: OutboxRow) -> Frame:
        """A row of the outbox as a frame."""
        return self._framed(row.kind, row.payload, TraceContext.parse(row.traceparent, row.tracestate))

    def _framed(self, kind: Kind, payload: bytes, trace: TraceContext | None) -> Frame:
        channel = topics.CHANNELS[CHANNEL_OF[kind]]
        return Frame(
            topic=self._topics[kind],
            payload=payload,
            qos=channel.qos,
            retain=channel.retained,
            content_type=DEFAULT_CONTENT_TYPE,
            user_properties=trace.user_properties() if trace is not None else (),
        )

    def _keep(self, frame: Frame, problem: Problem, now: datetime) -> None:
        head, size = frame.payload[:HEAD_BYTES], len(frame.payload)
        topic = "".join(char if char.isprintable() else "?" for char in frame.topic[:HEAD_BYTES])
        rejected = Rejected(at=now, topic=topic, size_bytes=size, head=head, reason=problem.reason())
        self._store.keep_rejected(rejected)

    def _failure(self, reference: str, problem: Problem, now: datetime, trace: TraceContext) -> Ack:
        return Ack(
            schedule_id=ScheduleId(reference),
            device_id=self._device_id,
            status=AckStatus.FAILED,
            timestamp=now,
            error_reason=problem.reason(),
            trace_id=trace.trace_id,
        )

    def _rank_of(self, answer: Ack) -> Rank:
        if answer.status is not AckStatus.FAILED:
            return Rank.ANSWER
        known = self._store.entry(answer.schedule_id)
        return Rank.REFUSAL if known is not None and known.answer == answer else Rank.PASSING


def is_over(since: datetime | None, interval: timedelta, now: datetime) -> bool:
    """Whether an interval has ended, or never began; also when the clock was set back to before it."""
    return since is None or not timedelta(0) <= now - since < interval
