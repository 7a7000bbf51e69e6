"""What the device says of itself: what it is configured for, after a look at whether the battery can do it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from allye_device.config import ConfigError
from allye_protocol import Capabilities, Hello, device_id

if TYPE_CHECKING:
    from allye_device.config import AgentConfig
    from allye_max300 import Driver

__all__ = ["hello_of"]


def hello_of(config: AgentConfig, driver: Driver) -> Hello:
    """The hello of a device.

    :param config: the device.
    :param driver: its battery, which must answer.
    :raises ConfigError: when more is configured than the battery can do.
    :raises DriverError: when the battery does not say what it can do.
    """
    battery, identity, can = config.battery, driver.identify(), driver.capabilities()
    for key, wanted, possible in (
        ("battery.capacity_wh", battery.capacity_wh, can.capacity_wh),
        ("battery.max_charge_w", battery.max_charge_w, can.max_charge_w),
        ("battery.max_discharge_w", battery.max_discharge_w, can.max_discharge_w),
        ("setpoint.validity_s", config.setpoint.validity_s, can.max_validity_s),
    ):
        if wanted > possible:
            what = f"{wanted:g} is more than the {possible:g} of the battery; lower it, or correct the driver's options"
            raise ConfigError(f"device {config.device_id}", key, what)
    return Hello(
        device_id=device_id(config.device_id),
        versions=config.protocol.versions,
        content_types=config.protocol.offered,
        model=f"{identity.manufacturer} {identity.model}",
        firmware=identity.firmware,
        library=f"allye-protocol {version('allye-protocol')}",
        capabilities=Capabilities(
            max_charge_w=battery.max_charge_w,
            max_discharge_w=battery.max_discharge_w,
            capacity_wh=battery.capacity_wh,
            power_step_w=can.power_step_w,
            soc_min_pct=battery.soc_min_pct,
            soc_max_pct=battery.soc_max_pct,
            slot_lengths_s=config.protocol.slot_lengths_s,
        ),
    )
