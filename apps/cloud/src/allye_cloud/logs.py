"""Structured logs: one JSON object a line, with ``device_id``, ``schedule_id`` and ``trace_id`` wherever a line is about one.

Every line has ``timestamp`` (RFC 3339, UTC, microseconds), ``level`` and ``event``; the device agent names its keys alike.

Text that a peer chose (reasons, topics) is made harmless before it is written: shortened, and without characters that could
move a cursor, colour a terminal or forge a line.
"""

from __future__ import annotations

import sys
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from allye_protocol.delivery import State
from allye_protocol.events import (
    AlarmRaised,
    DeliveryChanged,
    DeliveryHeld,
    DeviceAnnounced,
    DeviceUnreachable,
    EventReceived,
    MessageRefused,
    ResultReceived,
    SecurityAlert,
    StatusReceived,
)
from allye_protocol.messages import Kind

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger, Processor

    from allye_protocol.clock import Clock
    from allye_protocol.events import CloudEvent

__all__ = ["LEVELS", "log_event", "logger_to"]

LEVELS: Final = ("debug", "info", "warning", "error")
_LONGEST: Final = 512
_BAD_NEWS: Final = frozenset({State.FAILED, State.DEAD, State.EXPIRED})


def logger_to(stream: TextIO | None, clock: Clock, level: str = "info") -> FilteringBoundLogger:
    """A logger of its own; nothing global is configured.

    :param stream: where lines go; ``None`` for standard error.
    :param clock: what gives every line its time, so that a played day is logged in its own time.
    :param level: the least level that is written, one of :data:`LEVELS`.
    """
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        _timestamp_of(clock),
        structlog.processors.format_exc_info,
        _harmless,
        structlog.processors.JSONRenderer(),
    ]
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr if stream is None else stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    return made


def log_event(log: FilteringBoundLogger, event: CloudEvent) -> None:
    """Write what a session told."""
    match event:
        case DeliveryChanged():
            write = log.warning if event.after in _BAD_NEWS else log.info
            write(
                "delivery_changed",
                device_id=event.device_id,
                kind=event.kind,
                schedule_id=event.schedule_id or "",
                trace_id=event.trace_id,
                before=event.before,
                after=event.after,
                reason=event.reason,
            )
        case DeliveryHeld():
            log.warning(
                "delivery_held",
                device_id=event.device_id,
                kind=event.kind,
                schedule_id=event.schedule_id or "",
                trace_id=event.trace_id,
                code=event.problem.code,
                reason=event.problem.message,
                path=event.problem.path,
            )
        case ResultReceived(result=result):
            log.info(
                "result_received",
                device_id=result.device_id,
                schedule_id=result.schedule_id,
                trace_id=result.trace_id or "",
                slot=_instant(result.slot_start),
                status=result.status,
                outcome=result.outcome,
                scheduled_w=result.scheduled_w,
                actual_w=result.actual_w,
                reason="" if result.error is None else result.error.reason(),
            )
        case EventReceived(event=told):
            log.info(
                "event_received",
                device_id=told.device_id,
                schedule_id=told.schedule_id or "",
                trace_id=told.trace_id or "",
                what=told.event,
                reason="" if told.error is None else told.error.reason(),
            )
        case StatusReceived(status=status):
            log.info(
                "status_received",
                device_id=status.device_id,
                online=status.online,
                power_w=status.power_w,
                soc_pct=status.soc_pct,
                state=status.state,
            )
        case AlarmRaised():
            log.warning(
                "schedule_not_applied" if event.kind is Kind.SCHEDULE else "cancel_not_applied",
                device_id=event.device_id,
                schedule_id=event.schedule_id or "",
                trace_id=event.trace_id,
                state=event.state,
                first_slot=_instant(event.starts),
            )
        case DeviceAnnounced(hello=hello):
            log.info(
                "device_announced",
                device_id=hello.device_id,
                versions=list(hello.versions),
                content_types=list(hello.content_types),
                model=hello.model,
                firmware=hello.firmware,
                library=hello.library,
            )
        case DeviceUnreachable(problem=problem):
            log.error("device_unreachable", device_id=event.device_id, code=problem.code, reason=problem.message)
        case SecurityAlert(problem=problem):
            log.error("security_alert", topic=event.topic, code=problem.code, reason=problem.message)
        case MessageRefused(problem=problem):
            log.warning("message_refused", topic=event.topic, code=problem.code, reason=problem.message, path=problem.path)


def _timestamp_of(clock: Clock) -> Processor:
    def stamp(_log: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"timestamp": _instant(clock.now(), "microseconds"), **line}

    return stamp


def _instant(at: datetime, timespec: str = "auto") -> str:
    """An instant in RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def _harmless(_log: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in line.items():
        if isinstance(value, str) and not (len(value) <= _LONGEST and value.isprintable()) and key != "exception":
            text = "".join(char if char.isprintable() else "?" for char in value[:_LONGEST])
            line[key] = text if len(value) <= _LONGEST else f"{text}..."
    return line
