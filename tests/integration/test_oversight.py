"""Who among the officials sees which breach and which record duty, and why: asked of the functions themselves, as the API's role.

One simulated world per edition: a lot from Xianju on two trucks to Hangzhou, one of which fails near Dongyang; its carrier
sits in Linhai. Each basis of the scope has an official who sees a breach by that basis alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors
from psycopg.rows import dict_row

from simulators.registration import LAPSED, NEVER_CALIBRATED
from simulators.world import World
from tests.acceptance.instance import Instance, handed_over
from tests.acceptance.people import add_person, open_session, session_of
from tests.servers.session import EDITIONS, Servers

START = datetime(2026, 6, 18, tzinfo=UTC)
HOURS = 36
AT = START + timedelta(hours=HOURS, minutes=5)
REEFER = "https://id.gs1.org/8004/95212340REEFER31"
OTHER_REEFER = "https://id.gs1.org/8004/95212340REEFER07"
DOCK = "https://id.gs1.org/414/9521234003021"

PEOPLE: dict[str, tuple[str, str | None, tuple[str, ...]]] = {
    "xianju": ("official", "agriculture", ("331024",)),
    "hangzhou": ("official", "market_regulation", ("3301",)),
    "auditor": ("auditor", None, ("33",)),
    "shanghai": ("official", "market_regulation", ("31",)),
    "shanghai_auditor": ("auditor", None, ("31",)),
    "linhai": ("official", "agriculture", ("331082",)),
    "dongyang": ("official", "agriculture", ("330783",)),
    "gongshu": ("official", "market_regulation", ("330105",)),
    "hangzhou_agriculture": ("official", "agriculture", ("3301",)),
    "jianggan": ("official", "agriculture", ("330104",)),
}


@dataclass(frozen=True)
class Area:
    """A world that went down the line, and the accounts that oversee parts of it."""

    instance: Instance
    accounts: dict[str, UUID]

    def ask(self, who: UUID | str | None, query: str, *values: Any) -> list[dict[str, Any]]:
        """As the API asks: its role, the account in the setting, nothing of the owner's."""
        account = self.accounts.get(str(who), who)
        with psycopg.connect(self.instance.database.service("api"), row_factory=dict_row) as conn:
            conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(account)])
            return conn.execute(query.encode(), values or None).fetchall()

    def breaches(self, who: UUID | str | None, **filters: Any) -> list[dict[str, Any]]:
        return self.ask(who, "SELECT * FROM official_excursions(%s, %s)", json.dumps(filters), AT)

    def duties(self, who: UUID | str | None, **filters: Any) -> list[dict[str, Any]]:
        return self.ask(who, "SELECT * FROM official_duties(%s, %s)", json.dumps(filters), AT)

    def number(self, device: str) -> int:
        return int(self.instance.one(
            "SELECT excursion.id FROM excursion JOIN series ON series.id = series_id JOIN device ON device.id = device_id"
            " WHERE external_id = %s AND state IN ('open', 'closed') ORDER BY excursion.id LIMIT 1", device,
        ))  # fmt: skip


@pytest.fixture(scope="module", params=EDITIONS)
def area(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Area]:
    with servers.template(request.param).clone() as database:
        instance = Instance(database, tmp_path_factory.mktemp("oversight"))
        play(instance)
        accounts = {
            login: add_person(instance, login.replace("_", "."), role, department=department, regions=regions)
            for login, (role, department, regions) in PEOPLE.items()
        }
        for account in accounts.values():
            open_session(instance, account)
        yield Area(instance, accounts)


def play(instance: Instance) -> None:
    world = World(20260618, START)
    instance.register(world.registry())
    worker = instance.worker()
    sent = list(world.messages(START + timedelta(hours=HOURS)))
    for first in range(0, len(sent), 1500):
        batch = sent[first : first + 1500]
        now = batch[-1].at + timedelta(seconds=1)
        instance.take(handed_over(batch), now, worker)
        instance.settle(now)
    instance.settle(AT)


def bases(row: dict[str, Any]) -> set[str]:
    return {each["basis"] for each in row["concerns"]}


# --- who sees which breach, and why -----------------------------------------------------------------------------------


