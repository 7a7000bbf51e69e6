"""The messages. The names here are the newest model, which is what sessions and apps hold in memory.

One module or package a major version (``v1``, ``v2``), the frozen ``hello``, and the ``registry`` that says which type stands
for which kind in which version. A released module never changes.
"""

from __future__ import annotations

from allye_protocol.messages.hello import Capabilities, Hello
from allye_protocol.messages.registry import KINDS, NEWEST, VERSIONS, Kind, Message, Written
from allye_protocol.messages.v2 import (
    Ack,
    AckStatus,
    BatteryState,
    Cancel,
    Clock,
    DeviceStatus,
    ErrorDetail,
    EventType,
    ExecutionResult,
    ExecutionStatus,
    Outcome,
    Schedule,
    ScheduleEvent,
    sequence_at,
)

__all__ = [
    "KINDS",
    "NEWEST",
    "VERSIONS",
    "Ack",
    "AckStatus",
    "BatteryState",
    "Cancel",
    "Capabilities",
    "Clock",
    "DeviceStatus",
    "ErrorDetail",
    "EventType",
    "ExecutionResult",
    "ExecutionStatus",
    "Hello",
    "Kind",
    "Message",
    "Outcome",
    "Schedule",
    "ScheduleEvent",
    "Written",
    "sequence_at",
]
