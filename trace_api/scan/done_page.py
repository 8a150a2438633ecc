"""After an act: what was recorded, its numbers, what to print, how to take it back, and what usually comes next.

Contract: told from the act as it is remembered, so that the page is the same on every look; one's own organisation's acts
and no others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from fastapi import Request, Response

from ledger.persons import Vault
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer
from trace_api.acts import (
    Fault,
    PastAct,
    Refused,
    Registered,
    SerialRange,
    corrected_by,
    kinds_for,
    own_certificates,
    read_act,
    read_past,
    said,
    undo,
    undoable,
)
from trace_api.acts.codes import label
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.papers import MissingGlyphsError, NoRoomError
from trace_api.papers.labels import SIZES, Size, labels_pdf
from trace_api.problems import Problem
from trace_api.scan.printing import OF, Made, Of, labels_of
from trace_api.scan.sheets import NEXT, SHEETS
from trace_api.scan.standing import digits, read_called
from trace_api.scan.typed import CORRECTS, fields_of, from_said
from trace_api.words import Words
from trace_api.work import HEADERS, Frame, Sent, done_once, page


@dataclass(frozen=True, slots=True)
class PastView:
    """A past act for a card. `minutes_left`: to undo it, 0 if it cannot be."""

    id: UUID
    kind: str
    at: datetime
    what: str
    undone_at: datetime | None
    minutes_left: int


class DonePages:
    def __init__(
        self, databases: Databases, assets: Assets, now: Callable[[], datetime], public_url: str, vault: Vault
    ) -> None:
        self._databases, self._assets, self._now, self._public_url = databases, assets, now, public_url
        self._vault = vault

    def show(self, request: Request, person: Person, act: UUID, fault: Fault | None = None) -> Response:
        frame = Frame.of(request, person)
        now = self._now()
        with access.looking(self._databases, person) as conn:
            past = read_own(conn, act)
            stays, after = undoable(conn, act, now), corrected_by(conn, past)
            called, registered = read_called(conn), Registered(conn)
            issued = [
                each for each in own_certificates(conn) if each.id in past.facts["done"]["certificates"]
            ]
            made = made_by(past, called)
            facts = list(_facts(past, made, frame.words, registered))
        return page(
            "scan_done.html",
            frame,
            self._assets,
            frame.words(_title(past, after)),
            status=409 if fault else 200,
            past=past,
            what=told(past, frame.words, called),
            facts=facts,
            prints=made.counts() if past.undone_at is None else {},
            sizes=SIZES,
            issued=issued,
            minutes_left=0 if stays else minutes_left(past, now),
            stays=stays,
            correcting=_correcting(past),
            before=past.facts["asked"].get(CORRECTS),
            after=after,
            fault=fault,
            following=[] if past.undone_at else list(_following(past, kinds_for(person))),
            zone=DEFAULT_ZONE,
        )

    def ask(self, request: Request, person: Person, act: UUID) -> Response:
        """Whether it is to be taken back: once more, since that is for good."""
        frame, now = Frame.of(request, person), self._now()
        with access.looking(self._databases, person) as conn:
            past = read_own(conn, act)
            stays, called, registered = undoable(conn, act, now), read_called(conn), Registered(conn)
            facts = list(_facts(past, made_by(past, called), frame.words, registered))
        return page(
            "scan_undo.html",
            frame,
            self._assets,
            frame.words("scan_wrong"),
            past=past,
            what=told(past, frame.words, called),
            facts=facts,
            minutes_left=0 if stays else minutes_left(past, now),
            stays=stays,
            correcting=_correcting(past),
            zone=DEFAULT_ZONE,
        )

    def undo(self, request: Request, person: Person, act: UUID, form: Sent) -> Response:
        try:
            return done_once(self._databases, person, form, lambda conn: self._undone(conn, person, act))
        except Refused as refused:
            if refused.status == 404:
                raise refused.problem() from None
            return self.show(request, person, act, refused.faults[0])

    def _undone(self, conn: psycopg.Connection, person: Person, act: UUID) -> Answer:
        undo(conn, person, act, self._now(), self._public_url, self._vault)
        return Answer(303, location=f"/scan/done/{act}")

    def labels(self, request: Request, person: Person, act: UUID, of: Of, size: Size) -> Response:
        frame = Frame.of(request, person)
        with access.looking(self._databases, person) as conn:
            past = read_own(conn, act)
            called, registered = read_called(conn), Registered(conn)
        made = made_by(past, called)
        if of not in made.counts():
            raise Problem.said(404, "scan_no_labels")
        if past.undone_at is not None:
            raise Problem.said(409, "scan_labels_undone")
        holder = frame.words.name(person.organisation_name) if person.organisation_name else ""
        labels = list(labels_of(made, of, frame.words, registered, holder, self._public_url))
        name = f"{of}-{label(made.lots[0]) if made.lots else act}-{size}"
        return pdf(lambda: labels_pdf(labels, size, name, self._now()), name)


def pdf(make: Callable[[], bytes], name: str) -> Response:
    """A paper to be opened or printed; what cannot be printed is said, not left out."""
    try:
        made = make()
    except MissingGlyphsError as error:
        raise Problem.said(409, "scan_no_glyph", characters=error.characters) from error
    except NoRoomError as error:
        raise Problem.said(409, "scan_no_room", text=error.text) from error
    plain = "".join(each for each in name if each.isascii() and (each.isalnum() or each in "-_."))
    headers = {**HEADERS, "Content-Disposition": f'inline; filename="{plain}.pdf"'}
    return Response(made, media_type="application/pdf", headers=headers)


def read_own(conn: psycopg.Connection, act: UUID) -> PastAct:
    """Of the asker's organisation; 404 as a page."""
    try:
        return read_past(conn, act)
    except Refused as refused:
        raise refused.problem() from None


