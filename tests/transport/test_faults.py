"""Faults are values that make sense, and nothing goes wrong by default."""

from __future__ import annotations

import math

import pytest

from allye_protocol.transport.faults import Faults


def test_by_default_nothing_goes_wrong() -> None:
    faults = Faults()
    assert (faults.loss, faults.duplicate, faults.drop, faults.reorder, faults.delay_s, faults.ack_delay_s) == (0,) * 6


@pytest.mark.parametrize("share", ["loss", "duplicate", "drop", "reorder"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_share_is_between_nothing_and_all(share: str, value: float) -> None:
    with pytest.raises(ValueError, match=share):
        Faults(**{share: value})


@pytest.mark.parametrize("time", ["hold_s", "delay_s", "ack_delay_s", "patience_s"])
@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_time_is_finite_and_not_negative(time: str, value: float) -> None:
    with pytest.raises(ValueError, match=time):
        Faults(**{time: value})
