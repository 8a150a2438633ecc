"""The evidence file, `suyuan-evidence/v1`: what somebody needs to check us without asking us.

`ledger.reader` fills it from entries, proofs and salts; a browser or `suyuan verify` reads it
(`ledger.evidence`). Contract: `read_evidence(evidence.to_json())` gives the same evidence; any other bytes
give some evidence or `VerifyError`, and nothing else. Reading believes the file's shape only; whether it
proves anything is checked elsewhere. Members are exactly those of `docs/entry-v1.md`: something extra would
travel unverified beside what is.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.entry import SALT_SIZE, field_leaf, parse_entry
from ledger.errors import EntryError
from ledger.strict_json import from_base64, natural, read_json, to_base64, utf16_key
from ledger.translog.merkle import HASH_SIZE, leaf_hash
from ledger.translog.verify import VerifyError, decode_base64
from ledger.window import WindowReading, WindowTree
from ledger.window_body import SeriesSummary, WindowBody, list_tree, summaries

FORMAT = "suyuan-evidence/v1"
MAX_FILE_SIZE = 64 * 2**20
_MAX_FLAGS = 0xFFFF


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """A log's signed head. `vkey`: the key the file itself names; a careful reader brings another."""

    origin: str
    vkey: str
    checkpoint: str

    def value(self) -> dict[str, Any]:
        return {"origin": self.origin, "vkey": self.vkey, "checkpoint": self.checkpoint}


@dataclass(frozen=True, slots=True)
class LeafEvidence:
    """An entry and its place in a log: `entry` as it was logged, `proof` from the leaf upwards, 32 bytes
    each.
    """

    log: str
    index: int
    entry: bytes
    proof: tuple[bytes, ...]

    def value(self) -> dict[str, Any]:
        return {
            "log": self.log,
            "index": self.index,
            "entry": to_base64(self.entry),
            "proof": [to_base64(value) for value in self.proof],
        }


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
    """An event's entry with all its fields in tree order, each shown or withheld."""

    leaf: LeafEvidence
    fields: tuple[Field, ...]

    def value(self) -> dict[str, Any]:
        return {"kind": "event", **self.leaf.value(), "fields": [field.value() for field in self.fields]}


@dataclass(frozen=True, slots=True)
class ReadingEvidence:
    """One reading of a window and its path to the window's root."""

    reading: WindowReading
    path: tuple[bytes, ...]

    def value(self) -> dict[str, Any]:
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
        return {**value, "path": [to_base64(item) for item in self.path]}


@dataclass(frozen=True, slots=True)
class SeriesEvidence:
    """One item of a series list that the entry carries only as count and root, and its path to that root."""

    position: int
    summary: SeriesSummary
    path: tuple[bytes, ...]

    def value(self) -> dict[str, Any]:
        path = [to_base64(item) for item in self.path]
        return {"position": self.position, "item": self.summary.item(), "path": path}


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """A window's entry and some of its readings. `series`: empty unless the entry's own list is collapsed."""

    leaf: LeafEvidence
    readings: tuple[ReadingEvidence, ...]
    series: tuple[SeriesEvidence, ...] = ()

    def value(self) -> dict[str, Any]:
        value = {"kind": "window", **self.leaf.value(), "readings": [item.value() for item in self.readings]}
        if self.series:
            value["series"] = [item.value() for item in self.series]
        return value


Item = EventEvidence | WindowEvidence


@dataclass(frozen=True, slots=True)
class Evidence:
    """A whole file."""

    logs: tuple[LogEvidence, ...]
    items: tuple[Item, ...]

    def to_json(self) -> str:
        value = {
            "format": FORMAT,
            "logs": [log.value() for log in self.logs],
            "items": [item.value() for item in self.items],
        }
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def build_event(
    leaf: LeafEvidence, fields: Mapping[str, Any], salts: Sequence[bytes], disclose: Collection[str]
) -> EventEvidence:
    """Evidence of an event that shows the fields named in `disclose`; `salts` in tree order, as at its
    recording.
    """
    shown = [
        Disclosed(name, salt, fields[name])
        for name, salt in zip(sorted(fields, key=utf16_key), salts, strict=True)
    ]
    return EventEvidence(
        leaf, tuple(field if field.name in disclose else Withheld(field.leaf_hash()) for field in shown)
    )


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


