"""Sheets as people keep them: read in any usual encoding, refused cell by cell, never repaired."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.registry.sheets import KINDS, Kind, SheetError, read_tables, template
from ingest.registry.sheets.columns import kind_of
from ingest.registry.sheets.items import items_of
from ingest.registry.sheets.reading import day, moment, number, one_of, time_zone, truth, unit, uri, whole
from ingest.registry.sheets.table import MAX_BYTES, MAX_CELL, Table

SHANGHAI = ZoneInfo("Asia/Shanghai")
PLACES = "场所标识,所属组织,类型,名称\r\n9521234002048,xj-coop,冷库,一号冷库\r\n"


def workbook(**sheets: list[list[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def kind(name: str) -> Kind:
    return next(each for each in KINDS if each.name == name)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PLACES.encode(), "UTF-8"),
        (PLACES.encode("utf-8-sig"), "UTF-8"),
        (PLACES.encode("gbk"), "GB18030"),
        (PLACES.encode("utf-16"), "UTF-16"),
        (PLACES.replace(",", "\t").encode("gb18030"), "GB18030"),
        (PLACES.replace(",", ";").replace("\r\n", "\n").encode(), "UTF-8"),
        (("\r\n\r\n" + PLACES + ",,,\r\n\r\n").encode(), "UTF-8"),
    ],
)
def test_a_csv_is_read_as_it_was_saved(data: bytes, encoding: str) -> None:
    (table,) = read_tables("places.csv", data)
    assert table.encoding == encoding and not table.faults
    assert table.header == ("场所标识", "所属组织", "类型", "名称")
    assert [row.cells for row in table.rows] == [("9521234002048", "xj-coop", "冷库", "一号冷库")]


def test_rows_are_numbered_as_the_spreadsheet_numbers_them() -> None:
    (table,) = read_tables("x.csv", b'a,b\n1,"two\nlines"\n\n3,4\n')
    assert [(fault.row, fault.column) for fault in table.faults] == [(2, "b")], "a line break inside a cell"
    assert [row.number for row in table.rows] == [5]
    (sheet,) = read_tables("x.xlsx", workbook(x=[["a"], [], ["1"], ["2"]]))
    assert [row.number for row in sheet.rows] == [3, 4]


def test_a_workbook_is_a_table_per_sheet_with_numbers_and_dates_as_text() -> None:
    moment_of = datetime(2026, 6, 19, 8, 0)
    data = workbook(
        设备=[["设备编号", "间隔"], [352093081452251, 300.0], ["a", 0.5]],
        空=[],
        安装=[["安装时间", "x"], [moment_of, True], [date(2026, 6, 19), None]],
    )
    devices, placements = read_tables("book.xlsx", data)
    assert (devices.name, placements.name) == ("book.xlsx/设备", "book.xlsx/安装")
    assert [row.cells for row in devices.rows] == [("352093081452251", "300"), ("a", "0.5")]
    assert [row.cells for row in placements.rows] == [
        ("2026-06-19T08:00:00", "true"),
        ("2026-06-19T00:00:00", ""),
    ]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("=HYPERLINK(0)", "begins as a formula"),
        ("@SUM(1)", "begins as a formula"),
        ("+cmd|' /C calc'!A0", "begins as a formula"),
        ("-2+3+cmd", "want a number"),
        ("a\x07b", "cannot be seen (U+0007)"),
        ("a\u202eb", "cannot be seen (U+202E)"),
        ("a\u200bb", "cannot be seen (U+200B)"),
        ("3.52093E+14", "was rounded"),
        ("x" * (MAX_CELL + 1), "at most 500"),
    ],
)
def test_hostile_cells_are_refused_in_either_form(cell: str, said: str) -> None:
    header = ["场所标识", "所属组织", "类型", "名称", "纬度"]
    row = ["9521234002048", "xj-coop", "冷库", "一号", cell]
    quoted = ",".join(header) + "\n" + ",".join(row[:4]) + ',"' + cell + '"\n'
    forms = [quoted.encode()]
    if "\x07" not in cell and not cell.startswith("="):
        forms.append(workbook(场所=[header, row]))
    for form in forms:
        (table,) = read_tables("places", form)
        items, faults = items_of(table, kind("places"))
        assert items == [] and len(faults) == 1
        assert (faults[0].row, faults[0].column) == (2, "纬度") and said in faults[0].detail


def test_a_formula_of_a_workbook_is_refused_and_so_is_a_number_it_rounded() -> None:
    (table,) = read_tables(
        "x.xlsx", workbook(x=[["a", "b"], ["=1+1", "x"], ["x", 952123400000000107], ["ok", "ok"]])
    )
    assert [(fault.row, fault.column, fault.detail[:12]) for fault in table.faults] == [
        (2, "a", "is a formula"), (3, "b", "is a number ")
    ]  # fmt: skip
    assert len(table.rows) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no row"),
        (b"\r\n,,\r\n", "holds no row"),
        (b"a,b\n\xff\xff\xff\xff", "neither UTF-8 nor GB18030"),
        (b'a,b\n"open,1\n', "quotation mark"),
        (b"PK\x03\x04nonsense", "cannot be read as an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "old Excel file"),
        (b"=1+1,b\n1,2\n", "begins as a formula"),
        (b"a," * 61 + b"a\n", "more than 60 columns"),
        (workbook(x=[["a"] * 61]), "more than 60 columns"),
        (b" " * (MAX_BYTES + 1), "at most"),
    ],
)
def test_a_file_that_is_no_table_says_what_to_do(data: bytes, said: str) -> None:
    with pytest.raises(SheetError, match=said):
        read_tables("x", data)


def test_a_workbook_that_swells_is_not_unpacked() -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("xl/worksheets/sheet1.xml", "w") as sheet,
    ):
        for _ in range(600):
            sheet.write(bytes(2**20))
    with pytest.raises(SheetError, match="unpacked"):
        read_tables("x.xlsx", out.getvalue())


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(str.encode)
    | st.binary(max_size=100).map(b"PK\x03\x04".__add__)
)
def test_any_bytes_give_tables_or_a_sheet_error(data: bytes) -> None:
    try:
        tables = read_tables("x", data)
    except SheetError:
        return
    for table in tables:
        assert all(len(row.cells) == len(table.header) for row in table.rows)


@pytest.mark.parametrize("name", [each.name for each in KINDS])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_template_is_a_sheet_of_its_kind_without_faults(name: str, language: str) -> None:
    (table,) = read_tables(f"{name}.csv", ("\ufeff" + template(name, language)).encode())
    found = kind_of(table)
    assert found is not None and found.name == name
    items, faults = items_of(table, found)
    assert len(items) == 1 and faults == []


def test_headings_are_known_in_either_language_and_with_what_people_add() -> None:
    for header in (
        ("设备编号*", "所属组织", "型号", "测量间隔（秒）"),
        ("Device_ID", "ORGANISATION", " model", "interval s"),
        ("device", "组织编号", "型号(model)", "间隔"),
    ):
        found = kind_of(Table("x.csv", header, ()))
        assert found is not None and found.name == "devices", header
    assert kind_of(Table("book/说明", ("请先阅读",), ())) is None


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (("设备编号", "所属组织", "型号", "间隔", "颜色"), "'颜色' is none of devices"),
        (("设备编号", "所属组织", "型号"), "lacks 测量间隔"),
        (("设备编号", "device", "所属组织", "型号", "间隔"), "stands twice"),
        (("设备编号", "", "所属组织", "型号", "间隔"), "no heading"),
    ],
)
def test_headings_that_do_not_fit_are_named(header: tuple[str, ...], said: str) -> None:
    with pytest.raises(SheetError, match=said):
        kind_of(Table("book/设备", header, ()))
    with pytest.raises(SheetError, match=said):
        kind_of(Table("x.csv", header, ()), "devices")


def devices(*rows: str) -> tuple[list[tuple[int, ...]], list[tuple[int, str]]]:
    text = (
        "设备编号,所属组织,型号,间隔,通道,测量量,单位,校准证书,校准机构,校准日期,独立于制冷控制\n"
        + "\n".join(rows)
    )
    (table,) = read_tables("devices.csv", text.encode())
    items, faults = items_of(table, kind("devices"))
    return [tuple(row.number for row in item.rows) for item in items], [
        (fault.row, fault.column) for fault in faults
    ]


def test_rows_of_one_device_are_one_item() -> None:
    assert devices(
        "a,o,m,60,t,温度,℃", "b,o,m,60,t,温度,℃", "a,o,m,60,h,湿度,%RH", "a,o,m,60,,,,JZ-1,省院,2026-03-02"
    ) == (
        [(2, 4, 5), (3,)],
        [],
    )


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        (["a,o,m,60,t,温度,℃", "a,o,n,60,h,湿度,%RH"], [(3, "型号")]),
        (["a,o,m,60,t,温度,℃", "a,o,m,60,t,温度,℃"], [(3, "通道")]),
        (["a,o,m,60,t,温度,"], [(2, "单位")]),
        (["a,o,m,60,,温度,℃"], [(2, "通道")]),
        (["a,o,m,60,,,,JZ-1,,"], [(2, "校准机构")]),
        (["A 1,o,m,60"], [(2, "设备编号")]),
        (["a,o,m,sixty"], [(2, "间隔")]),
        (["a,o,m,1.5"], [(2, "间隔")]),
        (["a,o,m,0"], [(2, "间隔")]),
        (["a,Big Co,m,60"], [(2, "所属组织")]),
        (["a,,m,60"], [(2, "所属组织")]),
        (["a,o,m,60,t,温度,℃,,,,也许"], [(2, "独立于制冷控制")]),
    ],
)
def test_each_row_that_cannot_be_meant_is_named(rows: list[str], faults: list[tuple[int, str]]) -> None:
    assert devices(*rows) == ([], faults)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-06-19 08:00", "2026-06-19T08:00:00+08:00"),
        ("2026/6/19 8:05:30", "2026-06-19T08:05:30+08:00"),
        ("2026年6月19日 8时05分", "2026-06-19T08:05:00+08:00"),
        ("２０２６-06-19", "2026-06-19T00:00:00+08:00"),
        ("2026-06-19T00:00:00Z", "2026-06-19T00:00:00+00:00"),
        ("2026-06-19T08:00:00.250+08:00", "2026-06-19T08:00:00+08:00"),
    ],
)
def test_times_in_the_ways_they_are_written(text: str, read: str) -> None:
    assert moment(text, SHANGHAI).isoformat() == read


@pytest.mark.parametrize(
    "text",
    ["", "19.06.2026", "2026-02-30", "2026-06-19 25:00", "45462.33", "tomorrow", "2026-06-19 08:00 CST"],
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="want a time"):
        moment(text, UTC)


def test_cells_in_the_words_of_people() -> None:
    assert (number("３.5"), number("−2"), whole("300"), truth("是"), truth("No")) == (
        3.5,
        -2,
        300,
        True,
        False,
    )
    assert [unit(each) for each in ("℃", "°C", "摄氏度", "℉", "%RH", "毫伏")] == [
        "Cel",
        "Cel",
        "Cel",
        "degF",
        "%RH",
        "mV",
    ]
    assert one_of({"pulp": ("果心",)})("果心") == one_of({"pulp": ()})(" PULP ") == "pulp"
    assert one_of({"pulp": ()}, others=True)("taste") == "taste"
    assert uri("9521234002048") == "https://id.gs1.org/414/9521234002048"
    assert uri("095212340000000105") == "https://id.gs1.org/00/095212340000000105"
    assert day("2026/3/2") == date(2026, 3, 2)
    for read, text in (
        (number, "5 ℃"),
        (number, "nan"),
        (truth, "maybe"),
        (uri, "9521234002049"),
        (uri, "一号冷库"),
        (day, "2026-03-02 08:00"),
    ):
        with pytest.raises(ValueError, match="want"):
            read(text)
    with pytest.raises(ValueError, match="want one of pulp"):
        one_of({"pulp": ("果心",)})("leaf")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (("device", "organisation", "model", "interval_s", "colour"), "column 'colour' is none of devices"),
        (("device", "organisation", "model", "interval_s", "设备编号"), "column '设备编号' stands twice"),
        (("device", "model", "interval_s"), "lacks 所属组织"),
    ],
)
def test_headings_that_nearly_fit_are_held_against_what_they_are_nearest_to(
    header: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SheetError, match=said):
        kind_of(Table("a.csv", header, ()))
    assert kind_of(Table("notes.csv", ("remarks", "by whom", "device"), ())) is None


@pytest.mark.parametrize("text", ["46083", "46192.333333"])
def test_a_count_of_days_is_no_date_and_is_called_what_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="count of days"):
        day(text)
    with pytest.raises(ValueError, match="count of days"):
        moment(text, SHANGHAI)


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc", "/etc/passwd"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        time_zone(name)
