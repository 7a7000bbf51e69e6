"""Log lines: one JSON object each, with ``device_id``, and ``schedule_id`` and ``trace_id`` wherever there is one.

Every line has ``timestamp`` (RFC 3339, UTC, microseconds), ``level`` and ``event``; the cloud service names its keys alike.

What peers wrote (ids, reasons, topics) goes through here before anybody reads it: it cannot forge a line, move a terminal's
cursor or fill a disk.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from allye_protocol.events import (
    DefaultControl,
    DeviceEvent,
    EventReported,
    ScheduleAdmitted,
    ScheduleCancelled,
    ScheduleRefused,
    ScheduleRepeated,
    ScheduleSettled,
    SecurityAlert,
    SlotEnded,
    SlotStarted,
)
from allye_protocol.tracing import TraceContext

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from structlog.typing import FilteringBoundLogger

    from allye_protocol.errors import Problem

__all__ = ["configure", "instant", "printable", "say"]

MAX_CHARS: Final = 500


def configure(stream: TextIO, now: Callable[[], datetime]) -> None:
    """Write JSON lines from now on.

    :param stream: where to.
    :param now: the clock of the lines' ``timestamp``: the device's own, so that played time reads like real time.
    """

    def stamp(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"timestamp": instant(now(), "microseconds"), **line}

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            _sanitised,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(stream),
    )


def say(log: FilteringBoundLogger, event: DeviceEvent) -> None:
    """Log what a session told.

    :param log: bound to the device.
    """
    name, fields, problem = _told(event)
    if problem is not None:
        fields |= {"code": problem.code, "reason": problem.message}
    (log.info if problem is None else log.warning)(name, **fields)


def _told(event: DeviceEvent) -> tuple[str, dict[str, object], Problem | None]:
    """Name, fields and trouble of an event."""
    fields: dict[str, object]
    match event:
        case ScheduleAdmitted(schedule=schedule, attempt=attempt):
            span = {"start": instant(schedule.start), "end": instant(schedule.end), "slots": len(schedule.rates_w)}
            ids = {"schedule_id": schedule.schedule_id, "trace_id": event.trace_id}
            return "schedule_admitted", {**ids, **span, "attempt": attempt}, None
        case ScheduleRepeated():
            return "schedule_repeated", {"schedule_id": event.schedule_id, "trace_id": event.trace_id}, None
        case ScheduleCancelled(cancel=cancel):
            fields = {"schedule_id": cancel.schedule_id, "trace_id": event.trace_id, "cut": list(event.cut)}
            if cancel.effective_from is not None:
                fields["effective_from"] = instant(cancel.effective_from)
            return "cancel_repeated" if event.repeated else "cancelled", fields, None
        case ScheduleRefused():
            return "schedule_refused", {"schedule_id": event.reference, "trace_id": event.trace_id}, event.problem
        case ScheduleSettled():
            name = "schedule_applied" if event.problem is None else "schedule_failed"
            return name, {"schedule_id": event.schedule_id, "trace_id": event.trace_id}, event.problem
        case SecurityAlert():
            return "security_alert", {"topic": event.topic}, event.problem
        case SlotStarted(slot=slot) | SlotEnded(slot=slot):
            trace = TraceContext.parse(slot.traceparent)
            ids = {"schedule_id": slot.schedule_id, "trace_id": "" if trace is None else trace.trace_id}
            fields = {**ids, "start": instant(slot.start), "end": instant(slot.end), "rate_w": slot.rate_w}
            if isinstance(event, SlotStarted):
                return "slot_started", {**fields, "setpoint_w": event.setpoint_w}, None
            judged = event.judgement
            fields |= {"status": judged.status, "actual_w": round(judged.actual_w), "coverage": round(judged.coverage, 3)}
            return "slot_ended", fields, judged.problem
        case EventReported(event=told):
            fields = {"what": told.event, "schedule_id": told.schedule_id, "trace_id": told.trace_id}
            if told.error is not None:
                fields |= {"code": told.error.code, "reason": told.error.message}
            return "schedule_event", fields, None
        case DefaultControl():
            return "default_control", {"since": instant(event.since)}, None


def instant(at: datetime, timespec: str = "auto") -> str:
    """An instant in RFC 3339, UTC.

    :param timespec: how finely, as in :meth:`datetime.datetime.isoformat`.
    """
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def printable(text: str) -> str:
    """Text from a peer without anything that a terminal would act on, shortened."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: MAX_CHARS + 1])
    return clean if len(clean) <= MAX_CHARS else clean[: MAX_CHARS - 3] + "..."


def _sanitised(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: _clean(value) if key != "exception" else value for key, value in line.items()}


def _clean(value: object) -> object:
    return printable(value) if isinstance(value, str) else value
