"""The life of one schedule on the cloud's side, as a transition table.

1. PENDING, SENT, RECEIVED, then APPLIED, FAILED, EXPIRED, DEAD or SUPERSEDED. States only move forward: what is not in the
   table changes nothing. A late RECEIVED after APPLIED is recorded and changes nothing.
2. A PUBACK is neither delivery nor durability: only the device's answer moves a schedule beyond SENT.
3. FAILED with a retryable code does not end anything: the schedule is repeated. With any other code it is DEAD at once: the
   dead-letter list, from which only a new schedule is made.
4. A repetition waits ``uniform(0, min(cap, base * 2**n))`` (full jitter), so that a fleet that failed together does not come
   back together.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from allye_protocol.messages import AckStatus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OPEN", "TRANSITIONS", "Cause", "Delivery", "RetryPolicy", "State", "cause_of", "moved"]


class State(StrEnum):
    """How far a schedule has come, as the cloud knows it."""

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


class Cause(StrEnum):
    """What can move a delivery."""

    PUBLISHED = "published"
    RECEIVED = "received"
    APPLIED = "applied"
    FAILED_RETRYABLE = "failed_retryable"
    FAILED_FOR_GOOD = "failed_for_good"
    HORIZON_PASSED = "horizon_passed"
    SUPERSEDED = "superseded"


OPEN: Final = (State.PENDING, State.SENT, State.RECEIVED, State.FAILED)
"""The states in which the cloud still works on a schedule."""

TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.PENDING, Cause.PUBLISHED): State.SENT,
    **{(state, Cause.RECEIVED): State.RECEIVED for state in (State.PENDING, State.SENT, State.FAILED)},
    **{(state, Cause.APPLIED): State.APPLIED for state in (*OPEN, State.EXPIRED, State.DEAD)},
    **{(state, Cause.FAILED_RETRYABLE): State.FAILED for state in OPEN},
    **{(state, Cause.FAILED_FOR_GOOD): State.DEAD for state in OPEN},
    **{(state, Cause.HORIZON_PASSED): State.EXPIRED for state in OPEN},
    **{(state, Cause.SUPERSEDED): State.SUPERSEDED for state in OPEN},
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
    """One schedule on its way to its device.

    :param schedule_id: the schedule.
    :param device_id: its device.
    :param generated_at: its place in the order of the device's schedules.
    :param start: first instant of its horizon.
    :param end: the instant after its horizon; repeating stops there.
    :param payload: the schedule as JSON of the newest version.
    :param traceparent: the W3C trace context that it travels with.
    :param state: how far it has come.
    :param attempts: how often it was published.
    :param due_at: when it is to be published next.
    :param created_at: when it was stored; ``sent_at``, ``received_at``, ``settled_at``: when it was first published, first
        answered, and settled.
    :param alarmed: the alarm for it was raised.
    :param reason: the device's words with the last FAILED.
    """

    schedule_id: str
    device_id: str
    generated_at: datetime
    start: datetime
    end: datetime
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
