"""One device's session over a store, and what it said, for the tests of everything that makes a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from allye_protocol.convert import decode
from allye_protocol.events import DeviceEvent, EventReported
from allye_protocol.messages import ExecutionResult, ScheduleEvent
from allye_protocol.session import DeviceSession
from tests.builders import CONFIG, HELLO, NOON, SLOT, frame_of, seeded

if TYPE_CHECKING:
    from datetime import datetime

    from allye_protocol.messages import EventType, Schedule, Written
    from allye_protocol.store import DeviceStore

__all__ = ["NOW", "apply", "config_of", "events_in", "kinds", "receive", "results_in", "sent", "session_over", "statuses"]

NOW = NOON - SLOT


def session_over(store: Any, config: Any = CONFIG, **others: Any) -> DeviceSession:
    """A session, as a start of the device makes it."""
    return DeviceSession(config, store, random_bytes=seeded(), **others)


def config_of(**hello: Any) -> Any:
    """The device's configuration with another hello."""
    return msgspec.structs.replace(CONFIG, hello=msgspec.structs.replace(HELLO, **hello))


def receive(session: DeviceSession, message: Written, now: datetime = NOW, **others: Any) -> list[DeviceEvent]:
    """A message from the cloud, as it is written."""
    return session.receive(frame_of(message, **others), now)


def apply(session: DeviceSession, *schedules: Schedule, now: datetime = NOW) -> None:
    """Schedules that are admitted and that the battery takes."""
    for each in schedules:
        receive(session, each, now)
        session.applied(each.schedule_id, now)


def sent(store: DeviceStore) -> list[Any]:
    """The messages in the outbox, oldest first, in the newest model."""
    return [decode(row.payload, row.kind, row.agreement.content_type) for row in store.outbox(10_000)]


def statuses(store: DeviceStore) -> list[tuple[str, str]]:
    """The acknowledgements in the outbox: whose, and which."""
    return [(each.schedule_id, each.status) for each in sent(store) if hasattr(each, "applied_at")]


def results_in(store: DeviceStore) -> list[ExecutionResult]:
    """The results in the outbox."""
    return [each for each in sent(store) if isinstance(each, ExecutionResult)]


def events_in(found: DeviceStore | list[DeviceEvent]) -> list[tuple[EventType, str | None]]:
    """The events in the outbox, or among what a session told its app: what, and of which schedule."""
    if isinstance(found, list):
        messages = [each.event for each in found if isinstance(each, EventReported)]
    else:
        messages = [each for each in sent(found) if isinstance(each, ScheduleEvent)]
    return [(each.event, each.schedule_id) for each in messages]


def kinds(events: list[DeviceEvent]) -> list[type]:
    """What a session told its app, without what it told the cloud too."""
    return [type(event) for event in events if not isinstance(event, EventReported)]
