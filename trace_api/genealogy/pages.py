"""`/trace/{code}`: where goods came from and where they went, for people; and the picture alone.

Contract: for everybody, each with what is theirs to see, as `GET /api/v1/lots/{id}/trace` has it; read only. The page is whole
without a script: the switches are a form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from ledger.genealogy import Direction
from ledger.genealogy.facts import Amount, Fact, read
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.as_of import AsOf, read_as_of
from trace_api.chain import named_chain
from trace_api.check.reading import kind_of
from trace_api.genealogy.picture import STYLE_POLICY, Naming, Painter, short, step_word
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.problems import Problem
from trace_api.roles import GOODS
from trace_api.seeing import seeing
from trace_api.tracing import DEEPEST, MOST_EVENTS, Asked, Traced, read_traced
from trace_api.words import Language, Words
from trace_api.work import Frame, page

SVG: Final = "image/svg+xml"
SHOWN: Final = 200
_RECALLS: Final = {"unit": "unit", "vehicle": "place", "place": "place"}


def router(databases: Databases, guard: Guard, assets: Assets) -> APIRouter:
    routes = APIRouter(tags=["Pages"], default_response_class=HTMLResponse)

    def who_asks(request: Request) -> Person | None:
        return guard.person(request)

    asking = Depends(who_asks)

    @routes.get(
        "/trace/{code:path}", summary="Where goods came from and where they went, as a picture and a table"
    )
    def trace_page(
        request: Request,
        code: str,
        direction: Annotated[Direction, Query()] = "both",
        as_of: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = SHOWN,
        as_file: Annotated[
            Literal["html", "svg"], Query(alias="format", description="svg: the picture alone")
        ] = "html",
        person: Person | None = asking,
    ) -> Response:
        frame = Frame.of(request, person)
        moment = local_moment(as_of)
        asked = Asked(code, direction, DEEPEST, limit, moment)
        with seeing(databases, person) as (conn, eye):
            chain = named_chain(conn, code, eye, as_of=read_as_of(conn, moment), named_only=True)
            traced = read_traced(conn, chain, asked)
        if as_file == "svg":
            return svg(traced, frame.language, private=person is not None)
        name = _called(traced)(traced.found.identifier) or short(traced.found.identifier)
        facts = _Page(traced, frame.words, code, as_of or "").facts() | {"recall": _recall(traced, person)}
        return page("trace.html", frame, assets, frame.words("trace_title", name=name), **facts)

    return routes


def _recall(traced: Traced, person: Person | None) -> str | None:
    """Where whoever may order recalls goes on to what one from here would reach."""
    if person is None or person.roles.isdisjoint((*GOODS, "official")):
        return None
    identifier = traced.found.identifier
    site = traced.sites.get(identifier)
    kind = (
        _RECALLS.get(kind_of(identifier), "lot")
        if site is None
        else "field"
        if site.kind == "plot"
        else "place"
    )
    return f"/holds/order?{urlencode({'kind': kind, 'code': identifier})}"


def local_moment(text: str | None) -> str | None:
    """A browser sends a time without a zone: it is China's. A position stays one. Raises Problem 400."""
    said = (text or "").strip()
    if not said or (said.isascii() and said.isdigit()):
        return said or None
    try:
        moment = datetime.fromisoformat(said.replace("T ", "T"))
    except ValueError as error:
        raise Problem.said(400, "trace_bad_moment") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(DEFAULT_ZONE))
    return moment.astimezone(UTC).isoformat()


def svg(traced: Traced, language: Language, *, private: bool) -> Response:
    """The picture as a file of its own."""
    text = Painter(Words(language), _called_in(traced, Words(language)), DEFAULT_ZONE).picture(
        traced.found, traced.edges
    )
    headers = {"Content-Security-Policy": STYLE_POLICY, "Vary": "Accept, Accept-Language",
               "Content-Disposition": 'inline; filename="trace.svg"'}  # fmt: skip
    if private:
        headers["Cache-Control"] = "private, no-store"
    return Response(str(text), media_type=SVG, headers=headers)


