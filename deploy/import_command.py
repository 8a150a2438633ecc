"""`suyuan import FILE...`: organisations, places, devices and placements from CSV and Excel; docs/registry.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from ingest.registry.sheets import Report, Table

KINDS = ("organisations", "places", "devices", "placements")
SHOWN = 200  # faults said one by one; a file with the wrong column everywhere says the same of every row
SHOW_PROGRESS_FROM = 500


@click.command("import")
@click.argument(
    "files", metavar="FILE...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--kind", type=click.Choice(KINDS), help="What the rows are, where neither sheet nor headings say."
)
@click.option("--dry-run", is_flag=True, help="Try everything and write nothing.")
@click.option("--partial", is_flag=True, help="Write the good rows even if others are bad.")
@click.option("--time-zone", default="Asia/Shanghai", show_default=True, help="Of times without an offset.")
@click.option(
    "--template",
    type=click.Choice(KINDS),
    help="Print a CSV with the columns of such a sheet, and nothing else.",
)
@click.option(
    "--language",
    type=click.Choice(("zh", "en")),
    default="zh",
    show_default=True,
    help="Of the template's headings.",
)
def import_command(
    files: tuple[Path, ...],
    kind: str | None,
    dry_run: bool,
    partial: bool,
    time_zone: str,
    template: str | None,
    language: str,
) -> None:
    """Take organisations, places, devices and where they sit from CSV or Excel files, all in one go.

    As ingest's role (SUYUAN_DATABASE_URL). Nothing is written while any row is bad, unless --partial: each bad row is
    named with its column, its value and what to do. Repeatable: the same file again changes nothing.

    Exit status 0: all rows are good; 1: some are not; 2: a file cannot be read.
    """
    if template is not None:
        from ingest.registry import sheets

        # With a byte order mark: without one, Excel in China reads it as GBK.
        click.echo(("\ufeff" + sheets.template(template, language)).encode(), nl=False)
        return
    if not files:
        raise click.UsageError("name a file, or print a template with --template")
    zone = _zone(time_zone)
    tables = _read(files)
    report = _import(tables, kind, zone, dry_run, partial)
    _tell(report, tables, dry_run, partial)
    sys.exit(0 if report.good else 1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise click.UsageError(f"--time-zone {name}: want an IANA name such as Asia/Shanghai") from error


def _read(files: Sequence[Path]) -> list[Table]:
    from ingest.registry.sheets import SheetError, read_tables

    try:
        return [table for file in files for table in read_tables(file.name, file.read_bytes())]
    except (SheetError, OSError) as error:
        raise _Unreadable(str(error)) from error


class _Unreadable(click.ClickException):
    exit_code = 2


def _import(
    tables: Sequence[Table], kind: str | None, zone: ZoneInfo, dry_run: bool, partial: bool
) -> Report:
    from deploy.database_url import told
    from deploy.services.process import opened
    from ingest.registry.sheets import SheetError, import_tables

    rows = sum(len(table.rows) for table in tables)
    try:
        with told("ingest's"), opened(Settings().database_url, "import") as conn:
            with _progress(rows) as progress:
                report = import_tables(conn, tables, zone, datetime.now(UTC), kind=kind, progress=progress)
            if dry_run or not (report.good or partial):
                conn.rollback()
    except SheetError as error:
        raise _Unreadable(str(error)) from error
    return report


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int, int], None]]:
    """A line that moves, of a long file and before somebody's eyes."""
    if rows < SHOW_PROGRESS_FROM or not sys.stderr.isatty():
        yield lambda _done, _of: None
        return
    with click.progressbar(length=rows, label="rows", file=sys.stderr) as bar:

        def progress(done: int, _of: int) -> None:
            bar.update(done - bar.pos)

        yield progress


def _tell(report: Report, tables: Sequence[Table], dry_run: bool, partial: bool) -> None:
    for fault in report.faults[:SHOWN]:
        click.echo(str(fault), err=True)
    if len(report.faults) > SHOWN:
        click.echo(f"and {len(report.faults) - SHOWN} more", err=True)
    for name in report.passed_over:
        click.echo(f"{name} was passed over: its headings are those of no kind of sheet", err=True)
    for table in tables:
        if table.encoding not in ("", "UTF-8"):
            click.echo(f"{table.name} was read as {table.encoding}")
    click.echo(_summary(report, dry_run, partial))


def _summary(report: Report, dry_run: bool, partial: bool) -> str:
    bad = len({(fault.table, fault.row) for fault in report.faults})
    known = f", {report.known} of them known already" if report.known else ""
    if dry_run:
        return f"tried: {report.taken} of {report.rows} rows are good{known}; nothing was written"
    if report.good or partial:
        left = "" if report.good else "; the others were left out, and of a device with a bad row all of them"
        return f"imported {report.taken} of {report.rows} rows{known}{left}"
    return f"nothing was written: {bad} of {report.rows} rows are bad; mend them, or import the others with --partial"
