"""The guard at every working address: who is it, may they, and did our own page send them.

Contract: `allowed(...)` gives a Person or an answer that says what to do. On a page somebody who is not signed in is sent
to sign in and comes back; where a form was sent, it goes along, so that nothing need be typed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from fastapi import Request
from starlette.routing import Match

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts import sessions
from trace_api.problems import Elsewhere, Problem
from trace_api.roles import ROLES
from trace_api.words import Words

COOKIE = "suyuan_session"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """`public_url`: whose forms are ours. `now`: by which sessions end."""

    def __init__(self, databases: Databases, public_url: str, now: Callable[[], datetime]) -> None:
        self._databases, self._now = databases, now
        self._origin = origin_of(public_url)
        self.secure = self._origin.startswith("https:")

    def allowed(self, *roles: str) -> Callable[[Request], Person]:
        """A dependency: the person, if they have one of the roles; without roles, anybody who is signed in."""
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise ValueError(f"no such role: {', '.join(sorted(unknown))}")

        def person(request: Request) -> Person:
            found = self.person(request)
            if found is None:
                raise self._sign_in_first(request)
            if roles and found.roles.isdisjoint(roles):
                raise Problem.said(403, "work_not_yours", roles=lambda words: _listed(roles, words))
            return found

        return person

    def person(self, request: Request) -> Person | None:
        """Who asks, by session or, under /api/, by token. Raises Problem where a request did not come from our pages, or
        its token is none."""
        authorization = request.headers.get("authorization")
        if authorization is not None and _is_api(request):
            with access.nobody(self._databases) as conn:
                found = access.token_person(conn, authorization)
        else:
            token = request.cookies.get(COOKIE)
            if token is None:
                return None
            self.require_ours(request)
            with access.nobody(self._databases) as conn:
                session = sessions.person_of(conn, token, self._now())
            if session is None:
                return None
            found = session
        request.state.person = found
        return found

    def known(self, request: Request) -> Person | None:
        """The same for the page of a refusal, which must not end in another."""
        try:
            return self.person(request)
        except (Problem, psycopg.Error):
            return None

    def require_ours(self, request: Request) -> None:
        """Raises Problem 403 for what changes something and was not sent by a page of ours: a browser says where a form came
        from, and another site's page cannot make it say otherwise."""
        if request.method in _SAFE:
            return
        site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
        if origin is not None and origin != "null":
            ours = origin == self._origin or urlsplit(origin).netloc == request.headers.get("host")
        else:
            ours = site in ("same-origin", "none")
        if not ours or site in ("cross-site", "same-site"):
            raise Problem.said(403, "work_foreign_origin")

    def _sign_in_first(self, request: Request) -> Exception:
        if _is_api(request):
            return Problem.said(401, "work_sign_in_first")
        if request.method in _SAFE:
            return Elsewhere(_sign_in(next=_own_address(request)))
        lost = _sign_in(next=_page_before(request), lost="1", form=_own_address(request))
        return Elsewhere(lost, 307)


def _listed(roles: tuple[str, ...], words: Words) -> str:
    return words("work_comma").join(words(f"work_role_{role}") for role in roles)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/epcis/"))


def _sign_in(**query: str) -> str:
    return f"/sign-in?{urlencode(query, quote_via=quote, safe='/')}"


def _own_address(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _page_before(request: Request) -> str:
    """The page whose form was sent: as the browser says, else the form's own address if it is a page too, else the start."""
    referer = urlsplit(request.headers.get("referer", ""))
    for path, query in ((referer.path, referer.query), (request.url.path, "")):
        if (
            path
            and (path == request.url.path or referer.netloc == request.headers.get("host"))
            and _is_page(request, path)
        ):
            return f"{path}?{query}" if query else path
    return "/start"


def _is_page(request: Request, path: str) -> bool:
    scope = {**request.scope, "method": "GET", "path": path}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def safe_next(wanted: str | None) -> str | None:
    """`wanted` if it is an address of ours, from the root: signing in leads nowhere else."""
    if (
        not wanted
        or not wanted.startswith("/")
        or wanted.startswith(("//", "/\\"))
        or any(ord(c) < 33 for c in wanted)
    ):
        return None
    parts = urlsplit(wanted)
    return None if parts.scheme or parts.netloc or parts.path in ("/sign-in", "/sign-out") else wanted


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
