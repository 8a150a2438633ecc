"""Puts an evidence file under the root log: anchors, witnesses' lines, clock and time stamps.

Between whoever proved items against the logs' newest checkpoints (`trace_api.proofs`, `suyuan evidence`) and the
file of version 2. The root log's checkpoint is the newest that a witness cosigned, if it reaches; each log's is the
newest in there that reaches the items, which are proven anew against that one out of the same tiles. Contract: the
file verifies; a log that no anchor reaches yet keeps its own checkpoint, and the report will say so. Form:
`docs/evidence-v2.md`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import psycopg

from ledger.entry import parse_entry
from ledger.entry_bodies import CheckpointAnchor, TimestampAnchor
from ledger.errors import EntryError
from ledger.evidence_file import (
    AnchoredEvidence,
    Evidence,
    LeafEvidence,
    LogEvidence,
    RootEvidence,
    TimestampEvidence,
    WitnessEvidence,
)
from ledger.key_rotation import Rotation
from ledger.log_files import CLOCK_VKEY
from ledger.reader import LogReader
from ledger.root_log import ROOT
from ledger.translog.cosignature import (
    Cosignature,
    CosignerVerifier,
    cosigned_at,
    parse_cosigner_vkey,
    verify_cosignatures,
)
from ledger.translog.note import Signature, parse_signatures, parse_vkey, split_note
from ledger.translog.tiles import TILE_WIDTH
from ledger.translog.verify import VerifyError
from ledger.witness_list import ListedWitness

Logs = Callable[[str], LogReader | None]
Anchors = Literal["anchor", "published_anchor"]
"""Which anchors are looked through: all, or those of organisations that publish."""

MOST_LOOKED_AT = 16 * TILE_WIDTH
"""Entries of the root log in which the first time stamp after an anchor is looked for."""
TOKENS = "timestamp"


@dataclass(frozen=True, slots=True)
class Issuing:
    """What a file is made with. `small`: one witness, and its line instead of the clock's. `stamps`: with the first
    time stamp over the items, and the anchors that it is over. `rotations`: the changes of a log's key, by
    organisation and origin.
    """

    logs: Logs
    witnesses: Sequence[ListedWitness] = ()
    anchors: Anchors = "anchor"
    small: bool = False
    stamps: bool = False
    rotations: Callable[[str, str], Sequence[Rotation]] = lambda _organisation, _origin: ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """The root log at one size, its note with the lines of clock and witnesses, newest of each key."""

    log: LogReader
    clock: Cosignature | None = None
    witnesses: Mapping[ListedWitness, Cosignature] = field(default_factory=dict)


def anchored(conn: psycopg.Connection, evidence: Evidence, issuing: Issuing) -> AnchoredEvidence:
    """`evidence`: proven against published checkpoints of logs that `issuing.logs` opens."""
    readers = {log.origin: issuing.logs(log.origin.rpartition("/")[2]) for log in evidence.logs}
    least = {log.origin: 0 for log in evidence.logs}
    for item in evidence.items:
        least[item.leaf.log] = max(least[item.leaf.log], item.leaf.index + 1)
    heads = _heads(conn, issuing)
    if not heads:
        return AnchoredEvidence(None, evidence.logs, evidence.items)
    for seen in heads:
        places = _places(conn, issuing, readers, least, seen.log.tree_size)
        if len(places) == len(readers):
            break
    stamp = None
    if issuing.stamps and places and (stamp := _stamp(conn, issuing, readers, least, seen.log)) is not None:
        places = _places(conn, issuing, readers, least, stamp.size)
    return _Making(evidence, issuing, seen, readers, places, stamp).file()


def _places(
    conn: psycopg.Connection,
    issuing: Issuing,
    readers: Mapping[str, LogReader | None],
    least: Mapping[str, int],
    root_size: int,
) -> dict[str, int]:
    """Where in the root log of that size the newest checkpoint of each log lies that reaches its items."""
    return {
        origin: place
        for origin, reader in readers.items()
        if reader is not None
        and (place := _anchor(conn, issuing.anchors, "newest", reader, least[origin], root_size)) is not None
    }


def _stamp(
    conn: psycopg.Connection,
    issuing: Issuing,
    readers: Mapping[str, LogReader | None],
    least: Mapping[str, int],
    root: LogReader,
) -> "_Stamp | None":
    """The first time stamp over an anchor of every log that has one, within MOST_LOOKED_AT entries after them."""
    oldest = [
        place
        for origin, reader in readers.items()
        if reader is not None
        and (place := _anchor(conn, issuing.anchors, "oldest", reader, least[origin], root.tree_size))
        is not None
    ]
    first = max(oldest) + 1
    for index in range(first, min(root.tree_size, first + MOST_LOOKED_AT)):
        found = _timestamp(root.entry(index))
        if found is None or not first <= found.size <= root.tree_size:
            continue
        token = root.files.read(f"{TOKENS}/{found.token.hex()}.tsr")
        if token is not None:
            return _Stamp(index, found.size, token)
    return None


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A time stamp's entry in the root log, the size it is over, and its token."""

    index: int
    size: int
    token: bytes


