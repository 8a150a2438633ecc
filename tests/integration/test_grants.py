"""Who takes goods in sees the chain behind them, and nobody sees a thing by claiming it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ledger import recorded
from ledger.genealogy import replay
from ledger.personal import is_person
from tests.acceptance.instance import Instance
from tests.integration.hand_overs import (
    ACCEPTING,
    ARRIVING,
    BEHIND,
    CHAIN_REGISTRY,
    DEPARTING,
    PRIVATE,
    RIVAL_ROOM,
    SECOND,
    STALL_ROOM,
    YARD,
    asking,
    grants,
    grown_and_packed,
    loading,
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
    ROOM_SENSOR,
    STORE,
    TRUCK,
    TRUCK_SENSOR,
    at,
    declared_wrong,
    on_truck,
    packed,
    placed,
    removed,
    said,
)
from tests.servers.databases import Database


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(CHAIN_REGISTRY)
    return instance


# --- hand-overs ---------------------------------------------------------------------------------------------------


def test_who_takes_goods_in_sees_the_chain_behind_and_the_others_do_not(instance: Instance) -> None:
    sent_to_the_stall(instance)
    stall = seen(instance, "stall")
    assert {step for step, why in stall.items() if why == "granted"} == {*BEHIND, "market unloading"}
    assert stall["stall accepting"] == "own" and "coop storing" not in stall
    market = seen(instance, "market")
    assert {step for step, why in market.items() if why == "granted"} == BEHIND
    assert "stall accepting" not in market, "what the stall says later is the stall's"
    assert set(seen(instance, "rival")) == {"market unloading"}, "published"


def test_a_granted_event_is_shown_whole_and_a_published_one_is_not(instance: Instance) -> None:
    sent_to_the_stall(instance)
    words = "the cooperative's own words"
    with asking(instance, "stall") as conn:
        told = conn.execute("SELECT body FROM asker_event WHERE organisation = 'coop'").fetchall()
        fields = conn.execute(
            "SELECT fields.name, fields.value FROM asker_event, asker_fields(asker_event.id) AS fields WHERE type = 'ObjectEvent'"
        ).fetchall()
    assert sum("suyuan:remark" in body for (body,) in told) == 1, "the harvest's, not the storing's"
    (remark,) = [value for name, value in fields if name == "suyuan:remark"]
    assert is_person(remark) and words not in str(told), "its words stay with who said them"
    with asking(instance, "rival") as conn:
        assert words not in str(conn.execute("SELECT body FROM asker_event").fetchall())


def test_who_only_carries_looks_back_to_where_the_goods_were_made(instance: Instance) -> None:
    sent_to_the_stall(instance)
    assert instance.rows("SELECT depth FROM lot_grant WHERE organisation = 'carrier'") == [(0,)]
    names = "SELECT biz_step FROM asker_event WHERE type = 'ObjectEvent' AND organisation = 'coop'"
    with asking(instance, "carrier") as conn:
        assert conn.execute(names).fetchall() == [], "not the harvest"
        assert conn.execute(
            "SELECT count(*) FROM asker_event WHERE type = 'TransformationEvent'"
        ).fetchone() == (1,)
    with asking(instance, "stall") as conn:
        assert conn.execute(names).fetchall() == [("commissioning",)]


def test_who_is_named_sees_the_event_that_names_it(instance: Instance) -> None:
    sent_to_the_stall(instance)
    say(instance, "stall", step("shipping", 1, PALLET, **to("owning_party", "friend")))
    settle(instance)
    assert seen(instance, "friend") == {"stall shipping": "party", "market unloading": "published"}


def test_the_receiver_may_be_named_and_then_nobody_else_takes_in(instance: Instance) -> None:
    grown_and_packed(instance)
    say(instance, "coop", loading(), step("shipping", 5.9, PALLET, **to("owning_party", "stall")))
    say(instance, "rival", step("receiving", 5, PALLET, **at(RIVAL_ROOM)))
    settle(instance)
    assert ("rival", LOT) not in grants(instance)
    say(instance, "stall", step("receiving", 3, PALLET, **at(STALL_ROOM)))
    settle(instance)
    assert grants(instance) == {("carrier", LOT), ("stall", LOT)}


def test_goods_set_down_at_somebodys_place_are_with_them(instance: Instance) -> None:
    grown_and_packed(instance)
    say(instance, "coop", step("storing", 5, PALLET, **at(RIVAL_ROOM)))
    settle(instance)
    assert grants(instance) == {("rival", LOT)}


def test_a_grant_goes_with_what_it_rests_on(instance: Instance) -> None:
    sent_to_the_stall(instance)
    before = seen(instance, "rival")
    say(instance, "stall", declared_wrong(ACCEPTING))
    settle(instance)
    assert ("stall", LOT) not in grants(instance) and ("market", LOT) in grants(instance)
    assert seen(instance, "stall") == before | {"stall accepting": "own"}
    say(instance, "carrier", declared_wrong(ARRIVING))
    settle(instance)
    assert grants(instance) == {("carrier", LOT)}, "nobody brought it to the market"


def test_what_is_registered_late_hands_over_as_if_it_had_been_there(
    instance: Instance, tmp_path: Path
) -> None:
    instance.alter("DELETE FROM place WHERE id = %s", YARD)
    sent_to_the_stall(instance)
    late = grants(instance)
    assert ("market", LOT) not in late
    instance.register(CHAIN_REGISTRY)
    settle(instance)
    assert grants(instance) == late | {("market", LOT)}
    assert instance.rows("SELECT * FROM registry_change") == []
    instance.alter("UPDATE organisation SET kind = 'market' WHERE id = 'market'")
    assert instance.rows("SELECT kind, identifier FROM registry_change") == [("place", YARD)], (
        "its word counts for more"
    )


def test_a_party_that_is_registered_late_is_handed_to_as_if_it_had_been_there(instance: Instance) -> None:
    instance.alter("UPDATE organisation SET party = 'urn:nobody' WHERE id = 'stall'")
    grown_and_packed(instance)
    say(instance, "coop", step("shipping", 5.9, PALLET, **to("owning_party", "stall")))
    say(instance, "stall", step("receiving", 3, PALLET, **at(STALL_ROOM)))
    settle(instance)
    assert grants(instance) == set(), "sent to somebody unknown"
    instance.register(CHAIN_REGISTRY)
    settle(instance)
    assert grants(instance) == {("stall", LOT)}
    assert seen(instance, "stall")["coop shipping"] == "party"


def test_a_device_is_where_its_owner_says_and_who_has_the_pallet_takes_it_off(instance: Instance) -> None:
    def sat() -> set[tuple[str, str, float | None, bool]]:
        return set(
            instance.rows(
                "SELECT giai, parent, extract(epoch FROM %s - upper(valid))::float8 / 3600, conflict FROM placement"
                " JOIN series ON series.id = series_id JOIN device ON device.id = device_id",
                NOW,
            )
        )

    taken_off = removed(3.7, ROOM_SENSOR, PALLET)
    say(instance, "market", taken_off)  # before anybody said what the market's word rests on
    say(instance, "coop", placed(7.8, ROOM_SENSOR, PALLET))
    say(instance, "carrier", on_truck(9))
    say(instance, "rival", removed(3.8, ROOM_SENSOR, PALLET), removed(5, TRUCK_SENSOR, TRUCK, "return_air"))
    say(
        instance,
        "rival",
        placed(10, TRUCK_SENSOR, RIVAL_ROOM, "return_air", "return_air"),
        removed(6, ROOM_SENSOR, PALLET),
    )
    settle(instance)
    on_its_truck, before = (TRUCK_SENSOR, TRUCK, None, False), (TRUCK_SENSOR, RIVAL_ROOM, 9.0, False)
    assert sat() == {(ROOM_SENSOR, PALLET, None, False), on_its_truck, before}
    sent_to_the_stall(instance)
    # Who took goods out of the truck has no say of what is in it.
    say(instance, "stall", removed(2, TRUCK_SENSOR, TRUCK, "return_air"))
    settle(instance)
    assert sat() == {(ROOM_SENSOR, PALLET, 3.7, False), on_its_truck, before}
    say(instance, "carrier", declared_wrong(ARRIVING))
    settle(instance)
    assert sat() == {(ROOM_SENSOR, PALLET, None, False), on_its_truck, before}, (
        "nobody brought it to the market"
    )


def test_who_packed_a_unit_first_puts_a_device_there_also_when_the_packing_is_heard_of_later(
    instance: Instance,
) -> None:
    def sat() -> list[Any]:
        return [parent for (parent,) in instance.rows("SELECT parent FROM placement")]

    on_pallet = placed(7, TRUCK_SENSOR, PALLET, "in_box", "return_air")
    say(instance, "coop", on_pallet)
    settle(instance)
    assert sat() == [], "nobody says that it has the pallet"
    grown_and_packed(instance)
    settle(instance)
    assert sat() == [PALLET]
    claim = said("AggregationEvent", 9, action="ADD", bizStep="packing", parentID=PALLET, childEPCs=[SECOND])
    say(instance, "rival", claim, placed(6.5, ROOM_SENSOR, PALLET, "in_box"))
    settle(instance)
    assert sat() == [PALLET], "it packed nothing first"
    say(instance, "coop", declared_wrong(packed(8)))
    settle(instance)
    assert sat() == [PALLET], "a correction gives nobody else the say"


# --- claims -------------------------------------------------------------------------------------------------------


def everything(instance: Instance, organisation: str) -> dict[str, list[Any]]:
    """All rows of all that suyuan_api may select from, as text; but not the logs, whose files are everybody's."""
    relations = [
        name
        for (name,) in instance.rows(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')"
            " AND has_table_privilege('suyuan_api', oid, 'SELECT')"
            " AND relname NOT IN ('leaf', 'checkpoint', 'log', 'anchor', 'cosignature', 'root_checkpoint', 'root_cosignature')"
            " ORDER BY relname"
        )
    ]
    with asking(instance, organisation) as conn:
        return {
            name: sorted(
                row for (row,) in conn.execute(f"SELECT row_to_json(each)::text FROM {name} AS each".encode())
            )
            for name in relations
        }


