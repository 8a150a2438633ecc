"""Times as files write them -> UTC milliseconds. Whole columns at once; a cell at a time only where a column is mixed.

Contract: a time without an offset needs a zone, which is given and never guessed. One that the zone has twice, or not at all
(the hours in which clocks change), is refused: either reading of it could be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ingest.backfill.frames import FileError, Integers

NEVER = np.iinfo(np.int64).min
"""In a column of times: it could not be read."""

_QUARTER_MS = 900_000
_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?", re.ASCII)
_OFFSET = re.compile(r"(?:Z|[+-]\d\d:?\d\d)\Z", re.ASCII)
_ANY = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[ T]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,6})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)  # fmt: skip


def parse(texts: Sequence[str], zone: ZoneInfo | None) -> tuple[Integers, str]:
    """int64[n], UTC ms or NEVER; and what to say of those. Raises FileError where a zone is needed and none is given."""
    try:
        numbers = np.array(texts, dtype=np.float64)
        return from_numbers(numbers), _WANT
    except ValueError:
        pass
    suffix = _OFFSET.search(texts[0])
    offset = suffix[0] if suffix and all(text.endswith(suffix[0]) for text in texts) else ""
    uniform = _uniform([text[: -len(offset)] for text in texts] if offset else texts)
    if uniform is not None:
        return uniform - _offset_ms(offset) if offset else localised(uniform, zone), _WANT
    return np.array([_one(text, zone) for text in texts], np.int64), _WANT


_WANT = (
    "want a time as 2026-06-18T08:05:00+08:00, 2026-06-18 08:05:00 or 2026/6/18 8:05, or seconds or milliseconds since 1970; and no"
    " hour in which the zone's clocks are changed"
)


def _uniform(texts: Sequence[str]) -> Integers | None:
    """A column of one form: by numpy."""
    if not _PLAIN.fullmatch(texts[0]):
        return None
    length = len(texts[0])
    if any(len(text) != length for text in texts) or not all(map(_PLAIN.fullmatch, texts)):
        return None
    try:
        return np.array(texts, dtype="datetime64[ms]").astype(np.int64)
    except ValueError:
        return None


def _one(text: str, zone: ZoneInfo | None) -> int:
    matched = _ANY.fullmatch(text.strip())
    if matched is None:
        return NEVER
    year, month, day, hour, minute = (int(part) for part in matched.groups()[:5])
    try:
        moment = datetime(
            year, month, day, hour, minute, int(matched[6] or 0), int((matched[7] or "0").ljust(6, "0"))
        )
    except ValueError:
        return NEVER
    naive_ms = (moment - _EPOCH) // _MS
    if matched[8] is None:
        return int(localised(np.array([naive_ms], np.int64), zone)[0])
    return naive_ms - _offset_ms(matched[8])


def _offset_ms(text: str) -> int:
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return (-minutes if text[0] == "-" else minutes) * 60_000


def from_numbers(numbers: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Integers:
    """Seconds since 1970, or milliseconds: no device of ours measured in the year 5000."""
    in_seconds = np.abs(numbers) < 1e11
    usable = np.isfinite(numbers) & (np.abs(numbers) < 1e14) & (numbers > 1e8)
    milliseconds = np.where(usable, np.where(in_seconds, numbers * 1000, numbers), 0)
    return np.where(usable, np.rint(milliseconds).astype(np.int64), NEVER)


def localised(naive_ms: Integers, zone: ZoneInfo | None) -> Integers:
    """Local ms of `zone` -> UTC ms."""
    if zone is None:
        raise FileError(
            "the times have no offset: say where the clock stood, as in --time-zone Asia/Shanghai"
        )
    quarters, place = np.unique(naive_ms // _QUARTER_MS, return_inverse=True)
    offsets = np.array([_offset_of(int(quarter) * _QUARTER_MS, zone) for quarter in quarters], np.int64)[
        place
    ]
    return np.where(offsets == NEVER, NEVER, naive_ms - np.where(offsets == NEVER, 0, offsets))


def _offset_of(naive_ms: int, zone: ZoneInfo) -> int:
    try:
        local = (_EPOCH + naive_ms * _MS).replace(tzinfo=zone)
    except OverflowError:
        return NEVER
    first, second = local.utcoffset(), local.replace(fold=1).utcoffset()
    return first // _MS if first is not None and first == second else NEVER


def in_words(time_ms: int) -> str:
    try:
        return (_EPOCH + time_ms * _MS).replace(tzinfo=UTC).isoformat(timespec="milliseconds")
    except OverflowError:
        return f"{time_ms} ms since 1970"
