"""A run that stays open names what went in and what came out in different events: they hang together by their transformationID alone.

Every event is captured for itself, and what follows is made after each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import deploy
from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.hand_overs import asking as asked_of_database
from tests.integration.recalls import (
    AT,
    CLASS,
    PLOT,
    asked_by,
    asking,
    at,
    boxes,
    follow,
    from_lot,
    later,
    post,
    registry,
    say,
)
from tests.integration.test_rebuild import INDEX, PORTIONS, PROJECTED

FIRST, SECOND, MADE = f"{CLASS}.A1", f"{CLASS}.B1", f"{CLASS}.M1"
RUN = "https://suyuan.example/xj-coop/transformation/L2-1"
HALL = "https://id.gs1.org/414/9521234002024"
KNOWN = ("first", "second", "in-1", "in-2", "out")


def kilograms(lot: str, much: float) -> list[dict[str, Any]]:
    return [{"epcClass": lot, "quantity": much, "uom": "KGM"}]


def part(hours: float, name: str, **fields: Any) -> dict[str, Any]:
    return later(
        hours,
        "TransformationEvent",
        name,
        transformationID=RUN,
        bizStep="commissioning",
        **fields,
        **at(HALL),
    )


def told() -> list[dict[str, Any]]:
    picked = {"action": "ADD", "bizStep": "commissioning", **at(PLOT)}
    return [
        later(-9, "ObjectEvent", "first", quantityList=kilograms(FIRST, 60)) | picked,
        later(-8, "ObjectEvent", "second", quantityList=kilograms(SECOND, 20)) | picked,
        part(-6, "in-1", inputQuantityList=kilograms(FIRST, 60)),
        part(-5, "in-2", inputQuantityList=kilograms(SECOND, 20)),
        part(-4, "out", outputQuantityList=kilograms(MADE, 76)),
    ]


def begin(instance: Instance) -> None:
    instance.register(registry())
    with served(instance, AT) as server, asked_by(server, "coop") as client:
        for event in told():
            answer = client.post("/epcis/events", json=event)
            assert answer.status_code == 201, answer.text
            instance.settle(AT, consumers=("projection",))


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def traced(client: httpx.Client, lot: str, direction: str, **asked: Any) -> dict[str, Any]:
    answer = client.get(f"/api/v1/lots/{lot}/trace", params={"direction": direction} | asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def events(trace: dict[str, Any]) -> list[str]:
    return [each["event"]["eventID"].rpartition(":")[2] for each in trace["events"]]


def test_a_trace_goes_through_the_run_both_ways(instance: Instance) -> None:
    with asking(instance, "coop") as client:
        for further in ({}, {"as_of": "100000000"}):  # from the index, and by the replay
            back = traced(client, MADE, "back", **further)
            assert events(back) == list(KNOWN)
            assert {(each["from"], each["to"]) for each in back["edges"]} == {(FIRST, MADE), (SECOND, MADE)}
            forward = traced(client, FIRST, "forward", **further)
            assert events(forward) == ["first", "in-1", "out"]
            assert {each["id"] for each in back["identifiers"]} == {FIRST, SECOND, MADE}
            assert RUN not in {each["id"] for each in forward["identifiers"]} | set(back["places"])
            (portion,) = back["portions"]
            shares = {each["lot"]: each["share"] for each in portion["inputs"]}
            assert shares == {FIRST: pytest.approx(0.75), SECOND: pytest.approx(0.25)}
        run = traced(client, RUN, "both")  # it is no goods: what names it, and nothing behind
        assert (events(run), run["portions"]) == (["in-1", "in-2", "out"], [])


def test_a_recall_of_what_went_in_reaches_what_came_out(instance: Instance) -> None:
    with asking(instance, "coop") as client:
        answer = post(client, from_lot(SECOND))
    assert answer.status_code == 200, answer.text
    assert {each["lot"] for each in answer.json()["lots"]} == {SECOND, MADE}


def test_a_run_is_no_goods_and_everything_rebuilds_to_the_same(instance: Instance) -> None:
    tables = {name: query for name, query in (PROJECTED | INDEX).items() if name != "reading_1h"}
    before = {name: instance.rows(query) for name, query in tables.items()}
    assert {row[:2] for row in before["lot_origin"] if row[0] == MADE} == {
        (MADE, MADE), (MADE, FIRST), (MADE, SECOND)}  # fmt: skip
    assert instance.rows("SELECT * FROM trace_name WHERE name = %s", RUN) == []
    assert instance.rows("SELECT * FROM set_aside") == []
    with instance.as_role("jobs") as conn:
        for name in {*tables, *PORTIONS, "trace_name", "trace_same"}:
            conn.execute(f"DELETE FROM {name}".encode())
        conn.execute("UPDATE projection SET position = 0")
    follow(instance)
    assert {name: instance.rows(query) for name, query in tables.items()} == before


def test_what_was_recorded_before_runs_were_looked_up_is_found_by_them(instance: Instance) -> None:
    query = "SELECT event, identifier FROM event_mention WHERE role = 'run' ORDER BY event"
    before = instance.rows(query)
    assert [name for _, name in before] == [RUN] * 3
    script = (Path(deploy.__file__).parent / "schema" / "0038_runs.sql").read_text(encoding="utf-8")
    with psycopg.connect(instance.database.owner) as conn:
        conn.execute("DELETE FROM event_mention WHERE role = 'run'")
        conn.execute(script.encode())
    assert instance.rows(query) == before


def test_who_has_no_part_in_it_sees_nothing(instance: Instance) -> None:
    with asking(instance, "rival") as client:
        for name in (FIRST, SECOND, MADE, RUN):
            assert client.get(f"/api/v1/lots/{name}/trace").status_code == 404
    mine = part(-3, "mine", outputQuantityList=kilograms(f"{CLASS}.R1", 5))
    say(instance, "rival", mine)  # by guessing what the run is called
    follow(instance)
    with asked_of_database(instance, "rival") as conn:
        assert conn.execute("SELECT event FROM asker_mention WHERE role = 'run'").fetchall() == instance.rows(
            "SELECT id FROM event WHERE organisation = 'rival'"
        )
        walked = conn.execute("SELECT organisation FROM walk(%s)", [[RUN, FIRST, f"{CLASS}.R1"]]).fetchall()
        assert walked == [("rival",)]
    with asking(instance, "rival") as client:
        assert events(traced(client, f"{CLASS}.R1", "both")) == ["mine"]


def test_what_the_run_made_this_moment_is_in_the_answer(instance: Instance) -> None:
    say(instance, "coop", part(-3, "more", outputQuantityList=boxes(5, f"{CLASS}.M2")))
    instance.settle(AT, consumers=())
    with asking(instance, "coop") as client:
        assert events(traced(client, FIRST, "forward")) == ["first", "in-1", "out", "more"]
