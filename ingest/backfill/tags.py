"""Exports of Berlinger's Q-tag and Fridge-tag loggers -> frames: text of `Name: value` lines, then a table of readings.

Contract: the readings of the `Data:` table, at local times that the file does not place (so a zone is asked for); a reading of
dashes is none. Daily statistics and alarms are the logger's own judgement and are passed over. Source: the files themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from ingest.backfill import times
from ingest.backfill.delimited import EMPTY
from ingest.backfill.frames import Fault, FileError, Form, Frame, Values
from ingest.backfill.times import NEVER

CHANNEL = "temperature"
_SERIAL = re.compile(r"^ Serial:\s*(\S+)\s*$", re.MULTILINE)
_UNIT = re.compile(r"^ Temp unit:\s*([CF])\s*$", re.MULTILINE)


def is_tag(begun: bytes) -> bool:
    first = begun.split(b"\n", 1)[0]
    return first.startswith(b"Device:") and b"tag" in first.lower()


def read(path: Path, form: Form, zone: ZoneInfo | None, done: int) -> Iterator[Frame]:
    """One frame: a logger holds some 60,000 readings at most. Raises FileError."""
    text = path.read_text(form.encoding or "utf-8-sig", errors="replace")
    serial = _SERIAL.search(text)
    device = form.device or (serial[1].lower() if serial else None)
    if device is None:
        raise FileError("the export names no serial number: say --device")
    rows = list(_rows(text))[done:]
    if not rows:
        return
    unit = _UNIT.search(text)
    line = np.array([at for at, _, _ in rows], np.int64)
    time_ms, want = times.parse([when for _, when, _ in rows], zone)
    readable = time_ms != NEVER
    faults = [
        Fault(int(line[at]), "", "malformed_time", f"got {rows[at][1]!r}: {want}")
        for at in np.flatnonzero(~readable)
    ]
    read_values = [_number(cell) for _, _, cell in rows]
    present = np.array([value is not None for value in read_values]) & readable
    value = np.array([value or 0.0 for value in read_values])
    for at in np.flatnonzero(np.isnan(value)):
        faults.append(Fault(int(line[at]), "T", "not_a_number", f"got {rows[at][2]!r}, want a number"))
    channel = form.channels.get("T") or form.channels.get(CHANNEL) or CHANNEL
    values = Values(
        channel, "degF" if unit and unit[1] == "F" else "Cel", value, present & np.isfinite(value)
    )
    yield Frame(
        line, device, np.where(readable, time_ms, 0), [values], done + len(rows), faults, path.stat().st_size
    )


def _rows(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, time and value of each row of the table `Data:`."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("\t"):
            inside = line.rstrip() == "Data:"
            continue
        cells = [cell.strip() for cell in line.split("\t")[1:]]
        if inside and len(cells) >= 2 and cells[0][:1].isdigit():
            yield number, cells[0], cells[1]


def _number(cell: str) -> float | None:
    if cell.casefold() in EMPTY:
        return None
    try:
        return float(cell)
    except ValueError:
        return float("nan")
