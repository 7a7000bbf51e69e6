"""What the commands do. Each returns the process's exit code: 0 as wished, 1 not."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from allye_cloud import prices, registry
from allye_cloud.books import Books
from allye_cloud.config import ConfigError
from allye_cloud.database import Database, file_of
from allye_cloud.days import zone_named
from allye_cloud.errors import CloudError
from allye_cloud.logs import logger_to
from allye_cloud.schedules import Outcome, submit_plans
from allye_cloud.screens import counted, day_table, plans_table, slots_table, status_screen
from allye_cloud.service import CloudService
from allye_cloud.status import day_status, slot_lines, states_of
from allye_cloud.store import SqlCloudStore
from allye_protocol.delivery import OPEN, State
from allye_protocol.errors import EncodeError, ErrorCode
from allye_protocol.session import CloudSession
from allye_protocol.transport.paho import PahoTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allye_cloud.books import DayPlan
    from allye_cloud.config import Config
    from allye_cloud.registry import Device

__all__ = ["cancel", "plan", "publish", "serve", "status"]

PUBLISH_SUFFIX: Final = "-publish"
PUBLISH_SESSION_S: Final = 300
"""How long the broker keeps answers for a ``publish --wait`` that was interrupted, s. The service has a session of its own."""
_LOOK_S: Final = 0.2
_PIPE_WIDTH: Final = 160


def plan(
    config: Config,
    day: date,
    *,
    prices_path: Path | None,
    device: str | None,
    dry_run: bool,
    yardsticks: bool,
    as_json: bool,
) -> int:
    """Plan a local day for every device of the registry, show the plans and keep them."""
    from allye_cloud.planning import plan_day  # noqa: PLC0415 - the solver takes a second to load, and only this needs it

    fleet = _fleet(config, device)
    series = _prices(config, prices_path)
    before: dict[str, DayPlan] = {}
    if _missing_file(config) is None:
        with closing(Database(config.store.url)) as database:
            before = {made.device_id: made for made in Books(database).plans(day - timedelta(days=1))}
    made = plan_day(fleet, series, day, before, yardsticks=yardsticks)
    if not dry_run:
        with closing(Database(config.store.url)) as database:
            Books(database).put_plans(made)
    if as_json:
        _write_json(made)
    else:
        _console().print(plans_table(made) if device is None else day_table(made[0]))
    return 0


def publish(
    config: Config, day: date, *, device: str | None, redrive: bool, wait: bool, timeout_s: float, as_json: bool
) -> int:
    """Submit a day's plans; with ``wait``, deliver them and stay until every schedule is settled."""
    clock = config.make_clock()
    with closing(_existing(config)) as database:
        store, books = SqlCloudStore(database), Books(database)
        session = _session(config, store)
        plans = books.plans(day, device)
        if not plans:
            what = f"{day}{f' and device {device}' if device else ''}"
            raise CloudError(f"there is no plan for {what}; make one with: allye-cloud plan --day {day}")
        done = submit_plans(session, store, books, plans, clock.now(), random_bytes=os.urandom, redrive=redrive)
        ids = [name for one in done for name in one.schedule_ids if one.outcome is not Outcome.OVER]
        if wait and ids:
            log = logger_to(None, clock, "warning")
            options = config.mqtt_options(suffix=PUBLISH_SUFFIX, session_expiry_s=PUBLISH_SESSION_S)
            service = CloudService(session, PahoTransport(options), clock, log)
            _deliver(service, database, day, ids, timeout_s)
        states = states_of(database, day)
    outcomes = Counter(one.outcome for one in done)
    reached = Counter(states[name] for name in ids)
    if as_json:
        _write_json({"day": day, "devices": outcomes, "schedules": reached})
    else:
        console = _console()
        console.print(f"{counted(len(done), 'device')}: {_counted(outcomes)}")
        console.print(f"{counted(len(ids), 'schedule')}: {_counted(reached) or 'nothing is left of the day'}")
        if ids and not wait:
            console.print("a running 'allye-cloud serve' sends them; 'publish --wait' sends them itself")
    if outcomes[Outcome.OVER]:
        return 1
    return 0 if not wait or reached[State.APPLIED] == len(ids) else 1


