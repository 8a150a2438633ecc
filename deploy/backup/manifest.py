"""The manifest of a backup: what is in it, byte by byte, and of which moment. Written last; without it nothing is whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from deploy.backup import BackupError

NAME, DUMP, LOGS = "manifest.json", "database.dump", "logs.tar"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Part):
    bytes: int
    sha256: str


class LogState(_Part):
    """`size` and `root`: of the head; `tree_size`: what the database holds, which is as much or more."""

    origin: str
    size: int
    root: str
    epoch: int
    tree_size: int


class Manifest(_Part):
    """`format`: 1. `timescaledb`: the extension's version. `migrations`: of the database. `keys`: of the file that lies apart."""

    format: int
    suyuan: str
    made_at: str
    server: str
    edition: str
    timescaledb: str | None
    pg_dump: str
    migrations: list[str]
    logs: dict[str, LogState]
    files: dict[str, File]
    keys: File | None


def describe(path: Path) -> File:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
            size += len(part)
    return File(bytes=size, sha256=digest.hexdigest())


def write(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(manifest.model_dump(), indent=1, ensure_ascii=False)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Manifest:
    """Raises BackupError where there is none, or none that we can read."""
    path = folder / NAME
    if not folder.is_dir() or not path.is_file():
        raise BackupError(
            f"{folder} is no whole backup: it has no {NAME}, which is written last. Take another one"
        )
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise BackupError(f"{path} cannot be read as a manifest: {error}") from error
    if manifest.format != 1:
        raise BackupError(
            f"{folder} is of format {manifest.format}, we know 1: use the release that made it, {manifest.suyuan}"
        )
    return manifest


def faults(folder: Path, manifest: Manifest, keys: Path | None) -> Iterator[str]:
    """What is not as the manifest says, each in a sentence. `keys`: the file apart, None where it is not at hand."""
    for name, wanted in manifest.files.items():
        yield from _differs(folder / name, wanted)
    if keys is not None and manifest.keys is not None:
        yield from _differs(keys, manifest.keys)
    known = {NAME, *manifest.files}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            yield f"{path.name} is not in the manifest"


def _differs(path: Path, wanted: File) -> Iterator[str]:
    if not path.is_file():
        yield f"{path.name} is missing"
        return
    found = describe(path)
    if found.bytes != wanted.bytes:
        yield f"{path.name} has {found.bytes} bytes, the manifest says {wanted.bytes}"
    elif found != wanted:
        yield f"{path.name} holds other bytes than the manifest says"
