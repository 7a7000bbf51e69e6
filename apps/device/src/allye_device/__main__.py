"""The command ``allye-device``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec
import structlog

from allye_device import logs
from allye_device.assembly import assembled, clock_of
from allye_device.config import AgentConfig, ConfigError
from allye_device.loading import load_config
from allye_device.status import as_text, status_of
from allye_max300 import available
from allye_protocol.errors import AllyeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

OK, FAILED, USAGE = 0, 1, 2

EPILOG: Final = """\
configuration:
  A TOML file; every key can be given or overridden by an environment variable,
  ALLYE_DEVICE_<TABLE>__<KEY>: ALLYE_DEVICE_BROKER__HOST=broker.example.

examples:
  allye-device --config device.toml run            run until SIGTERM or SIGINT
  allye-device --config device.toml status         plan, results, outbox
  allye-device --config device.toml status --json  the same for scripts
  allye-device drivers                             what [driver] name can be

exit codes: 0 done, 1 the device cannot do its work, 2 wrong usage or configuration
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: its arguments; ``None``: those of the process.
    :returns: the exit code.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except ConfigError as error:
        return _end(USAGE, str(error))
    except AllyeError as error:
        return _end(FAILED, str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="allye-device",
        description="Drive one battery by the schedules that come over MQTT, and report every slot.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration; default: $ALLYE_DEVICE_CONFIG")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser("run", help="be the device; JSON log lines on stderr").set_defaults(command=_run)
    for name, command, what in (
        ("status", _status, "what the device's store says: plan, results, outbox, refused messages"),
        ("drivers", _drivers, "the battery drivers that are installed"),
    ):
        sub = commands.add_parser(name, help=what)
        sub.add_argument("--json", action="store_true", help="one JSON document instead of text")
        sub.set_defaults(command=command)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    clock = clock_of(config.clock)
    logs.configure(sys.stderr, clock.now)
    with assembled(config, clock) as agent:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: agent.stop())
        log = structlog.get_logger().bind(device_id=config.device_id)
        log.info("started", driver=config.driver.name, broker=config.broker.host, store=config.store.path)
        try:
            agent.run()
        except Exception:
            log.exception("crashed")
            raise
        log.info("stopped")
    return OK


def _status(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    status = status_of(config, clock_of(config.clock).now())
    _print(msgspec.json.encode(status).decode() if arguments.json else as_text(status))
    return OK


def _drivers(arguments: argparse.Namespace) -> int:
    drivers = available()
    if arguments.json:
        _print(msgspec.json.encode(list(drivers.values())).decode())
    else:
        for info in drivers.values():
            _print(f"{info.name:<16} {info.distribution} {info.version} ({info.factory})")
    return OK


def _config(arguments: argparse.Namespace) -> AgentConfig:
    return load_config(arguments.config, os.environ)


def _print(text: str, stream: TextIO | None = None) -> None:
    (stream or sys.stdout).write(text + "\n")


def _end(code: int, why: str) -> int:
    _print(f"allye-device: {logs.printable(why)}", sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