def cancel(
    config: Config, device: str, *, schedule: str | None, effective_from: datetime | None, reason: str | None, as_json: bool
) -> int:
    """Take back one schedule of a device, or everything from an instant on; a running service delivers it."""
    now = config.make_clock().now()
    if schedule is None and effective_from is None:
        effective_from = now
    with closing(_existing(config)) as database:
        session = _session(config, SqlCloudStore(database))
        try:
            delivery = session.cancel(device, now, schedule_id=schedule, effective_from=effective_from, reason=reason)
        except EncodeError as error:
            if error.code is ErrorCode.VERSION_DOWNGRADE_LOSES:
                _fleet(config, device)  # without a hello it is taken for a device of version 1: the name may be wrong
            raise
    if as_json:
        _write_json({"delivery_id": delivery.delivery_id, "device_id": device, "sequence": delivery.sequence})
        return 0
    what = schedule or f"everything from {delivery.start:%Y-%m-%dT%H:%M:%SZ} on"
    console = _console()
    console.print(f"cancel of {what} for {device} is stored")
    console.print("a running 'allye-cloud serve' sends it; 'allye-cloud status' tells when the device has confirmed it")
    return 0


def serve(config: Config) -> int:
    """Deliver what is submitted and take in what devices answer, until SIGTERM or Ctrl-C."""
    clock = config.make_clock()
    _missing_file(config)  # is made; its folder is not
    with closing(Database(config.store.url)) as database:
        session = _session(config, SqlCloudStore(database))
        transport = PahoTransport(config.mqtt_options())
        service = CloudService(session, transport, clock, logger_to(None, clock, config.log.level))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: service.stop())
        service.run()
    return 0


def status(config: Config, day: date | None, *, device: str | None, as_json: bool) -> int:
    """Show how a day stands; by default the last one that is planned."""
    now = config.make_clock().now()
    with closing(_existing(config)) as database:
        books = Books(database)
        day = day or books.latest_day()
        plans = [] if day is None else books.plans(day, device)
        if day is None or not plans:
            what = f"{day or 'any day'}{f' and device {device}' if device else ''}"
            raise CloudError(f"there is no plan for {what}; make one with: allye-cloud plan --day DAY")
        found = day_status(database, books, day, now, device)
        slots = slot_lines(database, books, day, device) if device is not None else []
    if as_json:
        _write_json(found if device is None else {**msgspec.to_builtins(found), "slots": slots})
        return 0
    console = _console()
    console.print(*status_screen(found), sep="\n")
    if device is not None:
        console.print(slots_table(plans[0], slots))
    return 0


def _deliver(service: CloudService, database: Database, day: date, ids: Sequence[str], timeout_s: float) -> None:
    """Run the service until the schedules are settled or the time is up, and show how far they are."""
    ends_s = time.monotonic() + timeout_s
    looked_s = 0.0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("settled", total=len(ids))

        def settled() -> bool:
            nonlocal looked_s
            now_s = time.monotonic()
            if now_s - looked_s < _LOOK_S:
                return False
            looked_s = now_s
            states = states_of(database, day)
            left = sum(states[name] in OPEN for name in ids)
            progress.update(bar, completed=len(ids) - left)
            return left == 0 or now_s >= ends_s

        service.run(until=settled)


def _session(config: Config, store: SqlCloudStore) -> CloudSession:
    return CloudSession(
        store, random_bytes=os.urandom, uniform=random.uniform, config=config.session_config(), signer=config.signer()
    )


def _missing_file(config: Config) -> Path | None:
    """The database's file where there is none yet.

    :raises ConfigError: for a folder that is not there.
    """
    file = file_of(config.store.url)
    if file is None:
        return None
    if not file.parent.is_dir():
        what = f"there is no folder {file.parent.absolute()}"
        raise ConfigError("configuration", "store.url", what, "make it, or name a file in another")
    return None if file.exists() else file


def _existing(config: Config) -> Database:
    """The database, for commands that have nothing to do without one: they make none."""
    missing = _missing_file(config)
    if missing is not None:
        remedy = "make it with 'allye-cloud plan', or correct url in [store]"
        raise CloudError(f"there is no database {missing.absolute()} yet: {remedy}")
    return Database(config.store.url)


def _fleet(config: Config, device: str | None) -> list[Device]:
    devices = registry.load(Path(config.fleet.registry))
    if device is None:
        return list(devices.values())
    found = [known for name, known in devices.items() if name == device]
    if not found:
        raise CloudError(f"there is no device {device!r} in {config.fleet.registry}; add it there, or correct the name")
    return found


def _prices(config: Config, path: Path | None) -> prices.PriceSeries:
    section = config.prices
    chosen = path or (Path(section.path) if section.path else None)
    if chosen is None:
        raise CloudError("no prices are given; name a CSV file with --prices, or as path in [prices] of the configuration")
    return prices.load(
        chosen,
        unit=section.unit,
        zone=zone_named(section.zone),
        time_column=section.time_column,
        price_column=section.price_column,
    )


def _counted(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _console() -> Console:
    """Standard output; a pipe has no width of its own."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def _write_json(value: object) -> None:
    sys.stdout.write(f"{msgspec.json.format(msgspec.json.encode(value), indent=2).decode()}\n")
