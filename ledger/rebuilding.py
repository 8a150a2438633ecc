"""A log's files made anew from its leaves: the same bytes as ever, since they are a function of the leaves.

`suyuan doctor --deep` compares them with what is published; `suyuan recover` puts them where a file is missing or damaged.
Contract: nothing is put anywhere before all leaves together have the root that the head has signed for. Memory is one
bundle's.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import psycopg

from ledger.head_store import Head
from ledger.log_files import LogFiles, LogForked, replace_whole
from ledger.translog.merkle import leaf_hash
from ledger.translog.tiles import TILE_WIDTH, Edge, bundle_path, pack_bundle, tile_width

_LEAVES = """
SELECT entry FROM leaf WHERE organisation = %s AND leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index
"""


class LeavesMissing(LogForked):
    """The database does not have all leaves that the log has published."""


def files_of(
    conn: psycopg.Connection, organisation: str, size: int
) -> Generator[tuple[str, bytes], None, Edge]:
    """Path and bytes of each tile and bundle of the tree of `size` leaves, and at the end its edge. Raises LeavesMissing."""
    edge = Edge.empty()
    while edge.size < size:
        until = min(edge.size + TILE_WIDTH, size)
        entries = [bytes(entry) for (entry,) in conn.execute(_LEAVES, [organisation, edge.size, until])]
        if len(entries) != until - edge.size:
            raise LeavesMissing(f"leaves {edge.size} to {until - 1}: the database has {len(entries)} of them")
        yield bundle_path(edge.size // TILE_WIDTH, len(entries)), pack_bundle(entries)
        growth = edge.extend([leaf_hash(entry) for entry in entries])
        for tile in growth.tiles:
            if tile.width == tile_width(tile.level, tile.index, size):
                yield tile.path, tile.data
        edge = growth.edge
    return edge


def root_of(conn: psycopg.Connection, organisation: str, size: int) -> bytes:
    """The root over the first `size` entries, each hashed again. Raises LeavesMissing."""
    made = files_of(conn, organisation, size)
    while True:
        try:
            next(made)
        except StopIteration as end:
            edge: Edge = end.value
            return edge.root_hash


def mend(conn: psycopg.Connection, organisation: str, head: Head, files: LogFiles, aside: Path) -> list[str]:
    """Puts whole files where some are missing or hold other bytes; those go to `aside`. Returns their paths. Raises LogForked
    where the database's leaves are not those of the head: then which of the two is right people have to say."""
    wrong = [path for path, data in files_of(conn, organisation, head.size) if files.read(path) != data]
    if not wrong:
        return []
    if (root := root_of(conn, organisation, head.size)) != head.root_hash:
        raise LogForked(
            f"{head.origin}: {len(wrong)} files are not what the database's leaves give, {wrong[0]} for one, and those give the"
            f" root {root.hex()} where the log has signed for {head.root_hash.hex()}: keep both, and find out which is true"
        )
    chosen = set(wrong)
    for path, data in files_of(conn, organisation, head.size):
        if path in chosen:
            if (files.folder / path).exists():
                (aside / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(files.folder / path, aside / path)
            replace_whole(files.folder / path, data)
    return wrong
