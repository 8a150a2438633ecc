"""`suyuan hold`: what a court or an authority wants kept is neither erased nor dropped by age."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
import psycopg

from deploy import holding
from deploy.database_url import connect
from deploy.settings import Settings

database = click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")
EVERYTHING = "1970-01-01"


@click.group()
def hold() -> None:
    """Legal holds: what may neither be erased nor dropped. Run it as the database's owner, as `suyuan migrate`."""


@hold.command()
@click.argument("kind", type=click.Choice(holding.KINDS))
@click.argument("subject", default="")
@click.option("--reason", required=True, help="Why: the order, its number, the case.")
@click.option("--by", required=True, help="Who places it.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), default=EVERYTHING,
    help="Raw readings measured from then on (UTC) stay, everybody's; default all.",
)  # fmt: skip
@database
def add(kind: str, subject: str, reason: str, by: str, since: datetime, database_url: str | None) -> None:
    """Hold an organisation, a lot, a device or a person's URN; or `all`.

    Nothing of it is erased. Raw readings are dropped by chunks that are everybody's, so any hold but a person's keeps them all
    from its --since on. The months' keys of quarantine are kept too.
    """
    with _owner(database_url) as conn:
        number = holding.add(conn, kind, subject, reason, by, since.replace(tzinfo=UTC), datetime.now(UTC))
    click.echo(f"hold {number} stands on {kind} {subject}".rstrip())


@hold.command("list")
@click.option("--lifted", is_flag=True, help="Those that were lifted too.")
@database
def list_holds(lifted: bool, database_url: str | None) -> None:
    """The holds that stand: on what, since when, why, by whom."""
    with _owner(database_url) as conn:
        found = holding.holds(conn, lifted)
    if not found:
        click.echo("no legal hold stands")
    for each in found:
        about = f"{each.id}  {each.kind} {each.subject}".rstrip()
        placed = f"{_reach(each.kind, each.since)}placed {_day(each.placed_at)} by {each.placed_by or '?'}"
        click.echo(f"{about}  {placed}: {each.reason}")
        if each.released_at is not None:
            lifted_by = f"lifted {_day(each.released_at)} by {each.released_by or '?'}"
            click.echo(f"    {lifted_by}: {each.release_reason or ''}")


def _reach(kind: str, since: datetime) -> str:
    """Which raw readings stay; a person's hold keeps none."""
    if kind == "person":
        return ""
    return "all readings, " if _day(since) == EVERYTHING else f"readings since {_day(since)}, "


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


@hold.command()
@click.argument("number", type=int)
@click.option("--reason", required=True, help="Why it ends.")
@click.option("--by", required=True, help="Who lifts it.")
@database
def lift(number: int, reason: str, by: str, database_url: str | None) -> None:
    """End a hold. That it stood, and who lifted it, is kept."""
    with _owner(database_url) as conn:
        holding.lift(conn, number, reason, by, datetime.now(UTC))
    click.echo(f"hold {number} is lifted")


@contextmanager
def _owner(url: str | None) -> Iterator[psycopg.Connection]:
    try:
        with connect(url or Settings().database_url, "hold") as conn:
            yield conn
    except holding.NoHold as error:
        raise click.ClickException(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"holds are the database owner's affair ({error.diag.message_primary}): give the URL that `suyuan migrate` is run with"
        ) from error
    except psycopg.errors.UndefinedColumn as error:
        raise click.ClickException("the database is older than this release: run `suyuan migrate`") from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error
