from __future__ import annotations

import pytest

from trace_api.recalls.shares import Went, shares


def test_a_mix_has_the_share_of_its_inputs_by_weight_and_so_has_what_is_made_of_it() -> None:
    went = [
        Went("mix", "A", 30.0, 30.0, ("M",)),
        Went("mix", "B", 90.0, None, ("M",)),
        Went("again", "M", 10.0, 10.0, ("N",)),
        Went("again", "C", 10.0, None, ("N",)),
    ]
    for said in (went, went[::-1]):
        assert shares(said, ["A"]) == {"A": 1.0, "M": 0.25, "N": 0.125}


def test_only_what_is_recalled_of_an_input_counts_and_no_more_than_went_in() -> None:
    assert shares([Went("mix", "A", 40.0, 10.0, ("M",))], ["A"])["M"] == 0.25
    assert shares([Went("mix", "A", 40.0, 50.0, ("M",))], ["A"])["M"] == 1.0


@pytest.mark.parametrize(
    "went",
    [
        [Went("mix", "A", 30.0, 30.0, ("M",)), Went("mix", "B", None, None, ("M",))],
        [Went("mix", "A", 0.0, 0.0, ("M",))],
    ],
)
def test_a_weight_that_is_not_known_leaves_the_share_unknown(went: list[Went]) -> None:
    assert shares(went, ["A"])["M"] is None


def test_what_an_unknown_share_went_into_is_unknown_too() -> None:
    went = [Went("mix", "A", None, None, ("M",)), Went("again", "M", 10.0, 10.0, ("N",))]
    assert shares(went, ["A"]) == {"A": 1.0, "M": None, "N": None}


def test_a_lot_of_several_runs_has_the_share_of_all_of_them() -> None:
    went = [
        Went("monday", "A", 30.0, 30.0, ("M",)),
        Went("tuesday", "A", 10.0, 10.0, ("M",)),
        Went("tuesday", "B", 60.0, None, ("M",)),
    ]
    assert shares(went, ["A"])["M"] == 0.4
    assert shares(went[::-1], ["A"])["M"] == 0.4


def test_runs_that_use_what_they_make_end() -> None:
    went = [
        Went("one", "A", 10.0, 10.0, ("M",)),
        Went("one", "N", 10.0, 10.0, ("M",)),
        Went("two", "M", 10.0, 10.0, ("N",)),
        Went("self", "S", 10.0, 10.0, ("S",)),
    ]
    found = shares(went, ["A"])
    assert set(found) == {"A", "M", "N", "S"}


def test_a_seed_that_was_made_of_others_is_recalled_by_itself() -> None:
    assert shares([Went("mix", "A", 30.0, 3.0, ("M",))], ["A", "M"])["M"] == 1.0
