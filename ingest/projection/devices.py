"""Where devices sat: the placements of their series, from the events that installed and removed them.

In the line: events, and who has what they name -> here -> `placement`. Contract: a device is where its owner says; others are
heard of parents that they have (`ledger.genealogy.placements`): their own places and vehicles, and units whose goods they took in
by then or that they were the first to pack. A place, a vehicle or a crate meets the goods of many: who once took some out of it has
no say there. What is projected of hand-overs must stand before: `associated` names the devices to look at again when it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest.projection.rows import PlacementRow, maybe, moment
from ledger import recorded
from ledger.epcis.events import AssociationEvent
from ledger.epcis.identifiers import canonical
from ledger.genealogy import Placement, RecordedEvent, Say, Voice, base_vehicle, placements


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
    events = recorded.naming(conn, devices)
    owner = {giai: channels[0][2] for giai, channels in series.items()}
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
        for row in placements(events, _voice(conn, events, owner))
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


_ASSOCIATED = """
SELECT DISTINCT child.identifier
FROM event_mention AS held JOIN event ON event.id = held.event AND event.type = 'AssociationEvent'
JOIN event_mention AS child ON child.event = event.id AND child.role = 'device'
JOIN device ON device.giai = child.identifier AND device.organisation <> event.organisation
WHERE held.role = 'parent' AND held.identifier = ANY (%(parents)s)
"""
# Also at a door of theirs, or in a compartment.
_ASSOCIATED_WITHIN = f"""{_ASSOCIATED}   OR held.role = 'parent' AND (split_part(held.identifier, '/254/', 1) = ANY (%(parents)s)
  OR substring(held.identifier FROM '^(.*/8004/[^/]+)[.][^./]+$') = ANY (%(parents)s))
"""


def associated(conn: psycopg.Connection, parents: Collection[str], *, within: bool = False) -> set[str]:
    """Devices that somebody else than their owner said to be, or to be no more, at one of these; `within`: or in a part of one."""
    query = _ASSOCIATED_WITHIN if within else _ASSOCIATED
    rows = conn.execute(query, {"parents": sorted(parents)}) if parents else ()
    return {str(giai) for (giai,) in rows}


# By event: whether its sayer took in goods out of the unit by then, and whether it was the first to pack something into it, be it
# in an event that it corrected since: else a rival's claim would take its place.
_HAVING = """
SELECT said.position,
       EXISTS (SELECT FROM lot_grant_stay AS stay JOIN lot_grant AS given USING (organisation, lot)
               WHERE stay.organisation = said.organisation AND stay.holder = said.parent AND given.since <= said.at),
       said.organisation IS NOT DISTINCT FROM (
         SELECT packing.organisation FROM event_mention AS mention JOIN event AS packing ON packing.id = mention.event
         WHERE mention.identifier = said.parent AND mention.role = 'parent' AND packing.type = 'AggregationEvent'
         ORDER BY packing.id LIMIT 1)
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[]) AS said (position, organisation, parent, at)
"""


def _voice(conn: psycopg.Connection, events: Sequence[RecordedEvent], owner: Mapping[str, str]) -> Voice:
    """What its sayer may say of a device. The database is asked only of what a device's owner did not say."""
    asked = [(item, parent) for item in events if (parent := _parent_of(item)) and _is_of_others(item, owner)]
    keepers = _keepers(conn, {name for _, parent in asked for name in _names_of(parent)}) if asked else {}
    says: dict[int | None, Say] = {}
    units: list[tuple[int | None, str, str, datetime]] = []
    for item, parent in asked:
        registered = {keepers[name] for name in _names_of(parent) if name in keepers}
        if registered:
            says[item.position] = "keeper" if item.organisation in registered else "nobody"
        elif not recorded.meets_many(parent):
            units.append((item.position, item.organisation, parent, item.event.event_time))
    if units:
        columns = [list(column) for column in zip(*units, strict=True)]
        for position, took_in, packed in conn.execute(_HAVING, columns):
            says[position] = "keeper" if took_in else "guest" if packed else "nobody"

    def voice(device: str, item: RecordedEvent) -> Say:
        return "owner" if owner.get(device) == item.organisation else says.get(item.position, "nobody")

    return voice


def _keepers(conn: psycopg.Connection, places: Collection[str]) -> dict[str, str]:
    rows = conn.execute("SELECT id, organisation FROM place WHERE id = ANY (%s)", [sorted(places)])
    return {str(place): str(organisation) for place, organisation in rows}


def _is_of_others(item: RecordedEvent, owner: Mapping[str, str]) -> bool:
    return any(
        owner.get(device, item.organisation) != item.organisation for device in recorded.children(item)
    )


def _parent_of(item: RecordedEvent) -> str | None:
    event = item.event
    return canonical(event.parent_id) if isinstance(event, AssociationEvent) and event.parent_id else None


def _names_of(parent: str) -> Iterator[str]:
    """Under which it may be registered: its own name, the location that it is a door of, the trailer it is part of."""
    yield parent
    yield parent.split("/254/", 1)[0]
    base = base_vehicle(parent)
    if base is not None:
        yield base


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
