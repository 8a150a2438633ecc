"""Detection: touched series -> the limits in force on them -> excursions, reconciled with what is stored.

Contract: the result depends on the stored readings, placements and presences alone, so any batching, order,
repetition or restart gives the same excursions: those of `find_excursions` over all readings, which is what this would be
if time were no matter. A step looks at all touched series together and, of each, only at what the touch reaches
(`reach.py`), or at what came since the last snapshot (`snapshots.py`). An excursion is never deleted: it is extended,
merged or voided as a new version under its id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import psycopg

from ingest import excursion_rows, inforce, marks, retention, series_reading, snapshots
from ingest.coldchain.excursions import EVER, Changes, IntArray, Run, reconcile
from ingest.coldchain.limits import Limit
from ingest.coldchain.setwise import Bounds, Carried, Judged
from ingest.excursion_rows import Change
from ingest.reach import Measured, Reach, Row, Stretch, around, going_on
from ingest.series_reading import SeriesReadings, bounded
from ingest.snapshots import Snapshot

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAG: Final = 32
"""A snapshot stays so many readings behind the newest: those that come in another order than they were measured in, as from
two workers, do not fall before it."""
NEAR_MS: Final = 86_400_000
LONGEST_MS: Final = 2 * NEAR_MS
"""Stretches of a series that lie so near to each other are looked at together, and no longer than that; the newest first, one a
step. A device that sends something of last year must not make anybody read all the year."""
BUDGET: Final = 1_000_000
"""Readings a step looks at, about; the series it does not come to are marked again, and what is new comes between."""


@dataclass(frozen=True, slots=True)
class Touch:
    """`first_ms`, `last_ms`: inclusive. `whole`: what was in force may have changed, from the first on and for ever."""

    first_ms: int
    last_ms: int
    whole: bool

    def joined(self, other: Touch) -> Touch:
        return Touch(
            min(self.first_ms, other.first_ms), max(self.last_ms, other.last_ms), self.whole or other.whole
        )


def step(conn: psycopg.Connection, now: datetime) -> bool:
    parts = _touched(marks.take(conn, "detection"))
    if not parts:
        return False
    touched = {series: some[-1] for series, some in parts.items()}
    _mark_again(conn, [(series, part) for series, some in parts.items() for part in some[:-1]], now)
    limits = {key: limit for key, limit in inforce.read_limits(conn).items() if _is_judged_here(limit)}
    measured = _read_series(conn, sorted(touched), limits)
    known = snapshots.read(conn, sorted(measured))
    since_ms = retention.whole_since_ms(conn)
    now_, later = _affordable(measured, touched, known, now)
    _mark_again(conn, [(series, touched[series]) for series in later], now)
    reaches = _reach(conn, [measured[series] for series in now_], touched, known, since_ms)
    _judge(conn, reaches, touched, since_ms, now)
    return True


def _touched(taken: Iterable[marks.Mark]) -> dict[int, list[Touch]]:
    """Of each series what is to be looked at, in the order of time."""
    touched: dict[int, list[Touch]] = defaultdict(list)
    for mark in taken:
        for series, first, last in mark.touched:
            touched[series].append(Touch(_ms(first), _ms(last), mark.reason != "readings"))
    return {series: _parts(touches) for series, touches in touched.items()}


def _parts(touches: Iterable[Touch]) -> list[Touch]:
    parts: list[Touch] = []
    for touch in sorted(touches, key=lambda touch: touch.first_ms):
        if parts and _is_of(parts[-1], touch):
            parts[-1] = parts[-1].joined(touch)
        else:
            parts.append(touch)
    return parts


def _is_of(part: Touch, touch: Touch) -> bool:
    """Whether the two are looked at together; `touch` begins later."""
    if part.whole:
        return True  # all that is later is in it
    near = touch.first_ms - part.last_ms <= NEAR_MS
    return near and (touch.whole or touch.last_ms - part.first_ms <= LONGEST_MS)


def _is_judged_here(limit: Limit) -> bool:
    """A cumulative limit is a portion's: its minutes add up over all the places the portion was in, so the sum of one
    series in one place says nothing of it. The portion's verdict judges it."""
    return limit.mode != "cumulative"


def _read_series(
    conn: psycopg.Connection, ids: Sequence[int], limits: Mapping[tuple[str, int], Limit]
) -> dict[int, Measured]:
    rows = conn.execute(
        "SELECT series.id, series.organisation, device.interval_s * 1000 FROM series JOIN device ON device.id = series.device_id"
        " WHERE series.id = ANY (%s) AND series.quantity = 'temperature' ORDER BY series.id",
        [list(ids)],
    ).fetchall()
    force: dict[int, list[tuple[Limit, Stretch]]] = defaultdict(list)
    for (series, key), stretches in inforce.read(conn, [row[0] for row in rows], limits.values()).items():
        force[series] += [(limits[key], stretch) for stretch in stretches]
    return {row[0]: Measured(row[0], row[1], row[2], tuple(force[row[0]])) for row in rows}


