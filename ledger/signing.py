"""Who signs a log's checkpoints now: its Ed25519 keys, and lines in further algorithms where settings ask for them.

Between the keys on disk (`ledger.keys`), the log's own word on them (`ledger.key_rotation`) and the note that
`ledger.publication` writes. Contract: every checkpoint has a line by the current key, so that any verifier that
knows it and nothing else is served; further lines are beside it and never in its place.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import psycopg

from ledger.key_rotation import OVERLAP, Keyring, read_rotations
from ledger.keys import KeyMissing, KeyStore
from ledger.log import FurtherKey, Log
from ledger.translog.note import SignerKey

Algorithm = Literal["mldsa44", "sm2"]


@dataclass(frozen=True, slots=True)
class Signing:
    """Settings. `overlap`: how long a key that was given up signs on; `further`: which algorithms sign beside
    Ed25519.
    """

    overlap: timedelta = OVERLAP
    further: tuple[Algorithm, ...] = ()


def further_key(keys: KeyStore, algorithm: Algorithm, organisation: str, origin: str) -> FurtherKey:
    """Made when it is asked for first, under the origin's name as the log's own key is."""
    if algorithm == "sm2":
        sm2 = keys.sm2_key(organisation, origin)
        return FurtherKey(
            str(sm2.verifier), sm2.verifier.key_id, lambda checkpoint: sm2.line(checkpoint.text)
        )
    ml_dsa = keys.ml_dsa_key(organisation, origin)
    # Time 0 says nothing of when: this is a signature of the log's, not a witness's word.
    return FurtherKey(
        str(ml_dsa.verifier), ml_dsa.verifier.key_id, lambda checkpoint: ml_dsa.cosign(checkpoint, 0)
    )


@dataclass(frozen=True, slots=True)
class Signers:
    """What one log may be signed with. `private`: by verifier key."""

    keyring: Keyring
    private: dict[str, SignerKey]
    further: tuple[FurtherKey, ...] = ()

    @classmethod
    def read(
        cls,
        conn: psycopg.Connection,
        keys: KeyStore,
        organisation: str,
        origin: str,
        further: Sequence[Algorithm] = (),
    ) -> "Signers":
        """KeyMissing where one that is to sign is not on disk."""
        first = keys.log_key(organisation, origin)
        private = {str(key.verifier): key for key in keys.log_keys(organisation, origin)}
        rotations = read_rotations(conn, organisation, keys.organisation_key(organisation), origin)
        keyring = Keyring.of(first.verifier, rotations)
        if str(keyring.current) not in private:
            raise KeyMissing(f"the key {keyring.current} of {origin} is missing; restore DATA_DIR/keys")
        more = tuple(further_key(keys, algorithm, organisation, origin) for algorithm in further)
        return cls(keyring, private, more)

    def equip(self, log: Log, signing: Signing, now: datetime) -> Log:
        """The log as it is signed at `now`. A key that was given up and is gone signs no more."""
        current = self.keyring.signing(now, signing.overlap)
        keys = tuple(self.private[str(key)] for key in current if str(key) in self.private)
        if keys == log.keys:
            return log
        vkeys = self.keyring.described(signing.overlap) + "".join(f"{key.vkey} - -\n" for key in self.further)
        return replace(log, keys=keys, further=self.further, vkeys=vkeys)


def says_of_keys(entries: Iterable[bytes]) -> bool:
    """Whether one of these leaves may change who signs."""
    return any(b'"type":"key"' in entry for entry in entries)
