from __future__ import annotations

from ledger.genealogy import Origin, origins, replay
from tests.unit.ledger.genealogy.said import PACKHOUSE, PLOT, STALL, fruit, lot, made, mixed, seen, some


def test_a_lot_is_of_all_that_went_into_it() -> None:
    first, second, mix, again = fruit("P01"), fruit("P02"), lot("A"), lot("B")
    found = origins(
        replay(
            [
                made(0, first, 10, "KGM", PLOT),
                made(1, first, 5, "KGM", PACKHOUSE),
                mixed(5, [some(first, 15, "KGM"), some(second, 5, "KGM")], [some(mix, 8)]),
                mixed(9, [some(mix, 8)], [some(again, 8)], where=STALL),
            ]
        )
    )
    picked = {(first, PLOT), (first, PACKHOUSE), (second, None)}
    assert {(each.source, each.place) for each in found if each.lot == again} == {
        *picked,
        (mix, None),
        (again, None),
    }
    assert {(each.source, each.place) for each in found if each.lot == mix} == {*picked, (mix, None)}
    assert {each for each in found if each.lot == second} == {Origin(second, second, None)}


def test_what_was_only_seen_comes_from_nowhere_known() -> None:
    found = origins(replay([seen(0, "receiving", some(lot("A"), 4), where=STALL)]))
    assert found == {Origin(lot("A"), lot("A"), None)}


def test_a_lot_that_went_into_itself_ends() -> None:
    found = origins(replay([mixed(0, [some(lot("A"), 4)], [some(lot("A"), 4)])]))
    assert found == {Origin(lot("A"), lot("A"), None)}
