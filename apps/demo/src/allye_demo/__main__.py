"""The command ``allye-demo``: a whole day of schedules on one machine."""

from __future__ import annotations

import argparse
import sys
import tempfile
import textwrap
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console

from allye_cloud.days import zone_named
from allye_cloud.errors import CloudError
from allye_cloud.prices import PriceSeries, PriceUnit, load, synthetic
from allye_demo.broker import BrokerError, BrokerKind
from allye_demo.fleet import MAX_DEVICES
from allye_demo.play import Script, play
from allye_demo.summary import summary_of
from allye_demo.view import Screen, show_summary
from allye_protocol.errors import AllyeError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

EXIT_OK: Final = 0
EXIT_NOT_EVERYTHING: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
MAX_SPEED: Final = 20_000.0
HELP_COLUMNS: Final = 78
DEFAULT_DAY: Final = date(2018, 7, 1)

EXAMPLES: Final = """examples:
  allye-demo
  allye-demo --devices 5 --day 2018-10-28 --prices prices.csv --speed 7200
  allye-demo --devices 20 --json | jq .funnel
  allye-demo --broker rumqttd --keep /tmp/a-day

exit status: 0 every schedule was APPLIED and every half-hour has a result; 1 not; 2 usage, or input that cannot be used
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    errors = Console(stderr=True)
    try:
        return _run(arguments)
    except (CloudError, AllyeError, BrokerError, OSError) as error:
        errors.print(f"allye-demo: {error}", style="red", markup=False, soft_wrap=True)
        return EXIT_USAGE
    except KeyboardInterrupt:
        errors.print("allye-demo: interrupted")
        return EXIT_INTERRUPTED


def _run(arguments: argparse.Namespace) -> int:
    zone = zone_named(arguments.zone)
    script = Script(
        devices=arguments.devices,
        day=arguments.day,
        zone=zone,
        prices=_prices(arguments, zone.key),
        speed=arguments.speed,
        seed=arguments.seed,
        broker=arguments.broker,
    )
    console = Console(stderr=arguments.json)
    with ExitStack() as at_end:
        folder = arguments.keep
        if folder is None:
            folder = Path(at_end.enter_context(tempfile.TemporaryDirectory(prefix="allye-demo-", ignore_cleanup_errors=True)))
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OSError(f"{folder} is not empty: name a new folder for --keep")
        log = at_end.enter_context((folder / "log.jsonl").open("w", encoding="utf-8", buffering=1))
        screen = at_end.enter_context(Screen(console, quiet=arguments.json))
        began_s = time.monotonic()
        going = play(script, folder, log, screen.show)
        summary = summary_of(going, time.monotonic() - began_s)
    if arguments.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(summary), indent=2).decode() + "\n")
    else:
        show_summary(console, summary)
        if arguments.keep is not None:
            console.print(f"databases and log lines are in {arguments.keep}", soft_wrap=True)
    return EXIT_OK if summary.ok else EXIT_NOT_EVERYTHING


def _prices(arguments: argparse.Namespace, zone: str) -> PriceSeries:
    if arguments.prices is None:
        return synthetic(arguments.day, zone_named(zone))
    return load(arguments.prices, unit=PriceUnit(arguments.unit), zone=zone_named(zone))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allye-demo",
        description=textwrap.fill(
            "Play a local day: plan it from prices, deliver the schedules over MQTT to devices with simulated batteries, "
            "execute every half-hour, and show what happened.",
            HELP_COLUMNS,
        ),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--devices", type=_devices, default=5, metavar="N", help=f"how many, 1 to {MAX_DEVICES} (default: 5)")
    parser.add_argument(
        "--day", type=_day, default=DEFAULT_DAY, metavar="DATE", help=f"local date, YYYY-MM-DD (default: {DEFAULT_DAY})"
    )
    parser.add_argument("--zone", default="Europe/London", help="whose calendar the day is on (default: Europe/London)")
    parser.add_argument(
        "--prices", type=Path, metavar="FILE", help="half-hourly prices, CSV (default: a synthetic curve, labelled as such)"
    )
    units = [unit.value for unit in PriceUnit]
    parser.add_argument("--unit", choices=units, default=PriceUnit.PENCE_PER_KWH.value, help="of the prices (default: p/kWh)")
    parser.add_argument(
        "--speed", type=_speed, default=7200.0, metavar="X", help="played seconds for each real one (default: 7200)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sites' sizes and states of charge (default: 1)")
    parser.add_argument(
        "--broker", type=BrokerKind, choices=list(BrokerKind), help="default: mosquitto where it is on the PATH, else rumqttd"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep databases and log lines in this new folder")
    parser.add_argument("--json", action="store_true", help="print the summary alone, as JSON")
    return parser


def _devices(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_DEVICES:
        raise argparse.ArgumentTypeError(f"a number from 1 to {MAX_DEVICES}, not {text!r}")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a date like 2018-10-28, not {text!r}") from None


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= MAX_SPEED:
        raise argparse.ArgumentTypeError(f"a number from 1 to {MAX_SPEED:g}, not {text!r}")
    return speed


if __name__ == "__main__":
    sys.exit(main())
