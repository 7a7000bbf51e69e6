"""The sites of a played day: batteries of different sizes and states of charge, for the registry and for the agents alike."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from allye_device.config import (
    AgentConfig,
    BatteryConfig,
    BrokerConfig,
    ClockConfig,
    DriverConfig,
    ProtocolConfig,
    SetpointConfig,
    StoreConfig,
    TrustConfig,
)
from allye_protocol import codec

if TYPE_CHECKING:
    from pathlib import Path

    from allye_demo.broker import Broker

__all__ = ["MAX_DEVICES", "Site", "Tongue", "agent_config", "registry_text", "sites"]

MAX_DEVICES: Final = 200
"""Every device has a thread, a connection and a database here."""
PLANNED_BAND_PCT: Final = (10.0, 95.0)
DEVICE_BAND_PCT: Final = (5.0, 100.0)
"""Wider than what is planned: a battery draws something for itself, and a plan that ends at its limit should not break it."""
VALIDITY_S: Final = 1800.0
"""Long, so that a played day is not spent on refreshing setpoints."""


class Tongue(msgspec.Struct, frozen=True, kw_only=True):
    """What a device speaks.

    :param versions: major versions of the protocol.
    :param content_type: the encoding that it prefers; every device reads JSON.
    """

    versions: tuple[int, ...]
    content_type: str

    def __str__(self) -> str:
        return f"v{max(self.versions)} {_SHORT.get(self.content_type, self.content_type)}"


JSON: Final = "application/json"
_SHORT: Final = {JSON: "JSON", "application/vnd.msgpack": "MessagePack", "application/protobuf": "Protobuf"}
_TONGUES: Final = (
    *(Tongue(versions=(1, 2), content_type=name) for name in sorted(codec.content_types_of(2), reverse=True)),
    Tongue(versions=(1,), content_type=JSON),
)
"""A fleet is mixed: version 2 in every encoding that is installed, and version 1."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One battery somewhere.

    :param device_id: its device.
    :param capacity_wh: usable energy, Wh.
    :param power_w: largest charging and discharging power, W.
    :param soc_pct: state of charge at the beginning of the day, %.
    :param seed: of its measurement noise.
    :param tongue: what its device speaks.
    """

    device_id: str
    capacity_wh: int
    power_w: int
    soc_pct: float
    seed: int
    tongue: Tongue


def sites(count: int, seed: int) -> list[Site]:
    """The same sites for the same seed. Sizes are assumptions: second-life packs are mixed."""
    chance = random.Random(seed)  # noqa: S311 - batteries, not secrets
    return [
        Site(
            device_id=f"max300-{number:04d}",
            capacity_wh=300_000 - 10_000 * chance.randrange(7),
            power_w=150_000 - 5_000 * chance.randrange(5),
            soc_pct=float(chance.randrange(30, 71)),
            seed=chance.randrange(2**31),
            tongue=_TONGUES[(number - 1) % len(_TONGUES)],
        )
        for number in range(1, count + 1)
    ]


def registry_text(fleet: list[Site], zone: str) -> str:
    """The cloud's registry of the sites, JSON."""
    devices: dict[str, dict[str, Any]] = {
        site.device_id: {
            "capacity_wh": site.capacity_wh,
            "max_charge_w": site.power_w,
            "max_discharge_w": site.power_w,
            "initial_soc_pct": site.soc_pct,
        }
        for site in fleet
    }
    defaults = {"zone": zone, "soc_min_pct": PLANNED_BAND_PCT[0], "soc_max_pct": PLANNED_BAND_PCT[1]}
    return msgspec.json.encode({"defaults": defaults, "devices": devices}).decode()


def agent_config(site: Site, broker: Broker, clock: ClockConfig, folder: Path) -> AgentConfig:
    """What the site's agent is configured with."""
    return AgentConfig(
        device_id=site.device_id,
        battery=BatteryConfig(
            capacity_wh=site.capacity_wh,
            max_charge_w=site.power_w,
            max_discharge_w=site.power_w,
            soc_min_pct=DEVICE_BAND_PCT[0],
            soc_max_pct=DEVICE_BAND_PCT[1],
        ),
        driver=DriverConfig(
            name="simulator",
            options={
                "capacity_wh": float(site.capacity_wh),
                "max_charge_w": site.power_w,
                "max_discharge_w": site.power_w,
                "initial_soc_pct": site.soc_pct,
                "serial": site.device_id,
                "seed": site.seed,
            },
        ),
        broker=BrokerConfig(host=broker.host, port=broker.port),
        store=StoreConfig(path=str(folder / f"{site.device_id}.db")),
        setpoint=SetpointConfig(validity_s=VALIDITY_S),
        trust=TrustConfig(time="always"),
        protocol=ProtocolConfig(
            versions=site.tongue.versions, content_types=tuple(dict.fromkeys((site.tongue.content_type, JSON)))
        ),
        clock=clock,
    )
