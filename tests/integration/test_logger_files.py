"""A logger's file on a lot: kept, judged, named by an event that is sealed, and shown to whoever may see that event."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.doing import COOP, DOCK, GATE, MARKET, SHOP, TRUCK, YARD, Doing
from tests.acceptance.instance import Instance, token
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.servers.databases import Database


@pytest.fixture
def doing(database: Database, tmp_path: Path) -> Iterator[Doing]:
    begun = Doing(Instance(database, tmp_path))
    yield begun
    begun.close()


@pytest.fixture
def api(doing: Doing) -> Iterator[httpx.Client]:
    with served(doing.instance, doing.now) as client:
        client.headers["Authorization"] = f"Bearer {token(COOP)}"
        yield client


def export(doing: Doing, values: list[str], heading: str = "time,temperature (°C)") -> bytes:
    """Every 15 minutes up to an hour ago, by the clock of Shanghai."""
    begun = doing.now - timedelta(hours=1 + len(values) / 4) + timedelta(hours=8)
    rows = (f"{begun + at * timedelta(minutes=15):%Y-%m-%d %H:%M},{value}" for at, value in enumerate(values))
    return (heading + "\n" + "\n".join(rows)).encode()


def hand_in(api: httpx.Client, data: bytes, key: str | None = None, **asked: str) -> httpx.Response:
    return api.post(
        "/api/v1/logger-files", content=data, params=asked, headers={"Idempotency-Key": key or str(uuid4())}
    )


def attach(api: httpx.Client, **said: Any) -> httpx.Response:
    return api.post("/api/v1/acts/attach_logger", json=said, headers={"Idempotency-Key": str(uuid4())})


def a_lot(doing: Doing) -> str:
    return doing.picked(100)


WARM = ["1.0"] * 8 + ["9.5"] * 8 + ["1.0"] * 4


def test_a_file_is_judged_put_on_a_lot_and_sealed(doing: Doing, api: httpx.Client) -> None:
    lot = a_lot(doing)
    data = export(doing, WARM)
    answer = hand_in(api, data, product="frozen")
    assert answer.status_code == 201, answer.text
    name = f"ni:///sha-256;{sha256(data).hexdigest()}"
    said = answer.json()
    assert (said["file"], [column["verdict"] for column in said["columns"]]) == (name, ["breach"])
    assert hand_in(api, data).json()["columns"][0]["verdict"] == "not_applicable", "nobody said a product"

    done = attach(api, goods=[{"lot": lot}], file=name, device="logger-7")
    assert done.status_code == 201, done.text
    doing.settle()
    (event,) = [
        each
        for each in api.get(f"/api/v1/lots/{lot}/trace").json()["events"]
        if each["event"]["eventID"] in done.json()["events"]
    ]
    (element,) = event["event"]["sensorElementList"]
    assert element["sensorMetadata"]["rawData"] == name
    assert element["sensorMetadata"]["startTime"].endswith("+08:00")
    (report,) = element["sensorReport"]
    assert (report["minValue"], report["maxValue"], report["meanValue"], report["suyuan:sampleCount"]) == (
        1,
        9.5,
        4.4,
        20,
    )
    assert event["position"] is not None, "it has its place in the log"
    assert api.get(f"/api/v1/logger-files/{sha256(data).hexdigest()}").content == data


def test_the_same_file_twice_stands_once(doing: Doing, api: httpx.Client) -> None:
    data, key = export(doing, ["1.0"] * 4), str(uuid4())
    assert [hand_in(api, data, key).status_code for _ in range(2)] == [201, 201]
    assert hand_in(api, data).status_code == 201
    assert doing.instance.rows("SELECT count(*) FROM logger_file") == [(1,)]


def test_others_see_a_file_by_the_event_that_names_it(doing: Doing, api: httpx.Client) -> None:
    _, unit = doing.packed()
    data = export(doing, ["1.0"] * 4)
    path = f"/api/v1/logger-files/{sha256(data).hexdigest()}"
    hand_in(api, data)
    assert attach(api, units=[unit], file=sha256(data).hexdigest()).status_code == 201
    doing.settle()
    market = {"Authorization": f"Bearer {token(MARKET)}"}
    assert api.get(path, headers=market).status_code == 404
    doing.load(unit)
    doing.settle()
    doing.do("carrier", "depart", vehicle=TRUCK, destination=YARD, seals=["JJ0098811"])
    doing.do("carrier", "arrive", vehicle=TRUCK, gate=GATE, yard=YARD)
    doing.settle()
    doing.do("market", "unload", vehicle=TRUCK, place=DOCK, seals_found="JJ0098811", seal_intact=True)
    doing.settle()
    assert api.get(path, headers=market).content == data, "it took the goods in, and sees what is behind them"
    assert api.get(path, headers={"Authorization": f"Bearer {token(SHOP)}"}).status_code == 404, (
        "to whom the event is published"
    )


@pytest.mark.parametrize(
    ("values", "heading", "said", "code"),
    [
        (["1.0"] * 4, "time,temperature", {"file": "0" * 64}, "logger_file_unknown"),
        (["1.0"] * 4, "time,temperature", {"file": "no hash"}, "logger_file_unknown"),
        (["1.0,2.0"] * 4, "time,left,right", {}, "logger_column_needed"),
        (["###"] * 4, "time,temperature", {}, "logger_file_empty"),
        (["1.0"] * 4, "time,temperature", {"time_zone": "Mars/Base"}, "no_time_zone"),
        (["1.0"] * 4, "time,temperature", {"time_zone": "America/New_York"}, "logger_file_ahead"),
    ],
)
def test_what_cannot_be_attached_says_what_to_do(
    doing: Doing, api: httpx.Client, values: list[str], heading: str, said: dict[str, str], code: str
) -> None:
    lot = a_lot(doing)
    data = export(doing, values, heading)
    assert hand_in(api, data).status_code == 201
    answer = attach(api, **{"goods": [{"lot": lot}], "file": sha256(data).hexdigest(), **said})
    assert answer.status_code == 422
    (fault,) = answer.json()["faults"]
    assert (fault["code"], bool(fault["next"]["zh"])) == (code, True)


def test_what_is_no_export_is_not_kept(doing: Doing, api: httpx.Client) -> None:
    answer = hand_in(api, b"lorem ipsum")
    assert (answer.status_code, answer.json()["faults"][0]["code"]) == (422, "logger_file_unreadable")
    assert hand_in(api, b"x" * (9 * 2**20)).status_code == 413
    assert doing.instance.rows("SELECT count(*) FROM logger_file") == [(0,)]
    assert api.get("/api/v1/logger-files/nothing").status_code == 404


def test_whom_no_goods_concern_hands_nothing_in(doing: Doing, api: httpx.Client) -> None:
    del api.headers["Authorization"]
    assert hand_in(api, export(doing, ["1.0"] * 4)).status_code == 401


# --- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def phone(doing: Doing) -> Iterator[httpx.Client]:
    with served(doing.instance, doing.now) as client:
        add_person(doing.instance, "packer", "packer", organisation=COOP)
        with signed_in(client, "packer") as person:
            yield person


def by_phone(phone: httpx.Client, data: bytes, **typed: str) -> httpx.Response:
    said = {"idempotency_key": str(uuid4()), "code": "", "column": "", "device": ""} | typed
    return phone.post("/scan/logger", data=said, files={"file": ("tag.csv", data)} if data else None)


def test_on_a_phone_a_file_is_attached_and_at_once_said(doing: Doing, phone: httpx.Client) -> None:
    lot = a_lot(doing)
    assert "multipart/form-data" in phone.get("/scan/logger", params={"code": lot}).text
    answer = by_phone(phone, export(doing, ["9.5"] * 8), code=lot)
    assert answer.status_code == 303, answer.text
    said = phone.get(answer.headers["location"], headers={"Accept-Language": "en"})
    assert said.status_code == 200
    assert "Beyond a limit" in said.text
    assert "ni:///sha-256;" in said.text
    assert phone.get(f"/scan/done/{answer.headers['location'].rpartition('/')[2]}").status_code == 200


def test_what_is_wrong_with_the_form_is_said_at_its_field(doing: Doing, phone: httpx.Client) -> None:
    lot = a_lot(doing)
    for data, typed, said in (
        (b"", {"code": lot}, "没有选文件"),
        (b"lorem", {"code": lot}, "不能当作记录仪的导出数据来读"),
        (export(doing, ["1.0"] * 4), {"code": "nothing-of-ours"}, "nothing-of-ours"),
        (export(doing, ["1.0"] * 4), {"code": lot, "column": "left"}, "没有叫这个名字的列"),
    ):
        answer = by_phone(phone, data, **typed)
        assert answer.status_code in (404, 422), answer.status_code
        assert said in answer.text
    assert doing.instance.rows("SELECT count(*) FROM logger_file") == [(0,)], "what is refused leaves nothing"
    assert by_phone(phone, b"x" * (9 * 2**20), code=lot).status_code == 413
