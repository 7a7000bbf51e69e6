"""Between a message of the runtime and the struct that it stands for: the fast road, in both directions.

1. What is read here is a body, as the JSON form has it, with instants as ``datetime``; msgspec then checks every member by the
   struct's own types. So a rule is written once, for all encodings.
2. Reading raises on whatever the body has no place for. What it was is found out on the slow road.
3. A member that has its default is not written, as in the other encodings.
"""

from __future__ import annotations

import math
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from allye_protocol.codec.protobuf.shape import ENUMS, NO_SETPOINT, SHAPES, Field, Scalar
from allye_protocol.messages.fields import EARLIEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["NOT_READ", "NOT_WRITTEN", "body_of", "fields_of", "is_in_utc", "members_of"]

NOT_READ: Final = (LookupError, ValueError, OverflowError, msgspec.ValidationError)
"""What reading raises, with msgspec's check of what was read."""
NOT_WRITTEN: Final = (ValueError, TypeError, OverflowError, msgspec.ValidationError)
"""What writing raises for a message that no peer would read."""

_MICROSECOND: Final = timedelta(microseconds=1)


class _Writer(NamedTuple):
    """How one member is written.

    :param convert: from the member's value to the field's; ``None`` where they are the same.
    """

    name: str
    member: str
    default: Any
    convert: Callable[[Any], Any] | None


def body_of(message: Any, struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The members of a parsed Protobuf message, unchecked.

    :param message: of the runtime's class for ``struct``.
    """
    readers = _READERS[struct]
    body: dict[str, Any] = {}
    for descriptor, value in message.ListFields():
        member, convert = readers[descriptor.number]
        body[member] = value if convert is None else convert(value)
    if NO_SETPOINT in body:
        body["rates_w"] = _without_setpoint(body.get("rates_w", ()), body.pop(NO_SETPOINT))
    return body


def members_of(message: msgspec.Struct) -> dict[str, Any]:
    """The members of a struct as a body, so that msgspec checks each once more: constructing has checked nothing."""
    body = msgspec.structs.asdict(message)
    for member in _NESTED[type(message)]:
        if isinstance(body[member], msgspec.Struct):
            body[member] = members_of(body[member])
    return body


def is_in_utc(message: msgspec.Struct) -> bool:
    """Whether every instant of a message is in UTC, by the table of its fields: faster than looking at every member."""
    for member in _INSTANTS[type(message)]:
        instant = getattr(message, member)
        if instant is not None and instant.tzinfo is not UTC:
            return False
    return True


def fields_of(message: msgspec.Struct) -> dict[str, Any]:
    """The keyword arguments with which the runtime's class makes the same message.

    :param message: with the right type in each member.
    """
    fields: dict[str, Any] = {}
    for name, member, default, convert in _WRITERS[type(message)]:
        value = getattr(message, member)
        if value != default:
            fields[name] = value if convert is None else convert(value)
    rates = fields.get("rates_w")
    if rates is not None and None in rates:
        fields["rates_w"] = [rate or 0 for rate in rates]
        fields[NO_SETPOINT] = [slot for slot, rate in enumerate(rates) if rate is None]
    return fields


def _without_setpoint(rates: tuple[int, ...], slots: Sequence[int]) -> list[int | None]:
    made: list[int | None] = list(rates)
    before = -1
    for slot in slots:
        if slot <= before or made[slot]:
            raise ValueError(slot)
        made[slot] = None
        before = slot
    return made


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return value


def _instant(microseconds: int) -> datetime:
    return EARLIEST + timedelta(0, 0, microseconds)


def _microseconds(instant: datetime) -> int:
    return (instant - EARLIEST) // _MICROSECOND


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels in the order in which they are written: a map of the runtime has that of its hashes."""
    return dict(sorted(labels.items()))


def _listed(values: Iterable[Any]) -> tuple[Any, ...]:
    # A slice of a repeated field is a list, made at once: faster than going through the field one by one.
    return tuple(values[:])  # type: ignore[index]


def _reader(field: Field) -> Callable[[Any], Any] | None:
    if field.repeated:
        return _listed
    match field.type:
        case Scalar.DOUBLE:
            return _finite
        case Scalar.INSTANT:
            return _instant
        case Scalar.LABELS:
            return _labels
        case Scalar():
            return None
    if field.type in ENUMS:
        return {number: member for member, number in ENUMS[field.type].items()}.__getitem__
    struct = SHAPES[field.type].struct
    return lambda nested: body_of(nested, struct)


def _writer(field: Field) -> Callable[[Any], Any] | None:
    match field.type:
        case Scalar.DOUBLE:
            return _finite
        case Scalar.INSTANT:
            return _microseconds
        case Scalar():
            return None
    return ENUMS[field.type].__getitem__ if field.type in ENUMS else fields_of


def _default(member: msgspec.structs.FieldInfo) -> Any:
    return member.default if member.default_factory is msgspec.NODEFAULT else member.default_factory()


_READERS: Final = {
    struct: {field.number: (field.member, _reader(field)) for field in shape.fields} for struct, shape in SHAPES.items()
}
_DEFAULTS: Final = {struct: {member.name: _default(member) for member in msgspec.structs.fields(struct)} for struct in SHAPES}
_WRITERS: Final = {
    struct: [
        _Writer(field.name, field.member, _DEFAULTS[struct][field.member], _writer(field))
        for field in shape.fields
        if field.member != NO_SETPOINT
    ]
    for struct, shape in SHAPES.items()
}
_NESTED: Final = {
    struct: tuple(field.member for field in shape.fields if field.type in SHAPES) for struct, shape in SHAPES.items()
}
_INSTANTS: Final = {
    struct: tuple(field.member for field in shape.fields if field.type is Scalar.INSTANT) for struct, shape in SHAPES.items()
}
