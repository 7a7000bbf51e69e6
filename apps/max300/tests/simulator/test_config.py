import math

import msgspec
import pytest

from allye_max300.simulator import SimulatorConfig
from allye_protocol.errors import DriverError, ErrorCode


def refusal(options: dict[str, object]) -> DriverError:
    with pytest.raises(DriverError) as caught:
        SimulatorConfig.of(options)
    assert caught.value.code is ErrorCode.DRIVER_REJECTED
    return caught.value


def test_no_options_are_the_defaults() -> None:
    assert SimulatorConfig() == SimulatorConfig.of({})


def test_options_come_as_toml_gives_them() -> None:
    config = SimulatorConfig.of({"capacity_wh": 270_000, "charge_derate_c": [0, 10, 30, 40], "state_file": "battery.json"})
    assert (config.capacity_wh, config.charge_derate_c) == (270_000.0, (0.0, 10.0, 30.0, 40.0))


def test_an_unknown_option_is_named_with_those_there_are() -> None:
    assert "has no option 'capacity'; it has capacity_wh" in str(refusal({"capacity": 3}))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("capacity_wh", 0),
        ("capacity_wh", math.nan),
        ("capacity_wh", math.inf),
        ("capacity_wh", "300000"),
        ("max_charge_w", -1),
        ("max_discharge_w", 1.5),
        ("charge_efficiency", 1.01),
        ("initial_soc_pct", 101),
        ("charge_taper_from_pct", 100),
        ("discharge_taper_from_pct", 0),
        ("charge_derate_c", [0, 18, 35]),
        ("charge_derate_c", [0, 0, 35, 40]),
        ("discharge_derate_c", [0, 18, 17, 40]),
        ("discharge_derate_c", [0, 18, 17, math.nan]),
        ("packs", 0),
        ("soh_pct", []),
        ("soh_pct", [50, 101]),
        ("serial", ""),
        ("heartbeat_timeout_s", 0),
        ("seed", "x"),
        ("state_file", 5),
    ],
)
def test_a_wrong_option_is_named(option: str, value: object) -> None:
    assert option in str(refusal({option: value}))


def test_every_number_has_a_range() -> None:
    for field in msgspec.structs.fields(SimulatorConfig):
        value = field.default
        if isinstance(value, float):
            with pytest.raises(ValueError, match=field.name):
                SimulatorConfig(**{field.name: -1e12})
