"""`/alerts`: an organisation's own, what is not over first and the worst of it first, to acknowledge with a comment. `/channels`: who
is told besides, for administrators.

Contract: a page is whole without JavaScript. A channel's secret is shown to administrators alone; no table holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from ingest import webhook
from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts import administration
from trace_api.accounts.guard import Guard
from trace_api.accounts.idempotency import Answer
from trace_api.alerts import reading
from trace_api.alerts.reading import LEVELS, STATES, Alert, Channel, State
from trace_api.alerts.telling import lines, next_of, subject, zone_of
from trace_api.audit.telling import stamp
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.problems import Problem
from trace_api.proofs import OrganisationKey
from trace_api.roles import GOODS
from trace_api.story import Name
from trace_api.words import Words
from trace_api.work import Frame, Sent, done_once, page, sent

SHOWN = 50
SHOW: dict[str, tuple[State, ...]] = {
    "now": ("open", "acknowledged"),
    "open": ("open",),
    "acknowledged": ("acknowledged",),
    "closed": ("closed",),
    "all": STATES,
}
Show = Literal["now", "open", "acknowledged", "closed", "all"]
Identity = Annotated[int | None, Query(ge=1, lt=2**63)]


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert in words. `may_acknowledge`: nobody did yet."""

    number: int
    title: str
    state: State
    state_word: str
    lines: tuple[str, ...]
    next: str
    acknowledged: str
    told: tuple[str, ...]
    may_acknowledge: bool


def router(
    databases: Databases, guard: Guard, assets: Assets, key: OrganisationKey, now: Callable[[], datetime]
) -> APIRouter:
    """`key`: of which the channels' secrets are made."""
    routes = APIRouter(tags=["Alerts"], default_response_class=HTMLResponse)
    _add_alerts(routes, databases, guard, assets, now)
    _add_channels(routes, databases, guard, _Channels(databases, assets, key, now))
    return routes


# --- alerts -----------------------------------------------------------------------------------------------------------


def _add_alerts(
    routes: APIRouter, databases: Databases, guard: Guard, assets: Assets, now: Callable[[], datetime]
) -> None:
    handler, form_sent = Depends(guard.allowed(*GOODS)), Depends(sent)

    @routes.get("/alerts", summary="Alerts of one's own organisation, the worst first")
    def listed(
        request: Request,
        person: Person = handler,
        show: Annotated[Show, Query()] = "now",
        excursion: Identity = None,
        after: Identity = None,
        done: Annotated[bool, Query()] = False,
    ) -> Response:
        frame = Frame.of(request, person)
        words = frame.words
        by_number = show in (
            "closed",
            "all",
        )  # these are many: a page of them begins where the one before ended
        with access.looking(databases, person) as conn:
            found = reading.alerts(
                conn, STATES if excursion else SHOW[show], excursion=excursion, after=after if by_number else None,
                limit=SHOWN + 1 if by_number else 500, worst_first=not by_number,
            )  # fmt: skip
        more = found[SHOWN - 1].excursion if by_number and len(found) > SHOWN else None
        shown = found[:SHOWN] if by_number else found
        title = words("alert_one", number=excursion) if excursion else words("alert_title")
        return page("alerts.html", frame, assets, title, alerts=[_view(each, words) for each in shown], show=show, one=excursion, done=done,
                    options=[(each, words(f"alert_state_{each}")) for each in SHOW], more=more)  # fmt: skip

    @routes.post("/alerts/{number}/acknowledge", summary="Acknowledge one, with a comment")
    def acknowledged(number: int, form: Sent = form_sent, person: Person = handler) -> Response:
        if not 0 < number < 2**63:
            raise Problem.said(404, "alert_no_such")

        def work(conn: psycopg.Connection) -> Answer:
            reading.acknowledge(conn, number, form.text("comment"), now())
            return Answer(303, location=f"/alerts?excursion={number}&done=true")

        return done_once(databases, person, form, work)


def _view(alert: Alert, words: Words) -> AlertView:
    given, zone = alert.acknowledgement, zone_of(alert.body)
    said = (
        words("alert_acknowledged_by", name=given.name, when=stamp(given.at, zone), comment=given.comment)
        if given
        else ""
    )
    return AlertView(
        number=alert.excursion,
        title=subject(alert.body, words),
        state=alert.state,
        state_word=words(f"alert_state_{alert.state}"),
        lines=tuple(lines(alert.body, words)),
        next=next_of(alert.body, words),
        acknowledged=said,
        told=tuple(_telling(each, zone, words) for each in alert.told),
        may_acknowledge=given is None,
    )


