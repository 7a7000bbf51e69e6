"""Hello: what its fields must be together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from allye_protocol.errors import ErrorCode
from allye_protocol.ids import DeviceId
from allye_protocol.messages.hello import hello_problems
from tests.strategies import hellos

if TYPE_CHECKING:
    from allye_protocol.messages import Hello

percentages = st.floats(0, 100)


@given(hellos)
def test_a_valid_hello_has_no_problems(hello: Hello) -> None:
    assert list(hello_problems(hello)) == []


@given(hellos, percentages, percentages)
def test_the_band_of_charge_is_not_upside_down(hello: Hello, low: float, high: float) -> None:
    changed = replace(hello, capabilities=replace(hello.capabilities, soc_min_pct=low, soc_max_pct=high))
    found = [(problem.code, problem.path) for problem in hello_problems(changed)]
    assert found == ([(ErrorCode.LIMIT_SOC, "/capabilities/soc_min_pct")] if low > high else [])


@given(hellos)
@pytest.mark.parametrize("text", ["", "a/b", "a\n", "é"])
def test_its_device_id_is_an_id(text: str, hello: Hello) -> None:
    (problem,) = hello_problems(replace(hello, device_id=DeviceId(text)))
    assert (problem.code, problem.path) == (ErrorCode.MESSAGE_INVALID, "/device_id")
