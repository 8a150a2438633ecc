"""Mean kinetic temperature against a device's own figure, controls, and its own laws; Q10 against a handbook's table."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coldchain.kinetics import Q10, KineticsError, life_left, mean_kinetic_temperature
from tests.vectors import count_vectors, vector_path

temperatures = st.lists(st.floats(-40, 60), min_size=1, max_size=30)


def test_vectors() -> None:
    for case in json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["mkt"]:
        got = mean_kinetic_temperature(
            case["readings_c"], case.get("weights"), case["dH_kJ_mol"], case["R"] / 1000
        )
        assert got == pytest.approx(case["computed_mkt_c"], abs=1e-6), case["id"]
        if case["published_mkt_c"] is not None:
            # The device cuts its figure off after the first decimal (known defect 7); it does not round.
            assert np.floor(got * 10) / 10 == case["published_mkt_c"], case["id"]
            convention = mean_kinetic_temperature(case["readings_c"])
            assert convention == pytest.approx(case["computed_mkt_83_144_c"], abs=1e-3)
        count_vectors()


@given(temperatures)
def test_lies_between_the_mean_and_the_maximum(values: list[float]) -> None:
    mean_kinetic = mean_kinetic_temperature(values)
    assert np.mean(values) - 1e-9 <= mean_kinetic <= max(values) + 1e-9


@given(temperatures, temperatures)
def test_means_of_parts_combine(a: list[float], b: list[float]) -> None:
    parts = [mean_kinetic_temperature(a), mean_kinetic_temperature(b)]
    assert mean_kinetic_temperature(parts, [len(a), len(b)]) == pytest.approx(
        mean_kinetic_temperature(a + b), abs=1e-9
    )


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ([], None),
        ([5.0], [0.0]),
        ([5.0, 6.0], [1.0]),
        ([5.0], [-1.0]),
        ([-300.0], None),
        ([float("nan")], None),
    ],
)
def test_no_mean_is_made_up(values: list[float], weights: list[float] | None) -> None:
    with pytest.raises(KineticsError):
        mean_kinetic_temperature(values, weights)


def test_an_activation_energy_of_nothing_is_refused() -> None:
    with pytest.raises(KineticsError):
        mean_kinetic_temperature([5.0], activation_energy_kj_per_mol=0.0)


# --- Q10 and the life that is left ---------------------------------------------------------------------------------------


def handbook() -> dict[str, Any]:
    tables = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["q10"]
    return next(table for table in tables if table["id"] == "hb66-table")


def test_the_handbooks_table() -> None:
    table = handbook()
    rates = Q10(table["t_c"], table["q10_between"]).rate(table["t_c"], 0.0)
    assert rates.tolist() == pytest.approx(table["published_relative_rate"])
    assert [round(100 / rate) for rate in rates] == table["published_relative_life"]
    count_vectors(len(rates))


def test_the_handbooks_text() -> None:
    tables = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["q10"]
    text = next(each for each in tables if each["id"] == "hb66-text")
    table = handbook()
    q10 = Q10(table["t_c"], table["q10_between"])
    life_days, at_c = text["given"]["life_days"], text["given"]["at_c"]
    for other_c, computed in text["computed"].items():
        assert life_days / float(q10.rate([float(other_c)], at_c)[0]) == pytest.approx(computed)
        count_vectors()


def test_beyond_the_table_the_nearest_factor_goes_on() -> None:
    q10 = Q10([0, 10, 20], [3.0, 2.0])
    assert q10.rate([-10, 30], 0.0).tolist() == pytest.approx([1 / 3, 3.0 * 2.0 * 2.0])


@given(st.lists(st.floats(-30, 50), min_size=2, max_size=20))
def test_warmer_ages_faster_and_the_reference_at_its_own_rate(temperatures: list[float]) -> None:
    q10 = Q10([0, 10, 20, 30, 40], [3.0, 2.5, 2.0, 1.5])
    ordered = sorted(temperatures)
    rates = q10.rate(ordered, ordered[0])
    assert rates[0] == pytest.approx(1.0)
    assert all(a <= b * (1 + 1e-9) for a, b in pairwise(rates))


def test_what_is_left_of_a_life() -> None:
    q10 = Q10([0, 10], [2.0])
    day = 86_400.0
    found = life_left([0.0, 10.0], [day, day], 0.0, q10, (7.0, 9.0), 0.0)
    assert (found.used_at_least, found.used_at_most) == pytest.approx((3.0, 3.0))
    assert (found.left_at_least, found.left_at_most) == pytest.approx((4.0, 6.0))
    silent = life_left([0.0, 10.0], [day, day], day, q10, (7.0, 9.0), 0.0)
    assert (silent.used_at_least, silent.used_at_most) == pytest.approx((4.0, 5.0)), (
        "as cold or as warm as was measured"
    )
    assert (silent.left_at_least, silent.left_at_most) == pytest.approx((2.0, 5.0))
    over = life_left([30.0], [10 * day], 0.0, q10, (7.0, 9.0), 0.0)
    assert (over.left_at_least, over.left_at_most) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("bounds", "factors"),
    [([0], []), ([0, 10], [2.0, 3.0]), ([10, 0], [2.0]), ([0, 10], [0.0]), ([0, 10], [float("inf")])],
)
def test_a_table_that_is_none_is_refused(bounds: list[float], factors: list[float]) -> None:
    with pytest.raises(KineticsError):
        Q10(bounds, factors)


def test_no_life_is_left_of_nothing() -> None:
    q10 = Q10([0, 10], [2.0])
    for life, unknown in (((0.0, 1.0), 0.0), ((2.0, 1.0), 0.0), ((1.0, 2.0), -1.0)):
        with pytest.raises(KineticsError):
            life_left([1.0], [1.0], unknown, q10, life, 0.0)
