"""Exports of Berlinger's Q-tag and Fridge-tag loggers: text of indented `Name: value` lines, then a table of readings.

Contract: the readings of the `Data:` table at local times; dashes are a reading that the logger had none of. Its alarms are given beside
it as `own_limits`; what it found by them is its own judgement and is passed over. Source: the files themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ingest.exports.cells import celsius
from ingest.exports.exported import ExportError, OwnLimit

_FIELD = re.compile(r"^( *)([^:,]+): *(.*)$")
_ALARM = re.compile(r"(?:Type: (\d+))?(?:, )?T AL: ([-+]?\d+(?:\.\d+)?), t AL: (\d+)")
# How a Q-tag numbers what it was set to: by what its own results say of each.
_TYPES = {
    "1": ("below", "consecutive"),
    "2": ("above", "consecutive"),
    "3": ("below", "cumulative"),
    "4": ("above", "cumulative"),
}


def is_tag(text: str) -> bool:
    return text.startswith("Device:") and "tag" in text.split("\n", 1)[0].casefold()


class Tag:
    """What the text says. Raises ExportError where it holds no readings."""

    def __init__(self, text: str) -> None:
        self.fields = dict(_fields(text))
        self.rows = list(_rows(text))
        if not self.rows:
            raise ExportError(
                "the export holds daily statistics and no readings: let the logger's own program write the readings too"
                if "\nHist:" in text
                else "the export has no table of readings"
            )

    @property
    def serial(self) -> str | None:
        return self.fields.get("Conf/Serial") or None

    @property
    def unit(self) -> str | None:
        said = self.fields.get("Conf/Temp unit", "")
        return said if said in ("C", "F") else None

    @property
    def interval_minutes(self) -> float | None:
        return _number(self.fields.get("Conf/Logging Interval"))

    @property
    def activation_energy(self) -> float | None:
        return _number(self.fields.get("Conf/MKT Energy"))

    def own_limits(self) -> tuple[OwnLimit, ...]:
        """The alarms it was set to; one without a type that is told is left out."""
        found = []
        for name, value in self.fields.items():
            alarm = _ALARM.fullmatch(value)
            if alarm is None or not name.startswith("Conf/Alarm/"):
                continue
            number = name.removeprefix("Conf/Alarm/")
            # A Fridge-tag has two and no types: 0 is too cold, 1 too warm.
            side, mode = (
                _TYPES.get(alarm[1], ("", ""))
                if alarm[1]
                else (("below", "above")[number == "1"], "consecutive")
            )
            if side:
                limit_c = float(celsius(np.array(float(alarm[2])), self.unit))
                found.append(OwnLimit(f"alarm-{number}", side, mode, round(limit_c, 6), float(alarm[3])))
        return tuple(found)

    def readings(self) -> tuple[Sequence[str], Sequence[str]]:
        """Moments and values, as written."""
        return [moment for moment, _ in self.rows], [value for _, value in self.rows]


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """`Conf/Alarm/1`, and what stands behind it: of a name alone on its line what the next, indented deeper, says."""
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        matched = _FIELD.match(line)
        if matched is None:
            continue
        indent, name, value = len(matched[1]), matched[2].strip(), matched[3].strip()
        while path and path[-1][0] >= indent:
            path.pop()
        whole = "/".join([*(each for _, each in path), name])
        if not value:
            path.append((indent, name))
        yield whole, value
        parent = "/".join(each for _, each in path)
        if value and parent.rpartition("/")[2].isdigit():
            yield parent, line.strip()


def _rows(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for line in text.splitlines():
        if not line.startswith("\t"):
            inside = line.rstrip() == "Data:"
            continue
        cells = [cell.strip() for cell in line.split("\t")[1:]]
        if inside and len(cells) >= 2 and cells[0][:1].isdigit():
            yield cells[0], cells[1]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
