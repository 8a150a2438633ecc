"""Who sees what, with the services' own credentials: the database keeps the promise, not a WHERE that somebody forgets.

Two organisations went down the line: the cooperative publishes, the carrier does not. Every table, view and function of
the schema is asked for, as the catalogue lists them, so that one that is added later is asked for as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors

from tests.acceptance.instance import Instance
from tests.integration.lines import NOW
from tests.integration.said import (
    LOT,
    REGISTRY,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    truck,
)
from tests.servers.databases import ROLES, Database

NARROW = (
    "place",
    "product",
    "device",
    "series",
    "event",
    "placement",
    "excursion",
    "capture_job",
    "sealed_window",
    "sealed_verdict",
    "pending",
    "device_clock",
    "device_finding",
)
READABLE = tuple(table for table in NARROW if table != "pending")
FOLLOWING = ("event_bytes", "event_party", "event_mention")
APPEND_ONLY = ("leaf", "checkpoint", "event_bytes", "anchor", "cosignature")
PUBLISHED = ("organisation", "place", "product", "series", "placement", "excursion", "event", "mention")

YARD = {
    "id": "https://id.gs1.org/414/9521234005025",
    "organisation": "carrier",
    "kind": "yard",
    "name": {"zh": "堆场", "en": "Yard"},
}
PRODUCT = {
    "id": "ice",
    "organisation": "carrier",
    "name": {"zh": "冰", "en": "Ice"},
    "rule_product": "ice",
    "classes": ["https://suyuan.example/carrier/class/ice"],
}

CERTIFICATE = (
    "certificate (id, number, organisation, kind, lot, lot_kg, product_zh, product_en, quantity_kg, origin, declared_by, contact,"
    " basis, evidence, issued_at, event_id) VALUES ('https://suyuan.example/carrier/doc/1', '1', 'carrier', 'producer', %s, 10, '冰', 'Ice',"
    " 10, '-', 'https://id.gs1.org/417/9521234005001', '-', '{self_declaration}', '{}', now(), 'carrier-1')"
)

CLOCK = (
    "device_clock SELECT id, organisation, '(,)', now(), 0, 0, '(,)', now(), now(), 1, now() FROM device"
    " ON CONFLICT DO NOTHING"
)
FINDING = (
    "device_finding (organisation, device_id, kind, since, evidence, looked_at)"
    " SELECT organisation, id, 'clock_skew', now(), '{}', now() FROM device ON CONFLICT DO NOTHING"
)

# What counts of an event of the carrier's, on goods whose portion is named by it.
MARK = (
    "lot_mark (lot, portion, known_as, event, set_marks, unset_marks, speaks)"
    " SELECT %s, 'carrier', '{}', min(event.id), '{}', '{}', false FROM event JOIN leaf ON leaf.event = event.id WHERE event.organisation = 'carrier'"
)

TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname NOT LIKE '%yoyo%'"
    " ORDER BY relname"
)


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    """Each organisation has readings, an excursion, a sealed window, placements, events, and something pending."""
    instance = Instance(database, tmp_path)
    silent = [entry | {"publishes": entry["id"] != "carrier"} for entry in REGISTRY["organisations"]]
    more = {"places": [*REGISTRY["places"], YARD], "products": [*REGISTRY["products"], PRODUCT]}
    instance.register(REGISTRY | {"organisations": silent} | more)
    instance.take(
        [
            *by_carrier(on_truck(9)),
            *by_terminal(made(10), placed(9), packed(8), loaded(6)),
            room([8.0] * 45, 5, 1),
            truck([8.0] * 45, 5, 1),
        ],
        NOW,
    )
    instance.settle(NOW + timedelta(minutes=5))
    with instance.as_role("jobs") as conn:  # left pending, as between two steps
        conn.execute(
            "INSERT INTO pending (organisation, type, stream_kind, stream_id, body, created_at)"
            " SELECT id, 'gap', 'party', id, '{}', now() FROM organisation"
        )
    for organisation in ("coop", "carrier"):
        with _as_organisation(instance, organisation) as conn:
            conn.execute(f"INSERT INTO {_job(organisation)}".encode())
    for row in (CLOCK, FINDING):
        instance.alter(f"INSERT INTO {row}")
    for row in (CERTIFICATE, MARK):
        instance.alter(f"INSERT INTO {row}", LOT)
    return instance


def _job(organisation: str) -> str:
    return (
        "capture_job (id, organisation, created_at, error_behaviour, events)"
        f" VALUES (gen_random_uuid(), '{organisation}', now(), 'rollback', 0)"
    )


def _as_organisation(instance: Instance, organisation: str | None) -> psycopg.Connection:
    conn = psycopg.connect(instance.database.service("api"))
    if organisation is not None:
        conn.execute("SELECT set_config('suyuan.org', %s, false)", [organisation])
    return conn


def _count(conn: psycopg.Connection, query: str, *values: Any) -> int:
    row = conn.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return int(row[0])


def _refused(conn: psycopg.Connection, statement: str) -> bool:
    """Refused for want of a right, and for nothing else."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(statement.encode())
    except errors.InsufficientPrivilege:
        return True
    return False


