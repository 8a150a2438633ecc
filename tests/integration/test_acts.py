"""Acts on a real database: the whole way of the goods, and everything that a person may get wrong on it.

People of the simulated world act through `perform`; the rooms behind it run as their services run them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from ledger.epcis.identifiers import check_digit, sscc_uri
from simulators.world import World
from tests.acceptance import doing as world
from tests.acceptance.doing import (
    CARRIER,
    COLD_STORE,
    COOP,
    DOCK,
    GATE,
    GTIN,
    MARKET,
    OTHER_TRUCK,
    PACKHOUSE,
    PLOT,
    PRECOOLING,
    SHELF,
    SHOP,
    STALL,
    STALL_ROOM,
    START,
    STATION,
    TRUCK,
    YARD,
    Doing,
    person,
)
from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.documents import invariants
from tests.servers.databases import Database
from trace_api import access
from trace_api.acts import (
    ACTS,
    Refused,
    certifiable_kg,
    own_acts,
    own_certificates,
    perform,
    read_act,
    read_own_stock,
    read_stock,
    undoable,
)
from trace_api.acts import certifying as papers
from trace_api.acts.acting import record_all
from trace_api.acts.certificates import as_written
from trace_api.acts.codes import label
from trace_api.acts.refusals import read_form
from trace_api.acts.shapes import Promise
from trace_api.acts.stock import Stock
from trace_api.loggers import files

PATH = "https://id.gs1.org/"
INVARIANTS = invariants()
UNKNOWN_UNIT = sscc_uri("09529999000000001" + check_digit("09529999000000001"))


@pytest.fixture
def doing(database: Database, tmp_path: Path) -> Iterator[Doing]:
    begun = Doing(Instance(database, tmp_path))
    yield begun
    begun.close()


@pytest.fixture
def silent(database: Database, tmp_path: Path) -> Iterator[Doing]:
    """The same world, where the co-op and the carriers publish nothing."""
    registry = World(20260618, START).registry()
    for entry in registry["organisations"]:
        entry["publishes"] = entry["kind"] not in ("packer", "carrier", "grower")
    begun = Doing(Instance(database, tmp_path), registry)
    yield begun
    begun.close()


def refused(doing: Doing, who: str, kind: str, /, **fields: Any) -> tuple[str | None, str]:
    """Field and code of the first fault; and nothing at all was written for it."""
    tables = ("event", "event_bytes", "event_mention", "pending", "act", "number_range", "certificate")
    before = [doing.instance.rows(f"SELECT count(*), max({table}::text) FROM {table}") for table in tables]
    with pytest.raises(Refused) as caught:
        doing.do(who, kind, **fields)
    after = [doing.instance.rows(f"SELECT count(*), max({table}::text) FROM {table}") for table in tables]
    assert after == before, "a refusal leaves nothing"
    fault = caught.value.faults[0]
    assert fault.text.zh and fault.text.en and fault.next.zh and fault.next.en
    return fault.field, fault.code


def stock_of(doing: Doing, who: str, *codes: str) -> Stock:
    asker = person(who)
    assert asker.organisation is not None
    with access.looking(doing.databases, asker) as conn:
        return read_stock(conn, asker.organisation, codes)


def rows_of(stock: Stock, lot: str) -> list[tuple[float | None, str | None, str | None, str | None, bool]]:
    return [(row.quantity, row.unit, row.place, row.holder, row.ours) for row in stock.of_lot(lot)]


# --- the whole way ---------------------------------------------------------------------------------------------------------


def test_every_act_on_the_way_from_the_tree_to_the_customer(doing: Doing) -> None:
    lot, unit = doing.packed(boxes=60)
    (spare,) = doing.do("coop", "pack", lot=lot, boxes=40).units
    (loose,) = doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=20, lot="REST1").lots
    doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=5, into=loose)
    doing.do("coop", "shrink", goods=[{"lot": loose, "quantity": 25}], reason="spoiled", note="雨后落果")
    doing.do("coop", "hold", units=[spare], reason="等内检")
    assert refused(doing, "coop", "load", **load_of(spare)) == ("units", "on_hold")
    doing.do("coop", "release", units=[spare], reason="内检合格")
    doing.do("coop", "attach_logger", units=[unit], file=logger_file(doing).hex())
    doing.load(unit)
    doing.settle()
    doing.do("carrier", "depart", vehicle=TRUCK, destination=YARD, seals="JJ0098811")
    doing.settle()
    doing.do("other_carrier", "hand_over", vehicle=TRUCK, giver=CARRIER, seals="JJ0098811")
    doing.do("other_carrier", "arrive", vehicle=TRUCK, gate=GATE, yard=YARD)
    doing.settle()
    doing.do(
        "market", "unload", vehicle=TRUCK, units=[unit], place=DOCK, seals_found="JJ0098811", seal_intact=True
    )
    doing.do(
        "market",
        "inspect",
        units=[unit],
        conformant=True,
        pulp="2.8 3.1",
        rules="https://suyuan.example/rules/gate/v5",
    )
    part = doing.do(
        "market", "refuse_part", unit=unit, boxes=8, reason="pulp_temperature", serials="00000053-00000060"
    )
    doing.settle()
    doing.do("stall", "accept", units=[unit], place=STALL_ROOM, seller=COOP, giver="carrier-2")
    doing.settle()
    doing.do("market", "sample", unit=unit, kg=0.5, number="HZ-0117")
    doing.do("market", "rapid_test", units=[unit], sample="HZ-0117", method="GB/T 5009.199", value=62)
    doing.settle()
    assert refused(doing, "stall", "split", unit=unit, boxes=12, buyer=SHOP) == ("unit", "on_hold")
    again: dict[str, Any] = {"sample": "HZ-0118", "method": "GB/T 5009.199", "value": 11, "retest": True}
    doing.do("market", "rapid_test", units=[unit], **again)
    assert refused(doing, "stall", "release", units=[unit], reason="r") == ("units", "held_by_other")
    assert refused(doing, "market", "release", units=[unit], reason="r", report="L-1") == (
        "units",
        "screen_open",
    )
    doing.do("market", "laboratory", units=[unit], sample="L-1", outcome="negative", method="GC-MS")
    assert doing.instance.rows("SELECT kind, outcome FROM test_record ORDER BY number") == [
        ("rapid", "pending"), ("rapid", "positive"), ("rapid", "negative"), ("laboratory", "negative"),
    ]  # fmt: skip
    doing.settle()
    (drop,) = doing.do("stall", "split", unit=unit, boxes=12, buyer=SHOP, sale="501").units
    (second,) = doing.do("stall", "split", unit=unit, boxes=10).units
    doing.do("stall", "ship", units=[second], buyer="unknown")
    doing.do("stall", "sell", goods=[{"lot": lot, "quantity": 4}])
    doing.settle()
    doing.do("shop", "receive", units=[drop], place=SHELF, bought=True, for_sale=True, giver=STALL)
    doing.do("shop", "sell", goods=[{"lot": lot, "quantity": 5}], basis="POS 半日合计")
    doing.do("market", "shrink", units=part.units, reason="refused")
    doing.settle()

    done = {kind for (kind,) in doing.instance.rows("SELECT DISTINCT kind FROM act")}
    assert done == set(ACTS)
    assert doing.instance.rows("SELECT reason FROM set_aside") == []
    assert {name: rows for name, query in INVARIANTS.items() if (rows := doing.instance.rows(query))} == {}
    stall, shop = stock_of(doing, "stall", lot), stock_of(doing, "shop", lot)
    assert (25.75, unit, STALL_ROOM, STALL, True) in rows_of(stall, lot), (
        "60 less 8, 12, 10, 4 and half a kilogram"
    )
    assert [row for row in rows_of(shop, lot) if row[4]] == [(7.0, drop, SHELF, SHOP, True)]
    assert stall.genealogy.discrepancies == ()

    box = f"{lot}/21/00000005".removeprefix(PATH)
    with served(doing.instance, doing.now) as client:
        page = client.get(f"/{box}", headers={"Accept": "text/html", "Accept-Language": "zh"})
        assert page.status_code == 200
        trace = client.get(f"/api/v1/lots/{box}/trace").json()
        verdict = client.get(f"/api/v1/lots/{lot.removeprefix(PATH)}/verdict").json()
        proof = client.get(f"/api/v1/lots/{lot.removeprefix(PATH)}/proof")
    for word in ("东魁杨梅", "步路乡 1 号山", "装车", "承诺达标合格证", "HGZ260618A"):
        assert word in page.text, word
    steps = [item["event"]["bizStep"] for item in trace["events"]]
    assert {
        "commissioning",
        "receiving",
        "storing",
        "packing",
        "loading",
        "departing",
        "arriving",
        "unloading",
        "accepting",
    } <= {*steps}
    assert {portion["unit"] for portion in verdict["portions"] if portion["end"] is None} >= {
        unit,
        drop,
        spare,
    }
    assert verdict["worst"]["headline"]["zh"] and proof.status_code == 200


def logger_file(doing: Doing) -> bytes:
    """One that the co-op handed in: its hash."""
    data = f"time,temperature\n{doing.now:%Y-%m-%d} 00:00,1.5\n{doing.now:%Y-%m-%d} 00:15,1.6\n".encode()
    with doing.acting("coop") as conn:
        files.keep(conn, person("coop"), sha256(data).digest(), data, doing.now)
    return sha256(data).digest()


def load_of(*units: str, **fields: Any) -> dict[str, Any]:
    said = {
        "units": units,
        "vehicle": TRUCK,
        "carrier": CARRIER,
        "pulp": "2.0",
        "agreed_low_c": 0,
        "agreed_high_c": 5,
    }
    return said | fields


def test_nothing_waits_for_the_sequencer(doing: Doing) -> None:
    """From the tree onto the truck without one event having its position: the organisation sees what it just did."""
    lot, unit = doing.packed()
    doing.load(unit)
    assert doing.instance.one("SELECT count(*) FROM leaf") == 0
    assert refused(doing, "coop", "load", **load_of(unit)) == ("units.0", "already_loaded")
    with pytest.raises(Refused, match="Reefer body 07"):
        doing.do("coop", "load", **load_of(unit))
    assert rows_of(stock_of(doing, "coop", lot), lot)[0][0] == 160


def test_a_chain_that_nobody_publishes_passes_through_whose_hands_it_goes(silent: Doing) -> None:
    lot, unit = silent.packed()
    silent.settle()
    assert refused(silent, "market", "inspect", units=[unit], conformant=True) == ("units.0", "not_yours")
    assert refused(silent, "stall", "accept", units=[unit], place=STALL_ROOM, seller=COOP) == (
        "units.0",
        "not_yours",
    )
    silent.load(unit)
    silent.settle()
    silent.do("carrier", "depart", units=[unit], destination=YARD)
    silent.settle()
    silent.do("market", "arrive", units=[unit], gate=GATE, yard=YARD)
    silent.settle()
    silent.do("market", "unload", vehicle=TRUCK, units=[unit], place=DOCK)
    silent.do("market", "inspect", units=[unit], conformant=True)
    silent.do("market", "ship", units=[unit], buyer=STALL)
    silent.settle()
    accepted = silent.do("stall", "accept", units=[unit], place=STALL_ROOM, seller=COOP, giver=MARKET)
    silent.settle()
    (row,) = (row for row in stock_of(silent, "stall", unit).rows if row.ours)
    assert (row.lot, row.quantity, row.unit, row.place) == (lot, 40, unit, STALL_ROOM)
    assert accepted.lots == ()
    silent.do("stall", "sell", goods=[{"lot": lot, "quantity": 1}])
    assert fault_of(silent, "stall", accepted.act) == "built_upon", "though it did not name the lot"


# --- what people get wrong -----------------------------------------------------------------------------------------------------


def test_somebody_else_s_goods_are_refused_and_nothing_is_written(doing: Doing) -> None:
    lot, unit = doing.packed()
    picked = doing.picked()
    doing.settle()
    for who, kind, fields in (
        ("stall", "sell", {"goods": [{"lot": lot, "quantity": 1}]}),
        ("stall", "split", {"unit": unit, "boxes": 1}),
        ("stall", "accept", {"units": [unit], "place": STALL_ROOM, "seller": COOP}),
        ("shop", "receive", {"units": [unit], "place": SHELF, "bought": True}),
        ("market", "inspect", {"units": [unit], "conformant": True}),
        ("market", "hold", {"units": [unit], "reason": "?"}),
        ("market", "sample", {"lot": lot, "kg": 0.5}),
        ("grower", "shrink", {"goods": [{"lot": picked}], "reason": "spoiled"}),
    ):
        field, code = refused(doing, who, kind, **fields)
        assert (code, bool(field)) == ("not_yours", True), (who, kind)
    assert refused(doing, "carrier", "load", **load_of(unit)) == ("place", "dock_needed")
    assert refused(doing, "carrier", "load", **load_of(unit, place=DOCK)) == ("units.0", "not_at_dock")
    doing.do("carrier", "load", **load_of(unit, place=f"{COLD_STORE}/254/DOCK1"))
    (handed,) = doing.do("coop", "pack", lot=lot, boxes=10).units
    doing.do("coop", "ship", units=[handed], buyer=CARRIER)
    doing.settle()
    doing.do("carrier", "load", **load_of(handed))
    with pytest.raises(Refused) as caught:
        doing.do("stall", "sell", goods=[{"lot": lot, "quantity": 1}])
    assert "仙居步路杨梅专业合作社" in caught.value.faults[0].text.zh


def test_what_the_record_does_not_bear_out_is_refused(doing: Doing) -> None:
    lot, unit = doing.packed(boxes=40)
    picked = doing.picked(100)
    number = label(lot)
    doing.instance.alter(  # before there was such a lot: a binding of anybody's
        "INSERT INTO identifier_alias (scheme, value, entity, organisation, valid)"
        " VALUES ('label', %s, %s, 'hz-market', tstzrange(now(), NULL))", number, UNKNOWN_UNIT,
    )  # fmt: skip
    wrong: list[tuple[str, str, dict[str, Any], tuple[str, str]]] = [
        ("coop", "pack", {"lot": lot, "boxes": 161}, ("boxes", "not_enough")),
        ("coop", "pack", {"lot": number, "boxes": 161}, ("boxes", "not_enough")),
        ("coop", "pack", {"lot": picked, "boxes": 1}, ("lot", "kg_lot")),
        ("coop", "pack", {"lot": lot, "boxes": 1, "unit": unit}, ("unit", "unit_in_use")),
        ("coop", "pack", {"lot": lot, "boxes": 1, "unit": UNKNOWN_UNIT}, ("unit", "foreign_unit")),
        ("coop", "pack", {"lot": "NEVER1", "boxes": 1}, ("lot", "no_such_number")),
        ("coop", "pack", {"lot": f"(01){GTIN}(10)NEVER1", "boxes": 1}, ("lot", "not_recorded")),
        ("coop", "pack", {"lot": "09521234000203", "boxes": 1}, ("lot", "code_check_digit")),
        ("coop", "pack", {"lot": "09521234000204", "boxes": 1}, ("lot", "product_only")),
        ("coop", "pack", {"lot": "0952123400020", "boxes": 1}, ("lot", "code_check_digit")),
        ("coop", "pack", {"lot": lot, "boxes": 1, "at": "2026-06-18T09:00:00Z"}, ("at", "time_ahead")),
        ("coop", "pack", {"lot": lot, "boxes": 1, "at": "2014-06-18T09:00:00Z"}, ("at", "time_before_2015")),
        ("coop", "pack", {"lot": lot, "boxes": 1, "at": "2026-06-17T21:00:00Z"}, ("at", "time_before_last")),
        ("coop", "store", {"units": [unit[:-1] + "9"], "place": COLD_STORE}, ("units.0", "code_check_digit")),
        ("coop", "store", {"units": [unit[:-4]], "place": COLD_STORE}, ("units.0", "code_torn")),
        ("coop", "store", {"units": [unit, unit], "place": COLD_STORE}, ("units.1", "repeated")),
        ("coop", "store", {"units": [unit], "place": STALL_ROOM}, ("place", "foreign_place")),
        ("coop", "store", {"units": [unit], "place": "https://x.example/loc/1"}, ("place", "unknown_place")),
        ("coop", "weigh_in", {"lot": picked, "kg": 103, "place": STATION, "bought": False}, ("kg", "not_enough")),
        ("coop", "register_batch", {"product": "ice", "plot": PLOT, "kg": 1}, ("product", "unknown_product")),
        ("coop", "register_batch", {"product": GTIN, "plot": PLOT, "kg": 1, "into": lot}, ("into", "lot_has_moved")),
        ("coop", "load", load_of(unit, carrier="nobody"), ("carrier", "unknown_party")),
        ("coop", "load", load_of(unit, vehicle=PRECOOLING), ("vehicle", "unknown_vehicle")),
        ("coop", "depart", {"units": [unit]}, ("units", "not_loaded")),
        ("coop", "depart", {"vehicle": OTHER_TRUCK}, ("vehicle", "empty_vehicle")),
        ("coop", "release", {"units": [unit], "reason": "r"}, ("units", "not_held")),
        ("coop", "mix", mix_of(picked, boxes=60), ("outputs", "more_out_than_in")),
        ("coop", "mix", mix_of(picked, boxes=1, quantity=120), ("inputs.0.quantity", "not_enough")),
        ("coop", "sell", {"goods": [{"lot": lot, "quantity": 1.5}]}, ("goods.0.quantity", "whole_boxes")),
        ("stall", "load", load_of(UNKNOWN_UNIT), ("units.0", "not_recorded")),
        ("market", "arrive", {"units": [UNKNOWN_UNIT], "gate": GATE, "yard": YARD}, ("units.0", "not_recorded")),
    ]  # fmt: skip
    for who, kind, fields, want in wrong:
        assert refused(doing, who, kind, **fields) == want, (kind, fields)
    assert refused(doing, "carrier", "pack", lot=lot, boxes=1) == (None, "not_your_act")
    outputs = [{"product": GTIN, "boxes": 1, "lot": "MINE1"}] * 2
    assert refused(doing, "coop", "mix", **mix_of(picked, boxes=1) | {"outputs": outputs}) == (
        "outputs.1.lot",
        "repeated",
    )
    doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=1, lot="MINE1")
    assert refused(doing, "coop", "register_batch", product=GTIN, plot=PLOT, kg=1, lot="MINE1") == (
        "lot",
        "lot_exists",
    )
    more = [{"lot": lot, "quantity": 170}]
    assert refused(doing, "coop", "sell", goods=more) == ("place", "place_needed"), (
        "some in the store, some not"
    )
    assert refused(doing, "coop", "sell", goods=more, place=PACKHOUSE) == ("goods.0.quantity", "not_enough")


def test_a_harvest_lies_on_the_calendar_and_ended_before_it_is_registered(doing: Doing) -> None:
    pick = {"product": GTIN, "plot": PLOT, "kg": 1, "at": "2026-06-18T08:00"}
    for times, want in (
        ({"harvested_from": "9999-12-31T23:59:59Z"}, ("harvested_from", "time_ahead")),
        ({"harvested_from": "2014-06-18T05:00"}, ("harvested_from", "time_before_2015")),
        ({"harvested_from": "2026-06-18T08:01"}, ("harvested_from", "harvest_backwards")),
        ({"harvested_to": "2026-06-18T08:01"}, ("harvested_to", "harvest_not_over")),
    ):
        assert refused(doing, "coop", "register_batch", **pick, **times) == want
    doing.do(
        "coop", "register_batch", **pick, harvested_from="2026-06-18T05:20", harvested_to="2026-06-18T08:00"
    )


def test_all_of_a_lot_is_what_lies_loose_while_any_does(doing: Doing) -> None:
    lot, unit = doing.packed(boxes=40)
    assert refused(doing, "coop", "sell", goods=[{"lot": lot}], place=STATION) == ("goods.0.lot", "not_there")
    doing.do("coop", "sell", goods=[{"lot": lot}])
    assert rows_of(stock_of(doing, "coop", lot), lot) == [(40, unit, COLD_STORE, COOP, True)]
    doing.do("coop", "shrink", goods=[{"lot": lot}], reason="spoiled", place=COLD_STORE)
    assert refused(doing, "coop", "sell", goods=[{"lot": lot}]) == ("goods.0.lot", "nothing_left")


def mix_of(lot: str, boxes: int, quantity: float | None = None) -> dict[str, Any]:
    inputs = [{"lot": lot, "quantity": quantity}]
    return {
        "inputs": inputs,
        "outputs": [{"product": GTIN, "boxes": boxes}],
        "cull_kg": 0,
        "place": PACKHOUSE,
    }


def test_goods_from_outside_the_record_come_in_with_what_is_said_of_them(doing: Doing) -> None:
    foreign = f"https://id.gs1.org/01/{GTIN}/10/FREMD1"
    receive = {"place": SHELF, "bought": True}
    goods = [{"lot": foreign, "quantity": 12}]
    assert refused(doing, "shop", "receive", goods=goods, **receive) == ("goods.0.lot", "not_recorded")
    without = [{"lot": foreign}]
    assert refused(doing, "shop", "receive", goods=without, outside=True, **receive) == (
        "goods.0.quantity",
        "missing",
    )
    doing.do("shop", "receive", goods=goods, outside=True, for_sale=True, **receive)
    assert refused(doing, "shop", "receive", goods=goods, outside=True, **receive) == (
        "goods.0.lot",
        "outside_known",
    ), "a second delivery would be taken for the first, seen again"
    doing.do("shop", "sell", goods=[{"lot": foreign, "quantity": 5}])
    assert refused(doing, "shop", "sell", goods=[{"lot": foreign, "quantity": 8}]) == (
        "goods.0.quantity",
        "not_enough",
    )


def test_goods_without_a_label_are_given_a_lot_of_one_s_own(doing: Doing) -> None:
    """Bought of a farmer who is not here: of no product of ours, or of one, and of nobody else's."""
    receive = {"place": STALL_ROOM, "bought": True}
    taken = [doing.do("stall", "receive", kg=kg, called="老王家的", **receive).lots for kg in (100, 50)]
    ((first,), (second,)) = taken
    assert first.endswith(f"/{STALL}/class/outside.260618-W") and second == f"{first}-B"
    assert rows_of(stock_of(doing, "stall", first), first) == [(100, None, STALL_ROOM, STALL, True)]
    made = doing.certify("stall", lot=first, kg=100, contact="x", origin="仙居县")
    assert made.kind == "buyer", "what was bought is nobody's own harvest"
    (own,) = doing.do("coop", "receive", kg=20, product=GTIN, place=STATION, bought=True).lots
    assert own.endswith("yangmei-dongkui.260618-W")
    assert refused(doing, "stall", "receive", kg=1, product=GTIN, **receive) == ("product", "unknown_product")


