from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from allye_cloud.days import HALF_HOUR, half_hours
from allye_cloud.errors import PriceError
from allye_cloud.prices import SYNTHETIC, PriceSeries, PriceUnit, load, synthetic

LONDON = ZoneInfo("Europe/London")
PENCE, POUNDS = PriceUnit.PENCE_PER_KWH, PriceUnit.POUNDS_PER_MWH
HEADER = "Date_Time,Outgoing Rate"
CHANGE_DAYS = [(date(2018, 3, 25), 46), (date(2018, 7, 1), 48), (date(2018, 10, 28), 50)]


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "prices.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def local_rows(day: date, zone: ZoneInfo, *, days: int = 1) -> list[str]:
    starts = [start for i in range(days) for start in half_hours(day + timedelta(days=i), zone)]
    return [f"{start.astimezone(zone):%Y-%m-%d %H:%M:%S},{i}.5" for i, start in enumerate(starts)]


@pytest.mark.parametrize(("day", "slots"), CHANGE_DAYS)
def test_local_times_without_offset_come_out_right_on_every_kind_of_day(tmp_path: Path, day: date, slots: int) -> None:
    series = load(write(tmp_path, *local_rows(day, LONDON)), unit=POUNDS, zone=LONDON)

    priced = series.day(day, LONDON)
    assert len(priced) == slots
    assert [slot.start for slot in priced] == list(half_hours(day, LONDON))
    assert [slot.price_gbp_per_mwh for slot in priced] == [i + 0.5 for i in range(slots)]


@pytest.mark.parametrize("end", ["Z", "+00:00", " +0000"])
@pytest.mark.parametrize(("day", "slots"), CHANGE_DAYS)
def test_utc_times_need_no_zone(tmp_path: Path, day: date, slots: int, end: str) -> None:
    rows = [f"{start:%Y-%m-%dT%H:%M}{end},1" for start in half_hours(day, LONDON)]

    assert len(load(write(tmp_path, *rows), unit=POUNDS).day(day, LONDON)) == slots


@pytest.mark.parametrize(("day", "slots"), CHANGE_DAYS)
def test_local_times_with_offset_need_no_zone(tmp_path: Path, day: date, slots: int) -> None:
    rows = [f"{start.astimezone(LONDON).isoformat()},1" for start in half_hours(day, LONDON)]

    assert len(load(write(tmp_path, *rows), unit=POUNDS).day(day, LONDON)) == slots


def test_of_a_repeated_hour_the_first_rows_are_before_the_change(tmp_path: Path) -> None:
    rows = ["2018-10-28 00:30,0", "2018-10-28 01:00,1", "2018-10-28 01:30,2", "2018-10-28 01:00,3", "2018-10-28 01:30,4"]
    series = load(write(tmp_path, *rows), unit=POUNDS, zone=LONDON)

    assert series.price_at(datetime(2018, 10, 28, 0, 0, tzinfo=UTC)) == 1
    assert series.price_at(datetime(2018, 10, 28, 1, 0, tzinfo=UTC)) == 3
    assert series.end == datetime(2018, 10, 28, 2, 0, tzinfo=UTC)


def test_a_repeated_hour_may_come_in_pairs(tmp_path: Path) -> None:
    rows = ["2018-10-28 00:30,0", "2018-10-28 01:00,1", "2018-10-28 01:00,3", "2018-10-28 01:30,2", "2018-10-28 01:30,4"]

    assert load(write(tmp_path, *rows), unit=POUNDS, zone=LONDON).prices_gbp_per_mwh == (0, 1, 2, 3, 4)


def test_a_file_that_runs_backwards_is_the_same_series(tmp_path: Path) -> None:
    rows = local_rows(date(2018, 10, 27), LONDON, days=3)
    forwards = load(write(tmp_path, *rows), unit=POUNDS, zone=LONDON)

    assert load(write(tmp_path, *reversed(rows)), unit=POUNDS, zone=LONDON) == forwards


