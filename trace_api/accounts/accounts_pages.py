"""`/accounts`: the administrator's pages. An account is made, changed, disabled, given a new password.

A password is shown once, on the page that answers the form it came with; it is stored as its hash alone, and no part of it
is in what is kept for repeated requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts import administration
from trace_api.accounts.administration import Account, LoginTaken, Wish
from trace_api.accounts.guard import COOKIE, Guard
from trace_api.accounts.idempotency import Answer, secret_fingerprint
from trace_api.accounts.passwords import PasswordRefused, Passwords, check_new, generate
from trace_api.accounts.sessions import plain_login
from trace_api.pages import DEFAULT_ZONE, Assets
from trace_api.roles import DEPARTMENTS, ROLES
from trace_api.story import Name
from trace_api.words import Words
from trace_api.work import Frame, Sent, done_once, page, sent

_ERRORS = Mapping[str, tuple[str, dict[str, object]]]


def router(
    databases: Databases, guard: Guard, passwords: Passwords, assets: Assets, now: Callable[[], datetime]
) -> APIRouter:
    routes = APIRouter(prefix="/accounts", tags=["Accounts"], default_response_class=HTMLResponse)
    pages = _Pages(databases, passwords, assets, now)
    administrator, form_sent = Depends(guard.allowed("administrator")), Depends(sent)

    @routes.get("", summary="Every account")
    def accounts(request: Request, person: Person = administrator) -> Response:
        return pages.list(request, person)

    @routes.get("/new", summary="The form for a new account")
    def new_account(request: Request, person: Person = administrator) -> Response:
        return pages.form(request, person, None, Wish("", "", None, (), None, ()), generate())

    @routes.post("", summary="Add an account")
    def add_account(request: Request, form: Sent = form_sent, person: Person = administrator) -> Response:
        return pages.add(request, person, form)

    @routes.get("/{account}", summary="One account")
    def one_account(request: Request, account: UUID, person: Person = administrator) -> Response:
        return pages.one(request, person, account)

    @routes.post("/{account}/roles", summary="Change name, roles and scope")
    def change_account(
        request: Request, account: UUID, form: Sent = form_sent, person: Person = administrator
    ) -> Response:
        return pages.change(request, person, account, form)

    @routes.post("/{account}/password", summary="Set a new password")
    def set_password(
        request: Request, account: UUID, form: Sent = form_sent, person: Person = administrator
    ) -> Response:
        return pages.set_password(request, person, account, form)

    @routes.post("/{account}/disable", summary="Disable an account")
    def disable(account: UUID, form: Sent = form_sent, person: Person = administrator) -> Response:
        return pages.disable(person, account, form, disabled=True)

    @routes.post("/{account}/enable", summary="Enable an account")
    def enable(account: UUID, form: Sent = form_sent, person: Person = administrator) -> Response:
        return pages.disable(person, account, form, disabled=False)

    return routes


class _Pages:
    """What each address does, once it is known who asks."""

    def __init__(
        self, databases: Databases, passwords: Passwords, assets: Assets, now: Callable[[], datetime]
    ) -> None:
        self._databases, self._passwords, self._assets, self._now = databases, passwords, assets, now

    def list(self, request: Request, person: Person) -> Response:
        frame = Frame.of(request, person)
        with access.looking(self._databases, person) as conn:
            accounts, names = administration.listed(conn), administration.organisations(conn)
        return page(
            "accounts.html",
            frame,
            self._assets,
            frame.words("work_accounts_title"),
            accounts=accounts,
            organisations=_names(names),
            zone=DEFAULT_ZONE,
        )

    def form(
        self,
        request: Request,
        person: Person,
        account: Account | None,
        wish: Wish,
        password: str,
        *,
        errors: _ERRORS | None = None,
        password_error: str = "",
        key: str = "",
    ) -> Response:
        """A new account's page, or that of one there is."""
        frame = Frame.of(request, person)
        words = frame.words
        with access.looking(self._databases, person) as conn:
            names = administration.organisations(conn)
        title = (
            words("work_account_edit_title", login=account.login)
            if account
            else words("work_account_new_title")
        )
        return page(
            "account_form.html",
            frame,
            self._assets,
            title,
            status=422 if errors or password_error else 200,
            account=account,
            wish=wish,
            password=password,
            errors={name: words(said, **facts) for name, (said, facts) in (errors or {}).items()},
            password_error=words(password_error) if password_error else "",
            key=key,
            done=_done(request),
            yourself=account is not None and account.id == person.account,
            choices=_choices(words, names),
            zone=DEFAULT_ZONE,
        )

    def add(self, request: Request, person: Person, form: Sent) -> Response:
        wish, password = _wish(form, plain_login(form.text("login"))), form.as_typed("password")
        with access.looking(self._databases, person) as conn:
            named = list(administration.organisations(conn))
        errors = _with_password(wish.errors(named), password, wish.login)
        if not errors:
            stored = self._passwords.hash(password)  # before a connection is held for it

            def work(conn: psycopg.Connection) -> Answer:
                made = administration.add(conn, wish, stored, self._now())
                return Answer(201, {"id": str(made)}, f"/accounts/{made}")

            try:
                done_once(self._databases, person, form, work, _fingerprint(request, form))
            except LoginTaken:
                errors = {"login": ("work_account_login_taken", {})}
        if errors:
            return self.form(request, person, None, wish, password, errors=errors, key=form.key or "")
        return self._handed_over(request, person, wish.login, password, "work_account_made_title")

    def one(self, request: Request, person: Person, wanted: UUID) -> Response:
        with access.looking(self._databases, person) as conn:
            account = administration.find(conn, wanted)
        return self.form(request, person, account, account.wish, generate())

    def change(self, request: Request, person: Person, wanted: UUID, form: Sent) -> Response:
        with access.looking(self._databases, person) as conn:
            account = administration.find(conn, wanted)
            wish = _wish(form, account.login)
            errors = wish.errors(list(administration.organisations(conn)))
        if errors:
            return self.form(request, person, account, wish, generate(), errors=errors)

        def work(conn: psycopg.Connection) -> Answer:
            administration.change(conn, wanted, wish, self._now())
            return Answer(303, location=f"/accounts/{wanted}?done=saved")

        return done_once(self._databases, person, form, work)

    def set_password(self, request: Request, person: Person, wanted: UUID, form: Sent) -> Response:
        password = form.as_typed("password")
        with access.looking(self._databases, person) as conn:
            account = administration.find(conn, wanted)
        refused = _with_password({}, password, account.login)
        if refused:
            ((key, _),) = refused.values()
            return self.form(request, person, account, account.wish, password, password_error=key)
        stored = self._passwords.hash(password)

        def work(conn: psycopg.Connection) -> Answer:
            administration.set_password(conn, wanted, stored, self._now())
            return Answer(200)

        done_once(self._databases, person, form, work, _fingerprint(request, form))
        return self._handed_over(request, person, account.login, password, "work_account_password_set_title")

    def disable(self, person: Person, wanted: UUID, form: Sent, *, disabled: bool) -> Response:
        def work(conn: psycopg.Connection) -> Answer:
            administration.find(conn, wanted)
            administration.disable(conn, wanted, disabled, self._now())
            return Answer(303, location=f"/accounts/{wanted}?done={'disabled' if disabled else 'enabled'}")

        return done_once(self._databases, person, form, work)

    def _handed_over(
        self, request: Request, person: Person, login: str, password: str, title: str
    ) -> Response:
        frame = Frame.of(request, person)
        replaced = title == "work_account_password_set_title"
        return page("account_made.html", frame, self._assets, frame.words(title), login=login, password=password,
                    replaced=replaced)  # fmt: skip


