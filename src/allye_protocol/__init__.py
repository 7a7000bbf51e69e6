"""The Allye device protocol: versioned power schedules for batteries over MQTT.

The core is pure: bytes and the time go in; messages, events and bytes come out. It opens no socket, file or thread and reads
no clock. The names here are the public ones, with those of the modules that are named in the documentation
(``topics``, ``errors``, ``tracing``, ``store``, ``transport``).
"""

from __future__ import annotations

from allye_protocol.codec import problems
from allye_protocol.convert import decode, encode
from allye_protocol.digest import digest
from allye_protocol.errors import AllyeError, DecodeError, EncodeError, ErrorCode, Problem
from allye_protocol.frame import Frame
from allye_protocol.ids import device_id, schedule_id
from allye_protocol.messages import (
    Ack,
    AckStatus,
    Cancel,
    Capabilities,
    DeviceStatus,
    ExecutionResult,
    Hello,
    Kind,
    Schedule,
    ScheduleEvent,
)
from allye_protocol.negotiation import Agreement, Offer, choose
from allye_protocol.session import CloudConfig, CloudSession, DeviceConfig, DeviceSession

__all__ = [
    "Ack",
    "AckStatus",
    "Agreement",
    "AllyeError",
    "Cancel",
    "Capabilities",
    "CloudConfig",
    "CloudSession",
    "DecodeError",
    "DeviceConfig",
    "DeviceSession",
    "DeviceStatus",
    "EncodeError",
    "ErrorCode",
    "ExecutionResult",
    "Frame",
    "Hello",
    "Kind",
    "Offer",
    "Problem",
    "Schedule",
    "ScheduleEvent",
    "__version__",
    "choose",
    "decode",
    "device_id",
    "digest",
    "encode",
    "problems",
    "schedule_id",
]

__version__ = "0.2.0"
