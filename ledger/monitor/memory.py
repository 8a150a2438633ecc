"""What a monitor remembers of one log, in one SQLite file.

The checkpoint, the tree's right edge, the end of every stream and the newest version of every window: enough to check
whatever comes next, and about a sixth of the log's own size. Contract: one pass is one transaction, so that a pass cut
short leaves everything as it was; one monitor at a time; a file that is not ours is `Unreadable`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger.monitor.findings import Unreadable
from ledger.monitor.scanning import Window
from ledger.translog.tiles import Edge

_VERSION = 1
_SCHEMA = """
CREATE TABLE kept (only INTEGER PRIMARY KEY CHECK (only = 1), origin TEXT NOT NULL, vkey TEXT NOT NULL,
  former_vkeys TEXT NOT NULL, vkey_given INTEGER NOT NULL,
  opaque INTEGER NOT NULL, note TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL, last_rec INTEGER NOT NULL,
  frozen_at INTEGER);
CREATE TABLE tail (level INTEGER PRIMARY KEY, hashes BLOB NOT NULL);
CREATE TABLE stream (stream BLOB PRIMARY KEY, n INTEGER NOT NULL, leaf BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE window (hour BLOB PRIMARY KEY, leaf_index INTEGER NOT NULL, leaf BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE anchored (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE unasked (origin TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY (origin, size, note)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """The newest checkpoint whose entries were all read. `vkey`: the key in force after them; `former_vkeys`: that `key` entries led from.
    `vkey_given`: it comes from
    the one who asked, or by rotation from such a one, and not from the log itself. `note`: empty before the first pass.
    """

    origin: str
    vkey: str
    former_vkeys: tuple[str, ...]
    vkey_given: bool
    opaque: bool
    note: str
    size: int
    root: bytes
    last_rec: int
    frozen_at: int | None


@dataclass(frozen=True, slots=True)
class Anchored:
    """The newest checkpoint of another log that a root log holds."""

    origin: str
    size: int
    root: bytes
    note: str


class Memory:
    """One file, of one log."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Memory]:
        """Opens the file or makes it. Unreadable where it is another program's, or cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            conn = sqlite3.connect(path, isolation_level=None, timeout=5)
        except (OSError, sqlite3.Error) as cause:
            raise Unreadable(f"memory {path}", got=str(cause), want="a file that can be written") from cause
        try:
            with _as_unreadable():
                conn.execute("PRAGMA journal_mode = WAL")
                conn.execute("PRAGMA cache_size = -65536")
                _make(conn, path)
                yield cls(conn)
        finally:
            conn.close()

    @contextmanager
    def whole_pass(self) -> Iterator[None]:
        """All of it, or nothing."""
        with _as_unreadable():
            self._conn.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._conn.execute("COMMIT")
            except BaseException:
                if self._conn.in_transaction:
                    self._conn.execute("ROLLBACK")
                raise

    def kept(self) -> Kept | None:
        row = self._conn.execute(
            "SELECT origin, vkey, former_vkeys, vkey_given, opaque, note, size, root, last_rec, frozen_at FROM kept"
        ).fetchone()
        if row is None:
            return None
        origin, vkey, former, given, opaque, *rest = row
        return Kept(origin, vkey, tuple(former.split()), bool(given), bool(opaque), *rest)

    def keep(self, kept: Kept, edge: Edge) -> None:
        self._conn.execute(
            "INSERT OR REPLACE INTO kept VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                kept.origin, kept.vkey, " ".join(kept.former_vkeys), kept.vkey_given, kept.opaque, kept.note, kept.size, kept.root, kept.last_rec,
                kept.frozen_at,
            ],
        )  # fmt: skip
        rows = [(level, tail) for level, tail in enumerate(edge.tails)]
        self._conn.executemany("INSERT OR REPLACE INTO tail VALUES (?, ?)", rows)

    def edge(self, size: int) -> Edge:
        rows = self._conn.execute("SELECT hashes FROM tail ORDER BY level")
        return Edge(size, tuple(hashes for (hashes,) in rows))

    def forget(self) -> None:
        """All but the checkpoint: the log is to be read again from its first entry."""
        for statement in (
            "DELETE FROM tail",
            "DELETE FROM stream",
            "DELETE FROM window",
            "DELETE FROM anchored",
            "DELETE FROM unasked",
        ):
            self._conn.execute(statement)

    def stream_end(self, stream: bytes) -> tuple[int, bytes] | None:
        """n and leaf hash of its last entry."""
        row: tuple[int, bytes] | None = self._conn.execute(
            "SELECT n, leaf FROM stream WHERE stream = ?", [stream]
        ).fetchone()
        return row

    def end_streams(self, ends: Sequence[tuple[bytes, int, bytes]]) -> None:
        self._conn.executemany("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", ends)

    def begin_windows(self, windows: Sequence[Window]) -> bool:
        """First versions; False if one of them is no first."""
        rows = sorted((_hour(each), each.at, each.leaf) for each in windows)
        try:
            self._conn.executemany("INSERT INTO window VALUES (?, ?, ?)", rows)
        except sqlite3.IntegrityError:
            return False
        return True

    def newest_window(self, window: Window) -> tuple[int, bytes] | None:
        """Index and leaf hash of the newest version of that stream's window of that start."""
        row: tuple[int, bytes] | None = self._conn.execute(
            "SELECT leaf_index, leaf FROM window WHERE hour = ?", [_hour(window)]
        ).fetchone()
        return row

    def amend_window(self, window: Window) -> None:
        self._conn.execute(
            "UPDATE window SET leaf_index = ?, leaf = ? WHERE hour = ?",
            [window.at, window.leaf, _hour(window)],
        )

    def anchored(self, origin: str) -> Anchored | None:
        row = self._conn.execute("SELECT * FROM anchored WHERE origin = ?", [origin]).fetchone()
        return None if row is None else Anchored(*row)

    def anchor(self, anchored: Anchored) -> None:
        row = [anchored.origin, anchored.size, anchored.root, anchored.note]
        self._conn.execute("INSERT OR REPLACE INTO anchored VALUES (?, ?, ?, ?)", row)
        self._conn.execute(
            "INSERT OR IGNORE INTO unasked VALUES (?, ?, ?)", [anchored.origin, anchored.size, anchored.note]
        )

    def anchored_origins(self) -> list[str]:
        """Logs of which a checkpoint was anchored."""
        return [origin for (origin,) in self._conn.execute("SELECT origin FROM anchored ORDER BY origin")]

    def unasked(self, origin: str) -> Iterator[tuple[int, str]]:
        """Size and note of each such checkpoint of that log, by size."""
        yield from self._conn.execute(
            "SELECT size, note FROM unasked WHERE origin = ? ORDER BY size", [origin]
        )

    def asked(self, origin: str, size: int) -> None:
        """Those up to `size` held."""
        self._conn.execute("DELETE FROM unasked WHERE origin = ? AND size <= ?", [origin, size])


def _make(conn: sqlite3.Connection, path: Path) -> None:
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    if version == 0 and not conn.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        conn.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
    elif version != _VERSION:
        raise Unreadable(f"memory {path}", got=f"version {version}", want=f"a monitor's, version {_VERSION}")


def _hour(window: Window) -> bytes:
    return window.stream + window.start.to_bytes(8, "big")


@contextmanager
def _as_unreadable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as cause:
        raise Unreadable(
            "the monitor's memory", got=str(cause), want="a file of ours that nobody else is using"
        ) from cause
