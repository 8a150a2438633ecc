"""Of a leg that somebody else measured one is told minutes, extremes and what a verdict needs, and never the readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from ingest.coldchain.exposure import Exposure, expose
from ingest.coldchain.limits import Limit
from ingest.coldchain.timeline import Leg, ObservedSeries
from ingest.coldchain.verdict import decide
from ingest.registry import load_limit_versions
from tests.acceptance.instance import Instance
from tests.integration.hand_overs import (
    CHAIN_REGISTRY,
    LATER,
    NOW_MS,
    asking,
    say,
    sent_to_the_stall,
    settle,
    step,
)
from tests.integration.lines import NOW
from tests.integration.said import (
    PALLET,
    STORE,
    TRUCK,
    by_carrier,
    by_terminal,
    on_truck,
    placed,
    room,
    truck,
)
from tests.servers.databases import Database
from tests.unit.ingest.coldchain.cases import shipped
from trace_api.chain import ASKER, Chain, identify, read_chain, read_told
from trace_api.compliance import Judge, Judged


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(CHAIN_REGISTRY)
    return instance


# --- a leg that somebody else measured ------------------------------------------------------------------------------


def measured(instance: Instance, air: Sequence[float]) -> None:
    """The cooperative's store is cold; the truck's air is the carrier's own, minute by minute from the loading on."""
    instance.take(
        [
            *by_terminal(placed(13)),
            *by_carrier(on_truck(9)),
            room([2.0] * 60 * 11, 14, 1),
            truck(air, 6.2, 1),
        ],
        NOW,
    )
    sent_to_the_stall(instance)
    instance.settle(LATER)


def judged(instance: Instance, organisation: str) -> tuple[Chain, list[Judged]]:
    with asking(instance, organisation) as conn:
        chain = read_chain(conn, identify(PALLET), ASKER)
        judge = Judge(conn, chain, NOW_MS)
        return chain, [judge.judge(portion) for portion in chain.portions]


def on_the_truck(item: Judged) -> Any:
    return [leg for leg in item.exposure.legs if leg.leg.place == TRUCK]


def test_of_anothers_leg_one_is_told_minutes_extremes_and_the_verdict(instance: Instance) -> None:
    measured(instance, [2.0] * 60 + [9.0] * 45 + [2.5] * 60)
    _, (own,) = judged(instance, "carrier")
    chain, (told,) = judged(instance, "stall")
    closed = [sensor for sensors in chain.sensors.values() for sensor in sensors if not sensor.readable]
    assert {sensor.organisation for sensor in closed} == {"coop", "carrier"}
    assert [series for leg in told.exposure.legs for series in leg.leg.series] == []
    for mine, theirs in zip(on_the_truck(own), on_the_truck(told), strict=True):
        assert mine.series and not theirs.series
        assert theirs.minutes_measured == pytest.approx(mine.minutes_measured) and mine.minutes_measured > 0
        assert (theirs.min_c, theirs.max_c) == (mine.min_c, mine.max_c)
        for asked, answered in zip(mine.limits, theirs.limits, strict=True):
            assert (
                answered.minutes_out_at_least,
                answered.minutes_out_at_most,
                answered.area_c_min,
            ) == pytest.approx((asked.minutes_out_at_least, asked.minutes_out_at_most, asked.area_c_min))
    assert told.verdict.state == "breach" and told.verdict.minutes_at_least == 44


def test_a_leg_kept_cold_is_compliant_without_its_readings(instance: Instance) -> None:
    measured(instance, [2.0] * 60 * 4)
    _, (told,) = judged(instance, "stall")
    legs = on_the_truck(told)
    assert sum(leg.minutes_measured for leg in legs) == pytest.approx(sum(leg.minutes for leg in legs))
    assert all(limit.minutes_out_at_most == 0 for leg in legs for limit in leg.limits)
    states = {one.state for one in told.verdict.by_limit}
    assert states == {"indeterminate"}, "after the hand-over nobody measured"
    assert told.verdict.minutes_at_most < 4 * 60


def test_the_readings_themselves_stay_with_who_measured(instance: Instance) -> None:
    measured(instance, [2.0] * 60 * 4)
    series, other = (
        instance.one("SELECT id FROM series WHERE organisation = 'carrier'"),
        instance.one("SELECT id FROM series WHERE organisation = 'coop' AND channel = 'ambient'"),
    )
    device = instance.one("SELECT device_id FROM series WHERE id = %s", series)
    with asking(instance, "stall") as conn:
        assert conn.execute("SELECT readable FROM asker_series WHERE id = %s", [series]).fetchall() == [
            (False,)
        ]
        for call, value in (
            ("asker_readings(%s, '-infinity', 'infinity')", series),
            ("published_readings(%s, '-infinity', 'infinity')", series),
            ("asker_windows(%s, '-infinity', 'infinity')", [device, 1]),
        ):
            assert conn.execute(f"SELECT * FROM {call}".encode(), [value]).fetchall() == [], call
        for hour in range(12):
            moment = (NOW - timedelta(hours=hour)).replace(minute=0)
            assert conn.execute("SELECT * FROM asker_device_hour(%s, %s)", [device, moment]).fetchall() == []
        assert conn.execute("SELECT * FROM reading").fetchall() == []

        def told(start: float, end: float, of: int = series) -> list[Any]:
            span = [NOW - timedelta(hours=start), NOW - timedelta(hours=end)]
            return conn.execute("SELECT * FROM asker_leg(%s, %s, %s, '{}', '{}')", [[of], *span]).fetchall()

        assert told(6, 5.5) and told(5.5, 4) and told(6, 4), "as its record cuts it"
        assert told(8, 7) == told(5.9, 5.5) == told(5.5, 4.1) == told(5.2, 5.1) == [], (
            "and not minute by minute"
        )
        assert told(3.5, 1) == [], "nor what came after the hand-over"
        assert told(14, 10, other) == [] != told(10, 8, other), (
            "the store, while the fruit that went in lay there"
        )


