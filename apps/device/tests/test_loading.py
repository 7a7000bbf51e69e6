"""Configuration: what is read from where, and what every mistake is answered with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from allye_device.config import ConfigError
from allye_device.loading import load_config

GOOD = """
device_id = "max300-1"

[battery]
capacity_wh = 300000
max_charge_w = 150000
max_discharge_w = 120000

[driver]
name = "simulator"

[driver.options]
initial_soc_pct = 40.0

[broker]
host = "broker.example"

[store]
path = "device.db"
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(GOOD)
    return path


def test_a_file_says_everything_that_has_no_default(file):
    config = load_config(file, {})
    assert config.battery.max_discharge_w == 120_000
    assert config.driver.options == {"initial_soc_pct": 40.0}
    assert (config.root, config.setpoint.validity_s, config.trust.time, config.clock.kind) == (
        "devices",
        60.0,
        "synchronised",
        "system",
    )


def test_the_environment_overrides_the_file_and_has_its_types(file):
    config = load_config(
        file,
        {
            "ALLYE_DEVICE_BROKER__HOST": "other.example",
            "ALLYE_DEVICE_BROKER__PORT": "8883",
            "ALLYE_DEVICE_BROKER__TLS__CAFILE": "/etc/ca.pem",
            "ALLYE_DEVICE_DRIVER__OPTIONS__STATE_FILE": "/var/lib/battery.json",
            "ALLYE_DEVICE_DRIVER__OPTIONS__PACKS": "5",
            "ALLYE_DEVICE_CLOCK__KIND": "scaled",
            "ALLYE_DEVICE_CLOCK__ORIGIN": "2018-10-28T00:00:00Z",
            "ALLYE_DEVICE_CLOCK__STARTED": "1700000000.5",
            "ALLYE_DEVICE_CLOCK__SPEED": "7200",
            "HOME": "/root",
        },
    )
    assert (config.broker.host, config.broker.port) == ("other.example", 8883)
    assert config.broker.tls is not None
    assert config.broker.tls.cafile == "/etc/ca.pem"
    assert config.driver.options == {"initial_soc_pct": 40.0, "state_file": "/var/lib/battery.json", "packs": 5}
    assert config.clock.origin == datetime(2018, 10, 28, tzinfo=UTC)
    assert config.clock.speed == 7200


def test_the_environment_alone_is_enough():
    lines = {
        "DEVICE_ID": "max300-1",
        "BATTERY__CAPACITY_WH": "300000",
        "BATTERY__MAX_CHARGE_W": "150000",
        "BATTERY__MAX_DISCHARGE_W": "150000",
        "DRIVER__NAME": "simulator",
        "BROKER__HOST": "127.0.0.1",
        "STORE__PATH": "device.db",
    }
    config = load_config(None, {f"ALLYE_DEVICE_{key}": value for key, value in lines.items()})
    assert config.battery.capacity_wh == 300_000


def test_the_environment_can_name_the_file(file):
    assert load_config(None, {"ALLYE_DEVICE_CONFIG": str(file)}).device_id == "max300-1"


MISTAKES = {
    "unknown key": ('host = "broker.example"', 'hots = "x"', "broker.hots", "is not known; known: host, port, "),
    "unknown table": ("[store]", "[stores]", "stores", "is not known"),
    "missing capacity": ("capacity_wh = 300000", "", "battery.capacity_wh", "is missing; add it"),
    "missing charge": ("max_charge_w = 150000", "", "battery.max_charge_w", "ALLYE_DEVICE_BATTERY__MAX_CHARGE_W"),
    "missing discharge": ("max_discharge_w = 120000", "", "battery.max_discharge_w", "is missing"),
    "missing id": ('device_id = "max300-1"', "", "device_id", "is missing"),
    "missing table": ('[store]\npath = "device.db"', "", "store", "is missing; add the table [store]"),
    "text for a number": ("capacity_wh = 300000", 'capacity_wh = "300000"', "battery.capacity_wh", "Expected `int`"),
    "negative power": ("max_charge_w = 150000", "max_charge_w = -1", "battery.max_charge_w", ">= 0"),
    "truth for a number": ("max_charge_w = 150000", "max_charge_w = true", "battery.max_charge_w", "Expected `int`"),
    "bad id": ('"max300-1"', '"max300/1"', "device_id", "a device id is"),
    "bad root": ("device_id =", 'root = "dev/+"\ndevice_id =', "root", "+"),
    "port": ('host = "broker.example"', 'host = "b"\nport = 0', "broker.port", ">= 1"),
    "protocol": ('host = "broker.example"', 'host = "b"\nprotocol = "4"', "broker.protocol", "Invalid enum value '4'"),
    "value for a table": ('[store]\npath = "device.db"', '[[store]]\npath = "device.db"', "store", "must be a table"),
    "band": ("capacity_wh = 300000", "capacity_wh = 1\nsoc_min_pct = 90\nsoc_max_pct = 80", "battery", "is not below"),
    "validity": ("[store]", "[setpoint]\nvalidity_s = 1\n[store]", "setpoint.validity_s", ">= 3"),
    "clock without figures": ("[store]", '[clock]\nkind = "scaled"\nspeed = 2\n[store]', "clock", "add origin, started"),
    "figures without clock": ("[store]", "[clock]\nspeed = 2\n[store]", "clock", 'go with kind = "scaled"'),
    "local origin": ("[store]", "[clock]\norigin = 2018-01-01T00:00:00\n[store]", "clock.origin", "timezone"),
    "trust": ("[store]", '[trust]\ntime = "never"\n[store]', "trust.time", "Invalid enum value 'never'"),
    "no TOML": ("[store]", "[store", "", "is not TOML"),
}


@pytest.mark.parametrize(("old", "new", "key", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_names_the_file_the_key_and_the_remedy(file, old, new, key, words):
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert (caught.value.where, caught.value.key) == (str(file), key)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALLYE_DEVICE_BROKER__HOTS", "x", "is not known"),
        ("ALLYE_DEVICE_BROKER__PORT", "many", "Expected `int`"),
        ("ALLYE_DEVICE_BATTERY", "big", "must be a table"),
        ("ALLYE_DEVICE_DEVICE_ID__X", "1", "is no table"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(file, variable, value, words):
    with pytest.raises(ConfigError) as caught:
        load_config(file, {variable: value})
    assert caught.value.where == variable
    assert words in str(caught.value)


def test_no_configuration_at_all_says_how_to_give_one():
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"HOME": "/root"})
    assert str(caught.value) == "there is no configuration; give --config FILE, or name the file in ALLYE_DEVICE_CONFIG"


def test_an_environment_that_is_not_enough_says_that_no_file_was_given():
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"ALLYE_DEVICE_DEVICE_ID": "max300-1"})
    assert (caught.value.where, caught.value.key) == ("environment (no --config FILE, no ALLYE_DEVICE_CONFIG)", "battery")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read .*--config"):
        load_config(tmp_path / "nowhere.toml", {})
