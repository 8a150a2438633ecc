"""Connections, and what may be said of a connection string: libpq's errors can quote a password that it took for something
else."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

ENCODE = (
    "write it as postgresql://user:password@host:port/database; in user and password write @ as %40, : as %3A,"
    " / as %2F, ? as %3F, # as %23, % as %25 and a blank as %20"
)

_HOST = re.compile(r"(\[[^\]@]*\]|[^\[\]:@]*)(:(?P<port>\d{1,5})?)?")


class Connection(psycopg.Connection):
    """Gives up a server that says nothing for `silence_s`: a network that fails may tell neither side, and a call would wait
    for ever. The server's own statement_timeout ends whatever takes long, as long as it is there."""

    silence_s: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        begun = time.monotonic()
        try:
            return super().wait(gen, interval, self.silence_s if timeout is None else timeout)
        except psycopg.OperationalError:
            if timeout is not None or self.silence_s is None or time.monotonic() - begun < self.silence_s:
                raise
            self.close()  # what comes after it on this connection fails at once, and waits no more
            raise psycopg.OperationalError(f"the database said nothing for {self.silence_s:g} s") from None


def connect(
    url: str, name: str, *, autocommit: bool = False, silence_s: float | None = None
) -> psycopg.Connection:
    """`name`: as the server lists it. `silence_s`: after so long without an answer the connection is given up; longer than the
    role's statement_timeout. Raises psycopg.OperationalError, whose text may be shown."""
    try:
        conn = Connection.connect(
            url, application_name=f"suyuan {name}", connect_timeout=10, autocommit=autocommit
        )
    except psycopg.Error as error:
        raise psycopg.OperationalError(said_of(error, url)) from None
    conn.silence_s = silence_s
    return conn


def is_plain(url: str) -> bool:
    """False where libpq cannot read it, or may read a part of the password as host, port or database."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False
    _scheme, found, rest = url.partition("://")
    if not found:
        return True  # keywords and values: what libpq can read is what was meant
    before, at, after = rest.rpartition("@")
    if "@" in before or (at and "/" in before):
        return False
    authority, _, query = after.partition("?")
    if "password=" in query and "&" in query:
        return False
    hosts = authority.partition("/")[0].split(",")
    return all(
        (match := _HOST.fullmatch(host)) is not None and int(match["port"] or 1) <= 65535 for host in hosts
    )


def said_of(error: psycopg.Error, url: str) -> str:
    """The error in one line, or a sentence in its place where it could quote a password."""
    if is_plain(url):
        return " ".join(str(error).split())
    return f"the connection string can be read in two ways, or not at all: {ENCODE}"


@contextmanager
def told(role: str) -> Iterator[None]:
    """What the database refuses ends the command with a sentence. `role`: whose URL it needs, as "ingest's"."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise click.ClickException(
            f"this role may not do that ({error.diag.message_primary}): use {role} in SUYUAN_DATABASE_URL"
        ) from error
    except psycopg.OperationalError as error:
        raise click.ClickException(str(error)) from error
    except psycopg.Error as error:
        raise click.ClickException(f"the database refused: {' '.join(str(error).split())}") from error
