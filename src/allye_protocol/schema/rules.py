"""What a message type alone does not say: rules between members as JSON Schema where it can, in words where it cannot.

Each rule in words names the codes with which the codec refuses a message that breaks it. A test shows that these codes are the
only ones with which the codec refuses what a schema accepts.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from allye_protocol.codec.base import MAX_PAYLOAD_BYTES
from allye_protocol.errors import ErrorCode
from allye_protocol.messages.registry import Kind

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
    "A version-1 answer has no member called version. With an integer other than 1 there, it is an answer of that version.",
    ErrorCode.VERSION_UNSUPPORTED,
)
_BAND = _rule("capabilities.soc_min_pct is not above capabilities.soc_max_pct.", ErrorCode.LIMIT_SOC)

_EVERYWHERE: Final = (_JSON_TEXT, _SIZE, _DUPLICATES, _TOPIC)
_RULES: Final[dict[tuple[Kind, int], tuple[Rule, ...]]] = {
    (Kind.SCHEDULE, 1): (*_EVERYWHERE, _INSTANTS, _INTEGERS, _SLOTS, _CONTIGUOUS, _OWN_BOUND),
    (Kind.ACK, 1): (*_EVERYWHERE, _INSTANTS, _NO_VERSION),
    (Kind.EXECUTION_RESULT, 1): (*_EVERYWHERE, _INSTANTS, _NO_VERSION, _SLOTS),
    (Kind.HELLO, 0): (*_EVERYWHERE, _INTEGERS, _BAND),
}


def rules(kind: Kind, version: int) -> tuple[Rule, ...]:
    """The rules that the schema of one message type only says in words.

    :param kind: what the message is.
    :param version: the major version; 0 for a kind whose shape is frozen.
    """
    return _RULES[kind, version]


def _mode_implies(mode: str, bounds: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {"mode": {"const": mode}}, "required": ["mode"]},
        "then": {"properties": {"rate_kw": bounds}},
    }


MEMBER_RULES: Final[dict[str, dict[str, Any]]] = {
    "Interval": {
        "allOf": [
            _mode_implies("CHARGE", {"minimum": 0}),
            _mode_implies("DISCHARGE", {"maximum": 0}),
            _mode_implies("IDLE", {"minimum": 0, "maximum": 0}),
        ]
    }
}
"""By the name of a struct: rules between its members that JSON Schema can express."""
