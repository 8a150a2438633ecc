"""The evidence file of a lot or a box: its events field by field, and the warmest sealed reading of each leg.

What is not published is withheld as a hash, so the file proves that nothing was left out or changed without showing it.
Contract: every item's proof is against the log's published checkpoint; an event sequenced after it waits for the next.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import psycopg

from ledger.entry import stream_pseudonym
from ledger.evidence_file import (
    Disclosed,
    EventEvidence,
    Evidence,
    Item,
    LeafEvidence,
    Withheld,
    build_window,
)
from ledger.reader import LogReader
from ledger.window import Rows, WindowTree, body_hash, observations, readings, window_secret
from trace_api.chain import PUBLIC, Chain, Sensor
from trace_api.compliance import Judged

OrganisationKey = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class _Window:
    organisation: str
    device: int
    start_ms: int
    keys: bytes
    leaf_index: int


class Prover:
    """Makes one evidence file from one snapshot. `logs`: organisation -> its published log, None while it has none."""

    def __init__(
        self, conn: psycopg.Connection, logs: Callable[[str], LogReader | None], key: OrganisationKey
    ) -> None:
        self._conn, self._key = conn, key
        self._open = logs
        self._logs: dict[str, LogReader | None] = {}
        self._eye = PUBLIC

    def prove(self, chain: Chain, events: Iterable[int], judged: Judged) -> Evidence:
        """`events`: positions of the events behind the answer, disclosed as far as the chain's eye sees them."""
        self._eye = chain.eye
        items: list[Item] = [*self._events(events), *self._windows(chain, judged)]
        named = {item.leaf.log for item in items}
        logs = [log for log in self._logs.values() if log is not None and log.origin in named]
        return Evidence(tuple(log.log_evidence() for log in logs), tuple(items))

    def _events(self, positions: Iterable[int]) -> Iterator[EventEvidence]:
        rows = self._conn.execute(
            self._eye.sql(
                "SELECT id, organisation, leaf_index FROM seen_event"
                " WHERE position = ANY (%s) ORDER BY organisation, leaf_index"
            ),
            [sorted(positions)],
        ).fetchall()
        for event, organisation, index in rows:
            leaf = self._leaf(organisation, index)
            if leaf is not None:
                yield EventEvidence(leaf, tuple(self._fields(event)))

    def _fields(self, event: int) -> Iterator[Disclosed | Withheld]:
        fields = self._conn.execute(self._eye.sql("SELECT * FROM seen_fields(%s)"), [event])
        for _, name, salt, value, digest in fields:
            yield Withheld(bytes(digest)) if name is None else Disclosed(name, bytes(salt), value)

    def _leaf(self, organisation: str, index: int) -> LeafEvidence | None:
        """None where the published checkpoint does not reach the entry yet."""
        if organisation not in self._logs:
            self._logs[organisation] = self._open(organisation)
        log = self._logs[organisation]
        if log is None or index >= log.tree_size:
            return None
        return log.leaf_evidence(index)

    def _windows(self, chain: Chain, judged: Judged) -> Iterator[Item]:
        """For each leg with readings, the sealed window that holds its warmest reading; each window once."""
        sensors = {str(sensor.series): sensor for each in chain.sensors.values() for sensor in each}
        wanted: dict[tuple[int, int], set[tuple[bytes, int]]] = {}
        windows: dict[tuple[int, int], _Window] = {}
        for leg in judged.exposure.legs:
            warmest = _warmest(leg.leg.series, leg.leg.start_ms, leg.leg.end_ms, sensors)
            if warmest is None:
                continue
            sensor, time_ms = warmest
            window = self._window_of(sensor, time_ms)
            if window is not None:
                windows[window.device, window.start_ms] = window
                wanted.setdefault((window.device, window.start_ms), set()).add(
                    (UUID(sensor.uuid).bytes, time_ms)
                )
        for place, window in sorted(windows.items()):
            item = self._window(window, wanted[place])
            if item is not None:
                yield item

    def _window_of(self, sensor: Sensor, time_ms: int) -> _Window | None:
        """The newest sealed version that holds the reading."""
        hour_ms = time_ms - time_ms % 3_600_000
        rows = self._conn.execute(
            self._eye.sql(
                "SELECT organisation, device_id, leaf_keys, leaf_index"
                " FROM seen_windows(%s, to_timestamp(%s), to_timestamp(%s))"
                " WHERE start_time = to_timestamp(%s) ORDER BY version DESC"
            ),
            [[sensor.device], hour_ms / 1000, hour_ms / 1000 + 1, hour_ms / 1000],
        ).fetchall()
        sought = UUID(sensor.uuid).bytes + struct.pack(">q", time_ms)
        for organisation, device, keys, index in rows:
            if sought in keys_of(bytes(keys)):
                return _Window(organisation, device, hour_ms, bytes(keys), index)
        return None

    def _window(self, window: _Window, wanted: set[tuple[bytes, int]]) -> Item | None:
        leaf = self._leaf(window.organisation, window.leaf_index)
        if leaf is None:
            return None
        key = self._key(window.organisation)
        stream = stream_pseudonym(key, "device", str(window.device))
        tree = WindowTree.of(window_secret(key, stream, window.start_ms), self._rows(window))
        held = zip(tree.rows["series"].tolist(), tree.rows["time"].tolist(), strict=True)
        positions = [place for place, (series, time) in enumerate(held) if (bytes(series), time) in wanted]
        return build_window(leaf, tree, positions)

    def _rows(self, window: _Window) -> Rows:
        """The readings this version commits to: later ones belong to a later version."""
        rows = self._conn.execute(
            self._eye.sql(
                "SELECT series, time_ms, value, flags, body FROM seen_device_hour(%s, to_timestamp(%s))"
            ),
            [window.device, window.start_ms / 1000],
        ).fetchall()
        return rows_kept(rows, window.keys)