def test_where_goods_from_outside_grew_is_not_the_stall_that_took_them_in(doing: Doing) -> None:
    foreign = f"https://id.gs1.org/01/{GTIN}/10/FREMD1"
    goods = [{"lot": foreign, "quantity": 12}]
    doing.do("stall", "receive", goods=goods, outside=True, place=STALL_ROOM, bought=True)
    with pytest.raises(Refused) as caught:
        doing.certify("stall", lot=foreign, kg=5, contact="x")
    assert (caught.value.faults[0].code, caught.value.faults[0].field) == ("origin_needed", "origin")
    assert doing.certify("stall", lot=foreign, kg=5, contact="x", origin="福建龙海").origin == "福建龙海"


def test_a_lot_is_found_by_its_number_and_a_box_stands_for_its_lot(doing: Doing) -> None:
    lot, _ = doing.packed()
    number = lot.rpartition("/")[2]
    assert doing.do("coop", "pack", lot=number, boxes=2).lots == (lot,)
    box = f"http://trace.example/01/{GTIN}/10/{number}/21/00000001"
    assert doing.do("coop", "pack", lot=box, boxes=2).lots == (lot,)
    assert doing.do("coop", "pack", lot=f"]d201{GTIN}10{number}", boxes=2).lots == (lot,)


