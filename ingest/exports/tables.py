"""Tables of any maker: rows of cells, of which some begin with a preamble -> an `Export`.

Contract: the readings begin where rows begin to hold a moment and a number; the heading is what stands above them. Every column of
temperature is one of the export's, under its heading; what is none is passed over and said. Rows are never dropped in silence.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from ingest.exports import cells, clock, headings, moments
from ingest.exports.exported import Column, Export, ExportError, Floats, Integers, Line, Mask
from ingest.exports.moments import NEVER, DateOrder, Moments

Row = Sequence[object]
_LOOKED_AT = 500
_MOST_SOURCES = 200
_WANTED = (
    "want a heading row with a column of times and one or more of temperatures, as in `time,temperature (°C)`"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What whoever asks says of the export. `unit`: C or F, of what says none; `columns`: only these, by heading; `zone`: where the clock
    stood; `date_order`: where a date could be read two ways."""

    unit: str | None = None
    columns: tuple[str, ...] = ()
    zone: ZoneInfo | None = None
    date_order: DateOrder | None = None


@dataclass(frozen=True, slots=True)
class _Layout:
    """`first`: the row where readings begin; `when`: places of the moment (one) or of date and time (two); `names`, and `said`, which is all
    that stands above a column: by place."""

    first: int
    when: tuple[int, ...]
    names: Mapping[int, str]
    said: Mapping[int, str]
    width: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One column of one source, as far as it has rows. `empty`: where nothing at all stands in place of a reading."""

    name: str
    value_c: Floats
    unit: str | None
    faults: Mapping[str, int]
    empty: Mask


@dataclass(slots=True)
class _Notes:
    said: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.said:
            self.said.append(text)


def quality(rows: Sequence[Row]) -> int:
    """How many rows of a sample hold a moment and a number: of several ways to cut a file into cells, the best has most."""
    return sum(
        1
        for row in rows
        if (when := _when(row)) and any(_is_value(row, place, when) for place in range(len(row)))
    )


def read(rows: Sequence[Row], form: str, asked: Asked) -> Export:
    """Raises ExportError."""
    found = _layout(rows)
    notes = _Notes()
    body = [row for row in rows[found.first :] if any(cell not in (None, "") for cell in row)]
    columns = _by_place(body, found.width)
    when = _read_moments(columns, found.when, asked)
    if when.assumed:
        notes.add(when.assumed)
    known = when.local_ms != NEVER
    if not known.any():
        raise ExportError("no row has a time that can be read")
    if not known.all():
        notes.add(f"{int((~known).sum())} rows without a time that can be read were passed over")
    if form == "csv":
        _no_bare_commas(columns, found)
    places = _temperatures(columns, known, found, asked, notes)
    serial, interval_ms = _preamble(rows[: found.first])
    unit = _stated_unit(rows[: found.first])
    sources = []
    series = _split(columns, known, found, places)
    for name, mask in series:
        own = np.flatnonzero(mask)
        parts = [
            _Part(
                _named(name, found.names[place], len(places), len(series)),
                *_values([columns[place][at] for at in own.tolist()], found.said[place], unit, asked),
            )
            for place in places
        ]
        sources.append((own, parts))
    return _export(form, serial, interval_ms, when, sources, asked, notes)


# --- where the readings are ------------------------------------------------------------------------------------


def _layout(rows: Sequence[Row]) -> _Layout:
    first = next(
        (
            at
            for at, row in enumerate(rows[:_LOOKED_AT])
            if any(_begins(rows, at, when) for when in _whens(row))
        ),
        None,
    )
    if first is None:
        raise ExportError(f"no row holds a time and a reading: {_WANTED}")
    possible = [when for when in _whens(rows[first]) if _begins(rows, first, when)]
    # A serial number may look like seconds since 1970, and a day of calibration is a moment: time is what goes on.
    when = next((each for each in possible if _goes_on(rows[first : first + 20], each)), possible[0])
    width = max(len(row) for row in rows[first : first + _LOOKED_AT])
    return _Layout(first, when, *_names(rows, first, width, when), width)


def _when(row: Row) -> tuple[int, ...]:
    return next(_whens(row), ())


def _whens(row: Row) -> Iterator[tuple[int, ...]]:
    """Where a moment of a row may stand: in one cell, or in one of a date and one of a time of day."""
    for place, cell in enumerate(row):
        if (
            isinstance(cell, datetime)
            and cell.time() == time()
            and place + 1 < len(row)
            and _is_time(row[place + 1])
        ):
            yield place, place + 1
        elif moments.looks_like_moment(cell) or _is_epoch(cell):
            yield (place,)
        elif moments.looks_like_date(cell):
            times = [other for other in range(len(row)) if other != place and _is_time(row[other])]
            if times:  # the next to it, and rather behind it: another may be what has elapsed
                yield place, min(times, key=lambda other: (abs(other - place), other < place))


def _is_time(cell: object) -> bool:
    return isinstance(cell, time | timedelta) or moments.looks_like_time(cell)


_EPOCH = re.compile(r"(1\d{9}|1\d{12}|1\d{15}|1\d{18})(?:\.(\d+))?")


def _is_epoch(cell: object) -> bool:
    """Seconds since 1970, or thousandths, millionths, billionths of them."""
    return (
        isinstance(cell, str | int | float)
        and not isinstance(cell, bool)
        and _EPOCH.fullmatch(str(cell).strip()) is not None
    )


def _epoch_ms(cell: object) -> int:
    found = _EPOCH.fullmatch(str(cell).strip())
    if found is None:
        return NEVER
    return int(f"{found[1]}{found[2] or ''}".ljust(13, "0")[:13])


def _begins(rows: Sequence[Row], at: int, when: tuple[int, ...]) -> bool:
    """A preamble has lines with a moment too; what follows readings are readings."""
    following = [row for row in rows[at : at + 20] if any(cell not in (None, "") for cell in row)]
    same = [row for row in following if when in _whens(row)]
    width = max(len(row) for row in following)
    held = [sum(place < len(row) and _is_value(row, place, when) for row in same) for place in range(width)]
    usual = [place for place, count in enumerate(held) if count and 2 * count >= max(held)]
    first = any(place < len(rows[at]) and _is_value(rows[at], place, when) for place in usual)
    # `Start: 2026-03-01 08:00` stands above a heading and holds no reading; a first row without a reading stands among its like.
    return bool(usual) and 2 * len(same) >= len(following) and (first or len(same) == len(following))


def _goes_on(rows: Sequence[Row], when: tuple[int, ...]) -> bool:
    return len({tuple(str(row[place]) for place in when) for row in rows if when in _whens(row)}) > 1


def _is_value(row: Row, place: int, when: tuple[int, ...]) -> bool:
    return place not in when and (cells.number_of(row[place])[0] is not None or cells.is_fault(row[place]))


def _names(
    rows: Sequence[Row], first: int, width: int, when: tuple[int, ...]
) -> tuple[dict[int, str], dict[int, str]]:
    """By place, the name of each column, and all that is said above it: from the row above the readings, and where that has units
    alone, from the row above it too."""
    above = [row for row in rows[:first] if any(cell not in (None, "") for cell in row)]
    texts = [_word(above[-1], place) if above else "" for place in range(width)]
    said = texts
    beside = [text for place, text in enumerate(texts) if place not in when]
    if len(above) > 1 and any(beside) and all(headings.only_unit(text) for text in beside):
        names = [_word(above[-2], place) for place in range(width)]
        if any(names):
            texts, said = names, [f"{name} {unit}".strip() for name, unit in zip(names, texts, strict=True)]
    named: dict[int, str] = {}
    taken: set[str] = set()
    for place, text in enumerate(texts):
        name = text or f"column {place + 1}"
        if name in taken:
            again = (f"{name} ({count})" for count in itertools.count(2))
            name = next(each for each in again if each not in taken and each not in texts)
        taken.add(name)
        named[place] = name
    return named, dict(enumerate(said))


def _word(row: Row, place: int) -> str:
    if place >= len(row) or row[place] is None or isinstance(row[place], date | time):
        return ""
    return " ".join(str(row[place]).split()).strip("\ufeff").strip()


# --- columns -----------------------------------------------------------------------------------------------------


def _by_place(body: Sequence[Row], width: int) -> list[list[object]]:
    whole = [row if len(row) >= width else [*row, *[None] * (width - len(row))] for row in body]
    return [list(column) for column in zip(*whole, strict=False)][:width]


def _read_moments(columns: Sequence[Sequence[object]], when: tuple[int, ...], asked: Asked) -> Moments:
    if len(when) == 2:
        dates, times = (columns[place] for place in when)
        return moments.read_apart(dates, [_clock_time(cell) for cell in times], asked.date_order)
    column = columns[when[0]]
    if all(_is_epoch(cell) for cell in column[:5]):
        at = np.array([_epoch_ms(cell) for cell in column], np.int64)
        return Moments(at, np.zeros(at.size, np.int64))
    return moments.read(column, asked.date_order)


def _clock_time(cell: object) -> object:
    if isinstance(cell, timedelta):  # a cell of the form [h]:mm
        return (datetime.min + cell % timedelta(days=1)).time().isoformat()
    return cell.isoformat() if isinstance(cell, time) else cell


def _temperatures(
    columns: Sequence[Sequence[object]], known: Mask, found: _Layout, asked: Asked, notes: _Notes
) -> list[int]:
    numeric = [
        place for place in range(found.width) if place not in found.when and _mostly_numbers(columns[place])
    ]
    if asked.columns:
        return _asked_for(numeric, found, asked.columns)
    index = {place for place in numeric if _is_index(columns[place], found.said[place], len(numeric))}
    sources = {
        place for place in numeric if headings.is_source(found.said[place]) and _all_whole(columns[place])
    }
    if index | sources >= set(numeric):
        sources = set()
    roles = {place: headings.role(found.said[place]) for place in numeric if place not in index | sources}
    taken = (
        [place for place, role in roles.items() if role == "temperature"]
        or [place for place, role in roles.items() if role == "unknown"]
        or [place for place in roles if headings.is_state(found.said[place])]
    )
    passed = [found.names[place] for place in roles if place not in taken]
    empty = [
        found.names[place]
        for place in range(found.width)
        if headings.role(found.said[place]) == "temperature"
        and all(cell in (None, "") for cell in columns[place])
    ]
    if empty:
        notes.add(f"without a single reading, and passed over: {', '.join(empty)}")
    if not taken:
        instead = f" (--column takes one of those passed over: {', '.join(passed)})" if passed else ""
        raise ExportError(f"no column holds temperatures: {_WANTED}{instead}")
    if passed:
        notes.add(
            f"passed over, not taken for temperatures: {', '.join(passed)} (--column takes one of them)"
        )
    return taken


def _is_index(column: Sequence[object], heading: str, beside: int) -> bool:
    """The number of the row: whole, and always one more; or rising, under a heading that says so."""
    some = [cells.number_of(cell)[0] for cell in column[:_LOOKED_AT]]
    numbers = [number for number in some if number is not None]
    steps = np.diff(numbers)
    if len(numbers) < len(some) or steps.size == 0 or any(number % 1 for number in numbers):
        return False
    if headings.is_index(heading) and bool(np.all(steps > 0)):
        return True
    # Some write the logger's own name above the numbers of the rows: `Lab Fridge,Time,Celsius(°C)`.
    counted = len(numbers) >= 10 and numbers[0] in (0, 1) and headings.unit(heading) is None
    return beside > 1 and (counted or headings.role(heading) == "unknown") and bool(np.all(steps == 1))


def _all_whole(column: Sequence[object]) -> bool:
    some = [cells.number_of(cell)[0] for cell in column[:_LOOKED_AT]]
    return all(number is not None and number % 1 == 0 for number in some)


def _asked_for(numeric: Sequence[int], found: _Layout, wanted: Sequence[str]) -> list[int]:
    places = []
    for name in wanted:
        place = next((place for place in numeric if found.names[place].casefold() == name.casefold()), None)
        if place is None:
            raise ExportError(
                f"no column of numbers is called {name!r}: there are {', '.join(repr(found.names[place]) for place in numeric)}"
            )
        places.append(place)
    return places


def _no_bare_commas(columns: Sequence[Sequence[object]], found: _Layout) -> None:
    """Refuses `time,temp` above `08:00,5,4`: half of a reading would stand in a column of its own, without a name."""
    for place in range(found.width - 1):
        if place in found.when or place + 1 in found.when or not found.said[place] or found.said[place + 1]:
            continue
        pairs = list(zip(columns[place][:_LOOKED_AT], columns[place + 1][:_LOOKED_AT], strict=True))
        split = [both for both in pairs if both[1] not in (None, "")]
        digits = all(
            isinstance(each, str) and re.fullmatch(r"-?\d+", each.strip()) for both in split for each in both
        )
        if split and 2 * len(split) > len(pairs) and digits:
            raise ExportError(
                f"column {found.names[place]!r}: decimal commas cannot be told from the commas between columns (`{','.join(map(str, split[0]))}`):"
                " export it with semicolons, or with decimal points"
            )


def _mostly_numbers(column: Sequence[object]) -> bool:
    """Numbers, or what stands for one that failed: a column that failed from beginning to end is one of readings still."""
    sample = [cell for cell in column[:_LOOKED_AT] if cell not in (None, "")]
    if not sample:
        return False
    count = sum(cells.number_of(cell)[0] is not None or cells.is_fault(cell) for cell in sample)
    return 2 * count >= len(sample)


def _split(
    columns: Sequence[Sequence[object]], known: Mask, found: _Layout, taken: Sequence[int]
) -> list[tuple[str, Mask]]:
    """Of a table with a row per reading, the rows of each probe. What names one may stand in several columns: of the logger, and of its
    channel."""
    keys, count = np.full(known.size, "", dtype=object), 1
    for place in range(found.width):
        if place in found.when or place in taken or not headings.is_source(found.names[place]):
            continue
        texts = ["" if cell is None else str(cell).strip() for cell in columns[place]]
        finer = np.array(
            [f"{key} {text}".strip() if text else "" for key, text in zip(keys, texts, strict=True)],
            dtype=object,
        )
        names = set(finer[known].tolist()) - {""}
        if count < len(names) <= _MOST_SOURCES:
            keys, count = finer, len(names)
    if count == 1:
        return [("", known)]
    return [(name, known & (keys == name)) for name in dict.fromkeys(keys[known].tolist()) if name]


def _named(source: str, heading: str, columns: int, sources: int) -> str:
    if sources == 1:
        return heading
    return source if columns == 1 else f"{source} {heading}"


def _values(
    column: Sequence[object], heading: str, stated: str | None, asked: Asked
) -> tuple[Floats, str | None, dict[str, int], Mask]:
    value, units, odd = cells.numbers(column)
    if len(units) > 1:
        raise ExportError(f"column {heading!r} has readings in °C and in °F")
    unit = headings.unit(heading) or (units[0] if units else None) or stated
    value_c = cells.celsius(value, unit or asked.unit)
    strange = cells.impossible(value_c)
    if strange.any():
        codes, counts = np.unique(value[strange], return_counts=True)
        odd = dict(odd) | {f"{code:g}": int(count) for code, count in zip(codes, counts, strict=True)}
        value_c = np.where(strange, np.nan, value_c)
    empty = np.array([cell in (None, "") for cell in column], np.bool_)
    return value_c, unit or asked.unit, dict(odd), empty


# --- the preamble -------------------------------------------------------------------------------------------------

_SERIAL = re.compile(r"serial|s/n|序列号|seriennummer|device id|logger id", re.IGNORECASE)
_INTERVAL = re.compile(
    r"\b(?:interval|rate|cycle)\b|(?:log|sampl|record|meas)\w*[ _]?(?:interval|rate|cycle)|(?:sampling|measuring)[ _]period"
    r"|记录间隔|采样间隔|存储间隔|messtakt|intervall",
    re.IGNORECASE,
)
_OTHER_INTERVAL = re.compile(
    r"upload|transm|send|report|alarm|delay|heartbeat|calib|sync|上传|上报|报警|发送|übertrag", re.IGNORECASE
)
_LENGTH = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*(h|hours?|std|m|mins?|minutes?|minuten|分钟|分|s|secs?|seconds?|sekunden|秒)\b\.?",
    re.IGNORECASE,
)
_HMS = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})")


def _preamble(rows: Sequence[Row]) -> tuple[str | None, int | None]:
    """Serial number, and how often the logger was set to measure."""
    serial: str | None = None
    interval_ms: int | None = None
    for row in rows[:200]:
        texts = [_word(row, place) for place in range(len(row))]
        written = [text for text in texts if text]
        if not written:
            continue
        name, _, rest = (
            written[0].partition(":") if len(written) == 1 else (written[0], "", " ".join(written[1:]))
        )
        if serial is None and _SERIAL.search(name) and rest.strip():
            serial = rest.strip()
        if interval_ms is None and _INTERVAL.search(name) and not _OTHER_INTERVAL.search(name):
            interval_ms = _length_ms(rest)
    return serial, interval_ms


def _length_ms(text: str) -> int | None:
    if found := _HMS.search(text):
        hours, minutes, seconds = (int(part) for part in found.groups())
        return (hours * 3600 + minutes * 60 + seconds) * 1000 or None
    total = 0.0
    for number, unit in _LENGTH.findall(text):
        scale = {
            "h": 3_600_000,
            "m": 60_000,
            "分": 60_000,
            "s": 3_600_000 if unit.casefold() == "std" else 1000,
            "秒": 1000,
        }[unit[0].casefold()]
        total += float(number.replace(",", ".")) * scale
    return round(total) or None


def _stated_unit(rows: Sequence[Row]) -> str | None:
    """A preamble's `Temperature unit: °F`."""
    for row in rows[:200]:
        text = " ".join(_word(row, place) for place in range(len(row)))
        if re.search(r"unit|einheit|单位", text, re.IGNORECASE) and (
            found := re.search(r"(?:°|º|\b)([CF])(?:elsius|ahrenheit)?\b|(℃|℉)", text)
        ):
            said = found[1] or found[2]
            return "F" if said in "F℉" else "C"
    return None


