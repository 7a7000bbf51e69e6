"""The messages. The names here are the newest model, which is what sessions and apps hold in memory.

One module a major version (``v1``), the frozen ``hello``, and the ``registry`` that says which type stands for which kind in
which version. A released module never changes.
"""

from __future__ import annotations

from allye_protocol.messages.hello import Capabilities, Hello
from allye_protocol.messages.registry import KINDS, VERSIONS, Kind, Message
from allye_protocol.messages.v1 import (
    Ack,
    AckStatus,
    ExecutionResult,
    ExecutionStatus,
    Interval,
    Mode,
    Schedule,
    TimeSpan,
    watts,
)

__all__ = [
    "KINDS",
    "VERSIONS",
    "Ack",
    "AckStatus",
    "Capabilities",
    "ExecutionResult",
    "ExecutionStatus",
    "Hello",
    "Interval",
    "Kind",
    "Message",
    "Mode",
    "Schedule",
    "TimeSpan",
    "watts",
]