CLAIM = step("receiving", 1, SECOND, **at(RIVAL_ROOM), **to("owning_party", "rival"))


def test_a_claim_out_of_nothing_shows_nothing(instance: Instance) -> None:
    sent_to_the_stall(instance)
    before, granted = everything(instance, "rival"), grants(instance)
    say(instance, "rival", CLAIM, step("accepting", 0.9, PALLET), step("arriving", 0.8, PALLET, SECOND))
    settle(instance)
    assert grants(instance) == granted
    own = [str(event) for (event,) in instance.rows("SELECT id FROM event WHERE organisation = 'rival'")]
    assert len(own) == 3
    for name, rows in everything(instance, "rival").items():
        more = [row for row in rows if row not in before[name]]
        assert all('"rival"' in row or any(f":{event}," in row for event in own) for row in more), name
        if name not in (
            "event",
            "event_bytes",
            "event_party",
            "event_mention",
            "asker_event",
            "asker_mention",
        ):
            assert more == [] or name in ("leaf", "checkpoint", "log", "asker_log"), name
    assert set(seen(instance, "rival")) == {
        "rival receiving", "rival accepting", "rival arriving", "market unloading",
    }  # fmt: skip


def test_two_who_lie_together_gain_nothing(instance: Instance) -> None:
    grown_and_packed(instance)
    say(
        instance,
        "rival",
        loading(6, carrier="friend", unit=SECOND),
        step("departing", 5.5, SECOND, disposition="in_transit"),
    )
    say(instance, "friend", step("receiving", 5, SECOND, **at(RIVAL_ROOM)))
    say(instance, "rival", step("shipping", 4, SECOND, **to("owning_party", "friend")))
    say(instance, "friend", step("accepting", 3, SECOND))
    settle(instance)
    assert grants(instance) == set()
    assert "coop packing" not in seen(instance, "friend")


