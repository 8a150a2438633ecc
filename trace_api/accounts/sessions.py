"""Signing in and out, and who a request's session is of.

Contract: the token lies in the person's cookie alone, the database holds its SHA-256; an attempt is counted before the
password is looked at, in a transaction of its own, so that neither a crash nor many at once is a way around the limit;
no connection is held while a password is verified.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import psycopg

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.accounts.passwords import Passwords
from trace_api.story import Name

IDLE = timedelta(hours=12)
LASTS = timedelta(days=7)
FAILURES, PERIOD = 5, timedelta(minutes=15)
LONGEST_LOGIN = 100

Refusal = Literal["wrong", "wait", "disabled"]


class SignInRefused(Exception):
    """Nobody was signed in. `until`: for "wait", when to try again."""

    def __init__(self, why: Refusal, until: datetime | None = None) -> None:
        super().__init__(why)
        self.why, self.until = why, until


@dataclass(frozen=True, slots=True)
class Attempt:
    """A counted attempt: it is a failure until `_finish` says otherwise."""

    id: int
    password_hash: str | None
    is_disabled: bool


def sign_in(databases: Databases, passwords: Passwords, login: str, password: str, now: datetime) -> str:
    """The token of a new session. Raises SignInRefused."""
    attempt = _begin(databases, plain_login(login), now)
    if not passwords.verify(password, attempt.password_hash):
        raise SignInRefused("wrong")
    assert attempt.password_hash is not None
    if attempt.is_disabled:
        raise SignInRefused("disabled")
    better = passwords.hash(password) if passwords.outgrown(attempt.password_hash) else None
    token = secrets.token_urlsafe(32)
    with access.nobody(databases) as conn:
        row = conn.execute(
            "SELECT finish_sign_in(%s, %s, %s, %s, %s)", [attempt.id, sha256(token), better, now, LASTS]
        ).fetchone()
    if row is None or row[0] is None:  # disabled between the two transactions
        raise SignInRefused("disabled")
    return token


def knows_password(
    databases: Databases, passwords: Passwords, login: str, password: str, now: datetime
) -> bool:
    """Whether it is the password of that login, counted as an attempt. Raises SignInRefused for "wait"."""
    return passwords.verify(password, _begin(databases, login, now).password_hash)


def _begin(databases: Databases, login: str, now: datetime) -> Attempt:
    with access.nobody(databases) as conn:
        row = conn.execute(
            "SELECT attempt, wait_until, password_hash, is_disabled FROM begin_sign_in(%s, %s, %s, %s)",
            [login, now, FAILURES, PERIOD],
        ).fetchone()
    assert row is not None
    attempt, until, password_hash, is_disabled = row
    if attempt is None:
        raise SignInRefused("wait", until)
    return Attempt(attempt, password_hash, is_disabled)


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
    return Person(identity, login, name, organisation, frozenset(roles), department, tuple(regions), called)


def sign_out(conn: psycopg.Connection, token: str) -> None:
    conn.execute("SELECT end_session(%s)", [sha256(token)])


def sha256(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def plain_login(typed: str) -> str:
    """As logins are kept: phones begin a field with a capital, and a copied one has spaces around it."""
    return typed.strip().lower().replace("\x00", "")[:LONGEST_LOGIN]
