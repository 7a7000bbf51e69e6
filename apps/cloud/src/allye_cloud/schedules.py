"""From a day's plan to the schedules that carry it.

1. A schedule's id follows from device, local day, revision and piece, so publishing the same day again after a crash names the
   same schedules, and what is there already is left alone.
2. A plan that changed is published as the next revision of the day, under new ids and later in the device's order.
3. A local day of 50 half-hours is two pieces, which the session sends one after the other: so a device can take it in whatever
   version it speaks when its turn comes. Both belong to one trace.
4. A piece whose last slot is over is not sent any more.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.books import Publication
from allye_cloud.split import split
from allye_protocol.delivery import State
from allye_protocol.digest import digest
from allye_protocol.ids import DeviceId, ScheduleId, schedule_id
from allye_protocol.messages import Schedule
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from allye_cloud.books import Books, DayPlan
    from allye_protocol.delivery import Delivery
    from allye_protocol.session import CloudSession
    from allye_protocol.store.cloud import CloudStore
    from allye_protocol.tracing import RandomBytes

__all__ = ["Outcome", "Submitted", "id_for", "submit_plans"]

_DEVICE_CHARS: Final = 40
_DIGEST_CHARS: Final = 12
_A_TRANSACTION: Final = 200
"""Device-days that are submitted in one transaction."""


class Outcome(StrEnum):
    """What became of a device's day that was to be published."""

    SUBMITTED = "submitted"
    UNCHANGED = "unchanged"
    """It was submitted before, with this content."""
    OVER = "over"
    """Its last slot has ended."""


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """One device's day after publishing.

    :param device_id: the device.
    :param outcome: what was done.
    :param schedule_ids: the schedules that carry what is left of the day, in order.
    """

    device_id: str
    outcome: Outcome
    schedule_ids: tuple[str, ...]


def id_for(device_id: str, day: date, revision: int, piece: int) -> ScheduleId:
    """The id of a schedule.

    :param device_id: the device; a long name is shortened, with a digest of the whole behind it.
    :param day: the local day that is planned.
    :param revision: 1 for the first plan of the day that is published.
    :param piece: 1 for the first piece.
    """
    name = device_id
    if len(name) > _DEVICE_CHARS:
        digest = sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
        name = f"{name[: _DEVICE_CHARS - _DIGEST_CHARS - 1]}-{digest}"
    return schedule_id(f"{name}_{day:%Y%m%d}_r{revision}_p{piece}")


def submit_plans(
    session: CloudSession,
    store: CloudStore,
    books: Books,
    plans: Sequence[DayPlan],
    now: datetime,
    *,
    random_bytes: RandomBytes,
    redrive: bool = False,
) -> list[Submitted]:
    """Hand the plans of one local day to the session, as far as they are new.

    Plans are submitted a few hundred at a time; a call that failed in the middle is repeated without harm.

    :param plans: of the same day.
    :param now: the time.
    :param random_bytes: where trace ids come from.
    :param redrive: make a new revision also where the content is the same and the device refused it for good.
    :raises StoreError: what the transactions before this one submitted stays submitted.
    """
    if not plans:
        return []
    published = {name: list(rows) for name, rows in groupby(books.publications(plans[0].day), key=lambda row: row.device_id)}
    done: list[Submitted] = []
    for some in (plans[i : i + _A_TRANSACTION] for i in range(0, len(plans), _A_TRANSACTION)):
        with store.transaction():
            store.expect([row.schedule_id for plan in some for row in published.get(plan.device_id, ())])
            publications: list[Publication] = []
            for plan in some:
                before = published.get(plan.device_id, [])
                last = before[-1].revision if before else 0
                newest = [row for row in before if row.revision == last]
                drafts = _drafts(plan, last + 1, now)
                known = {row.piece: store.delivery(row.schedule_id) for row in newest}
                if not drafts:
                    done.append(_submitted(plan, Outcome.OVER, []))
                elif all(_says(known.get(piece), draft, redrive=redrive) for piece, draft in drafts.items()):
                    ids = [row.schedule_id for row in newest if row.piece in drafts]
                    done.append(_submitted(plan, Outcome.UNCHANGED, ids))
                else:
                    trace = TraceContext.start(random_bytes)
                    for piece, draft in drafts.items():
                        in_order = msgspec.structs.replace(draft, sequence=session.sequence_for(plan.device_id, now))
                        session.submit(in_order, now, trace.child(random_bytes))
                        publications.append(_publication(plan, last + 1, piece))
                    done.append(_submitted(plan, Outcome.SUBMITTED, [draft.schedule_id for draft in drafts.values()]))
            books.put_publications(publications)
    return done


def _publication(plan: DayPlan, revision: int, piece: int) -> Publication:
    name = id_for(plan.device_id, plan.day, revision, piece)
    return Publication(schedule_id=name, day=plan.day, device_id=plan.device_id, revision=revision, piece=piece)


def _drafts(plan: DayPlan, revision: int, now: datetime) -> dict[int, Schedule]:
    """The pieces of a plan that are not over, by their number, as schedules whose place in the order is still to be set."""
    return {
        number: Schedule(
            schedule_id=id_for(plan.device_id, plan.day, revision, number),
            device_id=DeviceId(plan.device_id),
            version=2,
            sequence=1,
            generated_at=now,
            start=piece.start,
            rates_w=piece.watts,
        )
        for number, piece in enumerate(split(plan.start, plan.watts), 1)
        if piece.end > now
    }


def _says(delivery: Delivery | None, draft: Schedule, *, redrive: bool) -> bool:
    """Whether what was submitted has the content of a draft, and need not be made anew."""
    if delivery is None or (redrive and delivery.state is State.DEAD):
        return False
    return delivery.digest == digest(draft)


def _submitted(plan: DayPlan, outcome: Outcome, schedule_ids: Sequence[str]) -> Submitted:
    return Submitted(device_id=plan.device_id, outcome=outcome, schedule_ids=tuple(schedule_ids))
