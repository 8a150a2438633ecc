"""The forms of /scan against the acts they fill: no field that no act knows, none missing that an act wants, words for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_api.acts.models import ACTS
from trace_api.scan.sheets import GROUPS, NEXT, SHEETS, Ask, Source, offered
from trace_api.scan.typed import Taken, Typed, added, fields_of, from_form, place_on_page, waiting, without
from trace_api.words import CATALOGUES, LANGUAGES, Language
from trace_api.work import Sent

AT_THE_GATE = {"inspect", "refuse_part", "accept", "sample", "rapid_test", "laboratory", "hold", "release"}
"""Acts that /check has."""


def test_every_act_has_its_form_here_or_at_the_gate() -> None:
    assert set(SHEETS) | AT_THE_GATE == set(ACTS) and not set(SHEETS) & AT_THE_GATE
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


def test_units_are_ticked_once() -> None:
    units = Ask("units", "units", required=True)
    typed = added(
        from_form([units], sent(("units", "U1"), ("units", "U1"), ("units.code", "U2"))), units, "U1"
    )
    assert typed.many["units"] == ("U1",) and waiting(typed, units) == ""
