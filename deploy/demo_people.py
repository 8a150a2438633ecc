"""The demo's people: one account for each role, with a password that is made at the first start and kept beside the keys.

Contract: a second start has the same accounts and says the same passwords; one that somebody changed in the meantime is
not said, since nobody here knows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from trace_api.accounts import administration
from trace_api.accounts.administration import Account, Wish
from trace_api.accounts.passwords import Passwords, generate
from trace_api.roles import landing

PEOPLE = (
    Wish("grower", "种植户 G-0137", "g-0137", ("grower",), None, ()),
    Wish("packer", "合作社 包装间", "xj-coop", ("packer", "warehouse"), None, ()),
    Wish("warehouse", "合作社 冷库", "xj-coop", ("warehouse",), None, ()),
    Wish("carrier", "永安溪冷链 司机", "carrier-1", ("carrier",), None, ()),
    Wish("market", "勾庄市场 入场查验", "hz-market", ("market",), None, ()),
    Wish("stall", "B12 号杨梅档 档主", "hz-stall-b12", ("stall",), None, ()),
    Wish("retailer", "拱宸桥鲜果店 店长", "hz-shop-1", ("retailer",), None, ()),
    Wish("official-xianju", "仙居县 农业农村", None, ("official",), "agriculture", ("331024",)),
    Wish("official-hangzhou", "杭州市 市场监管", None, ("official",), "market_regulation", ("3301",)),
    Wish("auditor", "浙江省 核查", None, ("auditor",), None, ("33",)),
    Wish("administrator", "系统管理员", None, ("administrator",), None, ()),
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """`password`: None if it was changed and is not known here. `page`: where the person works, from the root."""

    roles: tuple[str, ...]
    login: str
    password: str | None
    page: str


def keep_people(conn: psycopg.Connection, keys: Path, now: datetime) -> list[SignIn]:
    """The accounts of `PEOPLE`, made where they are missing. `conn`: the owner's. `keys`: the folder of secrets."""
    passwords = Passwords()
    standing = {account.login: account for account in administration.listed(conn)}
    return [_keep(conn, keys, passwords, wish, standing.get(wish.login), now) for wish in PEOPLE]


def _keep(
    conn: psycopg.Connection,
    keys: Path,
    passwords: Passwords,
    wish: Wish,
    account: Account | None,
    now: datetime,
) -> SignIn:
    file = keys / f"sign-in-{wish.login}.password"
    if not file.exists():
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600)
        file.write_text(generate())
        if account is not None:  # its password went with the file
            administration.set_password(conn, account.id, passwords.hash(file.read_text()), now)
    password: str | None = file.read_text()
    assert password is not None
    if account is None:
        administration.add(conn, wish, passwords.hash(password), now)
    elif account.password_changed_at > account.created_at and not _opens(
        conn, passwords, wish.login, password
    ):
        password = None
    return SignIn(wish.roles, wish.login, password, landing(wish.roles))


def _opens(conn: psycopg.Connection, passwords: Passwords, login: str, password: str) -> bool:
    row = conn.execute("SELECT password_hash FROM user_account WHERE login = %s", [login]).fetchone()
    return row is not None and passwords.hash_like(password, row[0]) == row[0]


def told(people: list[SignIn]) -> list[str]:
    """A line each, in columns."""
    rows = [("role", "login", "password", "page")]
    rows += [
        (" ".join(each.roles), each.login, each.password or "(changed since)", each.page) for each in people
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
