import pytest

from allye_cloud.battery import Battery
from allye_cloud.errors import PlanError
from allye_cloud.fleet import PlanRequest, plan_many
from allye_cloud.planner import plan


def request(i: int) -> PlanRequest:
    battery = Battery(capacity_wh=100_000 + 1000 * (i % 7), max_charge_w=50_000, max_discharge_w=50_000)
    return PlanRequest(battery=battery, prices_gbp_per_mwh=tuple(float(i % 3 + (j * 37) % 11) for j in range(48)), soc_pct=50.0)


@pytest.mark.parametrize("workers", [None, 1, 2])
def test_plans_come_in_the_order_of_their_requests(workers: int | None) -> None:
    requests = [request(i) for i in range(25)]

    plans = plan_many(requests, workers=workers)

    expected = [plan(each.battery, each.prices_gbp_per_mwh, each.soc_pct).watts for each in requests]
    assert [found.watts for found in plans] == expected


def test_equal_requests_are_solved_once() -> None:
    first, second = plan_many([request(1), request(1)])

    assert first is second


def test_no_request_is_no_plan() -> None:
    assert plan_many([]) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_that_cannot_be_planned_is_an_error_from_any_process(workers: int) -> None:
    bad = PlanRequest(battery=request(0).battery, prices_gbp_per_mwh=(1.0,), soc_pct=120.0)

    with pytest.raises(PlanError, match="not 120"):
        plan_many([request(0), bad], workers=workers)