def test_pence_per_kwh_become_pounds_per_mwh(tmp_path: Path) -> None:
    series = load(write(tmp_path, "2018-01-01 00:00,5.5"), unit=PENCE, zone=LONDON)

    assert series.prices_gbp_per_mwh == (55.0,)


def test_columns_are_found_by_their_words_or_taken_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "x,2018-01-01 00:00Z,2018-01-01 00:30Z,7", header="area,valid_from,valid_to,value_inc_vat")

    series = load(path, unit=POUNDS, time_column="valid_from", price_column="value_inc_vat")

    assert series == PriceSeries(start=datetime(2018, 1, 1, tzinfo=UTC), prices_gbp_per_mwh=(7.0,), source=str(path))


def test_a_byte_order_mark_blank_lines_and_quotes_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b'\xef\xbb\xbf"Date_Time",Price\r\n"2018-01-01 00:00","-1.5"\r\n\r\n')

    assert load(path, unit=POUNDS, zone=LONDON).prices_gbp_per_mwh == (-1.5,)


@pytest.mark.parametrize(
    ("rows", "line", "what"),
    [
        pytest.param(
            ["2018-01-01 00:00,1", "2018-01-01 01:30,1"], 2, "2 half-hours are missing after 2018-01-01T00:00", id="gap"
        ),
        pytest.param(["2018-01-01 00:00,1", "2018-01-01 00:30,1", "2018-01-01 00:00,1"], 4, "in line 2 already", id="double"),
        pytest.param([f"2018-10-28 01:{m},1" for m in ("00", "30", "00", "30", "00")], 6, "already", id="thrice"),
        pytest.param(["2018-10-28 01:30,1", "2018-10-28 02:00,1"], 2, "2 half-hours are missing", id="autumn hour once"),
        pytest.param(["2018-03-25 00:30,1", "2018-03-25 01:00,1"], 3, "does not exist in Europe/London", id="spring gap"),
        pytest.param(["2018-01-01 00:15,1"], 2, "not on a half-hour", id="quarter"),
        pytest.param(["2018-01-01 00:00:01,1"], 2, "not on a half-hour", id="second"),
        pytest.param(["2018-01-01 00:00,1", "2018-01-01 00:30,dear"], 3, "'dear' is not a finite number", id="word"),
        pytest.param(["2018-01-01 00:00,"], 2, "'' is not a finite number", id="no price"),
        pytest.param(["2018-01-01 00:00,NaN"], 2, "'NaN' is not a finite number", id="NaN"),
        pytest.param(["2018-01-01 00:00,inf"], 2, "'inf' is not a finite number", id="infinity"),
        pytest.param(["2018-01-01 00:00,1e999"], 2, "'1e999' is not a finite number", id="overflow"),
        pytest.param(["2018-01-01 00:00,1_0"], 2, "'1_0' is not a finite number", id="underscore"),
        pytest.param(["2018-01-01,1"], 2, "'2018-01-01' is not a time", id="date alone"),
        pytest.param(["2018-02-29 00:00,1"], 2, "'2018-02-29 00:00' is not a time", id="no such date"),
        pytest.param(["2018-01-01 24:00,1"], 2, "is not a time", id="24:00"),
        pytest.param(["01/02/2018 00:00,1"], 2, "is not a time", id="slashes"),
        pytest.param(["2018-01-01 00:00,1", "2018-01-01 00:30Z,1"], 3, "some times have an offset", id="mixed"),
        pytest.param(["2018-01-01 00:00,1,2"], 2, "3 cells where the header has 2", id="too many cells"),
        pytest.param(["2018-01-01 00:00"], 2, "1 cells where the header has 2", id="too few cells"),
        pytest.param(['2018-01-01 00:00,"1'], 2, "is not CSV", id="open quote"),
        pytest.param([], None, "no row", id="header alone"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, rows: list[str], line: int | None, what: str) -> None:
    path = write(tmp_path, *rows)

    with pytest.raises(PriceError) as caught:
        load(path, unit=POUNDS, zone=LONDON)

    assert caught.value.line == line
    assert caught.value.file == str(path)
    assert what in caught.value.what
    assert caught.value.remedy
    assert str(caught.value).startswith(f"{path}:{line}: " if line else f"{path}: ")


@pytest.mark.parametrize(
    ("header", "what"),
    [
        pytest.param("2018-01-01 00:00,5.5", "no column", id="no header"),
        pytest.param("Date,Time,Price", "2 columns", id="two times"),
        pytest.param("Time,Generated", "no column", id="a word inside a word"),
        pytest.param("Time,Price GBP/MWh", "is said to be in p/kWh", id="other unit"),
        pytest.param("Time,Price (£/MWh)", "is said to be in p/kWh", id="other unit with its sign"),
    ],
)
def test_a_wrong_header_is_an_error_in_line_1(tmp_path: Path, header: str, what: str) -> None:
    with pytest.raises(PriceError, match=what) as caught:
        load(write(tmp_path, "2018-01-01 00:00,1", header=header), unit=PENCE, zone=LONDON)

    assert caught.value.line == 1


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)

    with pytest.raises(PriceError, match="the file is empty"):
        load(path, unit=PENCE, zone=LONDON)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_an_error_that_says_what_to_do(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes("Time,Price\n2018-01-01 00:00,1\n# £\n".encode(encoding))

    with pytest.raises(PriceError, match="save the file as UTF-8"):
        load(path, unit=PENCE, zone=LONDON)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match=r"nowhere\.csv: cannot be read"):
        load(tmp_path / "nowhere.csv", unit=PENCE, zone=LONDON)


def test_local_times_without_a_zone_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match="say in which zone they are"):
        load(write(tmp_path, "2018-01-01 00:00,1"), unit=PENCE)