def test_two_taps_on_the_same_minute_follow_each_other(doing: Doing) -> None:
    at = "2026-06-18T08:01"  # a form knows minutes
    (lot,) = doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=50, at=at).lots
    doing.do("coop", "weigh_in", lot=lot, kg=50, place=STATION, bought=False, at=at)
    doing.do("coop", "precool_start", goods=[{"lot": lot}], place=PRECOOLING, at=at)
    stock = stock_of(doing, "coop", lot)
    (row,) = stock.of_lot(lot)
    assert (row.stage, row.place, row.quantity) == ("precooling", PRECOOLING, 50)


# --- two at once -------------------------------------------------------------------------------------------------------------


def at_once(*works: Any) -> list[Any]:
    """What each gave, or the fault it met; all begun together."""
    gate, found = threading.Barrier(len(works)), [None] * len(works)

    def run(number: int) -> None:
        gate.wait(20)
        try:
            found[number] = works[number]()
        except Refused as error:
            found[number] = error.faults[0].code

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_certificates_of_two_who_issue_at_once_never_exceed_the_lot(doing: Doing) -> None:
    (lot,) = doing.mixed(certify=False).lots
    promises = [lambda: doing.certify("coop", lot=lot, kg=150, contact="0576-5550100") for _ in range(6)]
    found = at_once(*promises)
    assert found.count("over_certified") == 4, found
    assert doing.instance.one("SELECT sum(quantity_kg) FROM certificate WHERE status = 'valid'") == 300
    with access.looking(doing.databases, person("coop")) as conn:
        assert certifiable_kg(conn, read_stock(conn, COOP, [lot]), lot) == 100


