"""A log's signing keys over time: which were given up for which, and which sign now.

A `key` entry, signed by the old key and the new, says so in the log itself. From that entry on checkpoints carry both
signatures for an overlap, then the new one alone. Contract: which keys sign is a function of the log's leaves and the
time; `verify_rotation` is all that a stranger needs to go from a key they trust to the one that signs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ledger.entry import parse_entry, stream_pseudonym
from ledger.entry_bodies import KeyBody
from ledger.errors import EntryError
from ledger.strict_json import strict
from ledger.translog.note import SignerKey, VerifierKey
from ledger.translog.verify import VerifyError, want_same

OVERLAP = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rotation_message(origin: str, old: VerifierKey, new: VerifierKey) -> str:
    """What both keys sign."""
    return f"suyuan/key/v1\n{origin}\n{old}\n{new}\n"


def make_rotation(old: SignerKey, new: SignerKey) -> KeyBody:
    """The body of the entry that gives up `old` for `new`. Both are named as the origin."""
    said = rotation_message(old.name, old.verifier, new.verifier)
    return KeyBody(old.verifier, new.verifier, old.sign(said), new.sign(said))


def verify_rotation(body: KeyBody | Mapping[str, Any], origin: str) -> KeyBody:
    """A `key` entry's body whose two signatures hold, for the log `origin`; else VerifyError.

    That the entry is in the log, and that `old` is a key one trusts, is for the caller to see.
    """
    try:
        read = body if isinstance(body, KeyBody) else KeyBody.read(body)
    except EntryError as cause:
        raise VerifyError("key entry", got=str(cause), want="a body as docs/entry-v1.md has it") from cause
    want_same("name of the old key", got=read.old.name, want=origin)
    want_same("name of the new key", got=read.new.name, want=origin)
    said = rotation_message(origin, read.old, read.new)
    read.old.verify(said, read.sig_old)
    read.new.verify(said, read.sig_new)
    return read


@dataclass(frozen=True, slots=True)
class Rotation:
    """One `key` entry of a log, its signatures verified. `at`: its record time."""

    leaf_index: int
    at: datetime
    old: VerifierKey
    new: VerifierKey


def read_rotations(
    conn: psycopg.Connection, organisation: str, org_key: bytes, origin: str
) -> tuple[Rotation, ...]:
    """All of a log, in order. Reads its leaves through only if it ever said something of itself."""
    stream = stream_pseudonym(org_key, "log", origin)
    if conn.execute(_SAID, [organisation, stream]).fetchone() is None:
        return ()
    found = list[Rotation]()
    for index, data in conn.execute(_KEY_ENTRIES, [organisation]):
        entry = parse_entry(data)
        if entry.type == "key" and entry.stream == stream:
            body = verify_rotation(entry.body, origin)
            found.append(Rotation(index, _EPOCH + timedelta(milliseconds=entry.rec), body.old, body.new))
    return tuple(found)


_SAID = "SELECT FROM stream_head WHERE organisation = %s AND stream = %s"
_KEY_ENTRIES = """
SELECT leaf_index, entry FROM leaf WHERE organisation = %s AND position('"type":"key"'::bytea IN entry) > 0
ORDER BY leaf_index
"""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that a log was ever signed with, the first one first. `since`: of all but the first, when it came."""

    keys: tuple[VerifierKey, ...]
    since: tuple[datetime, ...]

    @classmethod
    def of(cls, first: VerifierKey, rotations: Sequence[Rotation]) -> "Keyring":
        """A rotation of a key that was given up before has no effect."""
        keys, since = [first], list[datetime]()
        for rotation in rotations:
            if rotation.old == keys[-1]:
                keys.append(rotation.new)
                since.append(rotation.at)
        return cls(tuple(keys), tuple(since))

    @property
    def current(self) -> VerifierKey:
        return self.keys[-1]

    def signing(self, now: datetime, overlap: timedelta) -> tuple[VerifierKey, ...]:
        """The newest first."""
        given_up = [key for key, until in zip(self.keys, self.since, strict=False) if now < until + overlap]
        return (self.current, *reversed(given_up))

    def described(self, overlap: timedelta) -> str:
        """A line for each key, the newest first: `vkey from until`, in UTC ms, `-` for no bound."""
        starts = ["-", *(str(_ms(at)) for at in self.since)]
        ends = [*(str(_ms(at + overlap)) for at in self.since), "-"]
        lines = [f"{key} {start} {end}\n" for key, start, end in zip(self.keys, starts, ends, strict=True)]
        return "".join(reversed(lines))


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def ask_rotation(conn: psycopg.Connection, organisation: str, body: KeyBody, at: datetime) -> None:
    """A pending `key` entry. The new key must be on disk before."""
    conn.execute(_ASK, [organisation, body.old.name, strict(body.value()), at])


_ASK = """
INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)
VALUES (%s, 'key', 'log', %s, %s, %s)
"""
