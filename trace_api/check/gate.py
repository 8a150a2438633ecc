"""What the addresses of the gate work with, on pages and for programs alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import psycopg

from ledger.persons import Vault
from trace_api.access import Databases, Person
from trace_api.check import aliases
from trace_api.check.facts import Asked
from trace_api.check.finding import Goods, Vehicle, find, is_seen
from trace_api.check.reading import Code, read
from trace_api.check.rules import Rules
from trace_api.holds.rules import HoldRules
from trace_api.pages import Assets
from trace_api.problems import Problem

ROLES = ("market", "stall", "retailer")


@dataclass(frozen=True, slots=True)
class Gate:
    """What the routes work with."""

    databases: Databases
    assets: Assets
    public_url: str
    vault: Vault
    rules: Rules
    holds: HoldRules
    now: Callable[[], datetime]

    def asked(self, person: Person) -> Asked:
        return Asked(person, self.rules, self.now())


def bind(
    conn: psycopg.Connection, person: Person, scheme: str, value: str, target: str, now: datetime
) -> str:
    """Binds to what the target names: only what the binder may see. Returns the entity. Raises Problem."""
    code = read(target)
    entity = code.uri if isinstance(code, Code) else None
    if entity is None:
        found = find(conn, target, now)
        entity = found.uri if isinstance(found, Goods | Vehicle) else None
    if entity is None or not (is_seen(conn, entity) or is_seen(conn, entity.partition("/21/")[0])):
        raise Problem.said(422, "check_alias_target")
    # As it is looked up: without what scanners and thumbs add.
    aliases.bind(conn, person, scheme, read(value).value, entity, now)
    return entity