def _heads(conn: psycopg.Connection, issuing: Issuing) -> list[_Seen]:
    """The root log as a witness last saw it, and as it is published; the last one is always taken."""
    root = issuing.logs(ROOT)
    if root is None:
        return []
    keys = [key for witness in issuing.witnesses for key in witness.keys]
    known = [[key.name for key in keys], [key.key_id for key in keys], root.tree_size]
    sizes = [*(size for (size,) in conn.execute(_COSIGNED, known)), root.tree_size]
    return [seen for size in sizes if (seen := _seen(conn, root, size, issuing)) is not None]


_COSIGNED = """
SELECT max(tree_size) FROM root_cosignature JOIN unnest(%b::text[], %b::bytea[]) AS known (name, key_id) USING (name, key_id)
WHERE tree_size < %b HAVING max(tree_size) IS NOT NULL
"""


def _seen(conn: psycopg.Connection, root: LogReader, size: int, issuing: Issuing) -> _Seen | None:
    notes = [note for (note,) in conn.execute(_NOTE, [size])]
    if size == root.tree_size:
        notes.append(root.checkpoint)
    lines = [line for (text,) in conn.execute(_LINES, [size]) for line in parse_signatures(text + "\n")]
    if not notes:
        return None
    lines += [line for note in notes for line in split_note(note)[1]]
    log = root.at(notes[-1])
    clock = _clock(root, log, lines)
    found = {
        witness: seen
        for witness in issuing.witnesses
        if (seen := _newest(log.head.text, lines, witness.keys)) is not None
    }
    if issuing.small and found:
        first = min(found, key=lambda witness: not witness.independent)
        found, clock = {first: found[first]}, None
    shown = [seen.line for seen in ([clock] if clock else []) + list(found.values())]
    return _Seen(replace(log, checkpoint=_note(log, shown)), clock, found)


_NOTE = "SELECT note FROM root_checkpoint WHERE tree_size = %s"
_LINES = "SELECT line FROM root_cosignature WHERE tree_size = %s"


def _clock(root: LogReader, log: LogReader, lines: Sequence[Signature]) -> Cosignature | None:
    vkey = root.files.read(CLOCK_VKEY)
    return (
        None if vkey is None else _newest(log.head.text, lines, [parse_cosigner_vkey(vkey.decode().strip())])
    )


def _newest(text: str, lines: Sequence[Signature], keys: Sequence[CosignerVerifier]) -> Cosignature | None:
    """The newest line of the first of these keys that has a good one."""
    for key in keys:
        own = [line for line in lines if (line.name, line.key_id) == (key.name, key.key_id)]
        for line in sorted(own, key=lambda line: cosigned_at(line.signature), reverse=True):
            try:
                return verify_cosignatures(text, [line], [key])[0]
            except VerifyError:
                continue  # what was stored and does not hold is of no use to a reader
    return None


def _note(log: LogReader, lines: Sequence[Signature]) -> str:
    """The checkpoint with the log's own Ed25519 line and these."""
    own = parse_vkey(log.vkey)
    text, signed = split_note(log.checkpoint)
    first = [line for line in signed if (line.name, line.key_id) == (own.name, own.key_id)][:1]
    return text + "\n" + "".join(map(str, [*first, *lines]))


