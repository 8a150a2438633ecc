"""The forms of acts: valid against the standard's own schema, equal in form to what the simulated world says, and read back by
genealogy as they were meant."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from ledger.epcis.events import event_to_json, parse_event
from ledger.genealogy import RecordedEvent, replay
from simulators.world import World
from tests.unit.simulators.field_detector import events_of
from tests.vectors import count_vectors, vector_path
from trace_api.acts import parts
from trace_api.acts.forms import Forms
from trace_api.acts.models import Substance
from trace_api.acts.numbers import SerialRange
from trace_api.acts.parts import Event, Parties, Pulp, Quantity, What, extras, handed, ilmd

AT = datetime(2026, 6, 18, 2, 30, tzinfo=UTC)
GTIN = "09521234000204"
PICKED = "https://suyuan.example/xj-coop/class/yangmei-dongkui.260618-P01"
LOT = f"https://id.gs1.org/01/{GTIN}/10/DK260618A"
UNIT, PART = "https://id.gs1.org/00/195212340000000010", "https://suyuan.example/hz-stall-b12/obj/U000001"
TRUCK = "https://id.gs1.org/8004/95212340REEFER07"
PLACE, DOCK = "https://id.gs1.org/414/9521234002024", "https://id.gs1.org/414/9521234003021/254/7"
COOP, CARRIER = "https://id.gs1.org/417/9521234002000", "https://id.gs1.org/417/9521234005001"
CERTIFICATE = "https://id.gs1.org/253/9521234008002HGZ260618A"
PAPER = "https://suyuan.example/xj-coop/bt/weigh/260618-1"
SERIALS = SerialRange(LOT, "00000001", "00000040")
KG = Quantity(PICKED, 86.5, "KGM")
BOXES = Quantity(LOT, 40, None)
PULP = Pulp((2.1, 2.6, 3.0), "https://id.gs1.org/8004/95212340PROBE3")
HANDS = handed(Parties(None, COOP), Parties(None, CARRIER))
RECORD = ilmd(harvestStart="2026-06-18T09:00:00+08:00", variety="东魁", missing=None)

Say = Callable[[Forms], Event]
EVERY: dict[str, Say] = {
    "harvest": lambda f: f.harvest(KG, PLACE, RECORD),
    "harvest_again": lambda f: f.harvest_again(KG, PLACE),
    "weighing": lambda f: f.weighing(KG, PLACE, PAPER, HANDS, CERTIFICATE, PULP, extras(grade="unsorted")),
    "weighing_bare": lambda f: f.weighing(KG, PLACE, PAPER, {}, None, None, {}),
    "precooling_start": lambda f: f.precooling([KG], PLACE, "precooling_start"),
    "precooling_end": lambda f: f.precooling([KG], PLACE, "precooling_end", PULP),
    "run": lambda f: f.run([KG], [BOXES, Quantity(f"{PICKED}-cull", 4.5, "KGM")], PLACE, PAPER, RECORD, [CERTIFICATE]),
    "run_bare": lambda f: f.run([KG], [BOXES], PLACE, PAPER, RECORD),
    "packing": lambda f: f.packing(UNIT, [BOXES], PLACE, SERIALS, "泡沫箱"),
    "unpacking": lambda f: f.unpacking(UNIT, [BOXES], None, None),
    "storing": lambda f: f.storing(What((UNIT,), (KG,)), f"{PLACE}/254/DOOR1", PLACE),
    "loading": lambda f: f.loading(TRUCK, [UNIT], DOCK, PAPER, HANDS, PULP, extras(seal=["JJ0098811"])),
    "departing": lambda f: f.departing([UNIT], PLACE, handed(to_place=DOCK), ["JJ0098811"]),
    "handing_over": lambda f: f.handing_over([TRUCK], None, HANDS, []),
    "arriving": lambda f: f.arriving([UNIT], PLACE, DOCK),
    "unloading": lambda f: f.unloading(TRUCK, [UNIT], DOCK, ["JJ0098811"], True),
    "logger": lambda f: f.logger(What((UNIT,)), DOCK, {}),
    "inspecting": lambda f: f.inspecting(What((UNIT,)), DOCK, True, [CERTIFICATE], PAPER, PULP, {}),
    "inspecting_bare": lambda f: f.inspecting(What((UNIT,)), None, False, [], None, None, {}),
    "refused": lambda f: f.refused(PART, DOCK, PAPER, "pulp_temperature"),
    "accepting": lambda f: f.accepting(What((UNIT,)), None, DOCK, PAPER, HANDS),
    "holding": lambda f: f.holding(What((), (BOXES,)), DOCK, "快检待复核"),
    "holding_bare": lambda f: f.holding(What((UNIT,)), None, "召回", recalled=True),
    "releasing": lambda f: f.releasing(What((UNIT,)), DOCK, ["unavailable"], PAPER, "复检合格"),
    "sampling": lambda f: f.sampling(Quantity(LOT, 0.5, "KGM"), DOCK, PAPER, "market"),
    "test_negative": lambda f: f.rapid_test(
        What((UNIT,)), DOCK, PAPER, f.inhibition(12.5, AT, None, False), False, {"suyuan:method": "GB/T 5009.199"}
    ),
    "laboratory": lambda f: f.laboratory(What((UNIT,)), DOCK, PAPER, [
        Substance(substance="https://identifiers.org/inchikey:SBPBAQFWLVIOKP-UHFFFAOYSA-N", value=0.02, limit=0.1, item="GB 2763"),
    ], True, {"unset": ["unavailable"]}, {}),
    "laboratory_bare": lambda f: f.laboratory(What((UNIT,)), DOCK, PAPER, [], False, {}, {}),
    "test_positive": lambda f: f.rapid_test(What((UNIT,)), DOCK, PAPER, f.inhibition(61, AT, None, True), True, {}),
    "receiving": lambda f: f.receiving(What((UNIT,), (KG,)), PLACE, True, None, HANDS, PULP),
    "receiving_bare": lambda f: f.receiving(What((UNIT,)), PLACE, False, None, HANDS, None, PAPER),
    "shipping": lambda f: f.shipping(What((PART,)), PLACE, PAPER, handed(Parties(COOP, COOP), Parties(parts.UNKNOWN_BUYER))),
    "returning": lambda f: f.returning(What((UNIT,)), PLACE, PAPER, HANDS),
    "selling": lambda f: f.selling(What((), (BOXES,)), PLACE, "POS 半日合计"),
    "destroying": lambda f: f.destroying(What((UNIT,)), PLACE, "spoiled", None),
    "destroying_bare": lambda f: f.destroying(What((UNIT,)), PLACE, "recalled", None, PAPER),
    "certificate": lambda f: f.certificate(LOT, CERTIFICATE, "certificate_issued", RECORD),
}  # fmt: skip


def said() -> Iterator[tuple[str, Event]]:
    names = iter(range(1, 1000))
    filled = Forms(
        AT,
        "Asia/Shanghai",
        lambda: f"urn:uuid:00000000-0000-4000-8000-{next(names):012d}",
        "urn:suyuan:person:x",
    )
    for name, say in EVERY.items():
        yield name, say(filled)


def test_every_form_is_tried() -> None:
    """A form that is added and not here would never meet the schema."""
    helpers = {"time", "pulp", "inhibition"}
    methods = {
        name for name in vars(Forms) if not name.startswith("_") and callable(getattr(Forms, name))
    } - helpers
    source = [name.removesuffix("_bare").removesuffix("_start").removesuffix("_end") for name in EVERY]
    tried = {*source, "rapid_test"}
    assert methods <= tried


def test_every_form_is_valid_epcis() -> None:
    schema = json.loads((vector_path("epcis/gs1") / "EPCIS-JSON-Schema.json").read_text())
    formats = jsonschema.FormatChecker()
    assert {"date-time", "uri"} <= set(formats.checkers)
    validator = jsonschema.Draft7Validator(schema, format_checker=formats)
    ran = 0
    for name, event in said():
        declared = parts.declared_wrong(
            event, "2026-06-18T10:35:00.000+08:00", "incorrect_data", ["urn:uuid:1"]
        )
        for each in (event, declared):
            assert [error.message for error in validator.iter_errors(each)] == [], name
            ran += 1
    count_vectors(ran)
    assert ran == 2 * len(EVERY)


def test_every_form_is_read_back_as_it_was_said() -> None:
    for name, event in said():
        assert event_to_json(parse_event(event)) == event, name
        assert event["eventTime"] == "2026-06-18T10:30:00.000+08:00"
        assert event["eventTimeZoneOffset"] == "+08:00"
        assert event["suyuan:recordedBy"] == "urn:suyuan:person:x"


# What the world says besides, which a person does not type, or we do not claim.
WORLD_ONLY = {"suyuan:packaging", "suyuan:grade", "suyuan:authority"}
SAME = {
    "harvest": ("commissioning", "ObjectEvent"),
    "harvest_again": ("creating_class_instance", "ObjectEvent"),
    "weighing": ("receiving", "ObjectEvent"),
    "run": ("commissioning", "TransformationEvent"),
    "packing": ("packing", "AggregationEvent"),
    "loading": ("loading", "AggregationEvent"),
    "departing": ("departing", "ObjectEvent"),
    "arriving": ("arriving", "ObjectEvent"),
    "unloading": ("unloading", "AggregationEvent"),
    "unpacking": ("unpacking", "AggregationEvent"),
    "accepting": ("accepting", "ObjectEvent"),
    "sampling": ("sampling", "ObjectEvent"),
    "selling": ("retail_selling", "ObjectEvent"),
    "destroying": ("destroying", "ObjectEvent"),
    "shipping": ("shipping", "ObjectEvent"),
}
FIXED = ("type", "action", "bizStep", "disposition")


@pytest.fixture(scope="module")
def world_says() -> list[dict[str, Any]]:
    world = World(7, datetime(2026, 6, 17, 20, tzinfo=UTC))
    sent = world.messages(datetime(2026, 6, 17, 20, tzinfo=UTC) + timedelta(hours=60))
    return [event for message in sent if message.kind == "events" for event in events_of(message.payload)]


def test_the_forms_are_those_of_the_simulated_world(world_says: list[dict[str, Any]]) -> None:
    ours = dict(said())
    for name, (step, kind) in SAME.items():
        theirs = [each for each in world_says if each["bizStep"] == step and each["type"] == kind]
        assert theirs, name
        assert {key: ours[name].get(key) for key in FIXED} in [
            {key: each.get(key) for key in FIXED} for each in theirs
        ], name
        standard = {key for key in theirs[0] if ":" not in key and not key.startswith("@")}
        lacking = standard - ours[name].keys() - WORLD_ONLY
        # A person names a gate where there is one; an act without a document number still has its document.
        assert lacking <= {"epcList", "quantityList", "readPoint", "bizLocation"}, (name, lacking)


def test_a_certificate_takes_nothing_out_of_the_goods() -> None:
    events = dict(said())
    chain = [
        events["run_bare"],
        events["packing"],
        events["certificate"] | {"eventTime": "2026-06-18T11:00:00.000+08:00"},
    ]
    told = [RecordedEvent(n, "xj-coop", parse_event(each)) for n, each in enumerate(chain, 1)]
    genealogy = replay(told, {f"https://id.gs1.org/01/{GTIN}": 2.0})
    portions = [portion for portion in genealogy.portions(LOT) if portion.ending is None]
    assert [(portion.quantity, portion.unit) for portion in portions] == [(40.0, UNIT)]
    assert genealogy.discrepancies == ()


@pytest.mark.parametrize(
    ("value", "text"), [(40.0, "40"), (86.5, "86.5"), (0.1 + 0.2, "0.3"), (12.34567, "12.346")]
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert json.dumps(parts.number(value)) == text
