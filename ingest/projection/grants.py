"""Who took lots in and may see the chain behind them; what lots are made of.

In the line: the one walk over connected lots -> here -> `lot_grant`, `lot_grant_event`, `lot_grant_stay`, `lot_origin`,
on which the views for who asks rest (deploy/schema/0009_visibility.sql). Contract: the rows of a lot are those of its
events and of the registry, whatever was there before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import psycopg
from psycopg.types.range import TimestamptzRange

from ingest.projection.lot_rows import Row, replace
from ingest.projection.rows import moment
from ledger.epcis.identifiers import canonical
from ledger.genealogy import Genealogy, RecordedEvent, Registered, Taking, origins, takings

_TABLES = {
    "lot_grant": ("organisation", "lot", "depth", "since", "event"),
    "lot_grant_event": ("organisation", "lot", "event", "said_by"),
    "lot_grant_stay": ("organisation", "lot", "holder", "valid"),
    "lot_origin": ("lot", "source", "place"),
}


def project(
    conn: psycopg.Connection, genealogy: Genealogy, known: Registered, lots: Collection[str]
) -> set[str]:
    """`lots`: those whose rows the walk knows in full. Returns what held goods whose hand-overs changed."""
    found = [taking for taking in takings(genealogy, known) if taking.lot in lots]
    ids = ids_of(conn, (event for taking in found for event in (taking.event, *taking.behind)))
    changed = replace(
        conn, "lot_grant", _TABLES["lot_grant"], {_grant(taking, ids) for taking in found}, lots
    )
    behind = {
        (taking.organisation, taking.lot, ids[event.position], event.organisation)
        for taking in found
        for event in taking.behind
    }
    replace(conn, "lot_grant_event", _TABLES["lot_grant_event"], behind, lots)
    stays = {
        (taking.organisation, taking.lot, stay.holder, TimestamptzRange(moment(stay.start_ms), moment(stay.end_ms)))
        for taking in found
        for stay in taking.stays
    }  # fmt: skip
    moved = replace(conn, "lot_grant_stay", _TABLES["lot_grant_stay"], stays, lots)
    given_anew = {row[:2] for row in changed}
    replace(conn, "lot_origin", _TABLES["lot_origin"], origins(genealogy, lots), lots)
    return {row[2] for row in moved} | {row[2] for row in stays if row[:2] in given_anew}


def _grant(taking: Taking, ids: dict[int | None, int]) -> Row:
    since = taking.event.event.event_time
    return taking.organisation, taking.lot, taking.depth, since, ids[taking.event.position]


def ids_of(conn: psycopg.Connection, events: Iterable[RecordedEvent]) -> dict[int | None, int]:
    positions = {event.position for event in events}
    rows = conn.execute("SELECT position, event FROM leaf WHERE position = ANY (%s)", [list(positions)])
    return {int(position): int(event) for position, event in rows}


def registered(conn: psycopg.Connection, genealogy: Genealogy) -> Registered:
    """As far as these events name parties and places: an instance has more of them than any lot meets."""
    parties = {
        canonical(each.destination) for fact in genealogy.facts for each in fact.event.destination_list
    }
    places = {place for fact in genealogy.facts for place in (fact.biz_location, fact.read_point) if place}
    places |= parties
    places |= {place.split("/254/", 1)[0] for place in places}
    owners = conn.execute("SELECT party, id FROM organisation WHERE party = ANY (%s)", [list(parties)])
    hosts = conn.execute("SELECT id, organisation FROM place WHERE id = ANY (%s)", [list(places)])
    markets = conn.execute("SELECT id FROM organisation WHERE kind = 'market'")
    return Registered(
        dict(owners.fetchall()), dict(hosts.fetchall()), frozenset(str(each) for (each,) in markets)
    )
