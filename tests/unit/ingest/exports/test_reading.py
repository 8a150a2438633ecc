"""Exports as loggers and their programs write them: what is a moment, what is a temperature, what is neither."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest
from openpyxl import Workbook

from ingest.exports.exported import Export, ExportError
from ingest.exports.moments import DateOrder
from ingest.exports.reading import read
from ingest.exports.tables import Asked
from tests.vectors import count_vectors, vector_path

BEGUN = datetime(2026, 3, 1, 8, 0)
STEP = timedelta(minutes=15)
VALUES = [5.0 + (4.0 if 20 <= at < 30 else 0.0) for at in range(100)]
ROWS = [(BEGUN + at * STEP, value) for at, value in enumerate(VALUES)]


def text(
    heading: str, row: Callable[[int, datetime, float], str], rows: Sequence[tuple[datetime, float]] = ROWS
) -> str:
    return heading + "\n".join(row(at, moment, value) for at, (moment, value) in enumerate(rows)) + "\n"


def is_the_series(export: Export, column: int = 0) -> None:
    assert export.columns[column].value_c.tolist() == pytest.approx(VALUES)
    assert set(np.diff(export.line.time_ms).tolist()) == {900_000}
    assert export.line.written(0)[:19] == "2026-03-01T08:00:00"
    assert export.line.written(-1)[:19] == "2026-03-02T08:45:00"


FORMS = {
    "ISO": text("time,temperature\n", lambda _, at, value: f"{at.isoformat()},{value}"),
    "offset": text("timestamp,temp_c\n", lambda _, at, value: f"{at.isoformat()}+08:00,{value}"),
    "zulu": text("timestamp,temp_c\n", lambda _, at, value: f"{at.isoformat()}Z,{value}"),
    "no heading": text("", lambda _, at, value: f"{at.isoformat()},{value}"),
    "German": text(
        "Datum;Uhrzeit;Kühlraum [°C]\n", lambda _, at, value: f"{at:%d.%m.%Y};{at:%H:%M:%S};{f'{value:.1f}'.replace('.', ',')}"
    ),
    "two headings": text(
        "Zone: Lager\nMesstakt: 15 min\n;Kühlzelle;Raum\nDatum Uhrzeit;[°C];[%rF]\n",
        lambda _, at, value: f"{at:%d.%m.%Y %H:%M:%S};{f'{value:.1f}'.replace('.', ',')};55,1",
    ),
    "American": text(
        "Serial Number,1234567\nLogging interval,15 Minutes\nFirst Reading,3/1/2026 8:00\n\nReading,Date,Time,Temperature\n",
        lambda at, moment, value: f"{at + 1},{moment:%m/%d/%Y},{moment:%I:%M:%S %p},{value}",
    ),
    "day first": text("Date,Time,Temp\n", lambda _, at, value: f"{at:%d/%m/%Y},{at:%H:%M},{value}"),
    "month in words": text("When,Temp\n", lambda _, at, value: f"{at:%d-%b-%Y %H:%M},{value}"),
    "humidity beside": text(
        "Model,RC-5\nNo.,Time,Temperature°C,Humidity%RH\n",
        lambda at, moment, value: f"{at + 1},{moment:%Y-%m-%d %H:%M:%S},{value},{60 + at % 3}",
    ),
    "Chinese": text(
        "序号,采集时间,温度(℃),湿度(%)\n", lambda at, moment, value: f"{at + 1},{moment:%Y/%m/%d %H:%M},{value},{60 + at % 3}"
    ),
    "Chinese halves of the day": text(
        "时间,温度\n", lambda _, at, value: f"{at:%Y年%m月%d日} {'上午' if at.hour < 12 else '下午'}{at:%I:%M},{value}"
    ),
    "Fahrenheit": text("time,reading (°F)\n", lambda _, at, value: f"{at.isoformat()},{value * 1.8 + 32:.4f}"),
    "unit in the preamble": text(
        "Temperature unit: °F\n\ntime,reading\n", lambda _, at, value: f"{at.isoformat()},{value * 1.8 + 32:.4f}"
    ),
    "unit in cells": text("Date/Time,Temp\n", lambda _, at, value: f"{at:%Y-%m-%d %H:%M},{value} °C"),
    "year of two digits first": text("time,temp\n", lambda _, at, value: f"{at:%y-%m-%d %H:%M},{value}"),
    "year of two digits last": text("time,temp\n", lambda _, at, value: f"{at.month}/{at.day}/{at:%y %H:%M},{value}"),
    "24 o'clock": text(
        "time,temp\n",
        lambda _, at, value: (f"{at:%Y-%m-%d %H:%M}" if at.hour + at.minute else f"{at - STEP:%Y-%m-%d} 24:00") + f",{value}",
    ),
    "digits alone": text("time,temp\n", lambda _, at, value: f"{at:%Y%m%d%H%M%S},{value}"),
    "ISO, basic": text("time,temp\n", lambda _, at, value: f"{at:%Y%m%dT%H%M%S}Z,{value}"),
    "billionths of a second": text("time,temp\n", lambda _, at, value: f"{at.isoformat()}.000000000Z,{value}"),
    "offset of hours": text("time,temp\n", lambda _, at, value: f"{at.isoformat()}+08,{value}"),
    "GMT and hours": text("time,temp\n", lambda _, at, value: f"{at:%Y-%m-%d %H:%M:%S} (GMT+8),{value}"),
    "offset and zone": text("time,temp\n", lambda _, at, value: f"{at.isoformat()}+08:00[Asia/Shanghai],{value}"),
    "a zone by name": text("time,temp\n", lambda _, at, value: f"{at:%Y-%m-%d %H:%M:%S} CET,{value}"),
    "a day by name": text("time,temp\n", lambda _, at, value: f"{at:%a %b %d %Y %H:%M:%S},{value}"),
    "newest first": text("time,temperature\n", lambda _, at, value: f"{at.isoformat()},{value}", ROWS[::-1]),
    "no order": text("time,temperature\n", lambda _, at, value: f"{at.isoformat()},{value}", [*ROWS[50:], *ROWS[:50]]),
    "every row twice": text("time,temperature\n", lambda _, at, value: f"{at.isoformat()},{value}", [row for row in ROWS for _ in "12"]),
    "tabs": text("time\ttemperature\n", lambda _, at, value: f"{at.isoformat()}\t{value}"),
    "footer": text("time,temperature\n", lambda _, at, value: f"{at.isoformat()},{value}") + "\nEnd of data,,\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_one_series_however_it_is_written(form: str) -> None:
    is_the_series(read(FORMS[form].encode()))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_character_sets(encoding: str) -> None:
    export = read(FORMS["two headings"].encode(encoding))
    is_the_series(export)
    assert [column.name for column in export.columns] == ["Kühlzelle"]
    assert (export.columns[0].unit, export.interval_ms) == ("C", 900_000)


def test_gb18030() -> None:
    export = read(FORMS["Chinese"].encode("gb18030"))
    is_the_series(export)
    assert export.columns[0].name == "温度(℃)"
    assert "湿度(%)" in export.notes[0]


def test_what_is_said_of_the_logger() -> None:
    export = read(FORMS["American"].encode())
    assert (export.serial, export.interval_ms, [column.name for column in export.columns]) == (
        "1234567",
        900_000,
        ["Temperature"],
    )


def test_offsets_are_kept() -> None:
    assert read(FORMS["offset"].encode()).line.written(0) == "2026-03-01T08:00:00+08:00"
    assert read(FORMS["ISO"].encode()).line.written(0) == "2026-03-01T08:00:00"


def workbook(rows: Iterable[Sequence[object]]) -> bytes:
    book = Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.create_sheet("Summary").append(["min", 5])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def test_workbooks() -> None:
    is_the_series(read(workbook([["Serial", "X1"], [], ["Date/Time", "Temperature °C"], *ROWS])))
    apart = [[at.date(), at.time(), value, f"{value:.1f}".replace(".", ",")] for at, value in ROWS]
    export = read(workbook([["Date", "Time", "T1 (°C)", "T2 (°C)"], *apart]))
    is_the_series(export, 0)
    is_the_series(export, 1)


def changed(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    """A workbook with one of its parts changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))
    return made.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_a_sheet_that_says_it_is_as_large_as_can_be() -> None:
    def whole(xml: bytes) -> bytes:
        return re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="A1:XFD1048576"', xml)

    is_the_series(read(changed(workbook([["Time", "Temp"], *ROWS]), SHEET, whole)))


