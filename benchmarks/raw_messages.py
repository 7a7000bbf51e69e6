"""The messages as a reader without rules would have them: the fields and types of the protocol's own, and nothing checked.

No bounds, no ids, no half-hours; naive times, other offsets and duplicate keys pass.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args, get_type_hints

import msgspec

from allye_protocol.messages import Ack, Clock, ErrorDetail, ExecutionResult, Schedule, v1

__all__ = ["RAW"]

RAW: dict[type, type[msgspec.Struct]] = {}
"""The raw type of each message type that is measured."""


def _raw_type(expected: Any) -> Any:
    """The type without what is said about it; ids are texts."""
    if isinstance(expected, type) and expected in RAW:
        return RAW[expected]
    if expected in (int, float, bool, str, datetime, type(None)):
        return expected
    supertype = getattr(expected, "__supertype__", None)
    if supertype is not None:
        return supertype
    arguments = get_args(expected)
    if not arguments:
        return expected
    if getattr(expected, "__origin__", None) is tuple:
        return list[_raw_type(arguments[0])]  # type: ignore[misc]
    if getattr(expected, "__origin__", None) is dict:
        return dict[str, str]
    if all(isinstance(argument, int) for argument in arguments):
        return int
    made = _raw_type(arguments[0])
    for argument in arguments[1:]:
        made |= _raw_type(argument)
    return made


for struct in (
    Clock,
    ErrorDetail,
    v1.Interval,
    v1.TimeSpan,
    v1.Schedule,
    v1.Ack,
    v1.ExecutionResult,
    Schedule,
    Ack,
    ExecutionResult,
):
    hints = get_type_hints(struct)
    fields: list[Any] = []
    for field in msgspec.structs.fields(struct):
        kind = _raw_type(hints[field.name])
        if field.required:
            fields.append((field.name, kind))
        elif field.default_factory is not msgspec.NODEFAULT:
            fields.append((field.name, kind, msgspec.field(default_factory=field.default_factory)))
        else:
            fields.append((field.name, kind, field.default))
    RAW[struct] = msgspec.defstruct(f"Raw{struct.__name__}", fields, omit_defaults=True, kw_only=True)
