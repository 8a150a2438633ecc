"""Ways to write a moment -> ms since 1970 on the export's own clock.

Contract: day before month or month before day is told by the whole column (a number above 12, or that the days follow each other);
where both would do, what was taken is said. Each date and each time of day is read once, however often it stands in the column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

import numpy as np

from ingest.exports.exported import Integers

DateOrder = Literal["dmy", "mdy"]
NEVER: Final = np.iinfo(np.int64).min
"""In a column of moments: it could not be read."""

_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000
_EPOCH = datetime(1970, 1, 1)
_MONTHS = {name: at for at, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)} | {
    "mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "fév": 2, "avr": 4, "aoû": 8, "déc": 12, "ene": 1, "abr": 4, "ago": 8, "dic": 12,
}  # fmt: skip
_TIME = r"(?:上午|下午|[AaPp]\.?[Mm]\.?)?\s*\d{1,2}[:h时]\d{2}(?:[:分]\d{2}秒?)?(?:[.,]\d{1,6})?\s*(?:[AaPp]\.?\s?[Mm]\.?)?"
_ZONE = r"Z|(?:UTC|GMT)?\s*[+-]\d{2}:?\d{2}|UTC|GMT"
_MOMENT = re.compile(rf"(.*?\S)(?:\s*T|[\s,]+)({_TIME})\s*({_ZONE})?")
_TIME_OF_DAY = re.compile(
    r"(上午|下午|[AaPp]\.?[Mm]\.?)?\s*(\d{1,2})[:h时](\d{2})(?:[:分](\d{2})秒?)?(?:[.,](\d{1,6}))?\s*([AaPp]\.?\s?[Mm]\.?)?"
)
_YEAR_FIRST = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})日?|(\d{4})(\d{2})(\d{2})", re.ASCII
)
_YEAR_LAST = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})\.?", re.ASCII)
_DAY_IN_WORDS = re.compile(r"(\d{1,2})\.?[-/. ]*([^\W\d_]{3,9})[-/., ]*(\d{4}|\d{2})")
_MONTH_IN_WORDS = re.compile(r"([^\W\d_]{3,9})\.? *(\d{1,2}),? *(\d{4})")
_WEEKDAY = re.compile(
    r"^(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so)[a-z]*[., ]+(?=\d)|\s*星期.\s*", re.IGNORECASE
)


_Parts = tuple[str, int, int, int]
"""`!` year, month, day; `?` either of day and month, then the other one, then the year."""


@dataclass(frozen=True, slots=True)
class Moments:
    """`local_ms`: int64[n], NEVER where it could not be read; `offset_ms`: int64[n] where every moment says its offset. `assumed`:
    what the column does not tell and was taken for granted, to be said."""

    local_ms: Integers
    offset_ms: Integers | None
    assumed: str | None = None


def looks_like_moment(cell: object) -> bool:
    if isinstance(cell, datetime):
        return True
    matched = _MOMENT.fullmatch(cell.strip()) if isinstance(cell, str) else None
    return matched is not None and looks_like_date(matched[1])


def looks_like_date(cell: object) -> bool:
    if isinstance(cell, date):
        return True
    return isinstance(cell, str) and _parts(cell) is not None


def looks_like_time(cell: object) -> bool:
    return isinstance(cell, str) and _TIME_OF_DAY.fullmatch(cell.strip()) is not None


def read(column: Sequence[object], order: DateOrder | None) -> Moments:
    """A column of date and time together."""
    texts = [_text(cell) for cell in column]
    split = [_MOMENT.fullmatch(text) for text in texts]
    found = read_apart(
        [matched[1] if matched else "" for matched in split],
        [matched[2] if matched else "" for matched in split],
        order,
    )
    zones = [matched[3] if matched else None for matched in split]
    said = {zone for zone, at in zip(zones, found.local_ms.tolist(), strict=True) if at != NEVER}
    if not said or None in said:
        return found
    offsets = {zone: _offset_ms(zone) for zone in said if zone is not None}
    offset_ms = np.array([offsets.get(zone or "", 0) for zone in zones], np.int64)
    return Moments(found.local_ms, offset_ms, found.assumed)


def read_apart(dates: Sequence[object], times: Sequence[object], order: DateOrder | None) -> Moments:
    """A column of dates and one of times of day. A date without a time is no moment."""
    day_texts = [_text(cell).removesuffix(" 00:00:00") for cell in dates]
    time_texts = [_text(cell) for cell in times]
    of_day = _each_once(time_texts, _time_ms)
    parts = {text: _parts(text) for text in set(day_texts)}
    either = [found for found in parts.values() if found is not None and found[0] == "?"]
    possible: Sequence[DateOrder] = (order,) if order else _possible(either)
    read_as = {each: _moments(day_texts, parts, of_day, each) for each in possible}
    # With the wrong order the day after the 3rd is a month later: the right one spans less.
    spans = {each: _span(moment) for each, moment in read_as.items()}
    nearest: DateOrder = min(read_as, key=lambda each: spans[each])
    if len(read_as) == 1 or len(set(spans.values())) > 1:
        return Moments(read_as[nearest], None)
    american = any(text[-1:] in "Mm." and text[:1].isdigit() for text in time_texts if text)
    taken: DateOrder = "mdy" if american else "dmy"
    written = next(text for text, found in parts.items() if found is not None and found[0] == "?")
    said = "month/day/year" if american else "day/month/year"
    return Moments(
        read_as[taken],
        None,
        f"{written} was taken as {said}: the file does not tell; --date-order says otherwise",
    )


def _moments(
    day_texts: Sequence[str], parts: dict[str, _Parts | None], of_day: Integers, order: DateOrder
) -> Integers:
    days = {text: _day_ms(found, order) for text, found in parts.items()}
    day = np.array([days[text] for text in day_texts], np.int64)
    known = (day != NEVER) & (of_day != NEVER)
    return np.where(known, np.where(known, day, 0) + np.where(known, of_day, 0), NEVER)


def _span(moment: Integers) -> int:
    known = moment[moment != NEVER]
    return int(known.max() - known.min()) if known.size else 0


def _text(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    return "" if cell is None else str(cell).strip()


def _each_once(texts: Sequence[str], read: Callable[[str], int]) -> Integers:
    known = {text: read(text) for text in set(texts)}
    return np.array([known[text] for text in texts], np.int64)


def _time_ms(text: str) -> int:
    matched = _TIME_OF_DAY.fullmatch(text)
    if matched is None:
        return NEVER
    before, hour, minute, second, fraction, after = matched.groups()
    half = (before or after or "").casefold()
    hours = int(hour)
    if half:
        if hours > 12:
            return NEVER
        hours = hours % 12 + (12 if half[0] == "p" or half == "下午" else 0)
    if hours > 23 or int(minute) > 59 or int(second or 0) > 59:
        return NEVER
    return (
        hours * _HOUR_MS
        + int(minute) * _MINUTE_MS
        + int(second or 0) * 1000
        + int((fraction or "0").ljust(3, "0")[:3])
    )


def _parts(text: str) -> _Parts | None:
    text = _WEEKDAY.sub("", text.strip())
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = (int(part) for part in found.groups() if part is not None)
        return "!", year, month, day
    if found := _YEAR_LAST.fullmatch(text):
        first, second, year = int(found[1]), int(found[2]), _full_year(found[3])
        return ("!", year, second, first) if "." in text else ("?", first, second, year)
    if found := _DAY_IN_WORDS.fullmatch(text):
        month_of = _MONTHS.get(found[2][:3].casefold())
        return None if month_of is None else ("!", _full_year(found[3]), month_of, int(found[1]))
    if found := _MONTH_IN_WORDS.fullmatch(text):
        month_of = _MONTHS.get(found[1][:3].casefold())
        return None if month_of is None else ("!", int(found[3]), month_of, int(found[2]))
    return None


def _full_year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _day_ms(found: _Parts | None, order: str) -> int:
    if found is None:
        return NEVER
    kind, first, second, third = found
    year, month, day = (
        (first, second, third)
        if kind == "!"
        else (third, *((second, first) if order == "dmy" else (first, second)))
    )
    try:
        return (datetime(year, month, day) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return NEVER


def _possible(either: Sequence[_Parts]) -> Sequence[DateOrder]:
    """The orders in which every date is one."""
    if any(found[1] > 12 for found in either):
        return ("dmy",)
    if any(found[2] > 12 for found in either):
        return ("mdy",)
    return ("dmy", "mdy") if either else ("dmy",)


def _offset_ms(zone: str) -> int:
    digits = re.sub(r"[^\d+-]", "", zone)
    if not digits:
        return 0
    return (-1 if digits[0] == "-" else 1) * (
        int(digits[1:3]) * _HOUR_MS + int(digits[3:5] or 0) * _MINUTE_MS
    )
