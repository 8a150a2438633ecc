"""`suyuan ingest file`: its words on the command line. What it does is in `deploy/backfill.py`, loaded only then."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.settings import Settings

PATH = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("file")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=PATH)
@click.option("--device", help="Whose readings they are, where the file has no such column.")
@click.option("--organisation", help="Take devices of this organisation alone.")
@click.option("--time-zone", metavar="ZONE", help="Of times without an offset, as Asia/Shanghai.")
@click.option("--encoding", help="Default: UTF-8, or GB18030 where it is none.")
@click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "senml", "tag"]), help="Default: by content."
)
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="COLUMN=CHANNEL",
    help="A column's channel. Repeat for more.",
)
@click.option("--skip", multiple=True, metavar="COLUMN", help="Leave a column out. Repeat for more.")
@click.option("--dry-run", is_flag=True, help="Read and check all, and store nothing.")
@click.option("--again", is_flag=True, help="Read a file that was taken in before once more.")
@click.option(
    "--refused", type=click.Path(dir_okay=False, path_type=Path), help="Write what was not taken to a CSV."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--database-url", help="As ingest's role; default SUYUAN_DATABASE_URL.")
def file(
    files: tuple[Path, ...],
    device: str | None,
    organisation: str | None,
    time_zone: str | None,
    encoding: str | None,
    kind: str | None,
    channels: tuple[str, ...],
    skip: tuple[str, ...],
    dry_run: bool,
    again: bool,
    refused: Path | None,
    as_json: bool,
    database_url: str | None,
) -> None:
    """Take readings from files, however old, down the same line.

    CSV with the columns time, device and one for each channel, or time, device, channel, value; headings in Chinese or
    English, values with or without a unit as "temperature (°C)". Parquet of the same layout (pip install
    'suyuan[parquet]'). SenML, one pack a line. Exports of Q-tag and Fridge-tag loggers.

    Run it again after it was stopped: it goes on where it was. A file that was taken in is known by its content, and
    readings that are stored are found to be duplicates, so nothing is ever doubled.

    Exit status 0: all of it is in; 1: some readings were refused; 2: a file cannot be
    read; 130: stopped by Ctrl-C.
    """
    from deploy import backfill
    from ingest.backfill.frames import Form

    named = dict(_pair(each) for each in channels)
    form = Form(device, organisation, time_zone, encoding, kind, named, frozenset(skip))
    settings = Settings()
    backfill.run(
        settings, database_url or settings.database_url, files, form, dry_run, again, refused, as_json
    )


def _pair(text: str) -> tuple[str, str]:
    heading, found, channel = text.rpartition("=")
    if not (heading and found and channel):
        raise click.BadParameter(f"got {text!r}, want COLUMN=CHANNEL")
    return heading, channel
