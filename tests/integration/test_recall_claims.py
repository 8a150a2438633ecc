"""Who says that it made what others made recalls none of it, however it says so."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.instance import Instance
from tests.acceptance.serving import served
from tests.integration.recalls import (
    AT,
    MIXED,
    P01,
    G,
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
    tell,
)
from tests.servers.databases import Database

pytestmark = pytest.mark.editions("plain")
OURS = f"{G}/414/9521234007012"
PACKHOUSE = f"{G}/414/9521234002024"
OUTSIDE = "https://elsewhere.example/lot/77"
"""Of no product and in nobody's addresses."""


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    return instance


def making(hours: float, name: str, place: str, lot: str, quantity: float = 100) -> dict[str, Any]:
    said = later(
        hours, "ObjectEvent", name, bizStep="commissioning", quantityList=boxes(quantity, lot), **at(place)
    )
    return said | {"action": "ADD"}


def packing(hours: float, name: str, lot: str, quantity: float) -> dict[str, Any]:
    said = later(hours, "AggregationEvent", name, bizStep="packing", parentID=f"{G}/00/095212340000000310",
                 childQuantityList=boxes(quantity, lot), **at(PACKHOUSE))  # fmt: skip
    return said | {"action": "ADD"}


def run(hours: float, name: str, place: str, went: str, came: str) -> dict[str, Any]:
    unit = {"uom": "KGM"} if came == P01 else {}
    return later(hours, "TransformationEvent", name, bizStep="commissioning", inputQuantityList=boxes(10, went),
                 outputQuantityList=[boxes(1, came)[0] | unit], transformationID=f"urn:suyuan:test:run-{name}", **at(place))  # fmt: skip


def code(instance: Instance, who: str, lot: str, mode: str = "real") -> tuple[int, str]:
    with asking(instance, who) as client:
        answer = post(client, from_lot(lot, mode))
    return answer.status_code, "" if answer.is_success else answer.json()["faults"][0]["code"]


def reached(instance: Instance, who: str, lot: str) -> dict[str, tuple[bool, float]]:
    with asking(instance, who) as client:
        answer = post(client, from_lot(lot, "preview"))
    assert answer.status_code == 200, answer.text
    return {each["lot"]: (each["whole"], each["total"]["boxes"]) for each in answer.json()["lots"]}


@pytest.mark.parametrize("place", [OURS, PACKHOUSE])
@pytest.mark.parametrize("hours", [-9, 3], ids=["dated_back", "later"])
def test_who_claims_a_lot_after_others_recalls_none_of_it(
    instance: Instance, place: str, hours: float
) -> None:
    say(instance, "coop", making(1, "made", PACKHOUSE, OUTSIDE), packing(2, "packed", OUTSIDE, 40))
    say(instance, "rival", making(hours, "claim", place, OUTSIDE, 500))
    follow(instance)
    for mode in ("preview", "drill", "real"):
        assert code(instance, "rival", OUTSIDE, mode) == (403, "recall_contested")
    assert instance.rows("SELECT * FROM recall") == []
    assert code(instance, "coop", OUTSIDE)[0] == 201


def test_goods_whose_making_nobody_recorded_are_not_who_claims_it(instance: Instance) -> None:
    """The cooperative packs and never says that it made them: a claim dated back would stand behind all of it."""
    say(instance, "coop", packing(2, "packed", OUTSIDE, 40))
    say(instance, "rival", making(-9, "claim", OURS, OUTSIDE, 500))
    follow(instance)
    assert (
        instance.one("SELECT sum(quantity) FROM portion WHERE lot = %s AND maker = 'rival'", OUTSIDE) == 500
    )
    assert code(instance, "rival", OUTSIDE) == (403, "recall_contested")


def test_who_was_named_as_the_giver_before_its_own_record_came_recalls_it(instance: Instance) -> None:
    given = [{"type": "possessing_party", "source": f"{G}/417/9521234007004"}]
    taken = later(
        2,
        "ObjectEvent",
        "taken",
        bizStep="receiving",
        sourceList=given,
        quantityList=boxes(40, OUTSIDE),
        **at(PACKHOUSE),
    )
    say(instance, "coop", taken)
    say(instance, "rival", making(1, "late", OURS, OUTSIDE, 40))
    follow(instance)
    assert code(instance, "rival", OUTSIDE)[0] == 201


def test_who_was_first_recalls_its_own_part_and_is_told_of_the_other(instance: Instance) -> None:
    say(instance, "rival", making(0, "first", OURS, OUTSIDE, 30))
    say(instance, "coop", making(1, "made", PACKHOUSE, OUTSIDE), packing(2, "packed", OUTSIDE, 40))
    follow(instance)
    with asking(instance, "rival") as client:
        document = post(client, from_lot(OUTSIDE, "preview")).json()
    assert [(each["whole"], each["total"]["boxes"]) for each in document["lots"]] == [(False, 30)]
    assert document["conflicts"] == {"contested": [], "shared": [OUTSIDE], "disputed": []}
    assert code(instance, "coop", OUTSIDE) == (403, "recall_contested")


def test_whoever_bears_the_name_recalls_all_of_it(instance: Instance) -> None:
    """A claim to some of it neither keeps the owner from it nor makes it a part."""
    with served(instance, AT) as server:
        named = f"{str(server.base_url).rstrip('/')}/coop/class/yangmei.777"
        registered = f"{G}/01/09521234000204/10/CLAIMED"
        for number, lot in enumerate((registered, named)):
            say(instance, "rival", making(0, f"first-{number}", OURS, lot, 30))
            say(instance, "coop", making(1, f"made-{number}", PACKHOUSE, lot))
        follow(instance)
        for lot in (registered, named):
            with asked_by(server, "coop") as client:
                (whole,) = post(client, from_lot(lot)).json()["lots"]
            assert (whole["whole"], whole["total"]["boxes"]) == (True, 130)
            with asked_by(server, "rival") as client:
                refused = post(client, from_lot(lot))
            assert refused.json()["faults"][0]["code"] == "recall_contested"


def test_a_run_that_is_said_to_have_made_anothers_lot_carries_no_recall_into_it(instance: Instance) -> None:
    tell(instance, 30)
    tainted = "https://elsewhere.example/lot/tainted"
    say(
        instance,
        "rival",
        making(-1, "own", OURS, tainted),
        run(1, "claim", OURS, tainted, MIXED),
        run(2, "other", OURS, tainted, P01),
    )
    follow(instance)
    assert instance.rows("SELECT 1 FROM lot_origin WHERE lot = %s AND source = %s", MIXED, tainted) == [(1,)]
    with asking(instance, "rival", AT + timedelta(hours=3)) as client:
        done = post(client, from_lot(tainted, "real"))
    assert done.status_code == 201, done.text
    assert [each["lot"] for each in done.json()["lots"]] == [tainted]
    assert done.json()["conflicts"]["disputed"] == sorted([MIXED, P01])
    assert instance.rows("SELECT DISTINCT lot FROM published_recall") == [(tainted,)]
    # What the cooperative's own run made of it is carried: P01's recall still reaches all of MIXED.
    assert reached(instance, "coop", P01)[MIXED] == (False, 240)