def _wish(form: Sent, login: str) -> Wish:
    roles = tuple(role for role in ROLES if role in form.all("roles"))
    regions = tuple(
        dict.fromkeys(form.text("regions").replace(",", " ").replace("，", " ").replace("、", " ").split())
    )
    return Wish(
        login,
        form.text("name"),
        form.text("organisation") or None,
        roles,
        form.text("department") or None,
        regions,
    )


def _with_password(errors: _ERRORS, password: str, login: str) -> _ERRORS:
    try:
        check_new(password, login)
    except PasswordRefused as refused:
        return {**errors, "password": (refused.key, {})}
    return errors


def _done(request: Request) -> str:
    done = request.query_params.get("done", "")
    return done if done in ("saved", "disabled", "enabled") else ""


def _fingerprint(request: Request, form: Sent) -> bytes:
    token = request.cookies.get(COOKIE, "")
    return secret_fingerprint(form.fingerprint("password"), [form.as_typed("password")], token)


def _names(found: Mapping[str, tuple[str, str]]) -> Mapping[str, Name]:
    return {identity: Name(zh, en) for identity, (zh, en) in found.items()}


def _choices(words: Words, names: Mapping[str, tuple[str, str]]) -> Mapping[str, list[tuple[str, str]]]:
    """The options of each field that has some."""
    none = ("", words("work_account_none"))
    return {
        "roles": [(role, words(f"work_role_{role}")) for role in ROLES],
        "organisations": [none, *((each, words.name(name)) for each, name in _names(names).items())],
        "departments": [none, *((each, words(f"work_department_{each}")) for each in DEPARTMENTS)],
    }
