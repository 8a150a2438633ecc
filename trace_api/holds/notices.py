"""Recall notices to an organisation that has goods of it: what stands on its start pages until the recall ends.

Contract: read as the asker; a drill is no notice.
"""

from __future__ import annotations

from typing import Any

import psycopg

from trace_api.holds.recall_views import amount
from trace_api.holds.telling import ZONE
from trace_api.words import Words

_UNREAD = """
SELECT recall::text, level, reason_zh, reason_en, issued_at, begin_by, by_zh, by_en, department, kilograms, boxes, read FROM recalls_unread()
"""


def read_unread(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Orders for real that tell the asker's organisation of goods it has and are open, the newest first."""
    return conn.execute(_UNREAD).fetchall()


def unread_view(row: tuple[Any, ...], words: Words) -> dict[str, Any]:
    by = (row[6] if words.language == "zh" else row[7]) or ""
    if not by:
        by = words(f"recalled_authority_{row[8]}") if row[8] else words("check_nobody")
    return {
        "id": row[0],
        "title": words("recalls_notice_title", by=by, level=words(f"recalled_level_{row[1]}")),
        "reason": row[2] if words.language == "zh" else row[3],
        "amount": amount({"kilograms": row[9], "boxes": row[10]}, words),
        "begin": words.moment(row[5], ZONE),
        "read": row[11],
    }
