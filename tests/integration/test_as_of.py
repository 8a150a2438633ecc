"""As it was known: what was recorded first, corrected later, and asked of now and as of then, over the served API.

Everything is said twice by the same routes: what stands today, and what stood when only the first had been recorded.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from ledger.epcis.identifiers import lot_uri
from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import (
    FRUIT,
    GTIN,
    LOT,
    PALLET,
    REGISTRY,
    at,
    by_terminal,
    declared_wrong,
    made,
    packed,
    placed,
    room,
    said,
)
from tests.integration.test_rebuild import PROJECTED
from tests.servers.databases import Database

LATER = NOW + timedelta(hours=2)
LATEST = NOW + timedelta(hours=4)
QUIET = "https://id.gs1.org/414/9521234002055"  # no sensor is there
OTHER = FRUIT.replace("P01", "P02")


def corrected() -> dict[str, Any]:
    """The run again, of what really went in."""
    right = made(9.5) | {"eventID": "https://suyuan.example/xj-coop/event/right"}
    return right | {"inputQuantityList": [{"epcClass": OTHER, "quantity": 90, "uom": "KGM"}]}


def begin(instance: Instance) -> None:
    """First the wrong run and a warm store; two hours later the correction, two more and the readings of a quiet hour."""
    instance.register(REGISTRY)
    instance.take([*by_terminal(made(10), placed(9.4), packed(8)), room([8.0] * 45, 5, 1)], NOW)
    instance.settle(NOW)
    instance.take(by_terminal(declared_wrong(made(10)), corrected()), LATER)
    instance.settle(LATER)
    instance.take([room([4.0] * 45, 7, 2)], LATEST)
    instance.settle(LATEST)


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def asked(api: httpx.Client, what: str, of: str = LOT, **said: Any) -> dict[str, Any]:
    answer = api.get(f"/api/v1/lots/{of.removeprefix('https://id.gs1.org/')}/{what}", params=said)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def inputs(trace: dict[str, Any]) -> set[str]:
    return {edge["from"] for edge in trace["edges"] if edge["kind"] == "transformed"}


def names(trace: dict[str, Any]) -> list[str]:
    return [item["event"]["eventID"].rpartition("/")[2] for item in trace["events"]]


def test_a_correction_changes_the_answers_and_the_old_ones_stay(instance: Instance) -> None:
    with served(instance, LATEST) as api:
        today = asked(api, "trace")
        assert (inputs(today), today["as_of"]) == ({OTHER}, None)
        assert "right" in names(today)
        for moment in (NOW + timedelta(minutes=30), NOW + timedelta(hours=1, minutes=59)):
            then = asked(api, "trace", as_of=moment.isoformat())
            assert inputs(then) == {FRUIT}
            assert "right" not in names(then)
            assert [each["inputs"][0]["lot"] for each in then["portions"]] == [FRUIT, FRUIT]
        by_position = asked(api, "trace", as_of=then["as_of"]["position"])
        assert (names(by_position), inputs(by_position)) == (names(then), inputs(then))
        # Whoever asks of what went in by mistake finds its lot as of then alone.
        assert asked(api, "trace", quote(FRUIT, safe=""), as_of=NOW.isoformat())["events"]
        assert [each["as_of"] for each in (asked(api, "exposure"), asked(api, "verdict"))] == [None, None]


def test_readings_count_from_when_they_came(instance: Instance) -> None:
    with served(instance, LATEST) as api:

        def measured(**said: Any) -> float:
            return max(
                each["minutes_measured"] for each in asked(api, "exposure", PALLET, **said)["portions"]
            )

        today, then = measured(), measured(as_of=(LATER + timedelta(minutes=1)).isoformat())
        assert then == pytest.approx(45, abs=2)
        assert today == pytest.approx(90, abs=4)
        told = asked(api, "verdict", PALLET, as_of=NOW.isoformat())
        assert told["as_of"]["as_today"] == ["rights", "names", "placements", "limits", "hidden"]


def run(name: str, hours_ago: float, inputs: dict[str, int], output: str, where: str) -> dict[str, Any]:
    boxes = {"outputQuantityList": [{"epcClass": output, "quantity": sum(inputs.values())}]}
    went_in = [{"epcClass": lot, "quantity": quantity} for lot, quantity in inputs.items()]
    event = said(
        "TransformationEvent",
        hours_ago,
        bizStep="commissioning",
        inputQuantityList=went_in,
        **boxes,
        **at(where),
    )
    return event | {"eventID": f"https://suyuan.example/xj-coop/event/{name}"}


def test_a_mixed_lot_inherits_the_worst_of_what_went_in_until_that_is_corrected(
    database: Database, tmp_path: Path
) -> None:
    other, mixed_lot = lot_uri(GTIN, "DK2"), lot_uri(GTIN, "DK9")
    instance = Instance(database, tmp_path)
    instance.register(REGISTRY)
    mixing = run("mixing", 7, {LOT: 10, other: 30}, mixed_lot, QUIET)
    instance.take(
        [
            *by_terminal(made(10), placed(9.9), run("other", 9.5, {FRUIT: 30}, other, QUIET), mixing),
            room([9.0] * 90, 9.5, 1),
        ],
        NOW,
    )
    instance.settle(NOW)
    right = run("mixing-again", 7, {other: 30}, mixed_lot, QUIET)
    instance.take(by_terminal(declared_wrong(mixing), right), LATER)
    instance.settle(LATER)
    with served(instance, LATEST) as api:
        (then,) = asked(api, "exposure", mixed_lot, as_of=NOW.isoformat())["portions"]
        assert then["inherited_from"] == LOT
        assert [(each["lot"], each["share"]) for each in then["inputs"]] == [(other, 0.75), (LOT, 0.25)]
        assert then["max_c"] == 9.0
        assert asked(api, "verdict", mixed_lot, as_of=NOW.isoformat())["worst"]["verdict"] == "breach"
        (today,) = asked(api, "exposure", mixed_lot)["portions"]
        assert (today["inherited_from"], today["max_c"]) == (other, None)
        assert asked(api, "verdict", mixed_lot)["worst"]["verdict"] != "breach"


def test_before_anything_was_recorded_nothing_is_known(instance: Instance) -> None:
    with served(instance, LATEST) as api:
        answer = api.get(
            f"/api/v1/lots/{LOT.removeprefix('https://id.gs1.org/')}/trace",
            params={"as_of": "2020-01-01T00:00:00Z"},
        )
        assert answer.status_code == 404
        for odd in ("soon", "2026-06-18", "2026-06-18T04:00:00", "-1", "0", "9" * 30):
            answer = api.get(
                f"/api/v1/lots/{LOT.removeprefix('https://id.gs1.org/')}/trace", params={"as_of": odd}
            )
            assert answer.status_code == 400, odd
            assert "RFC 3339" in answer.json()["detail"]
        future = asked(api, "trace", as_of="2099-01-01T00:00:00+08:00")
        assert names(future) == names(asked(api, "trace"))


def test_the_limits_of_a_trace_say_how_to_ask_on(instance: Instance) -> None:
    with served(instance, LATEST) as api:
        cut = asked(api, "trace", limit=1)
        assert (len(cut["events"]), cut["truncated"], cut["more"]["cut_by"]) == (1, True, ["events"])
        whole = api.get(cut["more"]["next"]).json()
        assert (len(whole["events"]), whole["more"], whole["hidden"]) == (2, None, 0)
        assert [(each["id"], each["holds"]) for each in whole["containers"]] == [(PALLET, LOT)]
        assert {(edge["quantity"], edge["uom"], edge["share"]) for edge in whole["edges"]} == {
            (90, "KGM", 1.0),
            (20, None, None),
        }


def test_known_at_finds_every_position(instance: Instance) -> None:
    rows = instance.rows(
        "SELECT position, record_time FROM leaf WHERE position IS NOT NULL ORDER BY position"
    )
    for role in ("public", "api"):
        with instance.as_role(role) as conn:
            for position, time in rows:
                ((found, recorded),) = conn.execute("SELECT * FROM known_at(%s)", [time]).fetchall()
                assert (recorded, found >= position) == (time, True)
            early: datetime = rows[0][1] - timedelta(seconds=1)
            assert conn.execute("SELECT * FROM known_at(%s)", [early]).fetchall() == []


def test_everything_rebuilds_to_the_same_after_corrections(instance: Instance) -> None:
    tables = [name for name in PROJECTED if name != "reading_1h"]

    def told() -> tuple[Any, ...]:
        with served(instance, LATEST) as api:
            then = asked(api, "trace", as_of=NOW.isoformat()), asked(api, "verdict", as_of=NOW.isoformat())
            return asked(api, "trace"), asked(api, "verdict"), *then

    before, answers = {name: instance.rows(PROJECTED[name]) for name in tables}, told()
    behind = {source for lot, source, _ in before["lot_origin"] if lot == LOT}
    assert behind == {LOT, OTHER}
    with instance.as_role("jobs") as conn:
        for name in tables:
            conn.execute(f"DELETE FROM {name}".encode())
        conn.execute("UPDATE projection SET position = 0")
    instance.settle(LATEST, consumers=("projection",))
    assert {name: instance.rows(PROJECTED[name]) for name in tables} == before
    assert told() == answers
