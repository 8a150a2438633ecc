"""`suyuan import`: the examples of docs/registry.md as they stand there, what is refused, and that it is all or nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import psycopg
import pytest

from ingest.registry import load, parse_registry
from ingest.registry.sheets import KINDS, Report, import_tables, read_tables
from tests.acceptance.instance import Instance
from tests.documents import DOCS, fences
from tests.integration.running import suyuan
from tests.servers.databases import Database

NOW = datetime(2026, 6, 20, 4, 0, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
STORE, TRAILER, UNIT = (
    "https://id.gs1.org/414/9521234002048", "https://id.gs1.org/8004/95212340REEFER07", "https://id.gs1.org/00/095212340000000105",
)  # fmt: skip
EXAMPLES = {
    str(fence.words[1]): fence.text
    for fence in fences(DOCS / "registry.md")
    if fence.words[:1] == ("import",)
}


def workbook(sheets: dict[str, str]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, text in sheets.items():
        sheet = book.create_sheet(name)
        for line in text.splitlines():
            sheet.append([cell or None for cell in line.split(",")])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def taken(
    database: Database, *files: tuple[str, bytes], partial: bool = False, kind: str | None = None
) -> Report:
    """As the command does it, as ingest's role."""
    with psycopg.connect(database.service("ingest")) as conn:
        tables = [table for name, data in files for table in read_tables(name, data)]
        report = import_tables(conn, tables, SHANGHAI, NOW, kind=kind)
        if not (report.good or partial):
            conn.rollback()
    return report


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.owner) as conn:
        return conn.execute(query.encode()).fetchall()


