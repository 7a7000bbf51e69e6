"""What a device announces is what it is configured for and what its battery says of itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from allye_device.config import ConfigError, ProtocolConfig, SetpointConfig
from allye_device.hello import hello_of
from allye_max300.simulator import open_simulator
from allye_protocol import codec, decode, encode
from allye_protocol.messages import Kind


@pytest.fixture
def driver(noon):
    return open_simulator({"power_step_w": 500, "max_validity_s": 90}, lambda: noon)


def test_it_is_a_valid_message(make_config, driver):
    hello = hello_of(make_config(setpoint=SetpointConfig()), driver)
    assert decode(encode(hello), Kind.HELLO) == hello
    assert (hello.model, hello.versions, hello.capabilities.power_step_w) == ("Allye MAX300 (simulated)", (1, 2), 500)


def test_everything_that_is_installed_is_offered_unless_it_is_configured_otherwise(make_config, driver):
    hello = hello_of(make_config(setpoint=SetpointConfig()), driver)
    assert hello.content_types == codec.content_types_of(2)
    assert "application/json" in hello.content_types
    assert hello.capabilities.slot_lengths_s == (300, 900, 1800, 3600)
    small = ProtocolConfig(versions=(1,), content_types=("application/json",), slot_lengths_s=(1800,))
    hello = hello_of(make_config(setpoint=SetpointConfig(), protocol=small), driver)
    assert (hello.versions, hello.content_types) == ((1,), ("application/json",))
    assert hello.capabilities.slot_lengths_s == (1800,)


def test_every_figure_beyond_the_battery_is_refused_by_name(make_config, driver):
    config = make_config(setpoint=SetpointConfig())
    for key, value in (("capacity_wh", 300_001), ("max_charge_w", 150_001), ("max_discharge_w", 150_001)):
        changed = replace(config, battery=replace(config.battery, **{key: value}))
        with pytest.raises(ConfigError, match=f"battery.{key}: "):
            hello_of(changed, driver)
    with pytest.raises(ConfigError, match=r"setpoint\.validity_s: 91 is more than the 90"):
        hello_of(replace(config, setpoint=SetpointConfig(validity_s=91)), driver)