def test_who_sees_which_breach(area: Area) -> None:
    every = {
        row[0] for row in area.instance.rows("SELECT id FROM excursion WHERE state IN ('open', 'closed')")
    }
    seen = {who: {row["id"] for row in area.breaches(who)} for who in PEOPLE}
    truck_2, truck_1, logger = area.number("truck-2"), area.number("truck-1"), area.number("logger-04")
    assert {truck_1, truck_2, logger} <= every
    assert seen["auditor"] == every, "both departments of its regions"
    assert seen["hangzhou"] == every, "the goods are in its markets"
    assert seen["xianju"] == every - {truck_1}, "that one began when the truck stood at the market"
    assert truck_2 in seen["linhai"] and truck_1 not in seen["linhai"]
    assert truck_2 in seen["dongyang"] and logger not in seen["dongyang"]
    assert seen["shanghai"] == seen["shanghai_auditor"] == set(), "another province's"


@pytest.mark.parametrize(
    ("who", "device", "basis"),
    [
        ("xianju", "truck-2", {"origin"}),
        ("linhai", "truck-2", {"seat"}),
        ("dongyang", "truck-2", {"vehicle"}),
        ("gongshu", "truck-2", {"destination"}),
        ("hangzhou", "truck-1", {"place", "vehicle", "destination"}),
        ("hangzhou_agriculture", "truck-2", {"place", "destination"}),
    ],
)
def test_each_basis_shows_a_breach_by_itself(area: Area, who: str, device: str, basis: set[str]) -> None:
    found = next(row for row in area.breaches(who) if row["id"] == area.number(device))
    assert bases(found) == basis
    own = PEOPLE[who][2]
    assert all(str(each["region"]).startswith(own) for each in found["concerns"]), "no other area is named"


def test_where_a_vehicle_was_is_said_to_be_near_only(area: Area) -> None:
    found = next(row for row in area.breaches("dongyang") if row["id"] == area.number("truck-2"))
    (near,) = found["concerns"]
    assert near["place"].startswith("https://id.gs1.org/414/") and 0 <= near["distance_km"] <= 100


def test_agriculture_looks_until_the_market_and_market_regulation_from_there_back(area: Area) -> None:
    stages = {row["id"]: set(row["stages"]) for row in area.breaches("auditor")}
    before = {"field", "collected", "precooling", "cold", "loaded"}
    assert {row["id"] for row in area.breaches("hangzhou_agriculture")} == {
        number for number, at in stages.items() if at & before
    }
    assert {row["id"] for row in area.breaches("hangzhou")} == set(stages), (
        "goods of each are in the market now"
    )


def test_market_regulation_sees_nothing_of_goods_that_are_not_in_the_market_yet(area: Area) -> None:
    """While the truck is still on the road: the same question to a record that goes no further."""
    later = "UPDATE whereabouts SET stage = 'loaded' WHERE stage IN ('arrived', 'stall', 'shelf')"
    with psycopg.connect(area.instance.database.owner) as conn:
        conn.execute(later.encode())
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(area.accounts["hangzhou"])])
        assert conn.execute("SELECT count(*) FROM official_excursions('{}', %s)", [AT]).fetchone() == (0,)
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(area.accounts["xianju"])])
        assert conn.execute("SELECT count(*) > 2 FROM official_excursions('{}', %s)", [AT]).fetchone() == (
            True,
        )
        conn.rollback()


def test_a_code_that_was_abolished_is_asked_about_as_what_it_became(area: Area) -> None:
    """江干 went into 上城 in 2021: a place still registered under the old code lies in the new one, and so does the account
    of an official that nobody has changed since."""
    move = f"UPDATE place SET region = '330104' WHERE id = '{DOCK}'"
    with psycopg.connect(area.instance.database.owner, row_factory=dict_row) as conn:
        conn.execute(move.encode())
        conn.execute(
            "UPDATE user_account SET regions = '{330102}' WHERE id = %s",
            [area.accounts["hangzhou_agriculture"]],
        )
        asked = "SELECT * FROM official_excursions('{}', %s)"
        conn.execute(
            "SELECT set_config('suyuan.session', %s, true)",
            [session_of(area.accounts["hangzhou_agriculture"])],
        )
        found = conn.execute(asked.encode(), [AT]).fetchall()
        assert found and {each["region"] for row in found for each in row["concerns"]} == {"330102"}
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(area.accounts["jianggan"])])
        assert conn.execute(asked.encode(), [AT]).fetchall() == found
        conn.rollback()