def test_who_takes_in_cuts_no_leg_by_what_it_says_afterwards(instance: Instance) -> None:
    """Else it would say something of each minute, and ask for the warmest of each."""
    measured(instance, [2.0] * 60 * 4)
    say(instance, "stall", *(step("inspecting", 5 - minute / 60, PALLET) for minute in range(5)))
    settle(instance)
    series = instance.one("SELECT id FROM series WHERE organisation = 'carrier'")
    with asking(instance, "stall") as conn:
        for minute in range(12):
            span = [NOW - timedelta(hours=5 - minute / 60), NOW - timedelta(hours=5 - (minute + 1) / 60)]
            assert (
                conn.execute("SELECT * FROM asker_leg(%s, %s, %s, '{}', '{}')", [[series], *span]).fetchall()
                == []
            )


# --- what is told, against the readings -------------------------------------------------------------------------------

RULES = (
    {"id": "on-end", "mode": "consecutive", "minutes": 20.0, "limit_c": 5.0},
    {"id": "in-all", "mode": "cumulative", "minutes": 45.0, "limit_c": 5.0, "guard_band_c": 0.2},
    {
        "id": "too-cold",
        "mode": "consecutive",
        "minutes": 0.0,
        "limit_c": 1.0,
        "side": "below",
        "operator": "<=",
    },
)


def rules() -> list[Limit]:
    agreed = shipped("yangmei-upper-5c")
    return [replace(agreed, positions=("ambient", "return_air"), version=1, **rule) for rule in RULES]  # type: ignore[arg-type]


def weather(chance: Random) -> list[tuple[float, float]]:
    """(minutes from the start, °C): around the limit, with gaps of any length."""
    found, minute, value = [], 0.0, 4.5
    while minute < 400:
        value = min(9.0, max(0.0, value + chance.choice((-0.6, -0.2, 0.0, 0.2, 0.6))))
        found.append((minute, round(value, 1)))
        minute += chance.choice((1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 25)) if chance.random() < 0.3 else 1
    return found


def stored(
    instance: Instance, device: str, channel: str, points: Sequence[tuple[float, float]]
) -> ObservedSeries:
    series = instance.one(
        "SELECT series.id FROM series JOIN device ON device.id = device_id WHERE external_id = %s AND channel = %s",
        device,
        channel,
    )
    begin = NOW_MS - 400 * 60_000
    instance.alter(
        "INSERT INTO reading_store SELECT %s, to_timestamp(second), value, 0, 1 FROM unnest(%s::float8[], %s::float8[]) AS point (second, value)",
        series,
        [(begin + minute * 60_000) / 1000 for minute, _ in points],
        [value for _, value in points],
    )
    times = np.array([round(begin + minute * 60_000) for minute, _ in points], np.int64)
    values = np.array([value for _, value in points], np.float64)
    since = begin - 60_000
    instance.alter(
        "INSERT INTO placement (series_id, organisation, parent, probe_position, valid, conflict)"
        " SELECT id, organisation, %s, %s, tstzrange(to_timestamp(%s), NULL), false FROM series WHERE id = %s",
        STORE, channel, since / 1000, series,
    )  # fmt: skip
    return ObservedSeries(
        str(series), channel, times, values, 60_000, 0.3 if device == "room-1" else 0.5, since, None
    )  # type: ignore[arg-type]


@pytest.mark.editions("plain")
@pytest.mark.parametrize("seed", range(6))
def test_what_is_told_judges_as_the_readings_do(instance: Instance, seed: int) -> None:
    chance = Random(seed)
    series = (
        stored(instance, "room-1", "ambient", weather(chance)),
        stored(instance, "truck-1", "return_air", weather(chance)),
    )
    instance.alter("UPDATE organisation SET publishes = true")
    limits = tuple(rules())
    with instance.as_role("ingest") as conn:
        load_limit_versions(conn, limits)
    with asking(instance, "stall") as conn:
        for _ in range(12):
            start, end = sorted(chance.sample(range(NOW_MS - 410 * 60_000, NOW_MS, 30_000), 2))
            used = series[: chance.choice((1, 2))]
            told = read_told(conn, [int(each.series) for each in used], start, end, limits)
            assert told is not None
            leg = Leg(STORE, "site", "coop", "cold", start, end, used, limits)
            blind = Leg(STORE, "site", "coop", "cold", start, end, (), limits, told)
            compare(expose([leg]), expose([blind]), limits)


def compare(seen: Exposure, told: Exposure, limits: Sequence[Limit]) -> None:
    assert told.minutes_measured == pytest.approx(seen.minutes_measured)
    assert (told.min_c, told.max_c) == (seen.min_c, seen.max_c)
    for by_readings, by_telling in zip(seen.limits, told.limits, strict=True):
        for name in (
            "minutes",
            "minutes_unobserved",
            "minutes_out_at_least",
            "minutes_out_at_most",
            "area_c_min",
        ):
            assert getattr(by_telling, name) == pytest.approx(getattr(by_readings, name)), name
    by_readings, by_telling = (
        {one.limit.key: one for one in decide(exposure, limits).by_limit} for exposure in (seen, told)
    )
    for key, one in by_readings.items():
        other = by_telling[key]
        assert (other.state, [reason.code for reason in other.reasons]) == (
            one.state,
            [reason.code for reason in one.reasons],
        )
        assert (other.minutes_at_least, other.minutes_at_most) == pytest.approx(
            (one.minutes_at_least, one.minutes_at_most)
        )
