"""The evidence file of one breach: the sealed windows over it, and every reading of its sensor in them.

In the line: sealed windows and the device's hours -> here -> an evidence file, which anybody checks without us. Contract:
of each hour the newest version that the log's published checkpoint reaches; readings of other sensors of the device stay
behind as hashes. A store that no longer gives the sealed root gives no file, and says so.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import psycopg

from ledger.entry import stream_pseudonym
from ledger.evidence_file import Evidence, WindowEvidence, build_window
from ledger.reader import LogReader
from ledger.translog.verify import VerifyError
from ledger.window import WindowTree, window_secret
from trace_api.audit import reading
from trace_api.audit.reading import Breach, Window
from trace_api.problems import Problem
from trace_api.proofs import OrganisationKey, keys_of, rows_kept

Logs = Callable[[str], LogReader | None]


def evidence_of(
    conn: psycopg.Connection, breach: Breach, at: datetime, logs: Logs, key: OrganisationKey
) -> Evidence:
    """Raises Problem 409 where nothing of it is sealed yet, or where the store is not what was sealed."""
    windows = reading.windows(conn, breach.id, at)
    log = logs(breach.organisation)
    if log is None:
        raise Problem.said(409, "audit_not_sealed")
    try:
        items = tuple(_items(conn, breach, at, windows, log, key(breach.organisation)))
    except VerifyError as error:
        raise Problem.said(409, "audit_changed", what=str(error)) from error
    if not items:
        raise Problem.said(409, "audit_not_sealed")
    return Evidence((log.log_evidence(),), items)


def _items(
    conn: psycopg.Connection,
    breach: Breach,
    at: datetime,
    windows: Sequence[Window],
    log: LogReader,
    key: bytes,
) -> Iterator[WindowEvidence]:
    for window in newest(windows, log.tree_size):
        hour = window.start_time
        start_ms = round(hour.timestamp() * 1000)
        rows = rows_kept(reading.device_hour(conn, breach.id, hour, at), window.leaf_keys)
        stream = stream_pseudonym(key, "device", str(window.device_id))
        tree = WindowTree.of(window_secret(key, stream, start_ms), rows)
        positions = [place for place, (series, time_ms) in enumerate(zip(rows_series(tree), tree.rows["time"].tolist(), strict=True))
                     if series == breach.series.bytes and _within(breach, time_ms)]  # fmt: skip
        if positions:
            yield build_window(log.leaf_evidence(window.leaf_index), tree, positions)


def rows_series(tree: WindowTree) -> list[bytes]:
    return [bytes(series) for series in tree.rows["series"].tolist()]


def newest(windows: Sequence[Window], tree_size: int) -> list[Window]:
    """Of each hour, the newest version that a checkpoint over so many leaves reaches."""
    found: dict[datetime, Window] = {}
    for window in windows:
        if window.leaf_index < tree_size:
            found[window.start_time] = window
    return list(found.values())


def covered(windows: Sequence[Window], series: bytes) -> set[int]:
    """Times (UTC ms) of that series' readings that some sealed version commits to."""
    return {
        struct.unpack(">q", each[16:])[0]
        for window in windows
        for each in keys_of(window.leaf_keys)
        if each[:16] == series
    }


def _within(breach: Breach, time_ms: int) -> bool:
    start = round(breach.start_time.timestamp() * 1000)
    end = None if breach.end_time is None else round(breach.end_time.timestamp() * 1000)
    return start <= time_ms and (end is None or time_ms <= end)