# --- the doors -----------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "official_excursions('{{}}', %s)": [AT],
    "official_duties('{{}}', %s)": [AT],
    "official_choices(NULL, NULL, %s)": [AT],
    "official_excursion({id}, %s)": [AT],
    "official_readings({id}, %s)": [AT],
    "official_versions({id})": [],
    "official_goods({id}, %s)": [AT],
    "official_placements({id})": [],
    "official_calibrations({id})": [],
    "official_hand_overs({id})": [],
    "official_beside({id}, %s)": [AT],
    "official_windows({id}, %s)": [AT],
    "official_device_hour({id}, date_trunc('hour', (SELECT start_time FROM official_excursion({id}, %s))) , %s)": [
        AT,
        AT,
    ],
}


def test_every_function_of_the_catalogue_is_asked_below(area: Area) -> None:
    granted = area.instance.rows(
        "SELECT proname FROM pg_proc WHERE proname LIKE 'official\\_%%' AND has_function_privilege('suyuan_api', oid, 'EXECUTE')"
        " AND proname NOT IN ('official_lots', 'official_covers')".replace("%%", "%")
    )
    assert {name for (name,) in granted} == {call.partition("(")[0] for call in FUNCTIONS} | {
        "official_summary"
    }


@pytest.mark.parametrize("call", FUNCTIONS)
def test_a_raw_call_shows_an_account_its_own_area_and_nobody_else_anything(area: Area, call: str) -> None:
    query = f"SELECT * FROM {call.format(id=area.number('truck-2'))}"
    assert area.ask("auditor", query, *FUNCTIONS[call]), "else this test shows nothing"
    asks = ["shanghai", "shanghai_auditor", None, uuid4()]
    assert [who for who in asks if area.ask(who, query, *FUNCTIONS[call])] == []


def test_an_account_that_was_disabled_or_handles_goods_sees_nothing(area: Area) -> None:
    packer = add_person(area.instance, f"packer-{uuid4().hex[:6]}", "packer", organisation="xj-coop")
    gone = add_person(area.instance, f"gone-{uuid4().hex[:6]}", "auditor", regions=("33",))
    for account in (packer, gone):
        open_session(area.instance, account)
    assert area.breaches(gone)
    area.instance.alter("UPDATE user_account SET disabled_at = now() WHERE id = %s", gone)
    assert area.breaches(gone) == area.breaches(packer) == area.duties(packer) == []


def test_without_the_officials_functions_there_is_no_way_in(area: Area) -> None:
    inner = ("excursions_of_asker(NULL, NULL, NULL)", "excursion_rows(NULL, '{}', now())", "cold_stays_of_asker(NULL, NULL, now(), true)",
             "duties_missing('{}', now())", "duties_of_devices('{}')", "goods_unobserved('{1}', now())", "lots_of_asker('{}')")  # fmt: skip
    views = (
        "ground",
        "seat",
        "region_moved",
        "excursion_goods",
        "excursion_probe",
        "cold_goods",
        "whereabouts",
        "excursion_version",
        "reading_store",
    )
    for role in ("api", "public"):
        with area.instance.as_role(role) as conn:
            conn.execute(
                "SELECT set_config('suyuan.session', %s, false)", [session_of(area.accounts["auditor"])]
            )
            conn.commit()
            for what in (*inner, *views):
                with pytest.raises(errors.InsufficientPrivilege):
                    conn.execute(f"SELECT * FROM {what} LIMIT 1".encode())
                conn.rollback()
            if role == "public":
                with pytest.raises(errors.InsufficientPrivilege):
                    conn.execute("SELECT * FROM official_excursions('{}', now())")
                conn.rollback()


# --- the lists -----------------------------------------------------------------------------------------------------------


