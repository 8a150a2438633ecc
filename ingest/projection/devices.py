"""Where devices sat: the placements of their series, from the events that installed and removed them."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest.projection.rows import PlacementRow, maybe, moment
from ledger import recorded
from ledger.genealogy import Placement, placements


def project_placements(conn: psycopg.Connection, concerned: Iterable[str]) -> list[PlacementRow]:
    """Returns the rows that came or went. A device (GIAI) or channel that is not registered has no series and no row."""
    devices = sorted(set(concerned))
    if not devices:
        return []
    series: dict[str, list[tuple[str, int, str]]] = {}
    for giai, channel, identity, organisation in conn.execute(
        "SELECT device.giai, series.channel, series.id, series.organisation"
        " FROM device JOIN series ON series.device_id = device.id WHERE device.giai = ANY (%s)",
        [devices],
    ):
        series.setdefault(giai, []).append((channel, identity, organisation))
    fresh = {
        PlacementRow(
            identity,
            organisation,
            row.parent,
            row.probe_position or "unknown",
            moment(start),
            maybe(end),
            conflict,
        )
        for row in placements(recorded.naming(conn, devices))
        for channel, identity, organisation in series.get(row.device, ())
        if row.channel in (None, channel)
        for start, end, conflict in _spells(row)
    }
    ids = sorted(identity for channels in series.values() for _, identity, _ in channels)
    standing = {
        PlacementRow(row[0], row[1], row[2], row[3], row[4].lower, row[4].upper, row[5])
        for row in conn.execute(
            "SELECT series_id, organisation, parent, probe_position, valid, conflict FROM placement WHERE series_id = ANY (%s)",
            [ids],
        )
    }
    if fresh == standing:
        return []
    conn.execute("DELETE FROM placement WHERE series_id = ANY (%s)", [ids])
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict) VALUES (%s, %s, %s, %s, %s, %s)",
            [
                [
                    row.series,
                    row.organisation,
                    row.parent,
                    row.probe_position,
                    TimestamptzRange(row.start, row.end),
                    row.conflict,
                ]
                for row in fresh
            ],
        )
    return list(fresh ^ standing)


def _spells(row: Placement) -> list[tuple[int, int | None, bool]]:
    """The placement cut where the same channel was also said to be elsewhere: only those minutes are in conflict."""
    found: list[tuple[int, int | None, bool]] = []
    at: int | None = row.start_ms
    for start, end in sorted(row.conflicts, key=lambda spell: spell[0]):
        if at is not None and start > at:
            found.append((at, start, False))
        found.append((start, end, True))
        at = end
    if at is not None and (row.end_ms is None or at < row.end_ms):
        found.append((at, row.end_ms, False))
    return found
