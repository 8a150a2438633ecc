"""`suyuan quarantine`: its words on the command line. What they do is in `deploy/quarantine.py`, loaded only then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy.settings import Settings

if TYPE_CHECKING:
    from ingest.replay import Choice

F = TypeVar("F", bound=Callable[..., Any])

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
ROW = click.IntRange(1, 2**63 - 1)

database = click.option("--database-url", help="As ingest's role, or the owner; default SUYUAN_DATABASE_URL.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def filters(command: F) -> F:
    for option in (
        click.option("--until", type=MOMENT, help="Came before; UTC where no zone is given."),
        click.option("--since", type=MOMENT, help="Came then or later; UTC where no zone is given."),
        click.option("--organisation", help="Whose device, or what the topic says."),
        click.option("--device", help="Id of the device, or what the topic says."),
        click.option("--reason", help="A reason of docs/wire.md, such as decoder_fault."),
    ):
        command = option(command)
    return command


@click.group()
def quarantine() -> None:
    """What could not be taken: look at it, and bring it in once what was wrong is mended.

    Needs ingest's role in the database, and to see or replay what a device sent, SUYUAN_DATA_DIR/keys: payloads are
    encrypted under a key of the month that lies there alone. docs/quarantine.md has the rest.
    """


@quarantine.command("list")
@filters
@click.option(
    "--state",
    type=click.Choice(["open", "replayed", "all"]),
    default="open",
    show_default=True,
    help="Open: still refused.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest rows shown.")
@json_option
@database
def list_rows(state: str, limit: int, as_json: bool, database_url: str | None, **chosen: Any) -> None:
    """Counts by reason, and the newest rows."""
    from deploy import quarantine

    quarantine.show_list(_url(database_url), _choice(None, chosen), state, limit, as_json)


@quarantine.command()
@click.argument("row", type=ROW, metavar="ID")
@json_option
@database
def show(row: int, as_json: bool, database_url: str | None) -> None:
    """One row: what came, why it was refused, and what to do about it."""
    from deploy import quarantine

    quarantine.show_row(Settings(), _url(database_url), row, as_json)


@quarantine.command()
@click.argument("rows", type=ROW, nargs=-1, metavar="[ID]...")
@filters
@click.option("--all", "everything", is_flag=True, help="Every open row.")
@json_option
@database
def replay(
    rows: tuple[int, ...], everything: bool, as_json: bool, database_url: str | None, **chosen: Any
) -> None:
    """Send rows down the line again, by number or by filter, after a decoder or a registration was mended.

    What is taken now is stored as if it had been taken when it came. What is still refused stays. No row is deleted, and
    doing it twice does no more than doing it once. Exit status 1 if something is still refused.
    """
    from deploy import quarantine

    if not (rows or everything or any(chosen.values())):
        raise click.UsageError("which rows? Name some, or a filter, or --all.")
    quarantine.replay_rows(Settings(), _url(database_url), _choice(rows or None, chosen), as_json)


@quarantine.command()
@click.option(
    "--before", metavar="YYYY-MM", help="Months before this one; default by SUYUAN_QUARANTINE_MONTHS."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(before: str | None, yes: bool) -> None:
    """Throw the keys of old months away: what was quarantined then can never be read again.

    The rows stay, with their reasons. A copy of a key in a backup brings the payloads back: it has to go as well.
    """
    from deploy import quarantine

    quarantine.forget(Settings(), before, yes, datetime.now(UTC))


def _choice(rows: tuple[int, ...] | None, chosen: dict[str, Any]) -> Choice:
    from ingest.replay import Choice

    since, until = (_utc(chosen[name]) for name in ("since", "until"))
    return Choice(rows, chosen["reason"], chosen["device"], chosen["organisation"], since, until)


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _url(given: str | None) -> str:
    return given or Settings().database_url
