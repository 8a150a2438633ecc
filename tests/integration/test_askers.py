"""What the views and functions for who asks show, with raw SQL under the services' own roles: to an organisation, an
official, somebody who is nobody, and over HTTP."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from tests.acceptance.instance import Instance, token
from tests.acceptance.people import session_of
from tests.acceptance.serving import served
from tests.integration.hand_overs import (
    ACCEPTING,
    CHAIN_REGISTRY,
    LATER,
    RIVAL_ROOM,
    SECOND,
    STALL_ROOM,
    asking,
    grown_and_packed,
    official,
    say,
    seen,
    sent_to_the_stall,
    settle,
    step,
    to,
)
from tests.integration.lines import NOW
from tests.integration.said import (
    LOT,
    PALLET,
    declared_wrong,
    room,
)
from tests.servers.databases import Database


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(CHAIN_REGISTRY)
    return instance


def administrator(instance: Instance) -> str:
    return official(instance, None, role="administrator")


NARROW = ("lot_grant", "lot_grant_event", "lot_grant_stay", "lot_origin", "presence")


def test_only_ones_own_grants_are_readable(instance: Instance) -> None:
    sent_to_the_stall(instance)
    with asking(instance, "stall") as conn:
        assert conn.execute("SELECT DISTINCT organisation FROM lot_grant").fetchall() == [("stall",)]
        for table in NARROW[1:]:
            assert _refused(conn, f"SELECT FROM {table} LIMIT 1"), table
        for table in NARROW:
            assert _refused(conn, f"INSERT INTO {table} DEFAULT VALUES"), table
            assert _refused(conn, f"DELETE FROM {table}"), table
        for helper in ("covered_event", "user_account"):
            assert _refused(conn, f"SELECT FROM {helper} LIMIT 1"), helper
        for function in ("shown_events('{1}')", "shared_carriers('{a}')", "may_be_told('a', '[,]', 'b')"):
            assert _refused(conn, f"SELECT {function}"), function
    with instance.as_role("public") as conn:
        views = instance.rows("SELECT viewname FROM pg_views WHERE viewname LIKE 'asker%'")
        functions = "SELECT oid::regprocedure::text FROM pg_proc WHERE (proname LIKE 'asker%' OR proname IN ('walk', 'official_lots')) AND prosecdef"
        assert len(views) > 8
        for (name,) in [*views, *((table,) for table in NARROW)]:
            assert _refused(conn, f"SELECT FROM {name} LIMIT 1"), name
        for (name,) in instance.rows(functions):
            may = conn.execute("SELECT has_function_privilege(%s, 'EXECUTE')", [name]).fetchone()
            assert may == (False,), name


def _refused(conn: psycopg.Connection, statement: str) -> bool:
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(statement.encode())
    except errors.InsufficientPrivilege:
        return True
    return False


@pytest.mark.whole_server
def test_who_is_nobody_sees_what_everybody_sees(instance: Instance) -> None:
    sent_to_the_stall(instance)
    names = [
        "organisation",
        "place",
        "product",
        "series",
        "placement",
        "excursion",
        "event",
        "mention",
        "log",
    ]
    stranger = "00000000-0000-0000-0000-000000000000"
    disabled = official(instance, "agriculture", "33")
    instance.alter("UPDATE user_account SET disabled_at = now() WHERE id = %s", disabled)
    for organisation, account in (
        ("", ""),
        ("nobody", ""),
        ("", stranger),
        ("", administrator(instance)),
        ("", disabled),
        ("", official(instance, "agriculture", "51")),
    ):
        with asking(instance, organisation, account) as conn:
            for name in names:
                if (
                    name in ("organisation", "product", "log")
                    and account
                    and account == official_of(instance, "51")
                ):
                    continue  # an official knows every organisation and product by name
                columns = ", ".join(
                    column
                    for (column,) in instance.rows(
                        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attname <> 'body' ORDER BY attnum",
                        f"published_{name}",
                    )
                )
                asked, published = (
                    conn.execute(f"SELECT {columns} FROM {view}_{name} ORDER BY 1, 2, 3".encode()).fetchall()
                    if name not in ("log",)
                    else conn.execute(f"SELECT {columns} FROM {view}_{name} ORDER BY 1".encode()).fetchall()
                    for view in ("asker", "published")
                )
                assert asked == published, (name, organisation, account)
            bodies = "SELECT id, body FROM {}_event ORDER BY id"
            assert (
                conn.execute(bodies.format("asker").encode()).fetchall()
                == conn.execute(bodies.format("published").encode()).fetchall()
            )
    with instance.as_role("api") as conn:  # nothing set at all
        assert conn.execute("SELECT DISTINCT organisation FROM asker_event").fetchall() == [("market",)]
        assert {row[4] for row in conn.execute("SELECT * FROM walk(%s)", [[LOT, PALLET]])} == {"published"}


def official_of(instance: Instance, region: str) -> str:
    return str(
        instance.one("SELECT id FROM user_account WHERE regions = %s AND disabled_at IS NULL", [region])
    )


def test_a_condition_that_tells_of_each_row_is_not_asked_about_others(instance: Instance) -> None:
    sent_to_the_stall(instance)
    with asking(instance, "rival") as conn:
        for view, column in (("event", "organisation"), ("place", "organisation"), ("organisation", "id")):
            # Division by zero on the first row of anybody who is neither rival nor publishes.
            leak = f"SELECT count(*) FROM asker_{view} WHERE 1 / ({column} = ANY (ARRAY['rival', 'market']))::int >= 0"
            assert conn.execute(leak.encode()).fetchone() is not None, view
        with pytest.raises(errors.DivisionByZero):
            conn.execute("SELECT 1 / 0")
    with asking(instance, "stall") as conn, pytest.raises(errors.DivisionByZero):
        conn.execute(
            "SELECT count(*) FROM asker_event WHERE 1 / (organisation = ANY (ARRAY['stall', 'market']))::int >= 0"
        )


def test_the_store_and_each_chunk_of_it_are_closed(instance: Instance) -> None:
    instance.take([room([3.0] * 45, 8, 1)], NOW)
    stores = ["reading_store", "observation"]
    if instance.database.edition != "plain":
        chunks = instance.rows(
            "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks WHERE hypertable_name = 'reading_store'"
        )
        assert chunks
        stores += [name for (name,) in chunks]
        stores += [
            f"{space}.{name}"
            for space, name in instance.rows(
                "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
                " WHERE nspname = '_timescaledb_internal' AND relkind = 'r' AND relname ~ '_hyper_|_hypertable_'"
            )
        ]
    for role in ("api", "public"):
        with instance.as_role(role) as conn:
            conn.execute("SELECT set_config('suyuan.org', 'coop', false)")
            for store in stores:
                for statement in (
                    f"SELECT FROM {store} LIMIT 1",
                    f"COPY {store} TO STDOUT",
                    f"COPY {store} FROM STDIN",
                    f"COPY (SELECT * FROM {store}) TO STDOUT",
                ):
                    assert _copy_refused(conn, statement), f"{role}: {statement}"


def _copy_refused(conn: psycopg.Connection, statement: str) -> bool:
    try:
        with conn.transaction(force_rollback=True), conn.cursor() as cursor:
            if statement.startswith("COPY"):
                with cursor.copy(statement.encode()):
                    pass
            else:
                cursor.execute(statement.encode())
    except errors.InsufficientPrivilege:
        return True
    return False


# --- officials ----------------------------------------------------------------------------------------------------


def steps(found: dict[str, str], why: str = "official") -> set[str]:
    return {step for step, reason in found.items() if reason == why}


def test_an_official_sees_what_concerns_their_area_and_department(instance: Instance) -> None:
    sent_to_the_stall(instance)
    field_to_truck = {
        "coop commissioning",
        "coop packing",
        "coop loading",
        "carrier departing",
        "coop storing",
    }
    origin = steps(seen(instance, account=official(instance, "agriculture", "331024")))
    assert field_to_truck <= origin and "stall accepting" not in origin
    assert field_to_truck | {"carrier arriving", "stall accepting"} <= steps(
        seen(instance, account=official(instance, "market_regulation", "3301"))
    ), "the goods have entered the market there"
    both = steps(seen(instance, account=official(instance, None, "33", role="auditor")))
    assert field_to_truck | {"stall accepting"} <= both
    elsewhere = official(instance, "market_regulation", "3201"), official(instance, "agriculture", "3201")
    assert [steps(seen(instance, account=account)) for account in elsewhere] == [set(), set()]
    for hours_ago, place, seen_there in ((1.5, STALL_ROOM, False), (1, RIVAL_ROOM, True)):
        sent_to = [
            *to("owning_party", "rival")["destinationList"],
            {"type": "location", "destination": f"{place}/254/7"},
        ]
        say(instance, "coop", step("shipping", hours_ago, SECOND, destinationList=sent_to))
        settle(instance)
        assert ("coop shipping" in seen(instance, account=elsewhere[1])) is seen_there, (
            "where it is sent, and no other place of the receiver's"
        )
    instance.alter("UPDATE place SET region = '330104' WHERE region LIKE '3301%'")
    for code in ("330104", "330102"):
        assert {"carrier arriving", "stall accepting"} <= steps(
            seen(instance, account=official(instance, "market_regulation", code))
        ), "a place and an official under a code that was abolished lie in what it became"


_WHYS = """
SELECT ARRAY(SELECT shown.why FROM unnest(asked.ids) WITH ORDINALITY AS each (id, place)
             LEFT JOIN shown_events(asked.ids) AS shown ON shown.event = each.id ORDER BY each.place),
       (SELECT whys FROM trace_seen(asked.ids))
