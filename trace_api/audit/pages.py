"""The official's pages: the two lists, and one breach down to its readings.

Contract: an official sees breaches and duties of their regions and department, an auditor of their regions over both; the
database decides which, and what lies outside is not found. Nothing is changed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.guard import Guard
from trace_api.audit import reading
from trace_api.audit.asking import (
    BREACHES,
    DUTIES,
    KINDS,
    OVER_C,
    PAGE,
    STATES,
    Asked,
    ask,
    filter_name,
    today_of,
)
from trace_api.audit.case import case
from trace_api.audit.reading import Choice, Region
from trace_api.audit.telling import breach_row, duty_row, named, stamp, summary_view
from trace_api.digits import whole
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.roles import OVERSEEING
from trace_api.words import Words
from trace_api.work import Frame, page

ZONE = "Asia/Shanghai"


def router(databases: Databases, guard: Guard, assets: Assets, now: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(prefix="/audit", tags=["Audit"], default_response_class=HTMLResponse)
    overseeing = Depends(guard.allowed(*OVERSEEING))

    @routes.get("", summary="Temperature breaches of one's area and department, newest or worst first")
    def breaches(request: Request, person: Person = overseeing) -> Response:
        at, frame = now(), Frame.of(request, person)
        asked = ask(request.query_params.multi_items(), today_of(at), BREACHES)
        with access.looking(databases, person) as conn:
            around = Around.read(conn, person, asked, at, frame)
            found = reading.breaches(conn, asked, at)
            total = reading.total(found, asked, lambda: reading.breaches(conn, asked, at, 1, 0))
            overall = summary_view(reading.summary(conn, asked, at), frame.words)
        rows = [breach_row(item, around.regions, frame.words) for item in found]
        return page("audit.html", frame, assets, frame.words("audit_title"), tab="breaches", rows=rows, summary=overall,
                    **around.facts(total, len(rows)))  # fmt: skip

    @routes.get("/duties", summary="Record duties that were not kept: missing record, interval, calibration")
    def duties(request: Request, person: Person = overseeing) -> Response:
        at, frame = now(), Frame.of(request, person)
        asked = ask(request.query_params.multi_items(), today_of(at), DUTIES)
        with access.looking(databases, person) as conn:
            around = Around.read(conn, person, asked, at, frame)
            found = reading.duties(conn, asked, at)
            total = reading.total(found, asked, lambda: reading.duties(conn, asked, at, 1, 0))
        rows = [duty_row(item, around.regions, frame.words) for item in found]
        return page("audit.html", frame, assets, frame.words("audit_title"), tab="duties", rows=rows, summary=None,
                    **around.facts(total, len(rows)))  # fmt: skip

    @routes.get(
        "/excursions/{number}",
        summary="One breach down to its readings, its rule, who held it, and its seals",
    )
    def excursion(request: Request, number: str, person: Person = overseeing) -> Response:
        at, frame = now(), Frame.of(request, person)
        with access.looking(databases, person) as conn:
            found = reading.dossier(conn, number_of(number), at)
        if found is None:
            raise Problem.said(404, "audit_missing")
        return page("audit_case.html", frame, assets, frame.words("audit_case_title", id=found.breach.id),
                    case=case(found, at, frame.words), breach=found.breach)  # fmt: skip

    return routes


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around both lists: the filter, what can be chosen, and whose area it is."""

    asked: Asked
    at: datetime
    frame: Frame
    area: str
    regions: tuple[Region, ...]
    choices: tuple[Choice, ...]

    @classmethod
    def read(
        cls, conn: psycopg.Connection, person: Person, asked: Asked, at: datetime, frame: Frame
    ) -> Around:
        regions = reading.regions_below(conn, person.regions)
        return cls(
            asked,
            at,
            frame,
            area_of(person, regions, frame.words),
            tuple(regions),
            tuple(reading.choices(conn, asked, at)),
        )

    def facts(self, total: int, shown: int) -> dict[str, Any]:
        words, asked = self.frame.words, self.asked
        first = (asked.page - 1) * PAGE + 1
        return {
            "asked": asked,
            "area": self.area,
            "as_of": stamp(self.at, ZONE),
            "total": total,
            "first": first,
            "last": first + shown - 1,
            "before": max(
                1, min(asked.page - 1, -(-total // PAGE))
            ),  # from a page past the end to the last one
            "more": first + shown - 1 < total,
            "options": self._options(),
            "unverified": any(not region.verified for region in self.regions),
            "wrong": words("work_comma").join(filter_name(name, words) for name in asked.wrong),
        }

    def _options(self) -> dict[str, list[tuple[str, str]]]:
        words = self.frame.words
        every = ("", words("audit_all"))
        found: dict[str, list[tuple[str, str]]] = {name: [every] for name in ("product", "place", "holder")}
        for choice in self.choices:
            name = (
                words.known("audit_product", choice.value)
                if choice.kind == "product"
                else named(words, choice.name_zh, choice.name_en)
            )
            found[choice.kind].append((choice.value, name))
        for (
            name,
            listed,
        ) in found.items():  # what is asked for stays asked for, also where nothing of it is left
            value = getattr(self.asked, name)
            if value is not None and value not in dict(listed):
                listed.append((value, value))
        return found | {
            "region": [
                every,
                *((region.code, f"{words.name(region.name)} {region.code}") for region in self.regions),
            ],
            "state": [
                ("", words("audit_state_standing")),
                *((state, words(f"audit_state_{state}")) for state in STATES),
            ],
            "over_c": [
                every,
                *((degrees, words("audit_over_option", degrees=degrees)) for degrees in OVER_C),
            ],
            "kind": [every, *((kind, words(f"audit_duty_{kind}")) for kind in KINDS)],
        }


def area_of(person: Person, regions: list[Region], words: Words) -> str:
    names = {region.code: words.name(region.name) for region in regions}
    area = words("work_comma").join(f"{names.get(code, '')} {code}".strip() for code in person.regions)
    whose = f"work_department_{person.department}" if person.department else "work_role_auditor"
    return f"{area} · {words(whose)}"


def number_of(text: str) -> int:
    """Raises Problem 404 for what is no number of ours: nothing lies there."""
    number = whole(text, 2**63 - 1)
    if not number:
        raise Problem.said(404, "audit_missing")
    return number
