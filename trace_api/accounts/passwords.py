"""Passwords: argon2id, one at a time and without telling whether a login exists.

Contract: `verify` takes as long for no account as for one; at most `AT_ONCE` are computed together, since each takes
64 MiB; what was hashed under weaker parameters than today's is hashed again at the next sign-in.
"""

from __future__ import annotations

import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 4
SHORTEST, LONGEST = 10, 200
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is taken for another on paper


class PasswordRefused(ValueError):
    """A password that may not be used. `key`: which sentence of the catalogue says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Passwords:
    """`hasher`: RFC 9106's second recommended option; other parameters are for tests and for what grows."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(
            time_cost=3, memory_cost=64 * 1024, parallelism=1, hash_len=32
        )
        self._turns = BoundedSemaphore(AT_ONCE)
        self._nobody = self.hash(secrets.token_urlsafe(24))

    def hash(self, password: str) -> str:
        with self._turns:
            return self._hasher.hash(password)

    def verify(self, password: str, stored: str | None) -> bool:
        """Whether `password` is the stored one. `stored` None: there is no such account, which takes as long to say."""
        try:
            with self._turns:
                self._hasher.verify(stored or self._nobody, password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outgrown(self, stored: str) -> bool:
        return self._hasher.check_needs_rehash(stored)


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
