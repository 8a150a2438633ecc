"""The trace of who may see all of it, from the index in the database: the document of `tracing`, without a replay.

In the line: a code -> here -> `GET /api/v1/lots/{id}/trace`; what is answered with None goes by `chain` and `tracing`. Contract: the
same events, links, containers and portions as there; events are passed on as they were recorded, not read. None where the
index does not stand for the answer: a box (its portion is found by labels), a place, a party, a device or a vehicle (named elsewhere
than as goods), something recorded that is not projected yet, something that the asker may not see.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import psycopg

from ledger.epcis.identifiers import Identifier
from ledger.genealogy import Trace
from ledger.persons import Vault
from trace_api.chain import ASKER, read_organisations, read_sites, to_datetime
from trace_api.tracing import Asked, Traced, more, name_document, site_document

_ELSEWHERE: Final = frozenset({"giai", "gln", "pgln", "gdti", "geo", "gtin"})
_PERSON: Final = re.compile(r'"(urn:suyuan:person:[0-9a-f-]{32,36})"(?!\s*:)')

_TRACE = """
SELECT state, events, edges, identifiers, containers, portions, places, organisations, ends, cut FROM trace_of_asker(%s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """Lists of the document as JSON text, without their brackets; None where there is nothing in one."""

    events: str | None
    edges: str | None
    identifiers: str | None
    containers: str | None
    portions: str | None
    places: Sequence[str] | None
    organisations: Sequence[str] | None
    ends: Sequence[str]
    cut: bool


def read_indexed(
    conn: psycopg.Connection, identifier: Identifier, asked: Asked, vault: Vault
) -> bytes | None:
    """`conn`: as the asker has it, in one snapshot. The document as JSON."""
    is_box = identifier.lot is not None and identifier.lot != identifier.uri
    if is_box or identifier.scheme in _ELSEWHERE:
        return None
    row = conn.execute(_TRACE, [identifier.uri, asked.direction, asked.depth, asked.limit]).fetchone()
    found = None if row is None or row[0] != "whole" else _Found(*row[1:])
    if found is None or found.portions is None:
        return None
    return _document(conn, identifier, asked, found, vault)


def _document(
    conn: psycopg.Connection, identifier: Identifier, asked: Asked, found: _Found, vault: Vault
) -> bytes:
    sites = read_sites(conn, found.places or (), ASKER)
    names = read_organisations(conn, ASKER, found.organisations or ())
    further = more(_limited(identifier, asked, found))
    fields: dict[str, Any] = {
        "id": identifier.uri,
        "direction": asked.direction,
        "as_of": None,
        "events": _listed(_with_persons(conn, found.events, vault)),
        "edges": _listed(found.edges),
        "identifiers": _listed(found.identifiers),
        "containers": _listed(found.containers),
        "portions": [_portion(each) for each in json.loads(f"[{found.portions}]")],
        "places": {site.id: site_document(site) for site in sites.values()},
        "organisations": {name: name_document(text) for name, text in names.items()},
        "hidden": 0,
        "hidden_since": None,
        "truncated": further is not None,
        "more": further,
    }
    return msgspec.json.encode(fields)


def _listed(elements: str | None) -> msgspec.Raw:
    return msgspec.Raw(f"[{elements or ''}]".encode())


def _with_persons(conn: psycopg.Connection, events: str | None, vault: Vault) -> str | None:
    """One's own words again; what others said of persons stays theirs, by row-level security."""
    urns = list(dict.fromkeys(_PERSON.findall(events or "")))
    values = vault.behind(conn, urns) if urns else {}
    if not values or events is None:
        return events

    def said(match: re.Match[str]) -> str:
        urn = match[1]
        return json.dumps(values[urn], ensure_ascii=False) if urn in values else match[0]

    return _PERSON.sub(said, events)


def _portion(said: dict[str, Any]) -> dict[str, Any]:
    """`ledger.genealogy.tracked` as the document has it."""
    containers = ({"id": name, "start": start, "end": end} for name, start, end in said["containers"])
    inputs = (dict(zip(("lot", "quantity", "uom", "share"), each, strict=True)) for each in said["inputs"])
    return _timed(said) | {"containers": [_timed(each) for each in containers], "inputs": list(inputs)}


def _timed(said: dict[str, Any]) -> dict[str, Any]:
    end = said["end"]
    return said | {"start": to_datetime(said["start"]), "end": None if end is None else to_datetime(end)}


def _limited(identifier: Identifier, asked: Asked, found: _Found) -> Traced:
    cut = frozenset({*(("depth",) if found.ends else ()), *(("events",) if found.cut else ())})
    trace = Trace(identifier.uri, asked.direction, (), (), (), cut=cut, ends=tuple(found.ends))
    return Traced(asked, trace, (), (), {}, {}, None, {}, None)
