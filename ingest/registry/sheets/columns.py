"""What a sheet of each kind may hold: its columns, their headings in both languages, and how a cell of each is read.

In the line: `table` -> here -> `items`. Contract: a heading is known or the sheet is refused; no column is passed over in
silence. docs/registry.md lists the same.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ingest.registry.quantities import QUANTITIES
from ingest.registry.sheets.reading import (
    Reader,
    code,
    day,
    folded,
    number,
    one_of,
    party,
    plain,
    time_zone,
    truth,
    unit,
    uri,
    whole,
    within,
    written,
)
from ingest.registry.sheets.table import SheetError, Table

ORGANISATION_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "packer": ("合作社", "包装厂"), "grower": ("种植户", "农户"), "carrier": ("承运人", "物流"), "warehouse": ("仓储", "冷库企业"),
    "market": ("批发市场", "市场"), "stall": ("档口", "摊位"), "retailer": ("零售", "门店"),
}  # fmt: skip
PLACE_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "plot": ("地块",), "field": ("田块",), "collection": ("收购点",), "precooling": ("预冷间", "预冷库"), "packhouse": ("包装间", "包装厂"),
    "cold_store": ("冷库",), "gate": ("闸口",), "yard": ("车场",), "dock": ("月台",), "stall": ("档口", "摊位"), "shop": ("门店",),
    "transfer": ("中转站",), "store": ("仓库",), "shelf": ("货架",), "trailer": ("车厢", "挂车"), "truck": ("冷藏车", "卡车"),
    "van": ("厢式货车",), "vehicle": ("车辆",), "compartment": ("舱位", "隔间"),
}  # fmt: skip
QUANTITY_WORDS: Final[Mapping[str, tuple[str, ...]]] = dict.fromkeys(QUANTITIES, ()) | {
    "temperature": ("温度",), "set_point": ("设定温度",), "humidity": ("湿度", "相对湿度"), "co2": ("二氧化碳",), "ethylene": ("乙烯",),
    "oxygen": ("氧气",), "pressure": ("气压", "压力"), "battery_voltage": ("电池电压",), "battery_level": ("电量",), "illuminance": ("光照", "照度"),
    "speed": ("速度",), "boolean": ("开关", "门"), "latitude": ("纬度",), "longitude": ("经度",), "soil_moisture": ("土壤湿度",), "text": ("文字",),
    "data": ("数据",),
}  # fmt: skip
POSITIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "pulp": ("果心", "货芯"), "return_air": ("回风",), "supply_air": ("送风", "出风"), "in_box": ("箱内",), "surface": ("表面",),
    "ambient": ("环境",),
}  # fmt: skip
SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "suyuan": ("本系统",),
    "lorawan": ("DevEUI",),
    "teltonika": ("IMEI",),
    "sparkplug": (),
}


@dataclass(frozen=True, slots=True)
class Column:
    """`field`: its name in the registry document and its English heading. `others`: headings that mean the same."""

    field: str
    chinese: str
    read: Reader
    required: bool = False
    example: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    chinese: str
    columns: tuple[Column, ...]

    def column(self, heading: str) -> Column | None:
        wanted = _heading(heading)
        return next((each for each in self.columns if wanted in _headings(each)), None)


_ID = written(r"[a-z0-9][a-z0-9-]{0,62}", "1 to 63 of a-z, 0-9 and '-', such as xj-coop")
_ORGANISATION = Column("organisation", "所属组织", _ID, True, "xj-coop", ("组织编号",))
_PROFILE = written(
    r"[a-z0-9][a-z0-9._/-]{0,62}", "a name of a-z, 0-9, '.', '_', '/' and '-', such as dragino-lht65"
)
_PART = written(r"[A-Za-z0-9-]{1,20}", "1 to 20 of A-Z, a-z, 0-9 and '-', such as REAR")
_NAMES = (
    Column("name_zh", "名称", plain, True, "仙居杨梅合作社", ("中文名称", "name")),
    Column("name_en", "英文名称", plain, False, "Xianju Bayberry Co-operative"),
)
_REGION_CODE = written(
    r"[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12}",
    "2, 4, 6, 9 or 12 digits of GB/T 2260 or 10114, such as 331024",
)
_REGION = Column("region", "行政区划代码", _REGION_CODE, False, "331024", ("区划代码",))
_DEVICE = (
    Column("device", "设备编号", code, True, "logger-1", ("device_id",)),
    Column("scheme", "编号类型", one_of(SCHEMES, others=True), False, "suyuan"),
)

KINDS: Final[tuple[Kind, ...]] = (
    Kind("organisations", "组织", (
        Column("id", "组织编号", _ID, True, "xj-coop", ("organisation",)),
        *_NAMES,
        Column("party", "主体标识", party, True, "9521234002000", ("pgln",)),
        Column("kind", "类型", one_of(ORGANISATION_KINDS), True, "packer", ("组织类型",)),
        Column("publishes", "向消费者公开", truth, False, "是"),
        _REGION,
        Column("gs1_prefix", "厂商识别代码", written(r"[0-9]{4,12}", "4 to 12 digits"), False, "9521234"),
    )),
    Kind("places", "场所", (
        Column("id", "场所标识", uri, False, "9521234002048", ("gln", "giai", "uri", "place")),
        _ORGANISATION,
        Column("kind", "类型", one_of(PLACE_KINDS), True, "cold_store", ("场所类型",)),
        *(Column(each.field, each.chinese, each.read, each.required, example, each.others)
          for each, example in zip(_NAMES, ("一号冷库", "Cold store 1"), strict=True)),
        _REGION,
        Column("lat", "纬度", within(-90, 90), False, "28.85", ("latitude",)),
        Column("lon", "经度", within(-180, 180), False, "120.73", ("longitude",)),
        Column("time_zone", "时区", time_zone, False, "Asia/Shanghai"),
        Column("parent", "上级场所", uri, False, ""),
        Column("code", "舱位", _PART, False, "", ("compartment", "隔间")),
        Column("area_mu", "面积(亩)", within(0, 1_000_000), False, "", ("area",)),
        Column("area_source", "面积来源", plain, False, ""),
    )),
    Kind("devices", "设备", (
        *_DEVICE,
        _ORGANISATION,
        Column("giai", "设备标识", uri, False, ""),
        Column("model", "型号", plain, True, "L1"),
        Column("interval_s", "测量间隔(秒)", within(1, 31_536_000, whole), True, "300", ("interval", "间隔")),
        Column("accuracy_c", "精度(℃)", within(0, 100), False, "0.5", ("accuracy",)),
        Column("profile", "解码方案", _PROFILE, False, ""),
        Column("independent", "独立于制冷控制", truth, False, "是"),
        Column("channel", "通道", code, False, "pulp"),
        Column("quantity", "测量量", one_of(QUANTITY_WORDS, others=True), False, "temperature"),
        Column("unit", "单位", unit, False, "Cel"),
        Column("scale", "系数", number, False, ""),
        Column("offset", "偏移", number, False, ""),
        Column("minimum", "量程下限", number, False, "-40"),
        Column("maximum", "量程上限", number, False, "80"),
        Column("certificate", "校准证书", code, False, "JZ-2026-0117"),
        Column("laboratory", "校准机构", plain, False, "省计量院"),
        Column("calibrated_on", "校准日期", day, False, "2026-03-02"),
        Column("due_on", "校准有效期至", day, False, "2027-03-01", ("有效期至",)),
    )),
    Kind("placements", "安装", (
        *_DEVICE,
        Column("channel", "通道", code, False, "pulp"),
        Column("parent", "安装位置", code, True, "9521234002048", ("place", "场所标识")),
        Column("code", "舱位", _PART, False, "", ("compartment", "隔间")),
        Column("probe_position", "探头位置", one_of(POSITIONS), False, "ambient", ("position",)),
        Column("installed_at", "安装时间", plain, True, "2026-06-19 08:00", ("installed",)),
        Column("removed_at", "取下时间", plain, False, "", ("removed",)),
    )),
)  # fmt: skip


def _heading(text: str) -> str:
    """Without what people add to it: a star, a unit in brackets, underscores."""
    return re.sub(r"[*_:\-]", "", re.sub(r"\(.*?\)", "", folded(text)))


def _headings(column: Column) -> set[str]:
    return {_heading(each) for each in (column.field, column.chinese, *column.others)}


def heading_of(table: Table, kind: Kind, field: str) -> str:
    """As the sheet calls the field; the field's own name where the sheet has no such column."""
    for heading in table.header:
        column = kind.column(heading)
        if column is not None and column.field == field:
            return heading
    return field


