"""Which message type stands for which kind in which version: the version gate as a table.

A missing key means that the version is not supported. Nothing falls back to the newest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec

from allye_protocol.errors import Problem
from allye_protocol.messages import v1, v2
from allye_protocol.messages.hello import Hello, hello_problems
from allye_protocol.topics import Channel

__all__ = ["BY_TYPE", "CHANNEL_OF", "KINDS", "NEWEST", "VERSIONS", "Kind", "Message", "Spec", "Written", "versions_of"]

Message = v2.Schedule | v2.Cancel | v2.Ack | v2.ExecutionResult | v2.ScheduleEvent | v2.DeviceStatus | Hello
"""A message of the newest model, which is what sessions and apps hold in memory."""
Written = Message | v1.Schedule | v1.Ack | v1.ExecutionResult
"""A message as it is on the wire, of any version."""


class Kind(StrEnum):
    """What a message is, whatever its version."""

    SCHEDULE = "schedule"
    CANCEL = "cancel"
    ACK = "ack"
    EXECUTION_RESULT = "execution_result"
    SCHEDULE_EVENT = "schedule_event"
    DEVICE_STATUS = "device_status"
    HELLO = "hello"


CHANNEL_OF: Final[dict[Kind, Channel]] = {
    Kind.SCHEDULE: Channel.SCHEDULE,
    Kind.CANCEL: Channel.CANCEL,
    Kind.ACK: Channel.ACK,
    Kind.EXECUTION_RESULT: Channel.EXECUTION,
    Kind.SCHEDULE_EVENT: Channel.EVENT,
    Kind.DEVICE_STATUS: Channel.STATUS,
    Kind.HELLO: Channel.HELLO,
}
"""The channel that carries a kind."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One message type of one version.

    :param kind: what it is.
    :param version: its major version; 0 for ``hello``, whose shape is the same in all.
    :param struct: the type.
    :param problems: everything that is wrong with an instance whose fields are right one by one.
    :param says_version: whether the body must have a ``version`` member. Version-1 answers have none.
    """

    kind: Kind
    version: int
    struct: type[Written]
    problems: Callable[[Any], Iterator[Problem]]
    says_version: bool = False


KINDS: Final[dict[tuple[Kind, int], Spec]] = {
    (spec.kind, spec.version): spec
    for spec in (
        Spec(kind=Kind.SCHEDULE, version=1, struct=v1.Schedule, problems=v1.schedule_problems, says_version=True),
        Spec(kind=Kind.ACK, version=1, struct=v1.Ack, problems=v1.ack_problems),
        Spec(kind=Kind.EXECUTION_RESULT, version=1, struct=v1.ExecutionResult, problems=v1.execution_result_problems),
        *(
            Spec(kind=kind, version=2, struct=struct, problems=problems, says_version=True)
            for kind, struct, problems in (
                (Kind.SCHEDULE, v2.Schedule, v2.schedule_problems),
                (Kind.CANCEL, v2.Cancel, v2.cancel_problems),
                (Kind.ACK, v2.Ack, v2.ack_problems),
                (Kind.EXECUTION_RESULT, v2.ExecutionResult, v2.execution_result_problems),
                (Kind.SCHEDULE_EVENT, v2.ScheduleEvent, v2.schedule_event_problems),
                (Kind.DEVICE_STATUS, v2.DeviceStatus, v2.device_status_problems),
            )
        ),
        Spec(kind=Kind.HELLO, version=0, struct=Hello, problems=hello_problems),
    )
}
BY_TYPE: Final[dict[type, Spec]] = {spec.struct: spec for spec in KINDS.values()}
VERSIONS: Final = tuple(sorted({version for _, version in KINDS if version}))
"""The major versions that this library speaks, lowest first."""
NEWEST: Final = VERSIONS[-1]


def versions_of(kind: Kind) -> tuple[int, ...]:
    """The versions of one kind, lowest first; ``(0,)`` for a kind whose shape is frozen."""
    return tuple(sorted(version for known, version in KINDS if known is kind))
