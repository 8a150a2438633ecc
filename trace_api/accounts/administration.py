"""Accounts as they are administered: what one may be, and the calls that make, change and disable them.

Contract: the caller's transaction, as an administrator (`/accounts`) or as the owner of the database (`suyuan account`); the
database checks which, and keeps its own rules about roles. `Wish.errors` says them beforehand, each beside its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors

from trace_api.problems import Problem
from trace_api.roles import DEPARTMENTS, GOODS, OVERSEEING, ROLES

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,62}")
_REGION = re.compile(r"[0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{9}|[0-9]{12}")


class LoginTaken(Exception):
    """Another account has this login. Choose another."""


@dataclass(frozen=True, slots=True)
class Account:
    id: UUID
    login: str
    name: str
    organisation: str | None
    roles: tuple[str, ...]
    department: str | None
    regions: tuple[str, ...]
    created_at: datetime
    password_changed_at: datetime
    disabled_at: datetime | None
    last_seen: datetime | None

    @property
    def wish(self) -> Wish:
        return Wish(self.login, self.name, self.organisation, self.roles, self.department, self.regions)


@dataclass(frozen=True, slots=True)
class Wish:
    """What an account is to be."""

    login: str
    name: str
    organisation: str | None
    roles: tuple[str, ...]
    department: str | None
    regions: tuple[str, ...]

    def errors(self, organisations: Sequence[str]) -> dict[str, tuple[str, dict[str, Any]]]:
        """By field, the sentence (its key and facts) that says what is wrong."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        if not _LOGIN.fullmatch(self.login):
            found["login"] = ("work_account_login_wrong", {})
        if not self.name.strip() or len(self.name) > 100:
            found["name"] = ("work_account_name_wrong", {})
        # What belongs to a role can be judged once the roles are clear.
        for field, key, facts in list(self._role_errors()) or self._scope_errors(organisations):
            found.setdefault(field, (key, facts))
        return found

    def _role_errors(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        if not self.roles or not set(self.roles) <= set(ROLES):
            yield "roles", "work_account_roles_none", {}
        elif len(self.roles) > 1 and not set(self.roles) <= set(GOODS):
            yield "roles", "work_account_roles_apart", {}

    def _scope_errors(self, organisations: Sequence[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        goods, oversees = set(self.roles) & set(GOODS), set(self.roles) & set(OVERSEEING)
        if goods and self.organisation is None:
            yield "organisation", "work_account_organisation_needed", {}
        if self.organisation is not None and not goods:
            yield "organisation", "work_account_organisation_none", {}
        if self.organisation is not None and self.organisation not in organisations:
            yield "organisation", "work_account_organisation_unknown", {}
        if ("official" in self.roles) != (self.department in DEPARTMENTS):
            needed = "official" in self.roles
            yield "department", f"work_account_department_{'needed' if needed else 'none'}", {}
        if bool(oversees) != bool(self.regions):
            yield "regions", f"work_account_regions_{'needed' if oversees else 'none'}", {}
        for code in self.regions:
            if not _REGION.fullmatch(code):
                yield "regions", "work_account_regions_wrong", {"code": code}


def listed(conn: psycopg.Connection) -> list[Account]:
    with _translated():
        rows = conn.execute(
            "SELECT id, login, name, organisation, roles, department, regions, created_at, password_changed_at,"
            " disabled_at, last_seen FROM account_list()"
        ).fetchall()
    return [
        Account(identity, login, name, organisation, tuple(roles), department, tuple(regions), *times)
        for identity, login, name, organisation, roles, department, regions, *times in rows
    ]


def find(conn: psycopg.Connection, wanted: UUID) -> Account:
    """Raises Problem 404."""
    found = next((each for each in listed(conn) if each.id == wanted), None)
    if found is None:
        raise Problem.said(404, "work_no_account")
    return found


def organisations(conn: psycopg.Connection) -> Mapping[str, tuple[str, str]]:
    """Names in Chinese and English by identity."""
    rows = conn.execute("SELECT id, name_zh, name_en FROM organisation ORDER BY name_zh, id").fetchall()
    return {identity: (zh, en) for identity, zh, en in rows}


def add(conn: psycopg.Connection, wish: Wish, password_hash: str, now: datetime) -> UUID:
    """Raises LoginTaken, which leaves the transaction as it was."""
    with _translated(), conn.transaction():
        row = conn.execute(
            "SELECT account_add(%s, %s, %s, %s, %s, %s, %s, %s)",
            [wish.login, wish.name, wish.organisation, list(wish.roles), wish.department, list(wish.regions),
             password_hash, now],
        ).fetchone()  # fmt: skip
    assert row is not None
    made: UUID = row[0]
    return made


def change(conn: psycopg.Connection, wanted: UUID, wish: Wish, now: datetime) -> None:
    """Everything but the login."""
    values = [
        wanted,
        wish.name,
        wish.organisation,
        list(wish.roles),
        wish.department,
        list(wish.regions),
        now,
    ]
    with _translated():
        conn.execute("SELECT account_roles(%s, %s, %s, %s, %s, %s, %s)", values)


def disable(conn: psycopg.Connection, wanted: UUID, disabled: bool, now: datetime) -> bool:
    """False: it was so already."""
    with _translated():
        row = conn.execute("SELECT account_disable(%s, %s, %s)", [wanted, disabled, now]).fetchone()
    return row is not None and bool(row[0])


def set_password(conn: psycopg.Connection, wanted: UUID, password_hash: str, now: datetime) -> None:
    with _translated():
        conn.execute("SELECT account_password(%s, %s, %s)", [wanted, password_hash, now])


@contextmanager
def _translated() -> Iterator[None]:
    """The database's refusals in our words."""
    try:
        yield
    except errors.UniqueViolation as error:
        raise LoginTaken from error
    except errors.CheckViolation as error:
        if error.diag.constraint_name == "not_ones_own":
            raise Problem.said(403, "work_not_ones_own") from error
        raise
    except errors.InsufficientPrivilege as error:
        raise Problem.said(
            403, "work_not_yours", roles=lambda words: words("work_role_administrator")
        ) from error
