"""The start page, and the page of one thing that was scanned: what I hold, what I may do, what I did last.

Contract: read only; the newest acts that can still be taken back stand on top, since that is when a slip is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request, Response

from ledger.genealogy import product_of
from ledger.genealogy.names import identify
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.acts import Refused, kinds_for, may_certify, own_acts, own_certificates, resolve, undoable
from trace_api.acts.codes import is_unit, lot_named
from trace_api.acts.registered import VEHICLES
from trace_api.holds.notices import read_unread, unread_view
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.scan.done_page import view
from trace_api.scan.sheets import SHEETS, Ask, offered
from trace_api.scan.standing import Holding, Part, Standing, digits, read_standing
from trace_api.words import Words, decimal
from trace_api.work import Frame, page

MOST_SHOWN: Final = 40
LAST: Final = 8
FRESH: Final = 2


class StartPages:
    def __init__(self, databases: Databases, assets: Assets, now: Callable[[], datetime]) -> None:
        self._databases, self._assets, self._now = databases, assets, now

    def start(self, request: Request, person: Person) -> Response:
        frame, now = Frame.of(request, person), self._now()
        with access.looking(self._databases, person) as conn:
            unread = [unread_view(row, frame.words) for row in read_unread(conn)]
            standing = read_standing(conn, person, now)
            acts = own_acts(conn, LAST)
            views = [
                view(past, undoable(conn, past.id, now), now, frame.words, standing.called) for past in acts
            ]
        fresh = [each for each in views if each.minutes_left][:FRESH]
        return page(
            "scan_start.html",
            frame,
            self._assets,
            frame.words("scan_title"),
            groups=list(offered(kinds_for(person))),
            certifies=may_certify(person),
            holdings=standing.holdings[:MOST_SHOWN],
            more=max(0, len(standing.holdings) - MOST_SHOWN),
            fresh=fresh,
            past=[each for each in views if each not in fresh],
            zone=DEFAULT_ZONE,
            unread=unread,
        )

    def find(self, request: Request, person: Person, code: str) -> Response:
        """What a code is to us: where it lies, and what may be done with it."""
        frame = Frame.of(request, person)
        facts: dict[str, Any] = {
            "code": code,
            "fault": None,
            "holdings": (),
            "certificates": (),
            "ways": (),
            "name": code,
            "vehicle": False,
        }
        status = 200
        with access.looking(self._databases, person) as conn:
            try:
                uri = resolve(conn, code) if code else ""
                standing = read_standing(conn, person, self._now())
                found = standing.about(uri) or standing.about(lot_named(uri))
                facts |= {
                    "name": _named(uri, standing, frame.words) if uri else "",
                    "vehicle": bool(uri) and _is_vehicle(uri, standing),
                    "holdings": found,
                    "certificates": own_certificates(conn, lot_named(uri))
                    if may_certify(person) and uri
                    else [],
                    "ways": list(
                        _ways(found, kinds_for(person))
                        if found or not uri
                        else _ways_in(uri, standing, kinds_for(person))
                    ),
                }
            except Refused as refused:
                facts["fault"], status = refused.faults[0], refused.status
        title = frame.words("scan_found_title")
        return page("scan_find.html", frame, self._assets, title, status=status, zone=DEFAULT_ZONE, **facts)


def _ways(found: Iterable[Holding], kinds: frozenset[str]) -> Iterable[tuple[str, str]]:
    """Acts for what lies there, with it on their lists."""
    told: dict[str, str] = {}
    for holding in found:
        for _group, members in offered(kinds):
            for kind in members:
                query = _query(kind, holding)
                if query and kind not in told:
                    told[kind] = f"/scan/do/{kind}?{urlencode(query)}"
    return told.items()


def _ways_in(uri: str, standing: Standing, kinds: frozenset[str]) -> Iterable[tuple[str, str]]:
    """Acts for what is not ours by the record and may stand in front of us all the same."""
    told: dict[str, dict[str, str]] = {}
    if _is_vehicle(uri, standing):
        ours = any(row.vehicle == uri and row.custody.handled for row in standing.stock.rows)
        told = {kind: {"vehicle": uri} for kind in ("hand_over", "arrive", "unload")}
        told |= {"depart": {"vehicle": uri}} if ours else {}  # what we put on it for a carrier
    elif is_unit(uri):
        told = {"receive": {"unit": uri}}
        if "hand_over" in kinds:  # a carrier's: it takes goods in by loading them
            told["load"] = {"unit": uri}
    elif identify(uri).scheme in ("lgtin", "sgtin") or product_of(uri) != uri:
        told = {kind: {"lot": lot_named(uri)} for kind in ("weigh_in", "receive")}
    return ((kind, f"/scan/do/{kind}?{urlencode(query)}") for kind, query in told.items() if kind in kinds)


def _is_vehicle(uri: str, standing: Standing) -> bool:
    place = standing.stock.registered.place(uri)
    return identify(uri).scheme == "giai" or (place is not None and place.kind in VEHICLES)


def _named(uri: str, standing: Standing, words: Words) -> str:
    place = standing.stock.registered.place(uri)
    return words.name(place.name) if place else digits(uri)


def _query(kind: str, holding: Holding) -> dict[str, str]:
    """What an act can be told of it at once; {} if it is not for such goods."""
    asks = {ask.name: ask for ask in SHEETS[kind]}
    if holding.vehicle:
        return {"vehicle": holding.vehicle} if kind in ("depart", "arrive", "unload") else {}
    if holding.unit:
        if "units" in asks and asks["units"].source == "units":
            return {"unit": holding.unit}
        if "unit" in asks and asks["unit"].input == "code":
            return {"unit": holding.unit}
        return _opened(holding.parts) if kind in _FROM_UNITS else {}
    part = holding.parts[0]
    for ask in asks.values():
        # A list of lots beside one of load units need not be filled, and may.
        if (ask.input == "goods" or (ask.required and ask.input == "code")) and _takes(ask, part):
            return {"lot": part.lot}
    return {}


_FROM_UNITS: Final = frozenset({"sell", "shrink"})
"""Acts for boxes out of a pallet that stays."""


def _opened(parts: Sequence[Part]) -> dict[str, str]:
    """The one lot of a unit, with as much as is in it: "all" would be all of the lot, wherever it lies."""
    if len(parts) > 1 or parts[0].quantity is None:
        return {}
    return {"lot": parts[0].lot, "quantity": decimal(parts[0].quantity)}


def _takes(ask: Ask, part: Part) -> bool:
    """As choices.py offers them."""
    fits = {
        "weighed": part.stage == "field",
        "kilograms": part.uom == "KGM" and not part.cull,
        "boxed": part.uom is None,
        "loose": True,
    }
    return fits.get(ask.source or "", False)
