"""`suyuan register DOCUMENT`: what exists, from a JSON document; docs/wire.md has the form."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from ingest.registry import RegistryDocument


@click.command()
@click.argument("document", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--token",
    "tokens",
    multiple=True,
    metavar="ORGANISATION",
    help="Make and print a token for HTTP capture. Repeat for more.",
)
def register(document: Path, tokens: tuple[str, ...]) -> None:
    """Take organisations, places, products and devices from a JSON document (docs/wire.md), and the shipped limits.

    As ingest's role (SUYUAN_DATABASE_URL). Repeatable: what is there gets the document's names, identities stay. Nothing
    is written if anything is wrong.
    """
    from deploy.database_url import told
    from deploy.services.process import opened
    from ingest.registry import RegistryError, load, load_shipped, load_token, parse_registry

    made = {organisation: secrets.token_urlsafe(24) for organisation in tokens}
    try:
        entries = parse_registry(document.read_bytes())
        with told("ingest's"), opened(Settings().database_url, "register") as conn:
            left = load(conn, entries)
            load_shipped(conn)
            for organisation, token in made.items():
                load_token(conn, organisation, token)
    except (RegistryError, OSError) as error:
        raise click.ClickException(str(error)) from error
    # On standard error: what a script reads are the tokens.
    click.echo(_in_words(entries), err=True)
    for sentence in left:
        click.echo(sentence, err=True)
    for organisation, token in made.items():
        click.echo(f"{organisation} {token}")


def _in_words(entries: RegistryDocument) -> str:
    counts = [(name, len(getattr(entries, name))) for name in type(entries).model_fields]
    said = ", ".join(f"{number:,} {name}" for name, number in counts if number)
    return f"registered {said or 'the shipped limits alone: the document is empty'}"
