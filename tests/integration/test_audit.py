"""The official's pages, files and evidence, over HTTP: what is in them, that no text of others computes anything, that a proof
holds without us and one changed byte of it does not."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook

from deploy.verification import FAILS, HOLDS, verify_file
from ledger.evidence_file import WindowEvidence
from ledger.evidence_reading import read_evidence
from tests.acceptance.instance import Instance
from tests.acceptance.people import add_person, signed_in
from tests.acceptance.serving import served
from tests.integration.lines import NOW
from tests.integration.said import (
    PALLET,
    REGISTRY,
    TRUCK,
    at,
    by_carrier,
    by_terminal,
    loaded,
    made,
    on_truck,
    packed,
    placed,
    room,
    said,
    truck,
)
from trace_api.words import Language, Words

AT = NOW + timedelta(minutes=5)
EVIL = '=HYPERLINK("http://evil.example","冷库")'
JSON = {"Accept": "application/json"}
COMMAND = "@SUM(1+1)*cmd|' /C calc'!A0"


def begin(instance: Instance) -> None:
    """A store and a truck that were too warm for a while; the store's name and its keeper's are formulas."""
    organisations = [REGISTRY["organisations"][0] | {"name": {"zh": COMMAND, "en": COMMAND}, "region": "331024"},
                     REGISTRY["organisations"][1] | {"region": "331082"}]  # fmt: skip
    places = [REGISTRY["places"][0] | {"name": {"zh": EVIL, "en": EVIL}}]
    instance.register(REGISTRY | {"organisations": organisations, "places": places})
    warm = [2.0] * 30 + [8.0] * 45 + [2.0] * 60
    instance.take([*by_carrier(on_truck(9)), *by_terminal(made(10), placed(11), packed(8), carelessly(loaded(6))), room([2.0] * 60, 10.9, 1),
                   room(warm, 9.5, 2), truck([-1.5] * 20 + [9.0] * 60 + [2.0] * 60, 5, 1)], NOW)  # fmt: skip
    instance.settle(AT)
    add_person(instance, "wu", "official", department="agriculture", regions=("331024",))
    add_person(instance, "au", "auditor", regions=("33",))
    add_person(instance, "sh", "official", department="market_regulation", regions=("31",))


@pytest.fixture
def instance(begun: Instance) -> Instance:
    return begun


def carelessly(event: dict[str, Any]) -> dict[str, Any]:
    """As a foreign terminal may say it: a seal that is a number, half a box."""
    report = {
        "type": "Temperature",
        "minValue": 3,
        "maxValue": 4,
        "uom": "CEL",
        "suyuan:probePosition": "pulp",
        "suyuan:sampleCount": 3.5,
    }
    return event | {"suyuan:seal": 4711, "sensorElementList": [{"sensorReport": [report]}]}


@contextmanager
def at_work(instance: Instance, login: str = "wu", **headers: str) -> Iterator[httpx.Client]:
    with served(instance, AT) as client, signed_in(client, login, **headers) as person:
        yield person


def number(instance: Instance, channel: str) -> int:
    return int(
        instance.one(
            "SELECT excursion.id FROM excursion JOIN series ON series.id = series_id WHERE channel = %s",
            channel,
        )
    )


# --- pages ----------------------------------------------------------------------------------------------------------------


def test_the_lists_and_a_breach_in_both_languages(instance: Instance) -> None:
    store, reefer = number(instance, "ambient"), number(instance, "return_air")
    with at_work(instance) as wu:
        languages: tuple[tuple[Language, str], ...] = (("zh", "约定"), ("en", "Agreed"))
        for lang, agreed in languages:
            listed = wu.get("/audit", params={"lang": lang})
            assert listed.status_code == 200 and listed.headers["cache-control"] == "no-store"
            assert (
                f"/audit/excursions/{store}" in listed.text and f"/audit/excursions/{reefer}" in listed.text
            )
            assert agreed in listed.text
            duties = wu.get("/audit/duties", params={"lang": lang})
            assert duties.status_code == 200 and "GB 31605-2020" in duties.text
            case = wu.get(f"/audit/excursions/{reefer}", params={"lang": lang})
            assert case.status_code == 200 and "<svg" in case.text and agreed in case.text
            unit = Words(lang)("audit_severity_is", severity="")
            assert case.text.count(unit) == listed.text.count(unit) // 2 == 1, "a number has its unit once"
            assert "4711" in case.text and "4, 7, 1, 1" not in case.text
            assert Words(lang)("audit_force_agreed_unseen") in case.text, "no hand-over states the agreement"
            for page in (listed, duties, case):
                assert not re.search("违法|违规|非法|unlawful|illegal|offence|violation", page.text), (
                    "facts, no findings"
                )


def test_fields_of_anybodys_own_break_no_page(instance: Instance) -> None:
    pulp = {
        "type": "Temperature",
        "minValue": 3.0,
        "maxValue": 4.0,
        "uom": "CEL",
        "suyuan:probePosition": "pulp",
    }
    for hours, seal, count in ((2.4, 4711, 3.5), (2.3, "ZJ-1", "NaN"), (2.2, None, 1e300)):
        looked = said(
            "ObjectEvent", hours, action="OBSERVE", bizStep="inspecting", epcList=[PALLET], **at(TRUCK)
        )
        looked |= {
            "suyuan:seal": seal,
            "sensorElementList": [{"sensorReport": [pulp | {"suyuan:sampleCount": count}]}],
        }
        instance.take(by_carrier(looked), AT)
    instance.settle(AT)
    with at_work(instance) as wu:
        case = wu.get(f"/audit/excursions/{number(instance, 'return_air')}")
    assert case.status_code == 200 and "4711" in case.text and "ZJ-1" in case.text and "Z, J" not in case.text


def test_what_does_not_concern_one_is_not_found(instance: Instance) -> None:
    reefer = number(instance, "return_air")
    with at_work(instance, "sh") as shanghai:
        assert "/audit/excursions/" not in shanghai.get("/audit").text
        for wanted in (str(reefer), "999999", "0", "-1", "1e3", "9" * 30, "１"):
            page, proof = (
                shanghai.get(f"/audit/excursions/{wanted}"),
                shanghai.get(f"/api/v1/audit/excursions/{wanted}/proof"),
            )
            assert page.status_code == proof.status_code == 404
            assert "您的清单里没有这一条" in page.text


def test_filters_stand_in_the_address_and_a_bad_one_is_said(instance: Instance) -> None:
    store = number(instance, "ambient")
    with at_work(instance) as wu:
        past = wu.get("/audit?page=9&lang=en").text
        assert "there are 2 in all" in past and 'rel="prev"' in past and "page=8" not in past, (
            "back to where there is something"
        )
        assert wu.get("/api/v1/audit/excursions?page=9").json()["total"] == 2
        for wrong in (
            "duties?state=open",
            "duties.csv?over_c=5",
            "excursions?kind=calibration",
            "excursions?regoin=3301",
        ):
            assert wu.get(f"/api/v1/audit/{wrong}", headers=JSON).status_code == 422
        assert "regoin" in wu.get("/audit?regoin=3301").text
        assert f"/audit/excursions/{store}" not in wu.get("/audit?text=reefer-nobody-has").text
        assert f"/audit/excursions/{store}" not in wu.get("/audit?from=&to=2026-06-01").text, (
            "before it happened"
        )
        assert f"/audit/excursions/{store}" in wu.get("/audit?from=2026-06-20&to=2026-06-20").text, (
            "that day, to its end"
        )
        kept = wu.get("/audit?holder=coop&over_c=3&order=worst&lang=en").text
        assert "holder=coop" in kept and "over_c=3" in kept, "the export asks for the same"
        for query in (
            "from=yesterday",
            "region=Xianju",
            "state=lost",
            "over_c=-3",
            "page=0",
            "from=2026-06-20&to=2026-06-01",
            "region=3301&region=33",
        ):
            page = wu.get(f"/audit?{query}&lang=zh")
            assert page.status_code == 200 and "无法使用" in page.text, query
            refused = wu.get(f"/api/v1/audit/excursions?{query}", headers=JSON)
            assert refused.status_code == 422 and refused.json()["code"] == "audit_wrong_filter", query


# --- files -----------------------------------------------------------------------------------------------------------------


def table(body: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Notes and rows of a CSV of ours, as a program reads it."""
    assert body.startswith(b"\xef\xbb\xbf"), "or Excel reads no Chinese"
    rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    empty = rows.index([])
    head, *data = rows[empty + 1 :]
    assert all(len(row) == len(head) for row in data)
    return {row[0]: row[1] for row in rows[1:empty]}, [dict(zip(head, row, strict=True)) for row in data]


