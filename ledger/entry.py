"""Entry version 1: the bytes of a leaf. They can never change; `docs/entry-v1.md` is their definition for
strangers.

Recording makes an event's commitment (`commit_event`), sealing a window's (`ledger.window_body`); the
sequencer alone makes entries, since only it knows `n`, `prev` and `rec`. Contract:
`parse_entry(entry.encode()) == entry`, and `parse_entry` takes no other bytes than those. An entry shows no
identifier, quantity or party in clear: streams and logs appear under pseudonyms, contents under salted roots.
"""

import hmac
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, get_args

from ledger.entry_bodies import ErasureBody, EventBody, FreezeBody, KeyBody, read_anchor
from ledger.errors import EntryError
from ledger.strict_json import canonical, from_base64, natural, read_strict, strict, to_base64, utf16_key
from ledger.translog.merkle import HASH_SIZE, Tree, leaf_hash
from ledger.window_body import WindowBody

EntryType = Literal[
    "event", "window", "verdict", "registry", "correction", "gap", "erasure", "key", "freeze", "anchor"
]
StreamKind = Literal["device", "party", "log"]

VERSION = 1
MAX_ENTRY_SIZE = 4096
PSEUDONYM_SIZE = 16
SALT_SIZE = 16
_KEYS = {"v", "type", "org", "stream", "n", "prev", "rec", "body"}
_RESERVED = {"by": 32, "sig": 64}


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf. `n`: its number in the stream, from 0; `prev`: leaf hash of number n - 1; `rec`: record time,
    UTC ms.

    `by` and `sig` (a submitter's Ed25519 key and signature, 32 and 64 bytes) are reserved: version 1 reads
    them and gives them no meaning.
    """

    type: EntryType
    org: bytes
    stream: bytes
    n: int
    prev: bytes | None
    rec: int
    body: Mapping[str, Any]
    by: bytes | None = None
    sig: bytes | None = None

    def encode(self) -> bytes:
        """The leaf's bytes. EntryError if they would not parse back."""
        prev = None if self.prev is None else to_base64(self.prev)
        value: dict[str, Any] = {
            "v": VERSION, "type": self.type, "org": to_base64(self.org), "stream": to_base64(self.stream),
            "n": self.n, "prev": prev, "rec": self.rec, "body": self.body,
        }  # fmt: skip
        for name in _RESERVED:
            if (held := getattr(self, name)) is not None:
                value[name] = to_base64(held)
        data = strict(value)
        # What we could not read back must not become a leaf: a log has no way to take one out again.
        parse_entry(data)
        return data


def parse_entry(data: bytes) -> Entry:
    """The entry whose bytes these are, or EntryError. The form of its body is checked too; `registry`,
    `correction` and `gap` have none yet, and theirs is only JSON.
    """
    if len(data) > MAX_ENTRY_SIZE:
        raise EntryError(f"entry length: got {len(data)}, want at most {MAX_ENTRY_SIZE}")
    value = read_strict(data)
    if not isinstance(value, Mapping) or not _KEYS <= value.keys() <= _KEYS | _RESERVED.keys():
        got = ", ".join(sorted(value)) if isinstance(value, Mapping) else type(value).__name__
        raise EntryError(f"entry: got {got[:200]}, want {', '.join(sorted(_KEYS))}")
    if isinstance(value["v"], bool) or value["v"] != VERSION:
        raise EntryError(f"entry version: got {value['v']!r}, want {VERSION}")
    entry = Entry(
        type=_entry_type(value["type"]),
        org=from_base64(value["org"], "org", PSEUDONYM_SIZE),
        stream=from_base64(value["stream"], "stream", PSEUDONYM_SIZE),
        n=natural(value["n"], "n"),
        prev=None if value["prev"] is None else from_base64(value["prev"], "prev", HASH_SIZE),
        rec=natural(value["rec"], "rec"),
        body=_body(value["type"], value["body"]),
        **{name: from_base64(value[name], name, size) for name, size in _RESERVED.items() if name in value},
    )
    if (entry.prev is None) != (entry.n == 0):
        raise EntryError(f"prev: got {value['prev']} at n {entry.n}, want null at 0 and a leaf hash after it")
    return entry


def _entry_type(value: Any) -> EntryType:
    for known in get_args(EntryType):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise EntryError(f"entry type: got {value!r}, want one of {', '.join(get_args(EntryType))}")


def _body(entry_type: Any, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise EntryError(f"body: got a {type(value).__name__}, want an object")
    read = _READ_BODY.get(entry_type)
    if read is not None:
        read(value)
    return value


_READ_BODY: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "event": EventBody.read,
    "window": WindowBody.read,
    "verdict": lambda value: EventBody.read(value, "verdict body"),
    "erasure": ErasureBody.read,
    "key": KeyBody.read,
    "freeze": FreezeBody.read,
    "anchor": read_anchor,
}


@dataclass(frozen=True, slots=True)
class EventCommitment:
    """An event's fields bound one by one. `names`, `leaves`: tree order, which is RFC 8785's order of the
    names; a leaf is 32 bytes, the hash of `field_leaf`.
    """

    root: bytes
    names: tuple[str, ...]
    leaves: tuple[bytes, ...]

    def body(self) -> dict[str, Any]:
        """The entry's body: `{"fields": count, "root": base64}`."""
        return {"fields": len(self.leaves), "root": to_base64(self.root)}


def commit_event(fields: Mapping[str, Any], salts: Sequence[bytes]) -> EventCommitment:
    """Commits to an event's top-level fields, each under its own salt.

    `salts`: 16 random bytes for each field, in tree order. EntryError on a wrong number or length, and for a
    value without an RFC 8785 form.
    """
    names = tuple(sorted(fields, key=utf16_key))
    if len(salts) != len(names) or not names:
        raise EntryError(
            f"salts: got {len(salts)} for {len(names)} fields, want one for each of at least one"
        )
    leaves = [field_leaf(salt, name, fields[name]) for salt, name in zip(salts, names, strict=True)]
    tree = Tree.of(leaves)
    return EventCommitment(tree.root_hash, names, tree.leaf_hashes)


def commit_written(
    names: Sequence[str], fields: Sequence[tuple[bytes, bytes]], salts: Sequence[bytes]
) -> EventCommitment:
    """As `commit_event`, of fields in tree order that are written out already: name and value, each in RFC 8785. A salt of
    another length than 16 bytes is EntryError."""
    if any(len(salt) != SALT_SIZE for salt in salts):
        raise EntryError(f"salt length: want {SALT_SIZE}")
    leaves = [
        b'["%b",%b,%b]' % (b2a_base64(salt, newline=False), name, value)
        for salt, (name, value) in zip(salts, fields, strict=True)
    ]
    tree = Tree.of(leaves)
    return EventCommitment(tree.root_hash, tuple(names), tree.leaf_hashes)


def field_leaf(salt: bytes, name: str, value: Any) -> bytes:
    """The leaf data of one field: JCS([salt, name, value]). Unsalted, a short value could be guessed."""
    if len(salt) != SALT_SIZE:
        raise EntryError(f"salt length: got {len(salt)}, want {SALT_SIZE}")
    return canonical([to_base64(salt), name, value])


def log_pseudonym(origin: str) -> bytes:
    """16 bytes that bind an entry to its log: bytes copied into another log do not verify there."""
    return sha256(b"suyuan/org/v1\0" + origin.encode()).digest()[:PSEUDONYM_SIZE]


def stream_pseudonym(org_key: bytes, kind: StreamKind, stream_id: str) -> bytes:
    """16 bytes that stand for a device or a capturing party; keyed, since ids can be guessed."""
    message = b"suyuan/stream/v1\0" + kind.encode() + b"\0" + stream_id.encode()
    return hmac.digest(org_key, message, "sha256")[:PSEUDONYM_SIZE]


def entry_hash(data: bytes) -> bytes:
    """The leaf hash of an entry's bytes: what `prev` and the tree hold."""
    return leaf_hash(data)
