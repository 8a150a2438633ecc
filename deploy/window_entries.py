"""Where a log's windows lie, read from its published files alone.

Place in the line: `open_log` -> here -> `readings_audit`. Contract: what is found is of entries whose tree has the root of the
signed checkpoint, or LogFaulty is raised; 24 bytes a window are kept, and an entry is read again when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.auditing import Place, window_body
from ledger.entry import parse_entry
from ledger.errors import EntryError, LedgerError
from ledger.reader import LogReader
from ledger.strict_json import from_base64
from ledger.translog.merkle import leaf_hash
from ledger.translog.tiles import TILE_WIDTH, Edge
from ledger.window_body import WindowBody

DAY_MS = 86_400_000
BUNDLES_KEPT = 64
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WHERE = np.dtype([("start", "i8"), ("device", "i8"), ("index", "i8")])


class LogFaulty(LedgerError):
    """The published files of a log are not what its checkpoint is signed over. Keep them, and compare with a copy."""


class _Said(msgspec.Struct):
    type: str
    stream: str
    body: msgspec.Raw


class _Body(msgspec.Struct):
    window: tuple[int, int]


_read_entry = msgspec.json.Decoder(_Said).decode
_read_body = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True)
class WindowEntries:
    """`where`: WHERE[n] by start, device, index. `strangers`: windows of streams that nobody asked about."""

    log: LogReader | None
    where: npt.NDArray[np.void] = field(repr=False)
    strangers: int

    @classmethod
    def none(cls) -> WindowEntries:
        return cls(None, np.empty(0, WHERE), 0)

    @property
    def tree_size(self) -> int:
        return 0 if self.log is None else self.log.tree_size

    def days(self) -> Iterator[tuple[datetime, int]]:
        """UTC days with windows, and how many of them."""
        days, counts = np.unique(self.where["start"] // DAY_MS, return_counts=True)
        for day, count in zip(days.tolist(), counts.tolist(), strict=True):
            yield _moment(day * DAY_MS), count

    def places(self, day: datetime) -> list[Place]:
        first_ms = _ms(day)
        first, last = np.searchsorted(self.where["start"], [first_ms, first_ms + DAY_MS])
        found = self.where[first:last]
        return [
            (device, _moment(start))
            for device, start in zip(found["device"].tolist(), found["start"].tolist(), strict=True)
        ]

    def of(self, place: Place) -> list[int]:
        """The leaf indices of a device-hour, in the order of the log."""
        first, last = np.searchsorted(self.where["start"], [_ms(place[1]), _ms(place[1]) + 1])
        found = self.where[first:last]
        first, last = np.searchsorted(found["device"], [place[0], place[0] + 1])
        return [int(index) for index in found["index"][first:last]]

    def body(self, index: int) -> WindowBody:
        assert self.log is not None
        body = window_body(parse_entry(self._bundle(index // TILE_WIDTH)[index % TILE_WIDTH]))
        assert body is not None
        return body

    @cached_property
    def _bundle(self) -> Callable[[int], tuple[bytes, ...]]:
        log = self.log
        assert log is not None
        return lru_cache(BUNDLES_KEPT)(lambda bundle: tuple(log.files.read_bundle(bundle, log.tree_size)))


def scan(log: LogReader, streams: Mapping[bytes, int], said: Callable[[int], None]) -> WindowEntries:
    """`streams`: pseudonym -> device, of the devices that are asked about. `said`: how many entries were read. Raises LogFaulty."""
    edge, strangers = Edge.empty(), 0
    found: list[npt.NDArray[np.void]] = []
    for bundle in range(-(-log.tree_size // TILE_WIDTH)):
        entries = log.files.read_bundle(bundle, log.tree_size)
        edge = edge.extend([leaf_hash(entry) for entry in entries]).edge
        some: list[tuple[int, int, int]] = []
        for index, entry in enumerate(entries, start=bundle * TILE_WIDTH):
            if (where := _where(index, entry)) is None:
                continue
            device = streams.get(where[1])
            strangers += device is None
            if device is not None:
                some.append((where[0], device, index))
        if some:
            found.append(np.array(some, WHERE))
        said(edge.size)
    if edge.root_hash != log.root_hash:
        raise LogFaulty(
            f"the entries of {log.origin} give the root {edge.root_hash.hex()}, its checkpoint says {log.root_hash.hex()}"
        )
    where_all = np.concatenate([np.empty(0, WHERE), *found])
    return WindowEntries(log, np.sort(where_all, order=["start", "device", "index"]), strangers)


def _where(index: int, entry: bytes) -> tuple[int, bytes] | None:
    """Start (UTC ms) and stream of a window's entry; None for others. Its form was checked when it was logged, and its hash is."""
    try:
        said = _read_entry(entry)
        if said.type != "window":
            return None
        return _read_body(said.body).window[0], from_base64(said.stream, "stream", 16)
    except (msgspec.MsgspecError, EntryError) as cause:
        raise LogFaulty(f"leaf {index} is no entry: {cause}") from cause


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(time_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=time_ms)
