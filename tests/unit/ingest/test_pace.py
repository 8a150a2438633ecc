"""How long a consumer rests after a step."""

from __future__ import annotations

import pytest

from ingest.jobs import CONSUMERS, PACES, Pace


def test_steps_begin_apart_and_a_long_one_is_followed_at_once() -> None:
    pace = Pace(apart_s=0.1)
    assert pace.rest_s(0.03) == pytest.approx(0.07)
    assert pace.rest_s(0.1) == pace.rest_s(3.0) == 0


def test_a_share_of_the_time_is_kept_to() -> None:
    pace = Pace(share=0.2)
    assert pace.rest_s(1.0) == pytest.approx(4.0)
    assert pace.rest_s(0.001) == pytest.approx(0.099), "and still apart"
    assert pace.rest_s(3600.0) == 60.0, "within bounds"


def test_paces_are_of_consumers() -> None:
    assert set(PACES) <= set(CONSUMERS)
