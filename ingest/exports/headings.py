"""What a column is by the words above it, in the languages that loggers come with."""

from __future__ import annotations

import re
from typing import Literal

Role = Literal["temperature", "other", "unknown"]

_UNIT = re.compile(
    r"[(\[（【]\s*(?:°|º|deg\.? ?|摄氏|华氏)?(C|F|Cel|℃|℉)\s*[)\]）】]|(?:°|º|deg\.? ?)(C|F)\b|(℃|℉)|摄氏(度)|华氏度?",
    re.IGNORECASE,
)
_BARE_UNIT = re.compile(r"temp\w*[ _,./-]*(C|F)(?:elsius|ahrenheit)?$|(celsius|fahrenheit)", re.IGNORECASE)
_TEMPERATURE = re.compile(
    r"temp|°c|°f|ºc|℃|℉|温度|気温|t[ée]rm|kühl|fridge|freezer|probe|sensor ?\d|fühler|sonde|ch(?:annel)? ?\d",
    re.IGNORECASE,
)
# What loggers write beside temperature, and what their programs write beside readings.
_OTHER = re.compile(
    r"humid|%\s*r\.?[hf]|\br\.?[hf]\b|\bhr\b|feuchte|humed|湿度|dew ?point|taupunkt|露点|\bbatter|\bakku|\bvolt|电压|电量|druck\b"
    r"|\bpress(?:ure)?\b"
    r"|\bhpa\b|\bmbar\b|压力"
    r"|\blux\b|\blight\b|\blicht|光照|\bdoor|\btüre?\b|门|latitude|longitude|\blat\b|\blon\b|\blng\b|经度|纬度|\bspeed|geschwind"
    r"|速度|\bco2\b|\bppm\b|\brssi\b|\bsnr\b|\bsignal|\balarm|\blimit|grenz|out of|\bstat(?:e|us)\b"
    r"|\bevents?\b|\bmark(?:er|ed)?\b|报警|状态|上限|下限"
    r"|set ?point|sollwert|设定|\bmkt\b|\baverage|mittel|平均|\baccuracy|\bshock|\btilt|\bweight\b",
    re.IGNORECASE,
)  # fmt: skip
_INDEX = frozenset({
    "#", "no", "no.", "nr", "nr.", "n", "id", "index", "idx", "row", "record", "rec", "reading", "reading no.", "number",
    "序号", "编号", "seq",
    "lfd. nr.", "sample", "entry", "point",
})  # fmt: skip
_SOURCE = frozenset({
    "channel", "device", "device_id", "deviceid", "device id", "sensor", "sensor_id", "sensor id", "probe", "serial", "serial number", "logger",
    "通道", "设备", "设备编号", "测点", "kanal", "fühler", "gerät",
})  # fmt: skip


def role(heading: str) -> Role:
    if _OTHER.search(heading) and not unit(heading):
        return "other"
    if unit(heading) or _TEMPERATURE.search(heading):
        return "temperature" if not _derived(heading) else "other"
    return "unknown"


def _derived(heading: str) -> bool:
    """In degrees, and yet not what a probe measured."""
    return (
        re.search(
            r"dew ?point|taupunkt|露点|limit|grenz|alarm|上限|下限|set ?point|sollwert|设定|\bmkt\b|average|平均",
            heading,
            re.IGNORECASE,
        )
        is not None
    )


def unit(heading: str) -> str | None:
    """C or F where the heading says so."""
    found = _UNIT.search(heading) or _BARE_UNIT.search(heading.strip())
    if found is None:
        return None
    said = next((part for part in found.groups() if part), "F")
    return "F" if said[0] in "Ff℉" else "C"


def is_index(heading: str) -> bool:
    return heading.strip().casefold() in _INDEX


def is_source(heading: str) -> bool:
    """Says which probe a row is from."""
    return heading.strip().casefold() in _SOURCE


def only_unit(heading: str) -> bool:
    """A second line of headings holds units alone: [°C], %, °F."""
    text = heading.strip().strip("[]()").strip()
    return len(text) <= 4 and (
        not text
        or bool(re.fullmatch(r"(?:°|º)?[cf]|℃|℉|%(?:\s*[a-z.]{1,4})?|[a-z]{1,3}", text, re.IGNORECASE))
    )
