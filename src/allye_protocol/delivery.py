"""The life of one schedule or one cancel on the cloud's side, as a transition table.

1. PENDING, SENT, RECEIVED, then APPLIED, FAILED, EXPIRED, DEAD, SUPERSEDED or CANCELLED. States only move forward: what is not
   in the table changes nothing. A late RECEIVED after APPLIED is recorded and changes nothing.
2. A PUBACK is neither delivery nor durability: only the device's answer moves a delivery beyond SENT.
3. FAILED with a retryable code does not end anything: the delivery is repeated. With any other code it is DEAD at once: the
   dead-letter list, from which only a new schedule is made.
4. A repetition waits ``uniform(0, min(cap, base * 2**n))`` (full jitter), so that a fleet that failed together does not come
   back together.
5. A cancel is a delivery of its own. APPLIED means that the device has taken back what it names; then the schedule's own
   delivery is CANCELLED.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from allye_protocol.codec import MSGPACK
from allye_protocol.convert import decode
from allye_protocol.errors import DecodeError, ErrorCode, StoreError
from allye_protocol.messages import AckStatus, Cancel, Kind, Schedule
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "OPEN",
    "STORED_CONTENT_TYPE",
    "TRANSITIONS",
    "Cause",
    "Delivery",
    "RetryPolicy",
    "State",
    "cancel_id",
    "cause_of",
    "message_of",
    "moved",
]

STORED_CONTENT_TYPE: Final = MSGPACK
"""The encoding of :attr:`Delivery.payload`, which is of the newest version."""


class State(StrEnum):
    """How far a delivery has come, as the cloud knows it."""

    PENDING = "PENDING"
    SENT = "SENT"
    RECEIVED = "RECEIVED"
    APPLIED = "APPLIED"
    FAILED = "FAILED"
    """Failed on the device for a reason that a retry can mend; being repeated."""
    EXPIRED = "EXPIRED"
    DEAD = "DEAD"
    SUPERSEDED = "SUPERSEDED"
    """A newer schedule covers all that was left of it."""
    CANCELLED = "CANCELLED"
    """A cancel took it back: before it was settled, or the device has said so."""


class Cause(StrEnum):
    """What can move a delivery."""

    PUBLISHED = "published"
    RECEIVED = "received"
    APPLIED = "applied"
    FAILED_RETRYABLE = "failed_retryable"
    FAILED_FOR_GOOD = "failed_for_good"
    HORIZON_PASSED = "horizon_passed"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


OPEN: Final = (State.PENDING, State.SENT, State.RECEIVED, State.FAILED)
"""The states in which the cloud still works on a delivery."""

TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.PENDING, Cause.PUBLISHED): State.SENT,
    **{(state, Cause.RECEIVED): State.RECEIVED for state in (State.PENDING, State.SENT, State.FAILED)},
    **{(state, Cause.APPLIED): State.APPLIED for state in (*OPEN, State.EXPIRED, State.DEAD)},
    **{(state, Cause.FAILED_RETRYABLE): State.FAILED for state in OPEN},
    **{(state, Cause.FAILED_FOR_GOOD): State.DEAD for state in OPEN},
    **{(state, Cause.HORIZON_PASSED): State.EXPIRED for state in OPEN},
    **{(state, Cause.SUPERSEDED): State.SUPERSEDED for state in OPEN},
    **{(state, Cause.CANCELLED): State.CANCELLED for state in (*OPEN, State.APPLIED)},
}
"""Where a cause leads from a state; what is not here changes nothing. An APPLIED that comes after EXPIRED or DEAD still tells
the truth about the device, so it counts."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the cloud repeats a schedule until the device answers.

    :param base: the longest first wait.
    :param cap: the longest wait of all.
    :param alarm_before: how long before the first slot an alarm is raised for a schedule that is not APPLIED.
    """

    base: timedelta = timedelta(seconds=30)
    cap: timedelta = timedelta(seconds=900)
    alarm_before: timedelta = timedelta(minutes=30)

    def wait(self, attempts: int, uniform: Callable[[float, float], float]) -> timedelta:
        """How long to wait after the ``attempts``-th publish (1 is the first) before the next one."""
        longest = min(self.cap, self.base * 2 ** min(attempts - 1, 20))
        return timedelta(seconds=uniform(0.0, longest.total_seconds()))


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule, or one cancel, on its way to its device.

    :param kind: schedule or cancel.
    :param schedule_id: the schedule; of a cancel the one that it takes back, ``None`` for everything from an instant on.
    :param device_id: its device.
    :param sequence: its place in the order of all that the device is asked.
    :param digest: what a schedule means, hashed (:func:`allye_protocol.digest.digest`); ``None`` for a cancel.
    :param start: first instant of its horizon; of a cancel the instant from which on it counts.
    :param end: the instant after its horizon.
    :param until: repeating stops here: at the end, or before it where the schedule expires or is taken back from then on.
    :param payload: the message, of the newest version in :data:`STORED_CONTENT_TYPE`; :func:`message_of` reads it.
    :param traceparent: the W3C trace context that it travels with.
    :param state: how far it has come.
    :param attempts: how often it was published.
    :param due_at: when it is to be published next.
    :param created_at: when it was stored; ``sent_at``, ``received_at``, ``settled_at``: when it was first published, first
        answered, and settled.
    :param alarmed: the alarm for it was raised.
    :param reason: the device's words with the last FAILED.
    :param held: why it cannot be sent in what the device speaks now; empty when it can.
    """

    kind: Kind
    schedule_id: str | None
    device_id: str
    sequence: int
    digest: str | None
    start: datetime
    end: datetime
    until: datetime
    payload: bytes
    traceparent: str
    state: State
    attempts: int
    due_at: datetime
    created_at: datetime
    sent_at: datetime | None = None
    received_at: datetime | None = None
    settled_at: datetime | None = None
    alarmed: bool = False
    reason: str = ""
    held: str = ""

    @property
    def delivery_id(self) -> str:
        """What names it in a store and between session and app: the schedule's id, or :func:`cancel_id`."""
        if self.kind is Kind.SCHEDULE and self.schedule_id is not None:
            return self.schedule_id
        return cancel_id(self.device_id, self.sequence)

    @property
    def trace_id(self) -> str:
        """The trace it belongs to; empty where :attr:`traceparent` is none."""
        trace = TraceContext.parse(self.traceparent)
        return "" if trace is None else trace.trace_id