def _called(traced: Traced) -> Naming:
    return _called_in(traced, Words("zh"))


def _called_in(traced: Traced, words: Words) -> Naming:
    def name(identifier: str) -> str | None:
        site = traced.sites.get(identifier) or traced.sites.get(identifier.split("/254/", 1)[0])
        if site is None:
            return None
        door = identifier.partition("/254/")[2] if identifier not in traced.sites else ""
        return f"{words.name(site.name)} {door}".rstrip()

    return name


@dataclass(frozen=True, slots=True)
class _Row:
    time: str
    what: str
    where: str
    goods: tuple[str, ...]
    who: str


@dataclass(frozen=True)
class _Page:
    traced: Traced
    words: Words
    code: str
    as_of: str

    def facts(self) -> dict[str, Any]:
        traced = self.traced
        return {
            "asked": traced.asked,
            "identifier": traced.found.identifier,
            "called": short(traced.found.identifier),
            "as_of": self.as_of,
            "then": None if traced.as_of is None else self._then(traced.as_of),
            "picture": self._picture(),
            "rows": list(self._rows()),
            "hidden": 0 if traced.hidden is None else traced.hidden.events,
            "cut": traced.found.cut,
            "more": self._more(),
            "file": "?" + urlencode(self._said() | {"format": "svg", "lang": self.words.language}),
        }

    def _then(self, as_of: AsOf) -> str:
        if self.as_of.strip().isdigit():
            return self.words("trace_then_position", position=as_of.position)
        return self.words("trace_then", moment=self.words.moment(as_of.time, DEFAULT_ZONE))

    def _picture(self) -> Markup:
        painter = Painter(
            self.words, _called_in(self.traced, self.words), DEFAULT_ZONE, linked=True, alone=False
        )
        return painter.picture(self.traced.found, self.traced.edges)

    def _more(self) -> str | None:
        asked = self.traced.asked
        if "events" not in self.traced.found.cut or asked.limit >= MOST_EVENTS:
            return None
        return "?" + urlencode(self._said() | {"limit": min(asked.limit * 5, MOST_EVENTS)})

    def _said(self) -> dict[str, Any]:
        return {"direction": self.traced.asked.direction} | ({"as_of": self.as_of} if self.as_of else {})

    def _rows(self) -> Iterator[_Row]:
        called = _called_in(self.traced, self.words)
        for fact in read(self.traced.found.events):
            place = fact.biz_location or fact.read_point
            step = fact.step or ("transformation" if fact.kind == "TransformationEvent" else "other")
            who = self.traced.organisations.get(fact.recorded.organisation)
            yield _Row(
                self.words.moment(fact.event.event_time, DEFAULT_ZONE),
                step_word(self.words, step),
                (called(place) or short(place)) if place else "",
                tuple(self._goods(fact)),
                self.words.name(who) if who else "",
            )

    def _goods(self, fact: Fact) -> Iterator[str]:
        things = [*self._things(fact.nodes, fact.goods)]
        if fact.kind == "TransformationEvent":
            yield from (self.words("trace_out", name=each) for each in things)
            yield from (
                self.words("trace_in", name=each) for each in self._things(fact.out_nodes, fact.out_goods)
            )
        elif fact.parent is None:
            yield from things
        else:
            pattern = "trace_out" if fact.action == "DELETE" else "trace_in"
            yield from things
            yield self.words(pattern, name=short(fact.parent))

    def _things(self, nodes: tuple[str, ...], goods: tuple[Amount, ...]) -> Iterator[str]:
        for each in goods:
            amount = "" if each.quantity is None else " " + self.words.quantity(each.quantity, each.uom)
            yield short(each.lot) + amount
        yield from map(short, nodes)
