from pathlib import Path

import pytest

from allye_max300 import Driver, available, open_driver
from allye_protocol.errors import DriverError, ErrorCode


def install(site: Path, distribution: str, driver: str, factory: str) -> None:
    info = site / f"{distribution}-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
    (info / "entry_points.txt").write_text(f"[allye.drivers]\n{driver} = {factory}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_simulator_is_installed() -> None:
    info = available()["simulator"]
    assert (info.name, info.distribution) == ("simulator", "allye-max300")


def test_a_driver_is_opened_by_name_with_its_options(bench) -> None:
    driver = open_driver("simulator", {"serial": "S-7"}, bench.clock)
    assert isinstance(driver, Driver)
    assert driver.identify().serial == "S-7"


def test_an_unknown_driver_is_refused_with_the_names_of_those_there_are(bench) -> None:
    with pytest.raises(DriverError, match=r"no driver 'simulater' is installed; there is: .*simulator") as caught:
        open_driver("simulater", {}, bench.clock)
    assert caught.value.code is ErrorCode.DRIVER_NOT_SUPPORTED


def test_another_package_brings_a_driver_and_nothing_here_is_edited(bench, site: Path) -> None:
    install(site, "acme-battery", "acme", "acme_battery_found:make")
    (site / "acme_battery_found.py").write_text("def make(options, clock):\n    return options['anything'], clock\n")
    assert available()["acme"].version == "1.5"
    assert open_driver("acme", {"anything": 3}, bench.clock) == (3, bench.clock)


@pytest.mark.parametrize("factory", ["no_such_module_here:make", "json:no_such_factory"])
def test_a_driver_that_cannot_be_imported_is_named_with_its_package(bench, site: Path, factory: str) -> None:
    install(site, "acme-battery", "acme", factory)
    with pytest.raises(DriverError, match=r"driver 'acme' of acme-battery 1\.5 cannot be imported") as caught:
        open_driver("acme", {}, bench.clock)
    assert caught.value.code is ErrorCode.DRIVER_NOT_SUPPORTED


def test_two_packages_with_a_driver_of_one_name_are_refused_with_both(site: Path) -> None:
    install(site, "acme-battery", "simulator", "acme_battery:make")
    with pytest.raises(DriverError, match=r"two packages bring a driver 'simulator'.*acme-battery") as caught:
        available()
    assert caught.value.code is ErrorCode.DRIVER_REJECTED
