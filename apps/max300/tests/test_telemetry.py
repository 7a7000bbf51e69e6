from datetime import UTC, datetime

import pytest

from allye_max300.telemetry import LimitReason, SetpointOutcome


@pytest.mark.parametrize(("reasons", "limited"), [((), False), ((LimitReason.SOC,), True)])
def test_an_outcome_is_limited_exactly_when_it_has_reasons(reasons: tuple[LimitReason, ...], limited: bool) -> None:
    outcome = SetpointOutcome(
        requested_w=5, setpoint_w=5, expected_w=5.0, reasons=reasons, valid_until=datetime(2024, 1, 1, tzinfo=UTC)
    )
    assert limited is outcome.limited
