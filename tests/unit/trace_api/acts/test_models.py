"""What a form or a request may say, and the sentence for everything it may not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import DOCS
from trace_api.acts import ACTS, ACTS_BY_ROLE, Fault, Refused, read_act, refusals
from trace_api.acts.acting import PLANNERS
from trace_api.acts.models import Load, Mix, Pack, RegisterBatch, WeighIn
from trace_api.roles import GOODS
from trace_api.words import CATALOGUES

FOLDER = Path(refusals.__file__).parent
PREFIX = "acts_fault_"


def refused(kind: str, **fields: Any) -> dict[str | None, str]:
    with pytest.raises(Refused) as caught:
        read_act(kind, fields)
    for fault in caught.value.faults:
        assert fault.text.zh and fault.text.en and fault.next.zh and fault.next.en
    return {field: fault.code for field, fault in caught.value.by_field.items()}


def test_each_act_has_a_planner_and_a_role() -> None:
    assert set(PLANNERS) == set(ACTS) == set().union(*ACTS_BY_ROLE.values())
    assert set(ACTS_BY_ROLE) == set(GOODS)


PACK = {"lot": "DK260618A", "boxes": 40}
MIX = {
    "inputs": [{"lot": "a"}],
    "outputs": [{"product": "p", "boxes": 1}],
    "cull_kg": 0,
    "place": "https://x.example/p",
}
LOAD = {"units": "u", "vehicle": "v", "pulp": "2", "agreed_low_c": 0, "agreed_high_c": 5}


@pytest.mark.parametrize(
    ("kind", "fields", "want"),
    [
        ("fly", {}, {None: "unknown_kind"}),
        ("pack", {}, {"lot": "missing", "boxes": "missing"}),
        ("pack", PACK | {"boxes": ""}, {"boxes": "missing"}),
        ("pack", PACK | {"boxes": "viel"}, {"boxes": "not_whole"}),
        ("pack", PACK | {"boxes": "4.5"}, {"boxes": "not_whole"}),
        ("pack", PACK | {"boxes": 4.5}, {"boxes": "not_whole"}),
        ("pack", PACK | {"boxes": "1,200"}, {"boxes": "comma_in_number"}),
        ("pack", PACK | {"boxes": 0}, {"boxes": "not_above"}),
        ("pack", PACK | {"boxes": -3}, {"boxes": "not_above"}),
        ("pack", PACK | {"boxes": 10**9}, {"boxes": "above"}),
        ("pack", PACK | {"colour": "red"}, {"colour": "unknown_field"}),
        ("pack", PACK | {"packaging": "a\x00b"}, {"packaging": "unprintable"}),
        ("pack", PACK | {"packaging": "\ud800"}, {"packaging": "unprintable"}),
        ("pack", PACK | {"packaging": "x" * 300}, {"packaging": "too_long"}),
        ("pack", PACK | {"at": "gestern"}, {"at": "not_a_time"}),
        ("pack", PACK | {"at": "2026-02-30T10:00"}, {"at": "not_a_time"}),
        ("register_batch", {"product": "p", "plot": "q", "kg": float("inf")}, {"kg": "above"}),
        ("register_batch", {"product": "p", "plot": "q", "kg": 1, "lot": "三号棚"}, {"lot": "not_a_lot_number"}),
        ("register_batch", {"product": "p", "plot": "q", "kg": 1, "lot": "x" * 21}, {"lot": "too_long"}),
        ("register_batch", {"product": "p", "plot": "q", "kg": 1, "called": "很长" * 21}, {"called": "too_long"}),
        (
            "register_batch",
            {"product": "p", "plot": "q", "kg": 1, "harvested_from": "2026-06-18T06:00", "harvested_to": "2026-06-18T05:00"},
            {None: "harvest_backwards"},
        ),
        ("weigh_in", {"lot": "a", "kg": 1, "place": "p"}, {"bought": "missing"}),
        ("weigh_in", {"lot": "a", "kg": 1, "place": "p", "bought": "maybe"}, {"bought": "not_yes_or_no"}),
        ("mix", MIX | {"cull_kg": None}, {"cull_kg": "missing"}),
        ("mix", MIX | {"inputs": []}, {"inputs": "missing"}),
        ("mix", MIX | {"inputs": [{"lot": "a", "quantity": 0}]}, {"inputs.0.quantity": "not_above"}),
        ("mix", MIX | {"outputs": [{"product": "p"}]}, {"outputs.0": "boxes_or_kg"}),
        ("mix", MIX | {"outputs": [{"product": "p", "boxes": 1, "kg": 2}]}, {"outputs.0": "boxes_or_kg"}),
        ("mix", MIX | {"certify": {"contact": "x", "basis": ["prayer"]}}, {"certify.basis.0": "not_a_choice"}),
        ("store", {"place": "p"}, {None: "nothing_named"}),
        ("depart", {}, {None: "nothing_named"}),
        ("load", LOAD | {"pulp": ""}, {"pulp": "missing"}),
        ("load", LOAD | {"pulp": "2.1 warm"}, {"pulp.1": "not_a_number"}),
        ("load", LOAD | {"pulp": "2.1 300"}, {"pulp.1": "above"}),
        ("load", LOAD | {"agreed_low_c": 6}, {None: "range_backwards"}),
        ("load", LOAD | {"units": ["u"] * 300}, {"units": "too_many"}),
        ("refuse_part", {"unit": "u", "boxes": 2, "reason": "r", "serials": "3-1"}, {"serials": "not_a_serial_range"}),
        ("refuse_part", {"unit": "u", "boxes": 2, "reason": "r", "serials": "9-10"}, {"serials": "not_a_serial_range"}),
        ("refuse_part", {"unit": "u", "boxes": 2, "reason": "r", "serials": "08-10"}, {None: "serials_do_not_fit"}),
        ("shrink", {"units": "u", "reason": "eaten"}, {"reason": "not_a_choice"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(
    kind: str, fields: dict[str, Any], want: dict[str | None, str]
) -> None:
    assert refused(kind, **fields) == want


def test_a_form_is_read_as_people_write() -> None:
    act = read_act(
        "weigh_in",
        {"lot": " a ", "kg": "１２．５", "place": "p", "bought": "true", "slip": "", "pulp": "24.5、25 26"},
    )
    assert isinstance(act, WeighIn)
    assert (act.lot, act.kg, act.bought, act.slip, act.pulp) == ("a", 12.5, True, None, (24.5, 25.0, 26.0))
    mix = read_act("mix", MIX | {"best_before": "2026-06-23"})
    assert isinstance(mix, Mix) and mix.best_before is not None
    load = read_act("load", LOAD | {"seals": "A1；A2", "units": "u1\nu2", "pulp": "\u22120.5 －1"})
    assert isinstance(load, Load) and (load.seals, load.units) == (("A1", "A2"), ("u1", "u2"))
    assert load.pulp == (-0.5, -1.0), "as a page writes them, and as a full-width keyboard does"


def test_a_time_without_a_zone_is_the_wall_clock_s() -> None:
    act = read_act("pack", PACK | {"at": "2026-06-18T05:20"})
    assert isinstance(act, Pack) and act.at == datetime(2026, 6, 17, 21, 20, tzinfo=UTC)
    picked = read_act(
        "register_batch", {"product": "p", "plot": "q", "kg": 1, "harvested_to": "2026-06-18T05:20:00Z"}
    )
    assert isinstance(picked, RegisterBatch) and picked.happened() == datetime(2026, 6, 18, 5, 20, tzinfo=UTC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(ACTS)), st.data())
def test_any_fields_are_an_act_or_sentences(kind: str, data: st.DataObject) -> None:
    names = st.sampled_from([*ACTS[kind].model_fields, "other"])
    fields = data.draw(st.dictionaries(names, JSON, max_size=8))
    faults: tuple[Fault, ...] = ()
    try:
        read_act(kind, fields)
    except Refused as error:
        faults = error.faults
    assert all(fault.text.zh and fault.next.en for fault in faults)


def test_the_document_lists_every_act_with_its_fields() -> None:
    """`docs/acts.md`: one row an act; a field that may be left out has a question mark."""
    rows = re.findall(
        r"^\| `([a-z_]+)` \|[^|]*\|[^|]*\| (.*) \|$",
        (DOCS / "acts.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    told = {kind: set(re.findall(r"`([a-z_]+\??)`", fields)) for kind, fields in rows}
    assert len(rows) == len(told)
    assert told == {
        kind: {
            name if field.is_required() else f"{name}?"
            for name, field in model.model_fields.items()
            if name != "at"
        }
        for kind, model in ACTS.items()
    }


# --- the sentences ---------------------------------------------------------------------------------------------------------


def codes_in_use() -> set[str]:
    folders = (FOLDER, FOLDER.parent / "recalls", FOLDER.parent / "loggers")  # which refuse in the same way
    sources = "".join(path.read_text() for folder in folders for path in folder.glob("*.py"))
    named = set(re.findall(r'refuse\(\s*"([a-z0-9_]+)"', sources)) | set(
        re.findall(r'Fault\("([a-z0-9_]+)"', sources)
    )
    custom = set(re.findall(r'PydanticCustomError\(\s*"([a-z0-9_]+)"', sources))
    tables = {code for code, _ in refusals._CODES.values()} | {
        "code_torn",
        "code_check_digit",
        "product_only",
        "not_understood",
    }
    return named | custom | tables


def test_each_fault_has_its_sentences_and_each_sentence_its_fault() -> None:
    keys = [key.removeprefix(PREFIX) for key in CATALOGUES["en"] if key.startswith(PREFIX)]
    said = {key for key in keys if not key.endswith("_next")}
    assert {key.removesuffix("_next") for key in keys if key.endswith("_next")} == said
    assert codes_in_use() == said


def test_a_fault_is_said_in_both_languages_with_its_facts() -> None:
    fault = Fault(
        "not_enough", "boxes", {"code": "DK1", "left": lambda words: words.quantity(3, None), "wanted": "5"}
    )
    said = fault.to_json()
    assert said["zh"].replace("\u00a0", "") == "DK1 只剩 3箱，这里要用 5。"
    assert said["en"].replace("\u00a0", " ") == "Only 3 boxes of DK1 are left; this takes 5."
    assert said["field"] == "boxes" and said["next"]["en"]
    problem = Refused([fault], 409).problem()
    assert problem.status == 409 and problem.more["faults"] == [said]
    assert "Only 3" in problem.detail
