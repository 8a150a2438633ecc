"""What could not be taken: raw bytes, reason, when. Nothing is dropped in silence.

Payloads may hold what a person typed, so they rest encrypted (AES-256-GCM) under a key of the month in
`DATA_DIR/keys`, outside the database and its backups; throwing a month's key away is how its payloads end.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ingest.admission import Refusal
from ingest.message import Message
from ingest.registry import Device
from ingest.wire.errors import WireError
from ingest.wire.topics import parse_topic
from ledger.log_files import create_once

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Refused:
    """One row. `message`: which of the batch. `records`: how many records of the account it stands for."""

    message: int
    device: Device | None
    boot: int | None
    seq: int | None
    records: int
    reason: str
    detail: str


DETAILS = 5  # said in a row; what more there is, is counted


def grouped(refusals: Iterable[Refusal]) -> list[Refused]:
    """Refusals of one message and reason share one row: a pack of 500 bad records is one thing to read, and its bytes
    are kept once, however many different things are wrong with it."""
    groups: dict[tuple[int, str], list[Refusal]] = defaultdict(list)
    for refusal in refusals:
        groups[refusal.message, refusal.reason].append(refusal)
    return [
        Refused(
            message,
            group[0].device,
            group[0].boot,
            group[0].seq,
            sum(each.records for each in group),
            reason,
            _details(group),
        )
        for (message, reason), group in groups.items()
    ]


def _details(group: list[Refusal]) -> str:
    different = list(dict.fromkeys(refusal.detail for refusal in group))
    more = len(different) - DETAILS
    return "; ".join([*different[:DETAILS], *([f"and {more} more"] if more > 0 else [])])


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
    messages: Sequence[Message],
    rows: Sequence[Refused],
) -> None:
    """`messages`: of the batch; each row's payload and topic are those of its message."""
    if not rows:
        return
    month = received_at.strftime("%Y-%m")
    with conn.cursor() as cursor:
        cursor.executemany(
            _INSERT,
            [
                [batch_id, received_at, _organisation(messages[row.message].topic), messages[row.message].topic,
                 row.device.id if row.device else None, row.boot, row.seq, row.records, row.reason, row.detail[:1000],
                 month, keys.encrypt(month, messages[row.message].payload)]
                for row in rows
            ],
        )  # fmt: skip


def _organisation(topic: bytes) -> str | None:
    """As far as the topic tells."""
    try:
        return parse_topic(topic).organisation
    except WireError:
        return None
