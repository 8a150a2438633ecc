"""What is said of persons goes to the vault at every door, and the record carries a random name in its place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import parse_event, read_recorded
from ledger.keys import KeyStore
from ledger.personal import is_person
from ledger.persons import Vault, WrongKey
from ledger.recording import EventConflict, Recorded, Said, record, record_all
from tests.acceptance.instance import Instance, token
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import LOT, REGISTRY, STORE, at, by_terminal, made, said
from tests.servers.databases import ROLES, Database

WORDS = "老王 13800138000 说门封条坏了"
OTHER_WORDS = "老李说没坏"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    return instance


def remarked(words: Any, hours_ago: float = 3, **fields: Any) -> dict[str, Any]:
    return said(
        "ObjectEvent", hours_ago, action="OBSERVE", bizStep="inspecting", quantityList=[{"epcClass": LOT}],
        **at(STORE), **({"suyuan:remark": words} | fields),
    )  # fmt: skip


def say(
    instance: Instance, event: dict[str, Any], organisation: str = "coop", role: str = "ingest"
) -> Recorded:
    with instance.as_role(role) as conn:
        conn.execute("SELECT set_config('suyuan.org', %s, true)", [organisation])
        return record(conn, organisation, parse_event(event), NOW, Vault(instance.keys.organisation_key))


def bytes_of(instance: Instance) -> list[dict[str, Any]]:
    return [
        json.loads(each)
        for (each,) in instance.rows("SELECT convert_from(bytes, 'UTF8') FROM event_bytes ORDER BY event")
    ]


@contextmanager
def owner(instance: Instance) -> Iterator[psycopg.Connection]:
    with psycopg.connect(instance.database.owner) as conn:
        yield conn


def everything(instance: Instance) -> str:
    """All that a stolen dump of the database tells, as text."""
    tables = instance.rows(
        "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    found = [str(instance.rows(f"SELECT {name}::text FROM {name}")) for (name,) in tables]
    raw = instance.rows("SELECT bytes FROM event_bytes")
    return "\n".join(found) + "\n".join(bytes(each).decode() for (each,) in raw)


@pytest.mark.editions("plain", "timescale")
def test_both_doors_keep_the_words_and_a_dump_shows_none(instance: Instance) -> None:
    event = remarked(WORDS)
    instance.take(by_terminal(made(5), event), NOW)
    with served(instance, NOW) as client:
        headers = {"Authorization": f"Bearer {token('coop')}", "Prefer": "wait=20"}
        job = client.post("/epcis/capture", content=json.dumps(event), headers=headers).json()
        other = client.post(
            "/epcis/capture", content=json.dumps(event | {"suyuan:remark": OTHER_WORDS}), headers=headers
        ).json()
    assert job["success"], "the same event by the other door is a duplicate"
    assert [fault["status"] for fault in other["errors"]] == [409]
    assert instance.one("SELECT count(*) FROM vault") == 1, "what was refused left nothing"
    (kept,) = (each["suyuan:remark"] for each in bytes_of(instance) if "suyuan:remark" in each)
    assert is_person(kept)
    instance.settle(NOW)
    dump = everything(instance)
    assert kept in dump and "13800138000" not in dump and "老王" not in dump
    with served(instance, NOW) as client:
        path = f"/api/v1/lots/{LOT.removeprefix('https://id.gs1.org/')}/trace"
        own, foreign = (
            client.get(path, headers={"Authorization": f"Bearer {token(who)}"}).text
            for who in ("coop", "carrier")
        )
        shopper = client.get(path).text
    assert json.dumps(WORDS, ensure_ascii=False) in own and kept not in own
    for told in (foreign, shopper):
        assert "老王" not in told


def test_a_value_has_one_name_in_an_organisation_and_another_in_the_next(instance: Instance) -> None:
    say(instance, remarked(WORDS, 3))
    say(instance, remarked(WORDS, 2, **{"ex:driver": {"ex:phone": 13800138000, "ex:said": WORDS}}))
    say(instance, remarked(WORDS, 1), "carrier", "api")
    first, second, carriers = bytes_of(instance)
    assert first["suyuan:remark"] == second["suyuan:remark"] == second["ex:driver"]["ex:said"]
    assert first["suyuan:remark"] != carriers["suyuan:remark"]
    assert instance.rows("SELECT organisation, count(*) FROM vault GROUP BY 1 ORDER BY 1") == [
        ("carrier", 1),
        ("coop", 2),
    ]
    vault = Vault(instance.keys.organisation_key)
    with owner(instance) as conn:
        assert vault.reading(conn, second["ex:driver"]) == {"ex:phone": 13800138000, "ex:said": WORDS}
    with instance.as_role("api") as conn:
        conn.execute("SELECT set_config('suyuan.org', 'carrier', true)")
        assert vault.reading(conn, second) == second, "another's words stay away"
        assert vault.reading(conn, carriers)["suyuan:remark"] == WORDS


def test_an_event_without_a_name_is_named_by_what_is_kept_of_it(instance: Instance) -> None:
    event = remarked(WORDS)
    del event["eventID"]
    first, again = say(instance, event), say(instance, event)
    assert not first.duplicate and again.duplicate and again.event == first.event
    (kept,) = bytes_of(instance)
    assert (
        first.event_id
        == event_hash(read_recorded(json.dumps(kept)), None)
        != event_hash(parse_event(event), None)
    )
    assert not say(instance, event | {"suyuan:remark": OTHER_WORDS}).duplicate
    assert not say(instance, event, "carrier").duplicate


def test_a_batch_asks_once_and_not_at_all_for_nothing(instance: Instance) -> None:
    events = [remarked(f"{WORDS} {number % 3}", 4 - number / 10) for number in range(12)]
    plain = [remarked("", 6), made(7)]
    del plain[0]["suyuan:remark"]
    with instance.as_role("ingest") as conn:
        asked: list[str] = []
        vault = Vault(instance.keys.organisation_key)
        executed = conn.execute

        def counted(query: Any, *args: Any, **more: Any) -> Any:
            asked.append(str(query))
            return executed(query, *args, **more)

        conn.execute = counted  # type: ignore[method-assign]
        for batch, most in ((plain, 0), (events, 5), (events, 1)):
            asked.clear()
            record_all(conn, "coop", [Said(parse_event(each)) for each in batch], NOW, vault)
            assert sum("vault" in query for query in asked) <= most


def test_a_host_with_another_key_takes_nothing_in(instance: Instance, tmp_path: Path) -> None:
    say(instance, remarked(WORDS))
    elsewhere = Vault.with_keys_in(tmp_path / "another host" / "keys")
    with instance.as_role("ingest") as conn, pytest.raises(WrongKey):
        record(conn, "coop", parse_event(remarked(WORDS, 2)), NOW, elsewhere)
    with owner(instance) as conn, pytest.raises(WrongKey):
        elsewhere.reading(conn, bytes_of(instance))
    assert instance.one("SELECT count(*) FROM event") == 1


def test_what_only_looks_like_a_person_is_not_put_back(instance: Instance) -> None:
    """A URN that somebody sends stays what it is; it opens nothing."""
    foreign = f"urn:suyuan:person:{'ab' * 16}"
    say(instance, remarked(foreign))
    assert (
        bytes_of(instance)[0]["suyuan:remark"] == foreign and instance.one("SELECT count(*) FROM vault") == 0
    )
    with pytest.raises(EventConflict):
        say(instance, remarked(f"urn:suyuan:person:{'cd' * 16}"))


@pytest.mark.parametrize("role", ROLES)
def test_no_service_forgets_or_rewrites_a_value(instance: Instance, role: str) -> None:
    say(instance, remarked(WORDS))
    for statement in (
        "DELETE FROM vault",
        "TRUNCATE vault",
        "UPDATE vault SET value = value",
        "UPDATE event_bytes SET bytes = bytes",
        "SELECT erase_event_fields(1, ARRAY['suyuan:remark'], '{}')",
        "DELETE FROM legal_hold",
        "UPDATE legal_hold SET reason = ''",
        "SET ROLE suyuan_eraser",
    ):
        with instance.as_role(role) as conn, pytest.raises(errors.InsufficientPrivilege):
            conn.execute(statement.encode())
    if role != "api":
        with instance.as_role(role) as conn, pytest.raises(errors.InsufficientPrivilege):
            conn.execute("SELECT value FROM vault")


def test_keys_are_the_organisations_and_not_the_databases(tmp_path: Path) -> None:
    key = KeyStore(tmp_path / "keys").organisation_key
    first, same, other = Vault(key), Vault(key), Vault(KeyStore(tmp_path / "other").organisation_key)
    assert first.digest("coop", "x") == same.digest("coop", "x")
    assert (
        len(
            {
                first.digest("coop", "x"),
                first.digest("coop", "y"),
                first.digest("carrier", "x"),
                other.digest("coop", "x"),
            }
        )
        == 4
    )
    assert first.digest("coop", 1) == first.digest("coop", 1.0) != first.digest("coop", "1")
