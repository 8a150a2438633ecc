"""Asks `aics-tlog` about a log's folder: run with that package on the path, prints one JSON object.

usage: python second_opinion.py FOLDER VKEY. The checkpoint must be signed by the key and carry its name; then every
tile and bundle is read and led to its root, and each leaf's inclusion and each older size's consistency is verified with
proofs that the package makes itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from aics_tlog.checkpoint import checkpoint_from_note, verify_checkpoint
from aics_tlog.note import parse_note, parse_vkey
from aics_tlog.tiles import FileSystemTileReader
from aics_tlog.verified import audit_tiles


def main(folder: Path, vkey: str) -> dict[str, object]:
    key = parse_vkey(vkey)
    note = parse_note((folder / "checkpoint").read_bytes())
    opened = verify_checkpoint(note, key, expected_origin=key.name)
    if not opened.ok or opened.size is None or opened.root is None:
        return {"ok": False, "why": opened.error}
    checkpoint, _ = checkpoint_from_note(note)
    report = audit_tiles(FileSystemTileReader(folder), opened.size, opened.root)
    return {
        "ok": True,
        "origin": checkpoint.origin,
        "size": report.size,
        "tiles": report.tiles,
        "bundles": report.bundles,
    }


if __name__ == "__main__":
    try:
        told = main(Path(sys.argv[1]), sys.argv[2])
    except Exception as error:
        told = {"ok": False, "why": f"{type(error).__name__}: {error}"}
    print(json.dumps(told))
