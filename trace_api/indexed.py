"""The trace of who may see all of it, from the index in the database: the document of `tracing`, without a replay.

In the line: a code -> here -> `GET /api/v1/lots/{id}/trace`; what is answered with None goes by `chain` and `tracing`. Contract: the
same events, links, containers and portions as there; events are passed on as they were recorded, not read. None where the
index does not stand for the answer: a box (its portion is found by labels), a place, a party, a device or a vehicle (named elsewhere
than as goods), something recorded that is not projected yet, something that the asker may not see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

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

_SEPARATOR: Final = b"\x1e"

_TRACE = """
SELECT state, events, ranks, positions, organisations, whys, event_ids, moments, names, identifiers, schemes, edges, sources, targets,
       told_by, quantities, uoms, shares, holders, held, starts, lasts, portions, places, ends, cut
FROM trace_of_asker(%s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """As `trace_of_asker` (deploy/schema/0048_trace_edges.sql) gives it: columns of the document's lists, None where one is empty."""

    events: bytes | None
    ranks: Sequence[int] | None
    positions: Sequence[int] | None
    organisations: Sequence[str] | None
    whys: Sequence[str] | None
    event_ids: Sequence[str] | None
    moments: Sequence[int] | None
    names: Sequence[int] | None
    identifiers: Sequence[str] | None
    schemes: Sequence[str | None] | None
    edges: Sequence[str | None] | None
    sources: Sequence[int] | None
    targets: Sequence[int] | None
    told_by: Sequence[int] | None
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


def read_indexed(
    conn: psycopg.Connection, identifier: Identifier, asked: Asked, vault: Vault
) -> bytes | None:
    """`conn`: as the asker has it, in one snapshot. The document as JSON."""
    is_box = identifier.lot is not None and identifier.lot != identifier.uri
    if is_box or identifier.scheme in _ELSEWHERE:
        return None
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
    sites = read_sites(conn, found.places or (), ASKER)
    names = read_organisations(conn, ASKER, set(found.organisations or ()))
    further = more(_limited(identifier, asked, found))
    named = dict(zip(found.names or (), found.identifiers or (), strict=True))
    fields: dict[str, Any] = {
        "id": identifier.uri,
        "direction": asked.direction,
        "as_of": None,
        "events": _events(conn, found, vault),
        "edges": _edges(found, named),
        "identifiers": [
            {"id": name, "scheme": scheme}
            for name, scheme in zip(found.identifiers or (), found.schemes or (), strict=True)
            if scheme is not None
        ],
        "containers": _containers(found, named),
        "portions": [_portion(each) for each in json.loads(f"[{found.portions}]")],
        "places": {site.id: site_document(site) for site in sites.values()},
        "organisations": {name: name_document(text) for name, text in names.items()},
        "hidden": 0,
        "hidden_since": None,
        "truncated": further is not None,
        "more": further,
    }
    return msgspec.json.encode(fields)


def _events(conn: psycopg.Connection, found: _Found, vault: Vault) -> list[_Event]:
    if not found.events:
        return []
    texts = _with_persons(conn, found.events, vault).split(_SEPARATOR)
    columns = (found.ranks, found.positions, found.organisations, texts, found.whys)
    rows = sorted(zip(*(column or () for column in columns), strict=True))  # ranks differ
    return [
        _Event(position, organisation, msgspec.Raw(text), why)
        for _, position, organisation, text, why in rows
    ]


def _edges(found: _Found, named: Mapping[int, str]) -> msgspec.Raw:
    """In the order of the events."""
    by_rank = [
        (rank, text.encode())
        for rank, text in zip(found.ranks or (), found.edges or (), strict=True)
        if text is not None
    ]
    by_rank += _open_edges(found, named) if found.sources else ()
    return msgspec.Raw(b"[" + b",".join(text for _, text in sorted(by_rank)) + b"]")


def _open_edges(found: _Found, named: Mapping[int, str]) -> Iterator[tuple[int, bytes]]:
    moments = zip(found.ranks or (), found.event_ids or (), found.moments or (), strict=True)
    said = {rank: (event, to_datetime(moment_ms(at))) for rank, event, at in moments}
    columns = (found.sources, found.targets, found.told_by, found.quantities, found.uoms, found.shares)
    for source, target, rank, *much in zip(*(column or () for column in columns), strict=True):
        yield rank, told(ToldEdge(named[source], named[target], "transformed", *said[rank], *much))


def _containers(found: _Found, named: Mapping[int, str]) -> list[dict[str, Any]]:
    columns = (found.holders, found.held, found.starts, found.lasts)
    return [
        {
            "id": named[holder],
            "holds": named[child],
            "start": to_datetime(moment_ms(start)),
            "end": None if last == EVER else to_datetime(moment_ms(last)),
        }
        for holder, child, start, last in zip(*(column or () for column in columns), strict=True)
    ]


def _with_persons(conn: psycopg.Connection, events: bytes, vault: Vault) -> bytes:
    """One's own words again; what others said of persons stays theirs, by row-level security."""
    if _PERSONS not in events:
        return events
    urns = list(dict.fromkeys(urn.decode() for urn in _PERSON.findall(events)))
    values = vault.behind(conn, urns) if urns else {}

    def said(match: re.Match[bytes]) -> bytes:
        value = values.get(match[1].decode())
        return match[0] if value is None else msgspec.json.encode(value)

    return _PERSON.sub(said, events) if values else events


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
