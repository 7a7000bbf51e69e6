"""How a schedule or a cancel enters the cloud's store: in order, once, and only if its device could take it.

1. The sequence of a device rises strictly, for schedules and cancels together. One from a time when the cloud's clock was wrong
   does not hold it (decision 17).
2. What a device would refuse for good is refused here, where somebody can still do something about it.
3. An older delivery that a newer schedule covers entirely is over; so is one that a cancel takes back entirely.
4. A cancel waits behind what is left of older deliveries, as everything does, and nothing supersedes it: that a schedule was
   replaced in the plan is known only when the device has said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from allye_protocol.convert import downgrade, encode
from allye_protocol.delivery import STORED_CONTENT_TYPE, Cause, Delivery, State, moved
from allye_protocol.digest import digest
from allye_protocol.errors import EncodeError, ErrorCode, NegotiationError, RefusalError
from allye_protocol.ids import DeviceId, ScheduleId
from allye_protocol.messages import NEWEST, Cancel, Kind, Schedule, sequence_at
from allye_protocol.messages.v2 import RESOLUTIONS_S
from allye_protocol.negotiation import agreement_with
from allye_protocol.tracing import RandomBytes, TraceContext

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.messages import Hello
    from allye_protocol.session.cloud_config import CloudConfig
    from allye_protocol.store.cloud import CloudStore

__all__ = ["Submissions", "takes_back"]


class Submissions:
    """The way into a store.

    :param store: where deliveries are kept.
    :param config: how far ahead is too far, and what the cloud speaks.
    :param random_bytes: where trace ids come from.
    """

    def __init__(self, store: CloudStore, config: CloudConfig, random_bytes: RandomBytes) -> None:
        self._store: Final = store
        self._config: Final = config
        self._random_bytes: Final = random_bytes

    def sequence_for(self, device_id: str, now: datetime) -> int:
        """See :meth:`allye_protocol.session.cloud.CloudSession.sequence_for`."""
        last = self._last(device_id, now)
        return max(1 if last is None else last + 1, sequence_at(now))

    def _last(self, device_id: str, now: datetime) -> int | None:
        """The sequence that the next one of a device has to be above.

        One further ahead than ``max_skew`` was made while the cloud's clock was wrong, and no device whose clock is right has
        admitted it: it does not lock the device out until that time comes.
        """
        return self._store.last_sequence(device_id, sequence_at(now + self._config.max_skew))

    def submit(self, schedule: Schedule, now: datetime, trace: TraceContext | None) -> Delivery:
        """See :meth:`allye_protocol.session.cloud.CloudSession.submit`."""
        trace = trace or _trace_of(schedule) or TraceContext.start(self._random_bytes)
        schedule = msgspec.structs.replace(schedule, traceparent=trace.traceparent)
        payload, meaning = encode(schedule, STORED_CONTENT_TYPE), digest(schedule)
        with self._store.transaction():
            last = self._last(schedule.device_id, now)  # from here on nobody else submits for the device
            known = self._store.delivery(schedule.schedule_id)
            if known is not None:
                if known.digest != meaning:
                    message = f"id {schedule.schedule_id} already names another content; make a new id"
                    details = {"digest": meaning, "known": known.digest}
                    raise RefusalError(ErrorCode.ORDER_CONFLICT, message, path="/schedule_id", details=details)
                return known
            self._check(schedule, last, now)
            self._check_is_taken(schedule)
            if not schedule.dry_run:
                self._supersede(schedule, now)
            delivery = Delivery(
                kind=Kind.SCHEDULE,
                schedule_id=schedule.schedule_id,
                device_id=schedule.device_id,
                sequence=schedule.sequence,
                digest=meaning,
                start=schedule.start,
                end=schedule.end,
                until=_expiry(schedule),
                payload=payload,
                traceparent=trace.traceparent,
                state=State.PENDING,
                attempts=0,
                due_at=now,
                created_at=now,
            )
            self._store.put_delivery(delivery)
        return delivery

    def _check(self, schedule: Schedule, last: int | None, now: datetime) -> None:
        """Refuse what the device would refuse for good.

        :param last: the sequence that this one has to be above.
        """
        if last is not None and schedule.sequence <= last:
            message = f"sequence {schedule.sequence} is not above {last}, the last for {schedule.device_id}: ask for the next"
            raise RefusalError(ErrorCode.ORDER_STALE, message, path="/sequence", details={"sequence": last})
        if schedule.sequence > sequence_at(now + self._config.max_skew):
            message = f"sequence {schedule.sequence} is ahead of {sequence_at(now)}, which is now: check the clocks"
            raise RefusalError(ErrorCode.ORDER_IN_FUTURE, message, path="/sequence")
        if _expiry(schedule) <= now:
            over = f"the last slot ended at {schedule.end.isoformat()}"
            expired = f"it expired at {_expiry(schedule).isoformat()}"
            raise RefusalError(ErrorCode.TIME_EXPIRED, over if schedule.end <= now else expired)
        if schedule.start > now + self._config.max_ahead:
            message = (
                f"starts at {schedule.start.isoformat()}, more than {self._config.max_ahead.days} days ahead: send it later"
            )
            raise RefusalError(ErrorCode.TIME_TOO_FAR, message, path="/start")

    def _check_is_taken(self, schedule: Schedule) -> None:
        """Refuse what the device, by its newest hello, cannot be told or does not take."""
        hello = self._store.hello(schedule.device_id)
        version = self._version_with(hello)
        if version is None:
            return
        downgrade(schedule, version)
        lengths = hello.capabilities.slot_lengths_s if hello is not None and version == NEWEST else RESOLUTIONS_S
        if schedule.resolution_s not in lengths:
            taken = ", ".join(map(str, lengths))
            message = f"slots of {schedule.resolution_s} s; device {schedule.device_id} takes {taken} s"
            raise RefusalError(ErrorCode.TIME_BAD_DURATION, message, path="/resolution_s")

    def _version_with(self, hello: Hello | None) -> int | None:
        """The version that a device is spoken to in now; ``None`` while there is no common one."""
        try:
            return agreement_with(hello, self._config.offer).version
        except NegotiationError:
            return None

    def _supersede(self, schedule: Schedule, now: datetime) -> None:
        """Stop delivering what a newer schedule covers entirely: it need not wait behind a plan that nobody wants any more."""
        for older in self._store.open_deliveries(schedule.device_id):
            covered = schedule.start <= max(older.start, now) and older.end <= schedule.end
            if covered and older.kind is Kind.SCHEDULE:
                self._end(older, Cause.SUPERSEDED, now)

    def cancel(
        self,
        device_id: str,
        now: datetime,
        *,
        schedule_id: str | None,
        effective_from: datetime | None,
        reason: str | None,
        trace: TraceContext | None,
    ) -> Delivery:
        """See :meth:`allye_protocol.session.cloud.CloudSession.cancel`."""
        with self._store.transaction():
            sequence = self.sequence_for(device_id, now)  # from here on nobody else submits for the device
            named = None if schedule_id is None else self._named(schedule_id, device_id)
            trace = trace or (named and TraceContext.parse(named.traceparent)) or TraceContext.start(self._random_bytes)
            cancel = Cancel(
                device_id=DeviceId(device_id),
                version=2,
                sequence=sequence,
                schedule_id=None if schedule_id is None else ScheduleId(schedule_id),
                effective_from=effective_from,
                reason=reason,
                traceparent=trace.traceparent,
            )
            payload = encode(cancel, STORED_CONTENT_TYPE)
            begins = cancel.begins(now)
            end = begins + self._config.max_ahead if named is None else named.end
            if named is not None and begins >= end:
                message = f"{schedule_id} ends at {end.isoformat()}: there is nothing of it left to take back"
                raise RefusalError(ErrorCode.TIME_EXPIRED, message)
            self._check_can_be_said(cancel)
            self._take_back(cancel, begins, now)
            delivery = Delivery(
                kind=Kind.CANCEL,
                schedule_id=schedule_id,
                device_id=device_id,
                sequence=cancel.sequence,
                digest=None,
                start=begins,
                end=end,
                until=end,
                payload=payload,
                traceparent=trace.traceparent,
                state=State.PENDING,
                attempts=0,
                due_at=now,
                created_at=now,
            )
            self._store.put_delivery(delivery)
        return delivery

    def _check_can_be_said(self, cancel: Cancel) -> None:
        version = self._version_with(self._store.hello(cancel.device_id))
        try:
            if version is not None:
                downgrade(cancel, version)
        except EncodeError as error:
            message = (
                f"device {cancel.device_id} speaks version {version}, which has no cancel: "
                "submit a schedule with a rate of 0 for the slots that are not to be executed"
            )
            raise EncodeError(error.code, message, details=error.details) from None

    def _named(self, schedule_id: str, device_id: str) -> Delivery:
        named = self._store.delivery(schedule_id)
        if named is None or named.kind is not Kind.SCHEDULE or named.device_id != device_id:
            message = f"{schedule_id} was never submitted for device {device_id}"
            raise RefusalError(ErrorCode.ORDER_UNKNOWN_SCHEDULE, message, path="/schedule_id")
        return named

    def _take_back(self, cancel: Cancel, begins: datetime, now: datetime) -> None:
        """Stop delivering what is taken back entirely, and the rest when the cancel begins to count."""
        for older in self._store.open_deliveries(cancel.device_id):
            if older.kind is not Kind.SCHEDULE or cancel.schedule_id not in (None, older.schedule_id):
                continue
            if begins <= max(older.start, now):
                self._end(older, Cause.CANCELLED, now)
            elif begins < older.until:
                self._store.put_delivery(msgspec.structs.replace(older, until=begins))

    def _end(self, delivery: Delivery, cause: Cause, now: datetime) -> None:
        ended = moved(delivery, cause, now, delivery.reason)
        if ended is not None:
            self._store.put_delivery(ended)


def takes_back(cancel: Cancel, schedule: Delivery, now: datetime) -> bool:
    """Whether a schedule is CANCELLED once its device has confirmed a cancel.

    It is when the cancel names it, from whatever instant on, or when nothing is left of it.

    :param cancel: the cancel.
    :param schedule: the delivery of a schedule for the same device.
    :param now: when the device has confirmed it.
    """
    if cancel.schedule_id is not None:
        return cancel.schedule_id == schedule.schedule_id
    return schedule.sequence < cancel.sequence and cancel.begins(now) <= max(schedule.start, now)


def _trace_of(schedule: Schedule) -> TraceContext | None:
    return None if schedule.traceparent is None else TraceContext.parse(schedule.traceparent)


def _expiry(schedule: Schedule) -> datetime:
    """The instant from which on a device no longer admits a schedule."""
    return schedule.end if schedule.expires_at is None else min(schedule.end, schedule.expires_at)
