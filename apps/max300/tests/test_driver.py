import re

from allye_max300 import driver
from allye_max300.simulator import controller
from allye_protocol.errors import ErrorClass, ErrorCode


def test_the_table_of_faults_has_every_driver_code_and_only_registered_ones() -> None:
    named = {ErrorCode(code) for code in re.findall(r"``((?:driver|device)\.[a-z_]+)``", driver.__doc__ or "")}
    assert {code for code in ErrorCode if code.error_class is ErrorClass.DRIVER} <= named


def test_the_simulator_refuses_with_codes_of_that_table_only() -> None:
    for code, advice in controller.REFUSALS.values():
        assert f"``{code}``" in (driver.__doc__ or "")
        assert advice


def test_the_simulator_is_a_driver(bench) -> None:
    assert isinstance(bench.open(), driver.Driver)
