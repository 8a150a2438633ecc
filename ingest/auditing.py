"""Auditing: what was sealed of a device's hour, held against the table as it stands.

In the line: the log's entry (the root that counts), `sealed_window` (names of its leaves) and the rows of the table -> here ->
what differs, reading by reading. Sealing asks before it amends, retention before it drops, `suyuan audit readings` when somebody
wants to know. Contract: a version holds exactly if the readings that it names give the root and the number of its entry; if it
does not, each reading that was altered, removed or put into its list is named as far as its keys and prefixes tell, and never
is nothing said.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from uuid import UUID

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.window_rows import KEY_BYTES, PREFIX_BYTES, cut, packed_keys
from ledger.entry import Entry, parse_entry, stream_pseudonym
from ledger.errors import EntryError
from ledger.translog.merkle import Tree
from ledger.window import Rows, WindowTree, window_secret
from ledger.window_body import WindowBody

HOUR = timedelta(hours=1)
OrganisationKey = Callable[[str], bytes]
Place = tuple[int, datetime]
"""Device and start of the hour."""
Kind = Literal["altered", "removed", "inserted", "record", "log", "unnamed"]


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind`: what happened to a reading, or `record` (the table's row of the window is not its entry), `log` (row without
    entry, entry without row) or `unnamed` (something differs, and what is kept does not tell which reading). `series`: uuid.
    `there`: what the table holds now; None where nothing. `sealed`: what the window knew of it."""

    kind: Kind
    version: int
    detail: str
    series: bytes | None = None
    time_ms: int | None = None
    there: Any = None

    def __str__(self) -> str:
        if self.series is None or self.time_ms is None:
            return f"version {self.version}: {self.detail}"
        at = datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        return f"version {self.version}: {self.kind}, series {UUID(bytes=self.series)} at {at}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Version:
    """One sealed version as the table has it. `keys`, `prefixes`: of its leaves in tree order, as kept. `leaf_index`, `entry`: of
    its leaf; None while it waits for its place."""

    id: int
    organisation: str
    device: int
    start: datetime
    version: int
    readings: int
    root: bytes
    keys: bytes
    prefixes: bytes | None
    leaf_index: int | None
    entry: bytes | None

    @property
    def is_lost(self) -> bool:
        """After a restore: which readings it held is not known."""
        return not self.keys and self.readings > 0


@dataclass(frozen=True)
class Hour:
    """A device-hour of the table. `rows`: ROW[n] in the tree's order; `keys`: KEY_BYTES of each; `hashes`: its leaf hash, None where
    it can be no leaf; `root`: over all of them, None where some can be none."""

    rows: Rows = field(repr=False)
    keys: bytes = field(repr=False)
    hashes: Sequence[bytes | None] = field(repr=False)
    root: bytes | None

    @classmethod
    def of_tree(cls, tree: WindowTree) -> Hour:
        return cls(tree.rows, packed_keys(tree.rows), tree.tree.leaf_hashes, tree.root_hash)

    @cached_property
    def leaves(self) -> Mapping[bytes, bytes | None]:
        return dict(zip(cut(self.keys, KEY_BYTES), self.hashes, strict=True))

    @cached_property
    def _places(self) -> Mapping[bytes, int]:
        return {key: place for place, key in enumerate(cut(self.keys, KEY_BYTES))}

    def there(self, key: bytes) -> Any:
        """What the table holds under a leaf key, for people."""
        row = self.rows[self._places[key]]
        if row["observed"]:
            return {"body_sha256": row["body"].tobytes().hex(), "flags": int(row["flags"])}
        return {"value": float(row["value"]), "flags": int(row["flags"])}


def hour_of(org_key: bytes, device: int, start: datetime, rows: Rows) -> Hour:
    """`rows`: ROW[n] in any order, keys that repeat and values that are no numbers included: somebody may have put them there."""
    start_ms = round(start.timestamp() * 1000)
    secret = window_secret(org_key, stream_pseudonym(org_key, "device", str(device)), start_ms)
    try:
        return Hour.of_tree(WindowTree.of(secret, rows))
    except EntryError:
        return _hour_with_impossible_rows(secret, rows)


