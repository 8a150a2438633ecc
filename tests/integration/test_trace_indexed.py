"""The trace over HTTP is answered from the index for who may see all of it, and says the same as the replay.

Asked as of the last position, the API replays; asked as now known, it walks the index where that stands for the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.recorded import ASKER, TooMuch, connected
from tests.acceptance.instance import Instance
from tests.integration.hand_overs import asking as asked_of_database
from tests.integration.recalls import (
    AT,
    CULL,
    MIXED,
    P01,
    PALLET,
    PLOT,
    SECOND,
    TRAILER,
    asking,
    follow,
    registry,
    say,
    tell,
    vector,
)
from tests.servers.databases import Database

SAME = ("id", "direction", "edges", "containers", "portions", "hidden", "truncated")
STATE = "SELECT state FROM trace_of_asker(%s, 'both', 20, 5000)"


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    return instance


def both_ways(client: httpx.Client, code: str, **asked: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """As now known, and as of the last position."""
    answers = [
        client.get(f"/api/v1/lots/{code}/trace", params={"limit": 5000} | asked | further)
        for further in ({}, {"as_of": "100000000"})
    ]
    assert [each.status_code for each in answers] == [200, 200], [each.text for each in answers]
    return answers[0].json(), answers[1].json()


def same(now: dict[str, Any], then: dict[str, Any]) -> None:
    for name in SAME:
        assert in_any_order(now[name]) == in_any_order(then[name]), name
    assert [each["event"]["eventID"] for each in now["events"]] == [
        each["event"]["eventID"] for each in then["events"]
    ]
    assert now["events"] == then["events"]
    assert {each["id"] for each in now["identifiers"]} == {each["id"] for each in then["identifiers"]}
    assert now["places"].items() <= then["places"].items()
    assert now["organisations"].items() <= then["organisations"].items()


def in_any_order(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) else value


def states(instance: Instance, organisation: str, *codes: str) -> list[str]:
    with asked_of_database(instance, organisation) as conn:
        return [str(state) for code in codes for (state,) in conn.execute(STATE, [code])]


@pytest.mark.parametrize("direction", ["back", "forward", "both"])
def test_the_bayberry_lot_by_who_recorded_all_of_it(instance: Instance, direction: str) -> None:
    say(instance, "coop", *vector())
    follow(instance)
    codes = (P01, MIXED, SECOND, PALLET, CULL)
    assert states(instance, "coop", *codes) == ["whole"] * len(codes)
    with asking(instance, "coop") as client:
        for code in codes:
            same(*both_ways(client, code, direction=direction))


def test_each_of_those_who_had_it_is_told_the_same_from_the_index_as_from_their_events(
    instance: Instance,
) -> None:
    tell(instance, 33)
    for organisation in ("coop", "market", "shop", "rival"):
        with asking(instance, organisation) as client:
            for code in (MIXED, PALLET, TRAILER):
                now, then = (
                    client.get(f"/api/v1/lots/{code}/trace", params=further)
                    for further in ({}, {"as_of": "100000000"})
                )
                assert now.status_code == then.status_code
                if now.status_code == 200:
                    assert [each["event"]["eventID"] for each in now.json()["events"]] == [
                        each["event"]["eventID"] for each in then.json()["events"]
                    ]


def test_who_may_not_see_all_is_not_led_through_the_rest(instance: Instance) -> None:
    tell(instance, 33)
    assert states(instance, "rival", MIXED) == ["hidden"]
    with asked_of_database(instance, "rival") as conn:
        row = conn.execute("SELECT * FROM trace_of_asker(%s, 'back', 20, 5000)", [MIXED]).fetchone()
        assert conn.execute("SELECT name FROM pg_cursors").fetchall() == []
    assert row is not None
    assert {value for value in row if value is not None} == {"hidden"}


def test_what_is_left_to_be_fetched_is_of_the_last_answer(instance: Instance) -> None:
    say(instance, "coop", *vector())
    follow(instance)
    with asked_of_database(instance, "coop") as conn:
        for code, left in (
            (MIXED, {"trace_events", "trace_links"}),
            (P01, {"trace_events", "trace_links"}),
            ("urn:x:none", set()),
        ):
            row = conn.execute("SELECT events FROM trace_of_asker(%s, 'back', 20, 5000)", [code]).fetchone()
            assert row is not None
            standing = conn.execute("SELECT name FROM pg_cursors WHERE name LIKE 'trace%'").fetchall()
            assert {name for (name,) in standing} == left
            if left:
                assert len(conn.execute("FETCH ALL FROM trace_events").fetchall()) == len(row[0])


def test_what_was_recorded_since_is_in_the_answer(instance: Instance) -> None:
    say(instance, "coop", *vector()[:5])
    follow(instance)
    say(instance, "coop", *vector()[5:8])
    instance.settle(AT, consumers=())
    assert states(instance, "coop", P01) == ["behind"]
    with asking(instance, "coop") as client:
        same(*both_ways(client, P01, direction="both"))


def test_the_limits_say_where_to_ask_on(instance: Instance) -> None:
    say(instance, "coop", *vector())
    follow(instance)
    with asking(instance, "coop") as client:
        short = client.get(f"/api/v1/lots/{MIXED}/trace", params={"limit": 3}).json()
        shallow = client.get(f"/api/v1/lots/{P01}/trace", params={"depth": 1, "direction": "forward"}).json()
    assert (len(short["events"]), short["truncated"], short["more"]["cut_by"]) == (3, True, ["events"])
    assert shallow["more"] is None or shallow["more"]["cut_by"] == ["depth"]


@pytest.mark.parametrize("direction", ["back", "forward", "both"])
def test_what_a_limit_leaves_is_the_same_from_the_index_and_by_the_replay(
    instance: Instance, direction: str
) -> None:
    say(instance, "coop", *vector())
    follow(instance)
    with asking(instance, "coop") as client:
        for code, most in ((P01, 1), (P01, 4), (MIXED, 9), (PALLET, 12)):
            now, then = both_ways(client, code, direction=direction, limit=most)
            same(now, then)
            further, _ = (each["more"].pop("next") for each in (now, then))
            assert further.endswith(f"limit={most * 5}")
            assert now["more"] == then["more"] and now["more"]["cut_by"] == ["events"] and now["more"]["ends"]
            same(*both_ways(client, code, direction=direction, depth=1))


def test_a_place_has_the_events_that_name_it_and_no_portions(instance: Instance) -> None:
    tell(instance, 33)
    with asking(instance, "coop") as client:
        answer = client.get(f"/api/v1/lots/{PLOT}/trace")
        nowhere = client.get("/api/v1/lots/https://id.gs1.org/414/9521234009993/trace")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["events"] and found["portions"] == []
    for each in found["events"]:
        assert PLOT in str(each["event"].get("readPoint")) + str(each["event"].get("bizLocation"))
    assert nowhere.status_code == 404


def test_what_takes_too_long_is_too_much(instance: Instance) -> None:
    say(instance, "coop", *vector()[:3])
    follow(instance)
    with asked_of_database(instance, "coop") as conn:
        conn.execute("SET LOCAL statement_timeout = '1ms'")
        with pytest.raises(TooMuch, match=PLOT):
            connected(conn, {PLOT}, ASKER)
