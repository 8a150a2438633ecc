"""What a column is, by its heading, in Chinese or English: `时间`, `time`, `temperature (°C)`, `冷藏温度[℃]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.backfill.frames import FileError, Form

DEVICE = frozenset({"device", "device_id", "deviceid", "sensor", "设备", "设备编号", "设备号", "设备id"})
TIME = frozenset({
    "time", "timestamp", "datetime", "date_time", "measured_at", "时间", "采集时间", "记录时间", "测量时间", "日期时间", "时间戳",
})  # fmt: skip
CHANNEL = frozenset({"channel", "通道", "测点", "参数"})
VALUE = frozenset({"value", "值", "数值", "读数", "测量值"})
UNIT = frozenset({"unit", "单位"})

UNITS = {
    "°c": "Cel", "℃": "Cel", "c": "Cel", "摄氏度": "Cel", "cel": "Cel", "°f": "degF", "℉": "degF", "f": "degF", "华氏度": "degF",
    "degf": "degF", "%rh": "%RH", "rh%": "%RH",
}  # fmt: skip
_WITH_UNIT = re.compile(r"(.*?)\s*[(\[（【](.*)[)\]）】]\s*")


@dataclass(frozen=True, slots=True)
class Title:
    """A column of values: its place, its heading, and the channel and unit that it says."""

    place: int
    heading: str
    channel: str
    unit: str | None


@dataclass(frozen=True, slots=True)
class Layout:
    """`titles`: the columns of values of a wide file; empty in a long one, which has `channel` and `value`."""

    width: int
    time: int
    device: int | None
    titles: tuple[Title, ...]
    channel: int | None
    value: int | None
    unit: int | None


def layout(headings: Sequence[str], form: Form) -> Layout:
    """Raises FileError."""
    plain = [heading.strip().strip("\ufeff").strip() for heading in headings]
    folded = [heading.casefold() for heading in plain]
    time, device, channel = (_only(folded, words) for words in (TIME, DEVICE, CHANNEL))
    value, unit = (_only(folded, words) for words in (VALUE, UNIT))
    if time is None:
        raise FileError(
            f"no column is the time: got {', '.join(plain[:10])}, want one called time, timestamp or 时间"
        )
    if device is None and form.device is None:
        raise FileError("no column is the device: add one called device or 设备, or say --device")
    long = channel is not None and value is not None
    taken = {time, device, *((channel, value, unit) if long else ())}
    titles = tuple(
        _title(place, heading, form)
        for place, heading in enumerate(plain)
        if place not in taken and heading and heading not in form.skipped
    )
    if not long and not titles:
        raise FileError("no column holds values: one for each channel, or the two columns channel and value")
    named = [title.channel for title in titles]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None and not long:
        raise FileError(
            f"two columns are the channel {twice!r}: leave one out with --skip, or name them with --channel"
        )
    return Layout(
        len(headings), time, device, () if long else titles, channel if long else None, value if long else None,
        unit if long else None,
    )  # fmt: skip


def _only(folded: Sequence[str], words: frozenset[str]) -> int | None:
    places = [place for place, heading in enumerate(folded) if heading in words]
    if len(places) > 1:
        raise FileError(
            f"two columns are called {folded[places[0]]} and {folded[places[1]]}: which of them is meant?"
        )
    return places[0] if places else None


def _title(place: int, heading: str, form: Form) -> Title:
    matched = _WITH_UNIT.fullmatch(heading)
    name, unit = (matched[1], matched[2]) if matched and matched[1] else (heading, None)
    channel = form.channels.get(heading) or form.channels.get(name) or name
    return Title(place, heading, channel, unit_word(unit))


def unit_word(text: str | None) -> str | None:
    """As SenML writes it, where it is another way to write that."""
    text = (text or "").strip()
    return UNITS.get(text.casefold(), text) or None