def test_csv_is_read_back(instance: Instance) -> None:
    reefer = number(instance, "return_air")
    with at_work(instance) as wu:
        answer = wu.get("/api/v1/audit/excursions.csv?order=worst&text=TRUCK-1&lang=en")
    assert (
        answer.headers["content-type"] == "text/csv; charset=utf-8"
        and ".csv" in answer.headers["content-disposition"]
    )
    notes, rows = table(answer.content)
    assert notes["Exported at"] == "2026-06-20T20:05:00+08:00"
    assert "Xianju County 331024" in notes["Area and department"] and notes["Rows"] == "1 written, 1 match"
    assert "Text: TRUCK-1" in notes["Filter"] and "Worst first" in notes["Filter"]
    (row,) = rows
    assert (row["No."], row["Force"], row["Compared with the text"]) == (str(reefer), "Agreed", "No")
    triggered = datetime.fromisoformat(row["Triggered"])
    assert triggered.utcoffset() == timedelta(hours=8) and NOW - timedelta(hours=5) < triggered < NOW
    assert float(row["Beyond (°C)"]) == 4.0 and float(row["Goods (kg, about)"]) == 40.0
    assert float(row["Weight of it (°C·min·kg)"]) == pytest.approx(float(row["°C·min"]) * 40, rel=0.01)