def test_a_row_far_below_is_not_waited_for() -> None:
    def below(xml: bytes) -> bytes:
        return xml.replace(b'<row r="101"', b'<row r="999999999999"')

    with pytest.raises(ExportError, match="cells"):
        read(changed(workbook([["Time", "Temp"], *ROWS]), SHEET, below))


@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "xl/styles.xml"])
@pytest.mark.parametrize(
    "change",
    [lambda xml: xml[: len(xml) // 2], lambda _: b"", lambda _: b"<a/>", lambda xml: xml.replace(b"1", b"x")],
)
def test_a_broken_workbook_is_told(part: str, change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ExportError):
        read(changed(workbook([["Time", "Temp"], *ROWS]), part, change))


def test_a_preamble_with_moments_above_the_times() -> None:
    above = [
        ["Report"],
        ["Start", ROWS[0][0]],
        ["End", ROWS[-1][0]],
        ["Logging interval", "15 min"],
        ["No", "Time", "Temp (°C)"],
    ]
    export = read(workbook([*above, *([at, *row] for at, row in enumerate(ROWS, 1))]))
    is_the_series(export)
    assert ([column.name for column in export.columns], export.interval_ms) == (["Temp (°C)"], 900_000)


def test_a_first_row_without_a_reading_is_a_row() -> None:
    export = read(b"time,temp\n2026-03-01 08:00,\n2026-03-01 08:15,5\n2026-03-01 08:30,5\n")
    assert np.isnan(export.columns[0].value_c).tolist() == [True, False, False]


def test_a_workbook_with_times_as_durations() -> None:
    rows = [
        [at.replace(hour=0, minute=0), timedelta(hours=at.hour, minutes=at.minute), value]
        for at, value in ROWS
    ]
    is_the_series(read(workbook([["Date", "Time", "Temp"], *rows])))


def test_rows_of_another_kind_are_no_missing_readings() -> None:
    rows = [f"{at:%Y-%m-%d %H:%M},{value}," for at, value in ROWS]
    pressed = f"{ROWS[50][0] + timedelta(minutes=4):%Y-%m-%d %H:%M},,Logged"
    export = read("\n".join(["time,temp,Button", *rows[:51], pressed, *rows[51:]]).encode())
    time_ms, value_c = export.columns[0].series(export.line)
    assert (set(np.diff(time_ms).tolist()), value_c.tolist()) == ({900_000}, VALUES)


def test_a_row_without_its_reading_is_one_that_is_missing() -> None:
    rows = [f"{at:%Y-%m-%d %H:%M},{'' if place == 50 else value}" for place, (at, value) in enumerate(ROWS)]
    export = read("\n".join(["time,temp", *rows]).encode())
    assert np.flatnonzero(np.isnan(export.columns[0].series(export.line)[1])).tolist() == [50]


def test_columns_with_rows_of_their_own() -> None:
    rows = [
        f"{at:%Y-%m-%d %H:%M},{value},\n{at + timedelta(minutes=3):%Y-%m-%d %H:%M},,{value}"
        for at, value in ROWS
    ]
    export = read("\n".join(["time,left,right", *rows]).encode())
    for column in export.columns:
        assert column.series(export.line)[1].tolist() == VALUES


def test_several_columns_keep_their_names_and_their_faults() -> None:
    export = read(
        text(
            "Time;Probe A;Probe B\n",
            lambda at, moment, value: f"{moment:%d.%m.%Y %H:%M};{value};{'###' if 40 < at < 60 else '1,5'}",
        ).encode()
    )
    first, second = export.columns
    assert (first.name, second.name) == ("Probe A", "Probe B")
    assert dict(second.faults) == {"###": 19}
    assert np.flatnonzero(np.isnan(second.value_c)).tolist() == list(range(41, 60))


def test_a_row_per_reading() -> None:
    body = "".join(f"{at.isoformat()},{name},{value}\n" for at, value in ROWS for name in ("left", "right"))
    export = read(f"time,sensor,value\n{body}".encode())
    assert [column.name for column in export.columns] == ["left", "right"]
    is_the_series(export, 0)
    is_the_series(export, 1)


def test_probes_that_measure_at_moments_of_their_own() -> None:
    body = "".join(
        f"甲,1,{at:%Y-%m-%d %H:%M},{value}\n甲,2,{at + timedelta(minutes=3):%Y-%m-%d %H:%M},{value}\n"
        for at, value in ROWS
    )
    export = read(f"设备名称,通道,采集时间,温度\n{body}".encode())
    assert [column.name for column in export.columns] == ["1", "2"]
    for column in export.columns:
        time_ms, value_c = column.series(export.line)
        assert set(np.diff(time_ms).tolist()) == {900_000}
        assert value_c.tolist() == VALUES


def test_probes_one_below_the_other_are_no_hour_that_comes_twice() -> None:
    body = "".join(
        f"{name},2026-03-01 02:{minute},{name}\n" for name in "56" for minute in ("00", "15", "30", "45")
    )
    export = read(f"sensor,time,temp\n{body}".encode())
    assert [column.value_c.tolist() for column in export.columns] == [[5.0] * 4, [6.0] * 4]


TAKEN = {
    "a serial number like seconds since 1970": ("Serial,Time,Temp (°C)", lambda at, when, value: f"1001234567,{when},{value}"),
    "a day of calibration": ("calibrated,time,temp", lambda at, when, value: f"2025-01-01 00:00,{when},{value}"),
    "numbers of rows under a name": ("Lab Fridge,Time,Celsius(°C)", lambda at, when, value: f"{at + 1},{when},{value}"),
    "elapsed time": ("Elapsed,Date,Time,Temp", lambda at, when, value: f"{at // 4:02}:{at % 4 * 15:02}:00,{when.replace(' ', ',')},{value}"),
    "at a door": ("采集时间,冷库门口温度,湿度", lambda at, when, value: f"{when},{value},50"),
    "beside a door": ("time,Temp door side,Door", lambda at, when, value: f"{when},{value},1"),
    "humidity in German": ("Zeit,Kanal A,Luftfeuchtigkeit", lambda at, when, value: f"{when},{value},50"),
    "humidity and temperature of one device": ("time,温湿度计-温度,温湿度计-湿度", lambda at, when, value: f"{when},{value},50"),
    "process and set value": ("time,PV,SV", lambda at, when, value: f"{when},{value},4"),
    "quality": ("time,value,quality", lambda at, when, value: f"{when},{value},192"),
    "state": ("entity_id,state,last_changed", lambda at, when, value: f"sensor.fridge,{value},{when}"),
    "a device's number": ("time,device_id,value", lambda at, when, value: f"{when},77,{value}"),
    "under a word for a source": ("time,probe", lambda at, when, value: f"{when},{value}"),
    "Kelvin": ("time,temp (K)", lambda at, when, value: f"{when},{value + 273.15}"),
    "state of a temperature": ("time,temp,temp status", lambda at, when, value: f"{when},{value},0"),
}  # fmt: skip


@pytest.mark.parametrize("form", TAKEN)
def test_the_column_that_is_one_of_temperatures(form: str) -> None:
    heading, row = TAKEN[form]
    export = read(
        text(f"{heading}\n", lambda at, moment, value: row(at, f"{moment:%Y-%m-%d %H:%M}", value)).encode()
    )
    assert len(export.columns) == 1
    is_the_series(export)


@pytest.mark.parametrize("digits", [10, 13, 16, 19])
def test_time_since_1970(digits: int) -> None:
    def since(moment: datetime) -> int:
        return int((moment - datetime(1970, 1, 1)).total_seconds()) * 10 ** (digits - 10)

    is_the_series(read(text("ts,temp\n", lambda _, at, value: f"{since(at)},{value}").encode()))
    is_the_series(read(text("ts,temp\n", lambda _, at, value: f"{since(at)}.0,{value}").encode()))


def test_no_name_stands_for_two_columns() -> None:
    export = read(text("time,T,T,T (2)\n", lambda _, at, value: f"{at.isoformat()},1,2,{value}").encode())
    assert [column.name for column in export.columns] == ["T", "T (3)", "T (2)"]


def test_a_probe_without_a_single_reading_is_named() -> None:
    export = read(
        text("time,Fridge 1,Fridge 2\n", lambda _, at, value: f"{at.isoformat()},{value},").encode()
    )
    assert export.notes == ("without a single reading, and passed over: Fridge 2",)


@pytest.mark.parametrize(
    ("said", "interval_ms"),
    [
        ("Upload interval,60 min\nLog interval,15 min", 900_000),
        ("Report period,3 days 6 hours", None),
        ("Refrigerated goods,5 h", None),
        ("Interval,6 h", None),
    ],
)
def test_how_often_it_measured(said: str, interval_ms: int | None) -> None:
    export = read(f"{said}\n".encode() + FORMS["ISO"].encode())
    assert export.interval_ms == interval_ms
    assert bool(export.notes) == (said == "Interval,6 h")


def test_a_digital_probe_that_was_unplugged() -> None:
    def values(*written: str) -> list[float]:
        rows = "".join(f"2026-03-01 08:0{at},{value}\n" for at, value in enumerate(written))
        return read(f"time,temp\n{rows}".encode()).columns[0].value_c.tolist()

    assert np.isnan(values("5", "-127", "5")).tolist() == [False, True, False]
    assert values("-127", "-127", "-128") == [-127, -127, -128]


@pytest.mark.parametrize("code", ["9999", "-999.9", "32767"])
def test_the_code_of_a_fault_is_no_temperature(code: str) -> None:
    export = read(
        f"time,temperature\n2026-03-01 08:00,5\n2026-03-01 08:15,{code}\n2026-03-01 08:30,5\n".encode()
    )
    assert np.isnan(export.columns[0].value_c).tolist() == [False, True, False]
    assert sum(export.columns[0].faults.values()) == 1


# --- clocks --------------------------------------------------------------------------------------------------------


AUTUMN = [*(f"25.10.2020 0{hour}:{minute:02}" for hour in (1, 2) for minute in (0, 15, 30, 45)),
          *(f"25.10.2020 0{hour}:{minute:02}" for hour in (2, 3) for minute in (0, 15, 30, 45))]  # fmt: skip
HOURLY = ["25.10.2020 01:00", "25.10.2020 02:00", "25.10.2020 02:00", "25.10.2020 03:00", "25.10.2020 04:00"]


def as_rows(moments: Sequence[str]) -> bytes:
    return ("Datum;T [°C]\n" + "".join(f"{moment};{at},5\n" for at, moment in enumerate(moments))).encode()


@pytest.mark.parametrize(
    "moments",
    [AUTUMN, AUTUMN[::-1], sorted(AUTUMN), HOURLY],
    ids=["as it went", "newest first", "sorted", "hourly"],
)
def test_a_local_hour_that_comes_twice_is_two_hours(moments: list[str]) -> None:
    export = read(as_rows(moments))
    assert np.isfinite(export.columns[0].value_c).all()
    assert set(np.diff(export.line.time_ms).tolist()) == {900_000 if len(moments) > 5 else 3_600_000}
    assert export.line.time_ms.size == len(moments)
    assert "comes twice" in " ".join(export.notes)


def test_with_a_zone_both_hours_have_their_offset() -> None:
    from zoneinfo import ZoneInfo

    line = read(as_rows(AUTUMN), Asked(zone=ZoneInfo("Europe/Berlin"))).line
    assert set(np.diff(line.time_ms).tolist()) == {900_000}
    assert (line.written(4), line.written(8)) == ("2020-10-25T02:00:00+02:00", "2020-10-25T02:00:00+01:00")


SPRING = [
    *(f"29.03.2020 01:{minute:02}" for minute in (0, 15, 30, 45)),
    *(f"29.03.2020 03:{minute:02}" for minute in (0, 15)),
]


def test_an_hour_left_out_in_spring_is_none_where_a_zone_says_so() -> None:
    from zoneinfo import ZoneInfo

    assert np.diff(read(as_rows(SPRING)).line.time_ms).max() == 4_500_000, "nobody says that a clock was set"
    line = read(as_rows(SPRING), Asked(zone=ZoneInfo("Europe/Berlin"))).line
    assert set(np.diff(line.time_ms).tolist()) == {900_000}


def test_an_hour_left_out_in_spring_is_none_where_the_clock_was_set_back_in_autumn() -> None:
    def hours(first: datetime, count: int) -> list[str]:
        return [f"{first + timedelta(hours=at):%d.%m.%Y %H:%M}" for at in range(count)]

    # 29 March to 25 October, every hour.
    moments = [
        *hours(datetime(2020, 3, 29), 2),
        *hours(datetime(2020, 3, 29, 3), 24 * 210),
        *hours(datetime(2020, 10, 25, 2), 3),
    ]
    assert moments[-4:-2] == ["25.10.2020 02:00", "25.10.2020 02:00"]
    assert set(np.diff(read(as_rows(moments)).line.time_ms).tolist()) == {3_600_000}


def test_a_row_that_stands_twice_by_day_is_no_hour_that_comes_twice() -> None:
    moments = [f"18.06.2026 {hour:02}:00" for hour in (11, 12, 13, 14, 14, 15, 16)]
    rows = "".join(f"{moment};5,5\n" for moment in moments)
    export = read(f"Datum;T [°C]\n{rows}".encode())
    assert (export.line.time_ms.size, export.line.written(-1), export.notes) == (6, "2026-06-18T16:00:00", ())


def test_where_a_zone_has_no_hour_twice_rows_that_go_back_are_sorted() -> None:
    from zoneinfo import ZoneInfo

    moments = [f"18.06.2026 {hour:02}:{minute:02}" for hour in (10, 11, 11, 12) for minute in (0, 15, 30, 45)]
    export = read(as_rows(moments), Asked(zone=ZoneInfo("Asia/Shanghai")))
    assert set(np.diff(export.line.time_ms).tolist()) == {900_000}
    assert np.isnan(export.columns[0].value_c).tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert "4 moments have two readings that differ: taken as unknown" in export.notes


def test_two_readings_of_one_moment_that_differ_are_none() -> None:
    export = read(
        b"time,temperature\n2026-03-01 08:00,5\n2026-03-01 08:15,5\n2026-03-01 08:15,9\n2026-03-01 08:30,5\n"
    )
    assert np.isnan(export.columns[0].value_c).tolist() == [False, True, False]
    assert export.notes == ("1 moments have two readings that differ: taken as unknown",)


def test_a_date_that_could_be_two_is_said() -> None:
    export = read(b"Date,Time,Temp\n05/04/2026,08:00,5\n05/04/2026,08:15,5\n")
    assert export.line.written(0) == "2026-04-05T08:00:00"
    assert "--date-order" in export.notes[0]
    assert (
        read(b"Date,Temp\n05/04/2026 08:00,5\n05/04/2026 08:15,5\n", Asked(date_order="mdy")).line.written(0)
        == "2026-05-04T08:00:00"
    )


def test_years_of_two_digits() -> None:
    def first(date: str, order: DateOrder | None = None) -> tuple[str, str]:
        export = read(f"time,temp\n{date} 08:00,5\n{date} 08:15,5\n".encode(), Asked(date_order=order))
        return export.line.written(0)[:10], " ".join(export.notes)

    assert first("26-03-01")[0] == "2026-03-01"
    assert "year/month/day" in first("26-03-01")[1]
    assert first("25-10-26")[0] == "2026-10-25"
    assert first("25-10-26", "ymd") == ("2025-10-26", "")
    assert first("05/05/2026") == ("2026-05-05", "")


def test_offsets_of_some_times_alone_are_asked_about() -> None:
    with pytest.raises(ExportError, match="others none"):
        read(b"time,temp\n2026-03-01 08:00+01:00,5\n2026-03-01 08:15+02:00,5\n2026-03-01 08:30,5\n")


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"lorem ipsum\ndolor sit\n", "no row holds a time and a reading"),
        (b"time,temperature\n", "no row holds a time and a reading"),
        (b"time,humidity (%RH)\n2026-03-01 08:00,50\n2026-03-01 08:15,51\n", "no column holds temperatures"),
        (b"time,average temp\n2026-03-01 08:00,50\n2026-03-01 08:15,51\n", "--column takes .* average temp"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "save it as .xlsx"),
        (b"%PDF-1.4", "this is a PDF"),
        (b"PK\x03\x04 broken", "cannot be read"),
        (b"\x00\x01\x02\x00", "is no text"),
        (b"time,t (C)\n2026-03-01 08:00,5 C\n2026-03-01 08:15,41 F\n", "in °C and in °F"),
        (b'time,temp\n2026-03-01 08:00,5\n2026-03-01 08:15,"9\n2026-03-01 08:30,9\n2026-03-01 08:45,9\n', "line 3: a quotation mark"),
        (b"time,temp\n2026-03-01 08:00,5,2\n2026-03-01 08:15,5,3\n", "decimal commas"),
        (b"Device: Q-tag Fridge-tag 2\nConf:\n Serial: 1\nHist:\n 1:\n  Date: 2023-02-14\n", "daily statistics"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_what_to_do(data: bytes, named: str) -> None:
    with pytest.raises(ExportError, match=named):
        read(data)


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ExportError, match="'Probe A'"):
        read(b"time,Probe A\n2026-03-01 08:00,5\n2026-03-01 08:15,6\n", Asked(columns=("Probe B",)))


# --- real exports ----------------------------------------------------------------------------------------------------


def test_a_q_tag() -> None:
    export = read(next(vector_path("coldchain/qtag").glob("*.txt")).read_bytes())
    assert (export.form, export.serial, export.interval_ms, export.activation_energy_kj_per_mol) == (
        "berlinger",
        "RCPJ00010",
        600_000,
        83.0,
    )
    assert export.line.time_ms.size == 124
    assert [(own.name, own.side, own.mode, own.limit_c, own.minutes) for own in export.own_limits] == [
        ("alarm-1", "above", "consecutive", 8.0, 30),
        ("alarm-2", "above", "cumulative", 8.0, 60),
        ("alarm-4", "below", "cumulative", 2.0, 60),
        ("alarm-5", "below", "consecutive", 2.0, 30),
    ]
    count_vectors(124)


def test_a_tag_in_fahrenheit_has_its_alarms_in_fahrenheit() -> None:
    export = read(
        b"Device: Q-tag Fridge-tag 2\r\nConf:\r\n Serial: 1\r\n Temp unit: F\r\n"
        b" Alarm:\r\n  0:\r\n   T AL: +35.6, t AL: 60\r\n  1:\r\n   T AL: +46.4, t AL: 600\r\n"
        b"Data:\r\n\tyyyy-MM-dd hh:mm\tT\tOut of limits\r\n\t2023-02-14 05:00\t41.0\r\n\t2023-02-14 05:05\t50.0\tx\r\n"
    )
    assert [(own.side, own.limit_c, own.minutes) for own in export.own_limits] == [
        ("below", 2.0, 60),
        ("above", 8.0, 600),
    ]
    assert export.columns[0].value_c.tolist() == [5.0, 10.0]


def test_a_fridge_tag_has_rows_without_a_reading() -> None:
    export = read(next(vector_path("coldchain/fridgetag").glob("*.txt")).read_bytes())
    missing = [export.line.written(at) for at in np.flatnonzero(np.isnan(export.columns[0].value_c)).tolist()]
    assert missing == [
        *("2023-04-17T16:06:00", "2023-04-17T16:11:00", "2023-04-17T16:16:00"),
        *("2023-04-20T13:56:00", "2023-04-20T14:01:00", "2023-04-20T14:06:00"),
    ]
    assert (export.columns[0].unit, export.interval_ms, dict(export.columns[0].faults)) == (
        "C",
        300_000,
        {"--.-": 6},
    )
    count_vectors(6)