def test_what_rides_along_sees_nothing_of_what_carries_it(instance: Instance) -> None:
    """Rival says that its own boxes lie on the cooperative's pallet, and sells them to a friend."""
    grown_and_packed(instance)
    own = LOT.replace("DK1", "RV1")
    boxes = {"childQuantityList": [{"epcClass": own, "quantity": 1}]}
    say(
        instance,
        "rival",
        said("ObjectEvent", 12, action="ADD", bizStep="commissioning", quantityList=[{"epcClass": own, "quantity": 1}], **at(RIVAL_ROOM)),
        said("AggregationEvent", 9.5, action="ADD", bizStep="packing", parentID=PALLET, **boxes),
    )  # fmt: skip
    say(instance, "coop", loading(), step("shipping", 5.9, PALLET, **to("owning_party", "stall")))
    say(instance, "carrier", DEPARTING)
    say(instance, "rival", step("shipping", 5, PALLET, **to("owning_party", "friend")))
    say(instance, "friend", step("receiving", 4, PALLET, **at(RIVAL_ROOM)))
    settle(instance)
    assert grants(instance) == {("carrier", LOT), ("friend", own)}
    friend = seen(instance, "friend")
    assert {why for what, why in friend.items() if what.startswith("rival")} == {"granted", "party"}
    assert {what.split()[0] for what in friend} == {"rival", "friend"}


def test_using_up_anothers_goods_on_paper_shows_nothing_of_them(instance: Instance) -> None:
    grown_and_packed(instance)
    own = LOT.replace("DK1", "RV2")
    say(
        instance,
        "rival",
        said(
            "TransformationEvent", 6, bizStep="commissioning", **at(RIVAL_ROOM),
            inputQuantityList=[{"epcClass": LOT, "quantity": 5}], outputQuantityList=[{"epcClass": own, "quantity": 5}],
        ),
        said("ObjectEvent", 5, action="OBSERVE", bizStep="shipping", quantityList=[{"epcClass": own, "quantity": 5}], **to("owning_party", "friend")),
    )  # fmt: skip
    say(
        instance,
        "friend",
        said(
            "ObjectEvent",
            4,
            action="OBSERVE",
            bizStep="receiving",
            quantityList=[{"epcClass": own, "quantity": 5}],
        ),
    )
    settle(instance)
    assert ("friend", own) in grants(instance)
    assert {what.split()[0] for what in seen(instance, "friend")} == {"rival", "friend"}