def everything(database: Database) -> list[Any]:
    return [
        rows(database, f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY 1")
        for table in (
            "organisation",
            "place",
            "device",
            "series",
            "calibration",
            "event",
            "event_bytes",
            "pending",
        )
    ]


def by_kind(names: Sequence[str] = tuple(EXAMPLES)) -> list[tuple[str, bytes]]:
    return [(f"{name}.csv", EXAMPLES[name].encode("gb18030")) for name in names]


def test_the_examples_are_one_of_each_kind() -> None:
    assert list(EXAMPLES) == [kind.name for kind in KINDS]


def test_the_tables_of_the_document_are_the_columns() -> None:
    text = (DOCS / "registry.md").read_text(encoding="utf-8")
    parts = text.split("\n## ")[1:]
    for kind, part in zip(KINDS, parts, strict=True):
        assert part.lower().startswith(kind.name)
        said = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (needed)?", part, re.MULTILINE)
        assert said == [
            (each.field, each.chinese, "needed" if each.required else "") for each in kind.columns
        ]


def test_the_examples_are_registered_and_placed(database: Database, tmp_path: Path) -> None:
    report = taken(database, *reversed(by_kind()))
    assert (report.faults, report.rows, report.taken, report.known) == ((), 15, 15, 0)
    assert rows(database, "SELECT id, kind, region FROM organisation ORDER BY id") == [
        ("carrier-1", "carrier", "330110"), ("xj-coop", "packer", "331024"),
    ]  # fmt: skip
    assert dict(rows(database, "SELECT id, parent FROM place")) == {
        STORE: None, f"{STORE}/254/A1": STORE, TRAILER: None, f"{TRAILER}.REAR": TRAILER
    }  # fmt: skip
    assert rows(
        database,
        "SELECT external_id, giai, independent FROM device WHERE organisation = 'xj-coop' ORDER BY id",
    ) == [
        ("logger-1", "urn:suyuan:device:suyuan:logger-1", True),
        ("logger-2", "urn:suyuan:device:suyuan:logger-2", True),
        ("a84041000181c061", "urn:suyuan:device:lorawan:a84041000181c061", None),
    ]
    assert rows(
        database, "SELECT channel, unit, original_unit, minimum FROM series WHERE original_unit IS NOT NULL"
    ) == [("pulp", "Cel", "degF", -40)]
    assert rows(database, "SELECT certificate, calibrated_on::text FROM calibration") == [
        ("JZ-2026-0117", "2026-03-02")
    ]
    instance = Instance(database, tmp_path)
    instance.settle(NOW)
    placed = rows(
        database,
        "SELECT external_id, channel, parent, probe_position, lower(valid)::text, upper(valid)::text, conflict FROM placement"
        " JOIN series ON series.id = series_id JOIN device ON device.id = device_id ORDER BY series_id",
    )
    day = "2026-06-19 00:00:00+00", "2026-06-19 09:30:00+00"
    assert placed == [
        ("logger-1", "pulp", UNIT, "pulp", *day, False),
        ("logger-2", "pulp", UNIT, "in_box", *day, False),
        (
            "a84041000181c061",
            "temperature",
            f"{STORE}/254/A1",
            "ambient",
            "2026-06-01 01:00:00+00",
            None,
            False,
        ),
        ("truck-1", "return_air", TRAILER, "return_air", "2026-06-01 01:00:00+00", None, False),
    ]


def test_the_same_again_changes_nothing_in_any_form(database: Database) -> None:
    taken(database, *by_kind())
    before = everything(database)
    sheets = dict(zip(("组织", "场所", "设备", "安装"), EXAMPLES.values(), strict=True))
    again = taken(database, ("shipment.xlsx", workbook({"说明": "请先阅读"} | sheets)))
    assert (again.faults, again.taken, again.known) == ((), 15, 4)
    assert again.passed_over == ("shipment.xlsx/说明",)
    assert everything(database) == before


def test_an_empty_cell_leaves_what_is_registered(database: Database) -> None:
    taken(database, *by_kind())
    less = "场所标识,所属组织,类型,名称\n9521234002048,xj-coop,冷库,大冷库\n"
    fewer = "设备编号,所属组织,型号,间隔,通道,测量量,单位\nlogger-1,xj-coop,L2,300,pulp,温度,℉\n"
    assert taken(database, ("places.csv", less.encode()), ("devices.csv", fewer.encode())).good
    assert rows(database, f"SELECT name_zh, name_en, region, latitude FROM place WHERE id = '{STORE}'") == [
        ("大冷库", "一号冷库", "331024", 28.85)
    ]
    assert rows(database, "SELECT model, independent FROM device WHERE external_id = 'logger-1'") == [
        ("L2", True)
    ]
    assert rows(
        database,
        "SELECT minimum, maximum FROM series JOIN device ON device.id = device_id WHERE original_unit = 'degF'",
    ) == [(-40, 80)]


BAD = {
    "organisations": """
组织编号,名称,主体标识,类型
ok-1,好,9521234002017,合作社
BAD ID,坏,9521234002024,合作社
b,坏,9521234002048,卖家
c,重复,9521234002000,合作社
ok-1,又一,9521234002031,合作社
""",
    "places": f"""
场所标识,所属组织,类型,名称,上级场所,纬度
9521234002055,nobody,冷库,甲,,
9521234002049,xj-coop,冷库,乙,,
9521234002062,xj-coop,冷库,丙,{STORE}/254/X,
9521234002048,carrier-1,冷库,抢来,,
9521234002079,xj-coop,冷库,好,,
9521234002079,xj-coop,冷库,又一,,
9521234002086,xj-coop,冷库,半个,,28.85
""",
    "devices": """
设备编号,所属组织,型号,间隔,通道,测量量,单位
logger-9,xj-coop,L1,60,t,温度,%RH
logger-1,carrier-1,L1,300,pulp,温度,℉
logger-8,xj-coop,L1,60,t,温度,℃
""",
    "placements": """
设备编号,通道,安装位置,安装时间,取下时间
none,,9521234002048,2026-06-19 08:00,
logger-1,nose,9521234002048,2026-06-19 08:00,
logger-1,pulp,9521234002086,2026-06-19 08:00,
logger-1,pulp,浙J12345,2026-06-19 08:00,
logger-1,pulp,9521234002048,2026-06-19 08:00,2026-06-19 07:00
logger-1,pulp,9521234002048,1999-06-19 08:00,
logger-1,pulp,9521234002048,soon,
logger-1,pulp,9521234002048,2026-06-19 18:00,
""",
}
SAID = {
    "organisations": [(3, "组织编号"), (4, "类型"), (5, ""), (6, "组织编号")],
    "places": [(2, "所属组织"), (3, "场所标识"), (4, ""), (5, "所属组织"), (7, "场所标识"), (8, "")],
    "devices": [(2, ""), (3, "所属组织")],
    "placements": [
        (2, "设备编号"),
        (3, "通道"),
        (4, "安装位置"),
        (5, "安装位置"),
        (6, ""),
        (7, ""),
        (8, "安装时间"),
    ],
}


def test_every_bad_row_is_named_and_nothing_is_written(database: Database) -> None:
    taken(database, *by_kind())
    before = everything(database)
    files = [(f"{name}.csv", text.lstrip().encode()) for name, text in BAD.items()]
    report = taken(database, *files)
    for name, said in SAID.items():
        found = [(fault.row, fault.column) for fault in report.faults if fault.table == f"{name}.csv"]
        assert found == said, [str(fault) for fault in report.faults]
    assert all(len(fault.detail) > 15 for fault in report.faults)
    assert [fault.value for fault in report.faults if fault.table == "placements.csv" and fault.column] == [
        "none", "nose", "9521234002086", "浙J12345", "soon"
    ]  # fmt: skip
    assert everything(database) == before
    partial = taken(database, *files, partial=True)
    assert partial.faults == report.faults and partial.taken == report.taken == 4
    assert rows(database, "SELECT count(*) FROM organisation WHERE id = 'ok-1'") == [(1,)]
    assert rows(database, "SELECT count(*) FROM device WHERE external_id = 'logger-8'") == [(1,)]
    assert rows(database, "SELECT count(*) FROM event") == [(7,)]


def test_a_part_may_stand_before_its_whole(database: Database) -> None:
    taken(database, *by_kind(("organisations",)))
    heading, *lines = EXAMPLES["places"].splitlines()
    assert taken(database, ("places.csv", "\n".join([heading, *reversed(lines)]).encode())).good
    assert rows(database, "SELECT count(*), count(parent) FROM place") == [(4, 2)]


def test_a_plate_names_the_vehicle_that_it_was_bound_to(database: Database) -> None:
    taken(database, *by_kind(("organisations", "places", "devices")))
    bound = {"scheme": "plate", "value": "浙J·12345", "entity": TRAILER, "organisation": "carrier-1"}
    with psycopg.connect(database.service("ingest")) as conn:
        load(conn, parse_registry(str({"aliases": [bound]}).replace("'", '"')))
    with psycopg.connect(database.owner) as conn:
        conn.execute("ALTER TABLE identifier_alias DISABLE TRIGGER USER")
        conn.execute("UPDATE identifier_alias SET valid = tstzrange('2026-01-01', NULL)")
    text = "device,parent,compartment,installed_at\ntruck-1,浙J12345,REAR,2026-06-19 08:00\n"
    assert taken(database, ("p.csv", text.encode())).good
    assert rows(database, "SELECT convert_from(bytes, 'UTF8')::jsonb ->> 'parentID' FROM event_bytes") == [
        (f"{TRAILER}.REAR",)
    ]


def test_the_same_installation_with_another_position_is_refused(database: Database) -> None:
    taken(database, *by_kind())
    other = EXAMPLES["placements"].replace("果心", "表面")
    report = taken(database, ("placements.csv", other.encode()))
    assert [fault.row for fault in report.faults] == [2] and "another probe position" in report.faults[
        0
    ].detail


def test_progress_ends_with_the_last_row(database: Database) -> None:
    seen: list[tuple[int, int]] = []
    many = (
        "组织编号,名称,主体标识,类型\n"
        + "".join(f"o-{n},组织,https://suyuan.example/party/{n},grower\n" for n in range(30))
        + "o-x,,x,x\n"
    )
    with psycopg.connect(database.service("ingest")) as conn:
        import_tables(
            conn,
            read_tables("o.csv", many.encode()),
            SHANGHAI,
            NOW,
            progress=lambda done, of: seen.append((done, of)),
        )
        conn.rollback()
    assert seen[0] == (1, 31) and seen[-1] == (31, 31) and len(seen) == 31


@pytest.mark.editions("plain")
def test_the_command(database: Database, tmp_path: Path) -> None:
    def imported(*arguments: str) -> tuple[int, str, str]:
        done = suyuan({"SUYUAN_DATABASE_URL": database.service("ingest")}, "import", *arguments)
        return done.returncode, done.stdout, done.stderr

    for name, data in by_kind():
        (tmp_path / name).write_bytes(data)
    files = [str(tmp_path / name) for name, _ in by_kind()]
    code, out, _ = imported("--dry-run", *files)
    assert (
        code == 0
        and "tried: 15 of 15 rows are good; nothing was written" in out
        and "devices.csv was read as GB18030" in out
    )
    assert rows(database, "SELECT count(*) FROM organisation") == [(0,)]
    code, out, _ = imported(*files)
    assert code == 0 and out.endswith("imported 15 of 15 rows\n")
    (tmp_path / "bad.csv").write_text(BAD["devices"].lstrip(), encoding="utf-8")
    code, out, err = imported(str(tmp_path / "bad.csv"))
    assert code == 1 and "nothing was written: 2 of 3 rows are bad" in out
    assert "bad.csv, row 3, 所属组织: device logger-1 belongs to xj-coop" in err
    code, out, _ = imported("--partial", str(tmp_path / "bad.csv"))
    assert code == 1 and "imported 1 of 3 rows" in out
    (tmp_path / "odd.csv").write_text("color\nred\n", encoding="utf-8")
    assert imported(str(tmp_path / "odd.csv"))[0] == 2
    code, out, _ = imported("--template", "devices", "--language", "en")
    assert code == 0 and out.startswith("\ufeffdevice,scheme,organisation")
    assert imported()[0] == 2
