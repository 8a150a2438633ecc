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

    FILE is an EPCISDocument, an EPCISQueryDocument, one event or a list of events, as JSON, JSON-LD or XML; - is standard
    input.
    Several files are hashed one after the other. An event need not be valid to have a hash; one that has none is named on
    standard error, and the others are hashed.

    Exit status 0: every event is hashed; 1: an event has no hash; 3: a file cannot be read.
    """
    from deploy.epcis_hashes import print_hashes

    sys.exit(print_hashes(files, click.echo, lambda text: click.echo(text, err=True)))


@epcis.command("validate")
@files
@click.option("--json", "as_json", is_flag=True, help="One JSON document with the problems of all files.")
@click.option(
    "--most",
    default=1000,
    show_default=True,
    type=click.IntRange(min=0),
    help="Problems shown of each file; all are counted.",
)
def validate_command(files: tuple[Path, ...], as_json: bool, most: int) -> None:
    """Say everything that is wrong with EPCIS files, where it is, and how to mend it.

    FILE is an EPCISDocument, an EPCISQueryDocument, one event or a list of events, as JSON, JSON-LD or EPCIS 2.0 XML; - is
    standard input. Each problem has a JSON pointer (RFC 6901; of XML into the JSON-LD form) and the number of its event.
    Errors make a file invalid: fields, identifiers and the rules that only several fields together can break. Warnings name
    what is allowed and seldom meant, such as business steps that exclude each other; they change no exit status.

    Invalid here, and taken at the doors all the same, since published examples of the standard do it: sensor metadata in two
    places, a sensor time after the event, an error declaration without the eventID of what it declares wrong, and an order
    of XML elements other than the XML Schema's (but eventTime must stand before action there too).

    Exit status 0: every file is valid; 1: a file is invalid; 3: a file cannot be read. Of several the worst, 3 before 1.
    """
    from deploy.epcis_validating import validate_files

    sys.exit(validate_files(files, as_json=as_json, most=most, say=click.echo))
