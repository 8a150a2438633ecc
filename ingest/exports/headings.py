"""What a column is by the words above it, in the languages that loggers come with."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["temperature", "other", "unknown"]

_UNIT = re.compile(
    r"[(\[（【]\s*(?:°|º|deg\.? ?|摄氏|华氏)?(C|F|K|Cel|℃|℉)\s*[)\]）】]|(?:°|º|deg\.? ?)(C|F)\b|(℃|℉)|摄氏(度)|华氏度?",
    re.IGNORECASE,
)
_BARE_UNIT = re.compile(
    r"temp\w*[ _,./-]*(C|F)(?:elsius|ahrenheit)?$|(celsius|fahrenheit|kelvin)", re.IGNORECASE
)
_TEMPERATURE = re.compile(
    r"temp|°c|°f|ºc|℃|℉|温度|気温|t[ée]rm|kühl|fridge|freezer|probe|sensor ?\d|fühler|sonde|ch(?:annel)? ?\d",
    re.IGNORECASE,
)
_CERTAIN = re.compile(r"(?<!at)temp(?!lat)|温度|気温", re.IGNORECASE)
"""`Temp door side` is a temperature, `Fridge door` is none."""
# What loggers write beside temperature, and what their programs write beside readings.
_OTHER = re.compile(
    r"humid|[(\[（]\s*%|%\s*r\.?[hf]|\br\.?[hf]\b|\bhr\b|feucht|humed|umid|\bhygro|湿度|dew ?point|taupunkt|露点|\bbatter|\bakku|\bvolt|电压|电量"
    r"|druck\b|\bpress(?:ure)?\b"
    r"|\bhpa\b|\bmbar\b|压力"
    r"|\blux\b|\blight\b|\blicht|光照|\bdoor|\btüre?\b|门|latitude|longitude|\blat\b|\blon\b|\blng\b|经度|纬度|\bspeed|geschwind"
    r"|速度|\bco2\b|\bppm\b|\brssi\b|\bsnr\b|\bsignal|\balarm|\blimit|grenz|out of|\bstatus\b|\bquality\b|质量"
    r"|\bflags?\b|\bduration\b|\bsv\b|\bv?bat\b|\baltitude|海拔|信号"
    r"|\bstate\b|\bevents?\b|\bmark(?:er|ed)?\b|报警|状态|上限|下限"
    r"|set ?point|sollwert|设定|\bmkt\b|\baverage|mittel|平均|\baccuracy|\bshock|\btilt|\bweight\b",
    re.IGNORECASE,
)  # fmt: skip
_INDEX = frozenset({
    "#", "no", "no.", "nr", "nr.", "n", "id", "index", "idx", "row", "record", "rec", "reading", "reading no.", "number",
    "序号", "编号", "seq",
    "lfd. nr.", "sample", "entry", "point",
})  # fmt: skip
_SOURCE = re.compile(
    r"(?:device|sensor|probe|logger|channel|serial|location|kanal|fühler|gerät|messort|messstelle|sonde|entity|asset|tag|zone|room|mac|imei|sn)"
    r"[ _.]?(?:ids?|name|names?|number|no\.?|nr\.?|sn|label|address)?"
    r"|(?:设备|终端|探头|传感器|记录仪|仪器|通道|测点|监测点|冷库|库房|仓库|位置|站点|标签|车辆|车牌)(?:名称|编号|名|号|号码|id)?",
    re.IGNORECASE,
)
_DERIVED = re.compile(
    r"dew ?point|taupunkt|露点|wet.?bulb|湿球|heat index|feels|体感|limit|grenz|alarm|报警|告警|上限|下限|阈值|threshold|set ?point|sollwert"
    r"|设定|设置|\bmkt\b|average|平均|\bstat(?:e|us)\b|状态|\bbatter|电量|电压|humid|\bflags?\b|\bcount",
    re.IGNORECASE,
)
"""In degrees, or of a temperature, and yet not what a probe measured."""


def role(heading: str) -> Role:
    if unit(heading) or _CERTAIN.search(heading):
        return "other" if _DERIVED.search(heading) else "temperature"
    if _OTHER.search(heading):
        return "other"
    return "temperature" if _TEMPERATURE.search(heading) else "unknown"


def unit(heading: str) -> str | None:
    """C, F or K where the heading says so."""
    found = _UNIT.search(heading) or _BARE_UNIT.search(heading.strip())
    if found is None:
        return None
    said = next((part for part in found.groups() if part), "F")
    return "F" if said[0] in "Ff℉" else "K" if said[0] in "Kk" else "C"


def is_index(heading: str) -> bool:
    return heading.strip().casefold() in _INDEX


def is_state(heading: str) -> bool:
    """What some platforms call whatever a sensor says."""
    return heading.strip().casefold() == "state"


def is_source(heading: str) -> bool:
    """Says which probe a row is from."""
    return _SOURCE.fullmatch(heading.strip()) is not None


def only_unit(heading: str) -> bool:
    """A second line of headings holds units alone: [°C], %, °F."""
    text = heading.strip().strip("[]()").strip()
    return len(text) <= 4 and (
        not text
        or bool(re.fullmatch(r"(?:°|º)?[cf]|℃|℉|%(?:\s*[a-z.]{1,4})?|[a-z]{1,3}", text, re.IGNORECASE))
    )
