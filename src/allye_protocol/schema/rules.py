"""What a message type alone does not say: rules between members as JSON Schema where it can, in words where it cannot.

Each rule in words names the codes with which the codec refuses a message that breaks it. A test shows that these codes are the
only ones with which the codec refuses what a schema accepts.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from allye_protocol.codec.base import MAX_PAYLOAD_BYTES
from allye_protocol.errors import ErrorCode
from allye_protocol.messages.patterns import grid_pattern
from allye_protocol.messages.registry import Kind
from allye_protocol.messages.v2 import DEFAULT_RESOLUTION_S, MAX_HORIZON, RESOLUTIONS_S

__all__ = ["MEMBER_RULES", "Rule", "rules"]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that JSON Schema cannot express.

    :param text: the rule, for people; one sentence or two.
    :param codes: the codes of a refusal for it.
    """

    text: str
    codes: frozenset[ErrorCode]


def _rule(text: str, *codes: ErrorCode) -> Rule:
    return Rule(text=text, codes=frozenset(codes))


_JSON_TEXT = _rule(
    "The payload is one JSON text (RFC 8259) in UTF-8 with nothing behind it: no NaN or Infinity, no comment, no half of a "
    "surrogate pair, no nesting of hundreds of levels, in unknown members either.",
    ErrorCode.MESSAGE_MALFORMED,
)
_SIZE = _rule(f"The payload has at most {MAX_PAYLOAD_BYTES} bytes.", ErrorCode.MESSAGE_TOO_LARGE)
_DUPLICATES = _rule(
    "A member comes once in its object: parsers differ on which of two values counts.", ErrorCode.MESSAGE_DUPLICATE_KEY
)
_INSTANTS = _rule(
    "A time exists (no 30 February, no second 60) and lies, rounded to the microsecond and taken to UTC, from "
    "1970-01-01T00:00:00Z up to but not including 2200-01-01T00:00:00Z.",
    ErrorCode.MESSAGE_INVALID,
)
_INTEGERS = _rule(
    "An integer is written as one: 1.0 and 1e0 are the integer 1 to JSON Schema, and are refused here.",
    ErrorCode.MESSAGE_INVALID,
)
_TOPIC = _rule("device_id is the device in the topic.", ErrorCode.MESSAGE_WRONG_DEVICE)
_FIGURES = _rule("A number without bounds is one that a double can hold: 1e400 is none.", ErrorCode.MESSAGE_NON_FINITE_NUMBER)
_SLOTS = _rule(
    "A slot begins on :00 or :30 of a UTC hour, to the microsecond, and ends exactly 30 minutes later.",
    ErrorCode.TIME_NOT_ALIGNED,
    ErrorCode.TIME_BAD_DURATION,
)
_CONTIGUOUS = _rule(
    "Each interval begins at the instant at which the one before it ended.",
    ErrorCode.TIME_GAP,
    ErrorCode.TIME_OVERLAP,
    ErrorCode.TIME_OUT_OF_ORDER,
)
_OWN_BOUND = _rule("No |rate_kw| is beyond max_power_kw where that is given.", ErrorCode.LIMIT_POWER)
_NO_VERSION = _rule(
    "A version-1 answer has no member called version. With an integer other than 1 there, it is an answer of that version; "
    "with anything else it may be refused.",
    ErrorCode.VERSION_UNSUPPORTED,
    ErrorCode.MESSAGE_INVALID,
)
_GRID = _rule(
    "start is a whole number of resolution_s after the Unix epoch, to the microsecond, whatever offset it is written with; "
    "every slot ends before 2200.",
    ErrorCode.TIME_NOT_ALIGNED,
    ErrorCode.MESSAGE_INVALID,
)
_SLOT = _rule(
    "slot_start and slot_end are on whole five minutes of UTC, to the microsecond, whatever offset they are written with, and "
    "at least 300 and at most 3600 seconds apart.",
    ErrorCode.TIME_NOT_ALIGNED,
    ErrorCode.TIME_BAD_DURATION,
)
_SOC = _rule(
    "soc_min_pct and soc_max_pct are whole numbers of 0.001 %, and soc_min_pct is not above soc_max_pct.", ErrorCode.LIMIT_SOC
)
_BAND = _rule("capabilities.soc_min_pct is not above capabilities.soc_max_pct.", ErrorCode.LIMIT_SOC)

