"""A file from its first row to its last: read, admitted, stored, marked, committed with its checkpoint.

In the line: a file -> here -> `pipeline`. Contract: each step is one transaction with its checkpoint in it; a fault of the file
is named with its line and takes nobody with it; what the database refuses ends the run, and the same call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import psycopg

from ingest import pipeline
from ingest.backfill import cells, checkpoint, delimited, lines, packs, parquet, tags
from ingest.backfill.checkpoint import Checkpoint, Key
from ingest.backfill.frames import Fault, FileError, Form, Frame, Integers
from ingest.backfill.packs import Packs
from ingest.intake import Intake
from ingest.pipeline import Line

KINDS = ("csv", "parquet", "senml", "tag")
WORKER = "file"

Clock = Callable[[], datetime]
"""Ours, asked at each step: a seal waits until what it seals has been quiet."""


@dataclass(frozen=True, slots=True)
class Old:
    """Readings that were taken and are older than raw readings are kept. `oldest_ms`: of the first of them, UTC ms."""

    readings: int = 0
    oldest_ms: int | None = None

    @classmethod
    def of(cls, time_ms: Iterable[Integers], line: Line, now: datetime) -> Old:
        """`time_ms`: int64[n] each."""
        kept_from = _ms(now - line.retention)
        old = np.concatenate([np.empty(0, np.int64), *(each[each < kept_from] for each in time_ms)])
        return cls(len(old), int(old.min())) if len(old) else cls()

    def __add__(self, other: Old) -> Old:
        known = [each.oldest_ms for each in (self, other) if each.oldest_ms is not None]
        return Old(self.readings + other.readings, min(known, default=None))


@dataclass(slots=True)
class Step:
    """What one transaction did. `position`: bytes of the file that are read."""

    position: int
    faults: list[Fault] = field(default_factory=list)
    readings: int = 0
    checkpoint: Checkpoint | None = None
    old: Old = field(default_factory=Old)


def kind_of(path: Path, form: Form) -> str:
    if form.kind is not None:
        return form.kind
    with path.open("rb") as file:
        begun = file.read(4096)
    if begun.startswith(b"PAR1"):
        return "parquet"
    if begun.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileError("an Excel workbook: save the sheet as CSV")
    if not begun.strip(b"\xef\xbb\xbf \t\r\n"):
        raise FileError("holds nothing")
    if tags.is_tag(begun):
        return "tag"
    return "senml" if packs.is_senml(begun) else "csv"


def take_in(
    conn: psycopg.Connection, line: Line, path: Path, form: Form, key: Key, begun: Checkpoint, now: Clock
) -> Iterator[Step]:
    """From where `begun` says. Raises FileError; psycopg.Error."""
    before = begun.through
    for part, through, position in _parts(line, path, form, begun.through):
        with conn.transaction():
            step = _store(conn, line, part, form, now())
            batches, faulty = step.batches, sum(fault.count for fault in step.at_the_door)
            found = checkpoint.advance(conn, key, before, through, step.readings, faulty, batches)
            if found is None:
                raise FileError("is being taken in by somebody else at this moment")
        before = through
        yield Step(position, step.faults, step.readings, found, step.old)


def rehearse(line: Line, path: Path, form: Form, now: datetime) -> Iterator[Step]:
    """The same without storing: what the file holds, and what is wrong with it."""
    for part, _, position in _parts(line, path, form, 0):
        if isinstance(part, Frame):
            admitted, faults, readings = cells.admit(part, line.registry, form, _ms(now))
            old = Old.of([each.time_ms for each in admitted], line, now)
            yield Step(position, faults, readings, old=old)
        else:
            batch = packs.gather(part, line, now)
            refused = [
                Fault(part.line[each.message], "", each.reason, each.detail, each.records)
                for each in batch.refusals
            ]
            yield Step(
                position,
                part.faults + refused,
                sum(batch.records) + len(part.faults),
                old=_old_packs(batch, line, now),
            )


def _parts(line: Line, path: Path, form: Form, done: int) -> Iterator[tuple[Frame | Packs, int, int]]:
    kind, zone = kind_of(path, form), _zone(form)
    if kind == "senml":
        for some in packs.read(path, form, line.registry, done):
            yield some, some.through, some.position
        return
    read = {"csv": delimited.read, "parquet": parquet.read, "tag": tags.read}[kind]
    for frame in read(path, form, zone, done):
        yield frame, frame.through, frame.position


def _zone(form: Form) -> ZoneInfo | None:
    if form.time_zone is None:
        return None
    try:
        return ZoneInfo(form.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise FileError(f"{form.time_zone!r} is no time zone: want a name as Asia/Shanghai") from error


@dataclass(slots=True)
class _Stored:
    """`at_the_door`: of `faults`, those of readings that no batch counted."""

    readings: int
    at_the_door: list[Fault]
    faults: list[Fault]
    batches: Sequence[int] = ()
    old: Old = field(default_factory=Old)


def _store(conn: psycopg.Connection, line: Line, part: Frame | Packs, form: Form, now: datetime) -> _Stored:
    return (
        _store_frame(conn, line, part, form, now)
        if isinstance(part, Frame)
        else _store_packs(conn, line, part, now)
    )


def _store_frame(conn: psycopg.Connection, line: Line, frame: Frame, form: Form, now: datetime) -> _Stored:
    admitted, faults, readings = cells.admit(frame, line.registry, form, _ms(now))
    full = [each for each in admitted if len(each.row)]
    if not full:
        return _Stored(readings, faults, faults)
    batch = lines.gather(full, now)
    done = pipeline.transact(conn, line, batch)
    assert batch.rows is not None
    said = "something else is stored under its key, and stands; what came lies in quarantine"
    conflicts = [Fault(int(frame.line[row]), "", "conflict", said) for row in sorted(batch.rows.asked)]
    old = Old.of([each.time_ms for each in full], line, now)
    return _Stored(readings, faults, faults + conflicts, done.batch_ids, old)


def _store_packs(conn: psycopg.Connection, line: Line, some: Packs, now: datetime) -> _Stored:
    batch = packs.gather(some, line, now)
    readings = len(some.faults)
    if not some.messages:
        return _Stored(readings, some.faults, some.faults)
    refused = [
        Fault(some.line[each.message], "", each.reason, each.detail, each.records) for each in batch.refusals
    ]
    done = pipeline.transact(conn, line, batch)
    readings += sum(batch.records)
    return _Stored(readings, some.faults, some.faults + refused, done.batch_ids, _old_packs(batch, line, now))


def _old_packs(batch: Intake, line: Line, now: datetime) -> Old:
    seen = np.array([item.time_ms for item in batch.observations], np.int64)
    return Old.of([batch.readings().time_ms, seen], line, now)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
