"""A program's POST, done once, all of it or nothing: acts, recalls, decisions.

In the line: a route of `/api/v1` -> here -> what it does, in one transaction -> its answer. Contract: the same `Idempotency-Key` with the
same request is answered again and nothing is done twice; a refusal leaves nothing behind and is problem details.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import psycopg
from fastapi import Header, Request, Response

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.idempotency import Answer, fingerprint_of, once
from trace_api.acts.refusals import Refused

Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="8 to 200 characters, fresh for each new act")
]
Work = Callable[[psycopg.Connection], Answer]


@dataclass(frozen=True, slots=True)
class Doing:
    databases: Databases

    def __call__(
        self, request: Request, person: Person, key: str | None, said: object, work: Work
    ) -> Response:
        """`said`: what was asked, by which a repeat is told from another request under the same key."""
        fingerprint = fingerprint_of(request.method, request.url.path, said)
        with as_problem(), access.acting(self.databases, person) as conn:
            answer = once(conn, person, key, fingerprint, lambda: work(conn))
        return answer.response()


@contextmanager
def as_problem() -> Iterator[None]:
    """Outside the transaction, which the refusal has left."""
    try:
        yield
    except Refused as refused:
        raise refused.problem() from refused