def _telling(each: reading.Telling, zone: str, words: Words) -> str:
    said = words(f"alert_told_{each.what}", when=stamp(each.at, zone))
    for key, kinds in (("alert_arrived", each.arrived), ("alert_lost", each.lost)):
        if kinds:
            said += words(key, kinds=words("work_comma").join(words(f"alert_kind_{kind}") for kind in kinds))
    return said


# --- channels ---------------------------------------------------------------------------------------------------------


def _add_channels(routes: APIRouter, databases: Databases, guard: Guard, pages: _Channels) -> None:
    administrator, form_sent = Depends(guard.allowed("administrator")), Depends(sent)

    @routes.get("/channels", summary="Who is told of alerts")
    def channels(
        request: Request,
        person: Person = administrator,
        done: Annotated[Literal["added", "tested", "removed"] | None, Query()] = None,
    ) -> Response:
        return pages.list(request, person, done)

    @routes.post("/channels", summary="Add a channel")
    def add(form: Sent = form_sent, person: Person = administrator) -> Response:
        return done_once(databases, person, form, lambda conn: pages.add(conn, form))

    @routes.post("/channels/{channel}/test", summary="Send a test to a channel")
    def tested(channel: UUID, form: Sent = form_sent, person: Person = administrator) -> Response:
        return done_once(databases, person, form, lambda conn: pages.test(conn, channel))

    @routes.post("/channels/{channel}/remove", summary="Remove a channel, with what waits for it")
    def removed(channel: UUID, form: Sent = form_sent, person: Person = administrator) -> Response:
        return done_once(databases, person, form, lambda conn: pages.remove(conn, channel))


class _Channels:
    """What each address of channels does, once it is known who asks."""

    def __init__(
        self, databases: Databases, assets: Assets, key: OrganisationKey, now: Callable[[], datetime]
    ) -> None:
        self._databases, self._assets, self._key, self._now = databases, assets, key, now

    def list(self, request: Request, person: Person, done: str | None) -> Response:
        frame = Frame.of(request, person)
        words = frame.words
        with access.looking(self._databases, person) as conn:
            found, named = reading.channels(conn), administration.organisations(conn)
        names = {each: words.name(Name(zh, en)) for each, (zh, en) in named.items()}
        kinds = [(each, words(f"alert_kind_{each}")) for each in ("webhook", "email")]
        views = [self._view(each, names, words) for each in found]
        return page("channels.html", frame, self._assets, words("channel_title"), done=done, channels=views,
                    organisations=list(names.items()), kinds=kinds, levels=[(each, str(each)) for each in LEVELS])  # fmt: skip

    def add(self, conn: psycopg.Connection, form: Sent) -> Answer:
        level = form.text("level")
        if level not in map(str, LEVELS):
            raise Problem.said(422, "channel_wrong")
        reading.add_channel(
            conn, form.text("organisation"), form.text("kind"), form.text("address"), int(level), self._now()
        )
        return Answer(303, location="/channels?done=added")

    def test(self, conn: psycopg.Connection, channel: UUID) -> Answer:
        reading.try_channel(conn, channel, self._now())
        return Answer(303, location="/channels?done=tested")

    def remove(self, conn: psycopg.Connection, channel: UUID) -> Answer:
        reading.remove_channel(conn, channel)
        return Answer(303, location="/channels?done=removed")

    def _view(self, channel: Channel, names: dict[str, str], words: Words) -> dict[str, Any]:
        arrived = channel.arrived_at
        lines = [
            words("channel_line", level=channel.level, when=stamp(channel.added_at, DEFAULT_ZONE)),
            words("channel_arrived", when=stamp(arrived, DEFAULT_ZONE))
            if arrived
            else words("channel_never"),
        ]
        if channel.waiting or channel.given_up:
            lines.append(words("channel_waiting", count=channel.waiting, given_up=channel.given_up))
        if channel.last_error:
            lines.append(words("channel_error", error=channel.last_error))
        secret = ""
        if channel.kind == "webhook":
            secret = webhook.shown(webhook.secret(self._key(channel.organisation), str(channel.id)))
        return {"id": channel.id, "organisation": names.get(channel.organisation, channel.organisation), "address": channel.address,
                "kind": words(f"alert_kind_{channel.kind}"), "lines": lines, "secret": secret, "failing": channel.given_up > 0}  # fmt: skip
