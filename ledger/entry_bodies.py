"""The bodies of entries that say something of one thing: an event, a verdict, persons, a key, a log.

A window's is `ledger.window_body`. Each is read strictly: exactly its members, each in its one form. What a body
means beyond its form (that a signature holds, that a checkpoint is included) is checked by whoever relies on it.
Contract: `Body.read(value).value() == value`, and nothing else than EntryError comes out. Bytes:
`docs/entry-v1.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ledger.errors import EntryError
from ledger.strict_json import from_base64, natural, to_base64
from ledger.translog.checkpoint import Checkpoint, parse_checkpoint
from ledger.translog.merkle import HASH_SIZE
from ledger.translog.note import SIGNATURE_SIZE, Signature, VerifierKey, parse_vkey, split_note
from ledger.translog.verify import VerifyError

MAX_TEXT = 200
MAX_PERSONS = 100
PERSON_SIZE = 16
ErasureReason = Literal["request", "order", "retention"]


@dataclass(frozen=True, slots=True)
class EventBody:
    """What the entry of an event or a verdict says: how many fields it has, and the root over them."""

    fields: int
    root: bytes

    @classmethod
    def read(cls, value: Mapping[str, Any], what: str = "event body") -> "EventBody":
        _want_members(value, {"fields", "root"}, what)
        fields = natural(value["fields"], "fields")
        if fields == 0:
            raise EntryError("fields: got 0, want at least 1")
        return cls(fields, from_base64(value["root"], "root", HASH_SIZE))

    def value(self) -> dict[str, Any]:
        return {"fields": self.fields, "root": to_base64(self.root)}


@dataclass(frozen=True, slots=True)
class CheckpointAnchor:
    """A log's checkpoint in the root log. `note`: with the log's own signature lines and no others.

    That the lines verify is for who knows the log's key.
    """

    note: str
    checkpoint: Checkpoint
    signatures: tuple[Signature, ...]

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "CheckpointAnchor":
        _want_members(value, {"checkpoint"}, "anchor body")
        note = value["checkpoint"]
        if not isinstance(note, str):
            raise EntryError(f"checkpoint: got {note!r:.60}, want a signed note")
        try:
            text, signatures = split_note(note)
            checkpoint = parse_checkpoint(text)
        except VerifyError as cause:
            raise EntryError(str(cause)) from cause
        for line in signatures:
            if line.name != checkpoint.origin or len(line.signature) != SIGNATURE_SIZE:
                raise EntryError(
                    f"signature of the checkpoint: got one by {line.name:.60}, want the log's own"
                )
        return cls(note, checkpoint, tuple(signatures))

    def value(self) -> dict[str, Any]:
        return {"checkpoint": self.note}


@dataclass(frozen=True, slots=True)
class TimestampAnchor:
    """An authority's time stamp over a checkpoint of this log. `time_ms`: what the token says; `token`: SHA-256
    of its DER bytes, which are a file beside the log.
    """

    size: int
    root: bytes
    time_ms: int
    authority: str
    token: bytes

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "TimestampAnchor":
        _want_members(value, {"timestamp"}, "anchor body")
        stamp = value["timestamp"]
        _want_members(stamp, {"size", "root", "time", "authority", "token"}, "timestamp")
        return cls(
            natural(stamp["size"], "size"),
            from_base64(stamp["root"], "root", HASH_SIZE),
            natural(stamp["time"], "time"),
            _text(stamp["authority"], "authority"),
            from_base64(stamp["token"], "token", HASH_SIZE),
        )

    def value(self) -> dict[str, Any]:
        return {
            "timestamp": {
                "size": self.size, "root": to_base64(self.root), "time": self.time_ms,
                "authority": self.authority, "token": to_base64(self.token),
            }
        }  # fmt: skip


def read_anchor(value: Mapping[str, Any]) -> CheckpointAnchor | TimestampAnchor:
    """By which member there is: an anchor holds a checkpoint or a time stamp, never both."""
    return TimestampAnchor.read(value) if "timestamp" in value else CheckpointAnchor.read(value)


@dataclass(frozen=True, slots=True)
class KeyBody:
    """A log's new key, signed for by the old one and by itself (`ledger.key_rotation` checks that)."""

    old: VerifierKey
    new: VerifierKey
    sig_old: bytes
    sig_new: bytes

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "KeyBody":
        _want_members(value, {"old", "new", "sig_old", "sig_new"}, "key body")
        old, new = _vkey(value["old"], "old"), _vkey(value["new"], "new")
        if old.name != new.name or old == new:
            raise EntryError(f"new key: got {new!s:.60}, want another one of {old.name:.60}")
        signatures = [from_base64(value[name], name, SIGNATURE_SIZE) for name in ("sig_old", "sig_new")]
        return cls(old, new, *signatures)

    def value(self) -> dict[str, Any]:
        return {
            "old": str(self.old), "new": str(self.new),
            "sig_old": to_base64(self.sig_old), "sig_new": to_base64(self.sig_new),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class FreezeBody:
    """The last word of a log."""

    reason: str

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "FreezeBody":
        _want_members(value, {"reason"}, "freeze body")
        return cls(_text(value["reason"], "reason"))

    def value(self) -> dict[str, Any]:
        return {"reason": self.reason}


@dataclass(frozen=True, slots=True)
class ErasureBody:
    """Persons whose values are no more. `persons`: 16 bytes each, keyed hashes of their URNs."""

    persons: tuple[bytes, ...]
    reason: ErasureReason

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> "ErasureBody":
        _want_members(value, {"persons", "reason"}, "erasure body")
        persons, reason = value["persons"], value["reason"]
        if not isinstance(persons, Sequence) or isinstance(persons, str):
            raise EntryError(f"persons: got {persons!r:.60}, want a list")
        if not 1 <= len(persons) <= MAX_PERSONS:
            raise EntryError(f"persons: got {len(persons)}, want 1 to {MAX_PERSONS}")
        if reason not in get_args(ErasureReason):
            raise EntryError(f"reason: got {reason!r:.60}, want one of {', '.join(get_args(ErasureReason))}")
        read = tuple(from_base64(person, "person", PERSON_SIZE) for person in persons)
        if len(set(read)) != len(read):
            raise EntryError("persons: got one of them twice, want each once")
        return cls(read, reason)

    def value(self) -> dict[str, Any]:
        return {"persons": [to_base64(person) for person in self.persons], "reason": self.reason}


def _want_members(value: Any, names: set[str], what: str) -> None:
    if not isinstance(value, Mapping):
        raise EntryError(f"{what}: got a {type(value).__name__}, want an object")
    if value.keys() != names:
        raise EntryError(f"{what}: got {', '.join(sorted(value))[:200]}, want {', '.join(sorted(names))}")


def _text(value: Any, what: str) -> str:
    """1 to MAX_TEXT code points, none of them a control character: it will stand on somebody's page."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT:
        raise EntryError(f"{what}: got {value!r:.60}, want a text of 1 to {MAX_TEXT} characters")
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in value):
        raise EntryError(f"{what}: got control characters, want printable text")
    return value


def _vkey(value: Any, what: str) -> VerifierKey:
    if not isinstance(value, str):
        raise EntryError(f"{what}: got {value!r:.60}, want a verifier key")
    try:
        return parse_vkey(value)
    except VerifyError as cause:
        raise EntryError(f"{what}: {cause}") from cause
