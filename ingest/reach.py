"""How far a touch reaches: which readings must be looked at again, and which standing excursions against them.

In the line: touched series -> here -> detection reads and judges that and nothing else.

The argument. A run is a sequence of consecutive readings beyond a limit inside one stretch in force; it rests on its
readings, on the one before, on the one after and on the bounds of the stretch. Let p be the last reading before the touched
interval that is in force and inside the limit, and q the first behind it. Neither was touched, and no run crosses either.
So a run outside [p, q] has all it rests on outside the touched interval, and is what it was; every other lies wholly within.
Where there is no p the stretch's begin stands in its place, where there is no q its end. What stands must be looked at
whole, so an excursion that goes beyond [p, q] (its readings came, and their marks are still to be taken) widens the touched
interval, until none does. And where a snapshot says what all readings up to one before the touched interval come to, that
reading is p for every limit at once.

Readings before `since_ms` may have been dropped by age. No run is looked for there, and an excursion that began there stays
as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from ingest import excursion_rows
from ingest.coldchain.excursions import EVER, StoredExcursion
from ingest.coldchain.limits import Limit
from ingest.coldchain.setwise import Bounds
from ingest.excursion_rows import Pair
from ingest.series_reading import bounded, stamp
from ingest.snapshots import Snapshot

NEAR_MS: Final = 2 * 86_400_000
Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """A series as detection needs it, with the limits in force on it and when."""

    id: int
    organisation: str
    interval_ms: int
    force: tuple[tuple[Limit, Stretch], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One limit in one stretch in force, and the readings to judge by it: first to last, UTC ms, both inclusive."""

    limit: Limit
    stretch: Stretch
    first_ms: int
    last_ms: int

    def meets(self, excursion: StoredExcursion) -> bool:
        """Whether it lies in between: one that ends where this begins has nothing in it."""
        return excursion.start_ms < self.last_ms and end_of(excursion) > self.first_ms


@dataclass(frozen=True, slots=True)
class Reach:
    """Of one series. `touched`: first and last, UTC ms. `snapshot`: judged from there. `known`: the latest p of its rows,
    from which on it is known what is beyond which limit; None where that is not so to the newest reading."""

    series: Measured
    touched: Stretch
    rows: tuple[Row, ...]
    standing: Mapping[tuple[str, int], tuple[StoredExcursion, ...]]
    snapshot: Snapshot | None = None
    known_ms: int | None = None

    @property
    def read(self) -> Stretch:
        return min(row.first_ms for row in self.rows), max(row.last_ms for row in self.rows)


def end_of(excursion: StoredExcursion) -> int:
    """Its end; of an open one never, of a voided one that had none its trigger."""
    if excursion.end_ms is not None:
        return excursion.end_ms
    return EVER if excursion.live else excursion.trigger_ms


def going_on(
    conn: psycopg.Connection, wanted: Sequence[tuple[Measured, Snapshot]], since_ms: int
) -> tuple[list[Reach], list[tuple[Measured, Stretch]]]:
    """From their snapshots on. Also returns series whose standing excursions say something else than the snapshot, with the
    interval to look at."""
    asked = [(series.id, _begin(known), EVER) for series, known in wanted]
    standing = _of_series(excursion_rows.standing(conn, asked), since_ms)
    reaches, contradicted = [], []
    for series, known in wanted:
        mine = standing.get(series.id, {})
        odd = [
            each.start_ms
            for limit, excursions in mine.items()
            for each in excursions
            if each.live
            and each.start_ms < (known.runs[limit].start_ms if limit in known.runs else known.at_ms)
        ]
        if odd:
            contradicted.append((series, (min(odd), EVER)))
            continue
        rows = tuple(
            Row(limit, (start, end), max(known.at_ms, start), EVER)
            for limit, (start, end) in series.force
            if end > known.at_ms
        )
        reaches.append(Reach(series, (known.at_ms, EVER), rows, mine, known))
    return reaches, contradicted


def _begin(known: Snapshot) -> int:
    return min([known.at_ms, *(run.start_ms for run in known.runs.values())])


def around(
    conn: psycopg.Connection,
    wanted: Sequence[tuple[Measured, Stretch]],
    snapshots: Mapping[int, Snapshot],
    since_ms: int,
) -> list[Reach]:
    """Around (series, touched). A snapshot that the reach stays below remains what it was; else it goes to the end."""
    settled: list[Reach] = []
    while wanted:
        looked = _look(conn, wanted, since_ms)
        hulls = [(reach.series.id, *_hull(reach.touched, reach.rows)) for reach in looked]
        standing = _of_series(excursion_rows.standing(conn, hulls), since_ms)
        wanted = []
        for reach in looked:
            reach = replace(reach, standing=_met(reach, standing.get(reach.series.id, {})))
            widened = _widened(reach, snapshots.get(reach.series.id))
            if widened == reach.touched:
                settled.append(reach)
            else:
                wanted.append((reach.series, widened))
    return settled


def _look(conn: psycopg.Connection, wanted: Sequence[tuple[Measured, Stretch]], since_ms: int) -> list[Reach]:
    """With the rows that meet the touched interval, out to their p and q."""
    places: list[tuple[int, int, Limit, Stretch]] = []
    for place, (series, (first, last)) in enumerate(wanted):
        for limit, (start, end) in series.force:
            if end > since_ms and start <= last and end >= first:
                places.append((place, series.id, limit, (max(start, since_ms), end)))
    behind, ahead = [], []
    for place, series_id, limit, (start, end) in places:
        first, last = wanted[place][1]
        behind.append((series_id, limit, start, min(first, end), False))
        ahead.append((series_id, limit, max(last + 1, start), end, True))
    before, after = _inside(conn, behind), _inside(conn, ahead)
    rows: list[list[Row]] = [[] for _ in wanted]
    known: list[list[int]] = [[] for _ in wanted]
    for (place, _, limit, (start, end)), p, q in zip(places, before, after, strict=True):
        rows[place].append(Row(limit, (start, end), start if p is None else p, end if q is None else q))
        known[place].append(start if p is None else p)
    return [
        Reach(series, stretch, tuple(rows[place]), {}, None, max(known[place], default=None) if stretch[1] >= EVER else None)
        for place, (series, stretch) in enumerate(wanted)
    ]  # fmt: skip