def test_nothing_in_a_file_is_a_formula(instance: Instance) -> None:
    forms = re.compile(r"[=+\-@\t\r＝＋－＠]")
    with at_work(instance, "au") as au:
        for what in ("excursions", "duties"):
            query = "from=&to=&text=" if what == "duties" else "from=&to="
            plain = au.get(f"/api/v1/audit/{what}.csv?{query}").content
            text = plain.decode("utf-8-sig")
            assert "HYPERLINK" in text, "else this test shows nothing"
            for row in csv.reader(io.StringIO(text, newline="")):
                for cell in row:
                    assert not forms.match(cell) or re.fullmatch(r"-?[0-9.]+", cell), cell
            book = load_workbook(io.BytesIO(au.get(f"/api/v1/audit/{what}.xlsx?{query}").content))
            cells = [
                cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None
            ]
            assert not [cell.value for cell in cells if cell.data_type == "f"]
            risky = [cell for cell in cells if isinstance(cell.value, str) and forms.match(cell.value)]
            assert risky and all(cell.data_type == "s" and cell.quotePrefix for cell in risky)


def test_a_filter_is_no_formula_either(instance: Instance) -> None:
    with at_work(instance) as wu:
        answer = wu.get("/api/v1/audit/excursions.csv", params={"text": "=1+1", "lang": "en"})
    notes, _ = table(answer.content)
    assert not notes["Filter"].startswith("=") and "=1+1" in notes["Filter"]


def test_xlsx_has_types_a_head_that_stays_and_a_filter(instance: Instance) -> None:
    with at_work(instance) as wu:
        answer = wu.get("/api/v1/audit/excursions.xlsx?lang=en&from=&to=")
    book = load_workbook(io.BytesIO(answer.content))
    sheet, about = book.worksheets
    head = [cell.value for cell in sheet[1]]
    assert (
        sheet.freeze_panes == "A2"
        and sheet.auto_filter.ref.startswith("A1:")
        and all(cell.font.bold for cell in sheet[1])
    )
    rows = [dict(zip(head, [cell.value for cell in row], strict=True)) for row in sheet.iter_rows(min_row=2)]
    assert len(rows) == 2
    for row in rows:
        assert isinstance(row["Triggered"], datetime) and row["Triggered UTC±"] == "+08:00"
        assert isinstance(row["Extreme (°C)"], (int, float)) and isinstance(row["No."], int)
    local = {row["Triggered"] for row in rows}
    with at_work(instance) as wu:
        said = {
            datetime.fromisoformat(each["trigger_time"])
            for each in wu.get("/api/v1/audit/excursions?from=&to=").json()["excursions"]
        }
    assert local == {(moment + timedelta(hours=8)).replace(tzinfo=None, microsecond=0) if moment.microsecond == 0
                     else (moment + timedelta(hours=8)).replace(tzinfo=None) for moment in said}  # fmt: skip
    notes = {row[0].value: row[1].value for row in about.iter_rows()}
    assert notes["Exported at"] == "2026-06-20T20:05:00+08:00" and "period open to open" in notes["Filter"]