def test_boxes_that_two_pack_at_once_are_packed_once(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    found = at_once(*[lambda: doing.do("coop", "pack", lot=lot, boxes=90) for _ in range(4)])
    assert found.count("not_enough") == 2, found
    ranges = [done.serials[0] for done in found if not isinstance(done, str)]
    (one, other) = sorted(ranges, key=lambda each: each.first)
    assert (one.first, one.last, other.first, other.last) == ("00000001", "00000090", "00000091", "00000180")
    assert len({unit for done in found if not isinstance(done, str) for unit in done.units}) == 2


def test_the_database_holds_the_sum_even_for_who_forgets_the_lock(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    copy = (
        "INSERT INTO certificate SELECT (jsonb_populate_record(c, jsonb_build_object('id', 'urn:x:2', 'number', 'X2'))).*"
        " FROM certificate AS c"
    )
    with doing.acting("coop") as conn, pytest.raises(errors.CheckViolation, match="kg promised"):
        conn.execute(copy)
    with doing.acting("coop") as conn:
        assert [(each.kg, each.lot_kg, each.lot) for each in own_certificates(conn)] == [(400, 400, lot)]


def test_goods_are_taken_in_once(doing: Doing) -> None:
    lot = doing.picked(100)
    half = {"lot": lot, "kg": 50, "place": STATION, "bought": False}
    doing.do("coop", "weigh_in", **half)
    doing.do("coop", "weigh_in", **half)
    assert refused(doing, "coop", "weigh_in", **half) == ("lot", "already_taken_in")
    _, unit = doing.arrived()
    taking = {"units": [unit], "place": STALL_ROOM}
    found = at_once(*[lambda: doing.do("stall", "receive", bought=False, **taking)] * 2)
    assert found.count("already_taken_in") == 1, found
    doing.do("stall", "accept", seller=COOP, **taking)  # bought, after it was kept for the seller
    assert refused(doing, "stall", "accept", seller=COOP, **taking) == ("units.0", "already_taken_in")


# --- certificates ----------------------------------------------------------------------------------------------------------------


def test_a_certificate_is_issued_voided_and_replaced_and_never_edited(doing: Doing) -> None:
    (lot,) = doing.mixed(certify=False).lots
    first = doing.certify(
        "coop", lot=lot, kg=300, contact="0576-5550100", basis="self_inspection internal_control"
    )
    assert (first.kind, first.product.zh, first.origin, first.status) == (
        "buyer",
        "东魁杨梅 2 kg 泡沫箱",
        "步路乡 1 号山",
        "valid",
    )
    with pytest.raises(Refused) as caught:
        doing.certify("coop", lot=lot, kg=101, contact="0576-5550100")
    over = caught.value.faults[0]
    assert (over.code, over.field) == ("over_certified", "kg") and "100" in over.text.en
    replacing = read_form(Promise, {"lot": lot, "kg": 380, "contact": "0576-5550100"})
    assert isinstance(replacing, Promise)
    with doing.acting("coop") as conn:
        second = papers.replace_certificate(
            conn, person("coop"), first.number, replacing, doing.tick(), world.PUBLIC_URL, doing.vault
        )
    with doing.acting("coop") as conn:
        papers.void_certificate(
            conn, person("coop"), second.id, "写错等级", doing.tick(), world.PUBLIC_URL, doing.vault
        )
    with doing.acting("coop") as conn, pytest.raises(Refused) as caught:
        papers.void_certificate(
            conn, person("coop"), second.id, "again", doing.tick(), world.PUBLIC_URL, doing.vault
        )
    assert caught.value.faults[0].code == "certificate_not_valid"
    doing.settle()
    with doing.acting("coop") as conn:
        kept = {each.number: as_written(conn, doing.vault, each) for each in own_certificates(conn, lot)}
    assert (kept[first.number].status, kept[first.number].replaced_by) == ("replaced", second.id)
    assert (kept[second.number].status, kept[second.number].void_reason) == ("void", "写错等级")
    assert {each.contact for each in kept.values()} == {"0576-5550100"}
    rows = str(doing.instance.rows("SELECT certificate::text FROM certificate"))
    rows += str(doing.instance.rows("SELECT facts::text FROM act"))
    assert "5550100" not in rows and "写错等级" not in rows, (
        "their words are in the vault, as those of their events"
    )
    said = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb ->> 'suyuan:activity' FROM event_bytes"
        " WHERE convert_from(bytes, 'UTF8')::jsonb ? 'certificationInfo' ORDER BY event"
    )
    assert said == [
        ("certificate_issued",),
        ("certificate_voided",),
        ("certificate_replaced",),
        ("certificate_voided",),
    ]
    records = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb -> 'suyuan:certificate' FROM event_bytes"
        " WHERE convert_from(bytes, 'UTF8')::jsonb ->> 'suyuan:activity' = 'certificate_voided' ORDER BY event"
    )
    assert "写错等级" not in str(records)
    with doing.acting("coop") as conn:
        records = doing.vault.reading(conn, records)
    names = ("status", "replacedBy", "voidReason")
    ended = [tuple(told.get(f"https://suyuan.example/voc/{name}") for name in names) for (told,) in records]
    assert ended == [("replaced", second.id, "replaced"), ("void", None, "写错等级")]
    with served(doing.instance, doing.now) as client:
        page = client.get(f"/{lot.removeprefix(PATH)}", headers={"Accept": "text/html"}).text
    assert first.number not in page and second.number not in page, (
        "nobody reads a promise that was taken back"
    )


