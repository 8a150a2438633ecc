"""`suyuan evidence`: its words on the command line. What it does is in `deploy/evidence_making.py`, loaded only then."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.settings import Settings


@click.command()
@click.argument("subject", metavar="EVENT|WINDOW")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.json, .json.gz or .html; default: JSON on standard output.",
)
@click.option(
    "--reading",
    metavar="TIME",
    help="Of a window: this reading alone, by the device's time (ISO 8601, UTC without a zone).",
)
@click.option("--channel", help="Which channel's reading, where the device has several.")
@click.option(
    "--disclose",
    multiple=True,
    metavar="FIELD",
    help="Of an event: show these fields and no others. Repeat for more.",
)
@click.option(
    "--withhold", multiple=True, metavar="FIELD", help="Of an event: show all but these. Repeat for more."
)
@click.option("--public", is_flag=True, help="Only what a shopper may see.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 600),
    default=10.0,
    show_default=True,
    help="Seconds to wait for the root log, and for a witness.",
)
@click.option(
    "--language",
    type=click.Choice(["zh", "en"]),
    default="zh",
    show_default=True,
    help="In which the page opens.",
)
@click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")
def evidence(
    subject: str,
    output: Path | None,
    reading: str | None,
    channel: str | None,
    disclose: tuple[str, ...],
    withhold: tuple[str, ...],
    public: bool,
    wait_s: float,
    language: str,
    database_url: str | None,
) -> None:
    """Make the evidence file of an event or a window: checked by anybody, without us.

    EVENT is an eventID or an event's number. WINDOW is DEVICE@HOUR (truck-1@2026-06-18T05, UTC), or with --reading the DEVICE
    alone. ORGANISATION:INDEX names either, or a verdict, by its place in the organisation's log.

    The file proves its content up to the root log, which is asked to take the log's checkpoint in at once; if it does not
    within --wait the file is made without, and says so. A page (.html) carries the file, checks itself without a network, and
    has the 存证说明 beside it. suyuan verify checks all of them.

    Run it with the services' settings, as the database's owner: it needs DATA_DIR/keys to rebuild a window.
    """
    from deploy.evidence_making import EvidenceProblem, Wish, run

    wish = Wish(subject, reading, channel, disclose, withhold, public, wait_s)
    try:
        run(
            Settings(),
            database_url,
            wish,
            output,
            language,
            lambda text: click.echo(text, err=True),
            sys.stdout.write,
        )
    except EvidenceProblem as error:
        raise click.ClickException(str(error)) from error
