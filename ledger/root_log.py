"""The log of logs: which checkpoints stand in it, and which come next.

The sequencer asks here what is due after it has published the organisations' logs, makes pending rows of it, and
sequences them as it does everybody's. Contract: a log's checkpoint comes in at most once in ANCHOR_EVERY, or at
once when somebody asked (`ask_anchor`); only its own Ed25519 signature lines come with it; table `anchor` follows
from the root's leaves and from nothing else. Why there is one: docs/decisions/0029.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import psycopg

from ledger.entry_bodies import CheckpointAnchor
from ledger.log import Log
from ledger.log_files import CHECKPOINT
from ledger.strict_json import strict
from ledger.translog.note import Signature, split_note

ROOT = "root"
"""Stands where else an organisation's id stands; no organisation may have it."""
ANCHOR_EVERY = timedelta(seconds=60)


def ask_anchor(conn: psycopg.Connection, organisation: str, now: datetime) -> None:
    """Wants the organisation's published checkpoint in the root log now. Asked twice is asked once."""
    conn.execute(_ASK, [organisation, now])


_ASK = "INSERT INTO anchor_request (organisation, asked_at) VALUES (%s, %s) ON CONFLICT DO NOTHING"


class Anchoring:
    """What the root log holds of each log, for one reign of the sequencer. `conn`: its connection."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._last: dict[str, tuple[int, datetime]] | None = (
            None  # tree size, and when it was wanted or recorded
        )

    def request(self, published: Mapping[str, tuple[Log, int]], now: datetime) -> int:
        """Leaves pending rows for what is due of `published` (log and tree size); returns how many.

        Nothing of the root may be pending when this is called: it would come in twice.
        """
        asked = {
            organisation for (organisation,) in self._conn.execute("SELECT organisation FROM anchor_request")
        }
        last = self._read_last()
        grown = [name for name, (_, size) in published.items() if size > last.get(name, (0, now))[0]]
        due = [name for name in sorted(grown) if name in asked or self._is_due(name, now)]
        answered = [name for name in sorted(asked & published.keys()) if name in due or name not in grown]
        if due or answered:
            with self._conn.transaction():
                for name in due:
                    log, _ = published[name]
                    self._conn.execute(_PEND, [ROOT, log.origin, strict({"checkpoint": own_note(log)}), now])
                self._conn.execute("DELETE FROM anchor_request WHERE organisation = ANY (%s)", [answered])
            self._last = last | {name: (published[name][1], now) for name in due}
        return len(due)

    def follow(self) -> None:
        """Writes down what the root's leaves hold since it was last written down."""
        self._conn.execute(_FOLLOW)

    def _is_due(self, organisation: str, now: datetime) -> bool:
        last = self._read_last().get(organisation)
        # A clock that was set back must not keep a log out of the root until it caught up.
        return last is None or not timedelta() <= now - last[1] < ANCHOR_EVERY

    def _read_last(self) -> dict[str, tuple[int, datetime]]:
        if self._last is None:
            self._last = {name: (size, time) for name, size, time in self._conn.execute(_LAST)}
        return self._last


_LAST = """
SELECT DISTINCT ON (organisation) organisation, tree_size, record_time FROM anchor
ORDER BY organisation, leaf_index DESC
"""
_PEND = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)
VALUES (%s, 'anchor', 'log', %s, %s, %s)
"""
_FOLLOW = """
INSERT INTO anchor (leaf_index, organisation, tree_size, record_time)
SELECT said.leaf_index, log.organisation, split_part(said.note, E'\\n', 2)::bigint, said.record_time
FROM (SELECT leaf_index, record_time, convert_from(entry, 'UTF8')::jsonb #>> '{body,checkpoint}' AS note FROM leaf
      WHERE organisation = 'root' AND leaf_index > coalesce((SELECT max(leaf_index) FROM anchor), -1)) AS said
JOIN log ON log.origin = split_part(said.note, E'\\n', 1)
ORDER BY said.leaf_index
ON CONFLICT DO NOTHING
"""


def own_note(log: Log) -> str:
    """The published checkpoint with the log's own Ed25519 lines and no others. It must have been published."""
    note = log.files.read(CHECKPOINT)
    if note is None:
        raise FileNotFoundError(log.files.folder / CHECKPOINT)
    text, lines = split_note(note)
    own = {(key.name, key.verifier.key_id) for key in log.keys}
    stripped = _note(text, [line for line in lines if (line.name, line.key_id) in own])
    return CheckpointAnchor.read({"checkpoint": stripped}).note


def _note(text: str, lines: Sequence[Signature]) -> str:
    return text + "\n" + "".join(map(str, lines))