# --- what a step takes on -------------------------------------------------------------------------------------------


def _affordable(
    measured: Mapping[int, Measured],
    touched: Mapping[int, Touch],
    known: Mapping[int, Snapshot],
    now: datetime,
) -> tuple[list[int], list[int]]:
    """The series to look at now, the cheapest first, and those for later. At least one is taken, and one that is dear as soon
    as the others leave it half of the budget."""
    cost = {
        series: _cost(each, touched[series], known.get(series), _ms(now)) for series, each in measured.items()
    }
    taken: list[int] = []
    spent = 0
    order = sorted(cost, key=lambda series: (cost[series], series))
    for series in order:
        if taken and spent + cost[series] > BUDGET and spent > BUDGET // 2:
            break
        taken.append(series)
        spent += cost[series]
    return sorted(taken), sorted(order[len(taken) :])


def _cost(series: Measured, touch: Touch, known: Snapshot | None, now_ms: int) -> int:
    """Readings, about: by the interval that is configured."""
    if not series.force or _goes_on(series, touch, known):
        return 2 * LAG
    first, last = _interval(series, touch, known)
    begin = max(first, min(start for _, (start, _) in series.force), 0)
    return max(0, min(last, now_ms) - begin) // series.interval_ms + 2 * LAG


def _mark_again(conn: psycopg.Connection, later: Sequence[tuple[int, Touch]], now: datetime) -> None:
    for whole, reason in ((False, "readings"), (True, "placement")):
        some = [
            (series, _datetime(touch.first_ms), _datetime(touch.last_ms))
            for series, touch in later
            if touch.whole == whole
        ]
        marks.leave_stretches(conn, some, now, reason=reason, consumers=("detection",))


def _goes_on(series: Measured, touch: Touch, known: Snapshot | None) -> bool:
    return (
        known is not None
        and not touch.whole
        and touch.first_ms > known.at_ms
        and known.interval_ms == series.interval_ms
    )


def _interval(series: Measured, touch: Touch, known: Snapshot | None) -> Stretch:
    """What is touched, where the snapshot does not serve."""
    if known is not None and known.interval_ms != series.interval_ms:
        return -EVER, EVER  # what counts as a gap has changed everywhere
    return touch.first_ms, EVER if touch.whole or known is None else touch.last_ms


def _reach(
    conn: psycopg.Connection,
    measured: Sequence[Measured],
    touched: Mapping[int, Touch],
    known: Mapping[int, Snapshot],
    since_ms: int,
) -> list[Reach]:
    on = [
        (series, known[series.id])
        for series in measured
        if _goes_on(series, touched[series.id], known.get(series.id))
    ]
    reaches, contradicted = going_on(conn, on, since_ms)
    going = {series.id for series, _ in on}
    others = [
        (series, _interval(series, touched[series.id], known.get(series.id)))
        for series in measured
        if series.id not in going
    ]
    return reaches + around(conn, others + contradicted, known, since_ms)


# --- judging ----------------------------------------------------------------------------------------------------------


def _judge(
    conn: psycopg.Connection,
    reaches: Sequence[Reach],
    touched: Mapping[int, Touch],
    since_ms: int,
    now: datetime,
) -> None:
    looked = [reach for reach in reaches if reach.rows]
    found = dict(
        zip(
            (reach.series.id for reach in looked),
            series_reading.read_many(conn, [(reach.series.id, *reach.read) for reach in looked]),
            strict=True,
        )
    )
    gone = [
        reach for reach in looked if reach.snapshot and not _begins_at(found[reach.series.id], reach.snapshot)
    ]
    _begin_anew(conn, gone, touched, now)
    lost = {reach.series.id for reach in gone}
    reaches = [reach for reach in reaches if reach.series.id not in lost]
    looked = [reach for reach in looked if reach.series.id not in lost]

    rows = [(reach, row) for reach in looked for row in reach.rows]
    judged = _judged(rows, found)
    runs: dict[tuple[int, tuple[str, int]], list[Run]] = defaultdict(list)
    for place, run in judged.runs():
        reach, row = rows[place]
        runs[reach.series.id, row.limit.key].append(run)
    frozen = _frozen(conn, runs, since_ms)
    changed = [
        Change(reach.series.organisation, (reach.series.id, limit), changes)
        for reach in reaches
        for limit in sorted({*reach.standing, *(row.limit.key for row in reach.rows)})
        if (changes := _changes(reach, limit, runs, frozen))
    ]
    excursion_rows.write(conn, changed, now)
    marks.leave(conn, _excited(changed), now, reason="excursion", consumers=("sealing",))
    _keep_snapshots(conn, reaches, rows, judged, found)


def _begins_at(readings: SeriesReadings, snapshot: Snapshot) -> bool:
    return bool(readings.time_ms.size) and int(readings.time_ms[0]) == snapshot.at_ms