def _hour_with_impossible_rows(secret: bytes, rows: Rows) -> Hour:
    rows = rows[np.argsort(_sortable(rows), kind="stable")]
    keys = cut(packed_keys(rows), KEY_BYTES)
    counted = Counter(keys)
    alone = np.array([counted[key] == 1 for key in keys], bool)
    whole = alone & (rows["observed"] | np.isfinite(rows["value"]))
    hashes = iter(WindowTree.of(secret, rows[whole]).tree.leaf_hashes)
    return Hour(rows, b"".join(keys), [next(hashes) if fits else None for fits in whole.tolist()], None)


def _sortable(rows: Rows) -> npt.NDArray[np.bytes_]:
    """Leaf keys, in the tree's order where they are sorted. NumPy takes zeros off the end of a text: there is a byte behind."""
    packed = np.zeros(len(rows), [("series", "V16"), ("time", ">i8"), ("end", "S1")])
    packed["series"], packed["time"], packed["end"] = rows["series"], rows["time"], b"."
    return packed.view(f"S{KEY_BYTES + 1}")


def compare(hour: Hour, version: Version, root: bytes, count: int) -> list[Fault]:
    """What of `version` no longer holds. `root`, `count`: its entry's."""
    number, whole = version.version, hour.root == root and len(hour.hashes) == count
    if whole and (version.is_lost or version.keys == hour.keys):
        return []
    if whole:
        return [Fault("record", number, "its row's list of readings was altered; the readings are as sealed")]
    keys = cut(version.keys, KEY_BYTES)
    if version.is_lost:
        return [
            Fault(
                "unnamed",
                number,
                "its row does not say which readings it holds, and those of the hour are not it",
            )
        ]
    found = [hour.leaves.get(key) for key in keys]
    if len(keys) == count and _root(found) == root:
        return []
    faults = [
        _named("removed", number, key, None, "no longer in the table")
        for key in keys
        if key not in hour.leaves
    ]
    prefixes = _prefixes(version, len(keys))
    for place, (key, leaf) in enumerate(zip(keys, found, strict=True)):
        if key not in hour.leaves:
            continue
        if leaf is None or (prefixes is not None and leaf[:PREFIX_BYTES] != prefixes[place]):
            faults.append(_named("altered", number, key, hour.there(key), "no longer what was sealed"))
    return faults or [_unnamed(version, number, prefixes is not None, len(keys), count)]


def _unnamed(version: Version, number: int, has_prefixes: bool, keys: int, count: int) -> Fault:
    if keys != count:
        said = f"its row names {keys} readings, its entry {count}: the row was altered"
    elif has_prefixes:
        said = "its readings do not give its root: what its row keeps of them was altered as well"
    else:
        said = "its readings do not give its root; it was sealed before leaf prefixes were kept, so none can be named"
    return Fault("unnamed", number, said)


def _prefixes(version: Version, count: int) -> list[bytes] | None:
    kept = version.prefixes
    return None if kept is None or len(kept) != PREFIX_BYTES * count else cut(kept, PREFIX_BYTES)


def _root(leaves: Iterable[bytes | None]) -> bytes | None:
    hashes = tuple(leaves)
    whole = tuple(leaf for leaf in hashes if leaf is not None)
    return Tree(whole).root_hash if len(whole) == len(hashes) else None


def _named(kind: Kind, version: int, key: bytes, there: Any, detail: str) -> Fault:
    return Fault(kind, version, detail, key[:16], struct.unpack(">q", key[16:])[0], there)


def outside(hour: Hour, version: Version | None, root: bytes | None = None) -> list[Fault]:
    """Readings of the hour that its newest version does not hold: sent late and not sealed yet, or put there. `root`: its entry's."""
    if version is not None and (version.keys == hour.keys or (root is not None and hour.root == root)):
        return []
    held = frozenset() if version is None else frozenset(cut(version.keys, KEY_BYTES))
    number = 0 if version is None else version.version
    if version is not None and version.is_lost:
        return []
    detail = "in the table, in no sealed window, and nothing waits to be sealed"
    return [
        _named("inserted", number, key, hour.there(key), detail) for key in hour.leaves if key not in held
    ]


def said_by(version: Version) -> tuple[list[Fault], bytes, int]:
    """Faults of the row against its entry, and the root and count that count: the entry's, or the row's while it waits."""
    if version.entry is None:
        return [], version.root, version.readings
    try:
        body = window_body(parse_entry(version.entry))
    except EntryError as error:
        return (
            [Fault("log", version.version, f"its leaf is no entry: {error}")],
            version.root,
            version.readings,
        )
    if body is None:
        return [Fault("log", version.version, "its leaf is no window's")], version.root, version.readings
    return row_against(version, body), body.root, body.count


