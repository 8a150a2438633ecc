"""The trace of a lot, a unit or a box, as values and as the document of `GET /api/v1/lots/{id}/trace`.

In the line: a chain and the trace over it -> here -> the document, the picture, the page. Contract: nothing is in it that the
asker's eye does not see; how many events that eye does not see is counted; what a limit cut off is said, with the question that
goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import psycopg

from ledger.epcis.events import event_to_json
from ledger.genealogy import Direction, Portion, RecordedEvent, Span, Trace, Weighed, weighed
from ledger.genealogy.names import identify as name_taken_apart
from ledger.recorded import Why
from trace_api.as_of import AsOf
from trace_api.chain import Chain, Hidden, read_hidden, to_datetime
from trace_api.story import Name, Site

DEPTH, DEEPEST = 20, 50
EVENTS, MOST_EVENTS = 1000, 5000
_MOST_ENDS: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """`code`: as it stood in the address."""

    code: str
    direction: Direction
    depth: int = DEPTH
    limit: int = EVENTS
    as_of: str | None = None

    def address(self, **other: Any) -> str:
        said = {"direction": self.direction, "depth": self.depth, "limit": self.limit} | other
        if self.as_of:
            said["as_of"] = self.as_of
        return f"/api/v1/lots/{quote(self.code, safe='/:')}/trace?{urlencode(said)}"


@dataclass(frozen=True)
class Traced:
    """`why`: by position, why the asker sees an event; empty where everybody asks. `hidden`: None where nothing is."""

    asked: Asked
    found: Trace
    edges: tuple[Weighed, ...]
    portions: tuple[Portion, ...]
    sites: Mapping[str, Site]
    organisations: Mapping[str, Name]
    hidden: Hidden | None
    why: Mapping[int | None, Why]
    as_of: AsOf | None


def read_traced(conn: psycopg.Connection, chain: Chain, asked: Asked) -> Traced:
    found = chain.genealogy.trace(
        chain.identifier.uri, asked.direction, max_depth=asked.depth, max_events=asked.limit
    )
    return Traced(
        asked,
        found,
        tuple(weighed(chain.genealogy, found.edges)),
        chain.portions,
        chain.sites,
        chain.organisations,
        read_hidden(conn, _named(found), chain.eye),
        chain.why,
        chain.as_of,
    )


def _named(found: Trace) -> list[Span]:
    """What a hidden event of this trace would name: what is followed at any time, what held it only meanwhile."""
    held = {each.parent for each in found.held}
    followed = [
        Span(name, 0, None) for name in found.identifiers if name not in held or name == found.identifier
    ]
    inside = {(each.parent, each.start_ms, each.end_ms) for each in found.held}
    return followed + [Span(*each) for each in sorted(inside, key=lambda span: (span[0], span[1]))]


# --- the document -------------------------------------------------------------------------------------------


def document(traced: Traced) -> dict[str, Any]:
    found = traced.found
    return {
        "id": found.identifier,
        "direction": found.direction,
        "as_of": None if traced.as_of is None else traced.as_of.document(),
        "events": [_event(traced, item) for item in found.events],
        "edges": [_edge(each) for each in traced.edges],
        "identifiers": [{"id": name, "scheme": name_taken_apart(name).scheme} for name in found.identifiers],
        "containers": [
            {
                "id": each.parent,
                "holds": each.child,
                "start": to_datetime(each.start_ms),
                "end": _moment(each.end_ms),
            }
            for each in found.held
        ],
        "portions": [portion_document(portion) for portion in traced.portions],
        "places": {
            site.id: site_document(site) for site in traced.sites.values()
        },
        "organisations": {name: name_document(text) for name, text in traced.organisations.items()},
        "hidden": 0 if traced.hidden is None else traced.hidden.events,
        "hidden_since": None if traced.hidden is None else to_datetime(traced.hidden.since_ms),
        "truncated": found.truncated,
        "more": more(traced),
    }  # fmt: skip


def more(traced: Traced) -> dict[str, Any] | None:
    """How to ask on. None where the trace is whole."""
    asked, cut = traced.asked, traced.found.cut
    if not cut:
        return None
    depth = min(asked.depth * 2, DEEPEST) if "depth" in cut else asked.depth
    limit = min(asked.limit * 5, MOST_EVENTS) if "events" in cut else asked.limit
    goes_on = (depth, limit) != (asked.depth, asked.limit)
    ends = list(traced.found.ends[:_MOST_ENDS])
    zh = "还有更多：" + "、".join(_CUT[each][0] for each in sorted(cut)) + "。"
    en = "There is more: " + " and ".join(_CUT[each][1] for each in sorted(cut)) + "."
    how = _FURTHER if goes_on else _FROM_THERE
    return {
        "cut_by": sorted(cut),
        "next": asked.address(depth=depth, limit=limit) if goes_on else None,
        "ends": ends,
        "text": {"zh": zh + how[0], "en": f"{en} {how[1]}"},
    }


_CUT: Final = {
    "depth": ("还可以再追若干次加工", "it goes on through further transformations"),
    "events": ("事件数超过上限", "there are more events than the limit"),
}
_FURTHER: Final = ("按“next”继续查询。", "Ask `next`.")
_FROM_THERE: Final = (
    "请从“ends”里的标识，或只向一个方向继续查询。",
    "Ask from one of `ends`, or in one direction only.",
)


def _event(traced: Traced, item: RecordedEvent) -> dict[str, Any]:
    said: dict[str, Any] = {"position": item.position, "organisation": item.organisation}
    if not traced.why:
        return said | {"event": shown(item)}
    why = traced.why[item.position]
    return said | {"event": shown(item, why), "why": why}


_WITHHELD: Final = ("bizTransactionList", "sourceList", "destinationList")
_MORE_WITHHELD: Final = "suyuan:withheld"


def shown(item: RecordedEvent, why: Why = "published") -> dict[str, Any]:
    """The event as far as it is shown. Of a published one, parties and documents are there for the replay alone, without
    their names, and so is what is left of a field with somebody's own words in it: no field of the event."""
    said = event_to_json(item.event)
    if why != "published":
        return said
    for name in (*_WITHHELD, *said.pop(_MORE_WITHHELD, ())):
        said.pop(name, None)
    return said


def _edge(each: Weighed) -> dict[str, Any]:
    edge = each.edge
    return {
        "from": edge.source, "to": edge.target, "kind": edge.kind, "event": edge.event, "time": to_datetime(each.ms),
        "quantity": each.quantity, "uom": each.uom, "share": each.share,
    }  # fmt: skip


def portion_document(portion: Portion) -> dict[str, Any]:
    return {
        "lot": portion.lot,
        "unit": portion.unit,
        "quantity": portion.quantity,
        "uom": portion.uom,
        "stage": portion.stage,
        "place": portion.place,
        "start": to_datetime(portion.start_ms),
        "end": _moment(portion.end_ms),
        "ending": portion.ending,
        "containers": list(_spans(portion.containers)),
        "inputs": [
            {"lot": item.lot, "quantity": item.quantity, "uom": item.uom, "share": item.share}
            for item in portion.inputs
        ],
    }


def _spans(spans: Iterable[Span]) -> Iterable[dict[str, Any]]:
    for span in spans:
        yield {"id": span.value, "start": to_datetime(span.start_ms), "end": _moment(span.end_ms)}


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else to_datetime(ms)


def site_document(site: Site) -> dict[str, Any]:
    return {
        "name": name_document(site.name),
        "kind": site.kind,
        "region": site.region,
        "latitude": site.latitude,
        "longitude": site.longitude,
    }


def name_document(text: Name) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}
