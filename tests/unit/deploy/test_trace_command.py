"""`suyuan trace`: files of others, and what must be in a trace of them, written out by hand.

Two worlds have the shape of those that GDST's open source is tested by (a farm, a boat, a cannery), with all that is odd in
them: one eventID for several events, papers dated after their goods were used, a run with an empty transformationID, an
unpacking that names no children, a class with a quantity greater than was caught.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.command import main

P = "urn:gdst:example.org:product:lot:class:"
FEED, FRY, FARMED, CAUGHT, MIXED, CANS = (
    f"{P}{name}" for name in ("feedmill.f1", "hatchery.h1", "farm.t1", "boat.c1", "plant.m1", "plant.cans-1")
)
CASE, PALLET = "urn:epc:id:sscc:08600031303.0004", "urn:epc:id:sscc:08600031303.0005"


def event(name: str, time: str, kind: str = "ObjectEvent", **said: Any) -> dict[str, Any]:
    fields = {
        "type": kind,
        "eventID": f"urn:uuid:{name}",
        "eventTime": f"{time}T11:00:00.0000000+00:00",
        "eventTimeZoneOffset": "+00:00",
        "disposition": "active",
        "gdst:productOwner": "urn:gdst:example.org:party:x",
        **said,
    }
    if kind != "TransformationEvent":
        fields.setdefault("action", "OBSERVE")
    return fields


def some(*names: str, quantity: float = 1000.0) -> list[dict[str, Any]]:
    return [{"epcClass": name, "quantity": quantity, "uom": "KGM"} for name in names]


def lots(name: str, time: str, *of: str, **said: Any) -> dict[str, Any]:
    return event(name, time, quantityList=some(*of), epcList=[], **said)


def units(name: str, time: str, *of: str, **said: Any) -> dict[str, Any]:
    return event(name, time, epcList=list(of), **said)


def run(name: str, time: str, inputs: list[str], outputs: list[str], **said: Any) -> dict[str, Any]:
    what = {"inputQuantityList": some(*inputs), "outputQuantityList": some(*outputs)}
    return event(name, time, "TransformationEvent", bizStep="commissioning", **what, **said)


def packed(name: str, time: str, parent: str, *of: str, action: str = "ADD", **said: Any) -> dict[str, Any]:
    what: dict[str, Any] = {"parentID": parent, "childEPCs": [each for each in of if "sscc" in each]}
    classes = [each for each in of if "sscc" not in each]
    what |= {"childQuantityList": some(*classes)} if classes else {}
    step = "packing" if action == "ADD" else "unpacking"
    return event(name, time, "AggregationEvent", action=action, bizStep=step, **what, **said)


def cannery() -> list[dict[str, Any]]:
    return [
        lots("hatched", "2021-12-01", FRY, action="ADD", bizStep="urn:gdst:bizStep:hatching"),
        lots("shipped", "2021-12-02", FRY, bizStep="shipping"),
        lots("received", "2021-12-03", FRY, bizStep="receiving"),
        lots("milled", "2021-11-03", FEED, action="ADD", bizStep="commissioning"),
        lots("fed", "2022-02-03", FEED, bizStep="shipping"),  # the paper is later than the harvest
        run("harvested", "2022-01-19", [FEED, FRY], [FARMED]),
        lots("farmed-out", "2022-01-20", FARMED, bizStep="shipping"),
        lots("caught", "2022-01-22", CAUGHT, action="ADD", bizStep="urn:gdst:bizStep:fishingEvent"),
        lots("landed", "2022-01-22", CAUGHT, bizStep="urn:gdst:bizStep:landing"),
        run("mixed", "2022-01-23", [FARMED, CAUGHT], [MIXED], transformationID=""),
        run("canned", "2022-01-28", [MIXED], [CANS], transformationID="transform-1-22-2022-17:24"),
        packed("in-case", "2022-01-28", CASE, CANS),
        packed("on-pallet", "2022-01-29", PALLET, CASE),
        units("shipped", "2022-01-30", PALLET, bizStep="shipping"),  # the same eventID as the fry's shipping
        units("arrived", "2022-02-03", PALLET, bizStep="receiving"),
        packed("off-pallet", "2022-02-04", PALLET, action="DELETE"),
        packed("out-of-case", "2022-02-05", CASE, CANS, action="DELETE"),
        units("pallet-on", "2022-02-06", PALLET, bizStep="shipping"),  # by then without the case
    ]


IN_TIME = ["milled", "hatched", "shipped", "received", "harvested", "farmed-out", "caught", "landed", "mixed", "canned",
           "in-case", "on-pallet", "fed", "arrived", "off-pallet", "out-of-case"]  # fmt: skip

OTHER = "urn:epc:id:sscc:0614141.1234567890"
TUNA, SALMON, HEADED, FILLET, SMOLT = (
    f"{P}co.{name}" for name in ("tuna", "salmon", "headed", "fillet", "smolt")
)


def plant() -> list[dict[str, Any]]:
    """A unit with two lots, whose contents come out without a name; one of them is used later."""
    return [
        lots("smolt", "2022-02-28", SMOLT, action="ADD", bizStep="commissioning"),
        lots("catch", "2022-03-01", TUNA, action="ADD", bizStep="commissioning"),
        run("grown", "2022-03-02", [SMOLT], [SALMON], transformationID=""),
        run("headed", "2022-03-02", [TUNA], [HEADED], transformationID=""),
        lots("moved", "2022-03-03", HEADED, bizStep="shipping"),
        packed("packed", "2022-03-04", OTHER, HEADED, SALMON),
        units("sent", "2022-03-05", OTHER, bizStep="shipping"),
        packed("emptied", "2022-03-06", OTHER, action="DELETE"),
        run("filleted", "2022-03-07", [HEADED], [FILLET], transformationID=""),
        lots("sold", "2022-03-08", FILLET, action="DELETE", bizStep="retail_selling"),
        packed("again", "2022-03-22", OTHER, CANS),
        packed("and-out", "2022-03-25", OTHER, action="DELETE"),
    ]


def written(path: Path, events: list[Any], kind: str = "EPCISDocument") -> Path:
    listed: dict[str, Any] = {"eventList": events}
    body = listed if kind == "EPCISDocument" else {"queryResults": {"queryName": "q", "resultsBody": listed}}
    document = {
        "@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"],
        "type": kind,
        "epcisBody": body,
    }
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())
    return path


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["trace", *map(str, arguments)])


def traced(identifier: str, direction: str, *paths: Path) -> list[str]:
    found = asked(identifier, *paths, "--direction", direction, "--json")
    assert found.exit_code == 0, found.output
    return [name.removeprefix("urn:uuid:") for name in json.loads(found.stdout)["events"]]


def test_cans_back_to_the_farm_and_the_boat(tmp_path: Path) -> None:
    path = written(tmp_path / "cannery.jsonld", cannery())
    assert traced(CANS, "back", path) == IN_TIME
    assert traced(PALLET, "back", path) == [*IN_TIME[:14], "off-pallet", "out-of-case", "pallet-on"]


def test_feed_forward_to_the_pallet(tmp_path: Path) -> None:
    path = written(tmp_path / "cannery.jsonld", cannery(), "EPCISQueryDocument")
    there = ["milled", "harvested", "farmed-out", "mixed", "canned", "in-case", "on-pallet", "shipped", "fed", "arrived", "off-pallet",
             "out-of-case"]  # fmt: skip
    assert traced(FEED, "forward", path) == there
    edges = json.loads(asked(FEED, path, "--direction", "forward", "--json").stdout)["edges"]
    assert {(edge["from"], edge["to"]) for edge in edges} >= {(FEED, FARMED), (FARMED, MIXED), (MIXED, CANS)}


def test_a_unit_with_two_lots_holds_all_that_is_said_of_both(tmp_path: Path) -> None:
    path = written(tmp_path / "plant.jsonld", plant(), "EPCISQueryDocument")
    told = ["smolt", "catch", "grown", "headed", "moved", "packed", "sent", "emptied", "filleted"]
    assert sorted(traced(OTHER, "back", path)) == sorted([*told, "again", "and-out"])
    # The fillet's own sale is what became of it, and no part of the way back.
    assert sorted(traced(HEADED, "back", path)) == sorted(set(told) - {"smolt", "grown"})
    assert "sold" in traced(OTHER, "forward", path)


def test_several_files_in_any_order_and_one_of_them_twice(tmp_path: Path) -> None:
    parts = [cannery()[:6], cannery()[4:12], cannery()[12:]]
    paths = [written(tmp_path / f"{number}.json", events) for number, events in enumerate(parts)]
    for order in permutations(paths):
        assert traced(CANS, "back", *order, order[0]) == IN_TIME


@pytest.mark.parametrize(
    "code",
    [
        "https://id.gs1.org/00/095212340000000105",
        "urn:epc:id:sscc:9521234.0000000010",
        "(00)095212340000000105",
        "095212340000000105",
        "https://shop.example/00/095212340000000105?x=1",
    ],
)
def test_any_form_of_a_code_is_the_same_thing(tmp_path: Path, code: str) -> None:
    named = units("seen", "2026-06-18", "https://id.gs1.org/00/095212340000000105")
    assert traced(code, "back", written(tmp_path / "one.json", [named])) == ["seen"]


def test_a_box_by_its_label_and_by_its_epc(tmp_path: Path) -> None:
    epc = "urn:epc:id:sgtin:9521234.000020.77"
    path = written(tmp_path / "box.json", [units("seen", "2026-06-18", epc)])
    assert traced("https://id.gs1.org/01/09521234000204/10/DK260618A/21/77", "both", path) == ["seen"]
    labelled = [units("labelled", "2026-06-18", "https://id.gs1.org/01/09521234000204/10/DK260618A/21/77")]
    assert traced(epc, "both", path, written(tmp_path / "label.json", labelled)) == ["labelled", "seen"]


def test_what_was_declared_wrong_is_not_in_it(tmp_path: Path) -> None:
    wrong = lots("wrong", "2026-06-18", CANS, bizStep="shipping")
    declared = {
        **wrong,
        "errorDeclaration": {
            "declarationTime": "2026-06-19T00:00:00Z",
            "correctiveEventIDs": ["urn:uuid:right"],
        },
    }
    right = lots("right", "2026-06-18", CANS, bizStep="shipping")
    path = written(tmp_path / "wrong.json", [wrong, right])
    assert sorted(traced(CANS, "back", path)) == ["right", "wrong"]
    assert traced(CANS, "back", path, written(tmp_path / "declared.json", [declared])) == ["right"]


def test_an_event_without_an_id_goes_by_its_hash_once(tmp_path: Path) -> None:
    nameless = {name: value for name, value in lots("x", "2026-06-18", CANS).items() if name != "eventID"}
    path = written(tmp_path / "nameless.json", [nameless, nameless])
    (name,) = traced(CANS, "back", path)
    assert name.startswith("ni:///sha-256;")


def test_cycles_end(tmp_path: Path) -> None:
    path = written(
        tmp_path / "cycle.json",
        [run("there", "2026-06-18", [CANS], [MIXED]), run("back", "2026-06-18", [MIXED], [CANS])],
    )
    assert sorted(traced(CANS, "back", path)) == ["back", "there"]


def test_what_nobody_names_is_an_empty_answer_and_says_what_is_near(tmp_path: Path) -> None:
    path = written(tmp_path / "cannery.json", cannery())
    found = asked(CANS + "x", path, "--json")
    assert (found.exit_code, json.loads(found.stdout)) == (0, {"events": [], "edges": []})
    assert CANS in found.stderr


def test_what_cannot_be_read_of_an_event_is_said_and_the_rest_is_traced(tmp_path: Path) -> None:
    odd = [{"type": "QuantityEvent"}, 7, lots("odd", "2026-06-18", CANS, bizStep="Fishing trip")]
    found = asked(CANS, written(tmp_path / "odd.json", odd), "--json")
    assert json.loads(found.stdout)["events"] == ["urn:uuid:odd"]
    assert "/epcisBody/eventList/0 is skipped" in found.stderr
    assert "/epcisBody/eventList/2 is read in part: left out: bizStep" in found.stderr


@pytest.mark.parametrize("content", [b"", b"not json", b'{"type": "EPCISDocument"}', b"\x1f\x8b\x08"])
def test_a_file_that_cannot_be_read_ends_with_3(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    good = written(tmp_path / "good.json", cannery())
    found = asked(CANS, good, path, "--json")
    assert (found.exit_code, found.stdout) == (3, "")
    assert "broken.json" in found.stderr
    assert asked(CANS, tmp_path / "none.json").exit_code == 3


def test_the_table_fits_a_terminal(tmp_path: Path) -> None:
    path = written(
        tmp_path / "cannery.json",
        [
            *cannery(),
            lots("中文", "2026-06-18", CANS, bizLocation={"id": "urn:x:杭州市场水产品批发交易中心"}),
        ],
    )
    for width in (60, 80, 140):
        done = subprocess.run(
            [sys.executable, "-m", "deploy", "trace", CANS, str(path)],
            env={
                "COLUMNS": str(width),
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": ":".join(sys.path),
                "PYTHONUTF8": "1",
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        lines = done.stdout.splitlines()
        assert lines[1].startswith("2021-11-03 11:00  + commissioning")
        assert max(map(len, lines)) <= width


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps([lots("1", "2026-06-01", CAUGHT)]))
    result = CliRunner().invoke(main, ["trace", CAUGHT, str(file), "--svg", str(tmp_path / "none" / "x.svg")])
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "name a file in a folder that is there" in result.output