def test_worst_is_degrees_by_minutes_by_kilograms(area: Area) -> None:
    rows = area.breaches("auditor", order="worst")
    assert [row["severity"] for row in rows] == sorted((row["severity"] for row in rows), reverse=True)
    first = rows[0]
    assert first["device"] == "truck-2" and first["kilograms"] == pytest.approx(720.0)
    assert first["severity"] == pytest.approx(first["degree_minutes"] * first["kilograms"])
    newest = area.breaches("auditor")
    assert [row["trigger_time"] for row in newest] == sorted(
        (row["trigger_time"] for row in newest), reverse=True
    )
    assert {row["total"] for row in newest} == {len(newest)}
    assert all(0 <= row["unobserved"] <= row["tonne_hours"] + 1e-9 for row in newest)


def test_filters_narrow_and_pages_follow(area: Area) -> None:
    every = [row["id"] for row in area.breaches("auditor")]
    assert [row["id"] for row in area.breaches("auditor", limit=2, offset=1)] == every[1:3]
    at_truck = {row["id"] for row in area.breaches("auditor", place=OTHER_REEFER)}
    assert at_truck == {area.number("truck-1")}
    assert {row["id"] for row in area.breaches("auditor", holder="carrier-1")} == at_truck
    assert {row["site"] for row in area.breaches("auditor", text="浙j·冷藏 31")} == {REEFER}
    assert area.breaches("auditor", product="cherry") == area.breaches("auditor", state="void") == []
    assert area.breaches("auditor", region="330783") and area.breaches("auditor", region="330783")[0][
        "device"
    ] in ("truck-2", "logger-05")
    over = [row for row in area.breaches("auditor") if row["extreme"] - 5 >= 8]
    assert {row["id"] for row in area.breaches("auditor", over_c="8")} == {row["id"] for row in over} != set()
    edge = area.breaches("auditor")[0]["trigger_time"]
    assert {row["id"] for row in area.breaches("auditor", to=edge.isoformat())} == set(every[1:])
    assert area.breaches("auditor", text="100%' OR '1'='1") == []


def test_what_still_lasts_is_listed_whenever_it_began_and_a_box_without_a_weight_takes_no_rank(
    area: Area,
) -> None:
    worst = area.breaches("auditor", order="worst")
    first = worst[0]
    month = {"from": (first["trigger_time"] + timedelta(days=31)).isoformat()}
    assert first["weight_at_least"] is False and area.breaches("auditor", **month) == []
    into = {"from": first["end_time"].isoformat(), "to": (first["end_time"] + timedelta(hours=1)).isoformat()}
    assert first["id"] in {row["id"] for row in area.breaches("auditor", **into)}, (
        "it ended within the period"
    )
    with (
        psycopg.connect(area.instance.database.owner, row_factory=dict_row, autocommit=True) as conn,
        conn.transaction(force_rollback=True),
    ):
        conn.execute("SELECT set_config('suyuan.session', %s, true)", [session_of(area.accounts["auditor"])])
        conn.execute("UPDATE excursion SET end_time = NULL, state = 'open' WHERE id = %s", [first["id"]])
        conn.execute("INSERT INTO whereabouts SELECT lot || 'X', rule_product, stage, inside, place, in_vehicle, holder, NULL, valid"
                     " FROM whereabouts WHERE lot = ANY (%s)", [first["lots"]])  # fmt: skip

        def asked(**filters: Any) -> list[dict[str, Any]]:
            return conn.execute(
                "SELECT * FROM official_excursions(%s, %s)", [json.dumps(filters), AT]
            ).fetchall()

        (lasting,) = asked(**month)
        again, newest = asked(order="worst")[0], asked()
    assert lasting["id"] == again["id"] == first["id"], (
        "at its head as before: by the kilograms that are known"
    )
    assert lasting["weight_at_least"] and lasting["severity"] >= first["severity"]
    assert newest[0]["id"] == first["id"] != area.breaches("auditor")[0]["id"], (
        "what goes on comes before what is over"
    )


def test_the_weight_is_that_of_what_was_around_the_probe(area: Area) -> None:
    weights = {row["device"]: row["kilograms"] for row in area.breaches("auditor")}
    assert weights["truck-2"] == pytest.approx(720.0), "three pallets of 240 kg, once each"
    assert weights["logger-04"] == pytest.approx(240.0)


