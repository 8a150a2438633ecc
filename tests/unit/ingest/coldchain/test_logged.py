"""A logger judged by itself: against a slow plain judge, and against what real devices found themselves."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.coldchain.limits import LimitError
from ingest.coldchain.logged import Logged, Rules, judge, parse_rules, perhaps_fahrenheit
from ingest.exports.exported import Export
from ingest.exports.reading import read
from tests.unit.ingest.coldchain.cases import MINUTE
from tests.vectors import count_vectors, vector_path


def a_rule(name: str = "hot", **changes: Any) -> dict[str, Any]:
    fields = {
        "id": name,
        "side": "above",
        "limit_c": 8.0,
        "operator": ">",
        "mode": "consecutive",
        "minutes": 30,
    }
    return fields | changes


def rules(*limits: dict[str, Any], **said: Any) -> Rules:
    return parse_rules({"limits": list(limits), **said}, "rules.json")


def judged(values: list[float | None], by: Rules, step: float = 10) -> Logged:
    time_ms = np.arange(len(values), dtype=np.int64) * round(step * MINUTE)
    return judge(time_ms, np.array([np.nan if value is None else value for value in values]), by)


# --- a plain judge -----------------------------------------------------------------------------------------------


def plain_verdict(values: list[float | None], step: int, limit_c: float, minutes: int, expected: int) -> str:
    """One upper limit, consecutive: minutes beyond for certain, and at most, one row after the other."""
    readings = [(at * step, value) for at, value in enumerate(values) if value is not None]
    failed = [at * step for at, value in enumerate(values) if value is None]
    end = (len(values) - 1) * step
    times = [0, *(time for time, _ in readings), end]
    at_least = at_least_now = at_most = at_most_now = 0
    any_out = any(value > limit_c for _, value in readings)
    for k, (a, b) in enumerate(pairwise(times)):
        ends = [readings[at][1] for at in (k - 1, k) if 0 <= at < len(readings)]
        unknown = not readings or b - a > 2 * expected or any(a <= moment <= b for moment in failed)
        both_out = len(ends) == 2 and all(value > limit_c for value in ends)
        if b > a and (unknown or any(value > limit_c for value in ends)):
            at_most_now += b - a
        elif b > a:
            at_most_now = 0
        at_most = max(at_most, at_most_now)
        if both_out and not unknown:
            at_least_now += b - a
        elif not (both_out and b - a < minutes):
            at_least_now = 0
        at_least = max(at_least, at_least_now)
    if any_out and at_least >= minutes:
        return "breach"
    return "compliant" if readings and at_most < minutes else "indeterminate"


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.sampled_from([3.0, 5.0, 5.1, 9.0])), min_size=2, max_size=40),
    st.sampled_from([5, 10, 25]),
    st.sampled_from([1, 20, 45]),
    st.sampled_from([5, 10]),
)
def test_the_verdict_is_that_of_a_plain_judge(
    values: list[float | None], step: int, minutes: int, expected: int
) -> None:
    by = rules(a_rule(limit_c=5.0, minutes=minutes), expected_interval_minutes=expected)
    found = judged(values, by, step)
    assert found.verdict.state == plain_verdict(values, step, 5.0, minutes, expected)
    assert found.minutes_observed + found.minutes_unobserved == (len(values) - 1) * step
    assert found.readings == len([value for value in values if value is not None])
    assert bool(found.excursions) == (found.verdict.state == "breach")


# --- what is said of one series --------------------------------------------------------------------------------------


def test_a_silence_of_ten_hours_is_not_compliant() -> None:
    found = judged([5.0] * 10 + [None] * 60 + [5.0] * 10, rules(a_rule()))
    assert found.verdict.state == "indeterminate"
    assert (found.minutes_observed, found.minutes_unobserved) == (180.0, 610.0)


def test_one_missing_row_is_unknown() -> None:
    found = judged([5.0, None, 5.0, 5.0], rules(a_rule()))
    assert (found.minutes_observed, found.minutes_unobserved, found.verdict.state) == (
        10.0,
        20.0,
        "compliant",
    )
    assert judged([5.0, None, 5.0, 5.0], rules(a_rule(minutes=20))).verdict.state == "indeterminate"


def test_what_ends_out_of_range_has_no_end_and_may_have_begun_before_the_first_reading() -> None:
    (found,) = judged([None, None, 9.0, 9.0, 9.0, 9.0], rules(a_rule())).excursions
    assert (found.run.end_ms, found.run.closed_by) == (None, None)
    assert (found.run.minutes_at_least, found.run.minutes_at_most) == (30.0, 50.0)


def test_without_limits_none_applies() -> None:
    assert judged([5.0, 5.0], rules()).verdict.state == "not_applicable"


def test_without_a_reading_one_cannot_tell() -> None:
    found = judged([None, None, None], rules(a_rule()))
    assert (found.verdict.state, found.min_c, found.mean_c, found.mean_kinetic_c) == (
        "indeterminate",
        None,
        None,
        None,
    )


def test_accuracy_is_in_favour_of_whoever_is_judged_for_a_breach_and_against_for_compliance() -> None:
    near = [8.3] * 10
    assert judged(near, rules(a_rule())).verdict.state == "breach"
    assert judged(near, rules(a_rule(), accuracy_c=0.5)).verdict.state == "indeterminate"
    assert judged([7.8] * 10, rules(a_rule(guard_band_c=0.5))).verdict.state == "indeterminate"
    assert judged([7.8] * 10, rules(a_rule())).verdict.state == "compliant"


def test_the_interval_of_the_rules_comes_before_the_usual_step() -> None:
    assert judged([5.0] * 5, rules(a_rule()), step=60).minutes_unobserved == 0
    found = judged([5.0] * 5, rules(a_rule(), expected_interval_minutes=15), step=60)
    assert (found.minutes_unobserved, found.verdict.state) == (240.0, "indeterminate")


def test_a_fridge_at_39_is_probably_fahrenheit() -> None:
    by = rules(a_rule(), a_rule("cold", side="below", limit_c=2.0, operator="<")).limits
    assert perhaps_fahrenheit(np.array([39.0, 40.0, 38.5]), by)
    assert not perhaps_fahrenheit(np.array([3.0, 4.0, 39.0]), by), "it warmed up"
    assert not perhaps_fahrenheit(np.array([31.0, 85.0, 90.0]), by), "nor is it cold in °F"
    assert not perhaps_fahrenheit(np.array([np.nan]), by)


# --- the rules' file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([], 'an object with a list "limits"'),
        ({"limits": [5]}, "limit 1 is an object"),
        ({"limits": [a_rule() | {"minuts": 3}]}, "'minuts' is not known, 'minutes' is"),
        ({"limits": [{"id": "x"}]}, "limit 1: 'limit_c' is missing"),
        ({"limits": [a_rule(side="below")]}, "contradict each other"),
        ({"limits": [a_rule(), a_rule()]}, "given twice"),
        ({"limits": [a_rule(limit_c=2.0), a_rule("cold", side="below", operator="<", limit_c=8.0)]}, "leave no temperature allowed"),
        ({"limits": [a_rule()], "expected_interval_minutes": 0}, "'expected_interval_minutes' is 0.001 or more"),
        ({"limits": [a_rule()], "accuracy_c": -1}, "'accuracy_c' is 0 or more"),
        ({"limits": [a_rule()], "activation_energy_kj_per_mol": "x"}, "'activation_energy_kj_per_mol' is a number"),
        ({"limits": [a_rule(mode="sometimes")]}, "'mode' has 'sometimes'"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_used_say_why(said: Any, named: str) -> None:
    with pytest.raises(LimitError) as caught:
        parse_rules(said, "rules.json")
    assert named in str(caught.value)


def test_fields_that_are_nobodys_are_passed_over() -> None:
    assert rules(a_rule() | {"colour": "red"}, comment="for the van").limits[0].limit_c == 8.0


# --- real devices ----------------------------------------------------------------------------------------------------


def exported(pattern: str) -> Export:
    return read(next(vector_path("coldchain").glob(pattern)).read_bytes())


def moment(export: Export, time_ms: int | None) -> datetime | None:
    if time_ms is None:
        return None
    return datetime.fromisoformat(export.line.written(int(np.searchsorted(export.line.time_ms, time_ms))))


def test_the_alarms_of_a_q_tag_within_one_log_interval() -> None:
    (trace,) = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))[
        "device_alarm_traces"
    ]
    export = exported("qtag/*.txt")
    limits = [
        a_rule(
            rule["type"],
            side="above" if rule["type"].endswith("high") else "below",
            operator=">" if rule["type"].endswith("high") else "<",
            limit_c=rule["limit_c"],
            mode="cumulative" if rule["type"].startswith("cumulative") else "consecutive",
            minutes=rule["trigger_min"],
        )
        for rule in trace["rules"]
    ]
    found = judge(export.line.time_ms, export.columns[0].value_c, rules(*limits), export.interval_ms)
    results = trace["device_results"]
    # The first alarm of each kind; of dips that the log shows for 20 minutes a device that measures each minute may see 30.
    alarms = {
        "single_event_high": results["high_single"][0] | {"first_out": results["high_single"][0]["start"]},
        "cumulative_high": results["high_cumulative"],
        "cumulative_low": results["low_cumulative"],
        "single_event_low": results["low_single"][0] | {"first_out": results["low_single"][0]["start"]},
    }
    for name, alarm in alarms.items():
        first = next(each.run for each in found.excursions if each.limit.id == name)
        for at, told in ((first.start_ms, alarm["first_out"]), (first.trigger_ms, alarm["trigger"])):
            got = moment(export, at)
            assert got is not None
            assert abs(got - datetime.fromisoformat(told)) <= timedelta(minutes=10), name
        assert first.minutes_at_least - 10 <= alarm["minutes"] <= first.minutes_at_most + 10
        count_vectors()
    assert [each.run.end_ms for each in found.excursions if each.limit.side == "above"] == [None, None]


def test_means_within_what_the_device_leaves_off() -> None:
    told = json.loads(vector_path("coldchain/vectors.json").read_text(encoding="utf-8"))["mkt"][0]
    export = exported("qtag/*.txt")
    by = Rules((), activation_energy_kj_per_mol=export.activation_energy_kj_per_mol)
    found = judge(export.line.time_ms, export.columns[0].value_c, by, export.interval_ms)
    for got, device in (
        (found.mean_kinetic_c, told["published_mkt_c"]),
        (found.mean_c, told["published_mean_c"]),
    ):
        assert got is not None
        assert 0 <= got - device < 0.1
        count_vectors()
    assert (found.min_c, found.max_c) == (told["published_min_c"], told["published_max_c"])


def test_rows_without_a_reading_are_unknown() -> None:
    export = exported("fridgetag/*.txt")
    by = rules(a_rule(limit_c=-60.0, minutes=60))
    found = judge(export.line.time_ms, export.columns[0].value_c, by, export.interval_ms)
    assert (found.readings, found.minutes_unobserved, found.verdict.state) == (835, 30.0, "breach")
    (run,) = (each.run for each in found.excursions)
    assert (moment(export, run.start_ms), run.end_ms) == (datetime(2023, 4, 17, 16, 21), None)
    assert (run.minutes_at_least, run.minutes_at_most) == (4170.0, 4200.0)
    count_vectors(6)
