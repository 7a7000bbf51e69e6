"""The registry of error codes, and the one exception tree that carries them.

1. A code is ``class.name``. The registry is closed and only grows: a released code keeps its meaning for ever, the wording
   of a message does not.
2. The code's class gives the default for whether trying the same thing again can help (``retryable``); a code that differs from
   its class is named in one table.
3. Every exception of this library is an :class:`AllyeError`, carries one code, and only a code of the classes that its type
   declares. Every code can be carried by some type; a test proves both directions.

A :class:`Problem` is the same information as a value: what a validator lists, an event tells and an acknowledgement sends.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_REASON_CHARS",
    "AllyeError",
    "DecodeError",
    "DriverError",
    "EncodeError",
    "ErrorClass",
    "ErrorCode",
    "IdError",
    "NegotiationError",
    "PeerTooNew",
    "PeerTooOld",
    "Problem",
    "RefusalError",
    "SigningError",
    "StoreError",
    "TopicError",
    "TransportError",
    "code_of_reason",
    "printable",
]

MAX_REASON_CHARS: Final = 256
"""Longest ``error_reason`` of a version-1 message, in characters."""


class ErrorClass(StrEnum):
    """The part of a code before the dot: what kind of trouble it is."""

    MESSAGE = "message"
    VERSION = "version"
    TIME = "time"
    ORDER = "order"
    LIMIT = "limit"
    DEVICE = "device"
    DRIVER = "driver"
    STORE = "store"
    TRANSPORT = "transport"
    EXEC = "exec"
    INTERNAL = "internal"

    @property
    def retryable(self) -> bool:
        """Whether the same message, sent again later, may succeed, unless a code says otherwise."""
        return self in _RETRYABLE


_RETRYABLE: Final = frozenset({ErrorClass.DEVICE, ErrorClass.DRIVER, ErrorClass.STORE, ErrorClass.TRANSPORT})


class ErrorCode(StrEnum):
    """Every code that the protocol knows."""

    MESSAGE_TOO_LARGE = "message.too_large"
    MESSAGE_MALFORMED = "message.malformed"
    MESSAGE_INVALID = "message.invalid"
    MESSAGE_WRONG_DEVICE = "message.wrong_device"
    MESSAGE_BAD_SIGNATURE = "message.bad_signature"
    MESSAGE_UNKNOWN_KIND = "message.unknown_kind"
    MESSAGE_NON_FINITE_NUMBER = "message.non_finite_number"
    MESSAGE_DUPLICATE_KEY = "message.duplicate_key"
    MESSAGE_INVALID_TOPIC = "message.invalid_topic"
    MESSAGE_INVALID_FILTER = "message.invalid_filter"
    VERSION_UNSUPPORTED = "version.unsupported"
    VERSION_DOWNGRADE_LOSES = "version.downgrade_loses"
    VERSION_NO_COMMON_ENCODING = "version.no_common_encoding"
    TIME_NAIVE = "time.naive"
    TIME_NOT_ALIGNED = "time.not_aligned"
    TIME_BAD_DURATION = "time.bad_duration"
    TIME_OVERLAP = "time.overlap"
    TIME_GAP = "time.gap"
    TIME_OUT_OF_ORDER = "time.out_of_order"
    TIME_EMPTY = "time.empty"
    TIME_EXPIRED = "time.expired"
    TIME_TOO_FAR = "time.too_far"
    ORDER_CONFLICT = "order.conflict"
    ORDER_STALE = "order.stale"
    ORDER_IN_FUTURE = "order.in_future"
    ORDER_CANCELLED = "order.cancelled"
    ORDER_UNKNOWN_SCHEDULE = "order.unknown_schedule"
    LIMIT_POWER = "limit.power"
    LIMIT_SOC = "limit.soc"
    LIMIT_RAMP = "limit.ramp"
    LIMIT_SLOTS = "limit.slots"
    LIMIT_IMPORT = "limit.import"
    LIMIT_EXPORT = "limit.export"
    DEVICE_LOCAL_MODE = "device.local_mode"
    DEVICE_MAINTENANCE = "device.maintenance"
    DEVICE_FAULT_ACTIVE = "device.fault_active"
    DEVICE_GRID_LOST = "device.grid_lost"
    DEVICE_EMERGENCY_STOP = "device.emergency_stop"
    DEVICE_CLOCK_UNTRUSTED = "device.clock_untrusted"
    DEVICE_BUSY = "device.busy"
    DRIVER_TIMEOUT = "driver.timeout"
    DRIVER_REJECTED = "driver.rejected"
    DRIVER_READBACK_MISMATCH = "driver.readback_mismatch"
    DRIVER_NOT_SUPPORTED = "driver.not_supported"
    DRIVER_EXTERNAL_CONTROL = "driver.external_control"
    DRIVER_HEARTBEAT_LOST = "driver.heartbeat_lost"
    STORE_FAILED = "store.failed"
    STORE_FULL = "store.full"
    STORE_CORRUPT = "store.corrupt"
    TRANSPORT_NOT_CONNECTED = "transport.not_connected"
    TRANSPORT_REJECTED = "transport.rejected"
    TRANSPORT_TOO_LARGE = "transport.too_large"
    EXEC_LATE_START = "exec.late_start"
    EXEC_MISSED = "exec.missed"
    EXEC_LIMITED_SOC = "exec.limited_soc"
    EXEC_LIMITED_TEMPERATURE = "exec.limited_temperature"
    EXEC_LIMITED_BATTERY = "exec.limited_battery"
    EXEC_PREEMPTED = "exec.preempted"
    EXEC_TRIPPED = "exec.tripped"
    EXEC_NO_DATA = "exec.no_data"
    INTERNAL_BUG = "internal.bug"
    INTERNAL_QUARANTINED = "internal.quarantined"
    INTERNAL_UNSPECIFIED = "internal.unspecified"
    """What a version-1 peer that names no registered code is upgraded to."""

    @property
    def error_class(self) -> ErrorClass:
        """The class of this code: the part before the dot."""
        return ErrorClass(self.value.partition(".")[0])

    @property
    def retryable(self) -> bool:
        """Whether the same message, sent again later, may succeed: the default of its class, but for the few that differ."""
        return _DIFFERS_FROM_ITS_CLASS.get(self, self.error_class.retryable)


_DIFFERS_FROM_ITS_CLASS: Final = MappingProxyType(
    {
        # Two clocks disagree, and the receiver cannot know whose is wrong: the message is right as soon as both are.
        ErrorCode.ORDER_IN_FUTURE: True,
    }
)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, as a value.

    :param code: what kind of thing.
    :param message: for a person: what, and what to do about it. Not API.
    :param path: where in the message, as a JSON Pointer (RFC 6901); empty for the whole message.
    :param details: the figures behind the message (limits, values, digests), JSON-ready.
    """

    code: ErrorCode
    message: str
    path: str = ""
    details: dict[str, Any] = {}

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"{self.code}: {self.message}{where}"

    def reason(self) -> str:
        """The problem as a version-1 ``error_reason``: at most 256 printable characters that begin with the code."""
        return printable(str(self), MAX_REASON_CHARS)