def _title(past: PastAct, after: UUID | None) -> str:
    if past.undone_at is None:
        return "scan_done_title"
    return "scan_was_undone_title" if after is None else "scan_was_corrected_title"


def _correcting(past: PastAct) -> str | None:
    """The address of the form that puts it right, if a form here can."""
    return f"/scan/do/{past.kind}?{CORRECTS}={past.id}" if correctable(past) else None


def correctable(past: PastAct) -> bool:
    """Whether its form here can say all that it says: what a program said besides would be lost."""
    if past.kind not in SHEETS:
        return False
    asks = SHEETS[past.kind]
    asked = {name: value for name, value in past.facts["asked"].items() if name not in (CORRECTS, "at")}
    try:
        return said(read_act(past.kind, fields_of(asks, from_said(asks, asked)))) == asked
    except Refused:
        return False


def made_by(past: PastAct, called: Mapping[str, str]) -> Made:
    done, asked = past.facts["done"], past.facts["asked"]
    return Made(
        kind=past.kind,
        at=datetime.fromisoformat(done["at"]),
        lots=tuple(done["lots"]),
        units=tuple(done["units"]),
        serials=tuple(SerialRange(each["lot"], each["first"], each["last"]) for each in done["serials"]),
        called=called,
        weights={done["lots"][0]: asked["kg"]} if done["lots"] and "kg" in asked else {},
        boxes=asked.get("boxes", 0),
    )


def minutes_left(past: PastAct, now: datetime) -> int:
    return max(0, ceil((past.undo_until - now).total_seconds() / 60))


def view(
    past: PastAct, stays: Fault | None, now: datetime, words: Words, called: Mapping[str, str]
) -> PastView:
    left = 0 if stays else minutes_left(past, now)
    return PastView(past.id, past.kind, past.at, told(past, words, called), past.undone_at, left)


def told(past: PastAct, words: Words, called: Mapping[str, str]) -> str:
    """What an act was about, in a line: its lots by the name that people use, or its load units."""
    done = past.facts["done"]
    units = [words("scan_unit", unit=digits(unit)) for unit in done["units"]]
    lots = [called.get(lot) or label(lot) for lot in done["lots"]]
    named = units if units and past.kind != "split" else lots or units
    shown = words("work_comma").join(named[:3])
    return shown if len(named) <= 3 else words("scan_and_more", first=shown, count=len(named) - 3)


