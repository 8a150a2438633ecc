"""After a recovery: windows of which the log has the entry and the database lost the row get their readings back, where
those are still stored.

Between `ledger.recovery`, which writes such a row without its keys, and sealing, which would otherwise find the hour
unchanged and leave it so. Contract: a window is filled only if the stored readings have the very root that was sealed.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

from ingest.sealing import AT_ONCE, OrganisationKey
from ingest.window_rows import leaf_keys, leaf_prefixes, read_windows
from ledger.entry import stream_pseudonym
from ledger.errors import LedgerError
from ledger.window import Rows, WindowTree, window_secret

_EMPTY = """
SELECT sealed.id, sealed.device_id, sealed.organisation, sealed.start_time, sealed.root
FROM sealed_window AS sealed JOIN leaf ON leaf.sealed_window = sealed.id
JOIN payload_lost AS lost ON lost.organisation = leaf.organisation AND lost.leaf_index = leaf.leaf_index
WHERE sealed.leaf_keys = '' AND sealed.readings > 0 AND sealed.id > %s ORDER BY sealed.id LIMIT %s
"""
_FILL = "UPDATE sealed_window SET leaf_keys = %s, leaf_prefixes = %s WHERE id = %s"
_FOUND = """
DELETE FROM payload_lost AS lost USING leaf
WHERE leaf.sealed_window = %s AND lost.organisation = leaf.organisation AND lost.leaf_index = leaf.leaf_index
"""


def refill(conn: psycopg.Connection, key: OrganisationKey) -> int:
    """How many windows have their readings again. As the database's owner, in a transaction of its own."""
    filled, last = 0, 0
    with conn.transaction():
        while windows := conn.execute(_EMPTY, [last, AT_ONCE]).fetchall():
            last = windows[-1][0]
            rows = read_windows(conn, [(device, start) for _, device, _, start, _ in windows])
            for window, device, organisation, start, root in windows:
                tree = _tree(rows[device, start], key(organisation), device, start)
                if tree is not None and tree.root_hash == bytes(root):
                    conn.execute(_FILL, [b"".join(leaf_keys(tree)), leaf_prefixes(tree), window])
                    conn.execute(_FOUND, [window])
                    filled += 1
    return filled


def _tree(rows: Rows, org_key: bytes, device: int, start: datetime) -> WindowTree | None:
    """None for readings that no window can hold: they are not those that were sealed."""
    stream = stream_pseudonym(org_key, "device", str(device))
    try:
        return WindowTree.of(window_secret(org_key, stream, round(start.timestamp() * 1000)), rows)
    except LedgerError:
        return None
