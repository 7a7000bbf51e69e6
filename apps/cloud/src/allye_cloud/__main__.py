"""The command ``allye-cloud``: plan a day, publish it, take back, serve the fleet, show the status.

Exit codes: 0 as wished, 1 not (the input cannot be used, a schedule was not applied), 2 wrong usage or configuration, 130 after
Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from allye_cloud import commands
from allye_cloud.config import ConfigError, load
from allye_cloud.errors import CloudError
from allye_protocol.errors import AllyeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_cloud.config import Config

__all__ = ["main"]

_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: without the command's name; ``None`` for those of the process.
    :returns: the exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(load(options.config), options)
    except ConfigError as error:
        sys.stderr.write(f"allye-cloud: {error}\n")
        return 2
    except (CloudError, AllyeError) as error:
        sys.stderr.write(f"allye-cloud: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("allye-cloud: interrupted\n")
        return _INTERRUPTED


def _run(config: Config, options: argparse.Namespace) -> int:
    match options.command:
        case "plan":
            return commands.plan(
                config,
                options.day,
                prices_path=options.prices,
                device=options.device,
                dry_run=options.dry_run,
                yardsticks=options.yardsticks,
                as_json=options.json,
            )
        case "publish":
            return commands.publish(
                config,
                options.day,
                device=options.device,
                redrive=options.redrive,
                wait=options.wait,
                timeout_s=options.timeout,
                as_json=options.json,
            )
        case "cancel":
            return commands.cancel(
                config,
                options.device,
                schedule=options.schedule,
                effective_from=options.effective_from,
                reason=options.reason,
                as_json=options.json,
            )
        case "serve":
            return commands.serve(config)
        case _:
            return commands.status(config, options.day, device=options.device, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allye-cloud",
        description="Plan battery schedules from prices, deliver them over MQTT, and show what came of them.",
        epilog=(
            "examples:\n"
            "  allye-cloud plan --day 2018-07-01 --prices prices.csv\n"
            "  allye-cloud publish --day 2018-07-01 --wait\n"
            "  allye-cloud serve\n"
            "  allye-cloud status --json\n"
            "\n"
            "exit codes: 0 as wished, 1 not, 2 wrong usage or configuration, 130 after Ctrl-C"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML configuration; by default the file that ALLYE_CLOUD_CONFIG names"
    )
    commands_of = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plan = _command(
        commands_of,
        "plan",
        "plan a local day for every device of the registry, and keep the plans for 'publish'",
        "A plan begins with the state of charge at which the plan of the day before ends, else with the registry's\n"
        "initial_soc_pct. Beside its margin stands what simpler plans would have earned.",
        "allye-cloud plan --day 2018-07-01 --prices prices.csv",
        "allye-cloud plan --day 2018-10-28 --device max300-0001 --dry-run",
        "allye-cloud plan --day 2018-07-01 --json > plans.json",
    )
    _add_day(plan, required=True)
    plan.add_argument("--prices", type=Path, metavar="FILE", help="CSV of half-hourly prices instead of the configured one")
    plan.add_argument("--device", metavar="ID", help="plan only this device, and show its half-hours")
    plan.add_argument("--dry-run", action="store_true", help="show the plans and keep nothing")
    plan.add_argument(
        "--no-yardsticks",
        dest="yardsticks",
        action="store_false",
        help="leave out what simpler plans would earn: it takes time",
    )

    publish = _command(
        commands_of,
        "publish",
        "submit a day's plans as schedules; with --wait also deliver them",
        "Publishing a day again changes nothing where its plans are the same, and makes a new revision where they are\n"
        "not. A local day of 50 half-hours goes out as two schedules, one after the other.",
        "allye-cloud publish --day 2018-07-01",
        "allye-cloud publish --day 2018-07-01 --wait --timeout 120",
        "allye-cloud publish --day 2018-07-01 --device max300-0001 --redrive --wait",
    )
    _add_day(publish, required=True)
    publish.add_argument("--device", metavar="ID", help="only this device")
    publish.add_argument(
        "--redrive",
        action="store_true",
        help="make a new revision also of what a device refused for good, though it is the same",
    )
    publish.add_argument(
        "--wait", action="store_true", help="deliver, and wait until all is settled: exit code 0 only when all is APPLIED"
    )
    publish.add_argument("--timeout", type=_seconds, default=600.0, metavar="S", help="longest --wait, s (default 600)")

    cancel = _command(
        commands_of,
        "cancel",
        "take back one schedule of a device, or everything from an instant on",
        "A running 'allye-cloud serve' sends it and repeats it until the device has confirmed it. A device that speaks\n"
        "version 1 of the protocol cannot be cancelled; publish a plan of zeros instead.",
        "allye-cloud cancel --device max300-0001 --schedule max300-0001_20180701_r1_p1",
        "allye-cloud cancel --device max300-0001 --from 2018-07-01T12:00:00Z --reason 'grid outage'",
    )
    cancel.add_argument("--device", required=True, metavar="ID", help="the device")
    cancel.add_argument("--schedule", metavar="ID", help="the schedule to take back; without it, everything from --from on")
    cancel.add_argument(
        "--from", dest="effective_from", type=_instant, metavar="TIME", help="from when on, RFC 3339; at once by default"
    )
    cancel.add_argument("--reason", metavar="TEXT", help="why, for people")

    _command(
        commands_of,
        "serve",
        "deliver what is submitted and take in answers and results, until SIGTERM",
        "Repeats every schedule until its device answers, its horizon ends or the answer is final. Logs JSON lines to\n"
        "standard error.",
        "allye-cloud serve",
        "allye-cloud --config cloud.toml serve",
        as_json=False,
    )

    status = _command(
        commands_of,
        "status",
        "show how far a day's schedules have come, how long that took, and which devices are silent",
        "sent, received, applied, executed; failures by code; devices online or stale; dead letters.",
        "allye-cloud status",
        "allye-cloud status --day 2018-07-01 --device max300-0001",
        "allye-cloud status --day 2018-07-01 --json",
    )
    _add_day(status, required=False)
    status.add_argument("--device", metavar="ID", help="only this device, and its half-hours: plan against reality")
    return parser


def _command(
    commands_of: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    words: str,
    *examples: str,
    as_json: bool = True,
) -> argparse.ArgumentParser:
    shown = "\n".join(f"  {example}" for example in examples)
    parser = commands_of.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{words}",
        epilog=f"examples:\n{shown}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    if as_json:
        parser.add_argument("--json", action="store_true", help="JSON on standard output instead of a table")
    return parser


def _add_day(parser: argparse.ArgumentParser, *, required: bool) -> None:
    words = "the local date" if required else "the local date; by default the last one that is planned"
    parser.add_argument("--day", type=_day, required=required, metavar="YYYY-MM-DD", help=words)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date; write it as 2018-07-01") from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = datetime.min  # noqa: DTZ901 - naive, so it is refused below
    if instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time with an offset; write it as 2018-07-01T12:00:00Z")
    return instant.astimezone(UTC)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
