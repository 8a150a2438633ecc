"""The evidence file, `suyuan-evidence/v1` and `/v2`: what somebody needs to check us without asking us.

`ledger.reader` fills it from entries, proofs and salts; a browser or `suyuan verify` reads it
(`ledger.evidence_reading`) and checks it (`ledger.evidence`). Contract: `read_evidence(evidence.to_json())`
gives the same evidence. What is here is the file's shape; whether it proves anything is checked elsewhere.
Members are exactly those of `docs/entry-v1.md` and `docs/evidence-v2.md`: something extra would travel
unverified beside what is.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ledger.entry import field_leaf, parse_entry
from ledger.strict_json import to_base64, utf16_key
from ledger.translog.merkle import leaf_hash
from ledger.translog.verify import VerifyError
from ledger.window import WindowReading, WindowTree
from ledger.window_body import SeriesSummary, WindowBody, list_tree, summaries

FORMAT = "suyuan-evidence/v1"
FORMAT_2 = "suyuan-evidence/v2"
Version = Literal[1, 2]
"""Version 2 spells entries as text and joins the hashes of a proof: half of a small file is proofs."""

Relation = Literal["independent", "operator", "authority"]
"""How a witness stands to the log's operator: its own master, run by the operator, or an authority."""


@dataclass(frozen=True, slots=True)
class LeafEvidence:
    """An entry and its place in a log: `entry` as it was logged, `proof` from the leaf upwards, 32 bytes
    each.
    """

    log: str
    index: int
    entry: bytes
    proof: tuple[bytes, ...]

    def value(self, version: Version = 1) -> dict[str, Any]:
        if version == 2:
            return {"log": self.log, **self.place()}
        proof = _hashes(self.proof, 1)
        return {"log": self.log, "index": self.index, "entry": to_base64(self.entry), "proof": proof}

    def place(self) -> dict[str, Any]:
        """As version 2 has it, without the log's name, where that goes without saying."""
        return {"index": self.index, "entry": self.entry.decode(), "proof": _hashes(self.proof, 2)}


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """A log's signed head. `vkey`: the key the file itself names; a careful reader brings another.

    `anchor`: the root log's entry that holds the head; then `checkpoint` is None, since it stands in there.
    Only in version 2.
    """

    origin: str
    vkey: str
    checkpoint: str | None
    anchor: LeafEvidence | None = None

    def value(self) -> dict[str, Any]:
        return {"origin": self.origin, "vkey": self.vkey, "checkpoint": self.checkpoint}

    def value_2(self) -> dict[str, Any]:
        if self.anchor is not None:
            return {"vkey": self.vkey, "anchor": self.anchor.place()}
        return {"vkey": self.vkey, "checkpoint": self.checkpoint}


@dataclass(frozen=True, slots=True)
class RootEvidence:
    """The root log's head. `clock`: the key of its own timestamped cosignature; None: the file has none."""

    origin: str
    vkey: str
    clock: str | None
    checkpoint: str

    def value(self) -> dict[str, Any]:
        return {"vkey": self.vkey, "clock": self.clock, "checkpoint": self.checkpoint}


@dataclass(frozen=True, slots=True)
class WitnessEvidence:
    """A witness as the issuer of the file describes it: its signature is checked, the description is not."""

    vkey: str
    operator_zh: str
    operator_en: str
    relation: Relation

    def value(self) -> dict[str, Any]:
        operator = {"zh": self.operator_zh, "en": self.operator_en}
        return {"vkey": self.vkey, "operator": operator, "relation": self.relation}


@dataclass(frozen=True, slots=True)
class TimestampEvidence:
    """An authority's time stamp of the root log. `token`: RFC 3161, DER; `consistency`: from the size it is
    of to the file's root checkpoint, 32 bytes each.
    """

    leaf: LeafEvidence
    token: bytes
    consistency: tuple[bytes, ...]

    def value(self) -> dict[str, Any]:
        proof = _hashes(self.consistency, 2)
        return {**self.leaf.place(), "token": to_base64(self.token), "consistency": proof}


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A field of an event, shown. `salt`: 16 bytes."""

    name: str
    salt: bytes
    field: Any

    def leaf_hash(self) -> bytes:
        return leaf_hash(field_leaf(self.salt, self.name, self.field))

    def value(self) -> dict[str, Any]:
        return {"name": self.name, "salt": to_base64(self.salt), "value": self.field}


@dataclass(frozen=True, slots=True)
class Withheld:
    """A field of an event of which only its leaf hash is shown."""

    hash: bytes

    def leaf_hash(self) -> bytes:
        return self.hash

    def value(self) -> dict[str, Any]:
        return {"hash": to_base64(self.hash)}


Field = Disclosed | Withheld


@dataclass(frozen=True, slots=True)
class EventEvidence:
    """An entry of fields with all of them in tree order, each shown or withheld: an event's, or (`kind`) that
    of a verdict, which commits in the same way.
    """

    leaf: LeafEvidence
    fields: tuple[Field, ...]
    kind: Literal["event", "verdict"] = "event"

    def value(self, version: Version = 1) -> dict[str, Any]:
        fields = [field.value() for field in self.fields]
        return {"kind": self.kind, **self.leaf.value(version), "fields": fields}


@dataclass(frozen=True, slots=True)
class ReadingEvidence:
    """One reading of a window and its path to the window's root."""

    reading: WindowReading
    path: tuple[bytes, ...]

    def value(self, version: Version = 1) -> dict[str, Any]:
        reading = self.reading
        value: dict[str, Any] = {
            "position": reading.position,
            "series": to_base64(reading.series),
            "time": reading.time_ms,
            "value": reading.value,
            "flags": reading.flags,
            "salt": to_base64(reading.salt),
        }
        if reading.body_sha256 is not None:
            value["body_sha256"] = to_base64(reading.body_sha256)
        return {**value, "path": _hashes(self.path, version)}