FROM (SELECT array_agg(id ORDER BY id) AS ids FROM event) AS asked
"""


def test_a_trace_shows_each_event_for_the_reason_for_which_a_walk_does(instance: Instance) -> None:
    sent_to_the_stall(instance)
    officials = (
        official(instance, "agriculture", "331024"),
        official(instance, "market_regulation", "3301"),
        official(instance, "agriculture", "3201"),
        official(instance, None, "33", role="auditor"),
    )
    askers = [("", each) for each in officials] + [
        (each, "") for each in ("coop", "carrier", "market", "stall", "rival", "")
    ]
    # The grant of who took the goods in is gone once that is declared wrong.
    for wrong, is_granted in ((), True), ((declared_wrong(ACCEPTING),), False):
        say(instance, "stall", *wrong)
        settle(instance)
        told: dict[str, set[str | None]] = {}
        with psycopg.connect(instance.database.owner) as conn:
            for organisation, account in askers:
                conn.execute(
                    "SELECT set_config('suyuan.org', %s, false), set_config('suyuan.session', %s, false)",
                    [organisation, session_of(account)],
                )
                row = conn.execute(_WHYS).fetchone()
                assert row is not None
                assert row[0] == row[1], (organisation, account)
                told[organisation + account] = set(row[1])
        assert set().union(*told.values()) == {"own", "party", "granted", "official", "published", None}
        assert ("granted" in told["stall"]) is is_granted


def test_an_official_reads_the_same_from_the_views_as_in_a_walk(instance: Instance) -> None:
    sent_to_the_stall(instance)
    for account in (
        official(instance, "agriculture", "33"),
        official(instance, None, "3301", role="auditor"),
    ):
        with asking(instance, account=account) as conn:
            walked = conn.execute(
                "SELECT id, body::jsonb FROM walk(%s) ORDER BY id", [[LOT, PALLET, SECOND]]
            ).fetchall()
            assert conn.execute("SELECT id, body FROM asker_event ORDER BY id").fetchall() == walked


def test_before_the_market_the_department_of_markets_is_not_concerned(instance: Instance) -> None:
    grown_and_packed(instance)
    settle(instance)
    assert steps(seen(instance, account=official(instance, "market_regulation", "33"))) == set()
    assert steps(seen(instance, account=official(instance, "agriculture", "33"))) >= {"coop packing"}


# --- over HTTP ------------------------------------------------------------------------------------------------------


def test_the_address_answers_each_with_what_is_theirs(instance: Instance) -> None:
    sent_to_the_stall(instance)
    path = f"/api/v1/lots/{PALLET.removeprefix('https://id.gs1.org/')}"
    with served(instance, LATER) as api:
        public = api.get(f"{path}/trace")
        stall = api.get(f"{path}/trace", headers={"Authorization": f"Bearer {token('stall')}"})
        rival = api.get(f"{path}/trace", headers={"Authorization": f"Bearer {token('rival')}"})
        proof = api.get(f"{path}/proof", headers={"Authorization": f"Bearer {token('stall')}"})
        wrong = api.get(f"{path}/trace", headers={"Authorization": "Bearer nonsense"})
    seen = public.json()
    assert [each["organisation"] for each in seen["events"]] == ["market"], public.text
    assert seen["portions"] == [], "the market's unloading alone puts no goods on record"
    assert wrong.status_code == 401
    assert stall.headers["cache-control"] == "private, no-store"
    assert [each["position"] for each in rival.json()["events"]] == [seen["events"][0]["position"]]
    assert rival.json()["portions"] == []
    events = stall.json()["events"]
    assert {event["why"] for event in events} >= {"own", "granted"}
    assert any(event["event"].get("destinationList") for event in events if event["why"] == "granted")
    disclosed = [item for item in proof.json()["items"] if item["kind"] == "event"]
    assert proof.status_code == 200 and len(disclosed) >= 5
