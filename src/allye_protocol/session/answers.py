"""What a device says: answers worded, ranked, written as the cloud reads them and put into the outbox; frames made of its rows.

1. Everything travels on the device's own topics.
2. A device speaks the version and encoding in which the cloud last spoke to it; before that, the oldest version that it has, in
   JSON. It reads every one at any time.
3. What waited in the outbox while the cloud changed is written anew. What the cloud's version has no message for is not said.
4. An answer to what cannot be read has no id to be repeated under. It is given at most so often, and gives way first when the
   outbox is full; the head of the message stays in the ring of refused messages in any case.
5. What is refused unread is named by the id that it says only where the cloud may be believed to have said it; else by the
   SHA-256 of its bytes, or a forged message would end a schedule. So is a cancel: under the id of the schedule that it names,
   the answer would say that the schedule has failed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from allye_protocol import topics
from allye_protocol.codec import DEFAULT_CONTENT_TYPE, content_types_of
from allye_protocol.codec.peek import Names, peek
from allye_protocol.convert import decode, encode
from allye_protocol.errors import DecodeError, EncodeError, ErrorCode, StoreError, printable
from allye_protocol.frame import Frame
from allye_protocol.ids import ScheduleId
from allye_protocol.messages import Ack, AckStatus, ErrorDetail, EventType, ExecutionResult, Kind, ScheduleEvent
from allye_protocol.messages.registry import BY_TYPE, CHANNEL_OF, NEWEST, Message
from allye_protocol.negotiation import Agreement
from allye_protocol.session.instants import is_over
from allye_protocol.store.base import DeviceStore, OutboxRow, Rank, Rejected
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from allye_protocol.errors import Problem
    from allye_protocol.messages import Hello

__all__ = ["MAX_UNREAD_ANSWERS", "UNREAD_INTERVAL", "Answers"]

UNREAD_INTERVAL: Final = timedelta(seconds=60)
MAX_UNREAD_ANSWERS: Final = 60
"""How many messages that could not be read are answered in one interval; the others are kept in the ring alone."""
HEAD_BYTES: Final = 256
_RANKS: Final = {Kind.EXECUTION_RESULT: Rank.RESULT, Kind.SCHEDULE_EVENT: Rank.EVENT}


class Answers:
    """The voice of one device.

    :param hello: whose, and which versions it speaks.
    :param root: the topics' root.
    :param store: where the outbox and the ring are.
    :param random_bytes: where trace ids come from.
    """

    def __init__(self, hello: Hello, root: str, store: DeviceStore, random_bytes: RandomBytes) -> None:
        self._device_id: Final = hello.device_id
        self._versions: Final = hello.versions
        self._store: Final = store
        self._random_bytes: Final = random_bytes
        self._topics: Final = {kind: topics.build(hello.device_id, channel, root) for kind, channel in CHANNEL_OF.items()}
        self._first: Final = Agreement(version=min(hello.versions, default=NEWEST), content_type=DEFAULT_CONTENT_TYPE)
        self._unread_since: datetime | None = None
        self._unread_answers = 0
        self._agreement: Agreement | None = None

    @property
    def agreement(self) -> Agreement:
        """How the cloud is spoken to."""
        if self._agreement is None:
            kept = self._store.agreement()
            self._agreement = kept if kept is not None and self._is_spoken(kept) else self._first
        return self._agreement

    def _is_spoken(self, agreement: Agreement) -> bool:
        """Whether it is still spoken here: firmware goes back to an older version, and an extra is not installed again."""
        return agreement.version in self._versions and agreement.content_type in content_types_of(agreement.version)

    def hear(self, agreement: Agreement) -> None:
        """The cloud has spoken so: it is spoken to likewise from now on."""
        if agreement != self.agreement:
            self._store.put_agreement(agreement)
            self._agreement = agreement

    def agreement_changed(self) -> None:
        """A transaction was undone: read the agreement anew."""
        self._agreement = None

    def push(self, message: Ack | ExecutionResult | ScheduleEvent, trace: TraceContext) -> None:
        """Put a message into the outbox, as the next step of a trace."""
        kind, child = BY_TYPE[type(message)].kind, trace.child(self._random_bytes)
        written = _written(message, self.agreement)
        if written is not None:
            payload, agreement = written
            rank = self._rank_of(message, kind)
            self._store.push(kind, payload, agreement, child.traceparent, tracestate=child.tracestate, rank=rank)

    def refuse(self, frame: Frame, problem: Problem, now: datetime, *, by_id: bool) -> tuple[str, TraceContext]:
        """Keep the head of what could not be read, and answer FAILED unless too many were in this interval.

        :param by_id: whether the id that the message says may be believed.
        :returns: what the answer names, and the trace it belongs to.
        """
        names = self._names_in(frame, by_id=by_id)
        trace = TraceContext.from_frame(frame, self._random_bytes, names.trace_id)
        begins = is_over(self._unread_since, UNREAD_INTERVAL, now)
        with self._store.transaction():
            self._keep(frame, problem, now)
            if begins or self._unread_answers < MAX_UNREAD_ANSWERS:
                self.push(self._failure(names, problem, now, trace), trace)
        if begins:
            self._unread_since, self._unread_answers = now, 0
        self._unread_answers += 1
        return names.reference, trace

    def store_failure(self, frame: Frame, problem: Problem, now: datetime) -> Frame:
        """The answer to a message that could not be stored: a frame, as there is no outbox to put it into."""
        names = self._names_in(frame, by_id=True)
        trace = TraceContext.from_frame(frame, self._random_bytes, names.trace_id)
        failure = self._failure(names, problem, now, trace)
        agreement = self._first
        with suppress(StoreError):
            agreement = self.agreement
        payload = encode(failure, agreement.content_type, version=agreement.version)
        return self._framed(Kind.ACK, payload, agreement.content_type, trace)

    def frame(self, message: Message, trace: TraceContext | None = None) -> Frame:
        """A message as a frame: in the newest version, in the cloud's encoding where that version is spoken.

        :raises EncodeError: for one that no peer would accept.
        :raises StoreError: how the cloud speaks cannot be read; a hello is the same whatever it speaks.
        """
        spec, content_type = BY_TYPE[type(message)], DEFAULT_CONTENT_TYPE
        if spec.version and self.agreement.version == spec.version:
            content_type = self.agreement.content_type
        return self._framed(spec.kind, encode(message, content_type), content_type, trace)

    def framed(self, row: OutboxRow, agreement: Agreement) -> Frame | None:
        """A row of the outbox as a frame for a cloud that is spoken to so; ``None`` for what it has no message for."""
        payload, written_as = row.payload, row.agreement
        if written_as != agreement and written_as.version >= agreement.version:
            with suppress(DecodeError):  # a row that the disk has spoiled goes as it is: the others are not to wait for it
                written = _written(decode(payload, row.kind, written_as.content_type), agreement)
                if written is None:
                    return None
                payload, written_as = written
        trace = TraceContext.parse(row.traceparent, row.tracestate)
        return self._framed(row.kind, payload, written_as.content_type, trace)

    def _framed(self, kind: Kind, payload: bytes, content_type: str, trace: TraceContext | None) -> Frame:
        channel = topics.CHANNELS[CHANNEL_OF[kind]]
        return Frame(
            topic=self._topics[kind],
            payload=payload,
            qos=channel.qos,
            retain=channel.retained,
            content_type=content_type,
            user_properties=trace.user_properties() if trace is not None else (),
        )

    def _names_in(self, frame: Frame, *, by_id: bool) -> Names:
        names = peek(frame.payload)
        if by_id and frame.topic != self._topics[Kind.CANCEL]:
            return names
        return names._replace(reference=sha256(frame.payload).hexdigest())

    def _keep(self, frame: Frame, problem: Problem, now: datetime) -> None:
        head, size = frame.payload[:HEAD_BYTES], len(frame.payload)
        topic = printable(frame.topic, HEAD_BYTES)
        rejected = Rejected(at=now, topic=topic, size_bytes=size, head=head, reason=problem.reason())
        self._store.keep_rejected(rejected)

    def _failure(self, names: Names, problem: Problem, now: datetime, trace: TraceContext) -> Ack:
        return Ack(
            schedule_id=ScheduleId(names.reference),
            device_id=self._device_id,
            version=2,
            status=AckStatus.FAILED,
            timestamp=now,
            error=ErrorDetail.of(problem),
            retryable=problem.code.retryable,
            supported_versions=tuple(sorted(self._versions)) if problem.code is ErrorCode.VERSION_UNSUPPORTED else (),
            traceparent=trace.traceparent,
        )

    def _rank_of(self, message: Message, kind: Kind) -> Rank:
        if isinstance(message, ScheduleEvent) and message.event is EventType.CANCELLED:
            return Rank.ANSWER
        if not isinstance(message, Ack):
            return _RANKS[kind]
        if message.status is not AckStatus.FAILED:
            return Rank.ANSWER
        known = self._store.entry(message.schedule_id)
        return Rank.REFUSAL if known is not None and known.answer == message else Rank.PASSING


def _written(message: Message, agreement: Agreement) -> tuple[bytes, Agreement] | None:
    """A message as the cloud reads it, and how; ``None`` where its version has no such message."""
    try:
        return encode(message, agreement.content_type, version=agreement.version), agreement
    except EncodeError as error:
        if error.code is not ErrorCode.VERSION_DOWNGRADE_LOSES:
            raise
    if isinstance(message, ScheduleEvent):
        return None
    # A slot that is no half-hour was planned by a cloud that spoke a newer version: what it wants to know it can read.
    newest = Agreement(version=NEWEST, content_type=DEFAULT_CONTENT_TYPE)
    return encode(message, newest.content_type), newest
