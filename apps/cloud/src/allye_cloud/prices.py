"""Half-hourly prices: one contiguous series on UTC, read from a CSV file or made up for a demonstration.

1. A :class:`PriceSeries` has one price for every half-hour between its ends. A file with a missing, doubled or unreadable slot
   is refused: a plan on guessed prices costs money.
2. Prices are pounds per MWh inside, whatever the file has. The file's unit is always said by the caller, because a factor of
   ten looks plausible; a header that names the other unit is an error.
3. Local times without an offset need a zone. The hour that autumn repeats is told apart by order: the first row that bears a
   time is before the change, the second after it. A time that spring skips is an error. A file that runs backwards is turned
   round first.
4. Where a series came from travels with it (``source``), so that made-up prices can never pass for real ones.
"""

from __future__ import annotations

import csv
import io
import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from allye_cloud.days import HALF_HOUR, half_hours, is_half_hour
from allye_cloud.errors import PriceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path
    from zoneinfo import ZoneInfo

__all__ = ["SYNTHETIC", "PriceSeries", "PriceUnit", "PricedSlot", "load", "synthetic"]

SYNTHETIC: Final = "synthetic price curve, not market data"
"""The ``source`` of every made-up series."""


class PriceUnit(StrEnum):
    """What the numbers of a file mean."""

    PENCE_PER_KWH = "p/kWh"
    POUNDS_PER_MWH = "GBP/MWh"


_IN_POUNDS_PER_MWH: Final = {PriceUnit.PENCE_PER_KWH: 10.0, PriceUnit.POUNDS_PER_MWH: 1.0}
_TIME_WORDS: Final = frozenset({"time", "date", "datetime", "timestamp", "start", "period"})
_PRICE_WORDS: Final = frozenset({"price", "rate"})
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?) ?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class PricedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """One half-hour and its price.

    :param start: where it begins, UTC.
    :param price_gbp_per_mwh: price of energy in it, for buying and selling alike.
    """

    start: datetime
    price_gbp_per_mwh: float

    @property
    def end(self) -> datetime:
        """Where it ends, UTC."""
        return self.start + HALF_HOUR


class PriceSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of consecutive half-hours.

    :param start: where the first one begins: aware, on a UTC half-hour.
    :param prices_gbp_per_mwh: one price for each half-hour.
    :param source: the file they are from, or :data:`SYNTHETIC`.
    :raises ValueError: for a start that is naive or not on a half-hour (a bug in the caller).
    """

    start: datetime
    prices_gbp_per_mwh: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or not is_half_hour(self.start):
            raise ValueError(f"a price series starts on a UTC half-hour, not at {self.start}")

    @property
    def end(self) -> datetime:
        """Where the last half-hour ends, UTC."""
        return self.start + len(self.prices_gbp_per_mwh) * HALF_HOUR

    def price_at(self, start: datetime) -> float:
        """The price of the half-hour that begins at ``start``, pounds per MWh.

        :raises PriceError: when the series does not have it.
        """
        index, rest = divmod(start - self.start, HALF_HOUR)
        if rest or not 0 <= index < len(self.prices_gbp_per_mwh):
            raise self._no_price(start, f"the half-hour {start.isoformat()}")
        return self.prices_gbp_per_mwh[index]

    def day(self, day: date, zone: ZoneInfo) -> tuple[PricedSlot, ...]:
        """All slots of a local day, priced; which slots those are is said in :mod:`allye_cloud.days`.

        :raises DayError: when the zone has no such day.
        :raises PriceError: when the series does not cover all of it.
        """
        starts = half_hours(day, zone)
        for edge in (starts[0], starts[-1]):
            if not self.start <= edge < self.end:
                raise self._no_price(edge, f"all of {day} in {zone.key}")
        return tuple(PricedSlot(start=start, price_gbp_per_mwh=self.price_at(start)) for start in starts)

    def _no_price(self, start: datetime, what: str) -> PriceError:
        have = f"it covers {self.start.isoformat()} to {self.end.isoformat()}"
        remedy = f"choose a time in that range or extend the file to {start.isoformat()}"
        return PriceError(self.source, None, f"no prices for {what}: {have}", remedy)


def load(
    path: Path,
    *,
    unit: PriceUnit,
    zone: ZoneInfo | None = None,
    time_column: str | None = None,
    price_column: str | None = None,
) -> PriceSeries:
    """Read half-hourly prices from a CSV file (UTF-8, with a header).

    :param path: the file.
    :param unit: what its numbers mean.
    :param zone: the zone of times that carry no offset; not needed, and not used, where they carry one.
    :param time_column: header of the column with the starts of the half-hours; found by its words when not given.
    :param price_column: header of the column with the prices; found by its words when not given.
    :raises PriceError: for a file that cannot be read, or that breaks a rule of this module, with its line.
    """
    rows = _rows(path)
    _, header = next(rows, (1, []))
    if not header:
        raise PriceError(str(path), None, "the file is empty", "give a CSV file with a header and one row a half-hour")
    time_index = _column(path, header, time_column, _TIME_WORDS, "time_column")
    price_index = _column(path, header, price_column, _PRICE_WORDS, "price_column")
    _check_unit(path, header[price_index], unit)
    table: list[tuple[int, datetime, float]] = []
    for line, row in rows:
        if len(row) != len(header):
            what = f"{len(row)} cells where the header has {len(header)}"
            raise PriceError(str(path), line, what, "complete the row; quote a cell that contains a comma")
        price = _price(path, line, row[price_index]) * _IN_POUNDS_PER_MWH[unit]
        table.append((line, _time(path, line, row[time_index]), price))
    if not table:
        raise PriceError(str(path), None, "there is a header and no row", "give one row a half-hour")
    slots = sorted(_on_utc(path, table, zone), key=lambda slot: slot[1])
    _check_contiguous(path, slots)
    return PriceSeries(start=slots[0][1], prices_gbp_per_mwh=tuple(price for _, _, price in slots), source=str(path))


def synthetic(day: date, zone: ZoneInfo) -> PriceSeries:
    """Made-up prices for one local day: cheap nights, two peaks, and a stretch slightly below zero around midday.

    The same on every day, by the local clock. Nothing but the label :data:`SYNTHETIC` makes it different from a series that
    was loaded, so show the label wherever results are shown.

    :raises DayError: when the zone has no such day.
    """
    starts = half_hours(day, zone)
    hours = [local.hour + local.minute / 60 for local in (start.astimezone(zone) for start in starts)]

    def bump(hour: float, centre: float, width: float) -> float:
        return math.exp(-(((hour - centre) / width) ** 2))

    prices = tuple(
        round(62 + 70 * bump(hour, 8, 1.6) + 150 * bump(hour, 18, 1.8) - 78 * bump(hour, 13, 1.9) - 18 * bump(hour, 3, 2.5), 2)
        for hour in hours
    )
    return PriceSeries(start=starts[0], prices_gbp_per_mwh=prices, source=SYNTHETIC)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not blank, with its line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise PriceError(str(path), None, f"cannot be read: {error.strerror}", "check the path and its permissions") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PriceError(str(path), line, f"is not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise PriceError(str(path), reader.line_num, f"is not CSV: {error}", "correct the quoting of this row") from None


def _column(path: Path, header: list[str], name: str | None, words: frozenset[str], parameter: str) -> int:
    names = [cell.strip() for cell in header]
    found = [
        index
        for index, cell in enumerate(names)
        if (cell == name if name is not None else words & set(re.split(r"[^a-z]+", cell.casefold())))
    ]
    if len(found) == 1:
        return found[0]
    wanted = f"{name!r}" if name is not None else f"with one of the words {', '.join(sorted(words))}"
    what = f"{len(found) or 'no'} column{'s' if len(found) > 1 else ''} {wanted} in the header {', '.join(names)!r}"
    raise PriceError(str(path), 1, what, f"name the one to use as {parameter}")


def _check_unit(path: Path, name: str, unit: PriceUnit) -> None:
    said = re.sub(r"\s", "", name).casefold().replace("£", "gbp")
    other = next((other for other in PriceUnit if other is not unit and other.value.casefold() in said), None)
    if other is not None:
        raise PriceError(str(path), 1, f"the column {name.strip()!r} is said to be in {unit}", f"read it as {other}")


def _price(path: Path, line: int, text: str) -> float:
    # float() alone would also take "nan", "inf", "1_000" and digits of other scripts.
    value = float(text) if _NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise PriceError(str(path), line, f"the price {text!r} is not a finite number", "give a decimal number such as 5.81")
    return value


def _time(path: Path, line: int, text: str) -> datetime:
    """A time as it stands in the file: aware when it has an offset, naive when it has none."""
    match = _TIME.fullmatch(text.strip())
    try:
        return datetime.fromisoformat("T".join(match.group(1, 2)) + (match.group(3) or "") if match else "")
    except ValueError:  # not of the shape, or a day that its month does not have
        remedy = "write it as 2018-10-28 01:30, or with an offset or Z behind it"
        raise PriceError(str(path), line, f"{text!r} is not a time", remedy) from None


def _on_utc(
    path: Path, table: list[tuple[int, datetime, float]], zone: ZoneInfo | None
) -> Iterator[tuple[int, datetime, float]]:
    """The rows with their times on UTC."""
    naive = table[0][1].tzinfo is None
    if naive and zone is None:
        raise PriceError(str(path), table[0][0], "the times have no offset", "say in which zone they are (UTC is one)")
    for line, time, _ in table:
        if (time.tzinfo is None) != naive:
            what = f"{time.isoformat(sep=' ')} is unlike the rows before it: some times have an offset, others not"
            raise PriceError(str(path), line, what, "write all times in one way")
    if table[0][1] > table[-1][1]:
        table = table[::-1]
    seen: set[datetime] = set()
    for line, time, price in table:
        utc = (time if zone is None or not naive else _unfold(path, line, time, zone, again=time in seen)).astimezone(UTC)
        seen.add(time)
        if not is_half_hour(utc):
            remedy = "give one row for each half-hour, at its start"
            raise PriceError(str(path), line, f"{time.isoformat(sep=' ')} is not on a half-hour of UTC", remedy)
        yield line, utc, price


def _unfold(path: Path, line: int, time: datetime, zone: ZoneInfo, *, again: bool) -> datetime:
    """A local time with its zone: before or after the change where clocks go back, and an error where they skip it."""
    first, second = (time.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = first.utcoffset(), second.utcoffset()
    if before is not None and after is not None and before < after:
        what = f"{time.isoformat(sep=' ')} does not exist in {zone.key}: clocks go forward over it"
        raise PriceError(str(path), line, what, "check the zone, and that the file is in local time")
    return second if again else first


def _check_contiguous(path: Path, slots: list[tuple[int, datetime, float]]) -> None:
    for (line, start, _), (next_line, following, _) in pairwise(slots):
        if following == start:
            what = f"the half-hour {start.isoformat()} is in line {min(line, next_line)} already"
            raise PriceError(str(path), max(line, next_line), what, "keep one of the two rows")
        if following != start + HALF_HOUR:
            missing = (following - start) // HALF_HOUR - 1
            what = f"{missing} half-hour{'s are' if missing > 1 else ' is'} missing after {start.isoformat()}"
            raise PriceError(str(path), line, what, "add a row for each; none is guessed")
