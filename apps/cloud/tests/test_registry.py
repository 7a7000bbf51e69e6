import json
from pathlib import Path

import pytest

from allye_cloud.battery import Battery
from allye_cloud.errors import RegistryError
from allye_cloud.registry import load

DEFAULTS = """
[defaults]
zone = "Europe/London"
capacity_wh = 300000
max_charge_w = 150000
max_discharge_w = 140000
"""


def write(folder: Path, text: str, name: str = "devices.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_device_takes_what_it_does_not_say_from_the_defaults(tmp_path: Path) -> None:
    text = (
        DEFAULTS
        + "[devices.one]\n[devices.two]\ncapacity_wh = 257000\ninitial_soc_pct = 30\nzone = 'UTC'\nexport_limit_w = 50000\n"
    )
    devices = load(write(tmp_path, text))

    assert list(devices) == ["one", "two"]
    one, two = devices.values()
    assert (one.device_id, two.device_id) == ("one", "two")
    assert one.battery == Battery(capacity_wh=300_000, max_charge_w=150_000, max_discharge_w=140_000)
    assert one.zone.key == "Europe/London"
    assert one.initial_soc_pct == 50.0
    assert two.battery.capacity_wh == 257_000
    assert two.battery.export_limit_w == 50_000
    assert two.zone.key == "UTC"
    assert two.initial_soc_pct == 30.0


def test_json_says_the_same_as_toml(tmp_path: Path) -> None:
    values = {"zone": "UTC", "capacity_wh": 1000, "max_charge_w": 500, "max_discharge_w": 500}
    toml = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    from_json = load(write(tmp_path, json.dumps({"devices": {"a": values}}), "devices.json"))

    assert from_json == load(write(tmp_path, "[devices.a]\n" + toml))


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        pytest.param("[devices.a]\ncapcity_wh = 1", "devices.a.capcity_wh", "is not known", id="unknown key"),
        pytest.param("[device.a]", "device", "is not known", id="unknown section"),
        pytest.param("[devices.'a b']", "devices.a b", "device id", id="bad id"),
        pytest.param("[devices]\na = 1", "devices.a", "is int, not a table", id="not a table"),
        pytest.param("[devices.a]\ncapacity_wh = -1", "devices.a.capacity_wh", "Expected `int` >= 0", id="negative"),
        pytest.param("[devices.a]\ncapacity_wh = 1.5", "devices.a.capacity_wh", "Expected `int`", id="fraction"),
        pytest.param("[devices.a]\ncapacity_wh = true", "devices.a.capacity_wh", "Expected `int`", id="boolean"),
        pytest.param("[devices.a]\nefficiency = nan", "devices.a.efficiency", "Expected `float`", id="NaN"),
        pytest.param("[devices.a]\nefficiency = 1.01", "devices.a.efficiency", "Expected `float` <= 1", id="more than all"),
        pytest.param("[devices.a]\nwear_gbp_per_kwh = inf", "devices.a.wear_gbp_per_kwh", "Expected `float` <=", id="infinity"),
        pytest.param("[devices.a]\nmax_charge_w = 10000001", "devices.a.max_charge_w", "<= 10000000", id="beyond the protocol"),
        pytest.param("[devices.a]\nsoc_max_pct = 5", "devices.a.soc_max_pct", "not above soc_min_pct", id="band upside down"),
        pytest.param("[devices.a]\ncapacity_wh = 0", "defaults.power_step_w", "do not fit into the band", id="no band"),
        pytest.param("[devices.a]\npower_step_w = 145000", "devices.a.power_step_w", "more than max_discharge_w", id="step"),
        pytest.param("[devices.a]\nzone = 'Europe/Nowhere'", "devices.a.zone", "is not a time zone", id="unknown zone"),
        pytest.param("[devices.a]\nzone = 1", "devices.a.zone", "Expected `str`", id="zone is a number"),
        pytest.param("[devices.a]\ninitial_soc_pct = 101", "devices.a.initial_soc_pct", "<= 100", id="too full"),
        pytest.param("", "devices", "there is no device", id="no device"),
        pytest.param("[devices.a]\n[devices.a]", "", "is not TOML", id="device twice"),
        pytest.param("[devices.a]\ncapacity_wh = 1\ncapacity_wh = 2", "", "is not TOML", id="key twice"),
    ],
)
def test_a_mistake_is_named_with_its_key(tmp_path: Path, text: str, key: str, what: str) -> None:
    path = write(tmp_path, DEFAULTS + text)

    with pytest.raises(RegistryError) as caught:
        load(path)

    assert caught.value.key == key
    assert what in caught.value.what
    assert caught.value.remedy
    assert str(caught.value).startswith(f"{path}: {key}: " if key else f"{path}: ")


def test_a_mistake_in_the_defaults_is_named_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"defaults\.max_charge_w: Expected `int`"):
        load(write(tmp_path, DEFAULTS.replace("max_charge_w = 150000", "max_charge_w = 'much'") + "[devices.a]"))


def test_nothing_is_assumed_about_a_battery(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"devices\.a: is incomplete; set capacity_wh, max_charge_w, max_discharge_w"):
        load(write(tmp_path, "[devices.a]\nzone = 'UTC'\n"))


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        pytest.param("devices.json", '{"devices": {"a": {}, "a": {}}}', "the key 'a' comes twice", id="device twice in JSON"),
        pytest.param("devices.json", "{", "is not JSON", id="broken JSON"),
        pytest.param("devices.json", "[]", "is list, not a table", id="a list"),
        pytest.param("devices.yaml", "", "is a .yaml file", id="another format"),
    ],
)
def test_a_file_that_is_no_registry_is_an_error(tmp_path: Path, name: str, text: str, what: str) -> None:
    with pytest.raises(RegistryError) as caught:
        load(write(tmp_path, text, name))

    assert what in str(caught.value)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# \xe9")

    with pytest.raises(RegistryError, match="cannot be read"):
        load(tmp_path / "nowhere.toml")
    with pytest.raises(RegistryError, match="is not UTF-8 at byte 2"):
        load(latin)
