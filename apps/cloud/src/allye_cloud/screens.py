"""What the command prints for people: plans and status as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from allye_cloud.days import HALF_HOUR
from allye_cloud.prices import SYNTHETIC
from allye_protocol.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import RenderableType

    from allye_cloud.books import DayPlan
    from allye_cloud.status import Latency, SlotLine, Status

__all__ = ["counted", "day_table", "plans_table", "slots_table", "status_screen"]

MAX_ROWS: Final = 50
"""Devices or schedules that a table shows; the rest is counted, and complete with ``--json``."""
_STYLES: Final = {State.APPLIED: "green", State.DEAD: "red", State.EXPIRED: "red", State.FAILED: "yellow"}


def _table(*headings: str, title: str, caption: str = "", left: Sequence[str] = ()) -> Table:
    """An empty table that is narrow, for terminals of 80 columns. Where it is too wide, lines are broken: nothing is left out.

    :param left: the headings of the columns that hold words; the others hold figures.
    """
    table = Table(title=title, caption=caption or None, box=SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in headings:
        # A line for each word: what is short below is not made wide by its heading.
        shown = escape(heading.replace(" ", "\n"))
        table.add_column(shown, justify="left" if heading in left else "right", overflow="fold")
    return table


def plans_table(plans: Sequence[DayPlan]) -> Table:
    """One row a device: what its plan earns, and what simpler plans would."""
    names = list(dict.fromkeys(name for plan in plans for name in plan.yardsticks_gbp))
    headings = ("device", "slots", "margin GBP", "cycles", "charged kWh", "discharged kWh", *names)
    table = _table(*headings, title=f"Plans for {plans[0].day}", caption=_sources(plans), left=["device"])
    for plan in plans[:MAX_ROWS]:
        table.add_row(
            plan.device_id,
            str(len(plan.watts)),
            f"{plan.margin_gbp:.2f}",
            f"{plan.cycles:.2f}",
            f"{plan.charged_wh / 1000:.1f}",
            f"{plan.discharged_wh / 1000:.1f}",
            *(f"{plan.yardsticks_gbp[name]:.2f}" if name in plan.yardsticks_gbp else "-" for name in names),
        )
    if len(plans) > MAX_ROWS:
        table.add_row(f"and {len(plans) - MAX_ROWS} more")
    table.add_section()
    table.add_row(
        counted(len(plans), "device"),
        "",
        f"{sum(plan.margin_gbp for plan in plans):.2f}",
        "",
        f"{sum(plan.charged_wh for plan in plans) / 1000:.1f}",
        f"{sum(plan.discharged_wh for plan in plans) / 1000:.1f}",
        *(f"{sum(plan.yardsticks_gbp.get(name, 0.0) for plan in plans):.2f}" for name in names),
    )
    return table


def day_table(plan: DayPlan) -> Table:
    """One row a half-hour of one plan."""
    zone = ZoneInfo(plan.zone)
    headings = ("local time", "UTC", "price GBP/MWh", "setpoint kW", "SoC at end %")
    table = _table(*headings, title=f"{plan.device_id}, {plan.day}", caption=_sources([plan]))
    for i, watts in enumerate(plan.watts):
        start = plan.start + i * HALF_HOUR
        table.add_row(
            _local(start, zone),
            f"{start:%H:%M}",
            f"{plan.prices_gbp_per_mwh[i]:.2f}",
            _kw(watts),
            f"{plan.soc_pct[i + 1]:.1f}",
        )
    return table


def slots_table(plan: DayPlan, lines: Sequence[SlotLine]) -> Table:
    """One row a half-hour: plan against reality."""
    zone = ZoneInfo(plan.zone)
    headings = ("local time", "UTC", "price GBP/MWh", "planned kW", "actual kW", "planned SoC %", "result")
    table = _table(*headings, title=f"{plan.device_id}, {plan.day}", left=["result"])
    for line in lines:
        table.add_row(
            _local(line.start, zone),
            f"{line.start:%H:%M}",
            f"{line.price_gbp_per_mwh:.2f}",
            _kw(line.planned_w),
            "-" if line.actual_w is None else _kw(line.actual_w),
            f"{line.planned_soc_pct:.1f}",
            "-" if line.status is None else _harmless(f"{line.status} {line.reason}".strip()),
        )
    return table


def status_screen(status: Status) -> list[RenderableType]:
    """The funnel, how long it took, failures, devices and dead letters."""
    caption = f"at {status.at:%Y-%m-%d %H:%M:%S} UTC"
    funnel = _table("", "schedules", "p50", "p95", "p99", title=f"Schedules of {status.day}", caption=caption, left=[""])
    numbers = status.funnel
    funnel.add_row("submitted", str(numbers.submitted), "", "", "")
    funnel.add_row("sent", str(numbers.sent), "", "", "")
    funnel.add_row("received", str(numbers.received), *_percentiles(status.received_after))
    funnel.add_row("applied", str(numbers.applied), *_percentiles(status.applied_after))
    funnel.add_row("executed", str(numbers.executed), *_percentiles(status.result_after))
    return [funnel, _devices(status), *_cancels(status), *_failures(status)]


def _devices(status: Status) -> Table:
    table = _table(
        *("device", "link", "heard UTC", "schedules", "reported", "as planned", "off by", "GBP earned", "GBP planned"),
        title="Devices",
        caption=f"prices: {escape(status.price_source) or 'none'}",
        left=("device", "link", "schedules"),
    )
    for line in status.devices[:MAX_ROWS]:
        table.add_row(
            line.device_id,
            line.link,
            "-" if line.heard_at is None else f"{line.heard_at:%m-%d %H:%M}",
            " ".join(f"[{_STYLES.get(state, 'default')}]{state}[/]" for state in line.states) or "none yet",
            f"{line.reported}/{line.slots}",
            str(line.succeeded),
            f"{line.deviation_wh / line.throughput_wh:.1%}" if line.throughput_wh else "-",
            f"{line.margin_gbp:.2f}",
            f"{line.planned_margin_gbp:.2f}",
        )
    if len(status.devices) > MAX_ROWS:
        table.add_row(f"and {len(status.devices) - MAX_ROWS} more")
    return table


def _cancels(status: Status) -> list[RenderableType]:
    if not status.cancels:
        return []
    headings = ("device", "taken back", "state", "attempts", "reason")
    table = _table(*headings, title="Cancels", caption="APPLIED: the device has taken it back", left=headings)
    for line in status.cancels[:MAX_ROWS]:
        what = line.schedule_id or f"everything from {line.effective_from:%Y-%m-%d %H:%M:%S} UTC on"
        table.add_row(line.device_id, what, line.state, str(line.attempts), _harmless(line.reason) or "-")
    if len(status.cancels) > MAX_ROWS:
        table.add_row(f"and {len(status.cancels) - MAX_ROWS} more")
    return [table]


def _failures(status: Status) -> list[RenderableType]:
    shown: list[RenderableType] = []
    if status.failures:
        codes = _table("code", "schedules", title="Failures by code", left=["code"])
        for code, count in status.failures.items():
            codes.add_row(code, str(count))
        shown.append(codes)
    if status.dead_letters:
        headings = ("schedule", "state", "attempts", "reason", "trace")
        dead = _table(*headings, title="Dead letters: only a new revision helps", left=headings)
        for line in status.dead_letters[:MAX_ROWS]:
            dead.add_row(line.schedule_id, line.state, str(line.attempts), _harmless(line.reason), line.trace_id)
        if len(status.dead_letters) > MAX_ROWS:
            dead.add_row(f"and {len(status.dead_letters) - MAX_ROWS} more")
        shown.append(dead)
    return shown


def counted(count: int, thing: str) -> str:
    """A number of things: ``1 device``, ``2 devices``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _sources(plans: Sequence[DayPlan]) -> str:
    sources = sorted({plan.price_source for plan in plans})
    return escape(f"prices: {', '.join(sources)}" if sources != [SYNTHETIC] else SYNTHETIC)


def _percentiles(latency: Latency | None) -> tuple[str, str, str]:
    if latency is None:
        return "-", "-", "-"
    return f"{latency.p50_s:.3f} s", f"{latency.p95_s:.3f} s", f"{latency.p99_s:.3f} s"


def _local(start: datetime, zone: ZoneInfo) -> str:
    """The local time with its name: a day on which clocks go back has some times twice."""
    return f"{start.astimezone(zone):%H:%M %Z}"


def _kw(watts: int) -> str:
    return f"{watts / 1000:+.1f}" if watts else "0.0"


def _harmless(text: str) -> str:
    """A peer's text for a terminal."""
    return escape("".join(char if char.isprintable() else "?" for char in text))
