"""A published log's files against the database: each bundle holds the leaves' entries, each tile their hashes.

Built anew from the database, bundle by bundle, and compared byte for byte with what is published; what comes out at the
top must be the root that the checkpoint has signed. Memory is one bundle's.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from ledger.reader import LogReader
from ledger.rebuilding import LeavesMissing, files_of

MOST_FAULTS = 20


def compare_log(conn: psycopg.Connection, organisation: str, log: LogReader) -> Iterator[str]:
    """What differs, each in a few words; nothing if all is the same."""
    made, faults = files_of(conn, organisation, log.tree_size), 0
    while faults < MOST_FAULTS:
        try:
            path, data = next(made)
        except StopIteration as end:
            if not faults and end.value.root_hash != log.root_hash:
                yield f"root of {log.tree_size} leaves: the checkpoint has signed another"
            return
        except LeavesMissing as error:
            yield str(error)
            return
        if (there := log.files.read(path)) != data:
            faults += 1
            yield f"{path} {'is missing' if there is None else 'holds other bytes'}"