def test_the_public_page_shows_a_certificate_that_was_issued_by_itself(doing: Doing) -> None:
    (lot,) = doing.mixed(certify=False).lots
    made = doing.certify("coop", lot=lot, kg=300, contact="0576-5550100")
    doing.settle()
    with served(doing.instance, doing.now) as client:
        page = client.get(f"/{lot.removeprefix(PATH)}", headers={"Accept": "text/html"}).text
    assert made.number in page and "0576-5550100" not in page


def test_the_text_is_the_producer_s_where_all_was_one_s_own_harvest(doing: Doing) -> None:
    own, bought = doing.picked(100), doing.weighed(100, bought=True)
    made = [
        doing.do("coop", "mix", **mix_of(lot, boxes=40), certify={"contact": "x"}).certificates[0]
        for lot in (own, bought)
    ]
    both = doing.picked(50), doing.weighed(50, bought=True)
    mixed = mix_of(both[0], boxes=40) | {"inputs": [{"lot": lot} for lot in both]}
    made.append(doing.do("coop", "mix", **mixed, certify={"contact": "x"}).certificates[0])
    kinds = dict(doing.instance.rows("SELECT id, kind FROM certificate"))
    assert [kinds[each] for each in made] == ["producer", "buyer", "buyer"]
    card = doing.certify("grower", lot=doing.picked(30, "grower"), kg=30, contact="139", kind="producer_card")
    assert card.kind == "producer_card" and card.id.startswith("https://trace.example/g-0137/doc/")
    with pytest.raises(Refused) as caught:
        doing.certify("coop", lot=doing.picked(30), kg=30, contact="139", kind="producer_card")
    assert (caught.value.faults[0].field, caught.value.faults[0].code) == ("kind", "not_a_growers_card")


