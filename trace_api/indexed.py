"""The trace of who may see all of it, from the index in the database: the document of `tracing`, without a replay.

In the line: a code -> here -> `GET /api/v1/lots/{id}/trace`; what is answered with None goes by `chain` and `tracing`. Contract: the
same events, links, containers and portions as there; events are passed on as they were recorded, not read. None where the
index does not stand for the answer: a box (its portion is found by labels), a place, a party, a device or a vehicle (named elsewhere
than as goods), something recorded that is not projected yet, something that the asker may not see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
import psycopg

from ledger.epcis.identifiers import Identifier
from ledger.genealogy import Cut, Trace
from ledger.genealogy.keys import EVER, moment_ms
from ledger.genealogy.told import ToldEdge, told
from ledger.persons import Vault
from trace_api.chain import ASKER, read_organisations, read_sites, to_datetime
from trace_api.tracing import Asked, Traced, more, name_document, site_document

_ELSEWHERE: Final = frozenset({"giai", "gln", "pgln", "gdti", "geo", "gtin"})
_PERSONS: Final = b"urn:suyuan:person:"
_PERSON: Final = re.compile(rb'"(urn:suyuan:person:[0-9a-f-]{32,36})"(?!\s*:)')

_TRACE = """
SELECT state, events, moments, positions, organisations, whys, names, identifiers, schemes,
       sources, targets, told_by, told_as, quantities, uoms, shares, holders, held, starts, lasts, portions, places, ends, cut
FROM trace_of_asker(%s, %s, %s, %s)
"""
_EVENTS = "FETCH ALL FROM trace_events"
_LINKS = "FETCH ALL FROM trace_links"


@dataclass(frozen=True, slots=True)
class _Found:
    """As `trace_of_asker` (deploy/schema/0052_trace_cursors.sql) gives it: columns of the document's lists, None where one is empty."""

    events: Sequence[int] | None
    moments: Sequence[int] | None
    positions: Sequence[int] | None
    organisations: Sequence[str] | None
    whys: Sequence[str] | None
    names: Sequence[int] | None
    identifiers: Sequence[str] | None
    schemes: Sequence[str] | None
    sources: Sequence[int] | None
    targets: Sequence[int] | None
    told_by: Sequence[int] | None
    told_as: Sequence[str] | None
    quantities: Sequence[float | None] | None
    uoms: Sequence[str | None] | None
    shares: Sequence[float | None] | None
    holders: Sequence[int] | None
    held: Sequence[int] | None
    starts: Sequence[int] | None
    lasts: Sequence[int] | None
    portions: str | None
    places: Sequence[str] | None
    ends: Sequence[str]
    cut: bool


class _Event(msgspec.Struct, gc=False):
    position: int
    organisation: str
    event: msgspec.Raw
    why: str


class _Container(msgspec.Struct, gc=False):
    id: str
    holds: str
    start: datetime
    end: datetime | None


def read_indexed(
    conn: psycopg.Connection, identifier: Identifier, asked: Asked, vault: Vault
) -> bytes | None:
    """`conn`: as the asker has it, in one transaction and snapshot. The document as JSON."""
    is_box = identifier.lot is not None and identifier.lot != identifier.uri
    if is_box or identifier.scheme in _ELSEWHERE:
        return None
    with conn.pipeline():
        row = conn.execute(
            _TRACE, [identifier.uri, asked.direction, asked.depth, asked.limit], binary=True
        ).fetchone()
        found = None if row is None or row[0] != "whole" else _Found(*row[1:])
        if found is None or found.portions is None:
            return None
        return _document(conn, identifier, asked, found, vault)


def _document(
    conn: psycopg.Connection, identifier: Identifier, asked: Asked, found: _Found, vault: Vault
) -> bytes:
    """What is sent for is not waited for: the database finds it while the rest is put together."""
    texts = _sent_for(conn, _EVENTS)
    moments = found.moments or ()
    order = sorted(range(len(moments)), key=moments.__getitem__)  # by number within a moment
    further = more(_limited(identifier, asked, found))
    named = dict(zip(found.names or (), found.identifiers or (), strict=True))
    containers = _containers(found, named)
    portions = [_portion(each) for each in json.loads(f"[{found.portions}]")]
    said = _with_persons(conn, texts.fetchall(), vault)
    links = _sent_for(conn, _LINKS)
    events = _events(found, said, order)
    edges = _edges(found, links.fetchall(), named, order)
    sites = read_sites(conn, found.places or (), ASKER)
    names = read_organisations(conn, ASKER, set(found.organisations or ()))
    fields: dict[str, Any] = {
        "id": identifier.uri,
        "direction": asked.direction,
        "as_of": None,
        "events": events,
        "edges": edges,
        "identifiers": [
            {"id": name, "scheme": scheme}
            for name, scheme in zip(found.identifiers or (), found.schemes or (), strict=True)
        ],
        "containers": containers,
        "portions": portions,
        "places": {site.id: site_document(site) for site in sites.values()},
        "organisations": {name: name_document(text) for name, text in names.items()},
        "hidden": 0,
        "hidden_since": None,
        "truncated": further is not None,
        "more": further,
    }
    return msgspec.json.encode(fields)