# --- together -----------------------------------------------------------------------------------------------------


def _export(
    form: str,
    serial: str | None,
    interval_ms: int | None,
    when: Moments,
    sources: Sequence[tuple[Integers, Sequence[_Part]]],
    asked: Asked,
    notes: _Notes,
) -> Export:
    """`sources`: of each, its rows and what stands in them."""
    found = [_in_time(when, rows, parts, asked, notes) for rows, parts in sources]
    whole = _whole([line for line, _ in found])
    columns = []
    for line, parts in found:
        for part in parts:
            due = ~_between_readings(line.time_ms, part)
            rows = np.isin(whole.time_ms, line.time_ms[due])
            value = np.full(rows.size, np.nan)
            value[rows] = part.value_c[due]
            columns.append(Column(part.name, part.unit, value, part.faults, rows))
    steps = [float(np.median(np.diff(line.time_ms))) for line, _ in found if line.time_ms.size > 2]
    if interval_ms is not None and steps and interval_ms > 1.5 * min(steps):
        notes.add(
            f"it says that it measured every {interval_ms / 60_000:g} minutes, and its rows are nearer together: the rows were believed"
        )
        interval_ms = None
    return Export(form, serial, whole, tuple(columns), interval_ms, notes=tuple(notes.said))


def _in_time(
    when: Moments, rows: Integers, parts: Sequence[_Part], asked: Asked, notes: _Notes
) -> tuple[Line, list[_Part]]:
    """The rows of one source on its line of time, each moment once."""
    offset_ms = None if when.offset_ms is None else when.offset_ms[rows]
    found = clock.line_up(when.local_ms[rows], offset_ms, None if offset_ms is not None else asked.zone)
    for note in found.notes:
        notes.add(note)
    kept, values, differing = clock.once(found.line.time_ms, [part.value_c[found.order] for part in parts])
    if differing:
        notes.add(f"{differing} moments have two readings that differ: taken as unknown")
    return only(found.line, kept), [
        replace(part, value_c=value, empty=part.empty[found.order][kept])
        for part, value in zip(parts, values, strict=True)
    ]