def _anchor(
    conn: psycopg.Connection,
    anchors: Anchors,
    which: Literal["newest", "oldest"],
    log: LogReader,
    least: int,
    root_size: int,
) -> int | None:
    """Where in the root log of that size a checkpoint of the log of at least `least` leaves lies."""
    values = [log.files.folder.name, root_size, least, log.tree_size]
    row = conn.execute(_ANCHOR[anchors, which], values).fetchone()
    return None if row is None else row[0]


_ANCHOR: Mapping[tuple[Anchors, str], str] = {
    ("anchor", "newest"): """
SELECT max(leaf_index) FROM anchor
WHERE organisation = %s AND leaf_index < %s AND tree_size >= %s AND tree_size <= %s
""",
    ("anchor", "oldest"): """
SELECT min(leaf_index) FROM anchor
WHERE organisation = %s AND leaf_index < %s AND tree_size >= %s AND tree_size <= %s
""",
    ("published_anchor", "newest"): """
SELECT max(leaf_index) FROM published_anchor
WHERE organisation = %s AND leaf_index < %s AND tree_size >= %s AND tree_size <= %s
""",
    ("published_anchor", "oldest"): """
SELECT min(leaf_index) FROM published_anchor
WHERE organisation = %s AND leaf_index < %s AND tree_size >= %s AND tree_size <= %s
""",
}


@dataclass(frozen=True, slots=True)
class _Making:
    evidence: Evidence
    issuing: Issuing
    seen: _Seen
    readers: Mapping[str, LogReader | None]
    places: Mapping[str, int]
    stamp: _Stamp | None

    def file(self) -> AnchoredEvidence:
        logs, heads = list[LogEvidence](), dict[str, LogReader]()
        for log in self.evidence.logs:
            reader, place = self.readers[log.origin], self.places.get(log.origin)
            if reader is None or place is None:
                logs.append(log)
                continue
            leaf = self.seen.log.leaf_evidence(place)
            try:
                heads[log.origin] = reader.at(CheckpointAnchor.read(parse_entry(leaf.entry).body).note)
            except VerifyError:  # anchored under a key that the log no longer publishes
                logs.append(log)
                continue
            logs.append(LogEvidence(log.origin, heads[log.origin].vkey, None, leaf))
        items = tuple(
            replace(item, leaf=heads[item.leaf.log].leaf_evidence(item.leaf.index))
            if item.leaf.log in heads
            else item
            for item in self.evidence.items
        )
        return AnchoredEvidence(
            self._root(), tuple(logs), items, self._keys(heads), self._witnesses(), self._timestamps()
        )

    def _keys(self, heads: Mapping[str, LogReader]) -> tuple[LeafEvidence, ...]:
        """What leads from the first key of each log to the one used."""
        found = list[LeafEvidence]()
        own = [heads.get(origin, reader) for origin, reader in self.readers.items()]
        for log in (self.seen.log, *(reader for reader in own if reader is not None)):
            rotations = self.issuing.rotations(log.files.folder.name, log.origin)
            ends = [at for at, each in enumerate(rotations, start=1) if str(each.new) == log.vkey]
            used = rotations[: ends[-1]] if ends else ()
            found += [log.leaf_evidence(each.leaf_index) for each in used if each.leaf_index < log.tree_size]
        return tuple(found)

    def _root(self) -> RootEvidence:
        log, clock = self.seen.log, self.seen.clock
        vkey = None if clock is None else str(clock.cosigner)
        return RootEvidence(log.origin, log.vkey, vkey, log.checkpoint)

    def _witnesses(self) -> tuple[WitnessEvidence, ...]:
        return tuple(
            WitnessEvidence(str(seen.cosigner), witness.operator.zh, witness.operator.en, witness.relation)
            for witness, seen in self.seen.witnesses.items()
        )

    def _timestamps(self) -> tuple[TimestampEvidence, ...]:
        if self.stamp is None:
            return ()
        log = self.seen.log
        proof = log.consistency_proof(self.stamp.size)
        return (TimestampEvidence(log.leaf_evidence(self.stamp.index), self.stamp.token, proof),)


def _timestamp(entry: bytes) -> TimestampAnchor | None:
    if b'"timestamp"' not in entry:
        return None
    try:
        return TimestampAnchor.read(parse_entry(entry).body)
    except EntryError:
        return None
