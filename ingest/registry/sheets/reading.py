"""What a cell says: text of a sheet -> the value of the registry document, in either language's words.

Contract: pure; what cannot be meant raises ValueError with what to write instead.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from ledger.epcis import EpcisError
from ledger.epcis.identifiers import canonical, parse, sscc_uri

Reader = Callable[[str], Any]

_YES: Final = frozenset({"true", "yes", "y", "1", "是", "有", "对"})
_NO: Final = frozenset({"false", "no", "n", "0", "否", "无", "不"})


def folded(text: str) -> str:
    """As it is compared: one width, one case, no blanks."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).casefold()


def plain(text: str) -> str:
    return text


def code(text: str) -> str:
    """A number or word of a machine: full-width characters are those of another keyboard."""
    return unicodedata.normalize("NFKC", text).strip()


def written(pattern: str, looks_like: str) -> Reader:
    """A code of that form. `looks_like`: said where it is another."""

    def read(text: str) -> str:
        if re.fullmatch(pattern, code(text)) is None:
            raise ValueError(f"want {looks_like}")
        return code(text)

    return read


def within(low: float, high: float, read: Callable[[str], float] | None = None) -> Reader:
    def bounded(text: str) -> float:
        value = (read or number)(text)
        if not low <= value <= high:
            raise ValueError(f"want {low:g} to {high:g}")
        return value

    return bounded


def number(text: str) -> float:
    try:
        value = float(code(text).replace("−", "-"))
    except ValueError:
        raise ValueError("want a number, with a point and without a unit") from None
    if not math.isfinite(value):
        raise ValueError("want a finite number")
    return value


def whole(text: str) -> int:
    value = number(text)
    if not value.is_integer():
        raise ValueError("want a whole number")
    return int(value)


def truth(text: str) -> bool:
    word = folded(text)
    if word in _YES or word in _NO:
        return word in _YES
    raise ValueError("want 是 or 否 (yes or no)")


def one_of(words: Mapping[str, tuple[str, ...]], *, others: bool = False) -> Reader:
    """A word of ours, by itself or in Chinese. `others`: whether any other word is taken too."""
    known = {folded(each): word for word, names in words.items() for each in (word, *names)}

    def read(text: str) -> str:
        found = known.get(folded(text))
        if found is None and not others:
            listed = ", ".join(f"{word} ({names[0]})" if names else word for word, names in words.items())
            raise ValueError(f"want one of {listed}")
        return found or code(text)

    return read


def uri(text: str) -> str:
    """A URI, or the digits of a GLN (13) or SSCC (18), as they stand on a label."""
    written = code(text)
    try:
        if re.fullmatch(r"[0-9]{13}", written):
            written = f"https://id.gs1.org/414/{written}"
        elif re.fullmatch(r"[0-9]{18}", written):
            written = sscc_uri(written)
        parse(written)
    except EpcisError as error:
        raise ValueError(f"want a URI, a GLN of 13 digits or an SSCC of 18: {error}") from error
    return canonical(written)


def party(text: str) -> str:
    """The same for an organisation, whose 13 digits are a PGLN."""
    written = code(text)
    return uri(f"https://id.gs1.org/417/{written}" if re.fullmatch(r"[0-9]{13}", written) else written)


def day(text: str) -> date:
    found = _moment(text)
    if found is None or found.timetz() != datetime.min.timetz():
        raise ValueError(f"want a day such as 2026-03-02{_if_counted(text)}")
    return found.date()


def moment(text: str, zone: tzinfo) -> datetime:
    """A time with its offset, or as clocks show it in `zone`."""
    found = _moment(text)
    if found is None:
        raise ValueError(
            f"want a time such as 2026-06-19 08:00, or with an offset 2026-06-19T08:00+08:00{_if_counted(text)}"
        )
    if found.tzinfo is not None:
        return found
    local = found.replace(tzinfo=zone)
    return local.replace(tzinfo=timezone(local.utcoffset() or UTC.utcoffset(None)))


def _if_counted(text: str) -> str:
    """From which day a workbook counts, 1900 or 1904, its cell does not say."""
    counted = re.fullmatch(r"[2-6][0-9]{4}(\.[0-9]+)?", code(text))
    return "; this is a spreadsheet's count of days: format the column as a date" if counted else ""


_DATE: Final = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[T ]*(\d{1,2})[:时](\d{2})(?:[:分](\d{2})(?:\.\d+)?秒?|分)?)?(Z|[+-]\d{2}:?\d{2})?"
)


def _moment(text: str) -> datetime | None:
    found = _DATE.fullmatch(code(text))
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        offset = found[7]
        aware = datetime.strptime(offset.replace("Z", "+0000"), "%z").tzinfo if offset else None
        return datetime(year, month, day, hour, minute, second, tzinfo=aware)
    except ValueError:
        return None


def time_zone(text: str) -> str:
    try:
        ZoneInfo(code(text))
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("want an IANA name such as Asia/Shanghai") from error
    return code(text)


_UNITS: Final = {"℃": "Cel", "°c": "Cel", "摄氏度": "Cel", "c": "Cel", "℉": "degF", "°f": "degF", "华氏度": "degF", "f": "degF", "毫伏": "mV",
                 "伏": "V", "帕": "Pa", "百帕": "hPa", "勒克斯": "lx", "米": "m", "公里/小时": "km/h", "千克": "kg", "秒": "s"}  # fmt: skip


def unit(text: str) -> str:
    return _UNITS.get(folded(text)) or _UNITS.get(text.strip()) or code(text)
