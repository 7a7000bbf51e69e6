"""Version 2 of the messages: columnar, ordered, explained. JSON, MessagePack and Protobuf.

The types are the contract; the published JSON Schemas, the ``.proto`` and the AsyncAPI document are generated from them.

1. Structs say what a field alone may hold. What fields must be *together* is said by the ``*_problems`` functions, which are
   complete: a message without problems is valid, and every problem names its place.
2. ``is_plain_schedule`` is the fast road to the same answer for a schedule that is as it should be.
3. Constructing a message checks nothing, encoding and decoding check everything.
4. An instant of a decoded message is in UTC (``datetime.UTC``), whatever offset it was written with.
5. ``steps`` leads from version 1 here and back.
"""

from __future__ import annotations

from allye_protocol.messages.v1 import AckStatus, ExecutionStatus
from allye_protocol.messages.v2.answers import (
    Ack,
    ExecutionResult,
    Outcome,
    ack_problems,
    execution_result_problems,
    outcome_of,
)
from allye_protocol.messages.v2.cancel import Cancel, cancel_problems
from allye_protocol.messages.v2.fields import MAX_SEQUENCE, MAX_WATTS, VERSION, Clock, ErrorDetail, sequence_at
from allye_protocol.messages.v2.reports import (
    BatteryState,
    DeviceStatus,
    EventType,
    ScheduleEvent,
    device_status_problems,
    schedule_event_problems,
)
from allye_protocol.messages.v2.schedule import (
    DEFAULT_RESOLUTION_S,
    MAX_HORIZON,
    MAX_SLOTS,
    RESOLUTIONS_S,
    Schedule,
    is_plain_schedule,
    schedule_problems,
)

__all__ = [
    "DEFAULT_RESOLUTION_S",
    "MAX_HORIZON",
    "MAX_SEQUENCE",
    "MAX_SLOTS",
    "MAX_WATTS",
    "RESOLUTIONS_S",
    "VERSION",
    "Ack",
    "AckStatus",
    "BatteryState",
    "Cancel",
    "Clock",
    "DeviceStatus",
    "ErrorDetail",
    "EventType",
    "ExecutionResult",
    "ExecutionStatus",
    "Outcome",
    "Schedule",
    "ScheduleEvent",
    "ack_problems",
    "cancel_problems",
    "device_status_problems",
    "execution_result_problems",
    "is_plain_schedule",
    "outcome_of",
    "schedule_event_problems",
    "schedule_problems",
    "sequence_at",
]
