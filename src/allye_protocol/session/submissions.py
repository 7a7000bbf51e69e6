"""How a schedule enters the cloud's store: in order, once, and only if its device could take it.

1. The order of a device (``generated_at``, as version 1 has no sequence) rises strictly. A schedule from a time when the
   cloud's clock was wrong does not hold it (decision 17).
2. What a device would refuse for good is refused here, where somebody can still do something about it.
3. An older delivery that a newer schedule covers entirely is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol import topics
from allye_protocol.codec import decode, encode
from allye_protocol.delivery import Cause, Delivery, RetryPolicy, State, moved
from allye_protocol.errors import ErrorCode, RefusalError
from allye_protocol.messages import Kind, Schedule

if TYPE_CHECKING:
    from allye_protocol.store.cloud import CloudStore
    from allye_protocol.tracing import TraceContext

__all__ = ["CloudConfig", "Submissions"]


class CloudConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a cloud session works.

    :param root: the topics' root.
    :param group: the name that workers share who divide the fleet's messages among them; ``None`` for a single worker.
    :param retry: how a schedule is repeated.
    :param max_ahead: how far in the future a schedule may start; devices refuse more than they are configured for.
    :param max_skew: how far ahead of the cloud's clock a schedule may have been generated.
    """

    root: str = topics.DEFAULT_ROOT
    group: str | None = None
    retry: RetryPolicy = RetryPolicy()
    max_ahead: timedelta = timedelta(days=8)
    max_skew: timedelta = timedelta(minutes=5)


class Submissions:
    """The way into a store.

    :param store: where deliveries are kept.
    :param config: how far ahead is too far.
    """

    def __init__(self, store: CloudStore, config: CloudConfig) -> None:
        self._store: Final = store
        self._config: Final = config

    def order_for(self, device_id: str, now: datetime) -> datetime:
        """The ``generated_at`` of the next schedule for a device: now, or just after the newest one."""
        newest = self._newest(device_id, now)
        return now if newest is None else max(now, newest + timedelta(microseconds=1))

    def _newest(self, device_id: str, now: datetime) -> datetime | None:
        """The place in the order that the next schedule of a device has to be behind.

        One further ahead than ``max_skew`` was made while the cloud's clock was wrong, and no device whose clock is right has
        admitted it: it does not lock the device out until that time comes.
        """
        newest, latest = self._store.newest(device_id), now + self._config.max_skew
        if newest is None or newest <= latest:
            return newest
        orders = (delivery.generated_at for delivery in self._store.open_deliveries(device_id))
        return max((order for order in orders if order <= latest), default=None)

    def submit(self, schedule: Schedule, now: datetime, trace: TraceContext) -> Delivery:
        """See :meth:`allye_protocol.session.cloud.CloudSession.submit`."""
        schedule = msgspec.structs.replace(schedule, trace_id=trace.trace_id)
        with self._store.transaction():
            known = self._store.delivery(schedule.schedule_id)
            if known is not None:
                return self._same(known, schedule)
            self._check(schedule, now)
            self._supersede(schedule, now)
            delivery = Delivery(
                schedule_id=schedule.schedule_id,
                device_id=schedule.device_id,
                generated_at=schedule.generated_at,
                start=schedule.start,
                end=schedule.end,
                payload=encode(schedule),
                traceparent=trace.traceparent,
                state=State.PENDING,
                attempts=0,
                due_at=now,
                created_at=now,
            )
            self._store.put_delivery(delivery)
        return delivery

    def _check(self, schedule: Schedule, now: datetime) -> None:
        """Refuse what the device would refuse for good."""
        newest = self._newest(schedule.device_id, now)
        if newest is not None and schedule.generated_at <= newest:
            message = f"generated_at is not after that of the newest schedule for {schedule.device_id}, {newest.isoformat()}"
            raise RefusalError(ErrorCode.ORDER_STALE, message, path="/generated_at")
        if schedule.generated_at > now + self._config.max_skew:
            message = f"generated at {schedule.generated_at.isoformat()}, but it is {now.isoformat()}: check the clocks"
            raise RefusalError(ErrorCode.ORDER_IN_FUTURE, message, path="/generated_at")
        if schedule.end <= now:
            raise RefusalError(ErrorCode.TIME_EXPIRED, f"the last slot ended at {schedule.end.isoformat()}")
        if schedule.start > now + self._config.max_ahead:
            message = (
                f"starts at {schedule.start.isoformat()}, more than {self._config.max_ahead.days} days ahead: send it later"
            )
            raise RefusalError(ErrorCode.TIME_TOO_FAR, message, path="/intervals/0/start")

    def _supersede(self, schedule: Schedule, now: datetime) -> None:
        """Stop delivering what a newer schedule covers entirely: it need not wait behind a plan that nobody wants any more."""
        for older in self._store.open_deliveries(schedule.device_id):
            if schedule.start <= max(older.start, now) and older.end <= schedule.end:
                ended = moved(older, Cause.SUPERSEDED, now, older.reason)
                if ended is not None:
                    self._store.put_delivery(ended)

    def _same(self, known: Delivery, schedule: Schedule) -> Delivery:
        """The delivery that an id already has; the trace alone may differ."""
        before = decode(known.payload, Kind.SCHEDULE)
        if before != msgspec.structs.replace(schedule, trace_id=before.trace_id if isinstance(before, Schedule) else None):
            message = f"id {schedule.schedule_id} already names another content; make a new id"
            raise RefusalError(ErrorCode.ORDER_CONFLICT, message, path="/schedule_id")
        return known
