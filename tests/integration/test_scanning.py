"""Visits to a code's page: people are counted, once each a day, and nothing of them is kept that tells who they were."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import GTIN, LOT, REGISTRY, by_terminal, made
from tests.servers.databases import Database
from trace_api.scanning import network_of

PHONE = {"User-Agent": "Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0", "Accept": "text/html"}
PATH = f"/01/{GTIN}/10/DK1"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    instance.take(by_terminal(made()), NOW)
    instance.settle(NOW)
    return instance


def visit(client: httpx.Client, path: str = PATH, **headers: str) -> None:
    assert client.get(path, headers=PHONE | headers).status_code == 200


def test_people_are_counted_and_programs_are_not(instance: Instance) -> None:
    add_person(instance, "co", "packer", organisation="coop")
    with served(instance, NOW) as client:
        for phone in ("one", "two"):
            for _ in range(3):
                visit(client, **{"User-Agent": f"Mozilla/5.0 {phone}"})
        visit(client, f"{PATH}/21/0007", **{"User-Agent": "Mozilla/5.0 one"})
        for agent in ("Mozilla/5.0 (compatible; Baiduspider/2.0)", "curl/8.5", "WhatsApp/2 link preview", ""):
            visit(client, **{"User-Agent": agent})
        visit(client, **{"Sec-Purpose": "prefetch;prerender"})
        with signed_in(client, "co") as person:
            visit(person)
        assert client.get(f"/01/{GTIN}/10/NOBODY", headers=PHONE).status_code == 404
    rows = instance.rows(
        "SELECT code, day::text, scans, length(visitor), length(network), region FROM scan_visit ORDER BY code, scans"
    )
    assert rows == [
        (LOT, "2026-06-20", 3, 8, 4, ""),
        (LOT, "2026-06-20", 3, 8, 4, ""),
        (f"{LOT}/21/0007", "2026-06-20", 1, 8, 4, ""),
    ]
    visitors = [
        bytes(value) for (value,) in instance.rows("SELECT visitor FROM scan_visit ORDER BY code, visitor")
    ]
    assert len(set(visitors)) == 3, "who looked at two codes is two visitors"
    everything = str(instance.rows("SELECT scan_visit::text FROM scan_visit"))
    assert "127.0.0.1" not in everything and "Mozilla" not in everything


def test_when_a_day_is_over_only_its_count_is_left(instance: Instance) -> None:
    with served(instance, NOW) as client:
        visit(client)
        visit(client, **{"User-Agent": "Mozilla/5.0 another"})
    key = bytes(instance.one("SELECT key FROM scan_key"))
    tomorrow = NOW + timedelta(days=1)
    while instance.consume("radar", tomorrow):
        continue
    assert instance.rows("SELECT code, scans, visitors, networks, regions FROM scan_day") == [
        (LOT, 2, 2, 1, [])
    ]
    assert (
        instance.one("SELECT count(*) FROM scan_visit") == instance.one("SELECT count(*) FROM scan_key") == 0
    )
    with served(instance, tomorrow) as client:
        visit(client)
    assert bytes(instance.one("SELECT key FROM scan_key")) != key


def test_nobody_fills_the_table(instance: Instance) -> None:
    many = 5200
    columns = [
        [LOT] * many,
        [number.to_bytes(8, "big") for number in range(many)],
        [b"\0\0\0\0"] * many,
        [""] * many,
        [1] * many,
    ]
    with psycopg.connect(instance.database.service("public"), autocommit=True) as conn:
        for first in range(0, many, 1000):
            codes, visitors, networks, regions, counts = (column[first : first + 1000] for column in columns)
            conn.execute(
                "SELECT count_scans(%s, %s, %s, %s, %s, %s)",
                [codes, NOW.date(), visitors, networks, regions, counts],
            )
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT FROM scan_visit")
    assert instance.rows("SELECT count(*), sum(scans) FROM scan_visit") == [(5001, many)]


def test_a_network_is_about_a_town() -> None:
    assert (
        network_of("203.0.113.9")
        == network_of("203.0.200.1")
        == network_of("::ffff:203.0.1.1")
        == "203.0.0.0/16"
    )
    assert network_of("2001:db8:1:2::3") == "2001:db8::/32" and network_of("nowhere") == ""
