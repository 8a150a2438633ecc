"""The forms of /scan against the acts they fill: no field that no act knows, none missing that an act wants, words for all."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_api.acts import PastAct, read_act, said
from trace_api.acts.models import ACTS
from trace_api.scan.done_page import correctable
from trace_api.scan.sheets import GROUPS, NEXT, SHEETS, Ask, Source, offered
from trace_api.scan.typed import (
    Taken,
    Typed,
    added,
    fields_of,
    from_form,
    from_query,
    from_said,
    place_on_page,
    waiting,
    without,
)
from trace_api.words import CATALOGUES, LANGUAGES, Language
from trace_api.work import Sent

AT_THE_GATE = {"inspect", "refuse_part", "accept", "sample", "rapid_test", "laboratory", "hold", "release"}
"""Acts that /check has."""
WITH_A_FILE = {"attach_logger"}
"""Which has a page of its own, since a form of ours takes no file."""


def test_every_act_has_its_form_here_or_at_the_gate() -> None:
    assert set(SHEETS) | AT_THE_GATE | WITH_A_FILE == set(ACTS) and not set(SHEETS) & (
        AT_THE_GATE | WITH_A_FILE
    )
    shown = [kind for _group, kinds in GROUPS for kind in kinds]
    assert sorted(shown) == sorted(SHEETS)
    assert set(NEXT) | {kind for kinds in NEXT.values() for kind in kinds} <= set(SHEETS)
    assert [kinds for _group, kinds in offered(frozenset({"load", "mix"}))] == [("mix",), ("load",)]


@pytest.mark.parametrize("kind", SHEETS)
def test_a_form_asks_what_the_act_wants(kind: str) -> None:
    fields = ACTS[kind].model_fields
    asked = {ask.name.partition(".")[0] for ask in SHEETS[kind]}
    assert asked <= set(fields)
    wanted = {name for name, field in fields.items() if field.is_required()}
    assert wanted <= asked
    assert wanted == {ask.name for ask in SHEETS[kind] if ask.required and fields[ask.name].is_required()}
    assert "at" in asked, "what happened earlier can be told"


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_asked_has_words(language: Language) -> None:
    said = CATALOGUES[language]
    for kind, asks in SHEETS.items():
        assert f"scan_act_{kind}" in said
        for ask in asks:
            assert f"scan_ask_{kind}_{ask.name}" in said or f"scan_ask_{ask.name}" in said, (kind, ask.name)
    for kind in ACTS:
        assert f"scan_act_{kind}" in said
    for group, _kinds in GROUPS:
        assert f"scan_group_{group}" in said


def test_every_choice_has_a_source() -> None:
    sources = set(Source.__args__)  # type: ignore[attr-defined]
    for asks in SHEETS.values():
        for ask in asks:
            assert ask.source is None or ask.source in sources
            assert ask.input != "choice" or ask.source is not None, ask.name


MIX = SHEETS["mix"]
INPUTS = MIX[0]


def sent(*fields: tuple[str, str]) -> Sent:
    return Sent("/scan/do/mix", fields)


def test_a_form_is_read_as_it_was_typed() -> None:
    typed = from_form(
        MIX,
        sent(
            ("inputs.0.lot", "L1"), ("inputs.0.quantity", " 12.5 "), ("inputs.1.lot", "L2"), ("inputs.1.quantity", ""),
            ("inputs.code", "L3"), ("outputs.1.product", "P"), ("outputs.1.boxes", "20"), ("outputs.1.grade", "B"),
            ("outputs.0.product", "P"), ("outputs.0.boxes", ""), ("outputs.0.grade", "A"), ("cull_kg", "0"), ("place", "X"),
        ),
    )  # fmt: skip
    assert typed.goods["inputs"] == (Taken("L1", "12.5"), Taken("L2", ""))
    assert waiting(typed, INPUTS) == "L3"
    fields = fields_of(MIX, typed)
    assert fields == {
        "inputs": [{"lot": "L1", "quantity": "12.5"}, {"lot": "L2", "quantity": ""}],
        "outputs": [{"product": "P", "boxes": "20", "grade": "B"}],
        "cull_kg": "0",
        "place": "X",
    }
    # The act counts the outputs that were said; the page shows the fault at the one it is about.
    assert place_on_page(MIX, typed, "outputs.0.boxes") == "outputs.1.boxes"
    assert place_on_page(MIX, typed, "outputs.0") == "outputs.1.boxes"
    assert place_on_page(MIX, typed, "inputs.1.quantity") == "inputs.1"
    assert place_on_page(MIX, typed, "inputs") == "inputs"
    assert place_on_page(MIX, typed, "cull_kg") == "cull_kg"
    assert place_on_page(MIX, typed, "certify.contact") == "certify.contact"
    assert place_on_page(MIX, typed, None) is None and place_on_page(MIX, typed, "nothing_of_ours") is None


def test_a_scan_wins_over_a_choice() -> None:
    vehicle = next(ask for ask in SHEETS["load"] if ask.name == "vehicle")
    typed = from_form([vehicle], sent(("vehicle", "A"), ("vehicle.code", "浙J5A607")))
    assert fields_of([vehicle], typed) == {"vehicle": "浙J5A607"}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", "1", "2.5"])), max_size=12))
def test_a_list_holds_each_lot_once_with_what_was_said_last(puts: list[tuple[str, str]]) -> None:
    typed = Typed()
    for lot, quantity in puts:
        typed = added(Typed(goods=typed.goods, pending={"inputs.quantity": quantity}), INPUTS, lot)
    assert {each.lot: each.quantity for each in typed.goods.get("inputs", ())} == dict(puts)
    assert len(typed.goods.get("inputs", ())) == len(dict(puts))
    if puts:
        left = without(typed, INPUTS, 0)
        assert left.goods["inputs"] == typed.goods["inputs"][1:]


SAID: dict[str, dict[str, object]] = {
    "register_batch": {"product": "P", "plot": "Q", "kg": 126.5, "called": "3号棚", "interval_checked": True,
                       "harvested_from": "2026-06-18T05:20:00+08:00"},
    "weigh_in": {"lot": "L", "kg": 100.0, "place": "S", "bought": False, "pulp": [24.5, -1.0]},
    "mix": {"inputs": [{"lot": "L"}, {"lot": "M", "quantity": 12.5}], "outputs": [{"product": "P", "boxes": 20, "grade": "B"}],
            "cull_kg": 0.0, "place": "S", "certify": {"contact": "139", "basis": ["internal_control"]}, "best_before": "2026-06-23"},
    "load": {"units": ["U"], "vehicle": "V", "pulp": [2.0], "agreed_low_c": 0.0, "agreed_high_c": 5.0, "seals": ["A1", "A2"]},
    "unload": {"vehicle": "V", "place": "S", "seal_intact": False},
    "receive": {"goods": [{"lot": "L", "quantity": 12.0}], "place": "S", "bought": True, "outside": True},
    "split": {"unit": "U", "boxes": 12, "serials": ["00000017", "00000028"]},
    "shrink": {"goods": [{"lot": "L", "quantity": 234567.891}], "reason": "spoiled", "place": "S"},
}  # fmt: skip


@pytest.mark.parametrize("kind", SAID)
def test_what_was_recorded_is_put_right_on_the_form_it_was_said_on(kind: str) -> None:
    asks = SHEETS[kind]
    assert said(read_act(kind, fields_of(asks, from_said(asks, SAID[kind])))) == SAID[kind]
    assert correctable(_past(kind, SAID[kind]))


def test_what_no_form_here_can_say_is_not_put_right_here() -> None:
    """A program says more than a page: it would be lost on the way."""
    mix = SAID["mix"]
    for kind, asked in (
        ("mix", {**mix, "outputs": [{"product": "P", "kg": 40.0}]}),
        ("mix", {**mix, "outputs": [{"product": "P", "boxes": n} for n in (1, 2, 3)]}),
        ("load", {**SAID["load"], "pulp": [1.0, 2.0, 3.0, 4.0]}),
        ("weigh_in", {**SAID["weigh_in"], "probe": "T-9"}),
        ("accept", {"units": ["U"], "place": "S", "seller": "x"}),
    ):
        assert not correctable(_past(kind, asked)), (kind, asked)


def _past(kind: str, asked: dict[str, object]) -> PastAct:
    return PastAct(uuid4(), kind, datetime(2026, 6, 18, tzinfo=UTC), None, (), {"asked": asked}, None)


def test_a_lot_goes_on_the_list_unless_its_unit_does() -> None:
    store = SHEETS["store"]
    assert from_query(store, {"lot": "L"}).goods["goods"] == (Taken("L", ""),)
    both = from_query(store, {"lot": "L", "unit": "U"})
    assert both.goods["goods"] == () and both.many["units"] == ("U",)


def test_units_are_ticked_once() -> None:
    units = Ask("units", "units", required=True)
    typed = added(
        from_form([units], sent(("units", "U1"), ("units", "U1"), ("units.code", "U2"))), units, "U1"
    )
    assert typed.many["units"] == ("U1",) and waiting(typed, units) == ""
