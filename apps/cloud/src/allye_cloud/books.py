"""What the cloud writes down beside its deliveries: the plan of every device and day, and which schedules carry it."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import bindparam, select

from allye_cloud import tables
from allye_cloud.days import HALF_HOUR
from allye_protocol.errors import ErrorCode, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Column, Select

    from allye_cloud.database import Database

__all__ = ["Books", "DayPlan", "Publication"]


class DayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is to do on one local day, and why.

    :param device_id: the device.
    :param day: the date on its local calendar.
    :param zone: the zone of that calendar.
    :param start: where the first half-hour begins, UTC.
    :param watts: one setpoint a half-hour, W; + charges.
    :param prices_gbp_per_mwh: the price that each was planned with.
    :param soc_pct: state of charge at the beginning and at the end of every half-hour as the plan has it, %: one value more.
    :param margin_gbp: what the plan earns before wear, pounds.
    :param wear_gbp: cost of wear, pounds.
    :param charged_wh: energy taken at the terminals, Wh.
    :param discharged_wh: energy given at the terminals, Wh.
    :param cycles: discharged energy in units of the capacity.
    :param max_power_w: the largest setpoint that the battery and its site allow, W.
    :param price_source: where the prices came from.
    :param yardsticks_gbp: what simpler plans would have earned before wear, by their names, pounds.
    """

    device_id: str
    day: date
    zone: str
    start: datetime
    watts: tuple[int, ...]
    prices_gbp_per_mwh: tuple[float, ...]
    soc_pct: tuple[float, ...]
    margin_gbp: float
    wear_gbp: float
    charged_wh: float
    discharged_wh: float
    cycles: float
    max_power_w: int
    price_source: str
    yardsticks_gbp: dict[str, float] = {}

    @property
    def end(self) -> datetime:
        """Where the last half-hour ends, UTC."""
        return self.start + len(self.watts) * HALF_HOUR


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule as a piece of a day's plan.

    :param schedule_id: the schedule.
    :param day: the local date.
    :param device_id: the device.
    :param revision: 1 for the first version of the day's plan that was published, and so on.
    :param piece: 1 for the first piece of that revision, and so on.
    """

    schedule_id: str
    day: date
    device_id: str
    revision: int
    piece: int


_P: Final = tables.plan
_PLANS: Final = select(_P.c.record).where(_P.c.day == bindparam("day")).order_by(_P.c.device_id)
_LATEST: Final = select(_P.c.day).order_by(_P.c.day.desc()).limit(1)
_PUBLISHED: Final = (
    select(tables.publication)
    .where(tables.publication.c.day == bindparam("day"))
    .order_by(tables.publication.c.device_id, tables.publication.c.revision, tables.publication.c.piece)
)


class Books:
    """Plans and publications in a database. Their transactions join those of the store over the same database.

    :param database: where.
    """

    def __init__(self, database: Database) -> None:
        self._database: Final = database
        plan = database.insert(tables.plan)
        self._put_plan: Final = plan.on_conflict_do_update(
            index_elements=["day", "device_id"], set_={"record": plan.excluded.record}
        )
        self._put_publication: Final = database.insert(tables.publication).on_conflict_do_nothing()

    def put_plans(self, plans: Iterable[DayPlan]) -> None:
        """Keep plans, each replacing the one of its device and day.

        :raises StoreError: none is kept.
        """
        rows = [{"day": made.day, "device_id": made.device_id, "record": msgspec.json.encode(made)} for made in plans]
        with self._database.transaction():
            if rows:
                self._database.run(self._put_plan, rows)

    def plans(self, day: date, device_id: str | None = None) -> list[DayPlan]:
        """The plans of a local day, by device.

        :param device_id: only this device's.
        """
        query, values = _of(_PLANS, _P.c.device_id, day, device_id)
        try:
            return [msgspec.json.decode(row.record, type=DayPlan) for row in self._database.rows(query, values)]
        except msgspec.MsgspecError as error:
            message = f"{self._database.name} has a plan of {day} that cannot be read ({error}): plan the day again"
            raise StoreError(ErrorCode.STORE_CORRUPT, message) from None

    def latest_day(self) -> date | None:
        """The last day that has a plan."""
        return next((row.day for row in self._database.rows(_LATEST)), None)

    def put_publications(self, publications: Iterable[Publication]) -> None:
        """Remember what schedules are pieces of.

        :raises StoreError: nothing is remembered.
        """
        rows = [msgspec.structs.asdict(made) for made in publications]
        with self._database.transaction():
            if rows:
                self._database.run(self._put_publication, rows)

    def publications(self, day: date, device_id: str | None = None) -> list[Publication]:
        """Every schedule of a local day, by device, revision and piece.

        :param device_id: only this device's.
        """
        query, values = _of(_PUBLISHED, tables.publication.c.device_id, day, device_id)
        return [
            Publication(
                schedule_id=row.schedule_id, day=row.day, device_id=row.device_id, revision=row.revision, piece=row.piece
            )
            for row in self._database.rows(query, values)
        ]


def _of(query: Select[Any], column: Column[str], day: date, device_id: str | None) -> tuple[Select[Any], dict[str, Any]]:
    if device_id is None:
        return query, {"day": day}
    return query.where(column == bindparam("device")), {"day": day, "device": device_id}