_EVERYWHERE: Final = (_JSON_TEXT, _SIZE, _DUPLICATES, _TOPIC)
_IN_VERSION_2: Final = (*_EVERYWHERE, _INSTANTS, _INTEGERS)
_RULES: Final[dict[tuple[Kind, int], tuple[Rule, ...]]] = {
    (Kind.SCHEDULE, 1): (*_EVERYWHERE, _INSTANTS, _INTEGERS, _SLOTS, _CONTIGUOUS, _OWN_BOUND),
    (Kind.ACK, 1): (*_EVERYWHERE, _INSTANTS, _NO_VERSION),
    (Kind.EXECUTION_RESULT, 1): (*_EVERYWHERE, _INSTANTS, _NO_VERSION, _SLOTS),
    (Kind.SCHEDULE, 2): (*_IN_VERSION_2, _GRID, _SOC),
    (Kind.CANCEL, 2): _IN_VERSION_2,
    (Kind.ACK, 2): (*_IN_VERSION_2, _FIGURES),
    (Kind.EXECUTION_RESULT, 2): (*_IN_VERSION_2, _FIGURES, _SLOT),
    (Kind.SCHEDULE_EVENT, 2): (*_IN_VERSION_2, _FIGURES),
    (Kind.DEVICE_STATUS, 2): _IN_VERSION_2,
    (Kind.HELLO, 0): (*_EVERYWHERE, _INTEGERS, _BAND),
}


def rules(kind: Kind, version: int) -> tuple[Rule, ...]:
    """The rules that the schema of one message type only says in words.

    :param kind: what the message is.
    :param version: the major version; 0 for a kind whose shape is frozen.
    """
    return _RULES[kind, version]


_HAS_NONE: Final = {"type": "null"}


def _when(member: str, values: tuple[str | int, ...], then: dict[str, Any], *, is_default: bool = False) -> dict[str, Any]:
    """Where a member has one of these values, something else holds.

    :param is_default: whether the member's absence stands for one of the values.
    """
    matches = {"const": values[0]} if len(values) == 1 else {"enum": list(values)}
    condition = {"properties": {member: matches}}
    return {"if": condition if is_default else {**condition, "required": [member]}, "then": then}


def _only(member: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {member: schema}}


def _has(*members: str) -> dict[str, Any]:
    """These members are there, and not null."""
    return {"required": list(members), "properties": {member: {"not": _HAS_NONE} for member in members}}


def _has_not(*members: str) -> dict[str, Any]:
    """These members are absent, or null."""
    return {"properties": dict.fromkeys(members, _HAS_NONE)}


_GRIDS: Final = {
    300: grid_pattern("[0-5][05]", "[0-5][49]"),
    900: grid_pattern("00|15|30|45", "14|29|44|59"),
    1800: grid_pattern("00|30", "29|59"),
    3600: grid_pattern("00", "59"),
}
"""By slot length: where slots begin."""
_EVERY_SLOT: Final = _GRIDS[min(RESOLUTIONS_S)]


def _horizon(resolution_s: int, default_s: int) -> dict[str, Any]:
    """Where slots of this length begin, and how many of them seven days have."""
    most = int(MAX_HORIZON.total_seconds()) // resolution_s
    then = {"properties": {"start": {"pattern": _GRIDS[resolution_s]}, "rates_w": {"maxItems": most}}}
    return _when("resolution_s", (resolution_s,), then, is_default=resolution_s == default_s)


MEMBER_RULES: Final[dict[tuple[int, str], dict[str, Any]]] = {
    (1, "Interval"): {
        "allOf": [
            _when("mode", ("CHARGE",), _only("rate_kw", {"minimum": 0})),
            _when("mode", ("DISCHARGE",), _only("rate_kw", {"maximum": 0})),
            _when("mode", ("IDLE",), _only("rate_kw", {"minimum": 0, "maximum": 0})),
        ]
    },
    (2, "Schedule"): {"allOf": [_horizon(resolution_s, DEFAULT_RESOLUTION_S) for resolution_s in RESOLUTIONS_S]},
    (2, "Cancel"): {"anyOf": [_has("schedule_id"), _has("effective_from")]},
    (2, "Ack"): {
        "allOf": [
            _when("status", ("RECEIVED",), _has_not("applied_at", "error")),
            _when("status", ("APPLIED",), {**_has("applied_at"), "allOf": [_has_not("error")]}),
            _when("status", ("FAILED",), {**_has("error"), "allOf": [_has_not("applied_at")]}),
        ]
    },
    (2, "ExecutionResult"): {
        "allOf": [
            _only("slot_start", {"pattern": _EVERY_SLOT}),
            _only("slot_end", {"pattern": _EVERY_SLOT}),
            _when("outcome", ("FULL",), _only("status", {"const": "SUCCEED"})),
            _when("outcome", ("NOT_EXECUTED", "FAULTED"), _only("status", {"const": "FAIL"})),
        ]
    },
    (2, "ScheduleEvent"): {
        "allOf": [
            _when("event", ("STARTED", "SUPERSEDED", "EXPIRED", "COMPLETED"), _has("schedule_id")),
            _when("event", ("CANCELLED",), _has("sequence")),
        ]
    },
}
"""By major version and name of a struct: rules between its members that JSON Schema can express."""