def kind_of(table: Table, named: str | None = None) -> Kind | None:
    """By `named`, by the sheet's name, or by its headings; None where nothing says. Raises SheetError: headings that do not fit."""
    title = folded(table.name.rpartition("/")[2])
    by_name = next(
        (kind for kind in KINDS if named == kind.name or title in (kind.name, folded(kind.chinese))), None
    )
    fitting = [kind for kind in KINDS if not _misfits(table, kind)]
    if by_name is None and len(fitting) == 1:
        return fitting[0]
    if by_name is None and not fitting:
        by_name = _nearest(table)
    if by_name is None:
        return None
    if misfits := _misfits(table, by_name):
        raise SheetError(
            f"{table.name}: {'; '.join(misfits)}; suyuan import --template {by_name.name} prints all columns"
        )
    return by_name


def _nearest(table: Table) -> Kind | None:
    """The kind that most headings are of, if those are more than half: somebody's own column stands among them."""
    known = {kind.name: sum(kind.column(each) is not None for each in table.header) for kind in KINDS}
    found = max(KINDS, key=lambda kind: known[kind.name])
    only = list(known.values()).count(known[found.name]) == 1
    return found if only and 2 * known[found.name] > len(table.header) > 2 else None


def _misfits(table: Table, kind: Kind) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for heading in table.header:
        column = kind.column(heading)
        if column is None:
            found.append(
                f"column {heading[:40]!r} is none of {kind.name}" if heading else "a column has no heading"
            )
        elif column.field in seen:
            found.append(f"column {heading[:40]!r} stands twice")
        else:
            seen.add(column.field)
    missing = [
        f"{each.chinese} ({each.field})" for each in kind.columns if each.required and each.field not in seen
    ]
    return found + ([f"lacks {', '.join(missing)}"] if missing else [])


def template(name: str, language: str = "zh") -> str:
    """A CSV with the headings and one row as an example. `name`: of a kind, `language`: zh or en."""
    (kind,) = (each for each in KINDS if each.name == name)
    headings = [each.chinese if language == "zh" else each.field for each in kind.columns]
    return _csv([headings, [each.example for each in kind.columns]])


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
