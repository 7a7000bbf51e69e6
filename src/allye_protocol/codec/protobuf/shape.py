"""The shape of every Protobuf message: which member has which field number and which type on the wire.

1. A number is given once and never again, whatever becomes of the member. The first five mean the same in every message that a
   topic carries, so a version and ids can be read of a message that is not known otherwise.
2. Where no content type does, the first byte of a payload tells the encodings apart. So that it does in
   whatever order a writer puts the fields, no field of a message that a topic carries begins with a byte that means something
   else: ``{``, JSON white space (0x09, 0x0a, 0x0d, 0x20), 0x80-0x8f, 0xde or 0xdf. That is why number 1 is an integer, 4 is a
   text, and 16 and 17 are nobody's.
3. An instant is an ``int64`` of microseconds since the Unix epoch, and its field has the member's name with ``_us``.
4. The numbers of an enumeration begin at 1; 0 is ``UNSPECIFIED``, which no message may have.

``schemas/allye.proto`` is written from this table and the structs, and the classes of the runtime are built from it (ADR 20).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from allye_protocol.messages import v2
from allye_protocol.messages.v2.fields import Clock, ErrorDetail

if TYPE_CHECKING:
    from enum import StrEnum

    import msgspec

__all__ = ["ENUMS", "NOBODYS", "NO_SETPOINT", "PACKAGE", "SHAPES", "Field", "Scalar", "Shape", "word_of"]

PACKAGE: Final = f"allye.v{v2.VERSION}"
NO_SETPOINT: Final = "no_setpoint_slots"
"""The list beside ``rates_w`` that names the slots without a setpoint, as a list of Protobuf has no null."""
NOBODYS: Final = (16, 17)
"""Numbers that no message uses: their first byte on the wire is one of MessagePack's."""


class Scalar(Enum):
    """A type that is neither a message nor an enumeration."""

    BOOL = "a bool"
    DOUBLE = "a double"
    INSTANT = "an int64 of microseconds since the Unix epoch"
    INT64 = "an int64"
    LABELS = "a map from string to string"
    SINT32 = "a sint32"
    STRING = "a string"
    UINT32 = "a uint32"


class Field(NamedTuple):
    """One field.

    :param number: its field number.
    :param member: the struct's member, which is the member's name in JSON too.
    :param type: a scalar, an enumeration or a struct.
    :param repeated: whether it is a list.
    """

    number: int
    member: str
    type: type[StrEnum | msgspec.Struct] | Scalar
    repeated: bool = False

    @property
    def name(self) -> str:
        """The field's name in the ``.proto``."""
        return f"{self.member}_us" if self.type is Scalar.INSTANT else self.member


class Shape(NamedTuple):
    """One message.

    :param struct: the message type that it stands for; it has the same name.
    :param fields: in the order of their numbers.
    """

    struct: type[msgspec.Struct]
    fields: tuple[Field, ...]


_VERSION = Field(1, "version", Scalar.UINT32)
_SCHEDULE_ID = Field(2, "schedule_id", Scalar.STRING)
_DEVICE_ID = Field(3, "device_id", Scalar.STRING)
_TRACEPARENT = Field(4, "traceparent", Scalar.STRING)
_SEQUENCE = Field(5, "sequence", Scalar.INT64)

