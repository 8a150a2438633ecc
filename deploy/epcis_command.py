"""`suyuan epcis`: EPCIS files on the command line, with no server and no database."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.group()
def epcis() -> None:
    """EPCIS files, JSON or XML: no server, no database, no network."""


files = click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))


@epcis.command("hash")
@files
def hash_command(files: tuple[Path, ...]) -> None:
    """Print the CBV 2.0 hash of each event, in document order, one a line.

    FILE is an EPCISDocument, an EPCISQueryDocument, one event or a list of events, as JSON or JSON-LD; - is standard input.
    Several files are hashed one after the other. An event need not be valid to have a hash; one that has none is named on
    standard error, and the others are hashed.

    Exit status 0: every event is hashed; 1: an event has no hash; 3: a file cannot be read.
    """
    from deploy.epcis_hashes import print_hashes

    sys.exit(print_hashes(files, click.echo, lambda text: click.echo(text, err=True)))
