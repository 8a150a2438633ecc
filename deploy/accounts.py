"""What `suyuan account` does, over a connection of the database's owner.

Contract: each call is one transaction; a refusal is a sentence on standard error and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import click
import psycopg
from rich.console import Console
from rich.table import Table

from deploy.database_url import connect
from trace_api.accounts import administration
from trace_api.accounts.administration import Account, LoginTaken, Wish
from trace_api.accounts.passwords import PasswordRefused, Passwords, check_new, generate
from trace_api.accounts.sessions import plain_login
from trace_api.problems import Problem
from trace_api.words import Words

_ENGLISH = Words("en")


def add(url: str, wished: Mapping[str, Any], made: bool, file: TextIO | None) -> None:
    wish = Wish(
        plain_login(wished["login"]),
        wished["name"].strip(),
        wished["organisation"],
        wished["roles"],
        wished["department"],
        wished["regions"],
    )
    with _owner(url) as conn:
        errors = wish.errors(list(administration.organisations(conn)))
        if errors:
            said = (f"{field}: {_ENGLISH(key, **facts)}" for field, (key, facts) in errors.items())
            raise click.ClickException("; ".join(said))
        password = _password(wish.login, made, file)
        try:
            administration.add(conn, wish, Passwords().hash(password), _now())
        except LoginTaken as error:
            raise click.ClickException(_ENGLISH("work_account_login_taken")) from error
    click.echo(f"added {wish.login}")
    if made:
        click.echo(f"password {password}")


def show(url: str) -> None:
    with _owner(url) as conn:
        accounts = administration.listed(conn)
    if not accounts:
        click.echo("There are no accounts yet; `suyuan account add` makes one.")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("login", "name", "roles", "of", "state"):
        table.add_column(heading, overflow="fold")
    for each in accounts:
        state = "disabled" if each.disabled_at else "enabled"
        table.add_row(each.login, each.name, " ".join(each.roles), _belongs_to(each), state)
    Console(highlight=False).print(table, markup=False)


def disable(url: str, login: str, undo: bool) -> None:
    state = "enabled" if undo else "disabled"
    with _owner(url) as conn:
        found = _find(conn, login)
        changed = administration.disable(conn, found.id, not undo, _now())
    click.echo(f"{state} {found.login}" if changed else f"{found.login} was {state} already")


def set_password(url: str, login: str, made: bool, file: TextIO | None) -> None:
    with _owner(url) as conn:
        found = _find(conn, login)
        password = _password(found.login, made, file)
        administration.set_password(conn, found.id, Passwords().hash(password), _now())
    click.echo(f"new password for {found.login}")
    if made:
        click.echo(f"password {password}")


@contextmanager
def _owner(url: str) -> Iterator[psycopg.Connection]:
    try:
        with connect(url, "account") as conn:
            yield conn
    except (Problem, psycopg.errors.InsufficientPrivilege) as error:
        raise click.ClickException(
            "accounts are administered by the database's owner: give the URL that `suyuan migrate` is run with"
        ) from error
    except psycopg.errors.UndefinedFunction as error:
        raise click.ClickException("the database is older than this release: run `suyuan migrate`") from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {error}") from error


def _find(conn: psycopg.Connection, login: str) -> Account:
    wanted = plain_login(login)
    found = next((each for each in administration.listed(conn) if each.login == wanted), None)
    if found is None:
        raise click.ClickException(
            f"there is no account {wanted}; `suyuan account list` shows which there are"
        )
    return found


def _password(login: str, made: bool, file: TextIO | None) -> str:
    if made:
        return generate()
    if file is not None:
        given = file.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        raise click.UsageError(
            "give --password-file (- for standard input) or --generate: there is no terminal to ask at"
        )
    try:
        check_new(given, login)
    except PasswordRefused as refused:
        raise click.ClickException(_ENGLISH(refused.key)) from refused
    return given


def _belongs_to(account: Account) -> str:
    return " ".join(filter(None, [account.organisation, account.department, *account.regions]))


def _now() -> datetime:
    return datetime.now(UTC)