SHAPES: Final[dict[type, Shape]] = {
    struct: Shape(struct, fields)
    for struct, fields in (
        (
            v2.Schedule,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                _TRACEPARENT,
                _SEQUENCE,
                Field(6, "generated_at", Scalar.INSTANT),
                Field(7, "start", Scalar.INSTANT),
                Field(8, "rates_w", Scalar.SINT32, repeated=True),
                Field(9, NO_SETPOINT, Scalar.UINT32, repeated=True),
                Field(10, "resolution_s", Scalar.UINT32),
                Field(11, "expires_at", Scalar.INSTANT),
                Field(12, "soc_min_pct", Scalar.DOUBLE),
                Field(13, "soc_max_pct", Scalar.DOUBLE),
                Field(14, "ramp_w_per_s", Scalar.UINT32),
                Field(15, "start_jitter_s", Scalar.UINT32),
                Field(18, "dry_run", Scalar.BOOL),
                Field(19, "metadata", Scalar.LABELS),
            ),
        ),
        (
            v2.Cancel,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                _TRACEPARENT,
                _SEQUENCE,
                Field(6, "effective_from", Scalar.INSTANT),
                Field(7, "reason", Scalar.STRING),
            ),
        ),
        (
            v2.Ack,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                _TRACEPARENT,
                _SEQUENCE,
                Field(6, "status", v2.AckStatus),
                Field(7, "timestamp", Scalar.INSTANT),
                Field(8, "digest", Scalar.STRING),
                Field(9, "received_at", Scalar.INSTANT),
                Field(10, "applied_at", Scalar.INSTANT),
                Field(11, "error", ErrorDetail),
                Field(12, "retryable", Scalar.BOOL),
                Field(13, "retry_after_s", Scalar.UINT32),
                Field(14, "supported_versions", Scalar.UINT32, repeated=True),
                Field(15, "superseded", Scalar.STRING, repeated=True),
                Field(18, "clock", Clock),
            ),
        ),
        (
            v2.ExecutionResult,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                _TRACEPARENT,
                Field(6, "status", v2.ExecutionStatus),
                Field(7, "timestamp", Scalar.INSTANT),
                Field(8, "slot_start", Scalar.INSTANT),
                Field(9, "slot_end", Scalar.INSTANT),
                Field(10, "outcome", v2.Outcome),
                Field(11, "scheduled_w", Scalar.SINT32),
                Field(12, "actual_w", Scalar.SINT32),
                Field(13, "energy_charged_wh", Scalar.DOUBLE),
                Field(14, "energy_discharged_wh", Scalar.DOUBLE),
                Field(15, "coverage_pct", Scalar.DOUBLE),
                Field(18, "soc_start_pct", Scalar.DOUBLE),
                Field(19, "soc_end_pct", Scalar.DOUBLE),
                Field(20, "limiting", Scalar.STRING, repeated=True),
                Field(21, "error", ErrorDetail),
            ),
        ),
        (
            v2.ScheduleEvent,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                _TRACEPARENT,
                _SEQUENCE,
                Field(6, "event", v2.EventType),
                Field(7, "timestamp", Scalar.INSTANT),
                Field(8, "slot_start", Scalar.INSTANT),
                Field(9, "error", ErrorDetail),
            ),
        ),
        (
            v2.DeviceStatus,
            (
                _VERSION,
                _SCHEDULE_ID,
                _DEVICE_ID,
                Field(6, "online", Scalar.BOOL),
                Field(7, "timestamp", Scalar.INSTANT),
                Field(8, "power_w", Scalar.SINT32),
                Field(9, "soc_pct", Scalar.DOUBLE),
                Field(10, "state", v2.BatteryState),
                Field(11, "clock", Clock),
            ),
        ),
        (
            ErrorDetail,
            (
                Field(1, "code", Scalar.STRING),
                Field(2, "message", Scalar.STRING),
                Field(3, "path", Scalar.STRING),
                Field(4, "slot", Scalar.UINT32),
                Field(5, "value", Scalar.DOUBLE),
                Field(6, "limit", Scalar.DOUBLE),
                Field(7, "digest", Scalar.STRING),
            ),
        ),
        (Clock, (Field(1, "synced", Scalar.BOOL), Field(2, "offset_ms", Scalar.DOUBLE))),
    )
}
"""Every message by its struct: those that a topic carries first, then those that stand in others."""

ENUMS: Final[dict[type[StrEnum], dict[StrEnum, int]]] = {
    v2.AckStatus: {v2.AckStatus.RECEIVED: 1, v2.AckStatus.APPLIED: 2, v2.AckStatus.FAILED: 3},
    v2.ExecutionStatus: {v2.ExecutionStatus.SUCCEED: 1, v2.ExecutionStatus.FAIL: 2},
    v2.Outcome: {
        v2.Outcome.FULL: 1,
        v2.Outcome.LIMITED: 2,
        v2.Outcome.OVERRIDDEN: 3,
        v2.Outcome.NOT_EXECUTED: 4,
        v2.Outcome.FAULTED: 5,
    },
    v2.EventType: {
        v2.EventType.STARTED: 1,
        v2.EventType.SUPERSEDED: 2,
        v2.EventType.CANCELLED: 3,
        v2.EventType.EXPIRED: 4,
        v2.EventType.COMPLETED: 5,
        v2.EventType.OVERRIDDEN: 6,
        v2.EventType.FALLBACK_ENTERED: 7,
        v2.EventType.FALLBACK_LEFT: 8,
    },
    v2.BatteryState: {
        v2.BatteryState.OFF: 1,
        v2.BatteryState.INITIALISING: 2,
        v2.BatteryState.STANDBY: 3,
        v2.BatteryState.READY: 4,
        v2.BatteryState.CHARGING: 5,
        v2.BatteryState.DISCHARGING: 6,
        v2.BatteryState.FAULT: 7,
        v2.BatteryState.LOCAL: 8,
        v2.BatteryState.COMMS_LOST: 9,
        v2.BatteryState.ESTOP: 10,
    },
}
"""The number of every member of every enumeration."""


def word_of(enum: type[StrEnum], member: str = "UNSPECIFIED") -> str:
    """The name of a value in the ``.proto``, where names of all enumerations share one space.

    :param member: the member's word; without one, the value 0.
    """
    prefix = "".join(f"_{char}" if char.isupper() else char.upper() for char in enum.__name__)
    return f"{prefix[1:]}_{member}"
