"""The command: its help, its exit codes, and what it prints."""

from __future__ import annotations

import json
import os

import pytest

from allye_device.__main__ import main
from allye_device.ownership import owned
from allye_protocol.store.sqlite import SqliteStore

CONFIG = """
device_id = "max300-1"
battery = {{ capacity_wh = 300000, max_charge_w = 150000, max_discharge_w = 150000 }}
driver = {{ name = "{driver}" }}
broker = {{ host = "127.0.0.1", port = 1 }}
store = {{ path = "{path}" }}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text(CONFIG.format(driver="simulator", path=tmp_path / "device.db"))
    return path


def test_help_says_how_to_configure_and_what_the_exit_codes_mean(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    for words in ("ALLYE_DEVICE_BROKER__HOST", "examples:", "exit codes: 0 done, 1", "run", "status", "drivers"):
        assert words in told


def test_wrong_usage_is_2():
    with pytest.raises(SystemExit) as caught:
        main(["fly"])
    assert caught.value.code == 2


def test_a_wrong_configuration_is_2_and_names_the_key(file, capsys):
    file.write_text(file.read_text().replace("max_charge_w", "max_chrage_w"))
    assert main(["--config", str(file), "run"]) == 2
    assert f"allye-device: {file}: battery.max_chrage_w: is not known" in capsys.readouterr().err


def test_a_battery_that_cannot_be_opened_is_1_and_says_why(file, capsys):
    file.write_text(file.read_text().replace('"simulator"', '"acme"'))
    assert main(["--config", str(file), "run"]) == 1
    assert "driver.not_supported: no driver 'acme' is installed; there is: simulator" in capsys.readouterr().err


def test_a_store_that_is_none_is_1_and_is_left_alone(file, tmp_path, capsys):
    (tmp_path / "device.db").write_bytes(b"a letter to somebody" * 100)
    assert main(["--config", str(file), "run"]) == 1
    assert "store.corrupt" in capsys.readouterr().err
    assert (tmp_path / "device.db").read_bytes() == b"a letter to somebody" * 100


def test_a_second_agent_on_the_same_store_is_1_and_names_the_first(file, tmp_path, capsys):
    with owned(tmp_path / "device.db"):
        assert main(["--config", str(file), "run"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "device.db.lock") in line
    assert f"process {os.getpid()} " in line


def test_status_is_text_or_one_json_document(file, tmp_path, capsys):
    SqliteStore(tmp_path / "device.db").close()
    assert main(["--config", str(file), "status"]) == 0
    assert "device max300-1" in capsys.readouterr().out
    assert main(["--config", str(file), "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device_id"] == "max300-1"


def test_status_of_a_device_that_never_ran_is_1(file, capsys):
    assert main(["--config", str(file), "status"]) == 1
    told = capsys.readouterr().err
    assert f"store.failed: there is no store {file.parent / 'device.db'} yet: 'allye-device run' makes it" in told


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_folder_that_is_not_there_is_2_and_named(file, tmp_path, capsys, command):
    file.write_text(CONFIG.format(driver="simulator", path=tmp_path / "var" / "device.db"))
    assert main(["--config", str(file), command]) == 2
    assert f"store.path: there is no folder {tmp_path / 'var'}; make it" in capsys.readouterr().err


def test_without_a_configuration_it_says_how_to_give_one(monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith("ALLYE_DEVICE_")]:
        monkeypatch.delenv(name)
    assert main(["run"]) == 2
    assert "give --config FILE, or name the file in ALLYE_DEVICE_CONFIG" in capsys.readouterr().err


def test_drivers_are_listed_without_a_configuration(capsys):
    assert main(["drivers"]) == 0
    assert capsys.readouterr().out.startswith("simulator ")
    assert main(["drivers", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["factory"] == "allye_max300.simulator:open_simulator"
