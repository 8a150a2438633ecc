"""A recall reaches what it must: the bayberry lot at several moments, with the answers written out by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.instance import Instance
from tests.integration.recalls import (
    AT,
    CLASS,
    CULL,
    LOGGER,
    MIXED,
    P01,
    PLOT,
    SECOND,
    STALL_ROOM,
    TRAILER,
    G,
    asking,
    at,
    boxes,
    classes,
    follow,
    from_lot,
    later,
    post,
    registry,
    say,
    tell,
    vector,
)
from tests.servers.databases import Database
from trace_api.words import Words

pytestmark = pytest.mark.editions("plain")


@pytest.fixture
def instance(database: Database, tmp_path: Path) -> Instance:
    instance = Instance(database, tmp_path)
    instance.register(registry())
    return instance


# Events told so far (as many as stand in the vector), and the classes of the 240 boxes then, in boxes.
MOMENTS = {
    6: {"held": 240},
    19: {"held": 240},
    23: {"held": 239.75, "sampled": 0.25},
    30: {"held": 234.75, "sampled": 0.25, "dispersed": 5},
    32: {"held": 233.75, "sampled": 0.25, "dispersed": 5, "returned": 1},
    33: {"held": 204.75, "sampled": 0.25, "dispersed": 5, "returned": 1, "destroyed": 29},
}


def test_the_bayberry_lot_at_several_moments(instance: Instance) -> None:
    told = 0
    for moment, expected in MOMENTS.items():
        tell(instance, moment, told)
        told = moment
        with asking(instance, "coop") as client:
            answer = post(client, from_lot(P01))
            assert answer.status_code == 200, answer.text
            document = answer.json()
        assert {each["lot"] for each in document["lots"]} == {P01, MIXED, SECOND, CULL}
        assert classes(document, MIXED) == expected
        assert classes(document, P01) == {"used": 127.5}
        assert classes(document, SECOND) == {"held": 96} and classes(document, CULL) == {"held": 24.5}
        # 127.5 kg of the 700 that went in.
        assert {each["lot"]: each["share"] for each in document["lots"]}[MIXED] == pytest.approx(
            127.5 / 700, abs=1e-6
        )


def reached(document: dict[str, Any]) -> dict[str, float]:
    """Boxes or kilograms reached, by lot."""
    return {each["lot"]: each["total"]["boxes"] or each["total"]["kilograms"] for each in document["lots"]}


def preview(instance: Instance, who: str, **source: Any) -> dict[str, Any]:
    with asking(instance, who) as client:
        answer = post(client, {"mode": "preview", "from": source})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_from_a_unit_a_truck_a_place_and_a_field(instance: Instance) -> None:
    tell(instance, 33)
    # The pallet of 48 boxes: 12 were refused and set apart, 0.25 sampled, 6 went to the shop, 29 were destroyed.
    pallet = preview(instance, "coop", kind="unit", id="00/095212340000000105")
    assert reached(pallet) == {MIXED: 48}
    assert classes(pallet, MIXED) == {
        "held": 12.75,
        "sampled": 0.25,
        "dispersed": 5,
        "returned": 1,
        "destroyed": 29,
    }
    assert not pallet["lots"][0]["whole"]
    night = {"since": "2026-06-18T23:00:00+08:00", "until": "2026-06-19T02:00:00+08:00"}
    assert reached(preview(instance, "coop", kind="place", id=TRAILER, **night)) == {MIXED: 48}
    # At the stall after the boxes for the shop had left: what was taken before is not of it.
    evening = {"since": "2026-06-19T18:00:00+08:00", "until": "2026-06-20T18:00:00+08:00"}
    assert reached(preview(instance, "coop", kind="place", id=STALL_ROOM, **evening)) == {MIXED: 30}
    # In the packhouse: all but what had left it for the cold store.
    packhouse = preview(
        instance,
        "coop",
        kind="place",
        id="414/9521234002024",
        since="2026-06-18T12:00:00+08:00",
        until="2026-06-19T12:00:00+08:00",
    )
    assert reached(packhouse) == {MIXED: 192, SECOND: 96, CULL: 24.5}
    field = preview(instance, "coop", kind="field", id=f"{G}/414/9521234001010/254/P01")
    assert reached(field) == {P01: 127.5, MIXED: 240, SECOND: 96, CULL: 24.5}


def test_a_pallet_of_two_lots_takes_both_and_the_sister_pallet_neither(instance: Instance) -> None:
    tell(instance, 6)
    one, other = f"{G}/00/095212340000000310", f"{G}/00/095212340000000327"
    fill = {"action": "ADD", "bizStep": "packing", **at(f"{G}/414/9521234002024")}
    say(
        instance,
        "coop",
        later(
            1,
            "AggregationEvent",
            "both",
            parentID=one,
            childQuantityList=[*boxes(10), *boxes(7, SECOND)],
            **fill,
        ),
        later(
            2,
            "AggregationEvent",
            "sister",
            parentID=other,
            childQuantityList=[*boxes(20), *boxes(5, SECOND)],
            **fill,
        ),
    )
    follow(instance)
    assert reached(preview(instance, "coop", kind="unit", id=one)) == {MIXED: 10, SECOND: 7}
    mixed = preview(instance, "coop", kind="lot", id=MIXED)
    assert reached(mixed) == {MIXED: 240}
    assert {each["unit"]: each["boxes"] for each in mixed["units"]} == {one: 10, other: 20}


def test_what_is_split_off_or_mixed_after_a_recall_of_a_part_is_of_it(instance: Instance) -> None:
    tell(instance, 6)
    packhouse = f"{G}/414/9521234002024"
    apart, later_unit = f"{G}/00/095212340000000310", f"{G}/00/095212340000000327"
    fill = {"action": "ADD", "bizStep": "packing"}
    say(instance, "coop", later(-3, "AggregationEvent", "apart", parentID=apart, childQuantityList=boxes(40), **fill, **at(packhouse)),
        later(-2, "ObjectEvent", "away", bizStep="storing", epcList=[apart], **at(f"{G}/414/9521234002048")))  # fmt: skip
    follow(instance)
    # The 200 boxes that stayed were there in the last hour.
    hour = {"since": (AT - timedelta(hours=1)).isoformat(), "until": AT.isoformat()}
    with asking(instance, "coop") as client:
        said = {"mode": "real", "from": {"kind": "place", "id": packhouse, **hour}, "reason": {"en": "glass"}}
        done = post(client, said)
    assert done.status_code == 201 and reached(done.json())[MIXED] == 200
    say(instance, "coop", later(1, "AggregationEvent", "late", parentID=later_unit, childQuantityList=boxes(15), **fill, **at(packhouse)),
        later(2, "TransformationEvent", "juice", bizStep="commissioning", inputEPCList=[later_unit],
              outputQuantityList=[{"epcClass": f"{CLASS}.juice", "quantity": 20, "uom": "KGM"}], **at(packhouse)))  # fmt: skip
    follow(instance)
    with asking(instance, "coop") as client:
        rows = client.get("/api/v1/stock", params={"code": MIXED}).json()["stock"]
    found = {
        (row["lot"], row["unit"], row["quantity"]): row["marks"]
        for row in rows
        if row["lot"] == MIXED or "juice" in row["lot"]
    }
    assert found == {
        (MIXED, apart, 40): [],
        (MIXED, None, 185): ["recalled"],
        (f"{CLASS}.juice", None, 20): ["recalled"],
    }


def test_the_maker_of_another_lot_may_not_recall_it(instance: Instance) -> None:
    # At the packhouse of the cooperative, just before its run: what it ships may as well be of these.
    (run,) = (each for each in vector() if each["type"] == "TransformationEvent")
    before = datetime.fromisoformat(run["eventTime"]) - timedelta(minutes=1)
    claim = later(
        0,
        "ObjectEvent",
        "claim",
        bizStep="commissioning",
        quantityList=boxes(500),
        **at(run["bizLocation"]["id"]),
    )
    say(instance, "rival", claim | {"action": "ADD", "eventTime": before.isoformat()})
    tell(instance, 33)
    assert instance.one("SELECT sum(quantity) FROM portion WHERE lot = %s AND maker = 'rival'", MIXED) > 0
    for who in ("rival", "stall", "second"):
        with asking(instance, who) as client:
            for mode in ("preview", "drill", "real"):
                refused = post(client, from_lot(MIXED, mode))
                why = "recall_contested" if who == "rival" else "recall_not_yours"
                assert refused.status_code == 403 and refused.json()["faults"][0]["code"] == why
                assert {"zh", "en"} <= set(refused.json()["faults"][0])
    assert instance.rows("SELECT * FROM recall") == []
    with asking(instance, "coop") as client:
        assert post(client, from_lot(f"{G}/01/09521234000204/10/NONE")).status_code == 404


def test_what_lay_where_is_not_told_by_a_refusal(instance: Instance) -> None:
    tell(instance, 6)
    days = {"since": "2026-06-18T00:00:00Z", "until": "2026-06-20T00:00:00Z"}
    with asking(instance, "rival") as client:
        for source in ({"kind": "place", "id": f"{G}/414/9521234002024", **days}, {"kind": "lot", "id": MIXED},
                       {"kind": "field", "id": PLOT}, {"kind": "device", "id": LOGGER}):  # fmt: skip
            refused = post(client, {"mode": "preview", "from": source})
            assert refused.status_code == 404, refused.text
            assert refused.json()["faults"][0]["code"] == "recall_nothing"


def test_a_drill_is_kept_and_nobody_hears_of_it(instance: Instance) -> None:
    tell(instance, 30)
    with asking(instance, "coop") as client:
        done = post(client, from_lot(P01, "drill"))
        assert done.status_code == 201 and done.json()["notices_sent"] == 0 and done.json()["events"] == []
        again = client.get(done.headers["Location"]).json()
        assert [each["id"] for each in client.get("/api/v1/recalls").json()["recalls"]] == [again["id"]]
    assert again["mode"] == "drill" and "演练" in again["title"]["zh"]
    assert all("演练" in each["text"]["zh"] and "DRILL" in each["text"]["en"] for each in again["notices"])
    assert again["notices"], "what would be sent"
    for table in ("outbox", "published_recall", "recall_event", "pending"):
        assert instance.rows(f"SELECT * FROM {table}") == [], table
    with asking(instance, "stall") as client:
        assert client.get(f"/api/v1/recalls/{again['id']}").status_code == 404
        assert client.get("/api/v1/recalls").json()["recalls"] == []
    assert preview(instance, "coop", kind="lot", id=P01)["number"] is None
    assert instance.one("SELECT count(*) FROM recall") == 1, "a preview leaves nothing"
    with asking(instance, "coop") as client:
        next_one = post(client, from_lot(P01, "drill")).json()
    assert (again["number"], next_one["number"]) == (1, 2), "and takes no number"


def test_what_is_destroyed_is_proven_by_its_certificate_and_not_by_the_notice(instance: Instance) -> None:
    tell(instance, 30)
    with asking(instance, "coop") as client:
        document = post(client, from_lot(P01, "real")).json()
    follow(instance)
    nothing = {"times": 0, "kilograms": 0, "boxes": 0}
    assert document["destruction"] == {"proven": nothing, "unproven": nothing, "next": None}

    def burnt(name: str, count: int, *papers: tuple[str, str]) -> dict[str, Any]:
        said = [
            {"type": kind, "bizTransaction": f"https://suyuan.example/bt/{paper}"} for kind, paper in papers
        ]
        return later(5, "ObjectEvent", name, bizStep="destroying", disposition="destroyed", quantityList=boxes(count),
                     bizTransactionList=said, readPoint={"id": STALL_ROOM}) | {"action": "DELETE"}  # fmt: skip

    def followed() -> dict[str, Any]:
        follow(instance)
        with asking(instance, "coop", AT + timedelta(hours=8)) as client:
            found: dict[str, Any] = client.get(f"/api/v1/recalls/{document['id']}").json()
        return found

    notice = ("https://suyuan.example/voc/btt/recall_notice", "recall-1")
    bare = burnt("bare", 4, notice)
    say(instance, "stall", burnt("shown", 9, notice, ("cert", "destruction-1")), bare)
    now = followed()["destruction"]
    assert now["proven"] == {"times": 1, "kilograms": 18, "boxes": 9}
    assert now["unproven"] == {"times": 1, "kilograms": 8, "boxes": 4}
    assert now["next"] == {language: Words(language)("recalls_unproven_next") for language in ("zh", "en")}

    # The certificate comes later: the record is corrected, and an event that names it takes its place.
    declared = {"declarationTime": (AT + timedelta(hours=7)).isoformat(timespec="milliseconds"),
                "reason": "incorrect_data", "correctiveEventIDs": ["urn:suyuan:test:mended"]}  # fmt: skip
    mended = burnt("mended", 4, notice, ("https://ref.gs1.org/cbv/BTT-cert", "destruction-2"))
    say(instance, "stall", bare | {"errorDeclaration": declared}, mended)
    after = followed()
    assert after["destruction"] == {
        "proven": {"times": 2, "kilograms": 26, "boxes": 13},
        "unproven": nothing,
        "next": None,
    }
    named = {paper["bizTransaction"] for each in after["destroyed"] for paper in each["papers"]}
    assert named >= {f"https://suyuan.example/bt/destruction-{number}" for number in (1, 2)}


def test_a_recall_acts_at_once_and_its_progress_follows_what_is_done(instance: Instance) -> None:
    tell(instance, 30)
    with asking(instance, "coop") as client:
        done = post(client, from_lot(P01, "real"))
        assert done.status_code == 201, done.text
        document = done.json()
    # At once, on the mix too, and for everybody: nothing was sequenced or projected since.
    assert instance.rows("SELECT DISTINCT lot, portion FROM published_recall ORDER BY 1") == [
        (lot, None) for lot in sorted((P01, MIXED, SECOND, CULL))
    ]
    assert marks(instance, "stall") == {"recalled"}
    told = {row[0]: row[1] for row in instance.rows("SELECT topic, body FROM outbox")}
    assert set(told) == {f"suyuan/v1/{who}/recall" for who in ("coop", "market", "stall", "shop")}
    assert document["notices_sent"] == 4 and told["suyuan/v1/shop/recall"]["boxes"] == 1
    assert told["suyuan/v1/shop/recall"]["sold_kg"] == 10 and "演练" not in str(told)
    # The shop keeps its record to itself: counted, not named.
    assert [each["keeper"] for each in document["holders"]] == ["coop", "market", "stall"]
    assert document["hidden"]["boxes"] == 1 and sum(each["hidden"] for each in document["notices"]) == 1
    (event,) = document["events"]
    follow(instance)
    assert (
        instance.one("SELECT count(*) FROM event WHERE event_id = %s AND organisation = 'coop'", event) == 1
    )
    assert marks(instance, "stall") == {"recalled"}, "said twice, it counts once"

    notice = {
        "type": "https://suyuan.example/voc/btt/recall_notice",
        "bizTransaction": "https://suyuan.example/recall/1",
    }
    certificate = {"type": "cert", "bizTransaction": "https://suyuan.example/xj-coop/bt/destruction/1"}
    say(
        instance,
        "stall",
        later(2, "ObjectEvent", "apart", bizStep="holding", disposition="recalled", quantityList=boxes(20), **at(STALL_ROOM)),
        later(5, "ObjectEvent", "burnt", bizStep="destroying", disposition="destroyed", quantityList=boxes(9),
              bizTransactionList=[notice, certificate], readPoint={"id": STALL_ROOM}) | {"action": "DELETE"},
    )  # fmt: skip
    say(instance, "shop", later(3, "ObjectEvent", "back", bizStep="shipping", disposition="returned", epcList=[f"{G}/00/095212340000000341"],
                                readPoint={"id": f"{G}/414/9521234004011"}))  # fmt: skip
    follow(instance)
    with asking(instance, "coop", AT + timedelta(hours=6)) as client:
        now = client.get(f"/api/v1/recalls/{document['id']}").json()
    stall = next(each for each in now["progress"] if each["keeper"] == "stall")
    assert stall["acknowledged_at"] == "2026-07-01T02:00:00+00:00"
    # 30 boxes stood there: 20 were set apart, and 9 of those destroyed.
    assert {state: part["boxes"] for state, part in stall["now"].items()} == {
        "destroyed": 9,
        "held": 11,
        "out": 10,
    }
    (hidden,) = [each for each in now["progress"] if each["hidden"]]
    assert hidden["holders"] == 1 and {state: part["boxes"] for state, part in hidden["now"].items()} == {
        "returned": 1
    }
    (burnt,) = now["destroyed"]
    assert burnt["kilograms"] == 18 and {each["type"] for each in burnt["papers"]} == {
        notice["type"],
        certificate["type"],
    }

    with asking(instance, "shop") as client:
        own = client.get(f"/api/v1/recalls/{document['id']}").json()
        assert own["why"] == "told" and [each["keeper"] for each in own["progress"]] == ["shop"]
        assert "lots" not in own and len(own["notices"]) == 1
        refused = post(client, {"outcome": "withdrawn", "note": "no"}, f"/{document['id']}/close")
        assert refused.status_code == 403
    with asking(instance, "coop", AT + timedelta(hours=7)) as client:
        closed = post(
            client, {"outcome": "withdrawn", "note": "laboratory error"}, f"/{document['id']}/close"
        )
        assert closed.status_code == 200 and closed.json()["state"] == "withdrawn", closed.text
        assert (
            post(client, {"outcome": "completed", "note": "x"}, f"/{document['id']}/close").status_code == 409
        )
    assert instance.rows("SELECT * FROM published_recall") == []


def marks(instance: Instance, who: str) -> set[str]:
    """That stand on all that the asker holds of the mix."""
    with asking(instance, who) as client:
        answer = client.get("/api/v1/stock", params={"code": MIXED})
    assert answer.status_code == 200, answer.text
    ours = [row["marks"] for row in answer.json()["stock"] if row["ours"]]
    assert ours
    return set.intersection(*map(set, ours))


def wrong(event: dict[str, Any], *instead: str) -> dict[str, Any]:
    said = {"declarationTime": AT.isoformat(timespec="milliseconds"), "reason": "incorrect_data"}
    return event | {"errorDeclaration": said | ({"correctiveEventIDs": list(instead)} if instead else {})}


def progress(
    instance: Instance, recall: str
) -> dict[str | None, dict[str, tuple[float | None, float | None]]]:
    """By holder (None: those who may not be named) and what became of it: boxes, kilograms."""
    with asking(instance, "coop", AT + timedelta(hours=6)) as client:
        found = client.get(f"/api/v1/recalls/{recall}").json()
    return {
        each["keeper"]: {state: (part["boxes"], part["kilograms"]) for state, part in each["now"].items()}
        for each in found["progress"]
    }


def test_progress_follows_a_corrected_run(instance: Instance) -> None:
    """All that was made is there under other names, and ten kilograms of the input were never used."""
    tell(instance, 30)
    (run,) = (each for each in vector() if each["type"] == "TransformationEvent")
    with asking(instance, "coop") as client:
        recall = post(client, from_lot(P01, "real")).json()["id"]
    follow(instance)
    assert progress(instance, recall)["coop"] == {"held": (288, 600.5)}
    first, *others = run["inputQuantityList"]
    right = {"eventID": "urn:suyuan:test:right", "inputQuantityList": [first | {"quantity": 117.5}, *others]}
    say(instance, "coop", wrong(run, "urn:suyuan:test:right"), run | right)
    follow(instance)
    assert progress(instance, recall) == {
        "coop": {"held": (288, 610.5)},
        "market": {"out": (11.75, 23.5)},
        "stall": {"out": (30, 60)},
        None: {"out": (1, 2)},
    }


def test_what_is_no_longer_reached_once_its_run_is_declared_wrong_is_said(instance: Instance) -> None:
    tell(instance, 30)
    (run,) = (each for each in vector() if each["type"] == "TransformationEvent")
    with asking(instance, "coop") as client:
        recall = post(client, from_lot(P01, "real")).json()["id"]
    say(instance, "coop", wrong(run))
    follow(instance)
    found = progress(instance, recall)
    # Of the 42 boxes elsewhere nobody knows any more how much one weighs.
    assert found == {
        "coop": {"not_reached": (288, 600.5), "held": (None, 127.5)},
        "market": {"not_reached": (12, None)},
        "stall": {"not_reached": (30, None)},
        None: {"not_reached": (1, None)},
    }
    assert marks(instance, "stall") == {"recalled"}, "until a person ends it"
