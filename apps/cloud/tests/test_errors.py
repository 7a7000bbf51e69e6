import pickle

import pytest

from allye_cloud.errors import CloudError, DayError, PlanError, PriceError, RegistryError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PriceError("p.csv", 3, "is wrong", "do this"), "p.csv:3: is wrong; do this"),
        (PriceError("p.csv", None, "is wrong", "do this"), "p.csv: is wrong; do this"),
        (RegistryError("r.toml", "devices.a", "is wrong", "do this"), "r.toml: devices.a: is wrong; do this"),
        (RegistryError("r.toml", "", "is wrong", "do this"), "r.toml: is wrong; do this"),
        (DayError("no such day"), "no such day"),
        (PlanError("no plan"), "no plan"),
    ],
)
def test_an_error_says_where_what_and_what_to_do_and_survives_the_way_between_processes(error: CloudError, text: str) -> None:
    assert str(error) == text
    assert str(pickle.loads(pickle.dumps(error))) == text