def test_the_summary_tells_what_can_be_told(area: Area) -> None:
    ((found),) = area.ask("auditor", "SELECT * FROM official_summary(NULL, NULL, %s)", AT)
    assert found["breached"] > 0 and found["kept"] > 0
    assert found["breached"] + found["kept"] < found["stays"], "some of it nobody measured"
    assert 0 < found["unobserved"] < found["tonne_hours"]
    ((nothing),) = area.ask("shanghai", "SELECT * FROM official_summary(NULL, NULL, %s)", AT)
    assert nothing["stays"] == 0 and nothing["tonne_hours"] is None


def test_one_breach_has_everything_behind_it(area: Area) -> None:
    number = area.number("truck-2")
    readings = area.ask("auditor", "SELECT * FROM official_readings(%s, %s)", number, AT)
    (row,) = area.ask("auditor", "SELECT * FROM official_excursion(%s, %s)", number, AT)
    inside = [each for each in readings if each["beyond"]]
    assert len(readings) > len(inside) > 100 and max(each["value"] for each in inside) == row["extreme"]
    assert readings[0]["time"] >= row["start_time"] - timedelta(hours=1)
    goods = area.ask("auditor", "SELECT * FROM official_goods(%s, %s)", number, AT)
    assert {each["holder"] for each in goods} == {"carrier-2"} and {each["stage"] for each in goods} == {
        "loaded",
        "arrived",
    }
    assert sum(each["kilograms"] for each in goods if each["stage"] == "loaded") == pytest.approx(720.0)
    assert {grown["region"] for each in goods for grown in each["origins"]} == {"331024"}
    hand_overs = area.ask("auditor", "SELECT * FROM official_hand_overs(%s)", number)
    loading = next(each for each in hand_overs if each["biz_step"] == "loading")
    assert loading["agreed"] == "0..5 CEL" and loading["pulp_count"] == 3 and loading["pulp_max"] < 5
    beside = area.ask("auditor", "SELECT * FROM official_beside(%s, %s)", number, AT)
    assert {each["device"] for each in beside} == {"truck-2", "logger-04", "logger-05", "logger-06"}
    versions = area.ask("auditor", "SELECT * FROM official_versions(%s)", number)
    assert [each["version"] for each in versions] == list(range(1, row["version"] + 1))


# --- duties ------------------------------------------------------------------------------------------------------------


def test_a_missing_record_is_found_where_goods_had_no_device(area: Area) -> None:
    missing = area.duties("auditor", kind="missing_record")
    dock = next(row for row in missing if row["site"] == DOCK)
    assert dock["bare"] and dock["placements"] is None and dock["minutes"] > 120
    assert (
        dock["since"]
        and dock["until"]
        and dock["rule"]["force"] == "recommended"
        and not dock["rule"]["verified"]
    )
    sites = {row["site"] for row in missing}
    assert REEFER not in sites and OTHER_REEFER not in sites, (
        "a logger's lost packs were seen by the truck's own sensor"
    )


def test_calibration_is_found_expired_and_never_recorded(area: Area) -> None:
    rows = area.duties("auditor", kind="calibration")
    assert {row["device"] for row in rows} == {LAPSED, NEVER_CALIBRATED}
    lapsed = [row for row in rows if row["device"] == LAPSED]
    assert [row["until"] for row in lapsed] == [None], "it is still in use"
    assert lapsed[0]["calibrations"][0]["due_on"] < START.date().isoformat()
    assert all(row["calibrations"] is None for row in rows if row["device"] == NEVER_CALIBRATED)
    assert all(row["rule"]["basis"] == "policy" for row in rows)


def test_who_sees_which_duty(area: Area) -> None:
    agriculture, market = area.duties("xianju"), area.duties("hangzhou")
    assert agriculture and market
    assert {stage for row in agriculture for stage in row["stages"]} <= {"cold", "loaded"}
    assert {stage for row in market for stage in row["stages"]} <= {"arrived", "stall", "shelf"}
    assert area.duties("shanghai") == area.duties(None) == []
    assert len(area.duties("auditor")) >= max(len(agriculture), len(market))