def test_json_has_the_filter_the_summary_and_the_next_page(instance: Instance) -> None:
    with at_work(instance) as wu:
        found = wu.get("/api/v1/audit/excursions?order=worst&from=&to=").json()
        duties = wu.get("/api/v1/audit/duties?from=&to=&kind=calibration").json()
    assert found["total"] == len(found["excursions"]) == 2 and found["next"] is None
    assert found["filter"]["order"] == "worst" and found["at"].startswith("2026-06-20T12:05:00")
    assert found["summary"]["stays"] >= 2 and found["summary"]["breached"] >= 2
    assert {row["kind"] for row in duties["duties"]} == {"calibration"}
    assert all("total" not in row for row in found["excursions"])


# --- evidence ------------------------------------------------------------------------------------------------------------------


def verified(file: Path, keys: list[str]) -> int:
    return verify_file(file, keys, as_json=True, say=lambda _text: None)


def test_the_evidence_of_a_breach_holds_without_us_and_one_changed_byte_does_not(
    instance: Instance, tmp_path: Path
) -> None:
    store = number(instance, "ambient")
    with at_work(instance) as wu:
        answer = wu.get(f"/api/v1/audit/excursions/{store}/proof", headers=JSON)
        readings = wu.get(f"/audit/excursions/{store}").text
    assert answer.status_code == 200 and "breach-" in answer.headers["content-disposition"]
    file, keys = tmp_path / "evidence.json", [instance.log(name).vkey for name in ("coop", "root")]
    file.write_bytes(answer.content)
    assert verified(file, keys) == HOLDS
    windows = [item for item in read_evidence(answer.content).items if isinstance(item, WindowEvidence)]
    shown = [each.reading for window in windows for each in window.readings]
    inside = instance.one(
        "SELECT count(*) FROM excursion JOIN reading_store AS store ON store.series_id = excursion.series_id"
        " AND store.time >= start_time AND store.time <= end_time WHERE excursion.id = %s", store)  # fmt: skip
    assert len(windows) >= 1 and len(shown) == inside > 40, "every reading of the breach"
    assert f"{inside - 1} 条读数都已封存" in readings, "without the first that is back inside"
    series = {reading.series for reading in shown}
    assert len(series) == 1, "other sensors of the device stay behind"
    document: dict[str, Any] = json.loads(answer.content)
    document["items"][0]["readings"][0]["value"] += 0.1
    file.write_text(json.dumps(document))
    assert verified(file, keys) == FAILS
    body = bytearray(answer.content)
    at = body.index(b'"proof":"') + 40
    body[at] = ord("A") if body[at] != ord("A") else ord("B")
    file.write_bytes(bytes(body))
    assert verified(file, keys) == FAILS


def test_a_store_that_was_changed_gives_no_evidence_and_says_so(instance: Instance) -> None:
    store = number(instance, "ambient")
    instance.alter(
        "UPDATE reading_store SET value = value - 5 WHERE (series_id, time) = (SELECT series_id, trigger_time FROM excursion WHERE id = %s)",
        store,
    )
    with at_work(instance) as wu:
        answer = wu.get(f"/api/v1/audit/excursions/{store}/proof", headers=JSON)
    assert answer.status_code == 409 and answer.json()["code"] == "audit_changed"


def test_what_is_not_sealed_yet_is_said(instance: Instance) -> None:
    store = number(instance, "ambient")
    for file in (instance.folder / "log" / "coop").glob("checkpoint"):
        file.unlink()
    with at_work(instance) as wu:
        answer = wu.get(f"/api/v1/audit/excursions/{store}/proof", headers=JSON)
    assert answer.status_code == 409 and answer.json()["code"] == "audit_not_sealed"