@dataclass(frozen=True, slots=True)
class Line:
    """A caption and a value; `code` is compared by eye and set in large letters."""

    caption: str
    value: str
    code: bool = False


def _facts(past: PastAct, made: Made, words: Words, registered: Registered) -> Iterable[Line]:
    asked, done = past.facts["asked"], past.facts["done"]
    outputs = asked.get("outputs", ())
    for row, lot in enumerate(made.lots):
        product = registered.product_of_lot(lot)
        output = outputs[row] if row < len(outputs) else {}
        grade = output.get("grade")
        caption = words("scan_grade", grade=grade) if grade else words("paper_lot")
        yield Line(caption, label(lot), code=made.makes_lots and past.kind != "weigh_in")
        if "boxes" in output:
            yield Line(words("paper_count"), words("paper_boxes", count=output["boxes"]))
        if made.called.get(lot):
            yield Line(words("paper_called"), made.called[lot])
        if product and past.kind in ("register_batch", "mix"):
            yield Line(words("scan_ask_product"), words.name(product.name))
    for unit in made.units:
        yield Line(words("paper_sscc"), digits(unit), code=past.kind in ("pack", "split"))
    for run in made.serials:
        yield Line(
            words("scan_serials"), words("scan_from_to", first=run.first, last=run.last, count=run.count)
        )
    yield from _amounts(asked, words)
    yield from _where(asked, words, registered)
    for paper in done["documents"]:
        yield Line(words("scan_paper"), label(paper))


def _amounts(asked: Mapping[str, Any], words: Words) -> Iterable[Line]:
    if "kg" in asked:
        yield Line(words("paper_quantity"), words.quantity(asked["kg"], "KGM"))
    if "boxes" in asked:
        yield Line(words("paper_count"), words("paper_boxes", count=asked["boxes"]))
    if "cull_kg" in asked:
        yield Line(words("scan_sum_cull"), words.quantity(asked["cull_kg"], "KGM"))
    if asked.get("pulp"):
        values = words("work_comma").join(words.celsius(value) for value in asked["pulp"])
        yield Line(words("scan_ask_pulp"), values)
    if asked.get("seals"):
        yield Line(words("scan_ask_seals"), words("work_comma").join(asked["seals"]))
    if "agreed_low_c" in asked and "agreed_high_c" in asked:
        yield Line(
            words("scan_agreed"), f"{words.span(asked['agreed_low_c'], asked['agreed_high_c'])}\u00a0°C"
        )


def _where(asked: Mapping[str, Any], words: Words, registered: Registered) -> Iterable[Line]:
    for name in ("plot", "place", "vehicle", "gate", "yard", "destination"):
        place = registered.place(asked[name]) if asked.get(name) else None
        if place:
            yield Line(words(f"scan_ask_{name}"), words.name(place.name))
    for name in ("carrier", "giver", "buyer"):
        party = registered.organisations.get(asked.get(name, ""))
        if party:
            yield Line(words(f"scan_ask_{name}"), words.name(party.name))
    if asked.get("buyer") == "unknown":
        yield Line(words("scan_ask_buyer"), words("scan_unknown_buyer"))


def _following(past: PastAct, kinds: frozenset[str]) -> Iterable[tuple[str, str]]:
    """Kind and address of what may come next, with these goods on its list."""
    done = past.facts["done"]
    for kind in NEXT.get(past.kind, ()):
        if kind not in kinds:
            continue
        asks = {ask.name: ask for ask in SHEETS[kind]}
        if "unit" in asks and asks["unit"].required and not done["units"]:
            continue  # nothing to take boxes out of
        query: dict[str, str] = {}
        if kind != past.kind:
            if done["units"] and not asks.keys().isdisjoint({"units", "unit"}):
                query["unit"] = done["units"][0]
            if len(done["lots"]) and ("goods" in asks or "inputs" in asks or "lot" in asks):
                query["lot"] = done["lots"][0]
            if "vehicle" in asks and past.facts["asked"].get("vehicle"):
                query["vehicle"] = past.facts["asked"]["vehicle"]
        yield kind, f"/scan/do/{kind}{'?' + urlencode(query) if query else ''}"


__all__ = ["OF", "DonePages", "correctable", "read_own", "view"]
