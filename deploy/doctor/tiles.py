"""A published log's files against the database: each bundle holds the leaves' entries, each tile their hashes.

Built anew from the database, bundle by bundle, and compared byte for byte with what is published; what comes out at the
top must be the root that the checkpoint has signed. Memory is one bundle's.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from ledger.reader import LogReader
from ledger.translog.merkle import leaf_hash
from ledger.translog.tiles import TILE_WIDTH, Edge, bundle_path, pack_bundle, tile_width

_LEAVES = """
SELECT entry FROM leaf WHERE organisation = %s AND leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index
"""
MOST_FAULTS = 20


def compare_log(conn: psycopg.Connection, organisation: str, log: LogReader) -> Iterator[str]:
    """What differs, each in a few words; nothing if all is the same."""
    edge, faults = Edge.empty(), 0
    while edge.size < log.tree_size and faults < MOST_FAULTS:
        until = min(edge.size + TILE_WIDTH, log.tree_size)
        entries = [bytes(entry) for (entry,) in conn.execute(_LEAVES, [organisation, edge.size, until])]
        if len(entries) != until - edge.size:
            yield f"leaves {edge.size} to {until - 1}: the database has {len(entries)} of them"
            return
        growth = edge.extend([leaf_hash(entry) for entry in entries])
        wanted = {bundle_path(edge.size // TILE_WIDTH, len(entries)): pack_bundle(entries)}
        wanted |= {
            tile.path: tile.data
            for tile in growth.tiles
            if tile.width == tile_width(tile.level, tile.index, log.tree_size)
        }
        for path, data in wanted.items():
            if (there := log.files.read(path)) != data:
                faults += 1
                yield f"{path} {'is missing' if there is None else 'holds other bytes'}"
        edge = growth.edge
    if not faults and edge.root_hash != log.root_hash:
        yield f"root of {log.tree_size} leaves: the checkpoint has signed another"
