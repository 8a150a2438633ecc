"""Signing in and out, and who a request's session is of.

Contract: the token lies in the person's cookie alone, the database holds its SHA-256; the stored hash stays in the database,
which compares; an attempt is counted and committed before it is told whether it was right, so that neither a crash nor many
at once is a way around the limit; no connection is held while a password is hashed.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, LiteralString
from uuid import UUID

import psycopg

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.passwords import Busy, Passwords
from trace_api.problems import RETRY_S
from trace_api.story import Name

IDLE = timedelta(hours=12)
LASTS = timedelta(days=7)
FAILURES, PERIOD = 5, timedelta(minutes=15)  # as `sign_in_wait` in the database has them
LONGEST_LOGIN = 100

Refusal = Literal["wrong", "wait", "disabled", "crowd"]


class SignInRefused(Exception):
    """Nobody was signed in. `until`: for "wait" and "crowd", when to try again."""

    def __init__(self, why: Refusal, until: datetime | None = None) -> None:
        super().__init__(why)
        self.why, self.until = why, until


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted attempt: it is a failure until it is finished. `salt`: how the login's password is hashed, None for an unknown
    login."""

    handle: UUID
    salt: str | None


def sign_in(databases: Databases, passwords: Passwords, login: str, password: str, now: datetime) -> str:
    """The token of a new session. Raises SignInRefused."""
    attempt = _begin(databases, passwords, plain_login(login), password, now)
    better, token = _better(passwords, password, attempt.salt), secrets.token_urlsafe(32)
    with access.nobody(databases) as conn:
        (outcome,) = _one(
            conn, "SELECT finish_sign_in(%s, %s, %s, %s, %s)", attempt.handle, sha256(token), better, now, LASTS
        )  # fmt: skip
    if outcome != "signed in":
        raise SignInRefused(outcome)
    return token


def _begin(databases: Databases, passwords: Passwords, login: str, password: str, now: datetime) -> Attempt:
    """Count an attempt with that password. Raises SignInRefused for "wait" and "crowd", where nothing is counted."""
    with access.nobody(databases) as conn:
        wait, salt = _one(conn, "SELECT sign_in_wait(%s), sign_in_salt(%s)", login, login)
    if wait is not None:
        raise SignInRefused("wait", now + wait)
    try:
        tried = passwords.hash_like(password, salt)
    except Busy as busy:
        raise SignInRefused("crowd", now + timedelta(seconds=RETRY_S)) from busy
    with access.nobody(databases) as conn:
        (handle,) = _one(conn, "SELECT begin_sign_in(%s, %s)", login, tried)
        if handle is None:
            raise SignInRefused("wait", now + (_one(conn, "SELECT sign_in_wait(%s)", login)[0] or PERIOD))
    return Attempt(handle, salt)


@dataclass(frozen=True, slots=True)
class Change:
    """Of one's own password, begun: counted as an attempt with the one that was."""

    attempt: UUID
    new_hash: str
    at: datetime

    def make(self, conn: psycopg.Connection) -> None:
        """In the transaction of who asks. Raises SignInRefused for "wrong"."""
        row = _one(conn, "SELECT change_own_password(%s, %s, %s)", self.attempt, self.new_hash, self.at)
        if not row[0]:
            raise SignInRefused("wrong")


def begin_change(
    databases: Databases, passwords: Passwords, person: Person, current: str, new: str, now: datetime
) -> Change:
    """Raises SignInRefused for "wait" and "crowd"."""
    new_hash = passwords.hash(new)
    return Change(_begin(databases, passwords, person.login, current, now).handle, new_hash, now)


def _better(passwords: Passwords, password: str, salt: str | None) -> str | None:
    """The same password under parameters that have grown; another time where there are too many at the door."""
    try:
        return passwords.hash(password) if salt is not None and passwords.outgrown(salt) else None
    except Busy:
        return None


def _one(conn: psycopg.Connection, query: LiteralString, *values: object) -> tuple[Any, ...]:
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row


def person_of(conn: psycopg.Connection, token: str, now: datetime) -> Person | None:
    """Who is signed in under that token, if its session still lasts."""
    row = conn.execute(
        "SELECT id, login, name, organisation, roles, department, regions, organisation_zh, organisation_en"
        " FROM session_account(%s, %s, %s)",
        [sha256(token), now, IDLE],
    ).fetchone()
    if row is None:
        return None
    identity, login, name, organisation, roles, department, regions, zh, en = row
    called = None if organisation is None else Name(zh, en)
    return Person(identity, login, name, organisation, frozenset(roles), department, tuple(regions), called,
                  sha256(token))  # fmt: skip


def sign_out(conn: psycopg.Connection, token: str) -> None:
    conn.execute("SELECT end_session(%s)", [sha256(token)])


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def plain_login(typed: str) -> str:
    """As logins are kept: phones begin a field with a capital, and a copied one has spaces around it."""
    return typed.strip().lower().replace("\x00", "")[:LONGEST_LOGIN]
