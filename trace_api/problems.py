"""Errors as RFC 9457 problem details: what happened, and what to do next."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is not what was asked for. `detail` says what to do next."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


def install(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(psycopg.OperationalError, _away)
    app.add_exception_handler(Exception, _unexpected)


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


def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return answer(error.status, error.title, error.detail, request.url.path, **error.more)


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    detail = _SENTENCES.get(error.status_code, str(error.detail))
    return answer(error.status_code, phrase, detail, request.url.path)


_SENTENCES = {
    404: "Nothing is served at this address; /openapi.json lists what is.",
    405: "This address is not asked in that way; /openapi.json lists how.",
}


def _away(request: Request, error: Exception) -> JSONResponse:
    logger.warning("the database is away", extra={"path": request.url.path, "error": str(error)})
    return answer(
        503, "Not now", "The record cannot be read at this moment. Try again in a minute.", request.url.path
    )


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """The server logs it, with where it happened; the asker learns that it is no fault of theirs."""
    detail = "Something of ours failed, and was written down. Try again; if it stays, tell the operator when it happened."
    return answer(500, "A fault of ours", detail, request.url.path)


def _validation(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problems = [
        {"pointer": "/".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()
    ]
    return answer(
        422,
        "Unprocessable request",
        "; ".join(f"{p['pointer']}: {p['message']}" for p in problems),
        request.url.path,
        problems=problems,
    )
