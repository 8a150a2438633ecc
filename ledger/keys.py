"""The secrets of a log: its signing key and the organisation's key, files under DATA_DIR/keys, never in the
database.

Whoever holds a copy of the database can neither sign for the log nor undo the salts and pseudonyms in it; a
backup of this folder belongs somewhere else than the database's. Contract: a file is made once, at first use,
and never replaced: a log's later signing keys (`ledger.key_rotation`) are files of their own, named by their key ids.
Where one of a pair is missing, `KeyMissing`, since a fresh key would silently start another log.
"""

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from ledger.errors import LedgerError
from ledger.log_files import create_once, read_if_there
from ledger.strict_json import from_base64, to_base64
from ledger.translog.cosignature import ML_DSA_44, Cosigner, parse_cosigner_key
from ledger.translog.note import SignerKey, parse_private_key
from ledger.translog.sm2 import Sm2Signer, parse_sm2_key
from ledger.translog.verify import want_same

ORGANISATION_KEY_SIZE = 32
K = TypeVar("K", bound="_Key")


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
        """The key that `origin` began with. Made only at `inception`; else KeyMissing, or VerifyError on a bad
        file.
        """
        path = self._folder / f"{organisation}.key"
        if inception and not path.exists():
            key = SignerKey.from_seed(origin, self._random_bytes(32))
            create_once(path, key.export().encode() + b"\n")
        return _named(parse_private_key(self._read(path)), origin, path)

    def log_keys(self, organisation: str, origin: str) -> list[SignerKey]:
        """All that ever signed for `origin`, or may yet."""
        paths = [self._folder / f"{organisation}.key", *self._folder.glob(f"{organisation}.[0-9a-f]*.key")]
        rotated = [
            path for path in paths[1:] if _ROTATED.fullmatch(path.name.removeprefix(f"{organisation}."))
        ]
        return [
            _named(parse_private_key(self._read(path)), origin, path) for path in (paths[0], *sorted(rotated))
        ]

    def add_log_key(self, organisation: str, origin: str) -> SignerKey:
        """Makes the key that is to sign for `origin` next. It signs nothing until the log says so."""
        key = SignerKey.from_seed(origin, self._random_bytes(32))
        path = self._folder / f"{organisation}.{key.verifier.key_id.hex()}.key"
        create_once(path, key.export().encode() + b"\n")
        return key

    def clock_key(self, organisation: str, origin: str, *, inception: bool = False) -> Cosigner:
        """The key by which the log `origin` says when it signed, named `{origin}/clock`. As `log_key`."""
        path = self._folder / f"{organisation}.clock.key"
        if inception and not path.exists():
            key = Cosigner.from_seed(f"{origin}/clock", self._random_bytes(32))
            create_once(path, key.export().encode() + b"\n")
        return _named(parse_cosigner_key(self._read(path)), f"{origin}/clock", path)

    def ml_dsa_key(self, organisation: str, origin: str) -> Cosigner:
        """The key by which `origin` signs in ML-DSA-44 too. Made when it is asked for first."""
        path = self._folder / f"{organisation}.mldsa44.key"
        if not path.exists():
            key = Cosigner.from_seed(origin, self._random_bytes(32), ML_DSA_44)
            create_once(path, key.export().encode() + b"\n")
        return _named(parse_cosigner_key(self._read(path)), origin, path)

    def sm2_key(self, organisation: str, origin: str) -> Sm2Signer:
        """The key by which `origin` signs in SM2 too. As `ml_dsa_key`."""
        path = self._folder / f"{organisation}.sm2.key"
        if not path.exists():
            create_once(path, Sm2Signer.from_random(origin, self._random_bytes(64)).export().encode() + b"\n")
        return _named(parse_sm2_key(self._read(path)), origin, path)

    def _read(self, path: Path) -> str:
        data = read_if_there(path)
        if data is None:
            raise KeyMissing(f"{path} is missing; restore it from its backup")
        return data.decode().strip()

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


_ROTATED = re.compile(r"[0-9a-f]{8}\.key")


class _Key(Protocol):
    @property
    def name(self) -> str: ...


def _named(key: K, name: str, path: Path) -> K:
    want_same(f"name of the key in {path}", got=key.name, want=name)
    return key