def test_a_purchase_names_whom_it_was_bought_of_and_is_never_one_s_own_harvest(doing: Doing) -> None:
    own = doing.picked(50)
    assert refused(doing, "coop", "weigh_in", lot=own, kg=50, place=STATION, bought=True) == (
        "grower",
        "giver_needed",
    )
    sent, weighed = doing.picked(50, "grower"), doing.picked(50, "grower")
    for lot in (sent, weighed):
        doing.do("grower", "ship", goods=[{"lot": lot}], buyer=COOP)
    doing.settle()
    doing.do("coop", "weigh_in", lot=weighed, kg=50, place=STATION, bought=True)
    said = doing.instance.one(
        "SELECT convert_from(bytes, 'UTF8')::jsonb FROM event_bytes ORDER BY event DESC LIMIT 1"
    )
    assert [each["type"] for each in said["sourceList"]] == ["owning_party"]
    assert said["sourceList"][0]["source"].endswith("/party/G-0137")
    for lot in (sent, weighed):
        doing.do("coop", "mix", **mix_of(lot, boxes=10), certify={"contact": "x"})
    assert doing.instance.rows("SELECT DISTINCT kind FROM certificate") == [("buyer",)]


def test_nobody_certifies_goods_that_are_not_theirs(doing: Doing) -> None:
    lot, _ = doing.accepted()
    with pytest.raises(Refused) as caught:
        doing.certify("grower", lot=lot, kg=1, contact="x")
    assert caught.value.faults[0].code == "not_ours_to_certify"
    with pytest.raises(Refused) as caught:
        doing.certify("carrier", lot=lot, kg=1, contact="x")
    assert caught.value.faults[0].code == "not_certifying"
    with pytest.raises(Refused) as caught:
        doing.certify("stall", lot=lot, kg=81, contact="x")
    assert caught.value.faults[0].code == "over_certified", "40 boxes of 2 kg came in"
    assert doing.certify("stall", lot=lot, kg=80, contact="x").kind == "buyer"


def test_a_certificate_cannot_be_edited_or_deleted_by_anybody(doing: Doing) -> None:
    doing.mixed()
    for statement, error in (
        ("UPDATE certificate SET quantity_kg = 1", errors.InsufficientPrivilege),
        ("UPDATE certificate SET contact = ''", errors.InsufficientPrivilege),
        ("DELETE FROM certificate", errors.InsufficientPrivilege),
        ("DELETE FROM act", errors.InsufficientPrivilege),
        ("UPDATE act SET kind = ''", errors.InsufficientPrivilege),
        ("UPDATE number_range SET next = 1", errors.RestrictViolation),
        ("UPDATE certificate SET status = 'void'", errors.CheckViolation),
    ):
        with doing.acting("coop") as conn, pytest.raises(error):
            conn.execute(statement.encode())
    with psycopg.connect(doing.instance.database.owner) as owner:
        for statement in (
            "UPDATE certificate SET quantity_kg = 1",
            "DELETE FROM certificate",
            "UPDATE act SET kind = 'other'",
            "DELETE FROM act",
            "DELETE FROM number_range",
        ):
            with pytest.raises(errors.RestrictViolation), owner.transaction():
                owner.execute(statement.encode())


def test_each_organisation_has_its_own_acts_numbers_and_certificates(doing: Doing) -> None:
    doing.mixed()
    for who, sees in (("coop", True), ("stall", False), ("market", False)):
        with doing.acting(who) as conn:
            for table in ("act", "number_range", "certificate"):
                found = conn.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
                assert found is not None and (found[0] > 0) is sees, (who, table)
            with pytest.raises(errors.InsufficientPrivilege), conn.transaction():
                conn.execute("INSERT INTO number_range VALUES ('carrier-2', 'sscc', 'x', 1)")
    with doing.instance.as_role("public") as conn:
        row = conn.execute("SELECT * FROM published_certificate").fetchone()
        assert row is not None and "0576-5550100" not in map(str, row)
    doing.instance.alter("UPDATE organisation SET publishes = false WHERE id = %s", COOP)
    with doing.instance.as_role("public") as conn:
        assert conn.execute("SELECT * FROM published_certificate").fetchall() == []


# --- undo --------------------------------------------------------------------------------------------------------------------------


def test_what_was_tapped_by_mistake_is_declared_wrong(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    done = doing.do("coop", "pack", lot=lot, boxes=40)
    undone = doing.undo("coop", done.act)
    assert undone.events == done.events and undone.corrective is None
    assert rows_of(stock_of(doing, "coop", lot), lot) == [(200, None, PACKHOUSE, COOP, True)]
    doing.settle()
    ((declaration,),) = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb -> 'errorDeclaration' FROM event JOIN event_bytes ON event = id WHERE is_error"
    )
    assert declaration["reason"] == "did_not_occur" and "correctiveEventIDs" not in declaration
    with pytest.raises(Refused) as caught:
        doing.undo("coop", done.act)
    assert caught.value.faults[0].code == "undone_already"
    again = doing.do("coop", "pack", lot=lot, boxes=40)
    assert again.units != done.units and again.serials != done.serials, "numbers are given once"


