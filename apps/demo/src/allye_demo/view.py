"""What is seen of a play: a live screen on a terminal, a line now and then elsewhere, and the summary at the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from allye_protocol.delivery import State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from allye_demo.play import Play
    from allye_demo.summary import Summary

__all__ = ["Screen", "show_summary"]

LINE_EVERY_S: Final = 2.0
MOST_ROWS: Final = 20
_STYLES: Final = {
    State.APPLIED: "green",
    State.RECEIVED: "cyan",
    State.SENT: "yellow",
    State.PENDING: "dim",
    State.FAILED: "yellow",
    State.EXPIRED: "red",
    State.DEAD: "bold red",
    State.SUPERSEDED: "dim",
    State.CANCELLED: "dim",
}


class Screen:
    """Shows a play while it goes on.

    :param console: where to. On a terminal the screen is live; elsewhere a line is printed every two seconds.
    :param quiet: show nothing.
    """

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal and not quiet else None
        self._next_line_s = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, going: Play) -> None:
        """Show the play as it is now."""
        if self._live is not None:
            self._live.update(_screen(going))
        elif not self._quiet and time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + LINE_EVERY_S
            self._console.print(_line(going))


def _line(going: Play) -> str:
    applied = sum(state is State.APPLIED for states in going.states.values() for state in states.values())
    slots = going.half_hours * len(going.agents)
    return f"{_clock(going)}  schedules applied {applied}  half-hours reported {going.reported}/{slots}"


def _clock(going: Play) -> str:
    return going.now.astimezone(going.script.zone).strftime("%a %Y-%m-%d %H:%M %Z")


def _screen(going: Play) -> RenderableType:
    title = (
        f"[bold]{_clock(going)}[/]   {len(going.agents)} devices   {going.half_hours} half-hours   "
        f"x{going.script.speed:g}   broker {going.broker.kind if going.broker is not None else '-'}"
    )
    table = Table(expand=True, pad_edge=False, box=None)
    for name in ("device", "speaks", "schedules", "power", "state of charge", "half-hours"):
        table.add_column(name, justify="right" if name == "power" else "left", no_wrap=True)
    for device_id, agent in list(going.agents.items())[:MOST_ROWS]:
        telemetry = agent.telemetry
        slots = going.results.get(device_id, {})
        table.add_row(
            device_id,
            going.tongues.get(device_id, ""),
            _states(going.states.get(device_id, {})),
            "-" if telemetry is None else f"{telemetry.power_w / 1000:+7.1f} kW",
            "-" if telemetry is None else _bar(telemetry.soc_pct, 100, f"{telemetry.soc_pct:3.0f} %", "blue"),
            _bar(len(slots), going.half_hours, f"{len(slots)}/{going.half_hours}", "green"),
        )
    parts: list[RenderableType] = [table]
    if len(going.agents) > MOST_ROWS:
        parts.append(Text(f"and {len(going.agents) - MOST_ROWS} more", style="dim"))
    parts.append(_bar(going.reported, going.half_hours * len(going.agents), "of the day reported", "magenta"))
    return Panel(Group(*parts), title=title, subtitle=f"prices: {going.script.prices.source}", border_style="cyan")


def _states(states: dict[str, State]) -> Text:
    found = list(states.values()) or [State.PENDING]
    return Text(_counted(found), style=_STYLES[found[-1]])


def _bar(done: float, of: float, text: str, style: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=max(of, 1), completed=done, width=16, complete_style=style, finished_style=style), text)
    return row


def _counted(states: Sequence[State]) -> str:
    """States in a few characters: ``APPLIED x2``."""
    counts = {state: states.count(state) for state in states}
    return ", ".join(state if count == 1 else f"{state} x{count}" for state, count in counts.items())


def show_summary(console: Console, summary: Summary) -> None:
    """Print what came of the day."""
    funnel = summary.funnel
    facts = Table.grid(padding=(0, 2))
    rows = {
        "day": f"{summary.day} in {summary.zone}: {summary.half_hours} half-hours, {summary.devices} devices",
        "prices": summary.price_source,
        "schedules": f"{funnel.submitted} submitted, {funnel.sent} sent, {funnel.received} received, {funnel.applied} applied, "
        f"{funnel.executed} executed",
        "half-hours": f"{summary.reported} of {summary.slots} reported, {summary.succeeded} as planned",
        "energy": f"{summary.charged_kwh:,.0f} kWh charged and {summary.discharged_kwh:,.0f} kWh discharged in the plans; "
        f"reality differed by {summary.deviation_kwh:,.1f} kWh",
        "margin": f"GBP {summary.actual_margin_gbp:,.2f} earned of {summary.planned_margin_gbp:,.2f} planned",
        **{name: f"GBP {gbp:,.2f}" for name, gbp in summary.yardsticks_gbp.items()},
        "took": f"{summary.took_s:.1f} s at {summary.speed:g} times real time, over {summary.broker}",
    }
    if summary.half_hours > 48:
        rows["split"] = "version 1 has at most 48 half-hours in a schedule, so this day went out as two for each device"
    for name, text in rows.items():
        facts.add_row(Text(name, style="bold"), Text(text))
    verdict = "every schedule APPLIED, every half-hour reported" if summary.ok else "NOT everything was applied and reported"
    console.print(Panel(facts, title=verdict, border_style="green" if summary.ok else "red"))
    devices = Table(title="devices", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("device", "speaks", "schedules", "reported", "as planned", "planned GBP", "earned GBP", "SoC at the end"):
        is_text = name in {"device", "speaks", "schedules"}
        devices.add_column(name, justify="left" if is_text else "right", no_wrap=is_text)
    for line in summary.per_device[:MOST_ROWS]:
        devices.add_row(
            line.device_id,
            line.speaks,
            _counted(line.schedules),
            f"{line.reported}/{line.slots}",
            str(line.succeeded),
            f"{line.planned_margin_gbp:.2f}",
            f"{line.actual_margin_gbp:.2f}",
            "-" if line.soc_end_pct is None else f"{line.soc_end_pct:.1f} %",
        )
    console.print(devices)
    for found in summary.deviations:
        actual = "no report" if found.actual_kw is None else f"{found.actual_kw:+.1f} kW"
        console.print(
            Text(
                f"deviation  {found.device_id} {found.start}: {actual} for {found.planned_kw:+.1f} kW planned; {found.reason}"
            ),
            style="yellow",
        )
    for failure in summary.failures:
        console.print(Text(f"failure  {failure}"), style="red")
