"""What could not be taken: raw bytes, reason, when. Nothing is dropped in silence.

Payloads may hold what a person typed, so they rest encrypted (AES-256-GCM) under a key of the month in
`DATA_DIR/keys`, outside the database and its backups; throwing a month's key away is how its payloads end.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.log_files import create_once

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One row. `topic`: bytes as received. `records`: how many records of the account it stands for."""

    organisation: str | None
    topic: bytes
    device: int | None
    boot: int | None
    seq: int | None
    records: int
    reason: str
    detail: str
    payload: bytes


class MonthlyKeys:
    """AES keys by month (`2026-06`), made on first use, one file each, readable by the owner only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ciphers: dict[str, AESGCM] = {}

    def encrypt(self, month: str, payload: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(month).encrypt(nonce, payload, month.encode())

    def decrypt(self, month: str, stored: bytes) -> bytes:
        return self._cipher(month).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], month.encode())

    def _cipher(self, month: str) -> AESGCM:
        if month not in self._ciphers:
            self._ciphers[month] = AESGCM(self._key(self._directory / f"quarantine-{month}.key"))
        return self._ciphers[month]

    def _key(self, path: Path) -> bytes:
        """Two workers may want a new month's key at once: the first wins. It is on disk before anything is encrypted by it."""
        if not path.exists():
            create_once(path, AESGCM.generate_key(bit_length=256))
        return path.read_bytes()


_INSERT = """
INSERT INTO quarantine (batch_id, received_at, organisation, topic, device_id, boot, seq, records, reason, detail, key_month, payload)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write(
    conn: psycopg.Connection,
    keys: MonthlyKeys,
    batch_id: int,
    received_at: datetime,
    rows: Sequence[Quarantined],
) -> None:
    if not rows:
        return
    month = received_at.strftime("%Y-%m")
    with conn.cursor() as cursor:
        cursor.executemany(
            _INSERT,
            [
                [batch_id, received_at, row.organisation, row.topic, row.device, row.boot, row.seq, row.records,
                 row.reason, row.detail[:1000], month, keys.encrypt(month, row.payload)]
                for row in rows
            ],
        )  # fmt: skip
