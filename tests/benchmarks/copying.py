"""The other bound: the readings of a load, already rows in PostgreSQL's own binary form and in order, by COPY into the table."""

from __future__ import annotations

import time

import numpy as np
import psycopg

from simulators.load.plan import Plan
from tests.servers.databases import Database

_ROW = np.dtype(
    [("fields", ">i2"), ("l0", ">i4"), ("series", ">i4"), ("l1", ">i4"), ("time", ">i8"), ("l2", ">i4"), ("value", ">f8"),
     ("l3", ">i4"), ("flags", ">i2"), ("l4", ">i4"), ("batch", ">i8")]
)  # fmt: skip
_HEADER, _TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_POSTGRES_EPOCH_MS = 946_684_800_000
_COPY = "COPY reading_store (series_id, time, value, flags, batch_id) FROM STDIN (FORMAT binary)"


def copy(database: Database, plan: Plan, rows_at_once: int) -> float:
    """Readings a second, a commit for each `rows_at_once` rows. The bytes are made beforehand."""
    total = plan.messages * plan.pack
    prepared = [
        _bytes(plan, first, min(first + rows_at_once, total)) for first in range(0, total, rows_at_once)
    ]
    with psycopg.connect(database.owner) as conn:
        begun = time.perf_counter()
        for data in prepared:
            with conn.cursor() as cursor, cursor.copy(_COPY) as out:
                out.write(data)
            conn.commit()
        return total / (time.perf_counter() - begun)


def _bytes(plan: Plan, first: int, last: int) -> bytes:
    """Readings `first` to `last` - 1 in the order in which the plan sends them, then sorted by key."""
    message, place = np.divmod(np.arange(first, last), plan.pack)
    turn, device = np.divmod(message, plan.devices)
    time_ms = plan.start_ms + turn * plan.span_s * 1000 + place * plan.interval_s * 1000
    order = np.lexsort((time_ms, device))
    rows = np.zeros(last - first, _ROW)
    rows["fields"] = 5
    rows["l0"], rows["l1"], rows["l2"], rows["l3"], rows["l4"] = 4, 8, 8, 2, 8
    rows["series"] = device[order] + 1
    rows["time"] = (time_ms[order] - _POSTGRES_EPOCH_MS) * 1000
    rows["value"] = 2 + (message[order] % 200) / 100
    return _HEADER + rows.tobytes() + _TRAILER
