"""The frame of every working page: who is signed in, where they may work, in which language, under which policy.

Contract: a page is whole without JavaScript; a form is answered by 303 to a page, or by the same page with what was typed
and what is wrong with it. `Sent` is what a form sent. Nothing of a working page is kept by a cache.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg
from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from trace_api import access, pages
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer, fingerprint_of, once
from trace_api.pages import Assets
from trace_api.problems import Problem, words_of
from trace_api.roles import areas_of
from trace_api.words import LANGUAGES, Language, Words

LANGUAGE_COOKIE = "suyuan_language"
_YEAR_S = 365 * 24 * 3600
# The camera's decoder is WebAssembly, which a browser compiles only where the policy says so; it allows no eval of script.
CONTENT_SECURITY_POLICY = pages.CONTENT_SECURITY_POLICY.replace(
    "form-action 'none'", "form-action 'self'"
).replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    # Not no-referrer: a browser would then send a form with `Origin: null`, and we could not tell it from another site's.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept, Accept-Language, Cookie",
    "Cache-Control": "no-store",
}
MOST_FIELDS = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """Around one page. `person`: None before sign-in. `query`: of this page, without its leading mark."""

    person: Person | None
    language: Language
    path: str
    query: str = ""

    @classmethod
    def of(cls, request: Request, person: Person | None) -> Frame:
        wanted = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
        language = pages.choose_language(wanted, request.headers.get("accept-language"))
        return cls(person, language, _own_path(request.url.path), request.url.query)

    @property
    def words(self) -> Words:
        return Words(self.language)

    @property
    def areas(self) -> tuple[str, ...]:
        return () if self.person is None else areas_of(self.person.roles)

    @property
    def area(self) -> str:
        """Which area this page is in."""
        return self.path.split("/")[1]

    def in_other_language(self, path: str | None = None) -> str:
        """This page's address in the other language; all else of its query stays."""
        kept = [
            (name, value) for name, value in parse_qsl(self.query, keep_blank_values=True) if name != "lang"
        ]
        return f"{path or self.path}?{urlencode([*kept, ('lang', self.words('other_language_code'))])}"

    @property
    def chosen(self) -> bool:
        """Whether this very request chose the language."""
        return dict(parse_qsl(self.query)).get("lang") in LANGUAGES


def page(
    template: str, frame: Frame, assets: Assets, title: str, *, status: int = 200, **facts: Any
) -> HTMLResponse:
    """A working page. The template has `w`, `frame`, `assets`, `title`, `fresh_key()` and `facts`."""
    text = pages.render(
        template,
        frame.words,
        assets,
        path=frame.path,
        title=title,
        frame=frame,
        fresh_key=_fresh_key,
        **facts,
    )
    answer = HTMLResponse(text, status, headers=dict(HEADERS))
    if frame.chosen:
        answer.set_cookie(LANGUAGE_COOKIE, frame.language, max_age=_YEAR_S, httponly=True, samesite="lax")
    return answer


def _fresh_key() -> str:
    return str(uuid.uuid4())


def problem_page(
    assets: Assets, known: Callable[[Request], Person | None], request: Request, problem: Problem
) -> Response:
    """What went wrong, as a page in the asker's language, with their own work in reach. `known`: who asks, if that can be
    told; the database is not asked about its own absence."""
    person: Person | None = getattr(request.state, "person", None)
    if person is None and problem.status < 500:
        person = known(request)
    frame = Frame.of(request, person)
    key = problem.key or _GENERAL.get(problem.status, "work_refused")
    title, text, further = words_of(frame.words, key, problem.facts if problem.key else {})
    english = problem.detail if problem.key is None and frame.language == "en" else ""
    back = _page_behind(request)
    return page("problem.html", frame, assets, title, status=problem.status, text=text, further=further,
                detail=english, back=back)  # fmt: skip


_GENERAL = {400: "work_unreadable", 403: "work_refused", 404: "work_no_such", 409: "work_conflict", 413: "work_too_large",
            422: "work_unreadable", 429: "work_too_often", 503: "work_away"}  # fmt: skip


def _page_behind(request: Request) -> str | None:
    """Where a link "back" leads: the page of ours that the asker came from."""
    own = f"{request.url.scheme}://{request.headers.get('host')}"
    referer = request.headers.get("referer", "")
    return _own_path(referer.removeprefix(own)) if referer.startswith(f"{own}/") else None


def _own_path(path: str) -> str:
    """A link to it stays here: a browser reads `//name/` as another site."""
    return "/" + path.lstrip("/\\")


@dataclass(frozen=True, slots=True)
class Sent:
    """The fields of a form, as they were typed."""

    path: str
    fields: Sequence[tuple[str, str]]

    def text(self, name: str) -> str:
        """The field's last value without the spaces around it; "" where it was not sent."""
        return next((value.strip() for key, value in reversed(self.fields) if key == name), "")

    def has(self, name: str) -> bool:
        return any(key == name for key, _ in self.fields)

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be sent more than once, empty ones left out."""
        return [value.strip() for key, value in self.fields if key == name and value.strip()]

    def as_typed(self, name: str) -> str:
        """Spaces and all: for passwords."""
        return next((value for key, value in reversed(self.fields) if key == name), "")

    @property
    def key(self) -> str | None:
        return self.text("idempotency_key") or None

    def fingerprint(self, *without: str) -> bytes:
        """Of the form's address and fields. `without`: secrets, of which not even a hash may be kept."""
        left_out = {"idempotency_key", *without}
        return fingerprint_of(
            self.path, sorted((key, value) for key, value in self.fields if key not in left_out)
        )


def done_once(
    databases: Databases,
    person: Person,
    form: Sent,
    work: Callable[[psycopg.Connection], Answer],
    fingerprint: bytes | None = None,
) -> Response:
    """What a form asks for, in one transaction and once, however often it is sent. What `work` raises leaves nothing.
    `fingerprint`: of a form with a secret in it; None: that of all its fields."""
    with access.acting(databases, person) as conn:
        answer = once(conn, person, form.key, fingerprint or form.fingerprint(), lambda: work(conn))
    return answer.response()


async def sent(request: Request) -> Sent:
    """A dependency: the form of this request. Files are no part of it. Raises Problem 413 for more than a form of ours has."""
    form = await request.form(max_files=0, max_fields=MOST_FIELDS)
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if any("\x00" in value for _, value in fields):
        raise Problem.said(422, "work_unreadable")
    return Sent(request.url.path, fields)