def _met(reach: Reach, standing: _Standing) -> _Standing:
    """Of what stands near a series: what each of its limits must answer for."""
    first, last = reach.touched
    found = {
        limit: tuple(
            each
            for each in excursions
            if (each.start_ms <= last and end_of(each) >= first)
            or any(row.meets(each) for row in reach.rows if row.limit.key == limit)
        )
        for limit, excursions in standing.items()
    }
    return {limit: excursions for limit, excursions in found.items() if excursions}


def _widened(reach: Reach, known: Snapshot | None) -> Stretch:
    """The touched interval, out to what stands beyond what would be looked at."""
    first, last = reach.touched
    for limit, excursions in reach.standing.items():
        begin, end = _hull(reach.touched, [row for row in reach.rows if row.limit.key == limit])
        live = [each for each in excursions if each.live]
        first = min([first, *(each.start_ms for each in live if each.start_ms < begin)])
        last = max([last, *(end_of(each) for each in live if end_of(each) > end)])
    if known is not None and _hull((first, last), reach.rows)[1] >= known.at_ms:
        last = EVER
    return first, last


def _hull(touched: Stretch, rows: Iterable[Row]) -> Stretch:
    first, last = touched
    for row in rows:
        first, last = min(first, row.first_ms), max(last, row.last_ms)
    return first, last


_Standing = Mapping[tuple[str, int], tuple[StoredExcursion, ...]]


def _of_series(standing: Mapping[Pair, Sequence[StoredExcursion]], since_ms: int) -> dict[int, _Standing]:
    found: dict[int, dict[tuple[str, int], tuple[StoredExcursion, ...]]] = {}
    for (series, limit), excursions in standing.items():
        mine = tuple(each for each in excursions if each.start_ms >= since_ms)
        if mine:
            found.setdefault(series, {})[limit] = mine
    return dict(found)


# --- p and q ------------------------------------------------------------------------------------------------------

_INSIDE = """
SELECT place, (extract(epoch FROM CASE WHEN forward THEN
  (SELECT time FROM reading_store AS store WHERE store.series_id = wanted.series_id AND time >= first AND time < last
     AND time >= %(first)s::timestamptz AND time < %(last)s::timestamptz
     AND (value * side < threshold OR (strict AND value * side = threshold)) ORDER BY time LIMIT 1)
ELSE
  (SELECT time FROM reading_store AS store WHERE store.series_id = wanted.series_id AND time >= first AND time < last
     AND time >= %(first)s::timestamptz AND time < %(last)s::timestamptz
     AND (value * side < threshold OR (strict AND value * side = threshold)) ORDER BY time DESC LIMIT 1)
END) * 1000)::bigint
FROM (SELECT series_id, side, threshold, strict, forward, place, timestamptz 'epoch' + first * INTERVAL '1 millisecond' AS first,
             timestamptz 'epoch' + last * INTERVAL '1 millisecond' AS last
      FROM unnest(%(series)b::integer[], %(side)b::float8[], %(threshold)b::float8[], %(strict)b::boolean[], %(forward)b::boolean[],
                  %(firsts)b::bigint[], %(lasts)b::bigint[], %(places)b::integer[])
        AS sent (series_id, side, threshold, strict, forward, first, last, place) OFFSET 0) AS wanted
"""


def _inside(
    conn: psycopg.Connection, wanted: Sequence[tuple[int, Limit, int, int, bool]]
) -> list[int | None]:
    """Of (series, limit, first, last exclusive, forward): the reading inside the limit that is nearest to where it looks
    from. Near first: a question without bounds opens every chunk there is."""
    found: list[int | None] = [None] * len(wanted)
    open_ended = [place for place, (_, _, first, last, _) in enumerate(wanted) if first < last]
    for reach in (NEAR_MS, EVER):
        asked = [(place, *wanted[place]) for place in open_ended if found[place] is None]
        near = [
            (place, series, limit, first if forward else max(first, last - reach), min(last, first + reach) if forward else last, forward)
            for place, series, limit, first, last, forward in asked
        ]  # fmt: skip
        for place, time_ms in _ask_inside(conn, near):
            found[place] = time_ms
    return found


def _ask_inside(
    conn: psycopg.Connection, wanted: Sequence[tuple[int, int, Limit, int, int, bool]]
) -> Iterable[tuple[int, int | None]]:
    if not wanted:
        return []
    place, series, limits, first, last, forward = zip(*wanted, strict=True)
    bounds = Bounds.of(limits, [1] * len(limits), [(0, 0)] * len(limits))
    firsts, lasts = bounded(first), bounded(last)
    values = {
        "series": list(series), "places": list(place), "forward": list(forward), "firsts": firsts, "lasts": lasts,
        "side": bounds.side.tolist(), "threshold": bounds.threshold_c.tolist(), "strict": bounds.strict.tolist(),
        "first": stamp(min(firsts)), "last": stamp(max(lasts)),
    }  # fmt: skip
    return conn.execute(_INSIDE, values, prepare=False).fetchall()
