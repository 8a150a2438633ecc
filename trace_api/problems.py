"""Errors as RFC 9457 problem details: what happened, and what to do next."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """An answer that is not what was asked for. `detail` says what to do next."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail, self.more = status, title, detail, more


def install(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)


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
    return answer(
        error.status_code, HTTPStatus(error.status_code).phrase, str(error.detail), request.url.path
    )


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
