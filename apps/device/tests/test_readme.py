"""The manual's examples are what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allye_device import __main__ as command
from allye_device.config import AgentConfig
from allye_device.loading import load_config

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

OPERATIONS = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return found


def test_the_configuration_is_valid_and_shows_every_key(tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(block("toml"))
    config = load_config(file, {})
    assert config.broker.tls is not None
    for name in AgentConfig.__struct_fields__:
        value = getattr(config, name)
        for key in getattr(value, "__struct_fields__", (name,)):
            assert re.search(rf"\b{key}\b", README), key


def test_the_configuration_of_the_operations_chapter_is_valid(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)
    file = tmp_path / "device.toml"
    file.write_text(text)
    config = load_config(file, {})
    assert (config.device_id, config.broker.port) == ("max300-0001", 8883)


def test_the_program_runs():
    names: dict[str, object] = {}
    exec(compile(block("python"), "README.md", "exec"), names)
    assert callable(names["play"])


def test_every_command_and_exit_code_is_in_it(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "{run" not in capsys.readouterr().out
    for words in ("allye-device --config device.toml run", "allye-device --config device.toml status", "allye-device drivers"):
        assert words in README
        assert words in command.EPILOG
