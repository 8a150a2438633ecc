"""Ways to write a moment -> ms since 1970 on the export's own clock.

Contract: whether day, month or a year of two digits comes first is told by the whole column (in which order all are dates, or their
days follow each other); where several would do, what was taken is said. Each date and each time of day is read once, however often it
stands in the column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal

import numpy as np

from ingest.exports.exported import ExportError, Integers

DateOrder = Literal["dmy", "mdy", "ymd"]
NEVER: Final = np.iinfo(np.int64).min
"""In a column of moments: it could not be read."""

_DAY_MS, _HOUR_MS, _MINUTE_MS = 86_400_000, 3_600_000, 60_000
_EPOCH = datetime(1970, 1, 1)
_ORDERS: Final = {"dmy": "day/month/year", "mdy": "month/day/year", "ymd": "year/month/day"}
_MONTHS = {name: at for at, name in enumerate(("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1)} | {
    "mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12, "fév": 2, "avr": 4, "aoû": 8, "déc": 12, "ene": 1, "abr": 4, "ago": 8, "dic": 12,
}  # fmt: skip
_TIME = r"(?:上午|下午|[AaPp]\.?[Mm]\.?)?\s*\d{1,2}[:h时]\d{2}(?:[:分]\d{2}秒?)?(?:[.,]\d{1,9})?\s*(?:[AaPp]\.?\s?[Mm]\.?)?"
_ZONE = r"Z|\(?(?:UTC|GMT)?\s*[+-]\d{1,2}(?::?\d{2})?\)?|UTC|GMT|[A-Z]{3,5}"
_NAMED_ZONE = r"(?:\[[\w/+-]+\])?"
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?")
_COMPACT = re.compile(r"(20\d{6})[T ]?(\d{2})(\d{2})(\d{2})?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)
_MOMENT = re.compile(rf"(.*?\S)(?:\s*T|[\s,]+)({_TIME})\s*({_ZONE})?{_NAMED_ZONE}")
_TIME_OF_DAY = re.compile(
    r"(上午|下午|[AaPp]\.?[Mm]\.?)?\s*(\d{1,2})[:h时](\d{2})(?:[:分](\d{2})秒?)?(?:[.,](\d{1,9}))?\s*([AaPp]\.?\s?[Mm]\.?)?"
)
_YEAR_FIRST = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})日?|(\d{4})(\d{2})(\d{2})", re.ASCII
)
_YEAR_LAST = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})\.?", re.ASCII)
_DAY_IN_WORDS = re.compile(r"(\d{1,2})\.?[-/. ]*([^\W\d_]{3,9})[-/., ]*(\d{4}|\d{2})")
_MONTH_IN_WORDS = re.compile(r"([^\W\d_]{3,9})\.? *(\d{1,2}),? *(\d{4})")
_WEEKDAY = re.compile(
    r"^(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so)[a-z]*[., ]+(?=\d|[a-z]{3})|\s*星期.\s*",
    re.IGNORECASE,
)


_Parts = tuple[str, int, int, int]
"""`!` year, month, day; `?` either of day and month, then the other one, then the year; `??` three numbers of two digits."""
_EARLIEST_MS = (datetime(2010, 1, 1) - _EPOCH) // timedelta(milliseconds=1)
"""Of dates that could be several, none is older than loggers that export files."""


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
    matched = _MOMENT.fullmatch(_spread(cell.strip())) if isinstance(cell, str) else None
    return matched is not None and looks_like_date(matched[1])


def looks_like_date(cell: object) -> bool:
    if isinstance(cell, date):
        return True
    return isinstance(cell, str) and _parts(cell) is not None


def looks_like_time(cell: object) -> bool:
    return isinstance(cell, str) and _TIME_OF_DAY.fullmatch(cell.strip()) is not None


def read(column: Sequence[object], order: DateOrder | None) -> Moments:
    """A column of date and time together."""
    texts = [_spread(_text(cell)) for cell in column]
    split = [_MOMENT.fullmatch(text) for text in texts]
    found = read_apart(
        [matched[1] if matched else "" for matched in split],
        [matched[2] if matched else "" for matched in split],
        order,
    )
    zones = [matched[3] if matched else None for matched in split]
    said = {zone for zone, at in zip(zones, found.local_ms.tolist(), strict=True) if at != NEVER}
    offsets = {zone: _offset_ms(zone) for zone in said if zone is not None}
    known = {offset for offset in offsets.values() if offset is not None}
    if not said or None in said or None in offsets.values():
        if len(known) > 1:
            raise ExportError(
                "some times say their offset from UTC, and others none: let the logger's program write it with all, or with none"
            )
        return found
    offset_ms = np.array([offsets.get(zone or "") or 0 for zone in zones], np.int64)
    return Moments(found.local_ms, offset_ms, found.assumed)


def read_apart(dates: Sequence[object], times: Sequence[object], order: DateOrder | None) -> Moments:
    """A column of dates and one of times of day. A date without a time is no moment."""
    day_texts = [_text(cell).removesuffix(" 00:00:00") for cell in dates]
    time_texts = [_text(cell) for cell in times]
    of_day = _each_once(time_texts, _time_ms)
    parts = {text: _parts(text) for text in set(day_texts)}
    either = [found for found in parts.values() if found is not None and found[0] != "!"]
    possible: Sequence[DateOrder] = (order,) if order else _possible(either)
    read_as = {each: _moments(day_texts, parts, of_day, each) for each in possible}
    # With the wrong order the day after the 3rd is a month later: the right one spans less.
    spans = {each: _span(moment) for each, moment in read_as.items()}
    nearest: DateOrder = min(read_as, key=lambda each: spans[each])
    tied = [each for each in possible if spans[each] == spans[nearest]]
    if all(np.array_equal(read_as[each], read_as[nearest]) for each in tied):
        return Moments(read_as[nearest], None)
    american = any(text[-1:] in "Mm." and text[:1].isdigit() for text in time_texts if text)
    likely = [each for each in tied if _first(read_as[each]) >= _EARLIEST_MS] or tied
    taken: DateOrder = "mdy" if american and "mdy" in likely else likely[0]
    written = next(text for text, found in parts.items() if found is not None and found[0] != "!")
    said = _ORDERS[taken]
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


def _first(moment: Integers) -> int:
    known = moment[moment != NEVER]
    return int(known.min()) if known.size else NEVER


def _spread(text: str) -> str:
    """`20260618T080500Z` as `20260618 08:05:00Z`."""
    found = _COMPACT.fullmatch(text)
    return text if found is None else f"{found[1]} {found[2]}:{found[3]}:{found[4] or '00'}{found[5] or ''}"


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
    midnight = hours == 24 and int(minute) == int(second or 0) == 0
    if (hours > 23 and not midnight) or int(minute) > 59 or int(second or 0) > 59:
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
        first, second, third = (int(part) for part in found.groups())
        if "." in text:
            return "!", _full_year(found[3]), second, first
        return ("??" if all(len(part) == 2 for part in found.groups()) else "?"), first, second, third
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
    day, month, year = {
        "dmy": (first, second, third),
        "mdy": (second, first, third),
        "ymd": (third, second, first),
    }["ymd" if kind == "!" else order]
    if kind != "!" and year < 100:
        year += 2000
    try:
        return (datetime(year, month, day) - _EPOCH) // timedelta(milliseconds=1)
    except ValueError:
        return NEVER


def _possible(either: Sequence[_Parts]) -> Sequence[DateOrder]:
    """The orders in which most are dates."""
    orders: Sequence[DateOrder] = (
        ("dmy", "mdy", "ymd") if all(found[0] == "??" for found in either) else ("dmy", "mdy")
    )
    if not either:
        return ("dmy",)
    dates = {order: sum(_day_ms(found, order) != NEVER for found in set(either)) for order in orders}
    return [order for order in orders if dates[order] == max(dates.values())]


def _offset_ms(zone: str) -> int | None:
    """None of a name as CET, which is not the same everywhere: then the clock of the file stands."""
    found = _OFFSET.search(zone)
    if found is None:
        return 0 if zone in ("Z", "UTC", "GMT") else None
    return (-1 if found[1] == "-" else 1) * (int(found[2]) * _HOUR_MS + int(found[3] or 0) * _MINUTE_MS)