def test_a_shopper_reads_no_table(instance: Instance) -> None:
    tables = [name for (name,) in instance.rows(TABLES)]
    assert {
        *NARROW,
        *FOLLOWING,
        *APPEND_ONLY,
        "reading_store",
        "observation",
        "quarantine",
        "api_token",
        "mark",
    } <= set(tables)
    with instance.as_role("public") as conn:
        assert [name for name in tables if not _refused(conn, f"SELECT FROM {name} LIMIT 1")] == []
        assert [name for name in tables if not _refused(conn, f"INSERT INTO {name} DEFAULT VALUES")] == []
        for view in PUBLISHED:
            assert _count(conn, f"SELECT count(*) FROM published_{view}") > 0, view
    mark = MARK.replace("'carrier', '{}'", "'coop', '{}'").replace("= 'carrier'", "= 'coop'")
    for lot in (LOT, f"{LOT}-secret"):
        instance.alter(f"INSERT INTO {mark}", lot)
    with instance.as_role("public") as conn:
        assert conn.execute("SELECT DISTINCT lot FROM published_mark").fetchall() == [(LOT,)], (
            "a word about a pallet does not tell what is on it"
        )


@pytest.mark.whole_server
def test_an_organisation_sees_its_own_rows_and_nobody_sees_any_unnamed(instance: Instance) -> None:
    with _as_organisation(instance, None) as conn:
        assert _refused(conn, "SELECT FROM pending"), "it only writes there"
        seen = {
            table: _count(conn, f"SELECT count(*) FROM {table}")
            for table in (*READABLE, *FOLLOWING, "reading")
        }
    assert set(seen.values()) == {0}, seen
    for organisation in ("coop", "carrier"):
        with _as_organisation(instance, organisation) as conn:
            for table in READABLE:
                owners = conn.execute(f"SELECT DISTINCT organisation FROM {table}".encode()).fetchall()
                assert owners == [(organisation,)], table
            for table in FOLLOWING:
                owned = instance.one(
                    f"SELECT count(*) FROM {table} JOIN event ON event.id = {table}.event WHERE event.organisation = %s",
                    organisation,
                )
                assert _count(conn, f"SELECT count(*) FROM {table}") == owned > 0, table


def test_an_empty_name_is_no_name(instance: Instance) -> None:
    with _as_organisation(instance, "") as conn:
        assert _count(conn, "SELECT count(*) FROM device") == 0


@pytest.mark.whole_server
def test_an_organisation_writes_only_for_itself(instance: Instance) -> None:
    with _as_organisation(instance, "coop") as conn:
        for values in (
            "event (organisation, event_id, is_error, type, event_time, received_at) VALUES ('carrier', 'x', false, 'ObjectEvent', now(), now())",
            "pending (organisation, type, stream_kind, stream_id, body, created_at) VALUES ('carrier', 'event', 'party', 'carrier', '', now())",
            _job("carrier"),
        ):
            assert _refused(conn, f"INSERT INTO {values}"), values
        others = instance.one("SELECT min(id) FROM event WHERE organisation = 'carrier'")
        assert _refused(conn, f"INSERT INTO event_mention VALUES ({others}, 'x', 'epc')"), (
            "nor beside another's event"
        )


