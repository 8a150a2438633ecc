"""Signing in and out, the start page by role, and one's own account."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from urllib.parse import parse_qsl, quote, urlencode

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts import sessions
from trace_api.accounts.guard import COOKIE, Guard, safe_next
from trace_api.accounts.idempotency import Answer, answered, once, secret_fingerprint
from trace_api.accounts.passwords import SHORTEST, PasswordRefused, Passwords, check_new
from trace_api.accounts.sessions import FAILURES, PERIOD, Change, SignInRefused
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.roles import landing
from trace_api.words import Words
from trace_api.work import MOST_FIELDS, Frame, Sent, page, sent

_STATUS = {"wrong": 422, "wait": 429, "disabled": 422, "crowd": 503}
_NO_STORE = {"Cache-Control": "no-store"}


def router(
    databases: Databases, guard: Guard, passwords: Passwords, assets: Assets, now: Callable[[], datetime]
) -> APIRouter:
    routes = APIRouter(tags=["Accounts"], default_response_class=HTMLResponse)
    _add_signing_in(routes, databases, guard, passwords, assets, now)
    _add_own_account(routes, databases, guard, passwords, assets, now)
    return routes


def _add_signing_in(
    routes: APIRouter,
    databases: Databases,
    guard: Guard,
    passwords: Passwords,
    assets: Assets,
    now: Callable[[], datetime],
) -> None:
    anybody, form_sent = Depends(guard.allowed()), Depends(sent)

    @routes.get("/sign-in", summary="Sign in")
    def sign_in_page(request: Request) -> Response:
        notice = next((name for name in ("lost", "out") if name in request.query_params), "")
        return _sign_in_page(request, guard.person(request), assets, notice=notice)

    @routes.post("/sign-in", summary="Sign in")
    def sign_in(request: Request, form: Sent = form_sent) -> Response:
        guard.require_ours(request)
        kept = Kept.of(request, form)
        if kept.first:
            return _sign_in_page(request, None, assets, notice="kept" if kept.fields else "lost", kept=kept)
        login = sessions.plain_login(form.text("login"))
        try:
            token = sessions.sign_in(databases, passwords, login, form.as_typed("password"), now())
        except SignInRefused as refused:
            refusal = _refusal(refused, Frame.of(request, None).words, now())
            status = _STATUS[refused.why]
            again = _sign_in_page(
                request, None, assets, login=login, kept=kept, refusal=refusal, status=status
            )
            return _with_retry(again, refused, now())
        with access.nobody(databases) as conn:
            if COOKIE in request.cookies:
                sessions.sign_out(conn, request.cookies[COOKIE])
            person = sessions.person_of(conn, token, now())
        onwards = safe_next(request.query_params.get("next")) or (
            landing(person.roles) if person else "/start"
        )
        answer: Response = RedirectResponse(onwards, 303, headers=_NO_STORE)
        if kept.fields:
            frame = Frame.of(request, person)
            answer = page(
                "kept.html", frame, assets, frame.words("work_kept_send_title"), kept=kept, back=onwards
            )
        lasts = int(sessions.LASTS.total_seconds())
        answer.set_cookie(COOKIE, token, max_age=lasts, httponly=True, samesite="lax", secure=guard.secure)
        return answer

    @routes.post("/sign-out", summary="End this session")
    def sign_out(request: Request) -> Response:
        guard.require_ours(request)
        if COOKIE in request.cookies:
            with access.nobody(databases) as conn:
                sessions.sign_out(conn, request.cookies[COOKIE])
        answer = RedirectResponse("/sign-in?out=1", 303, headers=_NO_STORE)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=guard.secure)
        return answer

    @routes.get("/start", summary="Where the person who is signed in works")
    def start(person: Person = anybody) -> Response:
        return RedirectResponse(landing(person.roles), 303, headers=_NO_STORE)


def _add_own_account(
    routes: APIRouter,
    databases: Databases,
    guard: Guard,
    passwords: Passwords,
    assets: Assets,
    now: Callable[[], datetime],
) -> None:
    anybody, form_sent = Depends(guard.allowed()), Depends(sent)

    @routes.get("/account", summary="One's own account")
    def account(request: Request, person: Person = anybody) -> Response:
        return _account_page(request, person, assets, {})

    @routes.post("/account/password", summary="Change one's own password")
    def change_password(request: Request, form: Sent = form_sent, person: Person = anybody) -> Response:
        errors = _new_password_errors(form, person)
        if errors:
            return _account_page(request, person, assets, errors, status=422)
        current, new = form.as_typed("current"), form.as_typed("new")
        fingerprint = secret_fingerprint(form.fingerprint(*_SECRETS), [current, new], request.cookies[COOKIE])
        with access.looking(databases, person) as conn:
            before = answered(conn, person, form.key, fingerprint)
        if before is not None:  # a second tap: what was the current password is so no more
            return before.response()
        try:
            # Counted as an attempt to sign in: an unlocked phone gives no more guesses than the sign-in page.
            change = sessions.begin_change(databases, passwords, person, current, new, now())
            with access.acting(databases, person) as conn:
                return once(conn, person, form.key, fingerprint, lambda: _changed(conn, change)).response()
        except SignInRefused as refused:
            status = _STATUS[refused.why]
            if refused.why == "wrong":
                errors = {"current": "work_password_not_current"}
                return _account_page(request, person, assets, errors, status=status)
            refusal = _refusal(refused, Frame.of(request, person).words, now())
            answer = _account_page(request, person, assets, {}, refusal=refusal, status=status)
            return _with_retry(answer, refused, now())


def _changed(conn: psycopg.Connection, change: Change) -> Answer:
    change.make(conn)
    return Answer(303, location="/account?done=1")


def _sign_in_page(
    request: Request,
    person: Person | None,
    assets: Assets,
    *,
    login: str = "",
    notice: str = "",
    kept: Kept | None = None,
    refusal: tuple[str, str, str] | None = None,
    status: int = 200,
) -> Response:
    frame = Frame.of(request, person)
    title = frame.words("work_sign_in_title")
    return page("sign_in.html", frame, assets, title, status=status, login=login, notice=notice, refusal=refusal, kept=kept,
                action=_action(request, kept), begin=landing(person.roles) if person else "/")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """The form that was sent when there was no session any more, on its way through signing in. `address`: where it goes.
    `first`: it has just come; else it lies in the sign-in form."""

    address: str
    fields: Sequence[tuple[str, str]]
    first: bool

    @classmethod
    def of(cls, request: Request, form: Sent) -> Kept:
        address = safe_next(request.query_params.get("form")) or ""
        first = bool(address) and not form.has("kept")
        typed = form.fields if first else parse_qsl(form.as_typed("kept"), True, max_num_fields=MOST_FIELDS)
        secret = any(name in _SECRETS for name, _ in typed)
        return cls(address, () if secret or not address else typed, first)

    @property
    def text(self) -> str:
        return urlencode(self.fields)


_SECRETS = frozenset({"password", "current", "new", "again"})  # what no page says again


def _action(request: Request, kept: Kept | None) -> str:
    """The form keeps where to go next, and what is on its way."""
    on_the_way = kept is not None and bool(kept.fields)
    query = [each for each in request.query_params.multi_items() if each[0] != "form" or on_the_way]
    return (
        f"/sign-in?{urlencode(query, quote_via=quote, safe='/')}"
        if "next" in request.query_params
        else "/sign-in"
    )


def _refusal(refused: SignInRefused, words: Words, now: datetime) -> tuple[str, str, str]:
    """Title, what happened, what to do next."""
    facts: dict[str, object] = {"failures": FAILURES, "minutes": PERIOD.seconds // 60}
    if refused.until is not None:
        left = max(ceil((refused.until - now).total_seconds() / 60), 1)
        minute = refused.until + timedelta(seconds=-refused.until.timestamp() % 60)  # it is over by then
        facts |= {"clock": words.clock(minute, DEFAULT_ZONE), "left": words.minutes(left)}
    key = f"work_{refused.why}"
    return words(f"{key}_title"), words(key, **facts), words(f"{key}_next", **facts)


def _with_retry(answer: Response, refused: SignInRefused, now: datetime) -> Response:
    if refused.until is not None:
        answer.headers["Retry-After"] = str(max(ceil((refused.until - now).total_seconds()), 1))
    return answer


def _new_password_errors(form: Sent, person: Person) -> dict[str, str]:
    """Keys of sentences, by field."""
    try:
        check_new(form.as_typed("new"), person.login)
    except PasswordRefused as refused:
        return {"new": refused.key}
    return {} if form.as_typed("new") == form.as_typed("again") else {"again": "work_password_not_same"}


def _account_page(
    request: Request,
    person: Person,
    assets: Assets,
    errors: Mapping[str, str],
    *,
    refusal: tuple[str, str, str] | None = None,
    status: int = 200,
) -> Response:
    frame = Frame.of(request, person)
    return page(
        "account.html",
        frame,
        assets,
        frame.words("work_account_title"),
        status=status,
        errors={name: frame.words(key) for name, key in errors.items()},
        refusal=refusal,
        done="done" in request.query_params and status == 200,
        shortest=SHORTEST,
    )
