"""The keys of a backup: where they go, which files they are, and whether they are those of the logs beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.backup import BackupError
from ledger.translog.note import parse_private_key
from ledger.translog.verify import VerifyError


def keys_beside(target: Path) -> Path:
    """Beside the folder and not in it, so that a copy of the folder does not carry the keys along. Raises BackupError."""
    if not target.name:
        raise BackupError(f"{target} has no name to keep the keys under: name a folder in it")
    return target.with_name(f"{target.name}-keys.tar")


def is_key(name: str) -> bool:
    """False for what else lies there: drafts that a crash left, and what the demo keeps of its own start."""
    return not name.startswith(".") and name.endswith((".key", ".org_key"))


def of_other_logs(keys: Mapping[str, bytes], published: Mapping[str, bytes]) -> Iterator[str]:
    """The organisations of which no signing key makes the signatures that their published verifier key checks. `keys`: the
    bytes of `{organisation}.key` and of the keys that followed it, by name without `.key`; `published`: of each log's `vkey`,
    by organisation."""
    for organisation, vkey in published.items():
        own = [data for name, data in keys.items() if name.split(".")[0] == organisation]
        if vkey.strip() not in [_vkey(data) for data in own]:
            yield organisation


def _vkey(key: bytes) -> bytes:
    """Nothing for a key that signs something else, such as the clock's."""
    try:
        return str(parse_private_key(key.decode().strip()).verifier).encode()
    except (VerifyError, UnicodeDecodeError):
        return b""
