from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allye_max300.simulator import SimulatorConfig, faults
from allye_max300.simulator.controller import new_battery, with_fault, write_setpoint
from allye_max300.simulator.statefile import Saved, load, save
from allye_protocol.errors import ErrorCode, StoreError

CONFIG = SimulatorConfig(heartbeat_timeout_s=30)


def saved() -> Saved:
    state = write_setpoint(CONFIG, new_battery(CONFIG, 5), -20_000, 60)
    for fault in (faults.PackDropout(3), faults.StuckValue("power_w"), faults.OtherMaster(9)):
        state = with_fault(CONFIG, state, fault)
    return Saved(offset_us=-7, state=state)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "battery.json", saved())
    assert saved() == load(tmp_path / "battery.json", CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["battery.json"]


def test_no_file_is_a_new_battery(tmp_path: Path) -> None:
    assert load(tmp_path / "battery.json", CONFIG) is None


def test_a_folder_in_its_place_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the battery's state file") as caught:
        load(tmp_path, CONFIG)
    assert caught.value.code is ErrorCode.STORE_FAILED


def corrupt(path: Path, data: bytes, config: SimulatorConfig = CONFIG) -> StoreError:
    path.write_bytes(data)
    with pytest.raises(StoreError, match="restore it, or delete it") as caught:
        load(path, config)
    assert caught.value.code is ErrorCode.STORE_CORRUPT
    assert str(path) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"\xff\xfe", b'{"format":2}', b"[" * 100_000, b'"\xff"'], ids=lambda data: repr(data[:9])
)
def test_a_file_of_something_else_is_refused_with_its_name_and_what_to_do(tmp_path: Path, data: bytes) -> None:
    corrupt(tmp_path / "battery.json", data)


@given(st.integers(0, 2000), st.binary(max_size=3))
def test_a_damaged_file_is_loaded_or_refused_and_nothing_else(tmp_path_factory, place: int, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("damaged") / "battery.json"
    whole = msgspec.json.encode(saved())
    path.write_bytes(whole[:place] + junk + whole[place + len(junk) :])
    codes = []
    try:
        load(path, CONFIG)
    except StoreError as error:
        codes.append(error.code)
    assert codes in ([], [ErrorCode.STORE_CORRUPT])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"energy_wh": 400_000.0}, "400000 Wh"),
        ({"energy_wh": -1.0}, "Wh of"),
        ({"dropped": {9: 0.0}}, "a pack 9 of 7"),
        ({"temperature_c": 999.0}, "999 degrees"),
        ({"charged_wh": -1.0}, "counter is negative"),
    ],
)
def test_a_battery_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    good = saved()
    cells = msgspec.structs.replace(good.state.cells, **{"dropped": {}, **changes})
    bad = msgspec.structs.replace(good, state=msgspec.structs.replace(good.state, cells=cells))
    assert words in str(corrupt(tmp_path / "battery.json", msgspec.json.encode(bad)))


def test_a_larger_battery_does_not_fit_a_smaller_configuration(tmp_path: Path) -> None:
    corrupt(tmp_path / "battery.json", msgspec.json.encode(saved()), SimulatorConfig(capacity_wh=1000.0))


def test_a_failed_save_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "battery.json"
    save(path, saved())
    (tmp_path / "battery.json.new").mkdir()
    with pytest.raises(StoreError, match="cannot write") as caught:
        save(path, Saved(offset_us=1, state=new_battery(CONFIG, 9)))
    assert caught.value.code is ErrorCode.STORE_FAILED
    assert saved() == load(path, CONFIG)
