"""The words of the pages, in Chinese and English, and how numbers, durations and moments are written in each.

Contract: both catalogues have the same keys with the same places to fill (a test compares them); a word that is missing
raises KeyError, so that no page ever shows a key. The words promise nothing about health: they say what was recorded,
what was measured and what was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from trace_api.story import Name
from trace_api.words.en import EN
from trace_api.words.zh import ZH

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

CATALOGUES: Mapping[Language, Mapping[str, str]] = MappingProxyType({"zh": ZH, "en": EN})

_UNITS = {
    "KGM": Name("千克", "kg"),
    "GRM": Name("克", "g"),
    "TNE": Name("吨", "t"),
    "H87": Name("件", "pieces"),
    None: Name("箱", "boxes"),
}
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NO_BREAK = "\u00a0"


def decimal(amount: float) -> str:
    """A quantity in full, to the gram: `12345.67`, `40`; never in powers of ten."""
    return f"{amount:.3f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Words:
    """One language's way of saying things. Called with a key it gives that sentence."""

    language: Language

    def __call__(self, key: str, **facts: object) -> str:
        """The sentence of `key` with its places filled. KeyError if there is none, or a fact is missing."""
        return CATALOGUES[self.language][key].format(**facts)

    def known(self, group: str, code: str) -> str:
        """The word of `code` in an open group such as `step`; that of "other", or the code, where it is new."""
        catalogue = CATALOGUES[self.language]
        return catalogue.get(f"{group}_{code}") or catalogue.get(f"{group}_other") or code

    def name(self, name: Name) -> str:
        """In this language, or in the other where it has none."""
        own, other = (name.zh, name.en) if self.language == "zh" else (name.en, name.zh)
        return own or other

    def celsius(self, value: float | None) -> str:
        if value is None:
            return self("unknown")
        text = f"{value:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")
        return f"{text}{_NO_BREAK}°C"

    def span(self, low: float, high: float) -> str:
        """Lowest to highest for a table's cell, without the unit."""
        return f"{low:.1f} \u2013 {high:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")

    def percent(self, share: float) -> str:
        """Whole; what is not nothing never reads as nothing, and what is not all never as all."""
        space = "" if self.language == "zh" else _NO_BREAK
        if 1e-6 < share < 0.01:
            return f"<{space}1{space}%"
        return f"{(0.99 if 0.99 < share < 1 - 1e-6 else share) * 100:.0f}{space}%"

    def quantity(self, amount: float, uom: str | None) -> str:
        unit = self.name(_UNITS.get(uom, Name(uom or "", uom or "")))
        return f"{decimal(amount)}{_NO_BREAK}{unit}"

    def minutes(self, minutes: float) -> str:
        """A duration, rounded to the minute: `2 h 05 min`."""
        hours, rest = divmod(round(minutes), 60)
        hour, minute = ("小时", "分") if self.language == "zh" else ("h", "min")
        if not hours:
            return f"{rest}{_NO_BREAK}{'分钟' if self.language == 'zh' else 'min'}"
        if not rest:
            return f"{hours}{_NO_BREAK}{hour}"
        return f"{hours}{_NO_BREAK}{hour}{_NO_BREAK}{rest:02d}{_NO_BREAK}{minute}"

    def age(self, minutes: float) -> str:
        """How long ago: hours up to two days, then days and hours."""
        hours = int(minutes // 60)
        if hours < 1:
            return self.minutes(minutes)
        days, rest = divmod(hours, 24)
        hour, day = ("小时", "天") if self.language == "zh" else ("h", "d")
        if hours < 48:
            return f"{hours}{_NO_BREAK}{hour}"
        return f"{days}{_NO_BREAK}{day}{_NO_BREAK}{rest}{_NO_BREAK}{hour}"

    def seconds(self, seconds: int) -> str:
        if seconds % 60 == 0:
            return self.minutes(seconds / 60)
        return f"{seconds}{_NO_BREAK}{'秒' if self.language == 'zh' else 's'}"

    def day(self, moment: datetime, zone: str) -> str:
        """`6月18日` or `18 June`."""
        local = moment.astimezone(ZoneInfo(zone))
        if self.language == "zh":
            return f"{local.month}月{local.day}日"
        return f"{local.day} {_MONTHS[local.month - 1]}"

    def clock(self, moment: datetime, zone: str) -> str:
        """`05:20`, in the place's zone."""
        return f"{moment.astimezone(ZoneInfo(zone)):%H:%M}"

    def moment(self, moment: datetime, zone: str) -> str:
        """`6月18日 05:20` or `18 June, 05:20`."""
        separator = " " if self.language == "zh" else ", "
        return f"{self.day(moment, zone)}{separator}{self.clock(moment, zone)}"