def _sent_for(conn: psycopg.Connection, query: LiteralString) -> psycopg.Cursor[Any]:
    return conn.cursor(binary=True).execute(query)


def _events(found: _Found, texts: Sequence[bytes], order: Sequence[int]) -> msgspec.Raw:
    positions, organisations, whys = found.positions or (), found.organisations or (), found.whys or ()
    events = [
        _Event(positions[each], organisations[each], msgspec.Raw(texts[each]), whys[each]) for each in order
    ]
    return msgspec.Raw(msgspec.json.encode(events))


def _edges(
    found: _Found, links: Iterable[tuple[int, str]], named: Mapping[int, str], order: Sequence[int]
) -> msgspec.Raw:
    """In the order of the events."""
    events = found.events or ()
    by_event = {event: [text] for event, text in links}
    for event, text in _open_edges(found, named):
        by_event.setdefault(event, []).append(text)
    texts = (text for each in order for text in sorted(by_event.get(events[each], ())))
    return msgspec.Raw(f"[{','.join(texts)}]".encode())


def _open_edges(found: _Found, named: Mapping[int, str]) -> Iterator[tuple[int, str]]:
    moments = dict(zip(found.events or (), found.moments or (), strict=True))
    columns = (found.sources, found.targets, found.told_by, found.told_as, found.quantities, found.uoms, found.shares)  # fmt: skip
    for source, target, event, name, *much in zip(*(column or () for column in columns), strict=True):
        at = to_datetime(moment_ms(moments[event]))
        yield event, told(ToldEdge(named[source], named[target], "transformed", name, at, *much)).decode()


def _containers(found: _Found, named: Mapping[int, str]) -> list[_Container]:
    columns = (found.holders, found.held, found.starts, found.lasts)
    return [
        _Container(
            named[holder],
            named[child],
            to_datetime(moment_ms(start)),
            None if last == EVER else to_datetime(moment_ms(last)),
        )
        for holder, child, start, last in zip(*(column or () for column in columns), strict=True)
    ]


def _with_persons(conn: psycopg.Connection, texts: Sequence[tuple[bytes]], vault: Vault) -> list[bytes]:
    """One's own words again; what others said of persons stays theirs, by row-level security."""
    events = [text for (text,) in texts]
    naming = [place for place, text in enumerate(events) if _PERSONS in text]
    urns = dict.fromkeys(urn.decode() for place in naming for urn in _PERSON.findall(events[place]))
    values = vault.behind(conn, list(urns)) if urns else {}

    def said(match: re.Match[bytes]) -> bytes:
        value = values.get(match[1].decode())
        return match[0] if value is None else msgspec.json.encode(value)

    for place in naming if values else ():
        events[place] = _PERSON.sub(said, events[place])
    return events


def _portion(said: dict[str, Any]) -> dict[str, Any]:
    """`ledger.genealogy.tracked` as the document has it."""
    containers = ({"id": name, "start": start, "end": end} for name, start, end in said["containers"])
    inputs = (dict(zip(("lot", "quantity", "uom", "share"), each, strict=True)) for each in said["inputs"])
    return _timed(said) | {"containers": [_timed(each) for each in containers], "inputs": list(inputs)}


def _timed(said: dict[str, Any]) -> dict[str, Any]:
    end = said["end"]
    return said | {"start": to_datetime(said["start"]), "end": None if end is None else to_datetime(end)}


def _limited(identifier: Identifier, asked: Asked, found: _Found) -> Traced:
    # What is nearer than the depth cut it off.
    cut: frozenset[Cut] = frozenset(("events",) if found.cut else ("depth",) if found.ends else ())
    trace = Trace(identifier.uri, asked.direction, (), (), (), cut=cut, ends=tuple(found.ends))
    return Traced(asked, trace, (), (), {}, {}, None, {}, None)