def test_the_view_of_readings_shows_an_organisation_its_own(instance: Instance) -> None:
    for organisation, channel in (("coop", "ambient"), ("carrier", "return_air")):
        with _as_organisation(instance, organisation) as conn:
            found = conn.execute("SELECT channel, count(*) FROM reading GROUP BY channel").fetchall()
            assert found == [(channel, 45)]
            # A condition that would tell of each row it is asked about is not asked about others' rows.
            leak = "SELECT count(*) FROM reading WHERE 1 / (channel = %s)::int >= 0"
            assert _count(conn, leak, channel) == 45


def test_the_store_of_readings_is_closed_to_who_serves_answers(instance: Instance) -> None:
    stores = ["reading_store", "observation"]
    if instance.database.edition != "plain":
        stores += [name for (name,) in instance.rows("SELECT show_chunks('reading_store')::text")]
        assert len(stores) > 2, "the hypertable has chunks"
    for role in ("api", "public", "sequencer"):
        with instance.as_role(role) as conn:
            for store in stores:
                assert _refused(conn, f"SELECT FROM {store} LIMIT 1"), f"{role}: {store}"


def test_nobody_changes_what_was_logged(instance: Instance) -> None:
    first = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1"
    for table in APPEND_ONLY:
        column = instance.one(first, table)
        for role in ROLES:
            with instance.as_role(role) as conn:
                conn.execute("SELECT set_config('suyuan.org', 'coop', false)")
                for statement in (
                    f"UPDATE {table} SET {column} = {column}",
                    f"DELETE FROM {table}",
                    f"TRUNCATE {table} CASCADE",
                ):
                    assert _refused(conn, statement), f"{role}: {statement}"
        assert instance.one(f"SELECT count(*) FROM {table}") > 0


def test_only_the_sequencer_takes_pending_rows_away(instance: Instance) -> None:
    for role in ROLES:
        with instance.as_role(role) as conn:
            assert _refused(conn, "DELETE FROM pending") == (role != "sequencer"), role


def test_no_service_owns_anything_or_may_become_another(instance: Instance) -> None:
    owned = {
        "relations": "SELECT relname FROM pg_class WHERE relowner = ANY (%s)",
        "functions": "SELECT proname FROM pg_proc WHERE proowner = ANY (%s)",
        "schemas": "SELECT nspname FROM pg_namespace WHERE nspowner = ANY (%s)",
        "databases": "SELECT datname FROM pg_database WHERE datdba = ANY (%s)",
        "memberships": "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = ANY (%s)",
        "powers": "SELECT rolname FROM pg_roles WHERE oid = ANY (%s)"
        " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)",
    }
    services = [
        instance.one("SELECT oid::bigint FROM pg_roles WHERE rolname = %s", f"suyuan_{role}")
        for role in ROLES
    ]
    assert {what: instance.rows(query, services) for what, query in owned.items()} == {
        what: [] for what in owned
    }
    for role in ROLES:
        another = "jobs" if role == "ingest" else "ingest"
        with instance.as_role(role) as conn:
            for statement in (
                "CREATE TABLE mine (id int)",
                "CREATE SCHEMA mine",
                f"SET ROLE suyuan_{another}",
            ):
                assert _refused(conn, statement), f"{role}: {statement}"


