"""`suyuan account`: its words on the command line. What they do is in `deploy/accounts.py`, loaded only then: no other command
needs a password's hash or a web framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from deploy.settings import Settings
from trace_api.roles import DEPARTMENTS, ROLES

F = TypeVar("F", bound=Callable[..., Any])

database = click.option("--database-url", help="The owner's URL; default SUYUAN_DATABASE_URL.")


def password_options(command: F) -> F:
    file = click.option(
        "--password-file",
        type=click.File("r", encoding="utf-8"),
        help="Read the password's line from a file; - is standard input.",
    )
    made = click.option("--generate", is_flag=True, help="Make a password and print it, once.")
    return made(file(command))


@click.group()
def account() -> None:
    """People who may sign in. Run it as the database's owner, as `suyuan migrate`.

    A service's role may not: what answers over HTTP must not make itself an administrator. Passwords come from a prompt, a
    file or standard input, or are made and printed once.
    """


@account.command()
@click.argument("login")
@click.option("--name", required=True, help="The person's name, or the post's.")
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="Repeat for more."
)
@click.option("--organisation", help="For who handles goods: the organisation they belong to.")
@click.option("--department", type=click.Choice(DEPARTMENTS), help="For an official.")
@click.option(
    "--region",
    "regions",
    multiple=True,
    help="For officials and auditors: a GB/T 2260 prefix. Repeat for more.",
)
@password_options
@database
def add(generate: bool, password_file: Any, database_url: str | None, **wish: Any) -> None:
    """Add an account. Without --generate or --password-file the password is asked for."""
    from deploy import accounts

    accounts.add(_url(database_url), wish, generate, password_file)


@account.command("list")
@database
def list_accounts(database_url: str | None) -> None:
    """Every account: who it is, what it may, and whether it is disabled."""
    from deploy import accounts

    accounts.show(_url(database_url))


@account.command()
@click.argument("login")
@click.option("--undo", is_flag=True, help="Enable it again.")
@database
def disable(login: str, undo: bool, database_url: str | None) -> None:
    """Disable an account: nobody signs in with it any more, and its sessions end at once."""
    from deploy import accounts

    accounts.disable(_url(database_url), login, undo)


@account.command()
@click.argument("login")
@password_options
@database
def password(login: str, generate: bool, password_file: Any, database_url: str | None) -> None:
    """Set a new password. The old one and all sessions of the account end."""
    from deploy import accounts

    accounts.set_password(_url(database_url), login, generate, password_file)


def _url(given: str | None) -> str:
    return given or Settings().database_url
