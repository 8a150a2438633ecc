"""A witness's memory: of each log the newest checkpoint it cosigned, and what it refused to. One SQLite file.

Contract: what `advance` returned True for is on the disk, and no smaller tree and no other root of the same size ever
takes its place: the file itself refuses that. Several threads and processes may use one file. The file belongs to
one witness's keys: who copies an older file over a newer one makes the witness forget, and nothing in it can tell.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from ledger.errors import LedgerError

Fault = Literal["other_root", "no_proof"]
"""Two checkpoints of one size and two roots prove a fork. A checkpoint whose proof did not hold may be one, or a
proof that somebody made up: whoever has the log's tiles can tell.
"""
MOST_KEPT = 1000
_SCHEMA = 1


class WitnessForgot(LedgerError):
    """The witness's memory is missing or another witness's: it would cosign what it must refuse."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest checkpoint of a log. `note`: with the log's and our signature lines; `time`: of our
    cosignature, seconds since 1970, UTC.
    """

    origin: str
    size: int
    root_hash: bytes
    note: str
    time: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A signed checkpoint that does not follow from what was seen. `seen`: the note it was held against;
    `note`: with the log's signature lines; `time`: seconds since 1970, UTC.
    """

    origin: str
    fault: Fault
    seen: str
    note: str
    time: int


class WitnessStore:
    """One connection; calls take turns."""

    def __init__(self, path: Path) -> None:
        """Makes the file where there is none. sqlite3.Error if it cannot be used."""
        self._lock = Lock()
        self._db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("PRAGMA synchronous = EXTRA")
        with self._transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, _SCHEMA):
                raise WitnessForgot(f"{path} was written by a later release ({version}); use that")
            for statement in _CREATE if version == 0 else ():
                db.execute(statement)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def bind(self, vkeys: Sequence[str]) -> None:
        """Makes the file that of the witness with these keys. WitnessForgot if it is another's that has
        cosigned.
        """
        keys = "\n".join(sorted(vkeys))
        with self._transaction() as db:
            row = db.execute("SELECT vkeys FROM witness").fetchone()
            used = db.execute("SELECT 1 FROM seen LIMIT 1").fetchone()
            if row is not None and used and not set(row[0].split("\n")) <= set(vkeys):
                raise WitnessForgot(
                    "this memory belongs to a witness with another key; keep each with its own"
                )
            db.execute("DELETE FROM witness")
            db.execute("INSERT INTO witness (vkeys) VALUES (?)", [keys])

    def check(self) -> None:
        """sqlite3.Error if nothing can be written."""
        with self._transaction() as db:
            db.execute("UPDATE witness SET vkeys = vkeys")

    def is_used(self) -> bool:
        """Whether anything was ever cosigned."""
        return bool(self._rows("SELECT 1 FROM seen LIMIT 1"))

    def latest(self, origin: str) -> Seen | None:
        return next((Seen(*row) for row in self._rows(_LATEST + " WHERE origin = ?", origin)), None)

    def all_seen(self) -> list[Seen]:
        """By origin."""
        return [Seen(*row) for row in self._rows(_LATEST + " ORDER BY origin")]

    def advance(self, old: Seen | None, new: Seen) -> bool:
        """Puts `new` in the place of `old`, on the disk; False, and nothing done, if something else is
        there.
        """
        with self._transaction() as db:
            row = db.execute(_LATEST + " WHERE origin = ?", [new.origin]).fetchone()
            if (None if row is None else Seen(*row)) != old:
                return False
            db.execute(_PUT, [new.origin, new.size, new.root_hash, new.note, new.time])
            return True

    def refuse(self, refused: Refused) -> None:
        """Keeps both notes, the first MOST_KEPT of a log and fault, each once."""
        with self._transaction() as db:
            db.execute(
                _REFUSE,
                {
                    "origin": refused.origin, "fault": refused.fault, "seen": refused.seen,
                    "note": refused.note, "time": refused.time, "most": MOST_KEPT,
                },
            )  # fmt: skip

    def refused(self, most: int = MOST_KEPT) -> list[Refused]:
        """The first of them, oldest first."""
        return [
            Refused(*row)
            for row in self._rows(
                "SELECT origin, fault, seen, note, time FROM refused ORDER BY id LIMIT ?", most
            )
        ]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone from its beginning, among processes too: what is read in it still stands when it writes."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


_LATEST = "SELECT origin, size, root_hash, note, time FROM seen"

_PUT = """
INSERT INTO seen (origin, size, root_hash, note, time) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root_hash = excluded.root_hash, note = excluded.note, time = excluded.time
"""

_REFUSE = """
INSERT INTO refused (origin, fault, seen, note, time)
SELECT :origin, :fault, :seen, :note, :time
WHERE (SELECT count(*) FROM refused WHERE origin = :origin AND fault = :fault) < :most
ON CONFLICT DO NOTHING
"""

_CREATE = (
    "CREATE TABLE witness (vkeys TEXT NOT NULL) STRICT",
    """
    CREATE TABLE seen (
      origin    TEXT PRIMARY KEY,
      size      INTEGER NOT NULL CHECK (size >= 0),
      root_hash BLOB NOT NULL CHECK (length(root_hash) = 32),
      note      TEXT NOT NULL,
      time      INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TRIGGER seen_only_grows BEFORE UPDATE ON seen
    WHEN NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root_hash <> OLD.root_hash)
    BEGIN SELECT RAISE(ABORT, 'a witness goes neither back nor aside'); END
    """,
    """
    CREATE TRIGGER seen_is_not_forgotten BEFORE DELETE ON seen
    BEGIN SELECT RAISE(ABORT, 'a witness does not forget'); END
    """,
    """
    CREATE TABLE refused (
      id     INTEGER PRIMARY KEY,
      origin TEXT NOT NULL,
      fault  TEXT NOT NULL CHECK (fault IN ('other_root', 'no_proof')),
      seen   TEXT NOT NULL,
      note   TEXT NOT NULL,
      time   INTEGER NOT NULL,
      UNIQUE (origin, fault, note)
    ) STRICT
    """,
    f"PRAGMA user_version = {_SCHEMA}",
)
