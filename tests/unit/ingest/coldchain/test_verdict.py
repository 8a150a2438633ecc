"""Verdicts: what is sure, what is not, and words that say no more than was measured."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.coldchain.exposure import expose
from ingest.coldchain.limits import FORCES, Limit
from ingest.coldchain.timeline import Leg, band, journey
from ingest.coldchain.verdict import Verdict, VerdictError, decide
from tests.unit.ingest.coldchain.cases import MINUTE, a_leg, a_limit, a_sensor, every_minute, series, shipped
from tests.unit.ingest.coldchain.reference import slow_band

LIMIT = a_limit()


def judge(*legs: Leg, limits: tuple[Limit, ...] = (LIMIT,), accuracy_c: float = 0.5) -> Verdict:
    return decide(expose(legs), limits, accuracy_c)


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons]


# --- sure ---------------------------------------------------------------------------------------------


def test_cold_throughout_is_compliant() -> None:
    found = judge(a_leg(0, 600, a_sensor(every_minute((0, 600, 3.0)))))
    assert (found.state, found.minutes_at_least, found.minutes_at_most) == ("compliant", 0, 0)
    assert codes(found) == ["within_limit"]
    assert found.headline.zh == "测得的时段内未超过约定温度"
    assert found.headline.en == "Not above the agreed temperature in the time measured"
    assert found.way_out is None


def test_warm_for_longer_than_the_hold_is_a_breach() -> None:
    found = judge(a_leg(0, 60, a_sensor(every_minute((0, 10, 4.0), (10, 45, 6.5), (45, 60, 4.0)))))
    assert (found.state, found.minutes_at_least, found.minutes_at_most) == ("breach", 34, 36)
    assert (codes(found), found.limit) == (["over_limit"], LIMIT)
    assert found.reasons[0].numbers == {"minutes_at_least": 34, "minutes_allowed": 30, "limit_c": 5}


def test_a_short_warm_spell_is_compliant_and_says_so() -> None:
    found = judge(a_leg(0, 60, a_sensor(every_minute((0, 10, 4.0), (10, 30, 6.5), (30, 60, 4.0)))))
    assert (found.state, codes(found)) == ("compliant", ["exceedance"])
    assert "未超过" not in found.headline.zh


def test_what_counts_is_the_longest_stretch_not_the_sum() -> None:
    spells = every_minute(
        *(
            (k * 30, k * 30 + 20, 6.5) if n else (k * 30 + 20, k * 30 + 30, 4.0)
            for k in range(10)
            for n in (1, 0)
        )
    )
    found = judge(a_leg(0, 300, a_sensor(spells)))
    assert (found.state, found.minutes_at_most) == ("compliant", 21)
    summed = a_limit(mode="cumulative")
    found = judge(a_leg(0, 300, a_sensor(spells), limits=(summed,)), limits=(summed,))
    assert (found.state, found.minutes_at_least) == ("breach", 190)


def test_no_rule_asks_for_cold() -> None:
    for found in (judge(a_leg(0, 60, limits=())), judge(a_leg(0, 60), limits=()), judge()):
        assert (found.state, codes(found), found.limit) == ("not_applicable", ["no_limit"], None)


def test_without_a_hold_one_reading_is_enough() -> None:
    at_once = a_limit(minutes=0)
    warm = series(*((minute, 6.0 if minute == 30 else 4.0) for minute in range(60)))
    found = judge(a_leg(0, 60, a_sensor(warm), limits=(at_once,)), limits=(at_once,))
    assert (found.state, found.minutes_at_least) == ("breach", 0)
    cold = judge(a_leg(0, 60, a_sensor(every_minute((0, 60, 4.0))), limits=(at_once,)), limits=(at_once,))
    assert cold.state == "compliant"


def test_too_cold_is_judged_like_too_warm() -> None:
    low = a_limit(id="low", side="below", operator="<", limit_c=0.0)
    frozen = a_leg(0, 60, a_sensor(every_minute((0, 60, -2.0))), limits=(LIMIT, low))
    found = judge(frozen, limits=(LIMIT, low))
    assert (found.state, found.limit) == ("breach", low)
    assert [one.state for one in found.by_limit] == ["breach", "compliant"]
    assert found.headline.zh == "测得的温度低于约定温度，时间过长"


# --- unknown ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "state"), [(20, "compliant"), (28, "compliant"), (29, "indeterminate"), (600, "indeterminate")]
)
def test_a_gap_shorter_than_the_hold_is_no_doubt(gap: int, state: str) -> None:
    found = judge(a_leg(0, 700, a_sensor(every_minute((0, 30, 3.0), (30 + gap, 700, 3.0)))))
    assert found.state == state
    assert codes(found) == (["unobserved"] if state == "indeterminate" else ["within_limit", "unobserved"])


def test_short_gaps_do_not_add_up() -> None:
    tunnels = every_minute(*((k * 60, k * 60 + 40, 3.0) for k in range(10)))
    assert judge(a_leg(0, 600, a_sensor(tunnels))).state == "compliant"


def test_ten_hours_of_silence_are_not_compliant() -> None:
    found = judge(a_leg(0, 700, a_sensor(every_minute((0, 100, 3.0)))))
    assert (found.state, found.minutes_at_least, found.minutes_at_most) == ("indeterminate", 0, 601)
    assert found.way_out is not None
    assert found.way_out.code == "upload_now"


def test_what_nobody_measured_is_never_compliant_however_short() -> None:
    for minutes in (10, 600):
        found = judge(a_leg(0, minutes))
        assert (found.state, codes(found)) == ("indeterminate", ["never_measured"])
        assert found.way_out is not None
        assert found.way_out.code == "measure_boxes"


def test_an_upload_is_not_asked_of_a_place_without_a_device() -> None:
    cold = a_sensor(every_minute((0, 100, 3.0)))
    found = judge(a_leg(0, 100, cold), a_leg(100, 200, place="yard"))
    assert found.way_out is not None
    assert (found.state, found.way_out.code) == ("indeterminate", "measure_boxes")


def test_a_gap_next_to_a_warm_spell_may_hide_the_rest() -> None:
    found = judge(a_leg(0, 120, a_sensor(every_minute((0, 20, 3.0), (20, 36, 6.5), (56, 120, 3.0)))))
    assert (found.state, found.minutes_at_least, found.minutes_at_most) == ("indeterminate", 15, 37)


def test_a_lone_warm_reading_between_gaps_is_not_passed_over() -> None:
    found = judge(
        a_leg(
            0,
            60,
            a_sensor(series(*((m, 3.0) for m in range(20)), (30, 9.0), *((m, 3.0) for m in range(40, 60)))),
        )
    )
    assert (found.state, codes(found)) == ("compliant", ["exceedance", "unobserved"])
    assert "未超过" not in found.headline.zh


def test_a_lost_message_does_not_excuse_a_broken_cooling() -> None:
    warm = every_minute((0, 20, 9.0), (24, 44, 9.0), (48, 68, 9.0))
    found = judge(a_leg(0, 68, a_sensor(warm)))
    assert (found.state, found.minutes_at_least) == ("breach", 57)


def test_unknown_minutes_are_no_breach() -> None:
    found = judge(a_leg(0, 400, a_sensor(every_minute((0, 20, 9.0), (300, 320, 9.0), (320, 400, 3.0)))))
    assert (found.state, found.minutes_at_least) == ("indeterminate", 19)


# --- accuracy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "accuracy_c", "state"),
    [
        (5.6, 0.5, "breach"),
        (5.5, 0.5, "indeterminate"),
        (4.6, 0.5, "indeterminate"),
        (4.5, 0.5, "compliant"),
        (5.1, 0.0, "breach"),
        (5.0, 0.0, "compliant"),
    ],
)
def test_accuracy_favours_the_judged_for_breach_and_not_for_compliance(
    value: float, accuracy_c: float, state: str
) -> None:
    found = judge(
        a_leg(0, 60, a_sensor(every_minute((0, 60, value)), accuracy_c=None)), accuracy_c=accuracy_c
    )
    assert found.state == state
    if state == "indeterminate":
        assert "near_limit" in codes(found)
        assert found.way_out is not None
        assert found.way_out.code == "measure_boxes"


def test_a_sensors_own_accuracy_and_the_rules_guard_band_count() -> None:
    warm = every_minute((0, 60, 5.4))
    assert judge(a_leg(0, 60, a_sensor(warm, accuracy_c=0.3))).state == "breach"
    guarded = a_limit(guard_band_c=0.2)
    leg = a_leg(0, 60, a_sensor(warm, accuracy_c=0.3), limits=(guarded,))
    assert judge(leg, limits=(guarded,)).state == "indeterminate"


def test_a_spell_about_as_long_as_the_allowance_cannot_be_told() -> None:
    found = judge(a_leg(0, 60, a_sensor(every_minute((0, 10, 3.0), (10, 40, 9.0), (40, 60, 3.0)))))
    assert (found.state, found.minutes_at_least, found.minutes_at_most) == ("indeterminate", 29, 31)
    assert codes(found) == ["exceedance", "near_allowance"]


def test_an_accuracy_below_zero_is_refused() -> None:
    with pytest.raises(VerdictError):
        judge(a_leg(0, 60), accuracy_c=-1)


# --- legs and sensors ---------------------------------------------------------------------------------


def test_two_halves_of_25_minutes_do_not_beat_a_30_minute_rule() -> None:
    first = a_sensor(every_minute((0, 25, 3.0), (25, 50, 9.0)), "a", since=0, until=50)
    second = a_sensor(every_minute((50, 75, 9.0), (75, 100, 3.0)), "b", since=50, until=100)
    found = judge(a_leg(0, 50, first), a_leg(50, 100, second, place="market", holder="market"))
    assert (found.state, found.minutes_at_least) == ("breach", 48)
    assert [leg.limits[0].minutes_out_at_least for leg in expose([a_leg(0, 50, first)]).legs] == [24]


def test_a_stretch_goes_on_across_a_leg_nobody_measured_if_that_is_short() -> None:
    first = a_sensor(every_minute((0, 25, 9.0)), "a")
    for pause, state in ((10, "breach"), (200, "indeterminate")):
        second = a_sensor(every_minute((25 + pause, 50 + pause, 9.0), (50 + pause, 90 + pause, 3.0)), "b")
        found = judge(a_leg(0, 25, first), a_leg(25, 25 + pause), a_leg(25 + pause, 90 + pause, second))
        assert found.state == state


def test_a_leg_in_range_ends_a_stretch() -> None:
    warm, cold = a_sensor(every_minute((0, 100, 9.0)), "a"), a_sensor(every_minute((0, 100, 3.0)), "b")
    found = judge(a_leg(0, 25, warm), a_leg(25, 30, cold), a_leg(30, 55, warm))
    assert (found.state, found.minutes_at_least) == ("compliant", 24)


def test_a_leg_without_the_limit_ends_a_stretch() -> None:
    warm = a_sensor(every_minute((0, 100, 9.0)))
    found = judge(a_leg(0, 25, warm), a_leg(25, 50, warm, limits=()), a_leg(50, 75, warm))
    assert (found.state, found.minutes_at_least) == ("compliant", 24)


def test_two_sensors_warm_one_after_the_other_do_not_add_up_to_a_breach() -> None:
    a = a_sensor(every_minute((0, 20, 6.5), (20, 60, 3.0)), "a")
    b = a_sensor(every_minute((0, 20, 3.0), (20, 40, 6.5), (40, 60, 3.0)), "b")
    found = judge(a_leg(0, 60, a, b))
    assert (found.state, found.minutes_at_least) == ("indeterminate", 19)


def test_the_worst_sensor_decides_and_disagreement_is_said() -> None:
    a = a_sensor(every_minute((0, 60, 3.0)), "a")
    b = a_sensor(every_minute((0, 60, 9.0)), "b")
    found = judge(a_leg(0, 60, a, b))
    assert (found.state, codes(found)) == ("breach", ["over_limit", "sensors_disagree"])


def test_the_same_sensor_in_two_legs_saw_what_was_between_its_readings() -> None:
    sensor = a_sensor(every_minute((0, 31, 9.0), (31, 60, 3.0)))
    found = judge(*(a_leg(a, b, sensor) for a, b in ((0, 10), (10, 20), (20, 60))))
    assert (found.state, found.minutes_at_least) == ("breach", 30)


# --- properties ---------------------------------------------------------------------------------------

truths = st.lists(
    st.tuples(st.integers(1, 25), st.sampled_from([2.0, 4.4, 4.8, 5.2, 5.6, 9.0])), min_size=1, max_size=10
)
short_limits = st.builds(
    a_limit, mode=st.sampled_from(["consecutive", "cumulative"]), minutes=st.sampled_from([4, 10, 20])
)


def dense(truth: list[tuple[int, float]]) -> np.ndarray:
    return np.concatenate([np.full(minutes, value) for minutes, value in truth])


def seen(values: np.ndarray, which: np.ndarray, limit: Limit, cuts: list[int]) -> tuple[Leg, ...]:
    minutes = np.flatnonzero(which)
    sensor = a_sensor((minutes * MINUTE, values[minutes]), accuracy_c=None, since=0, until=values.size)
    edges = sorted({0, values.size, *(at for at in cuts if at < values.size)})
    return tuple(a_leg(a, b, sensor, limits=(limit,)) for a, b in pairwise(edges))


@settings(max_examples=200, deadline=None)
@given(truths, short_limits, st.data())
def test_no_gap_and_no_error_of_a_sensor_makes_warm_goods_compliant(
    truth: list[tuple[int, float]], limit: Limit, data: st.DataObject
) -> None:
    values = dense(truth)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    noisy = values + rng.uniform(-0.5, 0.5, values.size)
    which = rng.random(values.size) < data.draw(st.sampled_from([0.3, 0.9, 1.0]))
    complete = band(journey(seen(values, np.ones_like(which), limit, [])), limit, 0.0)
    found = judge(*seen(noisy, which, limit, []), limits=(limit,))
    if found.state == "compliant":
        assert complete.at_least_ms < limit.hold_ms


@settings(max_examples=200, deadline=None)
@given(truths, short_limits, st.integers(0, 2**32))
def test_no_error_of_a_sensor_makes_cold_goods_a_breach(
    truth: list[tuple[int, float]], limit: Limit, seed: int
) -> None:
    values = dense(truth)
    noisy = values + np.random.default_rng(seed).uniform(-0.5, 0.5, values.size)
    everything = np.ones(values.size, dtype=np.bool_)
    if judge(*seen(noisy, everything, limit, []), limits=(limit,)).state == "breach":
        assert band(journey(seen(values, everything, limit, [])), limit, 0.0).at_least_ms >= limit.hold_ms


@settings(max_examples=200, deadline=None)
@given(truths, short_limits, st.lists(st.integers(1, 200), max_size=4), st.integers(0, 2**32))
def test_handing_over_changes_no_verdict(
    truth: list[tuple[int, float]], limit: Limit, cuts: list[int], seed: int
) -> None:
    values = dense(truth)
    which = np.random.default_rng(seed).random(values.size) < 0.7
    whole, parts = (band(journey(seen(values, which, limit, at)), limit, 0.3) for at in ([], cuts))
    assert whole == parts


@settings(max_examples=300, deadline=None)
@given(truths, short_limits, st.integers(0, 2**32), st.sampled_from([0.2, 0.6, 0.95]), st.integers(1, 4))
def test_fast_is_plain(
    truth: list[tuple[int, float]], limit: Limit, seed: int, share: float, interval: int
) -> None:
    values = dense(truth)
    minutes = np.flatnonzero(np.random.default_rng(seed).random(values.size) < share)
    readings = [(int(minute), float(values[minute])) for minute in minutes]
    leg = a_leg(
        0, values.size, a_sensor(series(*readings), accuracy_c=0.3, interval=interval), limits=(limit,)
    )
    got = band(journey([leg]), limit, None), band(journey([leg]), limit, 0.5)
    for found, accuracy_c in zip(got, (0.0, 0.3), strict=True):
        want = slow_band(readings, values.size, limit, interval, accuracy_c)
        assert (found.at_least_ms / MINUTE, found.at_most_ms / MINUTE) == want


# --- words --------------------------------------------------------------------------------------------


def every_text(found: Verdict) -> Iterator[str]:
    texts = [found.headline, found.detail, *(reason.text for reason in found.reasons)]
    texts += [] if found.way_out is None else [found.way_out.text]
    for text in texts:
        yield text.zh
        yield text.en.lower()


@pytest.mark.parametrize("force", FORCES)
@pytest.mark.parametrize("mode", ["consecutive", "cumulative"])
@pytest.mark.parametrize("minutes", [0, 30, 60])
def test_words_promise_nothing_and_accuse_nobody(force: str, mode: str, minutes: int) -> None:
    limit = a_limit(
        force=force, mode=mode, minutes=minutes or (1 if mode == "cumulative" else 0), verified=False
    )
    for value in (3.0, 4.8, 9.0, None):
        sensors = () if value is None else (a_sensor(every_minute((0, 100, value)), accuracy_c=None),)
        found = judge(a_leg(0, 200, *sensors, limits=(limit,)), limits=(limit,))
        words = list(every_text(found))
        assert all(words)
        for said in words:
            assert not any(
                word in said for word in ("安全", "safe", "违法", "违规", "unlawful", "illegal", "合格")
            )
            assert "{" not in said
        assert "limit_unverified" in codes(found)


def test_the_shipped_limit_speaks_to_a_shopper() -> None:
    limit = shipped("yangmei-upper-5c")
    found = judge(a_leg(0, 200, a_sensor(every_minute((0, 100, 3.0))), limits=(limit,)), limits=(limit,))
    assert found.headline.zh == "现有记录还不能判断是否超过约定温度"
    assert found.detail.zh == (
        "依据：运单约定的 5 °C 上限，需要低温的 3 小时 20 分钟中测到 1 小时 39 分钟，"
        "没有测到的时段不作判断，请让记录仪现在上传数据。"
    )
    assert found.detail.en == (
        "By the upper limit of 5 °C agreed on the waybill; measured 1 h 39 min of the 3 h 20 min for which "
        "it holds; what was not measured is not judged; ask the logger to upload now."
    )
