"""The secrets of a log: its signing key and the organisation's key, files under DATA_DIR/keys, never in the
database.

Whoever holds a copy of the database can neither sign for the log nor undo the salts and pseudonyms in it; a
backup of this folder belongs somewhere else than the database's. Contract: a key is made once, at first use,
and never replaced; where one of a pair is missing, `KeyMissing`, since a fresh key would silently start
another log.
"""

import secrets
from collections.abc import Callable
from pathlib import Path

from ledger.errors import LedgerError
from ledger.log_files import create_once, read_if_there
from ledger.strict_json import from_base64, to_base64
from ledger.translog.cosignature import Cosigner, parse_cosigner_key
from ledger.translog.note import SignerKey, parse_private_key
from ledger.translog.verify import want_same

ORGANISATION_KEY_SIZE = 32


class KeyMissing(LedgerError):
    """A key that this log was started with is not there. Restore DATA_DIR/keys from its backup."""


class KeyStore:
    """Keys by organisation. `folder` is made with mode 0700 and its files with 0600.

    `random_bytes`: how many -> that many, from a cryptographic source.
    """

    def __init__(self, folder: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._folder = folder
        self._random_bytes = random_bytes
        self._organisation_keys: dict[str, bytes] = {}

    def organisation_key(self, organisation: str) -> bytes:
        """32 bytes under which the organisation's pseudonyms and window salts are made."""
        if organisation not in self._organisation_keys:
            self._organisation_keys[organisation] = self._read_organisation_key(organisation)
        return self._organisation_keys[organisation]

    def log_key(self, organisation: str, origin: str, *, inception: bool = False) -> SignerKey:
        """The key that signs for `origin`. Made only at `inception`; else KeyMissing, or VerifyError on a bad
        file.
        """
        path = self._folder / f"{organisation}.key"
        if inception and not path.exists():
            key = SignerKey.from_seed(origin, self._random_bytes(32))
            create_once(path, key.export().encode() + b"\n")
        data = read_if_there(path)
        if data is None:
            raise KeyMissing(f"{path} is missing; restore it from its backup")
        key = parse_private_key(data.decode().strip())
        want_same(f"name of the key in {path}", got=key.name, want=origin)
        return key

    def clock_key(self, organisation: str, origin: str, *, inception: bool = False) -> Cosigner:
        """The key by which the log `origin` says when it signed, named `{origin}/clock`. As `log_key`."""
        path = self._folder / f"{organisation}.clock.key"
        if inception and not path.exists():
            key = Cosigner.from_seed(f"{origin}/clock", self._random_bytes(32))
            create_once(path, key.export().encode() + b"\n")
        data = read_if_there(path)
        if data is None:
            raise KeyMissing(f"{path} is missing; restore it from its backup")
        key = parse_cosigner_key(data.decode().strip())
        want_same(f"name of the key in {path}", got=key.name, want=f"{origin}/clock")
        return key

    def _read_organisation_key(self, organisation: str) -> bytes:
        path = self._folder / f"{organisation}.org_key"
        data = read_if_there(path)
        if data is None:
            if (self._folder / f"{organisation}.key").exists():
                raise KeyMissing(f"{path} is missing beside the log's key; restore it from its backup")
            # Sealing and sequencing may both be first; whoever comes second reads what the first one made.
            create_once(path, to_base64(self._random_bytes(ORGANISATION_KEY_SIZE)).encode() + b"\n")
            data = path.read_bytes()
        return from_base64(data.decode().strip(), str(path), ORGANISATION_KEY_SIZE)