def test_a_correction_stands_in_the_place_of_what_was_wrong(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    done = doing.do("coop", "pack", lot=lot, boxes=190)
    # More than would be left if the wrong one still counted.
    undone = doing.undo("coop", done.act, "pack", lot=lot, boxes=19)
    assert undone.corrective is not None
    doing.settle()
    ((declaration,),) = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb -> 'errorDeclaration' FROM event JOIN event_bytes ON event = id WHERE is_error"
    )
    assert declaration["correctiveEventIDs"] == list(undone.corrective.events)
    assert declaration["reason"] == "incorrect_data"
    assert [row[0] for row in rows_of(stock_of(doing, "coop", lot), lot)] == [181, 19]
    with doing.acting("coop") as conn:
        newest, *_ = own_acts(conn)
        assert newest.id == undone.corrective.act and newest.facts["asked"]["corrects"] == str(done.act)


def test_a_number_that_somebody_chose_goes_through_a_correction(doing: Doing) -> None:
    """It stands on the goods: a lot number, the label on a pallet, another's lot that came from outside."""
    pick = {"product": GTIN, "plot": PLOT, "lot": "MINE7"}
    wrong = doing.do("coop", "register_batch", kg=1000, **pick)
    right = doing.undo("coop", wrong.act, "register_batch", kg=100, **pick).corrective
    assert right is not None and right.lots == wrong.lots
    assert [row[0] for row in rows_of(stock_of(doing, "coop", *right.lots), right.lots[0])] == [100]
    assert refused(doing, "coop", "register_batch", kg=1, **pick) == ("lot", "lot_exists")

    (lot,) = doing.mixed().lots
    unit = sscc_uri("09521234000000777" + check_digit("09521234000000777"))
    packed = doing.do("coop", "pack", lot=lot, boxes=40, unit=unit)
    more = doing.undo("coop", packed.act, "pack", lot=lot, boxes=48, unit=unit).corrective
    assert more is not None and more.units == (unit,)
    doing.undo("coop", more.act)
    assert doing.do("coop", "pack", lot=lot, boxes=44, unit=unit).units == (unit,), (
        "there never was such a pallet"
    )
    assert rows_of(stock_of(doing, "coop", lot), lot)[-1][:2] == (44, unit)

    came = {
        "goods": [{"lot": f"{PATH}01/{GTIN}/10/FREMD1", "quantity": 12}],
        "outside": True,
        "place": SHELF,
        "bought": True,
    }
    taken = doing.do("shop", "receive", **came)
    came["goods"] = [{"lot": f"{PATH}01/{GTIN}/10/FREMD1", "quantity": 21}]
    assert doing.undo("shop", taken.act, "receive", **came).corrective is not None
    doing.do("shop", "sell", goods=[{"lot": f"{PATH}01/{GTIN}/10/FREMD1", "quantity": 21}])


def test_a_correction_takes_in_nothing_that_somebody_else_just_took(doing: Doing) -> None:
    _, unit = doing.arrived(boxes=40)
    doing.settle()
    other = doing.do("market", "receive", kg=5, place=DOCK, bought=True)
    doing.do("stall", "accept", units=[unit], place=STALL_ROOM, seller=COOP, giver=CARRIER)
    with pytest.raises(Refused) as caught:
        doing.undo("market", other.act, "receive", units=[unit], place=DOCK, bought=True, giver=COOP)
    assert caught.value.faults[0].code == "taken_just_now", "not even sequenced"


