"""People of the tests: accounts made as the owner makes them, and a client that has signed in as a browser would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import httpx

from tests.acceptance.instance import Instance
from tests.acceptance.serving import CHEAP, NO_TLS
from tests.integration.lines import NOW

PASSWORD = "bayberry-in-the-rain"


def add_person(
    instance: Instance,
    login: str,
    *roles: str,
    organisation: str | None = None,
    department: str | None = None,
    regions: tuple[str, ...] = (),
    password: str = PASSWORD,
) -> UUID:
    """An account. `organisation` for who handles goods, `regions` (and `department`) for who oversees."""
    account: UUID = instance.one(
        "SELECT account_add(%s, %s, %s, %s, %s, %s, %s, %s)",
        login, f"{login} 演示", organisation, list(roles), department, list(regions), CHEAP.hash(password), NOW,
    )  # fmt: skip
    return account


def open_session(instance: Instance, account: UUID | str) -> None:
    """A session of that account without a sign-in: `session_of` it in `suyuan.session` asks as that account."""
    values = f"sha256('{account}'), '{account}', now(), now(), 'infinity'"
    instance.alter(
        f"INSERT INTO user_session (sha256, account, created_at, last_seen, expires_at) VALUES ({values})"
    )


def session_of(account: UUID | str | None) -> str:
    """SHA-256 in hexadecimal; of nobody: as it is set where nobody has signed in."""
    return "" if not account else hashlib.sha256(str(account).encode()).hexdigest()


def as_browser(client: httpx.Client) -> dict[str, str]:
    """What a browser sends with a form of that client's pages."""
    return {"Origin": str(client.base_url).rstrip("/"), "Accept": "text/html,*/*;q=0.8"}


@contextmanager
def signed_in(
    client: httpx.Client, login: str, password: str = PASSWORD, **headers: Any
) -> Iterator[httpx.Client]:
    """A client of the same server with that person's session. Redirects are not followed."""
    headers = as_browser(client) | headers
    with httpx.Client(base_url=client.base_url, timeout=60, headers=headers, verify=NO_TLS) as person:
        answer = person.post("/sign-in", data={"login": login, "password": password})
        assert answer.status_code == 303, answer.text
        yield person