def _begin_anew(
    conn: psycopg.Connection, gone: Sequence[Reach], touched: Mapping[int, Touch], now: datetime
) -> None:
    """Series whose reading that the snapshot was taken at is no longer there: without it they are looked at again."""
    snapshots.drop(conn, [reach.series.id for reach in gone])
    _mark_again(conn, [(reach.series.id, touched[reach.series.id]) for reach in gone], now)


def _judged(rows: Sequence[tuple[Reach, Row]], found: Mapping[int, SeriesReadings]) -> Judged:
    times, values, sizes = [], [], []
    carried = {}
    for place, (reach, row) in enumerate(rows):
        readings = found[reach.series.id]
        begin, end = np.searchsorted(readings.time_ms, [row.first_ms, row.last_ms + 1])
        times.append(readings.time_ms[begin:end])
        values.append(readings.value[begin:end])
        sizes.append(end - begin)
        if reach.snapshot is not None and row.limit.key in reach.snapshot.runs:
            carried[place] = reach.snapshot.runs[row.limit.key]
    return Judged(
        Bounds.of([row.limit for _, row in rows], [reach.series.interval_ms for reach, _ in rows], [row.stretch for _, row in rows]),
        np.repeat(np.arange(len(rows)), sizes),
        np.concatenate([np.empty(0, np.int64), *times]),
        np.concatenate([np.empty(0), *values]),
        carried,
    )  # fmt: skip


def _frozen(
    conn: psycopg.Connection, runs: Iterable[tuple[int, tuple[str, int]]], since_ms: int
) -> Mapping[tuple[int, tuple[str, int]], list[Stretch]]:
    """What stands from before the readings that are left, where a run could be the rest of it."""
    series = sorted({series for series, _ in runs})
    if not series or since_ms <= 0:
        return {}
    standing = excursion_rows.standing(conn, [(each, since_ms, since_ms) for each in series])
    return {
        pair: [(each.start_ms, EVER if each.end_ms is None else each.end_ms) for each in some if each.live and each.start_ms < since_ms]
        for pair, some in standing.items()
    }  # fmt: skip


def _changes(
    reach: Reach,
    limit: tuple[str, int],
    runs: Mapping[tuple[int, tuple[str, int]], Sequence[Run]],
    frozen: Mapping[tuple[int, tuple[str, int]], Sequence[Stretch]],
) -> Changes:
    pair = (reach.series.id, limit)
    mine = [
        run
        for run in runs.get(pair, ())
        if not any(run.start_ms < end and (run.end_ms or EVER) > start for start, end in frozen.get(pair, ()))
    ]
    return reconcile(reach.standing.get(limit, ()), mine)


def _excited(changed: Iterable[Change]) -> marks.Touched:
    """What opened, or gave reason to be told again, is sealed at once: evidence should not wait for its hour."""
    excited: marks.Touched = {}
    for each in changed:
        runs = [
            *each.changes.opened,
            *(
                extension.run
                for extension in each.changes.extended
                if extension.grew and extension.run.closed_by
            ),
        ]
        if runs:
            first = _datetime(min(run.start_ms for run in runs))
            last = _datetime(max(run.last_ms for run in runs))
            known = excited.get(each.pair[0], (first, last))
            excited[each.pair[0]] = min(first, known[0]), max(last, known[1])
    return excited


def _keep_snapshots(
    conn: psycopg.Connection,
    reaches: Sequence[Reach],
    rows: Sequence[tuple[Reach, Row]],
    judged: Judged,
    found: Mapping[int, SeriesReadings],
) -> None:
    at = {reach.series.id: _snapshot_at(reach, found.get(reach.series.id)) for reach in reaches}
    places = [place for place, (reach, _) in enumerate(rows) if at[reach.series.id] is not None]
    times: IntArray = np.array([at[rows[place][0].series.id] for place in places], np.int64)
    stood: dict[int, dict[tuple[str, int], Carried]] = defaultdict(dict)
    for number, carried in judged.standing(np.array(places, np.int64), times):
        reach, row = rows[places[number]]
        stood[reach.series.id][row.limit.key] = carried
    intervals = {reach.series.id: reach.series.interval_ms for reach in reaches}
    snapshots.write(
        conn,
        {
            series: Snapshot(time_ms, intervals[series], stood[series])
            for series, time_ms in at.items()
            if time_ms is not None
        },
    )
    to_the_end = [reach.series.id for reach in reaches if reach.snapshot is None and reach.touched[1] >= EVER]
    snapshots.drop(conn, [series for series in to_the_end if at[series] is None])


def _snapshot_at(reach: Reach, readings: SeriesReadings | None) -> int | None:
    """The reading to take a new snapshot at; None where the old one stays, or none can be taken."""
    if readings is None or not readings.time_ms.size:
        return None
    place = readings.time_ms.size - 1 - LAG
    if reach.snapshot is not None:
        return int(readings.time_ms[place]) if place >= LAG else None
    if reach.known_ms is None:
        return None
    known = int(np.searchsorted(readings.time_ms, reach.known_ms))
    place = max(place, known)
    return int(readings.time_ms[place]) if place < readings.time_ms.size else None


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _datetime(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=bounded([time_ms])[0])