def cancel_id(device_id: str, sequence: int) -> str:
    """What names the delivery of a cancel. No schedule has such an id."""
    return f"{device_id}#{sequence}"


def message_of(delivery: Delivery) -> Schedule | Cancel:
    """The schedule or cancel that a delivery carries.

    :raises StoreError: ``store.corrupt`` when it is not what was stored.
    """
    try:
        return cast("Schedule | Cancel", decode(delivery.payload, delivery.kind, STORED_CONTENT_TYPE))
    except DecodeError as error:
        message = f"what is stored of {delivery.delivery_id} cannot be read ({error}): submit it again under another id"
        raise StoreError(ErrorCode.STORE_CORRUPT, message) from None


class _Step(NamedTuple):
    status: AckStatus
    retryable: bool


def cause_of(status: AckStatus, *, retryable: bool) -> Cause:
    """What an acknowledgement means for a delivery."""
    return _CAUSES[_Step(status, retryable and status is AckStatus.FAILED)]


_CAUSES: Final = {
    _Step(AckStatus.RECEIVED, retryable=False): Cause.RECEIVED,
    _Step(AckStatus.APPLIED, retryable=False): Cause.APPLIED,
    _Step(AckStatus.FAILED, retryable=False): Cause.FAILED_FOR_GOOD,
    _Step(AckStatus.FAILED, retryable=True): Cause.FAILED_RETRYABLE,
}
_ANSWERS: Final = frozenset(_CAUSES.values())


def moved(delivery: Delivery, cause: Cause, now: datetime, reason: str = "") -> Delivery | None:
    """A delivery after something happened to it, by the transition table.

    :param now: when it happened.
    :param reason: the device's words, if it was the device.
    :returns: ``None`` when it changes nothing.
    """
    after = TRANSITIONS.get((delivery.state, cause))
    if after is None:
        return None
    return msgspec.structs.replace(
        delivery,
        state=after,
        reason=reason,
        received_at=delivery.received_at or (now if cause in _ANSWERS else None),
        settled_at=None if after in OPEN else now,
    )