def test_what_lies_loose_is_not_taken_in_by_two(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    doing.do("coop", "ship", goods=[{"lot": lot}], buyer="unknown")
    doing.settle()
    take = {"goods": [{"lot": lot}], "bought": True, "giver": COOP}
    doing.do("stall", "receive", place=STALL_ROOM, **take)
    assert refused(doing, "shop", "receive", place=SHELF, **take) == ("goods", "taken_just_now")


@pytest.mark.whole_server
def test_an_undo_waits_for_whoever_takes_the_goods_in(doing: Doing) -> None:
    _, unit = doing.packed()
    sent = doing.do("coop", "ship", units=[unit], buyer=STALL)
    doing.settle()
    taking = read_act("receive", {"units": [unit], "place": STALL_ROOM, "bought": True})
    found: list[Any] = []
    undoing = threading.Thread(target=lambda: found.extend(at_once(lambda: doing.undo("coop", sent.act))))
    with doing.acting("stall") as conn:
        perform(conn, person("stall"), taking, doing.tick(), world.PUBLIC_URL, doing.vault)
        undoing.start()
        waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
        while undoing.is_alive() and not doing.instance.one(waits):
            undoing.join(0.02)
    undoing.join(60)
    assert found == ["built_upon"]


def test_a_laboratory_s_result_clears_what_came_before_it(doing: Doing) -> None:
    _, unit = doing.arrived(boxes=40)
    screen = {"units": [unit], "method": "GB/T 5009.199", "value": 62}
    assert refused(doing, "market", "rapid_test", sample="S", result_at="2099-01-01T00:00Z", **screen) == (
        "result_at",
        "time_ahead",
    ), "nothing would ever settle it"
    early = {
        "sampled_at": doing.tick().isoformat(),
        "result_at": (doing.now - timedelta(minutes=1)).isoformat(),
    }
    assert refused(doing, "market", "rapid_test", sample="S", **early, **screen) == (
        "result_at",
        "result_before_sample",
    )
    told = (doing.now + timedelta(hours=1)).isoformat()
    assert refused(doing, "market", "rapid_test", sample="S", told=told, **screen) == ("told", "time_ahead")
    before = doing.now.isoformat()
    doing.do("market", "rapid_test", sample="S", **screen)
    clean = {"units": [unit], "outcome": "negative", "method": "GC-MS"}
    doing.do("market", "laboratory", sample="L-1", result_at=before, **clean)
    assert refused(doing, "market", "release", units=[unit], reason="r") == ("units", "screen_open")
    doing.do("market", "laboratory", sample="L-2", **clean)
    assert refused(doing, "market", "release", units=[unit], reason="r") == ("units", "not_held")


def test_a_wrong_correction_leaves_all_as_it_was(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    done = doing.do("coop", "pack", lot=lot, boxes=40)
    events = doing.events()
    with pytest.raises(Refused) as caught:
        doing.undo("coop", done.act, "pack", lot=lot, boxes=201)
    assert caught.value.faults[0].code == "not_enough"
    assert doing.events() == events
    with doing.acting("coop") as conn:
        assert undoable(conn, done.act, doing.now) is None


def test_what_others_have_built_on_is_not_undone(doing: Doing) -> None:
    _, unit = doing.packed()
    with doing.acting("coop") as conn:
        by_kind = {past.kind: past.id for past in own_acts(conn)}
    assert fault_of(doing, "coop", by_kind["pack"]) == "built_upon", "the unit was stored since"
    assert fault_of(doing, "coop", by_kind["mix"]) == "built_upon"
    loaded = doing.load(unit)
    doing.settle()
    taken_over = doing.do("other_carrier", "hand_over", vehicle=TRUCK, giver=CARRIER)
    assert fault_of(doing, "coop", loaded.act) == "built_upon", (
        "by who named the truck alone; not even sequenced"
    )
    assert fault_of(doing, "stall", loaded.act) == "no_act", "somebody else's"
    doing.do("other_carrier", "depart", vehicle=TRUCK)
    assert fault_of(doing, "other_carrier", taken_over.act) == "built_upon", (
        "which names what is on the truck"
    )


def test_a_run_that_went_on_is_not_undone(doing: Doing) -> None:
    """What came in or out later hangs together with it by the transformationID alone: it names none of its goods."""
    made = doing.mixed()
    with doing.acting("coop") as conn:
        assert undoable(conn, made.act, doing.tick()) is None
    ((said,),) = doing.instance.rows(
        "SELECT convert_from(bytes, 'UTF8')::jsonb FROM event JOIN event_bytes ON event = id WHERE event_id = ANY (%s)",
        list(made.events),
    )
    kept = ("type", "eventTimeZoneOffset", "transformationID", "bizStep", "readPoint")
    more = {name: said[name] for name in kept} | {
        "eventID": f"urn:uuid:{uuid4()}",
        "eventTime": doing.now.isoformat(),
        "outputQuantityList": [{"epcClass": f"{made.lots[0]}X", "quantity": 1}],
    }
    asker = person("coop")
    assert asker.organisation is not None
    with doing.acting("coop") as conn:
        record_all(conn, doing.vault, asker.organisation, [more], doing.tick())
    assert fault_of(doing, "coop", made.act) == "built_upon"


def test_a_pallet_whose_goods_were_sold_or_certified_stays_taken_in(doing: Doing) -> None:
    """Who sells or certifies names the lot, and not the pallet that it came on."""
    lot, _ = doing.accepted(boxes=40)
    with doing.acting("stall") as conn:
        (taken,) = own_acts(conn)
    made = doing.certify("stall", lot=lot, kg=80, contact="x")
    assert fault_of(doing, "stall", taken.id) == "void_first"
    with doing.acting("stall") as conn:
        papers.void_certificate(
            conn, person("stall"), made.number, "写错", doing.tick(), world.PUBLIC_URL, doing.vault
        )
        assert undoable(conn, taken.id, doing.now) is None, "a certificate that was voided is no hindrance"
    doing.do("stall", "sell", goods=[{"lot": lot, "quantity": 1}])
    assert fault_of(doing, "stall", taken.id) == "built_upon"


def test_a_harvest_can_be_undone_down_to_what_was_promised_of_it(doing: Doing) -> None:
    lot = doing.picked(100)
    more = doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=50, into=lot)
    made = doing.certify("coop", lot=lot, kg=101, contact="x")
    assert fault_of(doing, "coop", more.act) == "void_first"
    replacing = read_form(Promise, {"lot": lot, "kg": 100, "contact": "x"})
    assert isinstance(replacing, Promise)
    with doing.acting("coop") as conn:
        papers.replace_certificate(
            conn, person("coop"), made.number, replacing, doing.tick(), world.PUBLIC_URL, doing.vault
        )
    doing.undo("coop", more.act)


def test_a_pallet_of_the_same_lot_that_was_packed_later_is_no_hindrance(doing: Doing) -> None:
    (lot,) = doing.mixed().lots
    first, _ = doing.do("coop", "pack", lot=lot, boxes=40), doing.do("coop", "pack", lot=lot, boxes=30)
    doing.undo("coop", first.act)
    assert [row[0] for row in rows_of(stock_of(doing, "coop", lot), lot)] == [170, 30]


def test_what_was_recorded_ten_minutes_ago_stays(doing: Doing) -> None:
    done = doing.do("coop", "register_batch", product=GTIN, plot=PLOT, kg=10)
    doing.now += timedelta(minutes=10)
    assert fault_of(doing, "coop", done.act) == "undo_too_late"


def test_a_run_that_is_undone_takes_its_certificate_with_it(doing: Doing) -> None:
    done = doing.mixed()
    doing.undo("coop", done.act)
    assert doing.instance.rows("SELECT status, void_reason FROM certificate") == [("void", "undone")]
    issued = doing.certify("grower", lot=doing.picked(30, "grower"), kg=30, contact="139")
    with doing.acting("grower") as conn:
        newest, *_ = own_acts(conn)
    assert newest.facts["done"]["certificates"] == [issued.id]
    with pytest.raises(Refused):
        doing.undo("grower", newest.id)


def fault_of(doing: Doing, who: str, act: Any) -> str:
    before = doing.events()
    with pytest.raises(Refused) as caught:
        doing.undo(who, act)
    assert doing.events() == before
    return caught.value.faults[0].code


# --- what we hold -------------------------------------------------------------------------------------------------------------------


def test_the_stock_of_each_is_what_each_holds(doing: Doing) -> None:
    lot, unit = doing.accepted(boxes=40)
    held = {}
    for who, organisation in (("coop", COOP), ("stall", STALL), ("market", MARKET), ("shop", SHOP)):
        with access.looking(doing.databases, person(who)) as conn:
            rows = read_own_stock(conn, organisation, doing.now).rows
        held[who] = [(row.lot, row.quantity, row.unit) for row in rows if row.ours and row.lot == lot]
    assert held == {"coop": [(lot, 160, None)], "stall": [(lot, 40, unit)], "market": [], "shop": []}
