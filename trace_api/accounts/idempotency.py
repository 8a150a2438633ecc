"""A request made twice is done once: a double tap, a reload, a phone that lost the answer.

Contract: in the caller's transaction. The same key with the same request gives the stored answer; while the first is at
work the second waits for its end. A refusal is not kept: nothing was done, so the same key may be tried again.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import psycopg
from fastapi import Response
from fastapi.responses import JSONResponse, RedirectResponse

from trace_api.access import Person
from trace_api.problems import Problem

KEPT = timedelta(days=7)
SHORTEST, LONGEST = 8, 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, in a form that can be kept. `replayed`: it was done before, and is only said again."""

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    location: str | None = None
    replayed: bool = False

    def response(self) -> Response:
        if self.location is not None and 300 <= self.status < 400:
            return RedirectResponse(self.location, self.status)
        headers = {} if self.location is None else {"Location": self.location}
        return JSONResponse(self.body, self.status, headers=headers)


def once(
    conn: psycopg.Connection,
    person: Person,
    request_key: str | None,
    fingerprint: bytes,
    work: Callable[[], Answer],
) -> Answer:
    """`work`'s answer, or the one it gave before. `fingerprint`: of the request, see `fingerprint_of`. Raises Problem 400
    without a key, 422 where the key was used for another request."""
    key, scope = _checked(request_key), _scope(person)
    # Held until the transaction ends, in either way: who comes second finds the answer, or that nothing was done.
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"idempotency {scope} {key}"])
    before = answered(conn, person, key, fingerprint)
    if before is not None:
        return before
    conn.execute(
        "DELETE FROM idempotency WHERE scope = %s AND created_at < now() - %s::interval", [scope, KEPT]
    )
    answer = work()
    conn.execute(
        "INSERT INTO idempotency (scope, key, fingerprint, status, body, location) VALUES (%s, %s, %s, %s, %s, %s)",
        [scope, key, fingerprint, answer.status, json.dumps(answer.body), answer.location],
    )
    return replace(answer, replayed=False)


def answered(
    conn: psycopg.Connection, person: Person, request_key: str | None, fingerprint: bytes
) -> Answer | None:
    """What the request was answered with before. Raises as `once` does."""
    row = conn.execute(
        "SELECT fingerprint, status, body, location FROM idempotency WHERE scope = %s AND key = %s",
        [_scope(person), _checked(request_key)],
    ).fetchone()
    if row is None:
        return None
    if bytes(row[0]) != fingerprint:
        raise Problem.said(422, "work_key_reused")
    return Answer(row[1], row[2], row[3], replayed=True)


def fingerprint_of(*parts: object) -> bytes:
    """SHA-256 over what a request asks for: its method and path, and its fields or its parsed body."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def secret_fingerprint(form: bytes, secrets: Sequence[str], token: str) -> bytes:
    """Of a form with secrets in it, so that another password under the same key is another request. `form`: of all else.
    `token`: the session's own, which no database has, so that nothing is kept by which the secrets could be guessed."""
    told = hmac.digest(token.encode(), "\0".join(secrets).encode(), "sha256")
    return fingerprint_of(form.hex(), told.hex())


def _checked(key: str | None) -> str:
    if not key:
        raise Problem.said(400, "work_key_missing")
    if not SHORTEST <= len(key) <= LONGEST or not key.isprintable():
        raise Problem.said(400, "work_key_malformed", shortest=SHORTEST, longest=LONGEST)
    return key


def _scope(person: Person) -> str:
    """As `current_scope()` has it: the database refuses another's."""
    return f"organisation:{person.organisation}" if person.account is None else f"account:{person.account}"
