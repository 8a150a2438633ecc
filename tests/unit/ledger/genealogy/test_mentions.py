from __future__ import annotations

from ledger.genealogy import Mention, run_of, touches
from ledger.genealogy.names import uri
from tests.unit.ledger.genealogy.said import (
    LINE,
    LOGGER,
    PACKHOUSE,
    TRUCK,
    box,
    fruit,
    installed,
    lot,
    mixed,
    put_in,
    seen,
    some,
    unit,
)


def test_boxes_name_their_lot_too() -> None:
    said = seen(1, "inspecting", box("A", "0001"), box("A", "0002"), readPoint=LINE, bizLocation=PACKHOUSE)
    assert touches(said.event) == {
        Mention(box("A", "0001"), "epc", 1.0),
        Mention(box("A", "0002"), "epc", 1.0),
        Mention(lot("A"), "class", 2.0),
        Mention(LINE, "read_point"),
        Mention(PACKHOUSE, "biz_location"),
    }


def test_parent_children_and_class_children() -> None:
    said = put_in(1, TRUCK, unit(1), some(lot("A"), 48), step="loading")
    assert touches(said.event) == {
        Mention(TRUCK, "parent"),
        Mention(unit(1), "child"),
        Mention(lot("A"), "child", 48.0),
    }


def test_inputs_and_outputs() -> None:
    said = mixed(1, [some(fruit("P01"), 127.5, "KGM")], [some(lot("A"), 240)], where=None)
    assert touches(said.event) == {
        Mention(fruit("P01"), "input", 127.5, "KGM"),
        Mention(lot("A"), "output", 240.0),
    }


def test_children_of_an_association_are_devices() -> None:
    assert touches(installed(1, unit(1)).event) == {Mention(unit(1), "parent"), Mention(LOGGER, "device")}


def test_identifiers_are_canonical() -> None:
    said = seen(
        1, "storing", "urn:epc:id:sscc:0952123.0000000010", some("urn:epc:class:lgtin:9521234.000020.A")
    )
    named = {each.identifier for each in touches(said.event)}
    assert all(name.startswith("https://id.gs1.org/") for name in named), named


def test_a_run_links_events_in_any_form_and_is_no_goods() -> None:
    gdti = {"transformationID": "urn:epc:id:gdti:9521234.00001.R1"}
    said = mixed(1, [some(lot("A"), 4)], [], **gdti)
    assert run_of(said.event) == uri(gdti["transformationID"]) != gdti["transformationID"]
    assert {each.identifier for each in touches(said.event)} == {lot("A")} | {
        each.identifier for each in touches(said.event) if each.role in ("read_point", "biz_location")
    }
    assert run_of(seen(1, "storing", unit(1)).event) is None