def rows_kept(found: Iterable[tuple[Any, ...]], keys: bytes) -> Rows:
    """Of everything that a device recorded in an hour (series, UTC ms, value, flags, body), what the window with these leaf
    keys commits to."""
    kept = keys_of(keys)
    parts: list[Rows] = []
    by_series: dict[bytes, list[tuple[Any, ...]]] = {}
    for row in found:
        name = row[0].bytes
        if name + struct.pack(">q", row[1]) in kept:
            by_series.setdefault(name, []).append(row)
    for name, own in by_series.items():
        measured = [row for row in own if row[4] is None]
        seen = [row for row in own if row[4] is not None]
        parts.append(
            readings(
                name,
                [row[1] for row in measured],
                [row[2] for row in measured],
                [row[3] for row in measured],
            )
        )
        parts.append(
            observations(
                name,
                [row[1] for row in seen],
                [body_hash(row[4]) for row in seen],
                [row[3] for row in seen],
            )
        )
    return np.concatenate(parts)


def keys_of(keys: bytes) -> frozenset[bytes]:
    """The leaf keys one by one: series (16 bytes), UTC ms (8, big-endian)."""
    return frozenset(keys[at : at + 24] for at in range(0, len(keys), 24))


def _warmest(
    series: Iterable[Any], start_ms: int, end_ms: int, sensors: dict[str, Sensor]
) -> tuple[Sensor, int] | None:
    best: tuple[float, Sensor, int] | None = None
    for each in series:
        inside = np.flatnonzero((each.time_ms >= start_ms) & (each.time_ms < end_ms))
        if not inside.size:
            continue
        at = inside[int(np.argmax(each.value_c[inside]))]
        if best is None or each.value_c[at] > best[0]:
            best = (float(each.value_c[at]), sensors[each.series], int(each.time_ms[at]))
    return None if best is None else best[1:]