def _between_readings(time_ms: Integers, part: _Part) -> Mask:
    """bool[n]: rows of another kind, as of a button that was pressed: nothing stands there, and the readings about it follow each other
    in the usual step, so that none was due."""
    mask = np.zeros(time_ms.size, np.bool_)
    at = time_ms[~np.isnan(part.value_c)]
    empty = np.flatnonzero(part.empty & np.isnan(part.value_c))
    if at.size < 3 or not empty.size:
        return mask
    longest = 1.25 * float(np.median(np.diff(at)))
    following = np.searchsorted(at, time_ms[empty])
    # Before the first reading and after the last one, from that one.
    before = np.where(following > 0, at[np.maximum(following - 1, 0)], time_ms[empty])
    after = np.where(following < at.size, at[np.minimum(following, at.size - 1)], time_ms[empty])
    mask[empty] = after - before <= longest
    return mask


def _whole(lines: Sequence[Line]) -> Line:
    """One line of all moments of several."""
    if len(lines) == 1:
        return lines[0]
    time_ms, at = np.unique(np.concatenate([line.time_ms for line in lines]), return_index=True)
    offsets = [line.offset_ms for line in lines if line.offset_ms is not None]
    return Line(
        time_ms,
        np.concatenate([line.local_ms for line in lines])[at],
        np.concatenate(offsets)[at] if offsets else None,
    )


def only(line: Line, kept: Mask) -> Line:
    """Some of its moments."""
    offset: Integers | None = None if line.offset_ms is None else line.offset_ms[kept]
    return Line(line.time_ms[kept], line.local_ms[kept], offset)
