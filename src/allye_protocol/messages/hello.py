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
from allye_protocol.messages.v1 import DeviceIdField

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Capabilities", "Hello", "hello_problems"]

MAX_WATTS: Final = 10_000_000
Watts = Annotated[int, Meta(ge=0, le=MAX_WATTS)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
Name = Annotated[str, Meta(max_length=128)]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What the battery can do, as the device is configured."""

    max_charge_w: Annotated[Watts, Meta(description="Largest charging power at the AC terminals, W.", examples=[150_000])]
    max_discharge_w: Annotated[Watts, Meta(description="Largest discharging power at the AC terminals, W.", examples=[150_000])]
    capacity_wh: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="Usable energy from empty to full, Wh.", examples=[300_000])
    ]
    power_step_w: Annotated[
        int,
        Meta(ge=1, le=MAX_WATTS, description="Setpoints are multiples of this power, W.", examples=[100]),
    ]
    soc_min_pct: Annotated[Percent, Meta(description="Lowest state of charge to discharge to, %.", examples=[10.0])]
    soc_max_pct: Annotated[Percent, Meta(description="Highest state of charge to charge to, %.", examples=[95.0])]
    slot_lengths_s: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=86_400)], ...],
        Meta(min_length=1, max_length=16, description="Slot lengths that the device takes, s.", examples=[[1800]]),
    ]


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What a device speaks and what it can do; published retained on every connection."""

    device_id: DeviceIdField
    versions: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=65_535)], ...],
        Meta(
            min_length=1,
            max_length=32,
            description="Major versions that the device speaks. The cloud takes the highest that both know.",
            examples=[[1]],
        ),
    ]
    content_types: Annotated[
        tuple[Name, ...],
        Meta(
            min_length=1,
            max_length=16,
            description="Encodings that the device reads, as media types. The cloud takes the first of its own that is here.",
            examples=[["application/json"]],
        ),
    ]
    model: Annotated[Name, Meta(description="The battery's model, for people.", examples=["MAX300"])]
    firmware: Annotated[Name, Meta(description="The battery's or the device's firmware, for people.", examples=["2026.11"])]
    library: Annotated[
        Name, Meta(description="The protocol library and its version, for people.", examples=["allye-protocol 0.1.0"])
    ]
    capabilities: Annotated[Capabilities, Meta(description="What the battery can do; a planner keeps within it.")]


def hello_problems(hello: Hello) -> Iterator[Problem]:
    """Everything that is wrong with a hello whose fields are right one by one."""
    if not is_id(hello.device_id):
        message = "an id is 1 to 64 characters of A-Z a-z 0-9 _ -"
        yield Problem(code=ErrorCode.MESSAGE_INVALID, message=message, path="/device_id")
    band = hello.capabilities
    if band.soc_min_pct > band.soc_max_pct:
        message = f"soc_min_pct {band.soc_min_pct} is above soc_max_pct {band.soc_max_pct}"
        yield Problem(code=ErrorCode.LIMIT_SOC, message=message, path="/capabilities/soc_min_pct")
