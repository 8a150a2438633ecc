"""What `suyuan ingest file` does: files one after the other, with a bar, and a sum at the end.

Contract: what is wrong in a file is said with its line and the first few of it; `--refused` has all. A file that cannot be read
ends nobody else's.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import click
import psycopg
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deploy.database_url import connect
from deploy.migrate import SchemaMismatch
from deploy.services.ingest import line_of
from deploy.services.process import now, require_schema
from deploy.settings import Settings
from ingest.backfill import checkpoint, running
from ingest.backfill.checkpoint import Checkpoint
from ingest.backfill.frames import Fault, FileError, Form
from ingest.backfill.running import Old, Step
from ingest.pipeline import Line

SHOWN = 20
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STOPPED = 130
"""Exit status after Ctrl-C, as of every program that a signal ended."""


@dataclass(slots=True)
class Summary:
    """Of one file. `before`: what earlier runs did of it; the rest is this run's."""

    name: str
    state: str = "taken in"
    before: Checkpoint | None = None
    readings: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: int = 0
    seconds: float = 0.0
    error: str | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    old: Old = field(default_factory=Old)


def run(
    settings: Settings,
    url: str,
    files: Sequence[Path],
    form: Form,
    dry_run: bool,
    again: bool,
    refused: Path | None,
    as_json: bool,
) -> None:
    """Exits."""
    line = line_of(settings, running.WORKER)
    report = _Report(refused, as_json)
    try:
        require_schema(url, "ingest file")
    except (psycopg.Error, SchemaMismatch) as error:
        raise click.ClickException(" ".join(str(error).split())) from error
    try:
        with connect(url, "ingest file", autocommit=True) as conn, report.opened():
            with conn.transaction():
                line.registry.read(conn)
            summaries = [_file(conn, line, path, form, dry_run, again, report) for path in files]
    except KeyboardInterrupt:
        click.echo("stopped; what was committed stays, and the same command goes on", err=True)
        sys.exit(STOPPED)
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not take files in ({error.diag.message_primary}): use ingest's"
        ) from error
    except psycopg.Error as error:
        said = " ".join(str(error).split())
        raise click.ClickException(
            f"{said}; what was committed stays, and the same command goes on"
        ) from error
    _tell(summaries, as_json)
    sys.exit(
        2 if any(each.error for each in summaries) else 1 if any(each.refused for each in summaries) else 0
    )


def _file(
    conn: psycopg.Connection, line: Line, path: Path, form: Form, dry_run: bool, again: bool, report: _Report
) -> Summary:
    summary, begun_at = Summary(path.name), monotonic()
    try:
        if dry_run:
            summary.state = "would be taken in"
            _rehearsed(line, path, form, summary, report)
        else:
            _taken(conn, line, path, form, again, summary, report)
    except FileError as error:
        summary.error = str(error)
    except OSError as error:
        summary.error = f"{path}: {error.strerror or error}"
    report.warn(summary, line.retention)
    summary.seconds = monotonic() - begun_at
    return summary


def _rehearsed(line: Line, path: Path, form: Form, summary: Summary, report: _Report) -> None:
    for step in report.watched(path, running.rehearse(line, path, form, now())):
        report.note(path, step.faults, summary)
        summary.readings += step.readings
        summary.refused += sum(fault.count for fault in step.faults)
        summary.old += step.old


def _taken(
    conn: psycopg.Connection,
    line: Line,
    path: Path,
    form: Form,
    again: bool,
    summary: Summary,
    report: _Report,
) -> None:
    key = checkpoint.key_of(path, form, running.kind_of(path, form))
    begun = checkpoint.begin(conn, key, path.name, now())
    if begun.finished_at is not None and not again:
        summary.state, summary.before = f"was taken in on {begun.finished_at:%Y-%m-%d %H:%M}", begun
        return
    if begun.finished_at is not None:
        checkpoint.begin_anew(conn, key, now())
        begun = checkpoint.begin(conn, key, path.name, now())
    summary.before = begun if begun.through else None
    last = begun
    for step in report.watched(path, running.take_in(conn, line, path, form, key, begun, now)):
        report.note(path, step.faults, summary)
        last = step.checkpoint or last
        summary.old += step.old
        summary.readings, summary.stored = last.readings - begun.readings, last.stored - begun.stored
        summary.duplicate, summary.refused = last.duplicate - begun.duplicate, last.refused - begun.refused
    checkpoint.finish(conn, key, now())


