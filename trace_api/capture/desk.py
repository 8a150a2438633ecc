"""What the doors and the workers of capture share: limits, keys, the clock. Made in the composition root and passed in."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.persons import OrganisationKey, Vault
from trace_api.access import Databases

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one document, and of the documents of one organisation that wait. `kept`: how long a job can be asked after."""

    events: int = 1_000
    bytes: int = 4 * 2**20
    waiting: int = 500
    kept: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Seal:
    """Encrypts documents that wait (AES-256-GCM) under a key of the organisation's that is outside the database: they hold what
    persons are called, which goes to the vault only when they are worked off."""

    organisation_key: OrganisationKey

    def close(self, organisation: str, job: UUID, body: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(organisation).encrypt(nonce, body, job.bytes)

    def open(self, organisation: str, job: UUID, sealed: bytes) -> bytes:
        """Raises cryptography's InvalidTag under another key."""
        return self._cipher(organisation).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], job.bytes)

    def _cipher(self, organisation: str) -> AESGCM:
        key = self.organisation_key(organisation)
        return AESGCM(hmac.digest(key, b"suyuan/capture-document/v1", "sha256"))


@dataclass(frozen=True, slots=True)
class Desk:
    """`wake`: tells whoever works jobs off in this process that there is one. `reading`: how many documents are read at once,
    each of which takes many times its size."""

    databases: Databases
    vault: Vault
    seal: Seal
    limits: Limits
    now: Callable[[], datetime]
    wake: Callable[[], None] = lambda: None
    reading: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(2))


def desk_of(
    databases: Databases,
    organisation_key: OrganisationKey,
    limits: Limits,
    now: Callable[[], datetime],
    wake: Callable[[], None] = lambda: None,
) -> Desk:
    return Desk(databases, Vault(organisation_key), Seal(organisation_key), limits, now, wake)