def read_evidence(data: bytes | str) -> Evidence:
    """The evidence that the file claims, or VerifyError."""
    if len(data) > MAX_FILE_SIZE:
        raise VerifyError("length of the evidence file", got=len(data), want=f"at most {MAX_FILE_SIZE}")
    try:
        return _evidence(read_json(data))
    except EntryError as cause:
        raise VerifyError("evidence file", got=cause, want=FORMAT) from cause


def _evidence(value: Any) -> Evidence:
    found = _members(value, {"format", "logs", "items"}, "evidence file")
    if found["format"] != FORMAT:
        raise VerifyError("format of the evidence file", got=found["format"], want=FORMAT)
    logs = tuple(_log(item) for item in _list(found["logs"], "logs"))
    if len({log.origin for log in logs}) != len(logs):
        raise VerifyError("logs", got="one origin twice", want="each once")
    return Evidence(logs, tuple(_item(item) for item in _list(found["items"], "items")))


def _log(value: Any) -> LogEvidence:
    found = _members(value, {"origin", "vkey", "checkpoint"}, "log")
    return LogEvidence(*(_text(found[name], name) for name in ("origin", "vkey", "checkpoint")))


def _item(value: Any) -> Item:
    kind = value.get("kind") if isinstance(value, Mapping) else None
    common = {"kind", "log", "index", "entry", "proof"}
    if kind == "event":
        found = _members(value, common | {"fields"}, "event item")
        return EventEvidence(_leaf(found), tuple(_field(item) for item in _list(found["fields"], "fields")))
    if kind == "window":
        found = _members(value, common | {"readings"}, "window item", {"series"})
        return WindowEvidence(
            _leaf(found),
            tuple(_reading(item) for item in _list(found["readings"], "readings")),
            tuple(_series(item) for item in _list(found.get("series", ()), "series")),
        )
    raise VerifyError("kind of an item", got=kind, want="event or window")


def _leaf(found: Mapping[str, Any]) -> LeafEvidence:
    return LeafEvidence(
        _text(found["log"], "log"),
        natural(found["index"], "index"),
        decode_base64(_text(found["entry"], "entry"), "entry"),
        _hashes(found["proof"], "proof"),
    )


def _field(value: Any) -> Field:
    if isinstance(value, Mapping) and "hash" in value:
        return Withheld(from_base64(_members(value, {"hash"}, "field")["hash"], "hash of a field", HASH_SIZE))
    found = _members(value, {"name", "salt", "value"}, "field")
    salt = from_base64(found["salt"], "salt of a field", SALT_SIZE)
    return Disclosed(_text(found["name"], "name of a field"), salt, found["value"])


def _reading(value: Any) -> ReadingEvidence:
    names = {"position", "series", "time", "value", "flags", "salt", "path"}
    found = _members(value, names, "reading", {"body_sha256"})
    reading = WindowReading(
        position=natural(found["position"], "position"),
        series=from_base64(found["series"], "series", 16),
        time_ms=natural(found["time"], "time of a reading"),
        value=_number(found["value"]),
        flags=natural(found["flags"], "flags"),
        salt=from_base64(found["salt"], "salt of a reading", 32),
        body_sha256=from_base64(found["body_sha256"], "body_sha256", 32) if "body_sha256" in found else None,
    )
    if reading.flags > _MAX_FLAGS:
        raise VerifyError("flags", got=reading.flags, want=f"at most {_MAX_FLAGS}")
    if (reading.value is None) != (reading.body_sha256 is not None):
        raise VerifyError("reading", got="both or neither", want="a value or body_sha256")
    return ReadingEvidence(reading, _hashes(found["path"], "path"))


def _series(value: Any) -> SeriesEvidence:
    found = _members(value, {"position", "item", "path"}, "series")
    summary = SeriesSummary.read(found["item"])
    return SeriesEvidence(natural(found["position"], "position"), summary, _hashes(found["path"], "path"))


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise VerifyError("value of a reading", got=type(value).__name__, want="a number or null")
    return float(value)


def _hashes(value: Any, what: str) -> tuple[bytes, ...]:
    return tuple(from_base64(item, f"hash in {what}", HASH_SIZE) for item in _list(value, what))


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise VerifyError(what, got=type(value).__name__, want="a list")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise VerifyError(what, got=type(value).__name__, want="a text")
    return value


def _members(value: Any, names: set[str], what: str, optional: Collection[str] = ()) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not names <= value.keys() <= names | set(optional):
        got = ", ".join(sorted(value)) if isinstance(value, Mapping) else type(value).__name__
        raise VerifyError(f"members of {what}", got=got, want=", ".join(sorted(names)))
    return value