def _everything_published(instance: Instance, role: str) -> Iterator[tuple[str, list[Any]]]:
    """Each published view, and each published function asked for the silent carrier's own; but not the rules, which
    are everybody's, nor what was ordered for real, which is everybody's to know (test_recall_askers.py)."""
    views = (
        "SELECT viewname FROM pg_views WHERE viewname LIKE 'published%' AND viewname NOT LIKE 'published_recall%'"
        " AND viewname <> 'published_limit' ORDER BY viewname"
    )
    functions = "SELECT proname FROM pg_proc WHERE proname LIKE 'published%' AND proname NOT LIKE 'published_recall%' AND prosecdef"
    ((device, series),) = instance.rows(
        "SELECT device.id, series.id FROM device JOIN series ON series.device_id = device.id WHERE device.organisation = 'carrier'"
    )
    event = instance.one("SELECT min(id) FROM event WHERE organisation = 'carrier'")
    hour = (NOW - timedelta(hours=5)).replace(minute=0)
    asked: dict[str, list[Any]] = {
        "published_fields(%s)": [event],
        "published_readings(%s, '-infinity', 'infinity')": [series],
        "published_readings_known(%s, '-infinity', 'infinity', 'infinity')": [series],
        "published_windows(%s, %s, %s)": [[device], hour, hour + timedelta(hours=1)],
        "published_device_hour(%s, %s)": [device, hour],
    }
    counting = {"published_hidden"}  # a number and a time of what is not published: test_published.py
    asking = {
        "published_anchor_request",
        "published_code",
    }  # answers nothing: test_root_log.py; no goods: test_api.py
    assert {call.partition("(")[0] for call in asked} | counting | asking == {
        name for (name,) in instance.rows(functions)
    }, "each that reads past the policies is asked"
    with instance.as_role(role) as conn:
        for (view,) in instance.rows(views):
            yield (
                view,
                conn.execute(f"SELECT row_to_json(found)::text FROM {view} AS found".encode()).fetchall(),
            )
        for call, values in asked.items():
            yield call, conn.execute(f"SELECT * FROM {call}".encode(), values).fetchall()


def test_an_organisation_that_does_not_publish_is_not_there(instance: Instance) -> None:
    secrets = ["carrier", "TRUCK1", "truck-1", "return_air", "9521234005025"]
    secrets += [
        str(uuid) for (uuid,) in instance.rows("SELECT uuid FROM series WHERE organisation = 'carrier'")
    ]
    for role in ("public", "api"):
        for name, rows in _everything_published(instance, role):
            assert _telling(rows, secrets) == [], f"{role}: {name}"
            assert "(" not in name or rows == [], f"{role}: {name}"
    instance.alter("UPDATE organisation SET publishes = true WHERE id = 'carrier'")
    for name, rows in _everything_published(instance, "public"):
        assert rows and ("(" in name or _telling(rows, secrets)), f"{name}: else this test shows nothing"


def _telling(rows: list[Any], secrets: list[str]) -> list[str]:
    text = "\n".join(str(row) for row in rows)
    return [secret for secret in secrets if secret in text]


def test_relations_and_free_text_of_a_published_event_stay_behind(instance: Instance) -> None:
    event = by_terminal(
        {
            **made(7, 5),
            "eventID": "urn:uuid:relations",
            "bizTransactionList": [{"type": "po", "bizTransaction": "urn:secret:order"}],
            "sourceList": [{"type": "owning_party", "source": "urn:secret:grower"}],
            "suyuan:remark": "secret words",
        }
    )
    instance.alter("DELETE FROM pending WHERE type = 'gap'")
    instance.take(event, NOW)
    instance.settle(NOW)
    number = instance.one("SELECT id FROM event WHERE event_id = 'urn:uuid:relations'")
    with instance.as_role("public") as conn:
        body = conn.execute("SELECT body FROM published_event WHERE id = %s", [number]).fetchone()
        mentions = conn.execute(
            "SELECT identifier FROM published_mention WHERE event = %s", [number]
        ).fetchall()
        fields = conn.execute("SELECT name, salt, value FROM published_fields(%s)", [number]).fetchall()
    assert body is not None and mentions
    assert "secret" not in str((body, mentions, fields))
    (document,), (party,) = body[0]["bizTransactionList"], body[0]["sourceList"]
    assert re.fullmatch("urn:suyuan:withheld:[0-9a-f]{64}", document.pop("bizTransaction")) and document == {}
    assert re.fullmatch("urn:suyuan:withheld:[0-9a-f]{64}", party.pop("source")) and party == {
        "type": "owning_party"
    }
    for role in ROLES:
        with instance.as_role(role) as conn:
            assert _refused(conn, "SELECT key FROM withheld_key"), role
    withheld = [name for name, salt, value in fields if name is None and salt is None and value is None]
    assert len(withheld) == 3, "each is there as a hash, without its salt"
