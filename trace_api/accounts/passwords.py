"""Passwords: argon2id, a few at a time and without telling whether a login exists.

Contract: `hash_like` takes as long for no account as for one; at most `AT_ONCE` are computed together, since each takes
64 MiB, and at most `IN_LINE` wait for their turn, `PATIENCE_S` at the most: however many come to the door, there are
threads left that answer everybody else.
"""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import hash_secret

from trace_api.problems import Problem

AT_ONCE, IN_LINE = 4, 8
PATIENCE_S = 10.0
SHORTEST, LONGEST = 10, 200
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another on paper


class PasswordRefused(ValueError):
    """A password that may not be used. `key`: which sentence of the catalogue says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Busy(Problem):
    """As many passwords are looked at as there may be. Try again in some seconds."""


class Passwords:
    """`hasher`: RFC 9106's second recommended option; other parameters are for tests and for what grows."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(
            time_cost=3, memory_cost=64 * 1024, parallelism=1, hash_len=32
        )
        self._turns, self._line = BoundedSemaphore(AT_ONCE), BoundedSemaphore(AT_ONCE + IN_LINE)
        self._nobody = self.hash(secrets.token_urlsafe(24))

    def hash(self, password: str) -> str:
        """Under a new salt. Raises Busy."""
        with self.turn():
            return self._hasher.hash(password)

    def hash_like(self, password: str, stored: str | None) -> str:
        """Under the salt and the parameters of `stored`: equal to it if the password is. `stored` None: there is no such
        account, which takes as long to say. Raises Busy."""
        like = stored or self._nobody
        parameters, salt = extract_parameters(like), like.split("$")[4]
        with self.turn():
            return hash_secret(
                password[: LONGEST + 1].encode(),
                b64decode(salt + "=" * (-len(salt) % 4)),
                parameters.time_cost,
                parameters.memory_cost,
                parameters.parallelism,
                parameters.hash_len,
                parameters.type,
            ).decode()

    def outgrown(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of the `AT_ONCE`. Raises Busy."""
        if not self._line.acquire(blocking=False):
            raise Busy.said(503, "work_crowd")
        try:
            if not self._turns.acquire(timeout=PATIENCE_S):
                raise Busy.said(503, "work_crowd")
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._line.release()


def check_new(password: str, login: str) -> None:
    """Raises PasswordRefused. Length is what counts; rules about signs only make people write them down."""
    if len(password) < SHORTEST:
        raise PasswordRefused("work_password_short")
    if len(password) > LONGEST:
        raise PasswordRefused("work_password_long")
    if login and login in password.lower():
        raise PasswordRefused("work_password_login")
    if len(set(password)) < 4:
        raise PasswordRefused("work_password_plain")


def generate() -> str:
    """80 bits and more, in groups that can be read out and typed."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
