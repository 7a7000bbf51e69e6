"""What the README shows works as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from allye_cloud.__main__ import _parser
from allye_cloud.config import load
from allye_cloud.prices import PriceUnit
from allye_cloud.prices import load as load_prices
from allye_cloud.registry import _KEYS
from allye_cloud.registry import load as load_registry

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CONFIG, REGISTRY = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"`allye-cloud ([^`]+)`", README)


def test_its_configuration_is_one(tmp_path: Path) -> None:
    path = tmp_path / "cloud.toml"
    path.write_text(CONFIG)
    assert load(path, {}).retry.base_s == 30


def test_its_registry_is_one(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(REGISTRY)
    assert [device.battery.capacity_wh for device in load_registry(path).values()] == [300_000, 257_000]


def test_it_names_every_key_of_the_registry() -> None:
    assert not {key for key in _KEYS if not re.search(rf"\b{key}\b", README)}


def test_its_prices_are_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_text(re.findall(r"```text\n(start.*?)```", README, re.DOTALL)[0])
    series = load_prices(path, unit=PriceUnit.PENCE_PER_KWH, zone=ZoneInfo("Europe/London"))
    assert series.prices_gbp_per_mwh == pytest.approx((55.0, 58.1))


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_understood(command: str) -> None:
    assert _parser().parse_args(shlex.split(command)).command == command.split(maxsplit=1)[0]


def test_it_names_every_command() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"plan", "publish", "cancel", "serve", "status"}


def test_it_names_every_module() -> None:
    modules = {path.stem for path in (Path(__file__).parents[1] / "src/allye_cloud").glob("*.py")} - {"__init__", "__main__"}
    assert modules - set(re.findall(r"`(\w+)`", README)) == {"errors"}
