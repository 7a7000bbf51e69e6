"""The Allye device protocol: versioned power schedules for batteries over MQTT.

The core is pure: bytes and the time go in; messages, events and bytes come out. It opens no socket, file or thread and reads
no clock. The names here are the public ones, with those of the modules that are named in the documentation
(``topics``, ``errors``, ``tracing``, ``store``, ``transport``).
"""

from __future__ import annotations

from allye_protocol.codec import decode, encode, problems
from allye_protocol.digest import digest
from allye_protocol.errors import AllyeError, DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.frame import Frame
from allye_protocol.ids import DeviceId, ScheduleId, device_id, schedule_id
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Capabilities,
    ExecutionResult,
    ExecutionStatus,
    Hello,
    Interval,
    Kind,
    Mode,
    Schedule,
    TimeSpan,
)
from allye_protocol.session import CloudConfig, CloudSession, DeviceConfig, DeviceSession

__all__ = [
    "Ack",
    "AckStatus",
    "AllyeError",
    "Capabilities",
    "CloudConfig",
    "CloudSession",
    "DecodeError",
    "DeviceConfig",
    "DeviceId",
    "DeviceSession",
    "EncodeError",
    "ErrorCode",
    "ExecutionResult",
    "ExecutionStatus",
    "Frame",
    "Hello",
    "Interval",
    "Kind",
    "Mode",
    "Problem",
    "Schedule",
    "ScheduleId",
    "TimeSpan",
    "__version__",
    "decode",
    "device_id",
    "digest",
    "encode",
    "problems",
    "schedule_id",
]

__version__ = "0.1.0"