def printable(text: str, most: int) -> str:
    """Words, maybe a peer's, as they may be sent, stored and shown: nothing that moves a cursor or begins a line.

    :param most: the length in characters; of what is longer the last three are points.
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= most else text[: most - 3] + "..."


def code_of_reason(reason: str | None) -> ErrorCode | None:
    """Read the code at the beginning of a version-1 ``error_reason``.

    :param reason: the text of an acknowledgement or a result.
    :returns: the code, or ``None`` where the text has none that is known: third parties write what they like.
    """
    try:
        return ErrorCode((reason or "").partition(":")[0])
    except ValueError:
        return None


class AllyeError(Exception):
    """The root of every exception that this library raises on purpose.

    :param code: the registered code; must belong to one of the type's ``classes``.
    :param message: for a person: what is wrong and what to do. Not API; match on the code.
    :param path: JSON Pointer to the place in the message, where there is one.
    :param details: figures for logs and programs.
    :raises ValueError: for a code that this type does not carry (a bug in the caller).
    """

    classes: ClassVar[frozenset[ErrorClass]] = frozenset(ErrorClass)

    def __init__(self, code: ErrorCode, message: str, *, path: str = "", details: Mapping[str, Any] | None = None) -> None:
        if code.error_class not in self.classes:
            raise ValueError(f"{type(self).__name__} does not carry {code}")
        self.code: Final = code
        self.message: Final = message
        self.path: Final = path
        self.details: Final[Mapping[str, Any]] = MappingProxyType(dict(details or {}))
        super().__init__(str(self.problem))

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """The exception of this type that carries ``problem``."""
        return cls(problem.code, problem.message, path=problem.path, details=problem.details)

    @property
    def retryable(self) -> bool:
        """Whether trying the same again later may succeed."""
        return self.code.retryable

    @property
    def problem(self) -> Problem:
        """The same information as a value."""
        return Problem(code=self.code, message=self.message, path=self.path, details=dict(self.details))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).of, (self.problem,))


_CONTENT = frozenset({ErrorClass.MESSAGE, ErrorClass.VERSION, ErrorClass.TIME, ErrorClass.LIMIT})


class DecodeError(AllyeError):
    """Bytes that are not a valid message. The only exception that can leave ``decode``."""

    classes = _CONTENT


class EncodeError(AllyeError):
    """A message object that breaks a rule of its kind, so that no peer would accept it."""

    classes = _CONTENT


class IdError(AllyeError, ValueError):
    """A text that is not a device id or a schedule id."""

    classes = frozenset({ErrorClass.MESSAGE})


class SigningError(AllyeError, ValueError):
    """A key, or a name of a key, with which nothing can be signed or verified. Never the fault of a message."""

    classes = frozenset({ErrorClass.MESSAGE})


class TopicError(AllyeError, ValueError):
    """A topic name or topic filter that MQTT or this protocol does not allow."""

    classes = frozenset({ErrorClass.MESSAGE})


class NegotiationError(AllyeError):
    """Two peers that have no way of speaking with each other."""

    classes = frozenset({ErrorClass.VERSION})


class PeerTooOld(NegotiationError):  # noqa: N818 - the protocol's own name for it
    """The peer speaks only versions that are older than this side's: upgrade the peer."""


class PeerTooNew(NegotiationError):  # noqa: N818
    """The peer speaks only versions that this side does not know: upgrade this side."""


class RefusalError(AllyeError):
    """Something that a session was asked to do and that its rules forbid."""

    classes = frozenset({ErrorClass.TIME, ErrorClass.ORDER, ErrorClass.LIMIT, ErrorClass.INTERNAL})


class DriverError(AllyeError):
    """A battery that cannot do, or did not do, what it was told."""

    classes = frozenset({ErrorClass.DRIVER, ErrorClass.DEVICE, ErrorClass.EXEC})


class StoreError(AllyeError):
    """A store that cannot keep what it was given. Nothing of the transaction is stored."""

    classes = frozenset({ErrorClass.STORE})


class TransportError(AllyeError):
    """A frame that a transport could not hand to the broker. The outbox keeps it."""

    classes = frozenset({ErrorClass.TRANSPORT})
