"""Errors as RFC 9457 problem details, or as a page for whoever asked for one: what happened, and what to do next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from trace_api.words import CATALOGUES, Words

logger = logging.getLogger(__name__)

RETRY_S = 10
"""When to ask again what cannot be answered at this moment."""


class Problem(Exception):
    """An answer that is not what was asked for. `detail` says what to do next. `key`: of the sentences that say it in both
    languages (`said`); without one a page has only the general words for the status, and the detail in English."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        key: str | None = None,
        facts: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.status, self.title, self.detail, self.more = status, title, detail, more
        self.key, self.facts = key, dict(facts or {})

    @classmethod
    def said(cls, status: int, key: str, **facts: Any) -> Problem:
        """In the words of the catalogues: `{key}_title`, `{key}`, and, where there is more to do than it says, `{key}_next`.
        A fact may be a function of Words, where it is put differently in each language."""
        english = Words("en")
        title, text, further = words_of(english, key, facts)
        return cls(status, title, f"{text} {further}".strip(), key=key, facts=facts, code=key)


def words_of(words: Words, key: str, facts: Mapping[str, Any]) -> tuple[str, str, str]:
    """Title, what happened, what to do next ("" where the text says it)."""
    said = {name: fact(words) if callable(fact) else fact for name, fact in facts.items()}
    further = words(f"{key}_next", **said) if f"{key}_next" in CATALOGUES[words.language] else ""
    return words(f"{key}_title", **said), words(key, **said), further


class Elsewhere(Exception):
    """The asker is sent to another page first, with what they sent if `status` is 307. `location`: from the root."""

    def __init__(self, location: str, status: int = 303) -> None:
        super().__init__(location)
        self.location, self.status = location, status


Show = Callable[[Request, Problem], Response]
"""Makes the page of a problem."""


def install(app: FastAPI, show: Show) -> None:
    def answered(request: Request, problem: Problem) -> Response:
        if wants_page(request):
            said = show(request, problem)
        else:
            said = answer(problem.status, problem.title, problem.detail, request.url.path, **problem.more)
        said.headers.update(problem.headers)
        if problem.status == 503:
            said.headers["Retry-After"] = str(RETRY_S)
        return said

    def handled(
        translate: Callable[[Request, Exception], Problem],
    ) -> Callable[[Request, Exception], Response]:
        return lambda request, error: answered(request, translate(request, error))

    app.add_exception_handler(Problem, handled(_problem))
    app.add_exception_handler(HTTPException, handled(_http))
    app.add_exception_handler(RequestValidationError, handled(_validation))
    app.add_exception_handler(psycopg.OperationalError, handled(_away))
    app.add_exception_handler(psycopg.errors.QueryCanceled, handled(_too_long))
    app.add_exception_handler(Exception, handled(_unexpected))
    app.add_exception_handler(Elsewhere, _elsewhere)


def wants_page(request: Request) -> bool:
    """A browser's address bar and forms ask for HTML by name; programs, and our own script, do not."""
    return "text/html" in request.headers.get("accept", "")


def answer(status: int, title: str, detail: str, instance: str, **more: Any) -> JSONResponse:
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": instance,
        **more,
    }
    return JSONResponse(body, status, media_type="application/problem+json")


def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, Elsewhere)
    return RedirectResponse(error.location, error.status, headers={"Cache-Control": "no-store"})


def _problem(request: Request, error: Exception) -> Problem:
    assert isinstance(error, Problem)
    return error


def _http(request: Request, error: Exception) -> Problem:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    detail = _SENTENCES.get(error.status_code, str(error.detail))
    return Problem(error.status_code, phrase, detail, key=_KEYS.get(error.status_code))


_SENTENCES = {
    404: "Nothing is served at this address; /openapi.json lists what is.",
    405: "This address is not asked in that way; /openapi.json lists how.",
}
_KEYS = {404: "work_no_page", 405: "work_no_page"}


def _away(request: Request, error: Exception) -> Problem:
    logger.warning("the database is away", extra={"path": request.url.path, "error": str(error)})
    detail = "The record cannot be read at this moment. Try again in a minute."
    return Problem(503, "Not now", detail, key="work_away")


def _too_long(request: Request, error: Exception) -> Problem:
    """The time of one question (`statement_timeout`) ran out: to ask the same again would not help."""
    logger.warning("a question took too long", extra={"path": request.url.path, "error": str(error)})
    return Problem.said(413, "work_too_long")


def _unexpected(request: Request, error: Exception) -> Problem:
    """The server logs it, with where it happened; the asker learns that it is no fault of theirs."""
    detail = "Something of ours failed, and was written down. Try again; if it stays, tell the operator when it happened."
    return Problem(500, "A fault of ours", detail, key="work_fault")


def _validation(request: Request, error: Exception) -> Problem:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"pointer": "/".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()
    ]
    detail = "; ".join(f"{p['pointer']}: {p['message']}" for p in problems)
    return Problem(422, "Unprocessable request", detail, key="work_unreadable", problems=problems)
