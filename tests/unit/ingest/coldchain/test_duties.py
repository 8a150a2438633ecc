"""Record duties as data: consistent, and honest about where their numbers come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ingest.coldchain.duties import KINDS, DutyError, load_duties, parse_duty

DUTIES = {duty.id: duty for duty in load_duties()}


def test_the_shipped_duties_are_of_every_kind_and_none_is_called_verified() -> None:
    assert {duty.kind for duty in DUTIES.values()} == set(KINDS)
    assert not any(duty.verified for duty in DUTIES.values()), "nobody has read the texts yet"
    assert (
        DUTIES["interval-transport"].max_interval_s == 600
        and "GB 29753" in DUTIES["interval-transport"].source
    )
    assert DUTIES["interval-storage"].basis == "recalled" and DUTIES["interval-storage"].force == "internal"
    assert DUTIES["calibration-valid"].basis == "policy"


def test_a_snapshot_is_read_back() -> None:
    for duty in DUTIES.values():
        assert parse_duty(duty.snapshot()) == duty


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verified": True}, "only what was read there"),
        ({"source": " "}, "where it stands"),
        ({"kind": "missing"}, "want one of missing_record"),
        ({"force": "strict"}, "want one of mandatory"),
        ({"place_kinds": ("ship",)}, "want one of vehicle, place"),
        ({"max_interval_s": 0}, "above 0"),
        ({"max_interval_s": None}, "'max_interval_s' is None"),
        ({"gap_factor": 2.0}, "'gap_factor' is 2.0"),
    ],
)
def test_a_duty_that_contradicts_itself_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DutyError, match=said) as caught:
        replace(DUTIES["interval-transport"], **changes)
    assert "interval-transport" in str(caught.value)


def test_a_misspelt_or_missing_field_is_refused() -> None:
    plain = DUTIES["interval-transport"].snapshot()
    with pytest.raises(DutyError, match="maks_interval_s"):
        parse_duty(plain | {"maks_interval_s": 3})
    with pytest.raises(DutyError, match="clause"):
        parse_duty({name: value for name, value in plain.items() if name != "clause"})
