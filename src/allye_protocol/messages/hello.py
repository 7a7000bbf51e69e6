"""Hello: what a device speaks and what it can do. Its shape is frozen for all versions, and it is always JSON.

It is the one message that is read before a version has been agreed on, so it can never change incompatibly: fields are only
added, and a reader ignores those that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from allye_protocol.errors import ErrorCode, Problem
from allye_protocol.ids import is_id
from allye_protocol.messages.fields import DeviceIdField

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Capabilities", "Hello", "hello_problems"]

MAX_WATTS: Final = 10_000_000
Watts = Annotated[int, Meta(ge=0, le=MAX_WATTS)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
Name = Annotated[str, Meta(max_length=128)]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the battery can do, as the device is configured."""

    max_charge_w: Annotated[
        Watts,
        Meta(
            description=(
                "Largest charging power at the AC terminals, W. A schedule that asks for more is refused, not clamped: a plan "
                "is executed as it was priced or not at all."
            ),
            examples=[150_000],
        ),
    ]
    max_discharge_w: Annotated[
        Watts,
        Meta(
            description="Largest discharging power at the AC terminals, W, as a positive number. It may differ from charging.",
            examples=[150_000],
        ),
    ]
    capacity_wh: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000_000,
            description="Usable energy from empty to full, Wh. Percentages of charge are of this.",
            examples=[300_000],
        ),
    ]
    power_step_w: Annotated[
        int,
        Meta(
            ge=1,
            le=MAX_WATTS,
            description=(
                "Setpoints are multiples of this power, W. A planner rounds to it beforehand, so that what is planned is what "
                "is executed."
            ),
            examples=[100],
        ),
    ]
    soc_min_pct: Annotated[
        Percent,
        Meta(
            description="Lowest state of charge to discharge to, %. The device stops there whatever the schedule says.",
            examples=[10.0],
        ),
    ]
    soc_max_pct: Annotated[
        Percent,
        Meta(
            description="Highest state of charge to charge to, %. The device stops there whatever the schedule says.",
            examples=[95.0],
        ),
    ]
    slot_lengths_s: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=86_400)], ...],
        Meta(
            min_length=1,
            max_length=16,
            description="Slot lengths that the device takes, s. Version 1 has slots of 1800 s only.",
            examples=[[1800]],
        ),
    ]


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a device speaks and what it can do; published retained on every connection."""

    device_id: DeviceIdField
    versions: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_535)], ...],
        Meta(
            min_length=1,
            max_length=32,
            description=(
                "Major versions that the device speaks, in any order. The cloud takes the highest that both know; there is no "
                "range, so that a device can drop a version in the middle."
            ),
            examples=[[1]],
        ),
    ]
    content_types: Annotated[
        tuple[Name, ...],
        Meta(
            min_length=1,
            max_length=16,
            description=(
                "Encodings that the device reads, as media types. The cloud takes the first of its own preferences that is "
                "here, as both directions then use the same one."
            ),
            examples=[["application/json"]],
        ),
    ]
    model: Annotated[
        Name,
        Meta(description="The battery's model, for people: nothing is decided by it, see capabilities.", examples=["MAX300"]),
    ]
    firmware: Annotated[
        Name,
        Meta(
            description="The battery's or the device's firmware, for people: which devices have a known fault.",
            examples=["2026.11"],
        ),
    ]
    library: Annotated[
        Name,
        Meta(
            description="The protocol library and its version, for people: which devices are due for an upgrade.",
            examples=["allye-protocol 0.1.0"],
        ),
    ]
    capabilities: Annotated[Capabilities, Meta(description="What the battery can do. A planner keeps within it.")]


def hello_problems(hello: Hello) -> Iterator[Problem]:
    """Everything that is wrong with a hello whose fields are right one by one."""
    if not is_id(hello.device_id):
        message = "an id is 1 to 64 characters of A-Z a-z 0-9 _ -"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/device_id")
    band = hello.capabilities
    if band.soc_min_pct > band.soc_max_pct:
        message = f"soc_min_pct {band.soc_min_pct} is above soc_max_pct {band.soc_max_pct}"
        yield Problem(code=ErrorCode.LIMIT_SOC, message=message, path="/capabilities/soc_min_pct")
