"""Who signs a log's checkpoints now: its Ed25519 keys, and lines in further algorithms where settings ask for them.

Between the keys on disk (`ledger.keys`), the log's own word on them (`ledger.key_rotation`) and the note that
`ledger.publication` writes. Contract: every checkpoint has a line by the current key, so that any verifier that
knows it and nothing else is served; further lines are beside it and never in its place.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import psycopg

from ledger.key_rotation import OVERLAP, Keyring, read_rotations
from ledger.keys import KeyMissing, KeyStore
from ledger.log import Log
from ledger.translog.note import SignerKey


@dataclass(frozen=True, slots=True)
class Signing:
    """Settings. `overlap`: how long a key that was given up signs on."""

    overlap: timedelta = OVERLAP


@dataclass(frozen=True, slots=True)
class Signers:
    """What one log may be signed with. `private`: by verifier key."""

    keyring: Keyring
    private: dict[str, SignerKey]

    @classmethod
    def read(cls, conn: psycopg.Connection, keys: KeyStore, organisation: str, origin: str) -> "Signers":
        """KeyMissing where one that is to sign is not on disk."""
        first = keys.log_key(organisation, origin)
        private = {str(key.verifier): key for key in keys.log_keys(organisation, origin)}
        rotations = read_rotations(conn, organisation, keys.organisation_key(organisation), origin)
        keyring = Keyring.of(first.verifier, rotations)
        if str(keyring.current) not in private:
            raise KeyMissing(f"the key {keyring.current} of {origin} is missing; restore DATA_DIR/keys")
        return cls(keyring, private)

    def equip(self, log: Log, signing: Signing, now: datetime) -> Log:
        """The log as it is signed at `now`. A key that was given up and is gone signs no more."""
        current = self.keyring.signing(now, signing.overlap)
        keys = tuple(self.private[str(key)] for key in current if str(key) in self.private)
        return (
            log
            if keys == log.keys
            else replace(log, keys=keys, vkeys=self.keyring.described(signing.overlap))
        )


def says_of_keys(entries: Iterable[bytes]) -> bool:
    """Whether one of these leaves may change who signs."""
    return any(b'"type":"key"' in entry for entry in entries)