class _Report:
    """The bar, the first faults on standard error, and all of them in a file."""

    def __init__(self, refused: Path | None, quiet: bool) -> None:
        self._refused, self._shown = refused, 0
        self._rows: Any = None
        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet or not self._console.is_terminal

    @contextmanager
    def opened(self) -> Iterator[None]:
        if self._refused is None:
            yield
            return
        try:
            file = self._refused.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise click.BadParameter(
                f"{self._refused}: {error.strerror}", param_hint="'--refused'"
            ) from error
        with file:
            self._rows = csv.writer(file)
            self._rows.writerow(["file", "line", "column", "readings", "reason", "detail"])
            yield

    def watched(self, path: Path, steps: Iterable[Step]) -> Iterator[Step]:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
            console=self._console, disable=self._quiet,
        ) as progress:  # fmt: skip
            task: TaskID = progress.add_task(path.name, total=path.stat().st_size)
            for step in steps:
                progress.update(task, completed=step.position)
                yield step

    def note(self, path: Path, faults: Sequence[Fault], summary: Summary) -> None:
        for fault in faults:
            summary.reasons[fault.reason] += fault.count
            if self._rows is not None:
                self._rows.writerow(
                    [path.name, fault.line, fault.column, fault.count, fault.reason, fault.detail]
                )
            if self._shown < SHOWN:
                where = f"{path.name}:{fault.line}" + (f" {fault.column}" if fault.column else "")
                many = f" ({fault.count:,} readings)" if fault.count > 1 else ""
                self._console.print(
                    f"{where}: {fault.reason}{many}: {fault.detail}", markup=False, soft_wrap=True
                )
            elif self._shown == SHOWN:
                self._console.print("... and more: --refused FILE has all of them", markup=False)
            self._shown += 1

    def warn(self, summary: Summary, retention: timedelta) -> None:
        """Of what was read and will not stay."""
        old = summary.old
        if old.oldest_ms is None:
            return
        oldest = EPOCH + timedelta(milliseconds=old.oldest_ms)
        self._console.print(
            f"{summary.name}: {old.readings:,} readings are older than SUYUAN_RETENTION_DAYS ({retention.days}), the oldest of"
            f" {oldest:%Y-%m-%d}, and the next run of retention drops them. To keep them, set it to at least"
            f" {(now() - oldest).days + 1}, start suyuan jobs again, run suyuan migrate, and take the file in then (--again)",
            markup=False, soft_wrap=True,
        )  # fmt: skip


def _tell(summaries: Sequence[Summary], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"files": [_as_value(each) for each in summaries]}, ensure_ascii=False))
        return
    for each in summaries:
        if each.error is not None:
            click.echo(f"{each.name}: {each.error}", err=True)
        else:
            click.echo(f"{each.name} {each.state}: {_in_words(each)}")
    if len(summaries) > 1:
        total = Summary("in all")
        for each in summaries:
            for name in ("readings", "stored", "duplicate", "refused", "old"):
                setattr(total, name, getattr(total, name) + getattr(each, name))
            total.seconds += each.seconds
        click.echo(f"{len(summaries)} files: {_in_words(total)}")


def _in_words(each: Summary) -> str:
    if each.state.startswith("was") and each.before is not None:
        return f"{each.before.readings:,} readings are known; --again reads it once more"
    said = f"{each.readings:,} readings, "
    if each.state.startswith("would"):
        said += f"{each.readings - each.refused:,} of them good"
    else:
        said += f"{each.stored:,} stored, {each.duplicate:,} there already"
    said += f", {each.old.readings:,} older than they are kept" if each.old.readings else ""
    said += f", {each.refused:,} refused" if each.refused else ""
    said += (
        f" ({', '.join(f'{n:,} {reason}' for reason, n in each.reasons.most_common())})"
        if each.reasons
        else ""
    )
    said += f"; {each.before.readings:,} more were done before" if each.before else ""
    rate = f", {each.readings / each.seconds:,.0f}/s" if each.seconds > 0.5 and each.readings else ""
    return f"{said}; {each.seconds:,.1f} s{rate}"


def _as_value(each: Summary) -> dict[str, Any]:
    return {
        "file": each.name, "state": each.state, "readings": each.readings, "stored": each.stored,
        "duplicate": each.duplicate, "refused": each.refused, "older_than_retention": each.old.readings, "reasons": dict(each.reasons),
        "readings_before": each.before.readings if each.before else 0, "error": each.error, "seconds": round(each.seconds, 3),
    }  # fmt: skip