def test_a_day_that_is_not_covered_to_its_end_is_an_error_that_says_what_is_there(tmp_path: Path) -> None:
    series = load(write(tmp_path, *local_rows(date(2018, 7, 1), LONDON)[:-1]), unit=POUNDS, zone=LONDON)

    with pytest.raises(PriceError, match="all of 2018-07-01 in Europe/London: it covers 2018-06-30T23:00:00"):
        series.day(date(2018, 7, 1), LONDON)


def test_a_time_between_slots_has_no_price() -> None:
    series = PriceSeries(start=datetime(2018, 1, 1, tzinfo=UTC), prices_gbp_per_mwh=(1.0, 2.0), source="test")

    with pytest.raises(PriceError, match="no prices for the half-hour"):
        series.price_at(datetime(2018, 1, 1, 0, 10, tzinfo=UTC))


@pytest.mark.parametrize("start", [datetime(2018, 1, 1), datetime(2018, 1, 1, 0, 15, tzinfo=UTC)])  # noqa: DTZ001
def test_a_series_cannot_begin_off_the_half_hours(start: datetime) -> None:
    with pytest.raises(ValueError, match="starts on a UTC half-hour"):
        PriceSeries(start=start, prices_gbp_per_mwh=(1.0,), source="test")


@pytest.mark.parametrize(("day", "slots"), CHANGE_DAYS)
def test_the_synthetic_curve_says_that_it_is_one_and_has_two_peaks_and_a_negative_stretch(day: date, slots: int) -> None:
    series = synthetic(day, LONDON)
    by_hour = {slot.start.astimezone(LONDON).hour: slot.price_gbp_per_mwh for slot in series.day(day, LONDON)}

    assert series.source == SYNTHETIC
    assert series == synthetic(day, LONDON)
    assert len(series.prices_gbp_per_mwh) == slots
    assert by_hour[3] < by_hour[8] < by_hour[18]
    assert -30 < by_hour[13] < 0
    assert series.end - series.start == slots * HALF_HOUR
