"""Alerts: of each excursion one, however its readings came; told anew when it grew; further while nobody acknowledges it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, open_session, session_of
from tests.documents import invariants
from tests.integration.alert_world import MINUTE, NOW, START, TRUCK, Truck, flat
from tests.servers.databases import Database

WARM = flat((0, 5, 4.0), (5, 20, 6.0))
OVER = flat((20, 25, 4.0))


@pytest.fixture
def truck(database: Database, tmp_path: Path) -> Truck:
    return Truck(Instance(database, tmp_path))


def holds(truck: Truck) -> None:
    for name, query in invariants().items():
        if "alert" in name:
            assert truck.instance.rows(query) == [], name


# --- told once ----------------------------------------------------------------------------------------------------


@pytest.mark.editions("plain", "timescale", "community")
def test_an_excursion_is_told_once_and_says_what_there_is_to_know(truck: Truck) -> None:
    truck.send(WARM)
    assert truck.told() == [("opened", 1)] and truck.alerts() == [(1, 0, None)]
    (body,) = truck.bodies()
    assert body["place"]["name_en"] == "Truck nine" and body["device"] == {
        "id": "probe-1",
        "channel": "box",
        "position": "in_box",
    }
    assert (
        body["limit"]["force"] == "recommended"
        and body["limit"]["verified"] is False
        and body["limit"]["limit_c"] == 5.0
    )
    assert body["excursion"]["extreme_c"] == 6.0 and body["excursion"]["minutes_at_least"] == 14.0
    assert (body["lots"], body["lots_in_all"], body["urgent"], body["acknowledged"]) == ([], 2, True, False)
    assert truck.instance.rows("SELECT topic FROM outbox") == [("suyuan/v1/coop/alerts",)]
    holds(truck)


@pytest.mark.parametrize("seed", range(4))
def test_batches_order_and_repetition_tell_nothing_more(truck: Truck, seed: int) -> None:
    chance = Random(seed)
    readings = list((WARM | flat((20, 40, 6.5)) | flat((40, 50, 4.0))).items())
    if seed:  # late and mixed, not in the order of time
        readings.sort(key=lambda reading: reading[0] + chance.choice([0, 0, 3, 20]))
    truck.send(dict(readings), step=[1, 1, 3, 7][seed])
    ids = truck.instance.rows("SELECT excursion FROM alert WHERE closed_by NOT IN ('void', 'merged')")
    assert (
        len(ids) == 1
        and truck.instance.one("SELECT closed_by FROM alert WHERE excursion = %s", ids[0][0]) == "recovery"
    )
    said = truck.told()
    if not seed:
        assert said == [("opened", 1), ("grew", 2), ("closed", 2)]
    for _ in range(3):
        truck.detect(range(50))
    truck.send(dict(chance.sample(readings, 10)))
    assert truck.told() == [], "looking again, or hearing it again, is nothing new"
    holds(truck)


def test_late_data_that_are_over_already_are_told_once_as_over(truck: Truck) -> None:
    truck.send(WARM | OVER)
    assert truck.told() == [("opened", 1)]
    (body,) = truck.bodies()
    assert body["urgent"] is False and body["closed_by"] == "recovery"
    truck.escalate(NOW + timedelta(days=1))
    assert truck.told() == [], "what is over calls nobody at night"
    holds(truck)


# --- told anew ------------------------------------------------------------------------------------------------------


def test_it_is_told_again_only_when_its_grade_grew(truck: Truck) -> None:
    """Grades: 2 from twice the hold and 30 minutes, or 2 °C; 3 from four times and 120 minutes, or 5 °C."""
    truck.send(WARM)
    assert truck.told() == [("opened", 1)]
    truck.send(flat((20, 35, 6.0)))
    assert truck.told() == [], "29 minutes are not 30"
    truck.send(flat((35, 36, 6.0)))
    assert truck.told() == [("grew", 2)]
    truck.send(flat((36, 40, 6.9)), step=1)
    assert truck.told() == []
    truck.send(flat((40, 41, 10.0)))
    assert truck.told() == [("grew", 3)]
    truck.send(flat((41, 200, 12.0)), step=20)
    assert truck.told() == [], "there is no higher one"
    assert truck.alerts() == [(3, 0, None)]
    holds(truck)


def test_what_was_over_and_was_not_is_told_under_the_same_alert(truck: Truck) -> None:
    truck.send(WARM | {30: 4.0})
    assert truck.told() == [("opened", 1)]
    truck.take_away([30])
    assert truck.told() == [("reopened", 1)] and truck.alerts() == [(1, 0, None)]
    truck.send({31: 4.0})
    assert truck.told() == [("closed", 1)]
    holds(truck)


def test_what_was_withdrawn_and_comes_back_is_told(truck: Truck) -> None:
    truck.send(WARM)
    truck.take_away(range(8, 20))
    assert truck.told() == [("opened", 1), ("closed", 1)] and truck.alerts() == [(1, 0, "void")]
    assert truck.bodies()[-1]["closed_by"] == "void"
    truck.send(flat((8, 20, 6.0)))
    assert truck.told() == [("reopened", 1)] and truck.alerts() == [(1, 0, None)]
    holds(truck)


def test_one_that_turns_out_to_be_part_of_another_is_closed_as_that(truck: Truck) -> None:
    truck.send(flat((0, 15, 6.0), (15, 16, 4.0), (16, 29, 6.0)))
    assert truck.told() == [("opened", 1), ("opened", 1)]
    truck.take_away([15])
    first, second = truck.alerts()
    assert second[2] == "merged" and first[2] is None
    assert sorted(what for what, _ in truck.told()) == ["closed", "reopened"]
    merged = next(body for body in truck.bodies() if body["closed_by"] == "merged")
    assert merged["excursion"]["merged_into"] == 1
    holds(truck)


# --- closed ---------------------------------------------------------------------------------------------------------


def test_it_closes_by_recovery(truck: Truck) -> None:
    truck.send(WARM)
    truck.send(OVER)
    assert truck.told() == [("opened", 1), ("closed", 1)] and truck.alerts() == [(1, 0, "recovery")]
    assert [body["urgent"] for body in truck.bodies()] == [True, False]
    holds(truck)


def test_it_closes_when_the_goods_leave(truck: Truck) -> None:
    truck.send(WARM)
    truck.until(22)
    assert truck.told() == [("opened", 1), ("closed", 1)] and truck.alerts() == [(1, 0, "out_of_force")]
    holds(truck)


def test_it_closes_where_the_sensor_fell_silent(truck: Truck) -> None:
    truck.send(WARM)
    truck.send(flat((50, 52, 6.0)))
    assert truck.told() == [("opened", 1), ("closed", 1)] and truck.alerts() == [(1, 0, "sensor_silent")]
    holds(truck)


# --- further ----------------------------------------------------------------------------------------------------------


def channels_of(truck: Truck, body: str) -> list[str]:
    return [
        address
        for (address,) in truck.instance.rows(
            "SELECT address FROM outbox JOIN alert_channel ON alert_channel.id = channel WHERE body ->> 'what' = %s ORDER BY address",
            body,
        )
    ]


def test_what_nobody_acknowledges_is_told_further_and_no_more_often(truck: Truck) -> None:
    for level in range(3):
        truck.channel("email", f"level-{level}@coop.example", level)
    truck.channel("email", "all@rival.example", 0, "rival")
    truck.send(WARM)
    truck.escalate(NOW + timedelta(minutes=14, seconds=59))
    assert truck.told() == [("opened", 1)] and channels_of(truck, "opened") == ["level-0@coop.example"]
    truck.escalate(NOW + timedelta(minutes=15))
    truck.escalate(NOW + timedelta(minutes=15))
    assert truck.told() == [("escalated", 1)] and channels_of(truck, "escalated") == ["level-1@coop.example"]
    truck.escalate(NOW + timedelta(minutes=59))
    assert truck.told() == []
    truck.escalate(NOW + timedelta(minutes=61))
    truck.escalate(NOW + timedelta(days=3))
    assert truck.told() == [("escalated", 1)] and truck.alerts() == [(1, 2, None)]
    truck.send(OVER, now=NOW + timedelta(days=3))
    assert channels_of(truck, "closed") == [f"level-{level}@coop.example" for level in range(3)], (
        "who was told"
    )
    holds(truck)


def test_a_worker_that_slept_skips_no_level(truck: Truck) -> None:
    truck.send(WARM)
    truck.escalate(NOW + timedelta(days=1))
    assert truck.told() == [("opened", 1), ("escalated", 1)] and truck.alerts() == [(1, 2, None)]


def acknowledged(
    truck: Truck, account: Any, excursion: int = 1, comment: str = "door was open"
) -> list[tuple[Any, ...]]:
    with truck.instance.as_role("api") as conn:
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(account)])
        return conn.execute(
            "SELECT * FROM alert_acknowledge(%s, %s, %s)", [excursion, comment, NOW + MINUTE]
        ).fetchall()


def test_who_acknowledges_first_stands_and_stops_it(truck: Truck) -> None:
    people = {
        login: add_person(truck.instance, login, "carrier", organisation=organisation)
        for login, organisation in (("lin", "coop"), ("ma", "coop"), ("he", "rival"))
    }
    for account in people.values():
        open_session(truck.instance, account)
    truck.send(WARM)
    assert acknowledged(truck, people["he"]) == [], "another organisation's"
    assert acknowledged(truck, None) == []
    stands = ("lin 演示", "door was open", NOW + MINUTE)
    assert acknowledged(truck, people["lin"]) == [(True, *stands)]
    assert acknowledged(truck, people["ma"], comment="me too") == [(False, *stands)]
    truck.escalate(NOW + timedelta(days=1))
    truck.told()
    truck.send(flat((20, 26, 11.0)), now=NOW + timedelta(days=1))
    assert truck.told() == [("grew", 3)], "it is told what became of it, and goes no further"
    assert truck.bodies()[-1]["acknowledged"] is True
    truck.escalate(NOW + timedelta(days=2))
    assert truck.told() == []
    truck.send(flat((26, 28, 4.0)))
    truck.take_away([26, 27])
    assert [what for what, _ in truck.told()] == ["closed", "reopened"]
    truck.escalate(NOW + timedelta(days=9))
    assert truck.told() == [], "the acknowledgement stays with the id"
    holds(truck)


# --- whose ------------------------------------------------------------------------------------------------------------

SEEN = ("alert", "alert_acknowledgement", "alert_message", "alert_delivery", "alert_facts")


def test_another_organisation_sees_none_of_it(truck: Truck) -> None:
    lin = add_person(truck.instance, "lin", "carrier", organisation="coop")
    open_session(truck.instance, lin)
    truck.channel("email", "lin@coop.example")
    truck.send(WARM)
    acknowledged(truck, lin)
    while truck.instance.consume("sending", NOW):
        continue
    for organisation, wanted in (("coop", 1), ("rival", 0), ("", 0)):
        with truck.instance.as_role("api") as conn:
            conn.execute("SELECT set_config('suyuan.org', %s, true)", [organisation])
            for table in SEEN:
                (found,) = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() or ()
                assert found == wanted, (organisation, table)
    for role, table in (
        ("api", "alert_channel"),
        ("api", "outbox"),
        ("public", "alert"),
        ("ingest", "alert"),
        ("sequencer", "alert"),
    ):
        with truck.instance.as_role(role) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(f"SELECT FROM {table}".encode())


def test_only_an_administrator_sets_channels(truck: Truck) -> None:
    accounts = {
        role: add_person(truck.instance, role, role, organisation="coop" if role == "carrier" else None)
        for role in ("carrier", "administrator")
    }
    for account in accounts.values():
        open_session(truck.instance, account)
    add = "SELECT alert_channel_add('coop', 'email', 'a@b.example', 0::smallint, now())"
    for role, account in accounts.items():
        with truck.instance.as_role("api") as conn:
            conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(account)])
            if role == "administrator":
                assert conn.execute(add).fetchone() != (None,) and conn.execute(add).fetchone() == (None,)
                assert len(conn.execute("SELECT * FROM alert_channels()").fetchall()) == 1
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(add)


@pytest.mark.parametrize(
    ("kind", "address"),
    [("webhook", "ftp://a.example/"), ("webhook", "https://a.example/\nX: y"), ("email", "a b@c.example"), ("email", "a@b@c"), ("email", "a"),
     ("email", "a@b.example\nBcc: c@d")],
)  # fmt: skip
def test_what_is_no_address_is_no_channel(truck: Truck, kind: str, address: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        truck.channel(kind, address)


def test_the_lots_of_others_are_counted_and_not_named(truck: Truck) -> None:
    truck.instance.alter(
        "INSERT INTO event (organisation, event_id, is_error, type, event_time, received_at, event_hash)"
        " VALUES ('coop', 'urn:e', false, 'ObjectEvent', now(), now(), sha256('x'))"
    )
    truck.instance.alter(
        "INSERT INTO event_mention (event, role, identifier) SELECT id, 'class', 'urn:lot:2' FROM event"
    )
    truck.send(WARM)
    (body,) = truck.bodies()
    assert (body["lots"], body["lots_in_all"]) == (["urn:lot:2"], 2)
    assert body["place"]["id"] == TRUCK and body["excursion"]["start"] == (START + 5 * MINUTE).isoformat()
