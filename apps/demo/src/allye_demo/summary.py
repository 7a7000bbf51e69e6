"""What came of a played day, from the cloud's database alone."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.books import Books
from allye_cloud.database import Database
from allye_cloud.status import Funnel, Latency, Status, day_status, slot_lines
from allye_protocol.delivery import State
from allye_protocol.execution import tolerance_w

if TYPE_CHECKING:
    from allye_demo.play import Play

__all__ = ["Deviation", "DeviceSummary", "Summary", "summary_of"]

MOST_DEVIATIONS: Final = 10


class DeviceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One device's day.

    :param speaks: the version and the encoding that the cloud chose for it.
    :param schedules: the states of its schedules, in order.
    :param slots: half-hours of the day; ``reported``: with a result; ``succeeded``: executed as planned.
    :param moved_kwh: energy that the plan moves in the reported half-hours, either way added up; ``deviation_kwh``: by how much
        reality differed from it.
    :param soc_end_pct: state of charge at the end as the battery said it, %.
    """

    device_id: str
    speaks: str
    schedules: list[State]
    slots: int
    reported: int
    succeeded: int
    planned_margin_gbp: float
    actual_margin_gbp: float
    moved_kwh: float
    deviation_kwh: float
    soc_end_pct: float | None


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """A half-hour that was not executed as planned, or a report that is missing."""

    device_id: str
    start: str
    planned_kw: float
    actual_kw: float | None
    tolerance_kw: float
    reason: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a played day.

    :param ok: every schedule was APPLIED and every half-hour has a result.
    :param half_hours: of the local day: 46, 48 or 50 in Britain.
    :param schedules: how many were needed; a day of 50 half-hours takes two for each device.
    :param funnel: how many schedules came how far.
    :param applied_after: from publishing to APPLIED, in played seconds.
    :param slots: half-hours of all devices; ``reported``: with a result; ``succeeded``: executed as planned.
    :param charged_kwh: planned energy taken; ``discharged_kwh``: planned energy given; ``deviation_kwh``: by how much reality
        differed from them, half-hour by half-hour, either way added up.
    :param planned_margin_gbp: what the plans earn; ``actual_margin_gbp``: what was earned; before wear.
    :param yardsticks_gbp: what simpler plans would have earned.
    :param deviations: half-hours that were not executed as planned, the largest first; at most ten.
    :param took_s: real seconds.
    """

    ok: bool
    day: date
    zone: str
    price_source: str
    half_hours: int
    devices: int
    schedules: int
    funnel: Funnel
    applied_after: Latency | None
    slots: int
    reported: int
    succeeded: int
    charged_kwh: float
    discharged_kwh: float
    deviation_kwh: float
    planned_margin_gbp: float
    actual_margin_gbp: float
    yardsticks_gbp: dict[str, float]
    deviations: list[Deviation]
    failures: list[str]
    per_device: list[DeviceSummary]
    broker: str
    speed: float
    took_s: float


def summary_of(going: Play, took_s: float) -> Summary:
    """Read the database of a play that is over.

    :param took_s: how long the play took, s.
    """
    database = Database(going.database_url)
    try:
        books = Books(database)
        status = day_status(database, books, going.script.day, going.now)
        deviations = [found for plan in going.plans for found in _deviations(database, books, going, plan.device_id)]
    finally:
        database.close()
    deviations.sort(key=lambda found: -abs((found.actual_kw or 0.0) - found.planned_kw))
    slots = going.half_hours * len(going.plans)
    reported = sum(line.reported for line in status.devices)
    applied = bool(status.schedules) and all(line.state is State.APPLIED for line in status.schedules)
    yardsticks: dict[str, float] = {}
    for plan in going.plans:
        for name, gbp in plan.yardsticks_gbp.items():
            yardsticks[name] = yardsticks.get(name, 0.0) + gbp
    return Summary(
        ok=applied and reported == slots and not going.failures,
        day=going.script.day,
        zone=going.script.zone.key,
        price_source=status.price_source,
        half_hours=going.half_hours,
        devices=len(going.plans),
        schedules=len(status.schedules),
        funnel=status.funnel,
        applied_after=status.applied_after,
        slots=slots,
        reported=reported,
        succeeded=sum(line.succeeded for line in status.devices),
        charged_kwh=sum(plan.charged_wh for plan in going.plans) / 1000,
        discharged_kwh=sum(plan.discharged_wh for plan in going.plans) / 1000,
        deviation_kwh=sum(line.deviation_wh for line in status.devices) / 1000,
        planned_margin_gbp=sum(plan.margin_gbp for plan in going.plans),
        actual_margin_gbp=sum(line.margin_gbp for line in status.devices),
        yardsticks_gbp=yardsticks,
        deviations=deviations[:MOST_DEVIATIONS],
        failures=list(going.failures),
        per_device=_per_device(going, status),
        broker=going.broker.kind if going.broker is not None else "",
        speed=going.script.speed,
        took_s=took_s,
    )


def _per_device(going: Play, status: Status) -> list[DeviceSummary]:
    lines = []
    for line in status.devices:
        agent = going.agents.get(line.device_id)
        telemetry = agent.telemetry if agent is not None else None
        lines.append(
            DeviceSummary(
                device_id=line.device_id,
                speaks=going.tongues.get(line.device_id, ""),
                schedules=list(line.states),
                slots=line.slots,
                reported=line.reported,
                succeeded=line.succeeded,
                planned_margin_gbp=line.planned_margin_gbp,
                actual_margin_gbp=line.margin_gbp,
                moved_kwh=line.throughput_wh / 1000,
                deviation_kwh=line.deviation_wh / 1000,
                soc_end_pct=telemetry.soc_pct if telemetry is not None else None,
            )
        )
    return lines


def _deviations(database: Database, books: Books, going: Play, device_id: str) -> list[Deviation]:
    rated_w = next(plan.max_power_w for plan in going.plans if plan.device_id == device_id)
    return [
        Deviation(
            device_id=device_id,
            start=line.start.astimezone(going.script.zone).strftime("%H:%M %Z"),
            planned_kw=line.planned_w / 1000,
            actual_kw=None if line.actual_w is None else line.actual_w / 1000,
            tolerance_kw=tolerance_w(line.planned_w, rated_w) / 1000,
            reason=line.reason or "no report",
        )
        for line in slot_lines(database, books, going.script.day, device_id)
        if line.status is None or line.status == "FAIL"
    ]
