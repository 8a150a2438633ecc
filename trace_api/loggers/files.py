"""The bytes of loggers' files, by their SHA-256: one's own, and those named by an event that one may see.

Contract: a file is never changed, and the same bytes of one organisation stand once.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import psycopg

from trace_api.access import Person

MOST_BYTES: Final = 8 * 2**20
_HASH = re.compile(r"(?:ni:///sha-256;)?([0-9a-f]{64})")


def name_of(sha256: bytes) -> str:
    """As RFC 6920 names a hash; in hexadecimal, as the names of events by their hash are."""
    return f"ni:///sha-256;{sha256.hex()}"


def hash_in(text: str) -> bytes | None:
    matched = _HASH.fullmatch(text.strip().lower())
    return None if matched is None else bytes.fromhex(matched[1])


def keep(conn: psycopg.Connection, person: Person, sha256: bytes, data: bytes, now: datetime) -> None:
    conn.execute(
        "INSERT INTO logger_file (organisation, sha256, bytes, account, at) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [person.organisation, sha256, data, person.account, now],
    )


def own(conn: psycopg.Connection, sha256: bytes) -> bytes | None:
    row = conn.execute("SELECT bytes FROM logger_file WHERE sha256 = %s", [sha256]).fetchone()
    return None if row is None else bytes(row[0])


def seen(conn: psycopg.Connection, sha256: bytes) -> bytes | None:
    """Also of others, where an event names it that the asker may see."""
    row = conn.execute("SELECT logger_file_seen(%s)", [sha256]).fetchone()
    return None if row is None or row[0] is None else bytes(row[0])


def attached(conn: psycopg.Connection, organisation: str, event_id: str, sha256: bytes) -> None:
    """The event that names the file is recorded, in this transaction."""
    conn.execute("SELECT logger_file_attach(%s, %s, %s)", [organisation, event_id, sha256])
