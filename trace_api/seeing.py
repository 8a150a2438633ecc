"""With whose eye a lot is read.

In the line: a request -> here -> `chain`. Contract: nobody sees more than the database shows to who asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from trace_api import access
from trace_api.access import Databases, Person
from trace_api.chain import ASKER, PUBLIC, Eye


@contextmanager
def seeing(databases: Databases, person: Person | None) -> Iterator[tuple[psycopg.Connection, Eye]]:
    """A snapshot with the eye of who asks. Who only administers accounts sees of goods what everybody sees."""
    if person is None or person.roles == {"administrator"}:
        with access.everybody(databases) as conn:
            yield conn, PUBLIC
    else:
        with access.looking(databases, person) as conn:
            yield conn, ASKER
