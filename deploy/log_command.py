"""`suyuan log`: its words on the command line. What they do is in `deploy/log_keeping.py`, loaded only then."""

from __future__ import annotations

import sys

import click

from deploy.settings import Settings

database = click.option(
    "--database-url", help="The sequencer's or the owner's URL; default SUYUAN_DATABASE_URL."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def log() -> None:
    """The logs of this instance: what they stand at, their keys, and their end.

    Run it where DATA_DIR is, as the user that the services run as. LOG is an organisation's id, or `root`.
    """


@log.command("list")
@as_json
@database
def list_(as_json: bool, database_url: str | None) -> None:
    """Every log: how many entries are published and wait, and whether it is frozen."""
    from deploy import log_keeping

    log_keeping.list_all(Settings(), database_url, as_json)


@log.command()
@click.argument("log_id", metavar="LOG")
@as_json
@database
def show(log_id: str, as_json: bool, database_url: str | None) -> None:
    """One log: its checkpoint, its keys, what anchors it. Exit status 1 if there is none of that name."""
    from deploy import log_keeping

    sys.exit(log_keeping.show(Settings(), database_url, log_id, as_json))


@log.command()
@click.argument("log_id", metavar="LOG")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database
def rotate(log_id: str, yes: bool, database_url: str | None) -> None:
    """Give up the log's signing key for a new one.

    Both sign an entry that says so, which the running sequencer adds. From then on checkpoints carry both signatures for
    SUYUAN_LOG_KEY_OVERLAP_DAYS, then the new one alone: until then whoever checks the log must take the new key. Take a
    backup of DATA_DIR/keys before and after; no key is ever deleted.
    """
    from deploy import log_keeping

    log_keeping.rotate(Settings(), database_url, log_id, yes)


@log.command()
@click.argument("log_id", metavar="LOG")
@click.option("--reason", required=True, help="Why, for everybody to read: 1 to 200 characters.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database
def freeze(log_id: str, reason: str, yes: bool, database_url: str | None) -> None:
    """End a log for ever. Its last entry says why; nothing is added after it, and it cannot be undone.

    What is recorded for the organisation after it waits, and is never proven by this log.
    """
    from deploy import log_keeping

    log_keeping.freeze(Settings(), database_url, log_id, reason, yes)
