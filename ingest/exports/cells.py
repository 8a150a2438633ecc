"""A cell -> a number in °C, or what stands there instead of one. Whole columns at once; a cell at a time where a column is mixed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ingest.exports.exported import Floats, Mask

_NUMBER = re.compile(
    r"([-+−–]?)\s*(\d{1,3}(?:[ '’]\d{3})+|\d+)?(?:([.,])(\d+))?\s*(?:°|º|deg\.?)?\s*([CFcf℃℉])?", re.ASCII
)
_FAULT = re.compile(
    r"[#*?]+|-{1,}|-+[.,]-+|—+|err(?:or)?\w*|fault|fail(?:ed|ure)?|open|short|o/?c|s/?c|over(?:range|flow)?|under(?:range|flow)?|[ou]fl|nan|n/?a|null"
    r"|no (?:data|value|reading|sensor|probe)|missing|invalid|disconnected|lost|故障|无|断开|开路|短路|超量程",
    re.IGNORECASE,
)
_EMPTY = frozenset({"", "-", "--", "---", "—", "n/a", "na", "nan", "null", "none", "无", "空"})
_COLDEST_C, _HOTTEST_C = -200.0, 200.0
"""What no logger of a cold chain measures is the code of a fault: 9999, -999.9, 32767."""

_UNPLUGGED_C = -127.0
"""What a digital probe says that is not there; a reading only where it is as cold as that anyway."""


def celsius(value: Floats, unit: str | None) -> Floats:
    if unit == "K":
        return value - 273.15
    return (value - 32.0) / 1.8 if unit == "F" else value


def numbers(column: Sequence[object]) -> tuple[Floats, list[str], Mapping[str, int]]:
    """float64[n] with NaN where there is no number; the units that cells say; and what else stands there, how often."""
    try:
        return np.array(column, dtype=np.float64), [], {}
    except (TypeError, ValueError):
        pass
    value = np.full(len(column), np.nan)
    units: set[str] = set()
    odd: Counter[str] = Counter()
    for at, cell in enumerate(column):
        number, unit = number_of(cell)
        if number is not None:
            value[at] = number
            if unit:
                units.add(unit)
            continue
        text = str(cell).strip() if cell is not None else ""
        odd["(empty)" if text.casefold() in _EMPTY else text[:20]] += 1
    return value, sorted(units), odd


def number_of(cell: object) -> tuple[float | None, str | None]:
    """A number, and its unit if the cell says it. A comma is a decimal mark: no logger writes thousands of degrees."""
    if isinstance(cell, bool) or cell is None:
        return None, None
    if isinstance(cell, int | float):
        return (float(cell), None) if np.isfinite(cell) else (None, None)
    matched = _NUMBER.fullmatch(str(cell).strip())
    if matched is None or (matched[2] is None and matched[4] is None):
        return None, None
    sign, whole, _, fraction, unit = matched.groups()
    whole = re.sub(r"[ '’]", "", whole or "0")
    number = float(f"{whole}.{fraction or 0}")
    return (-number if sign in ("-", "−", "–") else number), _UNITS.get(unit or "")


def is_fault(cell: object) -> bool:
    """What loggers write in place of a reading: dashes, `###`, a word."""
    return isinstance(cell, str) and _FAULT.fullmatch(cell.strip()) is not None


_UNITS = {"C": "C", "c": "C", "℃": "C", "F": "F", "f": "F", "℉": "F"}


def impossible(value_c: Floats) -> Mask:
    """Where a number is no temperature: a fault's code."""
    known = value_c[np.isfinite(value_c)]
    unplugged = (value_c == _UNPLUGGED_C) & bool(known.size and np.median(known) > _UNPLUGGED_C + 27.0)
    mask: Mask = (value_c < _COLDEST_C) | (value_c > _HOTTEST_C) | unplugged
    return mask
