"""Events as others write them: what can be read of them is, and the rest is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.epcis.event_hash import event_hash
from ledger.epcis.events import parse_event
from ledger.epcis.lenient import name_of, read_leniently

VALID: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventID": "urn:uuid:1",
    "eventTime": "2026-06-18T03:20:00+08:00",
    "eventTimeZoneOffset": "+08:00",
    "action": "OBSERVE",
    "epcList": ["urn:epc:id:sscc:952123.40000000105"],
}


def without(*names: str, **other: Any) -> dict[str, Any]:
    return {name: value for name, value in VALID.items() if name not in names} | other


def test_a_valid_event_is_what_the_door_takes_and_is_left_as_it_was() -> None:
    raw = without()
    assert read_leniently(raw).event == parse_event(VALID)
    assert (read_leniently(raw).notes, raw) == ((), VALID)


@pytest.mark.parametrize(
    ("raw", "field", "value"),
    [
        (without("action"), "action", "OBSERVE"),
        (without("eventTimeZoneOffset"), "event_time_zone_offset", "+08:00"),
        (without(eventTime="2026-06-18 03:20:00"), "event_time_text", "2026-06-18T03:20:00+08:00"),
        (without(eventTime="2026-06-18T03:20:00+0800"), "event_time_text", "2026-06-18T03:20:00+08:00"),
        (without("type", isA="epcis:ObjectEvent"), "type", "ObjectEvent"),
        (without("type"), "type", "ObjectEvent"),
        (without(bizLocation="urn:gdst:example.org:loc:1"), "biz_location", "urn:gdst:example.org:loc:1"),
        (without(bizStep=""), "biz_step", None),
        (without(epcList="urn:example:fish:1"), "epc_list", ("urn:example:fish:1",)),
        (
            without(epcList=["(00)095212340000000105"]),
            "epc_list",
            ("https://id.gs1.org/00/095212340000000105",),
        ),
        (without(epcList=["鱼 7"]), "epc_list", ("urn:x-name:%E9%B1%BC%207",)),
        (without(eventID="7/2026 x"), "event_id", "7/2026 x"),
    ],
)
def test_what_is_missing_or_odd(raw: dict[str, Any], field: str, value: Any) -> None:
    read = read_leniently(raw)
    found = getattr(read.event, field)
    assert getattr(found, "id", found) == value


def test_what_cannot_be_read_is_left_out_and_named() -> None:
    raw = without(
        bizStep="Fishing trip",
        sourceList=[{"source": "urn:x:1"}, {"type": "owning_party", "source": "urn:x:2"}],
        quantityList=[
            {"quantity": 7},
            {"epcClass": "urn:x:lot:1", "quantity": "7.5", "uom": "kgm", "note": "wet"},
        ],
        sensorElementList=[{"sensorReport": [{"value": 3}]}],
    )
    read = read_leniently(raw)
    assert read.event is not None
    assert [each.source for each in read.event.source_list] == ["urn:x:2"]
    (element,) = read.event.quantity_list
    assert (element.epc_class, element.quantity, element.uom) == ("urn:x:lot:1", 7.5, "KGM")
    assert read.event.biz_step is None
    assert {note.partition(" ")[0] for note in read.notes} == {"a", "left"}
    assert any("bizStep" in note for note in read.notes)


@pytest.mark.parametrize("said", [{}, {"declarationTime": "yesterday"}, {"reason": "no idea"}, "wrong"])
def test_what_is_declared_wrong_stays_so(said: Any) -> None:
    read = read_leniently(without(errorDeclaration=said or {"reason": "incorrect_data"}))
    assert read.event is not None
    assert read.event.error_declaration is not None


@pytest.mark.parametrize(
    "raw", [7, [], {}, without(eventTime="soon"), without(type="QuantityEvent"), without("eventTime")]
)
def test_what_is_no_event_is_none_with_its_reason(raw: Any) -> None:
    read = read_leniently(raw)
    assert read.event is None
    assert read.notes


def test_an_event_without_an_id_goes_by_its_hash() -> None:
    raw = without("eventID")
    assert read_leniently(raw).name == event_hash(parse_event(raw))


anything = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "epcClass", "x"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "action",
                "bizStep",
                "epcList",
                "quantityList",
                "readPoint",
                "sensorElementList",
                "ilmd",
                "eventID",
            ]
        ),
        anything,
    )
)
def test_nothing_breaks_it(odd: dict[str, Any]) -> None:
    assert read_leniently(VALID | odd).event is not None


@pytest.mark.parametrize(
    "text", ["urn:example:fish:1", "https://id.gs1.org/00/095212340000000105", "geo:1,2"]
)
def test_a_name_that_is_one_stays(text: str) -> None:
    assert name_of(text) == text
