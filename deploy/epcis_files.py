"""EPCIS files by their path: what `suyuan epcis` and `suyuan trace` are given on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

from ledger.epcis.files import MOST_BYTES, ReadFile, Unreadable, read_file


def read_path(path: Path, most_bytes: int = MOST_BYTES, *, literal: bool = False) -> ReadFile:
    """The events of a file; `-` is standard input. Raises Unreadable. No more than `most_bytes` are read.
    `literal`: see `ledger.epcis.xml_document.read_xml`."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with path.open("rb") as file:
                data = file.read(most_bytes + 1)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}; name a file that is there") from error
    return read_file(data, most_bytes, literal=literal)
