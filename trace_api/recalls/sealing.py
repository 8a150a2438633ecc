"""An official's order, and how it ended, as an entry that a stranger can check.

In the line: ordering.py -> here -> `recall_seal` and a pending entry of type `registry` in the root log, in the order's transaction.
Contract: an authority has no log of its own, and the root log is the one that everybody watches; the entry commits to the record and
shows nothing of it (docs/entry-v1.md); whoever the order is told to gets the record with its salts, and can open the entry.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from ledger.entry import SALT_SIZE, commit_event
from ledger.strict_json import strict, to_base64, utf16_key

Said = Literal["recall_order", "recall_end"]
_SAY: Final = "SELECT recall_seal_say(%s, %s, %s, %s, %s, %s, %s)"


def order_record(document: Mapping[str, Any], digest: str) -> dict[str, Any]:
    """`digest`: hexadecimal SHA-256 of all that was reached. No free text: what people type may name a person."""
    return {
        "type": "recall_order",
        "id": document["id"],
        "number": document["number"],
        "department": document["ordered_by"]["department"],
        "from": {name: value for name, value in document["from"].items() if name != "name"},
        "level": document["level"]["level"],
        "issued_at": document["issued_at"],
        "begin_by": document["begin_by"],
        "goods": f"ni:///sha-256;{digest}",
    }


def end_record(document: Mapping[str, Any], outcome: str, at: datetime) -> dict[str, Any]:
    return {
        "type": "recall_end",
        "id": document["id"],
        "number": document["number"],
        "department": document["ordered_by"]["department"],
        "outcome": outcome,
        "at": at.isoformat(timespec="milliseconds"),
    }


def seal(
    conn: psycopg.Connection,
    recall: UUID,
    record: Mapping[str, Any],
    at: datetime,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """In the caller's transaction."""
    salts = [random_bytes(SALT_SIZE) for _ in record]
    committed = commit_event(record, salts)
    body = committed.body()
    values = [recall, record["type"], Jsonb(dict(record)), b"".join(salts), body["root"], strict(body), at]
    conn.execute(_SAY, values)


def read_seals(conn: psycopg.Connection, recall: UUID) -> list[dict[str, Any]]:
    """What opens the entries: `{"log", "index", "root", "fields": [{"salt", "name", "value"}]}`, fields in the order of the tree;
    `index` None while it waits to be sequenced."""
    return [
        {
            "said": said,
            "log": origin,
            "index": index,
            "root": root,
            "fields": [
                {"salt": to_base64(salts[at : at + SALT_SIZE]), "name": name, "value": record[name]}
                for at, name in zip(
                    range(0, len(salts), SALT_SIZE), sorted(record, key=utf16_key), strict=True
                )
            ],
        }
        for said, origin, record, salts, root, index in conn.execute(
            "SELECT * FROM recall_seals(%s)", [recall]
        )
    ]