def row_against(version: Version, body: WindowBody) -> list[Fault]:
    """Whether the row of the table says what its entry says."""
    start_ms = round(version.start.timestamp() * 1000)
    pairs = {
        "root": (version.root.hex(), body.root.hex()),
        "readings": (version.readings, body.count),
        "start": (start_ms, body.start_ms),
    }
    return [
        Fault("record", version.version, f"{name}: the table says {got}, the log {want}")
        for name, (got, want) in pairs.items()
        if got != want
    ]


def against_entry(hour: Hour, version: Version) -> list[Fault]:
    """All that speaks against one version, by the leaf as the database has it. One whose readings a restore lost is not judged."""
    if version.is_lost:
        return []
    faults, root, count = said_by(version)
    return faults + compare(hour, version, root, count)


def window_body(entry: Entry) -> WindowBody | None:
    return WindowBody.read(entry.body) if entry.type == "window" else None


# Oldest first, each with its leaf.
_VERSIONS = """
SELECT sealed.id, sealed.organisation, sealed.device_id, sealed.start_time, sealed.version, sealed.readings, sealed.root,
       sealed.leaf_keys, sealed.leaf_prefixes, leaf.leaf_index, leaf.entry
FROM unnest(%b::integer[], %b::timestamptz[]) AS wanted (device_id, start_time)
JOIN sealed_window AS sealed USING (device_id, start_time) LEFT JOIN leaf ON leaf.sealed_window = sealed.id
ORDER BY sealed.device_id, sealed.start_time, sealed.version
"""


def read_versions(conn: psycopg.Connection, wanted: Sequence[Place]) -> dict[Place, list[Version]]:
    found: dict[Place, list[Version]] = defaultdict(list)
    if wanted:
        columns = [list(column) for column in zip(*wanted, strict=True)]
        with conn.cursor(binary=True) as cursor:
            for row in cursor.execute(_VERSIONS, columns):
                found[row[2], row[3]].append(Version(*row))
    return dict(found)


# Somebody sent it late, and sealing has not come to it.
_WAITS = """
SELECT wanted.device_id, wanted.start_time
FROM unnest(%b::integer[], %b::timestamptz[]) AS wanted (device_id, start_time)
WHERE EXISTS (SELECT FROM open_window AS noted WHERE (noted.device_id, noted.start_time) = (wanted.device_id, wanted.start_time))
   OR EXISTS (SELECT FROM mark, unnest(series_ids, from_times, to_times) AS touched (series_id, first, last)
              JOIN series ON series.id = touched.series_id
              WHERE consumer = 'sealing' AND series.device_id = wanted.device_id
                AND touched.first < wanted.start_time + INTERVAL '1 hour' AND touched.last >= wanted.start_time)
"""


def waiting(conn: psycopg.Connection, wanted: Sequence[Place]) -> set[Place]:
    """Those that are still to be sealed, or sealed again."""
    if not wanted:
        return set()
    return {
        (device, start)
        for device, start in conn.execute(_WAITS, [list(each) for each in zip(*wanted, strict=True)])
    }


# --- what was found, kept for who must know ---------------------------------------------------------------------------

_KEEP = """
INSERT INTO window_check AS known (device_id, start_time, version, checked_at, fault)
SELECT device_id, start_time, version, %s, fault
FROM unnest(%b::integer[], %b::timestamptz[], %b::integer[], %b::text[]) AS looked (device_id, start_time, version, fault)
ON CONFLICT (device_id, start_time) DO UPDATE SET version = EXCLUDED.version, checked_at = EXCLUDED.checked_at, fault = EXCLUDED.fault
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """`version`: the newest, 0 where there is none. `fault`: None where it held."""

    device: int
    start: datetime
    version: int
    fault: str | None


def keep(conn: psycopg.Connection, looked: Sequence[Checked], now: datetime) -> None:
    if looked:
        rows = [(each.device, each.start, each.version, each.fault) for each in looked]
        conn.execute(_KEEP, [now, *(list(column) for column in zip(*rows, strict=True))])


def in_words(faults: Sequence[Fault]) -> str:
    """The first, and how many more there are."""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0]}{more}"