@dataclass(frozen=True, slots=True)
class SeriesEvidence:
    """One item of a series list that the entry carries only as count and root, and its path to that root."""

    position: int
    summary: SeriesSummary
    path: tuple[bytes, ...]

    def value(self, version: Version = 1) -> dict[str, Any]:
        path = _hashes(self.path, version)
        return {"position": self.position, "item": self.summary.item(), "path": path}


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """A window's entry and some of its readings. `series`: empty unless the entry's own list is collapsed."""

    leaf: LeafEvidence
    readings: tuple[ReadingEvidence, ...]
    series: tuple[SeriesEvidence, ...] = ()

    @property
    def kind(self) -> Literal["window"]:
        return "window"

    def value(self, version: Version = 1) -> dict[str, Any]:
        readings = [item.value(version) for item in self.readings]
        value = {"kind": "window", **self.leaf.value(version), "readings": readings}
        if self.series:
            value["series"] = [item.value(version) for item in self.series]
        return value


Item = EventEvidence | WindowEvidence


@dataclass(frozen=True, slots=True)
class Evidence:
    """A whole file of version 1."""

    logs: tuple[LogEvidence, ...]
    items: tuple[Item, ...]

    def to_json(self) -> str:
        logs = [log.value() for log in self.logs]
        return _json({"format": FORMAT, "logs": logs, "items": [item.value() for item in self.items]})


@dataclass(frozen=True, slots=True)
class AnchoredEvidence:
    """A whole file of version 2. `root` is None while no root log holds the heads: then none of `logs` has
    an anchor, and there is neither witness nor time stamp. `keys`: `key` entries that lead to the keys used.
    """

    root: RootEvidence | None
    logs: tuple[LogEvidence, ...]
    items: tuple[Item, ...]
    keys: tuple[LeafEvidence, ...] = ()
    witnesses: tuple[WitnessEvidence, ...] = ()
    timestamps: tuple[TimestampEvidence, ...] = ()

    def to_json(self) -> str:
        return _json(
            {
                "format": FORMAT_2,
                "root": None if self.root is None else self.root.value(),
                "logs": [log.value_2() for log in self.logs],
                "keys": [leaf.value(2) for leaf in self.keys],
                "witnesses": [witness.value() for witness in self.witnesses],
                "timestamps": [stamp.value() for stamp in self.timestamps],
                "items": [item.value(2) for item in self.items],
            }
        )


def _hashes(hashes: Sequence[bytes], version: Version) -> Any:
    return to_base64(b"".join(hashes)) if version == 2 else [to_base64(value) for value in hashes]


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def build_event(
    leaf: LeafEvidence,
    fields: Mapping[str, Any],
    salts: Sequence[bytes],
    disclose: Collection[str],
    kind: Literal["event", "verdict"] = "event",
) -> EventEvidence:
    """Evidence of an event or a verdict that shows the fields named in `disclose`; `salts` in tree order, as
    at its recording.
    """
    shown = [
        Disclosed(name, salt, fields[name])
        for name, salt in zip(sorted(fields, key=utf16_key), salts, strict=True)
    ]
    fields_of = (field if field.name in disclose else Withheld(field.leaf_hash()) for field in shown)
    return EventEvidence(leaf, tuple(fields_of), kind)


def build_window(leaf: LeafEvidence, tree: WindowTree, positions: Iterable[int]) -> WindowEvidence:
    """Evidence of the readings at `positions` of a window rebuilt from the store.

    VerifyError if the rebuilt window is not the one committed to: then the store has changed, and no proof
    can be made.
    """
    body = WindowBody.read(parse_entry(leaf.entry).body)
    if tree.root_hash != body.root:
        raise VerifyError(
            f"root of the window at {leaf.log} {leaf.index}", got=tree.root_hash, want=body.root
        )
    shown = [ReadingEvidence(tree.reading(at), tree.proof(at)) for at in sorted(set(positions))]
    if body.series.items is not None:
        return WindowEvidence(leaf, tuple(shown))
    wanted = {item.reading.series for item in shown}
    listed = summaries(tree)
    paths = list_tree(listed)
    rows = [
        SeriesEvidence(at, summary, paths.inclusion_proof(at))
        for at, summary in enumerate(listed)
        if summary.series in wanted
    ]
    return WindowEvidence(leaf, tuple(shown), tuple(rows))
