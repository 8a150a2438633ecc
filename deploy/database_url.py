"""Connections, and what may be said of a connection string: libpq's errors can quote a password that it took for something
else."""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

ENCODE = (
    "write it as postgresql://user:password@host:port/database; in user and password write @ as %40, : as %3A,"
    " / as %2F, ? as %3F, # as %23, % as %25 and a blank as %20"
)

_HOST = re.compile(r"(\[[^\]@]*\]|[^\[\]:@]*)(:(?P<port>\d{1,5})?)?")


def connect(url: str, name: str, *, autocommit: bool = False) -> psycopg.Connection:
    """`name`: as the server lists it. Raises psycopg.OperationalError, whose text may be shown."""
    try:
        return psycopg.connect(
            url, application_name=f"suyuan {name}", connect_timeout=10, autocommit=autocommit
        )
    except psycopg.Error as error:
        raise psycopg.OperationalError(said_of(error, url)) from None


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