def test_goods_sold_to_somebody_unknown_are_not_up_for_claiming(instance: Instance) -> None:
    grown_and_packed(instance)
    nobody = {
        "destinationList": [
            {"type": "owning_party", "destination": "https://suyuan.example/voc/unknownBuyer"}
        ]
    }
    say(instance, "coop", step("shipping", 5, SECOND, **nobody))
    say(instance, "rival", CLAIM)
    settle(instance)
    assert grants(instance) == set()


def test_goods_on_their_way_to_nobody_named_are_believed_to_who_takes_them_in(instance: Instance) -> None:
    grown_and_packed(instance)
    say(instance, "coop", step("departing", 5, SECOND, disposition="in_transit"))
    say(instance, "rival", CLAIM)
    settle(instance)
    assert grants(instance) == {("rival", LOT)}


def test_naming_anothers_room_or_vehicle_shows_nothing_of_it(instance: Instance) -> None:
    """Rival says that its own boxes ride on the carrier's truck and lie in the cooperative's store, and sells them to a friend."""
    say(instance, "carrier", on_truck(9))
    say(instance, "coop", placed(13))
    own = {"quantityList": [{"epcClass": LOT.replace("DK1", "RV3"), "quantity": 5}]}
    boxes = {"childQuantityList": own["quantityList"]}
    say(
        instance,
        "rival",
        said("ObjectEvent", 12, action="ADD", bizStep="commissioning", **own, **at(RIVAL_ROOM)),
        said(
            "AggregationEvent",
            11,
            action="ADD",
            bizStep="packing",
            parentID=SECOND,
            **boxes,
            **at(RIVAL_ROOM),
        ),
        step("storing", 10, SECOND, **at(STORE)),
        loading(6, unit=SECOND, **to("possessing_party", "carrier")),
        *(step("departing", 5.5 - part / 20, SECOND, disposition="in_transit") for part in range(4)),
        step("shipping", 5, SECOND, **to("owning_party", "friend", "rival"), **at(STORE)),
    )
    say(instance, "friend", step("receiving", 4, SECOND, **at(RIVAL_ROOM)))
    settle(instance)
    assert {
        holder
        for (holder,) in instance.rows("SELECT holder FROM lot_grant_stay WHERE organisation = 'friend'")
    } >= {TRUCK, STORE}
    cuts = "SELECT DISTINCT lower(valid), upper(valid) FROM lot_grant_stay WHERE organisation = 'friend'"
    legs = instance.rows(cuts)
    series = [identity for (identity,) in instance.rows("SELECT id FROM series")]
    for who in ("friend", "rival"):
        with asking(instance, who) as conn:
            for view in ("series", "placement"):
                assert conn.execute(f"SELECT FROM asker_{view}".encode()).fetchall() == [], (who, view)
            places = conn.execute(
                "SELECT id FROM asker_place WHERE organisation IN ('coop', 'carrier')"
            ).fetchall()
            assert places == [], who
            for begin, end in legs:
                told = conn.execute(
                    "SELECT * FROM asker_leg(%s, %s, %s, '{}', '{}')", [series, begin, end]
                ).fetchall()
                assert told == [], who


# --- what was said this moment ----------------------------------------------------------------------------------------


def test_what_waits_for_its_position_comes_last_and_only_to_who_said_it(instance: Instance) -> None:
    grown_and_packed(instance)
    settle(instance)
    say(instance, "coop", PRIVATE, step("storing", 9, PALLET, **at(STORE)), loading())
    with asking(instance, "coop") as conn:
        now = recorded.connected(conn, {LOT}, recorded.OWN_NOW).events
        assert [event.position for event in now] == [*range(1, 5), None, None, None]
        assert [event.event.biz_step for event in now[-3:]] == ["storing", "storing", "loading"]
        assert len(recorded.connected(conn, {LOT}, recorded.ASKER).events) == 4
        held = replay(now, {}).portions(LOT)
        assert {(portion.unit, portion.stage) for portion in held} == {(PALLET, "loaded"), (SECOND, "cold")}
    with asking(instance, "carrier") as conn:
        assert recorded.connected(conn, {LOT, PALLET}, recorded.OWN_NOW).events == ()


def test_too_much_is_said_to_be_too_much(instance: Instance) -> None:
    grown_and_packed(instance)
    settle(instance)
    walk = instance.one("SELECT pg_get_functiondef('walk'::regproc)")
    instance.alter(walk.replace("most CONSTANT integer := 20000", "most CONSTANT integer := 3"))
    with (
        asking(instance, "coop") as conn,
        pytest.raises(recorded.TooMuch, match="more than 3 events hang together"),
    ):
        recorded.connected(conn, {LOT}, recorded.ASKER)
