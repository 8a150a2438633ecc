"""A device-hour as a window commits to it: its rows in the table, and what is kept of its leaves beside the root.

In the line: sealing and auditing -> here -> `reading_store`, `observation`. Contract: what is kept are names and not the judge:
`leaf_keys` says which readings a window holds, `leaf_prefixes` which of them is no longer what it was; whether all are is the
root's to say, and the root that counts is the log's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from ingest import series_reading
from ledger.window import Rows, WindowTree, body_hash, observations
from ledger.window import readings as window_readings

KEY_BYTES = 24
_KEY = np.dtype([("series", "V16"), ("time", ">i8")])
PREFIX_BYTES = 4
"""Of a leaf hash. One altered reading in 2**32 keeps them; then the root still differs, and no reading is named."""


def read_rows(conn: psycopg.Connection, device: int, start: datetime) -> Rows:
    """All readings and observations of a device's hour, as a window commits to them."""
    return read_windows(conn, [(device, start)])[device, start]


_SERIES = "SELECT device_id, id, uuid FROM series WHERE device_id = ANY (%s) ORDER BY device_id, uuid"
_OBSERVED = """
SELECT place, (extract(epoch FROM time) * 1000)::bigint, body, flags
FROM unnest(%b::integer[], %b::timestamptz[]) WITH ORDINALITY AS wanted (series_id, start, place)
JOIN observation ON observation.series_id = wanted.series_id AND time >= start AND time < start + INTERVAL '1 hour'
ORDER BY place, time
"""


def read_windows(
    conn: psycopg.Connection, wanted: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], Rows]:
    """The same of many (device, start), each question once for all of them."""
    of_device: dict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for device, series, uuid in conn.execute(_SERIES, [[device for device, _ in wanted]]):
        of_device[device].append((series, uuid.bytes if isinstance(uuid, UUID) else UUID(str(uuid)).bytes))
    places = [(window, series, name) for window in wanted for series, name in of_device[window[0]]]
    starts = [round(start.timestamp() * 1000) for (_, start), _, _ in places]
    found = series_reading.read_many(
        conn,
        [(series, first, first + 3_599_999) for (_, series, _), first in zip(places, starts, strict=True)],
    )
    seen: dict[int, list[tuple[int, Any, int]]] = defaultdict(list)
    if places:
        columns = [[series for _, series, _ in places], [window[1] for window, _, _ in places]]
        for place, time_ms, body, flags in conn.execute(_OBSERVED, columns):
            seen[place - 1].append((time_ms, body, flags))
    parts: dict[tuple[int, datetime], list[Rows]] = defaultdict(list)
    for place, (window, _, name) in enumerate(places):
        part = found[place]
        parts[window].append(window_readings(name, part.time_ms, part.value, part.flags))
        if place in seen:
            times, bodies, flags = zip(*seen[place], strict=True)
            parts[window].append(observations(name, times, [body_hash(body) for body in bodies], flags))
    nothing = observations(bytes(16), [], [], [])
    return {window: np.concatenate([nothing, *parts[window]]) for window in wanted}


def packed_keys(rows: Rows) -> bytes:
    """KEY_BYTES of each row, in their order: series uuid, time in ms as int8 BE."""
    packed = np.empty(len(rows), _KEY)
    packed["series"], packed["time"] = rows["series"], rows["time"]
    return packed.tobytes()


def leaf_keys(tree: WindowTree) -> list[bytes]:
    return cut(packed_keys(tree.rows), KEY_BYTES)


def leaf_prefixes(tree: WindowTree) -> bytes:
    """PREFIX_BYTES of each leaf hash, in tree order."""
    return b"".join(each[:PREFIX_BYTES] for each in tree.tree.leaf_hashes)


def cut(kept: bytes, size: int) -> list[bytes]:
    """The keys or prefixes of a window one by one."""
    return [kept[at : at + size] for at in range(0, len(kept), size)]
