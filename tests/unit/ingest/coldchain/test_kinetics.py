"""Mean kinetic temperature against a device's own figure, controls, and its own laws."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coldchain.kinetics import KineticsError, mean_kinetic_temperature
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
