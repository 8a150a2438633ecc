"""`suyuan erase`: forgets a person everywhere but in what others hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from deploy.erasing import Found

BACKUPS = "Backups are not reached: a restored one is erased again, from the logs and DATA_DIR/erasures.jsonl, before its services start."
KINDS = {
    "event_bytes": "events recorded in clear: the field is withheld for ever, all others stay proven",
    "quarantine": "payloads in quarantine, forgotten whole; their rows and counts stay",
    "act": "what people did, as they typed it",
    "certificate": "certificates",
    "test_record": "test records",
    "capture_job": "capture jobs' documents",
    "idempotency": "answers kept for a request made twice",
    "place": "places' names",
    "product": "products' names",
    "organisation": "organisations' names",
    "user_account": "accounts' names",
    "alert_acknowledgement": "who acknowledged alerts, and how",
    "input_use": "what was used on fields",
    "hold_decision": "reasons of what was decided about holds",
    "finding_word": "what officials wrote of findings",
    "recall": "recalls' reasons",
    "recall_closing": "how recalls ended",
    "set_aside": "what the projection set aside",
}


@click.command()
@click.argument("person", metavar="[PERSON_URN]", required=False)
@click.option(
    "--value",
    metavar="TEXT",
    help="What is to be forgotten: a telephone, a name, a whole remark. Needs --organisation.",
)
@click.option("--organisation", help="In whose data the value is looked for.")
@click.option(
    "--reason", type=click.Choice(["request", "order", "retention"]), default="request", show_default=True,
    help="The person asked, an authority ordered it, or it was kept long enough.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be erased and where, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before erasing.")
@click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")
def erase(
    person: str | None, value: str | None, organisation: str | None, reason: Literal["request", "order", "retention"],
    dry_run: bool, yes: bool, database_url: str | None,
) -> None:  # fmt: skip
    """Erase what an organisation's data say of a person: urn:suyuan:person:... as an event shows it, or the value itself.

    On the host with the sequencer's SUYUAN_DATA_DIR, as the database's owner or a login that is granted suyuan_eraser. It says
    first what it found. The value goes from the vault, from events recorded in clear, quarantine, acts, certificates and
    answers; the log gets an `erasure` entry, and every proof still verifies. A legal hold stops it.

    Exit status 0: erased, or there was nothing; 1: refused, or something of it is left and is named.
    """
    if (person is None) == (value is None) or (value is not None and organisation is None):
        raise click.UsageError("name a person's URN, or --value with --organisation")
    import psycopg

    from deploy import erasing

    settings = Settings()
    now = datetime.now(UTC)
    with _told(), psycopg.connect(database_url or settings.database_url) as conn:
        instance = erasing.Instance.at(settings.data_dir)
        found = erasing.find(conn, instance, organisation, person, value)
        _say(found)
        if not found:
            for line in found.left:
                click.echo(f"left: {line}")
            raise SystemExit(1 if found.left else 0)
        erasing.refuse_held(conn, found)
        if dry_run:
            click.echo("nothing was changed")
            return
        if not yes:
            click.confirm("Erase it for good?", abort=True)
        done = erasing.erase(conn, instance, found, reason, now)
        left = erasing.left_over(conn, found)
    click.echo(f"erased; {len(done.persons)} in the `erasure` entry of {found.organisation}'s log. {BACKUPS}")
    for line in left:
        click.echo(f"left: {line}")
    if left:
        raise SystemExit(1)


def _say(found: Found) -> None:
    if not found:
        click.echo(f"nothing of it was found in {found.organisation}'s data")
        return
    if found.urns:
        click.echo(
            f"vault: {len(found.urns)} value{'s' * (len(found.urns) != 1)}, named in {len(found.events)} events"
        )
        for urn in found.urns[:10]:
            click.echo(f"  {urn}")
    for table, count in Counter(place.table for place in found.places).items():
        click.echo(f"{table}: {count} ({KINDS[table]})")
    if found.unreadable:
        click.echo(
            f"quarantine: {found.unreadable} payloads were forgotten before, with the key of their month"
        )


@contextmanager
def _told() -> Iterator[None]:
    """What is refused, as a sentence."""
    import psycopg

    from deploy import erasing
    from ledger.errors import LedgerError

    try:
        yield
    except erasing.CannotErase as error:
        raise click.ClickException(str(error)) from error
    except LedgerError as error:
        raise click.ClickException(f"{error}: run it where the keys of the organisation are") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not erase ({error.diag.message_primary}): give the owner's URL, or that of a login that is granted"
            " suyuan_eraser"
        ) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error
