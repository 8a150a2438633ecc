"""What is told of an error of the database: to ask again, or to ask for less."""

from __future__ import annotations

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from trace_api import problems


def shown(_request: Request, problem: problems.Problem) -> Response:
    return PlainTextResponse(problem.title, problem.status)


@pytest.mark.parametrize(
    ("error", "status", "title", "again"),
    [
        (psycopg.errors.QueryCanceled(), 413, "This takes too long", False),
        (psycopg.OperationalError(), 503, "Not now", True),
    ],
)
def test_what_takes_too_long_is_not_asked_again_as_it_was(
    error: Exception, status: int, title: str, again: bool
) -> None:
    app = FastAPI()
    problems.install(app, shown)

    @app.get("/asked")
    def asked() -> None:
        raise error

    with TestClient(app) as client:
        answer = client.get("/asked")
    assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert ("Retry-After" in answer.headers) is again
