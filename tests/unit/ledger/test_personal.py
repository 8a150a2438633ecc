"""What of an event is personal: free text and unknown fields, until the schema says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.models import MODELS
from ledger.known_fields import FORMS, OPEN, STRUCTURAL
from ledger.personal import is_person, person_urns, personal_values, restored, swapped
from tests.vectors import vector_path

URN = f"urn:suyuan:person:{'0' * 31}1"
VOC = "https://suyuan.example/voc/"


def urn(number: int) -> str:
    return f"urn:suyuan:person:{number:032x}"


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"suyuan:remark": "老王说门封条坏了"}, ["老王说门封条坏了"]),
        ({"suyuan:reason": "past_best_before"}, []),
        ({"suyuan:reason": "王师傅不要"}, ["王师傅不要"]),
        ({"suyuan:seal": ["SEAL-12", "浙A·0341"]}, []),
        ({"suyuan:seal": "13800138000"}, ["13800138000"]),
        ({"suyuan:packaging": "泡沫箱"}, []),
        ({"suyuan:packaging": "问 138 0013 8000"}, ["问 138 0013 8000"]),
        ({"suyuan:agreedTemperature": "0..5 CEL", "suyuan:setPoint": "2 CEL"}, []),
        ({"suyuan:recordedBy": URN, "suyuan:sealIntact": True, "suyuan:sampleCount": 3}, []),
        ({"suyuan:tare": {"value": 12.6, "uom": "KGM"}}, []),
        ({"ex:driver": "张三", "ex:more": {"ex:phone": 13800138000, "ex:sober": True}}, ["张三", 13800138000]),
        ({"ex:list": ["a", ["b", {"c": "d"}], None, False]}, ["a", "b", "d"]),
        ({"ilmd": {f"{VOC}variety": "东魁", f"{VOC}growerRef": "coop", "ex:grower": "李四"}}, ["李四"]),
        ({"ilmd": {f"{VOC}certificate": [{f"{VOC}contact": "李四 0571", f"{VOC}origin": "仙居"}]}}, ["李四 0571"]),
        ({"ilmd": {"cbvmda:lotNumber": "ABC123", "cbvmda:netWeight": "3.5"}}, []),
        ({"readPoint": {"id": "geo:1,2", "ex:who": "x"}}, ["x"]),
        ({"bizTransactionList": [{"type": "inv", "bizTransaction": "urn:x:李"}], "epcList": ["urn:x:1"]}, []),
        ({"sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 3.5, "uom": "CEL",
                                                   "stringValue": "ok"}]}]}, ["ok"]),
        ({"errorDeclaration": {"declarationTime": "x", "reason": "incorrect_data", "ex:by": "王五"}}, ["王五"]),
    ],
)  # fmt: skip
def test_what_is_personal(fields: dict[str, Any], values: list[Any]) -> None:
    assert personal_values(fields) == values


def test_every_form_refuses_what_it_is_not() -> None:
    for name, form in FORMS.items():
        assert not form("张三\n13800138000"), name


def test_the_standards_own_fields_are_all_settled() -> None:
    """A field that the models take and the schema forgot would be replaced, and events would lose their goods."""
    names = {field.alias or name for model in MODELS.values() for name, field in model.model_fields.items()}
    assert names == STRUCTURAL | OPEN.keys()


def test_our_own_chain_holds_a_witness_and_nobody_else() -> None:
    path = vector_path("own/yangmei-lot.jsonld")
    events = json.loads(path.read_text("utf-8"))["epcisBody"]["eventList"]
    assert len(events) >= 35
    assert [value for event in events for value in personal_values(event)] == [
        "https://suyuan.example/xj-coop/party/officer-2201"
    ]


_PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text()
_NAMES = st.sampled_from(
    ["ilmd", "readPoint", "suyuan:seal", "suyuan:remark", "ex:a", "id", "type", f"{VOC}contact"]
)
_EVENTS = st.dictionaries(
    _NAMES,
    st.recursive(
        _PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3)
    ),
)


@given(_EVENTS)
def test_what_was_replaced_can_be_put_back(fields: dict[str, Any]) -> None:
    behind: dict[str, Any] = {}

    def in_its_place(value: Any) -> str:
        behind[urn(len(behind))] = value
        return urn(len(behind) - 1)

    replaced = swapped(fields, in_its_place)
    assert restored(replaced, behind) == fields
    assert set(person_urns(replaced)) == behind.keys()
    assert personal_values(replaced) == []
    assert swapped(replaced, in_its_place) == replaced


def test_a_persons_urn_is_told_by_its_form() -> None:
    assert is_person(URN) and is_person("urn:suyuan:person:6ab3f0b5-4f7c-5a0e-9d5c-8a1f9c1f7d21")
    assert not any(map(is_person, ["urn:suyuan:person:", f"{URN}x", f" {URN}", 1, None]))
