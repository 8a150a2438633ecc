"""What could not be taken: raw bytes, reason, when. Nothing is dropped in silence.

Payloads may hold what a person typed, so they rest encrypted (AES-256-GCM) under a key of the month in
`DATA_DIR/keys`, outside the database and its backups; throwing a month's key away is how its payloads end.
In the line: `pipeline` -> here, within `budget`; `replay` reads it again (docs/quarantine.md).
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ingest import budget
from ingest.admission import Refusal
from ingest.budget import Budget, Owner, Wish
from ingest.message import Message
from ingest.registry import Device
from ingest.wire.errors import WireError
from ingest.wire.topics import parse_topic
from ledger.log_files import create_once

_NONCE_BYTES = 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


class KeyGone(RuntimeError):
    """The key of that month is not in DATA_DIR/keys: restore it from the keys' backup. One that was thrown away is gone, and
    the payloads with it."""


class MonthlyKeys:
    """AES keys by month (`2026-06`), made on first use, one file each, readable by the owner only. A file without a byte: that
    month's key was thrown away, and none is made in its place."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ciphers: dict[str, AESGCM] = {}

    def encrypt(self, month: str, payload: bytes) -> bytes:
        path = self._path(month)
        if month not in self._ciphers and not path.exists():
            # Two workers may want a new month's key at once: the first wins. It is on disk before anything is encrypted by it.
            create_once(path, AESGCM.generate_key(bit_length=256))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(month).encrypt(nonce, payload, month.encode())

    def decrypt(self, month: str, stored: bytes) -> bytes:
        """Raises KeyGone."""
        return self._cipher(month).decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], month.encode())

    def months(self) -> list[str]:
        """Those that have a key, in order."""
        paths = sorted(self._directory.glob("quarantine-????-??.key"))
        return [path.stem.removeprefix("quarantine-") for path in paths if path.stat().st_size]

    def throw_away(self, month: str) -> None:
        """For good. What was written in its place is on disk before this returns."""
        self._ciphers.pop(month, None)
        with self._path(month).open("r+b") as file:
            file.write(bytes(file.seek(0, os.SEEK_END)))
            file.truncate(0)
            file.flush()
            os.fsync(file.fileno())

    def _path(self, month: str) -> Path:
        return self._directory / f"quarantine-{month}.key"

    def _cipher(self, month: str) -> AESGCM:
        if month not in self._ciphers:
            path = self._path(month)
            key = path.read_bytes() if path.exists() else None
            if not key:
                missing = f"is missing in {self._directory}: bring it back from the keys' backup"
                raise KeyGone(f"the key of {month} {missing if key is None else 'was thrown away'}")
            self._ciphers[month] = AESGCM(key)
        return self._ciphers[month]


def due(months: Iterable[str], kept: int, now: datetime) -> list[str]:
    """Those that are over for more than `kept` months."""
    oldest = now.year * 12 + now.month - 1 - kept
    return [month for month in months if int(month[:4]) * 12 + int(month[5:]) - 1 < oldest]


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
    received_ms: Sequence[int] = (),
) -> None:
    """`messages`: of the batch; each row's payload and topic are those of its message. `received_ms`: our clock at each of them,
    by which it was decoded and will be again; none: that of the batch."""
    if not rows:
        return
    month = received_at.strftime("%Y-%m")

    def moment(at: int) -> datetime:
        return EPOCH + timedelta(milliseconds=received_ms[at]) if received_ms else received_at

    with conn.cursor() as cursor:
        cursor.executemany(
            _INSERT,
            [
                [batch_id, moment(row.message), _organisation(row, messages[row.message].topic), messages[row.message].topic,
                 row.device.id if row.device else None, row.boot, row.seq, row.records, row.reason, row.detail[:1000],
                 month, keys.encrypt(month, messages[row.message].payload)]
                for row in rows
            ],
        )  # fmt: skip


def within(
    conn: psycopg.Connection,
    most: Budget,
    received_at: datetime,
    messages: Sequence[Message],
    rows: Sequence[Refused],
    knows: Callable[[str], bool],
) -> list[Refused]:
    """Those that the budgets allow; the others are counted. `knows`: is an organisation of that name registered? Topics may
    name any, and each would have a budget of its own."""
    wishes = [_wish(messages[row.message], row, knows) for row in rows]
    kept = budget.spend(conn, most, received_at, wishes)
    return [row for row, stays in zip(rows, kept, strict=True) if stays]


def _wish(message: Message, row: Refused, knows: Callable[[str], bool]) -> Wish:
    organisation = "" if row.device else _organisation(row, message.topic) or ""
    owner = Owner(row.device.id if row.device else 0, organisation if knows(organisation) else "")
    return Wish(owner, row.message, row.boot, row.seq, len(message.payload), row.records, row.reason)


def _organisation(row: Refused, topic: bytes) -> str | None:
    """The device's, or as far as the topic tells."""
    if row.device is not None:
        return row.device.organisation
    try:
        return parse_topic(topic).organisation
    except WireError:
        return None


def written_forms(text: str) -> set[bytes]:
    """The bytes as which a payload may hold a text: UTF-8 as it stands (JSON, CBOR, Sparkplug), as JSON escapes it, in either
    case of its digits, and GB 18030."""
    escaped = "".join(f"\\u{unit:04x}" if unit > 0x7E else chr(unit) for unit in _utf16(text))
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return {
        text.encode(), plain.encode(), escaped.encode(), _upper(escaped).encode(), text.encode("gb18030"),
    }  # fmt: skip


def _utf16(text: str) -> Iterable[int]:
    data = text.encode("utf-16-be")
    return (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def _upper(escaped: str) -> str:
    return re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), escaped)
